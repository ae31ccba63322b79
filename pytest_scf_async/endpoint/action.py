"""What an action of the API is, and all that the endpoint has: a function with `action` above it is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any, Final

from ..runtime import ScfRuntime
from .parameters import Parameters, Struct
from .requests import STRUCTS
from .values import answered

Call = Callable[[ScfRuntime, Parameters], Any]


@dataclass(frozen=True)
class Action:
    """One action, as in ``ListAsyncEvents``."""

    name: str
    """As in ``X-TC-Action``."""
    request: Struct
    """Its parameters."""
    call: Call
    """What it does with a runtime; raises ``ScfApiError``."""
    requests_per_second: int
    """How many requests a second the platform answers (the limit stands on each action's page)."""
    takes_time: bool
    """Whether time may pass in it, or an instance run; any other is done alone, so that what it has found stays so."""

    def perform(self, runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
        """The answer without its ``RequestId``, unless that is the id of an event."""
        found = self.call(runtime, sent)
        return answered(found, runtime.settings.time_zone) if is_dataclass(found) else found or {}


ACTIONS: Final[dict[str, Action]] = {}
"""By name; `actions.py` imports all modules that have some."""


def action(
    name: str, parameters: str, *, requests_per_second: int = 20, takes_time: bool = False
) -> Callable[[Call], Call]:
    """Have a function be the action *name*; *parameters* are as in ``FunctionName! Code=Code`` (`parameters.Structs`).

    The function gives what the answer has: a dict, a dataclass that `answered` writes, or None.
    """

    def decorate(call: Call) -> Call:
        ACTIONS[name] = Action(name, STRUCTS.make(name, parameters), call, requests_per_second, takes_time)
        return call

    return decorate
