"""Instances that see real time, as containers do: simulated time flows with the real one while one runs an event."""

from __future__ import annotations

from collections.abc import Sequence

from ...instances.instance import Instance
from ..calls import Call, Rate, TimeFlow
from ..event import Event
from .feature import Feature, Scheduler


class RealFlow(Feature):
    """Derives simulated time from real time while such an instance runs an event, also between calls."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._rate: Rate | None = None

    def begins(self, event: Event) -> None:
        if not event.function.runtime.in_lockstep:
            self._scheduler.use(self)
            self._goes_on()  # the program may begin before anything else is done here

    def flow(self, stirring: Sequence[Instance]) -> TimeFlow | None:
        return self._flow(stirring)

    def is_starting(self) -> bool:
        """Whether a program is on its way to listen: nothing jumps past that, and every call on it takes the time that
        this takes."""
        events = self._scheduler.pool.events
        return any(events[each].phase == "init" for each in self._in_real_time(self._scheduler.pool.stirring()))

    def happened_at(self, real: float) -> int | None:
        flow = self._flow(self._scheduler.pool.stirring())
        return None if flow is None else flow.at_us(real)

    def before_reports(self, call: Call) -> None:
        """Move the clock to now: what is received next has happened by now."""
        if self._rate is None or call.jumps or not (call.moves_clock or self.is_starting()):
            return
        instances = self._scheduler.pool.stirring()
        flow = call.flow or self._flow(instances)
        if flow is None or any(instance.state.computing or instance.holds_clock() for instance in instances):
            return
        clock = self._scheduler.clock
        limits = [limit for limit in (clock.next_due_us(), call.target_us) if limit is not None]
        clock.jump(max(clock.now_us, min([flow.may_us(), *limits])))

    def _flow(self, stirring: Sequence[Instance]) -> Rate | None:
        if any(not each.state.gated and not each.gone for each in self._in_real_time(stirring)):
            return self._goes_on()
        self._rate = None
        return None

    def _goes_on(self) -> Rate:
        if self._rate is None:
            self._rate = Rate(self._scheduler.clock, 1.0)
        elif self._rate.may_us() < self._scheduler.clock.now_us:
            self._rate.rebase()  # time has jumped since
        return self._rate

    def _in_real_time(self, stirring: Sequence[Instance]) -> list[Instance]:
        """The instances that run an event and see real time."""
        return [each for each in stirring if not each.state.in_lockstep and each in self._scheduler.pool.events]
