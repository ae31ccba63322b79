"""What the scheduler asks and tells its features, and what it does for them: the one way in which they know each other.

A feature holds the clock, forbids a lease, lets time pass, or wants to see begins and ends of events. It is one file
here and one row of `registry.py`; no line of the scheduler names it. The scheduler asks those that are in use, so a
runtime that uses none pays for the test of an empty tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from ...instances.state import Doing, InstanceFact
from ...model.timeline import Disposition
from ...model.transitions import Fact
from ...protocol.shared_page import NextOrder
from ..calls import Call, TimeFlow
from ..event import Event, Gate

if TYPE_CHECKING:
    from ...clock import SimulatedClock
    from ...instances.instance import FollowUp, Instance
    from ...instances.pool import Pool
    from ...instances.runtimes.choice import Deployed
    from ...options import ScfSettings

Means = Callable[["Instance", "Event | None", Any], "FollowUp | None"]
"""What a message of an instance means, for the event that the instance runs, if it runs one."""


class Scheduler(Protocol):
    """What features ask of the scheduler of their runtime, and have it do."""

    clock: SimulatedClock
    pool: Pool[Event]
    settings: ScfSettings
    next_order: NextOrder
    prompt_seconds: float
    news: int
    under_way: dict[int, Call]

    @property
    def closed(self) -> bool: ...
    def use(self, feature: Feature) -> None:
        """Ask *feature* from here on; from any thread, once or again. A lease that an instance has is not revoked."""

    def leave(self, feature: Feature) -> None: ...
    def drive(self, call: Call) -> None: ...
    def locked(self) -> AbstractContextManager[None]: ...
    def wait_for_others(self) -> None: ...
    def revoke_lease(self) -> None: ...
    def apply(self, instance: Instance, fact: InstanceFact) -> None: ...
    def progressed(self) -> None: ...
    def something_new(self) -> None: ...
    def does_not_count(self, seconds: float) -> None: ...
    def end(self, event: Event, fact: Fact, **how: object) -> None: ...
    def refuse(self, event: Event, why: str, trace: str = "") -> None: ...
    def events_running(self) -> list[Event]: ...
    def flow_of(self, stirring: Sequence[Instance]) -> TimeFlow | None: ...


class Forked(Protocol):
    """What a feature does in a fork of the test's process that makes runs for it."""

    def begins(self) -> None:
        """In the fork: it begins."""

    def ends(self) -> None:
        """In the fork: it is about to end."""

    def close(self) -> None:
        """In the test's process: it has been forked."""


class Feature:
    """A feature that does nothing yet: each method is overridden by those that it concerns.

    What all features of a runtime are told brings a feature into use (`Scheduler.use`); the rest is asked only of those
    that are. They are asked in the order of the registry.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def means(self) -> Mapping[type, Means]:
        """What messages mean that are this feature's alone, by their type."""
        return {}

    # -- what all are told -------------------------------------------------------------------------------------------

    def takes(self, event: Event) -> bool:
        """Whether *event*, which is due, begins and runs here, without an instance."""
        return False

    def begins(self, event: Event) -> None:
        """*event* has an instance, which has run no code of it yet."""

    def before_sigterm(self, event: Event, disposition: Disposition) -> None:
        """The process of *event*, if it has one, is about to get SIGTERM, which it treats as *disposition*."""

    def after_sigterm(self, event: Event) -> None:
        """It has got SIGTERM."""

    def warns(self, deployed: Deployed) -> str:
        """What to warn of where *deployed* is deployed; empty: of nothing."""
        return ""

    def forked(self) -> Forked | None:
        """What to do in a fork of this process that is about to be made, to make runs for it; None: nothing."""
        return None

    def hands_in(self) -> None:
        """The runtime is closed, outside a session of pytest: hand in what instances have given."""

    # -- asked of those in use: time -----------------------------------------------------------------------------------

    @property
    def look_every(self) -> float | None:
        """At most so many real seconds between two looks at what passes; None: what is received is enough."""
        return None

    def forbids_lease(self, instance: Instance, event: Event) -> bool:
        """Whether *instance*, which alone computes, must not move the clock itself while it runs *event*."""
        return False

    def holds(self, call: Call) -> float | None:
        """For how many real seconds *call* must not move the clock, as something else is to happen first; None: it may.

        Asked before the clock moves, when no instance does anything more at this simulated time, and again after these
        seconds, in which other threads of the test run; 0 where something has just happened here. They count for
        ``real_timeout``. An instance that has a lease does not ask (`forbids_lease`), nor do features that let time
        pass themselves, as what is computed does.
        """
        return None

    def flow(self, stirring: Sequence[Instance]) -> TimeFlow | None:
        """How time flows while the *stirring* instances run; None where it jumps."""
        return None

    def is_starting(self) -> bool:
        """Whether nothing may jump past now, though time flows."""
        return False

    def happened_at(self, real: float) -> int | None:
        """What simulated time it was at *real*, in seconds of the monotonic clock; None where time does not flow."""
        return None

    def before_reports(self, call: Call) -> None:
        """What has come is received next, for *call*: real time has passed."""

    def after_reports(self, call: Call, busy: Sequence[Instance], preempt: Callable[[Instance], None]) -> None:
        """It has been; *busy* instances had the run token meanwhile, which *preempt* takes from one."""

    # -- asked of those in use: calls, events, instances -------------------------------------------------------------

    def performs(self, call: Call) -> bool:
        """Whether *call* was made and has ended here, in a thread that must not drive."""
        return False

    def call_begins(self) -> None:
        """The first of the calls that are under way begins: instances that were stopped go on."""

    def call_ends(self) -> None:
        """A call ends, and instances are stopped: told before that and after it."""

    def looks(self) -> None:
        """Real time has passed in a call without an end of it."""

    def stirs(self, instance: Instance) -> None:
        """*instance* may compute."""

    def computed(self, instance: Instance) -> None:
        """*instance* has reported its processor time; its state is still that of before the report."""

    def parked(self, instance: Instance, event: Event) -> FollowUp | None:
        """*instance* reports that it waits. What is returned is done once all that has come is received."""
        return None

    def peaked(self, instance: Instance, event: Event) -> FollowUp | None:
        """*instance* has reported its peak memory (``instance.rss``), at the end of its init or of *event*."""
        return None

    def ends(self, event: Event) -> None:
        """*event* is about to end."""

    # -- asked of those in use: events without an instance -----------------------------------------------------------

    def takes_sigterm(self, event: Event) -> bool:
        """Whether *event* has no process, and SIGTERM has come to it here."""
        return False

    def standing(self) -> Mapping[Event, Gate]:
        """The events without an instance that stand at a gate, and which."""
        return {}

    def opens(self, event: Event) -> None:
        """The gate at which *event* stands opens, after what was due before."""

    def is_settled(self, event: Event) -> bool:
        """Whether *event*, which has no instance, does nothing more at this simulated time."""
        return False

    def doing(self, event: Event) -> Doing | None:
        """What *event*, which has no instance, is doing; None where that is not known here."""
        return None

    def describes(self, event: Event) -> str | None:
        """What *event*, which has no instance, does, in words that follow its name."""
        return None
