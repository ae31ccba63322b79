"""What a graceful termination does to a handler that does not listen, one that does, and one that ends its process."""

import pytest

from pytest_scf_async import (
    AsyncEvent,
    Function,
    assert_finished,
    assert_logged,
    assert_reclaimed,
    assert_reused,
    assert_signal_handled,
    assert_signal_received,
    assert_status,
    assert_stopped_within,
    assert_user_exit,
)


@pytest.mark.scf_function("handlers/not_listening.py:main_handler", payload={"parts": 12})
def test_a_handler_that_does_not_listen_is_killed_in_the_middle(async_event: AsyncEvent):
    async_event.wait_for_log("part 3 ")
    async_event.terminate(grace_shutdown=True)

    assert_user_exit(async_event)  # FAILED, 439: SIGTERM ended the process
    assert_signal_received(async_event)
    assert async_event.signals[0].disposition == "default"
    assert_reclaimed(async_event)


@pytest.mark.scf_function("handlers/fixed.py:main_handler", payload={"parts": 12})
def test_the_fixed_version_ends_after_its_part(async_event: AsyncEvent, scf_function: Function):
    async_event.wait_for_log("part 3 ")
    async_event.terminate(grace_shutdown=True)
    async_event.wait()

    assert_signal_handled(async_event)
    assert_stopped_within(async_event, seconds=600)
    assert_finished(async_event, result=4)
    assert_reused(scf_function.invoke_async({"parts": 1}).wait())


@pytest.mark.scf_function("handlers/exits.py:main_handler", payload={"parts": 12})
def test_an_exit_is_a_failure_even_with_code_0(async_event: AsyncEvent):
    async_event.wait_for_log("part 3 ")
    async_event.terminate(grace_shutdown=True)

    assert_user_exit(async_event)
    assert_logged(async_event, "tidied up, leaving")
    assert async_event.signals[0].raised == "SystemExit: 0"


@pytest.mark.parametrize(
    ("async_event", "end"), [({"parts": 143}, "FINISHED"), ({"parts": 144}, "FAILED")], indirect=["async_event"]
)
@pytest.mark.scf_function("handlers/not_listening.py:main_handler")
def test_left_alone_it_has_24_hours(async_event: AsyncEvent, end: str):
    assert_status(async_event.wait(), end)  # 144 parts are 24 hours, and the timeout comes first
