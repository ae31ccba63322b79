"""The stdout and stderr of an instance: one pipe, flushed at each write, with gates right behind a line."""

from __future__ import annotations

import io
import logging
import operator
import os
import re
import select
import stat
import sys
from collections.abc import Callable
from typing import Any

from ...protocol import messages
from .. import clock, records, root_logger
from ..scheduler.callers import is_library
from ..scheduler.scheduler import scheduler
from . import connections, registry, socket_waits

_real_write = os.write
_real_writev = os.writev
_real_sendfile = os.sendfile
_real_splice = getattr(os, "splice", None)
_real_file_write = io.FileIO.write

_partial: list[str] = []
"""What has been written through the patches since the last newline."""
_PARTIAL_CHARACTERS = 1 << 16
"""How much of it is searched for the texts of gates."""
_shown = ""
"""How much of it the log shows, as it has been flushed."""


class _Gate:
    def __init__(self, gate: messages.LogGate) -> None:
        self.identity = gate.id
        self.remaining = gate.count_
        if gate.regular:
            self.search: Any = re.compile(gate.pattern, gate.flags).search
        else:
            self.search = lambda line: gate.pattern in line
        self.counted = bool(_shown) and bool(self.search(_shown))
        """The unfinished line has been counted."""


_gates: list[_Gate] = []


_report_line: Callable[[str], None] | None = None
"""Called with each line once it is written whole, while the sweep wants that."""


def set_gates(gates: list[messages.LogGate]) -> None:
    _gates[:] = [_Gate(gate) for gate in gates]


def report_lines_to(report: Callable[[str], None] | None) -> None:
    """Call *report* with each line that is written through the patches, outside the locks of the streams."""
    global _report_line
    _report_line = report


def _written(text: str) -> None:
    """After *text* was written to the pipe: stop at the gates that are reached by the lines which it completes."""
    global _shown
    if not scheduler.active:
        return
    scheduler.after_output()
    if "\n" not in text:
        _partial.extend(filter(None, (text,)))
        return
    first, *lines = text.split("\n")
    lines.insert(0, "".join((*_partial, first)))
    _partial[:] = filter(None, (lines.pop(),))
    _shown = ""
    for gate in _gates:
        for line in lines:
            if not gate.counted and gate.search(line[:-1] if line.endswith("\r") else line):
                gate.remaining -= 1
            gate.counted = False
    _stand()
    if _report_line is not None:
        for line in lines:
            _report_line(line)


def _flushed() -> None:
    """After a flush: an unfinished line is in the log as well, and may reach a gate."""
    global _shown
    if not _partial or not scheduler.active:
        return
    unfinished = "".join(_partial)[-_PARTIAL_CHARACTERS:]
    _partial[:] = (unfinished,)
    if unfinished == _shown:
        return
    _shown = unfinished
    scheduler.send_marked(messages.pack(messages.Note(flushed=True)))
    for gate in _gates:
        if not gate.counted and gate.search(_shown):
            gate.counted = True
            gate.remaining -= 1
    _stand()


def _stand() -> None:
    for gate in [gate for gate in _gates if gate.remaining <= 0]:
        _gates.remove(gate)
        scheduler.gate(gate.identity, "log")


class _Buffer(io.BufferedWriter):
    """The binary layer; the data is in the pipe when ``write`` returns."""

    announce = True

    def write(self, data: Any, /) -> int:
        if scheduler.moved or scheduler.row_owed:
            scheduler.before_output()
        count = super().write(data)
        super().flush()
        if self.announce:
            _written(bytes(data).decode("utf-8", "replace"))
        return count

    def flush(self) -> None:
        super().flush()
        if self.announce:
            _flushed()


class _Text(io.TextIOWrapper):
    """The text layer; a thread stops at a gate outside the locks of both layers, which others need to write."""

    def write(self, text: str, /) -> int:
        if scheduler.moved or scheduler.row_owed:
            scheduler.before_output()
        if root_logger.is_debug(text):
            records.announce_debug(text)
        buffer: Any = self.buffer
        announce = buffer.announce
        buffer.announce = False
        try:
            count = super().write(text)
        finally:
            buffer.announce = announce  # False if a handler of a signal writes in the middle of another write
        _written(text)
        return count

    def flush(self) -> None:
        buffer: Any = self.buffer
        announce = buffer.announce
        buffer.announce = False
        try:
            super().flush()
        finally:
            buffer.announce = announce
        if announce:
            _flushed()


def _is_output(fd: int) -> bool:
    """Whether *fd* is the output pipe, or a copy of its descriptor, however that was opened."""
    try:
        return os.path.sameopenfile(fd, scheduler.channel.marks)
    except OSError:
        return False


def _write_rest(fd: int, data: Any, written: int, size: int) -> int:
    """Finish a write that was cut short, as one is that blocks when its process is stopped and continued.

    That is what the harness does, and the platform does not; it cuts no write to a file, as a disk does that is full.
    Gives how much of *data* is written in the end: all of it, unless the kernel had another reason.
    """
    try:
        if os.get_blocking(fd) and not stat.S_ISREG(os.fstat(fd).st_mode):
            with memoryview(data) as view, view.cast("B") as octets:
                while 0 < written < size:
                    count = _real_write(fd, octets[written:])
                    if not count:
                        break
                    written += count
    except OSError:
        pass  # the write of the rest raises it
    return written


def _wrote(fd: int, data: Any) -> None:
    """After an unbuffered write to *fd*: stop at the gates that it reaches, if *fd* is the output pipe."""
    if (_gates or fd in _STANDARD) and scheduler.active and _is_output(fd):
        _written(bytes(data).decode("utf-8", "replace"))
        _flushed()


_STANDARD = (1, 2)


def _before_write(fd: int) -> None:
    clock.reads[0] = 0
    if (scheduler.moved or scheduler.row_owed) and _is_output(fd):
        scheduler.before_output()


def _descriptor(fd: Any) -> int:
    """*fd* as a number; -1 if it is none, which the real function refuses in its own words."""
    try:
        return operator.index(fd)
    except TypeError:
        return -1


def _write_in_scheduler(fd: int, data: Any) -> int | None:
    """Write *data* if only this process can make room for it; how much was written. None: others can, or may.

    It is written in parts for which there is room, as another thread of the process may have to make it.
    """
    if not scheduler.active:
        return None
    try:
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        if size <= select.PIPE_BUF and socket_waits.is_ready(fd, select.POLLOUT)():
            return None
        if not size or _is_output(fd) or not socket_waits.is_of_this_process(fd):
            return None
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        with memoryview(data) as view, view.cast("B") as octets:
            return _write_parts(fd, octets, is_socket)
    except TypeError:
        return None  # *data* is none


def _write_parts(fd: int, octets: memoryview, is_socket: bool) -> int:
    written = 0
    try:
        while written < len(octets):
            socket_waits.await_ready(fd, select.POLLOUT, None, "write")
            if is_socket:
                written += socket_waits.send_at_once(fd, octets[written:])
            else:  # there is room for so much
                written += _real_write(fd, octets[written : written + select.PIPE_BUF])
    except OSError:
        if not written:
            raise
    return written


def _write_whole(fd: int, data: Any, write: Callable[[], int | None]) -> int | None:
    """Write *data* to *fd*, by *write* unless only this process can make room; None: *fd* does not block."""
    _before_write(fd)
    connections.sends(fd, data)
    count = _write_in_scheduler(fd, data)
    if count is None:
        count = write()
        if count is None:
            return None
    connections.sent(fd, data, count)
    size = len(data) if type(data) is bytes else memoryview(data).nbytes
    return count if count >= size else _write_rest(fd, data, count, size)


def fake_write(*args: Any, **named: Any) -> int:
    fd = _descriptor(args[0]) if len(args) == 2 and not named else -1
    if fd < 0:
        return _real_write(*args, **named)
    data = args[1]
    count = _write_whole(fd, data, lambda: _real_write(fd, data)) or 0
    if _gates or fd in _STANDARD:
        _wrote(fd, memoryview(data).cast("B")[:count])
    return count


def fake_writev(*args: Any, **named: Any) -> int:
    fd = _descriptor(args[0]) if len(args) == 2 and not named else -1
    try:
        data = b"".join(args[1]) if fd >= 0 else b""
    except TypeError:
        fd = -1
    if fd < 0:
        return _real_writev(*args, **named)
    count = _write_whole(fd, data, lambda: _real_writev(fd, args[1])) or 0
    _wrote(fd, data[:count])
    return count


def fake_sendfile(*args: Any, **named: Any) -> int:
    fd = _descriptor(args[0] if args else named.get("out_fd"))
    if fd >= 0:
        _before_write(fd)
        connections.sends_unseen(fd)
    return _real_sendfile(*args, **named)


def fake_splice(*args: Any, **named: Any) -> int:
    fd = _descriptor(args[1] if len(args) > 1 else named.get("dst"))
    if fd >= 0:
        _before_write(fd)
        connections.sends_unseen(fd)
    assert _real_splice is not None
    moved: int = _real_splice(*args, **named)
    return moved


def fake_file_write(self: io.FileIO, b: Any, /) -> int | None:
    if self.closed or not self.writable():
        return _real_file_write(self, b)
    return _write_whole(self.fileno(), b, lambda: _real_file_write(self, b))


_WHY = "what is written to the output is whole, and has the time at which it was written"


def install() -> None:
    """Patch the functions that write, and replace ``sys.stdout`` and ``sys.stderr``."""
    for name, function in (
        ("write", fake_write),
        ("writev", fake_writev),
        ("sendfile", fake_sendfile),
        ("splice", fake_splice),
    ):
        if hasattr(os, name):
            registry.replace(os, name, function, _WHY)
    registry.replace_method(io.FileIO, "write", fake_file_write, _WHY)
    noting = root_logger.noting_debug(logging.Handler.handle, is_library)
    registry.replace(
        logging.Handler, "handle", noting, "a timeline can leave out what libraries log at the level DEBUG"
    )
    set_gates([])
    ends = os.pipe()
    out, err = _stream(1, "strict", ends[1]), _stream(2, "backslashreplace", ends[1])
    why = "a line is in the log as soon as it is written"
    registry.rebind(sys, "stdout", out, why)
    registry.rebind(sys, "__stdout__", out, why)
    registry.rebind(sys, "stderr", err, why)
    registry.rebind(sys, "__stderr__", err, why)
    for end in ends:
        os.close(end)


def _stream(fd: int, errors: str, pipe: int) -> _Text:
    """A stream that writes to *fd*; it finds out once whether that can seek, and a *pipe* cannot."""
    kept = os.dup(fd)
    os.dup2(pipe, fd)
    raw = io.FileIO(fd, "w", closefd=False)
    stream = _Text(_Buffer(raw), encoding="utf-8", errors=errors, line_buffering=True, write_through=True)
    os.dup2(kept, fd)
    os.close(kept)
    return stream
