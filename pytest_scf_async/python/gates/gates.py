"""Set the gates that the harness names: those of the log, of ``signal.signal`` and of lines of user code."""

from __future__ import annotations

import sys
from types import ModuleType

from ...protocol import messages
from .. import wing_part
from ..patches import output, signals
from ..scheduler.scheduler import scheduler


def import_all() -> None:
    """Import what gates at lines need, which an instance does otherwise once it has one."""
    from . import lines  # noqa: F401, PLC0415

    _reports()


def _reports() -> ModuleType:
    if sys.version_info >= (3, 12):
        from . import monitoring as reports  # noqa: PLC0415
    else:
        from . import settrace as reports  # noqa: PLC0415
    return reports


def set_gates(message: messages.ArmGates) -> None:
    """Set the gates of *message*, and no others. The scheduler calls it with its lock: it runs no user code."""
    output.set_gates([gate for gate in message.gates if isinstance(gate, messages.LogGate)])
    signals.set_gates([gate for gate in message.gates if isinstance(gate, messages.ListeningGate)])
    if message.places or message.collect is not None or _follows_lines:
        _set_line_gates(message)
    if wing_part.part is not None:
        wing_part.part.set_gates(message)


def report_points() -> None:
    """Report the points that have been collected and not been reported: the event, or the process, ends."""
    if _follows_lines:
        from . import lines  # noqa: PLC0415

        if lines.collector is not None:
            lines.collector.report()


_follows_lines = False
"""A gate at a line has been set at some time."""


def _set_line_gates(message: messages.ArmGates) -> None:
    """Import what gates at lines need, and set them; an instance without one never imports it."""
    global _follows_lines
    from . import lines  # noqa: PLC0415

    reports = _reports()
    gates = [gate for gate in message.gates if isinstance(gate, messages.LineGate)]
    make = None if wing_part.part is None else wing_part.part.collector
    if lines.set_gates(message.places, gates, message.collect, make):
        reports.change()
        _follows_lines = True
        follow, callbacks = reports.follow, reports.CALLBACKS
        if lines.collector is not None:
            follow, more = lines.collector.followed(follow)
            callbacks |= more
        lines.report_by(reports.call_traced, callbacks)
        signals.call_handlers_by(lines.call_handler)
        scheduler.follow_gates(follow)
