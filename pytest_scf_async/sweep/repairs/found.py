"""What a search for repairs has found, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from .sources import Source

NOT_JUDGED = "Not judged: speed, style, other threads, other payloads, and what the sweep does not compare."
BUDGET = 60.0
"""Real seconds for which repairs are searched for, unless something else is said."""
REFUSED = 4
"""Refused changes that a report names."""


class RepairFacts(TypedDict):
    """A repair as JSON has it: the attributes of ``Repair``."""

    kind: str
    file: str
    line: int
    diff: str
    interruptions: int
    second: int
    power: int
    doubled: int
    left_out: int
    longer_stops: str
    survives: str


class RepairsFacts(TypedDict):
    """What a search for repairs has found as JSON has it: the attributes of ``Repairs``."""

    found: list[RepairFacts]
    tried: int
    number: int
    why_none: str
    ended: str
    over_budget: bool
    best: str
    refused: list[str]
    seconds: float
    not_judged: str
    applied: list[str]


@dataclass(frozen=True)
class Repair:
    """A change of the code that survives all that a sweep has tried."""

    kind: str
    """What it does; of several changes together each one."""
    file: str
    """The first file that it changes, by its path below the code's directory."""
    line: int
    """The first line that it changes."""
    diff: str
    """The unified diff, which ``git apply`` takes."""
    interruptions: int
    """The number of interruptions that it survives."""
    second: int = 0
    """How many of these are second terminations, ..."""
    power: int = 0
    """... and how many power failures."""
    doubled: int = 0
    """How many of them do something twice."""
    left_out: int = 0
    """How many points ``limit=`` leaves out."""
    longer_stops: str = ""
    """How much longer it goes on after a SIGTERM than before the change; empty: it does not."""
    size: int = field(default=0, repr=False)
    """The number of lines that the diff adds and removes."""
    files: Mapping[str, tuple[Source, str]] = field(default_factory=dict, repr=False, compare=False)
    """By its name each file that is changed, and its text then."""

    def facts(self) -> RepairFacts:
        """The same as JSON has it."""
        return {
            "kind": self.kind,
            "file": self.file,
            "line": self.line,
            "diff": self.diff,
            "interruptions": self.interruptions,
            "second": self.second,
            "power": self.power,
            "doubled": self.doubled,
            "left_out": self.left_out,
            "longer_stops": self.longer_stops,
            "survives": self.survives,
        }

    @property
    def survives(self) -> str:
        """What it survives, as a sentence: ``This change survives all 34 interruptions (412 with power).``"""
        more = [text for text, number in (("second terminations", self.second), ("power", self.power)) if number]
        plain = self.interruptions - self.second - self.power
        shown = f" ({self.interruptions:,} with {' and '.join(more)})" if more and plain else ""
        number = plain if shown else self.interruptions
        many = f"all {number:,} interruptions" if number != 1 else "the one interruption"
        limited = f"; limit= leaves out {self.left_out:,} more points" if self.left_out else ""
        twice = f", and in {self.doubled:,} of them does something twice" if self.doubled else ""
        return f"This change survives {many}{shown}{twice}{limited}."


@dataclass(frozen=True)
class Repairs:
    """What a search for repairs has found."""

    found: tuple[Repair, ...] = ()
    """The changes that survive everything, the smallest first: one, or two of different kinds."""
    tried: int = 0
    """How many changes were tried, ..."""
    number: int = 0
    """... of how many."""
    why_none: str = ""
    """Why nothing could be tried, as a sentence."""
    ended: str = ""
    """Why the search ended early: ``the 60 s of its budget were over``; empty: it did not."""
    best: str = ""
    """Where no change survives: what the best one is, and what it still loses."""
    refused: tuple[str, ...] = ()
    """Why changes were refused that lose nothing, or that do something else undisturbed; a sentence each."""
    seconds: float = 0.0
    """Real seconds."""
    is_over_budget: bool = False
    """It ended early as its budget was over."""

    def facts(self, applied: Sequence[str] = ()) -> RepairsFacts:
        """The same as JSON has it; *applied* are the paths of the files to which the first change was written."""
        return {
            "found": [repair.facts() for repair in self.found],
            "tried": self.tried,
            "number": self.number,
            "why_none": self.why_none,
            "ended": self.ended,
            "over_budget": self.is_over_budget,
            "best": self.best,
            "refused": list(self.refused),
            "seconds": round(self.seconds, 3),
            "not_judged": NOT_JUDGED,
            "applied": list(applied),
        }

    @property
    def report(self) -> str:
        """The report as text."""
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        if self.why_none:
            return [f"No repair was tried: {self.why_none}."]
        lines = [text for repair in self.found for text in (*_repair_lines(repair), "")]
        of = f"{self.tried:,} of {_number(self.number, 'change')}"
        took = f"{self.seconds:.1f} real s"
        if not self.number and not self.ended:
            return ["No repair was found: no template fits the lines that are blamed."]
        if not self.found:
            what = f"none of {_number(self.tried, 'change')} survives everything"
            if self.tried < 2:
                what = (
                    "the one change that was tried does not survive everything" if self.tried else "no change was tried"
                )
            lines = [f"No repair was found: {what}.", *filter(None, [self.best])]
            lines += [f"  refused: {each}" for each in self.refused[:REFUSED]]
            lines += [f"  and {len(self.refused) - REFUSED:,} more"] * (len(self.refused) > REFUSED)
        ended = f" The search ended early: {self.ended}." if self.ended else ""
        return [*lines, f"Tried: {of}, each with the whole sweep, in {took}.{ended}", NOT_JUDGED]


def _number(number: int, name: str) -> str:
    return f"{number:,} {name}{'s' * (number != 1)}"


def _repair_lines(repair: Repair) -> list[str]:
    return [
        f"A repair: {repair.kind}, at {repair.file}:{repair.line}",
        f"{repair.survives} Undisturbed it does what the code did{repair.longer_stops and f'; {repair.longer_stops}'}.",
        "",
        repair.diff.rstrip("\n"),
    ]
