"""The filter of system calls stops a traced program at each call that the supervisor ends by simulated time."""

from __future__ import annotations

import pytest
from internals import supervisor_filter, supervisor_waits

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
