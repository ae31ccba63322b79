"""What is wrong with an event, from facts, and the text of the failure that says so.

The assertion helpers and ``AsyncEvent.stop`` ask the same questions here, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.statuses import Status
from .cause import (
    function_traceback,
    late_end_cause,
    likely_cause,
    signal_cause,
    what_ends_it_in_time,
    what_to_do,
)
from .cause import short_message as message_of
from .limits import bounded, limits, show
from .real_cost import passed_text, real_cause
from .timeline import seconds_text
from .tracebacks import shown_traceback
from .waits import where

if TYPE_CHECKING:
    from ..lockstep.event import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ENDED_BY_OTHERS = {
    433: "the timeout",
    434: "the memory limit",
    499: "a forced termination or a deletion",
}
"""Of each status code (document 42611) that means that an event did not end by itself: what ended it."""
GENERAL: Final = "the cause of the event's state"
"""Stands for what `likely_cause` says, and for the advice of `what_to_do`."""


class Failure(NamedTuple):
    """What an event is not."""

    expected: str
    found: str
    cause: str | None = GENERAL
    advice: str | None = GENERAL
    """What to do, which is said where there is a cause; None where it helps nobody."""
    more: Mapping[str, str] = MappingProxyType({})
    """Texts that come before the timeline, by their titles."""
    late: bool = False
    """It should have ended before, after a SIGTERM."""


def failure(event: Event, timeline: str, what: Failure) -> AssertionError:
    """The error; the first line of its text says it all, for the short summary."""
    cause = likely_cause(event) if what.cause is GENERAL else what.cause
    lines = [
        f"expected {what.expected}; found {what.found}",
        f"event: {event.request_id} of {event.function.configuration.name}",
    ]
    what_fixes_it = what.advice
    if what.advice is GENERAL:
        what_fixes_it = (what_ends_it_in_time if what.late else what_to_do)(event)
    lines += cause_lines(cause, what_fixes_it)
    has_stack = bool(function_traceback(event))
    most = limits.parts // max(len(what.more) + has_stack, 1) - 1
    for title, text in what.more.items():
        lines += [f"--- {title} ---", bounded(text, most)]
    if event.function.runtime.serves_requests:  # the cause has the first line of an image's answer
        answer = function_traceback(event).partition("\n")[2]
        lines += ["--- rest of the answer ---", bounded(answer, most)] if answer else []
    elif has_stack:
        of_what = "traceback of the import" if event.record.status_code == 443 else "traceback of the function"
        lines += [f"--- {of_what} ---", shown_traceback(event, most)]
    lines += [timeline_title(event), timeline]
    error = AssertionError("\n".join(lines))
    show(error, event, cause, what_fixes_it if cause else None)
    return error


def timeline_title(event: Event) -> str:
    """The line before a timeline."""
    return f"--- timeline, in simulated time from {event.shown_beginning} ---"


def never_reached(event: Event, gate: str, hint: str | None, timeline: str) -> str:
    """The text about an event that has ended without coming to *gate*; *hint* is what is known of the gate."""
    ended = f"is {event.shown_status} ({event.record.status_code})" if event.ended else "is running"
    lines = [
        f"event {event.request_id} of {event.function.configuration.name} {ended} and never reached {gate}"
        + (f"; {hint}" if hint else "")
    ]
    if event.ended and event.status is not Status.FINISHED:
        lines += why_lines(event)
        stack = shown_traceback(event, limits.parts - 1)
        lines += ["--- traceback of the function ---", stack] if stack else []
    return "\n".join((*lines, timeline_title(event), timeline))


def why_lines(event: Event) -> list[str]:
    """The cause and the advice, a line each. One that is FINISHED has no advice without a cause: nobody says that
    anything is wrong with it."""
    cause, advice = likely_cause(event), what_to_do(event)
    if event.status is Status.FINISHED and not cause:
        return []
    return [*cause_lines(cause, None), *([f"what to do: {advice}"] if advice else [])]


def cause_lines(cause: str | None, advice: str | None) -> list[str]:
    """The *cause*, and the *advice* that goes with it, a line each; nothing where the cause is not known."""
    if not cause:
        return []
    return [f"likely cause: {cause}", *([f"what to do: {advice}"] if advice else [])]


class Standing(NamedTuple):
    """Where an event is that still runs, and when that goes on."""

    now_us: int
    doing: str
    """What its instance does, in a word."""
    gate: str = ""
    """The test's call that has set the gate at which it stands."""
    waits_in: str = ""
    """The wait that it has begun last, where it waits."""
    due_us: int | None = None
    """When the first of its waits is due; None: by no time."""

    @property
    def text(self) -> str:
        if self.gate:
            return f"it is stopped at {self.gate}"
        return f"it is waiting {where(self.waits_in)}" if self.waits_in else f"it is {self.doing}"


def why_not_status(found: str, expected: str, event: Event | None, standing: Standing | None) -> list[str]:
    """What a bare comparison of a status cannot say: lines, of which pytest shows eight.

    *event* is the one whose status that is, if it is known, and *standing* where it is, if it has begun and still runs.
    """
    if expected not in Status.__members__:
        return [f"{expected!r} is not a status; the statuses are {', '.join(Status)}"]
    if event is None:
        return [f"what to do: assert_status(event, {expected!r}) says why it is {found}, and shows its timeline"]
    name = f"event {event.request_id} of {event.function.configuration.name}"
    if found != Status.RUNNING:
        return [f"{name} is {end_text(event)}", *why_lines(event)]
    if standing is None:
        not_begun = "none of its code has run" if event.script is None else "its script has not started"
        return [
            f"{name} is RUNNING: {not_begun}, and reading its status lets no simulated time pass",
            "what to do: call event.wait() first, which runs it to its end",
        ]
    lines = [f"{name} is RUNNING at +{seconds_text(standing.now_us - event.invoked_us)}: {standing.text}"]
    if standing.due_us is None or standing.due_us <= standing.now_us:
        return [*lines, "what to do: call event.wait() first, which runs it to its end"]
    advance = f"scf_clock.advance({(standing.due_us - standing.now_us) / 1_000_000:.12g})"
    return [
        f"{lines[0]}, due at +{seconds_text(standing.due_us - event.invoked_us)}",
        f"what to do: call event.wait() first, which runs it to its end, or {advance}, which ends that wait",
    ]


def why_not_time(left: datetime, right: datetime, event: Event, now_us: int) -> list[str]:
    """What a bare comparison cannot say of a time of *event* beside one of the machine; nothing of other times."""
    times = {event.record.end_us, *(at for _, at in event.record.transitions)}
    of_event = [each for each in (left, right) if each.tzinfo is not None and _microseconds(each) in times]
    others = [each for each in (left, right) if each.tzinfo is not None and _microseconds(each) not in times]
    if len(of_event) != 1 or len(others) != 1:
        return []
    is_now = abs((others[0] - datetime.now(timezone.utc)).total_seconds()) < _JUST_NOW
    if not is_now or abs(_microseconds(others[0]) - now_us) < _JUST_NOW * 1_000_000:
        return []
    whose = f"event {event.request_id} of {event.function.configuration.name}"
    now = (_EPOCH + timedelta(microseconds=now_us)).isoformat()
    return [
        f"{of_event[0].isoformat()} is simulated time, of {whose} (it is {now} now); the other is real time",
        "what to do: compare with scf_clock.now, or call datetime.now() inside scf_clock.patched()",
    ]


_JUST_NOW: Final = 60
"""Seconds: a time that is so near to the machine's comes from its clock."""


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def end_text(event: Event) -> str:
    """The status, with its code and the platform's message."""
    return f"{event.shown_status}{code_text(event)}"


def code_text(event: Event) -> str:
    """The status code of an event that has ended, with the platform's message."""
    if not event.ended or event.status is None:
        return ""
    message = message_of(event)
    return f" ({event.record.status_code}{f': {message}' if message else ''})"


def not_finished(event: Event) -> Failure | None:
    """Why it is not FINISHED."""
    return None if event.status is Status.FINISHED else Failure("FINISHED (200)", end_text(event))


def not_handled(event: Event, *, may_raise: bool = False) -> Failure | None:
    """Why its SIGTERMs were not handled: each has to have entered the user's handler, which has to have returned.

    With *may_raise* it may have raised what the function has caught.
    """
    expected = "the SIGTERM handler to run" if may_raise else "the SIGTERM handler to run and return"
    if not event.signals:
        return Failure(expected, "no SIGTERM", signal_cause(event), advice=None)
    for number, each in enumerate(event.signals, 1):
        which = "SIGTERM" if len(event.signals) == 1 else f"SIGTERM {number} of {len(event.signals)}"
        if each.disposition != "handler":
            in_python = event.function.runtime.listens_in_python
            met = {
                "default": "reached no handler",
                "ignored": "was ignored by the process",
                "blocked": "was blocked by the process",
                "no process": "reached no process",
                "native": "reached no Python handler"
                if in_python
                else "was caught by the runtime of the program's language",
                "unknown": "reached a free-running program, which may have a handler",
            }[each.disposition]
            return Failure(expected, f"that {which} {met}", signal_cause(event))
        if each.entered_us is None:
            return Failure(expected, f"that {which} never entered its handler", signal_cause(event))
        if each.left_us is None:
            return Failure(expected, f"that {which} entered its handler, which never returned")
        if each.raised is not None and not may_raise:
            return Failure(expected, f"that {which} entered its handler, which raised {each.raised}")
    return None


def not_stopped_within(event: Event, limit_us: int, now_us: int, noise: float, source: str) -> Failure | None:
    """Why it has not ended by itself within that time after the last SIGTERM.

    Real costs of less than *noise* seconds, a setting from *source*, do not count.
    """
    expected = f"the event to end within {seconds_text(limit_us)} of SIGTERM"
    if not event.signals:
        return Failure(expected, "no SIGTERM", signal_cause(event), advice=None)
    end, sent, cost = event.record.end_us, event.signals[-1].sent_us, event.signals[-1].cost
    if end is None:
        found = f"RUNNING, {passed_text(now_us - sent, cost, noise, source)} after it"
        late = now_us - sent > limit_us
        return Failure(expected, found, late_end_cause(event) if late else GENERAL, late=late)
    if event.record.status_code in _ENDED_BY_OTHERS:
        why = _ENDED_BY_OTHERS[event.record.status_code]
        return Failure(f"{expected} by itself", f"{end_text(event)}: {why} ended it", late_end_cause(event))
    counted = cost.total if cost.total >= noise else 0.0
    if end - sent + counted * 1_000_000 > limit_us:
        cause = late_end_cause(event) if end - sent > limit_us else real_cause(cost)
        passed = passed_text(end - sent, cost, noise, source)
        return Failure(expected, f"{end_text(event)}, {passed} after it", cause)
    return None
