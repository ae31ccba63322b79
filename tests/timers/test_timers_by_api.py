"""CreateTrigger, ListTriggers, UpdateTriggerStatus and DeleteTrigger: the same timers, by the platform's API."""

from __future__ import annotations

import json
import urllib.request
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

import pytest
from endpoint_internals import allow_reset
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.scf.v20180416 import models
from tencentcloud.scf.v20180416.scf_client import ScfClient

from pytest_scf_async import Function, ScfEndpoint, ScfRuntime, ScfSettings
from pytest_scf_async.scripted import finished, running_for

# once: rules of the platform, and what the SDK makes of an answer: the same on all Pythons
pytestmark = pytest.mark.once

HOURLY = "0 0 * * * * *"
TIMER = {"FunctionName": "job", "TriggerName": "hourly", "Type": "timer"}


@pytest.fixture
def scf_settings(scf_settings: ScfSettings) -> ScfSettings:
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)  # 08:00:00 on the wire
    return scf_settings.replace("test", start=start)


@pytest.fixture
def job(scf_runtime: ScfRuntime) -> Function:
    return scf_runtime.deploy_scripted("job", [running_for(1), finished()])


def ask(client: ScfClient, action: str, **sent: Any) -> Any:
    """The answer of the official SDK's client."""
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(sent))
    return getattr(client, action)(request)


def refused(client: ScfClient, action: str, **sent: Any) -> tuple[str, str]:
    with pytest.raises(TencentCloudSDKException) as refusal:
        ask(client, action, **sent)
    return refusal.value.code, refusal.value.message


def listed(client: ScfClient, **sent: Any) -> list[str]:
    return [row.TriggerName for row in ask(client, "ListTriggers", FunctionName="job", **sent).Triggers]


def test_a_trigger_that_a_client_makes_is_the_functions_timer(
    scf_runtime: ScfRuntime, scf_client: ScfClient, job: Function
) -> None:
    made = ask(
        scf_client,
        "CreateTrigger",
        **TIMER,
        TriggerDesc=HOURLY,
        CustomArgument="hello",
        Description="of each hour",
        Qualifier="$DEFAULT",
    ).TriggerInfo

    assert (made.TriggerName, made.Type, made.TriggerDesc) == ("hourly", "timer", '{"cron":"0 0 * * * * *"}')
    assert (made.Enable, made.Qualifier, made.CustomArgument, made.Description) == (
        1,
        "$DEFAULT",
        "hello",
        "of each hour",
    )
    besides = json.loads(made.to_json_string())  # the SDK warns where these are read
    assert [besides[name] for name in ("AvailableStatus", "BindStatus", "TriggerAttribute", "ResourceId")] == [
        *("Available", "on", "single", "")
    ]
    assert (made.AddTime, made.ModTime) == ("2026-01-01 08:00:00", "2026-01-01 08:00:00")
    (timer,) = job.timers.values()
    assert (timer.cron, timer.message, timer.qualifier, timer.enabled) == (HOURLY, "hello", "$DEFAULT", True)

    scf_runtime.clock.advance(7200)
    assert [event.status for event in job.events] == ["FINISHED", "RUNNING"]
    page = ask(scf_client, "ListAsyncEvents", FunctionName="job", InvokeType=["TRIGGER_TIMER"], Order="ASC")
    assert [row.StartTime for row in page.EventList] == ["2026-01-01 09:00:00.000", "2026-01-01 10:00:00.000"]


def test_one_made_in_python_is_listed_and_shown_by_get_function(
    scf_runtime: ScfRuntime, scf_client: ScfClient, job: Function
) -> None:
    job.add_timer("0 0 2 * * * *", message="from the test")
    scf_runtime.clock.advance(60)
    job.add_timer(HOURLY, name="hourly", enabled=False)

    answer = ask(scf_client, "ListTriggers", FunctionName="job")
    assert (answer.TotalCount, [row.TriggerName for row in answer.Triggers]) == (2, ["hourly", "timer"])
    assert [row.Enable for row in answer.Triggers] == [0, 1]
    shown = ask(scf_client, "GetFunction", FunctionName="job").Triggers
    assert [(row.TriggerName, row.TriggerDesc, row.AddTime) for row in shown] == [
        ("timer", '{"cron":"0 0 2 * * * *"}', "2026-01-01 08:00:00"),
        ("hourly", '{"cron":"0 0 * * * * *"}', "2026-01-01 08:01:00"),
    ]


def test_lists_are_ordered_filtered_and_in_pages(scf_runtime: ScfRuntime, scf_client: ScfClient, job: Function) -> None:
    assert listed(scf_client) == []
    for name, qualifier in (("a", "$LATEST"), ("b", "$DEFAULT"), ("c", "$LATEST")):
        job.add_timer(HOURLY, name=name, qualifier=qualifier, description=f"the {name}", enabled=name != "a")
        scf_runtime.clock.advance(1)
    job.timers["a"].enable()

    assert listed(scf_client) == ["a", "c", "b"]
    assert listed(scf_client, Order="ASC") == ["b", "c", "a"]
    assert listed(scf_client, OrderBy="add_time", Order="ASC") == ["a", "b", "c"]
    assert listed(scf_client, OrderBy="add_time", Offset=1, Limit=1) == ["b"]
    assert listed(scf_client, Filters=[{"Name": "Qualifier", "Values": ["$LATEST"]}]) == ["a", "c"]
    assert listed(scf_client, Filters=[{"Name": "TriggerName", "Values": ["a", "b"]}]) == ["a", "b"]
    assert listed(scf_client, Filters=[{"Name": "Description", "Values": ["the c"]}]) == ["c"]

    assert refused(scf_client, "ListTriggers", FunctionName="job", Order="UP")[0] == "InvalidParameterValue.Order"
    assert refused(scf_client, "ListTriggers", FunctionName="job", OrderBy="name")[0] == "InvalidParameterValue.OrderBy"
    filters = [{"Name": "Type", "Values": ["timer"]}]
    code, message = refused(scf_client, "ListTriggers", FunctionName="job", Filters=filters)
    assert (code, "its names must be among Qualifier, TriggerName, Description" in message) == (
        "InvalidParameterValue.Filters",
        True,
    )
    assert refused(scf_client, "ListTriggers", FunctionName="none")[0] == "ResourceNotFound.Function"


def test_on_off_and_gone(scf_runtime: ScfRuntime, scf_client: ScfClient, job: Function) -> None:
    ask(scf_client, "CreateTrigger", **TIMER, TriggerDesc=HOURLY, Enable="CLOSE")
    scf_runtime.clock.advance(3600)
    assert job.events == []
    code, message = refused(scf_client, "UpdateTriggerStatus", **TIMER, Enable="CLOSE")
    assert code == "FailedOperation.UpdateTriggerStatus"
    assert "The trigger 'hourly' is off already." in message

    ask(scf_client, "UpdateTriggerStatus", **TIMER, Enable="OPEN")
    (row,) = ask(scf_client, "ListTriggers", FunctionName="job").Triggers
    assert (row.Enable, row.AddTime, row.ModTime) == (1, "2026-01-01 08:00:00", "2026-01-01 09:00:00")
    scf_runtime.clock.advance(3600)
    assert len(job.events) == 1

    ask(scf_client, "DeleteTrigger", **TIMER, TriggerDesc=row.TriggerDesc)
    scf_runtime.clock.advance(3600)
    assert (len(job.events), job.timers) == (1, {})
    code, message = refused(scf_client, "DeleteTrigger", **TIMER)
    assert code == "ResourceNotFound.Trigger"
    assert "Function 'job' has no timer 'hourly' of $LATEST; it has none." in message


def test_it_is_found_by_the_qualifier_that_it_was_made_for(scf_client: ScfClient, job: Function) -> None:
    job.add_timer(HOURLY, name="hourly", qualifier="$DEFAULT")
    for action in ("DeleteTrigger", "UpdateTriggerStatus"):
        code, message = refused(scf_client, action, **TIMER, **({"Enable": "CLOSE"} if "Update" in action else {}))
        assert code == "ResourceNotFound.Trigger"
        assert "Function 'job' has no timer 'hourly' of $LATEST; it has 'hourly' of $DEFAULT." in message
    ask(scf_client, "UpdateTriggerStatus", **TIMER, Enable="CLOSE", Qualifier="$DEFAULT")
    assert not job.timers["hourly"].enabled
    ask(scf_client, "DeleteTrigger", **TIMER, Qualifier="$DEFAULT")
    assert job.timers == {}


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        ({"TriggerDesc": "*/2****"}, "InvalidParameterValue.TriggerDesc", "it has 1 field, and must have 7"),
        (
            {"TriggerDesc": '{"cron":"0 0 2 * * * *"}'},
            "InvalidParameterValue.TriggerDesc",
            'its second has \'{"cron":"0\'',
        ),
        ({}, "InvalidParameterValue.TriggerDesc", "TriggerDesc='' is not a Cron expression: it has 0 fields"),
        ({"TriggerDesc": HOURLY, "TriggerName": "1"}, "InvalidParameterValue.TriggerName", "start with a letter"),
        (
            {"TriggerDesc": HOURLY, "Type": "cos"},
            "UnsupportedOperation",
            "A trigger of the type cos (only of the type timer)",
        ),
        (
            {"TriggerDesc": HOURLY, "Type": "clock"},
            "InvalidParameterValue.Type",
            "Type='clock' is not valid: it must be timer",
        ),
        ({"TriggerDesc": HOURLY, "Enable": "TRUE"}, "InvalidParameterValue.Enable", "it must be OPEN or CLOSE"),
        ({"TriggerDesc": HOURLY, "Qualifier": "7"}, "ResourceNotFound.Qualifier", "no version or alias '7'"),
        ({"TriggerDesc": HOURLY, "CustomArgument": "x" * 5000}, "InvalidParameterValue.CustomArgument", "4,096 bytes"),
        ({"TriggerDesc": HOURLY, "Description": "x" * 1001}, "InvalidParameterValue.Description", "1,000 characters"),
        ({"TriggerDesc": HOURLY, "FunctionName": "none"}, "ResourceNotFound.Function", "There is no function 'none'"),
        ({"TriggerDesc": HOURLY, "Namespace": "none"}, "ResourceNotFound.Namespace", "There is no namespace 'none'"),
        ({"TriggerDesc": HOURLY, "TriggerName": "taken"}, "ResourceInUse.TriggerName", "has a trigger 'taken' already"),
    ],
)
def test_what_is_refused(scf_client: ScfClient, job: Function, sent: dict[str, str], code: str, message: str) -> None:
    job.add_timer(HOURLY, name="taken")
    refusal = refused(scf_client, "CreateTrigger", **{**TIMER, **sent})
    assert refusal[0] == code
    assert message in refusal[1]
    assert [*job.timers] == ["taken"]


def test_a_reset_of_serve_leaves_no_timer(scf_settings: ScfSettings) -> None:
    with ExitStack() as resources:

        def new_runtime() -> ScfRuntime:
            runtime = resources.enter_context(ScfRuntime(scf_settings))
            runtime.deploy_scripted("job", [finished()])
            return runtime

        endpoint = resources.enter_context(ScfEndpoint(new_runtime()))
        allow_reset(endpoint, new_runtime, ScfRuntime.close)
        endpoint.runtime.function("job").add_timer(HOURLY)

        def control(path: str, **body: Any) -> None:
            with urllib.request.urlopen(f"{endpoint.url}/_scf/{path}", json.dumps(body).encode(), timeout=60) as answer:
                assert answer.status == 200

        control("clock/advance", seconds=3600)
        assert len(endpoint.runtime.events) == 1
        control("reset")
        control("clock/advance", seconds=86_400)
        assert (endpoint.runtime.events, endpoint.runtime.function("job").timers) == ([], {})
