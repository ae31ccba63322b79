"""A blocking call: what it waits for, what it may do on the way, and how time flows meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..clock import LAST_US, SimulatedClock
from ..instances.instance import Instance
from ..linux import procfs
from ..protocol.real_time import REAL
from .event import Event

UNSEEN = 0.1
"""At most so many real seconds between two looks count: in more, pytest did not run, nor did who is looked at."""
CLOSED = (
    "the runtime is closed, as it is at the end of its test, or of its `with` block: run the event before that (a "
    "fixture yields the runtime within the block), or make the runtime with scf_runtime_factory"
)


class TimeFlow(Protocol):
    """Time that flows at a rate while a call goes on (``running``)."""

    def may_us(self) -> int:
        """How far time may be by now."""

    def rebase(self) -> None:
        """Something holds the clock: time goes on from here when it lets go."""


class Rate:
    """Time that flows: *rate* simulated seconds in each real second, from now on."""

    def __init__(self, clock: SimulatedClock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self.rebase()

    def may_us(self) -> int:
        return self.at_us(REAL.monotonic())

    def at_us(self, real: float) -> int:
        """What simulated time it was at the *real* time, in seconds of the monotonic clock."""
        passed = (real - self._since) * self._rate * 1_000_000
        return min(self._from_us + int(min(max(passed, 0), LAST_US)), LAST_US)

    def rebase(self) -> None:
        self._since = REAL.monotonic()
        self._from_us = self._clock.now_us


@dataclass
class Call:
    """One blocking call: what it waits for, and what it may do on the way."""

    name: str
    done: Callable[[], bool]
    moves_clock: bool = False
    target_us: int | None = None
    """Where time may move to at most; reaching it ends the call."""
    leases: bool = False
    """An instance that alone computes may move the clock itself, as far as nothing else is due: the call looks at
    nothing between its waits."""
    past_held: bool = False
    until_us: int | None = None
    """Up to where the test asks for time itself, as ``advance`` does: an event that computes for longer than the call
    waits for it is taken to its own timeout where that is due by then."""
    event: Event | None = None
    """The event whose gates the call goes through."""
    opens_all_gates: bool = False
    opens_gates_to_move: bool = False
    """A gate at which an event stands is opened where time could not move otherwise."""
    runs_user_code: bool = False
    """``done`` calls code of the test, as the predicate of ``wait_until``."""
    jumps: bool = False
    """Time jumps to its target, also beside an instance that sees real time (``advance``)."""
    flow: TimeFlow | None = None
    """Where time flows instead of jumping; such a call has no bounds."""
    looked: int = -1
    """The lockstep's ``news`` when it last looked whether it is done."""
    unrest: Unrest | None = None
    """What is known of other threads of the test that have not stood still."""
    begin: Callable[[], None] | None = None
    """What is done first, once stopped instances go on again."""
    sigterm_to: Event | None = None
    """The event that gets a SIGTERM then."""
    received: Callable[[], bool] = lambda: False
    """Whether that has been received."""
    settles: bool = True
    """Whether its event settles once it has."""
    grace_of: Event | None = None
    """The event that has ``real_timeout`` to settle, in real seconds of its own and whatever it writes meanwhile. Then
    the call ends, and raises nothing."""
    forced: bool = False
    """It is ended after this call: it has ``compute_grace`` only, but for its init."""
    raises: bool = False
    """It raises where *event* has not settled in that time."""
    grace_is_over: bool = False
    is_there: Callable[[], bool] | None = None
    """Whether what it waits for has come without a report of that. Its event reports once more then before the call
    ends: a thread has come back from a real wait, and may be about to say where it stands."""
    waits_for: Sequence[Event] = ()
    """The events, beside *event*, without which it does not end: instances of theirs on which another call has given up
    go on."""

    def __post_init__(self) -> None:
        self._passes: set[int] = set()
        """The instances that have computed for longer than this call waits for that."""
        self._reports = False
        """Its event reports once more."""

    def is_held_by(self, instance: Instance) -> bool:
        """Whether *instance* keeps this call from moving the clock."""
        if not instance.state.active or not instance.holds_clock():
            return False
        if instance.state.cpu_bound and not instance.takes_time:
            return instance.number not in self._passes
        return not (self.past_held or (instance.state.cpu_bound and self.flow is not None))

    def passes(self, instances: Iterable[Instance]) -> None:
        """Time passes from here on what *instances* compute."""
        self._passes.update(instance.number for instance in instances)

    def may_end_grace(self) -> bool:
        """Whether the call ends without an error where the event has had enough time to settle."""
        return self.grace_of is not None and (self.sigterm_to is None or self.received())

    def sent_sigterm(self, received: Callable[[], bool], settles: bool) -> None:
        """The SIGTERM was sent; *received* says whether it has arrived, *settles* whether its event settles then."""
        self.received, self.settles = received, settles

    def comes_without_report(self) -> bool:
        """Whether that is so for the first time."""
        if self._reports or self.is_there is None or not self.is_there():
            return False
        self._reports = True
        return True

    def end_leases(self) -> None:
        """No instance may move the clock for it any more."""
        self.leases = False

    def looks(self, news: int) -> None:
        """It looks whether it is done, and knows of all *news* of its runtime."""
        self.looked = news

    def sees_unrest(self, unrest: Unrest | None) -> None:
        """Other threads of the test have not stood still; None: they have."""
        self.unrest = unrest

    def end_grace(self, *, over: bool = True) -> None:
        """Whether the event that it gives time to settle has had enough of it."""
        self.grace_is_over = over


class OwnTime:
    """Real seconds that a process had to itself: those in which it waited for a processor do not count.

    A bound in real time would otherwise depend on what else the machine has to do.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._delays: dict[str, int] | None = None

    def add(self, seconds: float, picture: procfs.Picture) -> float:
        """*seconds* have passed since the last time, by the end of which its threads were as in *picture*.

        Gives those of them in which it waited for a processor.
        """
        delays, before = procfs.delays_ns_of(picture), self._delays
        self._delays = delays
        if before is None:
            return 0
        waited = max((delay - before.get(task, 0) for task, delay in delays.items()), default=0) / 1e9
        self.seconds += max(seconds - waited, 0)
        return min(waited, seconds)


class Unrest:
    """Threads of the test's process that have not stood still since the first look at them."""

    def __init__(self, now: float) -> None:
        self.own = OwnTime()
        self.looked_at = now

    def look(self, now: float, picture: procfs.Picture) -> None:
        """All threads of the process are as in *picture*, at *now* by the real clock."""
        self.own.add(min(now - self.looked_at, UNSEEN), picture)
        self.looked_at = now
