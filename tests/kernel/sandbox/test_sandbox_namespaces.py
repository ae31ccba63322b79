"""An instance's own view of the disk, by a mount namespace: what is its own, what it may write, what it sees."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

import pytest
from internals import Zygote, mounted_view, pool_of
from internals import zygote as zygote_module
from process_support import end_preforked, files_in, is_gone, user_lines, zygote_rests

from pytest_scf_async.errors import HarnessError, ScfUsageError

# once: mounts and directories are the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]


@pytest.fixture
def runtime(make_runtime):
    return make_runtime(sandbox="namespaces")


def lines_of(path: str, part: str) -> int:
    with open(path, encoding="utf-8") as file:
        return sum(part in line for line in file)


# -- /tmp and /dev/shm -------------------------------------------------------------------------------------------------


def test_a_literal_tmp_is_the_instances_own(deploy, runtime):
    source = """
        import os, time
        def main_handler(event, context):
            found = open("/tmp/state.json").read() if os.path.exists("/tmp/state.json") else None
            open("/tmp/state.json", "w").write(event)
            time.sleep(10)
            return [found, open("/tmp/state.json").read()]
    """
    first, second = deploy(source, name="first"), deploy(source, name="second")
    events = [first.invoke_async("1"), second.invoke_async("2")]
    runtime.wait_all()

    assert [event.result for event in events] == [[None, "1"], [None, "2"]]
    assert first.run("3") == ["1", "3"]
    assert not os.path.exists("/tmp/state.json")


def test_tmp_has_512_mb_and_then_the_disk_is_full(deploy):
    total, sparse, error = deploy("""
        import errno, os
        def main_handler(event, context):
            disk = os.statvfs("/tmp")
            with open("/tmp/big", "wb", buffering=0) as file:
                os.posix_fallocate(file.fileno(), 0, (512 << 20) - (64 << 10))
                file.seek(0, os.SEEK_END)
                written = 0
                try:
                    while True:
                        written += file.write(b"x" * 4096)
                except OSError as error:
                    return disk.f_blocks * disk.f_frsize, written, errno.errorcode[error.errno]
    """).run()
    assert (total, error) == (512 << 20, "ENOSPC")
    assert 0 < sparse <= 64 << 10


def test_dev_shm_is_the_instances_own(deploy, runtime):
    function = deploy("""
        import multiprocessing, os, time
        from multiprocessing import shared_memory
        def main_handler(event, context):
            before = os.listdir("/dev/shm")
            shared = shared_memory.SharedMemory(name="scf_async_test", create=True, size=100)
            multiprocessing.Lock()
            time.sleep(1)
            shared.close()
            shared.unlink()
            return before
    """)
    events = [function.invoke_async() for _ in range(2)]
    runtime.wait_all()
    assert [event.result for event in events] == [[], []]


def test_tmp_can_be_used_by_programs(deploy):
    function = deploy("""
        import os, subprocess
        def main_handler(event, context):
            with open("/tmp/tool", "w") as file:
                file.write("#!/bin/sh\\necho made $1 > /tmp/out; cat /tmp/out")
            os.chmod("/tmp/tool", 0o755)
            return subprocess.run(["/tmp/tool", "it"], capture_output=True, text=True).stdout
    """)
    assert function.run() == "made it\n"


# -- what else is there ------------------------------------------------------------------------------------------------


def test_var_user_is_the_code_directory(deploy):
    found = deploy("""
        import os, sys
        def main_handler(event, context):
            return {
                "names": os.listdir("/var/user"),
                "same": os.path.samefile("/var/user", os.getcwd()),
                "file": __file__,
                "shell": os.popen("pwd").read(),
                "root": os.environ["USER_CODE_ROOT"],
                "opt": os.listdir("/opt"),
                "path": sys.path[:1],
            }
    """).run()
    directory = os.path.dirname(found["file"])
    assert Path(directory, "index.py").is_file()
    assert found == {
        "names": ["index.py"],
        "same": True,
        "file": f"{directory}/index.py",
        "shell": "/var/user\n",  # a shell goes by PWD
        "root": "/var/user/",
        "opt": [],
        "path": [directory],
    }


def test_layers_are_at_opt_and_in_the_search_path(deploy, tmp_path):
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "of_layer.py").write_text("NAME = 'layer'\n")
    with zipfile.ZipFile(tmp_path / "layer.zip", "w") as archive:
        archive.writestr("bin/tool", "#!/bin/sh\n")
    source = """
        import os, sys, of_layer
        def main_handler(event, context):
            try:
                open("/opt/new", "w")
            except OSError as error:
                return sorted(os.listdir("/opt")), of_layer.__file__, sys.path[1], error.strerror
    """
    listed, file, entry, refused = deploy(source, layers=[tmp_path / "layer", tmp_path / "layer.zip"]).run()
    assert (listed, file, entry) == (["bin", "of_layer.py"], "/opt/of_layer.py", "/opt")
    assert refused == "Read-only file system"


def test_code_of_a_zip_is_found_at_its_own_path(runtime, tmp_path):
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("index.py", "import os\ndef main_handler(e, c): return [__file__, os.listdir('/var/user')]\n")
    file, listed = runtime.deploy(tmp_path / "code.zip", handler="index.main_handler").run()
    assert os.path.isfile(file)
    assert listed == ["index.py"]


@pytest.mark.parametrize(
    "path", ["/new", "/usr/new", "/etc/new", "/var/new", "/var/user/new", "/opt/new", "{root}/new", "{prefix}/new"]
)
def test_all_else_is_read_only(runtime, tmp_path_factory, pytestconfig, path):
    """The handler lies in the project's tree: not in the base temp, where code can be written."""
    path = path.format(root=pytestconfig.rootpath, prefix=sys.prefix)
    function = runtime.deploy("sandbox/opens.py:main_handler")
    assert function.run({"path": path, "mode": "w"}) == "Read-only file system"
    assert not os.path.exists(path)


def test_code_in_the_base_temp_can_be_written(deploy):
    function = deploy("""
        import os
        def main_handler(event, context):
            open("beside.txt", "w").write("x")
            return os.listdir("/var/user"), open("/var/user/beside.txt").read()
    """)
    listed, text = function.run()
    assert (sorted(listed), text) == (["beside.txt", "index.py"], "x")


def test_special_files_and_own_descriptors_work_as_ever(runtime):
    function = runtime.deploy("sandbox/opens.py:main_handler")
    for path in ("/dev/null", "/dev/stdout", "/proc/self/fd/1"):
        assert function.run({"path": path, "mode": "w"}) == "opened"
    event = function.invoke_async({"path": "/dev/urandom", "mode": "rb"}).wait()
    assert event.result == "opened"


def test_installed_packages_and_the_interpreter_are_found(deploy):
    assert deploy("""
        import subprocess, sys
        def main_handler(event, context):
            import pytest
            code = "import pluggy; print('found')"
            return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    """).run() == "found\n"  # fmt: skip


def test_of_the_hosts_tmp_only_what_is_needed_is_there(deploy, tmp_path, tmp_path_factory):
    beside = tmp_path_factory.getbasetemp().parent
    function = deploy("""
        import os
        def main_handler(event, context):
            return {path: os.listdir(path) for path in event if os.path.isdir(path)}
    """)
    found = function.run(["/tmp", str(beside), str(tmp_path)])
    assert found[str(tmp_path)] == ["code1"]
    if str(beside).startswith("/tmp/"):
        assert len(found["/tmp"]) <= 2  # the base temp, and what this suite itself may lie in
        assert str(tmp_path_factory.getbasetemp().name) in found[str(beside)]


# -- mounts ------------------------------------------------------------------------------------------------------------

WRITES = """
    import os
    def main_handler(event, context):
        try:
            with open(os.path.join(event, "of the handler"), "w") as file:
                file.write("written")
        except OSError as error:
            return error.strerror
        return sorted(os.listdir(event))
"""


@pytest.fixture
def outside():
    """A directory that is not in the base temp, and goes again."""
    with tempfile.TemporaryDirectory(prefix="scf-async-test-") as name:
        directory = Path(name)
        (directory / "of the test").write_text("")
        yield directory


def test_a_mount_can_be_written_at_its_own_path(deploy, outside):
    assert deploy(WRITES).run(str(outside)) != ["of the handler", "of the test"]
    assert deploy(WRITES, mounts=[outside]).run(str(outside)) == ["of the handler", "of the test"]
    assert (outside / "of the handler").read_text() == "written"


@pytest.mark.parametrize("inside", ["/mnt/cfs/data", "/tmp/data", "/var/user", "/usr/local/scf-data", "/scf-data"])
def test_a_mount_can_be_at_another_path(deploy, outside, inside):
    if inside == "/var/user":
        with pytest.raises(ScfUsageError, match="has a /var/user of its own"):
            deploy(WRITES, mounts=[(outside, inside)])
        return
    here = sorted(os.listdir("/usr/local"))
    assert deploy(WRITES, mounts=[(outside, inside)]).run(inside) == ["of the handler", "of the test"]
    assert (outside / "of the handler").read_text() == "written"
    assert not os.path.exists(inside)
    assert sorted(os.listdir("/usr/local")) == here
    assert deploy(WRITES).run("/usr/local/bin") == "Read-only file system"


def test_what_the_harness_lets_be_written_can_be_written(deploy, runtime, outside):
    pool_of(runtime).sandboxes.writable.append(str(outside))
    assert deploy(WRITES).run(str(outside)) == ["of the handler", "of the test"]


def test_what_instances_see_is_worked_out_once_a_session_and_the_disk_looked_at_once_a_runtime(
    make_runtime, tmp_path, outside
):
    """Each test of a suite has a runtime of its own, and mostly the same function."""
    (tmp_path / "index.py").write_text(textwrap.dedent(WRITES))

    def written(mount: Path) -> list[str] | str:
        runtime = make_runtime(sandbox="namespaces")
        function = runtime.deploy(tmp_path / "index.py:main_handler", mounts=[(mount, "/mnt/data")])
        return function.run("/mnt/data")

    assert written(outside) == ["of the handler", "of the test"]
    before = mounted_view.cache_info()
    assert written(outside) == ["of the handler", "of the test"]
    after = mounted_view.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)

    (tmp_path / "other").mkdir()
    assert written(tmp_path / "other") == ["of the handler"]
    assert mounted_view.cache_info().misses == after.misses + 1


# -- whose it is -------------------------------------------------------------------------------------------------------


def test_an_instance_has_its_users_rights_and_no_others(deploy, tmp_path):
    (tmp_path / "closed").write_text("secret")
    (tmp_path / "closed").chmod(0)
    user, capabilities, answer = deploy("""
        import os
        def main_handler(event, context):
            with open("/proc/self/status") as file:
                capabilities = [line.split()[1] for line in file if line.startswith(("CapEff", "CapPrm"))]
            try:
                answer = open(event).read()
            except OSError as error:
                answer = error.strerror
            return os.geteuid(), capabilities, answer
    """).run(str(tmp_path / "closed"))
    assert user == os.geteuid()
    if user:
        assert capabilities == ["0" * 16] * 2
    assert answer == ("Permission denied" if user else "secret")


def test_files_of_a_handler_belong_to_the_user(deploy, tmp_path):
    deploy(WRITES).run(str(tmp_path))
    state = (tmp_path / "of the handler").stat()
    assert (state.st_uid, state.st_gid) == (os.geteuid(), os.getegid())


def test_no_descriptor_of_ours_comes_with_it(deploy):
    source = """
        import os
        def main_handler(event, context):
            found = []
            for fd in os.listdir("/proc/self/fd"):
                try:
                    found.append(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
                except FileNotFoundError:
                    pass  # that of the listing
            return sorted(found)
    """
    first, second = (deploy(source).run() for _ in range(2))
    assert first == second
    named = [name for name in first if name.startswith(("mnt", "/")) and not name.startswith("/memfd")]
    assert [name for name in named if "/libffi.so" not in name] == ["/dev/null"]  # a newer libffi keeps its file open


# -- what is left ------------------------------------------------------------------------------------------------------


def test_instances_leave_no_mount_descriptor_or_directory(deploy, runtime, outside):
    zygote = pool_of(runtime).sandboxes.zygote()
    functions = [deploy(WRITES), deploy(WRITES), deploy(WRITES, mounts=[(outside, "/mnt/cfs/data")])]

    def counted() -> tuple[int, ...]:
        end_preforked(zygote)
        assert zygote_rests(zygote)
        return (
            len(os.listdir("/proc/self/fd")),
            len(os.listdir(f"/proc/{zygote.pid}/fd")),
            lines_of("/proc/self/mountinfo", zygote.scratch()),  # of containers there are others, which come and go
            lines_of(f"/proc/{zygote.pid}/mountinfo", zygote.scratch()),
            len(os.listdir(zygote.scratch())),
        )

    def once() -> None:
        for function in functions:
            function.run("/tmp")
        runtime.clock.advance(300)

    once()
    before = counted()
    for _ in range(10):  # one of them that stays would be seen
        once()
    assert counted() == before


def test_what_a_child_keeps_open_is_listed_and_gone(deploy, runtime):
    """The namespace exists until the last process in it has ended: the zygote ends them all."""
    event = (
        deploy("""
        import subprocess
        def main_handler(event, context):
            kept = open("/tmp/kept open", "w")
            child = subprocess.Popen(["sleep", "1000"], cwd="/tmp", stdout=kept, start_new_session=True)
            print(child.pid)
            raise ValueError
    """)
        .invoke_async()
        .wait()
    )
    assert event.status_code == 430
    assert event.instance.lost_files == ("kept open",)
    assert is_gone(int(user_lines(event)[0]))


def test_what_is_mounted_in_tmp_is_neither_listed_nor_removed(deploy, tmp_path):
    (tmp_path / "of the test").write_text("")
    event = deploy("def main_handler(event, context): raise ValueError").invoke_async().wait()
    assert event.status_code == 430
    assert event.instance.lost_files == ()
    assert files_in(str(tmp_path)) == ["of the test", "code1/index.py"]


def test_names_of_every_kind_are_lost_files(deploy):
    event = (
        deploy(r"""
        import os, socket
        def main_handler(event, context):
            os.symlink("/nowhere", "/tmp/link")
            os.mkfifo("/tmp/fifo")
            socket.socket(socket.AF_UNIX).bind("/tmp/socket")
            open(b"/tmp/\xff", "w")
            os.mkdir("/tmp/closed")
            open("/tmp/closed/file", "w")
            os.chmod("/tmp/closed", 0)
            os._exit(0)
    """)
        .invoke_async()
        .wait()
    )
    closed = "closed/" if os.geteuid() else "closed/file"
    assert event.instance.lost_files == (closed, "fifo", "link", "socket", "\udcff")


def test_the_mode_of_tmp_is_that_of_a_tmp(deploy):
    event = deploy("""
        import time
        def main_handler(event, context):
            time.sleep(1)
    """).invoke_async().settle()  # fmt: skip
    assert stat.S_IMODE(os.stat(event.instance.tmp).st_mode) == 0o1777
    event.wait()


# -- machines that are made otherwise ----------------------------------------------------------------------------------

OLD_KERNEL = """
    from pytest_scf_async.side import mounts
    mounts.MOUNT_SETATTR = 4999  # a system call that no kernel has, as this one before 5.12
"""


def test_all_else_is_read_only_on_a_kernel_without_mount_setattr(make_runtime, monkeypatch, tmp_path):
    (tmp_path / "old_kernel.py").write_text(textwrap.dedent(OLD_KERNEL))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    zygote = Zygote(("old_kernel",), namespaces=True)
    monkeypatch.setattr(zygote_module, "_shared", {(True, (), "page"): zygote})
    try:
        with make_runtime(sandbox="namespaces") as runtime:
            function = runtime.deploy("sandbox/opens.py:main_handler")
            for path in ("/new", "/usr/new", "/etc/new", "/var/new", "/var/user/new", "/proc/self/comm"):
                assert function.run({"path": path, "mode": "w"}) == "Read-only file system"
            for path in ("/tmp/new", "/dev/shm/new", f"{tmp_path}/new", "/dev/null"):
                assert function.run({"path": path, "mode": "w"}) == "opened"
    finally:
        zygote.close()


ELSEWHERE = """
    import os, sys
    from pytest_scf_async.side import mounts
    above, project = sys.argv[1:]
    mounts._separate()
    mounts._mounted("tmpfs", above, "tmpfs", 0, "mode=1777")
    for name in ("handlers", "other"):
        os.makedirs(os.path.join(project, name))
    with open(os.path.join(project, "handlers", "index.py"), "w") as file:
        file.write('''if True:
            import os
            def main_handler(event, context):
                found = {path: os.listdir(path) for path in event}
                try:
                    open(__file__, "a")
                except OSError as error:
                    return [__file__, error.strerror, found]
        ''')
    from pytest_scf_async import ScfRuntime, ScfSettings
    with ScfRuntime(ScfSettings(sandbox="namespaces"), root=project, lookup=[project]) as runtime:
        print(*runtime.deploy("handlers/index.py:main_handler", name="it").run([os.path.dirname(project), "/var/user"]))
"""


@pytest.mark.parametrize(
    ("above", "project", "found"),
    [
        ("/opt", "/opt/project", {"/opt": ["project"], "/var/user": ["index.py"]}),
        ("/var", "/var/user/project", {"/var/user": ["project"]}),
        ("/dev/shm", "/dev/shm/project", {"/dev/shm": ["project"], "/var/user": ["index.py"]}),
        ("/mnt", "/mnt/project", {"/mnt": ["project"], "/var/user": ["index.py"]}),
    ],
)
def test_a_project_that_lies_where_an_instance_has_something_of_its_own(above, project, found):
    command = [sys.executable, "-c", textwrap.dedent(ELSEWHERE), above, project]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{project}/handlers/index.py Read-only file system {found}\n"


def test_code_in_tmp_itself_is_refused_in_a_sentence(runtime):
    handle, path = tempfile.mkstemp(suffix=".py", prefix="scf_async_test_", dir="/tmp")
    os.close(handle)
    try:
        event = runtime.deploy(f"{path}:main_handler").invoke_async()
        with pytest.raises(
            ScfUsageError, match="the code directory is /tmp itself, and every instance has a /tmp of its"
        ):
            event.wait()
    finally:
        os.unlink(path)


def test_a_mount_that_is_gone_when_an_instance_starts_is_one_sentence(deploy, runtime):
    with tempfile.TemporaryDirectory(prefix="scf-async-test-") as directory:
        function = deploy(WRITES, mounts=[(directory, "/mnt/x")])
        assert function.run("/mnt/x") == ["of the handler"]
    runtime.clock.advance(300)
    event = function.invoke_async("/mnt/x")
    with pytest.raises(HarnessError) as error:
        event.wait()
    assert str(error.value) == f"an instance of index could not be started: No such file or directory ({directory})"


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_directory_that_was_replaced_is_the_new_one(deploy, runtime, how):
    """The namespace of the next instance is made ahead, from the directory that was there then."""
    with tempfile.TemporaryDirectory(prefix="scf-async-test-") as parent:
        directory = Path(parent, "shared")
        for _ in range(3):
            directory.mkdir()
            function = deploy(WRITES, mounts=[directory])
            assert function.run(str(directory)) == ["of the handler"]
            assert (directory / "of the handler").exists()
            runtime.clock.advance(300)
            assert zygote_rests(pool_of(runtime).sandboxes.zygote())
            if how == "removed":
                (directory / "of the handler").unlink()
                directory.rmdir()
            else:
                directory.rename(Path(tempfile.mkdtemp(dir=parent), "old"))
