"""ListAsyncEvents, GetAsyncEventStatus and TerminateAsyncEvent (documents 52501, 65704, 52500)."""

from __future__ import annotations

from typing import Any, Final

from ..runtime import ScfRuntime
from .action import Action
from .parameters import Parameters
from .values import answered, event_time, interval_of, keywords

_LIST_NAMES: Final = (
    *("Namespace", "Qualifier", "InvokeType", "Status", "Order", "Orderby", "Offset", "Limit", "InvokeRequestId"),
)
"""The parameters of ListAsyncEvents that go on as they are."""


def _list_async_events(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    zone = runtime.settings.time_zone
    page = runtime.list_async_events(
        sent["FunctionName"],
        start_time_interval=interval_of(sent.get("StartTimeInterval"), "StartTimeInterval", zone),
        end_time_interval=interval_of(sent.get("EndTimeInterval"), "EndTimeInterval", zone),
        **keywords(sent, *_LIST_NAMES),
    )
    return {
        "TotalCount": page.total_count,
        "EventList": [answered(summary, zone, event_time) for summary in page.events],
    }


def _get_async_event_status(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    status = runtime.get_async_event_status(sent["InvokeRequestId"])
    return {"Result": answered(status, runtime.settings.time_zone)}


def _terminate_async_event(runtime: ScfRuntime, sent: Parameters) -> None:
    runtime.terminate_async_event(
        sent["FunctionName"],
        sent["InvokeRequestId"],
        namespace=sent.get("Namespace", "default"),
        grace_shutdown=sent.get("GraceShutdown", False),
    )


ASYNC_EVENT_ACTIONS: Final = (
    Action("ListAsyncEvents", _list_async_events),
    Action("GetAsyncEventStatus", _get_async_event_status),
    Action("TerminateAsyncEvent", _terminate_async_event, takes_time=True),
)
