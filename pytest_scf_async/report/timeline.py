"""An event's timeline as text: transitions, signals, waits and log lines on one axis of simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

LINE_LIMIT = 200
"""Characters of a log line that a timeline shows."""
HEAD = 15
TAIL = 30
"""Lines of a long text that the text of a failure shows of its beginning, and of its end."""


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


def bounded(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """*text*, or its first *head* and last *tail* lines where it has more."""
    lines = text.splitlines()
    left_out = len(lines) - head - tail
    if left_out <= 1:
        return text
    return "\n".join((*lines[:head], f"... {left_out:,} lines are left out ...", *lines[-tail:]))


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
