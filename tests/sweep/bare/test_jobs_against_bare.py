"""Jobs in several languages, each right and wrong: the sweep says what bare processes show that are killed at random.

A bare process is started, killed at a random moment, and started again until it exits with 0. What is there then is
compared with what an undisturbed one leaves, by code that shares nothing with the package. The sweep finds what that
finds, and finds nothing in the right form of a job, where that finds nothing either.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bare_processes import Listing, listing
from jobs import PROGRAMS, Program
from sweeping import bare_repro, each_run

from pytest_scf_async import ScfRuntime

# once: what a kill leaves is the kernel's doing
pytestmark = pytest.mark.once
KILLS = int(os.environ.get("SCF_KILLS", "5"))
"""Random kills of each job in its right form. Those of the wrong form are made by `make kills` alone: each run of this
test proves the loss with a repro, which is a bare process, too.
"""
STARTS = 6
MARKS = {"js": [pytest.mark.nodejs], "go": [pytest.mark.go], "c": [pytest.mark.cc]}


def started(command: list[str], project: Path, out: Path) -> subprocess.Popen[bytes]:
    first, *others = (str(out) if word == "{path}" else word for word in command)
    return subprocess.Popen(
        [sys.executable if first == "python" else first, *others],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def left_by(command: list[str], project: Path, out: Path, kill_after: float | None) -> Listing | None:
    """What bare processes leave, of which the first one is killed; None: the work is never done."""
    out.mkdir()
    for number in range(STARTS + 1):
        process = started(command, project, out)
        if number or kill_after is None:
            code = process.wait(60)
        else:
            code = process.returncode if ends_within(process, kill_after) else None
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)  # it is not reaped yet: the group is ours, with its children
                process.wait(60)
        if code == 0:
            return listing(str(out))
    return None


def lost(expected: Listing, found: Listing | None) -> bool:
    """Whether something is not as an undisturbed process leaves it; what is left behind is no loss."""
    return found is None or any(found.get(name) != content for name, content in expected.items())


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(each.ending, ())) for name, each in PROGRAMS.items()])
def program(request: pytest.FixtureRequest) -> Program:
    return PROGRAMS[request.param]


@pytest.mark.parametrize("form", ["right", "wrong"])
def test_it_says_what_bare_processes_show(scf_runtime: ScfRuntime, tmp_path: Path, program: Program, form: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    command = program.command(project, form)
    function = scf_runtime.deploy_image(command, cwd=project, port=-1, in_process=program.ending == "py")
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")

    began = time.monotonic()
    expected = left_by(command, project, tmp_path / "undisturbed", None)
    whole = time.monotonic() - began
    assert expected
    rng = random.Random(f"{command} {form}")
    kills = KILLS if form == "right" or "SCF_KILLS" in os.environ else 0
    moments = [rng.uniform(0, whole) for _ in range(kills)]
    bad = [at for at in moments if lost(expected, left_by(command, project, tmp_path / f"killed-{at}", at))]

    print(f"{len(bad)} of {kills} kills of a bare process, which runs for {whole:.2f} s, lose something")
    if form == "right":
        assert not sweep.failures, sweep.report
        assert not bad, f"killed after {bad[0]:.4f} of {whole:.4f} s it has lost something, and the sweep finds nothing"
        return
    assert sweep.failures, sweep.report
    repro = sweep.failures[0].write_repro(tmp_path / "repro")
    code, printed = bare_repro(repro)
    assert code == 1, printed
    code, printed = bare_repro(repro, "undisturbed")
    assert code == 0, printed
