"""The features of a runtime's scheduler, in the order in which it asks them; those of wings are around them.

What was computed passes before time flows on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from ..event import Event
from .feature import Feature, Scheduler
from .memory import MemoryLimits
from .real_cost import RealCosts
from .real_flow import RealFlow
from .scripts import ScriptedEvent, ScriptPlayer

FEATURES: Final[tuple[type[Feature], ...]] = (
    ScriptPlayer,
    MemoryLimits,
    RealCosts,
    RealFlow,
)


def _patched(scheduler: Scheduler) -> AbstractContextManager[None]:
    from .test_process import patched  # noqa: PLC0415  (it imports asyncio and others)

    return patched(scheduler)


TIME_MODES: Final[dict[str, Callable[[Scheduler], AbstractContextManager[None]]]] = {"patched": _patched}
"""What the clock offers beside jumping, by the method of ``SimulatedClock``: the feature comes into use by that."""
WITHOUT_CODE: Final[tuple[type[Event], ...]] = (ScriptedEvent,)
"""What an event is of whose function the `Runtime` has a script; the first of them."""
