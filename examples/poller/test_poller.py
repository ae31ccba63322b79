"""A function that waits for up to 24 hours: hours of sleep, two ways to stop it, and what can be queried afterwards."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfApiError,
    ScfRuntime,
    ScfSettings,
    SimulatedClock,
    assert_expired,
    assert_finished,
    assert_no_signal,
    assert_reclaimed,
    assert_signal_received,
    assert_status,
    assert_stopped_within,
    assert_terminated,
    assert_timed_out,
)


@pytest.fixture
def scf_settings():
    return ScfSettings(start=datetime(2026, 1, 1, 20, 0, tzinfo=timezone.utc))


@pytest.fixture
def job(tmp_path: Path):
    return tmp_path / "job"


@pytest.fixture
def poller(scf_runtime: ScfRuntime, job: Path):
    return scf_runtime.deploy("handlers/poller.py:main_handler", environment={"JOB": str(job)})


def test_a_whole_day_of_sleep(poller: Function):
    event = poller.invoke_async({}).wait()

    assert_finished(event, result={"job": "not done within a day", "looks": 1_435})
    assert event.duration == timedelta(hours=23, minutes=55)


def test_without_a_reserve_the_platform_ends_it(poller: Function):
    event = poller.invoke_async({"reserve": 0}).wait()

    assert_timed_out(event)
    assert event.duration == timedelta(hours=24)


def test_a_job_that_is_done_after_six_hours(poller: Function, job: Path, scf_clock: SimulatedClock):
    event = poller.invoke_async({})
    scf_clock.advance(timedelta(hours=6))
    job.write_text("all good")
    event.wait()

    assert_finished(event, result={"job": "all good", "looks": 362})
    assert "waiting since 20:00" in str(event.log)
    assert "done at 02:01" in str(event.log)  # the check at 02:00 came before the job was done


def test_terminated_by_force(poller: Function, scf_clock: SimulatedClock):
    event = poller.invoke_async({})
    scf_clock.advance(timedelta(hours=10))
    event.terminate()

    assert_terminated(event)
    assert_no_signal(event)
    assert_reclaimed(event)
    assert event.duration == timedelta(hours=10)


def test_terminated_by_sigterm(poller: Function, scf_clock: SimulatedClock):
    event = poller.invoke_async({})
    scf_clock.advance(timedelta(hours=10, seconds=30))
    event.terminate(grace_shutdown=True)

    assert_signal_received(event)
    assert event.signals[0].raised == "Stop"  # which cuts the sleep short: a handler that sets a flag would sleep on
    assert_stopped_within(event, seconds=0)
    assert_finished(event, result={"job": "cancelled", "looks": 601})


def test_its_status_can_be_queried_for_three_days(scf_runtime: ScfRuntime, poller: Function, scf_clock: SimulatedClock):
    ended, running = poller.invoke_async({}), poller.invoke_async({})
    ended.terminate(when="now")
    scf_clock.advance(timedelta(hours=1))

    page = scf_runtime.list_async_events("poller")
    assert page.total_count == 2
    assert {row.invoke_request_id: row.status for row in page.events} == {
        ended.request_id: "ABORTED",
        running.request_id: "RUNNING",
    }
    only = scf_runtime.list_async_events("poller", status=["RUNNING"])
    assert [row.invoke_request_id for row in only.events] == [running.request_id]
    answer = scf_runtime.get_async_event_status(ended.request_id)
    assert (answer.status, answer.status_code) == ("ABORTED", 499)
    with pytest.raises(ScfApiError, match=r"FailedOperation\.AsyncEventStatus"):
        scf_runtime.terminate_async_event("poller", ended.request_id)

    scf_clock.advance(timedelta(hours=71) - timedelta(microseconds=1))
    assert scf_runtime.get_async_event_status(ended.request_id).status == "ABORTED"
    scf_clock.advance(timedelta(microseconds=1))
    assert_expired(scf_runtime, ended.request_id)
    assert_status(running, "FINISHED")  # it ended two days ago, and is kept for one more
    assert scf_runtime.list_async_events("poller").total_count == 1
