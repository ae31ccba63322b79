"""What List and Get show of an event while it runs, after its end, and when its 72 hours are over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.errors import ScfApiError, ScfUsageError

SLEEPER = """
    import time
    def main_handler(event, context):
        time.sleep(event["seconds"])
        if event.get("fail"):
            raise ValueError("no")
        return 1
"""
RETENTION = timedelta(hours=72)


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


def test_get_finds_an_event_from_its_acceptance_to_its_end(deploy, runtime):
    event = deploy(SLEEPER).invoke_async({"seconds": 10})

    running = runtime.get_async_event_status(event.request_id)
    event.wait()
    ended = runtime.get_async_event_status(event.request_id)

    assert (running.status, running.status_code, running.invoke_request_id) == ("RUNNING", 0, event.request_id)
    assert (ended.status, ended.status_code, ended.invoke_request_id) == ("FINISHED", 200, event.request_id)


def test_an_event_is_kept_for_less_than_72_hours_from_its_end(deploy, runtime):
    event = deploy(SLEEPER).invoke_async({"seconds": 86_000}).wait()

    runtime.clock.move_to(event.ended_at + RETENTION - timedelta(microseconds=1))
    assert runtime.get_async_event_status(event.request_id).status == "FINISHED"
    assert runtime.list_async_events("index").total_count == 1

    runtime.clock.advance(timedelta(microseconds=1))
    assert refused(runtime.get_async_event_status, event.request_id) == "ResourceNotFound.AsyncEvent"
    assert runtime.list_async_events("index").total_count == 0
    assert refused(runtime.terminate_async_event, "index", event.request_id) in (
        "FailedOperation.AsyncEventStatus",
        "ResourceNotFound.AsyncEvent",
    )


def test_the_tests_own_event_goes_on_answering_after_72_hours(deploy, runtime):
    event = deploy(SLEEPER).invoke_async({"seconds": 5}).wait()

    runtime.clock.advance(timedelta(days=30))

    assert (event.status, event.status_code, event.result) == ("FINISHED", 200, 1)
    assert runtime.event(event.request_id) is event
    assert runtime.events == [event]
    assert "RESPONSE" not in str(event.log)
    assert event.log[-2].text == f"END RequestId:{event.request_id}"


def test_a_running_event_never_expires(deploy, runtime):
    function = deploy(SLEEPER, timeout=86_400)
    first = function.invoke_async({"seconds": 1}).wait()
    runtime.clock.advance(timedelta(hours=71))
    second = function.invoke_async({"seconds": 86_399})
    runtime.clock.advance(timedelta(hours=23))

    page = runtime.list_async_events("index")

    assert [row.invoke_request_id for row in page.events] == [second.request_id]
    assert page.events[0].status == "RUNNING"
    assert page.events[0].end_time is None
    assert first.status == "FINISHED"


def test_each_end_has_its_status_and_code(deploy, runtime):
    function = deploy(SLEEPER, timeout=20)
    finished = function.invoke_async({"seconds": 1})
    failed = function.invoke_async({"seconds": 2, "fail": True})
    timed_out = function.invoke_async({"seconds": 100})
    aborted = function.invoke_async({"seconds": 100})
    runtime.clock.advance(5)
    aborted.terminate()
    runtime.wait_all()
    running = function.invoke_async({"seconds": 100})

    assert [
        (runtime.get_async_event_status(event.request_id).status, event.status_code)
        for event in (finished, failed, timed_out, aborted, running)
    ] == [("FINISHED", 200), ("FAILED", 430), ("FAILED", 433), ("ABORTED", 499), ("RUNNING", 0)]

    def listed(**filters):
        return [row.invoke_request_id for row in runtime.list_async_events("index", **filters).events]

    ids = [event.request_id for event in (finished, failed, timed_out, aborted, running)]
    assert listed() == ids[::-1]
    assert listed(order="ASC") == ids
    assert listed(status=["FAILED"]) == [ids[2], ids[1]]
    assert listed(status=["ABORTED", "RUNNING"]) == [ids[4], ids[3]]
    assert listed(orderby="EndTime") == [ids[2], ids[3], ids[1], ids[0], ids[4]]
    assert listed(invoke_request_id=ids[1]) == [ids[1]]
    assert listed(end_time_interval=(START + timedelta(seconds=1), START + timedelta(seconds=2))) == [ids[0]]
    assert listed(start_time_interval=(START + timedelta(seconds=1), START + timedelta(days=1))) == [ids[4]]
    assert listed(limit=2, offset=1) == [ids[3], ids[2]]
    assert runtime.list_async_events("index", limit=2, offset=1).total_count == 5
    row = runtime.list_async_events("index", invoke_request_id=ids[0]).events[0]
    assert (row.invoke_type, row.qualifier, row.status) == ("OTHERS", "$LATEST", "FINISHED")
    assert (row.start_time, row.end_time) == (START, START + timedelta(seconds=1))


def test_without_a_trace_nothing_is_recorded(deploy, runtime):
    event = deploy(SLEEPER, trace=False).invoke_async({"seconds": 1}).wait()

    assert event.status == "FINISHED"
    assert runtime.list_async_events("index").total_count == 0
    assert refused(runtime.get_async_event_status, event.request_id) == "ResourceNotFound.AsyncEvent"


def test_what_does_not_exist_is_not_found(deploy, runtime):
    deploy(SLEEPER)

    assert refused(runtime.get_async_event_status, "nothing") == "ResourceNotFound.AsyncEvent"
    assert refused(runtime.list_async_events, "nothing") == "ResourceNotFound.Function"
    assert refused(runtime.list_async_events, "index", namespace="nowhere") == "ResourceNotFound.Namespace"


def test_wrong_filters_are_refused_with_their_value_and_what_is_valid(deploy, runtime):
    deploy(SLEEPER)

    for code, options, said in [
        ("InvalidParameterValue.Status", {"status": ["DONE"]}, "'DONE'.*RUNNING"),
        ("InvalidParameterValue.Status", {"status": "RUNNING"}, "'RUNNING'.*lists of"),
        ("InvalidParameterValue.InvokeType", {"invoke_type": ["HTTP"]}, "'HTTP'.*TRIGGER_TIMER"),
        ("InvalidParameterValue.Limit", {"limit": 101}, "101.*from 1 to 100"),
        ("InvalidParameterValue.Limit", {"limit": 0}, "0.*from 1 to 100"),
        ("InvalidParameterValue.Offset", {"offset": -1}, "-1.*0 or more"),
        ("InvalidParameterValue.Order", {"order": "UP"}, "'UP'.*ASC, DESC"),
        ("InvalidParameterValue.Order", {"orderby": "Name"}, "'Name'.*StartTime, EndTime"),
    ]:
        with pytest.raises(ScfApiError, match=said) as refusal:
            runtime.list_async_events("index", **options)
        assert refusal.value.code == code
    with pytest.raises(ScfUsageError, match=r"start_time_interval\[0\].*has no time zone"):
        runtime.list_async_events("index", start_time_interval=(START.replace(tzinfo=None), START))
    with pytest.raises(ScfApiError, match=r"InvalidParameterValue"):
        runtime.list_async_events("index", start_time_interval=(START + timedelta(1), START))


def test_two_runs_with_the_same_start_and_seed_are_the_same(deploy, make_runtime):
    def run():
        runtime = make_runtime()
        source = """
            import random, time, uuid
            def main_handler(event, context):
                for row in range(3):
                    time.sleep(1.5)
                    print(row, time.time(), hash("text"))
                return list({"a", "b", "c", "d"})
        """
        function = deploy(source, to=runtime)
        events = [function.invoke_async() for _ in range(3)]
        runtime.wait_all()
        return [
            (event.request_id, event.transitions, [(line.time, line.text) for line in event.log][2:-1], event.result)
            for event in events
        ]

    assert run() == run()
