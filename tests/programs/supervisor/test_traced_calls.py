"""The filter of system calls stops a traced program at each call that the supervisor ends by simulated time."""

from __future__ import annotations

import os

import pytest
from internals import proc_reads, supervisor_filter, supervisor_waits, tracee

# once: compares two tables: the same on all Pythons
pytestmark = pytest.mark.once


def test_each_timed_wait_is_stopped_at() -> None:
    assert sorted(supervisor_waits.TIMED.keys() - supervisor_filter.TRACED.keys()) == []


def test_a_wait_whose_timeout_is_behind_a_pointer_is_stopped_at_where_the_pointer_is_given() -> None:
    """Both tables say which argument has the timeout."""
    conditions = {name: supervisor_filter.TRACED[name] for name in supervisor_waits.TIMED}
    argument = {
        name: each[-1].argument
        for name, each in conditions.items()
        if each and isinstance(each[-1], (supervisor_filter.Pointer, supervisor_filter.Positive))
    }
    assert len(argument) > 10
    assert argument == {name: supervisor_waits.TIMED[name].timeout for name in argument}


def test_each_call_has_its_number() -> None:
    """One whose number was forgotten, or whose name is misspelt, is nowhere stopped at: each processor has some."""
    known = {name for each in tracee.ARCHITECTURES.values() for name in each.calls}
    assert sorted((supervisor_filter.TRACED.keys() | supervisor_waits.TIMED.keys()) - known) == []


def test_a_timed_wait_is_a_wait_for_others_once_it_has_no_timeout() -> None:
    """The supervisor takes its timeout away: who is in it then waits, and time may pass."""
    calls = [name for name, call in supervisor_waits.TIMED.items() if not call.sleeps and name in tracee.HERE.calls]
    waits = {
        name
        for name in calls
        if proc_reads.waits(
            os.getpid(), os.getpid(), b"%d 0x0" % tracee.HERE.calls[name], output="", in_vfork=False, is_stopped=False
        )
    }
    assert len(calls) > 10
    assert sorted(set(calls) - waits) == []
