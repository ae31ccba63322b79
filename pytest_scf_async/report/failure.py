"""What is wrong with an event, from facts, and the text of the failure that says so.

The assertion helpers and ``AsyncEvent.stop`` ask the same questions here, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from ..model import Status
from .cause import (
    Delivery,
    SeenEvent,
    function_traceback,
    late_end_cause,
    likely_cause,
    signal_cause,
    what_ends_it_in_time,
    what_to_do,
)
from .cause import short_message as message_of
from .limits import bounded, limits, show
from .real_cost import Cost, passed_text, real_cause
from .timeline import seconds_text

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ENDED_BY_OTHERS = {
    433: "the timeout",
    434: "the memory limit",
    499: "a forced termination or a deletion",
}
"""Of each status code (document 42611) that means that an event did not end by itself: what ended it."""
GENERAL: Final = "the cause of the event's state"
"""Stands for what `likely_cause` says."""


class CostlyDelivery(Delivery, Protocol):
    """A SIGTERM, with what came after it and takes no simulated time."""

    @property
    def cost(self) -> Cost: ...


class FailedEvent(SeenEvent, Protocol):
    """What a failure tells of an event."""

    @property
    def request_id(self) -> str: ...
    @property
    def shown_status(self) -> str: ...
    @property
    def status(self) -> Status | None: ...
    @property
    def ended(self) -> bool: ...
    @property
    def invoked_us(self) -> int: ...
    @property
    def signals(self) -> Sequence[CostlyDelivery]: ...


class Failure(NamedTuple):
    """What an event is not."""

    expected: str
    found: str
    cause: str | None = GENERAL
    advice: bool = True
    """Whether it helps to say what usually fixes the event's state."""
    more: Mapping[str, str] = MappingProxyType({})
    """Texts that come before the timeline, by their titles."""
    late: bool = False
    """It should have ended before, after a SIGTERM."""


def failure(event: FailedEvent, timeline: str, what: Failure) -> AssertionError:
    """The error; the first line of its text says it all, for the short summary."""
    cause = likely_cause(event) if what.cause is GENERAL else what.cause
    lines = [
        f"expected {what.expected}; found {what.found}",
        f"event: {event.request_id} of {event.function.configuration.name}",
    ]
    if cause:
        lines.append(f"likely cause: {cause}")
    what_fixes_it = (what_ends_it_in_time if what.late else what_to_do)(event) if cause and what.advice else None
    if what_fixes_it:
        lines.append(f"what to do: {what_fixes_it}")
    stack = function_traceback(event)
    of_what = "traceback of the import" if event.record.status_code == 443 else "traceback of the function"
    parts = {**what.more, **({of_what: stack} if stack else {})}
    for title, text in parts.items():
        lines += [f"--- {title} ---", bounded(text, limits.parts // len(parts) - 1)]
    lines += [timeline_title(event), timeline]
    error = AssertionError("\n".join(lines))
    show(error, event)
    return error


def timeline_title(event: FailedEvent) -> str:
    """The line before a timeline."""
    began = (_EPOCH + timedelta(microseconds=event.invoked_us)).isoformat()
    return f"--- timeline, in simulated time from {began} ---"


def why_not_status(found: str, expected: str) -> list[str]:
    """What a bare comparison of a status cannot say: lines."""
    if expected not in Status.__members__:
        return [f"{expected!r} is no status: they are {', '.join(Status)}"]
    if found == Status.RUNNING:
        return [
            "the event is RUNNING: reading its status lets no simulated time pass",
            "what to do: call event.wait() before, which runs it to its end, or scf_clock.advance(seconds)",
        ]
    return [f"what to do: assert_status(event, {expected!r}) says why it is {found}, and shows its timeline"]


def end_text(event: FailedEvent) -> str:
    """The status, with its code and the platform's message."""
    return f"{event.shown_status}{code_text(event)}"


def code_text(event: FailedEvent) -> str:
    """The status code of an event that has ended, with the platform's message."""
    if not event.ended or event.status is None:
        return ""
    message = message_of(event)
    return f" ({event.record.status_code}{f': {message}' if message else ''})"


def not_finished(event: FailedEvent) -> Failure | None:
    """Why it is not FINISHED."""
    return None if event.status is Status.FINISHED else Failure("FINISHED (200)", end_text(event))


def not_handled(event: FailedEvent) -> Failure | None:
    """Why its SIGTERMs were not handled: each has to have entered the user's handler, which has to have returned."""
    expected = "SIGTERM handled: its handler entered, and left without an exception"
    if not event.signals:
        return Failure(expected, "no SIGTERM", signal_cause(event))
    for number, each in enumerate(event.signals, 1):
        which = "SIGTERM" if len(event.signals) == 1 else f"SIGTERM {number} of {len(event.signals)}"
        if each.disposition != "handler":
            in_python = event.function.runtime.listens_in_python
            met = {
                "default": "met no handler",
                "ignored": "was ignored by the process",
                "blocked": "was blocked by the process",
                "no process": "found no process",
                "native": "met no Python handler"
                if in_python
                else "was caught by the runtime of the program's language",
                "unknown": "reached a free-running program, which may have a handler for it",
            }[each.disposition]
            return Failure(expected, f"{which} {met}", signal_cause(event))
        if each.entered_us is None:
            return Failure(expected, f"{which} never entered its handler", signal_cause(event))
        if each.left_us is None:
            return Failure(expected, f"{which} entered its handler, which never left")
        if each.raised is not None:
            return Failure(expected, f"{which} entered its handler, which raised {each.raised}")
    return None


def not_stopped_within(event: FailedEvent, limit_us: int, now_us: int, noise: float, source: str) -> Failure | None:
    """Why it has not ended by itself within that time after the last SIGTERM.

    Real costs of less than *noise* seconds, a setting from *source*, do not count.
    """
    expected = f"an end within {seconds_text(limit_us)} after SIGTERM"
    if not event.signals:
        return Failure(expected, "no SIGTERM", signal_cause(event))
    end, sent, cost = event.record.end_us, event.signals[-1].sent_us, event.signals[-1].cost
    if end is None:
        found = f"RUNNING, {passed_text(now_us - sent, cost, noise, source)} after it"
        late = now_us - sent > limit_us
        return Failure(expected, found, late_end_cause(event) if late else GENERAL, late=late)
    if event.record.status_code in _ENDED_BY_OTHERS:
        why = _ENDED_BY_OTHERS[event.record.status_code]
        return Failure(f"{expected}, by itself", f"{end_text(event)}: {why} ended it", late_end_cause(event))
    counted = cost.total if cost.total >= noise else 0.0
    if end - sent + counted * 1_000_000 > limit_us:
        cause = late_end_cause(event) if end - sent > limit_us else real_cause(cost)
        passed = passed_text(end - sent, cost, noise, source)
        return Failure(expected, f"{end_text(event)} {passed} after it", cause)
    return None
