"""The helpers about instances and retention, on events with instances; and the failure that a user sees."""

from __future__ import annotations

from datetime import timedelta

import pytest
from small_handlers import raises, returns, sleeps

from pytest_scf_async import (
    ScfRuntime,
    ScfUsageError,
    assert_expired,
    assert_reclaimed,
    assert_reused,
    assert_terminated,
)

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once


def test_an_instance_is_kept_and_reused(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(returns)
    first = function.invoke_async(1).wait()
    assert_reused(first)
    second = function.invoke_async(2)
    with pytest.raises(
        AssertionError, match=r"expected its instance to be reused by event .*; found an event that has not st"
    ):
        assert_reused(first, by=second)
    second.wait()
    assert_reused(first, by=second)
    with pytest.raises(
        AssertionError, match=r"^expected its instance to be reclaimed; found an instance that is frozen, pid \d"
    ):
        assert_reclaimed(first)
    scf_runtime.clock.advance(300)
    assert_reclaimed(second)
    with pytest.raises(
        AssertionError,
        match=r"found reclaimed \(idle\)\n.*\nlikely cause: its instance was reclaimed because it had been idle for "
        r"300 s "
        r"\(idle_reclaim\)\nwhat to do: start the next event within 300 s of its end\n",
    ):
        assert_reused(second)


def test_an_instance_of_a_failed_or_terminated_event_is_reclaimed(scf_runtime: ScfRuntime) -> None:
    failed = scf_runtime.deploy(raises).invoke_async().wait()
    assert_reclaimed(failed)
    with pytest.raises(
        AssertionError, match=r"found reclaimed \(raised\)\n.*\nlikely cause: the function raised ValueErr"
    ):
        assert_reused(failed)
    terminated = scf_runtime.deploy(sleeps).invoke_async()
    terminated.terminate()
    assert_terminated(terminated)
    assert_reclaimed(terminated)


def test_another_instance_is_no_reuse(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(returns)
    first, second = function.invoke_async(1), function.invoke_async(2)
    first.run_to("init")
    second.wait()
    first.wait()
    with pytest.raises(AssertionError, match=r"found an event that ran on another instance"):
        assert_reused(first, by=second)


def test_a_status_expires_72_hours_after_the_end(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(returns).invoke_async().wait()
    scf_runtime.clock.advance(timedelta(hours=72, seconds=-1))
    with pytest.raises(
        AssertionError, match=r"found FINISHED \(200\), still kept\n.*\nlikely cause: .* which is 1 s from "
    ):
        assert_expired(scf_runtime, event.request_id)
    scf_runtime.clock.advance(1)
    assert_expired(scf_runtime, event.request_id)


def test_what_runs_or_was_never_recorded_does_not_expire(scf_runtime: ScfRuntime) -> None:
    running = scf_runtime.deploy(returns).invoke_async()
    with pytest.raises(AssertionError, match="likely cause: a running event does not expire"):
        assert_expired(scf_runtime, running.request_id)
    untraced = scf_runtime.deploy(returns, trace=False).invoke_async().wait()
    with pytest.raises(AssertionError, match="likely cause: the status trace of its function was off"):
        assert_expired(scf_runtime, untraced.request_id)
    with pytest.raises(ScfUsageError, match="this runtime accepted no such event"):
        assert_expired(scf_runtime, "an id of nobody")


def test_a_failure_shows_the_users_line_and_none_of_ours(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(async_event):
            assert_finished(async_event.wait())
        """
    )
    result = project.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       assert_finished(async_event.wait())",
            "E       AssertionError: expected FINISHED (200); found FAILED (430: user code exception caught)",
            "E       event: ????????-* of raises",
            "E       likely cause: the function raised ValueError: boom",
            "E       --- timeline, *",
            "test_it.py:6: AssertionError",
        ]
    )
    assert "assertions.py" not in result.stdout.str()
