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

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ..errors import ScfUsageError, hidden_from_users
from ..instances.instance import Instance
from ..instances.state import InstanceFact
from ..lockstep.calls import CLOSED, Call
from ..lockstep.event import Event
from ..lockstep.features.feature import Feature, Scheduler
from ..protocol import messages

__all__ = ["Client", "NobodyWaitsError", "OwedAnswer", "ServedAnswers"]

__tracebackhide__ = hidden_from_users


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


class ServedAnswers(Feature):
    """The calls that are made for instances of one runtime."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._serving: dict[int, Client] = {}
        """By thread of a server of this process: who is at the other end of the connection that it serves just now."""
        self.owed: list[OwedAnswer] = []
        """In the order in which the calls began."""

    @contextmanager
    def serving(self, client: Client | None) -> Iterator[None]:
        """In this thread an answer to *client* is made; None: nobody is known to wait for it."""
        thread = threading.get_ident()
        if client is not None:
            self._serving[thread] = client
            self._scheduler.use(self)
        try:
            yield
        finally:
            self._serving.pop(thread, None)

    def performs(self, call: Call) -> bool:
        """In a thread that serves an instance, wait until others have moved the clock far enough for *call*.

        Raises ``NobodyWaitsError`` where nobody waits for the answer any more.
        """
        client = self._serving.get(threading.get_ident()) if call.moves_clock else None
        of_instance = None if client is None else client.instance()
        if client is None or of_instance is None:
            return False
        self._wait(call, OwedAnswer(call.done, *of_instance), client)
        return True

    def forbids_lease(self, instance: Instance, event: Event) -> bool:
        return bool(self.owed)

    def holds(self, call: Call) -> float | None:
        return 0 if self.owed and self._end(*self.owed) else None

    def _wait(self, call: Call, owed: OwedAnswer, client: Client) -> None:
        scheduler = self._scheduler
        with scheduler.locked():
            if scheduler.closed:
                raise ScfUsageError(f"{call.name}: {CLOSED}")
            scheduler.revoke_lease()
            if call.begin is not None:
                call.begin()
            self.owed.append(owed)
            owed.begin()
            try:
                while owed in self.owed and not self._end(owed):
                    if self._is_over(client) or owed.instance.gone:
                        raise NobodyWaitsError
                    scheduler.wait_for_others()
            finally:
                if owed in self.owed:
                    self.owed.remove(owed)
                    self._end_answer(owed)
            sent, instance = owed.instance.sent, owed.instance
            # A traced program sees what time it is once its tracer knows of this: the answer comes after that.
            while instance.seen < sent and not (self._is_over(client) or instance.state.idle):
                scheduler.wait_for_others()

    def _is_over(self, client: Client) -> bool:
        return self._scheduler.closed or client.closed

    def _end(self, *answers: OwedAnswer) -> bool:
        """End those of *answers* whose calls are done; whether there were any."""
        done = [owed for owed in answers if owed.done()]
        for owed in done:
            self.owed.remove(owed)
            self._end_answer(owed)
        return bool(done)

    def _end_answer(self, owed: OwedAnswer) -> None:
        """Have the instance hold the clock until it reports that it has read the answer, which is sent next."""
        if not owed.instance.gone:
            self._scheduler.apply(owed.instance, InstanceFact.ANSWER_COMES)
            owed.end()
