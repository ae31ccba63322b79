"""Gates at lines and functions of user code. Loaded in an instance with its first such gate, and not before.

How the interpreter reports lines is the matter of ``monitoring`` (3.12 and newer) and ``settrace``; where control comes
to a statement is that of ``bytecode``. Here passes are counted, and the thread stands at the gate that one has reached.
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
"""By file, name and first line of a code object: the places in it, each with the slot in which it is counted."""
_targets: dict[int, list[tuple[int, str]]] = {}
"""By slot: the passes that gates wait for, and the names of these gates."""
_points: dict[CodeType, Points] = {}
files: frozenset[str] = frozenset()
"""The files of all places: what lies in another one is nothing to look at."""
_callbacks: frozenset[CodeType] = frozenset()
_call_traced: Callable[[Handler, int, FrameType | None], None]


class Points:
    """The places in one code object: by offset, and those at the start of its body; each a list of slots."""

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
    """The places in *code*, whose file is one of ``files``."""
    known = _points.get(code)
    if known is None:
        spots = _spots.get((code.co_filename, code.co_name, code.co_firstlineno))
        if spots is None:
            return None
        known = _points[code] = Points(code, spots)
    return known


def passed(slots: list[int]) -> None:
    """Control has come to the places of *slots*: count, and stand at the gates that wait for this pass."""
    if not scheduler.active:
        return  # in a child that user code forked: the page is its parent's
    page = scheduler.control_page
    reached = []
    for slot in slots:
        page[shared_page.PASSES + slot] += 1
        count = page[shared_page.PASSES + slot]
        reached += [identity for target, identity in _targets.get(slot, ()) if target == count]
    for identity in reached:
        scheduler.gate(identity, "line")


def without_own(error: BaseException) -> None:
    """Take our frames out of the traceback of *error*."""
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
    """Have the interpreter report lines to *callbacks*: a signal that comes in one of them came at the line that it is
    about, and *call_traced* calls its handler from inside so that it is followed.
    """
    global _call_traced, _callbacks
    _call_traced, _callbacks = call_traced, callbacks


def call_handler(handler: Handler, signum: int, frame: FrameType | None) -> None:
    """Call user code's handler of a signal; one that came in a callback of ours is followed as any other code."""
    own: FrameType | None = sys._getframe()
    while own is not None and own.f_code.co_filename.startswith(OWN_CODE):
        if own.f_code in _callbacks:
            _call_traced(handler, signum, frame)
            return
        own = own.f_back
    handler(signum, frame)


def set_gates(places: list[messages.CountedPlace], gates: list[messages.LineGate]) -> bool:
    """Count at *places*, and stand at *gates*; whether the places are others than before."""
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
