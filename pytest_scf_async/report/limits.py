"""How many lines a failed test shows of each thing; the whole is in the files that its last line names."""

from __future__ import annotations

from dataclasses import dataclass

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


def show(error: BaseException, event: object) -> None:
    """Note that the text of *error* has the timeline of *event*, so that no report repeats it.

    Its request id would not do: two runtimes may have drawn the same one.
    """
    setattr(error, SHOWN, event)


def shown_by(error: BaseException) -> object:
    """The event whose timeline the text of *error* has, or None."""
    return getattr(error, SHOWN, None)
