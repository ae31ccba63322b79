"""The simulated clock by itself: no instance, no driver."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from internals import REAL, heap_of, shared_page

from pytest_scf_async.clock import PLATFORM, SMALL_HEAP, WAKE_UP, SimulatedClock, duration_us, to_datetime, to_us
from pytest_scf_async.errors import ScfUsageError

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
START_US = 1_767_225_600_000_000


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(START)


def note(into: list[str], text: str) -> Callable[[], None]:
    return lambda: into.append(text)


# -- what time it is -------------------------------------------------------------------------------------------------


def test_a_clock_stands_at_its_start(clock: SimulatedClock) -> None:
    assert clock.now == START
    assert clock.now.tzinfo is timezone.utc
    assert clock.now_us == START_US
    assert clock.time() == 1_767_225_600.0
    assert isinstance(clock.time(), float)


def test_a_start_in_another_zone_is_the_same_instant() -> None:
    clock = SimulatedClock(datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))))

    assert clock.now_us == START_US
    assert clock.now.utcoffset() == timedelta(0)


def test_without_a_start_the_clock_starts_at_the_current_time_and_stands_there() -> None:
    before = REAL.time_ns() // 1_000
    clock = SimulatedClock()
    after = REAL.time_ns() // 1_000

    assert before <= clock.now_us <= after
    assert clock.now_us == clock.now_us
    assert clock.now == clock.now


def test_a_start_before_the_epoch_is_counted_backwards() -> None:
    clock = SimulatedClock(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc))

    assert clock.now_us == -1
    clock.advance(timedelta(microseconds=2))
    assert clock.now_us == 1


def test_microseconds_survive_the_way_there_and_back() -> None:
    instant = datetime(2038, 1, 19, 3, 14, 7, 999_999, tzinfo=timezone.utc)

    assert to_datetime(to_us(instant, "x")) == instant
    assert SimulatedClock(instant).now == instant


@pytest.mark.once  # a property of our own arithmetic
@given(st.datetimes(timezones=st.timezones()))
def test_every_aware_datetime_survives_the_way_there_and_back(instant: datetime) -> None:
    assert to_datetime(to_us(instant, "x")) == instant.astimezone(timezone.utc)


def test_a_page_that_is_given_holds_the_time() -> None:
    page = shared_page.ClockPage()
    clock = SimulatedClock(START, page=page)

    clock.advance(1)

    assert page.now_us == START_US + 1_000_000
    page.now_us += 5
    assert clock.now_us == START_US + 1_000_005


def test_what_the_clock_says_of_itself(clock: SimulatedClock) -> None:
    clock.call_at(START_US + 1, lambda: None)
    clock.call_at(START_US + 2, lambda: None).cancel()

    assert repr(clock) == "<SimulatedClock 2026-01-01T00:00:00+00:00, 1 due>"


# -- moving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration", "microseconds"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (1, 1_000_000),
        (86_400, 86_400_000_000),
        (0.1, 100_000),
        (1e-6, 1),
        (4e-7, 0),
        (6e-7, 1),
        (1.0000004, 1_000_000),
        (1.0000006, 1_000_001),
        (16.1, 16_100_000),
        (1.001, 1_001_000),
        (259_200.000001, 259_200_000_001),
        (timedelta(hours=72), 259_200_000_000),
        (timedelta(microseconds=1), 1),
        (timedelta(0), 0),
        (timedelta(days=1, milliseconds=1), 86_400_001_000),
    ],
)
def test_a_duration_is_rounded_to_whole_microseconds(duration: float | timedelta, microseconds: int) -> None:
    clock = SimulatedClock(START)

    clock.advance(duration)

    assert clock.now_us == START_US + microseconds
    assert duration_us(duration, "x") == microseconds


def test_many_small_steps_do_not_drift(clock: SimulatedClock) -> None:
    for _ in range(10_000):
        clock.advance(0.1)

    assert clock.now == START + timedelta(seconds=1_000)


def test_move_to_takes_the_clock_to_an_instant_in_any_zone(clock: SimulatedClock) -> None:
    clock.move_to(datetime(2026, 1, 1, 9, 30, tzinfo=timezone(timedelta(hours=8))))
    assert clock.now == datetime(2026, 1, 1, 1, 30, tzinfo=timezone.utc)

    clock.move_to(clock.now)
    assert clock.now == datetime(2026, 1, 1, 1, 30, tzinfo=timezone.utc)


def test_move_to_takes_a_subclass_of_datetime(clock: SimulatedClock) -> None:
    class Instant(datetime):
        pass

    clock.move_to(Instant(2026, 1, 2, tzinfo=timezone.utc))

    assert clock.now == START + timedelta(days=1)


NOT_A_DURATION = "it must be seconds (int or float) or a timedelta"


@pytest.mark.parametrize(
    ("duration", "message"),
    [
        (-1, "advance(duration) is -1, which is negative; simulated time moves only forward"),
        (-0.5, "advance(duration) is -0.5, which is negative; simulated time moves only forward"),
        (
            timedelta(seconds=-1),
            (
                "advance(duration) is datetime.timedelta(days=-1, seconds=86399), which is negative; "
                "simulated time moves only forward"
            ),
        ),
        (float("nan"), "advance(duration) is nan; it must be a finite number of seconds"),
        (float("inf"), "advance(duration) is inf; it must be a finite number of seconds"),
        (float("-inf"), "advance(duration) is -inf; it must be a finite number of seconds"),
        (True, f"advance(duration) is True of type bool; {NOT_A_DURATION}"),
        ("5", f"advance(duration) is '5' of type str; {NOT_A_DURATION}"),
        (None, f"advance(duration) is None of type NoneType; {NOT_A_DURATION}"),
        ([1], f"advance(duration) is [1] of type list; {NOT_A_DURATION}"),
    ],
)
def test_a_duration_that_is_none_is_refused_in_one_sentence(
    clock: SimulatedClock, duration: object, message: str
) -> None:
    with pytest.raises(ScfUsageError) as caught:
        clock.advance(duration)  # type: ignore[arg-type]

    assert str(caught.value) == message
    assert clock.now == START


def test_a_tiny_negative_duration_is_refused_too(clock: SimulatedClock) -> None:
    with pytest.raises(ScfUsageError, match="negative"):
        clock.advance(-1e-9)


@pytest.mark.parametrize("duration", [1e12, 10**30, 1e300, timedelta.max])
def test_a_duration_that_leaves_the_calendar_is_refused_and_the_clock_stays(
    clock: SimulatedClock, duration: float | timedelta
) -> None:
    with pytest.raises(ScfUsageError, match=r"^advance\(duration\) is .*9998"):
        clock.advance(duration)

    assert clock.now == START


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (
            datetime(2026, 1, 2),
            (
                "move_to(when) is datetime.datetime(2026, 1, 2, 0, 0), which has no time zone; give it one, "
                "for example datetime(2026, 1, 1, tzinfo=timezone.utc)"
            ),
        ),
        (
            datetime(2025, 12, 31, tzinfo=timezone.utc),
            (
                "move_to(when) is 2025-12-31T00:00:00+00:00, which is before the simulated time "
                "2026-01-01T00:00:00+00:00; simulated time moves only forward"
            ),
        ),
        (
            START - timedelta(microseconds=1),
            (
                "move_to(when) is 2025-12-31T23:59:59.999999+00:00, which is before the simulated time "
                "2026-01-01T00:00:00+00:00; simulated time moves only forward"
            ),
        ),
        (3_600, "move_to(when) is 3600 of type int; it must be an aware datetime"),
        ("2026-01-02", "move_to(when) is '2026-01-02' of type str; it must be an aware datetime"),
        (None, "move_to(when) is None of type NoneType; it must be an aware datetime"),
        (START.date(), "move_to(when) is datetime.date(2026, 1, 1) of type date; it must be an aware datetime"),
        (
            datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))),
            "move_to(when) is 9999-12-31T23:00:00-14:00, which is after the year 9998 in UTC",
        ),
    ],
)
def test_a_time_that_is_none_is_refused_in_one_sentence(clock: SimulatedClock, when: object, message: str) -> None:
    with pytest.raises(ScfUsageError) as caught:
        clock.move_to(when)  # type: ignore[arg-type]

    assert str(caught.value) == message
    assert clock.now == START


@pytest.mark.parametrize("start", [datetime(2026, 1, 1), "2026-01-01", 0, True])
def test_a_start_that_is_no_aware_datetime_is_refused(start: object) -> None:
    with pytest.raises(ScfUsageError, match=r"^start is "):
        SimulatedClock(start)  # type: ignore[arg-type]


def test_a_jump_back_is_refused(clock: SimulatedClock) -> None:
    with pytest.raises(ScfUsageError, match=f"cannot go back from {START_US} µs to {START_US - 1} µs"):
        clock.jump(START_US - 1)


# -- what is due -----------------------------------------------------------------------------------------------------


def test_things_come_in_order_of_time_priority_beginning_owner_and_registration(
    clock: SimulatedClock,
) -> None:
    came: list[str] = []

    def put(text: str, due: int, priority: int, *order: int) -> None:
        began, owner, number = (*order, 0, 0)[:3]
        order = began, owner, number
        clock.call_at(START_US + due, note(came, text), priority=priority, order=order)

    put("late platform", 20, PLATFORM, 0)
    put("wake 9 first", 10, WAKE_UP, 9)
    put("wake 9 second", 10, WAKE_UP, 9)
    put("wake 9 of owner 2", 10, WAKE_UP, 9, 2, 1)
    put("wake 9 of owner 1, number 2", 10, WAKE_UP, 9, 1, 2)
    put("wake 9 of owner 1, number 1", 10, WAKE_UP, 9, 1, 1)
    put("wake 3", 10, WAKE_UP, 3, 3, 3)
    put("timeout, order 5", 10, PLATFORM, 5)
    put("timeout, order 1", 10, PLATFORM, 1)
    put("early wake", 5, WAKE_UP, 100)

    clock.advance(1)

    assert came == [
        "early wake",
        "timeout, order 1",
        "timeout, order 5",
        "wake 3",
        "wake 9 first",
        "wake 9 second",
        "wake 9 of owner 1, number 1",
        "wake 9 of owner 1, number 2",
        "wake 9 of owner 2",
        "late platform",
    ]


def test_a_timeout_comes_before_a_wake_up_of_the_same_instant_that_was_registered_first(clock: SimulatedClock) -> None:
    came: list[str] = []
    clock.call_at(START_US + 3_000_000, note(came, "wake-up"), priority=WAKE_UP, order=(1, 1, 1))
    clock.call_at(START_US + 3_000_000, note(came, "timeout"), order=(2, 2, 2))

    clock.advance(3)

    assert came == ["timeout", "wake-up"]


def test_each_thing_sees_the_time_at_which_it_is_due(clock: SimulatedClock) -> None:
    seen: list[int] = []
    for due in (1, 1_000_000, 86_400_000_000):
        clock.call_at(START_US + due, lambda: seen.append(clock.now_us - START_US))

    clock.advance(timedelta(days=2))

    assert seen == [1, 1_000_000, 86_400_000_000]
    assert clock.now == START + timedelta(days=2)


def test_what_is_due_at_the_target_comes_and_what_is_due_later_does_not(clock: SimulatedClock) -> None:
    came: list[str] = []
    clock.call_at(START_US + 1_000_000, note(came, "at the target"))
    clock.call_at(START_US + 1_000_001, note(came, "later"))

    clock.advance(1)
    assert came == ["at the target"]
    assert clock.next_due_us() == START_US + 1_000_001

    clock.move_to(START + timedelta(seconds=2))
    assert came == ["at the target", "later"]
    assert clock.next_due_us() is None


def test_what_is_due_now_comes_with_an_advance_of_nothing(clock: SimulatedClock) -> None:
    came: list[str] = []
    clock.call_at(START_US, note(came, "now"))
    clock.call_at(START_US - 5, note(came, "overdue"))

    clock.advance(0)

    assert came == ["overdue", "now"]
    assert clock.now == START


def test_a_thing_may_have_another_one_called_on_the_way(clock: SimulatedClock) -> None:
    came: list[tuple[str, int]] = []

    def first() -> None:
        came.append(("first", clock.now_us - START_US))
        clock.call_at(clock.now_us, lambda: came.append(("at once", clock.now_us - START_US)))
        clock.call_at(clock.now_us + 7, lambda: came.append(("later", clock.now_us - START_US)))

    clock.call_at(START_US + 10, first)
    clock.call_at(START_US + 15, lambda: came.append(("between", clock.now_us - START_US)))

    clock.advance(1)

    assert came == [("first", 10), ("at once", 10), ("between", 15), ("later", 17)]


def test_what_is_cancelled_does_not_come(clock: SimulatedClock) -> None:
    came: list[str] = []
    first = clock.call_at(START_US + 1, note(came, "first"))
    clock.call_at(START_US + 2, note(came, "second"))
    third = clock.call_at(START_US + 3, note(came, "third"))
    first.cancel()
    first.cancel()
    third.cancel()

    assert clock.next_due_us() == START_US + 2
    clock.advance(1)

    assert came == ["second"]


def test_a_thing_may_cancel_one_of_the_same_instant(clock: SimulatedClock) -> None:
    came: list[str] = []
    victim = clock.call_at(START_US + 1, note(came, "victim"), priority=WAKE_UP)

    def timeout() -> None:
        came.append("timeout")
        victim.cancel()

    clock.call_at(START_US + 1, timeout)
    clock.advance(1)

    assert came == ["timeout"]


def test_pop_due_gives_only_what_is_due(clock: SimulatedClock) -> None:
    thing = clock.call_at(START_US + 1, lambda: None)

    assert clock.pop_due() is None
    clock.jump(START_US + 1)
    popped = clock.pop_due()
    assert popped is thing
    assert popped.due_us == START_US + 1
    assert clock.pop_due() is None


def test_a_clock_with_a_driver_leaves_moving_to_it(clock: SimulatedClock) -> None:
    class Driver:
        def __init__(self) -> None:
            self.asked: list[tuple[int, bool]] = []

        def advance_to(self, target_us: int, past_held: bool) -> None:
            self.asked.append((target_us, past_held))

    driver = Driver()
    clock.attach(driver)

    clock.advance(5)
    clock.move_to(START + timedelta(hours=1), past_held=True)
    with pytest.raises(ScfUsageError):
        clock.advance(-1)

    assert driver.asked == [(START_US + 5_000_000, False), (START_US + 3_600_000_000, True)]
    assert clock.now == START


def test_a_detached_clock_keeps_its_time_and_forgets_what_is_due() -> None:
    page = shared_page.ClockPage()
    clock = SimulatedClock(START, page=page)
    came: list[str] = []
    clock.call_at(START_US + 1, note(came, "x"))

    clock.detach()
    page.now_us = 0
    clock.advance(1)

    assert clock.now == START + timedelta(seconds=1)
    assert came == []


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from([PLATFORM, WAKE_UP]), st.integers(0, 3), st.booleans()),
        max_size=40,
    ),
    st.lists(st.integers(0, 7), max_size=12),
)
def test_whatever_is_registered_comes_once_in_order_and_at_its_time(
    things: list[tuple[int, int, int, bool]], steps: list[int]
) -> None:
    clock = SimulatedClock(START)
    came: list[tuple[int, int, int, int]] = []
    expected: list[tuple[int, int, int, int]] = []
    for number, (due, priority, order, cancelled) in enumerate(things):
        key = (due, priority, order, number)
        thing = clock.call_at(START_US + due, lambda key=key: came.append(key), priority=priority, order=(order, 0, 0))
        if cancelled:
            thing.cancel()
        else:
            expected.append(key)

    for step in steps:
        clock.advance(timedelta(microseconds=step))
        assert came == sorted(key for key in expected if key[0] <= sum(steps) and key in came)
        assert all(key[0] <= clock.now_us - START_US for key in came)

    reached = clock.now_us - START_US
    assert reached == sum(steps)
    assert came == sorted(key for key in expected if steps and key[0] <= reached)


def test_what_was_cancelled_does_not_pile_up_and_the_order_stays():
    clock = SimulatedClock(START)
    fired: list[int] = []
    kept = [
        clock.call_at(clock.now_us + 86_400_000_000 + number % 7, lambda number=number: fired.append(number))
        for number in range(50)
    ]
    for _ in range(10_000):
        clock.call_at(clock.now_us + 86_400_000_000, lambda: fired.append(-1)).cancel()
        assert len(heap_of(clock)) <= 2 * len(kept) + SMALL_HEAP

    clock.advance(86_401)

    assert fired == sorted(range(50), key=lambda number: (number % 7, number))
    assert clock.next_due_us() is None


def test_many_things_that_are_due_are_all_kept():
    clock = SimulatedClock(START)
    fired: list[int] = []
    for number in range(1000):
        clock.call_at(clock.now_us + 1000 - number, lambda number=number: fired.append(number))
    clock.advance(1)
    assert fired == list(range(999, -1, -1))


def test_a_cancelled_thing_holds_nothing_alive():
    class Held:
        def fire(self) -> None:
            pass

    clock = SimulatedClock(START)
    held = Held()
    thing = clock.call_at(clock.now_us + 1, held.fire)
    gone = weakref.ref(held)
    del held
    assert gone() is not None
    thing.cancel()
    assert gone() is None
