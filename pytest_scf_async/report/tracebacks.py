"""Shorten the traceback of user code: what the user has written stays longest.

A library's frames are most of a long traceback, and the first and the last lines of it name none of the user's. So
lines are ranked by what they are, and those of the lowest ranks are left out first.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..model.tracebacks import Piece, is_underline, pieces
from .cause import function_traceback

if TYPE_CHECKING:
    from ..lockstep.event import Event

_INSTALLED = ("site-packages", "dist-packages")


class _Unit(NamedTuple):
    """Lines that are shown together or not at all."""

    rank: int
    lines: range


def shown_traceback(event: Event, most: int) -> str:
    """The traceback of the function, or of the import of its module, in *most* lines; nothing where there is none."""
    stack = function_traceback(event)
    return shortened_traceback(stack, most, event.function.code_directories()) if stack else ""


def shortened_traceback(trace: str, most: int, directories: Sequence[str]) -> str:
    """*trace* in *most* lines: its exception first, then the frames of code in *directories*, then what is left.

    A line in place of those that are left out says how many they are. Marks below the source, which Python 3.11 and
    newer have, go without that.
    """
    if len(trace.splitlines()) <= most:
        return trace
    lines = [line for line in trace.splitlines() if not is_underline(line)]
    if len(lines) <= most:
        return "\n".join(lines)
    kept: set[int] = set()
    for unit in sorted(_units(pieces(lines), directories), key=lambda unit: unit.rank):
        with_it = kept.union(unit.lines)
        if _size(len(lines), with_it) <= most:
            kept = with_it
    shown: list[str] = []
    for number, line in enumerate(lines):
        if number in kept:
            shown.append(line)
        elif number - 1 in kept or not number:
            shown.append(_instead(lines, number, kept))
    return "\n".join(shown)


def _instead(lines: Sequence[str], start: int, kept: Collection[int]) -> str:
    """What is shown in place of the lines from *start* on that are not *kept*: of one line, that line."""
    end = next((number for number in range(start, len(lines)) if number in kept), len(lines))
    return lines[start] if end - start == 1 else f"... {end - start:,} lines left out ..."


def _size(count: int, kept: Collection[int]) -> int:
    """How many lines the *kept* ones of *count* take, with one for each gap between them."""
    gaps = sum(1 for number in kept if number and number - 1 not in kept)
    return len(kept) + gaps + (not kept or max(kept) < count - 1)


def _units(found: Sequence[Piece], directories: Sequence[str]) -> Iterator[_Unit]:
    """What can be shown of *found*, what is nearest to the last exception first."""
    last = max((piece.number for piece in found), default=0)
    raised_at = next((piece for piece in reversed(found) if piece.file and piece.number == last), None)
    for piece in reversed(found):
        if piece.is_exception:
            yield _Unit(0 if piece.number == last else 3, range(piece.start, piece.start + 1))
            rest = range(piece.start + 1, piece.end)
        elif piece.file:
            rank = 4 if piece is raised_at else 5
            if _is_of_user(piece.file, directories):
                rank = 1 if piece.number == last else 2
            yield _Unit(rank, range(piece.start, min(piece.start + 2, piece.end)))
            rest = range(piece.start + 2, piece.end)
        else:
            rest = range(piece.start, piece.end)
        yield from (_Unit(6, range(number, number + 1)) for number in rest)


def _is_of_user(file: str, directories: Sequence[str]) -> bool:
    """Whether *file* is below one of *directories*, and not of a package that is installed there."""
    inside = any(file.startswith(os.path.join(directory, "")) for directory in directories)
    return inside and not set(_INSTALLED).intersection(file.split(os.sep))
