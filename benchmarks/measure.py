"""How a row is measured: ours and its floor in turn, round after round, and each round's pair is compared.

A machine that is shared changes its speed from second to second. Both of a pair have nearly the same, so the median of
the pairs' ratios is much steadier than the ratio of two medians.
"""

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
    """The medians of one row, in seconds, and of its rounds: what ours was beside the floor of the same round."""

    row: Row
    ours: float
    floor: float | None
    ratio: float | None
    more: float | None
    """Seconds above the floor."""
    spread: float
    """Half of the distance between the quartiles of what the row is about: ratio, seconds, or seconds more."""
    rounds: int

    @property
    def reached(self) -> bool | None:
        """None where there is no goal."""
        if self.row.most is None:
            return None
        if self.row.unit == "s":
            return self.ours < self.row.most
        if self.row.unit == "more":
            return self.more is not None and self.more < self.row.most
        return self.ratio is not None and self.ratio <= self.row.most


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
    return compare(row, ours, floors)


def compare(row: Row, ours: list[float], floors: list[float]) -> Result:
    """The result of rounds with these seconds, in their order; *floors* is empty where there is no floor."""
    ratios = [one / floor for one, floor in zip(ours, floors, strict=False)]
    more = [one - floor for one, floor in zip(ours, floors, strict=False)]
    about = {"ratio": ratios, "more": more}.get(row.unit, []) or ours
    quartiles = statistics.quantiles(about, n=4) if len(about) > 1 else [about[0]] * 3
    return Result(
        row,
        ours=statistics.median(ours),
        floor=statistics.median(floors) if floors else None,
        ratio=statistics.median(ratios) if ratios else None,
        more=statistics.median(more) if more else None,
        spread=(quartiles[2] - quartiles[0]) / 2,
        rounds=len(ours),
    )
