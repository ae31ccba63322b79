"""The platform's operations beside those of async events: what they answer, and how that comes out of a runtime."""

from __future__ import annotations

from ..model.routing import RoutingConfig, VersionMatch, VersionWeight
from .async_events import AsyncEventPage, AsyncEventStatus, AsyncEventSummary
from .functions import (
    AliasDetails,
    AliasPage,
    FunctionDetails,
    FunctionPage,
    FunctionSummary,
    VersionDetails,
    VersionPage,
)
from .invocations import FunctionLog, FunctionLogPage, InvocationResult, RequestStatus, RequestStatusPage
from .namespaces import NamespaceDetails, NamespacePage

__all__ = [
    "AliasDetails",
    "AliasPage",
    "AsyncEventPage",
    "AsyncEventStatus",
    "AsyncEventSummary",
    "FunctionDetails",
    "FunctionLog",
    "FunctionLogPage",
    "FunctionPage",
    "FunctionSummary",
    "InvocationResult",
    "NamespaceDetails",
    "NamespacePage",
    "RequestStatus",
    "RequestStatusPage",
    "RoutingConfig",
    "VersionDetails",
    "VersionMatch",
    "VersionPage",
    "VersionWeight",
]
