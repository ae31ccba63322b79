"""Rows about the status trace: listing and expiring 100,000 events."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from pytest_scf_async.model import EventRecord, Fact, OpenReadings, Status, StatusTrace
from pytest_scf_async.model.trace import RETENTION_US

from .measure import Row, Sample, timed

EVENTS = 100_000
SECOND = 1_000_000
START = 1_767_225_600 * SECOND
TYPES = ("OTHERS", "TRIGGER_TIMER", "COS")


def records(running: bool = True) -> list[EventRecord]:
    """An event a second; one in ten failed, and with *running* one in ten has not ended."""
    made: list[EventRecord] = []
    readings = OpenReadings()
    for number in range(EVENTS):
        start = START + number * SECOND
        record = EventRecord(
            sequence=number,
            request_id=str(uuid.UUID(int=number, version=4)),
            function_name="export",
            namespace="default",
            qualifier="$LATEST" if number % 2 else "1",
            invoke_type=TYPES[number % 3],
            recorded=True,
            start_us=start,
        )
        record.apply(Fact.ACCEPTED, start, readings, True)
        if number % 10 or not running:
            fact = Fact.RAISED if number % 10 == 1 else Fact.RETURNED
            record.apply(fact, start + number % 7 * SECOND, readings, True)
        made.append(record)
    return made


def trace_of(events: list[EventRecord]) -> StatusTrace:
    trace = StatusTrace()
    for record in events:
        trace.add(record)
    return trace


def listing(
    comprehension: Callable[[list[EventRecord]], list[EventRecord]], **filters: Any
) -> Callable[[], contextlib.AbstractContextManager[tuple[Sample, Sample]]]:
    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample]]:
        events = records()
        trace = trace_of(events)
        now = START + EVENTS * SECOND
        page = trace.list_events(now_us=now, function_name="export", **filters)
        assert page.total_count == len(comprehension(events))
        yield (
            timed(lambda: trace.list_events(now_us=now, function_name="export", **filters)),
            timed(lambda: comprehension(events)),
        )

    return prepare


FIRST, LAST = START + 10_000 * SECOND, START + 90_000 * SECOND


def everything(events: list[EventRecord]) -> list[EventRecord]:
    return [record for record in events if record.function_name == "export"]


def failed(events: list[EventRecord]) -> list[EventRecord]:
    return [record for record in events if record.status is Status.FAILED]


def every_filter(events: list[EventRecord]) -> list[EventRecord]:
    return [
        record
        for record in events
        if record.qualifier == "1"
        and record.status in (Status.FINISHED, Status.FAILED)
        and record.invoke_type in ("OTHERS", "COS")
        and FIRST <= record.start_us < LAST
        and record.end_us is not None
        and FIRST <= record.end_us < LAST
    ]


@contextlib.contextmanager
def expiry() -> Iterator[tuple[Sample, Sample]]:
    events = records(running=False)
    late = START + (EVENTS + 10) * SECOND + RETENTION_US

    def ours() -> float:
        trace = trace_of(events)
        seconds = timed(lambda: trace.expire(late))()
        assert len(trace) == 0
        return seconds

    def comprehension() -> list[EventRecord]:
        return [record for record in events if record.end_us is not None and record.end_us > late - RETENTION_US]

    yield ours, timed(comprehension)


def rows() -> list[Row]:
    every = {
        "qualifier": "1",
        "statuses": ["FINISHED", "FAILED"],
        "invoke_types": ["OTHERS", "COS"],
        "start_interval": (FIRST, LAST),
        "end_interval": (FIRST, LAST),
    }
    many = f"List over {EVENTS:,} events"
    return [
        Row("list", f"{many} / a comprehension", "≤ 1.5 ×", listing(everything), 1.5, rounds=60, quick_rounds=10),
        Row(
            "list-status",
            f"{many}, by status / a comprehension",
            "≤ 1.5 ×",
            listing(failed, statuses=["FAILED"]),
            1.5,
            rounds=60,
            quick_rounds=10,
        ),
        Row(
            "list-filters",
            f"{many}, every filter / a comprehension",
            "≤ 1.5 ×",
            listing(every_filter, **every),
            1.5,
            rounds=60,
            quick_rounds=10,
        ),
        Row(
            "expiry",
            f"expiry of {EVENTS:,} events / a comprehension",
            "< 0.1 s",
            expiry,
            0.1,
            unit="s",
            rounds=9,
            quick_rounds=3,
            warm_up=1,
        ),
    ]
