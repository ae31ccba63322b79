"""The part of a sweep in each of its instances (`wing_part.Part`)."""

from __future__ import annotations

from .collecting import Collector as collector
from .occurrences import set_gates
from .write_guard import watch as guard_writes

__all__ = ["collector", "guard_writes", "set_gates"]
