"""What an action of the API is: its parameters, and what it does with a runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..runtime import ScfRuntime
from .parameters import Parameters, Struct
from .requests import REQUESTS


@dataclass(frozen=True)
class Action:
    """One action, as in ``ListAsyncEvents``."""

    name: str
    """As in ``X-TC-Action``."""
    perform: Callable[[ScfRuntime, Parameters], dict[str, Any] | None]
    """Gives the answer without its ``RequestId``, unless that is the id of an event, and None where there is nothing
    beside it; raises ``ScfApiError``."""
    requests_per_second: int = 20
    """How many requests a second the platform answers (the limit stands on each action's page)."""
    takes_time: bool = False
    """Whether time may pass in it, or an instance run; any other is done alone, so that what it has found stays so."""

    @property
    def request(self) -> Struct:
        """Its parameters."""
        return REQUESTS[self.name]
