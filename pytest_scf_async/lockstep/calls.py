"""A blocking call: what it waits for, what it may do on the way, and what bounds it in real time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..clock import LAST_US, SimulatedClock
from ..errors import CannotEndError, hidden_from_users
from ..instances.instance import Instance
from ..protocol import procfs
from ..protocol.kernel_waits import waits_for_reaper, waits_of
from ..protocol.real_time import REAL
from .diagnosis import explain
from .event import Event

if TYPE_CHECKING:
    from .scheduler import Lockstep

__tracebackhide__ = hidden_from_users

FIRST_LOOK = 0.02
"""Real seconds without a word from the instance that has the turn, after which ``/proc`` is looked at."""
LOOK_EVERY = 0.01
CHECK_EVERY = 0.05
"""Real seconds after which the bounds of a call are looked at although there is always something to hear."""
UNSEEN = 0.1
"""Real seconds between two looks that count at most as such without progress: nobody was there to see any in more."""
CHILD_CPU_NS = 1_000_000
"""Processor time of children that counts as progress."""
SEEN_CPU_NS = 12_000_000
"""Processor time after which a thread that computes has seen that its lease is over.

It sees that within microseconds, but the kernel counts the time of a thread that runs in ticks of up to 10 ms: a tick
that ends after the first reading adds time from before it.
"""


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
    past_cpu_bound: bool = False
    event: Event | None = None
    """The event whose gates the call goes through."""
    opens_all_gates: bool = False
    opens_gates_to_move: bool = False
    """A gate at which an event stands is opened where time could not move otherwise."""
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
    grace_of: Event | None = None
    """The event that is ended, or gets a signal, after this call: it has ``compute_grace`` real seconds to settle, and
    ``real_timeout`` in its init. Whatever it does then, the call ends, and raises nothing."""
    grace_is_over: bool = False
    waits_for: Sequence[Event] = ()
    """The events, beside *event*, without which it does not end: instances of theirs on which another call has given up
    go on."""

    def is_held_by(self, instance: Instance) -> bool:
        """Whether *instance* keeps this call from moving the clock."""
        passes = self.past_cpu_bound and instance.cpu_bound and (not instance.takes_time or self.flow is not None)
        return instance.holds_clock and not (self.past_held or passes)


class TestThreads(Protocol):
    """The threads of the test's own process, where it is on the simulated clock too (``patched``)."""

    def rest(self, call: Call) -> bool:
        """Whether all of them wait, so that *call* may move the clock."""

    def alone(self) -> bool:
        """Whether the thread that asks is the only one."""


class OwnTime:
    """Real seconds that a process had to itself: those in which it waited for a processor do not count.

    A bound in real time would otherwise depend on what else the machine has to do.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._delays: dict[str, int] | None = None

    def add(self, seconds: float, picture: procfs.Picture) -> None:
        """*seconds* have passed since the last time, by the end of which its threads were as in *picture*."""
        delays, before = procfs.delays_ns_of(picture), self._delays
        self._delays = delays
        if before is not None:
            waited = max((delay - before.get(task, 0) for task, delay in delays.items()), default=0)
            self.seconds += max(seconds - waited / 1e9, 0)


class Unrest:
    """Threads of the test's process that have not stood still since the first look at them."""

    def __init__(self, now: float) -> None:
        self.own = OwnTime()
        self.cpu_ns: dict[str, int] = {}
        """The processor time of each, by its id in ``/proc``, when it was first seen."""
        self.looked_at = now

    def look(self, now: float, picture: procfs.Picture) -> None:
        """All threads of the process are as in *picture*, at *now* by the real clock."""
        self.own.add(now - self.looked_at, picture)
        self.looked_at = now


class Stretch:
    """What an instance has done since its last wait, as far as looks at it show."""

    def __init__(self, waits: tuple[int, ...], picture: procfs.Picture) -> None:
        self.waits = waits
        self.cpu_ns = procfs.cpu_ns_of(picture)
        """The processor time that it had used when it began."""
        self.own = OwnTime()
        self.looks = self.asleep = self.writing = 0
        """How often it was looked at; all its threads slept; it could not go on before we had read what it wrote."""


class Watchdog:
    """Bounds one call in real time: by what happens, and in all."""

    def __init__(self, lockstep: Lockstep, call: Call) -> None:
        self.lockstep = lockstep
        self.call = call
        self.started = REAL.monotonic()
        self.progressed = self.checked = self.started
        self.progress = lockstep.progress
        self.prompt_seconds = lockstep.prompt_seconds
        self.pictures: dict[int, object] = {}
        self.stretches: dict[int, Stretch] = {}
        """By instance."""
        self.grace = OwnTime()
        self.grace_phase = ""
        self.began_us = self.now_us = lockstep.clock.now_us
        self.unleased_cpu: dict[int, int] = {}
        """By instance: the processor time that it had used when its lease was ended because it does not speak."""
        self.told: dict[int, int] = {}
        """By instance: how many frames it had been sent when it was last to tell of its alarm."""
        self.child_cpu = -1
        self.quiet = False

    def next_look(self) -> float:
        """Real seconds until the next look at what does not speak."""
        return LOOK_EVERY if self.quiet else FIRST_LOOK

    def heard(self) -> None:
        self.quiet = False

    def check_is_due(self, look: bool = False) -> bool:
        """Whether it is time for a look: for the *look* where nothing was heard, or although something was."""
        return REAL.monotonic() - self.checked >= (self.next_look() if look else CHECK_EVERY)

    def check(self, busy: list[Instance] | None) -> None:
        """Called now and then, and when nothing was heard for a while: look at who computes, and at the bounds."""
        self.quiet = True
        now = REAL.monotonic()
        passed = now - self.checked
        self.progressed += max(passed - UNSEEN, 0)  # this process did not run: it was stopped, or had no core
        self.checked = now
        lockstep = self.lockstep
        for instance in busy or ():
            self._look_at(instance, min(passed, UNSEEN))
        if self.call.grace_of is not None:
            self._look_at_grace(self.call.grace_of, min(passed, UNSEEN))
        self._refuse_what_serves_in_real_time()
        if busy is not None:
            lockstep.reports.check_memories()
        if lockstep.progress != self.progress or lockstep.clock.now_us != self.now_us or self._children_worked():
            self.progress, self.now_us = lockstep.progress, lockstep.clock.now_us
            self.progressed = now
        if self.call.flow is not None:
            return
        settings = lockstep.settings
        stands_still = now - self.progressed > settings.real_timeout and not self._is_starved(settings.real_timeout)
        takes_long = now - self.started - (lockstep.prompt_seconds - self.prompt_seconds) > settings.real_limit
        if not (stands_still or takes_long) or self.call.done():
            return
        if self.call.grace_of is not None:
            self.call.grace_is_over = True
            return
        if self._ends_leases() or (not takes_long and self._goes_on_without_them(busy)):
            return
        if stands_still:
            limit = f"{settings.real_timeout:g} real seconds (real_timeout, {settings.source('real_timeout')})"
            reason = f"nothing has happened for {limit}"
        else:
            limit = f"{settings.real_limit:g} real seconds (real_limit, {settings.source('real_limit')})"
            reason = f"the call took {limit}"
        passed_us = 0 if stands_still else lockstep.clock.now_us - self.began_us
        text = explain(lockstep, self.call, reason, passed_us)
        raise CannotEndError(text + self._give_up(lambda each: lockstep.goes_on(each) or self.call.is_held_by(each)))

    def _is_starved(self, seconds: float) -> bool:
        """Whether it waits for threads of the test that had less than *seconds*, without waits for a processor."""
        unrest = self.call.unrest
        return unrest is not None and self.checked - unrest.looked_at < seconds / 2 and unrest.own.seconds <= seconds

    def _ends_leases(self) -> bool:
        """Before the call fails: whether an instance may still move the clock, so that no other call may begin."""
        self.call.leases = False
        ending = [self._ends_a_lease(each) for each in self.lockstep.pool.instances if each.computing]  # all begin
        return any(ending)

    def _goes_on_without_them(self, busy: list[Instance] | None) -> bool:
        """Where nothing happens because instances compute: whether the call goes on without them."""
        if busy is None or not self.call.past_cpu_bound:
            return False
        self._give_up(self.lockstep.goes_on)
        if any(self.lockstep.goes_on(each) or self.call.is_held_by(each) for each in self.lockstep.pool.instances):
            return False
        self.progressed = self.checked
        return True

    def _give_up(self, blamed: Callable[[Instance], bool]) -> str:
        """Let other calls go on without the instances that are *blamed*; what an error says about that."""
        events: dict[Event, None] = {}
        for instance in self.lockstep.pool.instances:
            event = self.lockstep.pool.events.get(instance)
            moves_clock = instance.told_us is not None and instance.unleased_at != instance.waits
            if event is not None and blamed(instance) and not moves_clock:
                events[event] = None
        for event in events:
            assert event.instance is not None
            event.instance.give_up()
            event.not_repeatable(f"{self.call.name} gave up on it: it is stopped until a call waits for this event")
        if not events or events.keys() >= set(self.lockstep.events_running()):
            return ""
        named = " and ".join(event.request_id for event in events)
        it, stays = ("it", "stays") if len(events) == 1 else ("they", "stay")
        return f"\nOther events and the clock go on without {named}: {it} {stays} stopped until a call waits for {it}."

    def _look_at_grace(self, event: Event, passed: float) -> None:
        """Count the time that *event* has had to settle, whatever is heard of it meanwhile."""
        if event.instance is None or not event.instance.pid:
            return
        if event.phase != self.grace_phase:
            self.grace, self.grace_phase = OwnTime(), event.phase
        self.grace.add(passed, event.instance.user_process.delays())
        settings = self.lockstep.settings
        limit = settings.real_timeout if event.phase == "init" else settings.compute_grace
        self.call.grace_is_over = self.grace.seconds > limit

    def _refuse_what_serves_in_real_time(self) -> None:
        for instance in self.lockstep.pool.stirring():
            event = self.lockstep.pool.events.get(instance)
            why = None if event is None else event.function.runtime.why_unreachable(instance, event)
            if event is not None and why is not None:
                self.lockstep.refuse(event, f"event {event.request_id} of {event.function.configuration.name}: {why}")

    def _look_at(self, instance: Instance, passed: float) -> None:
        if not instance.pid or instance.gone:
            return
        if instance.signalled and not instance.traces_user_code:
            instance.poke()
        if instance.preempted and not instance.turn:
            instance.ask()
            return
        running, picture = instance.user_process.activity()
        if not running and picture and self.pictures.get(instance.number) == picture:
            if not instance.lives():
                return  # nothing of it sleeps: it has ended, and the zygote's word of that is on its way
            if any(map(waits_for_reaper, instance.user_process.all)):
                return  # it goes on in a moment
            if self._ends_a_lease(instance, sleeps=True):
                return
            instance.preempted = True  # every thread of it sleeps in the kernel, and one of them outside the scheduler
            self._tell_of_sleeps(instance)
            self._preempt(instance)
            return
        self.pictures[instance.number] = picture
        event = self.lockstep.pool.events.get(instance)
        stretch = self.stretches.get(instance.number)
        # A traced thread that goes on beside one that computes needs its time, too: they share one processor.
        waits = (*instance.waits, instance.turns) if instance.traces_user_code else instance.waits
        if stretch is None or stretch.waits != waits:
            stretch = self.stretches[instance.number] = Stretch(waits, picture)
        stretch.own.add(passed, instance.user_process.delays() if instance.traces_user_code else picture)
        stretch.looks += 1
        if not running:
            writing = instance.output.is_full()
            stretch.writing += writing
            stretch.asleep += not writing
        grace = self.lockstep.settings.compute_grace
        used = procfs.cpu_ns_of(picture)
        late = stretch.own.seconds > grace
        # Its threads wake up again and again without a wait: code in C polls something, or sleeps and keeps the GIL.
        sleeps = late and 2 * stretch.asleep > stretch.looks
        computes = used - stretch.cpu_ns > grace * 1e9 or (late and 2 * stretch.writing > stretch.looks)
        if event is None or not (sleeps or (computes and event.phase != "init")) or self._ends_a_lease(instance):
            return
        instance.preempted = True
        instance.cpu_bound = computes
        if event.repeatable:
            does = "computes" if computes else "sleeps and wakes up in real time"
            event.not_repeatable(f"{does} for more than {grace:g} s without a wait: not repeatable")
        if sleeps:
            self._tell_of_sleeps(instance)
        self._preempt(instance)

    def _tell_of_sleeps(self, instance: Instance) -> None:
        """Say so where code in C sleeps: its test has meant simulated time."""
        event = self.lockstep.pool.events.get(instance)
        if event is None or instance.children.possible:  # the waits of ``subprocess`` are real sleeps
            return
        for wait in (each for pid in instance.user_process.all for each in waits_of(pid).values()):
            if wait.sleeps:
                event.has_real_time(wait.sleeps, f"in {wait.text}: no simulated time passes in it")

    def _ends_a_lease(self, instance: Instance, *, sleeps: bool = False) -> bool:
        """Before *instance* is preempted: whether it has a lease whose end it has not seen for certain.

        One that *sleeps* in the kernel is not about to move time.
        """
        if instance.told_us is None or not instance.lives():  # one that has ended moves nothing, and sees nothing
            return False
        if instance.unleased_at != instance.waits:
            instance.revoke_lease()
            instance.unleased_at = instance.waits
            self.unleased_cpu[instance.number] = _cpu_ns(instance)
            instance.ask()
            return True
        if instance.traces_user_code:
            return instance.poll_requested  # it answers also while user code computes
        return not sleeps and _cpu_ns(instance) - self.unleased_cpu.get(instance.number, 0) < SEEN_CPU_NS

    def preempt(self, instance: Instance) -> None:
        """Take the turn from *instance*, which computes."""
        instance.preempted = instance.cpu_bound = True
        self._preempt(instance)

    def _preempt(self, instance: Instance) -> None:
        """Take the turn from *instance*; where it has an alarm, once it has told when that is due."""
        instance.ask()
        instance.turn = instance.has_alarm and self.told.get(instance.number) != instance.sent
        self.told[instance.number] = instance.sent
        if instance.has_alarm:
            self.stretches.pop(instance.number, None)  # if it computes it needs time to tell, and to hear of its turn

    def _children_worked(self) -> bool:
        total = 0
        for instance in self.lockstep.pool.stirring():
            if instance.pid and not instance.gone and not instance.frozen:
                below = procfs.descendants_of(instance.pid) if instance.children.possible else ()
                total += sum(procfs.cpu_ns(pid) for pid in below)
        worked = total - self.child_cpu > CHILD_CPU_NS and self.child_cpu >= 0
        self.child_cpu = total
        return worked


def _cpu_ns(instance: Instance) -> int:
    """Nanoseconds of processor time that the threads of the user's process in *instance* have used."""
    return sum(map(procfs.cpu_ns, instance.user_process.all))
