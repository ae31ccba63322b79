"""What programs speak: the client of each name, which ``speaks`` of a runtime has (``programs/runtimes/``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ...protocol import messages
from .event_invoke import CLIENT_PORT, EventInvokeClient
from .go_client import GoClient
from .job import Job
from .program_client import ProgramClient
from .runtime_api import RuntimeApi

Clock = Callable[[], int]
"""Gives the time that a program sees, in ns."""


def client_of(program: messages.ProgramConfig, now_ns: Clock) -> ProgramClient:
    """What speaks with *program* in the way that it does."""
    return CLIENTS[program.speaks](program, now_ns)


def _event_invoke(program: messages.ProgramConfig, _: Clock) -> ProgramClient:
    own_network = program.own_network
    return EventInvokeClient(
        program.port,
        CLIENT_PORT if own_network else 0,
        shares_network=not own_network,
        is_forwarded=bool(program.container_port) and not own_network,
    )


CLIENTS: Final[Mapping[str, Callable[[messages.ProgramConfig, Clock], ProgramClient]]] = {
    "event-invoke": _event_invoke,
    "gob": lambda program, now_ns: GoClient(program.port, now_ns),
    "job": lambda program, now_ns: Job(),
    "runtime-api": lambda program, now_ns: RuntimeApi(
        own_network=program.own_network, waits_for_program=program.supervised
    ),
}
