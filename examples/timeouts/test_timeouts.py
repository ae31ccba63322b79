"""Timeouts: the default of 3 seconds for a sync function, and the error body that its caller gets."""

from datetime import timedelta

import pytest

from pytest_scf_async import (
    Function,
    HandlerError,
    ScfRuntime,
    assert_finished,
    assert_log_order,
    assert_reclaimed,
    assert_timed_out,
)


@pytest.fixture
def report(scf_runtime: ScfRuntime):
    return scf_runtime.deploy("handlers/report.py:main_handler", async_run=False)


def test_a_short_report_is_in_time(report: Function):
    assert report.run({"pages": 2}) == "2 pages, limit 3000 ms"


def test_a_long_report_is_cut_off_at_three_seconds(report: Function):
    with pytest.raises(HandlerError, match="timed out after 3 seconds") as caught:
        report.run({"pages": 4})

    assert caught.value.body["statusCode"] == 433
    (event,) = report.events
    assert_timed_out(event)
    assert event.duration == timedelta(seconds=3)
    assert_log_order(event, ["page 1", "page 2", "ERROR RequestId"])
    assert "page 3" not in str(event.log)  # at one instant the timeout comes before the wake-up
    assert_reclaimed(event)


def test_as_an_async_function_it_has_the_time(scf_runtime: ScfRuntime):
    report = scf_runtime.deploy("handlers/report.py:main_handler")
    assert_finished(report.invoke_async({"pages": 4}).wait(), result="4 pages, limit 86400000 ms")
