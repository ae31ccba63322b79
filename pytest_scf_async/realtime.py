"""Real time for the harness itself, kept where neither freezegun nor a monkeypatch of ``time`` in the test reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final


class RealTime:
    """The genuine functions, taken at import and held by an instance: freezegun replaces attributes of modules only."""

    def __init__(self) -> None:
        self.monotonic: Final[Callable[[], float]] = time.monotonic
        """Seconds; for bounds on real waits."""
        self.time_ns: Final[Callable[[], int]] = time.time_ns
        """Nanoseconds since the Unix epoch; for the default start of a simulated clock."""


REAL = RealTime()
