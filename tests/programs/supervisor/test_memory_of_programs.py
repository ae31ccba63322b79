"""The memory of supervised programs: of all their processes, and not of what traces them."""

from __future__ import annotations

import sys
import warnings

import pytest
from image_support import program
from internals import Zygote, event_of
from process_support import user_lines

from pytest_scf_async import ScfAsyncWarning

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once


EATS = program("""
def eat(megabytes):
    eaten = bytearray(b"x") * (megabytes << 20)
    print("eaten", flush=True)
    return eaten

def handle(event, request):
    if event.get("forks") and not os.fork():
        eaten = eat(event["mb"])
        time.sleep(1000)
    eaten = None if event.get("forks") else eat(event["mb"])
    time.sleep(event.get("seconds", 10))
    if event.get("exits"):
        os._exit(3)
    print("never", flush=True)
    return event["mb"]
""")
SMALL = "#!/bin/sh\necho small\nexit 3\n"


def mem_usage(event) -> float:
    """The memory in the last line of the log, in MB."""
    return float(event.log[-1].text.rpartition("MemUsage:")[2].removesuffix("MB"))


WARNED = pytest.mark.filterwarnings("ignore:event .* used .* MB and would be FAILED")
ENDS = {
    "exits": lambda event: event.wait(),
    "terminated": lambda event: event.wait_for_log("eaten").terminate(),
    "does not listen": lambda event: event.wait_for_log("eaten").terminate(grace_shutdown=True),
    "timed out": lambda event: event.wait(),
}


@WARNED
@pytest.mark.parametrize("forks", [False, True], ids=["itself", "a child"])
def test_the_report_counts_what_the_program_and_its_children_use(deploy_image, forks):
    event = deploy_image(EATS).invoke_async({"mb": 200, "forks": forks}).wait()

    assert event.result == 200
    assert 200 < mem_usage(event) < 260


@pytest.mark.parametrize("forks", [False, True], ids=["itself", "a child"])
def test_a_program_that_uses_too_much_ends_at_its_wait(deploy_image, forks):
    event = deploy_image(EATS, memory=128).invoke_async({"mb": 200, "forks": forks}).wait()

    assert (event.status, event.status_code) == ("FAILED", 434)
    assert event.ended_at == event.started_at
    assert user_lines(event) == ["eaten"]
    assert "than the function's 128 MB: memory=128" in event.timeline
    assert ("together with 1 child process" in event.timeline) == forks
    assert 200 < mem_usage(event) < 260


@pytest.mark.parametrize("forks", [False, True], ids=["itself", "a child"])
@pytest.mark.parametrize("end", ENDS)
def test_the_report_counts_that_whatever_ends_the_event(deploy_image, runtime, end, forks):
    function = deploy_image(EATS, timeout=5 if end == "timed out" else 60)
    event = function.invoke_async({"mb": 200, "forks": forks, "exits": end == "exits"})
    ENDS[end](event)

    assert event.status in ("FAILED", "ABORTED")
    assert 200 < mem_usage(event) < 260
    with pytest.warns(ScfAsyncWarning, match=rf"^event {event.request_id} of app used 2\d\d MB and would be FAILED"):
        runtime.close()


JOB = """
import sys

eaten = bytearray(b"x") * (200 << 20)
print("eaten", flush=True)
sys.exit(0)
"""


@WARNED
@pytest.mark.parametrize("kind", ["supervised", "in process", "free-running"])
def test_the_report_counts_what_a_job_has_used_that_exits_with_0(runtime, tmp_path, monkeypatch, kind):
    (tmp_path / "job.py").write_text(JOB)
    with warnings.catch_warnings(), monkeypatch.context() as patch:
        if kind == "free-running":
            patch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
            warnings.simplefilter("ignore", ScfAsyncWarning)
        command = ["python", "job.py"] if kind == "in process" else [sys.executable, "-I", "job.py"]
        job = runtime.deploy_image(command, cwd=tmp_path, port=-1, in_process=kind == "in process", name="job")
    event = job.invoke_async().wait()

    assert event.status == "FINISHED"
    assert 195 < mem_usage(event) < 260  # above what it had at its fork, some of which it uses, too


@WARNED
@pytest.mark.parametrize("end", ENDS)
def test_the_report_counts_that_of_a_free_running_program(deploy_free, end):
    function = deploy_free(EATS, timeout=1 if end == "timed out" else 60)
    event = function.invoke_async({"mb": 200, "seconds": 0.01 if end == "exits" else 1000, "exits": end == "exits"})
    ENDS[end](event)

    assert event.status in ("FAILED", "ABORTED")
    assert 200 < mem_usage(event) < 260


@pytest.mark.parametrize("forks", [False, True], ids=["itself", "a child"])
def test_a_program_within_its_limit_finishes(deploy_image, forks):
    event = deploy_image(EATS, memory=128).invoke_async({"mb": 80, "forks": forks}).wait()

    assert event.result == 80
    assert 80 < mem_usage(event) < 128


def test_what_traces_a_small_program_is_not_counted(deploy_image):
    event = deploy_image(SMALL, command=("sh", "app.py")).invoke_async().wait()

    assert (event.status_code, user_lines(event)) == (439, ["small"])
    assert event_of(event).instance.rss < 5 << 20
    assert mem_usage(event) == 13  # as bare runtimes have
