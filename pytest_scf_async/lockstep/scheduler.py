"""The scheduler of a runtime: at most one thread of its instances computes at a time, and only during a blocking call.

A blocking call of the test drives it: it receives what instances report, gives the run token to what is due, and, if
the call moves the clock, moves it to the next due time once every running event waits. It is the one writer of what
instances do (`state.py`) and of time, but for an instance to which it has given a lease: that moves the clock itself.
A thread of the harness that runs between calls would make results depend on the speed of the test. So the thread that
makes a blocking call drives; the other callers wait meanwhile.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final, NoReturn, TypeVar

from ..clock import WAKE_UP, SimulatedClock, to_datetime
from ..errors import CannotEndError, HarnessError, ScfAsyncError, ScfUsageError, hidden_from_users
from ..instances.instance import FollowUp, Instance, exit_of, not_started
from ..instances.interrupts import call_handlers, shielded
from ..instances.pool import Pool
from ..instances.runtimes.choice import Deployed
from ..instances.state import Doing, Effect, InstanceFact, Life, after
from ..instances.zygote import Zygote
from ..model.codes import PORT_TIMEOUT, port_not_bound_message
from ..model.timeline import Disposition
from ..model.transitions import Fact, InstanceFate, transition
from ..options import ScfSettings
from ..protocol import messages
from ..protocol.real_time import RealCondition
from ..protocol.shared_page import NextOrder
from ..protocol.time_units import NEVER_US
from .answers import AnswerOrder
from .calls import CLOSED, Call, TimeFlow
from .diagnosis import Snapshot, explain
from .event import Event
from .features.feature import Feature, Forked, Means
from .gates import Gates
from .reports import QUIET, Reports
from .shared_core import SharedCore
from .watchdog import LOOK_EVERY, Watchdog

__tracebackhide__ = hidden_from_users

F = TypeVar("F", bound=Feature)

_ALL: weakref.WeakSet[Lockstep] = weakref.WeakSet()


def _after_fork() -> None:
    """In a fork of the test process: the instances, and what they report, belong to the parent."""
    for lockstep in _ALL:
        lockstep.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


class Lockstep:
    """The scheduler of one runtime's instances, and the owner of its time."""

    news = 0
    """Grows with everything that a call may wait for. ``Call.looked`` is the value that a call saw last."""
    calls = 0
    """Blocking calls so far."""
    prompt_seconds = 0.0
    """Real seconds in which a debugger's prompt was open: no call counts them."""
    progress = 0

    def __init__(
        self,
        clock: SimulatedClock,
        pool: Pool[Event],
        settings: ScfSettings,
        next_order: NextOrder,
        features: Iterable[type[Feature]],
    ) -> None:
        self.clock = clock
        self.pool = pool
        self.settings = settings
        self.next_order = next_order
        """Gives the order of a wait that begins now; see `Order`."""
        self._running: dict[Event, None] = {}
        """In order of acceptance."""
        self.running_of: Counter[tuple[str, str]] = Counter()
        """How many of them each function has, by namespace and name."""
        self._follow_ups: deque[FollowUp] = deque()
        """Calls that reports have caused and that are still to be made: no event ends while reports are received."""
        self._reported: deque[Instance] = deque()
        """Instances of which a zygote has reported the start or the end, to whichever thread received it."""
        self._gone: deque[Instance] = deque()
        """Instances of which the zygote has reported the end, and whose last messages may not be received yet."""
        self.on_end: Callable[[Event], None] = lambda _: None
        self.on_start: Callable[[Event], None] = lambda _: None
        self.on_retry: Callable[[Event], None] = lambda _: None
        """Called for each event whose attempt failed and that is tried again."""
        self.core = SharedCore()
        self.answers = AnswerOrder(pool)
        self.gates = Gates(self)
        self._known = tuple(each(self) for each in features)
        """All features, in the order in which they are asked."""
        self.features: tuple[Feature, ...] = ()
        """Those in use."""
        self._means: dict[type, Means] = {**Reports(self).means()}
        for each in self._known:
            self._means.update(each.means())
        """What messages of instances mean, by their type."""
        self._condition = RealCondition(threading.RLock())
        self._driver: int | None = None
        self._under_way = 0
        """Blocking calls that are under way, each in a thread of its own of the test."""
        self.under_way: dict[int, Call] = {}
        """The same calls by thread."""
        self.flowing: Call | None = None
        """The call of ``running``: while it goes on, it alone drives, and lets time flow at a rate."""
        self._call: Call | None = None
        """The call for which something that is due is dealt with just now."""
        self._dispatching = False
        self._leased: Instance | None = None
        """The last instance that was let move the clock."""
        self._closed = False
        _ALL.add(self)

    # -- features ----------------------------------------------------------------------------------------------------

    def feature(self, kind: type[F]) -> F:
        """The feature of *kind*, whether it is in use or not."""
        return next(each for each in self._known if isinstance(each, kind))

    def use(self, feature: Feature) -> None:
        """Have *feature* asked from here on. One that is not in the registry is asked last."""
        if feature not in self.features:
            with self._condition:
                others = [each for each in (*self.features, feature) if each not in self._known]
                self.features = (*(each for each in self._known if each is feature or each in self.features), *others)

    def warned_of(self, deployed: Deployed) -> list[str]:
        """What features warn of where *deployed* is used."""
        return [text for feature in self._known if (text := feature.warns(deployed))]

    def forked(self) -> list[Forked]:
        """What features do in a fork of this process that is about to be made, to make runs for it."""
        return [forked for feature in self._known if (forked := feature.forked()) is not None]

    def hand_in(self) -> None:
        """Have features hand in what instances have given them: the runtime is closed, outside a session of pytest."""
        for feature in self._known:
            feature.hands_in()

    def leave(self, feature: Feature) -> None:
        """Ask *feature* no more."""
        with self._condition:
            self.features = tuple(each for each in self.features if each is not feature)

    # -- what instances do -------------------------------------------------------------------------------------------

    def apply(self, instance: Instance, fact: InstanceFact) -> None:
        """Apply *fact* to *instance*, and do what follows from it: the one place where its state changes."""
        state, effects = after(instance.state, fact)
        instance.enter(state)
        if not state.rests:
            self.instance_stirs(instance)
        for effect in effects:
            _DO[effect](instance)

    # -- events ------------------------------------------------------------------------------------------------------

    def accept(self, event: Event) -> None:
        """Take an event: it starts when the clock comes to it, in the next blocking call."""
        with self._condition:
            self.revoke_lease()
            self._running[event] = None
            self.running_of[event.record.function] += 1
            self.clock.call_at(self.clock.now_us, lambda: self._begin(event), priority=WAKE_UP, order=self.next_order())

    def _begin(self, event: Event) -> None:
        if event.ended:
            return
        if any(feature.takes(event) for feature in self._known):
            return
        instance = self.pool.take(event.function)
        cold = instance is None
        if instance is None:
            self.pool.make_room(event.function.configuration)
            self.core.end()  # processes and threads that are started now would be bound to it
            try:
                instance = self.pool.spawn(event.function, self)
            except ScfAsyncError:
                event.ends_by_close()
                self.end(event, Fact.PROCESS_EXITED)
                raise
        self.pool.assign(instance, event)
        self.answers.goes_on(event)
        event.started(instance, cold)
        gate = event.gates.get("init")
        for feature in self._known:
            feature.begins(event)
        self.gates.begin(event)
        self.apply(instance, InstanceFact.INVOKED)
        instance.send(
            messages.Invoke(
                payload=event.payload,
                context=event.context(),
                environment=event.environment(restores=self.settings.restore_environment),
                headers=event.headers(),
                gate=gate.identity if gate is not None and cold else None,
            )
        )
        instance.go_on()  # it finds the message there: to wake it once is quicker than twice
        configuration = event.function.configuration
        if not cold:
            seconds, fact, trace = configuration.timeout, Fact.TIMED_OUT, None
        elif event.function.runtime.serves_requests and configuration.init_timeout > PORT_TIMEOUT:
            seconds, fact, trace = PORT_TIMEOUT, Fact.PORT_NOT_BOUND, port_not_bound_message(PORT_TIMEOUT)
        else:
            seconds, fact, trace = configuration.init_timeout, Fact.INIT_TIMED_OUT, None
        event.runs_until(
            self.clock.call_at(self.clock.now_us + seconds * 1_000_000, lambda: self.end(event, fact, trace=trace))
        )
        self.progress += 1

    def end(self, event: Event, fact: Fact, **how: object) -> None:
        """End *event* by *fact*, and freeze or reclaim its instance."""
        if event.ended:
            return
        for feature in self.features:
            feature.ends(event)
        instance = event.instance
        if instance is not None:
            async_run = event.function.configuration.async_run
            fate = transition(event.record.state, fact, event.readings, async_run=async_run).fate
            if fate is InstanceFate.RECLAIMED or instance.gone:
                instance.has_used(*instance.user_process.memory(has_children=instance.children.possible))
                how.setdefault("mem_usage", instance.rss)
            if fate is InstanceFate.RECLAIMED and not instance.gone:
                self.pool.kill(instance)
            instance.output.finish()
            if instance.gone:
                self.instance_leased(instance)
            instance.end_lease()
            if fate is InstanceFate.RECLAIMED:
                instance.is_reclaimed(fact.value)
        event.ended_with(fact, **how)  # type: ignore[arg-type]
        if event in self._running:
            del self._running[event]
            self.running_of[event.record.function] -= 1
        self.progress += 1
        if instance is not None:
            self.pool.forget_event(instance)
            if fate is InstanceFate.RECLAIMED or instance.gone:
                event.reclaimed((fact if fate is InstanceFate.RECLAIMED else Fact.PROCESS_EXITED).value)
                self.pool.drop(instance)
            elif event.function.retired is not None:
                event.reclaimed(event.function.retired)
                self.pool.reclaim(instance, event.function.retired)
            else:
                self.apply(instance, InstanceFact.FROZEN)
                self.pool.keep_idle(instance)
        self.core.end()  # for the hooks of the test
        if event.ended:
            self.on_end(event)
        else:
            self.on_retry(event)

    def refuse(self, event: Event, why: str, trace: str = "") -> None:
        """End *event*, which the harness cannot run for a reason that lies with the test, and say *why*."""
        event.ends_by_close()
        self.end(event, Fact.PROCESS_EXITED, why=why)
        raise ScfUsageError(f"{why}\n{trace}" if trace else why)

    def refuse_unreachable(self, event: Event, instance: Instance, why: str | None = None) -> None:
        """Refuse *event* where something, or *why*, keeps it from coming to its end in its code."""
        why = event.function.runtime.why_unreachable(instance, event) or why
        if why is not None:
            self.refuse(event, f"event {event.request_id} of {event.function.configuration.name}: {why}")

    def send_sigterm(self, event: Event) -> tuple[Callable[[], bool], bool]:
        """Send SIGTERM to *event*. Gives what says whether it has arrived, and whether the event settles then."""
        if any(feature.takes_sigterm(event) for feature in self.features):
            return lambda: True, False
        instance = event.instance
        met = None if instance is None else instance.user_process.signal_state(signal.SIGTERM)
        if instance is None or met is None or instance.gone:
            event.signal_sent("no process")
            self._before_sigterm(event, "no process")
            return lambda: True, False
        disposition = instance.runtime.met(met, listens=signal.SIGTERM in instance.listening)
        event.signal_sent(disposition)
        received = self._answer_to_sigterm(event, instance, disposition)
        self._before_sigterm(event, disposition)
        instance.user_process.signal(signal.SIGTERM)
        if instance.runtime.stops_behind_lines and instance.state.gated:
            self.gates.open_now(event)  # it was stopped, and takes the signal when it goes on
        if instance.traces_user_code:
            instance.send(messages.PollSignals())
        elif disposition in ("native", "blocked"):
            self.apply(instance, InstanceFact.POLLED_BEHIND_SIGNAL)
        for feature in self._known:
            feature.after_sigterm(event)
        return received, disposition not in ("default", "unknown")

    def _before_sigterm(self, event: Event, disposition: Disposition) -> None:
        for feature in self._known:
            feature.before_sigterm(event, disposition)

    def _answer_to_sigterm(self, event: Event, instance: Instance, disposition: Disposition) -> Callable[[], bool]:
        """Prepare *instance* for SIGTERM with *disposition*. Returns a function that says whether it has arrived."""
        entered, deferred = instance.entered, instance.deferred
        if disposition == "handler":
            self.apply(instance, InstanceFact.SIGTERM_TO_HANDLER)
            return lambda: instance.entered > entered or instance.deferred > deferred
        if disposition == "blocked":
            self.apply(instance, InstanceFact.SIGTERM_TO_WAITER)
        elif disposition == "ignored":
            if instance.traces_user_code:
                self.apply(instance, InstanceFact.SIGTERM_TO_TRACER)
        elif disposition != "unknown":  # else what becomes of it cannot be known
            self.apply(instance, InstanceFact.SIGTERM_TO_PROCESS)
        if disposition != "default":
            return lambda: True
        taken = instance.runtime.takes_default(instance.user_process)
        return lambda: event.ended or instance.deferred > deferred or taken()

    # -- driving -----------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the runtime to oneself."""
        with shielded(), self._condition:
            yield

    def pump(self) -> bool:
        """Receive what has come, without waiting; whether there was anything. The caller has the lock."""
        if self._closed:
            return False
        received = self.pool.poller.poll(0)
        self._dispatch(received)
        return bool(received)

    def _dispatch(self, received: list[Instance | Zygote]) -> None:
        """Handle what was received. A hook of the test that reads a property meanwhile does not receive more."""
        self.news += bool(received)
        self._dispatching = True
        try:
            for speaker in received:
                if isinstance(speaker, Instance):
                    self._follow_ups += speaker.pump()
                    continue
                speaker.pump()
                if not speaker.alive:
                    self._zygote_died()
            while self._reported or self._follow_ups or self._gone:
                if self._reported:  # first: what follows from reports may be the end of an event that has just started
                    self.take_reports(self._reported.popleft())
                elif self._follow_ups:
                    self._follow_ups.popleft()()
                else:
                    instance = self._gone.popleft()
                    if not instance.released:
                        self._follow_ups += instance.pump()
                    self._follow_ups.append(partial(self._exited, instance))
        finally:
            self._dispatching = False

    def refresh(self) -> None:
        """Receive what has come before a property answers, unless another call is receiving."""
        with shielded():
            if self._condition.acquire(blocking=False):
                try:
                    if self._driver is None and not self._dispatching:
                        self.pump()
                finally:
                    self._condition.release()

    def _zygote_died(self) -> None:
        log_tail = None
        for instance in list(self.pool.instances):
            if not instance.zygote.alive and not instance.gone:
                instance.died_of_sigkill()
                event = self.pool.events.get(instance)
                log_tail = instance.zygote.log_tail() if log_tail is None else log_tail
                if event is not None:
                    event.zygote_died()
                    event.ends_by_close()
                    self.end(event, Fact.PROCESS_EXITED)
                else:
                    self.pool.drop(instance)
        if log_tail is not None:
            raise HarnessError(f"the zygote, which instances are forked from, is gone; {log_tail}")

    def drive(self, call: Call) -> None:
        """Run until ``call.done()``; raises ``CannotEndError`` when that cannot come."""
        with shielded():
            if not any(feature.performs(call) for feature in self.features):
                self._perform(call)

    def _perform(self, call: Call) -> None:
        with self._condition:
            if self._closed:
                raise ScfUsageError(f"{call.name}: {CLOSED}")
            self.calls += 1
            self.core.end()  # it is that of another thread
            self.revoke_lease()
            self._resume(call)
            for feature in self.features if not self._under_way else ():
                feature.call_begins()
            self._under_way += 1
            thread = threading.get_ident()
            outer = self.under_way.get(thread)
            self.under_way[thread] = call
            try:
                if call.begin is not None or call.sigterm_to is not None:
                    # What came before this call is received before that, unless an instance computes for long.
                    self._drive(Call(call.name, self._have_answered, grace_of=call.grace_of))
                if call.begin is not None:
                    call.begin()
                if call.sigterm_to is not None:
                    call.sent_sigterm(*self.send_sigterm(call.sigterm_to))
                self._drive(call)
            finally:
                self.core.end()
                self._under_way -= 1
                if outer is None:
                    del self.under_way[thread]
                else:
                    self.under_way[thread] = outer
                self.revoke_lease()
                self._call_ends()
                stirring = () if self._under_way else self.pool.stirring()
                with ExitStack() as stops:  # each of them, though another one cannot be stopped
                    # What runs freely goes on, and the clock catches up.
                    for instance in (each for each in stirring if each.runtime.in_lockstep):
                        if instance.state.preempted:
                            instance.children.look_once_still()
                        if instance.state.may_run or instance.holds_clock():
                            stops.callback(instance.stop)
                self._call_ends()
                if not self._under_way:
                    self.pool.prefork_next()
                    for event in self._running:
                        if event.gated is None:
                            event.note_wait()
                self._condition.notify_all()

    def _call_ends(self) -> None:
        for feature in self.features:
            feature.call_ends()

    def _resume(self, call: Call) -> None:
        """Continue the instances that the end of the last call stopped, and open the gates that *call* opens."""
        if call.opens_all_gates:
            self.gates.open(self._gated_among(self.pool.stirring()))
        elif call.event is not None:
            self.gates.open([call.event])
        for event in call.waits_for if call.event is None else (call.event, *call.waits_for):
            if event.instance is not None:
                self.apply(event.instance, InstanceFact.WAITED_FOR)
        for instance in self.pool.stirring():
            if call.past_held and (instance.state.held or instance.state.preempted):
                self.apply(instance, InstanceFact.WAITED_FOR)  # time may pass what it waits for
            state = instance.state
            stands_still = state.gated and instance.runtime.stops_behind_lines
            if not (state.idle or state.life is Life.GIVEN_UP or stands_still):
                instance.go_on()
                if instance.waits_beside and not state.preempted and instance.doing() is Doing.PARKED:
                    # What came before this call is received before time moves.
                    if self.pool.port_forwarder is not None:
                        self.pool.port_forwarder.forward()
                    self.apply(instance, InstanceFact.SIGNALS_POLLED)

    def _have_answered(self) -> bool:
        return not any(each.state.signals_polled and each.state.computing for each in self.pool.stirring())

    def attach(
        self, *, on_end: Callable[[Event], None], on_start: Callable[[Event], None], on_retry: Callable[[Event], None]
    ) -> None:
        """Call the platform's side for events that end, begin, and are tried again."""
        self.on_end, self.on_start, self.on_retry = on_end, on_start, on_retry

    def begin_flowing(self, call: Call) -> None:
        """Let *call*, which drives from here on, alone move time."""
        if self.flowing is not None:
            raise ScfUsageError(f"{call.name}: time already flows, in {self.flowing.name}; leave that first")
        self.flowing = call

    def stop_flowing(self) -> None:
        """Time flows no more; other calls drive again."""
        with self._condition:
            self.flowing = None
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing of this runtime runs any more."""
        return self._closed

    @property
    def time_moves(self) -> bool:
        """Whether a call is under way that moves the clock."""
        return any(call.moves_clock for call in self.under_way.values())

    def snapshot(self) -> Snapshot:
        """What is explained of this moment."""
        return Snapshot(self.clock.now_us, self.events_running(), self._described)

    def _described(self, event: Event) -> str | None:
        return next((text for feature in self.features if (text := feature.describes(event)) is not None), None)

    def doing(self, event: Event) -> Doing:
        """What *event*, which has been accepted and has not ended, is doing."""
        if event.instance is not None:
            return event.instance.doing()
        known = (doing for feature in self.features if (doing := feature.doing(event)) is not None)
        return next(known, Doing.PENDING)

    def _cannot_end(self, call: Call, reason: str) -> CannotEndError:
        return CannotEndError(explain(self.snapshot(), call.name, reason))

    def progressed(self) -> None:
        """Something has happened: the call that waits is not stuck."""
        self.progress += 1

    def something_new(self) -> None:
        """What a call waits for may have come."""
        self.news += 1

    def does_not_count(self, seconds: float) -> None:
        """*seconds* of real time have passed in which a prompt of the user's was open."""
        self.prompt_seconds += seconds

    def wait_for_others(self) -> None:
        """Wait until another call may have brought something, or for a moment; the caller has the lock."""
        self._condition.wait(LOOK_EVERY)

    def count_call(self) -> None:
        """The test asks something that counts as a call of its own."""
        self.calls += 1

    def events_running(self) -> list[Event]:
        """The events that have not ended, in order of acceptance."""
        return list(self._running)

    def _gated_among(self, stirring: list[Instance]) -> list[Event]:
        """The events of these that stand at a gate, in order of acceptance."""
        found = {self.pool.events[each] for each in stirring if each.state.gated and each in self.pool.events}
        for feature in self.features:
            found.update(feature.standing())
        return sorted((event for event in found if not event.ended), key=lambda event: event.record.sequence)

    def _drive(self, call: Call) -> None:
        watchdog, gives_way = Watchdog(self, call), partial(self.answers.gives_way, call)
        if self._driver is None:
            for feature in self.features:
                feature.before_reports(call)
            self.pump()
        while True:
            call_handlers()
            if self._closed:
                raise ScfUsageError(f"{call.name}: the runtime was closed, by another thread, while this call waited")
            call.looks(self.news)
            another = self._driver is not None and self._driver != threading.get_ident()
            if another or (self.flowing is not None and self.flowing is not call):
                self._condition.wait(LOOK_EVERY)  # the other caller receives for this one, too
                call.looks(self.news)
                if self._ends(call):
                    return
                watchdog.check(None)
                continue
            if self._ends(call):
                return
            stirring = self.pool.stirring()
            busy = [instance for instance in stirring if instance.state.computing]
            if busy:
                self._let_compute(stirring, busy)
                if call.leases and len(busy) == 1:
                    self._lease(call, busy[0])
                self._poll(watchdog, busy)
                continue
            thing = self.clock.pop_due(gives_way)
            if thing is not None:
                self._call = call
                try:
                    thing.fire()
                finally:
                    self._call = None
                self.news += 1
                continue
            held = next((seconds for feature in self.features if (seconds := feature.holds(call)) is not None), None)
            if held is not None:
                self._condition.notify_all()
                self._condition.wait(held)
                if watchdog.check_is_due():
                    watchdog.check(None)
                continue
            self.news += 1
            if not self._move(call, stirring):
                self._let_compute(self.pool.stirring(), [])
                self._poll(watchdog, [each for each in self.pool.stirring() if each.holds_clock()])

    def _ends(self, call: Call) -> bool:
        if call.comes_without_report() and call.event is not None and call.event.instance is not None:
            self.apply(call.event.instance, InstanceFact.PROGRESSED)
        return call.done() or call.grace_is_over

    @staticmethod
    def _let_compute(stirring: list[Instance], busy: list[Instance]) -> None:
        """Stop instances that were preempted in the middle of computing, while *busy* ones have the run token.

        Each of them would take processor time from all that run after it.
        """
        for instance in stirring:
            state = instance.state
            if state.life is Life.GIVEN_UP or not state.in_lockstep:
                continue
            if busy and state.cpu_bound and not (instance.state.computing or instance.children.possible):
                instance.stop()
            else:
                instance.go_on()

    def _lease_with_token(self, instance: Instance) -> None:
        """Give *instance* a lease before it gets the run token, so that even its first wait can move the clock."""
        if self._call is not None and self._call.leases:
            self._lease(self._call, instance)

    def _lease(self, call: Call, instance: Instance) -> None:
        """Let *instance*, which alone computes, move the clock up to what is due next besides its own waits."""
        event = self.pool.events.get(instance)
        if (
            not self.settings.leases
            or self._under_way > 1
            or event is None
            or event.phase != "running"
            or not instance.runtime.may_lease
            or instance.state.signalled
            or instance.unleased_at == instance.waits
            or any(feature.forbids_lease(instance, event) for feature in self.features)
            or any(
                other is not instance
                and (other.state.preempted or other.state.gated or not other.state.in_lockstep or other.holds_clock())
                for other in self.pool.stirring()
            )
        ):
            return
        due = self.clock.next_due_us(besides=instance.head)
        until = NEVER_US if due is None else due
        if call.target_us is not None:
            until = min(until, call.target_us + 1)
        self._leased = instance
        instance.lease(until, self.clock.now_us)

    def revoke_lease(self) -> None:
        """No instance moves the clock itself any more."""
        if self._leased is not None:
            self._leased.revoke_lease()
            self._leased = None

    def _poll(self, watchdog: Watchdog, busy: list[Instance]) -> None:
        """Wait for a report of an instance, for the zygote, or for time to pass; the lock is released meanwhile."""
        self.pool.poller.await_ends(busy)
        features, look = self.features, watchdog.next_look()
        for feature in features:
            look = min(look, feature.look_every or look)
        with self._driving():
            received = self.pool.poller.poll(look)
        for feature in features:
            feature.before_reports(watchdog.call)
        if received:
            watchdog.received()
        self._dispatch(received)  # even if nothing came: another runtime may have received for us
        for feature in features:
            feature.after_reports(watchdog.call, busy, watchdog.preempt)
        if watchdog.check_is_due(look=not received):
            watchdog.check([instance for instance in busy if instance.state.computing or instance.state.preempted])
        self._condition.notify_all()

    @contextmanager
    def _driving(self) -> Iterator[None]:
        """Receive for all threads, without the lock: the others wait for what this one finds."""
        self._driver = threading.get_ident()
        try:
            self._condition.release()
            try:
                yield
            finally:
                self._condition.acquire()
        finally:
            self._driver = None

    def settled(self, event: Event) -> bool:
        """Whether *event* is started, and its instance is parked, held, gated or ended."""
        state = None if event.ended or event.instance is None else event.instance.state
        computes = state is not None and state.active and state.cpu_bound and not state.gated
        return not computes and self.gave_up_turn(event)

    def gave_up_turn(self, event: Event) -> bool:
        """Whether *event* is settled, or has given up its turn and computes on."""
        instance = event.instance
        if instance is None or event.ended:
            # nothing happens to one that is queued before time has moved
            return event.ended or event.phase == "queued" or any(each.is_settled(event) for each in self.features)
        if not instance.runtime.in_lockstep:
            return instance.state.gated or event.phase == "running"
        return not self.goes_on(instance)

    def goes_on(self, instance: Instance) -> bool:
        """Whether a process that runs user code does something yet at this simulated time."""
        if not instance.state.active or instance.state.goes_on:
            return instance.state.goes_on
        head = instance.head
        return head is not None and not head.cancelled and head.due_us <= self.clock.now_us

    # -- what instances report (instances.instance.Owner) ------------------------------------------------------------

    def instance_said(self, instance: Instance, kind: int, body: bytes) -> FollowUp | None:
        event = self.pool.events.get(instance)
        try:
            message = messages.received(kind, body, instance.peer)
            self.progress += type(message) not in QUIET
            return self._means[type(message)](instance, event, message)
        except ScfAsyncError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever code in an instance writes to the channel ends up here)
            self.instance_garbled(instance, f"message {kind}: {type(error).__name__}: {error}")

    def instance_garbled(self, instance: Instance, why: str) -> NoReturn:
        """End an instance that sent an invalid message: the harness cannot trust anything else from it."""
        event = self.pool.events.get(instance)
        name = "no function" if event is None else event.function.configuration.name
        if event is not None and not event.ended:
            event.ends_by_close()
            self.end(event, Fact.PROCESS_EXITED, why=why)
        elif not instance.released:
            self.pool.reclaim(instance, why)
        raise HarnessError(
            f"instance {instance.number} (pid {instance.pid}) of {name} sent an invalid message ({why}) and was ended: "
            "its code wrote to a descriptor that it did not open"
        )

    def happened_at(self, at: float | None) -> int | None:
        """When something happened in a free-running instance, in simulated time; None for all others: now."""
        if at is None:
            return None
        return next((us for feature in self.features if (us := feature.happened_at(at)) is not None), None)

    def when_it_is(self, at_us: int, then: Callable[[], None]) -> None:
        """Call *then* once the clock has come to where a free-running instance was."""
        now = self.clock.now_us
        at_us = max(at_us, now) if self.time_moves else now
        self.clock.call_at(at_us, then, priority=WAKE_UP)

    def instance_leased(self, instance: Instance, records: int | None = None) -> None:
        """Add the waits that *instance* ended under its lease to the timeline: those up to *records*, or all."""
        event = self.pool.events.get(instance)
        for what, first_us, last_us, count, main in instance.leased_waits(records):
            instance.entered_wait(what)
            if event is not None:
                event.waits(what, first_us, last_us, count, follows=main)

    def resume_wait(self, instance: Instance) -> None:
        """The first wait of *instance* is over: it gets the run token, unless it is not to go on."""
        state = instance.state
        if state.idle or state.gated:
            instance.set_wake_up(None)
            return
        instance.resumed()
        self.answers.goes_on(self.pool.events.get(instance))
        if self.core.resumes(instance):
            of_test = any(call.runs_user_code for call in self.under_way.values())
            self.core.look(may_share=self._under_way == 1 and not of_test)
        self._lease_with_token(instance)
        self.apply(instance, InstanceFact.RESUMED)
        if state.preempted and instance.has_alarm:
            instance.poke()  # no thread may be there to read it but the one that waits for something real

    def instance_wrote(self, instance: Instance, line: str) -> None:
        self.progress += 1
        event = self.pool.events.get(instance) or self.pool.last_events.get(instance)
        if event is not None:
            event.wrote(line)
        if event is not None and instance.runtime.stops_behind_lines and not instance.state.gated:
            self.gates.stop_at_line(event, instance)

    def instance_reported(self, instance: Instance) -> None:
        self._reported.append(instance)  # without the lock: another runtime, in another thread, may have received it

    def take_reports(self, instance: Instance) -> None:
        if self._closed:
            return
        event = self.pool.events.get(instance)
        if instance.take_start() and event is not None:
            self.core.end()
            self.on_start(event)
        if instance.take_end():
            self.apply(instance, InstanceFact.ENDED)
            self._gone.append(instance)

    def instance_stirs(self, instance: Instance) -> None:
        self.pool.stirs(instance)
        for feature in self.features:
            feature.stirs(instance)

    def instance_clock_us(self) -> int:
        return self.clock.now_us

    def instance_held_back(self, instance: Instance) -> None:
        self.pool.poller.watch_again(instance)

    def instance_died(self, instance: Instance) -> None:
        self.apply(instance, InstanceFact.ENDED)

    def _exited(self, instance: Instance) -> None:
        event = self.pool.events.get(instance)
        if event is not None and not event.ended and instance.never_began():
            instance.output.finish()
            why = instance.refused or next((line.text for line in reversed(event.log) if line.source == "Custom"), "")
            event.ends_by_close()
            self.end(event, Fact.PROCESS_EXITED)
            raise not_started(event.function.configuration.name, why, self.pool.sandboxes.removed_base_temp())
        if event is not None and not event.ended and instance.is_faulty:
            instance.output.finish()
            event.ends_by_close()
            self.end(event, Fact.PROCESS_EXITED)
            written = "\n".join(line.text for line in event.log if line.source == "Custom")
            raise HarnessError(
                f"the supervisor of the program of {event.function.configuration.name} failed, which is a "
                f"bug of pytest-scf-async; it wrote:\n{written}"
            )
        if event is not None and not event.ended:
            self.refuse_unreachable(event, instance)
        if event is not None and not event.ended:
            at = instance.ends_us
            instance.program_ends(None)
            if at is not None:  # after what it has said before, which is dealt with in this way too
                self.when_it_is(at, lambda: self._exited(instance))
                return
            if event.when_killed is not None and instance.status == signal.SIGKILL:
                event.when_killed()
            elif event.function.runtime.is_job and instance.status == 0:
                self.end(event, Fact.RETURNED, result_text="null")
            else:
                self.end(event, Fact.PROCESS_EXITED, exit=exit_of(instance.status))
        elif not instance.released:
            instance.output.finish()
            self.pool.drop(instance)

    # -- the clock ---------------------------------------------------------------------------------------------------

    def _move(self, call: Call, stirring: list[Instance]) -> bool:
        """Move the time. False when something real has to end first, or real time to pass.

        Only *stirring* instances can keep it from moving. Mostly there are none, and nothing has to be checked.
        """
        # What came before all threads rested, or before the last child ended, may be on its way.
        late = any(each.state.preempted or each.children.possible for each in stirring)
        if self._check_held(call, stirring):
            return False
        if self._ask_first(call, stirring) or (late and not call.past_held and self.pump()):
            return True
        flow = call.flow or self.flow_of(stirring)
        gated = self._gated_among(stirring) if stirring or self.features else []
        if not call.moves_clock:
            if flow is None:
                raise self._cannot_end(call, "nothing is left to do at this simulated time")
            return bool(self._is_starting() and not gated and self._flow(call, flow))
        if gated and call.flow is not None:
            call.flow.rebase()
            return False
        if gated and call.opens_gates_to_move:
            self.gates.open(gated)
            return True
        if gated:
            event = gated[0]
            gate = self.gates.of(event)
            assert gate is not None
            raise CannotEndError(
                f"{call.name} needs simulated time to pass, but event {event.request_id} is stopped at "
                f"{gate.description}: call wait(), settle() or another gate call on that event first, or terminate it"
            )
        if flow is not None and not (call.jumps and (call.past_held or not self._is_starting())):
            return self._flow(call, flow)
        return self._jump(call)

    @staticmethod
    def _check_held(call: Call, stirring: list[Instance]) -> bool:
        held = any(call.is_held_by(instance) for instance in stirring)
        if held and call.flow is not None:
            call.flow.rebase()
        return held

    def _ask_first(self, call: Call, stirring: list[Instance]) -> bool:
        """Whether an instance has to report first whether something happened to it of which only the kernel knows."""
        for instance in () if call.past_held else stirring:
            question = instance.children.question()
            if question is not None:
                self.apply(instance, question)
                return True
        return False

    def _flow(self, call: Call, flow: TimeFlow) -> bool:
        clock = self.clock
        due, until = clock.next_due_us(), max(clock.now_us, flow.may_us())
        if call.target_us is not None:
            until = min(until, call.target_us)
        clock.jump(until if due is None or due > until else max(clock.now_us, due))
        return due is not None and due <= until

    def _jump(self, call: Call) -> bool:
        clock = self.clock
        due = clock.next_due_us()
        if call.target_us is not None and (due is None or due > call.target_us):
            clock.jump(call.target_us)
            return True
        if due is None:
            raise self._cannot_end(call, "nothing is due any more, so no amount of time can bring it about")
        clock.jump(max(due, clock.now_us))
        self.progress += 1
        return True

    def flow_of(self, stirring: Sequence[Instance]) -> TimeFlow | None:
        """How time flows while the *stirring* instances run; None where it jumps."""
        return next((flow for feature in self.features if (flow := feature.flow(stirring)) is not None), None)

    def _is_starting(self) -> bool:
        return any(feature.is_starting() for feature in self.features)

    # -- ends --------------------------------------------------------------------------------------------------------

    def advance_to(self, target_us: int, past_held: bool) -> None:
        """The clock's ``advance`` and ``move_to``."""
        call = Call(
            f"advance to {to_datetime(target_us).isoformat()}",
            done=lambda: self.clock.now_us >= target_us and self.all_quiet(call),
            moves_clock=True,
            target_us=target_us,
            jumps=True,
            leases=True,
            past_held=past_held,
            until_us=target_us,
            opens_all_gates=True,
        )
        self.drive(call)

    def all_quiet(self, call: Call) -> bool:
        """Whether nothing computes, and nothing is due, that *call* has to wait for at this instant."""
        for instance in self.pool.stirring():
            state = instance.state
            if state.computing or (state.cpu_bound and not instance.takes_time and call.is_held_by(instance)):
                return False
        due = self.clock.next_due_us()
        return due is None or due > self.clock.now_us

    def forget(self) -> None:
        """In a fork of the test process: touch nothing; the runtime is closed here."""
        self._closed = True
        self._condition = RealCondition(threading.RLock())  # another thread of the parent may have had it

    def _forget_reports(self) -> None:
        for queue in (self._follow_ups, self._reported, self._gone):
            queue.clear()

    def close(self) -> None:
        """Kill every instance; nothing of this runtime is left."""
        with self.locked():
            if self._closed:
                return
            self._closed = True
            self._forget_reports()
            problems = self.pool.kill_all()
            self._forget_reports()
            self.pool.poller.close()
            if self.pool.port_forwarder is not None:
                self.pool.port_forwarder.close()
            if problems:
                raise problems[0]


def _wake_all(instance: Instance) -> None:
    """Have any thread read a message: under a lease a thread leaves the scheduler without a report."""
    instance.wake()
    if instance.has_alarm:
        instance.poke()  # no thread but that which waits for something real, or computes, may be there to report


_DO: Final[Mapping[Effect, Callable[[Instance], None]]] = {
    Effect.STOP: lambda instance: instance.stop(),
    Effect.GO_ON: lambda instance: instance.go_on(),
    Effect.CANCEL_WAKE_UP: lambda instance: instance.set_wake_up(None),
    Effect.END_LEASE: lambda instance: instance.end_lease(),
    Effect.SEND_RESUME: lambda instance: instance.send(messages.Resume()),
    Effect.SEND_OPEN_GATE: lambda instance: instance.send(messages.OpenGate()),
    Effect.SEND_POLL: lambda instance: instance.send(messages.Poll()),
    Effect.SEND_POLL_SIGNALS: lambda instance: instance.send(messages.PollSignals()),
    Effect.WAKE: _wake_all,
}
