"""What the report of a failed test says of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .model.statuses import Status

if TYPE_CHECKING:
    from .async_event import AsyncEvent
    from .runtime import ScfRuntime

SECTION_LINES: Final = 60
"""Lines of the head, and of the tail, that a report section shows of a longer log or timeline."""
TAIL_LINES: Final = 20
"""Lines of the log that the failure of an event nobody looked at shows."""

_UNLOOKED: Final = (
    "event {request_id} of {function} FAILED ({code}: {message}) and the test never looked at it; "
    "assert_failed(event, code={code}) says that it should, event.result raises its error"
)


def section_of(event: AsyncEvent) -> str:
    what = event._event
    code = f" ({what.record.status_code})" if what.ended else ""
    return "\n".join(
        (
            f"{event.function_name}: {what.status}{code}{', ended by the harness' if what.ended_by_close else ''}",
            f"--- log ---\n{_bounded([line.text for line in what.log])}",
            f"--- timeline, in simulated time from {event.started_at.isoformat()} ---",
            _bounded(event.timeline.splitlines()),
        )
    )


def _bounded(lines: list[str]) -> str:
    if len(lines) > 2 * SECTION_LINES:
        left_out = f"... {len(lines) - 2 * SECTION_LINES:,} lines are left out ..."
        lines = [*lines[:SECTION_LINES], left_out, *lines[-SECTION_LINES:]]
    return "\n".join(lines)


def unlooked_failures(runtime: ScfRuntime) -> list[AsyncEvent]:
    """The FAILED events that nobody looked at; those that the end of the test ended are none."""
    return [
        event
        for event in runtime.events
        if event._event.status is Status.FAILED and not event._event.looked_at and not event._event.ended_by_close
    ]


def unlooked_text(events: list[AsyncEvent]) -> str:
    """Why a test fails whose *events* FAILED without anybody looking at them."""
    parts = []
    for event in events:
        what = event._event
        stack = str(what.error.get("stackTrace", "")).rstrip()
        log = [line.text for line in what.log]
        parts += [
            _UNLOOKED.format(
                request_id=event.request_id,
                function=event.function_name,
                code=what.record.status_code,
                message=what.error.get("errorMessage", ""),
            ),
            *([stack] if stack else []),
            "--- the end of its log ---\n" + "\n".join(log[-TAIL_LINES:]),
            f"--- timeline ---\n{_bounded(event.timeline.splitlines())}",
        ]
    return "\n".join(parts)
