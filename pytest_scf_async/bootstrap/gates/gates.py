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
    if message.places or scheduler.follow is not None:
        _set_line_gates(message.places, [gate for gate in message.gates if isinstance(gate, messages.LineGate)])


def _set_line_gates(places: list[messages.CountedPlace], gates: list[messages.LineGate]) -> None:
    """Loads what it needs, which an instance that has no such gate never does."""
    from . import lines  # noqa: PLC0415

    if sys.version_info >= (3, 12):
        from . import monitoring as reports  # noqa: PLC0415
    else:
        from . import settrace as reports  # noqa: PLC0415
    if lines.set_gates(places, gates):
        reports.change()
        scheduler.follow, scheduler.call_handler_followed = reports.follow, lines.call_handler
        scheduler.followed += 1  # every thread has to look, once it goes on


def install() -> None:
    scheduler.gates_changed = set_gates
