"""The reaper: a parent of what a session starts, which leaves nothing of it behind however it or the test process ends.

Whatever loses its last parent below it comes to it, in whatever session or environment it runs: while its child lives
that is nothing, after the child's end it is all that is left. The zygote has one, and so has each build of a program.
The reaper also watches the test process, as a zygote that imports a module, or a compiler, looks at nothing else
meanwhile. Should the reaper itself be killed, its child dies with it, and the test process looks for what is left of
the instances by our mark in the environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable, Container
from typing import NoReturn

from ..protocol import linux, procfs
from . import bind_filter

TRACKERS_LIMIT_MS = 2_000
"""Real time that resource trackers have to end by themselves."""
_TRACKER = b"from multiprocessing.resource_tracker import main"


def kill_children(spared: Container[int] = (), *, await_trackers: bool = True) -> None:
    """Kill the child processes of this one but *spared*, what comes to it by their ends too, and reap them.

    Those of another user may refuse that, and are left: nobody else of ours could end them.

    With *await_trackers* the resource trackers of ``multiprocessing`` end by themselves, as they do once all others are
    gone: they remove what those have left in ``/dev/shm``, where that is the machine's.
    """
    trackers: set[int] = set()
    refused: set[int] = set()
    while strays := [
        pid
        for pid in procfs.children_of(os.getpid())
        if pid not in spared and pid not in trackers and pid not in refused
    ]:
        if await_trackers:
            trackers.update(pid for pid in strays if _is_tracker(pid))
        for pid in strays:
            if pid not in trackers and not _send(signal.SIGKILL, pid):
                refused.add(pid)
        for pid in strays:
            if pid not in trackers:
                os.waitpid(pid, os.WNOHANG if pid in refused else 0)
    for pid in trackers:
        _make_room(pid)
        if not _send(signal.SIGCONT, pid):  # it was stopped with its instance
            continue
        pidfd = os.pidfd_open(pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(TRACKERS_LIMIT_MS):
            _send(signal.SIGKILL, pid)
        os.waitpid(pid, 0)
        os.close(pidfd)


def _make_room(tracker: int) -> None:
    """Have room in the pipe to which *tracker* writes of what it removes, before it removes that.

    The test's process has filled it where the instance stood still, and empties it when the next call begins. Nothing
    may be read here, as the instance's last lines are in it; so the pipe grows. One that cannot grow stays full.
    """
    with contextlib.suppress(OSError):
        pipe = os.open(f"/proc/{tracker}/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2 * fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ))
        finally:
            os.close(pipe)


def _send(signum: int, pid: int) -> bool:
    """Send *signum* to a child that was not reaped, whose id cannot be anyone else's; whether it takes it from us.

    One that has become another user's (``sudo``) does not, where this process is an ordinary user's.
    """
    try:
        os.kill(pid, signum)
    except PermissionError:
        return False
    return True


def _is_tracker(pid: int) -> bool:
    return _TRACKER in procfs.command_of(pid)


def supervise(
    owner: int,
    scratch: str,
    *,
    connection: int | None = None,
    at_end: Callable[[], object] | None = None,
    binds: tuple[socket.socket, socket.socket] | None = None,
) -> None:
    """Fork, and return in the child; its parent is the reaper, and does not return.

    *owner* is a pidfd of the test process: at its end, and when this process gets SIGTERM, the child is killed.
    *scratch* is a directory that is made here, so that it never is without somebody who removes it. *connection* is a
    descriptor that is the child's alone: the other side has to see its end. *at_end* is called when the child has ended
    with 0, before *scratch* is removed; an ``OSError`` of it is written to stderr, and the exit code is 1. *binds* are
    the reaper's and the child's end of a connection, with which the child may call `bind_filter.install`: the reaper
    deals with the calls that are filtered from then on. The reaper's exit code is that of its child, or 128 and the
    signal.
    """
    linux.adopt_orphans()
    reaper = os.getpid()
    # From here to the handler the signal would end the reaper, and leave the directory.
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
            binds[0].close()
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
            os._exit(code)

    signal.signal(signal.SIGTERM, finish)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if connection is not None:
        os.close(connection)
    _watch(owner, child, binds)
    finish()


def _watch(owner: int, child: int, binds: tuple[socket.socket, socket.socket] | None) -> None:
    """Until the *owner* or the *child* has ended; meanwhile deal with calls that are filtered."""
    ended = os.pidfd_open(child)
    poller = select.poll()
    for fd in (owner, ended):
        poller.register(fd, select.POLLIN)
    connection = None
    if binds is not None:
        connection, of_child = binds
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
            else:  # nobody is left whose calls are filtered
                poller.unregister(fd)
