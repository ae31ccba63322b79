"""Calls that move the clock and are made for an instance: a server of the test owes it an answer meanwhile.

A handler asks the endpoint for something that takes simulated time: the end of another event, or an answer that the
test has declared to come late. On that connection an answer is owed, and such a connection holds the clock, as the
answer of any other server comes in real time. This one does not: so the harness sends the instance the port of its
end of the connection, on which the answer waits for simulated time, and the instance holds the clock only for whatever
else it waits for. Its other connections, and other instances, are not concerned.

The call itself drives nothing: time moves in calls of the test alone, as else. Whoever drives ends the call as soon as
it is done, before time moves on, and from that moment the instance holds the clock again, until the answer has come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..instances.instance import Instance
from ..protocol import messages

__all__ = ["Client", "NobodyWaitsError", "OwedAnswer"]


class NobodyWaitsError(Exception):
    """Nobody waits for the answer any more: the instance is gone, or the server closes."""


class Client(Protocol):
    """Who is at the other end of a connection that a thread of this process serves."""

    def instance(self) -> tuple[Instance, int] | None:
        """The instance, and the port of its end in its own network; None where it is none."""

    @property
    def closed(self) -> bool:
        """Whether the server closes its connections."""


@dataclass(eq=False)
class OwedAnswer:
    """A call that waits until others have moved the clock, and the connection on which its answer is owed."""

    done: Callable[[], bool]
    """Whether the call is."""
    instance: Instance
    port: int

    def begin(self) -> None:
        """The connection holds the clock no more, once the instance has read this."""
        self.instance.send(messages.AnswerWaits(self.port, waits=True))

    def end(self) -> None:
        """The answer comes in a moment."""
        self.instance.send(messages.AnswerWaits(self.port, waits=False))
