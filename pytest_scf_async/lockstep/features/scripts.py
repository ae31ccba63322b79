"""Events without code: each does what its script says, on the simulated clock, and is an event like any other.

There is no instance and no process: at most one thing of each event is due at a time, its next step, its timeout, or
the end that a SIGTERM has led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ...clock import PLATFORM, WAKE_UP, to_datetime
from ...errors import hidden_from_users
from ...instances.instance import Instance
from ...instances.state import Doing
from ...model.log_lines import LogLine, start_line
from ...model.statuses import Status
from ...model.timeline import AnyEntry
from ...model.transitions import Fact
from ...protocol import messages
from ...protocol.time_units import NEVER_US
from ...scripted import End, Logged, Running, Script, Step
from ..event import Event, Gate, Record
from ..places import Place
from ..real_stretches import RealStretch
from .feature import Feature, Scheduler

__tracebackhide__ = hidden_from_users

_RECORDS: list[Record] = []
_STRETCHES: list[RealStretch] = []
_PLACES: dict[Place, int] = {}
_POINTS: list[messages.Point] = []
"""What is empty in each scripted event: one of them for all saves 230 bytes an event."""


class ScriptedEvent(Event):
    """An event that does what its script says.

    As long as nobody reads its log or its timeline there is none: both follow from its record and its script, and are
    made of them at the first look. Each of a million events would else have 2 KB of lines that no test reads.
    """

    __slots__ = ("_started", "_step", "_then_us")

    script: Script

    def _begin_log(self) -> None:
        self._log = self._timeline = self.recorded_at = None
        # Only instances put something into these.
        self.records, self.real_stretches, self.places, self.points = _RECORDS, _STRETCHES, _PLACES, _POINTS
        self._then_us: int | None = None
        """The time of what is written down later than it happened."""
        self._started = 0
        """How many steps of running have begun."""
        self._step: Step | None = None
        if self.over_quota or self.retries_left:
            self._written()  # more than a beginning and an end may happen to it

    @property
    def log(self) -> list[LogLine]:
        return self._written()[0]

    @property
    def timeline(self) -> list[AnyEntry]:
        return self._written()[1]

    def now_us(self) -> int:
        return self.clock.now_us if self._then_us is None else self._then_us

    def script_step(self) -> Step | None:
        return self._step

    def begins(self) -> None:
        """Its script begins."""
        if self.on_line is not None:
            self._written()
        self.phase = "running"
        self.cold = False
        self.dispatched_us = self.now_us()
        if self._log is not None:
            self._first_line()

    def runs(self, step: Running) -> None:
        """It runs as *step* says."""
        self._started += 1
        if self._log is not None:
            now = self.now_us()
            self.waits(step.shown, now, now, awaits="something" if step.us is None else None)

    def ends(self, step: Step) -> None:
        """*step* is about to end it."""
        self._step = step

    # -- inside ------------------------------------------------------------------------------------------------------

    def _first_line(self) -> None:
        self.platform_line(start_line(self.request_id, cold=False))

    def _note_status(self, status: Status, status_code: int, fact: Fact) -> None:
        if self._log is not None:
            super()._note_status(status, status_code, fact)

    def _end_lines(self, logs: str, now: int) -> None:
        if self._log is not None:
            super()._end_lines(logs, now)

    def _written(self) -> tuple[list[LogLine], list[AnyEntry]]:
        """Give log and timeline; what has happened so far is written down now, unless it has been."""
        if self._log is not None and self._timeline is not None:
            return self._log, self._timeline
        log: list[LogLine] = []
        timeline: list[AnyEntry] = []
        self._log, self._timeline = log, timeline
        record, began, on_line = self.record, self.dispatched_us, self.on_line
        self.on_line = None
        if record.transitions:
            status, self._then_us = record.transitions[0]
            self._note_status(status, 0, Fact.ACCEPTED)
        if began is not None:
            self._then_us = began
            self._first_line()
            self._write_waits(began)
        if record.end_us is not None and self.ended_by is not None:
            self._then_us = record.end_us
            self._note_status(record.status, record.status_code, self.ended_by)
            self._end_lines("Response" if record.status_code == 200 else "ERROR", record.end_us)
        self._then_us, self.on_line = None, on_line
        return log, timeline

    def _write_waits(self, began_us: int) -> None:
        at_us = began_us
        for step in self.script.steps[: self._started]:  # before its first line it only runs
            assert isinstance(step, Running)
            self.waits(step.shown, at_us, at_us, awaits="something" if step.us is None else None)
            at_us += step.us or 0


@dataclass(slots=True, eq=False)
class _Play:
    """How far the script of a running event is."""

    timeout_us: int
    at: int = 0
    """The index of the step."""
    line: int = 0
    """The index of the next line of that step, where it has lines."""
    due_us: int | None = None
    """When the step is over; None: it has not begun."""
    stops_us: int | None = None
    """When the event ends because of a SIGTERM."""
    gate: Gate | None = None
    """The gate at which it stands."""
    opening: bool = False
    """The gate opens after what was due before."""


class ScriptPlayer(Feature):
    """Plays the scripts of one runtime's events."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._plays: dict[Event, _Play] = {}
        self._standing: dict[Event, Gate] = {}
        """The events that stand at a gate, and which one."""

    def takes(self, event: Event) -> bool:
        """Play the script of *event*, if it has one, from its first step."""
        if not isinstance(event, ScriptedEvent):
            return False
        self._scheduler.use(self)
        self._scheduler.progressed()
        now = self._scheduler.clock.now_us
        play = self._plays[event] = _Play(now + event.function.configuration.timeout * 1_000_000)
        event.begins()
        self._go_on(event, play)
        return True

    def forbids_lease(self, instance: Instance, event: Event) -> bool:
        return bool(self._standing)

    def ends(self, event: Event) -> None:
        self._plays.pop(event, None)
        self._standing.pop(event, None)
        if not self._plays:
            self._scheduler.leave(self)

    def standing(self) -> Mapping[Event, Gate]:
        return self._standing

    def doing(self, event: Event) -> Doing | None:
        return None if event not in self._plays else Doing.GATED if event in self._standing else Doing.PARKED

    def is_settled(self, event: Event) -> bool:
        play = self._plays.get(event)
        if play is None or play.opening:
            return False
        return play.gate is not None or (event.timer is not None and event.timer.due_us > self._scheduler.clock.now_us)

    def describes(self, event: Event) -> str | None:
        play = self._plays.get(event)
        if play is None or not isinstance(event, ScriptedEvent):
            return None
        step = event.script.steps[play.at]
        until = "" if event.timer is None else f" until {to_datetime(event.timer.due_us).isoformat()}"
        return f"does what its script says: {step.shown}{until}"

    def takes_sigterm(self, event: Event) -> bool:
        play = self._plays.get(event)
        if play is None or not isinstance(event, ScriptedEvent):
            return False
        event.signal_sent("scripted")
        stops = event.script.stops
        if stops is not None and play.stops_us is None:
            play.stops_us = self._scheduler.clock.now_us + stops.us
            if stops.us == 0:
                self._end(event, stops.then)
            elif play.gate is None:
                self._schedule(event, play)
        return True

    def opens(self, event: Event) -> None:
        play = self._plays.get(event)
        if play is None or play.gate is None or play.opening or not isinstance(event, ScriptedEvent):
            return
        play.opening = True
        clock = self._scheduler.clock
        open_it = partial(self._open, event, play)
        clock.call_at(clock.now_us, open_it, priority=WAKE_UP, order=self._scheduler.next_order())

    def _open(self, event: ScriptedEvent, play: _Play) -> None:
        play.opening = False
        if self._plays.get(event) is not play or play.gate is None:
            return  # it has ended
        self._scheduler.progressed()
        play.gate.let_go()
        play.gate = None
        del self._standing[event]
        self._go_on(event, play)

    def _go_on(self, event: ScriptedEvent, play: _Play) -> None:
        """Take all steps that are due, then wait for the next one."""
        now = self._scheduler.clock.now_us
        event.runs_until(None)
        if now >= play.timeout_us:
            self._scheduler.end(event, Fact.TIMED_OUT)
            return
        steps = event.script.steps
        while True:
            step = steps[play.at]
            if isinstance(step, Running):
                if play.due_us is None:
                    play.due_us = NEVER_US if step.us is None else now + step.us
                    event.runs(step)
                if play.due_us > now:
                    break
                play.due_us = None
                play.at += 1
            elif isinstance(step, Logged):
                event.wrote(step.lines[play.line])
                self._scheduler.progressed()
                play.line += 1
                if play.line == len(step.lines):
                    play.line = 0
                    play.at += 1
                if self._reaches_gate(event, play):
                    return
            else:
                self._end(event, step)
                return
        stops = event.script.stops
        if stops is not None and play.stops_us is not None and play.stops_us <= now:
            self._end(event, stops.then)
            return
        self._schedule(event, play)

    def _schedule(self, event: ScriptedEvent, play: _Play) -> None:
        if event.timer is not None:
            event.timer.cancel()
        due = min((us for us in (play.due_us, play.stops_us) if us is not None), default=NEVER_US)
        # At one instant a timeout comes before what would happen then.
        priority, due = (PLATFORM, play.timeout_us) if play.timeout_us <= due else (WAKE_UP, due)
        go_on = partial(self._go_on, event, play)
        order = self._scheduler.next_order(event.record.sequence)
        event.runs_until(self._scheduler.clock.call_at(due, go_on, priority=priority, order=order))

    def _reaches_gate(self, event: ScriptedEvent, play: _Play) -> bool:
        for gate in event.gates.values():
            if gate.seen is not None and not (gate.reached or gate.open) and gate.seen():
                gate.reach()
                play.gate = self._standing[event] = gate
                event.stands_at(gate)
                return True
        return False

    def _end(self, event: ScriptedEvent, step: Step) -> None:
        assert isinstance(step, End)
        event.ends(step)
        self._scheduler.end(event, step.fact, result_text=step.result_text, trace=step.trace, message=step.message)
