"""The channel to the harness, and the marks in the output that say where a frame was sent."""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import termios
from typing import NoReturn

from ..linux import linux
from ..protocol import messages, shared_page

_write, _pwritev = os.write, os.pwritev
_NOTHING = bytes(4)
_MOST = 65_536
"""Bytes that are received at once."""


class Channel:
    """One end of the stream socket between an instance and the harness.

    *marks* is a descriptor of the output pipe that user code does not know, and what is written there before a marked
    frame (``messages.MARKED``). The process ends if the harness is gone, or user code has closed one of the two.
    """

    __slots__ = ("_control", "_mark", "_receive_flags", "_send_flags", "_unread", "fd", "frames", "marks", "socket")

    def __init__(self, socket: _socket.socket, marks: tuple[int, bytes], control: shared_page.ControlPage) -> None:
        self.socket = socket
        self._control = control
        self.fd = socket.fileno()
        self.marks, self._mark = marks
        self.frames = messages.FrameReader()
        self._unread: list[tuple[int, bytes]] = []
        """Frames that came together with the first one."""
        self._send_flags, self._receive_flags = 0, _socket.MSG_DONTWAIT

    def receive_first(self) -> tuple[bytes, list[int]]:
        """Wait for the first frame; its body, and the descriptors that came with it. Without one the process ends."""
        fds: list[int] = []
        while True:
            data, came = linux.receive_descriptors(self.socket, 1 << 16, 4)
            if not data:
                os._exit(0)  # the harness never assigned this instance
            fds = came or fds
            found = list(self.frames.feed(data))
            if found and not fds:  # the kernel drops a descriptor for which there is no room
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if found:
                _, body = found.pop(0)
                self._unread = found
                return body, fds

    def take_unread(self) -> list[tuple[int, bytes]]:
        """The frames that came together with the first one."""
        unread, self._unread = self._unread, []
        return unread

    def receive(self) -> list[tuple[int, bytes]]:
        """The frames that have come; does not wait."""
        try:
            data = linux.receive(self.socket, _MOST, self._receive_flags)
        except BlockingIOError:
            return []
        except OSError as error:
            self._end(error)
        if not data:
            os._exit(1)
        return list(self.frames.feed(data))

    def send(self, frame: bytes) -> None:
        """Send a whole frame."""
        try:
            self.socket.sendall(frame, self._send_flags)
        except OSError as error:
            self._end(error)

    def is_traced(self) -> None:
        """The process is traced from here on: have a filter know its calls, at which nobody needs to stop it."""
        self._send_flags |= linux.OURS_SENT
        self._receive_flags |= linux.OURS_RECEIVED

    def send_marked(self, frame: bytes) -> None:
        """Send a frame with a mark in the output: what is written by now comes before it, the rest after it."""
        self.mark_output()
        self.send(frame)

    def mark_output(self) -> None:
        """Write the mark of a frame that is sent next."""
        try:
            if self._send_flags:
                _pwritev(self.marks, (self._mark,), -1, linux.OURS_WRITTEN)
            else:
                _write(self.marks, self._mark)
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> NoReturn:
        """End the process, which cannot speak to the harness."""
        if error.errno in (errno.EBADF, errno.ENOTSOCK):
            self._control.fault = shared_page.CLOSED
        os._exit(1)

    def has_unread_output(self) -> bool:
        """Whether the output pipe has something that the harness has not read."""
        return fcntl.ioctl(self.marks, termios.FIONREAD, _NOTHING) != _NOTHING

    def close(self) -> None:
        """In a child that user code forked: the channel is the parent's."""
        self.socket.close()
        os.close(self.marks)
