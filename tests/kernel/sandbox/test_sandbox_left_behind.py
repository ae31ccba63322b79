"""What a killed instance leaves on disk and in ``/dev/shm`` goes with it, in each form of sandbox."""

from __future__ import annotations

import os
import signal

import pytest
from internals import event_of, remove_tree
from process_support import LONG, eventually

# once: mounts and directories are the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

MAKES = """
    import multiprocessing.shared_memory, multiprocessing, os, time

    def in_a_child(queue):
        queue.put(multiprocessing.shared_memory.SharedMemory(create=True, size=64).name)
        time.sleep(1000)

    def main_handler(event, context):
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=64)
        names = [memory.name]
        if event == "child":
            fork = multiprocessing.get_context("fork")
            queue = fork.SimpleQueue()
            fork.Process(target=in_a_child, args=(queue,)).start()
            names.append(queue.get())
        elif event == "files":
            own = f"scf-async-test-{os.getpid()}"
            with open(f"/dev/shm/{own}", "w") as file:
                file.write("x")
            os.makedirs(f"/dev/shm/{own}-directory/inner")
            names += [own, f"{own}-directory"]
        print("made", *names, flush=True)
        if event == "exits":
            os._exit(1)
        time.sleep(1000)
"""


@pytest.mark.parametrize("sandbox", ["auto", "none"])
@pytest.mark.parametrize("what", ["main", "child", "files", "exits"])
def test_nothing_stays_in_shared_memory(deploy, make_runtime, sandbox, what):
    event = deploy(MAKES, to=make_runtime(sandbox=sandbox)).invoke_async(what)
    event.wait_for_log("made")
    (line,) = [line.text for line in event.log if line.text.startswith("made")]
    names = line.split()[1:]
    assert len(names) == {"main": 1, "child": 2, "files": 3, "exits": 1}[what]

    if what == "exits":
        event.wait()
        assert event.status == "FAILED"
    else:
        event.terminate()

    assert eventually(lambda: [name for name in names if os.path.lexists(f"/dev/shm/{name}")] == [])


def test_nothing_stays_in_shared_memory_of_an_instance_that_is_killed_while_its_output_is_full(deploy, make_runtime):
    """Its resource tracker first writes what it removes; the harness does not read that before the next call."""
    event = deploy(MAKES, to=make_runtime(sandbox="none")).invoke_async("child")
    event.wait_for_log("made")
    (line,) = [line.text for line in event.log if line.text.startswith("made")]
    instance = event_of(event).instance
    assert instance.output.filled

    os.kill(instance.pid, signal.SIGKILL)

    assert instance.zygote.receive_until(lambda: instance.gone, LONG)
    assert [name for name in line.split()[1:] if os.path.lexists(f"/dev/shm/{name}")] == []
    assert event.wait().status_code == 439
    assert "There appear to be 2 leaked shared_memory objects" in str(event.log)


def test_what_others_have_in_shared_memory_stays(deploy, make_runtime):
    path = f"/dev/shm/scf-async-test-of-others-{os.getpid()}"
    with open(path, "w", encoding="utf-8"):
        pass
    try:
        source = f"def main_handler(event, context):\n    open({path!r}, 'w').write('x')\n    raise ValueError\n"
        assert deploy(source, to=make_runtime(sandbox="none")).invoke_async().wait().status == "FAILED"
        assert os.path.lexists(path)
    finally:
        os.unlink(path)


LOCKED = """
    import os

    def main_handler(event, context):
        top = os.environ.get("TMPDIR", "/tmp")
        for mode in (0, 0o500):
            os.makedirs(f"{top}/{mode:o}/inner/most")
            open(f"{top}/{mode:o}/inner/file", "w").close()
            os.chmod(f"{top}/{mode:o}/inner", mode)
        os.chmod(top, 0o500)
        raise ValueError
"""


@pytest.mark.parametrize("sandbox", ["auto", "none"])
def test_directories_that_nobody_may_change_are_removed(deploy, make_runtime, sandbox):
    event = deploy(LOCKED, to=make_runtime(sandbox=sandbox)).invoke_async().wait()

    assert event.status == "FAILED"
    assert event.instance.reclaimed
    assert not os.path.lexists(event.instance.tmp)


@pytest.mark.once
def test_a_tree_without_rights_is_removed_by_an_ordinary_user(tmp_path):
    top = tmp_path / "top"
    for mode in (0, 0o500):
        inner = top / f"{mode:o}" / "inner"
        inner.mkdir(parents=True)
        (inner / "file").touch()
        inner.chmod(mode)
    (top / "link").symlink_to(tmp_path)
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(tmp_path)  # the user below may not search the directories that lead there
            if os.geteuid() == 0:
                for directory, _, _ in os.walk(tmp_path):
                    os.chown(directory, 65534, 65534)
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            remove_tree("top")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert not top.exists()
    assert tmp_path.exists()


@pytest.mark.once
def test_a_deep_tree_is_removed(tmp_path):
    top = tmp_path / "top"
    made = str(top)
    for _ in range(1500):
        os.mkdir(made)
        made += "/d"

    remove_tree(str(top))

    assert not top.exists()
