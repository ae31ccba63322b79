"""Invoke, InvokeFunction, GetRequestStatus and GetFunctionLogs (documents 17243, 58400, 65348, 18583)."""

from __future__ import annotations

from typing import Any, Final

from ..runtime import ScfRuntime
from .action import Action
from .operations.invocations import InvocationResult
from .parameters import Parameters
from .values import answered, keywords, time_of

_INVOKE: Final = ("Namespace", "Qualifier", "InvocationType", "ClientContext", "Event", "LogType", "RoutingKey")
"""The parameters of both actions that invoke."""


def _invoke(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _invoked(runtime, runtime.invoke(sent["FunctionName"], **keywords(sent, *_INVOKE)))


def _invoke_function(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _invoked(runtime, runtime.invoke_function(sent["FunctionName"], **keywords(sent, *_INVOKE)))


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


def _get_request_status(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    page = runtime.request_status(
        sent["FunctionName"],
        sent["FunctionRequestId"],
        **keywords(sent, "Namespace"),
        **_window(runtime, sent),
    )
    return answered(page, runtime.settings.time_zone)


def _get_function_logs(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    names = ("Namespace", "Qualifier", "Order", "OrderBy", "Offset", "Limit")
    page = runtime.function_logs(
        sent["FunctionName"],
        **keywords(sent, *names, FunctionRequestId="request_id"),
        **keywords(sent.get("Filter", {}), "RetCode"),
        **_window(runtime, sent),
    )
    return {
        **answered(page, runtime.settings.time_zone),
        "SearchContext": {"Offset": "", "Limit": 0, "Keyword": "", "Type": ""},
    }


INVOCATION_ACTIONS: Final = (
    Action("Invoke", _invoke, requests_per_second=100, takes_time=True),
    Action("InvokeFunction", _invoke_function, requests_per_second=10_000, takes_time=True),
    Action("GetRequestStatus", _get_request_status),
    Action("GetFunctionLogs", _get_function_logs, requests_per_second=5),
)
