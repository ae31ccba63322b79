from __future__ import annotations

import pytest

from pytest_scf_async.errors import HarnessError, ScfApiError
from pytest_scf_async.model.records import INVOKE_TYPES, EventRecord
from pytest_scf_async.model.statuses import State, Status
from pytest_scf_async.model.transitions import Fact, InstanceFate, OpenReadings


def new_record() -> EventRecord:
    return EventRecord(
        sequence=1,
        request_id="r-1",
        function_name="export",
        namespace="default",
        qualifier="$LATEST",
        invoke_type="OTHERS",
        recorded=True,
        start_us=1000,
    )


def running_record() -> EventRecord:
    record = new_record()
    record.apply(Fact.ACCEPTED, 1000)
    return record


def test_a_new_event_has_no_status():
    record = new_record()
    assert record.state is State.NEW
    assert record.transitions == []
    with pytest.raises(HarnessError, match="r-1 has not been accepted"):
        _ = record.status


def test_an_accepted_event_runs_with_the_code_zero():
    record = running_record()
    assert (record.status, record.status_code, record.end_us) == ("RUNNING", 0, None)
    assert record.transitions == [(Status.RUNNING, 1000)]


def test_an_event_that_returns_has_its_end_and_both_transitions():
    record = running_record()
    result = record.apply(Fact.RETURNED, 5000)
    assert (result.fate, result.logs) == (InstanceFate.REUSED, "Response")
    assert (record.status, record.status_code, record.end_us) == ("FINISHED", 200, 5000)
    assert record.transitions == [("RUNNING", 1000), ("FINISHED", 5000)]


def test_a_signal_is_no_change_on_the_wire():
    record = running_record()
    record.apply(Fact.SIGNAL_RECEIVED, 2000)
    record.apply(Fact.SIGNAL_RECEIVED, 2500)
    assert record.state is State.SIGNALLED
    assert (record.status, record.status_code, record.end_us) == ("RUNNING", 0, None)
    assert record.transitions == [("RUNNING", 1000)]


def test_a_signal_that_is_not_received_leaves_the_event_as_it_was():
    record = running_record()
    record.apply(Fact.SIGNAL_NOT_RECEIVED, 2000)
    assert record.state is State.RUNNING


def test_the_readings_and_the_kind_of_function_reach_the_table():
    record = running_record()
    record.apply(Fact.SIGNAL_RECEIVED, 2000)
    record.apply(Fact.RETURNED, 3000, OpenReadings(graceful_return_status=Status.ABORTED))
    assert (record.status, record.status_code) == ("ABORTED", 499)
    assert running_record().apply(Fact.RAISED, 2000, async_run=False).fate is InstanceFate.REUSED


def test_a_refused_fact_changes_nothing():
    record = running_record()
    record.apply(Fact.RAISED, 2000)
    with pytest.raises(ScfApiError, match="Async event r-1 is FAILED"):
        record.apply(Fact.TERMINATED, 3000)
    with pytest.raises(HarnessError):
        record.apply(Fact.RETURNED, 3000)
    assert (record.status, record.status_code, record.end_us) == ("FAILED", 430, 2000)
    assert record.transitions == [("RUNNING", 1000), ("FAILED", 2000)]


def test_deleting_the_function_leaves_an_ended_event_as_it_is():
    record = running_record()
    record.apply(Fact.TIMED_OUT, 2000)
    result = record.apply(Fact.FUNCTION_DELETED, 9000)
    assert (result.state, result.status_code, result.fate) == (State.FAILED, 433, InstanceFate.UNCHANGED)
    assert (record.status, record.status_code, record.end_us) == ("FAILED", 433, 2000)
    assert record.transitions == [("RUNNING", 1000), ("FAILED", 2000)]


def test_an_event_may_end_at_the_instant_of_its_start():
    record = running_record()
    record.apply(Fact.RETURNED, 1000)
    assert record.end_us == 1000


@pytest.mark.parametrize(
    ("make", "fact", "at_us"), [(new_record, Fact.ACCEPTED, 999), (running_record, Fact.RAISED, 0)]
)
def test_time_does_not_run_backward(make, fact, at_us):
    record = make()
    before = record.state, list(record.transitions)
    with pytest.raises(HarnessError, match=f"{fact.name} at {at_us} us"):
        record.apply(fact, at_us)
    assert (record.state, record.transitions) == before


def test_the_invoke_types_are_those_of_the_platform():
    documented = "CMQ CKAFKA_TRIGGER APIGW COS TRIGGER_TIMER MPS_TRIGGER CLS_TRIGGER OTHERS"
    assert " ".join(INVOKE_TYPES) == documented
