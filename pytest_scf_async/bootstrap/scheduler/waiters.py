"""What the state of the scheduler is made of: its lock, the waiters, the threads; and which frames are the user's."""

from __future__ import annotations

import _thread
import gc
import math
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any

from ...protocol.own_code import OWN_CODE

_STANDARD = os.path.dirname(os.__file__)
PLUMBING = {
    os.path.join(_STANDARD, *name.split(".")) + ".py": name
    for name in ("threading", "queue", "selectors", "socket", "concurrent.futures._base", "concurrent.futures.thread")
}
PLUMBING[os.path.join(_STANDARD, "subprocess.py")] = "subprocess"
for _name in ("base_events", "events", "runners"):
    PLUMBING[os.path.join(_STANDARD, "asyncio", _name + ".py")] = "asyncio"
"""Modules, of the standard library above all, that wait for their callers: whose line is no help."""

LONGEST_POLL_MS = 1_000_000_000

real_poll: Any = getattr(select, "poll", None)
real_epoll: Any = getattr(select, "epoll", None)
real_waitpid: Any = getattr(os, "waitpid", None)
"""From before they are replaced, as is the clock."""
_real_monotonic = time.monotonic
_allocate_lock = _thread.allocate_lock


class Section:
    """The scheduler's lock, with the garbage collector off: a finaliser of user code may come back into the scheduler.

    The main thread holds it only with ``main_inside`` set, so that no signal's handler runs under it either.
    """

    __slots__ = ("_collects", "_lock")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._collects = False

    def __enter__(self) -> None:
        collects = gc.isenabled()
        gc.disable()
        self._lock.acquire()
        collects = gc.isenabled() or collects  # the thread that had the lock has just enabled it
        gc.disable()
        self._collects = collects

    def __exit__(self, *exception: object) -> None:
        collects = self._collects
        release = self._lock.release
        if collects:
            gc.enable()  # before the release: the next one to have the lock has to see it
        release()


class Waiter:
    """One call that blocks. ``due_us`` is when it ends by itself, in µs since the epoch; None: it has to be woken.

    ``what`` says what it is to a user; it is empty for waits of our own.
    """

    __slots__ = (
        "deferred",
        "due_us",
        "granted",
        "in_c",
        "over",
        "sequence",
        "suspended",
        "thread",
        "watch",
        "what",
        "woken",
    )

    def __init__(self, thread: ThreadState, due_us: int | None, what: str, watch: Readiness | None = None) -> None:
        self.thread = thread
        self.due_us = due_us
        self.what = what
        self.watch = watch
        self.sequence = 0
        self.granted = False
        self.woken = False
        self.suspended = False
        self.over = False
        self.in_c = False
        """C code waits, out of which no handler may raise: a signal ends the wait."""
        self.deferred: int | None = None
        """How many signals have come whose handlers are called after this wait; None: they are called in it."""


class Readiness:
    """The descriptors that end a wait once one of them is ready, and for how long they hold the clock."""

    __slots__ = ("descriptors", "ends", "holds", "is_ready", "muted", "polled", "until")

    def __init__(self, descriptors: Mapping[int, int], is_ready: Callable[[], bool]) -> None:
        self.descriptors = descriptors
        """The events of ``poll`` by descriptor."""
        self.is_ready = is_ready
        """Looks at all of them, and takes nothing."""
        self.holds = False
        """What makes one of them ready is real: the clock stands."""
        self.until: float | None = None
        """In seconds of the real monotonic clock: how long it holds; None: until one of them is ready."""
        self.ends = False
        """At ``until`` the wait is over as well."""
        self.muted = False
        """One of them is ready, and who computes may yet take it: it is looked at again when that thread waits."""
        self.polled = False
        """They are registered with the thread's poller."""

    def rest_ms(self) -> int | None:
        """How long it still holds the clock, for ``poll``, which may come back for more; None: no end is in sight."""
        if not self.holds or self.until is None:
            return None
        return min(max(0, math.ceil((self.until - _real_monotonic()) * 1_000)), LONGEST_POLL_MS)


class ThreadState:
    """What the scheduler knows of one Python thread."""

    __slots__ = ("ended", "followed", "joiners", "main", "poller", "polls_channel", "waits", "wakeup_fd")

    def __init__(self, main: bool) -> None:
        self.main = main
        self.wakeup_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.waits: list[Waiter] = []
        self.ended = False
        self.followed = 0
        """What ``Scheduler.followed`` was when this thread looked."""
        self.joiners: list[Waiter] = []
        self.polls_channel = False
        self.poller = real_poll()
        self.poller.register(self.wakeup_fd, select.POLLIN)

    def wake(self) -> None:
        os.eventfd_write(self.wakeup_fd, 1)

    def close(self) -> None:
        os.close(self.wakeup_fd)


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame from *frame* outwards that is not ours."""
    while frame is not None and frame.f_code.co_filename.startswith(OWN_CODE):
        frame = frame.f_back
    return frame


_passed: dict[int, tuple[CodeType, str]] = {}
"""Code that is no user's, by its identity, and what a wait is called that a user made by calling it."""
_described: tuple[Any, str] = (None, "")
"""The last description, and of what it is: loops wait at the same place again and again."""


def describe_caller(what: str) -> str:
    """*what*, and the user's line that called it."""
    global _described
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        passed = _passed.get(id(code))
        if passed is None:
            module = PLUMBING.get(code.co_filename)
            if module is None and not code.co_filename.startswith(OWN_CODE):
                break
            passed = _passed[id(code)] = code, "" if module is None else f"{module}.{code.co_name}"
        what = passed[1] or what
        frame = frame.f_back
    if frame is None:
        return what
    place = what, frame.f_code, frame.f_lasti
    known, text = _described
    if place != known:
        text = f"{what} at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        _described = place, text
    return text
