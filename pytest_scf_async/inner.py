"""What is behind the objects that users have: the one way on which wings come to it."""

from __future__ import annotations

from collections.abc import Callable

from .async_event import AsyncEvent
from .errors import hidden_from_users
from .function import Function
from .instances.function_version import FunctionVersion
from .lockstep.event import Event, Gate
from .lockstep.scheduler import Lockstep
from .protocol import messages

__tracebackhide__ = hidden_from_users


def event_of(event: AsyncEvent) -> Event:
    """What the scheduler has of it."""
    return event._event


def scheduler_of(event: AsyncEvent) -> Lockstep:
    """That of its runtime."""
    return event._lockstep


def version_of(function: Function) -> FunctionVersion:
    """Its version ``$LATEST``."""
    return function._version


def is_of(function: Function, runtime: object) -> bool:
    """Whether *function* is deployed there."""
    return function._platform is runtime


def look_at(event: AsyncEvent) -> None:
    """The test reads how it ended, so a failure is no surprise to it."""
    event._look()


def timeline_of(event: AsyncEvent, most: int | None = None) -> str:
    """Its timeline, with at most so many lines."""
    return event._timeline(most)


def drive(event: AsyncEvent, name: str, done: Callable[[], bool]) -> None:
    """A blocking call that lets time pass until *done*; each wait of the instance is reported on its own."""
    event._drive(name, done, moves_clock=True)


def go_to_gate(
    event: AsyncEvent, where: str, gate: Gate, description: messages.AnyGate, is_there: Callable[[], bool]
) -> None:
    """Run to the *gate*; ``GateNotReachedError`` where the event ends without it."""
    event._go_to_gate(where, gate, description, is_there)
