"""The lock of the scheduler."""

from __future__ import annotations

import _thread
import gc

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
