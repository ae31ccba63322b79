"""Forks of an image's program, as the workers of a server are: each is in lockstep too.

Such a member of the instance has a channel, an output pipe, a control page and a door of its own. It begins in its
turn: the harness gives it when the process that forked it waits.
"""

from __future__ import annotations

import _socket
import faulthandler
import os
import select
from collections.abc import Callable
from typing import Any

from ..protocol import linux, messages, procfs, shared_page
from ..protocol.shared_page import ControlPage
from . import clock, thread_table
from .patches import children, registry, signals, socket_waits
from .patches import select as multiplexed
from .scheduler.door import door
from .scheduler.waiters import Readiness, real_poll

_real_waitid = os.waitid
_members: set[int] = set()
"""The processes that this one knows to be members: those it has forked, and what its parent knew."""


class _Ends:
    """What the two sides share, before there are two."""

    def __init__(self) -> None:
        self.channel, self._theirs = _socket.socketpair()  # their calls are no waits of the program
        self.output, self.pipe = os.pipe2(os.O_CLOEXEC)
        self.attention = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.control_file = shared_page.shared_memory("scf-async-control", shared_page.CONTROL_BYTES)

    def to_harness(self) -> list[int]:
        return [self._theirs.fileno(), self.output, self.control_file, self.attention]

    def leave(self, member: bool) -> None:
        """Close what belongs to the other side: the *member* has its own, the process that forked it none."""
        self._theirs.close()
        os.close(self.output)
        if not member:
            self.channel.close()
            for fd in (self.pipe, self.control_file, self.attention):
                os.close(fd)


def _fork_members(real_fork: Any) -> Any:
    def fork() -> int:
        if not door.active:
            return int(real_fork())
        clock_page, attached = door.clock_page, clock.how_attached()
        ours = os.fstat(door.marks).st_ino
        ends = _Ends()
        door.forks()
        try:
            pid = int(real_fork())
        except BaseException:
            door.forks()
            ends.leave(member=False)
            raise
        if pid == 0:
            _members.add(os.getppid())
            _join(ends, clock_page, attached, ours)
            return 0
        _members.add(pid)
        door.forks()
        children.wake_waits()
        door.send_descriptors(messages.pack(messages.Forked(pid)), ends.to_harness())
        ends.leave(member=False)
        return pid

    return fork


def _join(ends: _Ends, clock_page: Any, attached: clock.Attached, parents_pipe: int) -> None:
    """In the child, which has just left its parent's lockstep: take part in its own right, from its first turn on."""
    ends.leave(member=True)
    children.waits.clear()  # they are its parent's
    for fd in (1, 2):
        if os.fstat(fd).st_ino == parents_pipe:
            os.dup2(ends.pipe, fd)
    control = ControlPage(ends.control_file)
    os.lseek(ends.control_file, shared_page.STACKS_OFFSET, os.SEEK_SET)
    faulthandler.register(linux.STACKS_SIGNAL, file=ends.control_file, all_threads=True)
    thread_table.keep_in(control.threads)
    door.attach(ends.channel, ends.attention, control, (ends.pipe, door.mark), signals.watch())
    door.leave_parent()
    _await_turn(ends.channel)
    clock.attach(clock_page, attached)
    door.join(clock_page)


def _await_turn(channel: _socket.socket) -> None:
    """Until the first turn; what comes before it, gates above all, and with it is kept for the door."""
    poller = real_poll()
    poller.register(channel.fileno(), select.POLLIN)
    turn = (messages.RESUME, b"")
    while turn not in door.heard:
        poller.poll()
        data = channel.recv(65_536)
        if not data:
            os._exit(0)  # the harness is gone
        door.heard += door.frames.feed(data)
    door.heard.remove(turn)
    door.seen_messages = 1


# -- the ends of children --------------------------------------------------------------------------------------------

_Which = tuple[int, int]
"""Children, as ``os.waitid`` takes its first two arguments."""


def _which(pid: int) -> _Which:
    """What ``os.waitpid`` means by *pid*."""
    if pid > 0:
        return os.P_PID, pid
    if pid == -1:
        return os.P_ALL, 0
    return os.P_PGID, -pid or os.getpgrp()


def _is_of(pid: int, which: _Which) -> bool:
    kind, number = which
    try:
        return kind == os.P_ALL or (kind == os.P_PGID and os.getpgid(pid) == (number or os.getpgrp()))
    except OSError:
        return False  # another thread has waited for it


def _has_ended(which: _Which) -> bool:
    try:
        return _real_waitid(*which, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except OSError:
        return True  # who takes it is told


def _pidfds(which: _Which) -> list[int]:
    kind, number = which
    if kind == os.P_PIDFD:
        return [os.dup(number)]
    found = []
    for pid in [number] if kind == os.P_PID else procfs.children_of(os.getpid()):
        if kind == os.P_PID or _is_of(pid, which):
            try:
                found.append(os.pidfd_open(pid))
            except ProcessLookupError:
                continue  # another thread has waited for it
    return found


def _await_end(name: str, which: _Which, take: Callable[[], Any]) -> Any:
    """What *take* gives once a child of these has ended: the members among them wait on simulated time too.

    *take* does not wait, and gives None for nothing; where there is no such child it raises.
    """
    pidfds: list[int] = []

    def prepare() -> multiplexed.Prepared:
        close()
        pidfds.extend(_pidfds(which))
        return Readiness(dict.fromkeys(pidfds, select.POLLIN), lambda: _has_ended(which)), []

    def close() -> None:
        while pidfds:
            os.close(pidfds.pop())

    found = take()
    while found is None:
        try:
            found = multiplexed.wait(take, None, name, prepare, children.waits)
        finally:
            close()
    return found


def _wait(name: str, real: Any) -> Any:
    """``os.wait``, ``os.wait3``, ``os.wait4`` and ``os.waitpid``, by way of a *real* one that takes a process id."""

    def wait(pid: int, options: int) -> Any:
        def take() -> Any:
            found = real(pid, options | os.WNOHANG)
            return found if found[0] else None

        found = _await_end(name, _which(pid), take) if door.active and options == 0 else real(pid, options)
        _members.discard(found[0])  # the number may become another process's
        return found

    return wait


def _waitid(real: Any) -> Any:
    def waitid(idtype: int, number: int, options: int, /) -> Any:
        blocks = door.active and options & ~os.WNOWAIT == os.WEXITED
        if blocks and idtype in (os.P_ALL, os.P_PID, os.P_PGID, os.P_PIDFD):
            found = _await_end("waitid", (idtype, number), lambda: real(idtype, number, options | os.WNOHANG))
        else:
            found = real(idtype, number, options)
        if found is not None and not options & os.WNOWAIT:
            _members.discard(found.si_pid)
        return found

    return waitid


def _install_waits() -> None:
    wait, waitpid = _wait("wait", os.waitpid), _wait("waitpid", os.waitpid)
    wait3, wait4 = _wait("wait3", os.wait4), _wait("wait4", os.wait4)
    why = "a member waits on simulated time, and so does who waits for its end"
    registry.replace(os, "wait", lambda: wait(-1, 0), why)
    registry.replace(os, "waitpid", waitpid, why)
    registry.replace(os, "wait3", lambda options: wait3(-1, options), why)
    registry.replace(os, "wait4", wait4, why)
    registry.replace(os, "waitid", _waitid(os.waitid), why)


# -- what goes between them ------------------------------------------------------------------------------------------


def _kill(real_kill: Any) -> Any:
    def kill(pid: int, signal: int, /) -> None:
        if not door.active or pid not in _members or signal == 0:
            real_kill(pid, signal)
            return
        real_kill(pid, 0)  # in whose words it is refused
        door.send(messages.pack(messages.Killed(pid, int(signal))))

    return kill


def _semaphore(real: Any) -> Any:
    """The class *real* of the semaphores below the locks of ``multiprocessing``, whose waits are the door's."""

    class Semaphore(real):  # type: ignore[misc]
        def acquire(self, /, block: bool = True, timeout: float | None = None) -> bool:
            def take() -> bool:
                return bool(real.acquire(self, False))

            def prepare() -> multiplexed.Prepared:
                return Readiness({}, lambda: not self._is_zero()), []  # who releases it may be another member

            if take():
                return True
            if not block or (timeout is not None and timeout <= 0):
                return False
            if not door.active:
                return bool(real.acquire(self, True, timeout))
            return bool(multiplexed.wait(take, timeout, "acquire", prepare, []))

        def __enter__(self, /) -> bool:
            return self.acquire()

    return Semaphore


def install(real_fork: Any) -> None:
    """Let forks of this process be members; *real_fork* is the function from before it was replaced."""
    registry.replace(os, "fork", _fork_members(real_fork), "the child is a member of this instance")
    _install_waits()
    socket_waits.reads_from_members = True
    # Here and not above: the zygote forgets what this module imports, and the program would get another copy.
    import _multiprocessing  # type: ignore[import-not-found]  # noqa: PLC0415

    semaphore = _semaphore(_multiprocessing.SemLock)
    registry.replace(_multiprocessing, "SemLock", semaphore, "members wait for each other on simulated time")
    registry.replace(os, "kill", _kill(os.kill), "the harness sends the signal to a member, at its instant")
