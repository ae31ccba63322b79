"""The platform's operations beside those of async events: what they answer, and how that comes out of a runtime."""

from __future__ import annotations

from .async_events import AsyncEventPage, AsyncEventStatus, AsyncEventSummary
from .invocations import FunctionLog, FunctionLogPage, InvocationResult, RequestStatus, RequestStatusPage

__all__ = [
    "AsyncEventPage",
    "AsyncEventStatus",
    "AsyncEventSummary",
    "FunctionLog",
    "FunctionLogPage",
    "InvocationResult",
    "RequestStatus",
    "RequestStatusPage",
]
