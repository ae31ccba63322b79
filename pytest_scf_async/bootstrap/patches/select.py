"""``select``, ``poll``, ``epoll``, and with them ``selectors`` and ``asyncio``, on simulated time.

The state stays in the C object; only the waiting is ours. A wait whose descriptors only this process, or a child of it,
can make ready is one on simulated time: a child holds the clock by itself. Where anything else is among them, somebody
else may be at work in real time, and the clock stands for as many real seconds as the wait has.
"""

from __future__ import annotations

import _socket
import functools
import math
import os
import select
import selectors
import socket
import struct
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .. import clock
from .. import thread_table as told
from ..scheduler.door import door
from ..scheduler.waiters import Wait, Watch, describe_caller, real_poll
from .builtin import stand_in

_real_select = select.select
_real_epoll = select.epoll
_real_waitpid = os.waitpid
_own_pid = os.getpid

_EXACT = "asyncio.base_events"
"""The module that takes a deadline as reached when it is: all others want it to have passed."""
_EXACT_SLACK_US = 0.25
_CHILD_WATCHER = "asyncio.unix_events"
_FEW = 3
"""As many descriptors of one wait are named."""
_OWN_KINDS = ("anon_inode:[eventfd]", "anon_inode:[signalfd]")
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_CREDENTIALS = struct.Struct("3i")
_POLL_READ = select.POLLIN | select.POLLRDHUP

idle_peers: frozenset[str] = frozenset()
"""The other ends of connections on which nothing need come (``deploy(idle_ok=)``)."""
idle_hosts: frozenset[str] = frozenset()
"""Addresses of such ends, whatever their ports: the platform's, of an image's program."""


# -- whose descriptors -----------------------------------------------------------------------------------------------


def _foreign(fd: int) -> str | None:
    """What *fd* is to a user, where somebody else can make it ready; None where only this process and its children can.

    A socket that listens is taken for the process's own, as the clock would never move in a server.
    """
    try:
        target = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None  # it is closed, and nothing comes
    if target.startswith("socket:"):
        return _foreign_socket(fd)
    if target.startswith("pipe:[") or target in _OWN_KINDS:
        return None
    if target.startswith("pidfd:") or target == "anon_inode:[pidfd]":
        return _foreign_process(fd)
    if target == "anon_inode:[eventpoll]":
        return next((text for each in _registered(fd) if (text := _foreign(each)) is not None), None)
    kind = target.removeprefix("anon_inode:").strip("[]")
    return kind if kind == target else f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _registered(epoll: int) -> list[int]:
    """What is registered with *epoll* by the kernel's word: what was closed is not."""
    with open(f"/proc/self/fdinfo/{epoll}", encoding="ascii") as file:
        return [int(line.split()[1]) for line in file if line.startswith("tfd:")]


def _foreign_process(pidfd: int) -> str | None:
    """None for a child of this process, or what has ended: as long as the child lives it holds the clock itself."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
            pid = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
        with open(f"/proc/{pid}/stat", "rb") as stat:
            parent = int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, StopIteration):
        return None
    return None if parent == _own_pid() else f"the process {pid}"


def borrow(fd: int) -> _socket.socket:
    """A socket that is made of another's descriptor, for its methods; to be detached."""
    blocks = os.get_blocking(fd)
    made = _socket.socket(fileno=fd)
    if blocks:
        os.set_blocking(fd, True)  # a default timeout has changed that
    return made


def _foreign_socket(fd: int) -> str | None:
    try:
        borrowed = borrow(fd)
    except OSError:
        return None  # closed meanwhile
    try:
        if borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        here = borrowed.getsockname()
        try:
            there = borrowed.getpeername()
        except OSError:
            there = None
        if borrowed.family == socket.AF_UNIX:
            pid = _CREDENTIALS.unpack(borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
            own = there is not None and (pid == _own_pid() or not (here or there))
            return None if own else f"a Unix socket{f' at {there or here!r}' if there or here else ''}"
        if borrowed.family not in _INTERNET:
            return "a socket"
        if there is None:
            kind = "a UDP socket" if borrowed.type == socket.SOCK_DGRAM else "a socket"
            return f"{kind} at {shown(here)}"
        peer = shown(there)
        return None if is_idle(there) or _is_here(borrowed.type, there, here) else f"a connection to {peer}"
    except OSError:
        return None  # closed meanwhile
    finally:
        borrowed.detach()


def is_idle(address: Any) -> bool:
    """Whether nothing need come from *address*."""
    return address[0].removeprefix("::ffff:") in idle_hosts or shown(address) in idle_peers


def shown(address: Any) -> str:
    host, port = address[:2]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_here(kind: int, there: Any, here: Any) -> bool:
    """Whether the other end of a connection, at the address *there*, is a socket of this process, or will be one."""
    if there[0] != here[0] and not there[0].startswith(("127.", "::1", "::ffff:127.")):
        return False
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            other = borrow(int(name))
        except OSError:
            continue
        try:
            if other.family not in _INTERNET or other.type != kind:
                continue
            address = other.getsockname()
            if address[1] != there[1]:
                continue
            if other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                if address[0] in (there[0], "0.0.0.0", "::"):  # it has not accepted the connection yet
                    return True
            elif address[:2] == there[:2] and other.getpeername()[:2] == here[:2]:
                return True
        except OSError:
            continue
        finally:
            other.detach()
    return False


# -- waiting ---------------------------------------------------------------------------------------------------------


def _may_wait(seconds: Any) -> bool:
    """Whether a timeout makes a wait; what is none, or no timeout at all, the real function deals with."""
    return seconds is None or (isinstance(seconds, (int, float)) and 0 < seconds < clock.LONGEST)


def _is_exact(caller: FrameType | None) -> bool:
    return caller is not None and caller.f_globals.get("__name__") == _EXACT


def _exact_us(seconds: float) -> int:
    """Whole µs of *seconds*, rounded up; what asyncio's floats are off by, years after the boot, is not counted."""
    return math.ceil(seconds * 1_000_000 - _EXACT_SLACK_US) or 1


def wait(
    take: Callable[[], Any],
    seconds: float | None,
    name: str,
    prepare: Callable[[], tuple[Watch, list[str]]],
    waiters: list[Wait],
    *,
    exact: bool = False,
    real: bool = False,
) -> Any:
    """What *take* gives once it gives anything, or nothing at the end of *seconds*; it has just given nothing.

    *prepare* tells the descriptors, and what they are where somebody else can make them ready; *waiters* has the waits
    that a change of these wakes. A *real* wait has a real timeout, whoever has the descriptors.
    """
    due = until = None
    if seconds is not None:
        until = clock.real_monotonic() + seconds
        if not real:
            due = clock.now_us() + (_exact_us(seconds) if exact else clock.microseconds(seconds) + 1)
    mine: list[Wait] = []

    def enlist(wait: Wait) -> bool:
        mine[:] = [wait]
        waiters.append(wait)
        return True

    while True:
        watch, foreign = prepare()
        watch.holds = real or bool(foreign)
        watch.until = until
        watch.ends = real
        what = describe_caller(name)
        if foreign:
            more = f" and {len(foreign) - _FEW} more" if len(foreign) > _FEW else ""
            call, at, place = what.partition(" at ")
            what = f"{call} on {', '.join(foreign[:_FEW])}{more}{at}{place}"
        try:
            if watch.holds:
                told.holds(what)
            woken = door.park(due, what, enlist=enlist, watch=watch)
        finally:
            if real or foreign:
                told.holds("")
            for wait in mine:
                waiters.remove(wait)
            mine.clear()
        ready = take() if woken else None
        if ready or not woken or (real and until is not None and clock.real_monotonic() >= until):
            return ready


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else fd.fileno()


class _Multiplexer:
    """What ``epoll`` and ``poll`` have in common: a real object inside, whose waits are ours."""

    _exact: float | None = None
    """The timeout of a selector, in seconds, before it was rounded to whole milliseconds."""


class Epoll(_Multiplexer):
    """``select.epoll`` whose waits are on simulated time."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._take_over(_real_epoll(sizehint, flags))

    def _take_over(self, real: select.epoll) -> None:
        self._real = real
        self._peek = real_poll()
        self._peek.register(real.fileno(), select.POLLIN)
        self._unsettled: set[int] = set()
        """The registered descriptors that somebody else could make ready at the last look; no other one ever can."""
        self._waiters: list[Wait] = []

    @classmethod
    def fromfd(cls, fd: int, /) -> Epoll:
        made = cls.__new__(cls)
        made._take_over(_real_epoll.fromfd(fd))
        made._unsettled.update(_registered(fd))
        return made

    def _note(self, fd: int) -> None:
        if not door.active or _foreign(fd) is not None:
            self._unsettled.add(fd)
        else:
            self._unsettled.discard(fd)
        for wait in list(self._waiters):  # on another thread: what it waits for is not what it was
            door.wake(wait)

    @property
    def closed(self) -> bool:
        return self._real.closed

    def close(self) -> None:
        self._real.close()

    def fileno(self) -> int:
        return self._real.fileno()

    def register(self, fd: Any, eventmask: int = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT) -> None:
        self._real.register(fd, eventmask)
        self._note(_number(fd))

    def modify(self, fd: Any, eventmask: int) -> None:
        self._real.modify(fd, eventmask)
        self._note(_number(fd))

    def unregister(self, fd: Any) -> None:
        self._real.unregister(fd)
        self._unsettled.discard(_number(fd))

    def poll(self, timeout: Any = None, maxevents: int = -1) -> list[tuple[int, int]]:
        asked, self._exact = self._exact, None
        blocks = timeout is None or (isinstance(timeout, (int, float)) and timeout < 0)
        if not door.active or not (blocks or _may_wait(timeout)):
            return self._real.poll(timeout, maxevents)

        def take() -> list[tuple[int, int]]:
            return self._real.poll(0, maxevents)

        ready = take()
        if ready:
            return ready
        seconds = None if blocks else timeout if asked is None else asked
        exact = asked is not None and _is_exact(sys._getframe(3))
        return wait(take, seconds, "epoll", self._prepare, self._waiters, exact=exact) or []

    def _prepare(self) -> tuple[Watch, list[str]]:
        foreign: list[str] = []
        if self._unsettled:
            self._unsettled.intersection_update(_registered(self._real.fileno()))
            told = {fd: _foreign(fd) for fd in sorted(self._unsettled)}
            self._unsettled.intersection_update(fd for fd, text in told.items() if text is not None)
            foreign = [text for text in told.values() if text is not None]
        return Watch({self._real.fileno(): select.POLLIN}, self._is_ready), foreign

    def _is_ready(self) -> bool:
        return bool(self._peek.poll(0))

    def __enter__(self) -> Epoll:
        self._real.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._real.close()


class Poll(_Multiplexer):
    """What ``select.poll`` gives, with waits on simulated time."""

    real = False
    """Its timeouts count real seconds, whoever has the descriptors."""

    def __init__(self) -> None:
        self._real: select.poll = real_poll()
        self._events: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = select.POLLIN | select.POLLPRI | select.POLLOUT, /) -> None:
        self._real.register(fd, eventmask)
        self._events[_number(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        self._real.modify(fd, eventmask)
        self._events[_number(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        self._real.unregister(fd)
        del self._events[_number(fd)]

    def poll(self, timeout: Any = None, /) -> list[tuple[int, int]]:
        asked, self._exact = self._exact, None
        blocks = timeout is None or (isinstance(timeout, (int, float)) and timeout < 0)
        if not door.active or not (blocks or _may_wait(timeout)):
            return self._real.poll(timeout)

        def take() -> list[tuple[int, int]]:
            return self._real.poll(0)

        ready = take()
        if ready:
            return ready
        seconds = None if blocks else timeout / 1_000 if asked is None else asked
        exact = asked is not None and _is_exact(sys._getframe(3))
        return wait(take, seconds, "poll", self._prepare, [], exact=exact, real=self.real) or []

    def _prepare(self) -> tuple[Watch, list[str]]:
        peek = real_poll()
        for fd, events in self._events.items():
            peek.register(fd, events)
        foreign = [text for fd in self._events if (text := _foreign(fd)) is not None]
        return Watch(dict(self._events), lambda: bool(peek.poll(0))), foreign


def make_poll(*args: Any) -> Any:
    """Returns a polling object, whose waits are on simulated time."""
    return real_poll(*args) if args else Poll()  # the real one refuses arguments in its own words


class RealPoll(Poll):
    """For the waits of ``subprocess``, whose timeouts are real."""

    real = True


def fake_select(*args: Any) -> Any:
    """Wait, on simulated time, until one or more file descriptors are ready for some kind of I/O."""
    timeout = args[3] if len(args) == 4 else None
    if not door.active or len(args) not in (3, 4) or not _may_wait(timeout):
        return _real_select(*args)
    found = _real_select(args[0], args[1], args[2], 0)
    if any(found):
        return found
    lists = [list(each) for each in args[:3]]

    def take() -> Any:
        found = _real_select(lists[0], lists[1], lists[2], 0)
        return found if any(found) else None

    def is_ready() -> bool:
        try:
            return take() is not None
        except (OSError, ValueError):
            return True  # one of them was closed: the call itself is to say so

    def prepare() -> tuple[Watch, list[str]]:
        events: dict[int, int] = {}
        for each, flag in zip(lists, (_POLL_READ, select.POLLOUT, select.POLLPRI), strict=True):
            for fd in each:
                number = _number(fd)
                events[number] = events.get(number, 0) | flag
        foreign = [text for fd in events if (text := _foreign(fd)) is not None]
        return Watch(events, is_ready), foreign

    exact = _is_exact(sys._getframe(1).f_back)
    return wait(take, timeout, "select", prepare, [], exact=exact) or ([], [], [])


def fake_waitpid(pid: int, options: int, /) -> tuple[int, int]:
    """Wait for a child; the thread that asyncio has for that before 3.12 is in the door: the child holds the clock."""
    caller = sys._getframe(1).f_globals.get("__name__")
    if door.active and options == 0 and caller == _CHILD_WATCHER:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return _real_waitpid(pid, options)  # in whose words it is refused
        try:
            ended = Poll()
            ended.register(pidfd, select.POLLIN)
            ended.poll()
        finally:
            os.close(pidfd)
    return _real_waitpid(pid, options)


def _unrounded(real: Any) -> Any:
    """``select`` of a selector: what it asks of ``epoll`` or ``poll`` is what it was asked."""

    @functools.wraps(real)
    def select(self: Any, timeout: float | None = None) -> Any:
        inner = self._selector
        if isinstance(inner, _Multiplexer):
            inner._exact = timeout
        return real(self, timeout)

    return select


for _class, _name in ((Epoll, "epoll"), (Poll, "poll"), (RealPoll, "poll")):
    _class.__module__ = "select"
    _class.__name__ = _class.__qualname__ = _name


def install() -> None:
    """Put them into ``select``, and into ``selectors``, which has bound them already."""
    select.select = stand_in("select", "select", fake_select)
    select.poll = stand_in("select", "poll", make_poll)  # type: ignore[assignment, misc]
    select.epoll = Epoll  # type: ignore[assignment, misc]
    os.waitpid = stand_in("posix", "waitpid", fake_waitpid)
    selectors.SelectSelector._select = select.select  # type: ignore[attr-defined]
    for kind, made in ((selectors.PollSelector, select.poll), (selectors.EpollSelector, select.epoll)):
        kind._selector_cls = made  # type: ignore[union-attr]
        kind.select = _unrounded(kind.select)  # type: ignore[method-assign]


def install_in_subprocess() -> None:
    """Let ``communicate`` wait in real time, as its timeouts count real seconds."""
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    class Selector(selectors.PollSelector):
        _selector_cls = RealPoll

    subprocess._PopenSelector = Selector  # type: ignore[attr-defined]
