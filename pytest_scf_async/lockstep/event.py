"""One async event inside the harness: its record, log, signals and timeline, and what each fact does to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ..clock import DueThing, to_datetime
from ..instances.code import Code, Copy
from ..instances.runtimes.launcher import Launch
from ..model import (
    SIGNAL_FAILED_LINE,
    SIGNAL_RECEIVED_LINE,
    ErrorBody,
    EventRecord,
    Fact,
    FunctionConfiguration,
    LogLine,
    OpenReadings,
    Status,
    Transition,
    end_line,
    error_body,
    error_line,
    init_report_line,
    report_line,
    response_line,
    start_line,
    timed_out_message,
)
from ..protocol import messages
from .places import Place

if TYPE_CHECKING:
    from ..instances.instance import Instance


Disposition = Literal["handler", "default", "ignored", "blocked", "no process", "native", "unknown"]
"""What a SIGTERM met; native: code outside Python caught it; unknown: a free-running program did, or its language's
runtime, which catches it whether the program listens or not."""


@dataclass
class SignalDelivery:
    """One SIGTERM of a graceful termination. Times are µs of simulated time since the epoch."""

    sent_us: int
    received: bool
    disposition: Disposition
    """What the process did with SIGTERM when it came."""
    entered_us: int | None = None
    left_us: int | None = None
    raised: str | None = None
    """What the handler raised, as ``Type: text``."""


@dataclass(frozen=True)
class Entry:
    """One line of an event's timeline."""

    time_us: int
    kind: Literal["status", "signal", "wait", "log", "record", "instance"]
    text: str
    count: int = 1
    """Equal waits in a row are one entry."""
    last_us: int | None = None
    """When the last of them began."""


@dataclass(frozen=True)
class Record:
    """What a handler or a fake reported with ``pytest_scf_async.inside.record``."""

    time: datetime
    """When, in simulated time: an aware ``datetime``."""
    name: str
    fields: dict[str, Any] = field(hash=False)
    """What it was given, through JSON."""


@dataclass
class Gate:
    """A point at which the test asked the instance to stop."""

    identity: str
    description: str
    reached: bool = False
    open: bool = False
    armed: messages.JsonObject | None = None
    """What the instance has to look for, while the gate is set."""
    place: Place | None = None
    """The place in user code that it stands at."""
    seen: Callable[[], bool] | None = None
    """Whether the log has what it waits for: asked at each line of a free-running instance, which is stopped there."""


@dataclass(eq=False)
class FunctionVersion:
    """What an event runs: the code and the configuration as they were at its acceptance."""

    configuration: FunctionConfiguration
    code: Code
    version: str
    description: str = ""
    copy: Copy | None = None
    """A published version's own copy of the code."""
    launch: Launch | None = None
    """How its instances are started where they run no handler of Python."""
    retired: str | None = None
    """Why no other event will run it: its instances are reclaimed when their events have ended."""

    @property
    def free_running(self) -> bool:
        """Whether its instances see real time."""
        return self.launch is not None and self.launch.free_running

    @property
    def waits_for_port(self) -> bool:
        """Whether its init is over when its program listens on the platform's port."""
        return self.launch is not None and self.launch.speaks == "event-invoke"

    def code_to_run(self) -> Code:
        """Where an instance that starts now finds the code."""
        return self.code if self.copy is None else self.copy.code_to_run()


@dataclass(eq=False)
class Event:
    """An accepted event. Everything that happens to it is told to a method here; nothing here waits."""

    record: EventRecord
    function: FunctionVersion
    payload: str
    readings: OpenReadings
    time_us: Callable[[], int]
    region: str
    appid: str
    uin: str
    unlistened_signal_line: str = "received"
    instance: Instance | None = None
    cold: bool | None = None
    """Whether its instance was started for it; None while it is pending."""
    phase: Literal["pending", "init", "running", "ended"] = "pending"
    log: list[LogLine] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    signals: list[SignalDelivery] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    listening_since_us: int | None = None
    """When user code installed a handler for SIGTERM, in this event or an earlier one of the instance."""
    gates: dict[str, Gate] = field(default_factory=dict)
    places: dict[Place, int] = field(default_factory=dict)
    """The places in user code whose passes are counted, each with its slot of the control page."""
    result_text: str | None = None
    error: ErrorBody = field(default_factory=dict)
    timer: DueThing | None = None
    dispatched_us: int | None = None
    mem_usage: int = 0
    repeatable: bool = True
    looked_at: bool = False
    ended_by_close: bool = False
    real_time: set[str] = field(default_factory=set)
    """What has been found in it that waits in real time where simulated time was meant: said once each."""
    on_line: Callable[[LogLine], object] | None = None
    """Told of each line of the log as it comes."""

    def __post_init__(self) -> None:
        self._apply(Fact.ACCEPTED)

    @property
    def request_id(self) -> str:
        return self.record.request_id

    @property
    def ended(self) -> bool:
        return self.record.state.ended

    @property
    def status(self) -> Status:
        return self.record.status

    @property
    def gated(self) -> Instance | None:
        """The first process of its instance that stands at a gate."""
        return next((each for each in self.processes if each.gated is not None), None)

    @property
    def processes(self) -> list[Instance]:
        """Its instance, and the forks of that which are in lockstep too."""
        return [] if self.instance is None else self.instance.group

    @property
    def reclaimed_because(self) -> str | None:
        return None if self.instance is None else self.instance.reclaimed_because

    def now_us(self) -> int:
        """The simulated time at which what is heard of the instance happened."""
        told = None if self.instance is None else self.instance.told_us
        return self.time_us() if told is None else told

    def context(self) -> messages.JsonObject:
        """What the handler gets as ``context`` (document 9210)."""
        configuration = self.function.configuration
        namespace = configuration.namespace
        return {
            "memory_limit_in_mb": configuration.memory_or_default,
            "time_limit_in_ms": configuration.timeout * 1000,
            "request_id": self.request_id,
            "environment": json.dumps({"SCF_NAMESPACE": namespace, **configuration.environment}),
            "environ": f"SCF_NAMESPACE={namespace};SCF_NAMESPACE={namespace}",
            "function_version": self.function.version,
            "function_name": configuration.name,
            "namespace": namespace,
            "tencentcloud_region": self.region,
            "tencentcloud_appid": self.appid,
            "tencentcloud_uin": self.uin,
        }

    # -- what is told ------------------------------------------------------------------------------------------------

    def started(self, instance: Instance, cold: bool) -> None:
        self.instance = instance
        self.cold = cold
        self.phase = "init" if cold else "running"
        self.dispatched_us = self.now_us()
        self.note("instance", "cold start" if cold else "warm start")
        self.platform_line(start_line(self.request_id))

    def initialised(self, mem_usage: int) -> None:
        now = self.now_us()
        assert self.dispatched_us is not None
        took = (now - self.dispatched_us) // 1000
        self.phase = "running"
        self.dispatched_us = now
        self.platform_line(
            init_report_line(
                self.request_id,
                coldstart_ms=took,
                pull_code_ms=0,
                init_runtime_ms=0,
                init_function_ms=took,
                memory_mb=self.function.configuration.memory_or_default,
                mem_usage_bytes=mem_usage,
            )
        )

    def wrote(self, line: str) -> None:
        self._line(line, "Custom")

    def recorded(self, name: str, fields: dict[str, Any]) -> None:
        now = self.now_us()
        self.records.append(Record(to_datetime(now), name, fields))
        shown = (f" {key}={json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
        self.timeline.append(Entry(now, "record", name + "".join(shown)))

    def platform_line(self, text: str) -> None:
        self._line(text, "Platform")

    def note(self, kind: Literal["status", "signal", "wait", "log", "record", "instance"], text: str) -> None:
        self.timeline.append(Entry(self.now_us(), kind, text))

    def has_real_time(self, what: str, text: str) -> None:
        """*what* waits in real time, which the timeline says in the words *text*."""
        if what not in self.real_time:
            self.real_time.add(what)
            self.note("instance", text)

    def waits(self, what: str, first_us: int, last_us: int, count: int = 1) -> None:
        """Threads of the instance entered equal waits, the first and the last at the times given."""
        last = self.timeline[-1]
        if last.kind == "wait" and last.text == what:
            self.timeline[-1] = Entry(last.time_us, "wait", what, last.count + count, last_us)
        else:
            self.timeline.append(Entry(first_us, "wait", what, count, last_us))

    def signal_sent(self, disposition: Disposition) -> None:
        """A graceful termination: what SIGTERM met. Writes the platform's line and applies the fact."""
        received = disposition != "no process"
        delivery = SignalDelivery(self.now_us(), received, disposition)
        self.signals.append(delivery)
        self.note("signal", f"SIGTERM sent; {_MET[disposition]}")
        self._apply(Fact.SIGNAL_RECEIVED if received else Fact.SIGNAL_NOT_RECEIVED)
        shown = received and (disposition != "default" or self.unlistened_signal_line == "received")
        self.platform_line(SIGNAL_RECEIVED_LINE if shown else SIGNAL_FAILED_LINE)

    def handler_entered(self) -> None:
        self.note("signal", "the handler of SIGTERM entered")
        for delivery in self.signals:
            if delivery.received and delivery.entered_us is None:
                delivery.entered_us = self.now_us()
                return

    def handler_left(self, raised: str | None) -> None:
        self.note("signal", "the handler of SIGTERM " + ("returned" if raised is None else f"raised {raised}"))
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
        trace: str | None = None,
        mem_usage: int | None = None,
        detail: str | None = None,
    ) -> Transition:
        """Let the fact end the event: status, code, body, and the last lines of the log."""
        now = self.now_us()
        if mem_usage is not None:
            self.mem_usage = max(mem_usage, 0)
        transition = self._apply(fact)
        self.phase = "ended"
        self.looked_at = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if transition.logs == "Response":
            assert result_text is not None
            self.result_text = result_text
            self.platform_line(response_line(self.request_id, result_text))
        else:
            self.error = self._error_body(transition.status_code, fact, trace)
            self.platform_line(error_line(self.request_id, self.error))
        self.platform_line(end_line(self.request_id))
        began = now if self.dispatched_us is None else self.dispatched_us
        self.platform_line(
            report_line(
                self.request_id,
                duration_ms=(now - began) // 1000,
                memory_mb=self.function.configuration.memory_or_default,
                mem_usage_bytes=self.mem_usage,
            )
        )
        if detail is not None:
            self.note("instance", detail)
        return transition

    # -- inside ------------------------------------------------------------------------------------------------------

    def _error_body(self, code: int, fact: Fact, trace: str | None) -> ErrorBody:
        if fact is Fact.TIMED_OUT:
            return error_body(code, self.request_id, message=timed_out_message(self.function.configuration.timeout))
        if fact in (Fact.CODE_NOT_LOADED, Fact.NOT_STARTED, Fact.PORT_NOT_BOUND) and trace:
            return error_body(code, self.request_id, message=trace)
        if fact in (Fact.RAISED, Fact.RESULT_NOT_JSON):
            return error_body(code, self.request_id, stack_trace=trace)
        return error_body(code, self.request_id)

    def _apply(self, fact: Fact) -> Transition:
        before = self.record.state.status
        configuration = self.function.configuration
        transition = self.record.apply(fact, self.now_us(), self.readings, configuration.async_run)
        if self.record.status is not before:
            code = f" ({transition.status_code})" if transition.status_code else ""
            self.note("status", f"{self.record.status}{code}: {fact.value}")
        return transition

    def _line(self, text: str, source: Literal["Platform", "Custom"]) -> None:
        now = self.now_us()
        line = LogLine(now, text, source)
        self.log.append(line)
        self.timeline.append(Entry(now, "log", text))
        if self.on_line is not None:
            self.on_line(line)


_MET = {
    "handler": "user code listens",
    "default": "user code does not listen, so it ends the process",
    "ignored": "the process ignores it",
    "blocked": "the process has blocked it",
    "no process": "there is no process yet",
    "native": "code outside Python catches it, and user code has no handler",
    "unknown": "the program, or its language's runtime, catches it",
}
