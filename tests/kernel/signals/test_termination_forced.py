"""TerminateAsyncEvent without GraceShutdown: the instance is killed, and the call returns when it is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import (
    START,
    assert_body,
    assert_end,
    assert_kept,
    assert_reclaimed_for_good,
    files_in,
    is_gone,
    short_log,
    user_lines,
)

from pytest_scf_async.errors import HarnessError, ScfApiError

pytestmark = pytest.mark.sandbox

WORKER = """
    import os, signal, tempfile, time
    def main_handler(event, context):
        signal.signal(signal.SIGTERM, lambda *_: print("never: nobody sends SIGTERM"))
        open(os.path.join(tempfile.gettempdir(), "work"), "w").close()
        for row in range(1, 1001):
            print("row", row)
            time.sleep(1)
        return "all rows"
"""
ENDED = ["ERROR 499", "END"]


def assert_aborted(event, *, after, log):
    assert_end(event, "ABORTED", 499, after=after, log=[*log, *ENDED, f"REPORT {round(after * 1000)}ms"])
    assert_body(event, errorCode=-1, errorMessage="RequestCanceled")
    assert event.signals == []


@pytest.mark.repeat
def test_a_pending_event_runs_to_its_first_wait_and_is_killed_there(deploy, runtime):
    event = deploy(WORKER).invoke_async()

    event.terminate()

    assert_aborted(event, after=0, log=["START", "INIT 0ms", "row 1"])
    assert_reclaimed_for_good(event, "terminated")
    assert runtime.clock.now == START


def test_now_ends_a_pending_event_before_any_of_its_code_has_run(deploy):
    event = deploy(WORKER).invoke_async()

    event.terminate(when="now")

    assert_aborted(event, after=0, log=[])
    assert event.instance is None
    assert event.wait() is event


def test_a_parked_event_is_killed_where_it_waits(deploy, runtime):
    event = deploy(WORKER).invoke_async().wait_for_log("row 3")
    event.settle()
    runtime.clock.advance(0.25)
    assert event.doing == "parked"
    assert files_in(event.instance.tmp) == ["work"]

    event.terminate()

    assert_aborted(event, after=2.25, log=["START", "INIT 0ms", "row 1", "row 2", "row 3"])
    assert_reclaimed_for_good(event, "terminated")
    assert runtime.clock.now == START + timedelta(seconds=2.25)


def test_now_kills_an_event_at_a_gate_there(deploy):
    event = deploy(WORKER).invoke_async().wait_for_log("row 2")
    assert event.doing == "gated"

    event.terminate(when="now")

    assert_aborted(event, after=1, log=["START", "INIT 0ms", "row 1", "row 2"])
    assert_reclaimed_for_good(event, "terminated")


def test_an_event_in_its_init_is_killed_there(deploy):
    event = deploy("import time\nprint('init')\ntime.sleep(20)\n").invoke_async()

    event.terminate()

    assert_aborted(event, after=0, log=["START", "init"])
    assert_reclaimed_for_good(event, "terminated")


def test_an_event_that_computes_for_ever_is_killed(deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy("def main_handler(event, context):\n    while True: pass\n", to=runtime).invoke_async()

    event.terminate()

    assert_aborted(event, after=0, log=["START", "INIT 0ms"])
    assert_reclaimed_for_good(event, "terminated")


def test_an_event_in_a_real_wait_is_killed(deploy):
    event = deploy("""
        import os
        def main_handler(event, context):
            os.read(os.pipe()[0], 1)
    """).invoke_async()

    event.terminate()

    assert_aborted(event, after=0, log=["START", "INIT 0ms"])
    assert_reclaimed_for_good(event, "terminated")


def test_its_threads_and_children_die_with_it(deploy):
    event = deploy("""
        import subprocess, threading, time
        def main_handler(event, context):
            threading.Thread(target=time.sleep, args=(1000,)).start()
            child = subprocess.Popen(["sleep", "1000"])
            own_session = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            print(child.pid, own_session.pid)
            time.sleep(1000)
    """).invoke_async()
    event.settle()
    children = [int(pid) for pid in user_lines(event)[0].split()]
    assert not any(is_gone(pid) for pid in children)

    event.terminate()

    assert all(is_gone(pid) for pid in children)
    assert_reclaimed_for_good(event, "terminated")


def test_a_termination_of_an_aborted_event_is_refused(deploy):
    event = deploy(WORKER).invoke_async()
    event.terminate()

    with pytest.raises(ScfApiError, match="is ABORTED, and only a RUNNING event can be terminated") as refusal:
        event.terminate()

    assert refusal.value.code == "FailedOperation.AsyncEventStatus"
    assert event.request_id in str(refusal.value)
    assert len(event.transitions) == 2


def test_the_next_event_has_a_new_instance_with_an_empty_tmp(deploy):
    function = deploy(WORKER)
    first = function.invoke_async()
    first.terminate()

    second = function.invoke_async()
    second.run_to("init")

    assert second.instance.cold
    assert second.instance.pid != first.instance.pid
    assert files_in(second.instance.tmp) == []


def test_another_event_of_the_function_runs_on(deploy):
    function = deploy(WORKER)
    first, second = function.invoke_async(), function.invoke_async()
    first.wait_for_log("row 2")

    first.terminate()

    assert (first.status, second.status) == ("ABORTED", "RUNNING")
    assert second.wait().result == "all rows"
    assert second.duration == timedelta(seconds=1000)


GARBLES = """
    import os, stat
    def main_handler(event, context):
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode):
                    os.write(fd, b"x" * 64)
            except OSError:
                continue
        while True:
            pass
"""


HANDS_THE_TURN_ON = """
    import threading, time
    def main_handler(event, context):
        print("row 1")
        thread = threading.Thread(target=len, args=("",))
        thread.start()
        thread.join()
        time.sleep(1000)
"""


def test_what_another_event_raises_meanwhile_is_raised_once_the_instance_is_gone(deploy):
    event = deploy(HANDS_THE_TURN_ON).invoke_async()
    garbles = deploy(GARBLES, name="garbles").invoke_async()

    with pytest.raises(HarnessError, match="of garbles sent an invalid message"):
        event.terminate()

    assert_aborted(event, after=0, log=["START", "INIT 0ms", "row 1"])
    assert_reclaimed_for_good(event, "terminated")
    assert garbles.ended


def test_its_own_error_is_raised_and_no_other(deploy):
    event = deploy(GARBLES).invoke_async()

    with pytest.raises(HarnessError, match="sent an invalid message"):
        event.terminate()

    assert event.ended


def test_an_accepted_termination_wins_over_a_result_that_is_on_its_way(deploy):
    event = (
        deploy("""
        def main_handler(event, context):
            print("done")
            return "result"
    """)
        .invoke_async()
        .wait_for_log("done")
    )

    event.terminate(when="now")

    assert (event.status, event.status_code) == ("ABORTED", 499)


def test_an_event_that_ends_before_its_first_wait_cannot_be_terminated(deploy):
    event = deploy("def main_handler(event, context): return 1").invoke_async()

    with pytest.raises(ScfApiError, match="is FINISHED, and only a RUNNING event") as refusal:
        event.terminate()

    assert refusal.value.code == "FailedOperation.AsyncEventStatus"
    assert (event.status, event.result) == ("FINISHED", 1)


def test_an_instance_that_writes_without_end_is_killed(deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.02)
    event = deploy(
        """
        import os
        def main_handler(event, context):
            while True:
                os.write(1, b"x" * 1000)
        """,
        to=runtime,
    ).invoke_async()

    event.terminate()

    assert (event.status, event.status_code) == ("ABORTED", 499)
    assert set(user_lines(event)[0]) == {"x"}
    assert_reclaimed_for_good(event, "terminated")


def test_the_operation_of_the_runtime_does_the_same(deploy, runtime):
    event = deploy(WORKER).invoke_async()

    runtime.terminate_async_event("index", event.request_id)

    assert_aborted(event, after=0, log=["START", "INIT 0ms", "row 1"])
    assert_reclaimed_for_good(event, "terminated")


def test_the_deletion_of_a_function_aborts_what_runs(deploy, runtime):
    function = deploy(WORKER)
    running = function.invoke_async().wait_for_log("row 3")
    runtime.clock.advance(0.5)
    pending = function.invoke_async()

    function.delete()

    assert_aborted(running, after=2.5, log=["START", "INIT 0ms", "row 1", "row 2", "row 3"])
    assert_reclaimed_for_good(running, "function deleted")
    assert_aborted(pending, after=0, log=[])
    assert pending.instance is None
    assert runtime.functions == {}


def test_the_deletion_of_a_function_takes_its_idle_instances_and_its_records(deploy, runtime):
    function = deploy("def main_handler(event, context): return 1")
    event = function.invoke_async().wait()
    assert_kept(event)

    function.delete()

    assert (event.status, event.result) == ("FINISHED", 1)
    assert is_gone(event.instance.pid)
    with pytest.raises(ScfApiError, match=r"ResourceNotFound\.AsyncEvent"):
        runtime.get_async_event_status(event.request_id)
    for refused in (lambda: runtime.list_async_events("index"), function.invoke_async, function.delete):
        with pytest.raises(ScfApiError, match=r"ResourceNotFound\.Function"):
            refused()


def test_a_function_of_the_same_name_may_follow_a_deleted_one(deploy):
    deploy("def main_handler(event, context): return 'old'", name="export").delete()

    assert deploy("def main_handler(event, context): return 'new'", name="export").run() == "new"


def test_the_end_of_the_runtime_kills_what_runs_and_events_go_on_answering(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(WORKER, to=runtime).invoke_async().wait_for_log("row 2")
    pid = event.instance.pid

    runtime.close()

    assert is_gone(pid)
    assert event.status == "RUNNING"
    assert short_log(event) == ["START", "INIT 0ms", "row 1", "row 2"]
