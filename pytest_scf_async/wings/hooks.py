"""What wings do in a session of pytest; imported where a runtime is made, or an option of a wing is given."""

from __future__ import annotations

from typing import Final

from ..coverage.hooks import CoverageHooks
from ..debugger.hooks import DebuggerHooks
from ..endpoint.hooks import EndpointHooks
from ..sweep.hooks import SweepHooks
from ..trace.hooks import TraceHooks
from ..wing_hooks import WingHooks

HOOKS: Final[tuple[WingHooks, ...]] = (
    TraceHooks(),
    SweepHooks(),
    EndpointHooks(),
    CoverageHooks(),
    DebuggerHooks(),
)
"""In the order in which the plugin asks them."""
