"""``run_to("init")``: an event stands before the first line of the user's module."""

from __future__ import annotations

import pytest
from process_support import START, assert_end, short_log, user_lines

from pytest_scf_async.errors import CannotEndError, GateNotReachedError, ScfUsageError

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

SOURCE = """
    import time
    print("module")
    time.sleep(2)
    def main_handler(event, context):
        print("handler")
        return 1
"""


def test_none_of_the_modules_lines_has_run(deploy, runtime):
    event = deploy(SOURCE).invoke_async()

    event.run_to("init")

    assert event.doing == "gated"
    assert short_log(event) == ["START"]
    assert runtime.clock.now == START
    assert event.instance.cold


def test_the_event_goes_on_from_there(deploy):
    event = deploy(SOURCE).invoke_async().run_to("init")

    event.settle()
    assert (event.doing, user_lines(event)) == ("parked", ["module"])
    event.wait()

    log = ["START", "module", "INIT 2000ms", "handler", "RESPONSE 1", "END", "REPORT 0ms"]
    assert_end(event, "FINISHED", 200, after=2, log=log)


def test_a_log_gate_may_follow(deploy):
    event = deploy(SOURCE).invoke_async().run_to("init").wait_for_log("module")

    assert (event.doing, user_lines(event)) == ("gated", ["module"])


def test_an_event_that_is_past_its_init_is_a_usage_error(deploy):
    event = deploy(SOURCE).invoke_async().settle()

    with pytest.raises(ScfUsageError, match=r"run_to\('init'\): event .* is past its init; it is parked"):
        event.run_to("init")


def test_a_warm_instance_has_no_init(deploy):
    function = deploy(SOURCE)
    function.run()

    event = function.invoke_async()
    with pytest.raises(GateNotReachedError, match="runs on a warm instance, whose init is over"):
        event.run_to("init")


def test_another_place_is_a_usage_error(deploy):
    event = deploy(SOURCE).invoke_async()

    with pytest.raises(ScfUsageError, match=r"run_to\('the init'\) is not valid: it must be \"init\", "):
        event.run_to("the init")


def test_an_entry_file_that_is_missing_is_met_after_the_gate(runtime, tmp_path):
    event = runtime.deploy(tmp_path, handler="index.main_handler").invoke_async()

    event.run_to("init")
    assert event.status == "RUNNING"

    assert event.wait().status_code == 437


def test_a_call_on_another_event_that_needs_time_names_the_gate(deploy):
    function = deploy(SOURCE)
    first, second = function.invoke_async(), function.invoke_async()
    first.run_to("init")

    with pytest.raises(CannotEndError, match=rf"event {first.request_id} is stopped at run_to\('init'\)"):
        second.wait()
