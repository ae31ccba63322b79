"""An instance's output as the harness reads it: bytes of its pipe in, lines out, each in its place between messages."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable

if sys.platform != "win32":  # which has no instances, and imports this all the same
    import fcntl
    import termios

READ_BYTES = 1 << 16
WHOLE_BYTES = 4096
"""A write of no more is never cut short."""
PIPE_BYTES = 1 << 20
"""As much as a pipe can hold: who has read that much has what was written before, and a writer may go on for ever."""
ATTEMPTS = 1000
"""How often a pipe is emptied to be filled. Who writes without end is nearly always too late to fill it first."""


class Output:
    """The read end of a pipe in which a *mark* stands where each marked message was sent (``wire.MARKED``)."""

    def __init__(self, mark: bytes, give: Callable[[str], None], dated: Callable[[int], None]) -> None:
        self.fd, self.theirs = os.pipe2(os.O_CLOEXEC)
        """Ours, and the end that the instance writes to: to be closed once it has its own."""
        os.set_blocking(self.fd, False)
        self.open = True
        """A process may still write to it."""
        self._mark = mark
        self._give = give
        self._dated = dated
        self._written: deque[bytes | tuple[int, bytes] | None] = deque()
        """What was read and not given on yet, with its time where that is known; None is a mark."""
        self._undated = 0
        """How many of the last pieces of it `date` has not met."""
        self.drained = False
        """All that was there has been read."""
        self._tail = b""
        """The end of what was read, where it may be the beginning of a mark."""
        self._line = bytearray()
        self._flushed = 0
        """As many bytes of the unfinished line have been flushed."""
        self._filler = 0
        """As many bytes of what is in the pipe are our own: it is full, and nobody can write to it."""
        self._before_filler = 0
        """As many bytes stand before them. Some may come behind them: a pipe is made larger for a resource tracker."""
        self.holds_back = False
        """The pipe is full, and something in it was not read: reading it would let somebody write."""
        self.busy = False
        """More has come than a write has that is never cut short: a writer may be in the middle of one."""

    def unread(self) -> int:
        """How many bytes are there to read."""
        if not self.open:
            return 0
        return int.from_bytes(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)), sys.byteorder) - self._filler

    @property
    def filled(self) -> bool:
        """Nothing can be written: ``fill`` was called, and not ``empty``."""
        return self._filler > 0

    def fill(self) -> None:
        """Read what is there, and fill the pipe: a write that begins from now on has to wait with nothing written.

        Such a write begins anew after a signal. One that had begun before may wait with a part of it written.
        """
        if not self.open or self.filled:
            return
        theirs = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size = fcntl.fcntl(self.fd, fcntl.F_GETPIPE_SZ)
            filler = bytes(size)
            for _ in range(ATTEMPTS):
                data = b""
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self.fd, size)
                with contextlib.suppress(BlockingIOError):
                    self._filler = os.write(theirs, filler)  # at once: who waits for room is awake soon
                self._take(data)
                if self.filled:
                    break
        finally:
            os.close(theirs)
        self._before_filler = self.unread()
        self.holds_back = self._before_filler > 0
        self.drained = not self.holds_back

    def empty(self) -> None:
        """Read what was in the pipe when it was filled, and have room in it again."""
        self.holds_back = False
        filler, before = self._filler, self._before_filler if self.filled else self.unread()
        self._filler = 0
        while before:
            data = os.read(self.fd, before)
            before -= len(data)
            self._take(data)
        while filler:
            filler -= len(os.read(self.fd, filler))

    def is_full(self) -> bool:
        """Whether so much is there unread that a writer may have to wait until we read."""
        unread = self.unread()
        return unread > fcntl.fcntl(self.fd, fcntl.F_GETPIPE_SZ) // 2 - 4096  # each page of it may be half used

    def read(self, limit: int = PIPE_BYTES) -> int:
        """Read what is there, and not much more than *limit* bytes; gives how many there were."""
        taken, found_empty = 0, False
        while self.open and taken < limit and not self.filled:
            try:
                data = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                found_empty = True
                break
            if not data:
                self.open = False
                break
            taken += len(data)
            self._take(data)
        self.drained = found_empty or not self.unread()
        return taken

    def _take(self, data: bytes) -> None:
        """Take in *data*, which was read."""
        self.busy = self.busy or len(data) >= WHOLE_BYTES
        data = self._tail + data
        *before, last = data.split(self._mark)
        for part in before:
            if part:
                self._written.append(part)
            self._written.append(None)
            self._undated = 0
        keep = next(
            (n for n in range(min(len(self._mark) - 1, len(last)), 0, -1) if self._mark.startswith(last[-n:])), 0
        )
        self._tail = last[len(last) - keep :]
        last = last[: len(last) - keep]
        if last:
            self._written.append(last)
            self._undated += 1

    def looked_at(self) -> None:
        """Who writes to it has been looked at: only what comes from now on counts as much."""
        self.busy = False

    def date(self, time_us: int) -> bool:
        """What was read since the last mark, and since the last call of this, was written at *time_us*; whether there
        is any."""
        found = self._undated > 0
        for at in range(-min(self._undated, len(self._written)), 0):
            piece = self._written[at]
            if isinstance(piece, bytes):
                self._written[at] = time_us, piece
        self._undated = 0
        return found

    @property
    def has_mark(self) -> bool:
        """A mark has come whose message has not."""
        return None in self._written

    def give_lines(self, time_us: int | None = None) -> None:
        """Give on the lines up to the next mark; where it is not known when one was written, it was at *time_us*."""
        while self._written and self._written[0] is not None:
            self._undated = min(self._undated, len(self._written) - 1)
            piece = self._written.popleft()
            assert piece is not None
            at, data = (time_us, piece) if isinstance(piece, bytes) else piece
            if at is not None:
                self._dated(at)
            *lines, rest = data.split(b"\n")
            for line in lines:
                whole = bytes(self._line) + line if self._line else line
                self._line.clear()
                self._flushed = 0
                self._give(whole.decode("utf-8", "replace"))
            self._line += rest

    def flushed(self) -> None:
        """What has been given on was flushed, an unfinished line too."""
        self._flushed = len(self._line)

    @property
    def unfinished(self) -> str:
        """What of the unfinished line has been flushed."""
        return self._line[: self._flushed].decode("utf-8", "replace")

    def end_line(self) -> None:
        """Give on what of the unfinished line has been flushed, as a line: something else comes after it."""
        if self._flushed:
            line = self.unfinished
            del self._line[: self._flushed]
            self._flushed = 0
            self._give(line)

    def pass_mark(self) -> None:
        """The message of the next mark has been received."""
        if self._written:
            self._written.popleft()

    def finish(self) -> None:
        """Give on everything that is left, an unfinished line too: nothing more comes, or the event has ended."""
        self.empty()
        self.read()
        while self._written:
            self.give_lines()
            self.pass_mark()
        if self._tail:
            self._line += self._tail
            self._tail = b""
        if self._line:
            line = self._line.decode("utf-8", "replace")
            self._line.clear()
            self._flushed = 0
            self._give(line)
