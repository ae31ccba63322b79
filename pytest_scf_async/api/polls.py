"""A warning for code that asks how far an event is again and again while simulated time stands."""

from __future__ import annotations

import threading
import warnings
from typing import Final

from ..errors import ScfAsyncWarning
from ..runtime import ScfRuntime

__all__ = ["Polls"]

LIMIT: Final = 50
"""So many polls at one instant are a loop: code that dispatches asks once or twice for each event."""
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
        if action not in _POLLS or self._warned:
            return
        now_us, moves = self._runtime.clock.now_us, self._runtime._lockstep.time_moves
        with self._lock:
            self._count = 0 if moves or now_us != self._at_us else self._count + 1
            self._at_us = now_us
            if self._count < LIMIT - 1 or self._warned:
                return
            self._warned = True
        warnings.warn(
            f"the endpoint was asked {LIMIT} times how far events are, at one simulated time "
            f"({self._runtime.clock.now.isoformat()}), and asking lets no time pass: have the code that asks wait on "
            "simulated time, with scf_clock.patched() around what sleeps in this process, or with scf_clock.running() "
            "around what does elsewhere; of a process that serves, /_scf/clock/advance lets time pass",
            ScfAsyncWarning,
            stacklevel=2,
        )
