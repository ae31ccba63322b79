"""Scripted functions: clients list, poll and terminate their events as any others, and no code runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from internals import has_lines, heap_of, lockstep_of, pool_of, what_instances_do
from process_support import NOT_RECEIVED, RECEIVED, START

from pytest_scf_async import ScfRuntime
from pytest_scf_async.assertions import (
    assert_expired,
    assert_failed,
    assert_finished,
    assert_log_order,
    assert_no_signal,
    assert_nothing_lost,
    assert_reclaimed,
    assert_reused,
    assert_signal_handled,
    assert_signal_received,
    assert_signal_reception_failed,
    assert_status,
    assert_stopped_within,
    assert_terminated,
    assert_timed_out,
    assert_transitions,
    assert_user_exit,
)
from pytest_scf_async.errors import (
    CannotEndError,
    GateNotReachedError,
    HandlerError,
    ScfApiError,
    ScfUsageError,
)
from pytest_scf_async.model.codes import STATUS_CODES
from pytest_scf_async.scripted import after, exited, failed, finished, logged, running_for, timed_out

# once: rules of the platform and of the simulated clock: the same on all Pythons
pytestmark = pytest.mark.once

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


def custom(event):
    """The lines of the script, each with the seconds at which it was written."""
    return [((line.time - START) / SECOND, line.text) for line in event.log if line.source == "Custom"]


@pytest.fixture
def export(runtime):
    """Two hours of work, and nothing else."""
    return runtime.deploy_scripted("export", [running_for(7200), finished({"rows": 20})])


# -- ends ------------------------------------------------------------------------------------------------------------


def test_it_runs_for_as_long_as_its_script_says_and_finishes(export, runtime):
    event = export.invoke_async({"rows": 20})
    assert (event.doing, event.status, event.status_code) == ("pending", "RUNNING", 0)
    event.settle()
    assert (event.doing, event.ended_at) == ("parked", None)
    event.wait()

    assert_finished(event, result={"rows": 20})
    assert_transitions(event, ["RUNNING", "FINISHED"])
    assert (event.duration, event.doing, runtime.clock.now) == (2 * HOUR, "ended", START + 2 * HOUR)
    assert [line.text.partition(":")[0] for line in event.log] == [
        "START RequestId",
        "Response RequestId",
        "END RequestId",
        "Report RequestId",
    ]
    assert "Duration:7200000ms" in event.log[-1].text
    assert export.run() == {"rows": 20}
    assert pool_of(runtime).started == 0


@pytest.mark.parametrize("code", [405, 407, 430, 434, 437, 439, 443, 444, 445, 446, 447, 449, 450, 500])
def test_each_status_code_of_a_failure(runtime, code):
    event = runtime.deploy_scripted("export", [running_for(5), failed(code)]).invoke_async().wait()

    assert_failed(event, code=code)
    assert event.duration == 5 * SECOND
    assert event.error["errorMessage"] == STATUS_CODES[code].message
    assert event.error["statusCode"] == code
    answer = runtime.get_async_event_status(event.request_id)
    assert (answer.status, answer.status_code) == ("FAILED", code)
    with pytest.raises(
        HandlerError, match="Exception$" if code == 430 else "cause: its script says so: failed"
    ) as raised:
        _ = event.result
    assert "what to do" not in str(raised.value)


def test_nan_in_a_result_and_mem_usage_are_as_those_of_code(runtime):
    event = runtime.deploy_scripted("export", [finished({"rate": float("nan")})]).invoke_async().wait()

    assert event.log[-3].text == f'Response RequestId:{event.request_id} RetMsg:{{"rate": NaN}}'
    assert event.log[-1].text.endswith(" MemUsage:13.000000MB")
    assert_finished(event, result={"rate": float("nan")})


def test_the_message_and_the_type_of_an_error(runtime):
    raises = runtime.deploy_scripted("raises", [failed(message="disk full", error_type="OSError")])
    error = raises.invoke_async().wait().error
    assert error["errorMessage"] == "user code exception caught"
    assert error["stackTrace"] == "Traceback (most recent call last):\nOSError: disk full"

    breaks = runtime.deploy_scripted("breaks", [failed(445, message="no such command: serve")])
    event = breaks.invoke_async().wait()
    assert event.error["errorMessage"] == "no such command: serve"
    assert '"errorMessage":"no such command: serve"' in str(event.log)


def test_a_process_that_ends_by_itself(runtime):
    assert_user_exit(runtime.deploy_scripted("export", [running_for(1), exited()]).invoke_async().wait())


@pytest.mark.parametrize(
    "script",
    [[running_for(100), finished()], [running_for(5), finished()], [running_for(3), running_for(2), finished()]],
    ids=["longer", "as long", "as long, in two steps"],
)
def test_what_runs_as_long_as_its_timeout_ends_there(runtime, script):
    event = runtime.deploy_scripted("export", script, timeout=5).invoke_async().wait()
    assert_timed_out(event)
    assert event.duration == 5 * SECOND
    assert event.error["errorMessage"] == "Invoking task timed out after 5 seconds"


def test_timed_out_runs_until_the_timeout(runtime):
    event = runtime.deploy_scripted("export", [logged("row 1"), timed_out()], timeout=HOUR).invoke_async().wait()
    assert_timed_out(event)
    assert event.duration == HOUR


def test_a_script_of_no_time_ends_at_its_start(runtime):
    event = runtime.deploy_scripted("export", [finished()]).invoke_async()
    assert event.status == "RUNNING"
    event.settle()
    assert_finished(event, result=None)
    assert event.duration == timedelta()


# -- operations of the platform --------------------------------------------------------------------------------------


def test_the_operations_of_the_platform(export, runtime):
    first = export.invoke_async(invoke_type="COS")
    runtime.clock.advance(HOUR)
    second = export.invoke_async()
    runtime.clock.advance(HOUR)

    page = runtime.list_async_events("export")
    assert [(row.invoke_request_id, row.status, row.start_time, row.end_time) for row in page.events] == [
        (second.request_id, "RUNNING", START + HOUR, None),
        (first.request_id, "FINISHED", START, START + 2 * HOUR),
    ]
    assert runtime.list_async_events("export", invoke_type=["COS"]).total_count == 1
    runtime.terminate_async_event("export", second.request_id)
    assert refused(runtime.terminate_async_event, "export", second.request_id) == "FailedOperation.AsyncEventStatus"
    assert runtime.get_async_event_status(second.request_id).status_code == 499

    runtime.clock.advance(timedelta(hours=72))
    assert_expired(runtime, first.request_id)
    assert runtime.list_async_events("export").total_count == 0


def test_without_the_status_trace_there_is_no_record(runtime):
    export = runtime.deploy_scripted("export", [running_for(5), finished()], trace=False)
    event = export.invoke_async().wait()
    assert_finished(event)
    assert runtime.list_async_events("export").total_count == 0
    assert refused(runtime.get_async_event_status, event.request_id) == "ResourceNotFound.AsyncEvent"


def test_many_on_one_clock_beside_an_instance(runtime, deploy):
    sleeps = deploy(
        """
        import time
        def main_handler(event, context):
            for number in range(3):
                print("tick", number)
                time.sleep(10)
        """
    )
    export = runtime.deploy_scripted("export", [running_for(5), logged("five"), running_for(20), finished()])
    event, scripted = sleeps.invoke_async(), [export.invoke_async() for _ in range(3)]
    event.wait_for_log("tick 1")

    assert runtime.clock.now == START + 10 * SECOND
    assert [custom(each) for each in scripted] == [[(5, "five")]] * 3
    runtime.wait_all()
    assert [each.ended_at for each in scripted] == [START + 25 * SECOND] * 3
    assert event.ended_at == START + 30 * SECOND


def test_a_poll_loop_of_the_test_itself(export, runtime):
    import time

    event = export.invoke_async()
    with runtime.clock.patched():
        looks = 0
        while runtime.get_async_event_status(event.request_id).status == "RUNNING":
            time.sleep(60)
            looks += 1
    assert looks == 120


def test_wait_until_and_wait_all(export, runtime):
    events = [export.invoke_async() for _ in range(3)]
    runtime.wait_until(lambda: runtime.list_async_events("export", status=["FINISHED"]).total_count == 3, within=9999)
    assert runtime.wait_all(events) == events
    assert runtime.clock.now == START + 2 * HOUR


# -- terminations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_terminate", ["honour", "ignore", after(60)], ids=str)
def test_by_force_it_ends_at_once_whatever_its_script_says(runtime, on_terminate):
    export = runtime.deploy_scripted("export", [running_for(7200), finished()], on_terminate=on_terminate)
    event = export.invoke_async()
    runtime.clock.advance(10)
    event.terminate()

    assert_terminated(event)
    assert_no_signal(event)
    assert event.duration == 10 * SECOND
    assert [each for each in heap_of(runtime.clock) if not each.cancelled] == []


@pytest.mark.parametrize(
    ("on_terminate", "status", "code", "seconds"),
    [
        ("honour", "FINISHED", 200, 10),
        ("ignore", "FINISHED", 200, 7200),
        (after(60), "FINISHED", 200, 70),
        (after(timedelta(minutes=2), finished({"rows": 7})), "FINISHED", 200, 130),
        (after(0, exited()), "FAILED", 439, 10),
        (after(5, exited()), "FAILED", 439, 15),
        (after(5, failed(message="interrupted")), "FAILED", 430, 15),
        (after(7190), "FINISHED", 200, 7200),
        (after(9999), "FINISHED", 200, 7200),
    ],
    ids=str,
)
def test_what_a_graceful_termination_leads_to(runtime, on_terminate, status, code, seconds):
    export = runtime.deploy_scripted("export", [running_for(7200), finished("all")], on_terminate=on_terminate)
    event = export.invoke_async()
    runtime.clock.advance(10)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, event.status_code, event.duration) == (status, code, seconds * SECOND)
    assert_signal_received(event)
    assert [line.text for line in event.log if "[PLATFORM]" in line.text] == [RECEIVED]
    (signal,) = event.signals
    assert (signal.received, signal.disposition, signal.sent_at) == (True, "scripted", START + 10 * SECOND)
    if status == "FINISHED":
        assert event.result == {10: None, 7200: "all", 70: None, 130: {"rows": 7}}[seconds]


@pytest.mark.parametrize(
    ("on_terminate", "setting", "code"),
    [
        ("honour", {"graceful_return_status": "ABORTED"}, 499),
        (after(1, exited()), {"graceful_exit_status": "ABORTED"}, 439),
    ],
    ids=["return", "exit"],
)
def test_the_open_readings_of_a_graceful_termination(make_runtime, on_terminate, setting, code):
    runtime = make_runtime(**setting)
    export = runtime.deploy_scripted("export", [running_for(60), finished()], on_terminate=on_terminate)
    event = export.invoke_async()
    event.terminate(grace_shutdown=True)
    event.wait()
    assert (event.status, event.status_code) == ("ABORTED", code)


def test_the_first_sigterm_counts_and_force_ends_it_all_the_same(runtime):
    export = runtime.deploy_scripted("export", [running_for(7200), finished()], on_terminate=after(60))
    patient, forced = export.invoke_async(), export.invoke_async()
    for event in (patient, forced):
        event.terminate(grace_shutdown=True)
    runtime.clock.advance(30)
    patient.terminate(grace_shutdown=True)
    forced.terminate()
    runtime.wait_all()

    assert (patient.status, patient.duration, len(patient.signals)) == ("FINISHED", 60 * SECOND, 2)
    assert (forced.status, forced.status_code, forced.duration) == ("ABORTED", 499, 30 * SECOND)


def test_a_timeout_comes_before_the_end_that_a_sigterm_has_led_to(runtime):
    export = runtime.deploy_scripted("export", [timed_out()], on_terminate=after(60), timeout=60)
    event = export.invoke_async()
    event.terminate(grace_shutdown=True)
    assert_timed_out(event.wait())


def test_steps_go_on_between_the_sigterm_and_the_end(runtime):
    script = [running_for(10), logged("ten"), running_for(100), logged("late"), finished()]
    event = runtime.deploy_scripted("export", script, on_terminate=after(60)).invoke_async()
    event.terminate(grace_shutdown=True)
    event.wait()
    assert custom(event) == [(10, "ten")]
    assert event.duration == 60 * SECOND


def test_what_has_not_begun_is_begun_first_or_not_with_now(export, runtime):
    settled, now, graceful = (export.invoke_async() for _ in range(3))
    settled.terminate()
    now.terminate(when="now")
    graceful.terminate(grace_shutdown=True, when="now")

    assert [len(each.log) for each in (settled, now)] == [4, 3]  # START is not there
    assert (settled.status, now.status, graceful.status) == ("ABORTED", "ABORTED", "RUNNING")
    assert [line.text for line in graceful.log] == [NOT_RECEIVED]
    assert_signal_reception_failed(graceful)
    assert_finished(graceful.wait(), result={"rows": 20})


def test_an_event_that_has_ended_is_not_terminated(export):
    event = export.invoke_async().wait()
    for graceful in (False, True):
        assert refused(event.terminate, grace_shutdown=graceful) == "FailedOperation.AsyncEventStatus"


def test_delete_ends_what_runs(export, runtime):
    event, pending = export.invoke_async().settle(), export.invoke_async()
    export.delete()
    assert (event.status, event.status_code, pending.status) == ("ABORTED", 499, "ABORTED")
    runtime.clock.advance(2 * HOUR)  # nothing of them is due any more
    assert event.ended_at == START


# -- gates -----------------------------------------------------------------------------------------------------------

ROWS = [running_for(5), logged("row 1\nrow 2"), running_for(5), logged("row 3"), running_for(5), finished()]


def test_it_stands_behind_the_line_that_the_test_waits_for(runtime):
    export = runtime.deploy_scripted("export", ROWS)
    event = export.invoke_async()
    event.wait_for_log("row 1")
    assert (event.doing, custom(event)) == ("gated", [(5, "row 1")])
    event.settle()
    assert (event.doing, custom(event)) == ("parked", [(5, "row 1"), (5, "row 2")])
    event.wait_for_log("row", count=3)
    assert (event.doing, runtime.clock.now) == ("gated", START + 10 * SECOND)
    event.wait()
    assert_log_order(event, ["START", "row 1", "row 2", "row 3", "Response"])
    assert event.duration == 15 * SECOND


def test_a_gate_holds_the_clock_and_advance_opens_it(export, runtime):
    rows = runtime.deploy_scripted("rows", ROWS).invoke_async()
    rows.wait_for_log("row 1")
    with pytest.raises(CannotEndError, match=rf"event {rows.request_id} is stopped at wait_for_log\('row 1'\)"):
        export.invoke_async().wait()
    runtime.clock.advance(5)
    assert custom(rows)[1:] == [(5, "row 2"), (10, "row 3")]


def test_an_instance_does_not_move_the_clock_past_a_gate(runtime, deploy):
    sleeps = deploy("import time\n\ndef main_handler(event, context):\n    for _ in range(9):\n        time.sleep(1)\n")
    rows = runtime.deploy_scripted("rows", [logged("row 1"), running_for(60), finished()])
    sleeps.run()  # a warm instance may move the clock from its first wait on
    start = runtime.clock.now
    rows = rows.invoke_async().wait_for_log("row 1")
    event = sleeps.invoke_async()
    with pytest.raises(CannotEndError, match=rf"event {rows.request_id} is stopped at wait_for_log\('row 1'\)"):
        event.wait()
    assert runtime.clock.now == start
    rows.settle()
    assert event.wait().duration == 9 * SECOND


@pytest.mark.parametrize(("on_terminate", "doing", "seconds"), [("honour", "ended", 5), (after(2), "gated", 7)])
def test_a_sigterm_reaches_what_stands_at_a_gate(runtime, on_terminate, doing, seconds):
    event = runtime.deploy_scripted("export", ROWS, on_terminate=on_terminate).invoke_async()
    event.wait_for_log("row 1")
    event.terminate(grace_shutdown=True)
    assert event.doing == doing
    event.wait()
    assert (event.status, event.duration) == ("FINISHED", seconds * SECOND)


def test_force_reaches_what_stands_at_a_gate(runtime, export):
    event = runtime.deploy_scripted("rows", ROWS).invoke_async()
    event.wait_for_log("row 1")
    event.terminate()
    assert_terminated(event)
    assert_finished(export.invoke_async().wait())  # nothing holds the clock


def test_what_is_due_at_this_very_time_is_done_by_settle(runtime):
    export = runtime.deploy_scripted("export", ROWS)
    first, second = export.invoke_async(), export.invoke_async()
    first.wait_for_log("row 1")
    assert (second.doing, custom(second)) == ("parked", [])
    second.settle()
    assert custom(second) == [(5, "row 1"), (5, "row 2")]
    assert first.doing == "gated"


def test_at_one_instant_a_timeout_comes_before_what_else_is_due():
    ended = []
    with ScfRuntime(start=START, on_event_ended=lambda event: ended.append(event.function_name)) as runtime:
        for name, timeout in (("finishes", 60), ("times-out", 5)):
            runtime.deploy_scripted(name, [running_for(5), finished()], timeout=timeout).invoke_async()
        runtime.wait_all()
    assert ended == ["times-out", "finishes"]


def test_a_line_that_never_comes(runtime):
    event = runtime.deploy_scripted("export", ROWS).invoke_async()
    with pytest.raises(GateNotReachedError, match=r"never reached wait_for_log\('row 9'\)"):
        event.wait_for_log("row 9")


# -- quotas, versions, retries ---------------------------------------------------------------------------------------


def test_max_instances_and_the_queue(runtime):
    script = [running_for(90), finished()]
    refusing = runtime.deploy_scripted("refusing", script, max_instances=2)
    first, _ = refusing.invoke_async(), refusing.invoke_async()
    assert refused(refusing.invoke_async) == "LimitExceeded.Quota"
    first.terminate()
    refusing.invoke_async()

    queueing = runtime.deploy_scripted("queueing", script, max_instances=1, over_quota="queue")
    first, second = queueing.invoke_async(), queueing.invoke_async()
    assert second.doing == "queued"
    runtime.wait_all([first, second])
    assert (second.started_at, second.ended_at) == (START + 120 * SECOND, START + 210 * SECOND)
    assert "queued" in second.timeline


def test_an_attempt_that_fails_is_tried_again(runtime):
    export = runtime.deploy_scripted("export", [running_for(1), failed()], async_run=False)
    event = export.invoke_async()
    event.wait()
    assert (event.status, event.retry_num, event.duration) == ("FAILED", 2, 123 * SECOND)
    assert str(event.log).count("START") == 3


def test_versions_and_updates(runtime, export):
    assert export.publish_version() == "1"
    export.update(timeout=60)
    new, old = export.invoke_async(), export.invoke_async(qualifier="1")
    runtime.wait_all()
    assert (new.status_code, old.status_code, old.qualifier) == (433, 200, "1")
    with pytest.raises(ScfUsageError, match="'export' is a scripted function, which has none: delete"):
        export.update("other.py:main_handler")
    with pytest.raises(
        ScfUsageError,
        match=r"^environment \(update\(\.\.\.\)\) is for functions with code, and this one is scripted: valid are "
        "timeout, trace, max_instances, over_quota$",
    ):
        export.update(environment={"A": "B"})


# -- other scripts for some events -----------------------------------------------------------------------------------


def test_scripts_by_index(runtime):
    export = runtime.deploy_scripted(
        "export", [finished("others")], by_event={0: [failed(443)], 2: [running_for(5), finished("third")]}
    )
    events = [export.invoke_async() for _ in range(4)]
    runtime.wait_all()
    assert [event.status_code for event in events] == [443, 200, 200, 200]
    assert [event.result for event in events[1:]] == ["others", "third", "others"]


def test_scripts_by_payload(runtime):
    def by_event(payload):
        if payload["rows"] > 10:
            return [running_for(payload["rows"]), finished("large")]
        return None

    export = runtime.deploy_scripted("export", [failed(430)], by_event=by_event)
    small, large = export.invoke_async({"rows": 1}), export.invoke_async({"rows": 20})
    runtime.wait_all()
    assert (small.status, large.result, large.duration) == ("FAILED", "large", 20 * SECOND)


def test_a_by_event_of_the_test_that_fails(runtime):
    raises = runtime.deploy_scripted("raises", [finished()], by_event=lambda payload: payload["rows"])
    with pytest.raises(
        ScfUsageError,
        match=r"^by_event \(deploy_scripted\(\.\.\.\)\) of function 'raises' raised KeyError: 'rows', for the payload "
        r"\{\"lines\": 1\}$",
    ):
        raises.invoke_async({"lines": 1})
    gives = runtime.deploy_scripted("gives", [finished()], by_event=lambda _: [running_for(5)])
    with pytest.raises(ScfUsageError, match=r"by_event\(\{\}\)=\[running_for\(5\)\] .* is not valid: it ends with"):
        gives.invoke_async()
    assert runtime.events == []


# -- what is about code and instances --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (assert_nothing_lost, "assert_nothing_lost() does not apply"),
        (assert_signal_handled, "assert_signal_handled() does not apply"),
        (lambda event: assert_stopped_within(event, 30), "assert_stopped_within(...) does not apply"),
        (assert_reclaimed, "assert_reclaimed() does not apply"),
        (assert_reused, "assert_reused(...) does not apply"),
        (lambda event: event.instance.tmp, "it has no event.instance"),
    ],
    ids=["lost", "handled", "stopped", "reclaimed", "reused", "instance"],
)
def test_what_is_about_code_and_instances_is_refused(export, ask, what):
    event = export.invoke_async()
    event.terminate(grace_shutdown=True)
    with pytest.raises(ScfUsageError) as refusal:
        ask(event)
    text = str(refusal.value)
    assert text.startswith(
        f"event {event.request_id} of export is scripted, without code and without an instance: {what}; "
    )
    assert "\n" not in text


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda event: event.run_to("init"), "give the script a step logged('here'), and use wait_for_log('here')"),
        (lambda event: event.run_to("export.py:5"), "give the script a step logged"),
        (lambda event: event.wait_until_listening(), "wait_for_log"),
    ],
    ids=["init", "line", "listening"],
)
def test_gates_in_code_are_refused(export, call, instead):
    event = export.invoke_async()
    with pytest.raises(ScfUsageError) as refusal:
        call(event)
    assert f"event {event.request_id} is scripted, without lines of code; give the script a step " in str(refusal.value)
    assert instead in str(refusal.value)


# -- what is reported ------------------------------------------------------------------------------------------------

SCRIPTS = {
    "one step": [finished(1)],
    "steps": [running_for(5), running_for(0), running_for(7200), failed(443)],
    "lines": [running_for(5), logged("row"), running_for(5), exited()],
    "timeout": [running_for(5), timed_out()],
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("ends", ["by itself", "by force", "gracefully", "not"])
def test_log_and_timeline_are_the_same_whenever_they_are_read(make_runtime, name, ends):
    reported = []
    for reads in (False, True):
        runtime = make_runtime()
        event = runtime.deploy_scripted("export", SCRIPTS[name], on_terminate=after(1)).invoke_async()

        def read(event=event, reads=reads):
            if reads:
                assert event.timeline

        read()
        if ends != "by itself" and name != "one step":
            event.settle()
            read()
            runtime.clock.advance(7)
            read()
        if ends in ("by force", "gracefully") and name != "one step":
            event.terminate(grace_shutdown=ends == "gracefully")
            read()
        if ends != "not":
            event.wait()
        assert reads or name == "lines" or ends == "gracefully" or not has_lines(event)
        reported.append((event.timeline, [(line.time, line.text) for line in event.log]))
    assert reported[0] == reported[1]
    assert "RUNNING: accepted" in reported[0][0]


def test_what_is_read_in_the_middle_of_an_instant_is_reported_once():
    timelines = []
    with ScfRuntime(start=START, on_event_ended=lambda _: timelines.append(other.timeline)) as runtime:
        ends = runtime.deploy_scripted("ends", [running_for(5), finished()])
        goes_on = runtime.deploy_scripted("goes-on", [running_for(5), running_for(6), finished()])
        ends.invoke_async()
        other = goes_on.invoke_async()
        runtime.clock.advance(6)
        assert other.timeline.count("running_for(6)") == 1
    assert "running_for(6)" not in timelines[0]
    assert "times" not in other.timeline


def test_each_line_is_reported_to_who_does_not_read_the_log():
    reported = []
    with ScfRuntime(start=START, on_log_line=lambda _, line: reported.append(line.text)) as runtime:
        for script in SCRIPTS.values():
            reported.clear()
            event = runtime.deploy_scripted(f"export-{len(runtime.functions)}", script).invoke_async().wait()
            assert reported == [line.text for line in event.log]
            assert reported[0].startswith("START")


def test_each_line_is_reported_once_as_it_comes():
    seen = []
    with ScfRuntime(start=START, on_log_line=lambda event, line: seen.append((event.request_id, line.text))) as runtime:
        event = runtime.deploy_scripted("export", ROWS).invoke_async()
        event.wait_for_log("row 1")
        assert [text for _, text in seen][1:] == ["row 1"]
        event.wait()
    assert seen == [(event.request_id, line.text) for line in event.log]


def test_hooks_are_called_at_its_end():
    ended = []
    with ScfRuntime(start=START, on_event_ended=ended.append) as runtime:
        event = runtime.deploy_scripted("export", [finished()]).invoke_async().wait()
    assert ended == [event]


def test_where_a_call_cannot_end_its_script_is_named(export, runtime):
    event, _ = export.invoke_async().settle(), export.invoke_async()
    lines = what_instances_do(lockstep_of(runtime).snapshot()).splitlines()
    assert lines[0] == (
        f"event {event.request_id} of export does what its script says: running_for(7200) until "
        "2026-01-01T02:00:00+00:00"
    )


@pytest.mark.parametrize(
    ("assertion", "cause"),
    [
        (assert_finished, "its script has not started yet: wait(), settle() and the gate calls"),
        (lambda event: assert_finished(event.settle()), "the event is still running, and only a call such as wait()"),
        (lambda event: assert_failed(event.wait()), "SIGTERM"),
        (lambda event: assert_status(event.wait(), "ABORTED"), "its script says so: finished({'rows': 20})"),
    ],
    ids=["pending", "running", "terminated", "signalled"],
)
def test_the_likely_cause(export, request, assertion, cause):
    event = export.invoke_async()
    if "terminated" in request.node.name or "signalled" in request.node.name:
        event.settle().terminate(grace_shutdown=True)
        cause = cause.replace("{'rows': 20}", "")
    with pytest.raises(AssertionError) as failure:
        assertion(event)
    (line,) = [line for line in str(failure.value).splitlines() if line.startswith("likely cause: ")]
    assert cause in line
