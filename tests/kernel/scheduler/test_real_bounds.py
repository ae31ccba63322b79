"""Bounds in real time on a busy machine: a process that got no processor does not count as standing still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from internals import (
    Call,
    KernelWait,
    Remark,
    Snapshot,
    Waited,
    Watchdog,
    Written,
    calls,
    procfs,
    state,
    thread_reports,
    watchdog,
)

from pytest_scf_async import CannotEndError, ScfSettings


class Stopwatch:
    """Real time as the test has it pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (calls, watchdog):
            monkeypatch.setattr(module, "REAL", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


@pytest.fixture
def lockstep() -> Any:
    """As much of a lockstep as bounds read."""
    made = SimpleNamespace(
        progress=0,
        prompt_seconds=0.0,
        clock=SimpleNamespace(now_us=0),
        settings=ScfSettings(real_timeout=10, real_limit=120),
        pool=SimpleNamespace(instances=[], events={}, stirring=list),
        events_running=list,
    )
    made.snapshot = lambda: Snapshot(made.clock.now_us, made.events_running(), str)
    return made


def looks(watchdog: Watchdog, watch: Stopwatch, every: float, seconds: float) -> None:
    """Check the bounds *every* so many seconds, for that many."""
    for _ in range(round(seconds / every)):
        watch.now += every
        watchdog.check(None)


def test_a_call_ends_after_the_timeout_without_progress(watch: Stopwatch, lockstep: Any) -> None:
    watchdog = Watchdog(lockstep, Call("wait()", lambda: False))
    looks(watchdog, watch, 0.01, 9.99)
    lockstep.progress += 1
    looks(watchdog, watch, 0.01, 9.99)
    with pytest.raises(CannotEndError, match=r"^wait\(\) could not end: nothing has happened for 10 real seconds"):
        looks(watchdog, watch, 0.01, 0.05)


def test_time_in_which_the_tests_process_was_stopped_is_none_without_progress(watch: Stopwatch, lockstep: Any) -> None:
    watchdog = Watchdog(lockstep, Call("wait()", lambda: False))
    looks(watchdog, watch, 0.01, 1)
    watch.now += 100
    watchdog.check(None)
    looks(watchdog, watch, 0.01, 8)
    with pytest.raises(CannotEndError, match=r"nothing has happened for 10 real seconds"):
        looks(watchdog, watch, 0.01, 1)


def test_the_limit_of_a_call_is_real_time_whatever_becomes_of_it(watch: Stopwatch, lockstep: Any) -> None:
    watchdog = Watchdog(lockstep, Call("wait()", lambda: False))
    watch.now += 121
    with pytest.raises(CannotEndError, match=r"the call took 120 real seconds"):
        watchdog.check(None)


def test_a_call_that_has_passed_time_says_how_much_and_what_to_raise(watch: Stopwatch, lockstep: Any) -> None:
    def running(number: int, does: state.InstanceState, *entries: Any) -> Any:
        instance = SimpleNamespace(
            state=does, doing=lambda: does.doing(held=False), traces_user_code=False, waits_in="acquire()"
        )
        configuration = SimpleNamespace(name="export", deployed_by="deploy", timeout=60)
        function = SimpleNamespace(configuration=configuration)
        return SimpleNamespace(
            request_id=number, instance=instance, function=function, timeline=list(entries), phase="running"
        )

    parked = state.start(in_lockstep=True)
    accepted = Remark(7_000_000, "accepted")
    counts = (("a", 5), ("b", 4000), ("a", 6))
    ticks = [Waited(8_000_000, description, 9_000_000, times, awaits=None) for description, times in counts]
    logs = Written(10_000_000, "a line")
    events = [
        running(1, parked, accepted, *ticks),
        running(2, state.after(parked, state.InstanceFact.INVOKED).state, accepted, logs),
        running(3, parked, accepted, Waited(7_000_000, "acquire()", 7_000_000, 1, awaits=None)),
    ]
    lockstep.events_running = lambda: events
    lockstep.clock.now_us = 7_000_000
    watchdog = Watchdog(lockstep, Call("wait()", lambda: False))
    watch.now += 121
    lockstep.clock.now_us += 26_292_400_000
    with pytest.raises(CannotEndError) as raised:
        watchdog.check(None)

    first, *lines = str(raised.value).splitlines()
    assert first == (
        "wait() could not end: the call took 120 real seconds (real_limit, ScfSettings(...)), "
        "in which 26,292.4 simulated seconds passed."
    )
    assert lines[:3] == [
        "event 1 of export is making progress: its most frequent wait is b, 4,000 times",
        "event 2 of export is making progress",
        "event 3 of export is parked in acquire()",
    ]
    assert len(lines) == 4
    assert "raise real_limit (scf_async_real_limit in the ini file)" in lines[3]


WAIT = KernelWait("recv() on a connection to 127.0.0.1:80", ())


def still_waits(monkeypatch: pytest.MonkeyPatch, *pictures: tuple[Any, ...]) -> set[int]:
    """Which threads are found to wait, when reads of ``/proc`` give these snapshots; the last one for ever."""
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
