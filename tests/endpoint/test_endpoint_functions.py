"""Functions, versions, aliases and invocations by the official SDK."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.scf.v20180416 import models

from pytest_scf_async import ScfRuntime

# once: rules of the platform, and of the endpoint: the same on all Pythons
pytestmark = pytest.mark.once

HANDLER = """
import os, time

def main_handler(event, context):
    print("page", event.get("page"), os.environ.get("BUCKET"))
    time.sleep(event.get("seconds", 0))
    if "fails" in event:
        raise ValueError(event["fails"])
    return {"version": 1, "page": event.get("page")}
"""


NODE = """
exports.main_handler = async (event) => ({ version: 1, page: event.page });
"""
BOOTSTRAP = """#!/bin/bash
api="http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime"
curl -s -d " " "$api/init/ready"
while true; do
    curl -s "$api/invocation/next" >/dev/null
    curl -s -d '{"version": 1, "handler": "'"$_HANDLER"'"}' "$api/invocation/response"
done
"""
GO = """
package main

import (
	"context"

	"scf.test/functions/cloudfunction"
)

func main() {
	cloudfunction.Start(func(context.Context, *cloudfunction.InvokeRequest) ([]byte, error) {
		return []byte(`{"version": 1}`), nil
	})
}
"""
GO_LIBRARY = Path(__file__).parents[1] / "handlers" / "go"


def zipped(**files: str) -> str:
    """A zip of files, whose names have ``_`` for the dot, in Base64."""
    return zip_of({name.replace("_", "."): text for name, text in files.items()})


def zip_of(files: Mapping[str, str]) -> str:
    """A zip of files, by name, in Base64; all of them may be executed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            archive.writestr(info, text)
    return base64.b64encode(packed.getvalue()).decode()


def call(client: Any, action: str, **sent: Any) -> dict[str, Any]:
    """What the SDK gives for an action."""
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(sent))
    answered: dict[str, Any] = json.loads(getattr(client, action)(request).to_json_string())
    return answered


def refused(client: Any, action: str, **sent: Any) -> str:
    """The code with which an action is refused."""
    with pytest.raises(TencentCloudSDKException) as raised:
        call(client, action, **sent)
    return str(raised.value.get_code())


@pytest.fixture
def export(scf_runtime: ScfRuntime, scf_client: Any) -> Any:
    """The client, with an async function that it has created."""
    call(
        scf_client,
        "CreateFunction",
        FunctionName="export",
        Code={"ZipFile": zipped(index_py=HANDLER)},
        Handler="index.main_handler",
        Runtime="Python3.10",
        Timeout=7200,
        MemorySize=256,
        Description="exports pages",
        Environment={"Variables": [{"Key": "BUCKET", "Value": "exports"}]},
        AsyncRunEnable="TRUE",
        TraceEnable="TRUE",
        Role="role",
        VpcConfig={"VpcId": "vpc-1", "SubnetId": "subnet-1"},
    )
    return scf_client


def test_a_function_that_was_created_runs(scf_runtime: ScfRuntime, export: Any) -> None:
    invoked = call(export, "Invoke", FunctionName="export", ClientContext='{"page": 3, "seconds": 60}')
    request_id = invoked["RequestId"]
    assert invoked["Result"]["FunctionRequestId"] == request_id
    assert call(export, "GetAsyncEventStatus", InvokeRequestId=request_id)["Result"]["Status"] == "RUNNING"

    event = scf_runtime.event(request_id).wait()

    assert event.result == {"version": 1, "page": 3}
    assert "page 3 exports" in str(event.log)
    assert call(export, "GetAsyncEventStatus", InvokeRequestId=request_id)["Result"]["StatusCode"] == 200


def test_what_get_and_list_say(scf_runtime: ScfRuntime, export: Any) -> None:
    scf_runtime.clock.advance(60)
    call(export, "UpdateFunctionConfiguration", FunctionName="export", Timeout=60, Environment={"Variables": []})

    got = call(export, "GetFunction", FunctionName="export")
    (row,) = call(export, "ListFunctions", SearchKey="exp")["Functions"]

    assert {name: got[name] for name in row if name in got} == {name: row[name] for name in row if name in got}
    assert (got["Status"], got["AvailableStatus"], got["Type"]) == ("Active", "Available", "Event")
    assert (got["AsyncRunEnable"], got["TraceEnable"]) == ("TRUE", "TRUE")
    assert (got["Timeout"], got["MemorySize"], got["InitTimeout"]) == (60, 256, 65)
    assert (got["Runtime"], got["Handler"], got["Description"]) == ("Python3.10", "index.main_handler", "exports pages")
    assert got["Environment"] == {"Variables": []}
    assert got["FunctionId"].startswith("lam-")
    assert got["AddTime"] < got["ModTime"]
    assert call(export, "ListTriggers", FunctionName="export")["Triggers"] == []


def test_code_that_was_updated_and_versions(scf_runtime: ScfRuntime, export: Any) -> None:
    published = call(export, "PublishVersion", FunctionName="export", Description="the first")
    assert (published["FunctionVersion"], published["Description"]) == ("1", "the first")
    second = zipped(index_py=HANDLER.replace('"version": 1', '"version": 2'))
    call(export, "UpdateFunctionCode", FunctionName="export", ZipFile=second, Handler="index.main_handler")
    call(export, "CreateAlias", FunctionName="export", Name="live", FunctionVersion="1", Description="for all")

    def version_run_by(**sent: Any) -> int:
        request_id = call(export, "Invoke", FunctionName="export", **sent)["RequestId"]
        return int(scf_runtime.event(request_id).wait().result["version"])

    assert [version_run_by(), version_run_by(Qualifier="1"), version_run_by(Qualifier="live")] == [2, 1, 1]
    assert call(export, "ListVersionByFunction", FunctionName="export")["FunctionVersion"] == ["$LATEST", "1"]
    call(export, "UpdateAlias", FunctionName="export", Name="live", FunctionVersion="$LATEST")
    assert version_run_by(Qualifier="live") == 2
    aliases = call(export, "ListAliases", FunctionName="export", Offset="0", Limit="10")["Aliases"]
    assert [(alias["Name"], alias["FunctionVersion"]) for alias in aliases] == [
        ("$DEFAULT", "$LATEST"),
        ("live", "$LATEST"),
    ]
    assert call(export, "GetAlias", FunctionName="export", Name="live")["Description"] == "for all"
    call(export, "DeleteAlias", FunctionName="export", Name="live")
    assert refused(export, "GetAlias", FunctionName="export", Name="live") == "ResourceNotFound.Alias"


def go_package(main: str) -> dict[str, str]:
    library = {name: (GO_LIBRARY / name).read_text() for name in ("go.mod", "cloudfunction/cloudfunction.go")}
    return {**library, "main.go": main}


@pytest.mark.parametrize(
    ("runtime", "files", "handler"),
    [
        ("Python3.10", {"index.py": HANDLER}, "index.main_handler"),
        pytest.param("Nodejs18.15", {"index.js": NODE}, "index.main_handler", marks=pytest.mark.nodejs),
        pytest.param("CustomRuntime", {"bootstrap": BOOTSTRAP}, "shop.export", marks=pytest.mark.curl),
        pytest.param("Go1", go_package(GO), "main", marks=pytest.mark.go),
    ],
)
def test_code_of_each_runtime_is_updated_and_keeps_its_handler(
    scf_runtime: ScfRuntime, scf_client: Any, runtime: str, files: dict[str, str], handler: str
) -> None:
    def run(**sent: Any) -> dict[str, Any]:
        request_id = call(scf_client, "Invoke", FunctionName="export", InvocationType="Event", **sent)["RequestId"]
        result: dict[str, Any] = scf_runtime.event(request_id).wait().result
        return result

    call(
        scf_client,
        "CreateFunction",
        FunctionName="export",
        Code={"ZipFile": zip_of(files)},
        Handler=handler,
        Runtime=runtime,
        AsyncRunEnable="TRUE",
        Timeout=60,
    )
    assert run()["version"] == 1
    second = {
        name: text.replace('version": 1', 'version": 2').replace("version: 1", "version: 2")
        for name, text in files.items()
    }

    call(scf_client, "UpdateFunctionCode", FunctionName="export", ZipFile=zip_of(second), Publish="TRUE")
    call(scf_client, "UpdateFunctionCode", FunctionName="export", Code={"ZipFile": zip_of(files)})

    got = call(scf_client, "GetFunction", FunctionName="export")
    assert (got["Runtime"], got["Handler"]) == (runtime, handler)
    assert (run()["version"], run(Qualifier="1")["version"]) == (1, 2)
    assert run().get("handler", handler) == handler


def test_a_function_that_was_deleted(scf_runtime: ScfRuntime, export: Any) -> None:
    request_id = call(export, "Invoke", FunctionName="export", ClientContext='{"seconds": 60}')["RequestId"]
    scf_runtime.event(request_id).settle()

    call(export, "DeleteFunction", FunctionName="export")

    assert scf_runtime.event(request_id).status == "ABORTED"
    assert refused(export, "GetFunction", FunctionName="export") == "ResourceNotFound.Function"
    assert call(export, "ListFunctions")["TotalCount"] == 0


def test_a_sync_function_answers(scf_runtime: ScfRuntime, scf_client: Any) -> None:
    call(
        scf_client,
        "CreateFunction",
        FunctionName="sync",
        Code={"ZipFile": zipped(index_py=HANDLER)},
        Runtime="Python3.10",
    )

    result = call(scf_client, "Invoke", FunctionName="sync", ClientContext='{"page": 1, "seconds": 2}', LogType="Tail")
    request_id = result["RequestId"]
    result = result["Result"]

    assert json.loads(result["RetMsg"]) == {"version": 1, "page": 1}
    assert (result["InvokeResult"], result["ErrMsg"], result["Duration"], result["BillDuration"]) == (0, "", 2000, 2000)
    assert "page 1" in result["Log"]
    (row,) = call(scf_client, "GetRequestStatus", FunctionName="sync", FunctionRequestId=request_id)["Data"]
    assert (row["RetCode"], row["RetryNum"], row["Duration"]) == (0, 0, 2000)
    failed = call(scf_client, "InvokeFunction", FunctionName="sync", Event='{"fails": "no rows"}')["Result"]
    assert (failed["InvokeResult"], failed["ErrMsg"]) == (430, "user code exception caught")
    assert "ValueError: no rows" in json.loads(failed["RetMsg"])["stackTrace"]
    logs = call(scf_client, "GetFunctionLogs", FunctionName="sync", Filter={"RetCode": "not0"})["Data"]
    assert [row["RequestId"] for row in logs] == [failed["FunctionRequestId"]]


def test_namespaces(scf_runtime: ScfRuntime, scf_client: Any) -> None:
    call(scf_client, "CreateNamespace", Namespace="reports", Description="of each night")
    assert refused(scf_client, "CreateNamespace", Namespace="reports") == "ResourceInUse.Namespace"
    call(scf_client, "UpdateNamespace", Namespace="reports", Description="of each week")

    listed = call(scf_client, "ListNamespaces")
    assert [(row["Name"], row["Description"]) for row in listed["Namespaces"]] == [
        ("reports", "of each week"),
        ("default", ""),
    ]
    found = call(scf_client, "ListNamespaces", SearchKey=[{"Key": "Namespace", "Value": "rep"}], Limit=1)
    assert (found["TotalCount"], found["Namespaces"][0]["Name"]) == (1, "reports")
    call(scf_client, "DeleteNamespace", Namespace="reports")
    assert scf_runtime.namespaces == ["default"]
    assert refused(scf_client, "DeleteNamespace", Namespace="default") == "FailedOperation.DeleteNamespace"
    cluster = {"TKE": {"ClusterID": "cls-1"}}
    assert refused(scf_client, "CreateNamespace", Namespace="other", ResourceEnv=cluster) == "UnsupportedOperation"


def test_how_often_invocations_are_tried_again(scf_runtime: ScfRuntime, export: Any) -> None:
    def retries() -> list[int]:
        config = call(export, "GetFunctionEventInvokeConfig", FunctionName="export")["AsyncTriggerConfig"]
        return [config["RetryConfig"][0]["RetryNum"], config["MsgTTL"]]

    def update(**config: Any) -> dict[str, Any]:
        return {"FunctionName": "export", "AsyncTriggerConfig": config}

    assert retries() == [2, 21_600]
    call(export, "UpdateFunctionEventInvokeConfig", **update(RetryConfig=[{"RetryNum": 0}], MsgTTL=3600))
    assert retries() == [0, 3600]
    call(export, "UpdateFunctionEventInvokeConfig", **update(RetryConfig=[{"RetryNum": 1}]))
    assert retries() == [1, 3600]
    for config, code in (
        ({"RetryConfig": [{"RetryNum": 3}]}, "LimitExceeded.RetryNum"),
        ({"MsgTTL": 21_601}, "LimitExceeded.MsgTTL"),
        ({"RetryConfig": [{"RetryNum": 1}, {"RetryNum": 1}]}, "InvalidParameterValue.AsyncTriggerConfig"),
    ):
        assert refused(export, "UpdateFunctionEventInvokeConfig", **update(**config)) == code
    assert retries() == [1, 3600]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"FunctionName": "1x"}, "InvalidParameterValue.FunctionName"),
        ({"FunctionName": "export"}, "ResourceInUse.FunctionName"),
        ({"Namespace": "daily"}, "ResourceNotFound.Namespace"),
        ({"Handler": "x"}, "InvalidParameterValue.Handler"),
        ({"MemorySize": 100}, "InvalidParameterValue.MemorySize"),
        ({"MemorySize": 4096}, "LimitExceeded.Memory"),
        ({"Timeout": 901, "AsyncRunEnable": "FALSE"}, "LimitExceeded.Timeout"),
        ({"Timeout": 86401}, "LimitExceeded.Timeout"),
        ({"InitTimeout": 301}, "LimitExceeded.InitTimeout"),
        ({"Runtime": "Cobol"}, "InvalidParameterValue.Runtime"),
        ({"Type": "Web"}, "InvalidParameterValue.Type"),
        ({"AsyncRunEnable": "yes"}, "InvalidParameterValue.AsyncRunEnable"),
        ({"TraceEnable": "yes"}, "InvalidParameterValue.TraceEnable"),
        ({"Environment": {"Variables": [{"Key": "1", "Value": ""}]}}, "InvalidParameterValue.Environment"),
        (
            {"Environment": {"Variables": [{"Key": "SCF_X", "Value": ""}]}},
            "InvalidParameterValue.EnvironmentSystemProtect",
        ),
        (
            {"Environment": {"Variables": [{"Key": "XX", "Value": "y" * 5000}]}},
            "InvalidParameterValue.EnvironmentExceededLimit",
        ),
        ({"Code": {}}, "MissingParameter.Code"),
        ({"Code": {"ZipFile": "é"}}, "InvalidParameterValue.ZipFileBase64BinasciiError"),
        ({"Code": {"ZipFile": "YWJj"}}, "InvalidParameterValue.ZipFile"),
        ({"Code": {"CosBucketName": "x"}}, "UnsupportedOperation"),
        ({"Layers": [{"LayerName": "x", "LayerVersion": 1}]}, "UnsupportedOperation"),
    ],
)
def test_functions_that_cannot_be_created(scf_runtime: ScfRuntime, export: Any, sent: Any, code: str) -> None:
    complete = {
        "FunctionName": "other",
        "Code": {"ZipFile": zipped(index_py=HANDLER)},
        "Runtime": "Python3.10",
        "AsyncRunEnable": "TRUE",
        **sent,
    }

    assert refused(export, "CreateFunction", **complete) == code
    assert list(scf_runtime.functions) == ["export"]


@pytest.mark.parametrize(
    ("action", "sent", "code"),
    [
        ("UpdateFunctionCode", {"FunctionName": "none"}, "ResourceNotFound.Function"),
        ("UpdateFunctionCode", {}, "MissingParameter.Code"),
        ("UpdateFunctionConfiguration", {"Timeout": 0}, "InvalidParameterValue"),
        ("UpdateFunctionConfiguration", {"Runtime": "Nodejs18.15"}, "InvalidParameterValue.Runtime"),
        ("PublishVersion", {"FunctionName": "none"}, "ResourceNotFound.Function"),
        ("GetFunction", {"Qualifier": "7"}, "ResourceNotFound.Version"),
        ("CreateAlias", {"Name": "live", "FunctionVersion": "7"}, "ResourceNotFound.FunctionVersion"),
        ("DeleteAlias", {"Name": "$DEFAULT"}, "FailedOperation.DeleteAlias"),
        ("ListAliases", {"Offset": "x"}, "InvalidParameterValue.Offset"),
        ("Invoke", {"FunctionName": "none"}, "ResourceNotFound.Function"),
        ("Invoke", {"ClientContext": "{"}, "InvalidParameterValue.Param"),
        ("Invoke", {"ClientContext": json.dumps("x" * 140_000)}, "InvalidParameter.RequestTooLarge"),
        ("Invoke", {"Qualifier": "7"}, "ResourceNotFound.Qualifier"),
        ("Invoke", {"InvocationType": "Later"}, "InvalidParameterValue"),
        ("GetRequestStatus", {"FunctionRequestId": ""}, "InvalidParameterValue.FunctionRequestId"),
        ("GetFunctionLogs", {"Filter": {"RetCode": "some"}}, "InvalidParameterValue.RetCode"),
        ("CreateTrigger", {"TriggerName": "x", "Type": "cos"}, "UnsupportedOperation"),
    ],
)
def test_what_is_refused(export: Any, action: str, sent: dict[str, Any], code: str) -> None:
    assert refused(export, action, **{"FunctionName": "export", **sent}) == code


@pytest.mark.parametrize(
    ("action", "sent", "message"),
    [
        ("CreateFunction", {"Code": {"ZipFile": zip_of({"x": ""})}, "Runtime": "CustomRuntime"}, "there is no "),
        (
            "CreateFunction",
            {"Code": {"DemoId": "x"}},
            "Code with DemoId (only with ZipFile, or with CosBucketName and ",
        ),
        (
            "CreateFunction",
            {"Layers": [{"LayerName": "x", "LayerVersion": 1}]},
            "A function with Layers, which nothing can publish here, is not supported.",
        ),
        (
            "ListAsyncEvents",
            {"EndTimeInterval": {"Start": "2026-01-01 09:00:00", "End": "2026-01-01 08:00:00"}},
            (
                "EndTimeInterval='2026-01-01 01:00:00 UTC to 2026-01-01 00:00:00 UTC' is not valid: it begins at or "
                "after its end"
            ),
        ),
        (
            "CreateAlias",
            {
                "Name": "live",
                "FunctionVersion": "$LATEST",
                "RoutingConfig": {"AdditionalVersionWeights": [{"Version": "$LATEST", "Weight": 0.5}]},
            },
            "RoutingConfig has '$LATEST', which is not valid: the additional version is another one",
        ),
    ],
)
def test_a_message_says_what_was_sent(export: Any, action: str, sent: dict[str, Any], message: str) -> None:
    name = "other" if action == "CreateFunction" else "export"
    export.profile.language = "en-US"

    with pytest.raises(TencentCloudSDKException) as raised:
        call(export, action, **{"FunctionName": name, **sent})

    assert message in str(raised.value.get_message())
    assert "\n" not in str(raised.value.get_message())
