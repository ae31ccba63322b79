"""Real time for the harness itself, kept where neither freezegun nor a monkeypatch of ``time`` in the test reaches."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
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
        """Nanoseconds since the Unix epoch."""
        self.sleep: Final[Callable[[float], None]] = time.sleep
        """For code that stays in real time where a test's own process is on a simulated clock."""


def shown_time_us() -> int:
    """The time that this process shows to the test, in µs since the epoch: that of a ``freeze_time``, if one is on."""
    freezes: Any = getattr(sys.modules.get("freezegun.api"), "freeze_factories", None)
    if not freezes:
        return REAL.time_ns() // 1_000
    frozen = freezes[-1]()  # in UTC, without a zone
    return (frozen - type(frozen)(1970, 1, 1)) // timedelta(microseconds=1)  # type: ignore[no-any-return]


class RealCondition(threading.Condition):
    """A condition whose timeouts are real seconds, whatever becomes of those of ``threading``."""

    wait = threading.Condition.wait


REAL = RealTime()
