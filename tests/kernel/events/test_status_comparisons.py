"""What pytest shows of ``assert event.status == ...``: where the event is, or why it has ended as it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_scf_async.plugin.plugin import pytest_assertrepr_compare
from pytest_scf_async.scripted import finished, running_for

if TYPE_CHECKING:
    from pytest_scf_async import AsyncEvent

# once: the test's side: the same on all Pythons
pytestmark = pytest.mark.once

SLEEPS = """
import time
def main_handler(event, context):
    time.sleep(3)
    time.sleep(60)
"""
WAIT = "what to do: call event.wait() first, which runs it to its end"


def shown(event: AsyncEvent, expected: str = "FINISHED") -> list[str]:
    lines = pytest_assertrepr_compare("==", event.status, expected)
    assert lines is not None
    assert len(lines) <= 8  # pytest shows no more
    return [line.replace(event.request_id, "ID") for line in lines[1:]]


def test_the_advance_that_it_names_ends_the_wait(deploy, runtime):
    event = deploy(SLEEPS).invoke_async()
    runtime.clock.advance(5)

    assert shown(event) == [
        "event ID of index is RUNNING at +5 s: it is waiting in `sleep(60)` on index.py:5, due at +63 s",
        f"{WAIT}, or scf_clock.advance(58), which ends that wait",
    ]

    runtime.clock.advance(58)
    assert event.status == "FINISHED"


def test_an_event_of_which_no_code_has_run(deploy):
    event = deploy(SLEEPS).invoke_async()

    assert shown(event) == [
        "event ID of index is RUNNING: none of its code has run, and reading its status lets no simulated time pass",
        WAIT,
    ]


def test_an_event_at_a_gate(deploy):
    event = deploy(SLEEPS).invoke_async().run_to("index.py:5")

    assert shown(event)[0] == "event ID of index is RUNNING at +3 s: it is stopped at run_to('index.py:5')"


def test_a_wait_that_nothing_ends_is_due_at_no_time(deploy):
    event = deploy("import threading\ndef main_handler(event, context): threading.Event().wait()").invoke_async()
    event.settle()

    first, advice = shown(event)
    assert first.startswith("event ID of index is RUNNING at +0 s: it is waiting in ")
    assert ", due at " not in first
    assert advice == WAIT


def test_an_event_that_is_tried_again_has_begun(deploy, runtime):
    event = deploy("def main_handler(event, context): 1 / 0", async_run=False).invoke_async()
    runtime.clock.advance(30)

    assert shown(event) == [
        "event ID of index is RUNNING at +30 s: it is queued",
        WAIT,
    ]
    event.wait()


def test_a_scripted_event(runtime):
    event = runtime.deploy_scripted("export", [running_for(60), finished(1)]).invoke_async()
    assert shown(event)[0].startswith("event ID of export is RUNNING: its script has not started, ")
    runtime.clock.advance(5)

    assert shown(event)[0] == "event ID of export is RUNNING at +5 s: it is parked, due at +60 s"


def test_an_event_that_failed_has_its_cause_and_the_one_that_was_read_last_counts(deploy):
    function = deploy("def main_handler(event, context): open('/usr/out', 'w')")
    first, second = (function.invoke_async(n).wait() for n in range(2))

    for event in (second, first):
        text, cause, advice = shown(event)
        assert text == "event ID of index is FAILED (430: user code exception caught)"
        assert cause.startswith("likely cause: the function raised OSError: [Errno 30] ")
        assert advice.startswith("what to do: write to /tmp, ")


def test_a_status_of_no_event_names_an_assertion_helper(deploy):
    event = deploy("def main_handler(event, context): 1").invoke_async().wait()
    status = deploy("def main_handler(event, context): 1 / 0").invoke_async().wait().status
    assert event.status == "FINISHED"

    lines = pytest_assertrepr_compare("==", status, "FINISHED")
    assert lines is not None
    assert lines[1] == ("what to do: assert_status(event, 'FINISHED') says why it is FAILED, and shows its timeline")
