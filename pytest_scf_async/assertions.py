"""The assertion helpers: each says what it expected, what it found, the likely cause, and the event's timeline.

Numbers of documents are those of the platform's product 583. Every helper counts as looking at how the event ended, but
``assert_no_signal``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import EllipsisType
from typing import NoReturn

from .async_event import AsyncEvent, InstanceView, Json, refuse_scripted
from .clock import duration_us, to_datetime
from .errors import ScfApiError, ScfUsageError, hidden_from_users, keywords_named
from .model.codes import STATUS_CODES
from .model.log_lines import SIGNAL_FAILED_LINE, SIGNAL_RECEIVED_LINE
from .model.patterns import is_there_as_a_pattern, line_matcher
from .model.statuses import Status
from .model.timeline import IDLE
from .model.trace import RETENTION_US
from .protocol.shortening import shortened_line, shortened_list
from .report.cause import likely_cause, signal_cause
from .report.closest import closest_lines
from .report.failure import (
    GENERAL,
    Failure,
    code_text,
    end_text,
    failure,
    not_finished,
    not_handled,
    not_stopped_within,
)
from .report.limits import limits
from .report.timeline import seconds_text
from .runtime import ScfRuntime

__tracebackhide__ = hidden_from_users

SHOWN_CHARACTERS = 200
"""Characters of a result that the text of a failure shows."""
SHOWN_FILES = 5
"""Files that a failure names."""

_SIGNALS = "use assert_signal_received(event) after terminate(grace_shutdown=True), and event.ended_at"
_ENDS = "use assert_transitions(event, ...) or event.status_code"
_KEEP = "write what must survive to an object store, or to a directory listed in mounts="
_RESET = "reset what events change (globals, files in /tmp) at the start of the handler"
_GRACEFUL = (
    "terminate(grace_shutdown=True) sends SIGTERM and lets the function decide how it ends; terminate() without it "
    "forces the end (ABORTED, no SIGTERM), and must come before wait(), while the event is running"
)
_RETURNED = (
    "the function returned, which makes the event FINISHED, as assert_finished(event) expects; 439 is for a process "
    "that ends while the function runs: by sys.exit(), or by SIGTERM without a handler"
)


# -- statuses --------------------------------------------------------------------------------------------------------


@keywords_named("assert_status(...)")
def assert_status(event: AsyncEvent, expected: str | Status) -> None:
    """The event's status is *expected*: RUNNING, FINISHED, FAILED or ABORTED (document 65704)."""
    __tracebackhide__ = True
    wanted = _status(expected)
    _look(event)
    if event._event.status is not wanted:
        _fail(event, str(wanted), end_text(event._event))


@keywords_named("assert_transitions(...)")
def assert_transitions(event: AsyncEvent, expected: Sequence[str | Status]) -> None:
    """The event has had exactly these statuses, in this order, as in ``["RUNNING", "FINISHED"]`` (document 52501)."""
    __tracebackhide__ = True
    if isinstance(expected, str):
        raise ScfUsageError(
            f'expected={expected!r} is not valid: it must be a list of statuses, as in ["RUNNING", "FINISHED"]'
        )
    wanted = [_status(each) for each in expected]
    _look(event)
    found = [status for status, _ in event._event.record.transitions]
    if found != wanted:
        _fail(event, _arrows(wanted), f"{_arrows(found)}{code_text(event._event)}")


@keywords_named("assert_finished(...)")
def assert_finished(event: AsyncEvent, result: Json | EllipsisType = ...) -> None:
    """The event is FINISHED (200, document 42611), with *result* where it is given: what JSON makes of it, or bytes."""
    __tracebackhide__ = True
    _look(event)
    inner = event._event
    _refuse(event, not_finished(inner))
    if result is ...:
        return
    try:
        wanted = result if isinstance(result, bytes) else json.loads(json.dumps(result))
    except (TypeError, ValueError) as error:
        raise ScfUsageError(f"result={result!r} is not valid: it must be a JSON value ({error})") from None
    found = event.result
    if _text(found) != _text(wanted):  # 1, 1.0 and true are equal in Python
        _fail(
            event,
            f"the result {_short(wanted)}",
            f"the result {_short(found)}",
            cause=_warm(event),
            advice=_RESET,
            more=_difference(_text(wanted).splitlines(), _text(found).splitlines()),
        )


@keywords_named("assert_failed(...)")
def assert_failed(event: AsyncEvent, code: int | None = None) -> None:
    """The event is FAILED, with the status code *code* where one is given (document 42611)."""
    __tracebackhide__ = True
    if code is not None and code not in STATUS_CODES:
        raise ScfUsageError(f"code={code!r} is not valid: the platform's codes are {', '.join(map(str, STATUS_CODES))}")
    _look(event)
    _require_end(event, Status.FAILED, code)


@keywords_named("assert_user_exit(...)")
def assert_user_exit(event: AsyncEvent) -> None:
    """The event is FAILED with 439: the user's process ended while it ran it (documents 42611 and 63969).

    439 is also what a SIGTERM without a listener leads to, and a listener that ends the process with any exit code.
    """
    __tracebackhide__ = True
    _look(event)
    returned = event._event.status is Status.FINISHED and likely_cause(event._event) is None
    _require_end(event, Status.FAILED, 439, cause=_RETURNED if returned else GENERAL)


@keywords_named("assert_terminated(...)")
def assert_terminated(event: AsyncEvent) -> None:
    """The event is ABORTED with 499: terminated by force (document 52500), or its function was deleted."""
    __tracebackhide__ = True
    _look(event)
    inner = event._event
    returned = inner.status is Status.FINISHED and likely_cause(inner) is None
    _require_end(event, Status.ABORTED, 499, cause=_GRACEFUL if returned else GENERAL)


@keywords_named("assert_timed_out(...)")
def assert_timed_out(event: AsyncEvent) -> None:
    """The event is FAILED with 433: it ran until its function's timeout (document 42611)."""
    __tracebackhide__ = True
    _look(event)
    _require_end(event, Status.FAILED, 433)


# -- signals ---------------------------------------------------------------------------------------------------------


@keywords_named("assert_signal_received(...)")
def assert_signal_received(event: AsyncEvent) -> None:
    """The platform wrote ``[PLATFORM] Signal received successfully.`` into the log (document 63969)."""
    __tracebackhide__ = True
    _require_platform_line(event, confirmed=True)


@keywords_named("assert_signal_reception_failed(...)")
def assert_signal_reception_failed(event: AsyncEvent) -> None:
    """The platform wrote ``[PLATFORM] Signal reception failed.`` into the log (document 63969)."""
    __tracebackhide__ = True
    _require_platform_line(event, confirmed=False)


@keywords_named("assert_no_signal(...)")
def assert_no_signal(event: AsyncEvent) -> None:
    """No SIGTERM was sent to the event: nobody terminated it gracefully (document 63969).

    This says nothing of how the event ended: a failure that nothing else checks still fails the test.
    """
    __tracebackhide__ = True
    _look(event, at_its_end=False)
    signals = event._event.signals
    if signals:
        times = ", ".join(_after_start(event, each.sent_us) for each in signals)
        _fail(event, "no SIGTERM", f"{len(signals)} SIGTERM, sent {times}", cause=_GRACEFUL, advice=None)


@keywords_named("assert_signal_handled(...)")
def assert_signal_handled(event: AsyncEvent) -> None:
    """Every SIGTERM of the event (one at least) entered the user's handler, which returned (document 63969).

    Of a supervised program that is the handler that the kernel calls. A shell, and Python, only note there that the
    signal has come, and run the trap, or the function, later: have that write a line, and use ``assert_logged``.
    Programs in Go and Node.js always have such a handler, of their runtime's: for them this fails.
    """
    __tracebackhide__ = True
    _look(event, code_by="assert_signal_handled()", instead=_SIGNALS)
    _refuse(event, not_handled(event._event))


@keywords_named("assert_stopped_within(...)")
def assert_stopped_within(event: AsyncEvent, seconds: float | timedelta) -> None:
    """From the last SIGTERM to the event's end at most *seconds* have passed (document 63969).

    The event has to have ended by itself: by a return, an exception, or the end of its process. An end by the timeout
    (433), by the memory limit (434), or by a forced termination or a deletion (499) proves no stop, however soon it
    comes.

    These are seconds of simulated time, and beside it the real ones that it does not count: processor time of
    computing, and the time of child processes and of answers that the event waited for. Real parts that together are
    less than ``stop_noise`` (a setting) do not count. A function with a ``compute_rate`` has them in simulated time.
    """
    __tracebackhide__ = True
    limit = duration_us(seconds, "assert_stopped_within(seconds)")
    _look(event, code_by="assert_stopped_within(...)", instead=_SIGNALS)
    settings = event._lockstep.settings
    now_us, noise = event._lockstep.clock.now_us, settings.stop_noise
    _refuse(event, not_stopped_within(event._event, limit, now_us, noise, settings.source("stop_noise")))


# -- logs ------------------------------------------------------------------------------------------------------------


@keywords_named("assert_logged(...)")
def assert_logged(event: AsyncEvent, pattern: str | re.Pattern[str]) -> None:
    """A line of the log has *pattern*: a text, or a compiled regular expression to search for (document 60336)."""
    __tracebackhide__ = True
    shown, found = line_matcher(pattern)
    _look(event)
    lines = event._event.lines
    if not any(found(line.text) for line in lines):
        meant = is_there_as_a_pattern(pattern, lines)
        found_none = f"none in {len(lines)} lines{'' if meant else closest_lines(pattern, lines)}"
        _fail(event, f"a log line containing {shown}", found_none, cause=meant or GENERAL)


@keywords_named("assert_log_order(...)")
def assert_log_order(event: AsyncEvent, patterns: Sequence[str | re.Pattern[str]]) -> None:
    """The log has a line for each of *patterns*, each after the line of the one before (document 60336)."""
    __tracebackhide__ = True
    if isinstance(patterns, (str, re.Pattern)) or not patterns:
        raise ScfUsageError(
            f"patterns={patterns!r} is not valid: it must be a list of at least one str or compiled pattern"
        )
    matchers = [line_matcher(pattern) for pattern in patterns]
    _look(event)
    lines = [line.text for line in event._event.lines]
    expected = f"log lines in the order {', '.join(shown for shown, _ in matchers)}"
    position, before = 0, ""
    for (shown, found), pattern in zip(matchers, patterns, strict=True):
        at = _first(found, lines, position)
        if at is None:
            anywhere = _first(found, lines, 0)
            if anywhere is None:
                nearest = closest_lines(pattern, event._event.lines)
                _fail(event, expected, f"no line containing {shown}{nearest}")
            _fail(
                event,
                expected,
                f"{shown} in line {anywhere + 1}, "
                + (f"before {before} in line {position}" if anywhere + 1 < position else f"as is {before}"),
            )
        position, before = at + 1, shown


# -- instances -------------------------------------------------------------------------------------------------------


@keywords_named("assert_reclaimed(...)")
def assert_reclaimed(event: AsyncEvent) -> None:
    """The platform has taken the event's instance back, with all that was in its ``/tmp`` (documents 42611, 51519)."""
    __tracebackhide__ = True
    _look(event, code_by="assert_reclaimed()", instead=_ENDS)
    instance = event.instance
    if instance is None:
        _fail(event, "its instance to be reclaimed", "an event that never had an instance")
    if not instance.reclaimed:
        found = f"an instance that is {instance.doing}, pid {instance.pid}"
        kept = wait = None
        if event._event.ended:
            seconds = f"{event._lockstep.settings.idle_reclaim:g}"
            kept = f"the instance is kept for the next event until it has been idle for {seconds} s (idle_reclaim)"
            wait = f"call scf_clock.advance({seconds}) first"
        _fail(event, "its instance to be reclaimed", found, cause=kept, advice=wait)


@keywords_named("assert_nothing_lost(...)")
def assert_nothing_lost(event: AsyncEvent) -> None:
    """No file was left in the ``/tmp`` of the event's instance when it was reclaimed (documents 42611, 51519).

    An instance that lives may be reclaimed at any time: what is in its ``/tmp`` now counts as well.
    """
    __tracebackhide__ = True
    _look(event, code_by="assert_nothing_lost()", instead=_ENDS)
    instance = event._event.instance
    if instance is None:
        return
    left = instance.sandbox.lost_files if instance.gone else instance.sandbox.files()
    if not left:
        return
    if instance.gone:
        cause = f"the instance was reclaimed ({instance.reclaimed_because or IDLE}), and its /tmp was deleted"
    else:
        cause = "the instance may be reclaimed at any time, and its /tmp is deleted then"
    number = "1 file" if len(left) == 1 else f"{len(left)} files"
    found = f"{number}: {shortened_list(left, SHOWN_FILES)}"
    _fail(event, "nothing left in /tmp", found, cause=cause, advice=_KEEP)


@keywords_named("assert_reused(...)")
def assert_reused(event: AsyncEvent, by: AsyncEvent | None = None) -> None:
    """The event has ended and left its instance for the next event (document 19805); with *by*, it runs or ran that."""
    __tracebackhide__ = True
    _look(event, code_by="assert_reused(...)", instead=_ENDS)
    instance = event.instance
    expected = "its instance to be kept for the next event"
    if instance is None:
        _fail(event, expected, "an event that never had an instance")
    if not event._event.ended:
        _fail(event, expected, "RUNNING, so its instance is not free")
    if by is not None:
        _look(by, code_by="assert_reused(..., by=...)", instead=_ENDS)
        if by._event.instance is not event._event.instance:
            start = "has not started" if by._event.instance is None else "ran on another instance"
            _refuse_reuse(
                event, instance, f"its instance to be reused by event {by.request_id}", f"an event that {start}"
            )
    elif instance.reclaimed:
        _refuse_reuse(event, instance, expected, f"reclaimed ({instance.reclaimed_because})")


def _refuse_reuse(event: AsyncEvent, instance: InstanceView, expected: str, found: str) -> NoReturn:
    __tracebackhide__ = True
    if instance.reclaimed_because != IDLE:
        _fail(event, expected, found, cause=GENERAL if instance.reclaimed else None)
    seconds = f"{event._lockstep.settings.idle_reclaim:g}"
    cause = f"its instance was reclaimed because it had been idle for {seconds} s (idle_reclaim)"
    _fail(event, expected, found, cause=cause, advice=f"start the next event within {seconds} s of its end")


# -- the status trace ------------------------------------------------------------------------------------------------


@keywords_named("assert_expired(...)")
def assert_expired(runtime: ScfRuntime, request_id: str) -> None:
    """The platform does not know the event any more: a status is kept 3 days after its end (documents 63967, 65704).

    Raises ``ScfUsageError`` for a *request_id* that the runtime never accepted.
    """
    __tracebackhide__ = True
    event = runtime.event(request_id)
    _look(event)
    record = event._event.record
    expected = "no record of it: ResourceNotFound.AsyncEvent"
    if not record.recorded:
        cause = "the status trace of its function was off when it was accepted, so nothing could expire"
        _fail(event, expected, "an event that was never recorded", cause=cause)
    try:
        runtime.get_async_event_status(request_id)
    except ScfApiError as error:
        if error.code == "ResourceNotFound.AsyncEvent":
            return
        raise
    cause = "a running event does not expire"
    if record.end_us is not None:
        until, now = record.end_us + RETENTION_US, runtime.clock.now_us
        cause = (
            f"its status is kept until {to_datetime(until).isoformat()}, 72 hours after its end, which is "
            f"{seconds_text(until - now)} from now: call scf_clock.advance(timedelta(hours=72))"
        )
    _fail(event, expected, f"{end_text(event._event)}, still kept", cause=cause)


# -- inside ----------------------------------------------------------------------------------------------------------


def _look(event: object, *, at_its_end: bool = True, code_by: str = "", instead: str = "") -> None:
    """The test asks about *event*; the helper *code_by* asks about its code, which a scripted event does not have."""
    if not isinstance(event, AsyncEvent):
        raise ScfUsageError(
            f"event is {event!r} of type {type(event).__name__}; the helper takes an AsyncEvent, as invoke_async() and "
            'the fixture async_event give it (parametrize("async_event", ...) needs indirect=True)'
        )
    if code_by:
        refuse_scripted(event, f"{code_by} does not apply", instead)
    event._check(at_its_end=at_its_end)


def _status(expected: object) -> Status:
    try:
        return Status(expected)
    except ValueError:
        valid = ", ".join(Status)
        raise ScfUsageError(f"{expected!r} (expected) is not a status; valid are {valid}") from None


def _require_end(event: AsyncEvent, status: Status, code: int | None, cause: str = GENERAL) -> None:
    __tracebackhide__ = True
    inner = event._event
    if inner.status is not status or (code is not None and inner.record.status_code != code):
        expected = str(status) if code is None else f"{status} ({code}: {STATUS_CODES[code].name})"
        _fail(event, expected, end_text(event._event), cause=cause, advice=GENERAL if cause is GENERAL else None)


def _require_platform_line(event: AsyncEvent, *, confirmed: bool) -> None:
    """For one SIGTERM at least, the platform has written that it was received, or, not *confirmed*, that it was not."""
    __tracebackhide__ = True
    _look(event)
    inner = event._event
    if any(each.confirmed is confirmed for each in inner.signals):
        return
    lines = {True: SIGNAL_RECEIVED_LINE, False: SIGNAL_FAILED_LINE}
    found = f"only {lines[not confirmed]!r}" if inner.signals else "no SIGTERM"
    advice = GENERAL if inner.signals else None  # else the cause says what sends one
    _fail(event, f"the platform's line {lines[confirmed]!r}", found, cause=signal_cause(inner), advice=advice)


def _arrows(statuses: Iterable[Status]) -> str:
    return " → ".join(statuses) or "none"


def _text(value: Json) -> str:
    """*value* as JSON on lines of its own, or bytes as Python writes them, which no JSON is."""
    return repr(value) if isinstance(value, bytes) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _difference(wanted: list[str], found: list[str]) -> dict[str, str]:
    """What differs, as a part of a failure's text; nothing where each is one line: the first line has both."""
    if len(wanted) == len(found) == 1:
        return {}
    lines = list(difflib.unified_diff(wanted, found, n=0, lineterm=""))[3:]  # without the names, and the first place
    return {"difference (- expected, + found)": "\n".join("…" if line.startswith("@@") else line for line in lines)}


def _warm(event: AsyncEvent) -> str | None:
    """Why a result may differ from that of the same function elsewhere."""
    if event._event.cold is False:
        return "it ran on a warm instance: globals and files in /tmp are as earlier events left them"
    return None


def _short(value: Json) -> str:
    if isinstance(value, bytes):
        return f"of {len(value):,} bytes that are not text: {shortened_line(repr(value), SHOWN_CHARACTERS)}"
    return shortened_line(json.dumps(value, ensure_ascii=False), SHOWN_CHARACTERS)


def _first(found: Callable[[str], bool], lines: list[str], start: int) -> int | None:
    return next((n for n in range(start, len(lines)) if found(lines[n])), None)


def _after_start(event: AsyncEvent, at_us: int) -> str:
    return f"{seconds_text(at_us - event._event.record.start_us)} after the start"


def _fail(
    event: AsyncEvent,
    expected: str,
    found: str,
    *,
    cause: str | None = GENERAL,
    advice: str | None = GENERAL,
    more: Mapping[str, str] | None = None,
) -> NoReturn:
    """Raise the ``AssertionError``; its first line says it all, for the short summary."""
    __tracebackhide__ = True
    what = Failure(expected, found, cause, advice, more or {})
    raise failure(event._event, event._timeline(limits.timeline), what)


def _refuse(event: AsyncEvent, what: Failure | None) -> None:
    """Raise the ``AssertionError`` where there is a failure."""
    __tracebackhide__ = True
    if what is not None:
        raise failure(event._event, event._timeline(limits.timeline), what)
