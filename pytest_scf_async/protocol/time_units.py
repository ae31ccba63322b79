"""Seconds as the standard library takes them, in the whole µs in which the product counts."""

from __future__ import annotations

import math

NEVER_US = 2**62
"""An instant, in µs since the epoch, that is later than all that the clock can show."""
LONGEST = 2**63 / 1e9
"""Seconds that can be slept; from here on the standard library says that it cannot convert the number."""


def microseconds(seconds: float) -> int:
    """Whole µs of *seconds*, rounded up, 1 at least; what the binary fraction adds by itself (1.1 s) is not counted."""
    return math.ceil(seconds * 1_000_000 - 0.001) or 1
