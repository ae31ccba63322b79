"""What is behind the objects that users have: the one way on which wings come to it."""

from __future__ import annotations

from .async_event import AsyncEvent
from .errors import hidden_from_users
from .function import Function
from .instances.function_version import FunctionVersion
from .lockstep.event import Event
from .lockstep.scheduler import Lockstep

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


look_at = AsyncEvent._look
"""The test reads how it ended, so a failure is no surprise to it."""
timeline_of = AsyncEvent._timeline
"""Its timeline, with at most so many lines."""
drive = AsyncEvent._drive
"""A blocking call that lets time pass until it is done; without leases each wait of the instance is reported."""
go_to_gate = AsyncEvent._go_to_gate
"""Run to the gate; ``GateNotReachedError`` where the event ends without it."""
