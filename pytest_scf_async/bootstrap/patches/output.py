"""An instance's stdout and stderr: one pipe, flushed at each write, with gates that stand right behind a line."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Any

from ...protocol import messages
from ..scheduler.door import door
from .builtin import stand_in

_real_write = os.write
_real_writev = os.writev
_real_dup = os.dup
_real_dup2 = os.dup2

_partial = ""
"""What has been written through our streams since their last newline."""


class _Gate:
    def __init__(self, description: messages.JsonObject) -> None:
        self.identity = description["id"]
        self.remaining = int(description["count"])
        if description["regular"]:
            self.search: Any = re.compile(description["pattern"], description["flags"]).search
        else:
            text = description["pattern"]
            self.search = lambda line: text in line


_gates: list[_Gate] = []


def set_gates(descriptions: list[messages.JsonObject]) -> None:
    _gates[:] = [_Gate(description) for description in descriptions]


def _written(text: str) -> None:
    """*text* is in the pipe; stand at a gate that one of the lines which it completed has reached."""
    global _partial
    if not door.active:
        return
    door.after_output()
    if "\n" not in text:
        _partial += text
        return
    first, *rest = text.split("\n")
    lines = [_partial + first, *rest]
    _partial = lines.pop()
    if not _gates:
        return
    reached = []
    for gate in _gates:
        gate.remaining -= sum(1 for line in lines if gate.search(line[:-1] if line.endswith("\r") else line))
        if gate.remaining <= 0:
            reached.append(gate)
    for gate in reached:
        _gates.remove(gate)
        door.gate({"id": gate.identity, "at": "log"})


class _Buffer(io.BufferedWriter):
    """The binary layer: what is written is in the pipe when ``write`` returns."""

    announce = True

    def write(self, data: Any, /) -> int:
        if door.moved:
            door.before_output()
        count = super().write(data)
        self.flush()
        if self.announce:
            _written(bytes(data).decode("utf-8", "replace"))
        return count


class _Text(io.TextIOWrapper):
    """The text layer; the gate is met outside the locks of both layers."""

    def write(self, text: str, /) -> int:
        if door.moved:
            door.before_output()
        buffer: Any = self.buffer
        announce = buffer.announce
        buffer.announce = False
        try:
            count = super().write(text)
        finally:
            buffer.announce = announce  # False where a signal's handler writes in the middle of another write
        _written(text)
        return count


def fake_write(fd: int, data: Any, /) -> int:
    if door.moved and fd in (1, 2):
        door.before_output()
    return _real_write(fd, data)


def fake_writev(fd: int, buffers: Any, /) -> int:
    if door.moved and fd in (1, 2):
        door.before_output()
    return _real_writev(fd, buffers)


def fake_dup(fd: int, /) -> int:
    if door.active and fd in (1, 2):
        door.veto(1)  # what is written to the copy we do not see, and its lines carry the time of the clock
    return _real_dup(fd)


def fake_dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    if door.active and fd in (1, 2):
        door.veto(1)
    return _real_dup2(fd, fd2, inheritable)


def install() -> None:
    """Put ``sys.stdout`` and ``sys.stderr`` on the file descriptors 1 and 2, which are the output pipe."""
    for name, function in (("write", fake_write), ("writev", fake_writev), ("dup", fake_dup), ("dup2", fake_dup2)):
        setattr(os, name, stand_in("os", name, function))
    set_gates([])
    ends = os.pipe()
    for fd, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        kept = os.dup(fd)
        os.dup2(ends[1], fd)  # a stream finds out once whether its descriptor can seek, and a pipe cannot
        raw = io.FileIO(fd, "w", closefd=False)
        stream = _Text(_Buffer(raw), encoding="utf-8", errors=errors, line_buffering=True, write_through=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        os.dup2(kept, fd)
        os.close(kept)
    for end in ends:
        os.close(end)


def flush() -> None:
    """Let out what the two streams still have."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue  # detached or closed by user code
