"""Find the instructions at which a statement begins, and those at which this Python looks for signals.

Where a statement begins is a pass of its line, alike on every Python. The interpreter reports a line whenever the line
changes: twice for a call over several lines, once more at the end of a ``with`` block, once for each item of a
comprehension. A gate at the third pass would stop at the wrong one.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple

from ...protocol.instructions import own_instructions

_ENTERS = frozenset({"SETUP_WITH", "SETUP_ASYNC_WITH", "BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL"})
_JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))


def first_entry(code: CodeType) -> tuple[int, bool]:
    """The offset at which the body of *code* begins, and whether its line is that of the instruction before."""
    lines = {offset: line for start, end, line in code.co_lines() for offset in range(start, end, 2)}
    entry = next((instruction.offset for instruction, line in own_instructions(code) if line), 0)
    before = [one.offset for one in dis.get_instructions(code) if one.offset < entry]
    return entry, bool(before) and lines.get(before[-1]) == lines.get(entry)


def place_of_start(code: CodeType) -> tuple[int, int] | None:
    """The offset and the line of an exception that a signal's handler raises as *code* begins: those of its ``def``.

    None where a loop comes back to the first instruction of the body.
    """
    entry = first_entry(code)[0]
    if any(one.opcode in _JUMPS and one.argval == entry for one in dis.get_instructions(code)):
        return None
    lines = {offset: line for start, end, line in code.co_lines() for offset in range(start, end, 2)}
    resumed = next((one.offset for one in dis.get_instructions(code) if one.opname == "RESUME"), -1)
    return resumed, lines.get(resumed) or code.co_firstlineno  # Python 3.10 has no such instruction


def entries(code: CodeType, line: int, low: int, high: int) -> set[int]:
    """The offsets at which *line* begins, of the statement that has the lines *low* to *high* for itself.

    At its first line that is where the statement begins, whatever line its first instruction has.
    """
    instructions = own_instructions(code)
    runs: list[list[int]] = [[]]
    """The indices of the statement's instructions, in runs without any of another statement."""
    for index, (instruction, at) in enumerate(instructions):
        if instruction.opname == "PUSH_EXC_INFO":  # the code of a ``finally`` is there twice
            runs.append([])
        if at and low <= at <= high:
            runs[-1].append(index)
        elif at and runs[-1]:
            runs.append([])
    runs = [run for run in runs if run]
    for run in runs[1:]:
        jumps = [instructions[index][0] for index in run]
        begins = instructions[runs[0][0]][0].offset
        if all(jump.opcode in _JUMPS and jump.argval < begins for jump in jumps):
            runs.remove(run)  # the jump back of the loop around an ``if``, which stands behind the body of that
    entering = [run for run in runs if any(instructions[index][0].opname in _ENTERS for index in run)]
    found = set()
    for run in entering or runs:  # a ``with`` block has its end on its first line, too
        here = [index for index in run if line in (low, instructions[index][1])]
        if here:
            found.add(instructions[here[0]][0].offset)
        offsets = {instructions[index][0].offset for index in here}
        for index, (instruction, _) in enumerate(instructions):
            if instruction.opcode in _JUMPS and instruction.argval in offsets and not run[0] <= index <= run[-1]:
                found.add(instruction.argval)  # a loop comes back to its head
    return found


class SignalCheck(NamedTuple):
    """An instruction before which this Python looks whether a signal has come, and calls its handler."""

    line: int
    nth: int
    """Which one of its line it is, from 1 on."""
    call: int
    """The offset of the call that has just returned; -1 where a function begins or a loop comes back."""
    calls_python: bool
    """A function in Python may be called there without a look after it: the function's own code has looked."""


_CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION", "CALL_FUNCTION_EX", "CALL_FUNCTION_KW", "CALL_METHOD"})
_AFTER = 3
"""The bits of the argument of RESUME that say what it comes after: after a ``yield from``, 2, and an ``await``, 3, it
does not look for signals."""


def signal_checks(code: CodeType) -> dict[int, SignalCheck]:
    """Where this Python looks for signals in *code*, by the offset of the instruction that comes next.

    That is after a call, at the start of a function and of a generator's next turn, and before a jump back. An
    exception of a signal's handler is raised there. From 3.11 on a call of a function in Python is none, but for the
    ``__exit__`` of a ``with`` block.
    """
    instructions = own_instructions(code)
    lines: dict[int, int] = {}
    found: dict[int, SignalCheck] = {}

    def add(at: int, line: int | None, call: int = -1, *, calls_python: bool = False) -> None:
        following = instructions[at][0].offset if at < len(instructions) else -1
        if line and following >= 0 and following not in found:
            lines[line] = lines.get(line, 0) + 1
            found[following] = SignalCheck(line, lines[line], call, calls_python)

    first = first_entry(code)[0]  # a function begins there: the first RESUME is not one of its own instructions
    add(*next(((at, line) for at, (one, line) in enumerate(instructions) if one.offset == first), (0, None)))
    for at, (instruction, line) in enumerate(instructions):
        name = instruction.opname
        if name in _CALLS:
            ends_with = at >= 3 and all(_loads_none(instructions[at - back][0]) for back in (1, 2, 3))
            add(at + 1, line, instruction.offset, calls_python=sys.version_info >= (3, 11) and not ends_with)
        elif _resumes(instruction):
            add(at + 1, line)
        elif instruction.opcode in _JUMPS and "NO_INTERRUPT" not in name and instruction.argval <= instruction.offset:
            add(at, line or _line_before(instructions, at))
    return found


def _resumes(instruction: dis.Instruction) -> bool:
    """Whether a generator's next turn begins behind it, and this Python looks for signals then."""
    if sys.version_info < (3, 11):
        return instruction.opname == "YIELD_VALUE"
    return instruction.opname == "RESUME" and ((instruction.arg or 0) & _AFTER) < 2


def _loads_none(instruction: dis.Instruction) -> bool:
    return instruction.opname.startswith("LOAD_CONST") and instruction.argval is None


def _line_before(instructions: Sequence[tuple[dis.Instruction, int | None]], at: int) -> int | None:
    """The line of the nearest instruction before the one at *at* that has one: a jump back may have none."""
    return next((line for _, line in reversed(instructions[:at]) if line), None)
