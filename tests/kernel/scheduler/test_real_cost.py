"""The real time that a stop costs is in the timeline, and counts for assert_stopped_within: once, and no other time."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager

import pytest
from internals import event_of
from process_support import LONG, eventually

from pytest_scf_async.assertions import assert_stopped_within

# once: the test's side: the same on all Pythons
pytestmark = pytest.mark.once

STOPS = """
    import os, signal, subprocess, sys, threading, time
    stopping = False

    def on_sigterm(signum, frame):
        global stopping
        stopping = True

    def compute(seconds):
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        while not stopping:
            time.sleep(10)
        {}
        return "stopped"
"""


@pytest.fixture
def stopping(deploy, make_runtime):
    """An event whose SIGTERM has come in a wait; its handler runs the given code when that wait ends."""

    def stop(work, payload=None, **settings):
        runtime = make_runtime(**settings)
        event = deploy(STOPS.format(work), to=runtime).invoke_async(payload)
        runtime.clock.advance(5)
        event.terminate(grace_shutdown=True)
        return event

    return stop


@pytest.fixture
def stopped(stopping):
    """The same, which has ended."""
    return lambda *args, **settings: stopping(*args, **settings).wait()


@contextmanager
def once_it_has_cost(event, kind, seconds, then):
    """During the block, call *then* as soon as so much of *kind* is counted since the last SIGTERM of *event*."""

    def watch():
        assert eventually(lambda: getattr(cost_of(event), kind) >= seconds)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def cost_of(event):
    return event_of(event).signals[-1].cost


def test_computing_counts_with_its_processor_time(stopped):
    event = stopped("compute(0.6)")
    assert 0.6 <= cost_of(event).computing < LONG
    with pytest.raises(AssertionError) as failure:
        assert_stopped_within(event, seconds=0.5)
    assert re.match(
        r"expected the event to end within 0\.5 s of SIGTERM; found FINISHED \(200.*\), 5 s of simulated time, in "
        r"which it "
        r"computed \d+\.\d+ real s.*, after it\n",
        str(failure.value),
    )
    assert "so it counts" not in str(failure.value)  # it would have been late without
    assert_stopped_within(event, seconds=LONG)


def test_the_failure_and_the_timeline_say_what_was_computed(stopped):
    event = stopped("compute(0.6)")
    with pytest.raises(AssertionError) as failure:
        assert_stopped_within(event, seconds=5.5)
    text = str(failure.value)
    assert "so it counts" in text
    assert re.search(r"^ *\+\d+ s +real +computed (0\.\d\d|\d+\.\d) real s$", text, re.MULTILINE)
    assert re.search(r"  real +computed ", event.timeline)


def test_a_child_counts_with_real_time(stopping, latch):
    event = stopping("subprocess.run(['head', '-c1', event], check=True)", latch.path)
    with once_it_has_cost(event, "children", 0.3, latch.open):
        event.wait()
    assert " for child processes" in event.timeline
    with pytest.raises(AssertionError, match="real s for child processes"):
        assert_stopped_within(event, seconds=5.2)


def test_an_owed_answer_counts_with_real_time(stopping):
    with socket.create_server(("127.0.0.1", 0)) as server:
        event = stopping(
            "import socket; s = socket.create_connection(('127.0.0.1', event)); s.sendall(b'?'); s.recv(1)",
            server.getsockname()[1],
        )
        accepted = []

        def answer():
            for connection in accepted:
                connection.sendall(b"x")

        accepting = threading.Thread(target=lambda: accepted.append(server.accept()[0]))
        accepting.start()
        with once_it_has_cost(event, "waiting", 0.3, answer):
            event.wait()
        accepting.join()
        accepted[0].close()
    with pytest.raises(AssertionError, match="real s for an answer"):
        assert_stopped_within(event, seconds=5.2)


def test_what_is_less_than_the_noise_is_shown_and_not_counted(stopped):
    event = stopped("compute(0.05)", stop_noise=1000)
    assert_stopped_within(event, seconds=5)
    with pytest.raises(
        AssertionError, match=r"5 s \(not counted: it computed 0\.\d\d real s.*, less than stop_noise=1000"
    ):
        assert_stopped_within(event, seconds=0.5)
    assert "real s" not in event.timeline


def test_all_counts_where_the_noise_is_nothing(stopped):
    event = stopped("compute(0.02)", stop_noise=0)
    with pytest.raises(AssertionError, match="computed"):
        assert_stopped_within(event, seconds=5)


def test_what_came_before_the_last_sigterm_does_not_count(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(
        """
        import signal, time
        seen = []

        def compute(seconds):
            until = time.thread_time() + seconds
            while time.thread_time() < until:
                pass

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda signum, frame: seen.append(signum))
            compute(0.5)
            while len(seen) < 1:
                time.sleep(1)
            compute(0.5)
            while len(seen) < 2:
                time.sleep(1)
        """,
        to=runtime,
    ).invoke_async()
    runtime.clock.advance(5)
    event.terminate(grace_shutdown=True)
    runtime.clock.advance(5)
    event.terminate(grace_shutdown=True)
    event.wait()
    first, last = event_of(event).signals
    assert first.cost.total >= 0.5
    assert last.cost.total < first.cost.total


IN_ITS_HANDLER = """
    import os, signal, time

    def on_sigterm(signum, frame):
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            pass
        {}

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        time.sleep(1000)
"""


@pytest.mark.parametrize("then", ["raise SystemExit", "os._exit(0)"])
@pytest.mark.parametrize("grace", [0.05, 100], ids=["preempted", "in one call"])
def test_what_the_handler_of_the_signal_computes_counts_in_whatever_call_it_runs(deploy, make_runtime, grace, then):
    runtime = make_runtime(compute_grace=grace)
    event = deploy(IN_ITS_HANDLER.format(then), to=runtime).invoke_async()
    event.settle()
    event.terminate(grace_shutdown=True)
    if not event.ended:
        event.wait()
    assert event.status_code == 439
    with pytest.raises(AssertionError, match=r"found FAILED \(439.*\), 0 s of simulated time, in which it computed"):
        assert_stopped_within(event, seconds=0.01)


def test_a_stop_that_computes_little_takes_no_seconds_at_all(deploy, make_runtime):
    runtime = make_runtime(stop_noise=LONG)  # the machine may be slow, and its noise with it
    event = deploy(IN_ITS_HANDLER.replace("0.5", "0.001").format("raise SystemExit"), to=runtime).invoke_async()
    event.settle()
    event.terminate(grace_shutdown=True)
    assert_stopped_within(event, seconds=0)
