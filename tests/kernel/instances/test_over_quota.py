"""Invocations beyond max_instances: refused, or queued and tried again each simulated minute for 6 hours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.assertions import assert_finished
from pytest_scf_async.errors import CannotEndError, HandlerError, ScfApiError, ScfUsageError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

SLEEPS = """
    import time
    def main_handler(event, context):
        time.sleep(event["seconds"])
        return event.get("name")
"""
MINUTE = timedelta(minutes=1)


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


@pytest.fixture
def queues(deploy):
    """A function with one instance; what comes beside it is queued."""
    return deploy(SLEEPS, name="export", max_instances=1, over_quota="queue")


def test_without_the_queue_one_more_is_refused_and_leaves_no_event(deploy):
    function = deploy(SLEEPS, max_instances=1)
    function.invoke_async({"seconds": 10})
    assert refused(function.invoke_async, {"seconds": 10}, invoke_type="COS") == "LimitExceeded.Quota"
    assert len(function.events) == 1


def test_a_queued_event_is_tried_each_minute_and_is_no_record_before_it_is_accepted(queues, runtime):
    first = queues.invoke_async({"seconds": 90})
    second = queues.invoke_async({"seconds": 10, "name": "second"})

    assert second.doing == "queued"
    assert runtime.list_async_events("export").total_count == 1
    assert refused(runtime.get_async_event_status, second.request_id) == "ResourceNotFound.AsyncEvent"
    assert refused(lambda: second.status) == "ResourceNotFound.AsyncEvent"
    assert (second.instance, second.ended, second.ended_at, second.transitions) == (None, False, None, [])

    runtime.clock.advance(60)
    assert second.doing == "queued"
    second.wait()

    assert_finished(second, result="second")
    assert first.ended_at == START + timedelta(seconds=90)
    assert second.started_at == START + 2 * MINUTE
    assert second.transitions == [("RUNNING", START + 2 * MINUTE), ("FINISHED", START + timedelta(seconds=130))]
    listed = runtime.list_async_events("export").events
    assert [each.invoke_request_id for each in listed] == [second.request_id, first.request_id]
    assert listed[0].start_time == second.started_at


def test_the_timeline_begins_with_the_invocation(queues):
    queues.invoke_async({"seconds": 30})
    second = queues.invoke_async({"seconds": 0}).wait()

    first_lines = [" ".join(line.split()) for line in second.timeline.splitlines()[:3]]
    assert first_lines[0] == "+0 s instance queued: all instances that its function may have are busy"
    assert first_lines[1] == "+60 s status RUNNING: accepted"


def test_after_6_hours_it_is_dropped_and_wait_says_so(queues, runtime):
    queues.invoke_async({"seconds": 86_000})
    second = queues.invoke_async({"seconds": 0})

    with pytest.raises(CannotEndError) as refusal:
        second.wait()

    assert runtime.clock.now == START + timedelta(hours=6)
    assert str(refusal.value) == (
        f"wait() on event {second.request_id}: event {second.request_id} of export was dropped: for 6 hours of "
        "simulated time all instances that its function may have (max_instances=1) were busy each time the platform "
        "tried"
    )
    assert (second.doing, second.ended) == ("ended", True)
    assert refused(lambda: second.status) == "ResourceNotFound.AsyncEvent"
    assert runtime.list_async_events("export").total_count == 1
    with pytest.raises(HandlerError, match="was dropped"):
        second.result  # noqa: B018
    with pytest.raises(AssertionError, match="found dropped"):
        assert_finished(second)


def test_a_gate_of_an_event_that_is_dropped_says_so(queues):
    queues.invoke_async({"seconds": 86_000})
    second = queues.invoke_async({"seconds": 0})

    with pytest.raises(CannotEndError, match=r"^wait_for_log\('row 1'\) on event .* was dropped: for 6 hours"):
        second.wait_for_log("row 1")


def test_room_at_the_last_attempt_is_taken(queues, runtime):
    queues.invoke_async({"seconds": 6 * 3600 - 1})
    second = queues.invoke_async({"seconds": 0, "name": "just in time"}).wait()
    assert second.result == "just in time"
    assert second.started_at == START + timedelta(hours=6)


def test_wait_all_names_those_that_were_dropped(queues, runtime):
    first = queues.invoke_async({"seconds": 86_000})
    others = [queues.invoke_async({"seconds": 0}) for _ in range(2)]

    with pytest.raises(CannotEndError) as refusal:
        runtime.wait_all()

    assert first.status == "FINISHED"
    assert all(other.request_id in str(refusal.value) for other in others)


def test_queued_events_are_taken_in_order(queues, runtime):
    queues.invoke_async({"seconds": 30})
    others = [queues.invoke_async({"seconds": 30, "name": number}) for number in range(3)]

    runtime.wait_all()

    assert [other.started_at for other in others] == [START + (number + 1) * MINUTE for number in range(3)]


def test_a_call_on_a_queued_event_moves_no_time_or_runs_it(queues, runtime):
    queues.invoke_async({"seconds": 30})
    second = queues.invoke_async({"seconds": 10})

    assert second.settle().doing == "queued"
    assert refused(second.terminate) == "ResourceNotFound.AsyncEvent"
    assert refused(second.terminate, grace_shutdown=True) == "ResourceNotFound.AsyncEvent"
    assert refused(runtime.terminate_async_event, "export", second.request_id) == "ResourceNotFound.AsyncEvent"
    assert runtime.clock.now == START
    second.run_to("main_handler")
    assert second.doing == "gated"
    assert runtime.clock.now == START + MINUTE


def test_callers_that_wait_are_refused(deploy, queues):
    queues.invoke_async({"seconds": 30})
    assert refused(queues.invoke_async, {"seconds": 0}, invoke_type="APIGW") == "LimitExceeded.Quota"
    assert queues.invoke_async({"seconds": 0}, invoke_type="TRIGGER_TIMER").doing == "queued"

    sync = deploy(SLEEPS, name="sync", async_run=False, timeout=60, max_instances=1, over_quota="queue")
    sync.invoke_async({"seconds": 30})
    assert refused(sync.run, {"seconds": 0}) == "LimitExceeded.Quota"
    assert sync.invoke_async({"seconds": 0}).doing == "queued"


def test_deleting_the_function_drops_what_is_queued(queues, runtime):
    queues.invoke_async({"seconds": 30})
    second = queues.invoke_async({"seconds": 0})
    queues.delete()

    with pytest.raises(CannotEndError, match="was dropped from the queue when its function was deleted"):
        second.wait()
    runtime.clock.advance(120)
    assert second.doing == "ended"


def test_a_queued_event_runs_the_code_that_is_there_when_it_is_accepted(queues, runtime, tmp_path):
    queues.invoke_async({"seconds": 30})
    second = queues.invoke_async({"seconds": 0})
    (tmp_path / "later.py").write_text("def main_handler(event, context): return 'later'\n")
    queues.update(f"{tmp_path}/later.py:main_handler")

    assert second.wait().result == "later"


def test_a_limit_that_is_lifted_lets_queued_events_in(queues):
    queues.invoke_async({"seconds": 3600})
    second = queues.invoke_async({"seconds": 0})
    queues.update(max_instances=None)

    assert second.wait().started_at == START + MINUTE


def test_it_can_be_a_setting(deploy, make_runtime):
    function = deploy(SLEEPS, to=make_runtime(over_quota="queue"), max_instances=1)
    function.invoke_async({"seconds": 30})
    assert function.invoke_async({"seconds": 0}).doing == "queued"


def test_an_unknown_value_is_refused(deploy):
    with pytest.raises(ScfUsageError) as refusal:
        deploy(SLEEPS, over_quota="wait")
    assert str(refusal.value) == "over_quota='wait' (deploy(...)) is not valid: it must be 'refuse' or 'queue'"


def test_the_refusal_names_the_queue(deploy):
    function = deploy(SLEEPS, max_instances=1)
    function.invoke_async({"seconds": 10})
    with pytest.raises(ScfApiError, match='over_quota="queue" queues events'):
        function.invoke_async({"seconds": 0})


@pytest.mark.parametrize(("seconds", "text"), [(90, "90 seconds"), (3600, "an hour"), (7200, "2 hours")])
def test_how_long_it_is_kept_can_be_configured(queues, runtime, seconds, text):
    queues.update_event_invoke_config(msg_ttl=seconds)
    queues.invoke_async({"seconds": 86_000})
    second = queues.invoke_async({"seconds": 0})

    with pytest.raises(CannotEndError, match=f"was dropped: for {text} of simulated time all instances"):
        second.wait()
    assert runtime.clock.now == START + timedelta(seconds=-(-seconds // 60) * 60)
