"""Signals for the main thread: those that have come, those that are on their way, and whether the harness asks.

Python calls a signal's handler between two bytecodes of the main thread. While that thread is in the scheduler, whose
state a handler could find half written, its signals are put here, and their handlers are called at a safe point.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from types import FrameType

from .callers import user_frame

_read = os.read


class SignalInbox:
    """The signals of one process; *call_handler* calls user code's handler of one.

    *pipe* has both ends of what the kernel's signal handler writes to, so that a ``poll`` of the main thread ends.
    """

    __slots__ = ("_pipe", "announced", "call_handler", "elsewhere", "fd", "interrupts", "pending", "poll_requested")

    def __init__(self, pipe: tuple[int, int], call_handler: Callable[[int, FrameType | None], None]) -> None:
        self._pipe = pipe
        self.fd = pipe[0]
        """It can be read once a signal has come."""
        self.call_handler = call_handler
        self.pending: deque[int] = deque()
        """Signals that have come, and whose handlers have not been called."""
        self.elsewhere: set[int] = set()
        """Signals that another thread gets. The main thread, which calls their handlers, has not noticed them yet."""
        self.interrupts = False
        """One of `pending` came to the main thread, whose wait it interrupts. Others have their handlers called after
        the wait, as the kernel does not end a thread's system call for a signal to another thread."""
        self.announced = 0
        """How often the main thread counts as running because of a signal that is on its way to it."""
        self.poll_requested = False
        """The harness wants to know when the main thread has dealt with the signals that have come."""

    def announce(self) -> None:
        """A signal is about to be sent to the main thread, which counts as running from here on."""
        self.announced += 1

    def withdraw(self) -> None:
        """Undo `announce`: the signal was not sent, or has no handler to call."""
        self.announced -= 1

    def take_announced(self) -> int:
        """Reset the count of announced signals, which have arrived. Returns what it was."""
        announced, self.announced = self.announced, 0
        return announced

    def request_poll(self) -> None:
        """Have the main thread report once it has dealt with what has come."""
        self.poll_requested = True

    def take_poll(self) -> None:
        """Note that the main thread is about to answer `request_poll`."""
        self.poll_requested = False

    def came(self, signum: int) -> None:
        """The main thread has noticed *signum*, whose handler is not called now: once for all that came elsewhere."""
        elsewhere = self.is_elsewhere(signum)
        if signum not in self.pending or (self.interrupts and not elsewhere):
            self.pending.append(signum)
        self.interrupts = self.interrupts or not elsewhere

    def is_elsewhere(self, signum: int) -> bool:
        """Whether another thread has got *signum*, which the main thread has noticed now."""
        known = signum in self.elsewhere
        self.elsewhere.discard(signum)
        return known

    def call_pending(self) -> None:
        """Call the handlers of all that have come, on the main thread and outside the scheduler."""
        while self.pending:
            signum = self.pending.popleft()
            self.interrupts = self.interrupts and bool(self.pending)
            self.call_handler(signum, user_frame(sys._getframe(1)))

    def drain(self) -> None:
        """Empty the pipe."""
        _read(self.fd, 512)

    def close(self) -> None:
        """In a child that user code forked: what has come is the parent's."""
        self.pending.clear()
        self.elsewhere.clear()
        for fd in self._pipe:
            os.close(fd)
