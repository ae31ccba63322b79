"""At a timeout the cause shows whether anything but an event could have ended the wait of the handler."""

from __future__ import annotations

import re

import pytest
from internals import Event, event_of

from pytest_scf_async.report.cause import likely_cause, what_to_do

IMPORTS = """
import asyncio, queue, signal, threading, time

async def waits(what):
    await (asyncio.get_running_loop().create_future() if what is None else getattr(what(), WAITS[what])())

WAITS = {asyncio.Event: "wait", asyncio.Queue: "get"}

"""
ENDLESS = {
    "Lock.acquire": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "join of": (
        "lock = threading.Lock(); lock.acquire(); thread = threading.Thread(target=lock.acquire); thread.start(); "
        "time.sleep(1); thread.join()"
    ),
    "queue.get": "queue.Queue().get()",
    "pause()": "signal.pause()",
    "await at": "asyncio.run(waits(None))",
    "await Event.wait at": "asyncio.run(waits(asyncio.Event))",
    "await Queue.get at": "asyncio.run(waits(asyncio.Queue))",
}
STUCK = {
    "Lock.acquire": r"the handler was stuck in `Lock\.acquire` on index\.py:\d+ until",
    "join of": r"the handler was stuck in `join` of Thread-1 \(acquire\) on index\.py:\d+ until",
    "queue.get": r"the handler was stuck in `queue\.get` on index\.py:\d+ until",
    "pause()": r"the handler was stuck in `pause\(\)` on index\.py:\d+ until",
    "await at": r"Task-1 was stuck at the `await` on index\.py:\d+ until",
    "await Event.wait at": r"Task-1 was stuck at `await Event\.wait` on index\.py:\d+ until",
    "await Queue.get at": r"Task-1 was stuck at `await Queue\.get` on index\.py:\d+ until",
}
NOTICE = "have another thread or task call the set(), put(), notify() or release() that ends this wait"
ENDS = {
    "Lock.acquire": "no other thread can release this lock: use threading.RLock",
    "join of": "make the joined thread end",
    "queue.get": NOTICE,
    "pause()": "nothing ever completed this wait",
    "await at": "nothing ever completed this wait: check what should have, or add a timeout",
    "await Event.wait at": NOTICE,
    "await Queue.get at": NOTICE,
}
LOCKED_CROSSWISE = """
import threading, time
one, other = threading.Lock(), threading.Lock()

def takes(first, second):
    with first:
        time.sleep(1)
        with second:
            return "both"

def main_handler(event, context):
    threading.Thread(target=takes, args=(other, one)).start()
    return takes(one, other)
"""
TIMED = {
    "Lock.acquire": "lock = threading.Lock(); lock.acquire(); lock.acquire(timeout=100)",
    "queue.get": "queue.Queue().get(timeout=100)",
    "threading.wait": "threading.Event().wait(100)",
    "asyncio.run": "asyncio.run(asyncio.sleep(100))",
    "sleep(100)": "time.sleep(100)",
    "sleep(7)": "[time.sleep(7) for _ in range(10)]",
}
RAN = r"the handler ran until the 60 s timeout \(.*\); it last waited in"
LAST = {
    "Lock.acquire": rf"{RAN} `Lock\.acquire` on index\.py:\d+",
    "queue.get": rf"{RAN} `queue\.get` on index\.py:\d+",
    "threading.wait": rf"{RAN} `threading\.wait` on index\.py:\d+",
    "asyncio.run": rf"{RAN} `asyncio\.run` on index\.py:\d+",
    "sleep(100)": r"the handler was still in `sleep\(100\)` on index\.py:\d+ at the 60 s timeout \(.*\)",
    "sleep(7)": rf"{RAN} `sleep\(7\)` on index\.py:\d+",
}


def timed_out(deploy, source: str) -> Event:
    event = deploy(source, timeout=60).invoke_async().wait()
    assert event.status_code == 433
    return event_of(event)


def waiting_in(deploy, body: str) -> Event:
    return timed_out(deploy, f"{IMPORTS}def main_handler(event, context):\n    {body}\n")


@pytest.mark.parametrize("call", ENDLESS)
def test_who_is_in_a_wait_that_only_an_event_ends_was_stuck_in_it(deploy, call: str) -> None:
    event = waiting_in(deploy, ENDLESS[call])
    cause = str(likely_cause(event))
    assert re.match(STUCK[call], cause), cause
    assert " until the 60 s timeout" in cause
    assert str(what_to_do(event)).startswith(ENDS[call])


def test_of_two_threads_each_has_to_release_what_the_other_waits_for(deploy) -> None:
    event = timed_out(deploy, LOCKED_CROSSWISE)
    assert str(what_to_do(event)).startswith("have the thread or task that holds this lock release it")


def test_a_lock_that_its_own_thread_may_take_twice_ends_the_wait(deploy) -> None:
    """What the advice for `Lock.acquire` says, followed."""
    source = f"{IMPORTS}def main_handler(event, context):\n    {ENDLESS['Lock.acquire']}\n"
    assert deploy(source.replace("Lock()", "RLock()")).invoke_async().wait().status == "FINISHED"


@pytest.mark.parametrize("call", TIMED)
def test_nobody_was_stuck_in_a_wait_that_time_ends(deploy, call: str) -> None:
    cause = str(likely_cause(waiting_in(deploy, TIMED[call])))
    assert re.fullmatch(LAST[call], cause), cause


def test_a_thread_that_is_stuck_is_named(deploy) -> None:
    event = waiting_in(
        deploy,
        "worker = threading.Thread(target=lambda: time.sleep(1) or queue.Queue().get(), name='worker'); "
        "worker.start(); worker.join()",
    )
    assert str(likely_cause(event)).startswith("thread worker was stuck in `queue.get` on index.py:10 until the 60 s ")
