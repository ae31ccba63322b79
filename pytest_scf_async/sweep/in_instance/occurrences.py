"""Count the waits of the main thread, its lines of output and what it sends, and stop or fail where the sweep says.

Waits and lines that user code begins itself are calls of it, after which Python looks for signals: ``collecting`` has
a point there. Here are those in between: the wait while it lasts, and what libraries do.
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from ...protocol import messages
from ...python import records
from ...python.gates import lines
from ...python.patches import connections, output
from ...python.scheduler.callers import user_frame
from ...python.scheduler.scheduler import Readiness, Scheduler, Waiter, scheduler
from . import libraries
from .collecting import Collector

_get_ident = _thread.get_ident
_libc = ctypes.CDLL(None)
_counts: dict[str, int] = {}
"""How many of each kind there have been."""
_gates: dict[tuple[str, int], str] = {}
"""The names of the gates, by kind and number."""
_collects = False
_faults: dict[tuple[str, int], messages.Fault] = {}
"""The errors that are to come, by kind and number."""
_lasting: dict[str, int] = {}
"""By kind: the error with which all fail by now."""


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
        awaits: int = 0,
    ) -> bool:
        real = readiness is not None and readiness.holds  # whether it waits at all depends on how quick others are
        if real or not description or _get_ident() != self.main_ident or not self.active:
            return Scheduler.park(self, due_us, description, enlist=enlist, readiness=readiness, awaits=awaits)
        _occurs("wait", description)
        woken = Scheduler.park(self, due_us, description, enlist=enlist, readiness=readiness, awaits=awaits)
        _occurs("waited", description)
        return woken


def set_gates(message: messages.ArmGates) -> None:
    """Stop at the occurrences of *message*, and report all where it collects; the scheduler calls it with its lock."""
    global _collects
    gates = [gate for gate in message.gates if isinstance(gate, messages.OccurrenceGate)]
    faults = [gate for gate in message.gates if isinstance(gate, messages.Fault)]
    _gates.clear()
    _gates.update({(gate.kind, gate.number): gate.id for gate in gates})
    libraries.set_gates({gate.number: gate.id for gate in gates if gate.kind == "library"})
    _faults.clear()
    _faults.update({(gate.kind, gate.number): gate for gate in faults})
    _lasting.clear()
    _collects = message.collect is not None
    counts = bool(gates or faults or _collects)
    if counts and type(scheduler) is Scheduler:
        _counts.clear()
        scheduler.become(_CountingScheduler)
        scheduler.begin()  # type: ignore[attr-defined]
        output.report_lines_to(_line_written)
        connections.report_traffic_to(_sends_or_received)
    elif not counts and isinstance(scheduler, _CountingScheduler):
        output.report_lines_to(None)
        connections.report_traffic_to(None)
        scheduler.stop()
        scheduler.become(Scheduler)


def _line_written(line: str) -> None:
    if _get_ident() == scheduler.main_ident:
        _occurs("log", line)


def _sends_or_received(fd: int, peer: str) -> None:
    if _get_ident() == scheduler.main_ident:
        try:
            _occurs("connection", peer)
        except OSError:
            _reset(fd)
            raise


def _reset(fd: int) -> None:
    """Reset the connection: the other side finds out as it does from the network."""
    nothing = bytes(16)  # a struct sockaddr of the family AF_UNSPEC: the kernel dissolves the association
    _libc.connect(fd, nothing, len(nothing))


def fail(kind: str, error: int, *, lasting: bool) -> NoReturn:
    """Fail as the kernel does; with *lasting* all that is of that *kind* fails from here on."""
    if lasting:
        _lasting[kind] = error
    raise OSError(error, os.strerror(error))


def _occurs(kind: str, text: str) -> None:
    number = _counts[kind] = _counts.get(kind, 0) + 1
    if kind in _lasting:
        fail(kind, _lasting[kind], lasting=True)
    fault = _faults.pop((kind, number), None)
    if fault is not None:
        records.note(f"{kind} {number} fails with {errno.errorcode[fault.error]}: {text}")
        fail(kind, fault.error, lasting=fault.lasting)
    if _collects and isinstance(lines.collector, Collector):
        _report(lines.collector, kind, number, text)
    gate = _gates.pop((kind, number), None)
    if gate is not None:
        if lines.collector is not None:
            lines.collector.report()
        scheduler.gate(gate, "point")


def _report(collector: Collector, kind: str, number: int, text: str) -> None:
    frame = user_frame(sys._getframe(1))
    direct = kind in ("waited", "log") and frame is not None and collector.is_users(frame.f_code.co_filename)
    while frame is not None and not collector.is_users(frame.f_code.co_filename):
        frame = frame.f_back
    file, line = ("", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
    collector.occurs(kind, number, file, line, text, direct=direct)
