"""Whether processes all wait for each other: then only time can wake one of them, so they do not hold the clock.

These are the children of an instance that waits itself. If threads of the instance wait in C code, where no patch of
Python sees their waits, the instance is one of these processes, too.

``/proc`` says what was true a moment ago, so one reading of it proves nothing. Therefore all threads are read in two
passes: the first reads how often each has run; the second reads what each waits for, and how often it has run. A thread
that ran in between went to sleep again after the first pass, so its two counts differ. If all counts are equal, all
threads slept at the end of the first pass. The list of processes is also checked between the two passes. A list that
was made before may be out of date: this process may get no processor for so long that one of them starts another
process and waits for it.

From the moment at which all slept, only something outside can wake one of them. Each waits for a pipe, a pair of
sockets or a terminal that came from the instance, for another thread of its process, for the lock of a file that one
of them holds, or for the end of its own child.
The kernel can wake a process that has a POSIX timer (``timeout``), so such a process is not at rest.

Two things cannot be seen from outside: an alarm (``alarm``, ``setitimer``), and a signal that an unrelated process
sends. The clock passes a process that waits for one of these, and its real alarm comes late.

What was written to a terminal may not have come to its reader yet. So it is delivered between the two passes.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from ..linux import terminals
from ..linux.kernel_waits import Call, call_of, polled_by
from ..linux.linux import copy_of_socket
from ..linux.procfs import has_timer, holders_of_lock, registered_with, runs_of_sleepers, target_of

_OWN = ("pipe:[", "anon_inode:[eventfd]", "anon_inode:[signalfd]", "/dev/pts/")
_FOR_ITS_OWN = ("waitpid", "lock")
_FUTEX_TIMEOUT, _POLL_TIMEOUT, _EPOLL_TIMEOUT = 3, 2, 3
"""The indices of the timeouts among the arguments of these calls."""
_BY_POINTER = {"x86_64": (271, 441), "aarch64": (73, 441)}.get(platform.machine(), ())
"""The numbers of ``ppoll`` and ``epoll_pwait2``, whose timeouts are pointers: 0 means no timeout."""


class Rest(NamedTuple):
    """The state of processes whose threads all wait for each other."""

    runs: tuple[bytes, ...]
    """The kernel's counts of how often each thread has run, except threads that wait in the instance's scheduler."""
    main: bool = False
    """Whether the main thread of the instance waits outside its scheduler."""
    inside: bool = False
    """Whether a thread of the instance waits in its scheduler."""


def at_rest(
    pids: Iterable[int],
    are_all: Callable[[], bool],
    instance: int,
    wakeup_fd: int | None = None,
    asleep: Iterable[int] = (),
) -> Rest | None:
    """The `Rest` of *pids* and *instance* if all their threads wait for each other, else None.

    Without *wakeup_fd* it is known that the threads of *instance* wait for *pids* or in its scheduler.
    *are_all* checks whether these are still all processes there are. A thread of the *instance* is in its scheduler if
    it polls the descriptor *wakeup_fd*. The processes *asleep* need only sleep, whatever they wait for.
    """
    sleepers = frozenset(asleep)
    processes = [*pids, *sleepers] if wakeup_fd is None else [*pids, *sleepers, instance]
    before = runs_of_sleepers(processes)
    if before is None:
        return None
    found = []
    main = inside = False
    at_terminals = False
    for (pid, task), runs in before.items():
        if pid in sleepers:
            continue
        call = call_of(pid, task)
        if call is None:
            return None
        if pid == instance and _is_in_scheduler(pid, call, wakeup_fd):
            inside = True
            continue
        awaited = _awaited(pid, call, processes)
        if awaited is None:
            return None
        for fd in awaited:
            target = target_of(pid, fd)
            if not (target.startswith(_OWN) or (target.startswith("socket:[") and _is_pair(pid, fd))):
                return None
            at_terminals = at_terminals or terminals.is_end(target)
        main = main or (pid == instance and int(task) == pid)
        found.append(runs)
    if at_terminals and _delivery_wakes(instance, processes):
        return None
    if any(map(has_timer, {pid for pid, _ in before})) or not are_all() or runs_of_sleepers(processes) != before:
        return None
    return Rest(tuple(found), main, inside)


def _is_in_scheduler(pid: int, call: Call, wakeup_fd: int | None) -> bool:
    name, _, arguments = call
    return name == "poll" and wakeup_fd in polled_by(pid, arguments[0], arguments[1])


def _delivery_wakes(instance: int, processes: Iterable[int]) -> bool:
    """Deliver what was written to terminals of these; whether a thread of *instance* is awake then."""
    before = runs_of_sleepers([instance])
    terminals.deliver(end for pid in {instance, *processes} for end in terminals.ends_of(pid))
    return before is None or runs_of_sleepers([instance]) != before


def _awaited(pid: int, call: Call, processes: Collection[int]) -> list[int] | None:
    """The descriptors that a thread waits for without a timeout: none if it waits for *processes* themselves.

    None: it waits for something else, or has a timeout.
    """
    name, number, arguments = call
    if name in _FOR_ITS_OWN:
        return [] if name == "waitpid" or arguments[_FUTEX_TIMEOUT] == 0 else None
    if name in ("flock", "fcntl"):
        holders = holders_of_lock(pid)
        return [] if holders and holders.issubset(processes) else None
    if name in ("read", "readv", "recv", "recvmsg"):
        return [arguments[0] & 0xFFFFFFFF]
    if name == "poll":
        descriptors = polled_by(pid, arguments[0], arguments[1])
        timeout = arguments[_POLL_TIMEOUT]
    elif name == "epoll":
        descriptors = registered_with(pid, arguments[0])
        timeout = arguments[_EPOLL_TIMEOUT]
    else:
        return None
    for_ever = timeout == 0 if number in _BY_POINTER else bool(timeout & 0x80000000)
    return descriptors or None if for_ever else None


def _is_pair(pid: int, fd: int) -> bool:
    """Whether the socket *fd* of *pid* is one of a pair: unlike a connection to a server, neither end has a name."""
    made = copy_of_socket(pid, fd)
    if made is None:
        return False
    with made:
        try:
            return made.family == socket.AF_UNIX and not made.getsockname() and not made.getpeername()
        except OSError:
            return False
