"""Find the instructions at which this Python looks for signals."""

from __future__ import annotations

import dis
import sys
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple

from ...protocol.instructions import own_instructions
from ...python.gates.bytecode import JUMPS, first_entry


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
        elif instruction.opcode in JUMPS and "NO_INTERRUPT" not in name and instruction.argval <= instruction.offset:
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
