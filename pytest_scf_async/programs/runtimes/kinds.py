"""The kinds of runtimes that are programs: a row each."""

from __future__ import annotations

from typing import Final

from ...instances.runtimes.choice import Kind
from ...model.configuration import CUSTOM_RUNTIME, GO_RUNTIME, NODE_RUNTIMES, PYTHON_RUNTIMES
from .custom import custom_runtime
from .go import DEFAULT_HANDLER, go_function
from .launched import launched
from .nodejs import node_function
from .simulated_children import function_with_children, refuse_children

KINDS: Final = (
    Kind(PYTHON_RUNTIMES, function_with_children, children="simulated"),
    Kind((), refuse_children, children="simulated"),
    Kind((GO_RUNTIME,), go_function, default_handler=DEFAULT_HANDLER),
    Kind((), launched),
    Kind((CUSTOM_RUNTIME,), custom_runtime),
    Kind(NODE_RUNTIMES, node_function),
)
"""In the order in which they are asked: a user's launcher may take what stands below it."""
