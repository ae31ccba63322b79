"""``time.sleep`` on simulated time."""

from __future__ import annotations

import operator
import time
from typing import Any

from ..clock import LONGEST, microseconds
from ..scheduler.door import door
from .builtin import stand_in

_real_sleep = time.sleep


def sleep(seconds: Any, /) -> None:
    """Delay execution for a given number of seconds, of simulated time."""
    if door.alone and door.nap(seconds):
        return
    value = seconds
    if door.active and not isinstance(seconds, float):
        try:
            value = operator.index(seconds)
        except TypeError:
            value = -1  # an error, which the standard library puts in its own words
    if door.active and 0 < value < LONGEST:
        door.sleep(microseconds(value))
    else:
        _real_sleep(seconds)  # 0 is no wait


def install() -> None:
    time.sleep = stand_in("time", "sleep", sleep)
