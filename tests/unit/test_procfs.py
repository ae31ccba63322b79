"""What ``/proc`` tells of who is below whom; here of processes made up."""

from __future__ import annotations

import pytest
from internals import procfs

INSTANCE = 10


@pytest.fixture
def parents(monkeypatch):
    """By process: its parent. What is not in it is gone."""
    table = {1: 0, 5: 1, INSTANCE: 5, 20: INSTANCE, 30: 20, 40: 5}
    monkeypatch.setattr(procfs, "parent_of", table.get)
    return table


@pytest.mark.parametrize(("pid", "is_below"), [(20, True), (30, True), (INSTANCE, False), (40, False), (1, False)])
def test_a_process_is_below_its_parent_and_whose_child_that_is(parents, pid, is_below):
    assert procfs.is_below(pid, INSTANCE) is is_below


def test_a_process_that_is_gone_is_below_none(parents):
    assert procfs.is_below(50, INSTANCE) is False


def test_one_whose_parent_ends_while_it_is_looked_for_is_the_instances(parents, monkeypatch):
    def ends(pid: int) -> int | None:
        found = parents.get(pid)
        if pid == 30 and 20 in parents:
            del parents[20]
            parents[30] = INSTANCE  # which adopts it
        return found

    monkeypatch.setattr(procfs, "parent_of", ends)

    assert procfs.is_below(30, INSTANCE) is True


def test_one_whose_parent_cannot_be_seen_is_not_looked_for_for_ever(parents):
    del parents[20]

    assert procfs.is_below(30, INSTANCE) is False
