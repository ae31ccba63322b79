"""What wings add to ``Function``: a base class each."""

from __future__ import annotations

from ..endpoint.operations.function_calls import FunctionOperations
from ..triggers.function_calls import TriggerCalls


class FunctionCalls(FunctionOperations, TriggerCalls):
    """The calls of wings."""
