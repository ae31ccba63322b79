"""Which idle instance is used, when idle ones are reclaimed, and what ``max_instances`` counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from internals import lockstep_of, pool_of, state
from process_support import START, assert_kept, assert_reclaimed_for_good

from pytest_scf_async.errors import ScfApiError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

NAPS = """
    import os, time
    runs = 0
    def main_handler(event, context):
        global runs
        runs += 1
        time.sleep((event or {}).get("seconds", 0))
        return [os.getpid(), runs]
"""


@pytest.fixture
def function(deploy):
    return deploy(NAPS, name="naps")


def idle_ones(function, runtime, *seconds: float) -> list:
    """Events that ended one after the other, each on an instance of its own, which is idle now."""
    events = [function.invoke_async({"seconds": nap}) for nap in seconds]
    runtime.wait_all(events)
    return events


def pids(events) -> list[int]:
    return [event.instance.pid for event in events]


def doing(runtime) -> list[str]:
    return [str(instance.doing()) for instance in pool_of(runtime).instances]


def assert_refused(function, **how) -> None:
    __tracebackhide__ = True
    with pytest.raises(ScfApiError) as refusal:
        function.invoke_async(**how)
    assert refusal.value.code == "LimitExceeded.Quota"


# -- which one is used -----------------------------------------------------------------------------------------------


def test_the_instances_used_last_are_used_first(function, runtime):
    first, second, third = idle_ones(function, runtime, 1, 2, 3)

    warm = [function.invoke_async({"seconds": 1}) for _ in range(4)]
    runtime.wait_all()

    assert pids(warm[:3]) == pids([third, second, first])
    assert [event.instance.cold for event in warm] == [False, False, False, True]


def test_steady_use_of_one_lets_the_others_go(function, runtime):
    idle = idle_ones(function, runtime, 1, 2, 3)
    for _ in range(3):
        runtime.clock.advance(100)
        function.run()

    assert_reclaimed_for_good(idle[0], "idle")
    assert_reclaimed_for_good(idle[1], "idle")
    assert_kept(idle[2])


# -- when they are reclaimed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("passed", "warm"), [(299.999999, True), (300, False), (300.000001, False)])
def test_an_event_after_a_time_is_warm_or_cold(function, runtime, passed, warm):
    pid, _ = function.run()
    runtime.clock.advance(passed)

    event = function.invoke_async().wait()

    assert (event.instance.cold, event.instance.pid == pid, event.result[1]) == (not warm, warm, 2 if warm else 1)


def test_each_idle_instance_has_a_time_of_its_own(function, runtime):
    events = idle_ones(function, runtime, 1, 2, 3)
    assert runtime.clock.now == START + timedelta(seconds=3)

    for gone, second in enumerate((301, 302, 303), start=1):
        runtime.clock.move_to(START + timedelta(seconds=second, microseconds=-1))
        assert [event.instance.alive for event in events] == [False] * (gone - 1) + [True] * (4 - gone)
        runtime.clock.move_to(START + timedelta(seconds=second))
        assert [event.instance.alive for event in events] == [False] * gone + [True] * (3 - gone)
    assert pool_of(runtime).instances == []


def test_the_time_of_an_idle_instance_passes_in_other_events_too(deploy, function, runtime):
    idle = function.invoke_async().wait()
    other = deploy(NAPS, name="other").invoke_async({"seconds": 1000}).settle()

    other.wait()

    assert_reclaimed_for_good(idle, "idle")
    assert other.duration == timedelta(seconds=1000)


def test_an_instance_that_was_stopped_before_it_said_that_it_waits_keeps_no_event_waiting(function, runtime):
    idle_ones(function, runtime, 1)
    (instance,) = pool_of(runtime).instances
    lockstep_of(runtime).apply(instance, state.InstanceFact.SOME_RUN)  # as it has last reported

    assert not instance.state.computing
    assert function.run()[1] == 2


def test_an_instance_that_was_updated_away_is_not_reclaimed_twice(function, runtime):
    idle = idle_ones(function, runtime, 1, 2)
    function.update(timeout=100)
    for event in idle:
        assert_reclaimed_for_good(event, "function updated")
    before = runtime.clock.now

    runtime.clock.advance(1000)

    for event in idle:
        assert_reclaimed_for_good(event, "function updated")
    assert runtime.clock.now == before + timedelta(seconds=1000)
    assert runtime.clock.next_due_us() is None


def test_an_instance_that_was_deleted_away_is_not_reclaimed_twice(function, runtime):
    idle = idle_ones(function, runtime, 1, 2)
    function.delete()
    runtime.clock.advance(1000)

    for event in idle:
        assert_reclaimed_for_good(event, "function deleted")


# -- how many there are ----------------------------------------------------------------------------------------------


def test_the_limit_counts_events_of_all_versions_and_no_idle_instance(function, runtime):
    function.update(max_instances=3)
    function.publish_version()
    idle_ones(function, runtime, 1, 2, 3)
    running = [function.invoke_async({"seconds": 10}, qualifier=name) for name in ("1", None, "1")]

    assert_refused(function)
    assert_refused(function, qualifier="1")
    running[0].settle().terminate()
    later = function.invoke_async({"seconds": 10}, qualifier="1")
    assert_refused(function)
    runtime.wait_all()

    assert later.status == "FINISHED"
    assert len(function.events) == 7


def test_idle_instances_of_other_versions_make_room(function, runtime):
    function.update(max_instances=3)
    function.publish_version()
    first, second, third = idle_ones(function, runtime, 1, 2, 3)

    published = [function.invoke_async({"seconds": 10}, qualifier="1").settle() for _ in range(2)]

    assert_reclaimed_for_good(first, "room made for another version")
    assert_reclaimed_for_good(second, "room made for another version")
    assert_kept(third)
    assert doing(runtime) == ["frozen", "parked", "parked"]
    latest = function.invoke_async({"seconds": 1}).settle()
    assert latest.instance.pid == third.instance.pid
    runtime.wait_all()
    assert [event.status for event in published] == ["FINISHED", "FINISHED"]


def test_idle_instances_of_other_functions_stay(deploy, runtime):
    one, two = deploy(NAPS, name="one", max_instances=1), deploy(NAPS, name="two", max_instances=1)
    two.publish_version()
    idle_for_longer = one.invoke_async().wait()
    idle = two.invoke_async(qualifier="1").wait()

    two.run()

    assert_kept(idle_for_longer)
    assert_reclaimed_for_good(idle, "room made for another version")


def test_a_lower_limit_refuses_until_enough_have_ended(function, runtime):
    events = [function.invoke_async({"seconds": 10 * number}) for number in (1, 2, 3)]
    runtime.clock.advance(1)
    function.update(max_instances=2)

    assert_refused(function)
    events[0].wait()
    assert_refused(function)
    events[1].wait()
    function.invoke_async()
    assert_refused(function)
    function.update(max_instances=None)
    function.invoke_async()
    runtime.wait_all()

    assert {event.status for event in function.events} == {"FINISHED"}


def test_the_refusal_of_a_published_version_says_where_the_limit_came_from(function):
    function.publish_version()
    function.update(max_instances=1)
    function.invoke_async()

    with pytest.raises(ScfApiError, match=r"max_instances=1 \(update\(\.\.\.\)\): an event that ends"):
        function.invoke_async(qualifier="1")


def test_an_aborted_event_and_a_failed_one_free_their_places(function, deploy):
    function.update(max_instances=1)
    function.invoke_async({"seconds": 10}).settle().terminate()
    function.invoke_async({"seconds": 10}).terminate(when="now")
    failed = function.invoke_async({"seconds": "much"}).wait()
    assert failed.status_code == 430
    assert function.run()[1] == 1
