"""The thread that drives and the instances that it resumes, on one core while they exchange many messages.

Of the two processes only one runs at a time. The kernel sees a core that idles and wakes the other process there, which
takes longer than all that the two do: a simulated sleep by message took 160 µs on two cores of a machine that did no
more, and 45 µs on one. Where other processes keep the cores awake it took 65 µs on two. So both are measured, and it
ends where it does not pay.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol

from ..protocol.real_time import REAL

BATCH: Final = 16
"""The number of messages after which their time is measured."""
WORTH: Final = 0.8
"""Sharing is worth it if a batch takes at most this part of the time that one took on two cores."""
SLOW_BATCHES: Final = 8
"""Sharing ends for good after so many batches in a row that were not worth it. A single one may have met other work."""


class Neighbour(Protocol):
    """An instance, as far as this module knows it."""

    def use_core(self, core: int | None) -> None: ...


class SharedCore:
    """The core of one runtime. All its methods are called by the thread that drives, or under the scheduler's lock."""

    __slots__ = (
        "_batches",
        "_before",
        "_core",
        "_cpus",
        "_messages",
        "_neighbours",
        "_since",
        "_slow",
        "_thread",
        "_useless",
    )

    def __init__(self) -> None:
        self._messages = 0
        """How many were exchanged since the last look."""
        self._batches = 0
        """How many batches were exchanged in this call."""
        self._since = 0.0
        self._before = 0.0
        """How many seconds the last batch took that was exchanged over two cores."""
        self._core: int | None = None
        self._cpus: set[int] = set()
        """What the thread may use otherwise."""
        self._thread = 0
        self._neighbours: dict[Neighbour, None] = {}
        """Instances that know of the core."""
        self._slow = 0
        """How many batches one after the other were not worth it."""
        self._useless = False

    def resumes(self, neighbour: Neighbour) -> bool:
        """An instance is about to be resumed by a message; returns whether it is time to `look`."""
        if self._core is not None and neighbour not in self._neighbours:
            self._neighbours[neighbour] = None
            neighbour.use_core(self._core)
        self._messages += 1
        return self._messages >= BATCH

    def look(self, *, may_share: bool) -> None:
        """A batch is over: begin to share, go on, or end it."""
        now = REAL.monotonic()
        took, self._since, self._messages = now - self._since, now, 0
        self._batches += 1
        if self._useless or self._batches == 1 or not may_share:
            return
        if self._core is None:
            self._before, self._slow = took, 0
            self._share()
        elif took <= self._before * WORTH:
            self._slow = 0
        else:
            self._slow += 1
            if self._slow == SLOW_BATCHES:
                self._useless = True
                self.end()

    def _share(self) -> None:
        try:
            cpus = os.sched_getaffinity(0)
            core = sorted(cpus)[os.getpid() % len(cpus)]  # workers of xdist, whose ids follow each other, use several
            if len(cpus) == 1:
                self._useless = True
                return
            os.sched_setaffinity(0, {core})
        except OSError:  # a sandbox may forbid it
            self._useless = True
            return
        self._thread, self._cpus, self._core = threading.get_native_id(), cpus, core

    def end(self) -> None:
        """Let the thread and the instances run on any core again: what is started now must not be bound to it."""
        if not self._batches:
            return
        self._batches = self._messages = 0
        if self._core is not None:
            self._core = None
            try:
                os.sched_setaffinity(self._thread, self._cpus)
            except OSError:
                pass  # the thread has ended, or a sandbox forbids it by now
            for neighbour in self._neighbours:
                neighbour.use_core(None)
            self._neighbours.clear()
