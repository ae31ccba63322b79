"""Gates at lines and functions of user code; an instance imports this with its first such gate.

``monitoring`` (Python 3.12 and newer) and ``settrace`` have the interpreter report lines and instructions, and
``bytecode`` finds where a statement begins. This module counts the passes of each place, and parks a thread at the gate
that it has reached. Of a place that is an instruction only the main thread's passes count: the sweep names these, and
it interrupts that thread. Its `Collector` finds them: while it does, all user code is watched.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Protocol

from ...protocol import messages, shared_page
from ...protocol.own_code import OWN_CODE
from ..scheduler.scheduler import scheduler
from . import bytecode

_get_ident = _thread.get_ident

Handler = Callable[[int, "FrameType | None"], None]

Key = tuple[str, str, int]
"""A code object: its file, name and first line."""


class Files(Protocol):
    """The files of user code, whichever these are."""

    def __bool__(self) -> bool: ...
    def __contains__(self, file: object, /) -> bool: ...


class Collector(Protocol):
    """Reports the points that the main thread reaches, while the test wants them: that of a sweep."""

    wanted: messages.Collect

    def files(self, named: frozenset[str]) -> Files:
        """The files whose code is looked at: the *named* ones, and user code."""

    def offsets(self, code: CodeType) -> frozenset[int]:
        """The instructions of *code* that are points."""

    def passes(self, code: CodeType, offset: int, frame: int) -> None:
        """The main thread is before the instruction at *offset*, in the frame with that identity."""

    def calls(self, caller: int, offset: int, callee: object) -> None:
        """The frame with the identity *caller* calls *callee*."""

    def calls_python(self, caller: FrameType) -> None:
        """User code has called a function of its own, perhaps by way of code in C."""

    def report(self) -> None:
        """Send what has not been reported."""

    def followed(self, follow: Callable[[], None]) -> tuple[Callable[[], None], frozenset[CodeType]]:
        """What each thread is to call when it resumes, in place of *follow*, and callbacks of the interpreter in it."""


_spots: dict[Key, list[tuple[int, messages.Spot]]] = {}
"""The places in each code object, with the slots in which passes are counted."""
_instructions: dict[Key, list[tuple[int, int]]] = {}
"""The instructions that are places in each code object: slot and offset."""
collector: Collector | None = None
_targets: dict[int, list[tuple[int, str]]] = {}
"""The passes at which gates are, and the names of these gates, by slot."""
_points: dict[CodeType, Points] = {}
files: frozenset[str] | Files = frozenset()
"""The files of all places; code of other files need not be looked at. It is empty, and false, without any place."""
_callbacks: frozenset[CodeType] = frozenset()
_call_traced: Callable[[Handler, int, FrameType | None], None]


class Points:
    """What is in one code object: the slots of its places, by offset, and of those at the start of its body."""

    __slots__ = ("code", "collected", "early", "entry", "instructions", "offsets", "starts")

    def __init__(
        self,
        code: CodeType,
        spots: list[tuple[int, messages.Spot]],
        instructions: list[tuple[int, int]],
        collected: frozenset[int],
    ) -> None:
        self.code = code
        self.entry, self.early = bytecode.first_entry(code)
        self.offsets: dict[int, list[int]] = {}
        self.starts: list[int] = []
        self.instructions: dict[int, list[int]] = {}
        """The slots of places that are instructions."""
        self.collected = collected
        """The offsets that the collector wants to know of."""
        for slot, spot in spots:
            if spot.line == 0:
                self.starts.append(slot)
            else:
                for offset in bytecode.entries(code, spot.line, spot.low, spot.high):
                    self.offsets.setdefault(offset, []).append(slot)
        for slot, offset in instructions:
            self.instructions.setdefault(offset, []).append(slot)

    def place_of_exception(self, offset: int) -> tuple[int, int] | None:
        """The offset and line at which the interpreter has an exception that comes before the instruction at *offset*;
        None where they are that instruction's own."""
        return bytecode.place_of_start(self.code) if offset == self.entry else None

    def watches_lines(self) -> bool:
        return bool(self.offsets or self.starts)

    def watches_instructions(self) -> bool:
        return bool(self.instructions or self.collected)


def points(code: CodeType) -> Points | None:
    """What is in *code*, whose file is in ``files``; None if there is nothing."""
    known = _points.get(code)
    if known is None:
        key = (code.co_filename, code.co_name, code.co_firstlineno)
        spots, instructions = _spots.get(key, []), _instructions.get(key, [])
        collected = frozenset() if collector is None else collector.offsets(code)
        if not (spots or instructions or collected):
            return None
        known = _points[code] = Points(code, spots, instructions, collected)
    return known


def at_instruction(points: Points, frame: FrameType) -> bool:
    """A thread is before the instruction at which *frame* is: count and report that. Whether it is of interest."""
    offset = frame.f_lasti
    slots = points.instructions.get(offset)
    collected = offset in points.collected
    if (collected or slots) and scheduler.active and _get_ident() == scheduler.main_ident:
        if collected and collector is not None:
            collector.passes(frame.f_code, offset, id(frame))
        if slots:
            if collector is not None:
                collector.report()  # what comes before the gate is known when the test goes on
            passed(slots)
    return (collected and collector is not None) or slots is not None


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


def set_gates(
    places: list[messages.CountedPlace],
    gates: list[messages.LineGate],
    collect: messages.Collect | None,
    make: Callable[[messages.Collect], Collector] | None,
) -> bool:
    """Count passes of *places*, stop at *gates*, and have what *make* makes *collect* points.

    Gives whether there is something else to watch now.
    """
    global files, collector
    _targets.clear()
    for gate in gates:
        _targets.setdefault(gate.slot, []).append((gate.pass_, gate.id))
    spots: dict[Key, list[tuple[int, messages.Spot]]] = {}
    instructions: dict[Key, list[tuple[int, int]]] = {}
    for place in places:
        for spot in place.spots:
            spots.setdefault((spot.file, spot.name, spot.first), []).append((place.slot, spot))
        for one in place.instructions:
            instructions.setdefault((one.file, one.name, one.first), []).append((place.slot, one.offset))
    collects = None if collector is None else collector.wanted
    if (spots, instructions, collect) == (_spots, _instructions, collects):
        return False
    for known, new in ((_spots, spots), (_instructions, instructions)):
        known.clear()
        known.update(new)  # type: ignore[arg-type]
    _points.clear()
    if collect != collects:
        collector = None if collect is None or make is None else make(collect)
    named = frozenset(file for file, _, _ in (*spots, *instructions))
    files = named if collector is None else collector.files(named)
    return True
