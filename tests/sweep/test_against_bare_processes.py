"""Random handlers: what the sweep says of each interruption is what bare processes come to.

Two mechanisms of this plugin that agree prove nothing. So the same file is run by processes that know nothing of it
(``bare_processes``), is interrupted there, and is started again until it is done.

- **SIGTERM at a point, SIGKILL at a line or in a sleep**: a bare process is interrupted at the same place, which it
  counts by itself. What is in the directory when the interrupted event has ended, which events follow, warm or cold, how
  they end, and what is there at last have to be the same.
- **SIGKILL at a system call**: a tracer of the test kills a bare process at each state of the directory that it sees.
  Each state that the sweep tries is one of these, with the same outcome; and each of these is one that the sweep tries.

Not compared is what docs/sweep.md says is not explored, or tried in one order only: SIGTERM while another thread or a
child writes, which is somewhere else in each run of a bare process; and a write that is cut at a page, which no tracer
can do (``test_every_kill_is_recorded`` has real kills for that). Second terminations are left out: they are most of the
runs, and ``test_seeded_model`` compares them with a model.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bare_processes import Listing, Place, listing, run_bare
from random_handlers import Handler, random_handler
from sweeping import each_run

from pytest_scf_async import ScfRuntime

pytestmark = pytest.mark.usefixtures("without_second_stops")

SEEDS = 8
MANY = 100
COLD = " cold"
WAITS = {"sleep": "sleep(", "start": "threading.start", "join": "join of "}
"""How the texts of points begin that are waits of a kind."""


class Came(NamedTuple):
    """What a run has come to."""

    after: Listing
    """What was in the directory when its first event had ended."""
    attempts: list[tuple[bool, bool]]
    """Of each event after the first one: whether it was FINISHED, and whether it had a cold start."""
    done: bool
    final: Listing
    result: Any

    @property
    def text(self) -> str:
        return json.dumps(self._asdict(), sort_keys=True)


def by_sweep(run: Any, after: Listing | None) -> Came:
    outcome = run.outcome
    effects = outcome.effects
    final: Listing = {}
    for name, file in effects.files.items():
        content = (file.content or b"").decode("latin-1")
        final[name] = {
            "file": ["file", content],
            "symbolic link": ["link", content],
            "directory": ["directory"],
            "database": ["database", {table: rows for (path, table), rows in effects.rows.items() if path == name}],
        }[file.kind]
    attempts = [(each.status == "FINISHED", each.cold) for each in outcome.attempts[1:]]
    return came(after, attempts, outcome.done, bool(outcome.stuck), final, effects.result)


def by_bare(found: dict[str, Any]) -> Came:
    attempts = [(how == "finished", cold) for how, _, cold in found["attempts"][1:]]
    is_stuck = found["attempts"][-1][0] == "hung"
    return came(found["after"], attempts, found["done"], is_stuck, found["final"], found["result"])


def came(
    after: Listing | None, attempts: list[tuple[bool, bool]], done: bool, is_stuck: bool, final: Listing, result: Any
) -> Came:
    """Of a run with an event that never ends, nobody asks what is there."""
    if is_stuck:
        return Came({}, [], done=False, final={}, result="stuck")
    return Came(after or {}, attempts, done, final, result if done else None)


class Sides:
    """The same interruptions by the sweep and by bare processes."""

    def __init__(self, runtime: ScfRuntime, handler: Handler, directory: Path) -> None:
        self.handler = handler
        file, out = directory / "code" / "job.py", directory / "out"
        file.parent.mkdir()
        out.mkdir()
        file.write_text(handler.source)
        after: dict[str, Listing] = {}

        def check(run: Any) -> None:
            if run.point is not None:
                after[f"{run.how}@{run.point}"] = listing(str(run.path))

        function = runtime.deploy(f"{file}:main_handler")
        self.sweep = runtime.sweep(function, {}, each_run=each_run, check=check)
        self.report = self.sweep.report
        assert "incomplete" not in self.report
        # a kill that leaves what another one does is not resumed by itself, and nothing is asked of it
        alike = {id(run.outcome.effects): after[run.key] for run in self.sweep.runs if run.key in after}
        self.after = {run.key: alike.get(id(run.outcome.effects)) for run in self.sweep.runs}
        self.expected = self.sweep._swept.undisturbed
        self.waits = dict(self._waits())
        places = {run.key: place for run in self.sweep.runs if (place := self.place_of(run)) is not None}
        orders = ("early", "late") if handler.has_threads else ("early",)
        self.bare = run_bare(
            {
                "file": str(file),
                "out": str(out),
                "payload": {},
                "places": [place._replace(order=order) for place in places.values() for order in orders],
            }
        )
        found = iter(self.bare["places"])
        self.at_places = {key: [[by_bare(each) for each in next(found)] for _ in orders] for key in places}
        """What has come of each order: warm, and cold if something has lived on."""

    def _waits(self) -> Iterator[tuple[int, tuple[str, int]]]:
        """By the numbers of waits: their kinds, and their numbers among those."""
        counts = Counter[str]()
        for point in self.sweep.points:
            if point.kind == "wait":
                kind = next(kind for kind, begins in WAITS.items() if point.text.startswith(begins))
                counts[kind] += 1
                yield point.found.number, (kind, counts[kind])

    def place_of(self, run: Any) -> Place | None:
        """Where a bare process is interrupted for *run*; None: no such place."""
        point = run.point
        how = run.how
        if run.cold or point.kind == "effect":
            return None
        if point.kind in ("wait", "waited"):
            kind, number = self.waits[point.found.number]
            return Place(how, wait=kind, number=number)
        found = point.found
        line = point.line if how == "forced" else 0
        return Place(how, (found.name, found.first), found.offset, found.number, line)

    def differences(self) -> Iterator[str]:
        runs = {run.key: run for run in self.sweep.runs}
        ends = {runs[run.key.removesuffix(COLD)].outcome.end: run for run in self.sweep.runs if run.cold}
        expected = self.bare["undisturbed"]
        for run in self.sweep.runs:
            if run.key not in self.at_places:
                continue
            after = self.after[run.key]
            yield from self.difference(run.key, by_sweep(run, after), [found[0] for found in self.at_places[run.key]])
            yield from self.wrong_verdict(run, expected)
            cold = [found[1] for found in self.at_places[run.key] if len(found) > 1]
            end = run.outcome.end
            if (end is None) != (not cold):
                yield f"{run.key}: an instance {'does not live' if end is None else 'lives'} on in the sweep alone"
            elif end is not None:
                alike = ends[end] if end else runs[run.key + COLD]
                yield from self.wrong_verdict(alike, expected)
                yield from self.difference(f"{run.key}{COLD}", by_sweep(alike, after), cold)
        states = defaultdict[str, list[Came]](list)
        for each in self.bare["states"]:
            states[json.dumps(each["after"], sort_keys=True)].append(by_bare(each))
        tried = set()
        for run in self.sweep.runs:
            if run.how == "forced" and "+" not in run.key:
                after = json.dumps(self.after[run.key], sort_keys=True)
                tried.add(after)
                if after not in states:
                    yield f"{run.key}: no bare process leaves {after}"
                else:
                    yield from self.difference(run.key, by_sweep(run, self.after[run.key]), states[after])
        for after in states.keys() - tried:
            yield f"a bare process that is killed leaves {after}, which no kill of the sweep does"

    def wrong_verdict(self, run: Any, expected: dict[str, Any]) -> Iterator[str]:
        """The words of the sweep are about what it has found."""
        found = by_sweep(run, {})
        is_right = found.done and found.final == expected["final"] and found.result == expected["result"]
        if is_right != (not run.kinds):
            yield f"{run.key}: {sorted(run.kinds)}, and it came to {found.text}"

    def difference(self, key: str, one: Came, others: list[Came]) -> Iterator[str]:
        if one.text not in {other.text for other in others}:
            bare = "\n        or: ".join(sorted({other.text for other in others}))
            yield f"{key}\n    sweep: {one.text}\n    bare:  {bare}"


@pytest.mark.parametrize("seed", [*range(SEEDS), *(pytest.param(each, marks=pytest.mark.long) for each in range(SEEDS, MANY))])
def test_a_verdict_is_that_of_bare_processes(scf_runtime: ScfRuntime, tmp_path: Path, seed: int) -> None:
    handler = random_handler(seed)
    sides = Sides(scf_runtime, handler, tmp_path)
    differences = list(sides.differences())
    assert not differences, f"seed {seed} ({handler.parts})\n" + "\n".join(differences) + f"\n{handler.source}"
