"""What is served at one address: the API, and below ``/_scf/`` the clock and the events."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .endpoint import Endpoint
from .http_request import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from .control import Control

CONTROL: Final = "/_scf/"
"""What the paths of the clock and the events begin with."""


@dataclass
class Site:
    """Hands each request to who answers it. Both may be replaced while it is served (``/_scf/reset``)."""

    endpoint: Endpoint
    control: Control

    def replace(self, endpoint: Endpoint, control: Control) -> None:
        """Have others answer from the next request on."""
        self.endpoint, self.control = endpoint, control

    def answer(self, http: HttpRequest, connection: socket.socket | None = None) -> HttpAnswer | None:
        """The answer to a request on a *connection*; None where it is lost on the way."""
        if http.path.startswith(CONTROL):
            return self.control.answer(http, connection)
        return self.endpoint.answer(http, connection)
