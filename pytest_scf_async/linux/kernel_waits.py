"""What the threads of a process wait for, by the kernel's word: the call, and what it is made on.

That is enough for error texts. Whether the clock may jump ``at_rest`` decides, as this was true a moment ago.
"""

from __future__ import annotations

import ipaddress
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..protocol.shortening import shortened_list
from ..protocol.wait_texts import named
from .procfs import memory_at, process_of_pidfd, registered_with, system_call_of, table_of_sockets, target_of, tasks_of

FEW = 3
"""As many descriptors of one wait are named."""
_POLLFD = struct.Struct("ihh")

# The numbers of the calls that block, by the machine's architecture.
_NUMBERS = {
    "x86_64": {
        "read": (0,), "write": (1,), "poll": (7, 271), "pread": (17,), "readv": (19,), "writev": (20,),
        "select": (23, 270), "pause": (34,), "nanosleep": (35,), "clock_nanosleep": (230,),
        "connect": (42,), "accept": (43, 288), "send": (44,), "recv": (45,), "sendmsg": (46,), "recvmsg": (47, 299),
        "bind": (49,), "listen": (50,),
        "waitpid": (61, 247), "fcntl": (72,), "flock": (73,),
        "sigwait": (128, 130), "lock": (202,), "epoll": (232, 281, 441), "open": (2, 257),
    },
    "aarch64": {
        "epoll": (22, 441), "fcntl": (25,), "flock": (32,), "open": (56,), "read": (63,), "write": (64,),
        "readv": (65,), "writev": (66,), "pread": (67,), "select": (72,), "poll": (73,), "waitpid": (95, 260),
        "lock": (98,), "nanosleep": (101,), "clock_nanosleep": (115,), "sigwait": (137,), "accept": (202, 242),
        "bind": (200,), "listen": (201,),
        "connect": (203,), "send": (206,), "recv": (207,), "sendmsg": (211,), "recvmsg": (212, 243),
    },
}  # fmt: skip
_CALLS = {number: name for name, numbers in _NUMBERS.get(platform.machine(), {}).items() for number in numbers}
_SLEEPS = {"nanosleep": "nanosleep", "clock_nanosleep": "clock_nanosleep", "select without descriptors": "select"}
"""The call, by the name that it has here."""
RESTARTED = {"x86_64": 219, "aarch64": 128}.get(platform.machine())
"""The call that a wait with a timeout is after its process was stopped and went on; its arguments are the same."""
_SIGTIMEDWAIT = {"x86_64": 128, "aarch64": 137}.get(platform.machine())
_WAITIDS = (95, 247)
"""``waitid``, which is given a kind of identity, and the identity."""
_FUTEX_WAITS = (0x80, 0x89)  # FUTEX_WAIT and FUTEX_WAIT_BITSET, private
_FUTEX_CLOCK_REALTIME = 0x100
_FIRST_PAGE = 4096
"""No address is below, and no clock's number above."""
_NO_TIMEOUT = 1 << 31
"""What is less may be the timeout of ``poll``, and is mostly no address."""
_WITHOUT_DESCRIPTOR = {
    "nanosleep": "nanosleep(), a real-time sleep in C code",
    "clock_nanosleep": "clock_nanosleep(), a real-time sleep in C code",
    "select without descriptors": "select() without descriptors, a real-time sleep in C code",
    "lock": "a lock in C code",
    "open": "open()",
    "select": "select()",
    "pause": "pause()",
    "sigwait": "a wait for signals in C code",
    "fcntl": "fcntl()",
}


@dataclass(frozen=True)
class KernelWait:
    """What one thread waits for."""

    text: str
    """In words: ``recv() on a connection to 127.0.0.1:6379``."""
    peers: tuple[str, ...] = ()
    """The other ends of the connections on which it waits in Python to receive something: ``idle_ok`` would help."""
    sleeps: str = ""
    """The system call in which code in C sleeps, if it does."""
    polls: bool = False
    """It waits in ``epoll``, which no wait of Python's is: those are in the scheduler, and poll."""


def name_of(number: int) -> str | None:
    """What the call of that *number* is called here, if it is one that blocks."""
    return _CALLS.get(number)


def waits_of(pid: int) -> dict[int, KernelWait]:
    """By the kernel's id of the thread, what the threads of *pid* wait for; none of one that runs or cannot be seen."""
    found = {}
    for task in tasks_of(pid):
        wait = _wait_of(pid, task)
        if wait is not None:
            found[int(task)] = wait
    return found


def _wait_of(pid: int, task: str) -> KernelWait | None:
    call = call_of(pid, task)
    if call is None:
        return None
    name, number, arguments = call
    if not name:
        return KernelWait(f"the system call {number}")
    if name == "select" and arguments[0] == 0:  # as time.sleep() of Python 3.10 does it
        name = "select without descriptors"
    if name in _WITHOUT_DESCRIPTOR:
        return KernelWait(_WITHOUT_DESCRIPTOR[name], sleeps=_SLEEPS.get(name, ""))
    targets = [each.text for each in targets_of(pid, name, number, arguments)]
    if name == "waitpid":
        return KernelWait(f"a wait for {targets[0]}")
    return KernelWait(f"{name}() on {shortened_list(targets, FEW)}" if targets else f"{name}()", polls=name == "epoll")


Call = tuple[str, int, list[int]]
"""A call that a thread waits in: its name here, empty where it has none, its number and its arguments."""


def call_of(pid: int, task: str) -> Call | None:
    """The call that a thread waits in; None of one that runs."""
    fields = system_call_of(pid, task)
    if len(fields) < 7 or fields[0] == b"-1":
        return None
    number, arguments = int(fields[0]), [int(field, 16) for field in fields[1:7]]
    name = _restarted(*arguments[:3]) if number == RESTARTED else _CALLS.get(number, "")
    return name, number, arguments


def waits_for_signal(pid: int, signum: int) -> bool:
    """Whether a thread of *pid* takes *signum* as soon as it comes, in ``sigwait`` or one of its kin."""
    bit = 1 << (signum - 1)
    for task in tasks_of(pid):
        call = call_of(pid, task)
        if call is not None and call[1] == _SIGTIMEDWAIT:
            try:
                if int.from_bytes(memory_at(pid, call[2][0], 8), "little") & bit:
                    return True
            except (OSError, OverflowError):
                continue
    return False


def waits_for_reaper(pid: int) -> bool:
    """Whether a thread of *pid* is in ``bind`` or ``listen``, where it waits for the answer of the reaper alone."""
    calls = (call_of(pid, task) for task in tasks_of(pid))
    return any(call is not None and call[0] in ("bind", "listen") for call in calls)


def number_restarted(first: int, second: int, third: int) -> int:
    """The number of the call that goes on as ``restart_syscall``, with these arguments."""
    return _NUMBERS[platform.machine()][_restarted(first, second, third)][0]


def _restarted(first: int, second: int, third: int) -> str:
    """Which call goes on as ``restart_syscall``: ``poll``, a futex, ``nanosleep`` or ``clock_nanosleep``."""
    if first < _FIRST_PAGE:
        return "clock_nanosleep" if first or second or third >= _NO_TIMEOUT else "poll"
    if second & ~_FUTEX_CLOCK_REALTIME in _FUTEX_WAITS:
        return "lock"
    return "poll" if 0 < second < _FIRST_PAGE else "nanosleep"


def polled_by(pid: int, address: int, count: int) -> list[int]:
    """The descriptors of a ``poll``, out of the memory of the process."""
    try:
        data = memory_at(pid, address, min(count, 64) * _POLLFD.size)
    except (OSError, ValueError, OverflowError):
        return []
    return [fd for fd, _, _ in _POLLFD.iter_unpack(data[: len(data) // _POLLFD.size * _POLLFD.size])]


class Target(NamedTuple):
    """What a descriptor is to a user."""

    kind: str
    """One of the keys of the texts below."""
    name: str = ""
    """Its address, path or number, where it has one."""

    @property
    def text(self) -> str:
        """In words: ``a connection to 127.0.0.1:6379``."""
        if self.kind == "anonymous":
            return f"{'an' if self.name[:1] in 'aeiou' else 'a'} {self.name}"
        unnamed, with_name = _TARGETS.get(self.kind, ("", "{}"))
        return with_name.format(named(self.name)) if self.name else unnamed


_TARGETS = {
    "descriptor": ("a descriptor", "the descriptor {}"),
    "pipe": ("a pipe", "a pipe"),
    "process": ("a process", "the process {}"),
    "child": ("a child process", "the child process {}"),
    "file": ("a file", "{}"),
    "socket": ("a socket", "a socket"),
    "connection": ("a connection", "a connection to {}"),
    "listening": ("a socket that listens", "a socket that listens at {}"),
    "udp": ("a UDP socket", "a UDP socket at {}"),
    "unix": ("a Unix socket", "a Unix socket at {}"),
}
"""The words for each kind, without a name and with one."""


def target(pid: int, fd: int) -> Target:
    """What a descriptor of *pid* refers to."""
    found = target_of(pid, fd)
    if not found:
        return Target("descriptor", str(fd))
    kind, _, rest = found.partition(":")
    if kind == "socket":
        return _socket(pid, rest.strip("[]"))
    if kind == "pipe":
        return Target("pipe")
    if found == "anon_inode:[pidfd]":
        process = process_of_pidfd(pid, fd)
        return Target("process", "" if process is None else str(process))
    if kind == "anon_inode":
        return Target("anonymous", rest.strip("[]"))
    return Target("file", found)


def targets_of(pid: int, name: str, number: int, arguments: Sequence[int]) -> list[Target]:
    """What a call waits on that has that *name* here, with the first of its *arguments*."""
    if name == "poll":
        return [target(pid, fd) for fd in polled_by(pid, arguments[0], arguments[1])]
    if name == "epoll":
        return [target(pid, fd) for fd in registered_with(pid, arguments[0])]
    if name == "waitpid":
        first, second = arguments[:2]
        if number in _WAITIDS:
            first = second if first == 1 else 0
        child = first & 0xFFFFFFFF
        return [Target("child", str(child) if 0 < child < 2**31 else "")]
    return [target(pid, arguments[0] & 0xFFFFFFFF)] if name in _ON_ONE_DESCRIPTOR else []


_ON_ONE_DESCRIPTOR = frozenset(
    (
        *("read", "write", "readv", "writev", "pread", "connect", "accept", "send", "recv", "sendmsg", "recvmsg"),
        *("flock", "bind", "listen"),
    )
)


def _socket(pid: int, inode: str) -> Target:
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for fields in table_of_sockets(pid, protocol):
            if len(fields) > 9 and fields[9] == inode:
                return _internet(protocol, *fields[1:4])
    for fields in table_of_sockets(pid, "unix"):
        if len(fields) > 6 and fields[6] == inode:
            return Target("unix", fields[7] if len(fields) > 7 else "")
    return Target("socket")


def _internet(protocol: str, local: str, remote: str, state: str) -> Target:
    if protocol.startswith("udp"):
        return Target("udp", _address(local))
    return Target("listening", _address(local)) if state == "0A" else Target("connection", _address(remote))


def _address(text: str) -> str:
    """``0100007F:1A0B``, the kernel's form, as ``127.0.0.1:6667``."""
    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)]
    address = ipaddress.ip_address(b"".join(words))
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"[{address}]:{int(port, 16)}"
        address = address.ipv4_mapped
    return f"{address}:{int(port, 16)}"
