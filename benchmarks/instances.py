"""Rows about instances: cold and warm starts, sleeps, and the graceful termination beside the same by hand."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from pytest_scf_async import (
    ScfRuntime,
    ScfSettings,
    assert_finished,
    assert_signal_handled,
    assert_stopped_within,
)

from .floors import bare_fork, bare_round_trip
from .measure import Row, Sample, timed

HANDLERS = Path(__file__).parent / "handlers"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SLEEPS = 1_000
DAY = 86_400
WARM_INVOKES = 20


def new_runtime(leases: bool = True) -> ScfRuntime:
    return ScfRuntime(ScfSettings(start=START, leases=leases), lookup=[HANDLERS])


@contextlib.contextmanager
def cold() -> Iterator[tuple[Sample, Sample]]:
    with new_runtime() as runtime, bare_fork(HANDLERS / "plain.py") as floor:
        function = runtime.deploy("plain.py:main_handler")

        def ours() -> None:
            event = function.invoke_async({}).wait()
            assert event.result == 10
            runtime.clock.advance(300)  # idle for so long, the instance is reclaimed
            assert not event.instance.alive

        yield timed(ours), floor


@contextlib.contextmanager
def warm() -> Iterator[tuple[Sample, Sample]]:
    with new_runtime() as runtime, bare_round_trip() as floor:
        function = runtime.deploy("plain.py:main_handler")
        first = function.invoke_async({}).wait()

        def ours() -> None:
            for _ in range(WARM_INVOKES):
                event = function.invoke_async({}).wait()
                assert event.result == 10

        many = timed(ours)
        yield lambda: many() / WARM_INVOKES, floor
        assert first.instance.alive


@contextlib.contextmanager
def sleep() -> Iterator[tuple[Sample, Sample]]:
    with new_runtime(leases=False) as runtime, bare_round_trip() as floor:
        function = runtime.deploy("sleeper.py:main_handler")
        function.invoke_async({"seconds": 1}).wait()
        whole = timed(lambda: function.invoke_async({"seconds": SLEEPS}).wait().result)
        yield lambda: whole() / SLEEPS, floor


@contextlib.contextmanager
def day(seconds_each: int) -> Iterator[tuple[Sample, None]]:
    """A day of one-second sleeps; the seconds of all of them, or of *seconds_each* on the average."""
    with new_runtime() as runtime:
        function = runtime.deploy("sleeper.py:main_handler")
        function.invoke_async({"seconds": 1}).wait()

        def ours() -> None:
            event = function.invoke_async({"seconds": DAY - 1}).wait()
            assert event.status == "FINISHED"

        whole = timed(ours)
        yield lambda: whole() * seconds_each / (DAY - 1), None


def graceful(sleeps: bool) -> contextlib.AbstractContextManager[tuple[Sample, Sample]]:
    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample]]:
        payload = {"sleep": sleeps}

        def ours() -> None:
            with new_runtime() as runtime:
                event = runtime.deploy("stoppable.py:main_handler").invoke_async(payload)
                event.wait_for_log("ready")
                event.terminate(grace_shutdown=True)
                event.wait()
                assert_signal_handled(event)
                assert_stopped_within(event, seconds=1)
                assert_finished(event, result="stopped")

        yield timed(ours), timed(lambda: graceful_by_hand(payload))

    return prepare()


def graceful_by_hand(payload: dict[str, bool]) -> None:
    code = "import json, sys, stoppable; print(stoppable.main_handler(json.loads(sys.argv[1]), {}))"
    with subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(payload)], cwd=HANDLERS, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate()
    assert process.returncode == 0
    assert rest == "closed\nstopped\n"


def rows(root: bool) -> list[Row]:
    limit = 1.5 if root else 2.0
    return [
        Row("cold", "cold start, invoke, result, reclaim / bare fork", f"≤ {limit} ×", cold, limit),
        Row("warm", "warm invoke and result, stop and thaw / bare round trip", "≤ 3 ×", warm, 3.0, rounds=60),
        Row(
            "sleep", "one simulated sleep by message / bare round trip", "≤ 2 ×", sleep, 2.0, rounds=40, quick_rounds=10
        ),
        Row(
            "lease",
            "one simulated sleep under a lease",
            "< 1 µs",
            lambda: day(seconds_each=1),
            1e-6,
            unit="s",
            rounds=20,
            quick_rounds=5,
            warm_up=1,
        ),
        Row(
            "day",
            "24 h of one-second sleeps",
            "< 0.1 s",
            lambda: day(seconds_each=DAY),
            0.1,
            unit="s",
            rounds=20,
            quick_rounds=5,
            warm_up=1,
        ),
        Row(
            "graceful",
            "graceful test, handler never sleeps / by hand",
            "≥ 10 × faster",
            lambda: graceful(sleeps=False),
            1 / 10,
            rounds=60,
            quick_rounds=10,
        ),
        Row(
            "graceful-sleep",
            "graceful test, handler sleeps 1 s / by hand",
            "≥ 100 × faster",
            lambda: graceful(sleeps=True),
            1 / 100,
            rounds=9,
            quick_rounds=2,
            warm_up=1,
        ),
    ]
