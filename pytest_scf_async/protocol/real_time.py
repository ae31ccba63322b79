"""Real time for the harness itself, kept where neither freezegun nor a monkeypatch of ``time`` in the test reaches."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final


def _genuine(name: str) -> Callable[[], Any]:
    return getattr(sys.modules.get("freezegun.api"), f"real_{name}", None) or getattr(time, name)  # type: ignore[no-any-return]


class RealTime:
    """The genuine functions, taken at import and held by an instance: freezegun replaces attributes of modules only.

    Where the import itself is under a freeze of the test, freezegun has kept them.
    """

    def __init__(self) -> None:
        self.monotonic: Final[Callable[[], float]] = _genuine("monotonic")
        """Seconds; for bounds on real waits."""
        self.time_ns: Final[Callable[[], int]] = _genuine("time_ns")
        """Nanoseconds since the Unix epoch; for the default start of a simulated clock."""
        self.sleep: Final[Callable[[float], None]] = time.sleep
        """For code that stays in real time where a test's own process is on a simulated clock."""


class RealCondition(threading.Condition):
    """A condition whose timeouts are real seconds, whatever becomes of those of ``threading``."""

    wait = threading.Condition.wait


REAL = RealTime()
