"""The simulated clock of one runtime: what time it is, and what is due when.

Time is a whole number of microseconds, and moves only forward: when a test asks for it (``advance``, ``move_to``), when
a call that moves the clock finds that every running event waits, and where it flows at the rate of real time or of what
is computed. An instance that has a lease moves it itself, up to the time of the lease.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from typing import Protocol

from .errors import HarnessError, ScfUsageError, hidden_from_users, keywords_named
from .protocol.real_time import shown_time_us
from .protocol.shared_page import ClockPage, Order

__tracebackhide__ = hidden_from_users

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
LAST_US = (datetime(9999, 1, 1, tzinfo=timezone.utc) - EPOCH) // MICROSECOND - 1
"""The last time to which the clock is moved. What is due after it, and times in the platform's zone, have one year."""

SMALL_HEAP = 64
"""Due things among which cancelled ones are not looked for."""
PLATFORM = 0
"""Priority of what the platform does: at one instant a timeout comes before a wake-up."""
WAKE_UP = 1
"""Priority of user code that becomes ready."""
TEST = 2
"""Priority of the test's own waits: what is due at the same instant comes before."""


def to_us(when: datetime, source: str) -> int:
    """Whole microseconds since the epoch of an aware *when*; ``ScfUsageError`` that names *source* otherwise."""
    if not isinstance(when, datetime):
        raise ScfUsageError(f"{source} is {when!r} of type {type(when).__name__}; it must be an aware datetime")
    if when.tzinfo is None or when.utcoffset() is None:
        raise ScfUsageError(
            f"{source} is {when!r}, which has no time zone; give it one, for example "
            "datetime(2026, 1, 1, tzinfo=timezone.utc)"
        )
    return (when - EPOCH) // MICROSECOND


def to_datetime(us: int) -> datetime:
    """The aware UTC ``datetime`` of whole microseconds since the epoch.

    ``HarnessError`` where no calendar has that time: code in an instance has written to the page of the clock.
    """
    try:
        return EPOCH + us * MICROSECOND
    except OverflowError:
        raise HarnessError(
            f"the simulated clock is at {us:,} µs since 1970, which no calendar has: code in an instance wrote to a "
            "descriptor that it did not open"
        ) from None


def duration_us(value: float | timedelta, source: str) -> int:
    """Whole microseconds of a duration in seconds or a ``timedelta``; else ``ScfUsageError`` that names *source*."""
    if isinstance(value, timedelta):
        us = value // MICROSECOND
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScfUsageError(
            f"{source} is {value!r} of type {type(value).__name__}; it must be seconds (int or float) or a timedelta"
        )
    elif not -math.inf < value < math.inf:
        raise ScfUsageError(f"{source} is {value!r}; it must be a finite number of seconds")
    else:
        us = round(value * 1_000_000) if abs(value) < LAST_US else round(value) * 1_000_000
        us = min(us, -1) if value < 0 else us  # what is rounded away is refused as well
    if us < 0:
        raise ScfUsageError(f"{source} is {value!r}, which is negative; simulated time moves only forward")
    return us


def _nothing() -> None:
    pass


class DueThing:
    """Something that happens at a simulated time: ``fire`` is called when the clock has come to it."""

    __slots__ = ("cancelled", "due_us", "fire", "key")

    def __init__(self, key: tuple[int, int, Order, int], fire: Callable[[], None]) -> None:
        self.key = key
        self.due_us = key[0]
        self.fire = fire
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        self.fire = _nothing  # what it would have done may hold an event, or an instance

    def __lt__(self, other: DueThing) -> bool:
        return self.key < other.key


class Driver(Protocol):
    """What a runtime gives its clock: the way to move time while instances run."""

    def advance_to(self, target_us: int, past_held: bool) -> None: ...


class TimeModes(Protocol):
    """What a runtime gives its clock besides: other ways for time to pass."""

    def patched(self) -> AbstractContextManager[None]: ...
    def running(self, rate: float) -> AbstractContextManager[None]: ...


class SimulatedClock:
    """One runtime's time. Aware ``datetime`` outside, whole microseconds inside.

    *start* is an aware ``datetime``, by default the current time, or that of a ``freezegun.freeze_time`` which is on.
    Under a given start two runs are the same.
    """

    def __init__(self, start: datetime | None = None, *, page: ClockPage | None = None) -> None:
        start_us = shown_time_us() if start is None else to_us(start, "start")
        self._zone = None if start is None else start.tzinfo
        self._page = ClockPage() if page is None else page
        self._page.now_us = self._jumped_us = start_us
        self._heap: list[DueThing] = []
        self._tidy_at = SMALL_HEAP
        self._added = 0
        self._driver: Driver | None = None
        self._ways: TimeModes | None = None

    @property
    def now(self) -> datetime:
        """The simulated time, in UTC."""
        return to_datetime(self._page.now_us)

    @property
    def now_us(self) -> int:
        """The simulated time in whole microseconds since the Unix epoch."""
        return self._page.now_us

    def time_of(self, reported_us: int | None) -> int:
        """The time of something in an instance that has reported the time *reported_us* (µs since the epoch).

        An instance under a lease reports how far it has moved the clock. Time that passed here since then has passed
        for it, too: it computes, and its lease is over. None: the instance has no lease, so it is now.
        """
        return self._page.now_us if reported_us is None else max(reported_us, self._jumped_us)

    def time(self) -> float:
        """The simulated time in seconds since the Unix epoch, as ``time.time()`` gives it in a handler."""
        return self._page.now_us * 1_000 / 1e9  # rounded as CPython rounds it

    @keywords_named("advance(...)")
    def advance(self, duration: float | timedelta, *, past_held: bool = False) -> None:
        """Let *duration* (seconds, or a ``timedelta``) pass, from due time to due time.

        Every event that becomes due on the way runs until it waits again. An instance with a thread in a real wait (a
        child process, a socket) holds the clock; with *past_held* time passes it. Raises ``ScfUsageError`` for a
        negative, infinite or NaN duration and ``CannotEndError`` when an instance keeps time from passing.
        """
        target = self.now_us + duration_us(duration, "advance(duration)")
        if target > LAST_US:
            raise ScfUsageError(
                f"advance(duration) is {duration!r}, which ends after the year 9998; it is {self.now.isoformat()} now"
            )
        self._move(target, past_held)

    @keywords_named("move_to(...)")
    def move_to(self, when: datetime, *, past_held: bool = False) -> None:
        """Let time pass until *when* (aware), as ``advance`` does. Raises ``ScfUsageError`` for an earlier time."""
        target = to_us(when, "move_to(when)")
        if target > LAST_US:
            raise ScfUsageError(f"move_to(when) is {when.isoformat()}, which is after the year 9998 in UTC")
        if target < self.now_us:
            raise ScfUsageError(
                f"move_to(when) is {when.isoformat()}, which is before the simulated time {self.now.isoformat()}; "
                "simulated time moves only forward"
            )
        self._move(target, past_held)

    @keywords_named("patched()")
    def patched(self) -> AbstractContextManager[None]:
        """Within it the test's own process is on this clock: its clocks show simulated time, its sleeps move it.

        ``time`` and ``datetime`` show it, and ``time.sleep``, timeouts of ``threading.Condition`` (``Event.wait``,
        ``queue.get``, ``Future.result``) and of ``asyncio`` are waits on simulated time, in all threads. It may be
        entered again inside itself. Raises ``ScfUsageError`` where the process is on the clock of another runtime, and
        where this clock has no runtime or one that is closed.
        """
        return self._way("patched()").patched()

    @keywords_named("running(...)")
    def running(self, rate: float = 1.0) -> AbstractContextManager[None]:
        """Within it time flows by itself: *rate* simulated seconds in each real second; on leaving it stands again.

        Blocking calls of the test wait meanwhile, and move no time themselves. Time waits for what computes, for half
        of ``real_timeout`` (real seconds): a call of the test that waits for such an event fails only after it. Raises
        ``ScfUsageError`` for a rate that is no finite number above 0, inside another ``running``, and where this clock
        has no runtime or one that is closed; on leaving, what an instance or a hook raised meanwhile.
        """
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise ScfUsageError(
                f"running(rate) is {rate!r} of type {type(rate).__name__}; it must be simulated seconds per real "
                "second (int or float)"
            )
        if not 0 < rate < math.inf:
            raise ScfUsageError(f"running(rate) is {rate!r}; it must be a finite number above 0")
        return self._way("running(rate)").running(rate)

    def _way(self, name: str) -> TimeModes:
        if self._ways is None:
            raise ScfUsageError(f"{name}: this clock belongs to no runtime, or to one that is closed")
        return self._ways

    def _move(self, target_us: int, past_held: bool) -> None:
        if self._driver is not None:
            self._driver.advance_to(target_us, past_held)
            return
        while (due := self.next_due_us()) is not None and due <= target_us:
            self.jump(max(due, self.now_us))
            while (thing := self.pop_due()) is not None:
                thing.fire()
        self.jump(target_us)

    # -- for the runtime that owns this clock ------------------------------------------------------------------------

    def attach(self, driver: Driver, ways: TimeModes | None = None) -> None:
        """Let *driver* move the time from now on, so that instances run between due times."""
        self._driver = driver
        self._ways = ways

    def call_at(
        self, due_us: int, fire: Callable[[], None], *, priority: int = PLATFORM, order: Order = (0, 0, 0)
    ) -> DueThing:
        """Have *fire* called at *due_us*; things of one instant go by *priority*, *order*, then by registration."""
        self._added += 1
        thing = DueThing((due_us, priority, order, self._added), fire)
        heapq.heappush(self._heap, thing)
        if len(self._heap) > self._tidy_at:
            self._tidy()
        return thing

    def _tidy(self) -> None:
        """Throw out what was cancelled: a timeout of a day stays for a day, and its event ended long ago."""
        self._heap = [thing for thing in self._heap if not thing.cancelled]
        heapq.heapify(self._heap)
        self._tidy_at = max(SMALL_HEAP, 2 * len(self._heap))

    def detach(self) -> None:
        """Keep the time, and let nothing be due any more: the runtime is closed."""
        self._driver = self._ways = None
        self._page = self._page.copy()
        self._heap.clear()

    def pop_due(self, gives_way: Callable[[DueThing], bool] = lambda _: False) -> DueThing | None:
        """Take the first thing whose time has come, if there is one, and unless it *gives_way*."""
        self._drop_cancelled()
        if self._heap and self._heap[0].due_us <= self._page.now_us and not gives_way(self._heap[0]):
            return heapq.heappop(self._heap)
        return None

    def next_due_us(self, besides: DueThing | None = None) -> int | None:
        """The time at which the next thing *besides* one is due, in µs since the epoch; ``None`` when nothing is."""
        self._drop_cancelled()
        heap = self._heap
        if not heap or heap[0] is not besides:
            return heap[0].due_us if heap else None
        first = heapq.heappop(heap)
        self._drop_cancelled()
        due = heap[0].due_us if heap else None
        heapq.heappush(heap, first)
        return due

    def jump(self, to: int) -> None:
        """Set the time; never back."""
        if to < self._page.now_us:
            raise ScfUsageError(f"the simulated time cannot go back from {self._page.now_us} µs to {to} µs")
        self._page.now_us = self._jumped_us = to

    def _drop_cancelled(self) -> None:
        heap = self._heap
        while heap and heap[0].cancelled:
            heapq.heappop(heap)

    def __repr__(self) -> str:
        waiting = sum(not thing.cancelled for thing in self._heap)
        return f"<SimulatedClock {self.now.isoformat()}, {waiting} due>"


def shown_time(clock: SimulatedClock, us: int) -> str:
    """A time of *clock* for texts, in the zone in which its start was given."""
    when = to_datetime(us)
    try:
        return (when if clock._zone is None else when.astimezone(clock._zone)).isoformat()
    except OverflowError:  # there it is after the year 9999
        return when.isoformat()
