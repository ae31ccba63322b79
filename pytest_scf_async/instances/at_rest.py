"""Whether processes wait for each other: only time can have one of them go on, so they do not hold the clock.

They are the children of an instance, which waits itself, or the instance and its children, where threads of it wait in
C, which no patch of Python sees.

That the clock may pass them has to be proved, as what ``/proc`` says was true a moment ago. All threads are looked at
twice: first how often each has run, then what it waits for and again how often it has run. One that ran in between was
put to sleep after the first look, so the two numbers differ; so there was a moment at which all slept. That nobody else
is there has to be found between the two looks, too: this process may be without a processor before them for so long
that one of them starts another, and waits for it. From that moment on only somebody else can wake one of them: each
waits for a pipe, a pair of sockets or a terminal that came from the instance, for another thread of its process, or for
the end of a child of its own. That is not so where the kernel wakes it: a process with a timer of POSIX (``timeout``)
is not at rest. An alarm (``alarm``, ``setitimer``) is not to be seen from outside, nor is a signal that a stranger
sends: the clock passes such a process, and its real alarm comes late.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..protocol.kernel_waits import Call, call_of, polled_by
from ..protocol.linux import copy_of_socket
from ..protocol.procfs import has_timer, registered_with, runs_of_sleepers, target_of

_OWN = ("pipe:[", "anon_inode:[eventfd]", "anon_inode:[signalfd]", "/dev/pts/")
_FOR_ITS_OWN = ("waitpid", "lock")
_FUTEX_TIMEOUT, _POLL_TIMEOUT, _EPOLL_TIMEOUT = 3, 2, 3
"""Where these calls have their timeouts."""
_BY_POINTER = {"x86_64": (271, 441), "aarch64": (73, 441)}.get(platform.machine(), ())
"""The numbers of ``ppoll`` and ``epoll_pwait2``, whose timeouts are pointers: 0 is none."""


class Rest(NamedTuple):
    """What was found of processes all of whose threads wait for each other."""

    runs: tuple[bytes, ...]
    """How often each thread has run, by the kernel's word; not of those that wait in the scheduler of the instance."""
    main: bool = False
    """The main thread of the instance is not in its scheduler."""
    inside: bool = False
    """Another thread of the instance is."""


def at_rest(
    pids: Iterable[int],
    are_all: Callable[[], bool],
    instance: int | None = None,
    wakeup_fd: int = -1,
    asleep: Iterable[int] = (),
) -> Rest | None:
    """What is found of *pids*, and of *instance*, where all of their threads wait for each other; else None.

    *are_all* looks whether they are all that there are, by now. A thread of the *instance* is in its scheduler where it
    polls the descriptor *wakeup_fd*. It is enough that those are *asleep* of which that is said.
    """
    sleepers = frozenset(asleep)
    processes = [*pids, *sleepers] if instance is None else [*pids, *sleepers, instance]
    before = runs_of_sleepers(processes)
    if before is None:
        return None
    found = []
    main = inside = False
    for (pid, task), runs in before.items():
        if pid in sleepers:
            continue
        call = call_of(pid, task)
        if call is None:
            return None
        if pid == instance and _is_in_scheduler(pid, call, wakeup_fd):
            inside = True
            continue
        if not _waits_for_instance(pid, call):
            return None
        main = main or (pid == instance and int(task) == pid)
        found.append(runs)
    if any(map(has_timer, {pid for pid, _ in before})) or not are_all() or runs_of_sleepers(processes) != before:
        return None
    return Rest(tuple(found), main, inside)


def _is_in_scheduler(pid: int, call: Call, wakeup_fd: int) -> bool:
    name, _, arguments = call
    return name == "poll" and wakeup_fd in polled_by(pid, arguments[0], arguments[1])


def _waits_for_instance(pid: int, call: Call) -> bool:
    name, number, arguments = call
    if name in _FOR_ITS_OWN:
        return name == "waitpid" or arguments[_FUTEX_TIMEOUT] == 0
    if name in ("read", "readv", "recv", "recvmsg"):
        return _is_of_instance(pid, arguments[0] & 0xFFFFFFFF)
    if name == "poll":
        descriptors = polled_by(pid, arguments[0], arguments[1])
        timeout = arguments[_POLL_TIMEOUT]
    elif name == "epoll":
        descriptors = registered_with(pid, arguments[0])
        timeout = arguments[_EPOLL_TIMEOUT]
    else:
        return False
    for_ever = timeout == 0 if number in _BY_POINTER else bool(timeout & 0x80000000)
    return for_ever and bool(descriptors) and all(_is_of_instance(pid, fd) for fd in descriptors)


def _is_of_instance(pid: int, fd: int) -> bool:
    """Whether what *fd* of *pid* is made of has no end outside the instance and its children."""
    target = target_of(pid, fd)
    return target.startswith(_OWN) or (target.startswith("socket:[") and _is_pair(pid, fd))


def _is_pair(pid: int, fd: int) -> bool:
    """Whether a socket is one of a pair: a connection to a server has a name at the other end."""
    made = copy_of_socket(pid, fd)
    if made is None:
        return False
    with made:
        try:
            return made.family == socket.AF_UNIX and not made.getsockname() and not made.getpeername()
        except OSError:
            return False
