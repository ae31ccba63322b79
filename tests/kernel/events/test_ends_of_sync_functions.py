"""Functions without async execution: what differs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import assert_end, assert_kept, assert_reclaimed_for_good

from pytest_scf_async.errors import HandlerError, ScfApiError

# once: rules of the platform: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

SOURCE = """
    import os, time
    runs = 0
    def main_handler(event, context):
        global runs
        runs += 1
        time.sleep(event.get("seconds", 0))
        if event.get("fail"):
            raise ValueError("no")
        if event.get("exit"):
            os._exit(0)
        return [runs, os.getpid()]
"""


def test_run_gives_the_result(deploy):
    function = deploy(SOURCE, async_run=False)

    assert function.run({})[0] == 1
    assert function.run({})[0] == 2
    assert [event.status for event in function.events] == ["FINISHED", "FINISHED"]


def test_an_exception_keeps_the_instance_of_a_sync_function(deploy):
    function = deploy(SOURCE, async_run=False)

    with pytest.raises(HandlerError, match="ValueError: no"):
        function.run({"fail": True})
    failed = function.events[0]
    assert_end(failed, "FAILED", 430, log=["START", "INIT 0ms", "ERROR 430", "END", "REPORT 0ms"])
    assert_kept(failed)

    assert function.run({}) == [2, failed.instance.pid]


def test_an_exit_reclaims_the_instance_of_a_sync_function(deploy):
    function = deploy(SOURCE, async_run=False)

    with pytest.raises(HandlerError, match="User process exit when running"):
        function.run({"exit": True})

    assert_reclaimed_for_good(function.events[0], "process exited")
    assert function.run({})[0] == 1


def test_a_sync_function_has_3_seconds_unless_it_is_given_more(deploy):
    function = deploy(SOURCE, async_run=False)

    with pytest.raises(HandlerError, match="Invoking task timed out after 3 seconds") as refusal:
        function.run({"seconds": 3})

    assert refusal.value.body["statusCode"] == 433
    assert function.events[0].duration == timedelta(seconds=3)
    assert function.run({"seconds": 2.999999})[0] == 1


def test_a_sync_function_has_no_async_events(deploy, runtime):
    function = deploy(SOURCE, async_run=False)
    function.run({})
    event = function.events[0]

    assert runtime.list_async_events("index").total_count == 0
    with pytest.raises(ScfApiError, match=r"ResourceNotFound\.AsyncEvent"):
        runtime.get_async_event_status(event.request_id)
    with pytest.raises(ScfApiError, match=r"ResourceNotFound\.AsyncEvent"):
        runtime.terminate_async_event("index", event.request_id)


def test_a_sync_function_takes_six_megabytes(deploy):
    function = deploy("def main_handler(event, context):\n    return len(event)\n", async_run=False)

    assert function.run("x" * (6 * 1024 * 1024 - 2)) == 6 * 1024 * 1024 - 2
