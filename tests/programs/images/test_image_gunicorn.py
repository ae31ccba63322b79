"""gunicorn as the program of an image: its arbiter and its workers are on simulated time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from image_support import processes
from process_support import RECEIVED, assert_kept, eventually, is_gone, short_log, user_lines

from pytest_scf_async import assert_finished, assert_signal_handled, assert_terminated

# once: a program that is not ours; test_image_forks.py does on more Pythons what it does: forks, waits, signals
pytestmark = pytest.mark.once

APP = """
import json, os, signal, sys, time

def app(environ, start_response):
    event = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    print("working", flush=True)
    before = time.monotonic()
    time.sleep(event.get("sleep", 0))
    if "exit" in event:
        os._exit(event["exit"])
    print("done", flush=True)
    start_response("200 OK", [("Content-Type", "application/json")])
    slept = round(time.monotonic() - before, 6)
    return [json.dumps({"slept": slept, "pid": os.getpid(), "of": os.getppid()}).encode()]
"""
KINDS = {
    "sync": [],
    "gthread": ["--worker-class=gthread", "--threads=2"],
    "two": ["--workers=2"],
    "two-gthread": ["--workers=2", "--worker-class=gthread", "--threads=2"],
}


@pytest.fixture
def gunicorn(runtime, tmp_path):
    """Deploy the app under gunicorn with *options*."""

    def deploy(*options: str, app: str = "app:app", **keywords):
        (tmp_path / "app.py").write_text(APP)
        control = "--control-socket=gunicorn.ctl"  # not in /tmp, which is the machine's where there are no namespaces
        command = ["gunicorn", "--bind=0.0.0.0:9000", control, *options, app]
        return runtime.deploy_image(command, cwd=tmp_path, **keywords)

    return deploy


def lines_of_app(event) -> list[str]:
    """Without gunicorn's own."""
    return [line for line in user_lines(event) if line in ("working", "done")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_sleeps_simulated_time(gunicorn, kind):
    event = gunicorn(*KINDS[kind], "--timeout=0").invoke_async({"sleep": 200}).wait()
    assert (event.status, event.status_code) == ("FINISHED", 200)
    assert event.result["slept"] == 200
    assert event.result["pid"] != event.result["of"] == event.instance.pid
    times = [float(line.split()[0]) for line in event.timeline.splitlines()]  # waits under a lease are reported late
    assert times == sorted(times)
    assert timedelta(seconds=200) <= event.duration < timedelta(seconds=202)  # gunicorn draws when a worker starts
    assert lines_of_app(event) == ["working", "done"]
    assert_kept(event)


@pytest.mark.parametrize("kind", KINDS)
def test_the_arbiter_is_terminated_and_the_worker_finishes(gunicorn, kind):
    event = gunicorn(*KINDS[kind]).invoke_async({"sleep": 20})
    event.wait_for_log("working")
    event.terminate(grace_shutdown=True)
    event.wait()
    assert (event.status, event.status_code, event.result["slept"]) == ("FINISHED", 200, 20)
    assert_signal_handled(event)
    assert user_lines(event).count("done") == 1
    assert RECEIVED in short_log(event)


def test_the_event_after_a_graceful_termination_has_an_instance_of_its_own(runtime, gunicorn):
    function = gunicorn()
    first = function.invoke_async({"sleep": 20})
    first.wait_for_log("working")
    first.terminate(grace_shutdown=True)
    first.wait()
    second = function.invoke_async({}).wait()
    assert second.status == "FAILED"  # the server that got the SIGTERM is warm, and ends now
    third = function.invoke_async({}).wait()
    assert (third.status, third.instance.cold) == ("FINISHED", True)


def test_the_graceful_timeout_of_gunicorn_kills_a_worker(gunicorn):
    event = gunicorn("--graceful-timeout=5").invoke_async({"sleep": 20})
    event.wait_for_log("working")
    event.terminate(grace_shutdown=True)
    event.wait()
    assert (event.status, event.status_code) == ("FAILED", 439)  # the worker is killed, and the arbiter ends
    assert timedelta(seconds=5) <= event.duration < timedelta(seconds=6)


def test_the_timeout_of_gunicorn_is_simulated(gunicorn):
    event = gunicorn("--timeout=30").invoke_async({"sleep": 100}).wait()
    assert (event.status, event.status_code) == ("FAILED", 430)
    assert timedelta(seconds=30) <= event.duration < timedelta(seconds=32)
    assert any("WORKER TIMEOUT" in line for line in user_lines(event))
    with pytest.raises(AssertionError, match=r"likely cause: POST .*; its program wrote .*\[CRITICAL\] WORKER TIMEOUT"):
        assert_finished(event)


def test_a_module_that_gunicorn_cannot_import_is_the_cause(gunicorn):
    event = gunicorn(app="rows_of_export:app").invoke_async({}).wait()
    assert event.status_code == 439
    cause = r"likely cause: .* with ModuleNotFoundError: No module named 'rows_of_export'"
    with pytest.raises(AssertionError, match=cause) as raised:
        assert_finished(event)
    for kept in ("[ERROR] Exception in worker process", "Traceback (most recent call last)", "[ERROR] Reason: Worker"):
        assert kept in str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_exits_is_an_error_of_the_event(gunicorn, kind):
    event = gunicorn(*KINDS[kind]).invoke_async({"sleep": 3, "exit": 5})
    event.wait_for_log("working")
    pids = processes(event)
    event.wait()
    assert (event.status, event.status_code) == ("FAILED", 430)
    assert "closed the connection" in event.error["stackTrace"]
    assert event.instance.reclaimed_because == "raised"
    assert eventually(lambda: all(map(is_gone, pids)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_forced_termination_leaves_no_process(gunicorn, kind):
    event = gunicorn(*KINDS[kind]).invoke_async({"sleep": 20})
    event.wait_for_log("working")
    pids = processes(event)
    assert len(pids) >= 2
    event.terminate()
    assert_terminated(event)
    assert all(map(is_gone, pids))


@pytest.mark.parametrize("kind", KINDS)
def test_five_events_on_a_warm_instance(runtime, gunicorn, kind):
    function = gunicorn(*KINDS[kind])
    events = []
    for _ in range(5):
        events.append(function.invoke_async({"sleep": 7}).wait())
        runtime.clock.advance(10)
    assert [event.status for event in events] == ["FINISHED"] * 5
    assert [event.instance.cold for event in events] == [True] + [False] * 4
    assert len({event.instance.pid for event in events}) == 1
    assert {event.duration for event in events[1:]} <= {timedelta(seconds=7), timedelta(seconds=7, microseconds=1)}


def test_a_worker_that_starts_anew_after_each_request(gunicorn):
    function = gunicorn("--max-requests=1")
    pids = [function.run({"sleep": 5})["pid"] for _ in range(4)]
    assert len(set(pids)) == 4


def test_the_line_of_a_worker_stops_it_there(runtime, gunicorn):
    event = gunicorn().invoke_async({"sleep": 9})
    event.wait_for_log("working")
    before = runtime.clock.now
    event.wait_for_log("done")
    assert timedelta(seconds=9) <= runtime.clock.now - before < timedelta(seconds=11)
    assert "wait_for_log('done')" in event.timeline
    assert event.status == "RUNNING"
    event.wait()
    assert event.status == "FINISHED"
