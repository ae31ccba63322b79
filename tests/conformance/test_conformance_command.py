"""``python -m pytest_scf_async conformance`` against the endpoint of this project, on its simulated clock."""

from __future__ import annotations

import ast
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import pytest_scf_async
from pytest_scf_async import ScfEndpoint, ScfRuntime
from pytest_scf_async.command_line import main
from pytest_scf_async.conformance.bench import ACCEPTED
from pytest_scf_async.conformance.cases import CASES
from pytest_scf_async.conformance.runner import Plan
from pytest_scf_async.endpoint.actions import ACTIONS
from pytest_scf_async.scripted import failed, finished
from pytest_scf_async.triggers import event_of

pytestmark = [
    pytest.mark.once,
    # One case terminates an event without a status trace.
    pytest.mark.filterwarnings("ignore::pytest_scf_async.errors.ScfAsyncWarning"),
]

LONG = {case.id for case in CASES if case.later}
NOT_ASKED = {case.id for case in CASES if case.later or case.of_user}
UNKNOWN = "ResourceNotFound.AsyncEvent"


class Asked:
    """The command in this process, and the endpoint that it calls."""

    def __init__(self, endpoint: ScfEndpoint, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.endpoint = endpoint
        self.state = directory / "scf-conformance.json"
        self.errors = ""
        self._capsys = capsys

    def __call__(self, *arguments: str, clock: bool = True) -> tuple[int, str]:
        """The exit code and the output."""
        clocks = ("--clock", f"{self.endpoint.url}/_scf/clock") if clock else ()
        code = main(["conformance", *arguments, *clocks])
        output, self.errors = self._capsys.readouterr()
        return code, output

    def report(self, *arguments: str, clock: bool = True) -> tuple[int, dict[str, Any]]:
        """The exit code, and the cases of the report by their ids."""
        code, output = self(*arguments, "--format", "json", clock=clock)
        return code, {case["id"]: case for case in json.loads(output)["cases"]}

    def count(self, action: str) -> int:
        return sum(call.action == action for call in self.endpoint.calls)

    def left(self) -> list[str]:
        """The functions and namespaces of the account."""
        runtime = self.endpoint.runtime
        return [
            *(function.function_name for function in runtime.list_functions().functions),
            *(each.name for each in runtime.list_namespaces().namespaces if each.name != "default"),
        ]


@pytest.fixture
def asked(
    make_runtime: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Asked]]:
    with ExitStack() as stack:

        def ask(**settings: Any) -> Asked:
            endpoint = stack.enter_context(ScfEndpoint(make_runtime(**settings)))
            monkeypatch.chdir(tmp_path)
            monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", endpoint.secret_id)
            monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", endpoint.secret_key)
            monkeypatch.setenv("TENCENTCLOUD_REGION", endpoint.region)
            monkeypatch.setenv("SCF_ENDPOINT", endpoint.address)
            return Asked(endpoint, tmp_path, capsys)

        yield ask


@pytest.mark.filterwarnings("ignore:ShowTriggers, :pytest_scf_async.ScfAsyncWarning")
def test_each_case_finds_what_is_the_default(asked: Callable[..., Asked]) -> None:
    """And the run creates, invokes and deletes what ``--dry-run`` shows."""
    command = asked()
    plan = Plan([case for case in CASES if case.id not in NOT_ASKED])
    code, said = command("--dry-run")
    assert code == 0
    assert command.endpoint.calls == []
    assert f"creates: {len(plan.functions)} functions of 128 MB" in said
    assert f"invokes: {plan.events} events, {plan.gb_seconds:,.0f} GB-seconds at most" in said

    code, cases = command.report()

    others = {id_: case for id_, case in cases.items() if not case["is_default_here"] and id_ not in NOT_ASKED}
    assert others == {}
    assert code == 0
    assert {cases[id_]["outcome"] for id_ in NOT_ASKED} == {"left out"}

    assert command.left() == []
    assert not command.state.exists()
    by_a_timer = 1
    assert command.count("Invoke") + command.count("InvokeFunction") == plan.events - by_a_timer
    assert command.count("CreateFunction") == len(plan.functions) + plan.refused
    assert command.count("CreateNamespace") == plan.namespaces
    assert [line for line in said.splitlines() if line.startswith(("invokes:", "deletes:"))] == [
        line for line in command.errors.splitlines() if line.startswith(("invokes:", "deletes:"))
    ]
    ran = sum(event.duration.total_seconds() for event in command.endpoint.runtime.events)
    assert ran * 128 / 1024 <= plan.gb_seconds


@pytest.mark.parametrize(
    ("settings", "readings"),
    [
        ({"graceful_return_status": "ABORTED"}, {"terminate-graceful-return": "ABORTED 499"}),
        (
            {"graceful_exit_status": "ABORTED"},
            {
                "terminate-graceful-unlistened": "ABORTED 439",
                "terminate-graceful-exit": "ABORTED 439",
                "terminate-graceful-sys-exit": "ABORTED 439",
                "terminate-graceful-in-init": "ABORTED 439",
            },
        ),
        ({"terminate_without_trace": False}, {"terminate-without-trace": UNKNOWN}),
        ({"unlistened_signal_line": "failed"}, {"terminate-signal-line-unlistened": "failed"}),
        ({"async_invoke_result": False}, {"invoke-result-there": "not there"}),
        ({"restore_environment": False}, {"handler-changes-variable": "changed"}),
    ],
)
def test_settings_give_the_other_readings(
    asked: Callable[..., Asked], settings: dict[str, Any], readings: dict[str, str]
) -> None:
    ids = [case.id for case in CASES if any(reading.setting for reading in case.readings)]
    ids.remove("list-time-zone")

    code, cases = asked(**settings).report(*(f"--case={id_}" for id_ in ids))

    assert code == 0
    assert {id_: cases[id_]["reading"] for id_ in ids if not cases[id_]["is_default_here"]} == readings
    (setting,) = {cases[id_]["setting"] for id_ in readings}
    ((name, value),) = settings.items()
    assert setting in (f'{name}="{value}"', f"{name}={value}")


# -- a function of the user --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits", "ago", "reading"),
    [(True, 0, "waits"), (False, 0, "does not wait"), (True, 3600, "waits"), (False, 3600, "does not wait")],
)
def test_a_function_shows_whether_its_trigger_of_ckafka_waits(
    asked: Callable[..., Asked], waits: bool, ago: int, reading: str
) -> None:
    """The function stays as it is, and nothing is created or invoked."""
    command = asked()
    function = command.endpoint.runtime.deploy_scripted("consume", [failed()], async_run=False)
    if waits:
        function.trigger("ckafka")
    else:
        function.invoke_async(event_of("ckafka"), invoke_type="CKAFKA_TRIGGER")
    command.endpoint.runtime.clock.advance(timedelta(seconds=ago))

    code, cases = command.report("--case=trigger-ckafka", "--ckafka-function=consume")

    assert (code, cases["trigger-ckafka"]["reading"]) == (0, reading)
    assert cases["trigger-ckafka"]["is_default_here"] == waits
    assert {call.action for call in command.endpoint.calls} == {
        *("GetFunction", "GetFunctionEventInvokeConfig", "GetFunctionLogs")
    }
    assert command.left() == ["consume"]
    assert "\nreads logs of a function of yours: trigger-ckafka\n" in command.errors


@pytest.mark.parametrize(
    ("script", "options", "sentence"),
    [
        (failed(), {}, "consume is an async function, which lets no caller wait"),
        (finished(), {"async_run": False}, "consume has no log of a message that failed"),
        (None, {}, "GetFunction: ResourceNotFound.Function: "),
    ],
)
def test_a_function_that_cannot_show_it_decides_nothing(
    asked: Callable[..., Asked], script: Any, options: dict[str, Any], sentence: str
) -> None:
    command = asked()
    if script is not None:
        command.endpoint.runtime.deploy_scripted("consume", [script], **options).trigger("ckafka")

    code, cases = command.report("--case=trigger-ckafka", "--ckafka-function=consume")

    assert (code, cases["trigger-ckafka"]["outcome"]) == (1, "undecided")
    assert cases["trigger-ckafka"]["detail"].startswith(sentence)


def test_a_function_without_retries_decides_nothing(asked: Callable[..., Asked]) -> None:
    command = asked()
    function = command.endpoint.runtime.deploy_scripted("consume", [failed()], async_run=False)
    function.update_event_invoke_config(retry_num=0)
    function.trigger("ckafka")

    code, cases = command.report("--case=trigger-ckafka", "--ckafka-function=consume")

    assert (code, cases["trigger-ckafka"]["detail"]) == (1, "consume has no retries, as its RetryNum is 0")


def test_what_reads_a_function_of_the_user_is_left_out_without_one(asked: Callable[..., Asked]) -> None:
    code, cases = asked().report("--case=trigger-ckafka")

    assert code == 0
    assert (cases["trigger-ckafka"]["outcome"], cases["trigger-ckafka"]["detail"]) == (
        *("left out", "needs --ckafka-function"),
    )


# -- a platform that takes its time ----------------------------------------------------------------------------------

LAG = timedelta(seconds=10)
LOGS = {case.id for case in CASES if case.logs}


def lagging(runtime: ScfRuntime, answered: dict[str, Any]) -> dict[str, Any]:
    """What *answered* was a while ago: events that have ended since are RUNNING in it."""
    for row in [answered["Result"]] if "Result" in answered else answered["EventList"]:
        ended = runtime.event(row["InvokeRequestId"]).ended_at
        if ended is not None and runtime.clock.now < ended + LAG:
            running = {"Status": "RUNNING", "StatusCode": 0, "EndTime": ""}
            row |= {name: running[name] for name in running.keys() & row.keys()}
    return answered


@pytest.fixture
def lags(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint's statuses lag behind."""
    for name in ("GetAsyncEventStatus", "ListAsyncEvents"):
        action = ACTIONS[name]
        late = partial(lambda action, runtime, sent: lagging(runtime, action.perform(runtime, sent)), action)
        monkeypatch.setitem(ACTIONS, name, dataclasses.replace(action, call=late))


@pytest.mark.usefixtures("lags")
def test_a_platform_that_is_slow_and_has_no_logs_changes_no_reading(asked: Callable[..., Asked]) -> None:
    """Deletions take time, statuses lag, and GetFunctionLogs is gone: the cases that need it say so, and no other."""
    command = asked(function_states="timed", function_state_time=5)
    command.endpoint.fail("GetFunctionLogs", code="ActionOffline", times=None)

    code, cases = command.report()

    assert code == 1
    assert {id_ for id_, case in cases.items() if case["outcome"] == "undecided"} == LOGS - NOT_ASKED
    assert {cases[id_]["detail"].partition(":")[0] for id_ in LOGS - NOT_ASKED} == {"GetFunctionLogs"}
    others = {id_: case for id_, case in cases.items() if not case["is_default_here"] and id_ not in NOT_ASKED | LOGS}
    assert others == {}
    assert command.left() == []
    assert not command.state.exists()


def test_deletions_are_waited_for_and_the_namespace_goes_with_its_functions(asked: Callable[..., Asked]) -> None:
    command = asked(function_states="timed", function_state_time=30)

    assert command("--case=delete-namespace-with-functions")[0] == 0
    assert command.left() == []
    assert not command.state.exists()


def test_a_deletion_that_does_not_end_is_said_and_stays_in_the_state_file(asked: Callable[..., Asked]) -> None:
    command = asked()
    command("launch", "--case=expiry-counts-from", "--case=delete-namespace-with-functions")
    command.endpoint.fail("GetFunction", code="FailedOperation", message="not now", times=None)

    assert command("cleanup")[0] == 1
    assert command.errors.count(" is still there: GetFunction: FailedOperation: not now") == 2
    (namespace,) = [name for name in command.left() if name.endswith("-ns")]
    assert f"namespace/{namespace} is still there: it is in use, after 120 s\n" in command.errors
    assert "something is still there: conformance cleanup --state " in command.errors
    assert namespace in command.state.read_text()


def test_a_function_that_is_being_changed_is_waited_for_too(asked: Callable[..., Asked]) -> None:
    command = asked(function_states="timed", function_state_time=100)
    command("launch", "--case=list-limit-zero")
    (function,) = command.endpoint.runtime.functions.values()
    function.update(description="takes its time")

    assert command("cleanup")[0] == 0  # Updating and Deleting take 100 s each
    assert command.left() == []


# -- what it says before it begins -----------------------------------------------------------------------------------


def test_it_says_what_it_creates_and_what_may_be_billed_before_it_begins(asked: Callable[..., Asked]) -> None:
    command = asked()

    code, said = command("--dry-run")
    command("--case=terminate-forced-error-line")

    assert code == 0
    assert said.splitlines()[3:6] == [
        (
            "logs: no topic is given, so the platform makes one (SCF_logset*, SCF_logtopic*) in CLS unless it is "
            "there, and keeps logs for 7 days (document 39328); it is not deleted. --cls-topic names another one"
        ),
        "may be billed: invocations and GB-seconds; what CLS keeps of their logs, by itself",
        "deletes: all that it has created; nothing else is changed",
    ]
    (undecided,) = [line for line in said.splitlines() if line.startswith("undecided")]
    where, _, ids = undecided.rpartition(": ")
    assert where == "undecided where GetFunctionLogs is gone, as announced (document 39328)"
    assert set(ids.split(", ")) == LOGS - NOT_ASKED
    before, _, _ = command.errors.partition("[1/1] terminate-forced-error-line\n")
    assert [line.partition(":")[0] for line in before.splitlines()[1:]] == [
        *("creates", "invokes", "logs", "may be billed", "deletes"),
        "undecided where GetFunctionLogs is gone, as announced (document 39328)",
    ]


def test_a_log_topic_can_be_given(asked: Callable[..., Asked]) -> None:
    command = asked()

    assert command("--case=list-limit-zero", "--cls-topic", "set-1", "topic-2")[0] == 0

    assert "\nlogs: go to the topic topic-2 of the logset set-1\n" in command.errors
    (created,) = [call for call in command.endpoint.calls if call.action == "CreateFunction"]
    assert (created.parameters["ClsLogsetId"], created.parameters["ClsTopicId"]) == ("set-1", "topic-2")


def test_without_a_topic_none_is_sent_and_one_id_alone_is_refused(asked: Callable[..., Asked]) -> None:
    command = asked()

    assert command("--case=list-limit-zero")[0] == 0
    (created,) = [call for call in command.endpoint.calls if call.action == "CreateFunction"]
    assert not {"ClsLogsetId", "ClsTopicId"} & created.parameters.keys()
    with pytest.raises(SystemExit):
        command("--cls-topic", "set-1")


def test_what_creates_nothing_names_no_logs(asked: Callable[..., Asked]) -> None:
    assert "\nlogs: " not in asked()("--dry-run", "--case=list-bad-function-name")[1]


def test_nothing_else_of_the_package_imports_it() -> None:
    """But for the row of the command."""
    package = Path(pytest_scf_async.__file__).parent
    importing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if path.parent.name != "conformance"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        if "conformance" in ast.unparse(node)
    }
    assert importing == {"wings/commands.py"}


# -- time ------------------------------------------------------------------------------------------------------------


def test_real_time(asked: Callable[..., Asked]) -> None:
    command = asked()
    with command.endpoint.runtime.clock.running():
        code, cases = command.report("--case=status-code-while-running", "--begin=0.1", clock=False)

    assert (code, cases["status-code-while-running"]["reading"]) == (0, "0")


# -- what takes days -------------------------------------------------------------------------------------------------


def test_what_takes_days_is_asked_in_two_phases(asked: Callable[..., Asked]) -> None:
    command = asked()
    clock = command.endpoint.runtime.clock
    chosen = [f"--case={id_}" for id_ in sorted(LONG)]

    code, cases = command.report("launch", *chosen)
    assert (code, {case["outcome"] for case in cases.values()}) == (0, {"pending"})
    code, cases = command.report("check", *chosen)
    assert (code, {case["outcome"] for case in cases.values()}) == (0, {"pending"})
    clock.advance(72 * 3600 + 1800)
    code, cases = command.report("check", *chosen)
    assert {id_: case["outcome"] for id_, case in cases.items()} == {
        "expiry-after-72-hours": "pending",
        "expiry-counts-from": "reading",
    }
    clock.advance(3600)
    code, cases = command.report("check", *chosen)
    assert code == 0
    assert {id_: case["reading"] for id_, case in cases.items()} == {
        "expiry-after-72-hours": UNKNOWN,
        "expiry-counts-from": ACCEPTED,
    }

    (left,) = command.left()
    assert command("cleanup", "--dry-run") == (0, f"deletes: default/{left}\n")
    assert command("cleanup")[0] == 0
    assert command.left() == []
    assert not command.state.exists()


def test_a_check_that_comes_too_late_decides_nothing(asked: Callable[..., Asked]) -> None:
    command = asked()
    command("launch", "--case=expiry-counts-from")
    command.endpoint.runtime.clock.advance(80 * 3600)

    code, cases = command.report("check", "--case=expiry-counts-from")

    assert (code, cases["expiry-counts-from"]["outcome"]) == (1, "undecided")
    assert cases["expiry-counts-from"]["detail"].startswith("it had to be asked until ")
    assert command("cleanup")[0] == 0


# -- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["InternalError", "AuthFailure.UnauthorizedOperation", "lost"])
def test_an_error_on_the_way_is_no_reading(asked: Callable[..., Asked], how: str) -> None:
    command = asked()
    if how == "lost":
        command.endpoint.drop("TerminateAsyncEvent", "request")
    else:
        command.endpoint.fail("TerminateAsyncEvent", code=how)

    code, cases = command.report("--case=terminate-ended", "--case=list-limit-101")

    assert code == 1
    assert cases["terminate-ended"]["outcome"] == "undecided"
    assert cases["terminate-ended"]["reading"] is None
    assert ("ClientNetworkError" if how == "lost" else how) in cases["terminate-ended"]["detail"]
    assert cases["list-limit-101"]["outcome"] == "reading"
    assert command.left() == []


def test_an_answer_that_no_reading_foresees(asked: Callable[..., Asked]) -> None:
    command = asked()
    command.endpoint.fail("ListAsyncEvents", code="FailedOperation", when={"Limit": 0})

    code, output = command("--case=list-limit-zero", "--format=junit")

    assert code == 1
    suite = ElementTree.fromstring(output)
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == 'UNFORESEEN: {"answer": "FailedOperation"} none of the readings'


def test_limits_of_requests_are_waited_for(asked: Callable[..., Asked]) -> None:
    command = asked()
    command.endpoint.fail("ListAsyncEvents", code="RequestLimitExceeded", times=2)

    assert command("--case=list-limit-101")[0] == 0
    assert command.count("ListAsyncEvents") == 3


def test_what_cannot_be_deleted_stays_in_the_state_file(asked: Callable[..., Asked]) -> None:
    command = asked()
    command.endpoint.fail("DeleteFunction", code="FailedOperation.DeleteFunction")

    assert command("--case=list-limit-101")[0] == 1
    assert "is still there: DeleteFunction: FailedOperation.DeleteFunction" in command.errors
    (left,) = command.left()
    assert left in command.state.read_text()
    assert command("--case=list-limit-101")[0] == 1
    assert "names what an earlier run has created" in command.errors

    assert command("cleanup")[0] == 0
    assert command.left() == []


def test_an_abort_deletes_what_there_is(asked: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    command = asked()
    from pytest_scf_async.conformance.bench import Bench

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command("--case=terminate-forced")

    assert command.left() == []
    assert not command.state.exists()
    ends = [call.action for call in command.endpoint.calls if call.action in ("TerminateAsyncEvent", "DeleteFunction")]
    assert ends == ["TerminateAsyncEvent", "DeleteFunction"]  # what deletion does to events is a question itself


def test_what_was_created_without_an_answer_is_deleted(asked: Callable[..., Asked]) -> None:
    command = asked()
    command.endpoint.drop("CreateFunction", "response")

    assert command("--case=list-limit-101")[0] == 1
    assert command.count("CreateFunction") == 1
    assert command.left() == []


def test_no_event_outlives_its_case(asked: Callable[..., Asked]) -> None:
    command = asked()
    command("--case=status-code-while-running", "--case=end-time-while-running")

    first, second = command.endpoint.runtime.events
    assert (first.status, second.status) == ("ABORTED", "ABORTED")
    assert first.ended_at is not None
    assert first.ended_at <= second.started_at


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--case=list-limit",), "--case list-limit is not a case; did you mean 'list-limit-zero'?"),
        (("check",), "scf-conformance.json cannot be read: No such file or directory"),
        (("cleanup", "--state=foreign.json"), "foreign.json is not a state file of this command: a name in it"),
        (("cleanup", "--state=broken.json"), "broken.json is not a state file of this command"),
        (("cleanup", "--state=elsewhere.json"), "elsewhere.json belongs to scf.tencentcloudapi.com"),
        (("--clock=nowhere",), "--clock nowhere is not the address of a clock"),
        (("--state=none/state.json",), "none/state.json cannot be written"),
    ],
)
def test_what_it_refuses(asked: Callable[..., Asked], arguments: tuple[str, ...], sentence: str) -> None:
    command = asked()
    state: dict[str, Any] = {
        "version": 1,
        "prefix": "scf-conf-00000000",
        "endpoint": "scf.tencentcloudapi.com",
        "region": "ap-x",
        "begun": "",
        "functions": [["scf-conf-00000000-traced", "default"]],
    }
    Path("elsewhere.json").write_text(json.dumps(state))
    Path("foreign.json").write_text(json.dumps({**state, "functions": [["billing", "default"]]}))
    Path("broken.json").write_text("[]")

    code, output = command(*arguments, clock=not any(argument.startswith("--clock") for argument in arguments))

    assert (code, output) == (1, "")
    assert command.errors.startswith("python -m pytest_scf_async conformance: ")
    assert sentence in command.errors
    assert command.endpoint.calls == []


def test_credentials_come_from_the_environment(asked: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    command = asked()
    monkeypatch.delenv("TENCENTCLOUD_SECRET_KEY")
    monkeypatch.setenv("TENCENTCLOUD_REGION", "")

    assert command()[0] == 1
    assert "TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_REGION must be in the environment" in command.errors


def test_what_it_would_do_is_said_without_credentials_and_without_a_region(
    asked: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = asked()
    for name in ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_REGION"):
        monkeypatch.delenv(name)

    code, output = command("--dry-run", "--case=list-limit-zero")

    assert code == 0
    assert output.startswith(f"1 case at {command.endpoint.url} (no region yet)\n")


def test_it_needs_the_official_sdk(asked: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    command = asked()
    monkeypatch.setitem(sys.modules, "tencentcloud.common.credential", None)

    assert command() == (1, "")
    assert command.errors == (
        "python -m pytest_scf_async conformance: the official SDK is needed, and tencentcloud.common.credential is not "
        "installed: pip install tencentcloud-sdk-python-scf\n"
    )
