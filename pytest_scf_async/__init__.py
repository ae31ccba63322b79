"""pytest-scf-async: prove, offline and in milliseconds, that a function's asynchronous event shuts down cleanly.

The public names are imported when they are first used: a ``pytest`` run that uses none of them pays nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assertions import (
        assert_expired,
        assert_failed,
        assert_finished,
        assert_log_order,
        assert_logged,
        assert_no_signal,
        assert_nothing_lost,
        assert_reclaimed,
        assert_reused,
        assert_signal_handled,
        assert_signal_received,
        assert_signal_reception_failed,
        assert_status,
        assert_stopped_within,
        assert_terminated,
        assert_timed_out,
        assert_transitions,
        assert_user_exit,
    )
    from .async_event import AsyncEvent, EventLog, InstanceView, SignalView
    from .clock import SimulatedClock
    from .deployable.check import assert_deployable
    from .endpoint.endpoint import EndpointCall
    from .endpoint.scf_endpoint import ScfEndpoint
    from .errors import (
        CannotEndError,
        GateNotReachedError,
        HandlerError,
        HarnessError,
        ScfApiError,
        ScfAsyncError,
        ScfAsyncWarning,
        ScfUsageError,
        UnsupportedPlatformError,
    )
    from .event_answers import AsyncEventPage, AsyncEventStatus, AsyncEventSummary
    from .function import Function
    from .lockstep.event import Record
    from .marker import scf_function
    from .model.statuses import Status
    from .options import ScfSettings
    from .programs.runtimes.launcher import CodePackage, Launch
    from .runtime import ScfRuntime, ScfRuntimeFactory
    from .sweep.compared import Compared
    from .sweep.findings import FailureClass, SweepRun
    from .sweep.interruptions import fault, graceful, power
    from .sweep.points import Point
    from .sweep.run import Run
    from .sweep.sweep import Sweep

    __version__: str

__all__ = [  # written out: type checkers read it; without __version__, which a star import would give its importer
    "AsyncEvent",
    "AsyncEventPage",
    "AsyncEventStatus",
    "AsyncEventSummary",
    "CannotEndError",
    "CodePackage",
    "Compared",
    "EndpointCall",
    "EventLog",
    "FailureClass",
    "Function",
    "GateNotReachedError",
    "HandlerError",
    "HarnessError",
    "InstanceView",
    "Launch",
    "Point",
    "Record",
    "Run",
    "ScfApiError",
    "ScfAsyncError",
    "ScfAsyncWarning",
    "ScfEndpoint",
    "ScfRuntime",
    "ScfRuntimeFactory",
    "ScfSettings",
    "ScfUsageError",
    "SignalView",
    "SimulatedClock",
    "Status",
    "Sweep",
    "SweepRun",
    "UnsupportedPlatformError",
    "assert_deployable",
    "assert_expired",
    "assert_failed",
    "assert_finished",
    "assert_log_order",
    "assert_logged",
    "assert_no_signal",
    "assert_nothing_lost",
    "assert_reclaimed",
    "assert_reused",
    "assert_signal_handled",
    "assert_signal_received",
    "assert_signal_reception_failed",
    "assert_status",
    "assert_stopped_within",
    "assert_terminated",
    "assert_timed_out",
    "assert_transitions",
    "assert_user_exit",
    "fault",
    "graceful",
    "power",
    "scf_function",
]

_HOMES = {
    "endpoint.endpoint": ("EndpointCall",),
    "endpoint.scf_endpoint": ("ScfEndpoint",),
    "event_answers": ("AsyncEventPage", "AsyncEventStatus", "AsyncEventSummary"),
    "assertions": tuple(name for name in __all__ if name.startswith("assert_")),
    "deployable.check": ("assert_deployable",),
    "async_event": ("AsyncEvent", "EventLog", "InstanceView", "SignalView"),
    "clock": ("SimulatedClock",),
    "errors": tuple(name for name in __all__ if name.endswith(("Error", "Warning"))),
    "function": ("Function",),
    "programs.runtimes.launcher": ("CodePackage", "Launch"),
    "lockstep.event": ("Record",),
    "marker": ("scf_function",),
    "model.statuses": ("Status",),
    "runtime": ("ScfRuntime", "ScfRuntimeFactory"),
    "options": ("ScfSettings",),
    "sweep.compared": ("Compared",),
    "sweep.findings": ("FailureClass", "SweepRun"),
    "sweep.interruptions": ("fault", "graceful", "power"),
    "sweep.points": ("Point",),
    "sweep.run": ("Run",),
    "sweep.sweep": ("Sweep",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    value: object
    if name == "__version__":
        value = importlib.import_module("importlib.metadata").version("pytest-scf-async")
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, "__version__"})
