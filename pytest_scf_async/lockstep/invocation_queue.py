"""Invocations that nobody waits for and that cannot run now: the platform tries them again each minute.

These are events over a quota (document 41138), before they are accepted, and invocations of sync functions whose
attempt failed. Both leave the queue when there is room for them; when they have been in it for as long as their
function keeps them, 6 hours unless configured, they are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..model.statuses import State
from ..model.transitions import Fact
from .event import Event

if TYPE_CHECKING:
    from .scheduler import Lockstep

RETRY_INTERVAL_US: Final = 60 * 1_000_000
"""Microseconds between two attempts (document 41138)."""


class InvocationQueue:
    """The queue of one runtime. *has_room* says whether an event can run now, *accept* lets the platform take it."""

    def __init__(self, lockstep: Lockstep, has_room: Callable[[Event], bool], accept: Callable[[Event], None]) -> None:
        self._lockstep = lockstep
        self._has_room = has_room
        self._accept = accept

    def add(self, event: Event) -> None:
        """Try *event* again in a minute, and each minute after that while there is no room for it."""
        self._try_later(event, self._lockstep.clock.now_us + event.event_invoke.msg_ttl * 1_000_000)

    def _try_later(self, event: Event, until_us: int) -> None:
        clock = self._lockstep.clock
        clock.call_at(clock.now_us + RETRY_INTERVAL_US, lambda: self._try(event, until_us))

    def _try(self, event: Event, until_us: int) -> None:
        if event.ended:  # its function was deleted
            return
        if self._has_room(event):
            event.accepted()
            self._accept(event)
        elif self._lockstep.clock.now_us < until_us:
            self._try_later(event, until_us)
        elif event.record.state is State.QUEUED:
            event.dropped(Fact.DROPPED)
        else:
            self._lockstep.end(event, Fact.DROPPED)
