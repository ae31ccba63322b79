"""``time.sleep`` on simulated time, and calls that only let other threads run."""

from __future__ import annotations

import operator
import os
import time
from typing import Any

from ...protocol.time_units import LONGEST, microseconds
from ..clock import real_number
from ..scheduler.scheduler import scheduler
from . import registry

_real_sleep = time.sleep
_real_sched_yield = os.sched_yield


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
        _real_sleep(seconds)
        if scheduler.active:  # 0 is no wait, but others may run
            scheduler.yield_run_token()


def sched_yield(*args: Any, **kwargs: Any) -> None:
    _real_sched_yield(*args, **kwargs)
    if scheduler.active:
        scheduler.yield_run_token()


def install() -> None:
    registry.replace(time, "sleep", sleep, "it sleeps on simulated time")
    registry.replace(os, "sched_yield", sched_yield, "the other threads that are ready run first")
