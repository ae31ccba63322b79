"""Differences between a run and the undisturbed one, as data.

Things are compared as bags: how often each line, row, record or item of a list is there. What the undisturbed run has
more often is lost, and what it has less often is doubled. A thing that it does not have at all diverged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from .effects import EffectKind, FileKind


class Kind(str, Enum):
    """What is wrong with a run; the worst first."""

    LOST = "lost"
    DIVERGED = "diverged"
    NEVER_FINISHES = "never finishes"
    FAILED_CHECK = "check failed"
    LATE = "late"
    DOUBLED = "doubled"
    LEFT_BEHIND = "left behind"


Unit: TypeAlias = (
    FileKind
    | Literal["bytes", "target", "line", "lines in order", "table", "row", "columns"]
    | Literal["record", "value", "key", "item", "items in order"]
)


class Part(NamedTuple):
    """One thing of an effect, as it is in the undisturbed run (in ``missing``) or in the other one (in ``extra``)."""

    unit: Unit
    where: str = ""
    """The place within the effect: the number of a line, the path to a value of JSON, or JSON of the columns by which a
    row is known."""
    value: str = ""
    """The text of a line, else JSON; of ``columns`` those that differ."""
    undisturbed: int = 1
    """The number of times that the undisturbed run has it; for ``bytes``, how many bytes."""
    found: int = 0
    """The same of the other run."""


@dataclass(frozen=True)
class Difference:
    """One way in which one effect differs. Where it diverged and both have parts, the nth belongs to the nth."""

    kind: Kind
    effect: EffectKind
    name: str
    """A path relative to the run's directory, ``database:table``, the name of a record or of an observed value."""
    missing: tuple[Part, ...] = ()
    extra: tuple[Part, ...] = ()


class Bag(NamedTuple):
    """What two sequences do not have as often; each as (thing, times undisturbed, times found), in their order."""

    missing: list[tuple[str, int, int]]
    doubled: list[tuple[str, int, int]]
    unknown: list[tuple[str, int, int]]
    """What the undisturbed run does not have at all."""
    changed: list[int]
    """Positions at which another thing stands, where these are all that differs."""


def bag_of(undisturbed: Sequence[str], found: Sequence[str], *, in_place: bool) -> Bag:
    """What the two do not have as often; things at the same positions are pairs only where they are *in_place*."""
    ours, theirs = Counter(undisturbed), Counter(found)
    missing = [(thing, times, theirs[thing]) for thing, times in ours.items() if theirs[thing] < times]
    more = [(thing, ours[thing], times) for thing, times in theirs.items() if times > ours[thing]]
    doubled = [each for each in more if each[1]]
    unknown = [each for each in more if not each[1]]
    if in_place and missing and unknown and len(undisturbed) == len(found):
        changed = [at for at, one in enumerate(undisturbed) if one != found[at]]
        gone, new = {each[0] for each in missing}, {each[0] for each in unknown}
        if all(undisturbed[at] in gone and found[at] in new for at in changed):
            return Bag([], [], [], changed)
    return Bag(missing, doubled, unknown, [])


@dataclass
class Parts:
    """The parts of one effect that differ, by kind."""

    effect: EffectKind
    name: str
    lost: list[Part] = field(default_factory=list)
    doubled: list[Part] = field(default_factory=list)
    unknown: list[Part] = field(default_factory=list)
    _before: list[Part] = field(default_factory=list)
    _after: list[Part] = field(default_factory=list)

    def bag(self, bag: Bag, unit: Unit, where: str = "") -> None:
        self.lost += [Part(unit, where, *each) for each in bag.missing]
        self.doubled += [Part(unit, where, *each) for each in bag.doubled]
        self.unknown += [Part(unit, where, *each) for each in bag.unknown]

    def changed(self, unit: Unit, where: str, before: str, after: str) -> None:
        self._before.append(Part(unit, where, before, 1, 0))
        self._after.append(Part(unit, where, after, 0, 1))

    def differences(self) -> list[Difference]:
        found = []
        if self.lost:
            found.append(Difference(Kind.LOST, self.effect, self.name, missing=tuple(self.lost)))
        if self.doubled:
            found.append(Difference(Kind.DOUBLED, self.effect, self.name, extra=tuple(self.doubled)))
        if self._before:
            parts = tuple(self._before), tuple(self._after)
            found.append(Difference(Kind.DIVERGED, self.effect, self.name, *parts))
        if self.unknown:
            found.append(Difference(Kind.DIVERGED, self.effect, self.name, extra=tuple(self.unknown)))
        return found
