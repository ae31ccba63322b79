"""The features of a runtime's scheduler, in the order in which it asks them.

Coverage is saved before a SIGTERM is measured, and what was computed passes before time flows on.
"""

from __future__ import annotations

from typing import Final

from .coverage import Coverage
from .debugger import Debugger
from .feature import Feature
from .memory import MemoryLimits
from .points import Points
from .real_cost import RealCosts
from .real_flow import RealFlow
from .scripts import ScriptPlayer
from .served import ServedAnswers

FEATURES: Final[tuple[type[Feature], ...]] = (
    ScriptPlayer,
    MemoryLimits,
    Coverage,
    RealCosts,
    RealFlow,
    ServedAnswers,
    Debugger,
    Points,
)
