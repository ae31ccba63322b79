"""A handler that sleeps by message, on the core of the test's process: what it starts is bound to no core."""

from __future__ import annotations

import os

import pytest
from internals import lockstep_of, shared_core

HANDLER = "one_core.py:main_handler"


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on however long a batch takes: what else the machine does would decide."""
    monkeypatch.setattr(shared_core, "WORTH", 1e9)


@pytest.mark.interpreter
@pytest.mark.parametrize("what", ["child", "thread", "asks", "library"])
def test_it_is_bound_until_it_starts_something_or_asks(make_runtime, pays, what: str) -> None:
    cpus = os.sched_getaffinity(0)
    payload = " ".join((what, *map(str, cpus))) if what == "asks" else what
    event = make_runtime(leases=False).deploy(HANDLER).invoke_async(payload).wait()
    before, during, after, still = event.result
    assert [bin(int(each.replace(",", ""), 16)).count("1") for each in during] == [1] * (len(cpus) > 1)
    assert (after, still) == (before, [before])
    assert os.sched_getaffinity(0) == cpus


def test_what_the_test_does_between_calls_is_bound_to_nothing(make_runtime, pays) -> None:
    runtime = make_runtime(leases=False)
    cpus = os.sched_getaffinity(0)
    event = runtime.deploy(HANDLER).invoke_async("nothing")
    runtime.clock.advance(300)
    assert os.sched_getaffinity(0) == cpus
    event.wait()
    assert len(event.result[1]) == (len(cpus) > 1)
    assert os.sched_getaffinity(0) == cpus


def test_code_of_the_test_that_a_call_runs_is_bound_to_nothing(make_runtime, pays) -> None:
    runtime = make_runtime(leases=False)
    cpus, found = os.sched_getaffinity(0), []
    event = runtime.deploy(HANDLER).invoke_async("nothing")
    with pytest.raises(Exception, match="still false"):
        runtime.wait_until(lambda: found.append(os.sched_getaffinity(0)), within=300)
    assert set(map(frozenset, found)) == {frozenset(cpus)}
    ended = []
    lockstep_of(runtime).on_end = lambda _: ended.append(os.sched_getaffinity(0))
    event.wait()
    assert (ended, len(found) > 200) == ([cpus], True)
