"""Lockstep: of one runtime one thread computes at a time, and only while the test waits for it.

A blocking call drives: it hears what instances say, gives the turn to what is due, and, where the call moves the clock,
moves it to the next due time once every running event waits. There is no thread of ours: whoever makes a blocking call
does this, one caller at a time; others wait until it has something for them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..clock import WAKE_UP, SimulatedClock, to_datetime
from ..errors import HarnessError, ScfAsyncError, ScfUsageError, hidden_from_users
from ..instances import terminal
from ..instances.instance import Doing, Instance
from ..instances.pool import Pool
from ..instances.zygote import Zygote
from ..model import PORT_TIMEOUT, Fact, InstanceFate, port_not_bound_message, transition
from ..options import ScfSettings
from ..protocol import messages
from ..protocol.real_time import REAL, RealCondition
from .calls import LOOK_EVERY, Call, TestThreads, Watchdog
from .event import Event
from .gates import Gates
from .moving import Moving
from .real_cost import RealCosts
from .reports import Reports
from .scripts import ScriptedEvent, ScriptPlayer
from .served import Client, NobodyWaitsError, OwedAnswer

__tracebackhide__ = hidden_from_users

TEST_LOOK_EVERY = 0.0005
"""Real seconds between two looks at the test's own threads, in which they may run."""
PASSES_EVERY = 0.004
"""Real seconds after which simulated time passes for what was computed, where it takes any."""
NO_END = 2**62
"""Later than anything that can be due, in µs since the epoch."""

_ALL: weakref.WeakSet[Lockstep] = weakref.WeakSet()


def _after_fork() -> None:
    """In a fork of the test process: the instances, and what is heard from them, belong to the parent."""
    for lockstep in _ALL:
        lockstep.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


class Lockstep:
    """The driver of one runtime's instances."""

    def __init__(self, clock: SimulatedClock, pool: Pool, settings: ScfSettings, page: Callable[[], int]) -> None:
        self.clock = clock
        self.pool = pool
        self.settings = settings
        self.next_order = page
        """Gives the next number of the order in which waits were registered."""
        self._running: dict[Event, None] = {}
        """In order of acceptance."""
        self.running_of: Counter[tuple[str, str]] = Counter()
        """How many of them each function has, by namespace and name."""
        self.todo: deque[Callable[[], None]] = deque()
        self.progress = 0
        self.prompt_seconds = 0.0
        """Real seconds in which a debugger's prompt was open: no call counts them."""
        self.calls = 0
        """Blocking calls so far."""
        self.on_end: Callable[[Event], None] = lambda _: None
        self.on_start: Callable[[Event], None] = lambda _: None
        self.on_retry: Callable[[Event], None] = lambda _: None
        """Told of each event whose attempt failed and that is tried again."""
        self.costs = RealCosts(self)
        self.gates = Gates(self)
        self.reports = Reports(self)
        self.moving = Moving(self)
        self.scripts = ScriptPlayer(self)
        self._condition = RealCondition(threading.RLock())
        self._driver: int | None = None
        self._under_way = 0
        """Blocking calls that are under way, each in a thread of its own of the test."""
        self.under_way: dict[int, Call] = {}
        """The same calls by thread."""
        self.news = 0
        """Grows with all that a call may be waiting for; what a call saw last is its ``looked``."""
        self.serving: dict[int, Client] = {}
        """By thread of a server of this process: who is at the other end of the connection that it serves just now."""
        self.owed: list[OwedAnswer] = []
        """Calls made for instances, in the order in which they began."""
        self.test_threads: TestThreads | None = None
        self.flowing: Call | None = None
        """The call of ``running``: while it goes on, it alone drives, and lets time flow at a rate."""
        self._call: Call | None = None
        """The call for which something that is due is dealt with just now."""
        self._taking = False
        self._leased: Instance | None = None
        """The last instance that was let move the clock."""
        self._closed = False
        _ALL.add(self)

    # -- events ------------------------------------------------------------------------------------------------------

    def accept(self, event: Event) -> None:
        """Take an event: it starts in its turn, in the next blocking call."""
        with self._condition:
            self._revoke_lease()
            self._running[event] = None
            self.running_of[event.record.function] += 1
            self.clock.call_at(
                self.clock.now_us,
                lambda: self._begin(event),
                what=f"start of {event.request_id}",
                priority=WAKE_UP,
                order=self.next_order(),
            )

    def _begin(self, event: Event) -> None:
        if event.ended:
            return
        if isinstance(event, ScriptedEvent):
            self.progress += 1
            self.scripts.begin(event)
            return
        instance = self.pool.take(event.function)
        cold = instance is None
        if instance is None:
            self.pool.make_room(event.function.configuration)
            try:
                instance = self.pool.spawn(event.function, self.reports)
            except ScfAsyncError:
                event.ends_by_close()
                self.end(event, Fact.PROCESS_EXITED)
                raise
        self.pool.assign(instance, event)
        if cold and instance.pid:
            self.reports.instance_started(instance)
        event.started(instance, cold)
        gate = event.gates.get("init")
        self.costs.begin(event)
        self.gates.begin(event)
        instance.turn = instance.runtime.in_lockstep
        if not instance.runtime.in_lockstep:
            self.moving.real_flow()  # from here on time flows: the program may begin before anything else is done here
        instance.send(
            messages.Invoke(
                payload=event.payload,
                context=event.context(),
                environment=event.environment(),
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
        event.timer = self.clock.call_at(
            self.clock.now_us + seconds * 1_000_000,
            lambda: self.end(event, fact, trace=trace),
            what=f"{fact.value}: {event.request_id}",
        )
        self.progress += 1

    def end(self, event: Event, fact: Fact, **how: object) -> None:
        """Let *fact* end the event, and see to what becomes of its instance."""
        if event.ended:
            return
        self.costs.end(event)
        self.scripts.forget(event)
        instance = event.instance
        if instance is not None:
            async_run = event.function.configuration.async_run
            fate = transition(event.record.state, fact, event.readings, async_run=async_run).fate
            if fate is InstanceFate.RECLAIMED and not instance.gone:
                self.pool.kill(instance)
            instance.output.finish()
            if instance.gone:
                self.reports.read_leased_waits(instance)
            instance.end_lease()
            if fate is InstanceFate.RECLAIMED:
                instance.is_reclaimed(fact.value)
                how.setdefault("mem_usage", instance.rss)
        event.ended_with(fact, **how)  # type: ignore[arg-type]
        if event in self._running:
            del self._running[event]
            self.running_of[event.record.function] -= 1
        self.progress += 1
        if instance is not None:
            self.pool.forget_event(instance)
            if fate is InstanceFate.RECLAIMED or instance.gone:
                event.note("instance", f"reclaimed: {fact.value}")
                self.pool.drop(instance)
            elif event.function.retired is not None:
                event.note("instance", f"reclaimed: {event.function.retired}")
                self.pool.reclaim(instance, event.function.retired)
            else:
                self.pool.freeze(instance)
        if event.ended:
            self.on_end(event)
        else:
            self.on_retry(event)

    def refuse(self, event: Event, why: str, trace: str = "") -> None:
        """End *event*, which the harness cannot run for a reason that lies with the test, and say *why*."""
        event.ends_by_close()
        self.end(event, Fact.PROCESS_EXITED, detail=why)
        raise ScfUsageError(f"{why}\n{trace}" if trace else why)

    # -- driving -----------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the runtime to oneself."""
        with self._condition:
            yield

    def pump(self) -> None:
        """Hear what has come, without waiting; the caller has the lock."""
        if self._closed:
            return
        self.hear(0)

    def hear(self, timeout: float) -> bool:
        """Hear what comes within *timeout* real seconds; whether there was anything."""
        heard = self.pool.poller.poll(timeout)
        self._take(heard)
        return bool(heard)

    def _take(self, heard: list[Instance | Zygote]) -> None:
        """Deal with what was said; not again in the middle of that, where a hook of the test reads a property."""
        self._taking = True
        self.news += bool(heard)
        try:
            self._take_in(heard)
        finally:
            self._taking = False

    def _take_in(self, heard: list[Instance | Zygote]) -> None:
        for speaker in heard:
            if isinstance(speaker, Instance):
                speaker.pump()
            else:
                speaker.pump()
                if not speaker.alive:
                    self._zygote_died()
        while self.todo:
            self.todo.popleft()()

    def look(self) -> None:
        """What a property does before it answers: hear what has come, unless another call is at it."""
        if self._condition.acquire(blocking=False):
            try:
                if self._driver is None and not self._taking:
                    self.pump()
            finally:
                self._condition.release()

    def ask_terminal(self, instance: Instance, text: str) -> None:
        """A debugger in *instance* shows its prompt: nothing else happens until a line has been typed."""
        began = REAL.monotonic()
        line = None if terminal.ask is None else terminal.ask(text)
        self.prompt_seconds += REAL.monotonic() - began
        self.progress += 1
        if not instance.gone:
            instance.turn = True
            instance.parks += 1
            instance.send(messages.Typed(line))

    def _zygote_died(self) -> None:
        log_tail = None
        for instance in list(self.pool.instances):
            if not instance.zygote.alive and not instance.gone:
                instance.died_of_sigkill()
                event = self.pool.events.get(instance)
                log_tail = instance.zygote.log_tail() if log_tail is None else log_tail
                if event is not None:
                    event.note("instance", "the zygote was killed, and the instance with it")
                    event.ends_by_close()
                    self.end(event, Fact.PROCESS_EXITED)
                else:
                    self.pool.drop(instance)
        if log_tail is not None:
            raise HarnessError(f"the zygote, which instances are forked from, is gone; {log_tail}")

    def drive(self, call: Call) -> None:
        """Run until ``call.done()``; raises ``CannotEndError`` when that cannot come.

        In a thread that serves an instance, a call that moves the clock waits until others have moved it, and raises
        ``NobodyWaitsError`` where nobody waits for the answer any more.
        """
        client = self.serving.get(threading.get_ident()) if call.moves_clock else None
        of_instance = None if client is None else client.instance()
        if client is not None and of_instance is not None:
            self._wait_for_others(call, OwedAnswer(call.done, *of_instance), client)
            return
        with self._condition:
            if self._closed:
                raise HarnessError(f"{call.name}: this runtime is closed")
            self.calls += 1
            self._revoke_lease()
            self._resume(call)
            if not self._under_way:
                self.costs.go_on()
            self._under_way += 1
            thread = threading.get_ident()
            outer = self.under_way.get(thread)
            self.under_way[thread] = call
            try:
                if call.begin is not None:
                    call.begin()
                self._drive(call)
            finally:
                self._under_way -= 1
                if outer is None:
                    del self.under_way[thread]
                else:
                    self.under_way[thread] = outer
                self._revoke_lease()
                self.costs.measure()
                for instance in self.pool.stirring() if not self._under_way else ():
                    if not instance.runtime.in_lockstep:
                        continue  # it goes on, and the clock catches up
                    if instance.preempted:
                        instance.children.look_once_still()
                    if instance.turn or instance.running_threads or instance.preempted or instance.holds_clock:
                        instance.stop()
                self.costs.measure()  # what was computed since, before they stood still
                self._condition.notify_all()

    def _wait_for_others(self, call: Call, owed: OwedAnswer, client: Client) -> None:
        """Wait until the call is done that an answer is owed for; see ``served``."""
        with self._condition:
            if self._closed:
                raise HarnessError(f"{call.name}: this runtime is closed")
            self._revoke_lease()
            if call.begin is not None:
                call.begin()
            self.owed.append(owed)
            owed.begin()
            try:
                while owed in self.owed and not self._end_owed(owed):
                    if self.closed or client.closed or owed.instance.gone:
                        raise NobodyWaitsError
                    self._condition.wait(LOOK_EVERY)
            finally:
                if owed in self.owed:
                    self.owed.remove(owed)
                    owed.end()
            told, instance = owed.instance.sent, owed.instance
            # A program that is traced sees what time it is once its tracer has heard of this: the answer comes after.
            while instance.seen < told and not (self.closed or client.closed or instance.gone or instance.frozen):
                self._condition.wait(LOOK_EVERY)

    def _end_owed(self, *answers: OwedAnswer) -> bool:
        """End those of *answers* whose calls are done; whether there were any."""
        done = [owed for owed in answers if owed.done()]
        for owed in done:
            self.owed.remove(owed)
            owed.end()
        return bool(done)

    def _resume(self, call: Call) -> None:
        """Let what was stopped when the last call ended go on, and what stands at a gate that *call* opens."""
        if call.opens_all_gates:
            self.gates.open(self.gated_events())
        elif call.event is not None:
            self.gates.open([call.event])
        for event in call.waits_for if call.event is None else (call.event, *call.waits_for):
            if event.instance is not None:
                event.instance.given_up = False
        for instance in self.pool.stirring():
            if call.past_held and (instance.held or instance.preempted):
                instance.given_up = False  # time may pass what it waits for
            stands_still = instance.gated is not None and instance.runtime.stops_behind_lines
            if not (instance.frozen or instance.given_up or stands_still):
                instance.go_on()
                if instance.waits_beside and not instance.preempted and instance.doing is Doing.PARKED:
                    instance.children.ask_to_look()  # what has come before this call is heard before time moves

    def attach(
        self,
        *,
        on_end: Callable[[Event], None],
        on_start: Callable[[Event], None],
        on_retry: Callable[[Event], None],
    ) -> None:
        """Have the platform told of events that end, begin, and are tried again."""
        self.on_end, self.on_start, self.on_retry = on_end, on_start, on_retry

    def use_test_threads(self, threads: TestThreads | None) -> None:
        """Have *threads*, those of the test's own process, looked after as instances are."""
        self.test_threads = threads

    def begin_flowing(self, call: Call) -> None:
        """Let *call*, which drives from here on, alone move time."""
        if self.flowing is not None:
            raise ScfUsageError(f"{call.name}: time flows already, in {self.flowing.name}; leave that first")
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

    def events_running(self) -> list[Event]:
        """The events that have not ended, in order of acceptance."""
        return list(self._running)

    def gated_events(self) -> list[Event]:
        """The events that stand at a gate, in order of acceptance."""
        found = {
            self.pool.events[each]
            for each in self.pool.stirring()
            if each.gated is not None and each in self.pool.events
        }
        found.update(self.scripts.standing)
        return sorted((event for event in found if not event.ended), key=lambda event: event.record.sequence)

    def _drive(self, call: Call) -> None:
        watchdog = Watchdog(self, call)
        if self._driver is None:
            self.moving.catch_up(call)
            self.pump()
        while True:
            if self._closed:
                raise ScfUsageError(f"{call.name}: the runtime was closed, by another thread, while this call waited")
            call.looked = self.news
            another = self._driver is not None and self._driver != threading.get_ident()
            if another or (self.flowing is not None and self.flowing is not call):
                self._condition.wait(LOOK_EVERY)  # another caller hears for both
                call.looked = self.news
                if call.done() or call.grace_is_over:
                    return
                watchdog.check(None)
                continue
            if call.done() or call.grace_is_over:
                return
            busy = [instance for instance in self.pool.stirring() if instance.computing]
            if busy:
                self._let_compute(busy)
                if call.leases and len(busy) == 1:
                    self._lease(call, busy[0])
                self._listen(watchdog, busy)
                continue
            thing = self.clock.pop_due()
            if thing is not None:
                self._call = call
                try:
                    thing.fire()
                finally:
                    self._call = None
                self.news += 1
                continue
            if self.owed and self._end_owed(*self.owed):
                self._condition.notify_all()
                continue
            if self.test_threads is not None and self._waits_for_test(call):
                if watchdog.check_is_due():
                    watchdog.check(None)
                continue
            self.news += 1
            if not self.moving.move(call):
                self._let_compute(None)
                self._listen(watchdog, [i for i in self.pool.stirring() if i.holds_clock])

    def _let_compute(self, busy: list[Instance] | None) -> None:
        """Stop instances that gave up their turn in the middle of computing, while *busy* ones have it; None: none has.

        Each of them would take processor time from all that run after it.
        """
        for instance in self.pool.stirring():
            if instance.given_up or not instance.runtime.in_lockstep:
                continue
            if busy and instance.cpu_bound and not (instance.computing or instance.children.possible):
                instance.stop()
            else:
                instance.go_on()

    def _waits_for_test(self, call: Call) -> bool:
        """Whether *call* would move the clock while another thread of the test runs; it gets a moment to run."""
        assert self.test_threads is not None
        if not call.moves_clock or call.flow is not None or self.test_threads.rest(call):
            return False
        self._condition.notify_all()
        self._condition.wait(TEST_LOOK_EVERY)
        return True

    def lease_with_turn(self, instance: Instance) -> None:
        """*instance* is about to get the turn, and computes alone: its first wait may be over at once already."""
        if self._call is not None and self._call.leases:
            self._lease(self._call, instance)

    def _lease(self, call: Call, instance: Instance) -> None:
        """Let *instance*, which alone computes, move the clock up to what is due next besides its own waits."""
        event = self.pool.events.get(instance)
        if (
            not self.settings.leases
            or self._under_way > 1
            or self.owed
            or (self.test_threads is not None and not self.test_threads.alone())
            or event is None
            or event.phase != "running"
            or event.function.configuration.memory is not None
            or not instance.runtime.may_lease
            or instance.takes_time
            or instance.signalled
            or instance.unleased_at == instance.waits
            or self.scripts.standing
            or any(
                other is not instance
                and (other.preempted or other.holds_clock or other.gated or not other.runtime.in_lockstep)
                for other in self.pool.stirring()
            )
        ):
            return
        due = self.clock.next_due_us(besides=instance.head)
        until = NO_END if due is None else due
        if call.target_us is not None:
            until = min(until, call.target_us + 1)
        self._leased = instance
        instance.lease(until, self.clock.now_us)

    def _revoke_lease(self) -> None:
        if self._leased is not None:
            self._leased.revoke_lease()
            self._leased = None

    def _listen(self, watchdog: Watchdog, busy: list[Instance]) -> None:
        """Wait for a word of an instance, of the zygote, or of time; the lock is given up meanwhile."""
        self._driver = threading.get_ident()
        self.pool.poller.await_ends(busy)
        try:
            self._condition.release()
            look = watchdog.next_look()
            heard = self.pool.poller.poll(min(look, PASSES_EVERY) if self.costs.takes_time else look)
        finally:
            self._condition.acquire()
            self._driver = None
        coverage = bool(self.costs.meters)
        if coverage:
            self.costs.measure()
            self.costs.let_time_pass(watchdog.call)
        self.moving.catch_up(watchdog.call)
        if heard:
            watchdog.heard()
        self._take(heard)  # with nothing heard too: another runtime's thread may have heard the zygote for us
        if coverage:
            self.costs.let_time_pass(watchdog.call)
            self._preempt_at_target(watchdog, busy)
        if watchdog.check_is_due(look=not heard):
            watchdog.check([instance for instance in busy if instance.computing or instance.preempted])
        self._condition.notify_all()

    def _preempt_at_target(self, watchdog: Watchdog, busy: list[Instance]) -> None:
        """Take the turn from who has computed until the time at which the call ends."""
        target = watchdog.call.target_us
        if target is not None and self.clock.now_us >= target:
            for instance in busy:
                if instance.computing and instance.takes_time:
                    watchdog.preempt(instance)

    def settled(self, event: Event) -> bool:
        """Started, and parked, held, gated or ended."""
        instance = event.instance
        if instance is None or event.ended:
            # nothing happens to one that is queued before time has moved
            return event.ended or event.phase == "queued" or self.scripts.settled(event)
        if not instance.runtime.in_lockstep:
            return instance.gated is not None or event.phase == "running"
        return not self.goes_on(instance)

    def goes_on(self, instance: Instance) -> bool:
        """Whether a process that runs user code does something yet at this simulated time."""
        if instance.gone or instance.frozen or instance.given_up or not instance.runtime.in_lockstep:
            return False
        if instance.opening or instance.turn or (instance.running_threads and not instance.preempted):
            return True
        head = instance.head
        return head is not None and not head.cancelled and head.due_us <= self.clock.now_us

    # -- ends --------------------------------------------------------------------------------------------------------

    def advance_to(self, target_us: int, past_held: bool) -> None:
        """The clock's ``advance`` and ``move_to``."""
        self.drive(
            Call(
                f"advance to {to_datetime(target_us).isoformat()}",
                done=lambda: self.clock.now_us >= target_us and self._all_quiet(),
                moves_clock=True,
                target_us=target_us,
                jumps=True,
                leases=True,
                past_held=past_held,
                past_cpu_bound=True,
                opens_all_gates=True,
            )
        )

    def _all_quiet(self) -> bool:
        if any(instance.computing for instance in self.pool.stirring()):
            return False
        due = self.clock.next_due_us()
        return due is None or due > self.clock.now_us

    def forget(self) -> None:
        """In a fork of the test process: touch nothing; the runtime is closed here."""
        self._closed = True
        self._condition = RealCondition(threading.RLock())  # another thread of the parent may have had it

    def close(self) -> None:
        """Kill every instance; nothing of this runtime is left."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self.todo.clear()
            problems = self.pool.kill_all()
            self.todo.clear()
            self.pool.poller.close()
            if self.pool.port_forwarder is not None:
                self.pool.port_forwarder.close()
            if problems:
                raise problems[0]
