"""The instructions of a code object that belong to its source."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType


def own_instructions(code: CodeType) -> Iterator[tuple[dis.Instruction, int | None]]:
    """The instructions of *code* from the first one of its body on, each with its line."""
    lines = {offset: line for start, end, line in code.co_lines() for offset in range(start, end, 2)}
    instructions = list(dis.get_instructions(code))
    body = next((at + 1 for at, one in enumerate(instructions) if one.opname in ("RESUME", "GEN_START")), 0)
    for instruction in instructions[body:]:
        yield instruction, lines.get(instruction.offset)
