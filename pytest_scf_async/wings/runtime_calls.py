"""What wings, and features that can be taken out, add to ``ScfRuntime``: a base class each."""

from __future__ import annotations

from ..endpoint.operations.runtime_calls import RuntimeOperations
from ..programs.runtimes.calls import ImageCalls
from ..scripted_calls import ScriptedCalls
from ..sweep.calls import SweepCalls


class RuntimeCalls(ImageCalls, RuntimeOperations, SweepCalls, ScriptedCalls):
    """The calls of these."""
