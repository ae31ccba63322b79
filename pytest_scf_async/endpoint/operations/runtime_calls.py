"""The calls of ``ScfRuntime`` that are operations of the platform: on functions, namespaces and invocations.

List, Get and Terminate of async events are the runtime's own.
"""

from __future__ import annotations

import random
from functools import cached_property

from .functions import OperationsOnFunctions
from .invocations import OperationsOnInvocations
from .namespaces import OperationsOnNamespaces
from .platform import Platform


class RuntimeOperations(OperationsOnFunctions, OperationsOnNamespaces, OperationsOnInvocations):
    """All of them."""

    @cached_property
    def _random_of_routes(self: Platform) -> random.Random:
        """What invocations by an alias with a weight draw from: not from what request ids or functions' ids are."""
        return random.Random(f"pytest-scf-async routes {self.seed}")
