"""Functions of the runtime Go1: every end, signals, logs, time, environment, and what instances share and leave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import zipfile
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from internals import OWNER_MARK, Instance, event_of
from process_support import (
    NOT_RECEIVED,
    RECEIVED,
    assert_body,
    assert_kept,
    assert_reclaimed_for_good,
    descriptors,
    eventually,
    files_in,
    is_gone,
    short_log,
    state_of,
    user_lines,
)
from program_internals import launch_of

from pytest_scf_async import (
    GateNotReachedError,
    ScfUsageError,
    assert_finished,
    assert_signal_received,
    assert_signal_reception_failed,
    assert_timed_out,
)

pytestmark = pytest.mark.go

DAY = timedelta(days=1)
"""How much longer than necessary something may take on a busy machine."""


@pytest.fixture
def function(runtime):
    """The program for tests, built from its source."""
    return runtime.deploy("go", runtime="Go1")


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """A directory with the built program and nothing else."""
    directory = tmp_path_factory.mktemp("built")
    source = Path(__file__).parents[2] / "handlers" / "go"
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", directory / "main", "."], cwd=source, env=environment, check=True)
    return directory


def words(event) -> list[str]:
    """The log in short form without durations: they are real."""
    return [re.sub(r"^(INIT|REPORT) \d+ms$", r"\1", line) for line in short_log(event)]


def cold(*lines: str) -> list[str]:
    return ["START", "INIT", *lines, "END", "REPORT"]


def pid_of(event) -> int:
    """The process id of the program: the one child of the instance's process."""
    return event_of(event).instance.user_process.pid


def working(function, do: str):
    """An event that stands behind the line which its handler writes once it has made ready."""
    event = function.invoke_async({"do": do})
    event.wait_for_log("working")
    return event


def all_working(runtime, events: list) -> list:
    """*events*, once each of them has written that line; none stands at a gate, where it would keep the others."""
    runtime.wait_until(lambda: all("working" in user_lines(event) for event in events), within=DAY)
    return events


# -- what is deployed ------------------------------------------------------------------------------------------------


def test_a_package_runs_from_its_source(function):
    assert function.run({"do": "echo", "text": "ä"})["event"] == {"do": "echo", "text": "ä"}
    assert function.name == "go"


def test_a_binary_runs_where_it_is(runtime, binary):
    assert runtime.deploy(binary, runtime="Go1").run({"do": "print", "text": "here"}) is None


def test_the_handler_names_the_binary(runtime, binary, tmp_path):
    os.link(binary / "main", tmp_path / "export")
    assert runtime.deploy(tmp_path, runtime="Go1", handler="export", name="export").run({"do": "pid"}) > 0


def test_a_zip_is_unpacked(runtime, binary, tmp_path):
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        packed.write(binary / "main", "main")
    function = runtime.deploy(tmp_path / "export.zip", runtime="Go1", handler="main")
    assert function.run({"do": "pid"}) > 0


def test_a_zip_of_source_is_built(runtime, tmp_path):
    source = Path(__file__).parents[2] / "handlers" / "go"
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        for name in ("go.mod", "main.go", "cloudfunction/cloudfunction.go"):
            packed.write(source / name, name)
    assert runtime.deploy(tmp_path / "export.zip", runtime="Go1").run({"do": "pid"}) > 0


def test_a_package_is_built_once_for_all_runtimes_of_a_session(make_runtime):
    commands = []
    for _ in range(2):
        function = make_runtime().deploy("go", runtime="Go1")
        commands.append(launch_of(function).command)
        assert function.run({"do": "pid"}) > 0
    assert commands[0] == commands[1]


# -- ends of handlers ------------------------------------------------------------------------------------------------


def test_a_handler_that_returns(function):
    event = function.invoke_async({"do": "raw", "text": '{"rows": [1, 2.5, null]}'})
    event.wait()
    assert (event.status, event.status_code, event.result) == ("FINISHED", 200, {"rows": [1, 2.5, None]})
    assert [status for status, _ in event.transitions] == ["RUNNING", "FINISHED"]
    assert words(event) == cold('RESPONSE {"rows": [1, 2.5, null]}')
    assert_kept(event)


def test_a_handler_that_gives_an_error(function):
    event = function.invoke_async({"do": "fail", "text": "no such\nbucket"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 430)
    assert_body(
        event, errorCode=1, errorMessage="user code exception caught", stackTrace="errorString: no such\nbucket"
    )
    assert words(event) == cold("ERROR 430")
    assert_reclaimed_for_good(event, "raised")


@pytest.mark.parametrize(
    ("do", "last"), [("panic", "panic (string): out of luck"), ("nil map", ": assignment to entry in nil map")]
)
def test_a_panic_ends_with_its_stack_and_takes_the_instance(function, do, last):
    event = function.invoke_async({"do": do, "text": "out of luck"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 430)
    trace = event.error["stackTrace"]
    assert trace.startswith("Goroutine (most recent call last):\n")
    assert "main.go:" in trace
    assert trace.endswith(last)
    assert_reclaimed_for_good(event, "raised")


def test_a_panic_of_another_goroutine_ends_the_process(function):
    event = function.invoke_async({"do": "crash", "text": "boom"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert user_lines(event)[0] == "panic: boom"
    assert_reclaimed_for_good(event, "process exited")


def test_a_killed_program_is_an_end_of_the_process(function):
    event = working(function, "block")
    os.kill(pid_of(event), 9)
    event.wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert "SIGKILL" in event.timeline


def test_a_program_that_ends_before_it_listens(runtime):
    function = runtime.deploy("go", runtime="Go1", environment={"BEGIN": "exit"})
    event = function.invoke_async({"do": "pid"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert_reclaimed_for_good(event, "process exited")
    never = "init ends when the program calls cloudfunction.Start(handler), the last step of func main: the platform"
    with pytest.raises(AssertionError, match=rf"ended by itself during init \(exit code \d\); {re.escape(never)}"):
        assert_finished(event)


def test_a_program_that_never_listens(runtime):
    function = runtime.deploy("go", runtime="Go1", environment={"BEGIN": "hang"}, init_timeout=3)
    event = function.invoke_async({"do": "pid"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 450)
    assert event.duration == timedelta(seconds=3)
    assert user_lines(event) == ["beginning"]
    assert_reclaimed_for_good(event, "init timed out")
    with pytest.raises(AssertionError, match=r"timeout of 3 s .*; init ends when the program calls cloudfunction\."):
        assert_finished(event)

    function.update(environment={})  # now it calls it
    assert_finished(function.invoke_async({"do": "pid"}).wait())


def test_a_result_over_six_megabytes(function):
    limit = 6 * 1024 * 1024
    assert len(function.run({"do": "large", "number": limit})) == limit - 2
    event = function.invoke_async({"do": "large", "number": limit + 1}).wait()
    assert (event.status, event.status_code, event.duration) == ("FAILED", 407, timedelta())
    assert_reclaimed_for_good(event, "result too large")


@pytest.mark.parametrize(
    ("payload", "why"),
    [({"do": "raw", "text": "{x"}, "'{x'"), ({"do": "raw", "text": "NaN"}, "NaN"), ({"do": "bytes"}, "not UTF-8")],
)
def test_a_result_that_is_no_json(function, payload, why):
    event = function.invoke_async(payload).wait()
    assert (event.status, event.status_code) == ("FAILED", 430)
    assert event.error["stackTrace"].startswith("the result is not JSON: ")
    assert why in event.error["stackTrace"]
    assert_reclaimed_for_good(event, "result not JSON")


def test_an_advance_waits_for_a_program_that_starts(runtime):
    event = runtime.deploy("go", runtime="Go1", timeout=600).invoke_async({"do": "block"})
    runtime.clock.advance(300)
    assert event.status == "RUNNING"
    event.wait_for_log("working")
    runtime.clock.advance(600)
    assert_timed_out(event)
    event.wait()


def test_the_timeout_of_a_day(runtime):
    event = runtime.deploy("go", runtime="Go1", timeout=86_400).invoke_async({"do": "block"})
    event.wait()
    assert_timed_out(event)
    assert event.duration == timedelta(days=1)


def test_the_memory_limit(runtime):
    function = runtime.deploy("go", runtime="Go1", memory=128)
    assert function.run({"do": "pid"}) > 0
    event = function.invoke_async({"do": "grow", "number": 256}).wait()
    assert (event.status, event.status_code) == ("FAILED", 434)
    assert_reclaimed_for_good(event, "memory exceeded")


# -- termination -----------------------------------------------------------------------------------------------------


def test_a_graceful_termination_that_nothing_listens_to(function):
    event = working(function, "block")
    event.terminate(grace_shutdown=True)
    event.wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert words(event) == cold("working", RECEIVED, "ERROR 439")
    assert "SIGTERM" in event.timeline
    with pytest.raises(AssertionError, match="nothing in the program handled SIGTERM, which ended it: the platform"):
        assert_finished(event)


def test_a_listener_outlives_its_event_on_a_warm_instance(function):
    first = working(function, "return at SIGTERM")
    first.terminate(grace_shutdown=True)
    first.wait()
    second = working(function, "block")
    assert not second.instance.cold
    second.terminate(grace_shutdown=True)
    assert second.status == "RUNNING"  # signal.Notify of the first event is still there
    second.terminate()
    assert second.status == "ABORTED"


def test_a_graceful_termination_that_is_ignored(runtime):
    event = working(runtime.deploy("go", runtime="Go1", timeout=600), "ignore SIGTERM")
    for _ in range(2):
        event.terminate(grace_shutdown=True)
        assert event.status == "RUNNING"
    assert [signal.received for signal in event.signals] == [True, True]
    runtime.clock.advance(1_000)
    assert_timed_out(event)


def test_a_signal_before_there_is_a_process(function):
    event = function.invoke_async({"do": "pid"})
    event.terminate(grace_shutdown=True, when="now")
    assert_signal_reception_failed(event)
    event.wait()
    assert event.status == "FINISHED"
    assert words(event)[0] == NOT_RECEIVED


def test_a_signal_before_the_program_listens(runtime):
    function = runtime.deploy("go", runtime="Go1", environment={"BEGIN": "hang"})
    event = function.invoke_async({"do": "pid"})
    event.wait_for_log("beginning")
    event.terminate(grace_shutdown=True, when="now")
    event.wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert_signal_received(event)


def test_a_forced_termination_before_the_program_listens(runtime):
    function = runtime.deploy("go", runtime="Go1", environment={"BEGIN": "hang"})
    event = function.invoke_async({"do": "pid"})
    event.wait_for_log("beginning")
    pid = pid_of(event)
    event.terminate()
    assert (event.status, event.status_code) == ("ABORTED", 499)
    assert is_gone(pid)


# -- what a handler gets ---------------------------------------------------------------------------------------------


def test_every_field_of_the_request(runtime):
    function = runtime.deploy(
        "go", runtime="Go1", name="export", namespace="prod", timeout=300, environment={"OUT": "ä"}
    )
    event = function.invoke_async({"do": "echo"})
    event.wait()
    reported = event.result
    assert reported["deadline"] == event.started_at.timestamp() + 300
    assert reported["event"] == {"do": "echo"}
    settings = runtime.settings
    assert reported["request"] == {
        "Payload": None,
        "RequestId": event.request_id,
        "TraceId": event.request_id,
        "Deadline": {"Seconds": 0, "Nanos": 0},
        "InvokedFunctionUnique": "export",
        "ClientContext": None,
        "Namespace": "prod",
        "FunctionName": "export",
        "FunctionVersion": "$LATEST",
        "MemoryLimitInMb": 128,
        "TimeLimitInMs": 300_000,
        "Environment": reported["request"]["Environment"],
        "TencentcloudRegion": settings.region,
        "TencentcloudAppID": settings.appid,
        "TencentcloudUin": settings.uin,
        "FunctionTrace": "",
    }
    assert json.loads(reported["request"]["Environment"])["OUT"] == "ä"


@pytest.mark.sandbox
def test_the_environment_of_the_program(runtime, mounted, monkeypatch):
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "of the host")
    function = runtime.deploy("go", runtime="Go1", name="export", environment={"OUT": "there"})
    found = dict(line.split("=", 1) for line in function.run({"do": "environ"}))
    port = found["_LAMBDA_SERVER_PORT"]
    settings = runtime.settings
    places = {name: found.pop(name) for name in ("PWD", "PYTHONPATH", "USER_CODE_ROOT")}
    if mounted:
        assert places == {"PWD": "/var/user", "PYTHONPATH": "/var/user:/opt", "USER_CODE_ROOT": "/var/user/"}
    else:
        assert os.path.basename(found.pop("TMPDIR")).startswith("instance-")
    assert found == {
        "CLASSPATH": "/var/runtime/java8:/var/runtime/java8/lib/*:/opt",
        "HOME": "/home/qcloud",
        "HOSTNAME": "scf-async-1",
        "LANG": "en_US.UTF8",
        "LC_ALL": "en_US.UTF8",
        "LD_LIBRARY_PATH": "/var/runtime/java8:/var/user:/opt",
        "LOGNAME": "qcloud",
        "NODE_PATH": "/var/user:/var/user/node_modules:/var/lang/node6/lib/node_modules:/opt:/opt/node_modules",
        "OUT": "there",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "x",
        "SCF_FUNCTIONNAME": "export",
        "SCF_FUNCTIONVERSION": "$LATEST",
        "SCF_NAMESPACE": "default",
        "SCF_RUNTIME": "Go1",
        "SHELL": "/bin/bash",
        "SHLVL": "3",
        "TENCENTCLOUD_APPID": settings.appid,
        "TENCENTCLOUD_REGION": settings.region,
        "TENCENTCLOUD_RUNENV": "SCF",
        "TENCENTCLOUD_SECRETID": "scf-async-secret-id-until-20260101T060000Z",
        "TENCENTCLOUD_SECRETKEY": "scf-async-secret-key-until-20260101T060000Z",
        "TENCENTCLOUD_SESSIONTOKEN": "scf-async-session-token-until-20260101T060000Z",
        "TENCENTCLOUD_TZ": "UTC",
        "TENCENTCLOUD_UIN": settings.uin,
        "USER": "qcloud",
        "_": "/var/lang/python3/bin/python3",
        "_LAMBDA_SERVER_PORT": port,
        "_SCF_SERVER_PORT": port,
        OWNER_MARK: found[OWNER_MARK],
    }
    assert (int(port) == 28_902) if mounted else (0 < int(port) < 65_536)


def test_what_belongs_to_one_event_comes_with_it(runtime):
    function = runtime.deploy("go", runtime="Go1")

    def environment(kind):
        event = function.invoke_async({"do": "environ"}, invoke_type=kind).wait()
        return dict(line.split("=", 1) for line in event.result)

    other, timer, later = environment("COS"), environment("TRIGGER_TIMER"), environment("COS")

    assert "TRIGGER_SRC" not in other
    assert (timer["TRIGGER_SRC"], later["TRIGGER_SRC"]) == ("timer", "")
    assert other["TENCENTCLOUD_SECRETID"].startswith("scf-async-secret-id-until-2026")


# -- instances -------------------------------------------------------------------------------------------------------


def test_a_warm_instance_is_the_same_process_and_stopped_in_between(runtime, function):
    first = function.invoke_async({"do": "pid"}).wait()
    pid = pid_of(first)
    assert_kept(first)
    runtime.clock.advance(100)
    second = function.invoke_async({"do": "pid"}).wait()
    assert (second.result, second.instance.cold) == (first.result, False)
    assert pid_of(second) == pid
    assert_kept(second)
    assert "INIT" not in words(second)


def test_an_idle_instance_is_reclaimed(runtime, function):
    event = function.invoke_async({"do": "pid"}).wait()
    pid = pid_of(event)
    runtime.clock.advance(301)
    assert is_gone(pid)
    assert_reclaimed_for_good(event, "idle")


def test_ten_instances_at_once(runtime, function):
    events = all_working(runtime, [function.invoke_async({"do": "block"}) for _ in range(10)])
    pids = [pid_of(event) for event in events]
    assert len(set(pids)) == 10
    for event in events[:5]:
        event.terminate(grace_shutdown=True)
    runtime.wait_all(events[:5])
    assert {event.status_code for event in events[:5]} == {439}
    assert {event.status for event in events[5:]} == {"RUNNING"}
    for event in events[5:]:
        event.terminate()
    assert all(map(is_gone, pids))


def test_a_tmp_of_its_own_goes_with_the_instance(runtime, function):
    first, second = all_working(runtime, [function.invoke_async({"do": "write and block"}) for _ in range(2)])
    for event in (first, second):
        assert files_in(event.instance.tmp) == ["rows.csv"]
    tmp = first.instance.tmp
    first.terminate()
    assert first.instance.lost_files == ("rows.csv",)
    assert not os.path.exists(tmp)
    assert files_in(second.instance.tmp) == ["rows.csv"]
    second.terminate()


def test_lines_are_in_order(function):
    event = function.invoke_async({"do": "count", "number": 2000}).wait()
    assert user_lines(event) == [f"line {number}" for number in range(2000)]
    both = function.invoke_async({"do": "print", "text": "twice"}).wait()
    assert user_lines(both) == ["twice", "twice"]


def test_a_line_of_the_log_stops_the_program(function):
    event = function.invoke_async({"do": "count", "number": 5, "seconds": 0.05})
    for number in range(3):
        event.wait_for_log(re.compile(r"line \d"), count=number + 1)
        assert state_of(pid_of(event)) in "Tt"
        assert event.instance.doing == "gated"
        assert f"line {number}" in user_lines(event)
    event.wait()
    assert user_lines(event) == [f"line {number}" for number in range(5)]


def test_a_line_that_never_comes(function):
    event = function.invoke_async({"do": "count", "number": 3})
    with pytest.raises(GateNotReachedError, match=r"wait_for_log\('line 7'\)"):
        event.wait_for_log("line 7")
    assert event.status == "FINISHED"


def test_what_cannot_be_known_of_a_program_says_what_to_use_instead(function):
    event = function.invoke_async({"do": "block"})
    with pytest.raises(ScfUsageError) as caught:
        event.wait_until_listening()
    assert str(caught.value) == (
        f"wait_until_listening(): event {event.request_id} runs in a Go program, where that cannot be known; "
        "have the program write a line once its handler is installed, and use wait_for_log()"
    )
    with pytest.raises(ScfUsageError) as caught:
        event.run_to("main.go:42")
    assert str(caught.value) == (
        f"run_to('main.go:42'): event {event.request_id} runs in a Go program, where that cannot be known; "
        "use run_to('init'), or wait_for_log() on a line that it writes there"
    )
    event.terminate()


def test_run_to_init_stands_before_the_program_starts(runtime):
    function = runtime.deploy("go", runtime="Go1", environment={"BEGIN": "print"})
    event = function.invoke_async({"do": "pid"})
    event.run_to("init")
    assert user_lines(event) == []
    event.wait()
    assert (event.status, user_lines(event)) == ("FINISHED", ["beginning"])


# -- versions --------------------------------------------------------------------------------------------------------


def test_a_published_version_goes_on_with_its_binary(runtime, binary, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "main").write_bytes((binary / "main").read_bytes())
    (code / "main").chmod(0o755)
    function = runtime.deploy(code, runtime="Go1")
    number = function.publish_version()
    (code / "main").unlink()
    event = function.invoke_async({"do": "pid"}, qualifier=number).wait()
    assert event.status == "FINISHED"


def test_an_update_of_the_configuration(function):
    before = function.invoke_async({"do": "getenv", "text": "OUT"}).wait()
    function.update(environment={"OUT": "there"})
    after = function.invoke_async({"do": "getenv", "text": "OUT"}).wait()
    assert (before.result, after.result) == ("", "there")
    assert_reclaimed_for_good(before, "function updated")


def test_an_update_of_the_code_with_events_in_flight(runtime, function, binary, tmp_path):
    """To a binary under another name, which the handler names."""
    sleeps = function.invoke_async({"do": "sleep", "seconds": 60}).settle()
    pending = function.invoke_async({"do": "sleep", "seconds": 30})
    code = tmp_path / "code"
    code.mkdir()
    (code / "other").write_bytes((binary / "main").read_bytes())
    (code / "other").chmod(0o755)
    function.update(code, handler="other")
    new = function.invoke_async({"do": "pid"})
    runtime.wait_all()

    assert [event.duration.total_seconds() for event in (sleeps, pending, new)] == [60, 30, 0]
    assert [os.path.basename(event_of(event).function.runtime.launch.command[0]) for event in function.events] == [
        *("main", "main", "other"),
    ]
    for event in (sleeps, pending):
        assert_reclaimed_for_good(event, "function updated")


def test_an_update_of_the_code_that_is_refused(function, tmp_path):
    with pytest.raises(ScfUsageError, match="has neither Go files nor a binary 'main', which the handler names"):
        function.update(tmp_path)
    assert function.run({"do": "pid"}) > 0


@pytest.mark.parametrize("source", ["deploy(...)", "update(...)"])
def test_before_init_has_no_python_process_to_be_called_in(function, runtime, tmp_path, source):
    (tmp_path / "fakes.py").write_text("def install(): pass\n")
    given = {"before_init": f"{tmp_path}/fakes.py:install"}
    change = partial(runtime.deploy, "go", runtime="Go1") if source == "deploy(...)" else function.update
    with pytest.raises(ScfUsageError) as caught:
        change(**given)
    assert str(caught.value) == (
        f"before_init='{tmp_path}/fakes.py:install' ({source}) is called in the Python process of an instance, before "
        "the first line of its code, and a Go program runs in a process of its own: have environment= point it to a "
        "fake server of the test instead, whose port is among ports="
    )


# -- time ------------------------------------------------------------------------------------------------------------


def test_it_sleeps_to_the_microsecond(function):
    for seconds in (0.25, 1_000):
        event = function.invoke_async({"do": "sleep", "seconds": seconds}).wait()
        assert event.duration == timedelta(seconds=seconds)


def test_time_flows_from_when_the_program_has_its_event(function, monkeypatch):
    """The test's process gets no processor for a while right after that."""
    go_on = Instance.go_on

    def go_on_late(instance):
        go_on(instance)
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            os.sched_yield()

    function.run({"do": "pid"})
    monkeypatch.setattr(Instance, "go_on", go_on_late)
    event = function.invoke_async({"do": "sleep", "seconds": 0.25}).wait()
    assert event.duration >= timedelta(seconds=0.25)


def test_a_python_function_beside_it_sleeps_to_the_microsecond(runtime, function, deploy):
    export = deploy("""
        import time

        def main_handler(event, context):
            before = time.monotonic()
            time.sleep(0.125)
            return round(time.monotonic() - before, 6)
    """)
    (beside,) = all_working(runtime, [function.invoke_async({"do": "block"})])
    assert export.run() == 0.125
    beside.terminate()


# -- what is left ----------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_twenty_instances(make_runtime):
    make_runtime().deploy("go", runtime="Go1").run({"do": "pid"})
    runtime = make_runtime()
    function = runtime.deploy("go", runtime="Go1")
    before = descriptors()
    pids = []
    for number in range(20):
        event = function.invoke_async({"do": ("fail", "exit", "block")[number % 3], "text": "why"})
        if number % 3 == 2:
            event.wait_for_log("working")
            event.terminate(grace_shutdown=number % 2 == 0)
        event.wait()
        assert event.status_code in (430, 439, 499)
        pids.append(event_of(event).instance.user_process.pid or event.instance.pid)
    assert eventually(lambda: all(map(is_gone, pids)))
    assert descriptors() == before


def test_ten_minutes_of_one_second_sleeps_take_ten_minutes(function):
    event = function.invoke_async({"do": "count", "number": 600, "seconds": 1}).wait()
    assert event.duration == timedelta(minutes=10)
    assert len(user_lines(event)) == 600


def test_a_sigterm_comes_at_the_very_second(runtime, function):
    event = function.invoke_async({"do": "count", "number": 86_400, "seconds": 1})
    runtime.clock.advance(60)
    event.terminate(grace_shutdown=True)
    assert (event.status, event.status_code, event.duration) == ("FAILED", 439, timedelta(seconds=60))
    assert user_lines(event) == [f"line {number}" for number in range(61)]
