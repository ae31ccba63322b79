"""An instance for which the machine has no room: one sentence, and nothing stays."""

from __future__ import annotations

import gc
import os
import re
import resource
import stat
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from internals import Zygote, pool_of
from internals import zygote as zygote_module
from process_support import end_preforked, eventually, zygote_rests

from pytest_scf_async.errors import HarnessError, ScfUsageError

# once: mounts and directories are the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

HANDLER = "def main_handler(event, context): return 'ran'"


@pytest.fixture(params=["namespaces", "none"])
def runtime(request, make_runtime):
    return make_runtime(sandbox=request.param)


@contextmanager
def limit(kind: int, soft: int, pid: int = 0) -> Iterator[None]:
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


def limit_for(free: int, pid: int | str = "self") -> int:
    """The limit under which a process can open exactly *free* descriptors more: they get the lowest free numbers."""
    listed = os.listdir(f"/proc/{pid}/fd")
    used = {int(name) for name in listed if os.path.lexists(f"/proc/{pid}/fd/{name}")}  # not that of the listing
    number = 0
    while number in used or free > 0:
        free -= number not in used
        number += 1
    return number


def descriptors_of(pid: int) -> list[str]:
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # it is closed just now
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(each for each in found if each != "/")


def what_is_left(zygote) -> tuple[object, ...]:
    """What is there of instances, and no process that was forked ahead: the next start needs all that a start needs.

    The zygote may have the next namespace ready, with a descriptor of its ``/tmp``, or not yet. An instance that has
    been killed takes its time to end, and until then the zygote has its pidfd.
    """
    end_preforked(zygote)
    assert eventually(lambda: "anon_inode:[pidfd]" not in descriptors_of(zygote.pid))
    assert zygote_rests(zygote)
    return (
        descriptors_of(os.getpid()),
        descriptors_of(zygote.pid),
        sorted(os.listdir(zygote.scratch())),
        len(zygote.listeners),
    )


def what_is_there(zygote) -> tuple[object, ...]:
    """What is there at the begin of a test."""
    gc.collect()  # what earlier tests left for it has descriptors too
    return what_is_left(zygote)


def assert_left(zygote, before: tuple[object, ...]) -> None:
    if what_is_left(zygote) != before and not eventually(lambda: what_is_there(zygote) == before):
        assert what_is_there(zygote) == before


def test_no_descriptor_left_in_the_test(deploy, runtime):
    """Start instances with 0, 1, 2 and more free descriptors, so that every step of a start meets the limit once."""
    function = deploy(HANDLER)
    assert function.run() == "ran"
    runtime.clock.advance(300)
    zygote = pool_of(runtime).sandboxes.zygote()
    before = what_is_there(zygote)
    refused = []
    for free in range(12):
        event = function.invoke_async()
        try:
            with limit(resource.RLIMIT_NOFILE, limit_for(free)):
                event.wait()
        except HarnessError as error:
            refused.append(str(error))
        else:
            assert event.result == "ran"
            runtime.clock.advance(300)
        assert event.ended
        assert function.run() == "ran"
        runtime.clock.advance(300)
        assert_left(zygote, before)
    assert 5 <= len(refused) < 12, refused
    said = re.compile(
        r"an instance of index could not be started: Too many open files; an instance takes six descriptors of this "
        r"process, which may have [\d,]+: raise that limit \(ulimit -n\), or run fewer events at a time"
    )
    assert [text for text in refused if not said.fullmatch(text)] == []


def test_no_descriptor_left_in_the_zygote(deploy, runtime):
    function = deploy(HANDLER)
    assert function.run() == "ran"
    runtime.clock.advance(300)
    zygote = pool_of(runtime).sandboxes.zygote()
    before = what_is_there(zygote)
    refused = []
    for free in range(12):
        event = function.invoke_async()
        try:
            with limit(resource.RLIMIT_NOFILE, limit_for(free, zygote.pid), zygote.pid):
                event.wait()
        except HarnessError as error:
            refused.append(str(error))
        else:
            assert event.result == "ran"
            runtime.clock.advance(300)
        end_preforked(zygote)  # it has the limit under which it was forked
        assert function.run() == "ran"
        runtime.clock.advance(300)
        assert_left(zygote, before)
    assert 2 <= len(refused) < 12
    assert all(each.startswith("an instance of index could not be started: ") for each in refused), refused
    assert all("Too many open files" in each for each in refused), refused


def test_no_descriptor_left_for_what_the_zygote_sends(deploy, runtime, monkeypatch):
    """The kernel drops descriptors that come where there is no room: the process cannot be owned, and is killed."""
    function = deploy("""
        import os
        def main_handler(event, context):
            if event == "waits":  # so that the zygote's word comes before its result
                os.read(os.pipe()[0], 1)
            return "ran"
    """)
    assert function.run() == "ran"
    runtime.clock.advance(300)
    zygote = pool_of(runtime).sandboxes.zygote()
    before = what_is_there(zygote)
    receive = zygote._receive_message

    def receive_without_room() -> bool:
        with limit(resource.RLIMIT_NOFILE, limit_for(0)):
            return receive()

    event = function.invoke_async("waits")
    with monkeypatch.context() as patch:
        patch.setattr(zygote, "_receive_message", receive_without_room)
        with pytest.raises(HarnessError, match="an instance of index could not be started: Too many open files"):
            event.wait()
    assert event.status == "FAILED"
    assert function.run() == "ran"
    runtime.clock.advance(300)
    assert_left(zygote, before)


REFUSES = """
    import errno, os
    fork = os.fork
    def refusing():
        if os.path.exists(os.path.join(os.path.dirname(__file__), "full")):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()
    os.fork = refusing
"""


def test_no_process_left(deploy, make_runtime, monkeypatch, tmp_path):
    """As root no limit of processes holds, so the zygote itself gets the kernel's answer at its fork."""
    (tmp_path / "refuses_fork.py").write_text(textwrap.dedent(REFUSES))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for form in (True, False):
        zygote = Zygote(("refuses_fork",), namespaces=form)
        with monkeypatch.context() as patch:
            patch.setattr(zygote_module, "_shared", {(form, (), "page"): zygote})
            runtime = make_runtime(sandbox="namespaces" if form else "none")
            function = deploy(HANDLER, to=runtime)
            try:
                assert function.run() == "ran"
                runtime.clock.advance(300)
                before = what_is_there(zygote)
                (tmp_path / "full").touch()
                event = function.invoke_async()
                with pytest.raises(HarnessError) as error:
                    event.wait()
                said = "an instance of index could not be started: Resource temporarily unavailable"
                assert str(error.value) == said
                assert event.status == "FAILED"
                assert what_is_left(zygote) == before
                (tmp_path / "full").unlink()
                assert function.run() == "ran"
                runtime.close()
            finally:
                zygote.close()


# -- disk and rights ---------------------------------------------------------------------------------------------------

ON_A_FULL_DISK = """
    import os, sys, tempfile
    from pytest_scf_async.side import mounts
    full, code = sys.argv[1:]
    mounts._separate()
    inodes = 6 if ":" in code else 0
    mounts._mounted("tmpfs", full, "tmpfs", 0, f"size=64k,mode=1777,nr_inodes={inodes}")
    tempfile.tempdir = full

    from pytest_scf_async import ScfRuntime, ScfSettings
    with ScfRuntime(ScfSettings(sandbox="none"), lookup=["/"]) as runtime:
        handler = None if ":" in code else "index.main_handler"
        try:
            functions = [runtime.deploy(code, handler=handler) for _ in range(10)]
            events = [function.invoke_async() for function in functions]
            runtime.wait_all(events)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    print(os.listdir(os.path.join(full, os.listdir(full)[0])))
"""


def alone(source: str, *arguments: object) -> str:
    """What *source* prints in an interpreter of its own."""
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_room_for_an_instances_tmp(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "index.py").write_text(HANDLER)
    said, left = alone(ON_A_FULL_DISK, tmp_path / "full", tmp_path / "index.py:main_handler").splitlines()
    assert said.startswith("HarnessError: an instance of index")
    assert "could not be started: No space left on device (/" in said
    assert left == "[]"


def test_no_room_for_the_code_of_a_zip(tmp_path):
    (tmp_path / "full").mkdir()
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("index.py", HANDLER)
        archive.writestr("large", os.urandom(100_000))
    said, left = alone(ON_A_FULL_DISK, tmp_path / "full", tmp_path / "code.zip").splitlines()
    assert said.startswith(f"HarnessError: {tmp_path}/code.zip cannot be unpacked to {tmp_path}/full/")
    assert said.endswith(": No space left on device")
    assert left == "[]"


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Rights that root has not: as root, those of another user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


deploys = {
    "a file": lambda runtime, closed: runtime.deploy(f"{closed}/index.py:main_handler"),
    "a directory": lambda runtime, closed: runtime.deploy(closed, handler="index.main_handler"),
    "a layer": lambda runtime, closed: runtime.deploy(f"{__file__}:main_handler", layers=[closed]),
}


@pytest.mark.parametrize("what", deploys)
def test_a_directory_that_cannot_be_read(runtime, tmp_path, what):
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "index.py").write_text(HANDLER)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o011)
    closed.chmod(0)
    try:
        with ordinary_user(), pytest.raises(ScfUsageError) as refusal:
            deploys[what](runtime, closed)
    finally:
        closed.chmod(0o700)
    assert str(closed) in str(refusal.value)
    assert str(refusal.value).endswith("cannot be read: Permission denied")
