"""Rows about the sweep: an interruption beside the same by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from time import perf_counter

from pytest_scf_async.sweep.run import Run
from pytest_scf_async.sweep.sweep import Sweep

from .instances import HANDLERS, new_runtime
from .measure import Row, Sample

INTERRUPTIONS = 200
ROWS = 24
"""How many rows the handler counts: so it has about so many points."""
BY_HAND = 20


def swept() -> Sweep:
    """About so many interruptions of a handler, graceful and forced."""

    def each_run(run: Run) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}

    with new_runtime() as runtime:
        function = runtime.deploy("swept.py:main_handler")
        sweep = runtime.sweep(function, {"rows": ROWS}, each_run=each_run, limit=INTERRUPTIONS * 8 // 10)
    sweep.assert_survives()
    return sweep


@contextlib.contextmanager
def whole() -> Iterator[tuple[Sample, Sample]]:
    """The seconds of one interruption in a whole sweep, and of one by hand, each with what is invoked again."""

    def ours() -> float:
        start = perf_counter()
        runs = len(swept().runs)
        return (perf_counter() - start) / runs

    yield ours, by_hand


def by_hand() -> float:
    """Start the handler, stop it in a loop of short sleeps, and start it again: the seconds of one."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); time.sleep = lambda seconds: print('row', flush=True); "
        f"import swept; swept.main_handler({{'rows': {ROWS}}}, None)"
    )
    start = perf_counter()
    for _ in range(BY_HAND):
        with tempfile.TemporaryDirectory() as out:
            for interrupted in (True, False):
                with subprocess.Popen(
                    [sys.executable, "-c", code, HANDLERS], env={**os.environ, "OUT": out}, stdout=subprocess.PIPE
                ) as process:
                    assert process.stdout is not None
                    if interrupted:
                        process.stdout.readline()
                        process.send_signal(signal.SIGTERM)
                    process.communicate()
    return (perf_counter() - start) / BY_HAND


PAGES = 10
"""How many pages ``job.sh`` writes."""


@contextlib.contextmanager
def job() -> Iterator[tuple[Sample, Sample]]:
    """The seconds of one kill of a job in Bash, with its resume, and of a bare run of it; on average each does half of
    the job's work."""
    script = os.path.join(HANDLERS, "job.sh")

    def ours() -> float:
        with new_runtime() as runtime:
            function = runtime.deploy_image(["bash", script, "{path}"], port=-1)
            start = perf_counter()
            sweep = runtime.sweep(function, how="forced")
            seconds = perf_counter() - start
        sweep.assert_survives()
        return seconds / len(sweep.runs)

    def bare() -> float:
        start = perf_counter()
        for done in range(PAGES):
            with tempfile.TemporaryDirectory() as out:
                with open(os.path.join(out, "page"), "w", encoding="utf-8") as file:
                    file.write(str(done))
                subprocess.run(["bash", script, out], check=True)
        return (perf_counter() - start) / PAGES

    yield ours, bare


def rows() -> list[Row]:
    return [
        Row(
            "sweep-job",
            "one kill of a job in Bash with its resume, in a sweep / its bare run",
            "≤ 1.3 ×",
            job,
            most=1.3,
            rounds=5,
            quick_rounds=1,
            warm_up=0,
        ),
        Row(
            "sweep-whole",
            "one interruption with its resume, in a sweep of 200 / the same with Popen",
            "",
            whole,
            rounds=3,
            quick_rounds=1,
            warm_up=0,
        ),
    ]
