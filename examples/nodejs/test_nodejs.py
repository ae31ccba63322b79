"""A Node.js function at a graceful termination: exactly when, what it wrote, and that its instance is used again."""

from datetime import timedelta
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfRuntime,
    SimulatedClock,
    assert_finished,
    assert_logged,
    assert_reused,
    assert_signal_received,
    assert_stopped_within,
)

pytestmark = pytest.mark.nodejs


@pytest.fixture
def export(scf_runtime: ScfRuntime, tmp_path: Path):
    return scf_runtime.deploy(
        "function", runtime="Nodejs18.15", name="export", environment={"OUT": str(tmp_path)}, mounts=[tmp_path]
    )


def test_hours_of_rows(export: Function):
    event = export.invoke_async({"rows": 300}).wait()
    assert_finished(event, result={"rows": 300})
    assert event.duration == timedelta(minutes=300)


def test_it_stops_at_the_end_of_the_row(export: Function, scf_clock: SimulatedClock, tmp_path: Path):
    event = export.invoke_async({"rows": 1000})
    scf_clock.advance(150)  # in the middle of row 3
    event.terminate(grace_shutdown=True)
    assert_logged(event, "stopping")
    event.wait()

    assert_signal_received(event)
    assert_finished(event, result={"rows": 3})
    assert_stopped_within(event, seconds=30)
    assert (tmp_path / "checkpoint").read_text() == "3"
    assert_reused(event, by=export.invoke_async({"rows": 2}).wait())


def test_console_log_has_the_time_and_the_request(export: Function):
    event = export.invoke_async({"rows": 1}).wait()
    assert_logged(event, f"Z\t{event.request_id}\trow 1 of export")
