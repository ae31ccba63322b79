"""Rows about kinds of waits in a handler, and about what its clocks, locks and queues cost beside the plain ones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import ModuleType

from pytest_scf_async import ScfRuntime, ScfSettings
from pytest_scf_async.protocol.real_time import REAL
from pytest_scf_async.trace.facts import OfTest, trace_facts
from pytest_scf_async.trace.page import page

from .floors import bare_round_trip
from .measure import Row, Sample, timed

HANDLERS = Path(__file__).parent / "handlers"
WAITS = 500
STEPS = 100_000
TRACED = 10_000
LARGEST = 2_000_000
"""Characters of such a trace."""
MINUTES_OF_A_DAY = 1_439
"""Less one: at 24 hours an event times out."""

KINDS = {"on_main": "on the main thread", "on_a_thread": "on a second thread", "in_asyncio": "in asyncio"}
CLOCKS = {"reads_time": ("time.time()", 0.05e-6), "reads_datetime": ("datetime.now()", 0.2e-6)}
"""What reads it, and how many seconds a read may take at most."""
STATES = {"locks": "Lock", "rlocks": "RLock", "queues": "Queue", "simple_queues": "SimpleQueue"}


@contextlib.contextmanager
def in_a_handler(what: str, count: int, leases: bool = True) -> Iterator[Sample]:
    """Have a warm handler do *what* as often as *count* says; the seconds of one, without those of an event."""
    settings = ScfSettings(leases=leases, clock_reads_before_wait=1_000_000_000)
    with ScfRuntime(settings, lookup=[HANDLERS]) as runtime:
        function = runtime.deploy("waiter.py:main_handler")
        function.run({"what": what, "count": 1})
        whole = timed(lambda: function.run({"what": what, "count": count}))
        empty = timed(lambda: function.run({"what": what, "count": 0}))
        yield lambda: (whole() - empty()) / count


def waiting(kind: str, leases: bool) -> AbstractContextManager[tuple[Sample, Sample | None]]:
    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample | None]]:
        with in_a_handler(kind, WAITS, leases) as ours, bare_round_trip() as floor:
            yield ours, None if leases else floor

    return prepare()


def plain(what: str) -> AbstractContextManager[tuple[Sample, Sample]]:
    """The same in a handler and in this process, where nothing is patched."""

    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample]]:
        step = getattr(waiter(), what)

        def floor() -> float:
            start = REAL.monotonic()
            step(STEPS)
            return (REAL.monotonic() - start) / STEPS

        with in_a_handler(what, STEPS) as ours:
            yield ours, floor

    return prepare()


def waiter() -> ModuleType:
    sys.path.insert(0, str(HANDLERS))
    try:
        import waiter  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(HANDLERS))
    return waiter  # type: ignore[no-any-return]


@contextlib.contextmanager
def day_of_four_threads() -> Iterator[tuple[Sample, None]]:
    with in_a_handler("on_four_threads", MINUTES_OF_A_DAY) as each:
        yield lambda: each() * MINUTES_OF_A_DAY, None


@contextlib.contextmanager
def trace_of_waits() -> Iterator[tuple[Sample, None]]:
    """The trace of an event whose two threads wait by turns, as a page."""
    with ScfRuntime(lookup=[HANDLERS]) as runtime:
        event = runtime.deploy("waiter.py:main_handler").invoke_async({"what": "takes_turns", "count": TRACED // 2})
        event.wait()
        of_test = OfTest("test_it.py::test_it", "failed", str(HANDLERS), "AssertionError")

        def ours() -> None:
            assert len(page(trace_facts(of_test, [event], []))) < LARGEST

        yield timed(ours), None


def rows() -> list[Row]:
    row = partial(Row, goal="", rounds=20, quick_rounds=5, warm_up=1)
    found = []
    for kind, where in KINDS.items():
        message, lease = (partial(waiting, kind, leases=leases) for leases in (False, True))
        found.append(row(f"{kind}-message", f"one wait {where}, by message / bare round trip", prepare=message))
        found.append(row(f"{kind}-lease", f"one wait {where}, under a lease", prepare=lease, unit="s"))
    what = "24 h of a handler with four threads"
    found.append(row("four-threads", what, prepare=day_of_four_threads, unit="s"))
    what, goal = f"a trace of {TRACED:,} waits, of 2 MB at most", "≤ 0.3 s"
    found.append(row("trace-file", what, prepare=trace_of_waits, goal=goal, most=0.3, unit="s"))
    for step, (shown, most) in CLOCKS.items():
        what, goal = f"{shown} in a handler / a plain one", f"< {most * 1e6:g} µs"
        found.append(row(step, what, prepare=partial(plain, step), goal=goal, most=most, unit="s"))
    for step, shown in STATES.items():
        what = f"a step with a {shown} in a handler / a plain one"
        found.append(row(step, what, prepare=partial(plain, step)))
    return found
