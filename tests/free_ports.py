"""Ports for programs of tests that listen on the machine's own network."""

from __future__ import annotations

import random
import socket
from typing import Final

_NOT_GIVEN_OUT: Final = range(20_000, 32_000)
"""Linux gives none of these to a connection, which would have it by the time that the program starts."""


def free_port() -> int:
    """One that nothing on this machine listens on: without namespaces a free-running program shares them."""
    while True:
        number = random.choice(_NOT_GIVEN_OUT)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", number))
            except OSError:
                continue
            return number
