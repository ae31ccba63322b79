"""At a timeout the cause shows whether anything but an event could have ended the wait of the handler."""

from __future__ import annotations

import pytest
from internals import event_of

from pytest_scf_async.report.cause import likely_cause

IMPORTS = "import asyncio, queue, signal, threading, time\n"
ENDLESS = {
    "Lock.acquire": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "join of": (
        "lock = threading.Lock(); lock.acquire(); thread = threading.Thread(target=lock.acquire); thread.start(); "
        "time.sleep(1); thread.join()"
    ),
    "queue.get": "queue.Queue().get()",
    "pause()": "signal.pause()",
}
TIMED = {
    "Lock.acquire": "lock = threading.Lock(); lock.acquire(); lock.acquire(timeout=100)",
    "queue.get": "queue.Queue().get(timeout=100)",
    "threading.wait": "threading.Event().wait(100)",
    "asyncio.run": "asyncio.run(asyncio.sleep(100))",
    "sleep(100)": "time.sleep(100)",
}


def cause_of(deploy, body: str) -> str:
    event = deploy(f"{IMPORTS}def main_handler(event, context):\n    {body}\n", timeout=60).invoke_async().wait()
    assert event.status_code == 433
    return str(likely_cause(event_of(event)))


@pytest.mark.parametrize("call", ENDLESS)
def test_a_wait_that_only_an_event_ends_is_one_that_nothing_ended(deploy, call: str) -> None:
    cause = cause_of(deploy, ENDLESS[call])
    assert cause.startswith(f"it waited in {call}")
    assert ", which nothing ended, until its timeout of 60 s" in cause


@pytest.mark.parametrize("call", TIMED)
def test_a_wait_that_time_ends_is_the_last_one(deploy, call: str) -> None:
    cause = cause_of(deploy, TIMED[call])
    assert cause.startswith("it ran until its timeout of 60 s")
    assert f"; its last wait was {call}" in cause
