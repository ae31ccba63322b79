"""The reaper: the parent of the processes of a session, which removes all of them however the test process ends.

There is one above the zygote, and one above each build of a program. It is a subreaper: orphans below it become its
children, whatever their session or environment is. While its own child lives the reaper gets no orphans; after the
child's end it gets all that are left, and kills them.

The reaper also watches the test process, because its child cannot always do so: a zygote that imports a module, or a
compiler, checks nothing else meanwhile. If the reaper itself is killed, its child dies with it. The test process then
finds the processes that are left of instances by our mark in their environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable, Container
from types import ModuleType
from typing import NoReturn, TypeAlias

from ..linux import linux, procfs

Binds: TypeAlias = "tuple[ModuleType, socket.socket, socket.socket]"
"""A filter of binds, and the ends that the reaper and its child have of the connection on which it serves that."""
TRACKERS_LIMIT_MS = 2_000
"""The real time within which resource trackers have to end by themselves."""


def kill_children(spared: Container[int] = (), *, await_trackers: bool = True) -> None:
    """Kill and reap the children of this process except *spared*, including orphans that become its children meanwhile.

    This process may not be allowed to kill a child of another user. Such a child is left alone, as no other process
    of ours could kill it either.

    With *await_trackers* the resource trackers of ``multiprocessing`` are not killed at once: they end by themselves
    once all others are gone. Before that they remove what the others have left in ``/dev/shm``. That matters where
    ``/dev/shm`` is the machine's own.
    """
    trackers: set[int] = set()
    refused: set[int] = set()
    while strays := [
        pid
        for pid in procfs.children_of(os.getpid())
        if pid not in spared and pid not in trackers and pid not in refused
    ]:
        if await_trackers:
            trackers.update(pid for pid in strays if procfs.is_resource_tracker(procfs.command_of(pid)))
        for pid in strays:
            if pid not in trackers and not _send(signal.SIGKILL, pid):
                refused.add(pid)
        for pid in strays:
            if pid not in trackers:
                os.waitpid(pid, os.WNOHANG if pid in refused else 0)
    for pid in trackers:
        _enlarge_stderr(pid)
        if not _send(signal.SIGCONT, pid):  # it was stopped together with its instance
            continue
        pidfd = os.pidfd_open(pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(TRACKERS_LIMIT_MS):
            _send(signal.SIGKILL, pid)
        os.waitpid(pid, 0)
        os.close(pidfd)


def _enlarge_stderr(tracker: int) -> None:
    """Enlarge the pipe of *tracker*'s stderr: a tracker warns there before it removes anything, and would block.

    While an instance stands still, the test's process keeps that pipe full; it empties the pipe when the next call
    begins. The pipe cannot be emptied here, because it contains the instance's last lines; so it is enlarged. If that
    fails, it stays full.
    """
    with contextlib.suppress(OSError):
        pipe = os.open(f"/proc/{tracker}/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2 * fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ))
        finally:
            os.close(pipe)


def _send(signum: int, pid: int) -> bool:
    """Send *signum* to a child that was not reaped, whose id no other process can have; whether that was permitted.

    An ordinary user may not send a signal to a child that has become another user's (``sudo``).
    """
    try:
        os.kill(pid, signum)
    except PermissionError:
        return False
    return True


def supervise(
    owner: int,
    scratch: str,
    in_memory: str = "",
    *,
    connection: int | None = None,
    at_end: Callable[[], object] | None = None,
    binds: Binds | None = None,
) -> None:
    """Fork, and return in the child. The parent becomes the reaper, and does not return.

    *owner* is a pidfd of the test process: when that ends, or when the reaper gets SIGTERM, the reaper kills the child.
    *scratch* is a directory. It is created here, when the reaper already exists, so that it is always removed in the
    end; with it *in_memory*, which others may make. *connection* is a descriptor that only the child keeps, so that its
    other side sees the child's end. *at_end* is called after the child has exited with 0, before *scratch* is removed.
    If it raises an ``OSError``, the error is written to stderr and the exit code is 1. The child may install the filter
    of *binds*; from then on the reaper answers the calls that are filtered. The exit code of the reaper is that of its
    child, or 128 plus the signal.
    """
    linux.adopt_orphans()
    reaper = os.getpid()
    # Until the handler is installed, SIGTERM would end the reaper and leave the directory behind.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.mkdir(scratch, 0o700)
    child = os.fork()
    if child == 0:
        linux.die_with_parent()
        if os.getppid() != reaper:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(owner)
        if binds is not None:
            binds[1].close()
        return

    def finish(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is None:
            code = 128 + signal.SIGKILL
        else:
            code = ended.si_status + (0 if ended.si_code == os.CLD_EXITED else 128)
        kill_children()
        try:
            if code == 0 and at_end is not None:
                at_end()
        except OSError as error:
            os.write(2, f"{error}\n".encode("utf-8", "surrogateescape"))
            code = 1
        finally:
            linux.remove_tree(scratch)
            if in_memory:
                linux.remove_tree(in_memory)
            os._exit(code)

    signal.signal(signal.SIGTERM, finish)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if connection is not None:
        os.close(connection)
    _watch(owner, child, binds)
    finish()


def _watch(owner: int, child: int, binds: Binds | None) -> None:
    """Return once the *owner* or the *child* has ended; meanwhile answer the calls that are filtered."""
    ended = os.pidfd_open(child)
    poller = select.poll()
    for fd in (owner, ended):
        poller.register(fd, select.POLLIN)
    connection = None
    if binds is not None:
        bind_filter, connection, of_child = binds
        of_child.close()
        bind_filter.offer(child, connection)
        poller.register(connection, select.POLLIN)
    while True:
        for fd, events in poller.poll():
            if fd in (owner, ended):
                return
            if connection is not None and fd == connection.fileno():
                poller.unregister(connection)
                notifications = bind_filter.take(connection)
                if notifications >= 0:
                    poller.register(notifications, select.POLLIN)
            elif events & select.POLLIN:
                bind_filter.answer(fd)
            else:  # no process is left whose calls are filtered
                poller.unregister(fd)
