"""An event's timeline as text: transitions, signals, waits and log lines on one axis of simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..protocol.shortening import shortened_line, shortened_lines

REAL_SHOWN = 0.05
"""Real seconds from which a stretch of them has a line of its own in a timeline."""
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


class Stretch(Protocol):
    """Real seconds that were spent after so many *entries* of a timeline."""

    @property
    def kind(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def time_us(self) -> int: ...
    @property
    def entries(self) -> int: ...


def seconds_text(microseconds: int) -> str:
    """A span of simulated time in seconds: ``12.5 s``."""
    return f"{microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"


def bounded(text: str) -> str:
    """As much of *text* as the text of a failure shows."""
    return shortened_lines(text, HEAD, TAIL)


def stretch_text(kind: str, seconds: float) -> str:
    """Real time that was spent on one thing: ``computed 2.7 real s``."""
    spent = f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}" if seconds >= 0.01 else f"{seconds:.1g}"
    verb, for_what = {
        "computing": ("computed", ""),
        "children": ("waited", " for child processes"),
        "waiting": ("waited", " for an answer, or something else that is real"),
    }[kind]
    return f"{verb} {spent} real s{for_what}"


def timeline_text(
    entries: Sequence[TimelineEntry], start_us: int, stretches: Sequence[Stretch] = (), noise: float = 0.0
) -> str:
    """One line an entry, times in seconds from *start_us*.

    Real time that was spent in *stretches* is shown between the entries, unless all of it is less than *noise* seconds.
    """
    rows: list[tuple[str, str, str]] = []
    counted = sum(stretch.seconds for stretch in stretches) >= noise
    shown = [stretch for stretch in stretches if counted and stretch.seconds >= REAL_SHOWN]
    shown.reverse()

    def add_stretches(before: int) -> None:
        while shown and shown[-1].entries <= before:
            stretch = shown.pop()
            time = f"+{seconds_text(stretch.time_us - start_us)}"
            rows.append((time, "real", stretch_text(stretch.kind, stretch.seconds)))

    for number, entry in enumerate(entries):
        add_stretches(number)
        text = shortened_line(entry.text, LINE_LIMIT)
        if entry.count > 1 and entry.last_us is not None:
            text += f", {entry.count:,} times, the last at +{seconds_text(entry.last_us - start_us)}"
        rows.append((f"+{seconds_text(entry.time_us - start_us)}", entry.kind, text))
    add_stretches(len(entries))
    width = max((len(row[0]) for row in rows), default=0)
    return "\n".join(f"{time:>{width}}  {kind:<8}  {text}" for time, kind, text in rows)
