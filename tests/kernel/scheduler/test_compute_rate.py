"""compute_rate: computing and real waits take simulated time, once, and the timeline shows that it is set."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from internals import event_of, pool_of
from process_support import LONG, START, eventually, user_lines

from pytest_scf_async.errors import ScfUsageError

# once: the test's side: the same on all Pythons
pytestmark = pytest.mark.once

FOR_EVER = """
    def main_handler(event, context):
        while True:
            pass
"""
COMPUTES = """
    import time

    def compute(seconds):
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass

    def main_handler(event, context):
        began = time.time()
        {}
        return time.time() - began
"""


def seconds(event):
    """How long it ran; the init before takes time as well."""
    what = event_of(event)
    assert what.dispatched_us is not None
    return (what.record.end_us - what.dispatched_us) / 1_000_000


@pytest.mark.repeat
def test_a_timeout_ends_a_handler_that_only_computes(deploy, runtime):
    event = deploy(FOR_EVER, timeout=60, compute_rate=1000).invoke_async().wait()
    assert (event.status, event.status_code, seconds(event)) == ("FAILED", 433, 60)


def test_the_timeout_comes_at_the_rate_of_one_too(deploy, runtime):
    event = deploy(FOR_EVER, timeout=1, compute_rate=1.0).invoke_async().wait()
    assert (event.status_code, seconds(event)) == (433, 1)


def test_without_it_computing_takes_no_time(deploy):
    event = deploy(COMPUTES.format("compute(0.1)")).invoke_async().wait()
    assert seconds(event) == 0


def test_the_timeline_says_that_it_is_not_repeatable(deploy):
    event = deploy(COMPUTES.format("compute(0.1)"), compute_rate=2).invoke_async().wait()
    assert "compute_rate=2: computing takes simulated time: not repeatable" in event.timeline


def test_computing_takes_its_processor_time_at_the_rate(deploy):
    # After a wait the clock shows all that was computed; in the middle of computing, what was up to our last read.
    event = deploy(COMPUTES.format("[compute(0.3), time.sleep(1)]"), compute_rate=100).invoke_async().wait()
    assert 31 <= event.result <= 100 * LONG
    assert 30 <= event.duration.total_seconds() <= 100 * LONG


def test_computing_before_each_wait_is_not_lost_in_it(deploy):
    """A wait begins at the time up to which the handler has computed."""
    work = "[(compute(0.02), time.sleep(10)) for _ in range(10)]"
    event = deploy(COMPUTES.format(work), compute_rate=100).invoke_async().wait()
    assert seconds(event) >= 100 + 10 * 0.02 * 100 * 0.95


def test_computing_is_not_lost_where_time_passes_just_before_the_word_of_a_wait(deploy, runtime, monkeypatch):
    """The handler has read the clock for its wait, and we read it once more before we receive that wait."""
    poller = pool_of(runtime).poller
    poll, late = poller.poll, []

    def poll_later(timeout):
        late[:] = [] if late else poll(timeout)
        return [] if late else poll(timeout)

    monkeypatch.setattr(poller, "poll", poll_later)
    work = "[(compute(0.002), time.sleep(10)) for _ in range(10)]"
    event = deploy(COMPUTES.format(work), compute_rate=1000).invoke_async().wait()
    computed = sum(stretch.seconds for stretch in event_of(event).real_stretches)
    assert 100 + 10 * 0.002 * 1000 <= event.result <= 100 + 1000 * computed


def test_a_loop_that_polls_the_clock_ends_as_time_passes_and_by_nothing_else(deploy):
    work = "while time.time() < began + 5: pass"
    event = deploy(COMPUTES.format(work), compute_rate=100).invoke_async().wait()
    assert event.result >= 5
    assert "polls the clock" not in event.timeline


def test_a_sleep_takes_what_it_takes_and_not_more(deploy):
    event = deploy(COMPUTES.format("time.sleep(1000)"), compute_rate=1e-3).invoke_async().wait()
    assert 1000 <= event.result < 1001


@contextmanager
def once_it_has_run_for(event, by, then):
    def has_run():
        began_us = event_of(event).dispatched_us
        return began_us is not None and event_of(event).clock.now_us >= began_us + by * 1_000_000

    def watch():
        assert eventually(has_run)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_child_takes_real_time(deploy, runtime, latch):
    work = "import subprocess; subprocess.run(['head', '-c1', event], check=True)"
    event = deploy(COMPUTES.format(work), compute_rate=100).invoke_async(latch.path)
    with once_it_has_run_for(event, 20, latch.open):
        event.wait()
    assert seconds(event) >= 20


def test_a_sleep_beside_a_child_ends_while_the_child_lives(deploy, runtime, latch):
    """Time passes for both at once, as on a real machine."""
    source = """
        import subprocess, threading, time

        def sleep():
            time.sleep(10)
            print("slept")

        def main_handler(event, context):
            thread = threading.Thread(target=sleep)
            thread.start()
            subprocess.run(["head", "-c1", event], check=True)
            thread.join()
    """
    event = deploy(source, compute_rate=100).invoke_async(latch.path)
    event.wait_for_log("slept")
    assert event.doing != "ended"
    latch.open()
    event.wait()
    assert user_lines(event)[0] == "slept"


def test_what_two_events_spend_at_once_passes_once(deploy, runtime, latch):
    """Both wait for a child in the same real seconds."""
    work = "import subprocess; subprocess.run(['head', '-c1', event], check=True)"
    function = deploy(COMPUTES.format(work), compute_rate=100)
    events = [function.invoke_async(latch.path) for _ in range(2)]
    with once_it_has_run_for(events[0], 20, lambda: [latch.open(), latch.open()]):
        runtime.wait_all(events)
    spent = [stretch for event in events for stretch in event_of(event).real_stretches]
    computing = sum(stretch.seconds for stretch in spent if stretch.kind == "computing")
    children = [stretch.seconds for stretch in spent if stretch.kind == "children"]
    once, twice = max(children), sum(children)
    assert twice > 1.5 * once
    assert runtime.clock.now - START < timedelta(seconds=100 * (computing + (once + twice) / 2))


def test_advance_stops_at_its_target_in_the_middle_of_computing(deploy, runtime):
    event = deploy(FOR_EVER, timeout=600, compute_rate=1000).invoke_async()
    runtime.clock.advance(100)
    assert runtime.clock.now == START + timedelta(seconds=100)
    assert event.doing == "computing"
    runtime.clock.advance(100_000)
    assert (event.status_code, seconds(event)) == (433, 600)


def test_the_timeout_of_another_event_comes_while_one_computes(deploy, runtime):
    short = deploy("import time\ndef main_handler(event, context):\n    time.sleep(1000)", timeout=30).invoke_async()
    long = deploy(FOR_EVER, timeout=60, compute_rate=1000).invoke_async()
    runtime.wait_all([short, long])
    assert [(each.status_code, seconds(each)) for each in (short, long)] == [(433, 30), (433, 60)]
    assert short.ended_at < long.ended_at


def test_an_init_that_computes_for_too_long_ends_with_450(deploy):
    event = deploy("while True: pass", init_timeout=3, compute_rate=1000).invoke_async().wait()
    assert (event.status_code, seconds(event)) == (450, 3)


def test_a_setting_and_an_update_have_it_too(deploy, make_runtime):
    runtime = make_runtime(compute_rate=1000)
    function = deploy(FOR_EVER, to=runtime, timeout=60)
    assert function.invoke_async().wait().status_code == 433
    function.update(compute_rate=0)
    assert function.configuration.compute_rate == 0


@pytest.mark.parametrize("value", [-1, True, "1", float("nan"), float("inf"), 1e9])
def test_what_is_no_rate_is_refused(deploy, value):
    with pytest.raises(
        ScfUsageError, match=r"compute_rate=.* \(deploy\(\.\.\.\)\) is not valid: it must be a number of simulated"
    ):
        deploy(FOR_EVER, compute_rate=value)
