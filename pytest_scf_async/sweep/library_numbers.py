"""The numbers of places in libraries, which an instance and the test's process both know."""

from __future__ import annotations

from typing import Final

_FACTOR: Final = 1 << 32


def number_of(effects: int, nth: int) -> int:
    """Names the place that is the *nth* one after so many *effects*."""
    return effects * _FACTOR + nth


def effects_and_nth(number: int) -> tuple[int, int]:
    """What `number_of` has made *number* of."""
    return divmod(number, _FACTOR)
