"""What the report of a failed test says of its events: bounded, and without a value of an environment variable.

All of one test together has about as many lines as a screen (``limits.test``). What is left out is in files, and the
last line says where.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..errors import ScfAsyncError
from ..model.statuses import Status
from ..report.cause import likely_cause, short_message
from ..report.failure import timeline_title, why_lines
from ..report.limits import limits, shown_by
from ..report.timeline import seconds_text
from ..report.tracebacks import shown_traceback

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..wing_hooks import Reported

ONE_LINE: Final = 8
"""Events that are named in one line each, besides those whose timeline is shown."""
LEAST: Final = 6
"""Lines of a timeline that says something: an event that has no room for so many has one line."""

Section = tuple[str, str]
"""A title and its text, as in ``TestReport.sections``."""


def sections_of(made: Reported, kept: Mapping[str, str]) -> list[Section]:
    """The sections of the events, without those that are shown already; *kept* says where each one is in full."""
    events, error, shown, used = made.events, made.error, [*made.already], 0
    if error is not None:
        in_its_text = shown_by(error)
        shown += [event for event in events if event._event is in_its_text]
        used = str(error).count("\n") + 1 if shown or isinstance(error, ScfAsyncError) else 0
    ranked = _ranked([event for event in events if event not in shown])
    room = max(limits.test - used - 1, ONE_LINE)
    detailed: dict[AsyncEvent, str] = {}
    for number, event in enumerate(ranked):
        others = min(len(ranked) - number - 1, ONE_LINE + 1)
        most = min(room - others - 2, limits.timeline)
        if most < LEAST:
            break
        text = _section(event, most)
        room -= text.count("\n") + 2
        detailed[event] = text
    sections = [(f"scf async event {event.request_id}", detailed[event]) for event in events if event in detailed]
    left = ranked[len(detailed) :]
    lines = [_one_line(event) for event in events if event in left[:ONE_LINE]]
    if len(left) > ONE_LINE:
        lines.append(f"and {len(left) - ONE_LINE:,} more")
    where = _in_full(kept)
    if lines:
        sections.append(("scf async: other events", "\n".join(lines)))
    if where and events:
        title, text = sections.pop() if sections else ("scf async", "")
        sections.append((title, f"{text}\n{where}".lstrip("\n")))
    return sections


def unchecked_failures(events: Sequence[AsyncEvent]) -> list[AsyncEvent]:
    """The FAILED events that nobody checked; those that the end of the test ended are none."""
    return [
        event
        for event in events
        if event._event.status is Status.FAILED and not event._event.looked_at and not event._event.ended_by_close
    ]


def unchecked_text(events: Sequence[AsyncEvent]) -> str:
    """Why a test fails whose *events* FAILED and were not checked."""
    first, others = events[0], events[1:]
    inner = first._event
    code, stack = inner.record.status_code, shown_traceback(inner, limits.parts)
    what = f"event {first.request_id} of {first.function_name} FAILED ({code}: {short_message(inner)})"
    lines = [
        f"{what} and the test never checked it; if the failure is expected, call assert_failed(event, code={code})",
        *why_lines(inner),
        *([stack] if stack else []),
        timeline_title(inner),
        first._timeline(limits.timeline),
    ]
    if others:
        lines += ["--- other FAILED events that the test never checked ---", *map(_one_line, others[:ONE_LINE])]
    if len(others) > ONE_LINE:
        lines.append(f"and {len(others) - ONE_LINE:,} more")
    return "\n".join(lines)


def _ranked(events: Sequence[AsyncEvent]) -> list[AsyncEvent]:
    """*events*, those first that tell more: FAILED ones and those that have not ended, then the last ones."""
    facts = [(event, event._event) for event in events]
    wrong = [event for event, each in facts if each.ended_by_close or not each.ended or each.status is Status.FAILED]
    return list(dict.fromkeys([*wrong, *reversed(events)]))


def _section(event: AsyncEvent, most: int) -> str:
    inner = event._event
    waits_for_a_call = inner.phase in ("queued", "pending") and not inner.ended
    why = [str(likely_cause(inner))] if waits_for_a_call else []
    title = f"{event.function_name}: {_status(event)}, in simulated time from {inner.shown_beginning}"
    return "\n".join([title, *why, event._timeline(most - len(why))])


def _one_line(event: AsyncEvent) -> str:
    inner = event._event
    end_us = inner.record.end_us
    after = "" if end_us is None else f" after {seconds_text(end_us - inner.record.start_us)}"
    why = f": {short_message(inner)}" if inner.status is Status.FAILED else ""
    return f"event {event.request_id} of {event.function_name}: {_status(event)}{after}{why}"


def _status(event: AsyncEvent) -> str:
    inner = event._event
    code = f" ({inner.record.status_code})" if inner.ended and inner.status is not None else ""
    return f"{inner.shown_status}{code}{', ended by the harness' if inner.ended_by_close else ''}"


def _in_full(kept: Mapping[str, str]) -> str:
    """Where the files of a test are: its events have directories beside each other there."""
    where = dict.fromkeys(os.path.dirname(path) if os.path.isdir(path) else path for path in kept.values())
    return f"--- in full: {next(iter(where))} ---" if where else ""
