"""``select``, ``poll``, ``epoll``, and with them ``selectors`` and ``asyncio``, on simulated time.

C objects keep the state; only the waits are replaced. A wait is on simulated time if only this process, or a child of
it, can make its descriptors ready; a child holds the clock by itself. If anything else is among them, another process
may be working in real time, and the clock is held for as many real seconds as the wait has. Of connections, only one on
which an answer is owed holds it (``connections``).
"""

from __future__ import annotations

import _thread
import functools
import math
import os
import select
import selectors
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from ...linux import procfs
from ...protocol import time_units
from ...protocol.messages import Awaits
from ...side.originals import real_epoll, real_poll
from .. import c_connections, clock, thread_table
from ..clock_polls import polls
from ..scheduler.callers import describe_call, describe_caller, in_loop, tasks_acquire
from ..scheduler.scheduler import Readiness, Waiter, scheduler
from . import connections, registry, waits_in_c
from .builtin import documentation
from .connections import Claim

_get_ident = _thread.get_ident
_real_select = select.select
_real_waitpid: Callable[[int, int], tuple[int, int]] = waits_in_c.noted(os.waitpid, "os.waitpid", 1)
_own_pid = os.getpid

_EXACT = "asyncio.base_events"
"""The module for which a deadline is reached at its instant; for all others it has to have passed."""
_EXACT_SLACK_US = 0.25
_CHILD_WATCHER = "asyncio.unix_events"
_FEW = 3
"""How many descriptors of a wait are named."""
_OWN_KINDS = ("anon_inode:[eventfd]", "anon_inode:[signalfd]", "/dev/ptmx", "/dev/pts/ptmx")
_POLL_READ = select.POLLIN | select.POLLRDHUP


# -- whose descriptors -----------------------------------------------------------------------------------------------


def claim_of(fd: int, *, receives: bool = False) -> Claim | None:
    """What *fd* is to a user, if others can make it ready; None if only this process and its children can.

    A child holds the clock itself, so a terminal whose other end is one is the process's own, as a pipe is.
    """
    target = procfs.target_of("self", fd)
    if not target:
        return None  # it is closed, and never becomes ready
    if target.startswith("socket:"):
        return connections.claim_of(fd, receives=receives)
    if target.startswith("pipe:[") or target in _OWN_KINDS:
        return None
    if target.startswith("pidfd:") or target == "anon_inode:[pidfd]":
        text = _foreign_process(fd)
        return None if text is None else Claim(text, connections.FOREVER)
    if target == "anon_inode:[eventpoll]":
        claims = [claim for each in procfs.registered_with("self", fd) if (claim := claim_of(each)) is not None]
        return max(claims, key=lambda claim: claim.until or 0, default=None)
    kind = target.removeprefix("anon_inode:").strip("[]")
    text = kind if kind == target else f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
    return Claim(text, connections.FOREVER)


def _foreign_process(pidfd: int) -> str | None:
    """The process of *pidfd*; None if it has ended, or is a child of this process, which holds the clock itself."""
    pid = procfs.process_of_pidfd("self", pidfd)
    parent = None if pid is None else procfs.parent_of(pid)
    return None if parent in (None, _own_pid()) else f"the process {pid}"


# -- waiting ---------------------------------------------------------------------------------------------------------


def _may_wait(seconds: Any) -> bool:
    """Whether *seconds* is a timeout with which a call waits; anything else is for the real function."""
    return seconds is None or (isinstance(seconds, (int, float)) and 0 < seconds < time_units.LONGEST)


def _is_exact(caller: FrameType | None) -> bool:
    return caller is not None and caller.f_globals.get("__name__") == _EXACT


def _microseconds(seconds: float, exact: bool) -> int:
    """How many µs a wait of *seconds* has; *exact* leaves out what asyncio's floats are off by, years after boot."""
    return (math.ceil(seconds * 1_000_000 - _EXACT_SLACK_US) or 1) if exact else time_units.microseconds(seconds) + 1


Prepared = tuple[Readiness, list[Claim]]
"""The descriptors of a wait, and what those are that others can make ready."""

_beside: set[int] = set()
"""The threads that wait for others without holding the clock."""


def hold(readiness: Readiness, claims: list[Claim], until: float | None, *, ends: bool = False) -> None:
    """Have *readiness* hold the clock as long as one of *claims* does, at most to *until*.

    Then the thread looks again; with *ends* the wait is over instead, as it always is when the claims end first.
    """
    latest = max((claim.until for claim in claims if claim.until is not None), default=None)
    if latest is None:
        return
    if latest != connections.FOREVER and (until is None or latest < until):
        readiness.hold(latest, ends=True)
    else:
        readiness.hold(until, ends=ends and until is not None)


def park(
    due: int | None,
    description: str,
    prepared: Prepared,
    waiters: list[Waiter] | None = None,
    *,
    shown: str = "",
    receives: bool = True,
) -> bool:
    """Park until *due* or until woken, by a descriptor, a change in a poller, or data sent on a claimed connection.

    Whether it was woken. *waiters* are those of the poller. *shown* names the wait in error texts where it holds the
    clock, if not *description*. One that does not wait to receive is not ended by an answer of the peers.
    """
    readiness, claims = prepared
    if readiness.holds and receives:
        readiness.take(connections.place_of(claims, scheduler.next_place))
    places = [
        [] if waiters is None else waiters,
        *(claim.connection.waits for claim in claims if claim.connection is not None),
    ]
    mine: list[Waiter] = []
    ident = _get_ident()

    def enlist(waiter: Waiter) -> bool:
        mine[:] = [waiter]
        for place in places:
            place.append(waiter)
        return True

    try:
        if readiness.holds:
            peers = dict.fromkeys(claim.peer for claim in claims[:_FEW] if claim.peer and receives)
            thread_table.holds(shown or description, [*peers])
        elif claims:
            _note_beside(ident, True)
        awaits = Awaits.ANSWER if claims and receives else Awaits.SOMETHING
        if awaits is Awaits.SOMETHING and in_loop():
            awaits = Awaits.LOCK if due is None and tasks_acquire() else Awaits.NOTICE
        return scheduler.park(due, description, enlist=enlist, readiness=readiness, awaits=awaits)
    finally:
        if claims or readiness.ends:
            thread_table.holds("")
            _note_beside(ident, False)
        for waiter in mine:
            for place in places:
                if waiter in place:  # a forked child has none of its parent's waiters
                    place.remove(waiter)


def _note_beside(ident: int, waits: bool) -> None:
    (_beside.add if waits else _beside.discard)(ident)
    if scheduler.active:
        scheduler.control.beside = len(_beside)


def named(claims: list[Claim]) -> str:
    """The descriptors that a call waits for, to be put behind its name."""
    texts = [claim.text for claim in claims]
    more = f" and {len(texts) - _FEW} more" if len(texts) > _FEW else ""
    return f" on {', '.join(texts[:_FEW])}{more}" if texts else ""


def wait(
    take: Callable[[], Any],
    seconds: float | None,
    name: str,
    prepare: Callable[[], Prepared],
    waiters: list[Waiter],
    *,
    exact: bool = False,
    real: bool = False,
) -> Any:
    """Wait until *take* returns something, at most for *seconds*; it has just returned nothing, or is to give way.

    A change of what *prepare* returns wakes *waiters*. A *real* wait has a timeout in real seconds, whoever has the
    descriptors. Without a timeout it is real on the main thread only: the thread of a pool of processes waits as long
    as the pool exists, and would hold the clock all the while.
    """
    due = until = None
    real = real and (seconds is not None or _get_ident() == scheduler.main_ident)
    if seconds is not None:
        until = clock.real_monotonic() + seconds
        if not real:
            due = clock.now_us() + _microseconds(seconds, exact)
    while True:
        readiness, claims = prepare()
        if real:
            readiness.hold(until, ends=True)
        else:
            patient = max((claim.not_before for claim in claims), default=0.0)
            hold(readiness, claims, until if until is None else max(until, patient))
        on, is_real = _others(claims, real)
        description = (describe_call if is_real else describe_caller)(name, on)
        if is_real:
            scheduler.note_real(lambda: description)  # noqa: B023  (it is called at once)
        woken = park(due, description, (readiness, claims), waiters)
        ready = take() if woken else None
        if ready or not woken or (real and until is not None and clock.real_monotonic() >= until):
            return ready


def _others(claims: list[Claim], real: bool = False) -> tuple[str, bool]:
    """What of *claims* holds the clock, for texts, and whether others than this process can end a wait for them."""
    on = named([claim for claim in claims if claim.until is not None])
    return on, bool(on) or real or scheduler.forked


def _goes_on(name: str, prepare: Callable[[], Prepared], *, real: bool = False) -> bool:
    """Note a wait that has ended at once, perhaps because others were quick; whether those who asked before let it."""
    if scheduler.is_accompanied() and connections.owed(prepare()[1]):
        return False

    def describe() -> str:
        on, is_real = _others(prepare()[1], real)
        return describe_call(name, on) if is_real else ""

    scheduler.note_real(describe)
    if c_connections.any_made():
        prepare()  # which notes that the wait for such a connection is this one, whether its answer is there or not
    return True


def _claims(fds: Iterable[int]) -> list[Claim]:
    return [claim for fd in fds if (claim := claim_of(fd)) is not None]


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else fd.fileno()


class _Multiplexer:
    """Base of ``Epoll`` and ``Poll``, which wrap a real object and replace its waits."""

    _exact: float | None = None
    """The timeout in seconds that a selector was called with, before it has rounded that to whole milliseconds."""


class Epoll(_Multiplexer):
    # ``select.epoll``, whose waits are on simulated time.
    __doc__ = documentation(real_epoll)

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._take_over(real_epoll(sizehint, flags))

    def _take_over(self, real: select.epoll) -> None:
        self._real = real
        self._peek = real_poll()
        self._peek.register(real.fileno(), select.POLLIN)
        self._unsettled: set[int] = set()
        """The registered descriptors that others could make ready at the last look; no others ever can."""
        self._waiters: list[Waiter] = []

    @classmethod
    def fromfd(cls, fd: int, /) -> Epoll:
        made = cls.__new__(cls)
        made._take_over(real_epoll.fromfd(fd))
        made._unsettled.update(procfs.registered_with("self", fd))
        return made

    def _note(self, fd: int) -> None:
        if not scheduler.active or claim_of(fd) is not None:
            self._unsettled.add(fd)
        else:
            self._unsettled.discard(fd)
        for waiter in list(self._waiters):  # on other threads: they wait for other descriptors now
            scheduler.wake(waiter)

    @property
    def closed(self) -> bool:
        return self._real.closed

    def close(self, /) -> None:
        self._real.close()

    def fileno(self, /) -> int:
        return self._real.fileno()

    def register(self, /, fd: Any, eventmask: int = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT) -> None:
        self._real.register(fd, eventmask)
        self._note(_number(fd))

    def modify(self, /, fd: Any, eventmask: int) -> None:
        self._real.modify(fd, eventmask)
        self._note(_number(fd))

    def unregister(self, /, fd: Any) -> None:
        self._real.unregister(fd)
        self._unsettled.discard(_number(fd))

    def poll(self, /, timeout: Any = None, maxevents: int = -1) -> list[tuple[int, int]]:
        asked, self._exact = self._exact, None
        if asked is None:
            polls.begin_pass(sys._getframe(1))
        timeout = clock.real_number(timeout)
        blocks = timeout is None or (isinstance(timeout, (int, float)) and timeout < 0)
        if not scheduler.active or not (blocks or _may_wait(timeout)):
            return self._real.poll(timeout, maxevents)

        def take() -> list[tuple[int, int]]:
            return self._real.poll(0, maxevents)

        seconds = None if blocks else timeout if asked is None else asked
        exact = asked is not None and _is_exact(sys._getframe(3))
        if scheduler.alone and seconds is not None and not self._unsettled:
            ready = scheduler.leased_sleep_unless(take, _microseconds(seconds, exact), "epoll")
            if ready is not None:
                return ready  # type: ignore[no-any-return]
        ready = take()
        if ready and (not (self._unsettled or scheduler.forked) or _goes_on("epoll", self._prepare)):
            return ready
        return wait(take, seconds, "epoll", self._prepare, self._waiters, exact=exact) or []

    def _prepare(self) -> Prepared:
        claims: list[Claim] = []
        if self._unsettled:
            self._unsettled.intersection_update(procfs.registered_with("self", self._real.fileno()))
            found = {fd: claim for fd in sorted(self._unsettled) if (claim := claim_of(fd)) is not None}
            self._unsettled.intersection_update(found)
            claims = list(found.values())
        return Readiness({self._real.fileno(): select.POLLIN}, self._is_ready), claims

    def _is_ready(self) -> bool:
        return bool(self._peek.poll(0))

    def __enter__(self, /) -> Epoll:
        self._real.__enter__()
        return self

    def __exit__(self, exc_type: Any = None, exc_value: Any = None, exc_tb: Any = None, /) -> None:
        self._real.close()


class Poll(_Multiplexer):
    """What ``select.poll()`` returns, with waits on simulated time."""

    real = False
    """Its timeouts are real, whoever has the descriptors."""

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
        if asked is None:
            polls.begin_pass(sys._getframe(1))
        timeout = clock.real_number(timeout)
        blocks = timeout is None or (isinstance(timeout, (int, float)) and timeout < 0)
        if not scheduler.active or not (blocks or _may_wait(timeout)):
            return self._real.poll(timeout)

        def take() -> list[tuple[int, int]]:
            return self._real.poll(0)

        ready = take()
        if ready and _goes_on("poll", self._prepare, real=self.real):
            return ready
        seconds = None if blocks else timeout / 1_000 if asked is None else asked
        exact = asked is not None and _is_exact(sys._getframe(3))
        return wait(take, seconds, "poll", self._prepare, [], exact=exact, real=self.real) or []

    def _prepare(self) -> Prepared:
        peek = real_poll()
        for fd, events in self._events.items():
            peek.register(fd, events)
        return Readiness(dict(self._events), lambda: bool(peek.poll(0))), _claims(self._events)


def make_poll(*args: Any) -> Any:
    """Returns a polling object, whose waits are on simulated time."""
    return real_poll(*args) if args else Poll()  # the real function refuses arguments in its own words


class RealPoll(Poll):
    """For the waits of ``subprocess``, whose timeouts are real."""

    real = True


def fake_select(*args: Any) -> Any:
    """Wait, on simulated time, until one or more file descriptors are ready for some kind of I/O."""
    polls.begin_pass(sys._getframe(1))
    timeout = clock.real_number(args[3]) if len(args) == 4 else None
    if not scheduler.active or len(args) not in (3, 4) or not _may_wait(timeout):
        return _real_select(*args)
    found = _real_select(args[0], args[1], args[2], 0)
    lists = [list(each) for each in args[:3]]

    def take() -> Any:
        found = _real_select(lists[0], lists[1], lists[2], 0)
        return found if any(found) else None

    def is_ready() -> bool:
        try:
            return take() is not None
        except (OSError, ValueError):
            return True  # one of them is closed, which the call itself raises

    def prepare() -> Prepared:
        events: dict[int, int] = {}
        for each, flag in zip(lists, (_POLL_READ, select.POLLOUT, select.POLLPRI), strict=True):
            for fd in each:
                number = _number(fd)
                events[number] = events.get(number, 0) | flag
        return Readiness(events, is_ready), _claims(events)

    if any(found) and _goes_on("select", prepare):
        return found
    exact = _is_exact(sys._getframe(1).f_back)
    return wait(take, timeout, "select", prepare, [], exact=exact) or ([], [], [])


def fake_waitpid(pid: int, options: int, /) -> tuple[int, int]:
    """``os.waitpid``. Before Python 3.12 asyncio has a thread for it, which is parked: the child holds the clock."""
    caller = sys._getframe(1).f_globals.get("__name__")
    if scheduler.active and options == 0 and caller == _CHILD_WATCHER:
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
    """``select`` of a selector, which hands its timeout to ``epoll`` or ``poll`` unrounded."""

    @functools.wraps(real)
    def select(self: Any, timeout: float | None = None) -> Any:
        inner = self._selector
        if isinstance(inner, _Multiplexer):
            inner._exact = timeout
            polls.begin_pass(sys._getframe(1))
        return real(self, timeout)

    return select


for _class in (Poll, RealPoll):
    registry.imitate(type(real_poll()), _class)


def install() -> None:
    """Patch ``select``, and ``selectors``, which has already bound its functions."""
    why = "it waits on simulated time"
    made = registry.replace(select, "select", fake_select, why)
    registry.rebind(selectors.SelectSelector, "_select", made, "that is select.select")
    registry.replace(select, "poll", make_poll, why)
    registry.replace(select, "epoll", Epoll, why)
    registry.replace(os, "waitpid", fake_waitpid, "asyncio has a thread for that, before Python 3.12")
    for kind, name in ((selectors.PollSelector, "poll"), (selectors.EpollSelector, "epoll")):
        registry.rebind(kind, "_selector_cls", getattr(select, name), f"that is select.{name}")
        owner = next(each for each in kind.__mro__ if "select" in vars(each))
        registry.replace(owner, "select", _unrounded(kind.select), "timeouts are not rounded to whole ms")


def install_in_subprocess() -> None:
    """Have ``communicate`` wait in real time, as children work in real time."""
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    class Selector(selectors.PollSelector):
        _selector_cls = RealPoll

    registry.rebind(subprocess, "_PopenSelector", Selector, "its timeouts count real seconds")
