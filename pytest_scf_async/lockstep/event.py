"""One async event inside the harness, as data, and what each fact does to it.

Whoever finds out that something has happened to an event calls the method that has the name of that fact. The method
keeps it: in the record, the log, the deliveries of SIGTERM and the timeline. Nothing here is a text for people (those
are made in ``report/``), but what the platform itself writes into the log.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ..clock import DueThing, SimulatedClock, shown_time, to_datetime
from ..instances.function_version import FunctionVersion
from ..model.codes import ErrorBody, error_body, timed_out_message
from ..model.credentials import CREDENTIAL_HEADERS, role_credentials
from ..model.event_invoke import DEFAULT_EVENT_INVOKE, EventInvokeConfig
from ..model.log_lines import (
    BARE_RUNTIME,
    SIGNAL_FAILED_LINE,
    SIGNAL_RECEIVED_LINE,
    LogLine,
    end_line,
    error_line,
    init_report_line,
    report_line,
    response_line,
    start_line,
)
from ..model.records import TIMER, EventRecord
from ..model.statuses import State, Status
from ..model.timeline import (
    AfterComputing,
    AnyEntry,
    Awaited,
    ComputesInTime,
    Disposition,
    Dropped,
    Exit,
    GatePassed,
    GateReached,
    GivenUp,
    HandlerDeferred,
    HandlerEntered,
    HandlerLeft,
    Listener,
    ListenerChanged,
    ListenerRefused,
    MemoryExceeded,
    MemoryExcess,
    Outwaited,
    Preempted,
    ProcessEnded,
    Queued,
    Raised,
    Reclaimed,
    Recorded,
    Remark,
    ResultExcess,
    RetryBegan,
    RetryPlanned,
    SignalSent,
    Started,
    StatusChanged,
    StoppedBehind,
    StoppedForMemory,
    Waited,
    WaitedForOthers,
    Written,
    ZygoteDied,
)
from ..model.transitions import Fact, OpenReadings, Transition
from ..protocol import messages
from ..protocol.real_time import REAL
from .places import Place
from .real_stretches import RealCost, RealKind, RealStretch

if TYPE_CHECKING:
    from ..instances.instance import Instance


@dataclass
class SignalDelivery:
    """One SIGTERM of a graceful termination. Times are µs of simulated time since the epoch."""

    sent_us: int
    received: bool
    disposition: Disposition
    """What the process did with SIGTERM when it came."""
    confirmed: bool
    """The platform has written into the log that the signal was received, and not that it was not."""
    entered_us: int | None = None
    left_us: int | None = None
    cost: RealCost = field(default_factory=RealCost)
    """What the event has cost in real time since then, until the next SIGTERM or its end."""
    raised: Raised | None = None
    """What the handler raised."""


@dataclass(frozen=True)
class Record:
    """A record that a handler or a fake made with ``pytest_scf_async.inside.record``."""

    time: datetime
    """The simulated time at which it was made: an aware ``datetime``."""
    name: str
    fields: dict[str, Any] = field(hash=False)
    """The fields that it was given, through JSON."""


@dataclass
class Gate:
    """A point at which the test asked the instance to stop."""

    identity: str
    description: str
    reached: bool = False
    open: bool = False
    armed: messages.AnyGate | None = None
    """What the instance has to look for, while the gate is set."""
    place: Place | None = None
    """The place in user code that it stands at."""
    seen: Callable[[], bool] | None = None
    """Whether the log has what it waits for: asked at each line of a free-running instance, which is stopped there."""

    def arm(self, description: messages.AnyGate | None) -> None:
        """The test waits for something to stand at it."""
        self.armed = description

    def disarm(self) -> None:
        """The test does not wait for it any more: what has not come to it by now passes it."""
        self.armed = None
        if not self.reached:
            self.open = True

    def let_go(self) -> None:
        """What stands at it goes on."""
        self.open = True

    def reach(self) -> None:
        """Something stands at it."""
        self.reached = True


@dataclass(frozen=True)
class Attempt:
    """One attempt of an invocation, as the platform's records have it. Times are µs of simulated time."""

    retry_num: int
    start_us: int
    """When it was accepted."""
    end_us: int | None = None
    """None while it runs; the rest is known at its end."""
    status_code: int = 0
    duration_us: int = 0
    """How long the handler had it, without the init: what the Report line says."""
    mem_usage: int = 0
    """Bytes."""
    ret_msg: str = ""
    """What the handler returned, as JSON, or the error body."""
    error: ErrorBody = field(default_factory=dict, hash=False)
    """The error body; empty where the handler returned."""


@dataclass(eq=False, slots=True)
class Event:
    """One event. Each thing that happens to it is a call of a method here; nothing here waits."""

    record: EventRecord
    function: FunctionVersion
    payload: str
    readings: OpenReadings
    clock: SimulatedClock
    region: str
    appid: str
    uin: str
    unlistened_signal_line: str = "received"
    instance: Instance | None = None
    cold: bool | None = None
    """Whether its instance was started for it; None while it is pending."""
    phase: Literal["queued", "pending", "init", "running", "ended", "ended in init"] = "pending"
    over_quota: bool = False
    """There was no room for it when it came: it begins in the queue."""
    event_invoke: EventInvokeConfig = DEFAULT_EVENT_INVOKE
    """What its function had when it was invoked."""
    retries_left: int = 0
    """How many times the platform tries again when an attempt fails."""
    retry_num: int = 0
    """How many times it has done so."""
    _log: list[LogLine] | None = field(init=False)
    _timeline: list[AnyEntry] | None = field(init=False)
    recorded_at: dict[int, float] | None = field(init=False)
    """By the number of an entry in the timeline, which is no wait: the real time (``REAL.monotonic``) at which it came.
    Waits have none, as an instance may report them later. None: it is scripted, and nothing of it takes real time."""
    _is_in: Waited | None = None
    """The wait in which it is, where that has no row yet."""
    _owed: list[Waited] | None = None
    """Waits of the main thread at this instant whose rows are to come."""
    _owed_from: int = 0
    """How many rows there were when the first of them began."""
    signals: list[SignalDelivery] = field(default_factory=list)
    real_stretches: list[RealStretch] = field(default_factory=list)
    """What it has spent in real time where that is measured, in the order of the timeline."""
    records: list[Record] = field(default_factory=list)
    gates: dict[str, Gate] = field(default_factory=dict)
    places: dict[Place, int] = field(default_factory=dict)
    """The places in user code whose passes are counted, each with its slot of the control page."""
    collects: messages.Collect | None = None
    """Which points of it are collected, for the sweep."""
    interrupted: bool = False
    """Whether the points that are collected are those after an interruption."""
    points: list[messages.Point] = field(default_factory=list)
    """The points that its main thread has come to, in that order, where they are collected."""
    slow_lines: tuple[tuple[str, int, float], ...] = ()
    """Lines at the top of modules that have taken long, with their real seconds, where points are collected."""
    result_text: str | None = None
    """What the log says that it returned, as JSON."""
    content: bytes | None = None
    """What it returned, where that is the body of a program and no text."""
    error: ErrorBody = field(default_factory=dict)
    ended_by: Fact | None = None
    """What ended it."""
    exit: Exit | None = None
    """How its process ended by itself, where that ended it."""
    excess: MemoryExcess | ResultExcess | None = None
    """What its instance used above the memory of its function, or what it returned too much, where that ended it."""
    timer: DueThing | None = None
    dispatched_us: int | None = None
    mem_usage: int = BARE_RUNTIME
    """Bytes; never less than a runtime has without any code."""
    unordered: Counter[str] = field(default_factory=Counter)
    """How often the machine decided when it went on, by how it did."""
    repeatable: bool = True
    ended_attempts: list[Attempt] = field(default_factory=list)
    attempt_us: int = 0
    """When its attempt was accepted."""
    by_operation: bool = False
    """Invoked by an operation of the platform, Invoke or InvokeFunction: who called may not be the test."""
    looked_at: bool = False
    checked: bool = False
    """An assertion helper, List or Get has answered about it, whatever it was doing."""
    seen_in_call: int = -1
    """How many blocking calls the runtime had begun when the test last read anything of it."""
    when_killed: Callable[[], object] | None = None
    """Ends it where its process is killed at a place that it comes to."""
    ended_by_close: bool = False
    resolve: Callable[[], FunctionVersion] | None = None
    """Gives the version that its qualifier names by now, for an event in the queue."""
    real_time: tuple[str, ...] = ()
    """Its libraries and calls that wait in real time although the test means simulated time."""
    untraceable: str = ""
    """What its program did last that no traced program can do; empty: nothing."""
    flushed_us: int = 0
    """When a line that is unfinished was last flushed."""
    _debug_lines: tuple[str, ...] = ()
    """What a library is about to log at the level DEBUG, line by line."""
    on_line: Callable[[LogLine], object] | None = None
    """Called with each line of the log as it comes."""
    script: object | None = None
    """What it does, where that is declared: no instance runs it."""

    def __post_init__(self) -> None:
        self._begin_log()
        if not self.over_quota:
            self.attempt_us = self.now_us()
            self._apply(Fact.ACCEPTED)
            return
        self._apply(Fact.OVER_QUOTA)
        self.queued()
        self._add(Queued(self.now_us()))

    @property
    def log(self) -> list[LogLine]:
        """The lines of the platform and of user code."""
        assert self._log is not None
        return self._log

    @property
    def timeline(self) -> list[AnyEntry]:
        """All that has happened to it."""
        assert self._timeline is not None
        return self._timeline

    @property
    def request_id(self) -> str:
        return self.record.request_id

    @property
    def ended(self) -> bool:
        return self.record.state.ended

    @property
    def status(self) -> Status | None:
        """Its status on the platform, which knows nothing of an event before it has accepted it."""
        return self.record.state.status

    def collect(self, wanted: messages.Collect | None, *, interrupted: bool = False) -> None:
        """Which of its points are collected from here on, where a sweep may have *interrupted* it; None: none."""
        self.collects = wanted
        self.interrupted = interrupted

    def came_to(self, message: messages.Points) -> None:
        """Its main thread has come to these points."""
        self.points += [messages.Point(*row) for row in message.rows]
        self.slow_lines += tuple((file, line, seconds) for file, line, seconds in message.slow or ())

    @property
    def invoked_us(self) -> int:
        """When it was invoked: before its acceptance where it was queued."""
        return self.timeline[0].time_us

    @property
    def shown_beginning(self) -> str:
        """The same for texts."""
        return shown_time(self.clock, self.invoked_us)

    @property
    def shown_status(self) -> str:
        """Its status, or what it is instead, for texts."""
        return str(self.status or self.record.state.value)

    @property
    def gated(self) -> Instance | None:
        """Its instance, if that stands at a gate."""
        return None if self.instance is None or self.instance.gated is None else self.instance

    @property
    def reclaimed_because(self) -> str | None:
        return None if self.instance is None else self.instance.reclaimed_because

    def now_us(self) -> int:
        """The simulated time of what its instance reports now.

        Under a lease the instance moves the clock itself, and its own time is the one that counts.
        """
        return self.clock.time_of(None if self.instance is None else self.instance.reported_us)

    @property
    def attempts(self) -> list[Attempt]:
        """Its attempts, the one that runs too: none of an event that the platform has not accepted yet."""
        if self.ended or self.phase == "queued":
            return list(self.ended_attempts)
        return [*self.ended_attempts, Attempt(self.retry_num, self.attempt_us)]

    def context(self) -> messages.EventContext:
        """What the handler gets as ``context`` (document 9210)."""
        configuration = self.function.configuration
        variables = {"SCF_NAMESPACE": configuration.namespace, **configuration.environment}
        pairs = [f"{name}={value}" for name, value in variables.items()]
        return {
            "memory_limit_in_mb": configuration.memory_or_default,
            "time_limit_in_ms": configuration.timeout * 1000,
            "request_id": self.request_id,
            "environment": json.dumps(variables, separators=(",", ":")),
            "environ": ";".join(pairs if configuration.environment else pairs * 2),
            "function_version": self.function.version,
            "function_name": configuration.name,
            "namespace": configuration.namespace,
            "tencentcloud_region": self.region,
            "tencentcloud_appid": self.appid,
            "tencentcloud_uin": self.uin,
        }

    def environment(self, *, restores: bool) -> dict[str, str | None]:
        """What its instance finds in the environment for this event alone; None: it is not there.

        With *restores* the function's own variables are there again, whatever earlier events have changed.
        """
        runtime, configuration = self.function.runtime, self.function.configuration
        if not runtime.has_event_variables:
            return {}
        others = {"NO_PROXY", "no_proxy", *runtime.variables}  # an endpoint, or a launch, has its own
        own = {name: value for name, value in configuration.environment.items() if name not in others}
        timer = self.record.invoke_type == TIMER
        return {
            "SCF_NAMESPACE": configuration.namespace,
            **(own if restores else {}),
            **role_credentials(self.now_us()),
            "TRIGGER_SRC": "timer" if timer else configuration.environment.get("TRIGGER_SRC"),
        }

    def headers(self) -> dict[str, str]:
        """What the request of an image's event has beside the common headers (document 56051)."""
        if not self.function.runtime.serves_requests:
            return {}
        credentials = role_credentials(self.now_us())
        headers = {header: credentials[name] for header, name in CREDENTIAL_HEADERS.items()}
        return {**headers, "X-Scf-Trigger-Src": "Timer"} if self.record.invoke_type == TIMER else headers

    def script_step(self) -> object | None:
        """The step of its script that ended it."""
        return None

    # -- what happens to it ------------------------------------------------------------------------------------------

    def queued(self) -> None:
        """It waits for room, or for its next attempt: what it had of the last one is gone."""
        self.phase = "queued"
        self.instance = self.cold = self.dispatched_us = None
        self.mem_usage = BARE_RUNTIME
        self.error = {}
        self.exit = self.excess = None

    def accepted(self) -> None:
        """It leaves the queue."""
        if self.record.state is State.RETRYING:
            self.retries_left -= 1
            self.retry_num += 1
            self._add(RetryBegan(self.now_us(), self.retry_num))
        else:
            self.record.starts(self.now_us())
        self.phase = "pending"
        self.attempt_us = self.now_us()
        self._apply(Fact.ACCEPTED)

    def dropped(self, fact: Fact) -> None:
        """It leaves the queue and was never accepted."""
        self._apply(fact)
        self.phase = "ended"
        self._add(Dropped(self.now_us(), fact))

    def started(self, instance: Instance, cold: bool) -> None:
        self.instance = instance
        self.cold = cold
        self.phase = "init" if cold else "running"
        self.dispatched_us = self.now_us()
        self._add(Started(self.dispatched_us, cold, self.function.lost_files if cold else ()))
        self.platform_line(start_line(self.request_id, cold=cold))

    def initialised(self, mem_usage: int) -> None:
        self._used(mem_usage)
        self._init_report(routine=True)
        self.phase = "running"
        self.dispatched_us = self.now_us()

    def _used(self, mem_usage: int) -> None:
        """Its instance has used *mem_usage* bytes above what it had before the code, at most until now."""
        self.mem_usage = max(mem_usage, BARE_RUNTIME)

    def _init_report(self, *, routine: bool = False) -> None:
        assert self.dispatched_us is not None
        took = (self.now_us() - self.dispatched_us) // 1000
        self.platform_line(
            init_report_line(
                self.request_id,
                coldstart_ms=took,
                pull_code_ms=0,
                init_runtime_ms=0,
                init_function_ms=took,
                memory_mb=self.function.configuration.memory_or_default,
                mem_usage_bytes=self.mem_usage,
            ),
            routine=routine,
        )

    def expects_debug_lines(self, text: str) -> None:
        """A library is about to write *text*, which it logs at the level DEBUG."""
        self._debug_lines = tuple(text.removesuffix("\n").split("\n"))

    def wrote(self, line: str) -> None:
        routine = self._debug_lines[:1] == (line,)
        if routine:
            self._debug_lines = self._debug_lines[1:]
        self._line(line, "Custom", routine=routine)

    def recorded(self, name: str, fields: dict[str, Any]) -> None:
        now = self.now_us()
        self.records.append(Record(to_datetime(now), name, fields))
        self._add(Recorded(now, name, fields))

    def takes_over(self, lived: Event, *, in_init: bool) -> None:
        """It began as *lived*, the same event in another run, and is as far."""
        self.cold, self.dispatched_us = lived.cold, lived.dispatched_us
        self.phase = "init" if in_init else "running"
        self.mem_usage = lived.mem_usage

    @property
    def unfinished(self) -> list[LogLine]:
        """What has been flushed of a line that has no end yet."""
        text = "" if self.ended or self.instance is None else self.instance.output.unfinished
        return [LogLine(self.flushed_us, text, "Custom", self.retry_num)] if text else []

    @property
    def lines(self) -> list[LogLine]:
        """The log, an unfinished line too."""
        unfinished = self.unfinished
        return [*self.log, *unfinished] if unfinished else self.log

    def platform_line(self, text: str, *, routine: bool = False) -> None:
        if self.instance is not None:
            self.instance.output.end_line()
        self._line(text, "Platform", routine=routine)

    def remark(self, text: str) -> None:
        """Show *text* in the timeline, for people. What a module needs to know is a fact, with a method of its own."""
        self._add(Remark(self.now_us(), text))

    def stands_at(self, gate: Gate) -> None:
        """Its instance, or its script, stands at *gate*."""
        self._add(GateReached(self.now_us(), gate.description))

    def stopped_behind(self, gate: Gate) -> None:
        """Its program was stopped behind the line that *gate* waits for."""
        self._add(StoppedBehind(self.now_us(), gate.description))

    def passed(self, gate: Gate) -> None:
        """The line that *gate* waits for is there, and nothing stood behind it."""
        self._add(GatePassed(self.now_us(), gate.description))

    def reclaimed(self, because: str) -> None:
        """The platform has taken its instance back."""
        self._add(Reclaimed(self.now_us(), because))

    def zygote_died(self) -> None:
        """What its instance was forked from was killed, and the instance with it."""
        self._add(ZygoteDied(self.now_us()))

    def computes_in_time(self, rate: float) -> None:
        """What it computes takes simulated time, *rate* seconds for each real one, so its next run may differ."""
        self._differs(ComputesInTime(self.now_us(), rate))

    def preempted(self, *, computes: bool, grace: float) -> None:
        """For *grace* real seconds its instance had no wait: it *computes*, or sleeps in real time."""
        self._differs(Preempted(self.now_us(), computes, grace))

    def goes_unordered(self, how: str, text: str) -> None:
        """The machine decides when it goes on, and *how* has a *text*: the timeline says it once."""
        self.unordered[how] += 1
        if self.unordered[how] == 1:
            self.remark(f"{text}: not repeatable")

    def outwaited(self, then: AfterComputing, limit: float) -> None:
        """A call of the test has waited for *limit* real seconds for what it computes, and goes on."""
        self._differs(Outwaited(self.now_us(), then, limit))

    def stopped_for_memory(self) -> None:
        """It was stopped in the middle of computing."""
        self._differs(StoppedForMemory(self.now_us()))

    def given_up(self, call: str) -> None:
        """The *call*, which could not end because of it, has stopped it until another one waits for it."""
        self._differs(GivenUp(self.now_us(), call))

    def is_untraceable(self, why: str) -> None:
        """Its program does what no traced program can: *why* is a sentence about that, for people."""
        self.untraceable = why

    def flushed(self) -> None:
        """A line that is unfinished was flushed."""
        self.flushed_us = self.now_us()

    def ends_by_close(self) -> None:
        """Its end, which comes now, counts as no failed attempt: the harness or the test has caused it."""
        self.ended_by_close = True

    def ends_when_killed(self, end: Callable[[], object]) -> None:
        """*end* ends it, with the lock, where its process is killed at a place that it comes to."""
        self.when_killed = end

    def look(self) -> None:
        """The test knows how it ends."""
        self.looked_at = True

    def runs_until(self, timer: DueThing | None) -> None:
        """*timer* ends it, or brings the next step of its script; None: it has just done so."""
        self.timer = timer

    def check(self) -> None:
        """An assertion helper, List or Get has answered about it."""
        self.checked = True

    def seen(self, call: int) -> None:
        """The test has read something of it, after the runtime's blocking call number *call* had begun."""
        self.seen_in_call = call

    def resolve_again(self) -> None:
        """It is to run the version that its qualifier names by now."""
        assert self.resolve is not None
        self.function = self.resolve()
        self.record.resolved_to(self.function.version)

    def has_real_time(self, name: str, text: str) -> None:
        """A library or a call of that *name* waits in real time: the timeline says so once, in the words *text*."""
        if name not in self.real_time:
            self.real_time = (*self.real_time, name)
            self.remark(text)

    def waits(
        self,
        description: str,
        first_us: int,
        last_us: int,
        count: int = 1,
        *,
        awaits: Awaited | None = None,
        follows: bool = False,
    ) -> None:
        """Threads of the instance entered equal waits, the first and the last at the times given.

        *awaits* is what alone can end the last one: nothing was due in the instance when it began. With *follows* the
        wait of `is_in` is over.
        """
        if follows and self._is_in is not None and self._is_in.time_us == first_us:
            self.note_owed()
        self._note_if_time_passed()
        last = self.timeline[-1]
        if isinstance(last, Waited) and last.description == description:
            self.timeline[-1] = Waited(last.time_us, description, last_us, last.times + count, awaits)
        else:
            self._add(Waited(first_us, description, last_us, count, awaits))

    def is_in(self, description: str, awaits: Awaited | None, *, has_row: bool = False) -> None:
        """It waits now, perhaps for no simulated time: whether the wait comes at all may depend on the machine's speed.

        So it has a row once time has passed in it, or with `note_wait`; the next wait or the end may come before. One
        that *has_row* has it by `note_owed` at the latest.
        """
        self._note_if_time_passed()
        now = self.now_us()
        self._is_in = Waited(now, description, now, 1, awaits)
        if has_row:
            if self._owed is None:
                self._owed, self._owed_from = [], len(self.timeline)
            self._owed.append(self._is_in)

    def note_owed(self) -> None:
        """All its waits at this instant are over: those that have a row in any case are added.

        They come before the waits of other threads that have been added meanwhile, which may be heard of at any time.
        """
        self._is_in = None
        owed, self._owed = self._owed, None
        if owed is None:
            return
        beside: list[AnyEntry] = []
        while len(self.timeline) > self._owed_from and isinstance(self.timeline[-1], Waited):
            beside.append(self.timeline.pop())
        for wait in owed:
            self.waits(wait.description, wait.time_us, wait.time_us, awaits=wait.awaits)
        self.timeline.extend(reversed(beside))

    def note_wait(self) -> None:
        """The wait that it is in has a row, if it has none: a call of the test ends there."""
        wait = self._is_in
        self.note_owed()
        if wait is None:
            return
        for number in range(len(self.timeline) - 1, -1, -1):
            row = self.timeline[number]
            if isinstance(row, Waited):
                if row.last_us != wait.time_us:
                    break
                if row.description == wait.description:
                    self.timeline[number] = row._replace(awaits=wait.awaits)
                    return
        self.waits(wait.description, wait.time_us, wait.time_us, awaits=wait.awaits)

    def waited_for_others(self, description: str) -> None:
        """Its program has waited for another process at this instant, or has found ready what it asked for."""
        self._note_if_time_passed()
        self._add(WaitedForOthers(self.now_us(), description))

    def waits_begun(self) -> int:
        """How many waits it has begun, with the one that it is in."""
        return sum(entry.times for entry in self.timeline if isinstance(entry, Waited)) + (self._is_in is not None)

    def _note_if_time_passed(self) -> None:
        if self._is_in is not None and self._is_in.time_us < self.now_us():
            self.note_wait()

    def spent(self, kind: RealKind, seconds: float) -> None:
        """The event has spent real time since the last entry of its timeline."""
        for stretch in reversed(self.real_stretches):
            if stretch.entries != len(self.timeline):
                break
            if stretch.kind == kind:
                stretch.add(seconds)
                return
        self.real_stretches.append(RealStretch(kind, seconds, self.now_us(), len(self.timeline)))

    def signal_sent(self, disposition: Disposition) -> None:
        """A graceful termination has sent SIGTERM, which met *disposition*: write the platform's line of it."""
        received = disposition != "no process"
        confirmed = received and (disposition != "default" or self.unlistened_signal_line == "received")
        now = self.now_us()
        self.signals.append(SignalDelivery(now, received, disposition, confirmed))
        by_language = disposition == "native" and not self.function.runtime.listens_in_python
        self._add(SignalSent(now, disposition, by_language))
        self._apply(Fact.SIGNAL_RECEIVED if received else Fact.SIGNAL_NOT_RECEIVED)
        self.platform_line(SIGNAL_RECEIVED_LINE if confirmed else SIGNAL_FAILED_LINE)

    def handler_deferred(self) -> None:
        """SIGTERM came in a wait of C code on the main thread: its handler is called after that."""
        self._add(HandlerDeferred(self.now_us()))

    def listener_changed(self, listener: Listener) -> None:
        """The process does something else with SIGTERM from here on."""
        self._add(ListenerChanged(self.now_us(), listener))

    def listener_refused(self, call: str) -> None:
        """Python has refused *call*, of ``signal.signal`` for SIGTERM."""
        self._add(ListenerRefused(self.now_us(), call))

    def handler_entered(self) -> None:
        self._add(HandlerEntered(self.now_us()))
        for delivery in self.signals:
            if delivery.received and delivery.entered_us is None:
                delivery.entered_us = self.now_us()
                return

    def handler_left(self, raised: Raised | None) -> None:
        self._add(HandlerLeft(self.now_us(), raised))
        for delivery in reversed(self.signals):
            if delivery.entered_us is not None and delivery.left_us is None:
                delivery.left_us = self.now_us()
                delivery.raised = raised
                return

    def ended_with(
        self,
        fact: Fact,
        *,
        result_text: str | None = None,
        content: bytes | None = None,
        trace: str | None = None,
        message: str | None = None,
        mem_usage: int | None = None,
        exit: Exit | None = None,  # noqa: A002  (it is that, as data)
        excess: MemoryExcess | ResultExcess | None = None,
        why: str | None = None,
    ) -> Transition:
        """Let the fact end the event: status, code, body, and the last lines of the log.

        How its process ended is in *exit*, what it used or returned too much in *excess*; *why* is for the timeline.
        """
        now = self.now_us()
        if mem_usage is not None:
            self._used(mem_usage)
        self._note_if_time_passed()
        self.note_owed()
        transition = self._apply(fact)
        if self.phase == "init" and fact not in ENDED_BY_CALLER:
            self._init_report()
        was_attempted = self.phase != "queued"
        self.phase = "ended in init" if self.phase == "init" else "ended"
        self.looked_at = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if transition.logs == "Response":
            assert result_text is not None
            self.result_text, self.content = result_text, content
        else:
            self.error = self._error_body(transition.status_code, fact, trace, message)
        self._end_lines(transition.logs, now)
        if was_attempted:
            self.ended_attempts.append(
                Attempt(
                    self.retry_num,
                    self.attempt_us,
                    now,
                    transition.status_code,
                    self._ran_us(now),
                    self.mem_usage,
                    json.dumps(self.error, ensure_ascii=False, separators=(",", ":"))
                    if self.error
                    else self.result_text or "",
                    dict(self.error),
                )
            )
        self._note_causes(exit, excess, why)
        if transition.state is State.RETRYING:
            self._add(RetryPlanned(self.now_us()))
            self.queued()
        return transition

    # -- inside ------------------------------------------------------------------------------------------------------

    def _add(self, entry: AnyEntry) -> None:
        self._note_if_time_passed()
        timeline = self.timeline
        if self.recorded_at is not None and not isinstance(entry, Waited):
            self.recorded_at[len(timeline)] = REAL.monotonic()
        timeline.append(entry)

    def _differs(self, entry: AnyEntry) -> None:
        self.repeatable = False
        self._add(entry)

    def _note_causes(self, how: Exit | None, excess: MemoryExcess | ResultExcess | None, why: str | None) -> None:
        now = self.now_us()
        self.exit, self.excess = how, excess
        if how is not None:
            self._add(ProcessEnded(now, how))
        if isinstance(excess, MemoryExcess):
            self._add(MemoryExceeded(now, excess))
        if why is not None:
            self._add(Remark(now, why))

    def _begin_log(self) -> None:
        self._log, self._timeline, self.recorded_at = [], [], {}

    def _end_lines(self, logs: str, now: int) -> None:
        """The platform's last lines: *logs* says whether there is a response among them."""
        if logs == "Response":
            self.platform_line(response_line(self.request_id, str(self.result_text)))
        else:
            self.platform_line(error_line(self.request_id, self.error))
        self.platform_line(end_line(self.request_id))
        self.platform_line(
            report_line(
                self.request_id,
                duration_ms=self._ran_us(now) // 1000,
                memory_mb=self.function.configuration.memory_or_default,
                mem_usage_bytes=self.mem_usage,
            )
        )

    def _ran_us(self, now: int) -> int:
        """For how long its code has run by *now*: the init is not part of it."""
        return 0 if self.dispatched_us is None else now - self.dispatched_us

    def _error_body(self, code: int, fact: Fact, trace: str | None, message: str | None) -> ErrorBody:
        if fact is Fact.DROPPED:
            name = self.function.configuration.name
            return error_body(code, self.request_id, message=f"Resource limit exceed for function [{name}]")
        if fact is Fact.TIMED_OUT:
            return error_body(code, self.request_id, message=timed_out_message(self.function.configuration.timeout))
        if fact in (Fact.CODE_NOT_LOADED, Fact.NOT_STARTED, Fact.PORT_NOT_BOUND) and trace:
            return error_body(code, self.request_id, message=trace)
        if fact in (Fact.RAISED, Fact.RESULT_NOT_JSON):
            return error_body(code, self.request_id, message=message, stack_trace=trace)
        return error_body(code, self.request_id, message=None if self.script is None else message)

    def _apply(self, fact: Fact) -> Transition:
        before, had_ended = self.record.state.status, self.record.state.ended
        configuration = self.function.configuration
        retries_left = 0 if self.ended_by_close else self.retries_left  # a fault of the harness is no failed attempt
        transition = self.record.apply(fact, self.now_us(), self.readings, configuration.async_run, retries_left)
        if transition.state.ended and not had_ended:
            self.ended_by = fact
        if self.status is not None and self.status is not before:
            self._note_status(self.status, transition.status_code, fact)
        return transition

    def _note_status(self, status: Status, status_code: int, fact: Fact) -> None:
        self._add(StatusChanged(self.now_us(), status, status_code, fact))

    def _line(self, text: str, source: Literal["Platform", "Custom"], *, routine: bool = False) -> None:
        now = self.now_us()
        line = LogLine(now, text, source, self.retry_num)
        self.log.append(line)
        self._add(Written(now, text, source == "Platform", routine))
        if self.on_line is not None:
            self.on_line(line)


ENDED_BY_CALLER = (Fact.TERMINATED, Fact.FUNCTION_DELETED)
"""What ends an event in its init without a failure of that, which the platform would report."""
