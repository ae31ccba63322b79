"""What the tests of sweeps use of what is private in ``sweep/``: each name, and how a public object gives it."""

# ruff: noqa: F401  (tests import these names from here)

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from internals import Zygote

from pytest_scf_async import ScfRuntime
from pytest_scf_async.function import Function
from pytest_scf_async.protocol import messages
from pytest_scf_async.sweep import comparison as sweep_comparison
from pytest_scf_async.sweep import differences as sweep_differences
from pytest_scf_async.sweep import effects as sweep_effects
from pytest_scf_async.sweep import ignored as sweep_ignored
from pytest_scf_async.sweep import kept_points as points
from pytest_scf_async.sweep import legitimate as sweep_legitimate
from pytest_scf_async.sweep import recording as recorders
from pytest_scf_async.sweep import sweep as sweep_of_function
from pytest_scf_async.sweep.calls import IN_INSTANCE
from pytest_scf_async.sweep.cold_starts import cold_start_texts
from pytest_scf_async.sweep.difference_texts import difference_text
from pytest_scf_async.sweep.effects import files_and_rows
from pytest_scf_async.sweep.explanation import Explained
from pytest_scf_async.sweep.findings import FAILURES, Swept, classes, missing_pattern
from pytest_scf_async.sweep.guide import Guide
from pytest_scf_async.sweep.in_instance.collecting import Collector as collector_of_points
from pytest_scf_async.sweep.in_instance.functions import _Functions as functions_of_effects
from pytest_scf_async.sweep.in_instance.libraries import Places as places_in_libraries
from pytest_scf_async.sweep.interruptions import FileSystem
from pytest_scf_async.sweep.kills import Kills
from pytest_scf_async.sweep.points import Point, chosen
from pytest_scf_async.sweep.power import PowerRecord
from pytest_scf_async.sweep.recording import Drawing, Recorder, Recording, _recorders
from pytest_scf_async.sweep.repairs import templates as repair_templates
from pytest_scf_async.sweep.repairs import trying as repairs_trying
from pytest_scf_async.sweep.run import NotReachedError, Plan, Runner
from pytest_scf_async.sweep.states import DiskRecord
from pytest_scf_async.sweep.sweep import Sweep
from pytest_scf_async.sweep.traced import MOST_COMPARED, aligned
from pytest_scf_async.sweep.undisturbed import Undisturbed


def recording_of(runtime: ScfRuntime, directory: Path, *, syncs: bool = False) -> Recording:
    """Have the effects of the next instance of a runtime recorded, those in *directory*, and with *syncs* these."""
    recording = Recording(directory, syncs=syncs)
    runtime._pool.record_next(recording)
    return recording


def record_of(recording: Recording) -> DiskRecord:
    """What was recorded of an instance that has ended."""
    record = DiskRecord(recording.items())
    recording.close()
    return record


def recorded_run(
    runtime: ScfRuntime, function: Function, directory: Path, *payloads: object, syncs: bool = False
) -> DiskRecord:
    """Run a function, with ``OUT``, and close its runtime: the record of what it has changed in *directory*.

    It has an event for each of *payloads*, by default one with ``{}``.
    """
    runtime._pool.serve_sweep(IN_INSTANCE)
    recording = recording_of(runtime, directory, syncs=syncs)
    function.update(environment={"OUT": str(directory)})
    for payload in payloads or ({},):
        function.run(payload)
    runtime.close()
    return record_of(recording)


def all_recorders_are_free(of: Zygote) -> bool:
    """Whether each recorder can take the next instance."""
    return all(each.lives() and not each.is_busy for each in _recorders.get(of, []))


def recorder_that_is_done(of: Drawing, its_zygote: Zygote) -> Recorder:
    """The recorder that is taken for an instance which ends at once; it has said that it is done."""
    pages = os.memfd_create("clock and control")
    try:
        os.ftruncate(pages, 1 << 20)
        (fd,) = of.begin(its_zygote, pages, pages, by_itself=False)
        os.close(fd)
    finally:
        os.close(pages)
    assert of._recorder is not None
    answered, _, _ = select.select([of._recorder._orders], [], [], 30)
    assert answered
    return of._recorder


def facts_of(sweep: Sweep) -> Swept:
    """All facts of a sweep."""
    return sweep._swept


def explained_of(sweep: Sweep, *, exactly_once: bool = False) -> list[Explained]:
    """What is known of each class of a sweep: of its failures, and with *exactly_once* of what is done twice, too."""
    swept = sweep._swept
    doubled = {sweep_differences.Kind.DOUBLED} if exactly_once else set()
    return [Explained(swept, alike) for alike in classes(sweep.runs, FAILURES | doubled)]


def line_point(file: str, line: int) -> Point:
    """The point before a line."""
    return Point(f"{file}:{line}#1", "line", file, line, 0.0, messages.Point("line", 0, 1, file, line))


def change_facts(sweep: Sweep, **facts: Any) -> None:
    """Have a sweep have come to these facts."""
    sweep._swept = replace(sweep._swept, **facts)


def change_guide(sweep: Sweep, **told: Any) -> None:
    """Have the searches for repairs of a sweep be told this."""
    sweep._bench = replace(sweep._bench, guide=replace(sweep._guide, **told))


def when_repair_is_found(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Have *then* be called once a change has survived everything."""
    made = repairs_trying._Search._repair

    def repair(*arguments: Any) -> Any:
        found = made(*arguments)
        then()
        return found

    monkeypatch.setattr(repairs_trying._Search, "_repair", repair)
