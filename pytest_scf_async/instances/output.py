"""An instance's output as the harness reads it: bytes of its pipe in, lines out, each in its place between messages."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

READ_BYTES = 1 << 16
PIPE_BYTES = 1 << 20
"""As much as a pipe can hold: who has read that much has what was written before, and a writer may go on for ever."""


class Output:
    """The read end of a pipe in which a *mark* stands where each marked message was sent (``wire.MARKED``)."""

    def __init__(self, mark: bytes, give: Callable[[str], None], fd: int | None = None) -> None:
        """Of the pipe whose read end is *fd*, or of a new one."""
        self.fd, self.theirs = os.pipe2(os.O_CLOEXEC) if fd is None else (fd, -1)
        """Ours, and the end that the instance writes to: to be closed once it has its own."""
        os.set_blocking(self.fd, False)
        self.open = True
        """A process may still write to it."""
        self._mark = mark
        self._give = give
        self._written: deque[bytes | None] = deque()
        """What was read and not given on yet; None is a mark."""
        self._tail = b""
        """The end of what was read, where it may be the beginning of a mark."""
        self._line = bytearray()

    def read(self) -> None:
        """Read what is there."""
        taken = 0
        while self.open and taken < PIPE_BYTES:
            try:
                data = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self.open = False
                return
            taken += len(data)
            data = self._tail + data
            *before, last = data.split(self._mark)
            for part in before:
                if part:
                    self._written.append(part)
                self._written.append(None)
            keep = next(
                (n for n in range(min(len(self._mark) - 1, len(last)), 0, -1) if self._mark.startswith(last[-n:])), 0
            )
            self._tail = last[len(last) - keep :]
            last = last[: len(last) - keep]
            if last:
                self._written.append(last)

    def give_lines(self) -> None:
        """Give on the lines up to the next mark."""
        while self._written and self._written[0] is not None:
            data = self._written.popleft()
            assert data is not None
            *lines, rest = data.split(b"\n")
            for line in lines:
                whole = bytes(self._line) + line if self._line else line
                self._line.clear()
                self._give(whole.decode("utf-8", "replace"))
            self._line += rest

    def pass_mark(self) -> None:
        """The message of the next mark has been heard."""
        if self._written:
            self._written.popleft()

    def finish(self) -> None:
        """Give on everything that is left, an unfinished line too: nothing more comes, or the event has ended."""
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
            self._give(line)
