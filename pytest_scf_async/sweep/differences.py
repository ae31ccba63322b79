"""Differences between a run and the undisturbed one, as data.

Things are compared as bags: how often each line, row, record or item of a list is there. What the undisturbed run has
more often is lost, and what it has less often is doubled. A thing that it does not have at all diverged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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


class Parts:
    """The parts of one effect that differ, by kind."""

    def __init__(self, effect: EffectKind, name: str) -> None:
        self._effect = effect
        self._name = name
        self._lost: list[Part] = []
        self._doubled: list[Part] = []
        self._before: list[Part] = []
        self._after: list[Part] = []
        self._unknown: list[Part] = []

    def bag(self, bag: Bag, unit: Unit, where: str = "") -> None:
        self._lost += [Part(unit, where, *each) for each in bag.missing]
        self._doubled += [Part(unit, where, *each) for each in bag.doubled]
        self._unknown += [Part(unit, where, *each) for each in bag.unknown]

    def lost(self, part: Part) -> None:
        self._lost.append(part)

    def doubled(self, part: Part) -> None:
        self._doubled.append(part)

    def unknown(self, part: Part) -> None:
        self._unknown.append(part)

    def changed(self, unit: Unit, where: str, before: str, after: str) -> None:
        self._before.append(Part(unit, where, before, 1, 0))
        self._after.append(Part(unit, where, after, 0, 1))

    def differences(self) -> list[Difference]:
        found = []
        if self._lost:
            found.append(Difference(Kind.LOST, self._effect, self._name, missing=tuple(self._lost)))
        if self._doubled:
            found.append(Difference(Kind.DOUBLED, self._effect, self._name, extra=tuple(self._doubled)))
        if self._before:
            parts = tuple(self._before), tuple(self._after)
            found.append(Difference(Kind.DIVERGED, self._effect, self._name, *parts))
        if self._unknown:
            found.append(Difference(Kind.DIVERGED, self._effect, self._name, extra=tuple(self._unknown)))
        return found
