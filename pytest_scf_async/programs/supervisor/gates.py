"""Gates behind lines of a traced program's output: the program stops *at* the line, with all that it does.

A write to stdout or stderr stops the thread. Where a line in it meets a gate, the call is made as far as the end of
that line and no further: programs go on with the rest of a write that was cut short. Then the thread is held, and so is
every other one. Without that, a program that computes would be many lines further when the test's process reads the
line.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from ...protocol import messages
from .tracee import Registers, read_memory

MOST_BYTES: Final = 1 << 16
"""As much of one write is searched, and as much of a line that is not complete."""
_PART: Final = struct.Struct("<QQ")


class Gate:
    """One gate, and how many lines that meet it are still to come."""

    def __init__(self, gate: messages.LogGate) -> None:
        self.identity = gate.id
        self.remaining = gate.count_
        self._search: Callable[[str], object]
        if gate.regular:
            self._search = re.compile(gate.pattern, gate.flags).search
        else:
            self._search = lambda line: gate.pattern in line

    def meets(self, line: str) -> bool:
        """Whether this line is the one that it waits for."""
        if self._search(line):
            self.remaining -= 1
        return self.remaining <= 0


class LogGates:
    """The gates that are set, and what the program has written of a line that is not complete."""

    def __init__(self) -> None:
        self._gates: list[Gate] = []
        self._partial = b""
        self.lines = 0
        """How many lines the program has written."""

    def set(self, gates: list[messages.LogGate]) -> None:
        """Take the whole of what is set now."""
        self._gates = [Gate(gate) for gate in gates]

    def writes(self, tid: int, name: str, registers: Registers) -> tuple[int, Gate | None]:
        """What a thread is about to write: as many bytes as it may, and the gate that the last of them meets."""
        data = _data(tid, name, registers)
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            line = (self._partial + data[start:end]).decode("utf-8", "replace").removesuffix("\r")
            self._partial = b""
            start = end + 1
            self.lines += 1
            for gate in self._gates:
                if gate.meets(line):
                    self._gates.remove(gate)
                    return start, gate
        self._partial = (self._partial + data[start:])[-MOST_BYTES:]
        return len(data), None


def _data(tid: int, name: str, registers: Registers) -> bytes:
    try:
        if name == "write":
            return read_memory(tid, registers.argument(1), min(registers.argument(2), MOST_BYTES))
        count = min(registers.argument(2), 1024)
        parts = _PART.iter_unpack(read_memory(tid, registers.argument(1), count * _PART.size))
        return b"".join(read_memory(tid, address, min(size, MOST_BYTES)) for address, size in parts if size)
    except OSError:
        return b""
