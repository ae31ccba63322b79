"""``threading``'s locks and ``queue.SimpleQueue``: the state stays in the C object, only the waiting is ours.

Everything else of ``threading`` and ``queue`` (``Event``, ``Condition``, ``Semaphore``, ``Barrier``, ``Queue``) is
built on these by the standard library itself. No lock of ours is held while a signal's handler may run.
"""

from __future__ import annotations

import _queue
import _thread
import queue
import threading
import time
from collections import deque
from typing import Any

from ..clock import microseconds, now_us
from ..scheduler.door import door
from ..scheduler.waiters import Wait, describe_caller

_allocate_lock = _thread.allocate_lock
_CRLock = _thread.RLock
_get_ident = _thread.get_ident


def timeout_due(timeout: float) -> int:
    """When a wait with *timeout* seconds ends: rounded up, and 1 µs later, so that ``deadline < now`` holds then."""
    return now_us() + microseconds(timeout) + 1


def wake_first(waiters: deque[Wait]) -> None:
    """Wake the first of *waiters* that still waits."""
    while waiters:
        try:
            wait = waiters.popleft()
        except IndexError:
            return
        if door.wake(wait):
            return


def wait_for(try_once: Any, waiters: deque[Wait], due_us: int | None, what: str) -> bool:
    """Park until *try_once* answers True after a wake-up, or until *due_us*; a wake-up that is not used goes on."""
    while True:
        mine: list[Wait] = []

        def enlist(wait: Wait, mine: list[Wait] = mine) -> bool:
            mine.append(wait)
            waiters.append(wait)
            return not try_once()

        try:
            woken = door.park(due_us, what, enlist=enlist)
        except BaseException:
            if mine and mine[0].woken:
                wake_first(waiters)
            raise
        finally:
            if mine and not mine[0].woken and mine[0] in waiters:
                waiters.remove(mine[0])
        if mine and mine[0].over and not mine[0].granted:
            return True  # try_once succeeded while enlisting
        if try_once():
            return True
        if not woken:
            return False


class Lock:
    """``threading.Lock``: a C lock, whose waiters wait on simulated time."""

    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._waiters: deque[Wait] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not door.active or not blocking:
            return self._lock.acquire(blocking, timeout)
        if self._lock.acquire(False):
            return True
        if timeout != -1 and not 0 < timeout <= threading.TIMEOUT_MAX:
            return self._lock.acquire(True, timeout)
        due = None if timeout == -1 else timeout_due(timeout)
        return wait_for(self._try, self._waiters, due, describe_caller("Lock.acquire"))

    def _try(self) -> bool:
        return self._lock.acquire(False)

    def release(self) -> None:
        self._lock.release()
        if self._waiters and door.active:
            wake_first(self._waiters)

    def locked(self) -> bool:
        return self._lock.locked()

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]
        self._waiters.clear()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} _thread.lock object at {id(self):#x}>"


class RLock:
    """``threading.RLock``: a C re-entrant lock, whose waiters wait on simulated time."""

    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = _CRLock()
        self._waiters: deque[Wait] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not door.active or not blocking:
            return self._lock.acquire(blocking, timeout)
        if self._lock.acquire(False):
            return True
        if timeout != -1 and not 0 < timeout <= threading.TIMEOUT_MAX:
            return self._lock.acquire(True, timeout)
        due = None if timeout == -1 else timeout_due(timeout)
        return wait_for(self._try, self._waiters, due, describe_caller("RLock.acquire"))

    __enter__ = acquire

    def _try(self) -> bool:
        return self._lock.acquire(False)

    def release(self) -> None:
        self._lock.release()
        self._freed()

    def _freed(self) -> None:
        if self._waiters and door.active and not self._lock._is_owned():  # type: ignore[attr-defined]
            wake_first(self._waiters)

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _is_owned(self) -> bool:
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]

    def _release_save(self) -> Any:
        state = self._lock._release_save()  # type: ignore[attr-defined]
        self._freed()
        return state

    def _acquire_restore(self, state: Any) -> None:
        raised: BaseException | None = None
        while True:
            try:
                self.acquire()
                break
            except BaseException as error:  # of a signal's handler: whoever sees it has the lock again, as with C's
                raised = error
        for _ in range(state[0] - 1):  # the depth that it had
            self._lock.acquire()
        if raised is not None:
            raise raised

    def _recursion_count(self) -> int:
        return self._lock._recursion_count()  # type: ignore[attr-defined, no-any-return]

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]
        self._waiters.clear()

    def __repr__(self) -> str:
        return repr(self._lock)


class SimpleQueue:
    """``queue.SimpleQueue``: the C queue, whose waiters wait on simulated time."""

    __slots__ = ("__weakref__", "_queue", "_waiters")

    def __init__(self) -> None:
        self._queue: Any = _queue.SimpleQueue()
        self._waiters: deque[Wait] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._queue.put(item)
        if self._waiters and door.active:
            wake_first(self._waiters)

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not door.active or not block:
            return self._queue.get(block, timeout)
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        taken: list[Any] = []

        def try_once() -> bool:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                return False
            return True

        due = None if timeout is None else timeout_due(timeout)
        if try_once() or (timeout != 0 and wait_for(try_once, self._waiters, due, describe_caller("SimpleQueue.get"))):
            return taken[0]
        raise queue.Empty

    def get_nowait(self) -> Any:
        return self._queue.get_nowait()

    def empty(self) -> bool:
        return bool(self._queue.empty())

    def qsize(self) -> int:
        return int(self._queue.qsize())

    def __class_getitem__(cls, item: Any) -> Any:
        return _queue.SimpleQueue[item]


for _class in (Lock, RLock):
    _class.__module__ = "_thread"  # what code that asks for it expects
    _class.__qualname__ = _class.__name__ = _class.__name__ if _class is RLock else "lock"


def install() -> None:
    """Put the locks into ``threading`` and ``queue``; before modules that make locks at import are imported."""
    threading.Lock = Lock  # type: ignore[assignment]
    threading._allocate_lock = Lock  # type: ignore[attr-defined]
    threading.RLock = RLock  # type: ignore[assignment]
    threading._CRLock = RLock  # type: ignore[attr-defined]
    queue.SimpleQueue = SimpleQueue  # type: ignore[misc, assignment]
    threading._time = time.monotonic  # type: ignore[attr-defined]
    queue.time = time.monotonic  # type: ignore[attr-defined]
