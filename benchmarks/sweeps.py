"""Rows about the sweep: an interruption by a branch beside a bare fork, and beside the same by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from pytest_scf_async.sweep import sweep as sweep_of_function
from pytest_scf_async.sweep.run import Run
from pytest_scf_async.sweep.sweep import Sweep

from .instances import HANDLERS, new_runtime
from .measure import Row, Sample

INTERRUPTIONS = 1_000
ROWS = 120
"""How many rows the handler counts: so it has about so many points."""
FORKS = 200
BY_HAND = 20

_FORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from time import perf_counter as clock
import gc, os
from pytest_scf_async.bootstrap import zygote
gc.disable()
gc.collect()
gc.freeze()
os.sched_setaffinity(0, {int(sys.argv[2])})
forks = int(sys.argv[3])
for line in sys.stdin:
    start = clock()
    for _ in range(forks):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    print(clock() - start, flush=True)
"""


@contextlib.contextmanager
def bare_forks() -> Iterator[Sample]:
    """Fork a process of the zygote's size and reap it, on all cores at once: the seconds of one."""
    project = Path(__file__).parent.parent
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as opened:
        forkers = [
            opened.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _FORKER, project, str(core), str(FORKS)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for core in cores
        ]

        def sample() -> float:
            for forker in forkers:
                assert forker.stdin is not None
                forker.stdin.write("again\n")
                forker.stdin.flush()
            seconds = []
            for forker in forkers:
                assert forker.stdout is not None
                seconds.append(float(forker.stdout.readline()))
            return max(seconds) / (FORKS * len(cores))

        yield sample


def swept() -> Sweep:
    """1,000 interruptions of a handler, graceful and forced."""

    def each_run(run: Run) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}

    with new_runtime() as runtime:
        function = runtime.deploy("swept.py:main_handler")
        sweep = runtime.sweep(function, {"rows": ROWS}, each_run=each_run, limit=INTERRUPTIONS * 8 // 10)
    sweep.assert_survives()
    return sweep


@contextlib.contextmanager
def interruptions() -> Iterator[tuple[Sample, Sample]]:
    """The seconds of one interruption, without what is invoked again after it."""
    first_stops, sweep_of_function._FIRST_STOPS = sweep_of_function._FIRST_STOPS, 0
    try:
        with bare_forks() as floor:

            def ours() -> float:
                facts = swept()._swept
                assert facts.branched >= INTERRUPTIONS * 0.9
                return facts.branch_seconds / facts.branched

            yield ours, floor
    finally:
        sweep_of_function._FIRST_STOPS = first_stops


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


def rows() -> list[Row]:
    return [
        Row(
            "sweep-interruption",
            "one of 1,000 interruptions, without resumes / bare fork on all cores",
            "≤ 1.67 ×",
            interruptions,
            1 / 0.6,
            rounds=5,
            quick_rounds=2,
            warm_up=1,
        ),
        Row(
            "sweep-whole",
            "one interruption with its resume, in a sweep of 1,000 / the same with Popen",
            "",
            whole,
            rounds=3,
            quick_rounds=1,
            warm_up=0,
        ),
    ]
