"""The record of one event: what the platform keeps of it, and the only way in which it changes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..errors import HarnessError
from .statuses import State, Status
from .transitions import STATUS_CODE_KEPT, Fact, OpenReadings, Transition, transition

TIMER = "TRIGGER_TIMER"
"""The type of the events of a timer trigger."""
INVOKE_TYPES: tuple[str, ...] = (
    "CMQ",
    "CKAFKA_TRIGGER",
    "APIGW",
    "COS",
    TIMER,
    "MPS_TRIGGER",
    "CLS_TRIGGER",
    "OTHERS",
)
"""What can have invoked an event (document 52501); calls of the Cloud API are OTHERS."""

SYNC_CALLERS: tuple[str, ...] = ("APIGW",)
"""Those whose caller waits for the answer: over a quota they are refused (document 41138)."""

_DEFAULT_READINGS = OpenReadings()


@dataclass(slots=True, eq=False)
class EventRecord:
    """One event. Times are whole microseconds since the Unix epoch (UTC) of simulated time.

    `sequence` is its place in the order in which runtimes accept events, with gaps; `recorded` says whether the
    function's status trace was on then; `end_us` is None until the event has ended; `status_code` is 0 until then
    (document 65704).
    """

    sequence: int
    request_id: str
    function_name: str
    namespace: str
    qualifier: str
    invoke_type: str
    recorded: bool
    start_us: int
    end_us: int | None = None
    state: State = State.NEW
    status_code: int = 0
    transitions: list[tuple[Status, int]] = field(default_factory=list)

    @property
    def function(self) -> tuple[str, str]:
        """The namespace and the name of its function."""
        return self.namespace, self.function_name

    @property
    def status(self) -> Status:
        """The status on the wire. Raises HarnessError for an event that has not been accepted."""
        status = self.state.status
        if status is None:
            raise HarnessError(f"event {self.request_id} has not been accepted, so it has no status")
        return status

    def starts(self, at_us: int) -> None:
        """It was queued, and starts at *at_us*."""
        self.start_us = at_us

    def resolved_to(self, version: str) -> None:
        """Its qualifier names *version* by now."""
        self.qualifier = version

    def accepted(self, sequence: int, recorded: bool) -> None:
        """It is the event number *sequence* that the platform accepts."""
        self.sequence, self.recorded = sequence, recorded

    def apply(
        self,
        fact: Fact,
        at_us: int,
        readings: OpenReadings = _DEFAULT_READINGS,
        async_run: bool = True,
        retries_left: int = 0,
    ) -> Transition:
        """Let a fact happen to the event at a time, and return what it does.

        Raises what `transition` raises, and HarnessError for a time before the event's last change; the record is
        unchanged then.
        """
        result = transition(
            self.state,
            fact,
            readings,
            async_run=async_run,
            retries_left=retries_left,
            request_id=self.request_id,
        )
        last_us = self.transitions[-1][1] if self.transitions else self.start_us
        if at_us < last_us:
            raise HarnessError(
                f"event {self.request_id} cannot take the fact {fact.name} at {at_us} us: it changed at {last_us} us"
            )
        if result.status_code == STATUS_CODE_KEPT:
            return replace(result, status_code=self.status_code)
        before = self.state.status
        self.state = result.state
        self.status_code = result.status_code if result.state.ended else 0
        after = result.state.status
        if after is not None and after is not before:
            self.transitions.append((after, at_us))
            if result.state.ended:
                self.end_us = at_us
        return result
