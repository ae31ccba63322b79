"""A function in bash, as a custom runtime: it is stopped in the middle, keeps where it was, and goes on from there."""

from datetime import timedelta
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfRuntime,
    SimulatedClock,
    assert_failed,
    assert_finished,
    assert_log_order,
    assert_reused,
    assert_stopped_within,
)

pytestmark = pytest.mark.curl


@pytest.fixture
def export(scf_runtime: ScfRuntime, tmp_path: Path):
    return scf_runtime.deploy(
        "function", runtime="CustomRuntime", name="export", environment={"OUT": str(tmp_path)}, mounts=[tmp_path]
    )


def test_an_interrupted_export_goes_on_where_it_was(export: Function, scf_clock: SimulatedClock, tmp_path: Path):
    event = export.invoke_async(30)
    scf_clock.advance(150)  # in the middle of row 3
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_finished(event, result=3)
    assert_stopped_within(event, seconds=30)  # bash runs a trap when its `sleep 60` has ended
    assert (tmp_path / "checkpoint").read_text() == "3\n"

    again = export.invoke_async(30).wait()
    assert_finished(again, result=30)
    assert_log_order(again, ["row 4", "row 30"])
    assert again.duration == timedelta(minutes=27)
    assert_reused(event, by=again)


def test_an_error_is_pushed(export: Function):
    assert_failed(export.invoke_async("ten").wait(), code=430)
