"""The progress of a sweep, as one terminal line that is rewritten."""

from __future__ import annotations

from collections.abc import Callable

from ..protocol.real_time import REAL

REWRITTEN_EACH = 0.25
"""Real seconds between two updates of the line; a shorter sweep shows none."""


class Progress:
    """Passes the line to *show* now and then, and an empty one at the end."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._shown = REAL.monotonic()
        self._is_there = False
        self._first: tuple[float, int] | None = None
        """When how many runs were done, at the first call: what came before is no measure of how long a run takes."""

    def begin(self, text: str) -> None:
        """Show *text* until the first runs are done."""
        self._shown = REAL.monotonic()
        self._is_there = True
        self._show(text)

    def come_to(self, done: int, number: int, failures: int) -> None:
        """Report that *done* of *number* runs are made, and how many have failed."""
        now = REAL.monotonic()
        began, done_then = self._first = self._first or (now, done)
        if now - self._shown < REWRITTEN_EACH:
            return
        self._shown = now
        self._is_there = True
        left = (now - began) / (done - done_then) * (number - done) if done > done_then else None
        shown_left = "" if left is None else f", {left:.0f} s left"
        self._show(f"sweep: {done:,} of {number:,} interruptions, {failures:,} failed{shown_left}")

    def end(self) -> None:
        """Clear the line."""
        if self._is_there:
            self._is_there = False
            self._show("")
