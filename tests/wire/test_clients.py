"""The same calls through Python and through each client: the same answers, and the same codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from wire_cases import CASES, SETTINGS, Answered, Client, Prepared, check, prepare

from pytest_scf_async import ScfApiError, ScfEndpoint, ScfRuntime, ScfSettings

ZONE = timezone(timedelta(hours=8))


@pytest.fixture
def scf_settings() -> ScfSettings:
    return SETTINGS


def by_runtime(prepared: Prepared, action: str, sent: Mapping[str, Any]) -> Answered:
    """What Python's own methods answer, in the form of the wire."""
    runtime = prepared.runtime
    try:
        if action == "GetAsyncEventStatus":
            status = runtime.get_async_event_status(sent["InvokeRequestId"])
            fields = {
                "Status": str(status.status),
                "StatusCode": status.status_code,
                "InvokeRequestId": status.invoke_request_id,
            }
            return {"Result": fields}, None
        if action == "TerminateAsyncEvent":
            runtime.terminate_async_event(
                sent["FunctionName"],
                sent["InvokeRequestId"],
                sent.get("Namespace", "default"),
                sent.get("GraceShutdown", False),
            )
            return {}, None
        page = runtime.list_async_events(**{PYTHON_NAMES[name]: from_wire(value) for name, value in sent.items()})
    except ScfApiError as error:
        return None, error.code
    except ValueError:
        return None, "InvalidParameterValue"  # a text that is no time: Python takes times
    return {
        "TotalCount": page.total_count,
        "EventList": [
            {
                "InvokeRequestId": event.invoke_request_id,
                "InvokeType": event.invoke_type,
                "Qualifier": event.qualifier,
                "Status": str(event.status),
                "StartTime": to_wire(event.start_time),
                "EndTime": to_wire(event.end_time),
            }
            for event in page.events
        ],
    }, None


PYTHON_NAMES = {
    "FunctionName": "function_name",
    "Namespace": "namespace",
    "Qualifier": "qualifier",
    "InvokeType": "invoke_type",
    "Status": "status",
    "StartTimeInterval": "start_time_interval",
    "EndTimeInterval": "end_time_interval",
    "Order": "order",
    "Orderby": "orderby",
    "Offset": "offset",
    "Limit": "limit",
    "InvokeRequestId": "invoke_request_id",
}


def from_wire(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return tuple(datetime.strptime(value[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE) for name in ("Start", "End"))


def to_wire(when: datetime | None) -> str:
    return "" if when is None else when.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def sdk_client(endpoint: ScfEndpoint, method: str, signature: str) -> Client:
    """The official SDK for Python, with one method of HTTP and one of signing."""
    from tencentcloud.common.credential import Credential
    from tencentcloud.common.exception import TencentCloudSDKException
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.scf.v20180416 import models
    from tencentcloud.scf.v20180416.scf_client import ScfClient

    http = HttpProfile(protocol="http", endpoint=endpoint.address, reqMethod=method)
    client = ScfClient(
        Credential(endpoint.secret_id, endpoint.secret_key),
        endpoint.region,
        ClientProfile(signMethod=signature, httpProfile=http),
    )

    def call(action: str, sent: Mapping[str, Any]) -> Answered:
        request = getattr(models, f"{action}Request")()
        request.from_json_string(json.dumps(sent))
        try:
            return json.loads(getattr(client, action)(request).to_json_string()), None
        except TencentCloudSDKException as error:
            return None, error.code

    return call


def test_python_itself(scf_runtime: ScfRuntime) -> None:
    prepared = prepare(scf_runtime)
    for case in CASES:
        check(case, prepared, lambda action, sent: by_runtime(prepared, action, sent))


@pytest.mark.parametrize("signature", ["TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_sdk_for_python(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, method: str, signature: str) -> None:
    prepared = prepare(scf_runtime)
    call = sdk_client(scf_endpoint, method, signature)
    for case in CASES:
        check(case, prepared, call)
    assert len(scf_endpoint.calls) == len(CASES)
    assert [entry.error for entry in scf_endpoint.calls] == [case.error for case in CASES]
