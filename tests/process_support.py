"""Checks of events for process tests: the end with everything that goes with it, and the log in a short form."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import platform
import re
import socket
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.runtime import ScfRuntime

if TYPE_CHECKING:
    from internals import Zygote

# Instances import this module with a test file whose functions are handlers: functions import `internals` themselves.

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""When the clock of the runtimes in the process tests starts."""

RECEIVED = "[PLATFORM] Signal received successfully."
NOT_RECEIVED = "[PLATFORM] Signal reception failed."
OF_ASYNCIO = "Using selector: EpollSelector"
"""What asyncio logs of each of its loops, at the level DEBUG."""

END_OF_ZYGOTE = "the zygote, which instances are forked from, is gone"
"""The error of the first call after the zygote was killed."""

LONG = 60.0
"""Real seconds that no step of a test takes, however busy the machine is, unless something hangs."""
FEW_LOOKS = 100
"""Fewer checks than these in so long a time mean that the machine itself stood still, as for a snapshot of it."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_PLATFORM_LINES = {
    "START": re.compile(rf"START RequestId:(?P<cold> ?)(?P<id>{_UUID})"),
    "INIT": re.compile(
        rf"Init Report RequestId: (?P<id>{_UUID}) Coldstart: (?P<value>\d+ms) \(PullCode: \d+ms "
        r"InitRuntime: \d+ms InitFunction: \d+ms\) Memory: \d+MB MemUsage: \d+\.\d\dMB"
    ),
    "ERROR": re.compile(rf"ERROR RequestId:(?P<id>{_UUID}) Result:(?P<value>\{{.*\}})"),
    "RESPONSE": re.compile(rf"Response RequestId:(?P<id>{_UUID}) RetMsg:(?P<value>.*)"),
    "END": re.compile(rf"END RequestId:(?P<id>{_UUID})"),
    "REPORT": re.compile(
        rf"Report RequestId:(?P<id>{_UUID}) Duration:(?P<value>\d+ms) Memory:\d+MB MemUsage:\d+\.\d{{6}}MB"
    ),
}

LIBRARY_IN_C = """
import ctypes

try:
    crypto = ctypes.CDLL("libcrypto.so.3")
except OSError:
    crypto = ctypes.CDLL("libcrypto.so.1.1")

class Client:
    def __init__(self, port):
        crypto.BIO_new_connect.restype = ctypes.c_void_p
        self.bio = ctypes.c_void_p(crypto.BIO_new_connect(b"127.0.0.1:%d" % port))
        assert crypto.BIO_ctrl(self.bio, 101, ctypes.c_long(0), None) == 1

    def ask(self, data, end):
        self.send(data)
        return self.read(end)

    def send(self, data):
        assert crypto.BIO_write(self.bio, data, len(data)) == len(data)

    def read(self, end, size=1000):
        came, buffer = b"", ctypes.create_string_buffer(size)
        while not (came.endswith(end) and came) and len(came) < size:
            count = crypto.BIO_read(self.bio, buffer, size - len(came))
            came += buffer.raw[:count]
        return came

    def fileno(self):
        fd = ctypes.c_int()
        crypto.BIO_ctrl(self.bio, 105, ctypes.c_long(0), ctypes.byref(fd))
        return fd.value

    def report_to(self, function):
        # It is called back by C with an operation and what that has come to, which it returns.
        kind = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t],
                                *[ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_void_p])
        self.callback = kind(lambda *of: function(of[1], of[6]))
        crypto.BIO_set_callback_ex(self.bio, self.callback)

    def close(self):
        crypto.BIO_free_all(self.bio)

def ask_once(port, data):
    client = Client(port)
    client.ask(data, data)
    client.close()
"""
"""A client whose connections are made in C, past Python's ``socket``: OpenSSL's libcrypto has one."""

CERTIFICATE = """
-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUXzFPPqJpeX37e+PNL8uHgU52unUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS1zZPICUdPUXpyq4wVJoxjQWpfvK1Qr/sPGb7ndRwK+UUYKm2IVDhA
27Teu1OQ+AyHO7Of3nf5ehZW8+x6uxV3o2kwZzAdBgNVHQ4EFgQUga0xJ8LACbBS
rpO/1024S2WICi4wHwYDVR0jBBgwFoAUga0xJ8LACbBSrpO/1024S2WICi4wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhALYioTMpDYV+ixZ6cItkrr55LlmjI/thv4DxxaynmjY3AiEArIZyLREn
qG3BOOebtEomYwmt6dHFLmje+AYCsIVm8S8=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpNuUqlYmWbUkE/uN
KvZ8esMwcYOPyzvRorCVzlg5lw+hRANCAAS1zZPICUdPUXpyq4wVJoxjQWpfvK1Q
r/sPGb7ndRwK+UUYKm2IVDhA27Teu1OQ+AyHO7Of3nf5ehZW8+x6uxV3
-----END PRIVATE KEY-----
"""
"""Of these tests alone, with its key: for localhost, from 2020 until 2120."""


def short_log(event: AsyncEvent) -> list[str]:
    """The log: user lines as they are, platform lines as a word and their values (``ERROR 430``, ``REPORT 3000ms``).

    A platform line that has not exactly the platform's form, or another event's id, fails the test.
    """
    short = []
    for line in event.log:
        if line.text == OF_ASYNCIO:
            continue
        if line.source == "Custom" or line.text in (RECEIVED, NOT_RECEIVED):
            short.append(line.text)
            continue
        word, match = next(
            (word, match) for word, form in _PLATFORM_LINES.items() if (match := form.fullmatch(line.text)) is not None
        )
        assert match["id"] == event.request_id
        value = match.groupdict().get("value")
        if word == "START":
            assert event.instance is not None
            assert (match["cold"] == " ") is event.instance.cold
        if word == "ERROR":
            body = json.loads(match["value"])
            shown = {key: item for key, item in (event.error or {}).items() if key != "requestId"}
            assert body == ({**shown, "errorCode": -1} if body["statusCode"] == 443 else shown)
            value = str(body["statusCode"])
        short.append(word if value is None else f"{word} {value}")
    return short


def user_lines(event: AsyncEvent) -> list[str]:
    """What user code wrote, without the record of each loop that asyncio logs."""
    return [line.text for line in event.log if line.source == "Custom" and line.text != OF_ASYNCIO]


def is_gone(pid: int) -> bool:
    """There is no such process, not even a zombie."""
    return not os.path.exists(f"/proc/{pid}")


def family_is_gone(zygote: int, mark: bytes) -> bool:
    """The zygote has been reaped, and so has ended all that carries its mark: instances, and those forked ahead.

    Before that its end of the connection may still be open, and one of its instances may still take an event.
    """
    from internals import procfs

    return is_gone(zygote) and not any(mark in procfs.environment_of(pid) for pid in procfs.processes())


def mark_of(pid: int) -> bytes:
    """The entry of the environment that the zygote *pid* shares with its reaper and its instances."""
    from internals import OWNER_MARK, procfs

    (mark,) = (each for each in procfs.environment_of(pid) if each.startswith(f"{OWNER_MARK}=".encode()))
    return mark


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does: R, S, T (stopped), Z."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def zygote_rests(zygote: Zygote) -> bool:
    """Whether the zygote comes to wait for a request: it has made ready by then what the next instance needs.

    One that has not run since a request was sent waits as well: the request must have been read.
    """
    pid = zygote.pid
    seen: Counter[str] = Counter()

    def polls() -> bool:
        if fcntl.ioctl(zygote.connection, termios.TIOCOUTQ, bytes(4)) != bytes(4):
            return False
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            number = file.read().split()[0]
        seen[number] += 1
        return number == {"x86_64": "232", "aarch64": "22"}[platform.machine()]

    if not eventually(polls):
        with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
            raise AssertionError(f"the zygote {pid} was seen in {dict(seen)}, is {state_of(pid)}, {file.read()}")
    return True


def eventually(fact: Callable[[], object]) -> bool:
    """Whether *fact* becomes true: for what the kernel does a moment after the call, such as a SIGSTOP."""
    deadline = time.monotonic() + LONG
    looks = 0
    while not fact():
        looks += 1
        if looks > FEW_LOOKS and time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def grow_impatient(runtime: ScfRuntime, real_timeout: float = 0.3, **bounds: float) -> None:
    """Have calls of *runtime* end after this long without progress, from now on: once what they wait for stands still.

    Other *bounds* are settings too: ``real_limit`` for what does not stand still.

    A runtime that is made with so short a bound would have its instances race with it to their waits.
    """
    from internals import lockstep_of

    lockstep_of(runtime).settings = runtime.settings.replace("ScfSettings(...)", real_timeout=real_timeout, **bounds)


def received(connection: socket.socket) -> bool:
    """Whether the other end's kernel has all that was sent: the end of what is sent too, after ``shutdown``."""

    def unacknowledged() -> int:
        return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    return eventually(lambda: unacknowledged() == 0)


class Latch:
    """What children of a handler wait for: they read one byte each of a FIFO, and the test writes it when it likes.

    A child that sleeps for some real time instead races with the test, which wants to see it alive.
    """

    def __init__(self, directory: Path, name: str = "latch") -> None:
        self.path = str(directory / name)
        os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDWR)

    def open(self, children: int = 1) -> None:
        """Let that many children end."""
        os.write(self._fd, b"x" * children)

    def close(self) -> None:
        os.close(self._fd)


def files_in(tmp: str) -> list[str]:
    """The files that a handler has in its ``/tmp``, which a test finds at *tmp*; nothing of what is mounted there."""
    found = []
    device = os.stat(tmp).st_dev
    for parent, directories, files in os.walk(tmp):
        directories[:] = sorted(name for name in directories if os.stat(os.path.join(parent, name)).st_dev == device)
        found += [os.path.relpath(os.path.join(parent, name), tmp) for name in sorted(files)]
    return found


def preforked_pid(zygote: Zygote) -> int:
    """The process that was forked ahead for the next instance; 0 when there is none."""
    from internals import preforked_of

    preforked = preforked_of(zygote)
    if preforked is None:
        return 0
    assert zygote.receive_until(lambda: preforked.pid > 0 or preforked.gone, LONG)
    return preforked.pid


def end_preforked(zygote: Zygote) -> None:
    """Have the processes end that were forked ahead for the next instance: only what instances leave is there then."""
    from internals import end_recorders, messages, take_preforked

    end_recorders(zygote, LONG)
    pid = preforked_pid(zygote)
    other = messages.Expect(messages.CommonMounts(["of another kind"], []), [], [], {}, parts={})
    assert take_preforked(zygote, other) is None
    assert pid == 0 or eventually(lambda: is_gone(pid))
    zygote.pump()


def descriptors() -> int:
    """How many this process has open, without those of processes that were forked ahead."""
    from internals import zygote as zygotes

    for zygote in list(zygotes._shared.values()):
        end_preforked(zygote)
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def assert_reclaimed_for_good(event: AsyncEvent, because: str) -> None:
    """Assert that the instance, its process and its ``/tmp`` are gone, and that the event shows that."""
    instance = event.instance
    assert instance is not None
    assert (instance.alive, instance.reclaimed, instance.reclaimed_because) == (False, True, because)
    assert is_gone(instance.pid)
    assert not os.path.exists(instance.tmp)


def assert_kept(event: AsyncEvent) -> None:
    """The instance is alive and stopped, and waits for the next event."""
    instance = event.instance
    assert instance is not None
    assert (instance.alive, instance.reclaimed, instance.reclaimed_because) == (True, False, None)
    assert instance.doing == "frozen"
    from internals import event_of

    pid = event_of(event).instance.user_process.pid
    assert eventually(lambda: state_of(pid) in "Tt")
    assert os.path.isdir(instance.tmp)


def assert_end(event: AsyncEvent, status: str, code: int, *, after: float = 0, log: Sequence[str]) -> None:
    """Status, code, the two transitions, simulated seconds *after* acceptance, and the whole log in short form."""
    assert (event.status, event.status_code) == (status, code), str(event.log)
    ended_at = event.started_at + timedelta(seconds=after)
    assert event.transitions == [("RUNNING", event.started_at), (status, ended_at)]
    assert event.ended_at == ended_at
    assert event.duration == timedelta(seconds=after)
    assert short_log(event) == list(log)


def assert_body(event: AsyncEvent, **body: Any) -> None:
    """The error body, without the two fields that every one has."""
    assert event.error == {**body, "requestId": event.request_id, "statusCode": event.status_code}
