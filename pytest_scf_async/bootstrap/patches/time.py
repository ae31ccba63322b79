"""``time.sleep`` on simulated time."""

from __future__ import annotations

import operator
import time
from typing import Any

from ...protocol.time_units import LONGEST, microseconds
from ..clock import real_number
from ..clock_polls import polls
from ..scheduler.scheduler import scheduler
from . import registry

_real_sleep = time.sleep


def sleep(seconds: Any, /) -> None:
    if scheduler.alone and scheduler.leased_sleep(seconds):
        return
    value = real_number(seconds)
    if scheduler.active and not isinstance(value, float):
        try:
            value = operator.index(value)
        except TypeError:
            value = -1  # an error, which the standard library puts in its own words
    if scheduler.active and 0 < value < LONGEST:
        scheduler.sleep(microseconds(value))
    else:
        polls.begin_pass()
        _real_sleep(seconds)  # 0 is no wait


def install() -> None:
    registry.replace(time, "sleep", sleep, "it sleeps on simulated time")
