"""The real time that an event took, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RealKind = Literal["computing", "children", "waiting"]
"""What real time was spent on."""


@dataclass
class RealCost:
    """Real seconds by what they were spent on."""

    computing: float = 0.0
    """Processor time of the instance, at most the real time that passed."""
    children: float = 0.0
    """Time in which a child process held the clock."""
    waiting: float = 0.0
    """Time in which another real wait held it: for an answer, a file, code in C that sleeps."""

    @property
    def total(self) -> float:
        return self.computing + self.children + self.waiting

    def add(self, kind: RealKind, seconds: float) -> None:
        setattr(self, kind, getattr(self, kind) + seconds)


@dataclass
class RealStretch:
    """Real seconds that an event spent on one thing between two entries of its timeline."""

    kind: RealKind
    seconds: float
    time_us: int
    """The simulated time, in µs since the epoch."""
    entries: int
    """How many entries the timeline had."""

    def add(self, seconds: float) -> None:
        """It has spent more on the same thing."""
        self.seconds += seconds
