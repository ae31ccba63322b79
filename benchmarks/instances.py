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
from time import clock_gettime, process_time

from pytest_scf_async import (
    ScfRuntime,
    ScfSettings,
    assert_finished,
    assert_signal_handled,
    assert_stopped_within,
)
from pytest_scf_async.instances import prefork
from pytest_scf_async.linux.linux import cpu_clock_of

from .floors import bare_fork, bare_round_trip
from .measure import Row, Sample, timed

HANDLERS = Path(__file__).parent / "handlers"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SLEEPS = 1_000
DAY = 86_400
WARM_INVOKES = 20
BESIDE = 200


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
            assert event.instance is not None
            assert not event.instance.alive

        yield timed(ours), floor


@contextlib.contextmanager
def forked_ahead() -> Iterator[tuple[Sample, Sample]]:
    """From the call to the result, of an instance whose process was forked when the call before had returned."""
    with new_runtime() as runtime, bare_fork(HANDLERS / "plain.py") as floor:
        function = runtime.deploy("plain.py:main_handler")

        def ours() -> float:
            zygote = runtime._pool.sandboxes.zygote()
            ahead = prefork._preforked.get(zygote)
            assert ahead is None or zygote.receive_until(lambda: ahead.pid > 0, 60)
            seconds = timed(lambda: function.invoke_async({}).wait().result)()
            runtime.clock.advance(300)  # idle for so long, the instance is reclaimed
            return seconds

        yield ours, floor


@contextlib.contextmanager
def with_imports() -> Iterator[tuple[Sample, Sample]]:
    """Processor time of an instance, from its fork to its result: of a module that begins with imports, and without."""

    def sample(name: str) -> float:
        with new_runtime() as runtime:
            instance = runtime.deploy(f"{name}.py:main_handler").invoke_async({}).wait().instance
            assert instance is not None
            return clock_gettime(cpu_clock_of(instance.pid))

    yield lambda: sample("imports"), lambda: sample("plain")


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
        assert first.instance is not None
        assert first.instance.alive


def sleep(cores: int) -> contextlib.AbstractContextManager[tuple[Sample, Sample]]:
    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample]]:
        with new_runtime(leases=False) as runtime, bare_round_trip(cores) as floor:
            function = runtime.deploy("sleeper.py:main_handler")
            function.invoke_async({"seconds": 1}).wait()
            whole = timed(lambda: function.invoke_async({"seconds": SLEEPS}).wait().result)
            yield lambda: whole() / SLEEPS, floor

    return prepare()


@contextlib.contextmanager
def sleep_beside() -> Iterator[tuple[Sample, Sample]]:
    """Processor time of the test's process for one sleep by message: beside many instances, and alone."""
    with new_runtime(leases=False) as many, new_runtime(leases=False) as one:
        for runtime, others in ((many, BESIDE), (one, 0)):
            function = runtime.deploy("sleeper.py:main_handler", max_instances=BESIDE + 1)
            for _ in range(others):
                function.invoke_async({"seconds": 1, "each": DAY - 1})
            runtime.clock.advance(0)

        def sample(runtime: ScfRuntime) -> float:
            start = process_time()
            runtime.functions["sleeper"].invoke_async({"seconds": SLEEPS}).wait()
            return (process_time() - start) / SLEEPS

        yield lambda: sample(many), lambda: sample(one)


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
        Row(
            "cold-ahead",
            "cold start, invoke to result, forked ahead / bare fork",
            "≤ 1 ×",
            forked_ahead,
            1.0,
        ),
        Row(
            "cold-imports",
            "cold start, the module begins with five imports / it does not (processor time)",
            "≤ 1.5 ×",
            with_imports,
            1.5,
            rounds=60,
        ),
        Row("warm", "warm invoke and result, stop and thaw / round trip of two cores", "≤ 3 ×", warm, 3.0, rounds=60),
        Row(
            "sleep",
            "one simulated sleep by message / round trip of two cores",
            "≤ 1 ×",
            lambda: sleep(cores=2),
            1.0,
            rounds=40,
            quick_rounds=10,
        ),
        Row(
            "sleep-one-core",
            "one simulated sleep by message / round trip on one core",
            "≤ 4 ×",
            lambda: sleep(cores=1),
            4.0,
            rounds=40,
            quick_rounds=10,
        ),
        Row(
            "sleep-beside",
            f"a sleep by message beside {BESIDE} instances / alone (processor time)",
            "≤ 1.5 ×",
            sleep_beside,
            1.5,
            rounds=20,
            quick_rounds=5,
            warm_up=1,
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
            "",
            lambda: graceful(sleeps=False),
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
