"""What the platform's termination refuses, and what the trace's switch changes."""

from __future__ import annotations

import pytest
from process_support import START

from pytest_scf_async.errors import ScfApiError, ScfAsyncWarning, ScfUsageError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

SLEEPER = "import time\ndef main_handler(event, context): time.sleep(100)"


@pytest.mark.parametrize("grace_shutdown", [False, True])
def test_an_unknown_function_namespace_or_event_is_not_found(deploy, runtime, grace_shutdown):
    event = deploy(SLEEPER, name="export").invoke_async()
    deploy(SLEEPER, name="other")

    for function, request_id, namespace, code in [
        ("nothing", event.request_id, "default", "ResourceNotFound.Function"),
        ("export", event.request_id, "nowhere", "ResourceNotFound.Namespace"),
        ("export", "11111111-2222-4333-8444-555555555555", "default", "ResourceNotFound.AsyncEvent"),
        ("other", event.request_id, "default", "ResourceNotFound.AsyncEvent"),
    ]:
        with pytest.raises(ScfApiError) as refusal:
            runtime.terminate_async_event(function, request_id, namespace, grace_shutdown)
        assert refusal.value.code == code
    assert (event.status, event.doing) == ("RUNNING", "pending")


def test_an_ended_event_is_in_the_wrong_state(deploy, runtime):
    event = deploy("def main_handler(event, context): return 1").invoke_async().wait()

    with pytest.raises(ScfApiError, match=f"{event.request_id} is FINISHED") as refusal:
        runtime.terminate_async_event("index", event.request_id)

    assert refusal.value.code == "FailedOperation.AsyncEventStatus"


def test_an_event_without_a_trace_is_terminated_with_a_warning(deploy, runtime):
    event = deploy(SLEEPER, trace=False).invoke_async()

    with pytest.warns(ScfAsyncWarning, match="terminate_without_trace") as warned:
        runtime.terminate_async_event("index", event.request_id)

    assert warned[0].filename == __file__
    assert (event.status, event.status_code) == ("ABORTED", 499)


def test_an_event_without_a_trace_may_be_set_to_be_refused(deploy, make_runtime):
    runtime = make_runtime(terminate_without_trace=False)
    event = deploy(SLEEPER, to=runtime, trace=False).invoke_async()

    with pytest.raises(ScfApiError) as refusal:
        runtime.terminate_async_event("index", event.request_id)

    assert refusal.value.code == "ResourceNotFound.AsyncEvent"
    assert event.status == "RUNNING"


def test_a_moment_that_does_not_exist_is_a_usage_error(deploy):
    event = deploy(SLEEPER).invoke_async()

    with pytest.raises(ScfUsageError, match="when='soon' is not valid: it must be 'settled' or 'now'"):
        event.terminate(when="soon")


def test_an_unknown_event_is_not_found_by_its_id(deploy, runtime):
    event = deploy(SLEEPER).invoke_async()

    assert runtime.event(event.request_id) is event
    with pytest.raises(ScfUsageError, match=f"accepted no such event; it accepted {event.request_id}"):
        runtime.event("nothing")


def test_a_termination_moves_no_time_and_other_events_wait(deploy, runtime):
    function = deploy(SLEEPER)
    first, second = function.invoke_async(), function.invoke_async()

    first.terminate()

    assert runtime.clock.now == START
    assert second.status == "RUNNING"
