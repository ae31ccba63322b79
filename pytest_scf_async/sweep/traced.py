"""The sweeps of a test as a trace has them: the findings with their places, and the source by outcome."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from .difference_texts import all_difference_lines
from .differences import Kind
from .explanation import EffectLine, Explained, ended_text
from .findings import FailureClass, SweepRun, Swept, classes
from .report import failure_text, sweep_text, verdict_text
from .repro import repro_call, written_repro

if TYPE_CHECKING:
    from .points import Point
    from .run import Attempt

    PlaceAt = Callable[[str, int], int]
    """Gives the number of a place by the path of its file and its line."""

MOST_OTHERS: Final = 100
"""Keys of runs that are named beside the earliest one of a class."""
MOST_COMPARED: Final = 2_000
"""Lines of each of two runs that are compared line by line: the time for that grows with their square."""
Facts = dict[str, Any]


def sweep_facts(
    swept: Swept, kinds: frozenset[Kind], place_at: PlaceAt, file_of: Callable[[int], int | None], beside: str
) -> Facts:
    """The data of one sweep; *file_of* gives the file of a place by its number, and paths are relative to *beside*.

    A run counts as failed with which one of *kinds* is wrong. What is wrong with others comes last.
    """
    found = classes(swept.runs, kinds)
    accepted = classes([run for run in swept.runs if not run.fails(kinds)], frozenset(Kind))
    failed = sum(run.fails(kinds) for run in swept.runs)
    return {
        "function": swept.function,
        "headline": verdict_text(swept, found),
        "compared": _compared(swept),
        "ignored": list(swept.ignored),
        "not_tried": [*([swept.incomplete] if swept.incomplete else []), *swept.about_effects],
        "report": failure_text(swept, kinds) or sweep_text(swept, kinds),
        "points": len(swept.points),
        "runs": len(swept.runs),
        "failed": failed,
        "seconds": round(swept.seconds, 3),
        "heat": _heat(swept, kinds, place_at, file_of),
        "classes": [
            *(_class(swept, alike, place_at, beside) for alike in found),
            *(_class(swept, alike, place_at, beside, "accepted: ") for alike in accepted),
        ],
        "pairs": [_pair(*both) for both in swept.unlike],
    }


def _compared(swept: Swept) -> str:
    compared = swept.compared
    counted = ((compared.files, "file"), (compared.tables, "table"), (compared.records, "record"))
    parts = ["result"] if compared.result else []
    parts += [f"{len(of):,} {name}{'s' * (len(of) != 1)}" for of, name in counted if of]
    return "; ".join([*parts, *compared.observed]) or "nothing"


def _heat(swept: Swept, kinds: frozenset[Kind], place_at: PlaceAt, file_of: Callable[[int], int | None]) -> list[Facts]:
    """By file: of each line how many runs were interrupted there, and how many of them failed."""
    runs: Counter[tuple[int, int]] = Counter()
    failed: Counter[tuple[int, int]] = Counter()
    for run in swept.runs:
        place = _place(run.point, place_at)
        file = None if place is None else file_of(place)
        if file is not None:
            key = file, run.point.line
            runs[key] += 1
            failed[key] += run.fails(kinds)
    files = sorted({file for file, _ in runs})
    return [
        {"file": file, "lines": [[line, runs[of, line], failed[of, line]] for of, line in sorted(runs) if of == file]}
        for file in files
    ]


def _place(point: Point, place_at: PlaceAt) -> int | None:
    return place_at(point.found.file, point.line) if point.line and point.found.file else None


def _class(swept: Swept, alike: FailureClass, place_at: PlaceAt, beside: str, before: str = "") -> Facts:
    known, repro = Explained(swept, alike), written_repro(swept, alike)
    source = known.source
    return {
        "title": before + known.title,
        "kinds": list(known.kinds),
        "how": known.how,
        "runs": known.runs,
        "place": _place(alike.earliest.point, place_at) if source is None else place_at(source.path, source.line),
        "explanation": known.explanation or None,
        "effects": [_effect(each, known, place_at) for each in known.effects],
        "killed_after": known.interrupted_after,
        "attempts": [_attempt(number, each) for number, each in enumerate(known.attempts)],
        "differences": list(known.differences),
        "files": list(known.files),
        "timeline": known.timeline,
        "survives": known.survival or None,
        "fix": known.fix or None,
        "replay": known.replay,
        "repro": None if repro is None else os.path.relpath(repro, beside),
        "repro_call": None if repro is not None else repro_call(swept, alike) or None,
        "others": list(known.others[:MOST_OTHERS]),
    }


def _effect(effect: EffectLine, known: Explained, place_at: PlaceAt) -> list[Any]:
    """An effect with its call and what it is about, what its file has after it, and its place."""
    file, _, line = effect.place.rpartition(":")
    path = "" if known.source is None else known.source.path
    is_there = line.isdecimal() and os.path.basename(path) == os.path.basename(file)
    place = place_at(path, int(line)) if is_there else None
    return [effect.name, f"{effect.call} {effect.what}".strip(), effect.result, place]


def _attempt(number: int, attempt: Attempt) -> list[str]:
    """How an event of a run ended, how it began, and its error."""
    began = "interrupted" if not number else "cold start" if attempt.cold else "warm start"
    return [ended_text(attempt), began, attempt.message]


def _pair(first: SweepRun, second: SweepRun) -> Facts:
    """Two runs that should have been the same: what each has come to, with equal lines beside each other."""
    rows = aligned(_came_to(first), _came_to(second))
    return {
        "key": first.key,
        "rows": rows,
        "difference": next((_difference_text(*row) for row in rows if row[0] != row[1]), None),
    }


def _came_to(run: SweepRun) -> list[str]:
    return [
        *map(ended_text, run.outcome.attempts),
        *all_difference_lines(run.differences),
        *run.outcome.timeline.splitlines(),
    ]


def aligned(first: Sequence[str], second: Sequence[str]) -> list[list[str | None]]:
    """Rows of a line of *first* and one of *second*; None where the other one has a line more."""
    both = first[:MOST_COMPARED], second[:MOST_COMPARED]
    rows: list[list[str | None]] = []
    for _, begin, end, other_begin, other_end in SequenceMatcher(None, *both).get_opcodes():
        rows += map(list, zip_longest(both[0][begin:end], both[1][other_begin:other_end]))
    left_out = [len(of) - MOST_COMPARED for of in (first, second)]
    if max(left_out) > 0:
        rows.append([f"({count:,} more lines are left out)" if count > 0 else None for count in left_out])
    return rows


def _difference_text(first: str | None, second: str | None) -> str:
    """Where two runs differ first, in a sentence."""
    if first is None or second is None:
        return f"The first difference: only the {'second' if first is None else 'first'} run has “{first or second}”."
    return f"The first difference: “{first}” in the first run is “{second}” in the second."
