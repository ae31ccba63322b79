"""Rows about the status trace: listing a million events, expiring a hundred thousand; and scripted events."""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from pytest_scf_async import ScfRuntime
from pytest_scf_async.model.records import EventRecord
from pytest_scf_async.model.statuses import Status
from pytest_scf_async.model.trace import RETENTION_US, StatusTrace
from pytest_scf_async.model.transitions import Fact, OpenReadings
from pytest_scf_async.scripted import finished, running_for

from .measure import Row, Sample, timed

KEPT = 1_000_000
EXPIRING = 100_000
SCRIPTED = 10_000
SECOND = 1_000_000
START = 1_767_225_600 * SECOND
BETWEEN = SECOND // 5
"""µs from one event to the next: all of them are kept, for 72 hours."""
TYPES = ("OTHERS", "TRIGGER_TIMER", "COS")


@functools.cache
def records(count: int, running: bool = True) -> list[EventRecord]:
    """Five events a second; one in ten failed, and with *running* one in ten has not ended."""
    made: list[EventRecord] = []
    readings = OpenReadings()
    for number in range(count):
        start = START + number * BETWEEN
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
        events = records(KEPT)
        trace = trace_of(events)
        now = START + KEPT * BETWEEN
        page = trace.list_events(now_us=now, function_name="export", **filters)
        assert page.total_count == len(comprehension(events))
        yield (
            timed(lambda: trace.list_events(now_us=now, function_name="export", **filters)),
            timed(lambda: comprehension(events)),
        )

    return prepare


FIRST, LAST = START + KEPT // 10 * BETWEEN, START + KEPT * 9 // 10 * BETWEEN


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
    events = records(EXPIRING, running=False)
    late = START + EXPIRING * BETWEEN + 10 * SECOND + RETENTION_US

    def ours() -> float:
        trace = trace_of(events)
        seconds = timed(lambda: trace.expire(late))()
        assert len(trace) == 0
        return seconds

    def comprehension() -> list[EventRecord]:
        return [record for record in events if record.end_us is not None and record.end_us > late - RETENTION_US]

    yield ours, timed(comprehension)


@contextlib.contextmanager
def scripted() -> Iterator[tuple[Sample, Sample]]:
    """Scripted events from their invocation to their end, beside what no event can be without: its record, kept."""

    def ours() -> None:
        with ScfRuntime() as runtime:
            export = runtime.deploy_scripted("export", [running_for(60), finished({"rows": 20})])
            for number in range(SCRIPTED):
                export.invoke_async({"number": number})
            runtime.wait_all()

    yield timed(ours), timed(lambda: trace_of(records.__wrapped__(SCRIPTED, running=False)))


@contextlib.contextmanager
def year_of_a_timer() -> Iterator[tuple[Sample, None]]:
    def ours() -> None:
        with ScfRuntime() as runtime:
            export = runtime.deploy_scripted("export", [running_for(60), finished({"rows": 20})])
            export.add_timer("0 0 * * * * *")
            runtime.clock.advance(timedelta(days=365))
            assert len(export.events) == 365 * 24

    yield timed(ours), None


def rows() -> list[Row]:
    every = {
        "qualifier": "1",
        "statuses": ["FINISHED", "FAILED"],
        "invoke_types": ["OTHERS", "COS"],
        "start_interval": (FIRST, LAST),
        "end_interval": (FIRST, LAST),
    }
    many = f"List over {KEPT:,} events"
    return [
        Row("list", f"{many} / a comprehension", "≤ 1 ×", listing(everything), 1.0, rounds=20, quick_rounds=5),
        Row(
            "list-status",
            f"{many}, by status / a comprehension",
            "≤ 1 ×",
            listing(failed, statuses=["FAILED"]),
            1.0,
            rounds=20,
            quick_rounds=5,
        ),
        Row(
            "list-filters",
            f"{many}, every filter / a comprehension",
            "≤ 1 ×",
            listing(every_filter, **every),
            1.0,
            rounds=20,
            quick_rounds=5,
        ),
        Row(
            "scripted",
            f"{SCRIPTED:,} scripted events / their records alone",
            "≤ 10 ×",
            scripted,
            10.0,
            rounds=9,
            quick_rounds=3,
            warm_up=1,
        ),
        Row(
            "timer-year",
            "a year of an hourly timer of a scripted function",
            "≤ 2 s",
            year_of_a_timer,
            2.0,
            unit="s",
            rounds=9,
            quick_rounds=3,
            warm_up=1,
        ),
        Row(
            "expiry",
            f"expiry of {EXPIRING:,} events / a comprehension",
            "< 0.1 s",
            expiry,
            0.1,
            unit="s",
            rounds=9,
            quick_rounds=3,
            warm_up=1,
        ),
    ]
