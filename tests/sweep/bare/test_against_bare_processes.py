"""Random handlers: what the sweep says of each interruption is what bare processes come to.

Two mechanisms of this plugin that agree prove nothing. So the same file is run by processes that know nothing of it
(``bare_processes``), is interrupted there, and is started again until it is done.

- **SIGTERM at a point, SIGKILL at a line or in a wait**: a bare process is interrupted at the same place, which it
  counts by itself. What is there when the interrupted event has ended, which events follow, warm or cold, how they end,
  and what is there at last have to be the same.
- **SIGKILL at a system call**: a tracer of the test kills a bare process at each state that it sees of the directory,
  and of the server. Each state that the sweep tries is one of these, with the same outcome; and each of these is one
  that the sweep tries.

- **SIGTERM within a library**: a bare process gets one wherever Python looks for signals in a library, be that between
  two effects or not. What comes of each has to be what comes of an interruption that the sweep tries; and what comes of
  each that the sweep tries in a library has to be among that. CI takes some of these places, ``make differential`` all.

Not compared is what docs/sweep.md says is not explored. Where another thread writes, what comes of either order is
right. A write that is cut at a page is left out, as no tracer can cut one: ``test_every_kill_is_recorded`` has real
kills for that. So are second terminations, as most of the runs would be some: ``test_seeded_model`` compares them with
a model.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from both_sides import Sides, are_alike
from random_handlers import OTHER_CHECKPOINTS, OTHER_WORKS, random_handler
from sweep_internals import Kills, Undisturbed

from pytest_scf_async import ScfRuntime

pytestmark = [pytest.mark.usefixtures("without_second_stops"), pytest.mark.timeout(600)]

SEEDS = int(os.environ.get("SCF_SEEDS", "0"))
IN_LIBRARIES = 0 if SEEDS else 20
"""How many SIGTERMs a bare process gets in libraries; 0: one at each place."""
FURTHER = [19, 40] if not SEEDS else range(2, SEEDS)
"""Both speak to a server."""


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.once) for seed in FURTHER)])
def test_a_verdict_is_that_of_bare_processes(scf_runtime: ScfRuntime, tmp_path: Path, seed: int) -> None:
    are_alike(scf_runtime, tmp_path, seed, IN_LIBRARIES)


@pytest.mark.once
@pytest.mark.parametrize("seed", [1] if not SEEDS else range(SEEDS // 10))
@pytest.mark.parametrize(
    ("checkpoint", "work"), [*((each, "") for each in OTHER_CHECKPOINTS), *(("", each) for each in OTHER_WORKS)]
)
def test_so_is_that_of_what_is_no_content_of_a_file(
    scf_runtime: ScfRuntime, tmp_path: Path, checkpoint: str, work: str, seed: int
) -> None:
    are_alike(scf_runtime, tmp_path, seed, IN_LIBRARIES, checkpoint=checkpoint, work=work)


@pytest.mark.once
def test_a_sweep_without_points_in_libraries_is_a_difference(
    scf_runtime: ScfRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Undisturbed, "_with_libraries", lambda _, first: first)
    differences = list(Sides(scf_runtime, random_handler(20), tmp_path, 0).differences())  # it saves in its listener
    assert any(each.startswith("a SIGTERM in a library of a bare process comes to") for each in differences)


@pytest.mark.once
@pytest.mark.parametrize("seed", [2])
def test_a_record_that_is_wrong_is_a_difference(
    scf_runtime: ScfRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    put = Kills._put

    def broken(kills: Kills, place: object, directory: Path) -> None:
        put(kills, place, directory)  # type: ignore[arg-type]
        for path in directory.iterdir():
            if path.stat().st_size == 0:
                path.unlink()

    monkeypatch.setattr(Kills, "_put", broken)
    differences = list(Sides(scf_runtime, random_handler(seed), tmp_path, 1).differences())
    assert any("which no kill of the sweep does" in each for each in differences)
