"""What instances say: each message, and what it changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..clock import WAKE_UP
from ..errors import HarnessError, ScfAsyncError, ScfAsyncWarning, ScfUsageError, hidden_from_users
from ..instances.instance import Instance, exit_of, not_started
from ..model import Fact
from ..model.timeline import Listener, Raised
from ..model.tracebacks import exception_line
from ..protocol import messages
from .event import Event
from .memory import GRACE, excess

if TYPE_CHECKING:
    from .scheduler import Lockstep

__tracebackhide__ = hidden_from_users

SIGTERM = 15

_LISTENERS: dict[str, Listener] = {"handler": "handler", "SIG_IGN": "ignored", "native": "native"}
"""What a call of ``signal.signal`` for SIGTERM makes of it; everything else sets it to its default."""


class Reports:
    """Hears the instances of one runtime, for its lockstep."""

    def __init__(self, lockstep: Lockstep) -> None:
        self.lockstep = lockstep
        self._warned: set[str] = set()
        """Of what there has been a warning."""

    def instance_said(self, instance: Instance, kind: int, body: bytes) -> None:
        event = self.lockstep.pool.events.get(instance)
        try:
            self._said(instance, event, messages.received(kind, body, instance.peer))
        except ScfAsyncError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever code in an instance writes to the channel ends up here)
            self.instance_garbled(instance, f"message {kind}: {type(error).__name__}: {error}")

    def instance_garbled(self, instance: Instance, why: str) -> None:
        """End an instance that sent what is no message: nothing that comes from it can be believed any more."""
        event = self.lockstep.pool.events.get(instance)
        name = "no function" if event is None else event.function.configuration.name
        if event is not None and not event.ended:
            event.ends_by_close()
            self.lockstep.end(event, Fact.PROCESS_EXITED, why=why)
        elif not instance.released:
            self.lockstep.pool.reclaim(instance, why)
        raise HarnessError(
            f"instance {instance.number} (pid {instance.pid}) of {name} sent what is no message ({why}) and was ended: "
            "code in it has written to a descriptor that it did not open"
        )

    def _said(self, instance: Instance, event: Event | None, message: messages.FromAnInstance) -> None:
        if isinstance(message, messages.Parked):
            self._parked(instance, event, message)
            return
        if isinstance(message, (messages.Leased, messages.Wrote)):
            instance.told_us = message.time_us
            self.read_leased_waits(instance, message.records)
            return
        if isinstance(message, messages.SignalsHandled):
            instance.children.poll_requested = False
            return
        if isinstance(message, messages.EndsProcess):
            instance.children.ending.add(message.pid)
            return
        if isinstance(message, messages.Terminal):
            text = message.text
            self.lockstep.todo.append(lambda: self.lockstep.ask_terminal(instance, text))
            return
        self.lockstep.progress += 1
        if isinstance(message, messages.Gated):
            self._gated(instance, event, message)
        elif isinstance(message, messages.Note):
            self._noted(instance, event or self.lockstep.pool.last_events.get(instance), message)
        elif isinstance(message, messages.InitDone):
            self._initialised(instance, event, message)
        elif isinstance(message, messages.Result):
            self._returned(instance, event, message)
        elif isinstance(message, (messages.Forks, messages.Program)):
            self._of_processes(instance, event, message)
        else:
            self._of_signals(instance, event, message)

    @staticmethod
    def _gated(instance: Instance, event: Event | None, message: messages.Gated) -> None:
        instance.gated = message.id
        instance.gate_on_main = message.main
        if event is not None and instance.gated in event.gates:
            event.gates[instance.gated].reach()
            event.stands_at(event.gates[instance.gated])

    def _returned(self, instance: Instance, event: Event | None, message: messages.Result) -> None:
        if event is None:
            return
        at = self._happened_at(message.at)
        Fact[message.fact]  # here, where what is wrong is the instance's fault
        if at is None:
            self.lockstep.todo.append(lambda: self._result(instance, event, message))
        else:
            self._when_it_is(at, lambda: self._result(instance, event, message))

    def _of_processes(
        self, instance: Instance, event: Event | None, message: messages.Forks | messages.Program
    ) -> None:
        if isinstance(message, messages.Forks):
            at = message.at
            self.lockstep.todo.append(lambda: self._refuse_fork(instance, event, at))
        elif message.runs:
            instance.user_process.runs = True
        elif message.pid:
            instance.user_process.started(message.pid)
        else:
            instance.ends_us = self._happened_at(message.at)

    def _refuse_fork(self, instance: Instance, event: Event | None, at: str) -> None:
        """A program that is to be of one process is about to fork: its event ends, and with it the instance."""
        where = f" at {at}" if at else ""
        why = f"the program {instance.runtime.name} forks{where}, and {instance.runtime.why_no_forks}"
        if event is None:
            self.lockstep.pool.reclaim(instance, why)
            raise ScfUsageError(why)
        self.lockstep.refuse(event, f"event {event.request_id} of {event.function.configuration.name}: {why}")

    def _happened_at(self, at: float | None) -> int | None:
        """When something happened in a free-running instance, in simulated time; None for all others: now."""
        flow = None if at is None else self.lockstep.moving.real_flow()
        return None if at is None or flow is None else flow.at_us(at)

    def _when_it_is(self, at_us: int, then: Callable[[], None]) -> None:
        """Call *then* once the clock has come to where a free-running instance was."""
        now = self.lockstep.clock.now_us
        at_us = max(at_us, now) if self.lockstep.time_moves else now
        self.lockstep.clock.call_at(at_us, then, what="what a free-running instance did", priority=WAKE_UP)

    def _of_signals(self, instance: Instance, event: Event | None, message: messages.OfSignals) -> None:
        if isinstance(message, messages.SignalEntered):
            instance.turn = True
            instance.preempted = instance.cpu_bound = False
            if message.signum == SIGTERM:
                instance.entered += 1
                instance.signalled = False
                if event is not None:
                    event.handler_entered()
        elif isinstance(message, messages.SignalLeft):
            raised = message.raised
            if raised is not None and instance.gated is not None and instance.gate_on_main:
                instance.gated = None
            if event is not None and message.signum == SIGTERM:
                event.handler_left(None if raised is None else Raised(raised, message.message or ""))
        elif isinstance(message, messages.SignalsDeferred):
            if SIGTERM in message.signums:
                instance.deferred += 1
                instance.signalled = False
                if event is not None:
                    event.handler_deferred()
        else:
            (instance.listening.add if message.handler == "handler" else instance.listening.discard)(message.signum)
            if message.signum == SIGTERM:
                instance.caught_natively = message.handler == "native"
            if message.signum == SIGTERM and event is not None:
                event.listener_changed(_LISTENERS.get(message.handler, "default"))

    def _noted(self, instance: Instance, event: Event | None, message: messages.Note) -> None:
        """A record of user code, a line of the bootstrap for the timeline, or that an unfinished line was flushed."""
        if message.in_shared_memory is not None:
            instance.sandbox.made(message.in_shared_memory)
            return
        if event is None:
            return
        if message.flushed:
            instance.output.flushed()
            event.flushed()
        elif message.note is None:
            if message.name is None or message.fields is None:
                raise ValueError("a note without anything in it")
            event.recorded(message.name, message.fields)
        elif message.has_real_time is not None:
            event.has_real_time(message.has_real_time, message.note)
        else:
            event.remark(message.note)
            if message.literal_tmp:
                self._warn_of_literal_tmp(instance, message.note)
            elif message.untraced:
                event.is_untraceable(message.note)
                self._warn_once(message.note, message.note)

    def read_leased_waits(self, instance: Instance, records: int | None = None) -> None:
        """Take the waits down that the instance ended by itself: those of *records*, or all."""
        event = self.lockstep.pool.events.get(instance)
        for what, first_us, last_us, count in instance.leased_waits(records):
            instance.waits_in = what
            if event is not None:
                event.waits(what, first_us, last_us, count)

    def _parked(self, instance: Instance, event: Event | None, message: messages.Parked) -> None:
        due, order, running_threads, held, seen, used_ns, what = message
        instance.seen = seen
        if used_ns:
            self.lockstep.costs.told(instance, used_ns)
        instance.running_threads, instance.held = running_threads, held
        if what and not instance.frozen:
            instance.waits_in = what
            if event is not None:
                now = event.now_us()
                event.waits(what, now, now, endless=due == messages.NEVER and not (held or running_threads))
        if event is not None and event.function.configuration.memory is not None:
            self.lockstep.todo.append(lambda: self.check_memory(instance, event))
        if seen < instance.sent:  # it crossed with something that we sent: another report comes
            instance.poll_requested = False  # unless that was gates alone: then it is asked again
            instance.children.answered = None
            return
        answers, instance.poll_requested = instance.poll_requested, False
        # A report that crossed with a signal leaves the turn to its handler.
        instance.turn = instance.signalled or instance.children.poll_requested
        instance.parks += not answers  # a thread beside the one that has the turn answers
        if running_threads == 0:
            instance.preempted = instance.cpu_bound = False
            instance.end_lease()
        if instance.frozen:
            return
        known = instance.head.key if instance.head is not None else (0, 0, 0, 0)
        if instance.head is not None:
            instance.head.cancel()
            instance.head = None
        if due != messages.NEVER and instance.gated is None:
            instance.head = self.lockstep.clock.call_at(
                due, lambda: self._grant(instance), what="a wake-up", priority=WAKE_UP, order=order
            )
        self.lockstep.progress += due > self.lockstep.clock.now_us and (due, order) != (known[0], known[2])

    def check_memories(self) -> None:
        """Look at all instances with a limit: one that computes, or waits for its children, tells nothing itself."""
        for instance in self.lockstep.pool.stirring():
            event = self.lockstep.pool.events.get(instance)
            if event is None or event.function.configuration.memory is None or event.ended:
                continue
            if not instance.computing:
                self.check_memory(instance, event)
            elif excess(instance, event, grace=GRACE) is not None:
                event.not_repeatable("stopped in the middle of computing, for its memory: not repeatable")
                self.check_memory(instance, event)

    def check_memory(self, instance: Instance, event: Event, own_peak: int | None = None) -> None:
        """End *event* where its instance uses more memory than the function has."""
        found = None if event.ended else excess(instance, event, own_peak)
        if found is not None:
            self.lockstep.end(event, Fact.MEMORY_EXCEEDED, mem_usage=instance.rss, excess=found)

    def _warn_of_literal_tmp(self, instance: Instance, what: str) -> None:
        """Once a runtime: it comes as often as there are instances."""
        why = self.lockstep.pool.sandboxes.why_unmounted()
        text = (
            f"{what}, which is the machine's and not the instance's own: it has no mount namespace ({why}), and "
            f"its /tmp is where TMPDIR says, {instance.sandbox.tmp}"
        )
        self._warn_once("literal /tmp", text)

    def _warn_once(self, of: str, text: str) -> None:
        if of not in self._warned:
            self._warned.add(of)
            self.lockstep.todo.append(lambda: warnings.warn(text, ScfAsyncWarning, stacklevel=2))

    def _grant(self, instance: Instance) -> None:
        instance.head = None
        if instance.gone or instance.frozen or instance.gated is not None:
            return
        instance.turn = True
        instance.turns += 1
        self.lockstep.lease_with_turn(instance)
        instance.send(messages.Resume())
        if instance.preempted and instance.has_alarm:
            instance.poke()  # no thread may be there to read it but the one that waits for something real

    def _initialised(self, instance: Instance, event: Event | None, message: messages.InitDone) -> None:
        instance.rss = message.rss
        if event is None or event.ended:
            return
        if event.timer is not None:
            event.timer.cancel()
        fact, trace = message.fact, message.trace or ""
        if fact == messages.BEFORE_INIT_RAISED:
            self.lockstep.todo.append(lambda: self._test_code_raised(event, trace))
            return
        if fact is not None:
            known = Fact[fact]
            self.lockstep.todo.append(lambda: self.lockstep.end(event, known, trace=trace, mem_usage=instance.rss))
            return
        if excess(instance, event, instance.rss) is not None:
            self.lockstep.todo.append(lambda: self.check_memory(instance, event, instance.rss))
            return
        event.initialised(instance.rss)
        due = self.lockstep.clock.now_us + event.function.configuration.timeout * 1_000_000
        event.runs_until(
            self.lockstep.clock.call_at(
                due, lambda: self.lockstep.end(event, Fact.TIMED_OUT), what=f"timed out: {event.request_id}"
            )
        )

    def _test_code_raised(self, event: Event, trace: str) -> None:
        """The function *before_init* failed: that is the test's fault, and says nothing of the function."""
        configuration = event.function.configuration
        assert configuration.before_init is not None
        source = configuration.sources["before_init"]
        text = f"before_init={configuration.before_init.shown!r} ({source}) of function {configuration.name!r} raised"
        error = exception_line(trace)
        trace = trace.strip()
        self.lockstep.refuse(event, f"{text} {error}", trace if trace != error else "")

    def _result(self, instance: Instance, event: Event, message: messages.Result) -> None:
        instance.rss = message.rss
        self.lockstep.costs.told(instance, message.used_ns or 0)
        self.check_memory(instance, event, instance.rss)
        self.lockstep.end(  # nothing for an event that has ended
            event,
            Fact[message.fact],
            result_text=message.text,
            trace=message.trace,
            message=message.message,
            mem_usage=instance.rss,
        )
        if message.ends and not instance.released:
            event.reclaimed(Fact.PROCESS_EXITED.value)
            self.lockstep.pool.reclaim(instance, Fact.PROCESS_EXITED.value)

    def instance_wrote(self, instance: Instance, line: str) -> None:
        self.lockstep.progress += 1
        event = self.lockstep.pool.events.get(instance) or self.lockstep.pool.last_events.get(instance)
        if event is not None:
            event.wrote(line)
        if event is not None and instance.runtime.stops_behind_lines and instance.gated is None:
            self.lockstep.gates.stop_at_line(event, instance)

    def instance_started(self, instance: Instance) -> None:
        event = self.lockstep.pool.events.get(instance)
        if event is not None:
            self.lockstep.todo.append(lambda: self.lockstep.on_start(event))

    def instance_stirs(self, instance: Instance) -> None:
        self.lockstep.pool.stirs(instance)
        if instance.takes_time:
            self.lockstep.costs.tell_time(instance)

    def instance_full(self, instance: Instance) -> None:
        self.lockstep.pool.poller.watch_again(instance)

    def instance_clock_us(self) -> int:
        return self.lockstep.clock.now_us

    def instance_held_back(self, instance: Instance) -> None:
        self.lockstep.pool.poller.watch_again(instance)

    def instance_gone(self, instance: Instance) -> None:
        self.lockstep.todo.append(lambda: self._receive_final_messages(instance))

    def _receive_final_messages(self, instance: Instance) -> None:
        if not instance.released:
            instance.pump()
        self.lockstep.todo.append(lambda: self._exited(instance))

    def _exited(self, instance: Instance) -> None:
        event = self.lockstep.pool.events.get(instance)
        if event is not None and not event.ended and instance.never_began():
            instance.output.finish()
            why = instance.refused or next((line.text for line in reversed(event.log) if line.source == "Custom"), "")
            event.ends_by_close()
            self.lockstep.end(event, Fact.PROCESS_EXITED)
            raise not_started(event.function.configuration.name, why)
        if event is not None and not event.ended:
            at, instance.ends_us = instance.ends_us, None
            if at is not None:  # after what it has said before, which is dealt with in this way too
                self._when_it_is(at, lambda: self._exited(instance))
                return
            self.lockstep.end(event, Fact.PROCESS_EXITED, exit=exit_of(instance.status))
        elif not instance.released:
            instance.output.finish()
            self.lockstep.pool.drop(instance)
