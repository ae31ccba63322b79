"""A typed project that uses every public name: type checkers check it, and pytest runs it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import pytest_scf_async.inside
from pytest_scf_async import (
    AsyncEvent,
    AsyncEventPage,
    AsyncEventStatus,
    AsyncEventSummary,
    CannotEndError,
    CodePackage,
    Compared,
    EndpointCall,
    EventLog,
    FailureClass,
    Function,
    GateNotReachedError,
    HandlerError,
    HarnessError,
    InstanceView,
    Launch,
    Point,
    Record,
    Run,
    ScfApiError,
    ScfAsyncError,
    ScfAsyncWarning,
    ScfEndpoint,
    ScfRuntime,
    ScfRuntimeFactory,
    ScfSettings,
    ScfUsageError,
    SignalView,
    SimulatedClock,
    Status,
    Sweep,
    SweepRun,
    UnsupportedPlatformError,
    assert_deployable,
    assert_expired,
    assert_failed,
    assert_finished,
    assert_log_order,
    assert_logged,
    assert_no_signal,
    assert_nothing_lost,
    assert_reclaimed,
    assert_reused,
    assert_signal_handled,
    assert_signal_received,
    assert_signal_reception_failed,
    assert_status,
    assert_stopped_within,
    assert_terminated,
    assert_timed_out,
    assert_transitions,
    assert_user_exit,
    fault,
    graceful,
    power,
    scf_function,
)
from pytest_scf_async.scripted import (
    After,
    ByEvent,
    End,
    OnTerminate,
    Step,
    after,
    exited,
    failed,
    finished,
    logged,
    running_for,
    timed_out,
)

EXPORT = "export.py:main_handler"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def scf_settings() -> ScfSettings:
    return ScfSettings(start=START, timeout=timedelta(minutes=5).total_seconds(), environment={"ROWS": "3"})


@scf_function(EXPORT, payload={"rows": 3}, timeout=timedelta(minutes=1))
def test_a_finished_event(async_event: AsyncEvent, scf_function: Function, scf_clock: SimulatedClock) -> None:
    ended: AsyncEvent = async_event.wait()
    assert_status(ended, Status.FINISHED)
    assert_status(ended, "FINISHED")
    assert_finished(ended, result={"rows": 3})
    assert_transitions(ended, ["RUNNING", Status.FINISHED])
    assert_logged(ended, "row 1")
    assert_logged(ended, re.compile(r"row \d"))
    assert_log_order(ended, ["row 0", re.compile("row 2")])
    assert_no_signal(ended)
    assert_nothing_lost(ended)
    assert_reused(ended)
    log: EventLog = ended.log
    first_line: str = log[0].text
    at: datetime = log[0].time
    some: list[str] = [line.text for line in log[1:3]]
    records: list[Record] = ended.records
    name: str = records[0].name
    instance: InstanceView | None = ended.instance
    duration: timedelta | None = ended.duration
    status, since = ended.transitions[-1]
    assert (status is Status.FINISHED, since, name) == (True, ended.ended_at, "rows")
    assert (first_line, at, len(some), duration) == (
        log[0].text,
        scf_clock.now - timedelta(seconds=3),
        2,
        timedelta(seconds=3),
    )
    assert instance is not None
    assert instance.alive
    warm = scf_function.invoke_async({"rows": 1}).wait()
    assert_reused(ended, by=warm)
    error: dict[str, int | str] | None = warm.error
    assert error is None


@pytest.mark.scf_function(EXPORT, payload={"rows": 100})
def test_an_interrupted_event(async_event: AsyncEvent) -> None:
    async_event.wait_until_listening().wait_for_log("row 1", count=1)
    async_event.run_to("export.py:18").settle()
    async_event.terminate(grace_shutdown=True, when="settled")
    assert_signal_received(async_event)
    assert_finished(async_event.wait())
    assert_signal_handled(async_event)
    assert_stopped_within(async_event, seconds=2)
    assert_stopped_within(async_event, timedelta(seconds=2))
    signals: list[SignalView] = async_event.signals
    assert signals[0].disposition == "handler"


@pytest.mark.scf_function(EXPORT, payload={"rows": 100})
def test_a_stop(async_event: AsyncEvent, scf_clock: SimulatedClock) -> None:
    scf_clock.advance(5)
    stopped: AsyncEvent = async_event.stop(within=timedelta(seconds=1), exit_ok=True)
    assert_finished(stopped)


@pytest.mark.scf_function(EXPORT, payload={"rows": 1})
def test_a_signal_that_comes_too_early(async_event: AsyncEvent) -> None:
    async_event.terminate(grace_shutdown=True, when="now")
    assert_signal_reception_failed(async_event)


def test_other_ends(scf_runtime: ScfRuntime) -> None:
    export = scf_runtime.deploy(EXPORT, timeout=5, environment={"KEY": "b"}, max_instances=4, over_quota="queue")
    exits, late, forced = (export.invoke_async(payload) for payload in ({"exit": 1}, {"rows": 60}, {"rows": 60}))
    forced.terminate()
    retries: int = exits.retry_num
    namespaces: list[str] = scf_runtime.namespaces
    assert (retries, namespaces) == (0, ["default"])
    scf_runtime.create_namespace("other")
    scf_runtime.wait_all([exits, late])
    assert_user_exit(exits)
    assert_failed(exits, code=439)
    assert_timed_out(late)
    assert_terminated(forced)
    assert_reclaimed(forced)
    with pytest.raises(HandlerError) as failed:
        assert late.result is None
    assert failed.value.body["statusCode"] == 433


def test_the_operations(scf_runtime: ScfRuntime) -> None:
    export = scf_runtime.deploy(EXPORT, name="export")
    event = export.invoke_async({"rows": 1}, invoke_type="COS").wait()
    page: AsyncEventPage = scf_runtime.list_async_events("export", status=["FINISHED"], limit=10)
    row: AsyncEventSummary = page.events[0]
    found: AsyncEventStatus = scf_runtime.get_async_event_status(row.invoke_request_id)
    assert (page.total_count, found.status, row.status) == (1, Status.FINISHED, event.status)
    with pytest.raises(ScfApiError) as refused:
        scf_runtime.terminate_async_event("export", event.request_id, grace_shutdown=True)
    code: str = refused.value.code
    assert code == "FailedOperation.AsyncEventStatus"
    scf_runtime.clock.advance(timedelta(hours=72))
    assert_expired(scf_runtime, event.request_id)


def test_scripts(scf_runtime: ScfRuntime) -> None:
    end: End = finished({"rows": 20})
    script: list[Step] = [running_for(timedelta(hours=2)), logged("row 1"), running_for(5), end]
    stops: After = after(60, exited())
    some: list[OnTerminate] = ["honour", "ignore", stops]
    by_index: ByEvent = {0: [failed(443, message="no module")], 1: [timed_out()]}
    export: Function = scf_runtime.deploy_scripted(
        "export", script, on_terminate=some[2], by_event=by_index, timeout=timedelta(hours=3), max_instances=5
    )
    broken, late, other = (export.invoke_async() for _ in range(3))

    def by_payload(payload: dict[str, int]) -> list[Step] | None:
        return [running_for(payload["rows"]), failed(error_type="OSError", message="full")] if payload else None

    raises = scf_runtime.deploy_scripted("raises", [finished()], by_event=by_payload).invoke_async({"rows": 5})
    scf_runtime.wait_all([broken, late, other, raises])
    assert_failed(broken, code=443)
    assert_timed_out(late)
    assert_finished(other, result={"rows": 20})
    assert_failed(raises, code=430)


def test_the_test_on_the_clock(async_event_of_a_minute: AsyncEvent, scf_clock: SimulatedClock) -> None:
    with scf_clock.patched():
        while async_event_of_a_minute.status == "RUNNING":
            time.sleep(5)
        assert time.time() == scf_clock.time()
    before: datetime = scf_clock.now
    with scf_clock.running(rate=1000), scf_clock.patched():
        time.sleep(1.5)
    assert scf_clock.now >= before + timedelta(seconds=1.5)


@pytest.fixture
def async_event_of_a_minute(scf_runtime: ScfRuntime) -> AsyncEvent:
    return scf_runtime.deploy(EXPORT).invoke_async({"rows": 60})


def test_the_errors(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(EXPORT).invoke_async({"rows": 1})
    with pytest.raises(GateNotReachedError):
        event.wait_for_log("never")
    with pytest.raises(ScfUsageError):
        scf_runtime.event("nobody")
    with pytest.raises(CannotEndError):
        scf_runtime.wait_until(lambda: False, within=timedelta(seconds=1))
    kinds: list[type[ScfAsyncError]] = [HarnessError, UnsupportedPlatformError]
    assert all(issubclass(kind, ScfAsyncError) for kind in kinds)
    assert issubclass(ScfAsyncWarning, UserWarning)


def launcher(function: CodePackage) -> Launch | None:
    if function.runtime != "Nodejs18.15":
        return None
    program = Path(function.directory, function.handler)
    return Launch([sys.executable, "-I", str(program)], function.directory, environment={"A": "b"}, ports=[8080])


def test_another_runtime(tmp_path: Path) -> None:
    with ScfRuntime(ScfSettings(start=START), launcher=launcher) as runtime:
        function: Function = runtime.deploy(tmp_path, runtime="Nodejs18.15", handler="index.py")
    assert function.name.startswith("test_another_runtime")


def test_without_the_fixtures(tmp_path: Path) -> None:
    version: str = pytest_scf_async.__version__
    assert version
    pytest_scf_async.inside.record("nobody listens", path=str(tmp_path))
    code = Path(__file__).with_name("export.py")
    with ScfRuntime(ScfSettings(start=START), seed="typed") as runtime:
        result = runtime.deploy(f"{code}:main_handler").run({"rows": 2})
    assert result == {"rows": 2}


def test_a_runtime_that_lives_longer(scf_runtime_factory: ScfRuntimeFactory) -> None:
    code = Path(__file__).with_name("export.py")
    with scf_runtime_factory(ScfSettings(stop_noise=1), start=START) as runtime:
        assert runtime.clock.now == START
        result = runtime.deploy(f"{code}:main_handler").run({"rows": 2})
    assert result == {"rows": 2}


def test_the_endpoint(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    scf_endpoint.add_credentials("AKID", "key", token="token")
    calls: list[EndpointCall] = scf_endpoint.calls
    assert calls == []
    assert scf_endpoint.runtime is scf_runtime
    address: str = scf_endpoint.address
    assert scf_endpoint.url == f"http://{address}"


def test_a_package(tmp_path: Path) -> None:
    copy = tmp_path / "export.py"
    copy.write_bytes(Path(__file__).with_name("export.py").read_bytes())
    with pytest.raises(AssertionError, match="it imports pytest_scf_async"):  # which is in the way of a deployment
        assert_deployable(copy.parent, handler="export.main_handler", runtime="Python3.10", timeout=timedelta(hours=1))


def test_a_sweep(scf_runtime: ScfRuntime) -> None:
    def each_run(run: Run) -> Generator[dict[str, str], None, None]:
        yield {"OUT": str(run.path)}
        run.observe(invoked=bool(run.events))

    def check(run: Run) -> None:
        assert run.event.ended

    function = scf_runtime.deploy(EXPORT)
    sweep: Sweep = scf_runtime.sweep(
        function,
        {"rows": 1},
        each_run=each_run,
        check=check,
        how=("forced", graceful(again=timedelta(seconds=5)), fault("eio", lasting=True), power("nfs")),
        within=timedelta(seconds=5),
        points="waits",
        limit=4,
        compares_nothing=False,
        ignore=["*.tmp", lambda name: name == "rows"],
    )
    compared: Compared = sweep.compared
    names: tuple[str, ...] = compared.records + compared.observed
    assert (compared.result, names) == (True, ("invoked",))
    points: tuple[Point, ...] = sweep.points
    runs: tuple[SweepRun, ...] = sweep.runs
    failures: list[FailureClass] = sweep.failures
    key: str = runs[0].key
    assert (points[0].label, key) == ("wait#1", "forced@wait#1")
    earliest: list[SweepRun] = [each.earliest for each in failures]
    assert earliest == [], sweep.report
    sweep.assert_survives()
