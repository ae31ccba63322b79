"""``time.sleep`` on simulated time."""

from __future__ import annotations

import time
from typing import Any

from .door import door

_real_sleep = time.sleep


def sleep(seconds: Any, /) -> None:
    """Delay execution for a given number of seconds, of simulated time."""
    if not door.active:
        _real_sleep(seconds)
        return
    microseconds = -int(-seconds * 1_000_000 // 1) if isinstance(seconds, (int, float)) and seconds == seconds else 0
    if microseconds <= 0:
        _real_sleep(seconds)  # 0 is no wait; the rest is an error in the standard library's own words
        return
    door.sleep(microseconds)


def install() -> None:
    time.sleep = sleep
