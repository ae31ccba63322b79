"""The line that shows how far a sweep is: its text, and how often it is written."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_scf_async.sweep import progress

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "REAL", SimpleNamespace(monotonic=lambda: clock.seconds))
    return clock


def test_it_is_written_four_times_a_second_at_most(now: SimpleNamespace) -> None:
    shown: list[str] = []
    line = progress.Progress(shown.append)
    for done in range(1, 1001):
        now.seconds += 0.01
        line.come_to(done, 1000, done // 100)
    assert 36 <= len(shown) <= 40
    assert all(text.startswith("sweep: ") for text in shown)


def test_it_says_what_is_done_what_failed_and_what_time_is_left(now: SimpleNamespace) -> None:
    shown: list[str] = []
    line = progress.Progress(shown.append)
    now.seconds += 100  # the undisturbed runs
    line.come_to(500, 6000, 0)
    now.seconds += 20
    line.come_to(1500, 6000, 3)
    line.end()
    assert shown == [
        "sweep: 500 of 6,000 interruptions, 0 failed",
        "sweep: 1,500 of 6,000 interruptions, 3 failed, 90 s left",
        "",
    ]


def test_a_short_sweep_has_none(now: SimpleNamespace) -> None:
    shown: list[str] = []
    line = progress.Progress(shown.append)
    now.seconds += 0.2
    line.come_to(1, 1, 0)
    line.end()
    assert shown == []
