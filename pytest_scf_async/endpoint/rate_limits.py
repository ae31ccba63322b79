"""Limits of requests a second, on simulated time (setting ``api_rate_limits``)."""

from __future__ import annotations

import threading
from collections import deque

from ..runtime import ScfRuntime
from .action import Action
from .operations.error_texts import api_error

SECOND_US = 1_000_000


class RateLimits:
    """How many requests each action has had in the last simulated second."""

    def __init__(self, runtime: ScfRuntime) -> None:
        self._runtime = runtime
        self._times: dict[str, deque[int]] = {}
        self._lock = threading.Lock()

    def count(self, action: Action) -> None:
        """One more request of *action*; raises ``ScfApiError`` ``RequestLimitExceeded`` where it is one too many.

        A request that is refused counts for nothing. Nothing is counted where the setting is off.
        """
        if not self._runtime.settings.api_rate_limits:
            return
        now_us = self._runtime.clock.now_us
        with self._lock:
            times = self._times.setdefault(action.name, deque())
            while times and times[0] <= now_us - SECOND_US:
                times.popleft()
            if len(times) >= action.requests_per_second:
                raise api_error("RequestLimitExceeded", action=action.name, limit=action.requests_per_second)
            times.append(now_us)
