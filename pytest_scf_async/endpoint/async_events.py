"""ListAsyncEvents, GetAsyncEventStatus and TerminateAsyncEvent (documents 52501, 65704, 52500)."""

from __future__ import annotations

from typing import Any

from ..runtime import ScfRuntime
from .action import action
from .parameters import Parameters
from .values import answered, called, event_time, interval_of


@action(
    "ListAsyncEvents",
    "FunctionName! Namespace Qualifier InvokeType=[String] Status=[String] StartTimeInterval=TimeInterval "
    "EndTimeInterval=TimeInterval Order Orderby Offset=Integer Limit=Integer InvokeRequestId",
)
def _list_async_events(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    zone = runtime.settings.time_zone
    page = called(
        runtime.list_async_events,
        sent,
        start_time_interval=interval_of(sent.get("StartTimeInterval"), "StartTimeInterval", zone),
        end_time_interval=interval_of(sent.get("EndTimeInterval"), "EndTimeInterval", zone),
    )
    return {
        "TotalCount": page.total_count,
        "EventList": [answered(summary, zone, event_time) for summary in page.events],
    }


@action("GetAsyncEventStatus", "InvokeRequestId!")
def _get_async_event_status(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    status = runtime.get_async_event_status(sent["InvokeRequestId"])
    return {"Result": answered(status, runtime.settings.time_zone)}


@action("TerminateAsyncEvent", "FunctionName! InvokeRequestId! Namespace GraceShutdown=Boolean", takes_time=True)
def _terminate_async_event(runtime: ScfRuntime, sent: Parameters) -> None:
    called(runtime.terminate_async_event, sent, request_id=sent["InvokeRequestId"])
