"""The lock that guards the scheduler's state."""

from __future__ import annotations

import _thread
import gc

_allocate_lock = _thread.allocate_lock


class Section:
    """A lock under which the garbage collector is off.

    A collection may run a finaliser of user code, which may call the scheduler and wait for the lock that its own
    thread holds. The handler of a signal could do the same: the main thread takes the lock only with ``main_inside``
    set, which defers them.
    """

    __slots__ = ("_collects", "_lock")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._collects = False

    def __enter__(self) -> None:
        collects = gc.isenabled()
        gc.disable()
        self._lock.acquire()
        collects = gc.isenabled() or collects  # the thread that has just released the lock has enabled it
        gc.disable()
        self._collects = collects

    def __exit__(self, *exception: object) -> None:
        collects = self._collects
        release = self._lock.release
        if collects:
            gc.enable()  # before the release, so that the next thread to take the lock sees it
        release()
