"""What templates are given, and what they make."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ..differences import Kind
from ..findings import FailureClass
from ..source_text import Edit
from .parsed_source import ParsedSource

RepairKind: TypeAlias = Literal[
    "write a new file and replace it",
    "change a copy and replace it",
    "sync before the rename",
    "copy in place of a move",
    "one write in place of several",
    "flush what is written",
    "make the directories that are missing",
    "the kernel's lock in place of a lock file",
    "keep it where the next instance finds it",
    "effect before the position",
    "append and position in one",
    "one transaction",
    "save at a stop what the end saves",
    "listener first",
    "return in place of exit",
    "ignore further signals",
    "an exception that no other code takes",
    "forget no signal",
    "stop between two steps",
    "save in the loop, not in the listener",
    "reset the flag",
    "empty what the last event has filled",
    "wait for an event in place of a sleep",
    "RLock in place of Lock",
    "no lock in the listener",
]

EXITS = frozenset({"exit", "_exit", "quit"})
"""Functions that end the process, or raise so that it ends."""
_AROUND = 3
"""So many effects on each side of an interruption are looked at."""


class Draft(NamedTuple):
    """A change, as edits."""

    kind: RepairKind
    edits: Sequence[Edit]


class Blame(NamedTuple):
    """What a sweep has found in one file."""

    lines: frozenset[int]
    """Those before which, or in which, it was interrupted, and those of the effects around."""
    at: frozenset[int]
    """Of these the lines of the interruptions, and of the effects right before and right after one."""
    kinds: frozenset[Kind]
    is_stop: bool
    """SIGTERM is among the interruptions."""
    is_second: bool
    """So is something that follows on a SIGTERM."""
    is_power: bool

    def touches(self, *statements: ast.stmt) -> bool:
        """Whether a line that is blamed is among those of one of the *statements*."""
        return _has(statements, self.lines)

    def is_at(self, *statements: ast.stmt) -> bool:
        """Whether one of the *statements* was interrupted, or has an effect right before or after an interruption."""
        return _has(statements, self.at)


def _has(statements: Sequence[ast.stmt], lines: Iterable[int]) -> bool:
    return any(each.lineno <= line <= (each.end_lineno or 0) for each in statements for line in lines)


Template: TypeAlias = "Callable[[ParsedSource, Blame], Iterator[Draft]]"


def blame_of(found: Sequence[FailureClass], file: str) -> Blame:
    """What the classes *found* say of *file*."""
    runs = [run for each in found for run in each.runs]
    at = {run.point.line for run in runs if run.point.file == file}
    lines = set(at)
    for each in found:
        near = each.earliest.nearby
        for effect in near.effects if near is not None else ():
            assert near is not None
            distance = effect.number - near.begun
            if effect.file == file and -_AROUND < distance <= _AROUND:
                lines.add(effect.line)
                at |= {effect.line} if distance in (0, 1) else set()
    hows = {run.how for run in runs}
    return Blame(
        frozenset(lines),
        frozenset(at),
        frozenset().union(*(each.kinds for each in found)),
        is_stop=any(how.startswith(("graceful", "timeout")) for how in hows),
        is_second=any(">" in run.how or run.point.after is not None for run in runs),
        is_power=any("power" in how for how in hows),
    )
