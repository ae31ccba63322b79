"""Timer triggers on simulated time: when they invoke a function, with what, and what becomes of their events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from internals import heap_of, lockstep_of
from process_support import START, eventually

from pytest_scf_async import Function, ScfApiError, ScfAsyncWarning, ScfRuntime, ScfUsageError
from pytest_scf_async.assertions import assert_failed, assert_finished
from pytest_scf_async.operations import Timer
from pytest_scf_async.scripted import failed, finished, running_for
from pytest_scf_async.timers.cron import Cron

# once: rules of the platform and of the simulated clock: the same on all Pythons
pytestmark = pytest.mark.once

BEIJING = timezone(timedelta(hours=8))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HANDLER = """
import os
def main_handler(event, context):
    return {VALUE}
"""


def nightly(runtime: ScfRuntime, seconds: float = 1, **options: Any) -> Function:
    """A function whose events run for *seconds*; the clock stands at 08:00 in Beijing."""
    return runtime.deploy_scripted("nightly", [running_for(seconds), finished()], **options)


def handler(directory: Path, value: str) -> str:
    """A handler that returns *value*."""
    path = directory / f"handler_{len([*directory.iterdir()])}.py"
    path.write_text(HANDLER.replace("{VALUE}", value))
    return f"{path}:main_handler"


def starts(function: Function) -> list[datetime]:
    return [event.started_at for event in function.events]


def refused(function: Function, cron: Any = "0 0 2 * * * *", **options: Any) -> ScfApiError:
    with pytest.raises(ScfApiError) as refusal:
        function.add_timer(cron, **options)
    return refusal.value


# -- when ------------------------------------------------------------------------------------------------------------


def test_seven_days_are_seven_events(runtime: ScfRuntime) -> None:
    job = nightly(runtime)
    timer = job.add_timer("0 0 2 * * * *")
    assert timer.next_at == START + 18 * HOUR  # 02:00 in Beijing

    runtime.clock.advance(timedelta(days=7))

    assert starts(job) == [START + 18 * HOUR + day * DAY for day in range(7)]
    assert [event.status for event in job.events] == ["FINISHED"] * 7
    assert timer.next_at == START + 18 * HOUR + 7 * DAY


def test_what_is_due_at_the_end_of_an_advance_starts_and_what_is_due_a_microsecond_later_does_not(
    runtime: ScfRuntime,
) -> None:
    job = nightly(runtime, seconds=0)
    job.add_timer("0 0 * * * * *")
    runtime.clock.advance(HOUR - timedelta(microseconds=1))
    assert job.events == []
    runtime.clock.advance(timedelta(microseconds=1))
    assert [(event.started_at, event.status) for event in job.events] == [(START + HOUR, "FINISHED")]


def test_it_is_in_utc_plus_8_unless_another_zone_is_given(runtime: ScfRuntime) -> None:
    job = nightly(runtime)
    assert job.add_timer("0 0 2 * * * *").time_zone == BEIJING
    job.add_timer("0 0 2 * * * *", time_zone=timezone.utc)
    job.add_timer("0 0 2 * * * *", time_zone=ZoneInfo("America/New_York"))
    assert [timer.next_at for timer in job.timers.values()] == [START + 18 * HOUR, START + 2 * HOUR, START + 7 * HOUR]


def test_the_zone_of_the_platform_is_a_setting(make_runtime: Any) -> None:
    timer = nightly(make_runtime(time_zone=timezone.utc)).add_timer("0 0 2 * * * *")
    assert timer.next_at == START + 2 * HOUR


def test_where_clocks_are_changed_each_time_comes_once(make_runtime: Any) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    job = nightly(make_runtime(start=datetime(2026, 3, 28, 12, tzinfo=berlin)), seconds=0)
    job.add_timer("0 30 2 * * * *", time_zone=berlin)  # on March 29th there is no 02:30
    job._platform.clock.advance(2 * DAY)
    assert [f"{start:%d %H:%M}" for start in starts(job)] == ["29 01:30", "30 00:30"]  # 03:30 and 02:30 there

    job = nightly(make_runtime(start=datetime(2026, 10, 25, 0, tzinfo=berlin)), seconds=0)
    job.add_timer("0 30 2 * * * *", time_zone=berlin)  # on October 25th it comes twice
    job._platform.clock.advance(DAY + 4 * HOUR)
    assert [f"{start:%d %H:%M}" for start in starts(job)] == ["25 00:30", "26 01:30"]


def test_an_event_that_is_waited_for_has_the_timer_fire_meanwhile(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=3 * 3600)
    job.add_timer("0 0 * * * * *")
    job.invoke_async().wait()
    assert starts(job) == [START, START + HOUR, START + 2 * HOUR, START + 3 * HOUR]


def test_a_leased_sleep_of_a_handler_ends_no_timer_late(runtime: ScfRuntime, tmp_path: Path) -> None:
    sleeper = runtime.deploy(handler(tmp_path, "[__import__('time').sleep(60) for _ in range(120)] and 1"))
    job = nightly(runtime, seconds=0)
    event = sleeper.invoke_async()
    event.settle()
    job.add_timer("30 */20 * * * * *")
    event.wait()
    assert starts(job) == [START + 30 * MINUTE / 60 + number * 20 * MINUTE for number in range(6)]


def test_no_instance_may_move_the_clock_past_one_that_is_made_meanwhile(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockstep, due = lockstep_of(runtime), []
    monkeypatch.setattr(lockstep, "revoke_lease", lambda: due.append(runtime.clock.next_due_us()))
    nightly(runtime).add_timer("0 0 * * * * *")
    assert due == [None]


def test_where_time_flows_it_fires(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=0)
    job.add_timer("0 */10 * * * * *")
    with runtime.clock.running(rate=3600):
        assert eventually(lambda: len(job.events) > 2)
    assert [(start - START) % (10 * MINUTE) < MINUTE for start in starts(job)] == [True] * len(job.events)


def test_one_thing_is_due_for_each_timer(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=0)
    job.add_timer("* * * * * * *")
    job.add_timer("0 * * * * * *")
    runtime.clock.advance(100)
    assert len([thing for thing in heap_of(runtime.clock) if not thing.cancelled]) == 2
    assert len(job.events) == 101


def test_each_time_is_found_when_the_one_before_has_come(runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[datetime] = []
    original = Cron.after
    monkeypatch.setattr(Cron, "after", lambda cron, when: (asked.append(when), original(cron, when))[1])
    job = nightly(runtime, seconds=60)
    job.add_timer("0 0 * * * * *")
    for _ in range(30):
        runtime.clock.advance(DAY)
        assert len(asked) == len(job.events) + 1
    assert len(job.events) == 30 * 24
    assert len(heap_of(runtime.clock)) < 100


# -- with what -------------------------------------------------------------------------------------------------------


def test_the_message_the_environment_and_the_type_of_its_events(runtime: ScfRuntime, tmp_path: Path) -> None:
    job = runtime.deploy(handler(tmp_path, "[event, os.environ.get('TRIGGER_SRC')]"))
    job.add_timer("0 49 * * * * *", name="EveryHour", message="user define msg body")
    runtime.clock.advance(HOUR)

    (event,) = job.events
    message = {
        "Type": "Timer",
        "TriggerName": "EveryHour",
        "Time": "2026-01-01T00:49:00Z",
        "Message": "user define msg body",
    }
    assert_finished(event, result=[message, "timer"])
    (row,) = runtime.list_async_events(job.name, invoke_type=["TRIGGER_TIMER"]).events
    assert (row.invoke_request_id, row.start_time) == (event.request_id, START + 49 * MINUTE)
    assert job.run() == [{}, None]  # the same warm instance


def test_a_sync_function_is_tried_again_as_with_any_asynchronous_caller(runtime: ScfRuntime) -> None:
    job = runtime.deploy_scripted("nightly", [failed()], async_run=False)
    job.add_timer("0 0 2 * * * *")
    runtime.clock.advance(DAY)
    (event,) = job.events
    assert (event.retry_num, event.status, event.ended_at) == (2, "FAILED", START + 18 * HOUR + 2 * MINUTE)


# -- on, off and gone ------------------------------------------------------------------------------------------------


def test_on_and_off(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=0)
    timer = job.add_timer("0 0 * * * * *", enabled=False)
    assert (timer.enabled, timer.next_at, repr(timer)) == (False, None, "<Timer timer '0 0 * * * * *' off>")
    runtime.clock.advance(2.5 * HOUR)
    assert job.events == []

    timer.enable()
    timer.enable()
    assert (timer.enabled, timer.next_at, repr(timer)) == (True, START + 3 * HOUR, "<Timer timer '0 0 * * * * *' on>")
    runtime.clock.advance(HOUR)
    timer.disable()
    timer.disable()
    runtime.clock.advance(DAY)
    assert starts(job) == [START + 3 * HOUR]


def test_removed(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=90 * 60)
    timer = job.add_timer("0 0 * * * * *", name="hourly")
    runtime.clock.advance(HOUR)
    timer.remove()
    runtime.clock.advance(DAY)

    assert (job.timers, starts(job), timer.next_at) == ({}, [START + HOUR], None)
    assert job.events[0].status == "FINISHED"  # it goes on without its timer
    for call in (timer.enable, timer.disable, timer.remove):
        with pytest.raises(ScfApiError, match=r"has no timer 'hourly'; it has none\.") as refusal:
            call()
        assert refusal.value.code == "ResourceNotFound.Trigger"
    assert job.add_timer("0 0 * * * * *", name="hourly").enabled


def test_it_goes_with_its_function(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=90 * 60)
    timer = job.add_timer("0 0 * * * * *")
    runtime.clock.advance(HOUR)
    job.delete()
    again = nightly(runtime)
    runtime.clock.advance(DAY)

    assert ([event.status for event in job.events], timer.next_at) == (["ABORTED"], None)
    assert (again.timers, again.events) == ({}, [])
    assert refused(job).code == "ResourceNotFound.Function"


def test_it_goes_with_the_runtime(make_runtime: Any) -> None:
    runtime = make_runtime()
    nightly(runtime).add_timer("0 0 * * * * *")
    runtime.close()
    assert heap_of(runtime.clock) == []
    runtime.clock.advance(DAY)
    assert runtime.events == []


# -- what becomes of its events --------------------------------------------------------------------------------------


def test_a_run_that_meets_the_next_one_is_two_events_at_once(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=13 * 3600)
    job.add_timer("0 0 2,14 * * * *")
    runtime.clock.advance(timedelta(days=2))
    first, second, third, _ = job.events
    assert first.ended_at is not None
    assert second.ended_at is not None
    assert first.started_at < second.started_at < first.ended_at < third.started_at + HOUR < second.ended_at + HOUR


def test_a_job_of_25_hours_is_ended_by_its_timeout_when_the_next_one_starts(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=25 * 3600)
    job.add_timer("0 0 2 * * * *")
    runtime.clock.advance(timedelta(days=3))
    first, second, _ = job.events
    assert_failed(first, code=433)
    assert_failed(second, code=433)
    assert first.ended_at == second.started_at == START + 18 * HOUR + DAY


def test_with_a_quota_of_one_the_second_is_queued_and_tried_again_each_minute(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=90 * 60 - 30, max_instances=1)
    job.add_timer("0 0 2,3 * * * *")
    runtime.clock.advance(19.5 * HOUR - MINUTE)
    first, second = job.events
    assert (first.doing, second.doing) == ("parked", "queued")
    with pytest.raises(ScfApiError):  # the platform knows nothing of it yet
        _ = second.status

    runtime.clock.advance(MINUTE)
    assert first.ended_at == START + 19.5 * HOUR - timedelta(seconds=30)
    assert (second.status, second.started_at) == ("RUNNING", START + 19.5 * HOUR)


def test_after_six_hours_in_the_queue_it_is_dropped(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=8 * 3600, max_instances=1, over_quota="refuse")
    job.add_timer("0 0 2,3 * * * *")
    runtime.clock.advance(27 * HOUR)
    first, second = job.events
    assert (first.status, second.doing) == ("FINISHED", "ended")
    assert "+21600 s  instance  dropped: given up in the queue" in second.timeline
    assert runtime.list_async_events(job.name).total_count == 1


def test_what_runs_at_a_deployment(runtime: ScfRuntime, tmp_path: Path) -> None:
    def version(number: int) -> str:
        return handler(tmp_path, f"[__import__('time').sleep(3600), {number}][1]")

    job = runtime.deploy(version(1), name="job")
    job.publish_version()
    job.create_alias("live", "1")
    for name, qualifier in (("latest", "$LATEST"), ("first", "1"), ("live", "live")):
        job.add_timer("0 30 * * * * *", name=name, qualifier=qualifier)

    def results() -> Mapping[str, Any]:
        running = job.events[-3:]
        runtime.wait_all(running)
        return {name: event.result for name, event in zip(job.timers, running, strict=True)}

    runtime.clock.advance(HOUR)
    job.update(version(2))  # while events of the first version run
    job.update_alias("live", job.publish_version())
    assert results() == {"latest": 1, "first": 1, "live": 1}

    runtime.clock.advance(0.5 * HOUR)
    assert results() == {"latest": 2, "first": 1, "live": 2}


def test_one_that_waits_in_the_queue_runs_the_code_that_is_there_when_it_starts(
    runtime: ScfRuntime, tmp_path: Path
) -> None:
    job = runtime.deploy(handler(tmp_path, "[__import__('time').sleep(1800), 'old'][1]"), name="job", max_instances=1)
    job.add_timer("0 0,10 0 1 1 * 2026", time_zone=timezone(-HOUR))
    runtime.clock.advance(75 * MINUTE)
    first, queued = job.events
    job.update(handler(tmp_path, "'new'"))
    runtime.wait_all()
    assert (first.result, queued.result) == ("old", "new")


def test_while_the_function_is_updated_the_platform_refuses_the_event(make_runtime: Any, tmp_path: Path) -> None:
    runtime = make_runtime(function_states="timed", function_state_time=60)
    job = runtime.deploy(handler(tmp_path, "1"), name="job")
    assert refused(job).code == "FailedOperation.CreateTrigger"
    runtime.clock.advance(60)
    job.add_timer("30 * * * * * *", name="often")
    job.update(handler(tmp_path, "2"))

    with pytest.warns(
        ScfAsyncWarning, match=r"the timer 'often' of function 'job' was due at 2026-01-01T00:01:30"
    ) as w:
        runtime.clock.advance(60)
    assert "the platform refused the event: FailedOperation.FunctionStatusError: Function 'job' is Updating" in str(
        w[0].message
    )
    runtime.clock.advance(60)
    assert starts(job) == [START + timedelta(seconds=150)]


def test_a_version_that_is_gone_is_refused_and_said(runtime: ScfRuntime) -> None:
    job = nightly(runtime, seconds=0)
    timer = job.add_timer("0 0 * * * * *", qualifier=job.publish_version())
    job.delete("1")
    with pytest.warns(ScfAsyncWarning, match=r"ResourceNotFound\.Qualifier"):
        runtime.clock.advance(HOUR)
    assert (job.events, timer.next_at) == ([], START + 2 * HOUR)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_names_are_given_where_there_is_none(runtime: ScfRuntime) -> None:
    job = nightly(runtime)
    timers = [job.add_timer("0 0 2 * * * *") for _ in range(3)]
    timers[1].remove()
    job.add_timer("0 0 2 * * * *")
    assert [*job.timers] == ["timer", "timer-3", "timer-2"]
    assert isinstance(job.timers["timer"], Timer)
    job.timers["x"] = timers[0]  # type: ignore[index]  # a copy
    assert len(job.timers) == 3


def test_what_may_not_be_given(runtime: ScfRuntime) -> None:
    job = nightly(runtime)
    job.add_timer("0 0 2 * * * *", name="taken")

    assert str(refused(job, "0 0 25 * * * *")) == (
        "InvalidParameterValue.TriggerDesc: TriggerDesc='0 0 25 * * * *' is not a Cron expression: its hour has '25', "
        "and may have 0 to 23, alone or as in 1,2 1-2 */2 1/2."
    )
    assert refused(job, 5).code == "InvalidParameterValue.TriggerDesc"
    assert str(refused(job, name="taken")) == (
        "ResourceInUse.TriggerName: Function 'nightly' has a trigger 'taken' already."
    )
    for name in ("1st", "", "with space", "a" * 61, 7):
        assert refused(job, name=name).code == "InvalidParameterValue.TriggerName", name
    for message in ("x" * 4097, "ä" * 2049, "\ud800", 7, None):
        assert refused(job, message=message).code == "InvalidParameterValue.CustomArgument"
    for description in ("x" * 1001, 7):
        assert refused(job, description=description).code == "InvalidParameterValue.Description"
    assert refused(job, qualifier="7").code == "ResourceNotFound.Qualifier"
    with pytest.raises(ScfUsageError, match=r"add_timer\(time_zone\) is 'Asia/Shanghai'; it must be a tzinfo"):
        job.add_timer("0 0 2 * * * *", time_zone="Asia/Shanghai")  # type: ignore[arg-type]
    assert [*job.timers] == ["taken"]

    for _ in range(9):
        job.add_timer("0 0 2 * * * *", message="x" * 4096, description="x" * 1000)
    assert str(refused(job)) == (
        "LimitExceeded.Trigger: Function 'nightly' has 10 triggers already, and may have no more."
    )


def test_behind_the_last_year_of_the_grammar_nothing_is_due(make_runtime: Any) -> None:
    job = nightly(make_runtime(start=datetime(8999, 12, 31, tzinfo=timezone.utc)))
    clock = job._platform.clock
    clock.move_to(datetime(9998, 12, 31, 23, 59, 59, tzinfo=timezone.utc))
    assert job.add_timer("* * * * * * *").next_at is None
    clock.advance(0.5)
