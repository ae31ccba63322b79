"""A handler may put another program, a stop or nothing into the place of its process, or of those above it.

The call that waits for its event ends soon, and says what has happened; the next event is as any other.
"""

from __future__ import annotations

import os
import signal
import warnings

import pytest
from internals import Watchdog, Zygote, procfs
from process_support import eventually, grow_impatient

from pytest_scf_async.errors import CannotEndError, ScfAsyncWarning, ScfUsageError

# once: what the kernel says of a process is the same on all Pythons
pytestmark = pytest.mark.once

ANSWERS = "def main_handler(event, context): return 1"
IMPORTS = """
import os, signal, socket, subprocess, threading, time

def sockets():
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_socket(f"/proc/self/fd/{fd}")]

def is_socket(path):
    return os.path.lexists(path) and os.readlink(path).startswith("socket:")
"""
DOES = """
def main_handler(event, context):
    {}
    time.sleep(60)
    return "the end"
"""

EXEC = r"its process became {!r} by exec \(os.execv and its like\), which answers no event: start a program as a child"
CLOSED = (
    r"its code closed a descriptor that it did not open \(os.closerange, os.close\) and through which its process talks"
)
STOPPED = (
    r"its process was stopped by a signal \(SIGSTOP, SIGTSTP\) from its own code or from a child process, and nothing"
)
HOSTILE = {
    "a program that stays": ("os.execv('/bin/sleep', ['sleep', '1000'])", EXEC.format("sleep")),
    "a program that ends": ("os.execv('/bin/true', ['true'])", EXEC.format("true")),
    "a program of its path": ("os.execlp('sleep', 'sleep', '1000')", EXEC.format("sleep")),
    "a program, on a thread": (
        "threading.Thread(target=os.execv, args=('/bin/sleep', ['sleep', '1000'])).start()",
        EXEC.format("sleep"),
    ),
    "itself": ("os.kill(os.getpid(), signal.SIGSTOP)", STOPPED),
    "itself, by a child": ("subprocess.run(['sh', '-c', 'kill -STOP $PPID'])", STOPPED),
    "all descriptors": ("os.closerange(3, 4096)", CLOSED),
    "all descriptors, and then computes": ("os.closerange(3, 4096)\n    while True: pass", CLOSED),
    "all descriptors, and then opens others": (
        "os.closerange(3, 4096); opened = [socket.socketpair() for _ in range(100)]",
        CLOSED,
    ),
    "the channel alone": ("for fd in sockets(): os.close(fd)", CLOSED),
}


@pytest.fixture
def runtime(make_runtime):
    """A call fails with another sentence once nothing has gone on for 5 real seconds: what is said here comes first."""
    return make_runtime(real_timeout=5)


@pytest.mark.parametrize("what", HOSTILE)
def test_what_a_handler_has_done_to_its_process_is_said_soon(deploy, runtime, what):
    does, said = HOSTILE[what]
    event = deploy(IMPORTS + DOES.format(does), name="hostile").invoke_async()

    with pytest.raises(ScfUsageError, match=f"event {event.request_id} of hostile: {said}"):
        event.wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert deploy(ANSWERS).run() == 1


@pytest.mark.parametrize("when", ["in the init", "in a handler of SIGTERM"])
def test_it_is_said_wherever_the_handler_does_it(deploy, when):
    does = "os.execv('/bin/sleep', ['sleep', '1000'])"
    source = DOES.format(f"signal.signal(signal.SIGTERM, lambda *_: {does})") if when != "in the init" else does
    event = deploy(IMPORTS + source).invoke_async()

    with pytest.raises(ScfUsageError, match=EXEC.format("sleep")):
        event.settle().terminate(grace_shutdown=True)


def test_a_handler_that_closes_its_output_goes_on(deploy):
    does = "os.close(1); os.close(2)"
    assert deploy(IMPORTS + DOES.format(does)).run() == "the end"


def test_a_child_that_stops_it_for_a_moment_does_no_harm(deploy, latch, monkeypatch):
    """The child reads from the latch until the test has seen the handler stand."""
    child = f"exec 3< {latch.path}; kill -STOP $PPID; head -c 1 <&3; kill -CONT $PPID"
    event = deploy(IMPORTS + DOES.format(f"subprocess.Popen(['sh', '-c', {child!r}]).wait()")).invoke_async()
    look, seen = Watchdog._stands, []

    def looks(self, instance):
        if procfs.state_of(instance.pid) == b"T":
            if not seen:
                latch.open()
            seen.append(instance)
        return look(self, instance)

    monkeypatch.setattr(Watchdog, "_stands", looks)
    assert event.wait().result == "the end"
    assert seen


ABOVE = {
    "the zygote": "os.getppid()",
    "the reaper": "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])",
}


@pytest.mark.parametrize("above", ABOVE)
def test_what_it_stops_above_itself_goes_on_with_a_warning(deploy, runtime, latch, above):
    event = deploy(IMPORTS + DOES.format(f"os.kill({ABOVE[above]}, signal.SIGSTOP)")).invoke_async()
    held = deploy("def main_handler(event, context):\n    open(event).read(1)\n")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScfAsyncWarning)
        event.wait()
        grow_impatient(runtime)
        with pytest.raises(CannotEndError):
            held.run(latch.path)  # long enough that the watchdog looks

    assert event.result == "the end"
    (warning,) = caught
    assert "stopped the zygote, from which instances are forked, or its reaper, and pytest " in str(warning.message)


@pytest.mark.parametrize("above", ["the zygote", "the reaper"])
def test_a_session_ends_at_once_though_one_of_them_stands(above):
    zygote = Zygote()
    assert zygote.is_ready()
    pid = zygote.pid if above == "the zygote" else zygote.process.pid
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: procfs.state_of(pid) == b"T")

    zygote.close()

    assert zygote.process.returncode >= 0  # it was not killed because it did not end


def test_a_program_that_stops_itself_waits_until_its_timeout(deploy_image):
    """As on the platform, where nobody has it go on either."""
    function = deploy_image("kill -STOP $$; echo on\n", command=["sh", "app.py"], port=-1, timeout=60)
    event = function.invoke_async().wait()
    assert (event.status_code, event.duration.total_seconds()) == (433, 60)


def test_a_program_that_stops_its_supervisor(deploy_image):
    function = deploy_image("kill -STOP $PPID; sleep 60\n", command=["sh", "app.py"], port=-1)
    with pytest.raises(ScfUsageError, match=STOPPED):
        function.invoke_async().wait()
