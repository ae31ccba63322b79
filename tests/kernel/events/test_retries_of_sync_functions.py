"""invoke_async on a sync function: the platform's generic async invocation, with two retries a minute apart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async.errors import HandlerError, ScfApiError, ScfUsageError
from pytest_scf_async.model.event_invoke import EventInvokeConfig

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

MINUTE = timedelta(minutes=1)
FAILS = """
    import os, time
    count = 0
    def main_handler(event, context):
        global count
        count += 1
        print(f"attempt {count} {context['request_id']}")
        if event["how"] == "raise":
            raise ValueError("no")
        if event["how"] == "exit":
            os._exit(0)
        if event["how"] == "sleep":
            time.sleep(60)
        return "done"
"""


def test_an_attempt_that_fails_is_followed_by_two_others_with_the_same_id(deploy, runtime):
    event = deploy(FAILS, async_run=False).invoke_async({"how": "raise"})
    assert (event.doing, event.retry_num) == ("pending", 0)

    runtime.clock.advance(1)
    assert (event.status, event.doing, event.retry_num, event.error) == ("RUNNING", "queued", 0, None)
    runtime.clock.advance(60)
    assert (event.status, event.doing, event.retry_num) == ("RUNNING", "queued", 1)
    event.wait()

    assert (event.status, event.status_code, event.retry_num) == ("FAILED", 430, 2)
    assert event.ended_at == START + 2 * MINUTE
    assert event.transitions == [("RUNNING", START), ("FAILED", START + 2 * MINUTE)]
    # An exception leaves the instance of a sync function for reuse.
    assert user_lines(event) == [f"attempt {number} {event.request_id}" for number in (1, 2, 3)]
    assert [line.retry_num for line in event.log if line.text.startswith("ERROR")] == [0, 1, 2]
    assert [line.time for line in event.log if line.text.startswith("START")] == [START + n * MINUTE for n in range(3)]
    assert event.error["errorMessage"] == "user code exception caught"


def test_a_later_attempt_that_returns_finishes_the_event(deploy):
    event = (
        deploy(
            """
        attempts = 0
        def main_handler(event, context):
            global attempts
            attempts += 1
            return 1 / (attempts - 1)
    """,
            async_run=False,
        )
        .invoke_async()
        .wait()
    )

    assert (event.status, event.result, event.retry_num, event.error) == ("FINISHED", 1.0, 1, None)
    assert event.duration == MINUTE


@pytest.mark.parametrize(("how", "code", "seconds"), [("exit", 439, 0), ("sleep", 433, 3)])
def test_other_failures_are_tried_again_on_a_new_instance(deploy, how, code, seconds):
    event = deploy(FAILS, async_run=False).invoke_async({"how": how}).wait()

    assert (event.status, event.status_code, event.retry_num) == ("FAILED", code, 2)
    assert user_lines(event) == [f"attempt 1 {event.request_id}"] * 3
    assert event.ended_at == START + 2 * MINUTE + timedelta(seconds=3 * seconds)
    assert_reclaimed_for_good(event, {439: "process exited", 433: "timed out"}[code])


def test_an_init_that_fails_is_tried_again(deploy):
    event = deploy("1 / 0", async_run=False).invoke_async().wait()
    assert (event.status_code, event.retry_num) == (443, 2)
    assert short_log(event)[-4:] == ["INIT 0ms", "ERROR 443", "END", "REPORT 0ms"]


def test_a_caller_that_waits_gets_the_first_error(deploy, runtime):
    function = deploy(FAILS, async_run=False)
    with pytest.raises(HandlerError, match="ValueError: no"):
        function.run({"how": "raise"})
    event = function.invoke_async({"how": "raise"}, invoke_type="APIGW").wait()
    assert (event.retry_num, runtime.clock.now) == (0, START)


def test_an_async_function_has_no_retries(deploy, runtime):
    event = deploy(FAILS).invoke_async({"how": "raise"}).wait()
    assert (event.status, event.retry_num, runtime.clock.now) == ("FAILED", 0, START)


def test_the_platform_lists_none_of_it_and_cannot_terminate_it(deploy, runtime):
    function = deploy(FAILS, async_run=False, timeout=100)
    event = function.invoke_async({"how": "sleep"})

    assert runtime.list_async_events("index").total_count == 0
    for call in (
        lambda: runtime.get_async_event_status(event.request_id),
        lambda: runtime.terminate_async_event("index", event.request_id),
        event.terminate,
    ):
        with pytest.raises(ScfApiError) as refusal:
            call()
        assert refusal.value.code == "ResourceNotFound.AsyncEvent"
    assert event.wait().result == "done"


def test_deleting_the_function_ends_it_between_two_attempts(deploy, runtime):
    function = deploy(FAILS, async_run=False)
    event = function.invoke_async({"how": "raise"})
    runtime.clock.advance(1)
    function.delete()
    runtime.clock.advance(300)

    assert (event.status, event.status_code, event.retry_num) == ("ABORTED", 499, 0)


def test_gates_are_met_in_later_attempts_too(deploy, runtime):
    event = deploy(FAILS, async_run=False).invoke_async({"how": "raise"})
    event.wait_for_log("attempt 2 ")
    assert (event.doing, runtime.clock.now) == ("gated", START + MINUTE)
    event.wait_for_log("attempt 3 ")
    assert (event.doing, runtime.clock.now) == ("gated", START + 2 * MINUTE)
    assert event.wait().status == "FAILED"


def test_a_retry_waits_for_room(deploy, runtime):
    function = deploy(FAILS, async_run=False, timeout=900, max_instances=1)
    event = function.invoke_async({"how": "raise"})
    runtime.clock.advance(30)
    function.invoke_async({"how": "sleep"})
    runtime.clock.advance(40)
    assert (event.doing, event.retry_num) == ("queued", 0)  # the other had the instance at +60 s
    runtime.clock.advance(60)
    assert event.retry_num == 1


def test_a_retry_for_which_there_is_no_room_for_6_hours_fails_with_432(deploy, runtime):
    function = deploy(
        """
        import time
        def main_handler(event, context):
            time.sleep(event["seconds"])
            return 1 / event["seconds"]
        """,
        async_run=False,
        timeout=900,
        max_instances=1,
    )
    event = function.invoke_async({"seconds": 0})
    runtime.clock.advance(1)
    while not event.ended:
        function.run({"seconds": 889})  # never at the instant of a retry

    assert (event.status, event.status_code, event.retry_num) == ("FAILED", 432, 0)
    assert event.ended_at == START + timedelta(hours=6)
    assert event.error["errorMessage"] == "Resource limit exceed for function [index]"
    assert event.error["errorCode"] == 1


def test_the_payload_has_128_kb_at_most(deploy):
    function = deploy(FAILS, async_run=False)
    with pytest.raises(ScfUsageError, match="the data of an async event may have 131,072 at most"):
        function.invoke_async({"how": "x" * 200_000})


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_how_many_attempts_follow_can_be_configured(deploy, runtime, retries):
    function = deploy(FAILS, async_run=False)
    function.update_event_invoke_config(retry_num=retries)
    event = function.invoke_async({"how": "raise"}).wait()

    assert (event.status, event.retry_num) == ("FAILED", retries)
    assert event.ended_at == START + retries * MINUTE
    assert function.event_invoke_config == EventInvokeConfig(retries, 21_600)


def test_an_update_is_for_later_invocations(deploy):
    function = deploy(FAILS, async_run=False)
    before = function.invoke_async({"how": "raise"})
    function.update_event_invoke_config(retry_num=0)
    after = function.invoke_async({"how": "raise"})
    assert (before.wait().retry_num, after.wait().retry_num) == (2, 0)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("LimitExceeded.RetryNum", {"retry_num": 3}),
        ("LimitExceeded.MsgTTL", {"msg_ttl": 21_601}),
        ("InvalidParameterValue.AsyncTriggerConfig", {"retry_num": -1}),
        ("InvalidParameterValue.AsyncTriggerConfig", {"retry_num": True}),
        ("InvalidParameterValue.AsyncTriggerConfig", {"msg_ttl": 0}),
        ("InvalidParameterValue.AsyncTriggerConfig", {"msg_ttl": "60"}),
    ],
)
def test_what_cannot_be_configured(deploy, code, arguments):
    function = deploy(FAILS, async_run=False)
    function.update_event_invoke_config(retry_num=1, msg_ttl=60)
    with pytest.raises(ScfApiError) as refusal:
        function.update_event_invoke_config(**arguments)
    assert refusal.value.code == code
    assert function.event_invoke_config == EventInvokeConfig(1, 60)
