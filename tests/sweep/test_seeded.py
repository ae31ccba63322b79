"""The sweep finds each handler's windows and nothing else, by branches as by runs from the beginning."""

from __future__ import annotations

from typing import Any

import pytest
from internals import facts_of, sweep_of_function
from seeded_set import SEEDED, Seeded, path_of, windows
from sweeping import each_run

from pytest_scf_async import ScfRuntime

SEVEREST = ("never finishes", "lost", "diverged", "late", "doubled", "left behind")
"""A run is of one class in the source of a handler: of the first of these that it is of."""
ON_EVERY_PYTHON = (
    "checkpoint_in_listener",
    "counted_twice",
    "exit_interrupted",
    "listener_reentered",
)
POINTS = 12
"""How many points are tried in both ways, of which one is by branches and tries all."""
BOTH = [(seeded, twin) for seeded in SEEDED for twin in ("", "_fixed")]


def ids_of(values: list[tuple[Seeded, str]]) -> list[str]:
    return [f"{seeded.name}{twin}" for seeded, twin in values]


def swept(runtime: ScfRuntime, seeded: Seeded, twin: str, limit: int = 1000) -> Any:
    function = runtime.deploy(f"{path_of(seeded.name + twin)}:main_handler")
    how = [kind for kind in ("graceful", "forced") if kind in seeded.how]
    return runtime.sweep(function, seeded.payload, each_run=each_run, how=how, within=seeded.within, limit=limit)


@pytest.fixture
def without_needless_stops(monkeypatch: pytest.MonkeyPatch, seeded: Seeded) -> None:
    """Without second terminations where a handler has no window of that kind: they would be most of the time."""
    if not {"second", "again"} & set(seeded.how):
        monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 0)


def found_by(sweep: Any, seeded: Seeded) -> set[tuple[int, str, str]]:
    """Line, how and class of each run that went wrong at a line, as the source of the handler marks them."""
    found = set()
    for run in sweep.runs:
        kinds = {kind.value for kind in run.kinds}
        if not kinds or run.point.kind in ("wait", "waited", "log"):
            continue
        how = run.how
        if run.point.after is not None:
            how = "second" if how.endswith("forced") else "again"
        if how in seeded.how:
            found.add((run.point.line, how, next(kind for kind in SEVEREST if kind in kinds)))
    return {failure for failure in found if seeded.exactly_once or failure[2] != "doubled"}


def outcomes(sweep: Any) -> dict[str, Any]:
    """All that is known of each run, by its key."""
    return {
        run.key: (
            run.alike,
            [(each.status, each.status_code, each.seconds, each.cold) for each in run.outcome.attempts],
            (run.outcome.done, run.outcome.listened, run.outcome.stop_us),
        )
        for run in sweep.runs
    }


def by_branches(runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, seeded: Seeded, twin: str) -> Any:
    monkeypatch.setattr(sweep_of_function, "_REPEATED", 0)
    sweep = swept(runtime, seeded, twin)
    branched = sum(run.outcome.branched for run in sweep.runs)
    assert branched + sum(count for _, count in facts_of(sweep).not_branched) == len(sweep.runs)
    assert branched > 0
    return sweep


def require_the_same_from_the_beginning(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, seeded: Seeded, twin: str, sweep: Any
) -> None:
    monkeypatch.setattr(sweep_of_function, "_FEW", 1_000_000)
    again = swept(runtime, seeded, twin, limit=POINTS)
    assert not any(run.outcome.branched for run in again.runs)
    known = outcomes(sweep)
    assert {run.key: known[run.key] for run in again.runs} == outcomes(again)


# once: it takes long, and what differs between versions is in the last tests
@pytest.mark.once
@pytest.mark.usefixtures("without_needless_stops")
@pytest.mark.parametrize(("seeded", "twin"), BOTH, ids=ids_of(BOTH))
def test_each_window_is_found_and_nothing_else_in_both_ways(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, seeded: Seeded, twin: str
) -> None:
    sweep = by_branches(scf_runtime, monkeypatch, seeded, twin)
    assert found_by(sweep, seeded) == (windows(seeded.name) if not twin else set())
    require_the_same_from_the_beginning(scf_runtime, monkeypatch, seeded, twin, sweep)


SOME = [(seeded, twin) for seeded, twin in BOTH if seeded.name in ON_EVERY_PYTHON]


@pytest.mark.interpreter
@pytest.mark.sandbox
@pytest.mark.usefixtures("without_needless_stops")
@pytest.mark.parametrize(("seeded", "twin"), SOME, ids=ids_of(SOME))
def test_windows_are_the_same_on_every_python_and_for_every_user(
    scf_runtime: ScfRuntime, seeded: Seeded, twin: str
) -> None:
    assert found_by(swept(scf_runtime, seeded, twin), seeded) == (windows(seeded.name) if not twin else set())


@pytest.mark.interpreter
@pytest.mark.usefixtures("without_needless_stops")
@pytest.mark.parametrize("seeded", [seeded for seeded, twin in SOME if not twin], ids=lambda seeded: seeded.name)
def test_both_ways_are_the_same_on_every_python(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, seeded: Seeded
) -> None:
    sweep = by_branches(scf_runtime, monkeypatch, seeded, "")
    require_the_same_from_the_beginning(scf_runtime, monkeypatch, seeded, "", sweep)
