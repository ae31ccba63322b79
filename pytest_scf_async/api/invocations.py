"""Invoke, InvokeFunction, GetRequestStatus and GetFunctionLogs (documents 17243, 58400, 65348, 18583)."""

from __future__ import annotations

from typing import Any, Final

from ..operations import InvocationResult
from ..runtime import ScfRuntime
from .action import Action
from .parameters import INTEGER, STRING, Field, Parameters, Struct, optional, required
from .values import renamed, second, time_of

__all__ = ["INVOCATION_ACTIONS"]

_INVOKE: Final = {
    "Namespace": "namespace",
    "Qualifier": "qualifier",
    "InvocationType": "invocation_type",
    "ClientContext": "client_context",
    "Event": "event",
    "LogType": "log_type",
    "RoutingKey": "routing_key",
}
"""What Python calls the parameters of both actions that invoke."""
_LOGS: Final = {
    "Namespace": "namespace",
    "Qualifier": "qualifier",
    "FunctionRequestId": "request_id",
    "Order": "order",
    "OrderBy": "order_by",
    "Offset": "offset",
    "Limit": "limit",
}


def _invoke(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _invoked(runtime.invoke(sent["FunctionName"], **renamed(sent, _INVOKE)))


def _invoke_function(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _invoked(runtime.invoke_function(sent["FunctionName"], **renamed(sent, _INVOKE)))


def _invoked(result: InvocationResult) -> dict[str, Any]:
    """The answer: its ``RequestId`` is the id of the invocation, as clients look the event up by it."""
    return {
        "Result": {
            "Log": result.log,
            "RetMsg": result.ret_msg,
            "ErrMsg": result.err_msg,
            "MemUsage": result.mem_usage,
            "Duration": result.duration,
            "BillDuration": result.bill_duration,
            "FunctionRequestId": result.function_request_id,
            "InvokeResult": result.invoke_result,
        },
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
        **renamed(sent, {"Namespace": "namespace"}),
        **_window(runtime, sent),
    )
    return {
        "TotalCount": page.total_count,
        "Data": [
            {
                "FunctionName": row.function_name,
                "RetMsg": row.ret_msg,
                "RequestId": row.request_id,
                "StartTime": second(row.start_time, runtime.settings.time_zone),
                "RetCode": row.ret_code,
                "Duration": row.duration,
                "MemUsage": row.mem_usage,
                "RetryNum": row.retry_num,
            }
            for row in page.data
        ],
    }


def _get_function_logs(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    keywords = {**renamed(sent, _LOGS), **_window(runtime, sent)}
    if "RetCode" in sent.get("Filter", {}):
        keywords["ret_code"] = sent["Filter"]["RetCode"]
    page = runtime.function_logs(sent["FunctionName"], **keywords)
    return {
        "TotalCount": page.total_count,
        "Data": [
            {
                "FunctionName": row.function_name,
                "RetMsg": row.ret_msg,
                "RequestId": row.request_id,
                "StartTime": second(row.start_time, runtime.settings.time_zone),
                "RetCode": row.ret_code,
                "InvokeFinished": row.invoke_finished,
                "Duration": row.duration,
                "BillDuration": row.bill_duration,
                "MemUsage": row.mem_usage,
                "Log": row.log,
                "Level": row.level,
                "Source": row.source,
                "RetryNum": row.retry_num,
            }
            for row in page.data
        ],
        "SearchContext": {"Offset": "", "Limit": 0, "Keyword": "", "Type": ""},
    }


INVOCATION_ACTIONS: Final = (
    Action(
        Struct(
            "Invoke",
            *required(STRING, "FunctionName"),
            *optional(STRING, "InvocationType", "Qualifier", "ClientContext", "LogType", "Namespace", "RoutingKey"),
        ),
        _invoke,
        requests_per_second=100,
        takes_time=True,
    ),
    Action(
        Struct(
            "InvokeFunction",
            *required(STRING, "FunctionName"),
            *optional(STRING, "Qualifier", "Event", "LogType", "Namespace", "RoutingKey"),
        ),
        _invoke_function,
        requests_per_second=10_000,
        takes_time=True,
    ),
    Action(
        Struct(
            "GetRequestStatus",
            *required(STRING, "FunctionName", "FunctionRequestId"),
            *optional(STRING, "Namespace", "StartTime", "EndTime"),
        ),
        _get_request_status,
    ),
    Action(
        Struct(
            "GetFunctionLogs",
            *required(STRING, "FunctionName"),
            *optional(INTEGER, "Offset", "Limit"),
            *optional(STRING, "Order", "OrderBy", "Namespace", "Qualifier", "FunctionRequestId"),
            *optional(STRING, "StartTime", "EndTime"),
            Field("Filter", Struct("LogFilter", *optional(STRING, "RetCode"))),
            Field(
                "SearchContext",
                Struct("LogSearchContext", *optional(STRING, "Offset", "Keyword", "Type"), *optional(INTEGER, "Limit")),
            ),
        ),
        _get_function_logs,
        requests_per_second=5,
    ),
)
