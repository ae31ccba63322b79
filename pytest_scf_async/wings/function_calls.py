"""What wings add to ``Function``: a base class each."""

from __future__ import annotations

from ..endpoint.operations.function_calls import FunctionOperations


class FunctionCalls(FunctionOperations):
    """The calls of wings."""
