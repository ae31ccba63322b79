"""A call that fails changes nothing in its event: what is said of its threads is found out without their noticing."""

from __future__ import annotations

import fcntl
from collections.abc import Callable

import pytest
from process_support import grow_impatient, user_lines

from pytest_scf_async import ScfRuntime
from pytest_scf_async.errors import CannotEndError

# once: the kernel's calls, and the signals that we send
pytestmark = pytest.mark.once

WAITS_IN_C = {
    "nanosleep": "libc.usleep(900_000_000)",
    "clock_nanosleep": "libc.clock_nanosleep(0, 0, struct.pack('qq', 900, 0), None)",
    "sleep": "libc.sleep(900)",
    "poll without descriptors": "libc.poll(None, 0, 900_000)",
    "poll": "libc.poll(struct.pack('ihh', read, 1, 0), 1, 900_000)",
    "select": "libc.select(0, None, None, None, struct.pack('qq', 900, 0))",
    "pause": "libc.pause()",
    "a futex with a timeout": "libc.sem_timedwait(ctypes.create_string_buffer(32), struct.pack('qq', 1 << 40, 0))",
    "flock": "fcntl.flock(os.open(event, os.O_RDONLY), fcntl.LOCK_EX)",
}
"""What ``flock`` waits for the test has: the payload is the path of its file."""
ONCE = {
    "epoll_wait": "libc.epoll_wait(libc.epoll_create1(0), ctypes.create_string_buffer(12), 1, -1)",
    "sigwaitinfo": "libc.sigwaitinfo(struct.pack('Q', 1 << 9).ljust(128, b'\\0'), None)",
}
"""These end with EINTR when their process is stopped and goes on, whatever it is stopped by: one call only."""
OTHER_STATES = {
    "no handlers of signals": "[signal.signal(n, signal.SIG_DFL) for n in range(34, 65)]; libc.pause()",
    "blocked signals": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); libc.pause()",
    "stopped by itself": "os.kill(os.getpid(), signal.SIGSTOP)",
}


def waiting(deploy, runtime: ScfRuntime, body: str, payload: object = None, *, settles: bool = True):
    event = deploy(
        f"""
import ctypes, fcntl, os, signal, struct
libc = ctypes.CDLL(None)
read, write = os.pipe()

def main_handler(event, context):
    os.write(1, b"waits\\n")
    {body}
    os.write(1, b"went on\\n")
"""
    ).invoke_async(payload)
    if settles:
        event.settle()
    else:
        event.wait_for_log("waits")
    grow_impatient(runtime, 0.2 if settles else 0.5)
    return event


def fails(call: Callable[[], object]) -> str:
    with pytest.raises(CannotEndError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("kind", WAITS_IN_C)
def test_what_code_in_c_waits_in_goes_on(deploy, runtime: ScfRuntime, tmp_path, kind: str) -> None:
    with open(tmp_path / "lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        event = waiting(deploy, runtime, WAITS_IN_C[kind], file.name)

        for _ in range(2):
            text = fails(event.wait)

            assert "in main_handler" in text
            assert user_lines(event) == ["waits"]
            assert event.status == "RUNNING"
        event.terminate()


@pytest.mark.parametrize("kind", ONCE)
def test_so_does_what_a_stop_ends(deploy, runtime: ScfRuntime, kind: str) -> None:
    event = waiting(deploy, runtime, ONCE[kind], settles=False)

    assert "in main_handler" in fails(event.wait)

    assert user_lines(event) == ["waits"]
    event.terminate(when="now")


@pytest.mark.parametrize("kind", OTHER_STATES)
def test_what_can_write_no_stacks_is_left_alone(deploy, runtime: ScfRuntime, kind: str) -> None:
    event = waiting(deploy, runtime, OTHER_STATES[kind])

    for _ in range(2):
        fails(event.wait)
        assert user_lines(event) == ["waits"]
        assert event.status == "RUNNING"
    event.terminate()
