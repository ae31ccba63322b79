"""Invoke, InvokeFunction, GetRequestStatus and GetFunctionLogs (documents 17243, 58400, 65348, 18583)."""

from __future__ import annotations

from typing import Any

from ..runtime import ScfRuntime
from .action import action
from .functions import known_function
from .operations.invocations import InvocationResult, RequestStatusPage
from .parameters import Parameters
from .values import answered, called, time_of


@action(
    "Invoke",
    "FunctionName! InvocationType Qualifier ClientContext LogType Namespace RoutingKey",
    requests_per_second=100,
    takes_time=True,
)
def _invoke(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    answer = _invoked(runtime, called(runtime.invoke, sent))
    waits = sent.get("InvocationType") != "Event" and not known_function(runtime, sent).configuration.async_run
    if not waits and not runtime.settings.async_invoke_result:
        del answer["Result"]
    return answer


@action(
    "InvokeFunction",
    "FunctionName! Qualifier Event LogType Namespace RoutingKey",
    requests_per_second=10_000,
    takes_time=True,
)
def _invoke_function(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _invoked(runtime, called(runtime.invoke_function, sent))


def _invoked(runtime: ScfRuntime, result: InvocationResult) -> dict[str, Any]:
    """The answer: its ``RequestId`` is the id of the invocation, as clients look the event up by it."""
    return {
        "Result": answered(result, runtime.settings.time_zone),
        "RequestId": result.function_request_id,
    }


def _window(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    zone = runtime.settings.time_zone
    names = {"StartTime": "start", "EndTime": "end"}
    return {python: time_of(sent[name], name, zone) for name, python in names.items() if name in sent}


@action("GetRequestStatus", "FunctionName! FunctionRequestId! Namespace StartTime EndTime")
def _get_request_status(runtime: ScfRuntime, sent: Parameters) -> RequestStatusPage:
    return called(runtime.request_status, sent, request_id=sent["FunctionRequestId"], **_window(runtime, sent))


@action(
    "GetFunctionLogs",
    "FunctionName Offset=Integer Limit=Integer Order OrderBy Namespace Qualifier FunctionRequestId StartTime "
    "EndTime Filter=LogFilter SearchContext=LogSearchContext",
    requests_per_second=5,
)
def _get_function_logs(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    page = called(
        runtime.function_logs,
        {**sent, **sent.get("Filter", {})},
        request_id=sent.get("FunctionRequestId"),
        **_window(runtime, sent),
    )
    return {
        **answered(page, runtime.settings.time_zone),
        "SearchContext": {"Offset": "", "Limit": 0, "Keyword": "", "Type": ""},
    }
