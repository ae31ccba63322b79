"""Rows about a whole suite of graceful terminations under pytest, beside the same tests written by hand."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .measure import Row, Sample
from .start import environment

HANDLERS = Path(__file__).parent / "handlers"
TESTS = 500
TESTS_BY_HAND = 50
"""Enough for a time per test."""

_OURS = f"""
import pytest
from pytest_scf_async import assert_finished, assert_signal_handled, assert_stopped_within

@pytest.mark.parametrize("number", range({TESTS}))
@pytest.mark.scf_function({os.fspath(HANDLERS / "stoppable.py") + ":main_handler"!r}, payload={{"sleep": False}})
def test_it_stops(async_event, number):
    async_event.wait_for_log("ready")
    async_event.terminate(grace_shutdown=True)
    async_event.wait()
    assert_signal_handled(async_event)
    assert_stopped_within(async_event, seconds=1)
    assert_finished(async_event, result="stopped")
"""
_BY_HAND = f"""
import signal, subprocess, sys
import pytest

CODE = "import stoppable; print(stoppable.main_handler(dict(sleep=False), None))"

@pytest.mark.parametrize("number", range({TESTS_BY_HAND}))
def test_it_stops(number):
    with subprocess.Popen(
        [sys.executable, "-c", CODE], cwd={os.fspath(HANDLERS)!r}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\\n"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate()
    assert process.returncode == 0
    assert rest == "closed\\nstopped\\n"
"""
# What is timed is the tests alone: from the start of the first to the end of the last, whatever starts before.
_TIMES = """
from time import perf_counter
times = []
def pytest_runtest_logstart():
    times.append(perf_counter())
def pytest_runtest_logfinish():
    times.append(perf_counter())
def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        config.rootpath.joinpath("seconds").write_text(str(times[-1] - times[0]))
"""


def seconds_a_test(directory: str, tests: int, workers: int) -> float:
    distributed = ["-n", str(workers)] if workers > 1 else []
    ini = ["-c", os.devnull, "--rootdir", directory]
    without = [word for name in ("cacheprovider", "randomly", "asyncio", "anyio") for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", *ini, *without, *distributed]
    done = subprocess.run(
        command, cwd=directory, env=environment(directory), capture_output=True, text=True, check=False
    )
    assert f"{tests} passed" in done.stdout, done.stdout
    return float(Path(directory, "seconds").read_text()) / tests


def suite(workers: int) -> contextlib.AbstractContextManager[tuple[Sample, Sample]]:
    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample]]:
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as ours, tempfile.TemporaryDirectory() as by_hand:
            for directory, source in ((ours, _OURS), (by_hand, _BY_HAND)):
                Path(directory, "test_suite.py").write_text(source)
                Path(directory, "conftest.py").write_text(_TIMES)
            alone = lambda: seconds_a_test(ours, TESTS, 1)  # noqa: E731
            hand = lambda: seconds_a_test(by_hand, TESTS_BY_HAND, 1)  # noqa: E731
            yield (alone, hand) if workers == 1 else (lambda: seconds_a_test(ours, TESTS, workers), alone)

    return prepare()


def rows() -> list[Row]:
    rounds = partial(Row, rounds=5, quick_rounds=1, warm_up=1)
    test = f"a graceful test of a suite of {TESTS}"
    return [
        rounds("suite", f"{test} / by hand", "≥ 4 × faster", lambda: suite(1), 1 / 4),
        rounds("suite-2", f"{test}, -n 2 / in one process", "≥ 1.7 × faster", lambda: suite(2), 1 / 1.7),
    ]
