"""The watchdog of a blocking call: it bounds the call in real time, and looks at instances that do not report."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

from ..clock import SimulatedClock
from ..errors import CannotEndError, ScfAsyncWarning, hidden_from_users
from ..instances.instance import Instance
from ..instances.pool import Pool
from ..instances.state import InstanceFact
from ..linux import procfs
from ..linux.kernel_waits import waits_for_reaper, waits_of
from ..options import ScfSettings
from ..protocol.real_time import REAL
from ..protocol.shortening import real_seconds
from .answers import AnswerOrder
from .calls import UNSEEN, Call, OwnTime
from .diagnosis import Snapshot, explain
from .event import Event
from .features.feature import Feature

__tracebackhide__ = hidden_from_users

FIRST_LOOK = 0.02
"""Real seconds without a report of the instance that has the run token, after which ``/proc`` is looked at."""
LOOK_EVERY = 0.01
CHECK_EVERY = 0.05
"""Real seconds after which the bounds of a call are looked at although there is always something to receive."""
CHILD_CPU_NS = 1_000_000
"""Processor time of children that counts as progress."""
STANDS = 2.0
"""Real seconds after which nobody is expected to have a process go on that a signal has stopped."""
STOPPED = (
    "its process was stopped by a signal (SIGSTOP, SIGTSTP) from its own code or from a child process, and nothing has "
    "continued it (SIGCONT)"
)
ZYGOTE_STOPPED = (
    "a signal (SIGSTOP, SIGTSTP) stopped the zygote, from which instances are forked, or its reaper, and pytest "
    "continued it: a handler's code signals processes that it did not start (os.getppid(), a process group)"
)
SEEN_CPU_NS = 12_000_000
"""Processor time after which a thread that computes has seen that its lease is over.

It sees that within microseconds, but the kernel counts the time of a thread that runs in ticks of up to 10 ms: a tick
that ends after the first reading adds time from before it.
"""


class Host(Protocol):
    """What the watchdog asks of the scheduler of its runtime, and has it do."""

    clock: SimulatedClock
    pool: Pool[Event]
    settings: ScfSettings
    answers: AnswerOrder
    features: tuple[Feature, ...]
    progress: int
    prompt_seconds: float

    def apply(self, instance: Instance, fact: InstanceFact) -> None: ...
    def goes_on(self, instance: Instance) -> bool: ...
    def events_running(self) -> list[Event]: ...
    def snapshot(self) -> Snapshot: ...
    def refuse_unreachable(self, event: Event, instance: Instance, why: str | None = None) -> None: ...


class Stretch:
    """What an instance has done since its last wait, as far as looks at it show."""

    def __init__(self, waits: tuple[int, ...], picture: procfs.Picture) -> None:
        self.waits = waits
        self.cpu_ns = procfs.cpu_ns_of(picture)
        """The processor time that it had used when it began."""
        self.own = OwnTime()
        self.looks = self.asleep = self.writing = 0
        """Counts of looks: all; those that found all its threads asleep; those that found its output pipe full."""


class Watchdog:
    """Bounds one call in real time: by what happens, and in all."""

    def __init__(self, scheduler: Host, call: Call) -> None:
        self.scheduler = scheduler
        self.call = call
        self.started = REAL.monotonic()
        self.progressed = self.checked = self.started
        self.progress = scheduler.progress
        self.prompt_seconds = scheduler.prompt_seconds
        self.pictures: dict[int, object] = {}
        self.stretches: dict[int, Stretch] = {}
        """By instance."""
        self.owns: dict[int, OwnTime] = {}
        """By instance."""
        self.grace = OwnTime()
        self.grace_phase = ""
        self.began_us = self.now_us = scheduler.clock.now_us
        self.unleased_cpu: dict[int, int] = {}
        """By instance: the processor time that it had used when its lease was ended because it does not speak."""
        self.polled: dict[int, int] = {}
        """By instance: how many messages it had been sent when it was last to report its alarm."""
        self.standing: dict[int, float] = {}
        """By instance: when its process was first found stopped by a signal of others."""
        self.child_cpu = -1
        self.quiet = False

    def next_look(self) -> float:
        """Real seconds until the next look at instances that send nothing."""
        return LOOK_EVERY if self.quiet else FIRST_LOOK

    def received(self) -> None:
        self.quiet = False

    def check_is_due(self, look: bool = False) -> bool:
        """Whether a check is due: after `next_look` with *look* (nothing was received), else after CHECK_EVERY."""
        return REAL.monotonic() - self.checked >= (self.next_look() if look else CHECK_EVERY)

    def check(self, busy: list[Instance] | None) -> None:
        """Look at who computes, and at the bounds: called now and then, and if nothing was received for a while."""
        self.quiet = True
        now = REAL.monotonic()
        passed = now - self.checked
        self.progressed += max(passed - UNSEEN, 0)  # this process did not run: it was stopped, or had no core
        self.checked = now
        scheduler = self.scheduler
        flows = self.call.flow is not None  # it has no end of its own, and others wait for what it brings
        starved = max([self._look_at(each, min(passed, UNSEEN)) for each in busy or ()], default=0)
        self.progressed += 0 if flows else starved
        settles = self.call.event if self.call.raises else self.call.grace_of
        if settles is not None:
            self._look_at_grace(settles, min(passed, UNSEEN))
        self._look_at_zygotes()
        self._refuse_unreachable()
        if busy is not None:
            for feature in scheduler.features:
                feature.looks()
        if scheduler.progress != self.progress or scheduler.clock.now_us != self.now_us or self._children_worked():
            self.progress, self.now_us = scheduler.progress, scheduler.clock.now_us
            self.progressed = now
        settings = scheduler.settings
        patience = settings.real_timeout / 2 if flows else settings.real_timeout
        stands_still = now - self.progressed > patience and not self._is_starved(patience)
        in_call = now - self.started - (scheduler.prompt_seconds - self.prompt_seconds)
        takes_long = in_call > settings.real_limit and not flows
        unsettled = self.call.raises and self.call.grace_is_over
        if not (stands_still or takes_long or unsettled) or self.call.done():
            return
        if self.call.may_end_grace():
            self.call.end_grace()
            return
        if self._revoke_leases() or (not takes_long and self._goes_on_without_them(busy, patience)) or flows:
            return
        if stands_still or not takes_long:
            limit = f"{real_seconds(settings.real_timeout)} (real_timeout, {settings.source('real_timeout')})"
            reason = f"nothing has happened for {limit}" if stands_still else f"the event has not settled for {limit}"
        else:
            limit = f"{real_seconds(settings.real_limit)} (real_limit, {settings.source('real_limit')})"
            reason = f"the call took {limit}"
        passed_us = 0 if not takes_long else scheduler.clock.now_us - self.began_us
        text = explain(scheduler.snapshot(), self.call.name, reason, passed_us)
        raise CannotEndError(text + self._give_up(lambda each: scheduler.goes_on(each) or self.call.is_held_by(each)))

    def _is_starved(self, seconds: float) -> bool:
        """Whether it waits for threads of the test that had less than *seconds*, without waits for a processor."""
        unrest = self.call.unrest
        return unrest is not None and self.checked - unrest.looked_at < seconds / 2 and unrest.own.seconds <= seconds

    def _revoke_leases(self) -> bool:
        """Revoke all leases before the call fails. True while an instance may still move the clock."""
        self.call.end_leases()
        computing = [each for each in self.scheduler.pool.instances if each.state.computing]
        ending = [self._revoke_lease_of(each) for each in computing]  # all of them begin to
        return any(ending)

    def _goes_on_without_them(self, busy: list[Instance] | None, seconds: float) -> bool:
        """Where nothing happens for *seconds* because instances compute: whether the call goes on without them."""
        call, instances = self.call, list(self.scheduler.pool.instances)
        computing = [each for each in instances if self._computes(each)]
        if busy is None or any(call.is_held_by(each) for each in instances if each not in computing):
            return False
        passes = call.past_held or call.flow is not None
        timed = [each for each in computing if self._times_out(each) and not (passes and each.state.cpu_bound)]
        if not passes and len(timed) < len(computing):
            return False
        for instance in computing:
            event = self.scheduler.pool.events.get(instance)
            if instance in timed:
                self.scheduler.apply(instance, InstanceFact.GIVEN_UP)
            elif not instance.state.cpu_bound:
                self.preempt(instance)
            if event is not None:
                event.outwaited("timeout" if instance in timed else "flows" if call.flow else "passes", seconds)
        call.passes(computing)
        self.progressed = self.checked
        return True

    def _computes(self, instance: Instance) -> bool:
        """Whether the call waits for *instance* because that computes."""
        state = instance.state
        return self.call.is_held_by(instance) if state.cpu_bound else self.scheduler.goes_on(instance)

    def _times_out(self, instance: Instance) -> bool:
        """Whether the call asks for time in which the timeout of its event comes."""
        event = self.scheduler.pool.events.get(instance)
        timer = None if event is None else event.timer
        return timer is not None and self.call.until_us is not None and timer.due_us <= self.call.until_us

    def _give_up(self, blamed: Callable[[Instance], bool]) -> str:
        """Let other calls go on without the instances that are *blamed*; what an error says about that."""
        events: dict[Event, None] = {}
        for instance in self.scheduler.pool.instances:
            event = self.scheduler.pool.events.get(instance)
            moves_clock = instance.reported_us is not None and instance.unleased_at != instance.waits
            if event is not None and blamed(instance) and not moves_clock:
                events[event] = None
        for event in events:
            assert event.instance is not None
            self.scheduler.apply(event.instance, InstanceFact.GIVEN_UP)
            event.given_up(self.call.name)
        if not events or events.keys() >= set(self.scheduler.events_running()):
            return ""
        named = " and ".join(event.request_id for event in events)
        it, stays = ("it", "stays") if len(events) == 1 else ("they", "stay")
        return (
            f"\nOther events and the clock carry on without {named}: {it} {stays} stopped until a call waits for {it}."
        )

    def _look_at_grace(self, event: Event, passed: float) -> None:
        """Count the time that *event* has had to settle, whatever it reports meanwhile."""
        if event.instance is None or not event.instance.pid or not event.function.runtime.in_lockstep:
            return
        if event.phase != self.grace_phase:
            self.grace, self.grace_phase = OwnTime(), event.phase
        self.grace.add(passed, event.instance.user_process.delays())
        settings = self.scheduler.settings
        limit = settings.compute_grace if self.call.forced and event.phase != "init" else settings.real_timeout
        if self.call.raises or self.call.may_end_grace():
            self.call.end_grace(over=self.grace.seconds > limit)

    def _look_at_zygotes(self) -> None:
        for zygote in dict.fromkeys(instance.zygote for instance in self.scheduler.pool.stirring()):
            zygote.go_on()
            if zygote.take_stop():
                warnings.warn(ZYGOTE_STOPPED, ScfAsyncWarning, stacklevel=2)

    def _refuse_unreachable(self) -> None:
        for instance in self.scheduler.pool.stirring():
            event = self.scheduler.pool.events.get(instance)
            if event is not None:
                self.scheduler.refuse_unreachable(event, instance, STOPPED if self._stands(instance) else None)

    def _stands(self, instance: Instance) -> bool:
        """Whether a signal has stopped its process, and not this one, and nothing has had it go on for a while."""
        if instance.stopped or not instance.pid or procfs.state_of(instance.pid) != b"T":
            self.standing.pop(instance.number, None)
            return False
        return self.checked - self.standing.setdefault(instance.number, self.checked) > STANDS

    def _look_at(self, instance: Instance, passed: float) -> float:
        """Look at *instance* after *passed* real seconds; gives those of them in which it waited for a processor."""
        if not instance.pid or instance.gone:
            return 0
        state = instance.state
        if state.signalled and not instance.traces_user_code:
            instance.poke()
        preempted = state.preempted and not state.run_token
        if preempted:
            self.scheduler.apply(instance, InstanceFact.POLLED)
            if not state.cpu_bound:
                return 0
        running, picture = instance.user_process.activity()
        if not running and picture and self.pictures.get(instance.number) == picture:
            if not instance.lives():
                return 0  # nothing of it sleeps: it has ended, and the zygote's message is on its way
            if any(map(waits_for_reaper, instance.user_process.processes())):
                return 0  # it goes on in a moment
            if preempted:
                self.scheduler.apply(instance, InstanceFact.SLEEPS_UNANNOUNCED)
            elif not self._revoke_lease_of(instance, sleeps=True):
                self._report_sleeps(instance)
                self.preempt(instance, InstanceFact.SLEEPS_UNANNOUNCED)
            return 0
        self.pictures[instance.number] = picture
        delays = instance.user_process.delays() if instance.traces_user_code else picture
        starved = self.owns.setdefault(instance.number, OwnTime()).add(passed, delays)
        if not preempted:
            self._look_at_stretch(instance, passed, running, picture, delays)
        return starved

    def _look_at_stretch(
        self, instance: Instance, passed: float, running: bool, picture: procfs.Picture, delays: procfs.Picture
    ) -> None:
        event = self.scheduler.pool.events.get(instance)
        stretch = self.stretches.get(instance.number)
        # A traced thread that goes on beside one that computes needs its time, too: they share one processor.
        waits = (*instance.waits, instance.turns) if instance.traces_user_code else instance.waits
        if stretch is None or stretch.waits != waits:
            stretch = self.stretches[instance.number] = Stretch(waits, picture)
        stretch.own.add(passed, delays)
        stretch.looks += 1
        if not running:
            writing = instance.output.is_full()
            stretch.writing += writing
            stretch.asleep += not writing
        grace = self.scheduler.settings.compute_grace
        used = procfs.cpu_ns_of(picture)
        late = stretch.own.seconds > grace
        # Its threads wake up again and again without a wait: code in C polls something, or sleeps and keeps the GIL.
        sleeps = late and 2 * stretch.asleep > stretch.looks
        computes = used - stretch.cpu_ns > grace * 1e9 or (late and 2 * stretch.writing > stretch.looks)
        if event is None or not (sleeps or (computes and event.phase != "init")) or self._revoke_lease_of(instance):
            return
        if event.repeatable:
            event.preempted(computes=computes, grace=grace)
        if sleeps:
            self._report_sleeps(instance)
        self.preempt(instance, InstanceFact.COMPUTES_TOO_LONG if computes else InstanceFact.SLEEPS_UNANNOUNCED)

    def _report_sleeps(self, instance: Instance) -> None:
        """Add an entry to the timeline where C code sleeps in real time: the test expects simulated time there."""
        event = self.scheduler.pool.events.get(instance)
        if event is None or instance.children.possible:  # the waits of ``subprocess`` are real sleeps
            return
        for wait in (each for pid in instance.user_process.processes() for each in waits_of(pid).values()):
            if wait.sleeps:
                event.has_real_time(wait.sleeps, f"in {wait.text}: no simulated time passes in it")

    def _revoke_lease_of(self, instance: Instance, *, sleeps: bool = False) -> bool:
        """Revoke the lease of *instance* before it is preempted. True while it may not have seen that.

        With *sleeps* its threads sleep in the kernel, so that none is about to move the clock.
        """
        if instance.reported_us is None or not instance.lives():  # one that has ended moves nothing, and sees nothing
            return False
        if instance.unleased_at != instance.waits:
            instance.lose_lease()
            self.unleased_cpu[instance.number] = _cpu_ns(instance)
            self.scheduler.apply(instance, InstanceFact.POLLED)
            return True
        if instance.traces_user_code:
            return instance.state.polled  # it answers also while user code computes
        return not sleeps and _cpu_ns(instance) - self.unleased_cpu.get(instance.number, 0) < SEEN_CPU_NS

    def preempt(self, instance: Instance, why: InstanceFact = InstanceFact.COMPUTES_TOO_LONG) -> None:
        """Take the run token from *instance*; where it has an alarm, once it has reported when that is due."""
        self.scheduler.apply(instance, why)
        if why is InstanceFact.SLEEPS_UNANNOUNCED:
            self.scheduler.answers.waits_by_itself(instance)
        self.scheduler.apply(instance, InstanceFact.POLLED)
        alarm_is_known = not instance.has_alarm or self.polled.get(instance.number) == instance.sent
        self.scheduler.apply(instance, InstanceFact.TOKEN_TAKEN if alarm_is_known else InstanceFact.ALARM_POLLED)
        self.polled[instance.number] = instance.sent
        if instance.has_alarm:
            self.stretches.pop(instance.number, None)  # if it computes it needs time to report, and to be resumed

    def _children_worked(self) -> bool:
        total = 0
        for instance in self.scheduler.pool.stirring():
            if instance.pid and not instance.state.idle:
                below = procfs.descendants_of(instance.pid) if instance.children.possible else ()
                total += sum(procfs.cpu_ns(pid) for pid in below)
        worked = total - self.child_cpu > CHILD_CPU_NS and self.child_cpu >= 0
        self.child_cpu = total
        return worked


def _cpu_ns(instance: Instance) -> int:
    """Nanoseconds of processor time that the threads of the user's process in *instance* have used."""
    return sum(map(procfs.cpu_ns, instance.user_process.processes()))
