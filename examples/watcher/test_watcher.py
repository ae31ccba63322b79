"""The watcher beside events that end in time, handle SIGTERM, take a while to handle it, and ignore it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from watcher import run_again, watch

from pytest_scf_async import (
    ScfRuntime,
    SimulatedClock,
    assert_failed,
    assert_finished,
    assert_no_signal,
    assert_signal_received,
    assert_terminated,
    assert_user_exit,
)
from pytest_scf_async.scripted import after, exited, failed, finished, running_for, timed_out


@pytest.fixture
def watched(scf_runtime: ScfRuntime, scf_clock: SimulatedClock):
    """Run the watcher over the function `export`, at simulated speed."""

    def run():
        with scf_clock.patched():
            return watch(scf_runtime, "export")

    return run


def test_what_ends_in_time_is_left_alone(scf_runtime: ScfRuntime, watched: Callable[[], dict[str, int]]):
    export = scf_runtime.deploy_scripted("export", [running_for(1800), finished({"rows": 20})])
    events = [export.invoke_async() for _ in range(150)]  # more than a page

    assert watched() == {}
    for event in events:
        assert_finished(event, result={"rows": 20})
        assert_no_signal(event)


def test_what_is_late_is_asked_to_stop(scf_runtime: ScfRuntime, watched: Callable[[], dict[str, int]]):
    export = scf_runtime.deploy_scripted("export", [running_for(7200), finished()])
    event = export.invoke_async()

    assert watched() == {event.request_id: 200}
    assert_signal_received(event)
    assert event.duration == timedelta(hours=1)


def test_what_needs_a_while_to_stop_gets_it(scf_runtime: ScfRuntime, watched: Callable[[], dict[str, int]]):
    export = scf_runtime.deploy_scripted("export", [timed_out()], on_terminate=after(60, exited()))
    event = export.invoke_async()

    assert watched() == {event.request_id: 439}
    assert_user_exit(event)
    assert len(event.signals) == 1
    assert event.duration == timedelta(hours=1, seconds=60)


def test_what_ignores_it_is_ended_by_force(scf_runtime: ScfRuntime, watched: Callable[[], dict[str, int]]):
    export = scf_runtime.deploy_scripted("export", [timed_out()], on_terminate="ignore")
    event = export.invoke_async()

    assert watched() == {event.request_id: 499}
    assert_terminated(event)
    assert event.duration == timedelta(hours=1, minutes=2)


def test_only_those_that_are_late(scf_runtime: ScfRuntime, watched: Callable[[], dict[str, int]]):
    quick, slow = [running_for(60), finished()], [running_for(7200), finished()]
    export = scf_runtime.deploy_scripted(
        "export", quick, by_event=lambda payload: slow if payload["rows"] > 10 else None
    )
    events = [export.invoke_async({"rows": rows}) for rows in (5, 50, 8)]

    assert list(watched()) == [events[1].request_id]
    assert [len(event.signals) for event in events] == [0, 1, 0]


def test_a_fault_of_the_platform_is_tried_again(scf_runtime: ScfRuntime):
    export = scf_runtime.deploy_scripted("export", [finished("done")], by_event={0: [running_for(5), failed(500)]})

    assert_finished(run_again(export, {}), result="done")
    assert len(export.events) == 2


def test_a_fault_of_the_code_is_not(scf_runtime: ScfRuntime):
    export = scf_runtime.deploy_scripted("export", [failed(message="no such bucket", error_type="KeyError")])

    assert_failed(run_again(export, {}), code=430)
    assert len(export.events) == 1
