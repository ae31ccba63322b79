"""Job images: a program is started for each event, finds it in its environment, and the event ends with it."""

from __future__ import annotations

import json
import warnings

import pytest
from internals import Zygote, event_of
from process_support import assert_body, assert_reclaimed_for_good, is_gone, short_log, user_lines

from pytest_scf_async import assert_signal_received, assert_timed_out
from pytest_scf_async.errors import ScfAsyncWarning
from pytest_scf_async.report.cause import likely_cause

# once: a program that is traced: the same on all Pythons
pytestmark = pytest.mark.once

SCRIPT = """#!/bin/sh
trap 'echo stopping; exit ${ON_SIGTERM:-0}' TERM
echo "event $SCF_CUSTOM_CONTAINER_EVENT"
eval "$DO"
"""


@pytest.fixture
def job(runtime, tmp_path):
    """Deploy a script that runs the lines of *do*."""

    def deploy(do="", **options):
        path = tmp_path / "export.sh"
        path.write_text(SCRIPT)
        path.chmod(0o755)
        environment = {"DO": do, **options.pop("environment", {})}
        return runtime.deploy_image(["./export.sh"], cwd=tmp_path, port=-1, environment=environment, **options)

    return deploy


def test_each_event_is_a_run_of_its_own(job):
    function = job("sleep 3600; echo done")
    pids = []
    for rows in (1, 2):
        event = function.invoke_async({"rows": rows}).wait()
        assert (event.status, event.result, event.duration.total_seconds()) == ("FINISHED", None, 3600)
        lines = [f'event {{"rows": {rows}}}', "done"]
        assert short_log(event) == ["START", "INIT 0ms", *lines, "RESPONSE null", "END", "REPORT 3600000ms"]
        assert event.instance.cold
        assert event.instance.reclaimed
        pids.append(event.instance.pid)
    assert len(set(pids)) == 2
    assert all(map(is_gone, pids))
    assert function.name == "export"


@pytest.mark.parametrize(
    ("do", "how"), [("exit 3", "(exit code 3)"), ("kill -9 $$", "the process was killed by SIGKILL (signal 9)")]
)
def test_another_end_is_a_failure(job, do, how):
    event = job(do).invoke_async().wait()
    assert_body(event, statusCode=439, errorCode=-1, errorMessage="User process exit when running")
    assert how in likely_cause(event_of(event))
    assert_reclaimed_for_good(event, "process exited")


@pytest.mark.parametrize(("code", "end"), [("0", ("FINISHED", 200)), ("1", ("FAILED", 439))])
def test_sigterm_in_the_very_second(job, runtime, code, end):
    function = job("while :; do sleep 60; done", environment={"ON_SIGTERM": code})
    event = function.invoke_async()
    runtime.clock.advance(610)
    event.terminate(grace_shutdown=True)
    event.wait()
    assert_signal_received(event)
    assert (event.status, event.status_code) == end
    assert user_lines(event)[-1] == "stopping"
    assert event.duration.total_seconds() == 660  # a shell runs its trap when its child has ended


def test_the_timeout_and_a_forced_termination(job, runtime):
    function = job("sleep 9999 & sleep 9999", timeout=60)
    late, forced = function.invoke_async(), function.invoke_async()
    runtime.clock.advance(30)
    forced.terminate()
    assert forced.status_code == 499
    late.wait()
    assert_timed_out(late)
    assert late.duration.total_seconds() == 60


def test_it_computes_to_its_end(runtime, tmp_path):
    (tmp_path / "job.py").write_text(
        "import json, os\n"
        "event = json.loads(os.environ['SCF_CUSTOM_CONTAINER_EVENT'])\n"
        "print(sum(range(event['rows'])))\n"
    )
    function = runtime.deploy_image(["python", "job.py"], cwd=tmp_path, port=-1, name="sums")
    event = function.invoke_async({"rows": 5}).wait()
    assert (event.status, user_lines(event)) == ("FINISHED", ["10"])


def test_without_a_tracer_it_sees_real_time(job, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScfAsyncWarning)
        monkeypatch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
        function = job("exit $(echo $SCF_CUSTOM_CONTAINER_EVENT)")
    ended = function.invoke_async(0).wait()
    assert (ended.status, ended.instance.reclaimed, user_lines(ended)) == ("FINISHED", True, ["event 0"])
    assert function.invoke_async(1).wait().status_code == 439


def test_a_program_that_cannot_be_started(job, tmp_path):
    function = job()
    (tmp_path / "export.sh").chmod(0o644)
    event = function.invoke_async().wait()
    assert event.status_code == 445
    assert "may not be executed (chmod +x)" in event.error["errorMessage"]


def test_an_event_that_is_too_large_for_an_environment(job):
    event = job().invoke_async("x" * (128 * 1024 - 10)).wait()
    assert event.status_code == 445
    assert "one variable of its environment, such as the event of a job image, has 128 KB at most with its name" in (
        json.dumps(event.error)
    )
