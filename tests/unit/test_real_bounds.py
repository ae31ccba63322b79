"""Bounds in real time on a machine that is busy: what had no core is not what stands still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_scf_async import CannotEndError, ScfSettings
from pytest_scf_async.lockstep import calls, thread_reports
from pytest_scf_async.lockstep.calls import Call, Patience
from pytest_scf_async.protocol import procfs
from pytest_scf_async.protocol.kernel_waits import KernelWait


class Stopwatch:
    """Real time as the test has it pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(calls, "REAL", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


@pytest.fixture
def lockstep() -> Any:
    """As much of a lockstep as bounds look at."""
    return SimpleNamespace(
        progress=0,
        prompt_seconds=0.0,
        clock=SimpleNamespace(now_us=0),
        settings=ScfSettings(real_timeout=10, real_limit=120),
        pool=SimpleNamespace(instances=[], events={}),
        events_running=list,
    )


def looks(patience: Patience, watch: Stopwatch, every: float, seconds: float) -> None:
    """Look at the bounds *every* so many seconds, for that many."""
    for _ in range(round(seconds / every)):
        watch.now += every
        patience.check(None)


def test_a_call_ends_after_the_timeout_without_progress(watch: Stopwatch, lockstep: Any) -> None:
    patience = Patience(lockstep, Call("wait()", lambda: False))
    looks(patience, watch, 0.01, 9.99)
    lockstep.progress += 1
    looks(patience, watch, 0.01, 9.99)
    with pytest.raises(CannotEndError, match=r"^wait\(\) could not end: nothing has happened for 10 real seconds"):
        looks(patience, watch, 0.01, 0.05)


def test_time_in_which_the_tests_process_was_stopped_is_none_without_progress(watch: Stopwatch, lockstep: Any) -> None:
    patience = Patience(lockstep, Call("wait()", lambda: False))
    looks(patience, watch, 0.01, 1)
    watch.now += 100
    patience.check(None)
    looks(patience, watch, 0.01, 8)
    with pytest.raises(CannotEndError, match=r"nothing has happened for 10 real seconds"):
        looks(patience, watch, 0.01, 1)


def test_the_limit_of_a_call_is_real_time_whatever_becomes_of_it(watch: Stopwatch, lockstep: Any) -> None:
    patience = Patience(lockstep, Call("wait()", lambda: False))
    watch.now += 121
    with pytest.raises(CannotEndError, match=r"the call took 120 real seconds"):
        patience.check(None)


WAIT = KernelWait("recv() on a connection to 127.0.0.1:80", ())


def still_waits(monkeypatch: pytest.MonkeyPatch, *pictures: tuple[Any, ...]) -> set[int]:
    """Which threads are found to wait, when looks at ``/proc`` find these pictures; the last one for ever."""
    seen = list(pictures)
    monkeypatch.setattr(thread_reports, "STILL_SECONDS", 0)
    monkeypatch.setattr(thread_reports, "waits_of", lambda _: {1: WAIT, 2: WAIT})
    monkeypatch.setattr(procfs, "activity", lambda _: (False, seen.pop(0) if len(seen) > 1 else seen[0]))
    return set(thread_reports._still_waits(7))


def test_a_thread_that_had_no_core_on_its_way_into_a_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = iter(range(10_000))
    monkeypatch.setattr(thread_reports, "REAL", SimpleNamespace(monotonic=lambda: next(passed) * 0.05))
    on_its_way = (("1", "S", b"5 5 5"), ("2", "R", b"5 5 5"))
    there = (("1", "S", b"5 5 5"), ("2", "S", b"6 9 6"))

    assert still_waits(monkeypatch, *[on_its_way] * 20, there) == {1, 2}


def test_a_thread_that_runs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [(("1", "S", b"5 5 5"), ("2", "R", b"%d 5 5" % number)) for number in range(100_000)]

    assert still_waits(monkeypatch, *runs) == {1}
