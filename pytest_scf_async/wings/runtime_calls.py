"""What wings add to ``ScfRuntime``: a base class each."""

from __future__ import annotations

from ..endpoint.operations.runtime_calls import RuntimeOperations
from ..sweep.calls import SweepCalls


class RuntimeCalls(RuntimeOperations, SweepCalls):
    """The calls of wings."""
