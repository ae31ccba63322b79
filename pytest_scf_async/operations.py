"""The platform's operations beside those of async events: what they answer, and how that comes out of a runtime."""

from __future__ import annotations

from .endpoint.operations.aliases import AliasDetails, AliasPage
from .endpoint.operations.functions import FunctionDetails, FunctionPage, FunctionSummary
from .endpoint.operations.invocations import (
    FunctionLog,
    FunctionLogPage,
    InvocationResult,
    RequestStatus,
    RequestStatusPage,
)
from .endpoint.operations.namespaces import NamespaceDetails, NamespacePage
from .endpoint.operations.routing import RoutingConfig, VersionMatch, VersionWeight
from .endpoint.operations.versions import VersionDetails, VersionPage
from .event_answers import AsyncEventPage, AsyncEventStatus, AsyncEventSummary
from .timers.timers import Timer

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
    "Timer",
    "VersionDetails",
    "VersionMatch",
    "VersionPage",
    "VersionWeight",
]
