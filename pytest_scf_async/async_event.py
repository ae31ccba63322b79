"""One async event as users see it: what is known of it, and the calls that run it."""

from __future__ import annotations

import json
import re
import signal
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from .clock import DueThing, duration_us, to_datetime
from .errors import (
    CannotEndError,
    GateNotReachedError,
    HandlerError,
    ScfApiError,
    ScfUsageError,
    calls_named,
    hidden_from_users,
    keywords_named,
)
from .instances.interrupts import shielded
from .instances.state import Doing
from .lockstep.calls import Call
from .lockstep.event import Event, Gate, Record, SignalDelivery
from .lockstep.places import find
from .lockstep.scheduler import Lockstep
from .model.codes import api_error
from .model.log_lines import LogLine
from .model.patterns import is_there_as_a_pattern, line_matcher
from .model.statuses import State, Status
from .model.timeline import GateReached
from .model.transitions import Fact
from .protocol import messages
from .protocol.time_units import NEVER_US
from .report.cause import short_message
from .report.closest import closest_lines
from .report.failure import (
    Standing,
    failure,
    never_reached,
    not_finished,
    not_handled,
    not_stopped_within,
    why_lines,
)
from .report.limits import limits, show
from .report.timeline import timeline_text
from .report.tracebacks import shown_traceback
from .termination import terminate

__tracebackhide__ = hidden_from_users

Json = Any
"""What ``json`` reads and writes: dict, list, str, int, float, bool or None."""


class EventLog(Sequence[LogLine]):
    """The lines of an event's log, in true order; ``str(log)`` is the text."""

    def __init__(self, lines: Sequence[LogLine]) -> None:
        self._lines = lines

    @overload
    def __getitem__(self, index: int) -> LogLine: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[LogLine]: ...

    def __getitem__(self, index: int | slice) -> LogLine | Sequence[LogLine]:
        return self._lines[index]

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[LogLine]:
        return iter(list(self._lines))

    def __str__(self) -> str:
        return "\n".join(line.text for line in self._lines)

    def __contains__(self, line: object) -> bool:
        """Whether it has that ``LogLine``; a text, which is none, is refused, as ``not in`` would always be true."""
        if isinstance(line, str):
            raise ScfUsageError(
                f"{line!r} in event.log is not valid: event.log holds lines with a time, a text and a source; use "
                f"assert_logged(event, {line!r}), or {line!r} in str(event.log)"
            )
        return line in self._lines

    def __repr__(self) -> str:
        return f"<EventLog of {len(self)} lines>"


@dataclass(frozen=True)
class SignalView:
    """One SIGTERM of a graceful termination; times are aware ``datetime``s of simulated time."""

    sent_at: datetime
    received: bool
    """It reached a living process that runs the event (document 63969)."""
    disposition: Literal["handler", "default", "ignored", "blocked", "no process", "native", "unknown", "scripted"]
    """Its effect; ``"native"`` is code outside Python, as ``faulthandler.register`` installs it; ``"unknown"`` a
    free-running program, whose language's runtime may catch it although the program does not listen; ``"scripted"`` a
    scripted event, whose function's ``on_terminate`` decides what happens."""
    entered_at: datetime | None
    left_at: datetime | None
    raised: str | None
    """The exception that the handler raised, as ``Type: text``."""


@dataclass(frozen=True)
class InstanceView:
    """The instance that runs or ran an event."""

    pid: int
    """The process that runs user code; before a free-running program is there, its agent's."""
    tmp: Path
    """A path of the host at which a test finds the instance's own ``/tmp`` while the instance lives."""
    cold: bool
    """It was started for this event."""
    doing: str
    """pending, computing, parked, held, gated, ended, frozen or free-running."""
    alive: bool
    reclaimed: bool
    reclaimed_because: str | None
    lost_files: tuple[str, ...] = ()
    """The files in its ``/tmp`` when it was reclaimed: paths below ``/tmp``, in order; empty while it lives."""


_WITHIN = (
    "scf_clock.advance(seconds) lets that much simulated time pass and returns; "
    "scf_runtime.wait_until(lambda: event.ended, within=seconds) raises if the event has not ended by then"
)


@calls_named
class AsyncEvent:
    """An event that a function accepted. Reading a property never moves time and never runs user code."""

    def __init__(self, lockstep: Lockstep, event: Event) -> None:
        self._lockstep = lockstep
        self._event = event
        self._reads = 0
        self._reads_since = 0

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def request_id(self) -> str:
        """The id of the invocation, and of the event (document 51519)."""
        return self._event.request_id

    @property
    def function_name(self) -> str:
        """The name of the function that accepted it."""
        return self._event.function.configuration.name

    @property
    def qualifier(self) -> str:
        """The version of the function that runs it: ``$LATEST`` or a number, whatever it was invoked by."""
        return self._event.record.qualifier

    @property
    def status(self) -> Status:
        """RUNNING, FINISHED, FAILED or ABORTED: equal to these texts. Time does not pass while it is read.

        An event that is queued, or was dropped, has none: ``ScfApiError`` ``ResourceNotFound.AsyncEvent``, as for
        everybody who asks the platform.
        """
        self._poll()
        self._look()
        status = self._event.status
        if status is None:
            raise _unknown(self._event)
        return status

    @property
    def status_code(self) -> int:
        """The platform's code of its end (document 42611); 0 while it runs."""
        self._poll()
        self._look()
        return self._event.record.status_code

    @property
    def ended(self) -> bool:
        """It is FINISHED, FAILED or ABORTED, or was dropped from the queue."""
        self._poll()
        return self._event.ended

    @property
    def result(self) -> Json:
        """The handler's return value, through JSON. Raises ``HandlerError`` unless the event is FINISHED.

        The body of an image or of a custom runtime is ``bytes`` where it is no text, as with a picture.
        """
        self._look()
        event = self._event
        if event.result_text is not None and event.status is Status.FINISHED:
            return event.content if event.content is not None else json.loads(event.result_text)
        if event.status is None:
            raise HandlerError(f"{_why_unknown(event)}, and has no result")
        if not event.ended:
            pending = ": none of its code has run" if event.phase == "pending" else ""
            raise HandlerError(
                f"event {self.request_id} of {event.function.configuration.name} is RUNNING and has no result yet"
                f"{pending}; call wait() first"
            )
        text = f"event {self.request_id} of {event.function.configuration.name} is {event.status} ({self.status_code})"
        stack = shown_traceback(event, limits.parts - 1)
        lines = [
            f"{text} and has no result: {short_message(event)}",
            *why_lines(event),
            *(["--- traceback of the function ---", stack] if stack else []),
        ]
        raise HandlerError("\n".join(lines), dict(event.error))

    @property
    def retry_num(self) -> int:
        """The number of retries so far: only invocations of sync functions (document 41138)."""
        self._see()
        return self._event.retry_num

    @property
    def error(self) -> dict[str, int | str] | None:
        """The platform's error body; None while the event runs and when it is FINISHED."""
        self._look()
        return dict(self._event.error) if self._event.error else None

    @property
    def log(self) -> EventLog:
        """The lines of the platform and of the user's code, each with ``.time``, ``.text`` and ``.source``."""
        self._see()
        return EventLog(self._event.lines)

    @property
    def records(self) -> list[Record]:
        """The records that the handler and its fakes made with ``pytest_scf_async.inside.record``, in true order."""
        self._see()
        return list(self._event.records)

    @property
    def transitions(self) -> list[tuple[Status, datetime]]:
        """The statuses that it has had, each with the simulated time of its beginning."""
        self._look()
        return [(status, to_datetime(at)) for status, at in self._event.record.transitions]

    @property
    def signals(self) -> list[SignalView]:
        """The SIGTERMs of graceful terminations."""
        self._see()
        return [_signal_view(delivery) for delivery in self._event.signals]

    @property
    def started_at(self) -> datetime:
        """The time at which it was accepted."""
        return to_datetime(self._event.record.start_us)

    @property
    def ended_at(self) -> datetime | None:
        """The time of its end; None while it runs."""
        self._poll()
        end = self._event.record.end_us
        return None if end is None else to_datetime(end)

    @property
    def duration(self) -> timedelta | None:
        """From its acceptance to its end, in simulated time; None while it runs."""
        self._see()
        end = self._event.record.end_us
        return None if end is None else timedelta(microseconds=end - self._event.record.start_us)

    @property
    def doing(self) -> str:
        """queued, pending, computing, parked, held, gated, ended or free-running."""
        self._poll()
        if self._event.ended:
            return str(Doing.ENDED)
        if self._event.phase == "queued":
            return str(Doing.QUEUED)
        return str(self._lockstep.doing(self._event))

    @property
    def instance(self) -> InstanceView | None:
        """The instance that runs or ran it; None while it is pending. A scripted event has none: ``ScfUsageError``."""
        refuse_scripted(self, "it has no event.instance", "use event.status, event.log or event.signals")
        self._see()
        instance = self._event.instance
        if instance is None:
            return None
        return InstanceView(
            pid=instance.user_process.pid or instance.pid,
            tmp=Path(instance.sandbox.tmp),
            cold=bool(self._event.cold),
            doing=str(instance.doing()),
            alive=not instance.gone,
            reclaimed=instance.gone,
            reclaimed_because=self._event.reclaimed_because,
            lost_files=instance.sandbox.lost_files,
        )

    @property
    def timeline(self) -> str:
        """Transitions, signals, waits, records and log lines on one axis of simulated time, as text."""
        self._see()
        return self._timeline()

    # -- what runs it ------------------------------------------------------------------------------------------------

    @keywords_named("wait()", notes={"timeout": _WITHIN, "within": _WITHIN})
    def wait(self) -> AsyncEvent:
        """Let time pass until the event has ended, and give the event; FAILED and ABORTED raise nothing.

        Raises ``CannotEndError`` when it cannot end: a wait for something real that does not come, a loop that
        computes for ever, or an event that the platform dropped from its queue.
        """
        name = f"wait() on event {self.request_id}"
        self._drive(name, lambda: self._event.ended, moves_clock=True, leases=True)
        refuse_dropped(name, [self])
        return self

    def settle(self) -> AsyncEvent:
        """Run the event, at this simulated time, until it waits, stands at a gate or has ended; a queued one stays so.

        A free-running program that has not started yet takes its real time for that, and the clock goes with it.
        """
        name = f"settle() on event {self.request_id}"
        self._drive(name, lambda: self._lockstep.settled(self._event), settles=True)
        return self

    def wait_for_log(self, pattern: str | re.Pattern[str], count: int = 1) -> AsyncEvent:
        """Run until the log has *count* lines with *pattern* (a text, or a compiled regular expression to search for).

        The instance stands right behind the statement that wrote the line, and goes on with the next call on this
        event that runs it; a line without an end counts once it has been flushed. Where it is a child process, a file
        object of the user's own on the output, or code in C that has written the line, the instance stands at its next
        wait, and the timeline says so. A line that is there already is no gate. Raises ``GateNotReachedError`` when the
        event ends without it.
        """
        if type(count) is not int or count < 1:
            raise ScfUsageError(f"count={count!r} is not valid: it must be a whole number of lines, 1 or more")
        shown, found = line_matcher(pattern)
        lockstep, event = self._lockstep, self._event
        lockstep.refresh()
        lines = hits = 0

        def seen() -> int:
            nonlocal lines, hits
            while lines < len(event.log):  # asked again and again, while a log grows without end
                hits += found(event.log[lines].text)
                lines += 1
            return hits + sum(1 for line in event.unfinished if found(line.text))

        already = seen()
        if already >= count:
            return self
        where = f"wait_for_log({shown}{f', count={count}' if count > 1 else ''})"
        gate = Gate(lockstep.gates.name("log"), where, seen=lambda: seen() >= count)
        regular = isinstance(pattern, re.Pattern)
        text, flags = (pattern.pattern, pattern.flags) if isinstance(pattern, re.Pattern) else (pattern, 0)
        description = messages.LogGate(gate.identity, count - already, regular=regular, pattern=text, flags=flags)
        self._go_to_gate(
            where, gate, description, lambda: seen() >= count, lambda: _why_never_logged(pattern, event.log, seen())
        )
        return self

    def run_to(self, place: str) -> AsyncEvent:
        """Run to a place in the code and stand there: before its first line has run, on whatever thread comes to it.

        ``"init"`` is before the first line of the user's module. ``"export.py:42"`` is before that line of a file of
        the code directory, named by its base name or the end of its path (``"pkg/export.py:42"``).
        ``"function_name"`` or ``"Class.method"`` is before the first line of a function's body. ``"#3"`` behind a line
        or a function is its third pass, counted from the event's first line; without a number it is the next pass. A
        pass is that a statement begins, or that a loop comes back to its head.

        Raises ``ScfUsageError`` for a place that is not there (with what is near), for one that the event is past, and
        for a numbered pass of an event that has started when nothing has counted; ``GateNotReachedError``, with its
        log, when the event ends without it, or has no init because its instance is warm.
        """
        event = self._event
        if place != "init" or event.script is not None:
            return self._run_to_place(place)
        if event.phase != "pending":
            raise ScfUsageError(f"run_to('init'): event {self.request_id} is past its init; it is {self.doing}")
        gate = Gate("init", "run_to('init')")
        self._go_to_gate("run_to('init')", gate, None, lambda: event.cold is False)
        if event.cold is False:
            raise GateNotReachedError(
                f"run_to('init'): event {self.request_id} runs on a warm instance, whose init is over"
            )
        return self

    def _require(self, known: bool, call: str, instead: str) -> None:
        """Refuse *call* where what it asks is not *known* of the event's runtime."""
        if known:
            return
        runtime = self._event.function.runtime
        if self._event.script is not None:
            raise ScfUsageError(
                f"{call}: event {self.request_id} is scripted, without lines of code; {runtime.instead_of_places}"
            )
        raise ScfUsageError(
            f"{call}: event {self.request_id} runs in {runtime.name}, where that cannot be known; {instead}"
        )

    def _run_to_place(self, named: str) -> AsyncEvent:
        self._require(
            self._event.function.runtime.has_places,
            f"run_to({named!r})",
            self._event.function.runtime.instead_of_places,
        )
        lockstep, event = self._lockstep, self._event
        lockstep.refresh()
        where = f"run_to({named!r})"
        codes = [event.function.code_to_run(), event.function.code]
        place = find(named, [code.directory for code in codes], codes[0].entry, codes[0].function)
        with lockstep.locked():
            at_init = event.instance is not None and event.instance.gated == "init"
            begun = event.instance is not None and not at_init
            if place.number is not None and begun and place not in event.places and not event.ended:
                raise ScfUsageError(
                    f"{where}: event {self.request_id} has already started, and its passes of {place.text} "
                    f"were not counted from its first line on; run_to({place.text!r}) is the next pass from here, and "
                    "a gate set there before the event starts counts them"
                )
            passed = lockstep.gates.count(event, place)
            number = passed + 1 if place.number is None else place.number
            if passed >= number and not event.ended:
                if passed == number and lockstep.gates.stands_at(event, place):
                    return self
                times = "once" if passed == 1 else f"{passed} times"
                raise ScfUsageError(f"{where}: event {self.request_id} is past that: it has been there {times}")
        gate = Gate(lockstep.gates.name("line"), where, place=place)
        description = messages.LineGate(gate.identity, event.places[place], number)
        self._go_to_gate(where, gate, description, lambda: False)
        return self

    def wait_until_listening(self, signum: int = signal.SIGTERM) -> AsyncEvent:
        """Run until user code has installed a handler for *signum*, and stand right behind that ``signal.signal`` call.

        A termination that follows meets the handler before the next line has run. When one is installed already the
        call returns at once; an event that starts on such a warm instance stands before its handler is called.
        ``SIG_DFL`` and ``SIG_IGN`` are no handlers. Of a supervised program the call is ``sigaction``, and the signal
        is SIGTERM. Raises ``ScfUsageError`` for what is no signal that can be handled, and for a program in Go or
        Node.js, whose runtime always catches SIGTERM; ``GateNotReachedError``, with its log, when the event ends
        without it.
        """
        lockstep, event = self._lockstep, self._event
        runtime = event.function.runtime
        name = _signal_name(signum)
        followed = runtime.listens_in_python or signum == signal.SIGTERM
        known = runtime.has_listeners and followed and not runtime.catches_signals
        self._require(known, f"wait_until_listening({'' if followed else f'signal.{name}'})", _WRITE_A_LINE)
        lockstep.refresh()
        instance = event.instance
        if instance is not None and signum in instance.listening and not event.ended:
            return self
        shown = "" if signum == signal.SIGTERM else f"signal.{name}"
        where = f"wait_until_listening({shown})"
        gate = Gate(lockstep.gates.name("listening"), where)
        description = messages.ListeningGate(gate.identity, int(signum))
        call = f"signal.signal(signal.{name}, ...)" if runtime.listens_in_python else f"sigaction({name})"
        cure = ": call it in the main thread, at the top of the module or of the function"
        hint = f"user code never called {call} with a handler{cure if runtime.listens_in_python else ''}"

        def is_unknown() -> bool:
            """The program is one that a shell has started, say."""
            return not runtime.listens_in_python and event.instance is not None and event.instance.caught_natively

        self._go_to_gate(where, gate, description, lambda: False, lambda: hint, given_up=is_unknown)
        self._require(gate.reached or not is_unknown(), where, _WRITE_A_LINE)
        return self

    @keywords_named("terminate(...)")
    def terminate(self, grace_shutdown: bool = False, when: Literal["settled", "now"] = "settled") -> None:
        """TerminateAsyncEvent (documents 52500, 63969): by force, or with *grace_shutdown* by SIGTERM.

        With *when* "settled" a pending event is started first and runs to its first wait; "now" does nothing first.
        By force it has ``compute_grace`` real seconds for that, and ``real_timeout`` in its init; then it is ended.
        With *grace_shutdown* it has ``real_timeout``; then it gets its signal where it computes. Forced: returns
        when the instance is gone. Graceful: returns when the signal has reached the process and the instance has
        settled again. No simulated time passes. Raises ``ScfApiError``
        ``FailedOperation.AsyncEventStatus`` when the event has ended.
        """
        if when not in ("settled", "now"):
            raise ScfUsageError(f"when={when!r} is not valid: it must be 'settled' or 'now'")
        refuse_unknown(self._event)
        terminate(self._lockstep, self._event, grace_shutdown, settle_first=when == "settled")

    @keywords_named("stop(...)")
    def stop(self, within: float | timedelta = 30, *, exit_ok: bool = False) -> AsyncEvent:
        """Terminate the event gracefully and wait; it has to be FINISHED *within* simulated seconds after the SIGTERM.

        Of code in Python a handler of SIGTERM has to have been called, too; it may raise what the function catches.
        With *exit_ok* an end of the process is right as well: it makes the event FAILED with 439, as in the platform's
        sample in Go (document 63969). Raises ``AssertionError``, as the assertion helpers do, and what ``terminate``
        and ``wait`` raise. Gives the event.
        """
        __tracebackhide__ = True
        limit = duration_us(within, "stop(within)")
        refuse_scripted(self, "stop() does not apply", "terminate() and wait() end it")
        self.terminate(grace_shutdown=True)
        self.wait()
        self._check()
        event, settings = self._event, self._lockstep.settings
        exited = exit_ok and event.record.status_code == 439
        noise, now_us = settings.stop_noise, self._lockstep.clock.now_us
        handled = exited or not event.function.runtime.listens_in_python
        what = (
            (None if exited else not_finished(event))
            or (None if handled else not_handled(event, may_raise=True))
            or not_stopped_within(event, limit, now_us, noise, settings.source("stop_noise"))
        )
        if what is not None:
            raise failure(event, self._timeline(limits.timeline), what)
        return self

    if not TYPE_CHECKING:

        def __await__(self):
            raise ScfUsageError(
                f"event {self.request_id} was awaited: invoke_async(), wait() and the other calls block; remove `await`"
            )

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _number(self) -> int:
        """Its place in the order in which the runtimes of this process accept events."""
        return self._event.record.sequence

    def _poll(self) -> None:
        """A read of how far the event is: a loop that does nothing else would never end."""
        if self._reads_since != self._lockstep.calls:
            self._reads_since, self._reads = self._lockstep.calls, 0
        self._reads += 1
        limit = self._lockstep.settings.status_reads_limit
        if self._reads > limit and not self._event.ended and self._lockstep.flowing is None:
            raise CannotEndError(
                f"the status of event {self.request_id} was read {limit:,} times (status_reads_limit, "
                f"{self._lockstep.settings.source('status_reads_limit')}) without a blocking call in between; "
                "reading it lets no time pass: call wait() on the event or wait_until(...) on the runtime, or have a "
                "polling loop advance the clock by its interval"
            )
        self._see()

    def _timeline(self, most: int | None = None) -> str:
        """The timeline as text, in *most* lines where that is given."""
        event = self._event
        noise = self._lockstep.settings.stop_noise
        return timeline_text(event.timeline, event.invoked_us, event.real_stretches, noise, most)

    def _standing(self) -> Standing | None:
        """Where it is, if it has begun and still runs."""
        self._see()
        event, instance = self._event, self._event.instance
        tried = event.retry_num or event.record.state is State.RETRYING
        if event.ended or (event.phase in ("queued", "pending") and not tried):
            return None
        doing, now_us = self.doing, self._lockstep.clock.now_us
        if doing == Doing.GATED:
            reached = next((each for each in reversed(event.timeline) if isinstance(each, GateReached)), None)
            return Standing(now_us, doing, gate="" if reached is None else reached.gate)
        if doing == Doing.PARKED and instance is not None:
            return Standing(now_us, doing, waits_in=instance.waits_in, due_us=_due_us(instance.head))
        return Standing(now_us, doing, due_us=None if event.script is None else _due_us(event.timer))

    def _see(self) -> None:
        """The test reads something of the event."""
        _note_read(self)
        self._lockstep.refresh()
        self._event.seen(self._lockstep.calls)

    def _look(self) -> None:
        """The test reads how the event ended, so a failure is no surprise to it. When it ended says nothing of that."""
        self._see()
        if self._event.ended:
            self._event.look()

    def _check(self, *, at_its_end: bool = True) -> None:
        """An assertion helper, List or Get answers about the event, so the test says what it expects of it."""
        if at_its_end:
            self._look()
        else:
            self._see()
        self._event.check()

    def _drive(
        self,
        name: str,
        done: Callable[[], bool],
        *,
        moves_clock: bool = False,
        leases: bool = False,
        settles: bool = False,
        is_there: Callable[[], bool] | None = None,
    ) -> None:
        call = Call(
            name,
            done,
            moves_clock=moves_clock,
            leases=leases,
            event=self._event,
            raises=settles,
            is_there=is_there,
        )
        try:
            self._lockstep.drive(call)
        except CannotEndError:
            self._event.seen(self._lockstep.calls)  # the error says what the event does
            raise

    def _go_to_gate(
        self,
        where: str,
        gate: Gate,
        description: messages.AnyGate | None,
        there_anyway: Callable[[], bool],
        why: Callable[[], str | None] = lambda: None,
        *,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        lockstep, event = self._lockstep, self._event

        def is_there() -> bool:
            return not gate.reached and there_anyway()

        def done() -> bool:
            if event.ended or (given_up() and not gate.reached):
                return True
            return (gate.reached or there_anyway()) and lockstep.gave_up_turn(event)

        with shielded():
            try:
                with lockstep.locked():
                    lockstep.gates.arm(event, gate, description)
                self._drive(f"{where} on event {self.request_id}", done, moves_clock=True, is_there=is_there)
            finally:
                with lockstep.locked():
                    lockstep.gates.disarm(event, gate)
        refuse_dropped(f"{where} on event {self.request_id}", [self])
        if not gate.reached and there_anyway() and not event.ended:
            event.passed(gate)
        if not gate.reached and not there_anyway() and not given_up():
            event.look()
            error = GateNotReachedError(never_reached(event, where, why(), self._timeline(limits.timeline)))
            show(error, event)
            raise error

    def __repr__(self) -> str:
        event = self._event
        return f"<AsyncEvent {self.request_id} of {event.function.configuration.name}: {event.shown_status}>"


def _due_us(thing: DueThing | None) -> int | None:
    """When *thing* is due; None where that never comes."""
    return None if thing is None or thing.due_us >= NEVER_US else thing.due_us


_read_last: list[weakref.ref[AsyncEvent]] = []


def _note_read(event: AsyncEvent) -> None:
    _read_last[:] = [weakref.ref(event)]


def read_last() -> AsyncEvent | None:
    """The event of which something was read last: what is wrong with a status that is compared, its event knows."""
    return _read_last[0]() if _read_last else None


def refuse_scripted(event: AsyncEvent, so: str, instead: str) -> None:
    """Raise ``ScfUsageError`` for a scripted *event*, with what that means (*so*) and what to do *instead*."""
    if event._event.script is not None:
        raise ScfUsageError(
            f"event {event.request_id} of {event.function_name} is scripted, without code and without an instance: "
            f"{so}; {instead}"
        )


def _why_never_logged(pattern: str | re.Pattern[str], log: Sequence[LogLine], hits: int) -> str:
    """What to say of a *pattern* that *hits* lines of the *log* have, and too few."""
    if hits:
        return f"{hits} line{' contains' if hits == 1 else 's contain'} it"
    literally = " (a str is matched literally)" if isinstance(pattern, str) else ""
    return is_there_as_a_pattern(pattern, log) or f"no line contains it{literally}{closest_lines(pattern, log)}"


_WRITE_A_LINE = "have the program write a line once its handler is installed, and use wait_for_log()"


def refuse_dropped(call: str, events: Sequence[AsyncEvent]) -> None:
    """Raise ``CannotEndError`` for those of *events*, which *call* waited for, that were dropped from the queue."""
    dropped = [event._event for event in events if event._event.record.state is State.DROPPED]
    if dropped:
        raise CannotEndError(f"{call}: " + "; ".join(map(_why_unknown, dropped)))


def refuse_unknown(event: Event) -> None:
    """Raise ``ScfApiError`` where the platform knows no such async event: TerminateAsyncEvent cannot find it."""
    if event.status is None:
        raise _unknown(event)
    if not event.function.configuration.async_run:
        error = api_error("ResourceNotFound.AsyncEvent", request_id=event.request_id)
        name = event.function.configuration.name
        hint = f"function {name!r} is deployed with async_run=False, and only async functions have events to terminate"
        raise ScfApiError(error.code, error.platform_message, hint)


def _unknown(event: Event) -> ScfApiError:
    error = api_error("ResourceNotFound.AsyncEvent", request_id=event.request_id)
    return ScfApiError(error.code, error.platform_message, _why_unknown(event))


def _why_unknown(event: Event) -> str:
    """Why the platform does not know the event: it is queued, or was dropped before it was accepted."""
    configuration = event.function.configuration
    text = f"event {event.request_id} of {configuration.name}"
    if event.record.state is State.QUEUED:
        limit = f"max_instances={configuration.max_instances}"
        return f"{text} is queued ({limit}): the platform retries it each minute, and has no record of it until then"
    if event.ended_by is Fact.FUNCTION_DELETED:
        return f"{text} was dropped from the queue when its function was deleted"
    hours, rest = divmod(event.event_invoke.msg_ttl, 3600)
    kept = f"{event.event_invoke.msg_ttl:,} seconds" if rest else "an hour" if hours == 1 else f"{hours} hours"
    return (
        f"{text} was dropped: for {kept} of simulated time all instances that its function "
        f"may have (max_instances={configuration.max_instances}) were busy each time the platform tried"
    )


def _signal_name(signum: object) -> str:
    """The name of a signal that a handler can be installed for; ``ScfUsageError`` for anything else."""
    cannot = (signal.SIGKILL, signal.SIGSTOP)
    if isinstance(signum, int) and not isinstance(signum, bool) and signum in signal.valid_signals():
        if signum not in cannot:
            return signal.Signals(signum).name if signum in list(signal.Signals) else str(int(signum))
        raise ScfUsageError(f"signum={signum!r} is not valid: no handler can be installed for it")
    raise ScfUsageError(f"signum={signum!r} is not valid: it must be the number of a signal, such as signal.SIGTERM")


def _signal_view(delivery: SignalDelivery) -> SignalView:
    return SignalView(
        sent_at=to_datetime(delivery.sent_us),
        received=delivery.received,
        disposition=delivery.disposition,
        entered_at=None if delivery.entered_us is None else to_datetime(delivery.entered_us),
        left_at=None if delivery.left_us is None else to_datetime(delivery.left_us),
        raised=None if delivery.raised is None else str(delivery.raised),
    )
