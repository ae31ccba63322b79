"""What wings add to ``ScfRuntime``: a base class each."""

from __future__ import annotations

from ..endpoint.operations.runtime_calls import RuntimeOperations


class RuntimeCalls(RuntimeOperations):
    """The calls of wings."""
