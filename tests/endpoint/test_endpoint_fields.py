"""Each parameter of the API reaches what it is for, and each field of an answer shows what is so."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from random import Random
from typing import Any

import pytest
from process_support import eventually
from tc3 import signed
from test_endpoint_functions import zip_of

from pytest_scf_async import ScfRuntime, ScfSettings
from pytest_scf_async.endpoint.actions import ACTIONS, OTHER_ACTIONS
from pytest_scf_async.endpoint.endpoint import Endpoint
from pytest_scf_async.endpoint.http_request import HttpRequest

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

HANDLER = """
import time

def main_handler(event, context):
    print("page", event["page"])
    time.sleep(1.25)
    if event["page"] == 0:
        raise ValueError("no page")
    return event["page"]
"""
INDEX = zip_of({"index.py": HANDLER})


class Caller:
    """Calls the API of a runtime."""

    def __init__(self, runtime: ScfRuntime) -> None:
        self.runtime = runtime
        self.endpoint = Endpoint(runtime)

    def __call__(self, action: str, **sent: Any) -> dict[str, Any]:
        """What is answered, without its RequestId; of a refusal ``{"Error": code}``."""
        own = self.endpoint.own_credential
        http = HttpRequest("POST", "/", "", {"x-tc-action": action}, json.dumps(sent).encode())
        answer = self.endpoint.answer(signed(http, own.secret_id, own.secret_key))
        assert answer is not None
        response: dict[str, Any] = json.loads(answer.body)["Response"]
        del response["RequestId"]
        return {"Error": response["Error"]["Code"]} if "Error" in response else response


@pytest.fixture
def scf_settings(scf_settings: ScfSettings) -> ScfSettings:
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)  # 08:00:00 on the wire
    return scf_settings.replace("test", start=start, never_run="ignore", unfinished="ignore")


@pytest.fixture
def call(scf_runtime: ScfRuntime) -> Caller:
    """Two functions and their versions, an alias and two namespaces, each thing a minute after the one before."""
    caller = Caller(scf_runtime)
    runtime = {"Code": {"ZipFile": INDEX}, "Runtime": "Python3.10"}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("CreateNamespace", {"Namespace": "reports", "Description": "of each night"}),
        ("CreateNamespace", {"Namespace": "archive", "Description": "of each year"}),
        (
            "CreateFunction",
            {
                "FunctionName": "export",
                "Description": "exports pages",
                "Handler": "index.main_handler",
                "Timeout": 60,
                "InitTimeout": 30,
                "MemorySize": 256,
                "Environment": {"Variables": [{"Key": "BUCKET", "Value": "exports"}]},
                "AsyncRunEnable": "TRUE",
                "TraceEnable": "TRUE",
                **runtime,
            },
        ),
        ("CreateFunction", {"FunctionName": "summary", "Description": "of all pages", "MemorySize": 128, **runtime}),
        ("CreateFunction", {"FunctionName": "export", "Namespace": "reports", **runtime}),
        ("PublishVersion", {"FunctionName": "export", "Description": "the first"}),
        ("UpdateFunctionConfiguration", {"FunctionName": "export", "Timeout": 90, "Publish": "TRUE"}),
        (
            "CreateAlias",
            {
                "FunctionName": "export",
                "Name": "live",
                "FunctionVersion": "1",
                "Description": "for all",
                "RoutingConfig": {"AdditionalVersionWeights": [{"Version": "2", "Weight": 0.25}]},
            },
        ),
    ]
    for action, sent in steps:
        assert "Error" not in caller(action, **sent), action
        scf_runtime.clock.advance(60)
    return caller


def picked(answered: Any, expected: Any) -> Any:
    """What is in *answered* of the fields that *expected* has."""
    if isinstance(expected, Mapping) and isinstance(answered, Mapping):
        return {name: picked(answered.get(name), value) for name, value in expected.items()}
    if isinstance(expected, list) and isinstance(answered, list) and len(answered) == len(expected):
        return [picked(*both) for both in zip(answered, expected, strict=True)]
    return answered


ROUTING = {"AdditionalVersionWeights": [{"Version": "2", "Weight": 0.25}], "AddtionVersionMatchs": []}
NO_ROUTING = {"AdditionalVersionWeights": [], "AddtionVersionMatchs": []}
RULE = {"Version": "2", "Key": "invoke.headers.User", "Method": "exact", "Expression": "Lin"}


def named(*names: str) -> list[dict[str, str]]:
    return [{"FunctionName": name} for name in names]


def of_namespaces(*names: str) -> list[dict[str, str]]:
    return [{"Name": name} for name in names]


@pytest.mark.parametrize(
    ("action", "sent", "answer"),
    [
        (
            "GetFunction",
            {"FunctionName": "export"},
            {
                "FunctionName": "export",
                "Namespace": "default",
                "FunctionVersion": "$LATEST",
                "Qualifier": "$LATEST",
                "Description": "exports pages",
                "Status": "Active",
                "AvailableStatus": "Available",
                "Type": "Event",
                "Runtime": "Python3.10",
                "Handler": "index.main_handler",
                "CodeSize": len(HANDLER),
                "Timeout": 90,
                "InitTimeout": 30,
                "MemorySize": 256,
                "Environment": {"Variables": [{"Key": "BUCKET", "Value": "exports"}]},
                "AsyncRunEnable": "TRUE",
                "TraceEnable": "TRUE",
                "AddTime": "2026-01-01 08:02:00",
                "ModTime": "2026-01-01 08:06:00",
                "Triggers": [],
                "Layers": [],
                "Tags": [],
                "Role": "",
                "VpcConfig": {"VpcId": "", "SubnetId": ""},
            },
        ),
        (
            "GetFunction",
            {"FunctionName": "export", "Qualifier": "1"},
            {
                "FunctionVersion": "1",
                "Qualifier": "1",
                "Description": "the first",
                "Timeout": 60,
                "AddTime": "2026-01-01 08:05:00",
            },
        ),
        (
            "GetFunction",
            {"FunctionName": "export", "Namespace": "reports"},
            {
                "Namespace": "reports",
                "Timeout": 3,
                "InitTimeout": 65,
                "MemorySize": 128,
                "AsyncRunEnable": "FALSE",
                "TraceEnable": "FALSE",
                "Environment": {"Variables": []},
                "Description": "",
                "AddTime": "2026-01-01 08:04:00",
            },
        ),
        (
            "ListFunctions",
            {},
            {
                "TotalCount": 2,
                "Functions": [
                    {
                        "FunctionName": "summary",
                        "Namespace": "default",
                        "Description": "of all pages",
                        "Runtime": "Python3.10",
                        "Status": "Active",
                        "Type": "Event",
                        "AsyncRunEnable": "FALSE",
                        "TraceEnable": "FALSE",
                        "AddTime": "2026-01-01 08:03:00",
                        "ModTime": "2026-01-01 08:03:00",
                    },
                    {"FunctionName": "export", "AsyncRunEnable": "TRUE", "ModTime": "2026-01-01 08:06:00"},
                ],
            },
        ),
        ("ListFunctions", {"Order": "ASC"}, {"Functions": named("export", "summary")}),
        ("ListFunctions", {"Orderby": "ModTime"}, {"Functions": named("export", "summary")}),
        ("ListFunctions", {"Orderby": "FunctionName"}, {"Functions": named("summary", "export")}),
        ("ListFunctions", {"Offset": 1}, {"TotalCount": 2, "Functions": named("export")}),
        ("ListFunctions", {"Limit": 1}, {"TotalCount": 2, "Functions": named("summary")}),
        ("ListFunctions", {"SearchKey": "exp"}, {"TotalCount": 1, "Functions": named("export")}),
        ("ListFunctions", {"Description": "all"}, {"TotalCount": 1, "Functions": named("summary")}),
        ("ListFunctions", {"Namespace": "reports"}, {"Functions": [{"AddTime": "2026-01-01 08:04:00"}]}),
        (
            "ListFunctions",
            {"Filters": [{"Name": "AsyncRunEnable", "Values": ["TRUE"]}]},
            {"TotalCount": 1, "Functions": named("export")},
        ),
        (
            "ListVersionByFunction",
            {"FunctionName": "export"},
            {
                "TotalCount": 3,
                "FunctionVersion": ["$LATEST", "2", "1"],
                "Versions": [
                    {"Version": "$LATEST", "Description": "exports pages"},
                    {"Version": "2", "Description": "", "AddTime": "2026-01-01 08:06:00"},
                    {
                        "Version": "1",
                        "Description": "the first",
                        "AddTime": "2026-01-01 08:05:00",
                        "ModTime": "2026-01-01 08:05:00",
                        "Status": "Active",
                    },
                ],
            },
        ),
        ("ListVersionByFunction", {"FunctionName": "export", "Offset": 1}, {"FunctionVersion": ["2", "1"]}),
        ("ListVersionByFunction", {"FunctionName": "export", "Limit": 1}, {"FunctionVersion": ["$LATEST"]}),
        (
            "ListVersionByFunction",
            {"FunctionName": "export", "Order": "ASC", "OrderBy": "AddTime"},
            {"FunctionVersion": ["$LATEST", "1", "2"]},
        ),
        (
            "ListVersionByFunction",
            {"FunctionName": "export", "Order": "ASC", "OrderBy": "ModTime"},
            {"FunctionVersion": ["1", "$LATEST", "2"]},
        ),
        ("ListVersionByFunction", {"FunctionName": "export", "Namespace": "reports"}, {"FunctionVersion": ["$LATEST"]}),
        (
            "GetAlias",
            {"FunctionName": "export", "Name": "live"},
            {
                "Name": "live",
                "FunctionVersion": "1",
                "Description": "for all",
                "RoutingConfig": ROUTING,
                "AddTime": "2026-01-01 08:07:00",
                "ModTime": "2026-01-01 08:07:00",
            },
        ),
        (
            "ListAliases",
            {"FunctionName": "export"},
            {
                "TotalCount": 2,
                "Aliases": [
                    {"Name": "$DEFAULT", "FunctionVersion": "$LATEST", "RoutingConfig": NO_ROUTING},
                    {"Name": "live", "FunctionVersion": "1", "Description": "for all", "RoutingConfig": ROUTING},
                ],
            },
        ),
        ("ListAliases", {"FunctionName": "export", "Offset": "1"}, {"TotalCount": 2, "Aliases": [{"Name": "live"}]}),
        ("ListAliases", {"FunctionName": "export", "Limit": "1"}, {"TotalCount": 2, "Aliases": [{"Name": "$DEFAULT"}]}),
        (
            "ListAliases",
            {"FunctionName": "export", "FunctionVersion": "2"},
            {"TotalCount": 1, "Aliases": [{"Name": "live"}]},
        ),
        ("ListAliases", {"FunctionName": "export", "Namespace": "reports"}, {"Aliases": [{"Name": "$DEFAULT"}]}),
        (
            "ListNamespaces",
            {},
            {
                "TotalCount": 3,
                "Namespaces": [
                    {"Name": "archive", "AddTime": "2026-01-01 08:01:00"},
                    {
                        "Name": "reports",
                        "Description": "of each night",
                        "AddTime": "2026-01-01 08:00:00",
                        "ModTime": "2026-01-01 08:00:00",
                        "Type": "default",
                    },
                    {"Name": "default", "Description": ""},
                ],
            },
        ),
        ("ListNamespaces", {"Order": "ASC"}, {"Namespaces": of_namespaces("default", "reports", "archive")}),
        ("ListNamespaces", {"Orderby": "Name"}, {"Namespaces": of_namespaces("reports", "default", "archive")}),
        ("ListNamespaces", {"Offset": 2}, {"TotalCount": 3, "Namespaces": of_namespaces("default")}),
        ("ListNamespaces", {"Limit": 1}, {"TotalCount": 3, "Namespaces": of_namespaces("archive")}),
        (
            "ListNamespaces",
            {"SearchKey": [{"Key": "Description", "Value": "year"}]},
            {"TotalCount": 1, "Namespaces": of_namespaces("archive")},
        ),
        (
            "GetFunctionEventInvokeConfig",
            {"FunctionName": "export"},
            {
                "AsyncTriggerConfig": {
                    "RetryConfig": [
                        {"ErrorCode": ["default"], "RetryNum": 2, "RetryInterval": 60},
                        {"ErrorCode": ["432"], "RetryNum": -1, "RetryInterval": 60},
                    ],
                    "MsgTTL": 21_600,
                }
            },
        ),
        (
            "GetFunctionEventInvokeConfig",
            {"FunctionName": "export", "Qualifier": "7"},
            {"Error": "ResourceNotFound.Version"},
        ),
        ("ListTriggers", {"FunctionName": "export"}, {"TotalCount": 0, "Triggers": []}),
        ("ListTriggers", {"FunctionName": "none"}, {"Error": "ResourceNotFound.Function"}),
        (
            "PublishVersion",
            {"FunctionName": "export", "Description": "the third"},
            {
                "FunctionVersion": "3",
                "CodeSize": len(HANDLER),
                "MemorySize": 256,
                "Description": "the third",
                "Handler": "index.main_handler",
                "Timeout": 90,
                "Runtime": "Python3.10",
                "Namespace": "default",
            },
        ),
        ("PublishVersion", {"FunctionName": "export", "Namespace": "reports"}, {"FunctionVersion": "1"}),
    ],
)
def test_an_answer(call: Caller, action: str, sent: dict[str, Any], answer: dict[str, Any]) -> None:
    answered = call(action, **sent)

    assert picked(answered, answer) == answer


FUNCTION = {"FunctionName": "export"}
OF_LATEST = ("GetFunction", FUNCTION)
OF_ALIAS = ("GetAlias", {**FUNCTION, "Name": "live"})


@pytest.mark.parametrize(
    ("action", "sent", "then", "answer"),
    [
        ("UpdateFunctionConfiguration", {"Description": "other"}, OF_LATEST, {"Description": "other", "Timeout": 90}),
        ("UpdateFunctionConfiguration", {"MemorySize": 512}, OF_LATEST, {"MemorySize": 512}),
        ("UpdateFunctionConfiguration", {"Timeout": 86_400}, OF_LATEST, {"Timeout": 86_400}),
        ("UpdateFunctionConfiguration", {"InitTimeout": 90}, OF_LATEST, {"InitTimeout": 90}),
        ("UpdateFunctionConfiguration", {"TraceEnable": "FALSE"}, OF_LATEST, {"TraceEnable": "FALSE"}),
        (
            "UpdateFunctionConfiguration",
            {"Environment": {"Variables": [{"Key": "KEY", "Value": "value"}]}},
            OF_LATEST,
            {"Environment": {"Variables": [{"Key": "KEY", "Value": "value"}]}},
        ),
        (
            "UpdateFunctionConfiguration",
            {"Publish": "TRUE"},
            ("ListVersionByFunction", FUNCTION),
            {"FunctionVersion": ["$LATEST", "3", "2", "1"]},
        ),
        (
            "UpdateFunctionConfiguration",
            {"Timeout": 60, "Namespace": "reports"},
            ("GetFunction", {**FUNCTION, "Namespace": "reports"}),
            {"Timeout": 60},
        ),
        (
            "UpdateFunctionCode",
            {"ZipFile": zip_of({"app.py": ""}), "Handler": "app.main_handler"},
            OF_LATEST,
            {"Handler": "app.main_handler", "CodeSize": 0},
        ),
        (
            "UpdateFunctionCode",
            {"Code": {"ZipFile": INDEX}, "Publish": "TRUE"},
            ("ListVersionByFunction", FUNCTION),
            {"FunctionVersion": ["$LATEST", "3", "2", "1"]},
        ),
        (
            "UpdateFunctionCode",
            {"ZipFile": zip_of({"index.py": ""}), "Namespace": "reports"},
            ("GetFunction", {**FUNCTION, "Namespace": "reports"}),
            {"CodeSize": 0},
        ),
        (
            "UpdateAlias",
            {"Name": "live", "FunctionVersion": "2"},
            OF_ALIAS,
            {
                "FunctionVersion": "2",
                "Description": "for all",
                "RoutingConfig": NO_ROUTING,
                "ModTime": "2026-01-01 08:08:00",
            },
        ),
        (
            "UpdateAlias",
            {
                "Name": "live",
                "FunctionVersion": "1",
                "Description": "for Lin",
                "RoutingConfig": {"AddtionVersionMatchs": [RULE]},
            },
            OF_ALIAS,
            {
                "Description": "for Lin",
                "RoutingConfig": {"AdditionalVersionWeights": [], "AddtionVersionMatchs": [RULE]},
            },
        ),
        ("DeleteAlias", {"Name": "live"}, OF_ALIAS, {"Error": "ResourceNotFound.Alias"}),
        (
            "UpdateNamespace",
            {"Namespace": "reports", "Description": "of each week"},
            ("ListNamespaces", {"SearchKey": [{"Key": "Namespace", "Value": "reports"}]}),
            {"Namespaces": [{"Description": "of each week", "ModTime": "2026-01-01 08:08:00"}]},
        ),
        (
            "UpdateFunctionEventInvokeConfig",
            {"AsyncTriggerConfig": {"RetryConfig": [{"RetryNum": 1}]}, "Namespace": "reports"},
            ("GetFunctionEventInvokeConfig", {**FUNCTION, "Namespace": "reports"}),
            {"AsyncTriggerConfig": {"MsgTTL": 21_600}},
        ),
        ("DeleteFunction", {"Namespace": "reports"}, OF_LATEST, {"Namespace": "default"}),
    ],
)
def test_a_change(
    call: Caller, action: str, sent: dict[str, Any], then: tuple[str, dict[str, Any]], answer: dict[str, Any]
) -> None:
    if "Namespace" not in action or "Function" in action:
        sent = {**FUNCTION, **sent}

    assert call(action, **sent) == {}

    answered = call(then[0], **then[1])
    assert picked(answered, answer) == answer


def test_a_version_is_deleted_alone(call: Caller) -> None:
    call("DeleteAlias", **FUNCTION, Name="live")

    assert call("DeleteFunction", **FUNCTION, Qualifier="1") == {}

    assert call("ListVersionByFunction", **FUNCTION)["FunctionVersion"] == ["$LATEST", "2"]


def test_a_routing_key_chooses_the_version(call: Caller) -> None:
    sent = {**FUNCTION, "Name": "live", "FunctionVersion": "1", "RoutingConfig": {"AddtionVersionMatchs": [RULE]}}
    call("UpdateAlias", **sent)

    for action in ("Invoke", "InvokeFunction"):
        for user in ("Lin", "Wang"):
            call(action, **FUNCTION, Qualifier="live", RoutingKey=json.dumps({"User": user}))

    assert [event.qualifier for event in call.runtime.events] == ["2", "1", "2", "1"]


def test_invocations_and_their_records(call: Caller) -> None:
    sync = {"FunctionName": "summary"}
    first = call("Invoke", **sync, ClientContext='{"page": 3}', LogType="Tail")["Result"]
    second = call("InvokeFunction", **sync, Event='{"page": 0}')["Result"]
    call("PublishVersion", **sync)
    third = call("Invoke", **sync, ClientContext='{"page": 5}', Qualifier="1", InvocationType="Event")["Result"]

    expected = {"RetMsg": "3", "ErrMsg": "", "Duration": 1250, "BillDuration": 1300, "InvokeResult": 0}
    assert picked(first, expected) == expected
    assert "page 3" in first["Log"]
    assert first["MemUsage"] > 100_000  # bytes
    expected = {"Log": "", "ErrMsg": "user code exception caught", "BillDuration": 1300, "InvokeResult": 430}
    assert picked(second, expected) == expected
    assert json.loads(second["RetMsg"])["statusCode"] == 430
    nothing = {
        "Log": "",
        "RetMsg": "",
        "ErrMsg": "",
        "MemUsage": 0,
        "Duration": 0,
        "BillDuration": 0,
        "InvokeResult": 0,
    }
    assert third == {**nothing, "FunctionRequestId": third["FunctionRequestId"]}

    ids = [each["FunctionRequestId"] for each in (first, second, third)]
    (row,) = call("GetRequestStatus", **sync, FunctionRequestId=ids[0])["Data"]
    assert 0 < row.pop("MemUsage") < 100  # MB
    assert row == {
        "FunctionName": "summary",
        "RetMsg": "3",
        "RequestId": ids[0],
        "StartTime": "2026-01-01 08:08:00",
        "RetCode": 0,
        "Duration": 1250,
        "RetryNum": 0,
    }
    rows = call("GetFunctionLogs", **sync)["Data"]
    assert [row["RequestId"] for row in rows] == ids[::-1]
    assert [(row["RetCode"], row["InvokeFinished"]) for row in rows] == [(2, 0), (1, 1), (0, 1)]
    assert "page 3" in rows[2].pop("Log")
    assert rows[2].pop("MemUsage") == first["MemUsage"]
    assert rows[2] == {
        "FunctionName": "summary",
        "RetMsg": "3",
        "RequestId": ids[0],
        "StartTime": "2026-01-01 08:08:00",
        "RetCode": 0,
        "InvokeFinished": 1,
        "Duration": 1250,
        "BillDuration": 1300,
        "Level": "INFO",
        "Source": "",
        "RetryNum": 0,
    }

    def found(**sent: Any) -> list[int]:
        return [ids.index(row["RequestId"]) for row in call("GetFunctionLogs", **sync, **sent)["Data"]]

    assert found(Order="asc") == [0, 1, 2]
    assert found(OrderBy="mem_usage", Order="asc")[0] == 2
    assert found(Offset=1, Limit=1) == [1]
    assert found(Filter={"RetCode": "UserCodeException"}) == [1]
    assert found(Qualifier="1") == [2]
    assert found(FunctionRequestId=ids[1]) == [1]
    assert found(StartTime="2026-01-01 08:08:01", EndTime="2026-01-01 09:00:00") == [2, 1]
    assert found(StartTime="2026-01-01 08:00:00", EndTime="2026-01-01 08:08:00") == [0]
    assert call("GetFunctionLogs", **FUNCTION, Namespace="reports")["Data"] == []
    window = {"StartTime": "2026-01-01 08:08:01", "EndTime": "2026-01-01 09:00:00"}
    assert call("GetRequestStatus", **sync, FunctionRequestId=ids[0], **window)["Data"] == []
    assert call("GetRequestStatus", **sync, FunctionRequestId=ids[1], **window)["TotalCount"] == 1


def test_times_of_events_have_milliseconds(call: Caller) -> None:
    call.runtime.clock.advance(0.0625)
    call("Invoke", **FUNCTION, ClientContext='{"page": 1}', Qualifier="$DEFAULT")
    (event,) = call("ListAsyncEvents", **FUNCTION)["EventList"]
    assert (event["StartTime"], event["EndTime"]) == ("2026-01-01 08:08:00.062", "")

    call.runtime.wait_all()

    (event,) = call("ListAsyncEvents", **FUNCTION)["EventList"]
    assert (event["Qualifier"], event["EndTime"]) == ("$LATEST", "2026-01-01 08:08:01.312")


# -- several clients at once -------------------------------------------------------------------------------------------


def stands_in(thread: threading.Thread, name: str) -> bool:
    """Whether a function of that *name* is among the innermost two of a thread."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and name in (frame.f_code.co_name, frame.f_back.f_code.co_name if frame.f_back else "")


def test_an_action_is_done_alone(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = call.runtime.get_function
    other = threading.Thread(target=lambda: call("GetFunction", **FUNCTION))

    def get_function(*arguments: Any, **keywords: Any) -> object:
        order.append("begins")
        if len(order) == 1:
            other.start()
            assert eventually(lambda: len(order) > 1 or stands_in(other, "locked"))
        order.append("ends")
        return real(*arguments, **keywords)

    monkeypatch.setattr(call.runtime, "get_function", get_function)
    call("GetFunction", **FUNCTION)
    other.join()

    assert order == ["begins", "ends"] * 2


MADE = {"FunctionName": "made"}
OF_MANY_CLIENTS: list[tuple[str, dict[str, Any]]] = [
    ("CreateFunction", {**MADE, "Code": {"ZipFile": INDEX}, "Runtime": "Python3.10"}),
    ("CreateFunction", {**MADE, "Code": {"ZipFile": INDEX}, "Runtime": "Python3.10"}),
    ("DeleteFunction", MADE),
    ("UpdateFunctionCode", {**MADE, "ZipFile": INDEX, "Publish": "TRUE"}),
    ("PublishVersion", MADE),
    ("DeleteFunction", {**MADE, "Qualifier": "1"}),
    ("CreateAlias", {**MADE, "Name": "live", "FunctionVersion": "$LATEST"}),
    ("DeleteAlias", {**MADE, "Name": "live"}),
    ("ListAliases", MADE),
    ("ListFunctions", {}),
    ("CreateNamespace", {"Namespace": "made"}),
    ("DeleteNamespace", {"Namespace": "made"}),
    ("ListNamespaces", {}),
    ("Invoke", {**MADE, "InvocationType": "Event"}),
]


@pytest.mark.repeat
def test_many_clients_change_functions(call: Caller) -> None:
    done: Counter[tuple[str, str]] = Counter()

    def ask(number: int) -> None:
        random = Random(number)
        for _ in range(30):
            action, sent = random.choice(OF_MANY_CLIENTS)
            what = f"{action} of a version" if "Qualifier" in sent else action
            done[what, call(action, **sent).get("Error", "done")] += 1

    before, interval = call.runtime.functions, sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as clients:
            list(clients.map(ask, range(8)))
    finally:
        sys.setswitchinterval(interval)

    refused = {(what, code) for what, code in done if code != "done"}
    assert refused <= {
        *((what, "ResourceNotFound.Function") for what, _ in done),
        ("CreateFunction", "ResourceInUse.FunctionName"),
        ("DeleteFunction of a version", "ResourceNotFound.Qualifier"),
        ("CreateAlias", "ResourceInUse.Alias"),
        ("DeleteAlias", "ResourceNotFound.Alias"),
        ("CreateNamespace", "ResourceInUse.Namespace"),
        ("DeleteNamespace", "ResourceNotFound.Namespace"),
    }
    assert call.endpoint.problems == []
    left = done["CreateFunction", "done"] - done["DeleteFunction", "done"]
    assert len(call.runtime.functions) - len(before) == left
    assert len(call.runtime.namespaces) - 3 == done["CreateNamespace", "done"] - done["DeleteNamespace", "done"]


def test_an_action_is_there_or_it_is_not() -> None:
    assert sorted(OTHER_ACTIONS & set(ACTIONS)) == []
