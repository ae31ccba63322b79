"""How an event ends when simulated time reaches the timeout of its function or of its init."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import (
    START,
    assert_body,
    assert_end,
    assert_kept,
    assert_reclaimed_for_good,
    grow_impatient,
)

from pytest_scf_async.errors import CannotEndError

# once: rules of the platform: the same on all Pythons
pytestmark = [pytest.mark.leases, pytest.mark.once]

SLEEPER = """
    import time
    def main_handler(event, context):
        print("sleeps", flush=True)
        time.sleep(event["seconds"])
        return "woke"
"""


@pytest.mark.repeat
def test_a_sleep_as_long_as_the_timeout_is_433(deploy):
    event = deploy(SLEEPER, timeout=3).invoke_async({"seconds": 3}).wait()

    assert_end(event, "FAILED", 433, after=3, log=["START", "INIT 0ms", "sleeps", "ERROR 433", "END", "REPORT 3000ms"])
    assert_body(event, errorCode=-1, errorMessage="Invoking task timed out after 3 seconds")
    assert_reclaimed_for_good(event, "timed out")


def test_a_sleep_one_microsecond_shorter_than_the_timeout_finishes(deploy):
    event = deploy(SLEEPER, timeout=3).invoke_async({"seconds": 2.999999}).wait()

    log = ["START", "INIT 0ms", "sleeps", 'RESPONSE "woke"', "END", "REPORT 2999ms"]
    assert_end(event, "FINISHED", 200, after=2.999999, log=log)
    assert_kept(event)


def test_an_async_function_has_24_hours_unless_it_is_given_less(deploy):
    event = deploy(SLEEPER).invoke_async({"seconds": 86_400}).wait()

    assert (event.status_code, event.duration) == (433, timedelta(hours=24))
    assert event.error["errorMessage"] == "Invoking task timed out after 86400 seconds"


def test_a_timeout_may_be_a_timedelta(deploy):
    event = deploy(SLEEPER, timeout=timedelta(minutes=2)).invoke_async({"seconds": 500}).wait()

    assert (event.status_code, event.duration) == (433, timedelta(minutes=2))


def test_the_timeout_counts_from_the_end_of_the_init(deploy):
    source = (
        "import time\ntime.sleep(10)\n" + "def main_handler(event, context):\n    time.sleep(event)\n    return 1\n"
    )
    function = deploy(source, timeout=3)

    cold = function.invoke_async(2.5).wait()
    late = function.invoke_async(3).wait()

    log = ["START", "INIT 10000ms", "RESPONSE 1", "END", "REPORT 2500ms"]
    assert_end(cold, "FINISHED", 200, after=12.5, log=log)
    assert_end(late, "FAILED", 433, after=3, log=["START", "ERROR 433", "END", "REPORT 3000ms"])


def test_the_timeout_of_a_warm_event_counts_from_its_own_start(deploy, runtime):
    function = deploy(SLEEPER, timeout=5)
    function.invoke_async({"seconds": 4}).wait()
    runtime.clock.advance(100)

    event = function.invoke_async({"seconds": 5}).wait()

    assert (event.status_code, event.duration, event.instance.cold) == (433, timedelta(seconds=5), False)


def test_an_init_as_long_as_its_timeout_is_450(deploy):
    event = (
        deploy("""
        import time
        print("connecting")
        time.sleep(65)
        def main_handler(event, context):
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    log = ["START", "connecting", "INIT 65000ms", "ERROR 450", "END", "REPORT 65000ms"]
    assert_end(event, "FAILED", 450, after=65, log=log)
    assert_body(event, errorCode=-1, errorMessage="InitContainerTimeout")
    assert_reclaimed_for_good(event, "init timed out")


def test_an_init_one_microsecond_shorter_than_its_timeout_finishes(deploy):
    event = deploy(
        """
        import time
        time.sleep(2.999999)
        def main_handler(event, context):
            return "in time"
        """,
        init_timeout=3,
    ).invoke_async()
    event.wait()

    assert_end(event, "FINISHED", 200, after=2.999999, log=[
        "START", "INIT 2999ms", 'RESPONSE "in time"', "END", "REPORT 0ms"
    ])  # fmt: skip


def test_the_timeout_of_the_function_does_not_count_in_the_init(deploy):
    event = deploy(
        """
        import time
        time.sleep(60)
        def main_handler(event, context):
            return "in time"
        """,
        timeout=1,
    ).invoke_async()

    assert event.wait().result == "in time"


def test_a_thread_that_sleeps_on_does_not_save_an_event_from_its_timeout(deploy):
    event = deploy(
        """
        import threading, time
        def main_handler(event, context):
            thread = threading.Thread(target=time.sleep, args=(50,))
            thread.start()
            thread.join()
        """,
        timeout=20,
    ).invoke_async()
    event.wait()

    assert (event.status_code, event.duration) == (433, timedelta(seconds=20))
    assert_reclaimed_for_good(event, "timed out")


@pytest.mark.repeat
def test_advance_brings_the_timeout_of_a_handler_that_computes_for_ever(deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    handler = "def main_handler(event, context):\n    print('begins')\n    while True: pass\n"
    event = deploy(handler, to=runtime, timeout=30).invoke_async().wait_for_log("begins")
    grow_impatient(runtime)

    with pytest.raises(CannotEndError, match="is computing"):
        runtime.clock.advance(29.999999)
    assert event.status == "RUNNING"
    runtime.clock.advance(30)

    log = ["START", "INIT 0ms", "begins", "ERROR 433", "END", "REPORT 30000ms"]
    assert_end(event, "FAILED", 433, after=30, log=log)
    assert_reclaimed_for_good(event, "timed out")


def test_advance_past_held_brings_the_timeout_of_a_handler_in_a_real_wait(deploy, make_runtime, latch):
    runtime = make_runtime()
    event = deploy(
        """
        def main_handler(event, context):
            open(event).read(1)
        """,
        to=runtime,
        timeout=30,
    ).invoke_async(latch.path)

    event.settle()
    assert event.doing == "held"
    grow_impatient(runtime)
    with pytest.raises(CannotEndError, match="past_held=True"):
        runtime.clock.advance(30)
    runtime.clock.advance(30, past_held=True)

    assert (event.status_code, event.duration) == (433, timedelta(seconds=30))


def test_two_events_that_time_out_at_one_instant_both_do(deploy, runtime):
    function = deploy(SLEEPER, timeout=3)
    first, second = (function.invoke_async({"seconds": 10}) for _ in range(2))

    runtime.wait_all()

    assert [event.status_code for event in (first, second)] == [433, 433]
    assert runtime.clock.now == START + timedelta(seconds=3)
