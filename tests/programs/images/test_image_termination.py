"""Terminations of events of an image whose program is Python."""

from __future__ import annotations

from datetime import timedelta

import pytest
from image_support import COLD, LISTENER, program
from process_support import (
    NOT_RECEIVED,
    RECEIVED,
    START,
    assert_end,
    assert_kept,
    assert_reclaimed_for_good,
    short_log,
    user_lines,
)

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

SLEEPS = "def handle(event, request):\n    time.sleep(10)\n    return 'done'\n"


def with_listener(body: str) -> str:
    return program(
        f"def on_sigterm(signum, frame):\n    {body}\nsignal.signal(signal.SIGTERM, on_sigterm)\n{SLEEPS}",
        server="ThreadingHTTPServer",
    )


def at(seconds):
    return START + timedelta(seconds=seconds)


@pytest.mark.repeat
def test_a_listener_that_returns_lets_the_work_end_and_the_instance_is_kept(deploy_image, runtime):
    function = deploy_image(program(LISTENER, server="ThreadingHTTPServer"))
    event = function.invoke_async()
    event.wait_for_log("working")
    runtime.clock.advance(25)

    event.terminate(grace_shutdown=True)

    assert event.status == "RUNNING"
    assert runtime.clock.now == at(25)
    assert short_log(event) == [*COLD, "working", RECEIVED, "signal 15"]
    (signal,) = event.signals
    assert (signal.received, signal.disposition, signal.raised) == (True, "handler", None)
    assert (signal.sent_at, signal.entered_at, signal.left_at) == (at(25), at(25), at(25))

    event.wait()
    log = [*COLD, "working", RECEIVED, "signal 15", 'RESPONSE "stopped after 26"', "END", "REPORT 26000ms"]
    assert event.result == "stopped after 26"
    assert_end(event, "FINISHED", 200, after=26, log=log)
    assert_kept(event)

    again = function.invoke_async()
    again.terminate(grace_shutdown=True)
    assert again.wait().result == "stopped after 1"
    assert (again.instance.cold, again.instance.pid) == (False, event.instance.pid)


@pytest.mark.parametrize(
    ("body", "how"),
    [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "killed by SIGKILL")],
)
def test_a_listener_that_ends_the_program_is_439(deploy_image, body, how):
    event = deploy_image(with_listener(body)).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert f"the process ended: {how}" in event.timeline
    assert_reclaimed_for_good(event, "process exited")


def test_sys_exit_in_a_listener_waits_for_the_threads_of_requests_as_python_does(deploy_image):
    source = with_listener("sys.exit(0)").replace(
        "ThreadingHTTPServer((", "ThreadingHTTPServer.daemon_threads = False\nThreadingHTTPServer(("
    )
    event = deploy_image(source).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    # the interpreter waits for threads that are no daemons: the work comes to its end, and the answer is sent
    assert (event.status, event.result, event.duration) == ("FINISHED", "done", timedelta(seconds=10))


def test_a_listener_that_raises_in_the_loop_of_the_server_ends_the_program(deploy_in_process):
    event = deploy_in_process(with_listener("raise RuntimeError('asked to stop')")).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert user_lines(event)[-1] == "RuntimeError: asked to stop"
    assert event.signals[0].raised == "RuntimeError: asked to stop"


def test_a_listener_that_raises_in_the_work_is_what_the_server_makes_of_it(deploy_image):
    handle = """
    class Stop(Exception):
        pass
    def on_sigterm(signum, frame):
        raise Stop
    signal.signal(signal.SIGTERM, on_sigterm)
    def handle(event, request):
        try:
            time.sleep(1000)
        except Stop:
            raise Answer(503, b"stopped")
    """
    event = deploy_image(program(handle)).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, event.status_code) == ("FAILED", 430)
    assert event.error["stackTrace"] == "POST /event-invoke was answered with HTTP 503 Service Unavailable: stopped"
    assert event.duration == timedelta(0)


@pytest.mark.parametrize(
    ("how", "disposition"),
    [
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "ignored"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])", "blocked"),
        ("signal.signal(signal.SIGTERM, lambda *_: None)", "handler"),
    ],
)
def test_a_program_that_goes_on_goes_on(deploy_image, how, disposition):
    event = deploy_image(program(f"{how}\n{SLEEPS}")).invoke_async()

    event.terminate(grace_shutdown=True)

    assert (event.status, event.signals[0].disposition) == ("RUNNING", disposition)
    assert event.wait().duration == timedelta(seconds=10)
    assert event.result == "done"
    assert_kept(event)


def test_a_program_that_goes_on_after_the_signal_times_out(deploy_image):
    source = program(f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPS}")
    event = deploy_image(source, timeout=5).invoke_async()

    event.terminate(grace_shutdown=True)

    log = [*COLD, RECEIVED, "ERROR 433", "END", "REPORT 5000ms"]
    assert_end(event.wait(), "FAILED", 433, after=5, log=log)


def test_a_forced_termination_after_a_graceful_one(deploy_image):
    event = deploy_image(program(f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPS}")).invoke_async()

    event.terminate(grace_shutdown=True)
    event.terminate(grace_shutdown=True)
    event.terminate()

    assert_end(event, "ABORTED", 499, log=[*COLD, RECEIVED, RECEIVED, "ERROR 499", "END", "REPORT 0ms"])
    assert_reclaimed_for_good(event, "terminated")


def test_a_signal_before_there_is_a_process_is_not_received(deploy_image):
    event = deploy_image(program(SLEEPS)).invoke_async()

    event.terminate(grace_shutdown=True, when="now")

    assert event.wait().result == "done"
    assert NOT_RECEIVED in short_log(event)


def test_a_signal_in_the_init_of_a_program(deploy_image, runtime):
    source = "import time; time.sleep(20)\n" + program(SLEEPS)
    event = deploy_image(source).invoke_async()
    runtime.clock.advance(5)

    event.terminate(grace_shutdown=True)

    log = ["START", RECEIVED, "INIT 5000ms", "ERROR 439", "END", "REPORT 5000ms"]
    assert_end(event, "FAILED", 439, after=5, log=log)


def test_a_forced_termination_in_the_init_of_a_program(deploy_image, runtime):
    event = deploy_image("import time; time.sleep(20)\n").invoke_async()
    runtime.clock.advance(5)

    event.terminate()

    assert_end(event, "ABORTED", 499, after=5, log=["START", "ERROR 499", "END", "REPORT 5000ms"])


def test_the_status_of_a_return_after_the_signal_is_a_setting(deploy_image, make_runtime):
    target = make_runtime(graceful_return_status="ABORTED")
    event = deploy_image(program(LISTENER, server="ThreadingHTTPServer"), to=target).invoke_async()

    event.terminate(grace_shutdown=True)

    assert (event.wait().status, event.status_code) == ("ABORTED", 499)


def test_the_next_event_meets_the_flag_that_the_last_one_left(deploy_image):
    source = program(LISTENER, server="ThreadingHTTPServer").replace("    stopping = False\n    print", "    print")
    function = deploy_image(source)
    first = function.invoke_async()
    first.terminate(grace_shutdown=True)
    assert first.wait().result == "stopped after 1"

    assert function.invoke_async().wait().result == "stopped after 0"


@pytest.mark.repeat
def test_a_signal_at_a_line_of_the_work(deploy_in_process):
    event = deploy_in_process(program(LISTENER, server="ThreadingHTTPServer"), timeout=30).invoke_async()
    event.run_to("handle#1")

    event.terminate(grace_shutdown=True)
    event.wait()

    # it came before the first line of the work, which then sets the flag back: the work goes on to its timeout
    assert (event.status_code, user_lines(event)) == (433, ["signal 15", "working"])
