"""Gates at lines and functions of user code; an instance imports this with its first such gate.

``monitoring`` (Python 3.12 and newer) and ``settrace`` have the interpreter report lines, and ``bytecode`` finds where
a statement begins. This module counts the passes of each place, and parks a thread at the gate that it has reached.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType

from ...protocol import messages, shared_page
from ...protocol.own_code import OWN_CODE
from ..scheduler.scheduler import scheduler
from . import bytecode

Handler = Callable[[int, "FrameType | None"], None]

_spots: dict[tuple[str, str, int], list[tuple[int, messages.Spot]]] = {}
"""The places in each code object, by its file, name and first line, with the slots in which passes are counted."""
_targets: dict[int, list[tuple[int, str]]] = {}
"""The passes at which gates are, and the names of these gates, by slot."""
_points: dict[CodeType, Points] = {}
files: frozenset[str] = frozenset()
"""The files of all places; code of other files need not be looked at."""
_callbacks: frozenset[CodeType] = frozenset()
_call_traced: Callable[[Handler, int, FrameType | None], None]


class Points:
    """The slots of the places in one code object, by offset, and of those at the start of its body."""

    __slots__ = ("early", "entry", "offsets", "starts")

    def __init__(self, code: CodeType, spots: list[tuple[int, messages.Spot]]) -> None:
        self.entry, self.early = bytecode.first_entry(code)
        self.offsets: dict[int, list[int]] = {}
        self.starts: list[int] = []
        for slot, spot in spots:
            if spot.line == 0:
                self.starts.append(slot)
            else:
                for offset in bytecode.entries(code, spot.line, spot.low, spot.high):
                    self.offsets.setdefault(offset, []).append(slot)


def points(code: CodeType) -> Points | None:
    """The places in *code*, whose file is in ``files``; None if it has none."""
    known = _points.get(code)
    if known is None:
        spots = _spots.get((code.co_filename, code.co_name, code.co_firstlineno))
        if spots is None:
            return None
        known = _points[code] = Points(code, spots)
    return known


def passed(slots: list[int]) -> None:
    """Count a pass of the places of *slots*, and park at the gates that are at this pass."""
    if not scheduler.active:
        return  # in a child that user code forked, the page is its parent's
    page = scheduler.control_page
    reached = []
    for slot in slots:
        page[shared_page.PASSES + slot] += 1
        count = page[shared_page.PASSES + slot]
        reached += [identity for target, identity in _targets.get(slot, ()) if target == count]
    for identity in reached:
        scheduler.gate(identity, "line")


def without_own(error: BaseException) -> None:
    """Remove the plugin's frames from the traceback of *error*."""
    entries: list[TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(OWN_CODE):
            entries.append(entry)
        entry = entry.tb_next
    following: TracebackType | None = None
    for entry in reversed(entries):
        entry.tb_next = following
        following = entry
    error.__traceback__ = following


def report_by(call_traced: Callable[[Handler, int, FrameType | None], None], callbacks: frozenset[CodeType]) -> None:
    """Name the *callbacks* to which the interpreter reports lines.

    The handler of a signal that comes in one of them belongs to the line that is reported. The interpreter does not
    trace what a callback calls, so *call_traced* calls the handler: gates in it would never be reached otherwise.
    """
    global _call_traced, _callbacks
    _call_traced, _callbacks = call_traced, callbacks


def call_handler(handler: Handler, signum: int, frame: FrameType | None) -> None:
    """Call user code's handler of a signal so that gates in it are reached, even from inside one of the callbacks."""
    own: FrameType | None = sys._getframe()
    while own is not None and own.f_code.co_filename.startswith(OWN_CODE):
        if own.f_code in _callbacks:
            _call_traced(handler, signum, frame)
            return
        own = own.f_back
    handler(signum, frame)


def set_gates(places: list[messages.CountedPlace], gates: list[messages.LineGate]) -> bool:
    """Count passes of *places* and stop at *gates*; whether the places have changed."""
    global files
    _targets.clear()
    for gate in gates:
        _targets.setdefault(gate.slot, []).append((gate.pass_, gate.id))
    spots: dict[tuple[str, str, int], list[tuple[int, messages.Spot]]] = {}
    for place in places:
        for spot in place.spots:
            spots.setdefault((spot.file, spot.name, spot.first), []).append((place.slot, spot))
    if spots == _spots:
        return False
    _spots.clear()
    _spots.update(spots)
    _points.clear()
    files = frozenset(file for file, _, _ in spots)
    return True
