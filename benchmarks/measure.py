"""How a row is measured: ours and its floor in turn, round after round, and the medians of both."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter

Sample = Callable[[], float]
"""Does the thing once, and gives its seconds."""


@dataclass(frozen=True)
class Row:
    """One line of the table. ``prepare`` gives the samples of ours and of the floor; None: there is no floor."""

    name: str
    what: str
    goal: str
    prepare: Callable[[], AbstractContextManager[tuple[Sample, Sample | None]]]
    most: float | None = None
    """What the figure may be at most: a ratio, or with ``unit`` "s" seconds, or with "more" seconds above the floor."""
    unit: str = "ratio"
    rounds: int = 200
    quick_rounds: int = 30
    warm_up: int = 5


@dataclass(frozen=True)
class Result:
    """The medians of one row, in seconds."""

    row: Row
    ours: float
    floor: float | None
    rounds: int

    @property
    def ratio(self) -> float | None:
        return None if self.floor is None else self.ours / self.floor

    @property
    def reached(self) -> bool | None:
        """None where there is no goal."""
        if self.row.most is None:
            return None
        if self.row.unit == "s":
            return self.ours < self.row.most
        assert self.floor is not None
        return (
            self.ours - self.floor < self.row.most
            if self.row.unit == "more"
            else self.ours / self.floor <= self.row.most
        )


def timed(function: Callable[[], object]) -> Sample:
    """*function* as a sample."""

    def sample() -> float:
        start = perf_counter()
        function()
        return perf_counter() - start

    return sample


def measure(row: Row, quick: bool) -> Result:
    """Measure *row*: in each round ours and the floor, the second one first in every other round."""
    rounds = row.quick_rounds if quick else row.rounds
    ours: list[float] = []
    floors: list[float] = []
    with row.prepare() as (our_sample, floor_sample):
        for number in range(-row.warm_up, rounds):
            samples = [(our_sample, ours), (floor_sample, floors)]
            for sample, seconds in samples if number % 2 else reversed(samples):
                if sample is None:
                    continue
                taken = sample()
                if number >= 0:
                    seconds.append(taken)
    return Result(row, statistics.median(ours), statistics.median(floors) if floors else None, rounds)
