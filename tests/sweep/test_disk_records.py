"""What is recorded of a run: its effects, and the directory before each of them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from internals import disk_record
from program_internals import Writer
from sweep_internals import DiskRecord, recorded_run, recorders, recording_of
from sweeping import Deploy, each_run

from pytest_scf_async import HarnessError, ScfRuntime

Records = Callable[[str], DiskRecord]


@pytest.fixture
def recorded(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path) -> Records:
    """The record of a run of a handler with that source."""

    def run(source: str) -> DiskRecord:
        (tmp_path / "run").mkdir(exist_ok=True)
        return recorded_run(scf_runtime, deployed(source), tmp_path / "run")

    return run


def test_each_change_is_an_effect_with_its_path(recorded: Records, tmp_path: Path) -> None:
    record = recorded(
        """\
        import json, os, pathlib, shutil, threading

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])
            (out / "ck.new").write_text("{}")
            os.replace(out / "ck.new", out / "ck.json")
            os.link(out / "ck.json", out / "backup")
            os.symlink("ck.json", out / "now")
            open(out / "now", "a").close()
            with open(out / "now") as file:
                file.read()
            os.truncate(out / "backup", 1)
            os.makedirs(out / "a" / "b")
            print("a line is no effect")
            thread = threading.Thread(target=(out / "by a thread").touch)
            thread.start()
            thread.join()
            shutil.rmtree(out / "a")
        """
    )
    assert [effect.text for effect in record.effects] == [
        "open ck.new",
        "write ck.new",
        "rename ck.new to ck.json",
        "link ck.json to backup",
        "symlink now",
        "open ck.json",
        "truncate backup",
        "mkdir a",
        "mkdir a/b",
        "utime by a thread",  # of a file that is not there yet
        "open by a thread",
        "rmdir a/b",
        "rmdir a",
    ]
    assert list(record.remarks()) == ["other orders of the changes of 2 writers"]


def test_the_next_event_of_the_instance_has_no_effects_in_the_record(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    append = deployed(
        """\
        import os, pathlib, time

        def main_handler(event, context):
            with pathlib.Path(os.environ["OUT"], event).open("a") as file:
                file.write(event)
        """
    )
    record = recorded_run(scf_runtime, append, tmp_path, "first", "second")
    assert [effect.text for effect in record.effects] == ["open first", "write first"]
    assert (tmp_path / "second").exists()


def test_an_effect_has_the_simulated_time_and_the_number_of_records(recorded: Records, tmp_path: Path) -> None:
    record = recorded(
        """\
            import os, pathlib, time
            from pytest_scf_async.inside import record

            def main_handler(event, context):
                out = pathlib.Path(os.environ["OUT"])
                for number in range(3):
                    (out / str(number)).mkdir()
                    record("made", number=number)
                    time.sleep(3600)
        """
    )
    first = record.effects[0].time_us
    found = [((each.time_us - first) // 3_600_000_000, each.records, each.text) for each in record.effects]
    assert found == [(hour, hour, text) for hour in range(3) for text in (f"mkdir {hour}", "record made")]


def test_a_write_over_a_page_of_the_file_can_be_cut_there(recorded: Records, tmp_path: Path) -> None:
    record = recorded(
        """\
            import os

            def main_handler(event, context):
                fd = os.open(os.environ["OUT"] + "/data", os.O_CREAT | os.O_WRONLY)
                os.write(fd, b"a" * 4000)
                os.write(fd, b"b" * 4000)
                os.pwrite(fd, b"c" * 20_000, 0)
        """
    )
    other = tmp_path / "other"
    found: dict[str, bytes] = {}
    for state, image in record.states():
        image.put(other / state.name)
        data = other / state.name / "data"
        found[state.text] = data.read_bytes() if data.exists() else b"-"
    assert found == {
        "open data": b"-",
        "write data": found["write data"],
        "write data, cut at byte 4,096": found["write data, cut at byte 4,096"],
        "write data, cut at byte 12,288": b"c" * 12_288,
        "write data, cut at byte 16,384": b"c" * 16_384,
        "the end": b"c" * 20_000,
    }


def test_a_copy_that_asks_for_more_than_there_is_is_cut_within_what_it_writes(
    recorded: Records, tmp_path: Path
) -> None:
    record = recorded(
        """\
            import os, shutil

            def main_handler(event, context):
                out = os.environ["OUT"]
                for name, size in (("short", 7), ("long", 9000)):
                    with open(out + "/" + name, "wb") as file:
                        file.write(b"x" * size)
                    shutil.copyfile(out + "/" + name, out + "/copy-of-" + name)
        """
    )
    copied = [(state.effect.paths, state.cut) for state, _ in record.states() if state.effect and state.cut]
    assert [cut for cut in copied if "copy" in cut[0][0]] == [(["copy-of-long"], 4096), (["copy-of-long"], 8192)]


def test_what_is_spliced_into_a_file_is_a_write_and_a_hole_is_none(recorded: Records, tmp_path: Path) -> None:
    record = recorded(
        """\
            import ctypes, os

            def main_handler(event, context):
                fd = os.open(os.environ["OUT"] + "/data", os.O_CREAT | os.O_RDWR)
                out, into = os.pipe()
                os.write(into, b"x" * 9000)
                os.splice(out, fd, 9000)
                os.pwrite(fd, b"y", 1_000_000)
                keeps_size, makes_hole = 1, 2
                hole = (ctypes.c_long(0), ctypes.c_long(8192))
                assert ctypes.CDLL(None).fallocate(fd, keeps_size | makes_hole, *hole) == 0
        """
    )
    assert [each.text for each in record.effects] == ["open data", "splice data", "write data", "fallocate data"]
    found: dict[str, bytes] = {}
    for state, image in record.states():
        image.put(tmp_path / state.name)
        data = tmp_path / state.name / "data"
        found[state.text] = data.read_bytes() if data.exists() else b"-"
        blocks = data.stat().st_blocks * 512 if data.exists() else 0
    rest = bytes(1_000_000 - 9000) + b"y"
    assert found == {
        "open data": b"-",
        "splice data": b"",
        "splice data, cut at byte 4,096": b"x" * 4096,
        "splice data, cut at byte 8,192": b"x" * 8192,
        "write data": b"x" * 9000,
        "fallocate data": b"x" * 9000 + rest,
        "the end": bytes(8192) + b"x" * 808 + rest,
    }
    assert blocks < 100_000  # what is put back has the hole, too


def test_a_recorded_program_is_told_that_there_is_no_asynchronous_io(recorded: Records, tmp_path: Path) -> None:
    """Changes that are made by ``io_submit`` and ``io_uring`` are in no system call that is seen."""
    record = recorded(
        """\
            import ctypes, errno, os, platform

            def main_handler(event, context):
                libc = ctypes.CDLL(None, use_errno=True)
                io_submit, io_uring_setup = {"x86_64": 209, "aarch64": 2}[platform.machine()], 425
                found = []
                for number in (io_submit, io_uring_setup):
                    assert libc.syscall(number, 0, 0, 0) == -1
                    found.append(errno.errorcode[ctypes.get_errno()])
                with open(os.environ["OUT"] + "/found", "w") as file:
                    file.write(" ".join(found))
        """
    )
    assert (tmp_path / "run" / "found").read_text() == "ENOSYS ENOSYS"
    assert record.problems == []


def test_pipes_sockets_and_extended_attributes_are_put_back(recorded: Records, tmp_path: Path) -> None:
    record = recorded(
        """\
        import os, socket

        def main_handler(event, context):
            os.makedirs(os.environ["OUT"], exist_ok=True)  # it is there
            os.chdir(os.environ["OUT"])
            os.mkfifo("pipe", 0o400)
            with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
                one.bind("socket")
                other.bind("\\0not a path")
                socket.create_server(("127.0.0.1", 0)).close()
            open("file", "w").close()
            os.setxattr("file", "user.one", b"1")
            os.setxattr(".", "user.two", b"2")
            os.setxattr("file", "user.three", b"3")
            os.removexattr("file", "user.one")
            os.removexattr(os.environ["OUT"], "user.two")
        """
    )
    assert [effect.text for effect in record.effects] == [
        *("mknod pipe", "bind socket", "open file"),
        *("setxattr file", "setxattr run.path", "setxattr file", "removexattr file", "removexattr run.path"),
    ]
    assert list(record.remarks()) == []
    assert len({digest for _, digest in record.digests()}) == 9
    found = []
    for state, image in record.states():
        directory = tmp_path / state.name
        directory.mkdir()
        image.put(directory)
        found.append(
            {
                str(path.relative_to(directory)): (
                    stat.filemode(path.stat().st_mode)[:8],
                    {name: os.getxattr(path, name) for name in os.listxattr(path) if name.startswith("user.")},
                )
                for path in (directory, *directory.iterdir())
            }
        )
    mask = os.umask(0)
    os.umask(mask)
    kinds = {"pipe": ("pr------", {}), "socket": (stat.filemode(stat.S_IFSOCK | 0o777 & ~mask)[:8], {})}
    assert found[2] == {".": found[0]["."], **kinds}
    assert [(each["file"][1], each["."][1]) for each in found[3:]] == [
        ({}, {}),
        ({"user.one": b"1"}, {}),
        ({"user.one": b"1"}, {"user.two": b"2"}),
        ({"user.one": b"1", "user.three": b"3"}, {"user.two": b"2"}),
        ({"user.three": b"3"}, {"user.two": b"2"}),
        ({"user.three": b"3"}, {}),
    ]


def test_what_a_record_cannot_have_is_said(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed("def main_handler(event, context): return 'done'")
    record = recorded_run(scf_runtime, function, Path("/dev"))  # whoever the test is, this has devices
    (problem,) = record.problems
    assert re.fullmatch(r"'.+' in run\.path is a device", problem)
    assert list(record.remarks()) == [f"kills at effects ({problem})"]


def test_too_many_files_are_said_with_what_to_do(recorded: Records, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for number in range(10_000):
        (tmp_path / "run" / str(number)).touch()
    record = recorded("def main_handler(event, context): return 'done'")
    most = "a record has at most 10,000 files and 1 GB: each kill recreates them"
    assert record.problems == [f"run.path has 10,001 files: {most}; keep what the handler only reads outside run.path"]


def test_a_file_that_is_mapped_is_looked_at_again(recorded: Records) -> None:
    record = recorded(
        """\
        import mmap, os

        def main_handler(event, context):
            fd = os.open(os.environ["OUT"] + "/data", os.O_CREAT | os.O_RDWR)
            os.truncate(fd, 8192)
            with mmap.mmap(fd, 8192) as memory:
                memory[5000] = 7
                os.mkdir(os.environ["OUT"] + "/one")
                memory[5001] = 8
                os.mkdir(os.environ["OUT"] + "/two")
        """
    )
    found = [
        bytes(image.nodes[image.inodes["data"]].pages.get(1, b""))[904:]
        for state, image in record.states()
        if "data" in image.inodes
    ]
    assert [effect.text for effect in record.effects] == [
        "open data",
        "truncate data",
        "mmap data",
        "mkdir one",
        "mkdir two",
    ]
    assert list(record.remarks()) == ["the states between system calls of what is mapped into memory (data)"]
    assert found[-3:] == [b"\x07", b"\x07\x08", b"\x07\x08"]


def test_what_a_child_writes_to_a_file_that_its_parent_has_just_opened_is_in_the_record(recorded: Records) -> None:
    record = recorded(
        """\
        import os, pathlib

        def main_handler(event, context):
            for number in range(200):
                log = os.open(f"{os.environ['OUT']}/log-{number}", os.O_CREAT | os.O_WRONLY)
                child = os.posix_spawn("/bin/echo", ["echo", "a row"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, log, 1)])
                while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                    pass  # with no system call that is an effect
                os.waitpid(child, 0)
                os.close(log)
        """
    )
    texts = [effect.text for effect in record.effects]
    assert texts == [f"{call} log-{number}" for number in range(200) for call in ("open", "write")]


def test_a_record_is_complete_once_its_instance_stands_still(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the end of a process, which takes some ms of the kernel's; of one that goes on it is not."""
    append = deployed(
        """\
        import os, pathlib, time

        def main_handler(event, context):
            pathlib.Path(os.environ["OUT"], "a").write_text("first")
            if event == "computes":
                print(event)
                while True:
                    pass
        """
    )
    append.update(environment={"OUT": str(tmp_path)}, timeout=900)
    recording = recording_of(scf_runtime, tmp_path)
    append.run("first")
    found = DiskRecord(recording.items())
    assert [effect.text for effect in found.effects] == ["open a", "write a"]

    event = append.invoke_async("computes")
    event.wait_for_log("computes")
    monkeypatch.setattr(recorders, "END_LIMIT", 0.2)
    with pytest.raises(HarnessError, match="was not done within"):
        list(recording.items())
    recording.close()
    event.terminate(grace_shutdown=False)
    assert event.wait().status == "ABORTED"


def test_a_record_ends_with_its_last_whole_item(tmp_path: Path) -> None:
    """Who writes it may be killed meanwhile, as a supervisor is with its program."""
    items: list[tuple[disk_record.Item, bytes]] = [
        (disk_record.Entry("\udcff", 7, "file", 0o600, 3, 1, False, ""), b""),
        (disk_record.Data(7, 0, 3), b"abc"),
        (disk_record.Effect("rename", ["\udcff", "b"], 1, 0, 9), b""),
    ]
    whole = tmp_path / "whole"
    ends = [0]
    with whole.open("wb", buffering=0) as file:
        writer = Writer(file.fileno())
        for item, content in items:
            writer.add(item, content)
            writer.flush()
            ends.append(file.tell())
    written = whole.read_bytes()
    for size in range(len(written) + 1):
        whole.write_bytes(written[:size])
        with whole.open("rb") as file:
            found = list(disk_record.items_in(file.fileno()))
        assert found == items[: sum(end <= size for end in ends) - 1]


@pytest.mark.parametrize("protected", ["new", "row"])
def test_what_its_function_has_read_protected_is_not_said_to_be_changed_by_something_else(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, protected: str
) -> None:
    """Who has not CAP_DAC_OVERRIDE, as in a container, cannot read it after the event."""
    function = deployed(
        f"""\
        import os, pathlib

        def main_handler(event, context):
            new = pathlib.Path(os.environ["OUT"], "new")
            row = new / "row"
            if not {protected}.exists() or os.stat({protected}).st_mode & 0o777:
                new.mkdir(exist_ok=True)
                row.write_text("secret")
                {protected}.chmod(0)
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    probe = tmp_path / "probe"
    probe.touch(0)
    path = {"new": "new", "row": "new/row"}[protected]
    is_said = f"the content of {path} is not compared: it may not be read" in sweep.report
    assert is_said is not os.access(probe, os.R_OK)
