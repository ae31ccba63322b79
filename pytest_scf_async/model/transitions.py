"""The one table of what happens to an event: a state and a fact give the next state, its code and the instance's fate.

Every module that must know what a fact means for an event asks `transition`; nobody keeps rules of their own. The
platform's statuses are in document 63969, the codes in document 42611, what reclaims an instance in documents 51519
and 42611. Two rules that those leave open are fields of `OpenReadings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Literal

from ..errors import HarnessError, ScfUsageError
from .codes import api_error
from .statuses import State, Status


class Fact(Enum):
    """What can become known about an event."""

    ACCEPTED = "accepted"
    """The scheduler took the event; none of its code has run, or none of its next attempt."""
    OVER_QUOTA = "over quota"
    """The invocation came while all instances that the function may have were in use, and it is queued."""
    DROPPED = "given up in the queue"
    """The platform gave a queued event up: there was no room for it as long as it is kept."""
    SIGNAL_RECEIVED = "signal received"
    """A graceful termination's SIGTERM reached a living process that runs the event."""
    SIGNAL_NOT_RECEIVED = "signal not received"
    """A graceful termination found no process that could take its SIGTERM."""
    RETURNED = "returned"
    """The handler returned a value that is JSON and within the limit."""
    RAISED = "raised"
    """The handler, or its listener for SIGTERM, raised an exception that it did not catch."""
    RESULT_NOT_JSON = "result not JSON"
    """The handler returned a value that cannot be written as JSON."""
    RESULT_TOO_LARGE = "result too large"
    """The handler returned more than 6 MB of JSON."""
    ENTRY_FILE_MISSING = "entry file missing"
    """The file that the handler names is not in the code."""
    CODE_NOT_LOADED = "code not loaded"
    """The module could not be imported, or has no such handler."""
    NOT_STARTED = "not started"
    """The command of an image, or the binary of the function, could not be started."""
    PORT_NOT_BOUND = "port not bound"
    """The program of an image runs, and nothing listens on its port for the platform."""
    INIT_TIMED_OUT = "init timed out"
    """The init of the instance took longer than the function's init timeout."""
    TIMED_OUT = "timed out"
    """The event ran until the function's timeout."""
    MEMORY_EXCEEDED = "memory exceeded"
    """The instance used more memory than the function has."""
    PROCESS_EXITED = "process exited"
    """The process ended by itself, in init or while the event ran, whatever its exit code."""
    CONTAINER_EXITED = "container exited"
    """The container ended before it took the event. This and the next four only a script says (`scripted.py`)."""
    IMAGE_NOT_PULLED = "image not pulled"
    """The image could not be had."""
    IMAGE_PULL_TIMED_OUT = "image pull timed out"
    """The image could not be had in time."""
    RESOURCES_INSUFFICIENT = "resources insufficient"
    """The platform had nothing left to run the event on."""
    PLATFORM_FAILED = "platform failed"
    """The platform itself failed."""
    TERMINATED = "terminated"
    """TerminateAsyncEvent without GraceShutdown."""
    FUNCTION_DELETED = "function deleted"
    """DeleteFunction came while the event existed."""


class InstanceFate(Enum):
    """What becomes of the instance that runs the event."""

    UNCHANGED = "unchanged"
    """The fact says nothing about the instance."""
    REUSED = "reused"
    """The instance is free for the next event."""
    RECLAIMED = "reclaimed"
    """The platform takes the instance back, with everything in its /tmp."""


STATUS_CODE_KEPT = -1
"""The status code of a transition that leaves an ended event with the code it has."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What a fact does to an event in a given state.

    `status_code` is the platform's code (0 while the event runs), `logs` the platform line that its end writes.
    """

    state: State
    status_code: int
    fate: InstanceFate
    logs: Literal["", "Response", "ERROR"]


@dataclass(frozen=True, slots=True)
class OpenReadings:
    """The two rules of a graceful termination that document 63969 leaves open.

    `graceful_return_status`: the status when the handler returns after the signal: FINISHED (200) or ABORTED (499).
    `graceful_exit_status`: the status when the process ends after the signal: FAILED or ABORTED (both 439).
    Raises ScfUsageError for any other status.
    """

    graceful_return_status: Status = Status.FINISHED
    graceful_exit_status: Status = Status.FAILED

    def __post_init__(self) -> None:
        for name, valid in (
            ("graceful_return_status", (Status.FINISHED, Status.ABORTED)),
            ("graceful_exit_status", (Status.FAILED, Status.ABORTED)),
        ):
            value = getattr(self, name)
            if value not in valid:
                raise ScfUsageError(f"{name}={str(value)!r}: valid are {valid[0].value!r} and {valid[1].value!r}")
            object.__setattr__(self, name, Status(value))


_STAYS, _REUSED, _RECLAIMED = InstanceFate.UNCHANGED, InstanceFate.REUSED, InstanceFate.RECLAIMED

_ENDS: Mapping[Fact, Transition] = MappingProxyType(
    {
        Fact.RETURNED: Transition(State.FINISHED, 200, _REUSED, "Response"),
        Fact.RAISED: Transition(State.FAILED, 430, _RECLAIMED, "ERROR"),
        Fact.RESULT_NOT_JSON: Transition(State.FAILED, 430, _RECLAIMED, "ERROR"),
        Fact.RESULT_TOO_LARGE: Transition(State.FAILED, 407, _RECLAIMED, "ERROR"),
        Fact.ENTRY_FILE_MISSING: Transition(State.FAILED, 437, _RECLAIMED, "ERROR"),
        Fact.CODE_NOT_LOADED: Transition(State.FAILED, 443, _RECLAIMED, "ERROR"),
        Fact.NOT_STARTED: Transition(State.FAILED, 445, _RECLAIMED, "ERROR"),
        Fact.PORT_NOT_BOUND: Transition(State.FAILED, 446, _RECLAIMED, "ERROR"),
        Fact.INIT_TIMED_OUT: Transition(State.FAILED, 450, _RECLAIMED, "ERROR"),
        Fact.TIMED_OUT: Transition(State.FAILED, 433, _RECLAIMED, "ERROR"),
        Fact.MEMORY_EXCEEDED: Transition(State.FAILED, 434, _RECLAIMED, "ERROR"),
        Fact.PROCESS_EXITED: Transition(State.FAILED, 439, _RECLAIMED, "ERROR"),
        Fact.CONTAINER_EXITED: Transition(State.FAILED, 405, _RECLAIMED, "ERROR"),
        Fact.IMAGE_NOT_PULLED: Transition(State.FAILED, 444, _RECLAIMED, "ERROR"),
        Fact.IMAGE_PULL_TIMED_OUT: Transition(State.FAILED, 447, _RECLAIMED, "ERROR"),
        Fact.RESOURCES_INSUFFICIENT: Transition(State.FAILED, 449, _RECLAIMED, "ERROR"),
        Fact.PLATFORM_FAILED: Transition(State.FAILED, 500, _RECLAIMED, "ERROR"),
        Fact.TERMINATED: Transition(State.ABORTED, 499, _RECLAIMED, "ERROR"),
        Fact.FUNCTION_DELETED: Transition(State.ABORTED, 499, _RECLAIMED, "ERROR"),
    }
)
"""How an event ends that runs, whether it has had a SIGTERM or not: of that the returns and exits are the default
readings."""

TRANSITIONS: Mapping[tuple[State, Fact], Transition] = MappingProxyType(
    {
        (State.NEW, Fact.ACCEPTED): Transition(State.RUNNING, 0, _STAYS, ""),
        # An event that waits for room, before its first attempt or another one.
        (State.NEW, Fact.OVER_QUOTA): Transition(State.QUEUED, 0, _STAYS, ""),
        (State.QUEUED, Fact.ACCEPTED): Transition(State.RUNNING, 0, _STAYS, ""),
        (State.QUEUED, Fact.DROPPED): Transition(State.DROPPED, 0, _STAYS, ""),
        (State.QUEUED, Fact.FUNCTION_DELETED): Transition(State.DROPPED, 0, _STAYS, ""),
        (State.RETRYING, Fact.ACCEPTED): Transition(State.RUNNING, 0, _STAYS, ""),
        (State.RETRYING, Fact.DROPPED): Transition(State.FAILED, 432, _STAYS, "ERROR"),
        (State.RETRYING, Fact.FUNCTION_DELETED): Transition(State.ABORTED, 499, _STAYS, "ERROR"),
        # An event that runs, and one that runs on after a SIGTERM.
        (State.RUNNING, Fact.SIGNAL_RECEIVED): Transition(State.SIGNALLED, 0, _STAYS, ""),
        (State.RUNNING, Fact.SIGNAL_NOT_RECEIVED): Transition(State.RUNNING, 0, _STAYS, ""),
        (State.SIGNALLED, Fact.SIGNAL_RECEIVED): Transition(State.SIGNALLED, 0, _STAYS, ""),
        (State.SIGNALLED, Fact.SIGNAL_NOT_RECEIVED): Transition(State.SIGNALLED, 0, _STAYS, ""),
        **{(state, fact): end for state in (State.RUNNING, State.SIGNALLED) for fact, end in _ENDS.items()},
        # An event that has ended: deleting its function leaves it as it is.
        **{(end, Fact.FUNCTION_DELETED): Transition(end, STATUS_CODE_KEPT, _STAYS, "") for end in State if end.ended},
    }
)

_OTHER_READINGS: Mapping[tuple[State, Fact], Transition] = MappingProxyType(
    {
        (State.SIGNALLED, Fact.RETURNED): Transition(State.ABORTED, 499, _REUSED, "ERROR"),
        (State.SIGNALLED, Fact.PROCESS_EXITED): Transition(State.ABORTED, 439, _RECLAIMED, "ERROR"),
    }
)

_TERMINATIONS = (Fact.TERMINATED, Fact.SIGNAL_RECEIVED, Fact.SIGNAL_NOT_RECEIVED)
_EXCEPTIONS = (Fact.RAISED, Fact.RESULT_NOT_JSON)
_DEFAULT_READINGS = OpenReadings()


def transition(
    state: State,
    fact: Fact,
    readings: OpenReadings = _DEFAULT_READINGS,
    *,
    async_run: bool = True,
    retries_left: int = 0,
    request_id: str = "",
) -> Transition:
    """What `fact` does to an event in `state`; `request_id` only makes an error name the event.

    An exception (430) reclaims the instance of an async function and leaves that of a sync one for reuse
    (documents 51519 and 42611). While an invocation has `retries_left`, an attempt that fails does not end it: its
    state is RETRYING, with the code of the attempt (document 41138; never for an async function, document 51519).

    Raises ScfApiError ``FailedOperation.AsyncEventStatus`` when a termination meets an event that has ended, and
    HarnessError for every other fact that cannot happen in that state.
    """
    result = TRANSITIONS.get((state, fact))
    if result is None:
        event = f"Async event {request_id}" if request_id else "The async event"
        if state.ended and state is not State.DROPPED and fact in _TERMINATIONS:
            raise api_error("FailedOperation.AsyncEventStatus", event=event, status=str(state.status))
        raise HarnessError(f"{event} cannot take the fact {fact.name} in the state {state.name}")
    if (state, fact) in _OTHER_READINGS:
        reading = readings.graceful_return_status if fact is Fact.RETURNED else readings.graceful_exit_status
        if reading is Status.ABORTED:
            return _OTHER_READINGS[state, fact]
    if not async_run and fact in _EXCEPTIONS:
        result = replace(result, fate=InstanceFate.REUSED)
    if retries_left and state is not State.RETRYING and result.state is State.FAILED and not state.ended:
        return replace(result, state=State.RETRYING)
    return result
