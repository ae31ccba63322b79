"""The filter of system calls stops a traced program at each call that the supervisor ends by simulated time."""

from __future__ import annotations

import os

import pytest
from program_internals import proc_reads, supervisor_filter, supervisor_waits, system_calls

# once: compares two tables: the same on all Pythons
pytestmark = pytest.mark.once


def test_each_timed_wait_is_stopped_at() -> None:
    assert sorted(supervisor_waits.TIMED.keys() - supervisor_filter.TRACED.keys()) == []


def test_a_wait_whose_timeout_is_behind_a_pointer_is_stopped_at_where_the_pointer_is_given() -> None:
    """The last condition is made of the argument that has the timeout."""
    conditions = {name: supervisor_filter.TRACED[name] for name in supervisor_waits.TIMED}
    argument = {
        name: each[-1].argument
        for name, each in conditions.items()
        if each and isinstance(each[-1], (system_calls.Pointer, system_calls.Above))
    }
    assert len(argument) > 10
    assert argument == {name: supervisor_waits.TIMED[name].timeout for name in argument}


def test_each_call_has_its_number() -> None:
    """One whose number was forgotten is nowhere stopped at, and one of two that have the same number is another one."""
    assert [name for name, call in system_calls.CALLS.items() if call.x86_64 is None] == []
    for numbers in zip(*((call.x86_64, call.aarch64) for call in system_calls.CALLS.values()), strict=True):
        known = [number for number in numbers if number is not None]
        assert len(set(known)) == len(known) >= 100


def test_each_call_that_has_a_row_where_no_time_passes_is_stopped_at() -> None:
    asking = {name: call.stops_when for name, call in system_calls.CALLS.items() if call.asks is not None}
    assert len(asking) > 3
    assert [name for name, stops in asking.items() if stops is None] == []


def test_a_timed_wait_is_a_wait_for_others_once_it_has_no_timeout() -> None:
    """The supervisor takes its timeout away: who is in it then waits, and time may pass."""
    calls = [name for name, call in supervisor_waits.TIMED.items() if not call.sleeps and name in system_calls.NUMBERS]
    waits = {
        name
        for name in calls
        if proc_reads.waits(
            os.getpid(),
            os.getpid(),
            b"%d 0x0" % system_calls.NUMBERS[name],
            output="",
            in_vfork=False,
            is_stopped=False,
        )
    }
    assert len(calls) > 10
    assert sorted(set(calls) - waits) == []
