"""Find the instructions at which a statement begins.

Where a statement begins is a pass of its line, alike on every Python. The interpreter reports a line whenever the line
changes: twice for a call over several lines, once more at the end of a ``with`` block, once for each item of a
comprehension. A gate at the third pass would stop at the wrong one.
"""

from __future__ import annotations

import dis
from types import CodeType

from ...protocol.instructions import own_instructions

_ENTERS = frozenset({"SETUP_WITH", "SETUP_ASYNC_WITH", "BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL"})
JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))


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
    if any(one.opcode in JUMPS and one.argval == entry for one in dis.get_instructions(code)):
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
        if all(jump.opcode in JUMPS and jump.argval < begins for jump in jumps):
            runs.remove(run)  # the jump back of the loop around an ``if``, which stands behind the body of that
    entering = [run for run in runs if any(instructions[index][0].opname in _ENTERS for index in run)]
    found = set()
    for run in entering or runs:  # a ``with`` block has its end on its first line, too
        here = [index for index in run if line in (low, instructions[index][1])]
        if here:
            found.add(instructions[here[0]][0].offset)
        offsets = {instructions[index][0].offset for index in here}
        for index, (instruction, _) in enumerate(instructions):
            if instruction.opcode in JUMPS and instruction.argval in offsets and not run[0] <= index <= run[-1]:
                found.add(instruction.argval)  # a loop comes back to its head
    return found
