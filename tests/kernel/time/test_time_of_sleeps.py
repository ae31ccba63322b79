"""``time.sleep`` in a handler: exactly as long as requested, with the standard library's own errors otherwise."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

SLEEP_EACH = """
    import time

    def main_handler(event, context):
        stamps = []
        for seconds in event:
            before = time.time_ns()
            assert time.sleep(seconds) is None
            stamps.append((time.time_ns() - before) / 1000)
        return stamps
"""


@pytest.mark.parametrize(
    ("seconds", "microseconds"),
    [
        (True, 1_000_000),
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (0.0000001, 1),
        (1e-9, 1),
        (0.0000015, 2),
        (16.1, 16_100_000),
        (1.001, 1_001_000),
        (0.1 + 0.2, 300_000),
        (86_399.999999, 86_399_999_999),
    ],
)
def test_a_sleep_ends_exactly_when_it_should(deploy, runtime: ScfRuntime, seconds: float, microseconds: int) -> None:
    event = deploy(SLEEP_EACH).invoke_async([seconds])

    assert event.wait().result == [microseconds]
    assert event.duration == timedelta(microseconds=microseconds)
    assert runtime.clock.now == START + timedelta(microseconds=microseconds)


def test_a_decimal_number_of_seconds_is_taken_to_the_microsecond(deploy) -> None:
    microseconds = [1, 7, 100_001, 2_300_001, 16_100_000, 4_350_000, 8_200_003, 9_999_999, 12_345_678, 1_234_567_891]

    assert deploy(SLEEP_EACH).run([value / 1_000_000 for value in microseconds]) == microseconds


def test_a_day_of_one_second_sleeps_does_not_drift(deploy, pytestconfig) -> None:
    seconds = 86_399 if pytestconfig.getini("scf_async_leases") else 3_599  # each is a message without leases
    event = deploy(
        """
        import time

        def main_handler(event, context):
            began = time.time(), time.monotonic_ns()
            for _ in range(event):
                time.sleep(1)
            return [time.time() - began[0], time.monotonic_ns() - began[1]]
        """
    ).invoke_async(seconds)

    assert event.wait().result == [seconds, seconds * 1_000_000_000]


def test_ten_thousand_tenths_of_a_second_do_not_drift(deploy) -> None:
    event = deploy(
        """
        import time

        def main_handler(event, context):
            for _ in range(10_000):
                time.sleep(0.1)
            return time.time()
        """
    ).invoke_async()

    assert event.wait().result == START.timestamp() + 1_000


def test_what_the_real_sleep_refuses_is_refused_in_its_words(deploy) -> None:
    refused = deploy(
        """
        import time

        def main_handler(event, context):
            said = []
            wrong = [-1, -0.001, float("nan"), float("inf"), float("-inf"), 1e300, 10**30, 9_223_372_037, "1", None,
                     [1], 1j]
            for seconds in wrong:
                try:
                    time.sleep(seconds)
                except Exception as error:
                    said.append([type(error).__name__, str(error)])
                else:
                    said.append(None)
            for call in (lambda: time.sleep(), lambda: time.sleep(1, 2), lambda: time.sleep(seconds=1)):
                try:
                    call()
                except TypeError:
                    said.append("TypeError")
            return [said, time.time()]
        """
    ).run()

    said, now = refused
    expected: list[object] = []
    import time

    wrong = [-1, -0.001, float("nan"), float("inf"), float("-inf"), 1e300, 10**30, 9_223_372_037, "1", None]
    for seconds in [*wrong, [1], 1j]:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            time.sleep(seconds)  # type: ignore[arg-type]
        expected.append([caught.type.__name__, str(caught.value)])
    assert said == [*expected, "TypeError", "TypeError", "TypeError"]
    assert now == START.timestamp()


def test_a_real_number_of_another_type_is_a_timeout_where_this_python_takes_it(deploy) -> None:
    took, now = deploy(
        """
        import decimal, fractions, queue, select, signal, threading, time

        class Real:
            def __float__(self):
                return 2.0

        def locked(seconds):
            lock = threading.Lock()
            lock.acquire()
            lock.acquire(True, seconds)

        def simple_queue(seconds):
            try:
                queue.SimpleQueue().get(True, seconds)
            except queue.Empty:
                pass

        def alarm(seconds):
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            signal.pause()

        def main_handler(event, context):
            waits = [time.sleep, locked, simple_queue, alarm, lambda seconds: select.select([], [], [], seconds),
                     lambda seconds: signal.sigtimedwait([signal.SIGUSR1], seconds)]
            took = []
            for seconds in (decimal.Decimal(2), fractions.Fraction(2), Real()):
                for wait in waits:
                    before = time.monotonic()
                    try:
                        wait(seconds)
                    except TypeError:
                        took.append(None)
                    else:
                        took.append(round(time.monotonic() - before, 3))
            return took, time.time()
        """
    ).run()

    taken = 2 if sys.version_info >= (3, 15) else None
    assert took == [taken] * 18
    assert now == pytest.approx(START.timestamp() + (36 if taken else 0), abs=0.001)


def test_an_object_that_has_an_index_is_a_number_of_seconds(deploy) -> None:
    assert (
        deploy(
            """
            import time

            class Seconds:
                def __index__(self):
                    return 3

            class Short(float):
                pass

            def main_handler(event, context):
                before = time.monotonic()
                time.sleep(Seconds())
                time.sleep(Short(0.5))
                return time.monotonic() - before
            """
        ).run()
        == 3.5
    )


def test_a_sleep_of_three_hundred_years_is_cut_by_the_timeout(deploy) -> None:
    event = deploy(SLEEP_EACH, timeout=86_400).invoke_async([9_000_000_000])

    assert (event.wait().status, event.status_code) == ("FAILED", 433)
    assert event.duration == timedelta(days=1)
    event.error  # noqa: B018


def test_a_sleep_during_the_init_counts_as_init(deploy) -> None:
    event = deploy(
        """
        import time
        time.sleep(30)
        loaded = time.time()

        def main_handler(event, context):
            return loaded
        """
    ).invoke_async()

    assert event.wait().result == START.timestamp() + 30
    assert "Coldstart: 30000ms" in str(event.log)
