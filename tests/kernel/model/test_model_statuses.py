from __future__ import annotations

import json

import pytest

from pytest_scf_async.model.statuses import State, Status


@pytest.mark.parametrize("name", ["RUNNING", "FINISHED", "FAILED", "ABORTED"])
def test_a_status_is_its_own_text(name):
    status = Status[name]
    assert status == name
    assert str(status) == name
    assert f"{status}" == name
    assert json.dumps(status) == f'"{name}"'
    assert {name: 1}[status] == 1


def test_there_are_four_statuses():
    assert [str(status) for status in Status] == ["RUNNING", "FINISHED", "FAILED", "ABORTED"]


@pytest.mark.parametrize(
    ("state", "status", "ended"),
    [
        (State.NEW, None, False),
        (State.QUEUED, None, False),
        (State.DROPPED, None, True),
        (State.RETRYING, Status.RUNNING, False),
        (State.RUNNING, Status.RUNNING, False),
        (State.SIGNALLED, Status.RUNNING, False),
        (State.FINISHED, Status.FINISHED, True),
        (State.FAILED, Status.FAILED, True),
        (State.ABORTED, Status.ABORTED, True),
    ],
)
def test_a_state_has_a_status_on_the_wire_and_may_have_ended(state, status, ended):
    assert state.status is status
    assert state.ended is ended


def test_every_state_is_covered_above():
    assert len(State) == 9
