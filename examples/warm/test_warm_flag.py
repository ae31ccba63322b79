"""The trap of a warm instance: what one event leaves in a module is there for the next one."""

from pytest_scf_async import ScfRuntime, SimulatedClock, assert_finished, assert_reused


def test_the_next_event_does_nothing_at_all(scf_runtime: ScfRuntime, scf_clock: SimulatedClock):
    function = scf_runtime.deploy("handlers/flag.py:main_handler")
    first = function.invoke_async({"items": 100})
    scf_clock.advance(10.5)
    first.terminate(grace_shutdown=True)
    assert_finished(first.wait(), result=11)

    second = function.invoke_async({"items": 100}).wait()

    assert_reused(first, by=second)
    assert_finished(second, result=0)  # the flag of the first event is still set: 100 items lost, and no error


def test_an_idle_instance_is_taken_back_and_the_flag_with_it(scf_runtime: ScfRuntime, scf_clock: SimulatedClock):
    function = scf_runtime.deploy("handlers/flag.py:main_handler")
    first = function.invoke_async({"items": 100})
    first.settle().terminate(grace_shutdown=True)
    first.wait()
    scf_clock.advance(300)

    second = function.invoke_async({"items": 100}).wait()

    assert second.instance is not None
    assert second.instance.cold
    assert_finished(second, result=100)
