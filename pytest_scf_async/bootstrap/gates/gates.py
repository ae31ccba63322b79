"""Set the gates that the harness names: those of the log, of ``signal.signal`` and of lines of user code."""

from __future__ import annotations

import sys

from ...protocol import messages
from ..patches import output, signals
from ..scheduler.scheduler import scheduler


def set_gates(message: messages.ArmGates) -> None:
    """Set the gates of *message*, and no others. The scheduler calls it with its lock: it runs no user code."""
    output.set_gates([gate for gate in message.gates if isinstance(gate, messages.LogGate)])
    signals.set_gates([gate for gate in message.gates if isinstance(gate, messages.ListeningGate)])
    if message.places or _follows_lines:
        _set_line_gates(message.places, [gate for gate in message.gates if isinstance(gate, messages.LineGate)])


_follows_lines = False
"""A gate at a line has been set at some time."""


def _set_line_gates(places: list[messages.CountedPlace], gates: list[messages.LineGate]) -> None:
    """Import what gates at lines need, and set them; an instance without one never imports it."""
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
