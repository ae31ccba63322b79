from __future__ import annotations

import itertools

import pytest

from pytest_scf_async.errors import HarnessError, ScfApiError, ScfUsageError
from pytest_scf_async.model.codes import STATUS_CODES
from pytest_scf_async.model.statuses import State, Status
from pytest_scf_async.model.transitions import (
    STATUS_CODE_KEPT,
    TRANSITIONS,
    Fact,
    InstanceFate,
    OpenReadings,
    Transition,
    transition,
)

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

ACTIVE = (State.RUNNING, State.SIGNALLED)
ENDED = (State.FINISHED, State.FAILED, State.ABORTED)
UNCHANGED = InstanceFate.UNCHANGED
TERMINATIONS = (Fact.TERMINATED, Fact.SIGNAL_RECEIVED, Fact.SIGNAL_NOT_RECEIVED)

# What ends an event that runs: status, code, log line, instance. Written down a second time, by the documents, so that
# a slip in the table shows.
ENDS = {
    Fact.RETURNED: ("FINISHED", 200, "Response", InstanceFate.REUSED),
    Fact.RAISED: ("FAILED", 430, "ERROR", InstanceFate.RECLAIMED),
    Fact.RESULT_NOT_JSON: ("FAILED", 430, "ERROR", InstanceFate.RECLAIMED),
    Fact.RESULT_TOO_LARGE: ("FAILED", 407, "ERROR", InstanceFate.RECLAIMED),
    Fact.ENTRY_FILE_MISSING: ("FAILED", 437, "ERROR", InstanceFate.RECLAIMED),
    Fact.CODE_NOT_LOADED: ("FAILED", 443, "ERROR", InstanceFate.RECLAIMED),
    Fact.NOT_STARTED: ("FAILED", 445, "ERROR", InstanceFate.RECLAIMED),
    Fact.PORT_NOT_BOUND: ("FAILED", 446, "ERROR", InstanceFate.RECLAIMED),
    Fact.INIT_TIMED_OUT: ("FAILED", 450, "ERROR", InstanceFate.RECLAIMED),
    Fact.TIMED_OUT: ("FAILED", 433, "ERROR", InstanceFate.RECLAIMED),
    Fact.MEMORY_EXCEEDED: ("FAILED", 434, "ERROR", InstanceFate.RECLAIMED),
    Fact.PROCESS_EXITED: ("FAILED", 439, "ERROR", InstanceFate.RECLAIMED),
    Fact.CONTAINER_EXITED: ("FAILED", 405, "ERROR", InstanceFate.RECLAIMED),
    Fact.IMAGE_NOT_PULLED: ("FAILED", 444, "ERROR", InstanceFate.RECLAIMED),
    Fact.IMAGE_PULL_TIMED_OUT: ("FAILED", 447, "ERROR", InstanceFate.RECLAIMED),
    Fact.RESOURCES_INSUFFICIENT: ("FAILED", 449, "ERROR", InstanceFate.RECLAIMED),
    Fact.PLATFORM_FAILED: ("FAILED", 500, "ERROR", InstanceFate.RECLAIMED),
    Fact.TERMINATED: ("ABORTED", 499, "ERROR", InstanceFate.RECLAIMED),
    Fact.FUNCTION_DELETED: ("ABORTED", 499, "ERROR", InstanceFate.RECLAIMED),
}
CONTINUES = {
    (State.RUNNING, Fact.SIGNAL_RECEIVED): State.SIGNALLED,
    (State.RUNNING, Fact.SIGNAL_NOT_RECEIVED): State.RUNNING,
    (State.SIGNALLED, Fact.SIGNAL_RECEIVED): State.SIGNALLED,
    (State.SIGNALLED, Fact.SIGNAL_NOT_RECEIVED): State.SIGNALLED,
}
# An event in the queue has no instance; a dropped one never had a status.
IN_THE_QUEUE = {
    (State.NEW, Fact.ACCEPTED): Transition(State.RUNNING, 0, UNCHANGED, ""),
    (State.NEW, Fact.OVER_QUOTA): Transition(State.QUEUED, 0, UNCHANGED, ""),
    (State.QUEUED, Fact.ACCEPTED): Transition(State.RUNNING, 0, UNCHANGED, ""),
    (State.QUEUED, Fact.DROPPED): Transition(State.DROPPED, 0, UNCHANGED, ""),
    (State.QUEUED, Fact.FUNCTION_DELETED): Transition(State.DROPPED, 0, UNCHANGED, ""),
    (State.RETRYING, Fact.ACCEPTED): Transition(State.RUNNING, 0, UNCHANGED, ""),
    (State.RETRYING, Fact.DROPPED): Transition(State.FAILED, 432, UNCHANGED, "ERROR"),
    (State.RETRYING, Fact.FUNCTION_DELETED): Transition(State.ABORTED, 499, UNCHANGED, "ERROR"),
    (State.DROPPED, Fact.FUNCTION_DELETED): Transition(State.DROPPED, STATUS_CODE_KEPT, UNCHANGED, ""),
}
READINGS = [
    OpenReadings(returned, exited)
    for returned in (Status.FINISHED, Status.ABORTED)
    for exited in (Status.FAILED, Status.ABORTED)
]


def expected(state: State, fact: Fact, readings: OpenReadings, async_run: bool) -> Transition | type[Exception]:
    """What the documents have for a pair: a transition, or the error."""
    if state not in ENDED + ACTIVE:
        return IN_THE_QUEUE.get((state, fact), HarnessError)
    if state in ENDED:
        if fact in TERMINATIONS:
            return ScfApiError
        if fact is Fact.FUNCTION_DELETED:
            return Transition(state, STATUS_CODE_KEPT, InstanceFate.UNCHANGED, "")
        return HarnessError
    if fact in (Fact.ACCEPTED, Fact.OVER_QUOTA, Fact.DROPPED):
        return HarnessError
    if (state, fact) in CONTINUES:
        return Transition(CONTINUES[state, fact], 0, InstanceFate.UNCHANGED, "")
    status, code, logs, fate = ENDS[fact]
    if state is State.SIGNALLED and fact is Fact.RETURNED and readings.graceful_return_status == "ABORTED":
        status, code, logs = "ABORTED", 499, "ERROR"
    if state is State.SIGNALLED and fact is Fact.PROCESS_EXITED:
        status = readings.graceful_exit_status
    if fact in (Fact.RAISED, Fact.RESULT_NOT_JSON) and not async_run:
        fate = InstanceFate.REUSED
    return Transition(State[status], code, fate, logs)  # type: ignore[arg-type]


@pytest.mark.parametrize("async_run", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("fact", Fact, ids=lambda fact: fact.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_pair_of_state_and_fact_does_what_the_documents_say(state, fact, async_run):
    for readings in READINGS:
        outcome = expected(state, fact, readings, async_run)
        if isinstance(outcome, Transition):
            assert transition(state, fact, readings, async_run=async_run) == outcome
        else:
            with pytest.raises(outcome):
                transition(state, fact, readings, async_run=async_run)


def test_the_default_readings_are_finished_after_a_return_and_failed_after_an_exit():
    assert transition(State.SIGNALLED, Fact.RETURNED).state is State.FINISHED
    assert transition(State.SIGNALLED, Fact.PROCESS_EXITED).state is State.FAILED


def test_the_readings_change_nothing_before_the_signal():
    aborted = OpenReadings(Status.ABORTED, Status.ABORTED)
    for fact in ENDS:
        assert transition(State.RUNNING, fact, aborted) == transition(State.RUNNING, fact)


@pytest.mark.parametrize("fact", ENDS, ids=lambda fact: fact.name)
def test_an_attempt_that_fails_is_followed_by_another_while_there_are_retries_left(fact):
    usual = transition(State.RUNNING, fact, async_run=False)
    again = transition(State.RUNNING, fact, async_run=False, retries_left=1)
    if ENDS[fact][0] == "FAILED":
        assert again == Transition(State.RETRYING, usual.status_code, usual.fate, usual.logs)
    else:
        assert again == usual


def test_no_retry_follows_what_was_given_up_in_the_queue():
    assert transition(State.RETRYING, Fact.DROPPED, async_run=False, retries_left=2).state is State.FAILED


def test_the_table_has_exactly_the_legal_pairs():
    legal = {
        (state, fact)
        for state, fact in itertools.product(State, Fact)
        if isinstance(expected(state, fact, OpenReadings(), True), Transition)
    }
    assert set(TRANSITIONS) == legal


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TRANSITIONS[State.NEW, Fact.ACCEPTED] = TRANSITIONS[State.NEW, Fact.ACCEPTED]


def test_every_end_has_a_code_of_the_platform_and_a_log_line():
    for (state, fact), result in TRANSITIONS.items():
        if state in (*ACTIVE, State.RETRYING) and result.state.ended:
            assert result.status_code in STATUS_CODES, fact
            assert result.logs == ("Response" if result.state is State.FINISHED else "ERROR"), fact
        else:
            assert result.logs == "", fact


ENDS_NO_EVENT = (202, 400, 401, 402, 403, 404, 406, 410, 429, 435, 436, 438, 440, 441, 442)
"""They refuse an invocation, or are of somebody else; the table in docs/glossary.md says why."""


def test_fifteen_codes_of_the_platform_end_no_event():
    every = OpenReadings(graceful_return_status="ABORTED", graceful_exit_status="ABORTED")
    ends = {
        transition(state, fact, readings).status_code
        for state, fact in TRANSITIONS
        for readings in (OpenReadings(), every)
        if TRANSITIONS[state, fact].state.ended
    }
    assert {code for code in STATUS_CODES if code not in ends} == set(ENDS_NO_EVENT)
    assert len(ENDS_NO_EVENT) == 15


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("fact", TERMINATIONS)
def test_terminating_an_ended_event_is_refused_as_on_the_platform(state, fact):
    with pytest.raises(ScfApiError) as caught:
        transition(state, fact, request_id="r-1")
    assert caught.value.code == "FailedOperation.AsyncEventStatus"
    assert (
        caught.value.platform_message == f"Async event r-1 is {state.name}, and only a RUNNING event can be terminated."
    )


def test_an_impossible_pair_names_the_state_and_the_fact():
    with pytest.raises(HarnessError, match=r"^The async event cannot take the fact RETURNED in the state FINISHED$"):
        transition(State.FINISHED, Fact.RETURNED)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"graceful_return_status": Status.FAILED},
            "graceful_return_status='FAILED': valid are 'FINISHED' and 'ABORTED'",
        ),
        (
            {"graceful_exit_status": Status.FINISHED},
            "graceful_exit_status='FINISHED': valid are 'FAILED' and 'ABORTED'",
        ),
        ({"graceful_exit_status": "gone"}, "graceful_exit_status='gone': valid are 'FAILED' and 'ABORTED'"),
    ],
)
def test_a_reading_that_the_documents_do_not_allow_is_refused(values, message):
    with pytest.raises(ScfUsageError) as caught:
        OpenReadings(**values)
    assert str(caught.value) == message


def test_a_reading_may_be_given_as_text():
    readings = OpenReadings(graceful_return_status="ABORTED", graceful_exit_status="ABORTED")  # type: ignore[arg-type]
    assert readings == OpenReadings(Status.ABORTED, Status.ABORTED)
    assert readings.graceful_return_status is Status.ABORTED
