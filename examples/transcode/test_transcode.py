"""Real work in a handler that waits for hours: are its times exact, and does a stop leave nothing running?"""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_scf_async import AsyncEvent, ScfRuntime, assert_finished, assert_signal_received, assert_stopped_within

BIN = Path(__file__).parent / "bin"


@pytest.fixture
def event(scf_runtime: ScfRuntime, tmp_path: Path):
    environment = {"OUT": str(tmp_path), "PATH": f"{BIN}:/usr/bin:/bin"}
    function = scf_runtime.deploy("handlers/transcode.py:main_handler", environment=environment)
    return function.invoke_async({"parts": ["one", "two", "three"]})


def test_the_work_takes_one_poll_and_the_reviews_their_ten_minutes(event: AsyncEvent, tmp_path: Path):
    event.wait()

    assert_finished(event, result=["one", "two", "three"])
    assert event.duration == 3 * timedelta(minutes=10, seconds=2)
    assert (tmp_path / "three").read_text() == "transcoded three\n"


def test_a_stop_in_the_middle_of_the_work_ends_the_child_too(event: AsyncEvent, tmp_path: Path):
    event.wait_for_log("started two")
    child = int(event.log[-1].text.rpartition(" ")[2])

    event.terminate(grace_shutdown=True)
    event.wait()

    assert_signal_received(event)
    assert_stopped_within(event, seconds=0)
    assert_finished(event, result=["one"])
    assert not os.path.exists(f"/proc/{child}")
    assert not (tmp_path / "two").exists()


def test_a_forced_termination_leaves_no_child(event: AsyncEvent):
    event.wait_for_log("started one")
    child = int(event.log[-1].text.rpartition(" ")[2])

    event.terminate()

    assert not os.path.exists(f"/proc/{child}")
