"""What wings add to ``Function``: a base class each. The first of two that have a method is asked."""

from __future__ import annotations

from ..endpoint.operations.function_calls import FunctionOperations
from ..timers.timers import FunctionTimers
from ..triggers.function_calls import TriggerCalls


class FunctionCalls(FunctionTimers, FunctionOperations, TriggerCalls):
    """The calls of wings."""
