"""What the report of a failed test says of its events: bounded, and without a value of an environment variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..clock import to_datetime
from ..model.statuses import Status
from ..protocol.shortening import shortened, shortened_lines
from ..report.cause import function_traceback, likely_cause, short_message, what_to_do

if TYPE_CHECKING:
    from ..async_event import AsyncEvent

EVENTS_SHOWN: Final = 10
"""Events of one test that have a section, or a place in the failure of events nobody looked at."""
SECTION_LINES: Final = 60
"""Lines of the head, and of the tail, that a report section shows of a longer log or timeline."""
LINE_CHARACTERS: Final = 1000
"""Characters that a report section shows of one line of the log."""
TAIL_LINES: Final = 20
"""Lines of the log that the failure of an event nobody looked at shows."""

_UNLOOKED: Final = (
    "event {request_id} of {function} FAILED ({code}: {message}) and the test never looked at it; "
    "assert_failed(event, code={code}) says that it should, event.result raises its error"
)
_HOW_TO_KEEP: Final = "--scf-async-artifacts=DIR keeps all of it in files"

Section = tuple[str, str]
"""A title and its text, as in ``TestReport.sections``."""


def sections_of(events: Sequence[AsyncEvent], already: Sequence[AsyncEvent], kept: Mapping[str, str]) -> list[Section]:
    """The sections of those of *events* that are not shown *already*; *kept* says where each one is in full."""
    left = [event for event in events if event not in already]
    shown = _chosen(left)
    sections = [(f"scf async event {event.request_id}", _section(event, kept.get(event.request_id))) for event in shown]
    if len(shown) < len(left):
        where = _HOW_TO_KEEP if not kept else "all of them are in the directory of artifacts"
        sections.append(("scf async events", f"{len(left) - len(shown):,} more events are not shown; {where}"))
    return sections


def unlooked_failures(events: Sequence[AsyncEvent]) -> list[AsyncEvent]:
    """The FAILED events that nobody looked at; those that the end of the test ended are none."""
    return [
        event
        for event in events
        if event._event.status is Status.FAILED
        and not event._event.looked_at
        and not event._event.ended_by_close
        and event._event.script is None
    ]


def unlooked_text(events: Sequence[AsyncEvent], kept: Mapping[str, str]) -> str:
    """Why a test fails whose *events* FAILED without anybody looking at them."""
    parts = []
    for event in events[:EVENTS_SHOWN]:
        inner = event._event
        stack, cause, advice = function_traceback(inner), likely_cause(inner), what_to_do(inner)
        lines = [shortened(line.text, LINE_CHARACTERS) for line in inner.log[-TAIL_LINES:]]
        parts += [
            _UNLOOKED.format(
                request_id=event.request_id,
                function=event.function_name,
                code=inner.record.status_code,
                message=short_message(inner),
            ),
            *([f"likely cause: {cause}"] if cause else []),
            *([f"what to do: {advice}"] if advice else []),
            *([_bounded(stack)] if stack else []),
            "--- the end of its log ---\n" + "\n".join(lines),
            f"--- timeline ---\n{_timeline(event)}",
            *_in_full(kept.get(event.request_id)),
        ]
    if len(events) > EVENTS_SHOWN:
        parts.append(f"{len(events) - EVENTS_SHOWN:,} more FAILED events that the test never looked at are not shown")
    return "\n".join(parts)


def _chosen(events: Sequence[AsyncEvent]) -> list[AsyncEvent]:
    """As many of *events* as are shown: the last one, those that FAILED or have not ended, then the last others."""
    if len(events) <= EVENTS_SHOWN:
        return list(events)
    wrong = [event for event in events if _unfinished(event) or event._event.status is Status.FAILED]
    ranked = dict.fromkeys([events[-1], *wrong, *reversed(events)])
    chosen = list(ranked)[:EVENTS_SHOWN]
    return [event for event in events if event in chosen]


def _unfinished(event: AsyncEvent) -> bool:
    return event._event.ended_by_close or not event._event.ended


def _section(event: AsyncEvent, kept: str | None) -> str:
    inner = event._event
    log = "\n".join(shortened(line.text, LINE_CHARACTERS) for line in inner.log)
    code = f" ({inner.record.status_code})" if inner.ended and inner.status is not None else ""
    by_harness = ", ended by the harness" if inner.ended_by_close else ""
    return "\n".join(
        (
            f"{event.function_name}: {inner.shown_status}{code}{by_harness}",
            *([str(likely_cause(inner))] if inner.phase in ("queued", "pending") and not inner.ended else []),
            f"--- log ---\n{_bounded(log)}",
            f"--- timeline, in simulated time from {to_datetime(inner.invoked_us).isoformat()} ---",
            _timeline(event),
            *_in_full(kept),
        )
    )


def _timeline(event: AsyncEvent) -> str:
    return _bounded(event._timeline())


def _in_full(kept: str | None) -> list[str]:
    return [] if kept is None else [f"--- in full: {kept} ---"]


def _bounded(text: str) -> str:
    return shortened_lines(text, SECTION_LINES, SECTION_LINES)
