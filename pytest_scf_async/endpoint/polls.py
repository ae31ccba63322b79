"""A warning for code that asks how far an event is again and again while simulated time stands."""

from __future__ import annotations

import threading
import warnings
from typing import Final

from ..errors import ScfAsyncWarning
from ..runtime import ScfRuntime

LIMIT: Final = 50
"""So many polls at one instant are a loop: code that dispatches asks once or twice for each event."""
FEW: Final = 10
"""From so many on they may be why a test failed."""
_POLLS: Final = frozenset({"GetAsyncEventStatus", "ListAsyncEvents"})


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
        if action not in _POLLS:
            return
        now_us, moves = self._runtime.clock.now_us, self._runtime._lockstep.time_moves
        with self._lock:
            self._count = 1 if moves or now_us != self._at_us else self._count + 1
            self._at_us = now_us
            if self._count < LIMIT or self._warned:
                return
            self._warned = True
        warnings.warn(self.why_unended(), ScfAsyncWarning, stacklevel=2)

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
