"""TerminateAsyncEvent with GraceShutdown: SIGTERM to the user's process, and what listeners make of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from internals import event_of, lockstep_of, lockstep_scheduler, state, version_of
from process_support import (
    LONG,
    NOT_RECEIVED,
    RECEIVED,
    START,
    assert_body,
    assert_end,
    assert_kept,
    assert_reclaimed_for_good,
    eventually,
    short_log,
    user_lines,
)

from pytest_scf_async.errors import ScfApiError

pytestmark = pytest.mark.leases

LISTENER = """
    import signal, time
    stopping = False
    def on_sigterm(signum, frame):
        global stopping
        print("signal", signum, "at", frame.f_code.co_name)
        stopping = True
    def main_handler(event, context):
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, on_sigterm)
        while not stopping:
            time.sleep(10)
        print("saved")
        return "stopped early"
"""
COLD = ["START", "INIT 0ms"]


def with_listener(body: str, then: str = 'time.sleep(10); print("slept"); return "done"') -> str:
    return f"""
    import os, signal, sys, time
    def on_sigterm(signum, frame):
        {body}
    signal.signal(signal.SIGTERM, on_sigterm)
    def main_handler(event, context):
        {then}
"""


def at(seconds):
    return START + timedelta(seconds=seconds)


@pytest.mark.repeat
def test_a_listener_that_returns_lets_the_handler_finish_and_the_instance_is_reused(deploy, runtime):
    function = deploy(LISTENER)
    event = function.invoke_async()
    runtime.clock.advance(25)

    event.terminate(grace_shutdown=True)

    assert event.status == "RUNNING"
    assert runtime.clock.now == at(25)
    assert short_log(event) == [*COLD, RECEIVED, "signal 15 at main_handler"]
    (signal,) = event.signals
    assert (signal.received, signal.disposition, signal.raised) == (True, "handler", None)
    assert (signal.sent_at, signal.entered_at, signal.left_at) == (at(25), at(25), at(25))

    event.wait()
    log = [*COLD, RECEIVED, "signal 15 at main_handler", "saved", 'RESPONSE "stopped early"', "END", "REPORT 30000ms"]
    assert_end(event, "FINISHED", 200, after=30, log=log)
    assert event.result == "stopped early"
    assert_kept(event)

    again = function.invoke_async()
    again.terminate(grace_shutdown=True)
    assert again.wait().result == "stopped early"
    assert (again.instance.cold, again.instance.pid) == (False, event.instance.pid)


def test_a_pending_event_runs_to_its_first_wait_before_the_signal(deploy):
    event = deploy(LISTENER).invoke_async()

    event.terminate(grace_shutdown=True)

    assert short_log(event) == [*COLD, RECEIVED, "signal 15 at main_handler"]
    assert event.wait().duration == timedelta(seconds=10)


@pytest.mark.repeat
def test_nothing_listens_so_the_signal_ends_the_process(deploy):
    event = deploy("""
        import atexit, time
        def main_handler(event, context):
            atexit.register(print, "never: the default action runs nothing")
            time.sleep(10)
    """).invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "FAILED", 439, log=[*COLD, RECEIVED, "ERROR 439", "END", "REPORT 0ms"])
    assert_body(event, errorCode=-1, errorMessage="User process exit when running")
    assert_reclaimed_for_good(event, "process exited")
    (signal,) = event.signals
    assert (signal.received, signal.disposition, signal.entered_at) == (True, "default", None)


@pytest.mark.repeat
def test_a_listener_that_raises_out_of_a_sleep_is_430_with_both_frames(deploy, runtime):
    event = deploy(with_listener('raise InterruptedError("asked to stop")')).invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "FAILED", 430, log=[*COLD, RECEIVED, "ERROR 430", "END", "REPORT 0ms"])
    path = version_of(runtime.functions["index"]).code.entry
    stack = [line for line in event.error["stackTrace"].splitlines() if set(line) - set(" ^~")]
    assert stack == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 7, in main_handler',
        '    time.sleep(10); print("slept"); return "done"',
        f'  File "{path}", line 4, in on_sigterm',
        '    raise InterruptedError("asked to stop")',
        "InterruptedError: asked to stop",
    ]
    assert event.signals[0].raised == "InterruptedError: asked to stop"
    assert event.signals[0].left_at == START
    assert_reclaimed_for_good(event, "raised")


def test_what_a_listener_raises_can_be_caught_by_the_handler(deploy):
    event = deploy("""
        import signal, time
        class Stop(Exception):
            pass
        def on_sigterm(signum, frame):
            raise Stop
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            try:
                time.sleep(1000)
            except Stop:
                time.sleep(2)
                return "cleaned up"
    """).invoke_async()

    event.terminate(grace_shutdown=True)
    assert event.doing == "parked"
    event.wait()

    assert_end(event, "FINISHED", 200, after=2, log=[*COLD, RECEIVED, 'RESPONSE "cleaned up"', "END", "REPORT 2000ms"])
    assert event.signals[0].raised == "Stop"
    assert_kept(event)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(0)", []),
        ("sys.exit('stopped')", ["stopped"]),
        ("raise SystemExit(6)", []),
        ("os.abort()", []),
        ("signal.signal(signum, signal.SIG_DFL); os.kill(os.getpid(), signum)", []),
    ],
)
def test_a_listener_that_ends_the_process_is_439(deploy, body, said):
    event = deploy(with_listener(body)).invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "FAILED", 439, log=[*COLD, RECEIVED, *said, "ERROR 439", "END", "REPORT 0ms"])
    assert_body(event, errorCode=-1, errorMessage="User process exit when running")
    assert_reclaimed_for_good(event, "process exited")
    assert event.signals[0].disposition == "handler"
    assert event.signals[0].entered_at == START


def test_a_system_exit_of_a_listener_runs_the_handlers_finally_on_simulated_time(deploy):
    event = deploy("""
        import signal, sys, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            try:
                time.sleep(1000)
            finally:
                time.sleep(3)
                print("cleaned up")
    """).invoke_async()

    event.terminate(grace_shutdown=True)
    assert (event.status, event.doing) == ("RUNNING", "parked")
    event.wait()

    log = [*COLD, RECEIVED, "cleaned up", "ERROR 439", "END", "REPORT 3000ms"]
    assert_end(event, "FAILED", 439, after=3, log=log)


def test_a_process_that_ignores_the_signal_goes_on(deploy):
    event = deploy("""
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(10)
            return "done"
    """).invoke_async()

    event.terminate(grace_shutdown=True)
    assert (event.status, event.doing) == ("RUNNING", "parked")
    event.wait()

    assert_end(event, "FINISHED", 200, after=10, log=[*COLD, RECEIVED, 'RESPONSE "done"', "END", "REPORT 10000ms"])
    (signal,) = event.signals
    assert (signal.received, signal.disposition, signal.entered_at) == (True, "ignored", None)
    assert_kept(event)


def test_a_blocked_signal_reaches_the_listener_when_it_is_unblocked(deploy):
    event = deploy("""
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("handled"))
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(10)
            print("unblocks")
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            print("unblocked")
    """).invoke_async()

    event.terminate(grace_shutdown=True)
    assert (event.status, event.doing, event.signals[0].disposition) == ("RUNNING", "parked", "blocked")
    assert short_log(event) == [*COLD, RECEIVED]
    event.wait()

    assert user_lines(event) == ["unblocks", "handled", "unblocked"]
    assert (event.signals[0].entered_at, event.signals[0].left_at) == (at(10), at(10))
    assert event.status == "FINISHED"


def test_a_blocked_signal_that_nothing_listens_to_ends_the_process_when_it_is_unblocked(deploy):
    event = deploy("""
        import signal, time
        def main_handler(event, context):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(10)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            time.sleep(1)
    """).invoke_async()

    event.terminate(grace_shutdown=True)
    assert event.status == "RUNNING"
    event.wait()

    assert_end(event, "FAILED", 439, after=10, log=[*COLD, RECEIVED, "ERROR 439", "END", "REPORT 10000ms"])


def test_a_listener_that_does_not_stop_the_work_leaves_the_event_running_until_it_returns(deploy):
    event = deploy(with_listener('print("noted")')).invoke_async()

    event.terminate(grace_shutdown=True)
    assert event.status == "RUNNING"
    event.wait()

    log = [*COLD, RECEIVED, "noted", "slept", 'RESPONSE "done"', "END", "REPORT 10000ms"]
    assert_end(event, "FINISHED", 200, after=10, log=log)


def test_a_listener_that_does_not_stop_the_work_leaves_the_event_running_until_it_times_out(deploy):
    event = deploy(with_listener('print("noted")'), timeout=5).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    log = [*COLD, RECEIVED, "noted", "ERROR 433", "END", "REPORT 5000ms"]
    assert_end(event, "FAILED", 433, after=5, log=log)
    assert_reclaimed_for_good(event, "timed out")


def test_a_forced_termination_may_follow_a_graceful_one(deploy, runtime):
    event = deploy(with_listener('print("noted")')).invoke_async()
    event.terminate(grace_shutdown=True)
    runtime.clock.advance(4)

    event.terminate()

    log = [*COLD, RECEIVED, "noted", "ERROR 499", "END", "REPORT 4000ms"]
    assert_end(event, "ABORTED", 499, after=4, log=log)
    assert_reclaimed_for_good(event, "terminated")


def test_a_second_graceful_termination_is_another_signal(deploy, runtime):
    event = deploy(with_listener('print("noted")')).invoke_async()

    event.terminate(grace_shutdown=True)
    runtime.clock.advance(4)
    event.terminate(grace_shutdown=True)

    assert short_log(event) == [*COLD, RECEIVED, "noted", RECEIVED, "noted"]
    assert [signal.entered_at for signal in event.signals] == [at(0), at(4)]
    assert event.wait().duration == timedelta(seconds=10)


@pytest.mark.parametrize("grace_shutdown", [True, False])
def test_an_event_that_has_ended_cannot_be_terminated(deploy, grace_shutdown):
    event = deploy("def main_handler(event, context): return 1").invoke_async().wait()
    log = short_log(event)

    with pytest.raises(ScfApiError) as refusal:
        event.terminate(grace_shutdown=grace_shutdown)

    assert refusal.value.code == "FailedOperation.AsyncEventStatus"
    assert event.request_id in str(refusal.value)
    assert short_log(event) == log
    assert event.signals == []


def test_a_pending_event_has_no_process_for_a_signal_that_comes_now(deploy):
    event = deploy(LISTENER.replace("while not stopping", "if not stopping")).invoke_async()

    event.terminate(grace_shutdown=True, when="now")

    assert short_log(event) == [NOT_RECEIVED]
    (signal,) = event.signals
    assert (signal.received, signal.disposition, signal.entered_at) == (False, "no process", None)
    event.wait()
    log = [NOT_RECEIVED, *COLD, "saved", 'RESPONSE "stopped early"', "END", "REPORT 10000ms"]
    assert_end(event, "FINISHED", 200, after=10, log=log)


def test_a_signal_during_the_init_ends_a_process_that_does_not_listen_yet(deploy):
    event = deploy("import time\nprint('init')\ntime.sleep(20)\n").invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "FAILED", 439, log=["START", "init", RECEIVED, "INIT 0ms", "ERROR 439", "END", "REPORT 0ms"])
    assert_reclaimed_for_good(event, "process exited")


def test_a_signal_before_the_first_line_of_the_module_ends_the_process(deploy):
    event = deploy(LISTENER).invoke_async().run_to("init")

    event.terminate(grace_shutdown=True, when="now")

    assert_end(event, "FAILED", 439, log=["START", RECEIVED, "INIT 0ms", "ERROR 439", "END", "REPORT 0ms"])


def test_a_listener_of_the_module_gets_a_signal_during_the_rest_of_the_init(deploy):
    event = deploy("""
        import signal, time
        signal.signal(signal.SIGTERM, lambda *_: print("noted"))
        time.sleep(20)
        def main_handler(event, context):
            return "went on"
    """).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    log = ["START", RECEIVED, "noted", "INIT 20000ms", 'RESPONSE "went on"', "END", "REPORT 0ms"]
    assert_end(event, "FINISHED", 200, after=20, log=log)


def test_a_listener_that_raises_during_the_init_is_443(deploy):
    event = deploy("""
        import signal, time
        def on_sigterm(signum, frame):
            raise RuntimeError("stop")
        signal.signal(signal.SIGTERM, on_sigterm)
        time.sleep(20)
    """).invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "FAILED", 443, log=["START", RECEIVED, "INIT 0ms", "ERROR 443", "END", "REPORT 0ms"])
    assert "pytest_scf_async" not in event.error["errorMessage"]


@pytest.mark.repeat
def test_a_termination_returns_at_the_first_wait_of_the_listener_and_the_interrupted_sleep_ends_on_time(deploy):
    event = deploy(with_listener('print("saving"); time.sleep(3); print("saved")')).invoke_async()
    event.settle()

    event.terminate(grace_shutdown=True)
    assert short_log(event) == [*COLD, RECEIVED, "saving"]
    assert (event.signals[0].entered_at, event.signals[0].left_at) == (START, None)
    event.wait()

    log = [*COLD, RECEIVED, "saving", "saved", "slept", 'RESPONSE "done"', "END", "REPORT 10000ms"]
    assert_end(event, "FINISHED", 200, after=10, log=log)
    assert event.signals[0].left_at == at(3)


def test_a_signal_during_a_listener_that_sleeps_enters_it_again_on_top(deploy, runtime):
    event = deploy(
        """
        import signal, time
        calls = 0
        def on_sigterm(signum, frame):
            global calls
            calls += 1
            number = calls
            print("in", number)
            time.sleep(3)
            print("out", number)
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            time.sleep(10)
        """
    ).invoke_async()

    event.terminate(grace_shutdown=True)
    runtime.clock.advance(1)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["in 1", "in 2", "out 2", "out 1"]
    assert [(signal.entered_at, signal.left_at) for signal in event.signals] == [(at(0), at(4)), (at(1), at(4))]
    assert event.duration == timedelta(seconds=10)


def test_a_signal_stops_a_handler_that_computes(deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05, real_timeout=2)
    event = deploy(
        """
        import signal
        stop = False
        def on_sigterm(signum, frame):
            global stop
            print("noted")
            stop = True
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            while not stop:
                pass
            return "stopped"
        """,
        to=runtime,
    ).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    assert_end(event, "FINISHED", 200, log=[*COLD, RECEIVED, "noted", 'RESPONSE "stopped"', "END", "REPORT 0ms"])


def test_the_end_of_a_termination_overwrites_nothing_that_another_thread_receives(deploy, monkeypatch):
    """Another thread receives the end of the instance in the middle of the last change that a termination makes."""
    event = deploy(LISTENER).invoke_async().settle()
    lockstep, instance, after = lockstep_of(event), event_of(event).instance, lockstep_scheduler.after
    received = []

    def after_another_thread(before, fact):
        step = after(before, fact)
        if fact is state.InstanceFact.SIGTERM_SETTLED:
            os.kill(instance.pid, signal.SIGKILL)
            another = threading.Thread(target=receive)
            another.start()
            another.join(LONG)
        return step

    def receive():
        lockstep.refresh()  # does nothing while another thread has the runtime
        received.append(lockstep._condition.acquire(blocking=False))
        if received[0]:
            assert eventually(lambda: lockstep.pump() or instance.state.life is state.Life.ENDED)
            lockstep._condition.release()

    monkeypatch.setattr(lockstep_scheduler, "after", after_another_thread)
    event.terminate(grace_shutdown=True)

    assert (instance.state.life is state.Life.ENDED) == received[0]


def test_a_signal_interrupts_a_real_wait_which_goes_on_afterwards(deploy):
    event = deploy("""
        import os, signal
        read, write = os.pipe()
        def on_sigterm(signum, frame):
            print("noted")
            os.write(write, b"go on")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            return os.read(read, 100).decode()
    """).invoke_async()

    event.terminate(grace_shutdown=True)

    assert event.wait().result == "go on"
    assert user_lines(event) == ["noted"]


def test_the_signal_goes_to_the_users_process_alone(deploy):
    event = deploy("""
        import signal, subprocess, time
        def main_handler(event, context):
            child = subprocess.Popen(["sleep", "1000"])
            def on_sigterm(signum, frame):
                print("child is", child.poll())
                child.kill()
                print("child was ended by", child.wait())
            signal.signal(signal.SIGTERM, on_sigterm)
            time.sleep(10)
    """).invoke_async()

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["child is None", "child was ended by -9"]
    assert event.wait().status == "FINISHED"


def test_a_listener_of_an_earlier_event_of_the_instance_listens_still(deploy):
    function = deploy("""
        import signal, time
        def main_handler(event, context):
            if event["install"]:
                signal.signal(signal.SIGTERM, lambda *_: print("noted"))
            time.sleep(10)
    """)
    function.invoke_async({"install": True}).wait()

    event = function.invoke_async({"install": False})
    event.terminate(grace_shutdown=True)

    assert short_log(event) == ["START", RECEIVED, "noted"]
    assert event.wait().status == "FINISHED"


def test_signal_signal_and_getsignal_answer_as_usual(deploy):
    result = deploy("""
        import signal
        def first(*_): pass
        def main_handler(event, context):
            answers = [
                signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                signal.signal(signal.SIGTERM, first) is signal.SIG_DFL,
                signal.getsignal(signal.SIGTERM) is first,
                signal.signal(signal.SIGTERM, signal.SIG_IGN) is first,
                signal.signal(signal.SIGTERM, signal.SIG_DFL) is signal.SIG_IGN,
                signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            ]
            try:
                signal.signal(signal.SIGTERM, "text")
            except TypeError as error:
                answers.append("signal handler must be" in str(error))
            try:
                signal.signal(signal.SIGKILL, first)
            except OSError:
                answers.append(True)
            return answers
    """).run()

    assert result == [True] * 9


def test_a_signal_line_for_a_process_that_does_not_listen_may_be_set_to_failed(deploy, make_runtime):
    runtime = make_runtime(unlistened_signal_line="failed")
    event = deploy("import time\ndef main_handler(event, context): time.sleep(9)", to=runtime).invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "FAILED", 439, log=[*COLD, NOT_RECEIVED, "ERROR 439", "END", "REPORT 0ms"])
    assert event.signals[0].received


def test_a_graceful_return_may_be_set_to_aborted(deploy, make_runtime):
    runtime = make_runtime(graceful_return_status="ABORTED")
    function = deploy(LISTENER, to=runtime)
    event = function.invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    log = [*COLD, RECEIVED, "signal 15 at main_handler", "saved", "ERROR 499", "END", "REPORT 10000ms"]
    assert_end(event, "ABORTED", 499, after=10, log=log)
    assert_body(event, errorCode=-1, errorMessage="RequestCanceled")
    assert_kept(event)


def test_a_graceful_exit_may_be_set_to_aborted(deploy, make_runtime):
    runtime = make_runtime(graceful_exit_status="ABORTED")
    event = deploy(with_listener("sys.exit(0)"), to=runtime).invoke_async()

    event.terminate(grace_shutdown=True)

    assert_end(event, "ABORTED", 439, log=[*COLD, RECEIVED, "ERROR 439", "END", "REPORT 0ms"])
    assert_reclaimed_for_good(event, "process exited")


def test_the_other_readings_change_nothing_without_a_signal(deploy, make_runtime):
    runtime = make_runtime(graceful_return_status="ABORTED", graceful_exit_status="ABORTED")

    returned = deploy("def main_handler(event, context): return 1", to=runtime).invoke_async().wait()
    exited = deploy("def main_handler(event, context): raise SystemExit", to=runtime).invoke_async().wait()

    assert (returned.status, returned.status_code) == ("FINISHED", 200)
    assert (exited.status, exited.status_code) == ("FAILED", 439)


def test_the_operation_of_the_runtime_does_the_same(deploy, runtime):
    event = deploy(LISTENER).invoke_async()

    runtime.terminate_async_event("index", event.request_id, grace_shutdown=True)

    assert short_log(event) == [*COLD, RECEIVED, "signal 15 at main_handler"]
    assert event.wait().result == "stopped early"


def test_what_started_the_tests_may_ignore_and_block_the_signal(tmp_path):
    (tmp_path / "index.py").write_text("import time\ndef main_handler(event, context): time.sleep(5)\n")
    script = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}})
from pytest_scf_async.runtime import ScfRuntime
with ScfRuntime() as runtime:
    event = runtime.deploy("{tmp_path}/index.py:main_handler").invoke_async()
    event.terminate(grace_shutdown=True)
    print(event.status, event.status_code, event.signals[0].disposition)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LONG, check=False)

    assert (done.stdout, done.stderr) == ("FAILED 439 default\n", "")
