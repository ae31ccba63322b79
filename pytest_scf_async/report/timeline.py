"""An event's timeline as text: transitions, signals, waits and log lines on one axis of simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

LINE_LIMIT = 200
"""Characters of a log line that a timeline shows."""


class TimelineEntry(Protocol):
    """One thing that happened, ``time_us`` µs after the epoch."""

    @property
    def time_us(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def last_us(self) -> int | None: ...


def seconds_text(microseconds: int) -> str:
    """A span of simulated time in seconds: ``12.5 s``."""
    return f"{microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"


def timeline_text(entries: Sequence[TimelineEntry], start_us: int) -> str:
    """One line an entry, times in seconds from *start_us*."""
    rows: list[tuple[str, str, str]] = []
    for entry in entries:
        text = entry.text if len(entry.text) <= LINE_LIMIT else entry.text[: LINE_LIMIT - 1] + "…"
        if entry.count > 1 and entry.last_us is not None:
            text += f", {entry.count:,} times, the last at +{seconds_text(entry.last_us - start_us)}"
        rows.append((f"+{seconds_text(entry.time_us - start_us)}", entry.kind, text))
    width = max((len(row[0]) for row in rows), default=0)
    return "\n".join(f"{time:>{width}}  {kind:<8}  {text}" for time, kind, text in rows)
