"""Count the waits of the main thread and the lines that it writes, and stop at the one that the sweep names.

Waits and writes that user code begins itself are calls of it, after which Python looks for signals: ``collecting`` has
a point there. Here are those in between: the wait while it lasts, and what libraries do.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable, Sequence

from ...protocol import messages
from ..patches import output
from ..scheduler.callers import user_frame
from ..scheduler.scheduler import Readiness, Scheduler, Waiter, scheduler
from . import lines
from .collecting import Collector

_get_ident = _thread.get_ident
_counts: dict[str, int] = {}
"""How many of each kind there have been."""
_gates: dict[tuple[str, int], str] = {}
"""The names of the gates, by kind and number."""
_collects = False


class _CountingScheduler(Scheduler):
    """The scheduler while waits are counted: all of them park, as the harness is to see each."""

    __slots__ = ()

    def begin(self) -> None:
        """Count from here on; with the lock."""
        self._lease_suspensions += 1
        self._count_threads()

    def stop(self) -> None:
        """Count no more; with the lock."""
        self._lease_suspensions -= 1
        self._count_threads()

    def park(
        self,
        due_us: int | None,
        description: str,
        *,
        enlist: Callable[[Waiter], bool] | None = None,
        readiness: Readiness | None = None,
    ) -> bool:
        if not description or _get_ident() != self.main_ident or not self.active:
            return Scheduler.park(self, due_us, description, enlist=enlist, readiness=readiness)
        _occurs("wait", description)
        woken = Scheduler.park(self, due_us, description, enlist=enlist, readiness=readiness)
        _occurs("waited", description)
        return woken


def set_gates(gates: Sequence[messages.OccurrenceGate], *, collects: bool) -> bool:
    """Stop at *gates*, and report all that occurs where the test *collects*; whether anything is to be counted.

    The scheduler calls it with its lock.
    """
    global _collects
    _gates.clear()
    _gates.update({(gate.kind, gate.number): gate.id for gate in gates})
    _collects = collects
    counts = bool(gates) or collects
    if counts and type(scheduler) is Scheduler:
        _counts.clear()
        scheduler.become(_CountingScheduler)
        scheduler.begin()  # type: ignore[attr-defined]
        output.report_lines_to(_line_written)
    elif not counts and isinstance(scheduler, _CountingScheduler):
        output.report_lines_to(None)
        scheduler.stop()
        scheduler.become(Scheduler)
    return counts


def _line_written(line: str) -> None:
    if _get_ident() == scheduler.main_ident:
        _occurs("log", line)


def _occurs(kind: str, text: str) -> None:
    number = _counts[kind] = _counts.get(kind, 0) + 1
    if _collects and lines.collector is not None:
        _report(lines.collector, kind, number, text)
    gate = _gates.pop((kind, number), None)
    if gate is not None:
        if lines.collector is not None:
            lines.collector.report()
        scheduler.gate(gate, "point")


def _report(collector: Collector, kind: str, number: int, text: str) -> None:
    frame = user_frame(sys._getframe(1))
    direct = frame is not None and collector.is_users(frame.f_code.co_filename)
    while frame is not None and not collector.is_users(frame.f_code.co_filename):
        frame = frame.f_back
    file, line = ("", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
    collector.occurs(kind, number, file, line, text, direct=direct)
