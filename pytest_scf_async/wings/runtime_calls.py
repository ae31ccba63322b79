"""What wings add to ``ScfRuntime``: a base class each."""

from __future__ import annotations

from ..endpoint.operations.runtime_calls import RuntimeOperations
from ..programs.runtimes.calls import ImageCalls
from ..sweep.calls import SweepCalls


class RuntimeCalls(ImageCalls, RuntimeOperations, SweepCalls):
    """The calls of wings."""
