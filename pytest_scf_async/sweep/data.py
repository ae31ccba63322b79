"""All facts of a sweep as JSON has them: for files that programs read, with keys that stay."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .differences import Difference
from .findings import MutantOutcome, SweepRun, Swept
from .points import Point
from .repairs.found import RepairsFacts

_Facts = dict[str, Any]


def swept_json(swept: Swept, fix: RepairsFacts | None = None) -> str:
    """*swept* as the text of a file, with what a search for repairs has found, where there was one."""
    facts = swept_facts(swept) if fix is None else {**swept_facts(swept), "fix": fix}
    return json.dumps(facts, ensure_ascii=False, indent=2) + "\n"


def swept_facts(swept: Swept) -> _Facts:
    """*swept* as JSON has it; docs/reference.md describes each key."""
    plain = {field.name: getattr(swept, field.name) for field in dataclasses.fields(swept) if field.name != "evidence"}
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()},
        "seconds": round(swept.seconds, 3),
        "forced_only": swept.forced_only,
        "compared": dataclasses.asdict(swept.compared),
        "mutants": [_mutant(outcome) for outcome in swept.mutants],
        "unlike": [{"first": _run(first), "again": _run(again)} for first, again in swept.unlike],
        "undisturbed": {"attempts": [dataclasses.asdict(attempt) for attempt in swept.undisturbed.attempts]},
        "points": [_point(point) for point in swept.points],
        "runs": [_run(run) for run in swept.runs],
    }


def _point(point: Point) -> _Facts:
    return {
        "name": point.shown,
        "kind": point.kind,
        "file": point.file,
        "line": point.line,
        "seconds": point.seconds,
        "text": point.text,
        "function": point.function,
        "missing": point.missing,
        "graceful": point.graceful or point.is_ended,
        "forced": point.forced,
        "after": None if point.after is None else point.after.shown,
    }


def _mutant(outcome: MutantOutcome) -> _Facts:
    mutant = outcome.mutant
    return {
        "kind": mutant.kind,
        "file": mutant.file,
        "line": mutant.line,
        "function": mutant.function,
        "text": mutant.text,
        "noticed": outcome.noticed,
        "key": None if outcome.run is None else outcome.run.key,
        "undisturbed": outcome.undisturbed,
    }


def _run(run: SweepRun) -> _Facts:
    outcome = run.outcome
    return {
        "key": run.key,
        "point": run.point.shown,
        "how": run.how,
        "kinds": sorted(kind.value for kind in run.kinds),
        "differences": [_difference(difference) for difference in run.differences],
        "done": outcome.done,
        "attempts": [dataclasses.asdict(attempt) for attempt in outcome.attempts],
        "written": list(outcome.written),
        "failed": list(outcome.failed),
        "listened": outcome.listened,
        "stop_seconds": None if outcome.stop_us is None else outcome.stop_us / 1e6,
        "check": outcome.check,
    }


def _difference(difference: Difference) -> _Facts:
    return {
        "kind": difference.kind.value,
        "effect": difference.effect.value,
        "name": difference.name,
        "missing": [part._asdict() for part in difference.missing],
        "extra": [part._asdict() for part in difference.extra],
    }
