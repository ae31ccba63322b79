"""A loop that never ends by itself: when does it stop, and may SIGTERM come too early?"""

from datetime import timedelta

import pytest

from pytest_scf_async import (
    AsyncEvent,
    SimulatedClock,
    assert_finished,
    assert_log_order,
    assert_signal_handled,
    assert_signal_reception_failed,
    assert_stopped_within,
    assert_timed_out,
    assert_user_exit,
)

pytestmark = pytest.mark.scf_function("handlers/killer.py:main_handler")


def test_it_stops_within_a_second(async_event: AsyncEvent, scf_clock: SimulatedClock):
    scf_clock.advance(timedelta(hours=1, milliseconds=250))
    async_event.terminate(grace_shutdown=True)
    async_event.wait()

    assert_signal_handled(async_event)
    assert_stopped_within(async_event, seconds=0.75)
    assert_finished(async_event, result="stopped by SIGTERM after 3601 s")
    assert_log_order(async_event, ["Signal received successfully", "SIGTERM received", "closing", "END RequestId"])


@pytest.mark.scf_function(timeout=timedelta(hours=1))
def test_nobody_stops_it(async_event: AsyncEvent):
    async_event.wait()

    assert_timed_out(async_event)
    assert async_event.duration == timedelta(hours=1)


def test_a_signal_during_init_meets_no_listener(async_event: AsyncEvent):
    async_event.run_to("init")
    async_event.terminate(grace_shutdown=True)

    assert_user_exit(async_event)


def test_a_signal_before_there_is_a_process_reaches_nobody(async_event: AsyncEvent):
    async_event.terminate(grace_shutdown=True, when="now")
    assert_signal_reception_failed(async_event)

    async_event.terminate(grace_shutdown=True)  # starts it, and finds it in its first sleep
    async_event.wait()
    assert_finished(async_event, result="stopped by SIGTERM after 1 s")
