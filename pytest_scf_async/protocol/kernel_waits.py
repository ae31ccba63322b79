"""What the threads of a process wait for, by the kernel's word: the call, and what it is made on. For error texts.

Nothing here decides whether the clock may jump: what ``/proc`` says was true a moment ago.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import struct
import sys
from dataclasses import dataclass, replace

FEW = 3
"""As many descriptors of one wait are named."""
_POLLFD = struct.Struct("ihh")

# The numbers of the calls that block, by the machine's architecture.
_NUMBERS = {
    "x86_64": {
        "read": (0,), "write": (1,), "poll": (7, 271), "pread": (17,), "readv": (19,), "writev": (20,),
        "select": (23, 270), "pause": (34,), "nanosleep": (35,), "clock_nanosleep": (230,),
        "connect": (42,), "accept": (43, 288), "send": (44,), "recv": (45,), "sendmsg": (46,), "recvmsg": (47, 299),
        "waitpid": (61, 247), "fcntl": (72,), "flock": (73,),
        "sigwait": (128,), "lock": (202,), "epoll": (232, 281, 441), "open": (2, 257),
    },
    "aarch64": {
        "epoll": (22, 441), "fcntl": (25,), "flock": (32,), "open": (56,), "read": (63,), "write": (64,),
        "readv": (65,), "writev": (66,), "pread": (67,), "select": (72,), "poll": (73,), "waitpid": (95, 260),
        "lock": (98,), "nanosleep": (101,), "clock_nanosleep": (115,), "sigwait": (137,), "accept": (202, 242),
        "connect": (203,), "send": (206,), "recv": (207,), "sendmsg": (211,), "recvmsg": (212, 243),
    },
}  # fmt: skip
_CALLS = {number: name for name, numbers in _NUMBERS.get(platform.machine(), {}).items() for number in numbers}
_SLEEPS = {"nanosleep": "nanosleep", "clock_nanosleep": "clock_nanosleep", "select without descriptors": "select"}
"""The call, by the name that it has here."""
_RESTARTED = {"x86_64": 219, "aarch64": 128}.get(platform.machine())
"""The call that a wait with a timeout is after its process was stopped and went on; its arguments are the same."""
_FUTEX_WAITS = (0x80, 0x89)  # FUTEX_WAIT and FUTEX_WAIT_BITSET, private
_FUTEX_CLOCK_REALTIME = 0x100
_FIRST_PAGE = 4096
"""No address is below, and no clock's number above."""
_WITHOUT_DESCRIPTOR = {
    "nanosleep": "nanosleep(), a sleep of code in C in real time",
    "clock_nanosleep": "clock_nanosleep(), a sleep of code in C in real time",
    "select without descriptors": "select() without descriptors, a sleep of code in C in real time",
    "lock": "a lock of code in C",
    "open": "open()",
    "select": "select()",
    "pause": "pause()",
    "sigwait": "a wait for signals of code in C",
    "fcntl": "fcntl()",
}


@dataclass(frozen=True)
class KernelWait:
    """What one thread waits for."""

    text: str
    """In words: ``recv() on a connection to 127.0.0.1:6379``."""
    peers: tuple[str, ...] = ()
    """The other ends of the connections on which it waits to hear something, as ``idle_ok`` takes them."""
    sleeps: str = ""
    """The system call in which code in C sleeps, if it does."""
    polls: bool = False
    """It waits in ``epoll``, which no wait of Python's is: those are in the door, and poll."""


def waits_of(pid: int) -> dict[int, KernelWait]:
    """By the kernel's id of the thread, what the threads of *pid* wait for; none of one that runs or cannot be seen."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return {}
    found = {}
    for task in tasks:
        wait = _wait_of(pid, task)
        if wait is not None:
            found[int(task)] = wait
    return found


def _wait_of(pid: int, task: str) -> KernelWait | None:
    fields = _read(f"/proc/{pid}/task/{task}/syscall").split()
    if len(fields) < 3 or fields[0] == b"-1":  # "running"
        return None
    number, first, second = int(fields[0]), int(fields[1], 16), int(fields[2], 16)
    name = _restarted(first, second) if number == _RESTARTED else _CALLS.get(number)
    if name is None:
        return KernelWait(f"the system call {number}")
    if name == "select" and first == 0:  # as time.sleep() of Python 3.10 does it
        name = "select without descriptors"
    if name in _WITHOUT_DESCRIPTOR:
        return KernelWait(_WITHOUT_DESCRIPTOR[name], sleeps=_SLEEPS.get(name, ""))
    if name == "waitpid":
        return KernelWait(_child(number, first, second))
    if name == "poll":
        return _on(pid, "poll()", _polled(pid, first, second))
    if name == "epoll":
        return replace(_on(pid, "epoll()", _registered(pid, first)), polls=True)
    return _on(pid, f"{name}()", [first & 0xFFFFFFFF])


def _restarted(first: int, second: int) -> str:
    """Which call goes on as ``restart_syscall``: ``poll``, a futex, ``nanosleep`` or ``clock_nanosleep``."""
    if first < _FIRST_PAGE:
        return "clock_nanosleep"
    if second & ~_FUTEX_CLOCK_REALTIME in _FUTEX_WAITS:
        return "lock"
    return "poll" if 0 < second < _FIRST_PAGE else "nanosleep"


def _child(number: int, first: int, second: int) -> str:
    by_kind = number in (95, 247)  # waitid: a kind of identity, and the identity
    pid = (second if first == 1 else 0) if by_kind else first
    pid = pid & 0xFFFFFFFF
    return f"a wait for the child process {pid}" if 0 < pid < 2**31 else "a wait for a child process"


def _on(pid: int, call: str, descriptors: list[int]) -> KernelWait:
    if not descriptors:
        return KernelWait(call)
    told = [_descriptor(pid, fd) for fd in descriptors]
    shown = ", ".join(text for text, _ in told[:FEW])
    more = f" and {len(told) - FEW} more" if len(told) > FEW else ""
    hears = call in ("recv()", "recvmsg()", "poll()", "epoll()")  # what code in C reads (TLS), it reads with read()
    peers = tuple(peer for _, peer in told if peer is not None)
    return KernelWait(f"{call} on {shown}{more}", peers if hears else ())


def _polled(pid: int, address: int, count: int) -> list[int]:
    """The descriptors of a ``poll``, out of the memory of the process."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            file.seek(address)
            data = file.read(min(count, 64) * _POLLFD.size)
    except (OSError, ValueError, OverflowError):
        return []
    return [fd for fd, _, _ in _POLLFD.iter_unpack(data[: len(data) // _POLLFD.size * _POLLFD.size])]


def _registered(pid: int, epoll: int) -> list[int]:
    info = _read(f"/proc/{pid}/fdinfo/{epoll}")
    return [int(fd) for fd in re.findall(rb"^tfd:\s*(\d+)", info, re.MULTILINE)]


def _descriptor(pid: int, fd: int) -> tuple[str, str | None]:
    """What a descriptor is to a user, and of a connection the other end's address."""
    try:
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return f"the descriptor {fd}", None
    kind, _, rest = target.partition(":")
    if kind == "socket":
        return _socket(pid, rest.strip("[]"))
    if kind == "pipe":
        return "a pipe", None
    if target == "anon_inode:[pidfd]":
        found = re.search(rb"^Pid:\s*(\d+)", _read(f"/proc/{pid}/fdinfo/{fd}"), re.MULTILINE)
        return ("a process" if found is None else f"the process {int(found[1])}"), None
    if kind == "anon_inode":
        name = rest.strip("[]")
        return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}", None
    return target, None


def _socket(pid: int, inode: str) -> tuple[str, str | None]:
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in _read(f"/proc/{pid}/net/{protocol}").decode("ascii", "replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[9] == inode:
                return _internet(protocol, *fields[1:4])
    for line in _read(f"/proc/{pid}/net/unix").decode("utf-8", "replace").splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) > 6 and fields[6] == inode:
            return "a Unix socket" + (f" at {fields[7]}" if len(fields) > 7 else ""), None
    return "a socket", None


def _internet(protocol: str, local: str, remote: str, state: str) -> tuple[str, str | None]:
    here, there = _address(local), _address(remote)
    if protocol.startswith("udp"):
        return f"a UDP socket at {here}", None
    if state == "0A":
        return f"a socket that listens at {here}", None
    return f"a connection to {there}", there


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


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
