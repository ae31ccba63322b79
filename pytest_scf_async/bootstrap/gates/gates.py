"""The gates that the harness has set, each given to what meets it: output, ``signal.signal``, lines of user code."""

from __future__ import annotations

import sys

from ...protocol import messages
from ..patches import output, signals
from ..scheduler.scheduler import scheduler


def set_gates(message: messages.ArmGates) -> None:
    """Take the whole of what is set now. Called inside the scheduler: nothing here runs user code or waits."""
    output.set_gates([gate for gate in message.gates if isinstance(gate, messages.LogGate)])
    signals.set_gates([gate for gate in message.gates if isinstance(gate, messages.ListeningGate)])
    if message.places or _follows_lines:
        _set_line_gates(message.places, [gate for gate in message.gates if isinstance(gate, messages.LineGate)])


_follows_lines = False
"""There has been a gate at a line."""


def _set_line_gates(places: list[messages.CountedPlace], gates: list[messages.LineGate]) -> None:
    """Loads what it needs, which an instance that has no such gate never does."""
    global _follows_lines
    from . import lines  # noqa: PLC0415

    if sys.version_info >= (3, 12):
        from . import monitoring as reports  # noqa: PLC0415
    else:
        from . import settrace as reports  # noqa: PLC0415
    if lines.set_gates(places, gates):
        reports.change()
        _follows_lines = True
        lines.report_by(reports.call_traced, reports.CALLBACKS)
        signals.call_handlers_by(lines.call_handler)
        scheduler.follow_gates(reports.follow)
