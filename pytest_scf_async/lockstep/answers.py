"""The order in which events go on at one instant that wait for something real: that in which they asked.

When an answer comes the machine decides. The clock stands until all have come, so an event that is answered before one
that asked first waits for that, and takes no longer in all: what events do between their answers and their next waits
is the same in each run. An answer may come only of what a younger event does, as where that releases a lock. So such a
wait takes `PATIENCE` at most, and an event has no more than `MOST_LATE` in vain.
"""

from __future__ import annotations

from ..clock import DueThing
from ..instances.instance import Instance
from ..instances.pool import Pool
from ..protocol.real_time import REAL
from ..protocol.shared_page import FIRST_PLACE
from .calls import Call
from .event import Event

PATIENCE = 2.0
"""Real seconds for which an event that is answered waits for those that asked first."""
MOST_LATE = 3
"""How often an event does so in vain."""


class AnswerOrder:
    """The order of the real waits of a runtime's events."""

    _overtaken = FIRST_PLACE
    """The place of the last wait that went on before one with a lesser place: nobody waits for such any more."""
    _patient: tuple[Call | None, int, float] = None, 0, 0.0
    """The call in which something waits for those that asked first, its place, and until when by the real clock."""

    def __init__(self, pool: Pool[Event]) -> None:
        self._pool = pool
        self._by_themselves: set[Instance] = set()

    def gives_way(self, call: Call, thing: DueThing) -> bool:
        """Whether *thing* is the end of a wait that was answered, and one that asked first holds *call* yet."""
        began_us, place, _ = thing.key[2]
        if began_us <= thing.due_us:
            return False
        events, serves = self._pool.events, place == FIRST_PLACE
        older = [
            event
            for each, event in events.items()
            if each.state.held and (serves or self._overtaken <= each.asked < place) and call.is_held_by(each)
        ]
        event = next((event for each, event in events.items() if each.head is thing), None)
        if event is None or not older:
            return False
        if not serves and event.unordered["before"] < MOST_LATE:
            if self._patient[:2] != (call, place):
                self._patient = call, place, REAL.monotonic() + PATIENCE
            if REAL.monotonic() < self._patient[2]:
                return True
        self._overtaken = max(self._overtaken, place)
        whom = "another thread" if older[0] is event else f"event {older[0].request_id}"
        event.goes_unordered("before", f"continues before {whom}, which is also waiting for an answer")
        return False

    def waits_by_itself(self, instance: Instance) -> None:
        """Note that *instance* is in a real wait of a traced program or of code in C.

        Nobody can hold its thread before that goes on: the timeline says so where another event waits or computes.
        """
        self._by_themselves.add(instance)
        for each, event in self._pool.events.items():
            if each.state.held:
                self.goes_on(event)

    def goes_on(self, event: Event | None) -> None:
        """*event* computes, or may at any time, beside the instances that are in such a wait."""
        self._by_themselves = {each for each in self._by_themselves if each.state.held or each.state.preempted}
        for instance in self._by_themselves:
            other = self._pool.events.get(instance)
            if event is not None and other is not None and other is not event:
                other.goes_unordered("beside", f"continues by itself alongside event {event.request_id}")
