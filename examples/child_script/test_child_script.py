"""A handler that has a shell script sleep for hours: is the script stopped in time, and does nothing of it stay?"""

from datetime import timedelta
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfRuntime,
    SimulatedClock,
    assert_finished,
    assert_signal_received,
    assert_stopped_within,
    assert_timed_out,
)

DAYS = ["monday", "tuesday", "wednesday"]


@pytest.fixture
def archive(scf_runtime: ScfRuntime, tmp_path: Path):
    return scf_runtime.deploy(
        "handlers/archive.py:main_handler",
        children="simulated",
        environment={"OUT": str(tmp_path)},
        mounts=[tmp_path],
        timeout=3600,
    )


def test_the_script_sleeps_ten_minutes_for_each_day(archive: Function):
    event = archive.invoke_async({"days": DAYS}).wait()

    assert_finished(event, result={"complete": True, "code": 0})
    assert event.duration == timedelta(minutes=30)


def test_a_graceful_stop_brings_the_day_to_its_end(archive: Function, scf_clock: SimulatedClock, tmp_path: Path):
    event = archive.invoke_async({"days": DAYS})
    scf_clock.advance(timedelta(minutes=14))
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_finished(event, result={"complete": False, "code": 75})
    assert_signal_received(event)
    assert_stopped_within(event, seconds=360)
    assert (tmp_path / "archived").read_text() == "monday\ntuesday\n"


def test_more_days_than_an_hour_has_room_for(archive: Function, tmp_path: Path):
    event = archive.invoke_async({"days": [*DAYS, *DAYS, *DAYS]}).wait()

    assert_timed_out(event)
    assert len((tmp_path / "archived").read_text().splitlines()) == 5
