"""The sweeps of a test as a trace has them: the findings with their places, and the source by outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..sweep.differences import Kind
from ..sweep.findings import FAILURES, FailureClass, SweepRun, Swept, classes
from ..sweep.report import class_title, run_difference_lines, sweep_text

if TYPE_CHECKING:
    from ..sweep.points import Point
    from ..sweep.run import Attempt

    PlaceAt = Callable[[str, int], int]
    """Gives the number of a place by the path of its file and its line."""

HARMFUL: Final = FAILURES | {Kind.DOUBLED}
"""What is wrong with a run that counts as failed."""
MOST_OTHERS: Final = 100
"""Keys of runs that are named beside the earliest one of a class."""
Facts = dict[str, Any]


def sweep_facts(swept: Swept, place_at: PlaceAt, file_of: Callable[[int], int | None]) -> Facts:
    """The data of one sweep; *file_of* gives the file of a place by the number of that."""
    found = classes(swept.runs, frozenset(Kind))
    failed = [run for run in swept.runs if run.fails(HARMFUL)]
    return {
        "function": swept.function,
        "headline": _headline(swept, found, len(failed)),
        "compared": _compared(swept),
        "ignored": list(swept.ignored),
        "not_tried": [*([swept.incomplete] if swept.incomplete else []), *swept.about_effects],
        "report": sweep_text(swept),
        "points": len(swept.points),
        "runs": len(swept.runs),
        "failed": len(failed),
        "seconds": round(swept.seconds, 3),
        "heat": _heat(swept, place_at, file_of),
        "classes": [_class(alike, place_at) for alike in found],
        "pairs": [_pair(*both) for both in swept.unlike],
    }


def _headline(swept: Swept, found: list[FailureClass], failed: int) -> str:
    if not failed:
        return f"{swept.function} survives all {len(swept.runs):,} interruptions"
    causes = sum(any(run.fails(HARMFUL) for run in alike.runs) for alike in found)
    reasons = "all for one reason" if causes == 1 else f"for {causes:,} reasons"
    return f"{failed:,} of {len(swept.runs):,} interruptions of {swept.function} fail, {reasons}"


def _compared(swept: Swept) -> str:
    compared = swept.compared
    counted = ((compared.files, "file"), (compared.tables, "table"), (compared.records, "record"))
    parts = ["result"] if compared.result else []
    parts += [f"{len(of):,} {name}{'s' * (len(of) != 1)}" for of, name in counted if of]
    return "; ".join([*parts, *compared.observed]) or "nothing"


def _heat(swept: Swept, place_at: PlaceAt, file_of: Callable[[int], int | None]) -> list[Facts]:
    """By file: of each line how many runs were interrupted there, and how many of them failed."""
    runs: Counter[tuple[int, int]] = Counter()
    failed: Counter[tuple[int, int]] = Counter()
    for run in swept.runs:
        place = _place(run.point, place_at)
        file = None if place is None else file_of(place)
        if file is not None:
            key = file, run.point.line
            runs[key] += 1
            failed[key] += run.fails(HARMFUL)
    files = sorted({file for file, _ in runs})
    return [
        {"file": file, "lines": [[line, runs[of, line], failed[of, line]] for of, line in sorted(runs) if of == file]}
        for file in files
    ]


def _place(point: Point, place_at: PlaceAt) -> int | None:
    return place_at(point.found.file, point.line) if point.line and point.found.file else None


def _class(alike: FailureClass, place_at: PlaceAt) -> Facts:
    run, (_, *others) = alike.earliest, alike.runs
    return {
        "title": class_title(alike),
        "kinds": sorted(kind.value for kind in alike.kinds),
        "how": run.how,
        "runs": len(alike.runs),
        "place": _place(run.point, place_at),
        "explanation": None,
        "effects": [],
        "killed_after": None,
        "attempts": [_attempt(number, each) for number, each in enumerate(run.outcome.attempts)],
        "differences": _differences(run),
        "files": list(run.outcome.written),
        "timeline": run.outcome.timeline,
        "survives": None,
        "fix": None,
        "replay": f"pytest --scf-async-replay='{run.key}'",
        "repro": None,
        "others": [each.key for each in others[:MOST_OTHERS]],
    }


def _attempt(number: int, attempt: Attempt) -> list[str]:
    """How an event of a run ended, how it began, and its error."""
    began = "interrupted" if not number else "cold start" if attempt.cold else "warm start"
    return [_ended(attempt), began, attempt.message]


def _ended(attempt: Attempt) -> str:
    code = "" if attempt.status_code in (0, 200) else f" ({attempt.status_code})"
    return f"{attempt.status}{code} after {attempt.seconds:g} s"


def _differences(run: SweepRun) -> list[str]:
    return [line for difference in run.differences for line in run_difference_lines(difference)]


def _pair(first: SweepRun, second: SweepRun) -> Facts:
    """Two runs that should have been the same: what each has come to, line by line."""
    return {
        "key": first.key,
        "first": _came_to(first),
        "second": _came_to(second),
        "why": "The run came to something else when it was made again.",
    }


def _came_to(run: SweepRun) -> list[str]:
    return [*map(_ended, run.outcome.attempts), *_differences(run), *run.outcome.timeline.splitlines()]
