"""What an event costs in real time and simulated time does not count: computing, child processes and real waits.

An event is measured from its SIGTERM on, and only while a blocking call lets it go on. Between two looks at it (some
milliseconds) the processor time of its processes is computing, whoever of its threads had it; what is left of the real
time is a wait, if something real held the clock. So a second counts once, also where an instance computes beside a
child, or on several processors. A debugger's prompt does not count, and neither do an instance that is stopped, gated
or idle, nor one that sees real time anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...instances.instance import Instance
from ...instances.state import Preemption
from ...model.timeline import Disposition
from ...protocol.real_time import REAL
from ..calls import Call
from ..event import Event
from ..real_stretches import RealCost, RealKind
from .feature import Feature, Scheduler

LONGEST_TICK = 0.02
"""Real seconds by which the kernel's count of the processor time of a running thread may be late."""
PASSES_EVERY = 0.004
"""Real seconds after which simulated time passes for what was computed, where it takes any."""


class RealCosts(Feature):
    """Measures the events of one runtime that are to be measured.

    What an event of a function with a ``compute_rate`` spends is turned into simulated time: for what several events
    spend at once, time passes once.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self.meters: dict[Event, _Meter] = {}
        self._owed_us = 0.0
        """Simulated time that has still to pass for what was spent."""

    def begins(self, event: Event) -> None:
        """Where the function of *event* has a ``compute_rate`` it is measured from here on."""
        rate = event.function.configuration.compute_rate
        if rate and event.function.runtime.in_lockstep:
            event.computes_in_time(rate)
            self._add(event, _Meter(event, RealCost(), rate))

    def before_sigterm(self, event: Event, disposition: Disposition) -> None:
        """Measure *event* from its SIGTERM on; what it has cost since an earlier one stays with that."""
        meter = self.meters.get(event)
        if event.ended or not event.function.runtime.in_lockstep or (meter is not None and meter.rate):
            return
        self._measure()
        self._add(event, _Meter(event, event.signals[-1].cost))

    def _add(self, event: Event, meter: _Meter) -> None:
        self.meters[event] = meter
        meter.start(self._now)
        self._scheduler.use(self)

    def call_begins(self) -> None:
        for meter in self.meters.values():
            meter.go_on(self._now)

    def call_ends(self) -> None:
        self._measure()

    def computed(self, instance: Instance) -> None:
        """From outside the processor time of a running thread is known less exactly."""
        self._measure()

    def before_reports(self, call: Call) -> None:
        self._measure()
        self._let_time_pass(call)

    def after_reports(self, call: Call, busy: Sequence[Instance], preempt: Callable[[Instance], None]) -> None:
        self._let_time_pass(call)
        if call.target_us is not None and self._scheduler.clock.now_us >= call.target_us:
            for instance in busy:  # it has computed until the time at which the call ends
                if instance.state.computing and instance.takes_time:
                    preempt(instance)

    def _measure(self) -> None:
        """Add what has been spent since the last look; what is received next may change what instances do."""
        self._owed_us += max((meter.measure(self._now) for meter in self.meters.values()), default=0.0) * 1_000_000

    def ends(self, event: Event) -> None:
        meter = self.meters.pop(event, None)
        if meter is not None:
            meter.measure(self._now)

    def _now(self) -> float:
        """Real seconds without those of a debugger's prompt."""
        return REAL.monotonic() - self._scheduler.prompt_seconds

    # -- compute_rate ------------------------------------------------------------------------------------------------

    @property
    def look_every(self) -> float | None:
        return PASSES_EVERY if self._takes_time() else None

    def _takes_time(self) -> bool:
        """Whether what an event computes takes simulated time."""
        return any(meter.rate for meter in self.meters.values())

    def forbids_lease(self, instance: Instance, event: Event) -> bool:
        return instance.takes_time

    def _let_time_pass(self, call: Call) -> None:
        """Let simulated time pass for what has been spent, from timeout to timeout, at most to the target of *call*."""
        clock = self._scheduler.clock
        if call.flow is not None or self._scheduler.flow_of(self._scheduler.pool.stirring()) is not None:
            self._owed_us = 0.0  # it passes by itself
        while self._owed_us >= 1:
            timers = [each.timer for each in self._scheduler.events_running() if each.timer is not None]
            limits = [timer.due_us for timer in timers] + ([] if call.target_us is None else [call.target_us])
            until = max(clock.now_us, min([clock.now_us + int(self._owed_us), *limits]))
            if until == clock.now_us:
                break
            self._owed_us -= until - clock.now_us
            clock.jump(until)
            for timer in timers:
                if timer.due_us <= until and not timer.cancelled:
                    fire = timer.fire
                    timer.cancel()
                    fire()  # who computes keeps the run token from everybody, but not from its timeout
        if not self._takes_time():
            self._owed_us = 0.0
        for event in self.meters:
            if event.instance is not None:
                self._show_time(event.instance)
        if not self.meters:
            self._scheduler.leave(self)

    def stirs(self, instance: Instance) -> None:
        if instance.takes_time:
            self._show_time(instance)

    def _show_time(self, instance: Instance) -> None:
        """Let *instance*, which goes on, know how its computing and the time belong together.

        A wait that it begins in the middle of computing is counted from its own processor time: by the clock, which is
        moved when we look, it would begin too early, and the computing since would be lost in it.
        """
        event = self._scheduler.pool.events.get(instance)
        meter = None if event is None else self.meters.get(event)
        if meter is not None and meter.rate and not (instance.gone or instance.released):
            now_us = self._scheduler.clock.now_us + int(self._owed_us)
            taken_us = int(meter.counted_ns * meter.rate / 1_000)
            instance.control.computed = now_us - taken_us


class _Meter:
    """What one event spends."""

    def __init__(self, event: Event, cost: RealCost, rate: float = 0.0) -> None:
        self._event = event
        self._cost = cost
        self.rate = rate
        """Simulated seconds for each real one; 0: it is measured only."""
        self._since = 0.0
        self._unused = 0.0
        """Real seconds up to then in which, as far as the kernel had counted, nothing was computed."""
        self.counted_ns = 0
        """The processor time of the instance that has been counted, or that it had before; 0: it has yet to begin."""
        self._has_children = False
        """A child process held the clock at the last look."""

    def start(self, now: Callable[[], float]) -> None:
        """Nothing was spent up to *now*."""
        self.go_on(now)
        instance = self._event.instance
        self.counted_ns = 0 if instance is None or not instance.pid else _cpu_ns(instance) or 0

    def go_on(self, now: Callable[[], float]) -> None:
        """It was stopped up to *now*: no real time counts, and no processor time was used."""
        self._since = now()
        self._look_at_children()

    def measure(self, now: Callable[[], float]) -> float:
        """Add what was spent up to *now*; gives the simulated seconds that it takes.

        The time is read before the processor time, and once more after it. Both belong to what was computed: who looks
        may be without a processor between two readings, and who computes may have it.
        """
        until = now()
        used = self._cpu_used()
        if used is None:
            return 0.0  # it has just ended, and the zygote's message of how much it has used is on its way
        used = min(used, now() - self._since + self._unused)
        passed, self._since = until - self._since, until
        self._unused = min(max(passed - used, 0.0), LONGEST_TICK)
        instance = self._going_on()
        waits = instance is not None and (
            instance.state.held
            or (instance.state.preemption is Preemption.SLEEPS and not instance.children.threads_rest)
        )
        children = self._has_children
        self._look_at_children()
        if used > 0:
            self._add("computing", used)
        if passed > used and (children or waits):
            self._add("children" if children else "waiting", passed - used)
            used, self._unused = passed, 0.0
        return used * self.rate

    def _going_on(self) -> Instance | None:
        """The instance, unless the harness keeps it from going on."""
        it = self._event.instance
        if it is None or it.gone or it.released or it.stopped or it.state.idle:
            return None
        return None if it.state.gated and not it.state.run_token else it

    def _cpu_used(self) -> float | None:
        """Processor seconds of the instance since the last look; None while they are not known."""
        instance = self._event.instance
        if instance is None or not instance.pid:
            return 0.0
        now = _cpu_ns(instance)
        if now is None:
            return None
        used = max(now - self.counted_ns, 0)
        self.counted_ns += used
        return used / 1e9

    def _look_at_children(self) -> None:
        instance = self._going_on()
        self._has_children = instance is not None and instance.children.possible and bool(instance.children.look())

    def _add(self, kind: RealKind, seconds: float) -> None:
        self._cost.add(kind, seconds)
        self._event.spent(kind, seconds)


def _cpu_ns(instance: Instance) -> int | None:
    """Processor time of the user code of *instance*, not of children that are none; None: it has just ended."""
    if instance.gone:
        return instance.user_process.cpu_ns(instance.used_ns)
    used_ns = instance.user_process.cpu_ns(None)
    return None if used_ns is None else max(used_ns, instance.used_ns)
