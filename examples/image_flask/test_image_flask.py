"""A Flask image: terminated gracefully in the middle of a day of work, and the trap of its warm instance."""

import pytest

from pytest_scf_async import (
    ScfRuntime,
    SimulatedClock,
    assert_finished,
    assert_reused,
    assert_signal_handled,
    assert_stopped_within,
)


@pytest.mark.parametrize("program", ["app.py", "fixed.py"])
def test_it_stops_within_a_second_and_says_how_far_it_came(
    scf_runtime: ScfRuntime, scf_clock: SimulatedClock, program: str
):
    function = scf_runtime.deploy_image(["python", program], cwd="image")
    event = function.invoke_async({"rows": 80_000})
    scf_clock.advance(60.5)

    event.terminate(grace_shutdown=True)
    event.wait()

    assert_signal_handled(event)
    assert_stopped_within(event, seconds=1)
    assert_finished(event, result={"done": 61})


def test_the_next_event_meets_the_flag_that_the_last_one_left(scf_runtime: ScfRuntime):
    function = scf_runtime.deploy_image(["python", "app.py"], cwd="image")
    first = function.invoke_async({"rows": 100})
    first.terminate(grace_shutdown=True)
    assert_finished(first.wait(), result={"done": 1})

    second = function.invoke_async({"rows": 100}).wait()

    assert_reused(second)
    assert_finished(second, result={"done": 0})  # 100 rows lost, and no error


def test_fixed_each_event_begins_with_a_flag_of_its_own(scf_runtime: ScfRuntime):
    function = scf_runtime.deploy_image(["python", "fixed.py"], cwd="image")
    first = function.invoke_async({"rows": 100})
    first.terminate(grace_shutdown=True)
    assert_finished(first.wait(), result={"done": 1})

    second = function.invoke_async({"rows": 100}).wait()

    assert_reused(second)
    assert_finished(second, result={"done": 100})
