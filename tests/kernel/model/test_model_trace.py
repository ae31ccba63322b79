from __future__ import annotations

import itertools

import pytest

from pytest_scf_async.errors import HarnessError, ScfApiError
from pytest_scf_async.model.records import INVOKE_TYPES, EventRecord
from pytest_scf_async.model.trace import RETENTION_US, StatusTrace
from pytest_scf_async.model.transitions import Fact

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

SECOND = 1_000_000
HOUR = 3600 * SECOND
LATER = 50 * SECOND


class Bench:
    """A trace, and short ways to put events into it."""

    def __init__(self) -> None:
        self.trace = StatusTrace()
        self.numbers = itertools.count(1)

    def add(self, start: int = 0, *, function: str = "export", namespace: str = "default", **values) -> EventRecord:
        number = next(self.numbers)
        record = EventRecord(
            sequence=number,
            request_id=values.pop("request_id", f"r-{number}"),
            function_name=function,
            namespace=namespace,
            qualifier=values.pop("qualifier", "$LATEST"),
            invoke_type=values.pop("invoke_type", "OTHERS"),
            recorded=values.pop("recorded", True),
            start_us=start,
        )
        assert not values
        record.apply(Fact.ACCEPTED, start)
        self.trace.add(record)
        return record

    def end(self, record: EventRecord, at: int, fact: Fact = Fact.RETURNED) -> EventRecord:
        record.apply(fact, at)
        self.trace.ended(record)
        return record

    def ids(self, now: int = LATER, function: str = "export", **filters) -> list[str]:
        page = self.trace.list_events(now_us=now, function_name=function, **filters)
        assert len(page.records) <= page.total_count
        return [record.request_id for record in page.records]

    def count(self, now: int = LATER, function: str = "export", **filters) -> int:
        return self.trace.list_events(now_us=now, function_name=function, **filters).total_count


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def mixed(bench: Bench) -> Bench:
    """Five events: r-1 RUNNING, r-2 FINISHED, r-3 FAILED, r-4 ABORTED, r-5 RUNNING after a signal."""
    bench.add(1 * SECOND, qualifier="1", invoke_type="COS")
    second = bench.add(2 * SECOND, qualifier="1", invoke_type="OTHERS")
    third = bench.add(3 * SECOND, qualifier="2", invoke_type="APIGW")
    fourth = bench.add(4 * SECOND, qualifier="2", invoke_type="COS")
    bench.add(5 * SECOND).apply(Fact.SIGNAL_RECEIVED, 6 * SECOND)
    bench.end(fourth, 10 * SECOND, Fact.TERMINATED)
    bench.end(second, 20 * SECOND)
    bench.end(third, 30 * SECOND, Fact.RAISED)
    return bench


def refusal(bench: Bench, **filters) -> tuple[str, str]:
    with pytest.raises(ScfApiError) as caught:
        bench.ids(**filters)
    return caught.value.code, caught.value.platform_message


# What a listing shows


def test_an_empty_trace_lists_nothing(bench):
    page = bench.trace.list_events(now_us=0, function_name="export")
    assert (page.total_count, page.records) == (0, [])


def test_by_default_the_newest_twenty_come_first(bench):
    for start in range(25):
        bench.add(start)
    assert bench.ids() == [f"r-{number}" for number in range(25, 5, -1)]
    assert bench.count() == 25


def test_a_listing_is_of_one_function_in_one_namespace(bench):
    bench.add(function="export")
    bench.add(function="other")
    bench.add(function="export", namespace="staging")
    assert bench.ids() == ["r-1"]
    assert bench.ids(function="other") == ["r-2"]
    assert bench.ids(namespace="staging") == ["r-3"]
    assert bench.ids(function="unknown") == []


def test_a_listing_gives_the_records_themselves(bench):
    record = bench.add()
    assert bench.trace.list_events(now_us=0, function_name="export").records == [record]


# Filters


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, ["r-5", "r-4", "r-3", "r-2", "r-1"]),
        ({"qualifier": "1"}, ["r-2", "r-1"]),
        ({"qualifier": "$LATEST"}, ["r-5"]),
        ({"qualifier": "3"}, []),
        ({"statuses": ["RUNNING"]}, ["r-5", "r-1"]),
        ({"statuses": ["FINISHED"]}, ["r-2"]),
        ({"statuses": ["FAILED"]}, ["r-3"]),
        ({"statuses": ["ABORTED"]}, ["r-4"]),
        ({"statuses": ("RUNNING", "ABORTED")}, ["r-5", "r-4", "r-1"]),
        ({"statuses": ["RUNNING", "RUNNING"]}, ["r-5", "r-1"]),
        ({"statuses": []}, ["r-5", "r-4", "r-3", "r-2", "r-1"]),
        ({"invoke_types": ["COS"]}, ["r-4", "r-1"]),
        ({"invoke_types": ["APIGW", "OTHERS"]}, ["r-5", "r-3", "r-2"]),
        ({"invoke_types": ["CMQ"]}, []),
        ({"invoke_request_id": "r-3"}, ["r-3"]),
        ({"invoke_request_id": "unknown"}, []),
        ({"invoke_request_id": "r-3", "statuses": ["FINISHED"]}, []),
        ({"invoke_request_id": "r-3", "order_by": "EndTime"}, ["r-3"]),
        ({"qualifier": "2", "statuses": ["FAILED", "FINISHED"], "invoke_types": ["APIGW", "COS"]}, ["r-3"]),
        ({"start_interval": (2 * SECOND, 4 * SECOND)}, ["r-3", "r-2"]),
        ({"start_interval": (2 * SECOND, 2 * SECOND)}, []),
        ({"start_interval": (2 * SECOND, 2 * SECOND + 1)}, ["r-2"]),
        ({"start_interval": (2 * SECOND + 1, 3 * SECOND)}, []),
        ({"start_interval": (0, 100 * SECOND)}, ["r-5", "r-4", "r-3", "r-2", "r-1"]),
        ({"end_interval": (0, 100 * SECOND)}, ["r-4", "r-3", "r-2"]),
        ({"end_interval": (10 * SECOND, 20 * SECOND)}, ["r-4"]),
        ({"end_interval": (10 * SECOND + 1, 20 * SECOND + 1)}, ["r-2"]),
        ({"end_interval": (20 * SECOND, 20 * SECOND)}, []),
        ({"end_interval": (0, 100 * SECOND), "statuses": ["RUNNING"]}, []),
        ({"start_interval": (0, 4 * SECOND), "end_interval": (20 * SECOND, 31 * SECOND)}, ["r-3", "r-2"]),
    ],
)
def test_a_filter_lets_only_its_events_through(mixed, filters, ids):
    assert mixed.ids(**filters) == ids
    assert mixed.count(**filters) == len(ids)


def test_the_request_id_of_another_function_is_not_found_in_this_one(mixed):
    other = mixed.add(function="other", start=9 * SECOND)
    assert mixed.ids(invoke_request_id=other.request_id) == []
    assert mixed.ids(function="other", invoke_request_id=other.request_id) == [other.request_id]
    assert mixed.ids(function="other", invoke_request_id=other.request_id, namespace="staging") == []


# Order


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"order": "ASC"}, ["r-1", "r-2", "r-3", "r-4", "r-5"]),
        ({"order": "DESC", "order_by": "StartTime"}, ["r-5", "r-4", "r-3", "r-2", "r-1"]),
        ({"order": "ASC", "order_by": "EndTime"}, ["r-1", "r-5", "r-4", "r-2", "r-3"]),
        ({"order_by": "EndTime"}, ["r-3", "r-2", "r-4", "r-5", "r-1"]),
        ({"order_by": "EndTime", "statuses": ["RUNNING"]}, ["r-5", "r-1"]),
        ({"order_by": "EndTime", "invoke_types": ["COS"]}, ["r-4", "r-1"]),
    ],
)
def test_events_come_in_the_order_that_is_asked_for(mixed, filters, ids):
    assert mixed.ids(**filters) == ids


def test_events_of_one_instant_are_in_order_of_acceptance(bench):
    records = [bench.add(7) for _ in range(4)]
    assert bench.ids(order="ASC") == ["r-1", "r-2", "r-3", "r-4"]
    assert bench.ids(order="DESC") == ["r-4", "r-3", "r-2", "r-1"]
    for record in reversed(records):
        bench.end(record, 9)
    assert bench.ids(order="ASC", order_by="EndTime") == ["r-1", "r-2", "r-3", "r-4"]
    assert bench.ids(order="DESC", order_by="EndTime") == ["r-4", "r-3", "r-2", "r-1"]


# Pages


def test_pages_follow_each_other_without_gap_or_overlap(bench):
    for start in range(45):
        bench.add(start)
    pages = [bench.ids(offset=offset) for offset in (0, 20, 40, 60)]
    assert [len(page) for page in pages] == [20, 20, 5, 0]
    assert [*pages[0], *pages[1], *pages[2]] == [f"r-{number}" for number in range(45, 0, -1)]
    assert [bench.count(offset=offset) for offset in (0, 44, 45, 1000)] == [45] * 4


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize(("offset", "limit"), [(0, 1), (1, 1), (4, 1), (4, 2), (5, 1), (6, 100), (0, 100), (2, 3)])
def test_a_page_is_a_slice_of_the_whole(mixed, order, offset, limit):
    whole = mixed.ids(order=order, limit=100)
    assert mixed.ids(order=order, offset=offset, limit=limit) == whole[offset : offset + limit]


def test_the_total_counts_what_passes_the_filters_on_every_page(mixed):
    for offset in (0, 1, 2, 3):
        assert mixed.count(statuses=["RUNNING"], offset=offset, limit=1) == 2


@pytest.mark.parametrize("limit", [1, 100])
def test_a_limit_is_one_to_a_hundred(bench, limit):
    for _ in range(101):
        bench.add()
    assert len(bench.ids(limit=limit)) == limit


# Refusals


@pytest.mark.parametrize("limit", [0, -1, 101, True, 1.0, "20", None])
def test_any_other_limit_is_refused(bench, limit):
    assert refusal(bench, limit=limit) == (
        "InvalidParameterValue.Limit",
        f"Limit={limit!r} is not valid: it must be a whole number from 1 to 100.",
    )


@pytest.mark.parametrize("offset", [-1, False, 0.0, "0", None])
def test_a_bad_offset_is_refused(bench, offset):
    assert refusal(bench, offset=offset)[0] == "InvalidParameterValue.Offset"


@pytest.mark.parametrize("order", ["asc", "", "UP", None, 1])
def test_a_bad_order_is_refused(bench, order):
    assert refusal(bench, order=order) == (
        "InvalidParameterValue.Order",
        f"Order={order!r} is not valid; valid are ASC, DESC.",
    )


@pytest.mark.parametrize("order_by", ["starttime", "Duration", "", None])
def test_a_bad_order_by_is_refused_as_an_order(bench, order_by):
    assert refusal(bench, order_by=order_by) == (
        "InvalidParameterValue.Order",
        f"Orderby={order_by!r} is not valid; valid are StartTime, EndTime.",
    )


@pytest.mark.parametrize("statuses", [["running"], ["RUNNING", "DONE"], [""], [None], [1], "RUNNING", None, 5])
def test_a_bad_status_is_refused(bench, statuses):
    code, message = refusal(bench, statuses=statuses)
    assert code == "InvalidParameterValue.Status"
    assert "RUNNING, FINISHED, FAILED, ABORTED" in message


@pytest.mark.parametrize("invoke_types", [["others"], ["COS", "HTTP"], "COS", None])
def test_a_bad_invoke_type_is_refused(bench, invoke_types):
    code, message = refusal(bench, invoke_types=invoke_types)
    assert code == "InvalidParameterValue.InvokeType"
    assert all(valid in message for valid in INVOKE_TYPES)


@pytest.mark.parametrize("name", ["start_interval", "end_interval"])
def test_an_interval_that_ends_before_it_starts_is_refused(bench, name):
    code, message = refusal(bench, **{name: (1_767_225_600_000_000, 1_767_222_000_000_000)})
    assert code == "InvalidParameterValue"
    assert message.endswith(
        "Interval='2026-01-01 00:00:00 UTC to 2025-12-31 23:00:00 UTC' is not valid: it begins at or after its end."
    )


def test_a_refusal_does_not_depend_on_there_being_events(mixed):
    assert refusal(mixed, limit=0)[0] == "InvalidParameterValue.Limit"
    assert refusal(mixed, function="unknown", limit=0)[0] == "InvalidParameterValue.Limit"


# Retention


def test_an_event_is_visible_until_the_last_microsecond_of_its_72_hours(bench):
    record = bench.end(bench.add(), 5 * SECOND)
    last = 5 * SECOND + 72 * HOUR - 1
    assert bench.ids(now=last) == ["r-1"]
    assert bench.trace.get("r-1", last) is record
    assert bench.trace.expire(last) == 0


def test_at_72_hours_exactly_the_event_is_gone(bench):
    bench.end(bench.add(), 5 * SECOND)
    now = 5 * SECOND + RETENTION_US
    assert bench.ids(now=now) == []
    with pytest.raises(ScfApiError) as caught:
        bench.trace.get("r-1", now)
    assert caught.value.code == "ResourceNotFound.AsyncEvent"
    assert caught.value.platform_message == "There is no async event 'r-1'."


@pytest.mark.parametrize("by", ["list", "get", "expire"])
def test_every_way_to_look_finds_the_same_instant(bench, by):
    bench.end(bench.add(), 0)
    if by == "list":
        assert bench.count(now=RETENTION_US) == 0
    elif by == "get":
        with pytest.raises(ScfApiError):
            bench.trace.get("r-1", RETENTION_US)
    else:
        assert bench.trace.expire(RETENTION_US) == 1
    assert len(bench.trace) == 0


def test_the_retention_is_three_times_24_hours():
    assert RETENTION_US == 259_200_000_000


def test_a_running_event_never_expires(bench):
    running = bench.add()
    far = 10_000 * HOUR
    assert bench.trace.expire(far) == 0
    assert bench.ids(now=far) == ["r-1"]
    bench.end(running, far)
    assert bench.trace.expire(far + RETENTION_US - 1) == 0
    assert bench.trace.expire(far + RETENTION_US) == 1


def test_the_72_hours_count_from_the_end_not_from_the_start(bench):
    long = bench.add(0)
    short = bench.add(1)
    bench.end(short, 2)
    bench.end(long, 24 * HOUR)
    assert bench.ids(now=2 + RETENTION_US) == ["r-1"]


def test_expiry_leaves_the_other_events_in_order(bench):
    records = [bench.add(start) for start in range(6)]
    for record, end in zip(records[:5], (50, 10, 40, 20, 30), strict=True):
        bench.end(record, end)
    assert bench.trace.expire(20 + RETENTION_US) == 2
    now = 20 + RETENTION_US
    assert bench.ids(now=now, order="ASC") == ["r-1", "r-3", "r-5", "r-6"]
    assert bench.ids(now=now, order="ASC", order_by="EndTime") == ["r-6", "r-5", "r-3", "r-1"]
    assert bench.count(now=now) == 4
    assert bench.trace.expire(now) == 0
    assert bench.trace.expire(50 + RETENTION_US) == 3
    assert bench.ids(now=50 + RETENTION_US) == ["r-6"]


def test_expiry_reaches_every_function(bench):
    bench.end(bench.add(function="a"), 1)
    bench.end(bench.add(function="b"), 2)
    bench.add(function="c", start=2)
    assert bench.trace.expire(2 + RETENTION_US) == 2
    assert len(bench.trace) == 1


# What is kept, and what is not


def test_an_event_accepted_without_trace_is_not_kept(bench):
    record = bench.add(recorded=False)
    bench.end(record, 1)
    assert bench.ids() == []
    with pytest.raises(ScfApiError):
        bench.trace.get("r-1", 1)


def test_switching_the_trace_off_clears_the_functions_events(mixed):
    mixed.add(6 * SECOND, function="other")
    running = mixed.trace.get("r-1", LATER)
    assert mixed.trace.disable("export", "default") == 5
    assert mixed.ids() == []
    assert mixed.ids(function="other") == ["r-6"]
    for number in range(1, 6):
        with pytest.raises(ScfApiError, match=r"ResourceNotFound\.AsyncEvent"):
            mixed.trace.get(f"r-{number}", LATER)
    mixed.end(running, 40 * SECOND)
    assert mixed.ids() == []
    assert mixed.trace.expire(40 * SECOND + RETENTION_US) == 0


def test_recording_resumes_for_new_events_only(mixed):
    mixed.trace.disable("export")
    mixed.add(6 * SECOND, recorded=False)
    mixed.add(7 * SECOND)
    assert mixed.ids() == ["r-7"]


def test_switching_off_a_trace_without_events_does_nothing(bench):
    assert bench.trace.disable("export", "staging") == 0


def test_an_event_of_another_namespace_keeps_its_record(bench):
    bench.add()
    bench.add(namespace="staging")
    assert bench.trace.disable("export", "staging") == 1
    assert bench.ids() == ["r-1"]


def test_get_finds_events_of_every_function_and_state(mixed):
    mixed.add(6 * SECOND, function="other", namespace="staging")
    statuses = [str(mixed.trace.get(f"r-{number}", LATER).status) for number in range(1, 7)]
    assert statuses == ["RUNNING", "FINISHED", "FAILED", "ABORTED", "RUNNING", "RUNNING"]


def test_telling_an_end_twice_does_no_harm(bench):
    record = bench.end(bench.add(), 1)
    bench.trace.ended(record)
    assert bench.ids(order_by="EndTime") == ["r-1"]


def test_an_event_that_has_ended_already_can_be_added(bench):
    record = EventRecord(1, "r-1", "export", "default", "$LATEST", "OTHERS", True, 0)
    record.apply(Fact.ACCEPTED, 0)
    record.apply(Fact.RETURNED, 3)
    bench.trace.add(record)
    assert bench.ids(end_interval=(3, 4)) == ["r-1"]
    assert bench.trace.expire(3 + RETENTION_US) == 1


def test_an_event_that_was_not_accepted_cannot_be_added(bench):
    with pytest.raises(HarnessError, match="has not been accepted"):
        bench.trace.add(EventRecord(1, "r-1", "export", "default", "$LATEST", "OTHERS", True, 0))


def test_an_event_that_runs_cannot_be_reported_as_ended(bench):
    with pytest.raises(HarnessError, match="has not ended"):
        bench.trace.ended(bench.add())


def test_a_request_id_cannot_be_added_twice(bench):
    bench.add(request_id="same")
    with pytest.raises(HarnessError, match="event same is recorded already"):
        bench.add(request_id="same")


def test_events_cannot_be_added_out_of_the_order_of_acceptance(bench):
    bench.add(5)
    with pytest.raises(HarnessError, match="order of acceptance"):
        bench.add(4)
    bench.numbers = itertools.count(1)
    with pytest.raises(HarnessError, match="order of acceptance"):
        bench.add(6, request_id="other")
