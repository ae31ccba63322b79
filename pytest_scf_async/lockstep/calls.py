"""A blocking call: what it waits for, what it may do on the way, and what bounds it in real time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..clock import LAST_US, SimulatedClock
from ..errors import CannotEndError, hidden_from_users
from ..instances.instance import Instance
from ..instances.runtimes.listening import served_in_real_time
from ..protocol import messages, procfs
from ..protocol.kernel_waits import waits_of
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
SEEN_CPU_NS = 1_000_000
"""Processor time after which a thread that computes has seen that its lease is over."""


class Flow(Protocol):
    """Time that flows at a rate while a call goes on (``running``)."""

    def may_us(self) -> int:
        """How far time may be by now."""

    def stand(self) -> None:
        """Something holds the clock: time goes on from here when it lets go."""


class Rate:
    """Time that flows: *rate* simulated seconds in each real second, from now on."""

    def __init__(self, clock: SimulatedClock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self.stand()

    def may_us(self) -> int:
        return self.at_us(REAL.monotonic())

    def at_us(self, real: float) -> int:
        """What simulated time it was at the *real* time, in seconds of the monotonic clock."""
        passed = (real - self._since) * self._rate * 1_000_000
        return min(self._from_us + int(min(max(passed, 0), LAST_US)), LAST_US)

    def stand(self) -> None:
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
    past_overrun: bool = False
    event: Event | None = None
    """The event whose gates the call goes through."""
    opens_all_gates: bool = False
    opens_gates_to_move: bool = False
    """A gate at which an event stands is opened where time could not move otherwise."""
    jumps: bool = False
    """Time jumps to its target, also beside an instance that sees real time (``advance``)."""
    flow: Flow | None = None
    """Where time flows instead of jumping; such a call has no bounds."""
    looked: int = -1
    """The lockstep's ``news`` when it last looked whether it is done."""
    unrest: tuple[float, dict[str, int]] | None = None
    """Since when, in real time, other threads of the test have not stood still, and their processor time then (ns)."""
    begin: Callable[[], None] | None = None
    """What is done first, once stopped instances go on again."""


class TestThreads(Protocol):
    """The threads of the test's own process, where it is on the simulated clock too (``patched``)."""

    def rest(self, call: Call) -> bool:
        """Whether all of them wait, so that *call* may move the clock."""

    def alone(self) -> bool:
        """Whether the thread that asks is the only one."""


class Patience:
    """Bounds one call in real time: by what happens, and in all."""

    def __init__(self, lockstep: Lockstep, call: Call) -> None:
        self.lockstep = lockstep
        self.call = call
        self.started = REAL.monotonic()
        self.progressed = self.checked = self.started
        self.progress = lockstep.progress
        self.prompt_seconds = lockstep.prompt_seconds
        self.pictures: dict[int, object] = {}
        self.cpu: dict[int, tuple[tuple[int, int], int]] = {}
        """By instance: how often it had waited, and the processor time that it had used by then."""
        self.now_us = lockstep.clock.now_us
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
        self.pictures.clear()

    def check_is_due(self) -> bool:
        """Whether it is time for a look although something was heard."""
        return REAL.monotonic() - self.checked > CHECK_EVERY

    def check(self, busy: list[Instance] | None) -> None:
        """Called now and then, and when nothing was heard for a while: look at who computes, and at the bounds."""
        self.quiet = True
        now = REAL.monotonic()
        self.progressed += max(
            now - self.checked - UNSEEN, 0
        )  # this process did not run: it was stopped, or had no core
        self.checked = now
        lockstep = self.lockstep
        for instance in busy or ():
            self._look_at(instance)
        self._refuse_what_serves_in_real_time()
        if busy is not None:
            lockstep.reports.check_memories()
        if lockstep.progress != self.progress or lockstep.clock.now_us != self.now_us or self._children_worked():
            self.progress, self.now_us = lockstep.progress, lockstep.clock.now_us
            self.progressed = now
        if self.call.flow is not None:
            return
        settings = lockstep.settings
        if now - self.progressed > settings.real_timeout:
            limit = f"{settings.real_timeout:g} real seconds (real_timeout, {settings.source('real_timeout')})"
            reason = f"nothing has happened for {limit}"
        elif now - self.started - (lockstep.prompt_seconds - self.prompt_seconds) > settings.real_limit:
            limit = f"{settings.real_limit:g} real seconds (real_limit, {settings.source('real_limit')})"
            reason = f"the call took {limit}"
        else:
            return
        raise CannotEndError(explain(lockstep, self.call, reason))

    def _refuse_what_serves_in_real_time(self) -> None:
        for instance, event in list(self.lockstep.pool.events.items()):
            if event.function.launch is None or instance.parent is not None:
                continue
            if instance.holds_clock or not instance.channel_open:
                why = served_in_real_time(instance, event)
                if why is not None:
                    self.lockstep.refuse(
                        event, f"event {event.request_id} of {event.function.configuration.name}: {why}"
                    )

    def _look_at(self, instance: Instance) -> None:
        if not instance.pid or instance.gone:
            return
        if instance.signalled:
            instance.poke()
        if instance.overtaken and not instance.turn:
            self._ask(instance)
            return
        running, picture = procfs.activity(instance.pid)
        if not running and picture and self.pictures.get(instance.number) == picture:
            if self._ends_a_lease(instance, None):
                return
            instance.overtaken = True  # every thread of it sleeps in the kernel, and one of them outside the door
            self._tell_of_sleeps(instance)
            self._overtake(instance)
            return
        self.pictures[instance.number] = picture
        event = self.lockstep.pool.events.get(instance)
        if event is None or event.phase == "init":
            return
        used = procfs.cpu_ns(instance.pid)
        waits, since = self.cpu.get(instance.number, ((-1, 0), 0))
        if waits != instance.waits:
            waits, since = self.cpu[instance.number] = instance.waits, used
        if used - since > self.lockstep.settings.compute_grace * 1e9 and not self._ends_a_lease(instance, used):
            instance.overtaken = instance.overrun = True
            if event.repeatable:
                event.repeatable = False
                grace = self.lockstep.settings.compute_grace
                event.note("instance", f"computes for more than {grace:g} s of processor time: not repeatable")
            self._overtake(instance)

    def _tell_of_sleeps(self, instance: Instance) -> None:
        """Say so where code in C sleeps: its test has meant simulated time."""
        event = self.lockstep.pool.events.get(instance)
        if event is None or instance.children.possible:  # the waits of ``subprocess`` are real sleeps
            return
        for wait in waits_of(instance.pid).values():
            if wait.sleeps:
                event.has_real_time(wait.sleeps, f"in {wait.text}: no simulated time passes in it")

    def _ends_a_lease(self, instance: Instance, cpu_ns: int | None) -> bool:
        """Before *instance* is overtaken: whether it has a lease whose end it has not seen for certain.

        *cpu_ns* is the processor time that it has used; None: it sleeps in the kernel, and is not about to move time.
        """
        if instance.told_us is None:
            return False
        if instance.unleased_at != instance.waits:
            instance.revoke_lease()
            instance.unleased_at = instance.waits
            self.unleased_cpu[instance.number] = cpu_ns or 0
            self._ask(instance)
            return True
        return cpu_ns is not None and cpu_ns - self.unleased_cpu.get(instance.number, 0) < SEEN_CPU_NS

    def _overtake(self, instance: Instance) -> None:
        """Take the turn from *instance*; where it has an alarm, once it has told when that is due."""
        self._ask(instance)
        instance.turn = instance.has_alarm and self.told.get(instance.number) != instance.sent
        self.told[instance.number] = instance.sent
        if instance.has_alarm:
            self.cpu.pop(instance.number, None)  # if it computes it needs some time to tell, and to hear of its turn

    @staticmethod
    def _ask(instance: Instance) -> None:
        """Threads that wait for their turn may have it now; what a thread back from a real wait woke is told so too."""
        if not instance.asked:
            instance.send(messages.ASK)
            instance.ring()  # a thread that went on under a lease left the door without a word, and none may read
            instance.asked = True
            if instance.has_alarm:
                instance.poke()  # no thread but that which waits for something real, or computes, may be there to tell

    def _children_worked(self) -> bool:
        total = 0
        for instance in self.lockstep.pool.instances:
            if instance.pid and not instance.gone and not instance.frozen:
                below = procfs.descendants_of(instance.pid) if instance.children.possible else ()
                total += sum(procfs.cpu_ns(pid) for pid in below)
        worked = total - self.child_cpu > CHILD_CPU_NS and self.child_cpu >= 0
        self.child_cpu = total
        return worked
