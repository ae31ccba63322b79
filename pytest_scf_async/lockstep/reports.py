"""What a message of an instance means: for its state, for its event, and for what is done next."""

from __future__ import annotations

import binascii
import signal
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from ..clock import WAKE_UP
from ..errors import ScfAsyncWarning, ScfUsageError, hidden_from_users
from ..instances.instance import FollowUp, Instance
from ..instances.state import THREADS, InstanceFact, Life
from ..model.timeline import Awaited, Listener, Raised, ResultExcess
from ..model.tracebacks import exception_line
from ..model.transitions import Fact
from ..protocol import messages
from .answers import AnswerOrder
from .event import Event
from .features.feature import Feature, Means, Scheduler
from .gates import Gates

__tracebackhide__ = hidden_from_users

QUIET: Final = frozenset(
    {messages.Parked, messages.Leased, messages.Wrote, messages.SignalsHandled, messages.EndsProcess, messages.Terminal}
)
"""Messages that are no progress by themselves: a call that waits may be stuck though they come."""

_AWAITED: Final[dict[int, Awaited]] = {
    messages.Awaits.SOMETHING: "something",
    messages.Awaits.LOCK: "lock",
    messages.Awaits.OWN_LOCK: "own lock",
    messages.Awaits.NOTICE: "notice",
    messages.Awaits.THREAD: "thread",
    messages.Awaits.ANSWER: "answer",
}
_LISTENERS: dict[str, Listener] = {
    "handler": "handler",
    "SIG_IGN": "ignored",
    "native": "native",
    "replaced": "replaced",
}
"""What a call of ``signal.signal`` for SIGTERM makes of it; everything else sets it to its default."""


class Host(Scheduler, Protocol):
    """What this module asks of the scheduler of its runtime, beside what features ask."""

    answers: AnswerOrder
    features: tuple[Feature, ...]
    gates: Gates

    def happened_at(self, at: float | None) -> int | None: ...
    def when_it_is(self, at_us: int, then: Callable[[], None]) -> None: ...
    def resume_wait(self, instance: Instance) -> None: ...
    def instance_leased(self, instance: Instance, records: int | None = None) -> None: ...


class Reports:
    """The meanings of the messages of one runtime's instances: a method for each type."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._warned: set[str] = set()
        """Of what there has been a warning."""

    def means(self) -> Mapping[type, Means]:
        """Each type's method. What a feature alone knows is in the feature's own table."""
        return {
            messages.Parked: self._parked,
            messages.Leased: self._leased,
            messages.Wrote: self._leased,
            messages.SignalsHandled: self._signals_handled,
            messages.EndsProcess: self._ends_process,
            messages.Gated: self._gated,
            messages.WaitsForOthers: self._waits_for_others,
            messages.ProcessWaits: self._processes_wait,
            messages.Note: self._noted,
            messages.InitDone: self._initialised,
            messages.Result: self._returned,
            messages.Forks: self._forks,
            messages.Program: self._of_program,
            messages.SignalEntered: self._signal_entered,
            messages.SignalLeft: self._signal_left,
            messages.SignalsDeferred: self._signals_deferred,
            messages.Listening: self._listens,
        }

    # -- waits ---------------------------------------------------------------------------------------------------------

    def _parked(self, instance: Instance, event: Event | None, message: messages.Parked) -> FollowUp | None:
        due, (began, owner, number), running_threads, held, seen, used_ns, awaits, wait = message
        if used_ns:
            self._computed(instance, used_ns)
        if held and instance.traces_user_code:
            self._host.answers.waits_by_itself(instance)
        self._host.apply(instance, THREADS[running_threads > 0, held > 0])
        frozen = instance.state.life is Life.FROZEN
        if wait and not frozen:
            instance.entered_wait(wait)
            if event is not None:
                now = event.now_us()
                endless = due == messages.NEVER and not (held or running_threads)
                row = awaits & (messages.FOLDED | messages.HIDDEN | messages.FOLLOWS)
                awaited = _AWAITED[awaits - row] if endless else None
                if row in (messages.FOLDED, messages.FOLLOWS):
                    event.is_in(wait, awaited, has_row=row == messages.FOLLOWS)
                elif row != messages.HIDDEN:
                    event.waits(wait, now, now, awaits=awaited)
        follow_up = None
        if self._host.features and event is not None:
            for feature in self._host.features:
                follow_up = feature.parked(instance, event) or follow_up
        if seen < instance.sent:  # another report comes, unless what it has not seen was gates alone
            instance.reported(seen, held, parked=False)
            instance.children.report_crossed()
            self._host.apply(instance, InstanceFact.REPORT_CROSSED)
            return follow_up
        answers = instance.state.polled  # a thread beside the one with the run token answered
        instance.reported(seen, held, parked=not answers)
        self._host.apply(instance, InstanceFact.REPORTED)
        if frozen:
            return follow_up
        known = instance.head.key if instance.head is not None else None
        if due >= began:
            owner = event.record.sequence if event is not None and due > began else 0
        order = began, owner, number
        if due != messages.NEVER and not instance.state.gated:
            resume = partial(self._host.resume_wait, instance)
            instance.set_wake_up(self._host.clock.call_at(due, resume, priority=WAKE_UP, order=order))
        else:
            instance.set_wake_up(None)
        if due > self._host.clock.now_us and (known is None or (due, order) != (known[0], known[2])):
            self._host.progressed()
        return follow_up

    def _computed(self, instance: Instance, used_ns: int) -> None:
        instance.has_computed(used_ns)
        for feature in self._host.features:
            feature.computed(instance)

    def _leased(self, instance: Instance, event: Event | None, message: messages.Leased | messages.Wrote) -> None:
        instance.tells_time(message.time_us)
        self._host.instance_leased(instance, message.records)

    def _waits_for_others(self, instance: Instance, event: Event | None, message: messages.WaitsForOthers) -> None:
        if message.description and not instance.traces_user_code:
            instance.entered_wait(message.description)
        if event is None:
            return
        if instance.traces_user_code:
            event.waited_for_others(message.description)
        elif message.description:
            event.is_in(message.description, None, has_row=True)
        else:
            event.note_owed()

    def _processes_wait(self, instance: Instance, event: Event | None, message: messages.ProcessWaits) -> None:
        if event is not None:
            instance.processes_wait(event.request_id, len(event.timeline), message.processes)

    # -- what the code does ------------------------------------------------------------------------------------------

    def _gated(self, instance: Instance, event: Event | None, message: messages.Gated) -> None:
        instance.reached(message.id, on_main=message.main)
        self._host.apply(instance, InstanceFact.REACHED_GATE)
        if event is not None and message.id in event.gates:
            gate = event.gates[message.id]
            gate.reach()
            event.stands_at(gate)
            if gate.open:  # the call that waited for it has ended meanwhile, by an error or by Ctrl-C
                self._host.gates.open([event])

    def _returned(self, instance: Instance, event: Event | None, message: messages.Result) -> FollowUp | None:
        if event is None:
            return None
        at = self._host.happened_at(message.at)
        Fact[message.fact]  # here, where what is wrong is the instance's fault
        ends = partial(self._result, instance, event, message)
        if at is None:
            return ends
        self._host.when_it_is(at, ends)
        return None

    def _ends_process(self, instance: Instance, event: Event | None, message: messages.EndsProcess) -> None:
        instance.children.ending.add(message.pid)

    def _of_program(self, instance: Instance, event: Event | None, message: messages.Program) -> None:
        if message.runs:
            instance.user_process.begins()
        elif message.pid:
            instance.user_process.started(message.pid)
        else:
            instance.has_used(message.rss)
            instance.program_ends(self._host.happened_at(message.at))

    def _forks(self, instance: Instance, event: Event | None, message: messages.Forks) -> FollowUp:
        return partial(self._refuse_fork, instance, event, message.at)

    def _refuse_fork(self, instance: Instance, event: Event | None, at: str) -> None:
        """A program that is to be of one process is about to fork: its event ends, and with it the instance."""
        where = f" at {at}" if at else ""
        why = f"the program {instance.runtime.name} forks{where}, and {instance.runtime.why_no_forks}"
        if event is None:
            self._host.pool.reclaim(instance, why)
            raise ScfUsageError(why)
        self._host.refuse(event, f"event {event.request_id} of {event.function.configuration.name}: {why}")

    # -- signals -------------------------------------------------------------------------------------------------------

    def _signals_handled(self, instance: Instance, event: Event | None, message: messages.SignalsHandled) -> None:
        self._host.apply(instance, InstanceFact.SIGNALS_HANDLED)

    def _signal_entered(self, instance: Instance, event: Event | None, message: messages.SignalEntered) -> None:
        is_sigterm = message.signum == signal.SIGTERM
        self._host.apply(instance, InstanceFact.SIGTERM_ENTERED if is_sigterm else InstanceFact.HANDLER_ENTERED)
        if is_sigterm:
            instance.sigterm_entered()
            if event is not None:
                event.handler_entered()

    def _signal_left(self, instance: Instance, event: Event | None, message: messages.SignalLeft) -> None:
        raised = message.raised
        if raised is not None and instance.state.gated and instance.gate_on_main:
            instance.left_gate()
            self._host.apply(instance, InstanceFact.LEFT_GATE)
        if event is not None and message.signum == signal.SIGTERM:
            event.handler_left(None if raised is None else Raised(raised, message.message or ""))

    def _signals_deferred(self, instance: Instance, event: Event | None, message: messages.SignalsDeferred) -> None:
        if signal.SIGTERM in message.signums:
            instance.sigterm_deferred()
            self._host.apply(instance, InstanceFact.SIGTERM_SETTLED)
            if event is not None:
                event.handler_deferred()

    def _listens(self, instance: Instance, event: Event | None, message: messages.Listening) -> None:
        is_sigterm = message.signum == signal.SIGTERM
        if message.handler != "refused":
            instance.listens(message.signum, message.handler)
            if is_sigterm and event is not None:
                event.listener_changed(_LISTENERS.get(message.handler, "default"))
        elif is_sigterm and event is not None:
            event.listener_refused(message.call)

    # -- notes, begins and ends --------------------------------------------------------------------------------------

    def _noted(self, instance: Instance, event: Event | None, message: messages.Note) -> FollowUp | None:
        """A record of user code, a note of the instance for the timeline, or that an unfinished line was flushed."""
        event = event or self._host.pool.last_events.get(instance)
        if message.in_shared_memory is not None:
            instance.sandbox.made(message.in_shared_memory)
        elif event is None:
            pass  # it is written by what no event has started
        elif message.flushed:
            instance.output.flushed()
            event.flushed()
        elif message.debug is not None:
            event.expects_debug_lines(message.debug)
        elif message.note is None:
            if message.name is None or message.fields is None:
                raise ValueError("a note without anything in it")
            event.recorded(message.name, message.fields)
        elif message.has_real_time is not None:
            event.has_real_time(message.has_real_time, message.note)
        else:
            event.remark(message.note)
            if message.literal_tmp:
                return self._warn_of_literal_tmp(instance, message.note)
            if message.untraced:
                event.is_untraceable(message.note)
                return self._warn_once(message.note, message.note)
        return None

    def _warn_of_literal_tmp(self, instance: Instance, what: str) -> FollowUp | None:
        """Once a runtime: it comes as often as there are instances."""
        why = self._host.pool.sandboxes.why_unmounted()
        text = (
            f"{what}, which belongs to the machine and not to the instance: it has no mount namespace ({why}), and its "
            f"own /tmp is in TMPDIR, {instance.sandbox.tmp}"
        )
        return self._warn_once("literal /tmp", text)

    def _warn_once(self, of: str, text: str) -> FollowUp | None:
        if of in self._warned:
            return None
        self._warned.add(of)
        return lambda: warnings.warn(text, ScfAsyncWarning, stacklevel=2)

    def _initialised(self, instance: Instance, event: Event | None, message: messages.InitDone) -> FollowUp | None:
        instance.has_used(message.rss)
        if event is None or event.ended:
            return None
        if event.timer is not None:
            event.timer.cancel()
        fact, trace = message.fact, message.trace or ""
        if fact == messages.BEFORE_INIT_RAISED:
            return partial(self._test_code_raised, event, trace)
        if fact is not None:
            return partial(self._host.end, event, Fact[fact], trace=trace, mem_usage=instance.rss)
        for feature in self._host.features:
            follow_up = feature.peaked(instance, event)
            if follow_up is not None:
                return follow_up
        event.initialised(instance.rss)
        due = self._host.clock.now_us + event.function.configuration.timeout * 1_000_000
        event.runs_until(self._host.clock.call_at(due, lambda: self._host.end(event, Fact.TIMED_OUT)))

        return None

    def _test_code_raised(self, event: Event, trace: str) -> None:
        """Refuse *event*, whose *before_init* raised: that is the fault of the test and not of the function."""
        configuration = event.function.configuration
        assert configuration.before_init is not None
        source = configuration.sources["before_init"]
        text = f"before_init={configuration.before_init.shown!r} ({source}) of function {configuration.name!r} raised"
        error = exception_line(trace)
        trace = trace.strip()
        self._host.refuse(event, f"{text} {error}", trace if trace != error else "")

    def _result(self, instance: Instance, event: Event, message: messages.Result) -> None:
        instance.has_used(message.rss)
        self._computed(instance, message.used_ns or 0)
        for feature in self._host.features:
            follow_up = feature.peaked(instance, event)
            if follow_up is not None:
                follow_up()
        self._host.end(  # nothing for an event that has ended
            event,
            Fact[message.fact],
            result_text=message.text,
            content=None if message.content is None else binascii.a2b_base64(message.content),
            trace=message.trace,
            message=message.message,
            excess=None if message.size is None else ResultExcess(message.size),
            mem_usage=instance.rss,
        )
        if message.ends and not instance.released:
            event.reclaimed(Fact.PROCESS_EXITED.value)
            self._host.pool.reclaim(instance, Fact.PROCESS_EXITED.value)
