"""The sweep finds each handler's windows and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from seeded_set import ON_EVERY_PYTHON, SEEDED, Seeded, path_of, windows
from sweep_internals import sweep_of_function
from sweeping import each_run

from pytest_scf_async import ScfRuntime

SEVEREST = ("never finishes", "lost", "diverged", "late", "doubled", "left behind")
"""A run is of one class in the source of a handler: of the first of these that it is of."""
ONLY_WARM = ("global_checkpoint", "state_in_tmp")
"""At some stops of these all is well if the next event finds the same instance, and not otherwise."""


def swept(runtime: ScfRuntime, seeded: Seeded, twin: str) -> Any:
    function = runtime.deploy(f"{path_of(seeded.name + twin)}:main_handler")
    how = [kind for kind in ("graceful", "forced") if kind in seeded.how]
    return runtime.sweep(function, seeded.payload, each_run=each_run, how=how, within=seeded.within)


@pytest.fixture
def without_needless_stops(monkeypatch: pytest.MonkeyPatch, seeded: Seeded) -> None:
    """Without second terminations and kills after stops where a handler has no window of that kind: they would be most
    of the time, and `found_by` leaves them out."""
    if not {"second", "again"} & set(seeded.how):
        monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 0)
        monkeypatch.setattr(sweep_of_function._Sweeper, "_follows_stops", False)


def found_by(sweep: Any, seeded: Seeded) -> set[tuple[int, str, str]]:
    """Line, how and class of each run that went wrong at a line, as the source of the handler marks them.

    Cold starts after graceful stops are made once for each end, wherever it was met first: no line is marked for them.
    Where nobody listens the model has a SIGTERM only where Python looks for signals: for all others, which are kills,
    `test_sigterms_against_bare` has bare processes.
    """
    found = set()
    for run in sweep.runs:
        kinds = {kind.value for kind in run.kinds}
        if not kinds or run.cold or run.point.kind in ("wait", "waited", "log"):
            continue
        if run.how == "graceful" and run.point.is_ended:
            continue
        how = "effect" if run.point.kind == "effect" and "effect" in seeded.how else run.how
        if run.point.after is not None:
            how = "second" if how.endswith("forced") else "again"
        if how in seeded.how:
            found.add((run.point.line, how, next(kind for kind in SEVEREST if kind in kinds)))
    return {failure for failure in found if seeded.exactly_once or failure[2] != "doubled"}


def found_after_cold_starts(sweep: Any) -> set[tuple[int, str, str]]:
    """The same for cold starts after graceful stops, of which one is made for each end."""
    wrong = [(run.point.line, {kind.value for kind in run.kinds}) for run in sweep.runs if run.cold and run.kinds]
    return {(line, "cold", next(kind for kind in SEVEREST if kind in kinds)) for line, kinds in wrong}


def are_windows(found: set[tuple[int, str, str]], marked: set[tuple[int, str, str]]) -> None:
    """Exactly the windows that are *marked* are *found*; of a second one that is a kill, a line for each state."""
    seconds = {window for window in marked if window[1] == "second"}
    assert found - seconds == marked - seconds
    assert bool(found & seconds) == bool(seconds)


OF_ANY_USER = ("checkpoint_in_listener", "counted_twice")
"""Of those that are swept on every Python, some are swept without mount namespaces and as an ordinary user, too."""


def marks_of(seeded: Seeded) -> list[pytest.MarkDecorator]:
    # once: it takes long, and what differs between versions and users is in the others
    if seeded.name not in ON_EVERY_PYTHON:
        return [pytest.mark.once]
    return [pytest.mark.interpreter, *([pytest.mark.sandbox] if seeded.name in OF_ANY_USER else [])]


ALL = [
    pytest.param(seeded, twin, id=f"{seeded.name}{twin}", marks=marks_of(seeded))
    for seeded in SEEDED
    for twin in ("", "_fixed")
]


@pytest.mark.usefixtures("without_needless_stops")
@pytest.mark.parametrize(("seeded", "twin"), ALL)
def test_each_window_is_found_and_nothing_else(scf_runtime: ScfRuntime, seeded: Seeded, twin: str) -> None:
    sweep = swept(scf_runtime, seeded, twin)
    marked = windows(seeded.name) if not twin else set()
    after_cold_starts = {window for window in marked if window[1] == "cold"}
    are_windows(found_by(sweep, seeded), marked - after_cold_starts)
    if "cold" in seeded.how:
        found = found_after_cold_starts(sweep)
        assert found <= after_cold_starts
        assert bool(found) == (not twin)
    wrong = {run.key: run.kinds for run in sweep.runs if run.kinds}
    cold = [run.key for run in sweep.runs if run.cold and run.kinds]
    if twin:
        assert not cold
    if seeded.name in ONLY_WARM and not twin:
        assert any(key.removesuffix(" cold") not in wrong for key in cold)
