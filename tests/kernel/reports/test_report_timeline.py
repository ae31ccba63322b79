"""A timeline as text: its entries are in order of time, and what says why something failed is never left out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from internals import Remark, SimulatedClock, Waited, Written, limits, shown_time, timeline_text

# once: texts
pytestmark = pytest.mark.once

S = 1_000_000


def test_a_wait_that_is_reported_late_stands_where_it_began() -> None:
    """Those under a lease come with the next message, behind the lines that were written meanwhile."""
    entries = [
        Remark(0, "accepted"),
        Written(3 * S, "row 1"),
        Waited(1 * S, "sleep(1)", 2 * S, 2, awaits=None),
        Waited(3 * S, "sleep(2)", 3 * S, 1, awaits=None),
        Written(5 * S, "row 2"),
    ]
    stretch = SimpleNamespace(kind="computing", seconds=1.5, time_us=4 * S, entries=4)
    assert timeline_text(entries, 0, [stretch]).splitlines() == [
        "+0 s  instance  accepted",
        "+1 s  wait      sleep(1), 2 times, the last at +2 s",
        "+3 s  log       row 1",
        "+3 s  wait      sleep(2)",
        "+4 s  real      computed 1.5 real s",
        "+5 s  log       row 2",
    ]


def test_lines_that_say_what_is_wrong_and_the_last_ones_are_never_left_out() -> None:
    words = {10: "Traceback (most recent call last):", 20: "[ERROR] one", 30: "ERROR two", 40: "ERROR: three"}
    words |= {60: "[CRITICAL] WORKER TIMEOUT", 70: "ERROR four", 80: "ERROR five"}
    entries = [Written(number * S, words.get(number, f"row {number}")) for number in range(100)]
    entries += [Written(100 * S, "END RequestId: 1", of_platform=True) for _ in range(9)]

    lines = [line.split("  ")[-1].strip() for line in timeline_text(entries, 0, most=24).splitlines()]

    kept = [*words.values()][:3] + [*words.values()][-3:] + [f"row {number}" for number in range(95, 100)]
    assert [line for line in lines if line in kept] == kept
    assert "ERROR: three" not in lines
    assert len(lines) <= 24


def test_routine_lines_are_one_row_of_a_failure() -> None:
    entries = [
        Written(0, "START", of_platform=True),
        Written(0, "Init Report", of_platform=True, routine=True),
        Written(1 * S, "Using selector", routine=True),
        Written(2 * S, "row 1"),
        Written(3 * S, "Starting a connection", routine=True),
    ]
    shown = ["+0 s  log       START", "+0 s  …         Init Report and 2 DEBUG lines of libraries left out"]
    assert timeline_text(entries, 0, most=24).splitlines() == [*shown, "+2 s  log       row 1"]
    assert timeline_text(entries[:2], 0, most=24).splitlines()[1] == "+0 s  …         Init Report left out"
    assert timeline_text(entries[2:3], 0, most=24) == "+1 s  …         1 DEBUG line of libraries left out"
    assert len(timeline_text(entries, 0).splitlines()) == len(entries)
    limits.lift()
    try:
        assert "Using selector" in timeline_text(entries, 0, most=24)
    finally:
        limits.restore()


def test_a_single_row_is_never_left_out_as_what_stands_for_it_takes_as_much_room() -> None:
    entries = [
        Remark(0, "a"),
        Waited(1 * S, "sleep(1)", 1 * S, 1, None),
        Remark(2 * S, "b"),
        Waited(3 * S, "sleep(2)", 3 * S, 1, None),
        Waited(5 * S, "sleep(3)", 5 * S, 1, None),
        Remark(8 * S, "c"),
    ]
    assert timeline_text(entries, 0, most=4).splitlines() == [
        "+0 s  instance  a",
        "+1 s  wait      sleep(1)",
        "+2 s  instance  b",
        "+3 s  …         2 waits left out",
        "+8 s  instance  c",
    ]


def test_the_frames_that_faulthandler_names_are_kept_before_those_of_c_code() -> None:
    frames = [f'  File "/code/index.py", line {line} in f{line}' for line in range(1, 10)]
    texts = ["Fatal Python error: Segmentation fault", "", "Current thread 0x1 (most recent call first):", *frames]
    texts += ["", "Current thread's C stack trace (most recent call first):"]
    texts += [f'  Binary file "/usr/bin/python", at +0x{number:x}' for number in range(40)]

    text = timeline_text([Written(S, each) for each in texts], 0, most=24)

    assert [line for line in frames if line in text] == frames


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=8)), ZoneInfo("Asia/Kolkata"), timezone.utc])
def test_a_time_is_shown_in_the_zone_of_the_start(zone: timezone) -> None:
    start = datetime(2026, 1, 1, 9, 30, tzinfo=zone)
    clock = SimulatedClock(start)
    clock.advance(60)
    assert shown_time(clock, clock.now_us) == (start + timedelta(minutes=1)).isoformat()
    assert clock.now.utcoffset() == timedelta(0)


def test_a_time_that_has_no_calendar_in_that_zone_is_shown_in_utc() -> None:
    last = datetime.max.replace(tzinfo=timezone.utc)
    clock = SimulatedClock(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8))))
    assert (
        shown_time(clock, (last - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1))
        == last.isoformat()
    )
