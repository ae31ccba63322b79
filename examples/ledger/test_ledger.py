"""A forced termination is SIGKILL: nothing can be saved then, so what counts is what was saved before."""

import json
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfRuntime,
    SimulatedClock,
    assert_finished,
    assert_no_signal,
    assert_nothing_lost,
    assert_terminated,
)


@pytest.fixture
def ledger(scf_runtime: ScfRuntime, tmp_path: Path):
    return scf_runtime.deploy("handlers/ledger.py:main_handler", environment={"OUT": str(tmp_path)})


def numbers(directory: Path):
    return [json.loads(line)["number"] for line in (directory / "ledger.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("seconds", [5, 7.5, 60, 4_999])
def test_whenever_it_is_terminated_what_was_reported_safe_is_there(
    ledger: Function, tmp_path: Path, scf_clock: SimulatedClock, seconds: int
):
    event = ledger.invoke_async({"entries": 1_000})
    scf_clock.advance(seconds)
    event.terminate()

    assert_terminated(event)
    assert_no_signal(event)
    assert_nothing_lost(event)
    reported = [line for line in str(event.log).splitlines() if line.endswith("is safe")]
    assert numbers(tmp_path) == list(range(len(reported))) == list(range(int(seconds // 5)))


def test_the_worst_moment_is_between_the_write_and_the_report(ledger: Function, tmp_path: Path):
    event = ledger.invoke_async({"entries": 10}).run_to("ledger.py:20#3")  # print, the third time
    event.terminate()

    assert "entry 2 is safe" not in str(event.log)
    assert numbers(tmp_path) == [0, 1, 2]


def test_the_next_event_goes_on_behind_the_last_entry(ledger: Function, tmp_path: Path, scf_clock: SimulatedClock):
    first = ledger.invoke_async({"entries": 10})
    scf_clock.advance(32)
    first.terminate()
    second = ledger.invoke_async({"entries": 10}).wait()

    assert_finished(second, result={"began_at": 6, "entries": 10})
    assert numbers(tmp_path) == list(range(10))
