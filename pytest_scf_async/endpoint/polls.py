"""What a client sees that asks how far events are: what is due has run, and time that stands is worth a warning."""

from __future__ import annotations

import threading
import warnings
from contextlib import suppress
from typing import Final

from ..errors import CannotEndError, ScfAsyncWarning
from ..lockstep.calls import Call
from ..protocol.real_time import REAL
from ..runtime import ScfRuntime

LIMIT: Final = 50
"""So many polls at one instant are a loop: code that dispatches asks once or twice for each event."""
FEW: Final = 10
"""From so many on they may be why a test failed."""
POLLS: Final = frozenset({"GetAsyncEventStatus", "GetRequestStatus", "ListAsyncEvents"})
"""The actions with which a client asks how far events are."""


class Polls:
    """How often a runtime has been asked at the simulated time that it is."""

    def __init__(self, runtime: ScfRuntime) -> None:
        self._runtime = runtime
        self._at_us = -1
        self._count = 0
        self._warned = False
        self._lock = threading.Lock()

    def count(self, action: str) -> None:
        """One more request of *action*. Warns once, which raises where the session makes errors of warnings."""
        if action not in POLLS:
            return
        now_us, moves = self._runtime.clock.now_us, self._runtime._lockstep.time_moves
        with self._lock:
            self._count = 1 if moves or now_us != self._at_us else self._count + 1
            self._at_us = now_us
            if self._count < LIMIT or self._warned:
                return
            self._warned = True
        warnings.warn(self.why_unended(), ScfAsyncWarning, stacklevel=2)

    def run_what_is_due(self) -> None:
        """Run what is due at this simulated time, as the platform has by then: an event that needs no time has ended.

        No time passes, and no gate opens. While another call is under way it does all this. What computes for longer
        than half of ``real_timeout`` goes on in the next poll: a client waits for each answer.
        """
        runtime, lockstep, clock = self._runtime, self._runtime._lockstep, self._runtime.clock
        until = REAL.monotonic() + runtime.settings.real_timeout / 2

        def done() -> bool:
            due = clock.next_due_us()
            waits = (due is None or due > clock.now_us) and all(map(lockstep.settled, lockstep.events_running()))
            return waits or REAL.monotonic() >= until

        with lockstep.locked():
            if lockstep.under_way or done():
                return
        with suppress(CannotEndError):  # what is left cannot run at this time
            lockstep.drive(Call("a poll of the endpoint", done))

    def why_unended(self) -> str:
        """Why code that polls has seen no event end; empty unless it has polled again and again at this instant."""
        if self._count < FEW or self._runtime.clock.now_us != self._at_us:
            return ""
        return (
            f"the endpoint was asked {self._count} times how far events are, at one simulated time "
            f"({self._runtime.clock.now.isoformat()}), and a request lets no time pass: have the code that polls wait "
            "on simulated time, with scf_clock.patched() around what sleeps in this process, or scf_clock.running() "
            "around what sleeps elsewhere; in a process that serves, /_scf/clock/advance lets time pass"
        )
