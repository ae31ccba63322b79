"""``scf_clock.patched()``: the test's own process on the simulated clock, in all its threads.

Its clocks are freezegun's doing (``python.patches.datetime``); its waits are calls that move the clock, each with
a due time of its own, so that the clock goes to the earliest. Time does not move while another thread of the test runs.
"""

from __future__ import annotations

import asyncio.base_events
import os
import queue
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from types import FrameType, ModuleType
from typing import Any, Final

from ...clock import LAST_US, TEST, DueThing, SimulatedClock
from ...errors import ScfUsageError, hidden_from_users
from ...instances.instance import Instance
from ...linux import procfs
from ...protocol import freezegun_classes
from ...protocol.real_time import REAL
from ...protocol.time_units import LONGEST, microseconds
from ..calls import Call, Unrest
from ..event import Event
from .feature import Feature, Scheduler

__all__ = ["patched"]

__tracebackhide__ = hidden_from_users

REAL_MODULES: Final = (
    *("pytest_scf_async", "_pytest", "pytest_timeout", "pytest_cov", "pluggy", "xdist", "execnet", "coverage"),
    *("hypothesis", "_hypothesis"),
    # These wait for something real until the clock says that a deadline has passed.
    *("subprocess", "multiprocessing", "socketserver", "telnetlib", "trio"),
)
"""Modules by the beginning of their names that go on in real time: what runs tests, and what waits for real things."""
_THROUGH: Final = ("threading", "queue", "concurrent.futures")
"""Modules that wait on behalf of their callers."""
REAL_GRACE: Final = 0.01
"""Real seconds that a loop's connections have before time passes."""
LOOK_EVERY: Final = 0.0005
"""Real seconds between two looks at the other threads of the test, in which they may run."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  (naive UTC is what freezegun takes)
_real_wait: Final = threading.Condition.wait
_real_bootstrap: Final = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]
_real_select: Final = selectors.EpollSelector.select
_loop_turn: Final = asyncio.base_events.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]

_switching: Final = threading.Lock()
_active: _TestProcess | None = None


class _Instant:
    """What freezegun calls a freeze factory: called, it gives the naive UTC time."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._pid = os.getpid()

    def __call__(self) -> datetime:
        forked = os.getpid() != self._pid  # such a child has no part in the runtime
        return _EPOCH + timedelta(microseconds=REAL.time_ns() // 1_000 if forked else self._clock.now_us)

    def __repr__(self) -> str:
        return "<the simulated clock>"


class _TestProcess(Feature):
    """This process while it is on the clock of one runtime."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self.scheduler: Final = scheduler
        self.clock: Final = scheduler.clock
        self.instant: Final = _Instant(self.clock)
        self.freezes: Final = freezegun_classes.freezes()
        self.depth = 0
        self.end: Callable[[], None] = lambda: None
        self.frozen_inside = False
        """A freeze of the user that began inside was still on at the end."""
        self._to_monotonic_us = round(REAL.monotonic() * 1e6) - self.clock.now_us
        """Monotonic clocks go on from their real values: a duration that began before has its real part."""
        self._picture: tuple[set[str], list[tuple[str, str, bytes]]] | None = None
        """The last look: all threads, and how those outside calls were. A thread that has ended may have done what a
        call waits for, and that one has not looked since."""
        self._alone = False
        """Since the last look at the latest there was one thread."""
        self._preempted: set[str] = set()
        """Threads, by their ids in ``/proc``, that ran for too long; until they wait on simulated time."""
        self._in_grace: set[str] = set()
        """Those in a loop whose next timer is not on the clock yet, as its connections have their grace first."""
        self._known = {str(thread.native_id) for thread in threading.enumerate()}
        """Threads of Python until the kernel has them no more: who joins one waits for that, and Python counts it no
        more a little before."""

    # -- clocks ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.clock.time()

    def time_ns(self) -> int:
        return self.clock.now_us * 1_000

    def monotonic(self) -> float:
        return (self.clock.now_us + self._to_monotonic_us) / 1_000_000

    def monotonic_ns(self) -> int:
        return (self.clock.now_us + self._to_monotonic_us) * 1_000

    def freeze(self, clocks_of_time: dict[str, Any]) -> Callable[[], None]:
        """Have freezegun show the time of this clock; returns what ends that."""
        end = freezegun_classes.begin(self.instant, lambda: self.clock.now_us, clocks_of_time, REAL_MODULES)

        def thaw() -> None:
            self.frozen_inside = end()

        return thaw

    # -- waits -------------------------------------------------------------------------------------------------------

    def wait(self, name: str, us: int, done: Callable[[], bool] | None = None) -> None:
        """Wait until *done*, at most *us* of simulated time; other waits of the test may end first."""
        scheduler, clock = self.scheduler, self.clock
        if scheduler.closed:
            raise ScfUsageError(f"{name}: the runtime whose clock this process is on is closed; leave patched() first")
        if threading.get_ident() in scheduler.under_way:
            raise ScfUsageError(
                f"{name} in a hook or a predicate that a blocking call of the test has called: time passes only once "
                "that has returned"
            )
        over: list[bool] = []
        due: list[DueThing] = []

        def begin() -> None:
            until = min(clock.now_us + us, LAST_US)
            order = scheduler.next_order()
            due.append(clock.call_at(until, lambda: over.append(True), priority=TEST, order=order))

        call = Call(
            f"{name} in the test",
            lambda: bool(over) or (done is not None and done()),
            moves_clock=True,
            leases=True,
            until_us=min(clock.now_us + us, LAST_US),
            opens_gates_to_move=True,
            begin=begin,
        )
        try:
            scheduler.drive(call)
        finally:
            for thing in due:
                thing.cancel()

    def acquire(self, lock: Any, timeout: float) -> bool:
        """Acquire a lock that another thread of the test releases, within *timeout* simulated seconds."""
        got: list[bool] = []

        def done() -> bool:
            if not got and lock.acquire(False):
                got.append(True)
            return bool(got)

        if not done():
            self.wait(f"a wait of {timeout:g} s", microseconds(timeout) + 1, done)
        return done()

    def select(self, selector: selectors.EpollSelector, timeout: float) -> list[Any]:
        """What a loop of asyncio does between its callbacks."""
        watched = len(selector.get_map())
        task = str(threading.get_native_id())
        self._in_grace.add(task)
        try:
            ready = _real_select(selector, min(timeout, REAL_GRACE) if watched > 1 else 0)  # one is the loop's own pipe
        finally:
            self._in_grace.discard(task)

        def done() -> bool:
            ready[:] = ready or _real_select(selector, 0)
            return bool(ready)

        if not ready:
            self.wait(f"asyncio's wait of {timeout:g} s", microseconds(timeout), done)
        return ready

    # -- the other threads of the test ---------------------------------------------------------------------------

    def forbids_lease(self, instance: Instance, event: Event) -> bool:
        return not (self._alone and self._is_alone())

    def holds(self, call: Call) -> float | None:
        """*call* would move the clock while another thread of the test runs: that gets a moment to run."""
        return None if not call.moves_clock or call.flow is not None or self._rest(call) else LOOK_EVERY

    def thread_begins(self) -> None:
        """The calling thread has been started, so that the last look, which did not see it, proves nothing."""
        self._picture, self._alone = None, False
        self._known.add(str(threading.get_native_id()))

    def _living(self) -> set[str]:
        self._known -= {task for task in tuple(self._known) if not procfs.is_own_task(task)}
        return self._known

    def _is_alone(self) -> bool:
        """Whether the thread that asks is the only one."""
        return threading.active_count() == 1 and len(self._living()) == 1

    def _rest(self, call: Call) -> bool:
        """Whether all of them wait: two looks at the threads outside calls were equal, and between them every call has
        seen that it is not done."""
        scheduler = self.scheduler
        others = [other for other in scheduler.under_way.values() if other is not call]
        was_alone, self._alone = self._alone, not others and self._is_alone()
        if was_alone and self._alone:
            return True
        inside: set[str] = set()
        outside: set[str] = set()
        for thread in threading.enumerate():
            (inside if thread.ident in scheduler.under_way else outside).add(str(thread.native_id))
        outside |= self._living() - inside
        living = inside | outside
        self._preempted -= inside
        outside -= self._preempted
        in_grace = set(self._in_grace)  # before the look, too: whose grace ends meanwhile has been seen asleep in it
        of_all = procfs.activity(os.getpid())[1] if outside else ()
        rows = [task for task in of_all if task[0] in outside]
        picture = living, rows
        unrest = {task for task, state, _ in rows if state not in procfs.ASLEEP}
        unrest |= outside - {task[0] for task in rows}  # it has not come to its first line, or has just ended
        unrest |= outside & (in_grace | self._in_grace)
        if picture == self._picture and not unrest and all(other.looked == scheduler.news for other in others):
            call.sees_unrest(None)
            return True
        now = REAL.monotonic()
        if picture != self._picture or unrest:
            before = [] if self._picture is None else self._picture[1]
            unrest |= {task[0] for task in rows if task not in before}
            self._picture = picture
            scheduler.something_new()  # what these threads did may be what another call waits for
        if call.unrest is None:
            call.sees_unrest(Unrest(now))
        seen = call.unrest
        assert seen is not None
        seen.look(now, of_all)
        if seen.own.seconds > scheduler.settings.real_timeout / 2:  # it computes, or polls something real
            self._preempted |= unrest
        return False


# -- what takes the place of functions of the standard library -------------------------------------------------------


def _stays_real(frame: FrameType | None) -> bool:
    """Whether the code of *frame*, or who it waits for, goes on in real time."""
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if not name.startswith(_THROUGH) and frame.f_code is not _fake_bootstrap.__code__:
            return bool(name.startswith(REAL_MODULES))
        frame = frame.f_back
    return threading.current_thread().name.startswith("pytest_timeout")  # its timer: a thread of threading alone


def _clock(name: str, real: Callable[..., Any], frozen: Callable[..., Any], simulated: Callable[..., Any]) -> Any:
    """What takes the place of ``time.<name>``: *frozen* under a freeze of the user, *real* for what stays real."""

    def fake(*args: Any) -> Any:
        active = _active
        if active is None or active.freezes[-1:] != [active.instant]:
            return frozen(*args)
        if (sys._getframe(1).f_globals.get("__name__") or "").startswith(REAL_MODULES):
            return real(*args)
        return simulated(active, *args)

    fake.__name__ = fake.__qualname__ = f"fake_{name}"
    return fake


def _gettime(real: Callable[[int], Any], wall: Callable[..., Any], monotonic: Callable[..., Any]) -> Callable[..., Any]:
    simulated = {time.CLOCK_REALTIME: wall, time.CLOCK_MONOTONIC: monotonic}

    def gettime(active: _TestProcess, clock: int) -> Any:
        return simulated[clock](active) if clock in simulated else real(clock)  # processor time stays real

    return gettime


def _of_seconds(real: Callable[..., Any]) -> Callable[..., Any]:
    def simulated(active: _TestProcess, seconds: float | None = None) -> Any:
        return real(active.time() if seconds is None else seconds)

    return simulated


def _of_a_struct(real: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    localtime = freezegun_classes.real_clock("localtime")

    def simulated(active: _TestProcess, *args: Any) -> Any:
        return real(*args) if len(args) == arguments else real(*args, localtime(active.time()))

    return simulated


def _clocks() -> tuple[dict[str, Any], dict[str, Any]]:
    """What takes the place of the functions of ``time``: those that freezegun knows, and the others."""
    of_process = _TestProcess
    plain: dict[str, Callable[..., Any]] = {
        "time": of_process.time,
        "time_ns": of_process.time_ns,
        "monotonic": of_process.monotonic,
        "monotonic_ns": of_process.monotonic_ns,
        "perf_counter": of_process.monotonic,
        "perf_counter_ns": of_process.monotonic_ns,
    }
    for name in ("localtime", "gmtime"):
        plain[name] = _of_seconds(freezegun_classes.real_clock(name))
    plain["strftime"] = _of_a_struct(freezegun_classes.real_clock("strftime"), 2)
    known = {
        name: _clock(name, freezegun_classes.real_clock(name), freezegun_classes.frozen_clock(name), simulated)
        for name, simulated in plain.items()
    }
    others: dict[str, Callable[..., Any]] = {
        "ctime": _of_seconds(time.ctime),
        "asctime": _of_a_struct(time.asctime, 1),
        "clock_gettime": _gettime(time.clock_gettime, of_process.time, of_process.monotonic),
        "clock_gettime_ns": _gettime(time.clock_gettime_ns, of_process.time_ns, of_process.monotonic_ns),
    }
    return known, {name: _clock(name, getattr(time, name), getattr(time, name), each) for name, each in others.items()}


def fake_sleep(seconds: Any, /) -> None:
    """Delay execution for a given number of seconds, of simulated time."""
    active = _active
    if (
        active is None
        or not isinstance(seconds, (int, float))
        or not 0 < seconds < LONGEST
        or _stays_real(sys._getframe(1))
    ):
        REAL.sleep(seconds)
    else:
        active.wait(f"time.sleep({seconds:g})", microseconds(seconds))


def _fake_wait(self: Any, timeout: float | None = None) -> bool:
    """``threading.Condition.wait``: a timeout is simulated time."""
    active = _active
    if active is None or timeout is None or not 0 < timeout <= threading.TIMEOUT_MAX or _stays_real(sys._getframe(1)):
        return _real_wait(self, timeout)
    if not self._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = threading.Lock()
    waiter.acquire()
    self._waiters.append(waiter)
    saved = self._release_save()
    got = False
    try:
        got = active.acquire(waiter, timeout)
    finally:
        self._acquire_restore(saved)
        if not got and waiter in self._waiters:
            self._waiters.remove(waiter)
    return got


def _fake_select(self: selectors.EpollSelector, timeout: float | None = None) -> list[Any]:
    """``selectors.EpollSelector.select``: for a loop of asyncio, a timeout is simulated time."""
    active = _active
    frame = sys._getframe(1)
    if active is None or timeout is None or timeout <= 0 or frame.f_code is not _loop_turn:
        return _real_select(self, timeout)
    # Half a step of the clock, so that no timer goes off a step early; of less, a float has nothing left after years.
    frame.f_locals["self"]._clock_resolution = 5e-7
    return active.select(self, timeout)


def _fake_bootstrap(self: Any) -> None:
    if _active is not None:
        _active.thread_begins()
    _real_bootstrap(self)


# -- coming and going ------------------------------------------------------------------------------------------------


@contextmanager
def patched(scheduler: Scheduler) -> Iterator[None]:
    """This process is on the clock of the runtime of *scheduler*; see ``SimulatedClock.patched``."""
    process: _TestProcess | None = None
    try:
        with ExitStack() as undisturbed:
            _hold_signals_off(undisturbed)
            process = _enter(scheduler)
        yield
    finally:
        if process is not None:
            with ExitStack() as undisturbed:
                try:
                    _hold_signals_off(undisturbed)  # raises what a handler raises that has just been called
                finally:
                    _leave(process)
    if process.frozen_inside:
        raise ScfUsageError("patched(): a freeze_time that began inside it was still on; stop it before leaving")


def _hold_signals_off(undo: ExitStack) -> None:
    """Until *undo* is closed: what a handler raises, as that of pytest-timeout does, would stop a switch half way.

    Not by the thread's mask: the kernel would give the signal to another thread, and Python call the handler here.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # no handler is called here
    came: list[int] = []
    known = ((signum, signal.getsignal(signum)) for signum in signal.valid_signals())
    handlers: dict[int, Any] = {int(signum): handler for signum, handler in known if callable(handler)}

    def call_handlers() -> None:
        if came:
            signum = came.pop(0)
            try:
                handlers[signum](signum, sys._getframe())
            finally:
                call_handlers()

    undo.callback(call_handlers)
    for signum, handler in handlers.items():
        undo.callback(signal.signal, signum, handler)
        signal.signal(signum, lambda number, _frame: came.append(number))


def _enter(scheduler: Scheduler) -> _TestProcess:
    with _switching:
        if _active is not None and _active.scheduler is not scheduler:
            raise ScfUsageError(
                "patched(): this process is already on the clock of another runtime; leave that patched() first"
            )
        process = _begin(scheduler) if _active is None else _active
        process.depth += 1
        return process


def _leave(process: _TestProcess) -> None:
    with _switching:
        process.depth -= 1
        if process.depth == 0:
            process.end()


def _begin(scheduler: Scheduler) -> _TestProcess:
    process = _TestProcess(scheduler)
    known, others = _clocks()
    with ExitStack() as undo:
        undo.callback(process.freeze(known))
        for module, name in ((threading, "_time"), (queue, "time")):
            _replace(undo, module, name, known["monotonic"])  # they wait with what is replaced below
        for name, function in others.items():
            _replace(undo, time, name, function)
        _replace(undo, threading.Condition, "wait", _fake_wait)
        _replace(undo, threading.Thread, "_bootstrap_inner", _fake_bootstrap)
        _replace(undo, selectors.EpollSelector, "select", _fake_select)
        undo.callback(_swap, fake_sleep, REAL.sleep)
        _swap(REAL.sleep, fake_sleep)
        undo.callback(_switch, process, on=False)
        _switch(process, on=True)
        process.end = undo.pop_all().close
    return process


def _switch(process: _TestProcess, *, on: bool) -> None:
    global _active  # noqa: PLW0603  (a process has one time)
    _active = process if on else None
    (process.scheduler.use if on else process.scheduler.leave)(process)


def _replace(undo: ExitStack, of: type | ModuleType, name: str, value: object) -> None:
    undo.callback(setattr, of, name, vars(of)[name])
    setattr(of, name, value)


def _swap(before: object, after: object) -> None:
    """Have the names of modules that are bound to *before* bound to *after*."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(REAL_MODULES):
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is before:
                setattr(module, name, after)


def _after_fork() -> None:
    """A child of the test process has no part in the runtime: its waits are real."""
    global _active  # noqa: PLW0603
    _active = None


os.register_at_fork(after_in_child=_after_fork)
