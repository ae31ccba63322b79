"""The bugs of the seeded set that no template repairs, and those that random kills do not show."""

from __future__ import annotations

__all__ = ["LOSES_NOTHING", "MOST", "UNREPAIRED"]

MOST = 30
"""It only falls."""
UNREPAIRED: dict[str, str] = {}
LOSES_NOTHING: dict[str, str] = {}
