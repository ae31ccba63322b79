"""How many lines a failed test shows of each thing; the whole is in the files that its last line names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import SHOWN
from ..protocol.shortening import shortened_lines

NONE = 1_000_000
"""A limit that nothing reaches."""


@dataclass
class Limits:
    """All are lines. ``pytest -vv`` lifts them."""

    test: int = 40
    """Of all that one failed test shows of its events."""
    timeline: int = 24
    """Of an event's timeline, and of a log, in the text of a failure."""
    parts: int = 8
    """Of what comes before the timeline besides: a traceback, a difference."""

    def lift(self) -> None:
        """Show all of everything."""
        self.test = self.timeline = self.parts = NONE

    def restore(self) -> None:
        """Show as much as at the beginning."""
        vars(self).update(vars(Limits()))


limits = Limits()


def bounded(text: str, most: int) -> str:
    """*text* in *most* lines: two fifths are of its beginning."""
    head = most * 2 // 5
    return shortened_lines(text, head, most - head - 1)


class Shown(NamedTuple):
    """What the text of an error has of an event."""

    event: object
    cause: str | None = None
    """Why that is as it is, ..."""
    advice: str | None = None
    """... and what to do."""


def show(error: BaseException, event: object, cause: str | None = None, advice: str | None = None) -> None:
    """Note that the text of *error* has the timeline of *event*, so that no report repeats it, and what it says of it.

    Its request id would not do: two runtimes may have drawn the same one.
    """
    setattr(error, SHOWN, Shown(event, cause, advice))


def shown_by(error: BaseException) -> object:
    """The event whose timeline the text of *error* has, or None."""
    shown = said_by(error)
    return None if shown is None else shown.event


def said_by(error: BaseException) -> Shown | None:
    """What the text of *error* has of an event, or None."""
    shown: Shown | None = getattr(error, SHOWN, None)
    return shown
