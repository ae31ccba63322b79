"""``threading``'s locks and ``queue.SimpleQueue`` on simulated time: objects in C keep the state, ours the waiters.

The standard library builds everything else of ``threading`` and ``queue`` on these (``Event``, ``Condition``,
``Semaphore``, ``Barrier``, ``Queue``). No lock of the plugin is held while a handler of a signal may run.
"""

from __future__ import annotations

import _queue
import _thread
import queue
import sys
import threading
import time
from collections import deque
from functools import partial
from types import FrameType, GenericAlias
from typing import Any

from ...protocol.messages import Awaits
from ...protocol.time_units import microseconds
from ..clock import now_us, real_number
from ..scheduler.callers import describe_caller
from ..scheduler.scheduler import Waiter, scheduler
from . import registry
from .builtin import documentation

_allocate_lock = _thread.allocate_lock
_CRLock = _thread.RLock
_CSimpleQueue = _queue.SimpleQueue


def timeout_due(timeout: float) -> int:
    """When a wait of *timeout* seconds ends: rounded up and 1 µs later, so that ``deadline < now`` is true by then."""
    return now_us() + microseconds(real_number(timeout)) + 1


def wake_first(waiters: deque[Waiter]) -> None:
    """Wake the first of *waiters* that is still waiting."""
    while waiters:
        try:
            waiter = waiters.popleft()
        except IndexError:
            return
        if scheduler.wake(waiter):
            return


def _of_lock(caller: FrameType) -> int:
    """What a lock waits for whose method *caller* has called: those of ``threading`` notify others with locks."""
    if caller.f_code.co_filename == threading.__file__:
        return Awaits.NOTICE
    return Awaits.LOCK if len(scheduler.threads) > 1 else Awaits.OWN_LOCK


def wait_for(try_once: Any, waiters: deque[Waiter], due_us: int | None, description: str, awaits: int) -> bool:
    """Park until *try_once* is True after a wakeup, or until *due_us*; a wakeup that is not used goes to the next."""
    while True:
        mine: list[Waiter] = []

        def enlist(waiter: Waiter, mine: list[Waiter] = mine) -> bool:
            mine.append(waiter)
            waiters.append(waiter)
            return not try_once()

        try:
            woken = scheduler.park(due_us, description, enlist=enlist, awaits=awaits)
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


def _acquiring(name: str) -> Any:
    """The method ``acquire`` of a lock, which texts call *name*."""

    def acquire(self: Any, /, blocking: bool = True, timeout: float = -1) -> bool:
        lock = self._lock
        if not scheduler.active or not blocking:
            return lock.acquire(blocking, timeout)  # type: ignore[no-any-return]
        if lock.acquire(False):
            return True
        timeout = given = real_number(timeout)
        if not isinstance(given, (int, float)) or (timeout != -1 and not 0 < timeout <= threading.TIMEOUT_MAX):
            return lock.acquire(True, timeout)  # type: ignore[no-any-return]
        due = None if timeout == -1 else timeout_due(timeout)
        take = partial(lock.acquire, False)
        return wait_for(take, self._waiters, due, describe_caller(name), _of_lock(sys._getframe(1)))

    return acquire


class Lock:
    # ``threading.Lock``: a C lock, whose waiters wait on simulated time.
    __doc__ = documentation(_thread.LockType)
    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._waiters: deque[Waiter] = deque()

    acquire = _acquiring("Lock.acquire")

    def release(self, /) -> None:
        self._lock.release()
        if self._waiters and scheduler.active:
            wake_first(self._waiters)

    def locked(self, /) -> bool:
        return self._lock.locked()

    def _at_fork_reinit(self, /) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]
        self._waiters.clear()

    def __enter__(self, /) -> bool:
        return self.acquire()  # type: ignore[no-any-return]

    def __exit__(self, /, *exc_info: object) -> None:
        self.release()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def __repr__(self, /) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} _thread.lock object at {id(self):#x}>"


class RLock:
    # What ``threading.RLock`` makes: a C re-entrant lock, whose waiters wait on simulated time.
    __doc__ = documentation(_CRLock)
    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = _CRLock()
        self._waiters: deque[Waiter] = deque()

    acquire = _acquiring("RLock.acquire")

    def __enter__(self, /) -> bool:
        return self._lock.acquire(False) or self.acquire()

    def release(self, /) -> None:
        self._lock.release()
        self._freed()

    def _freed(self) -> None:
        if self._waiters and scheduler.active and not self._lock._is_owned():  # type: ignore[attr-defined]
            wake_first(self._waiters)

    def __exit__(self, /, *exc_info: object) -> None:
        self.release()

    def _is_owned(self, /) -> bool:
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]

    def _release_save(self, /) -> Any:
        state = self._lock._release_save()  # type: ignore[attr-defined]
        self._freed()
        return state

    def _acquire_restore(self, state: Any, /) -> None:
        raised: BaseException | None = None
        while True:
            try:
                self.acquire()
                break
            except BaseException as error:  # raised by a handler of a signal: the lock is held again, as in C
                raised = error
        for _ in range(state[0] - 1):  # the depth that it had
            self._lock.acquire()
        if raised is not None:
            raise raised

    if hasattr(_CRLock, "locked"):  # Python 3.14 and newer

        def locked(self, /) -> bool:
            lock: Any = self._lock  # typeshed knows it from 3.14 on
            return bool(lock.locked())

    def _recursion_count(self, /) -> int:
        return self._lock._recursion_count()  # type: ignore[attr-defined, no-any-return]

    def _at_fork_reinit(self, /) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]
        self._waiters.clear()

    def __repr__(self, /) -> str:
        return repr(self._lock)


class SimpleQueue:
    # ``queue.SimpleQueue``: the C queue, whose waiters wait on simulated time.
    __doc__ = documentation(_CSimpleQueue)
    __slots__ = ("__weakref__", "_queue", "_waiters")

    def __init__(self) -> None:
        self._queue: Any = _CSimpleQueue()
        self._waiters: deque[Waiter] = deque()

    def put(self, /, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._queue.put(item)
        if self._waiters and scheduler.active:
            wake_first(self._waiters)

    def put_nowait(self, /, item: Any) -> None:
        self.put(item)

    def get(self, /, block: bool = True, timeout: float | None = None) -> Any:
        if not scheduler.active or not block:
            return self._queue.get(block, timeout)
        if timeout is None:
            try:
                return self._queue.get_nowait()  # most calls find something, and need nothing of what follows
            except queue.Empty:
                pass
        timeout = real_number(timeout)
        if timeout is not None and not isinstance(timeout, (int, float)):
            return self._queue.get(block, timeout)  # it refuses this in its own words
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
        if try_once() or (
            timeout != 0 and wait_for(try_once, self._waiters, due, describe_caller("SimpleQueue.get"), Awaits.NOTICE)
        ):
            return taken[0]
        raise queue.Empty

    def get_nowait(self, /) -> Any:
        return self._queue.get_nowait()

    def empty(self, /) -> bool:
        return bool(self._queue.empty())

    def qsize(self, /) -> int:
        return int(self._queue.qsize())

    def __class_getitem__(cls, object: Any, /) -> Any:
        return GenericAlias(cls, object)


def install() -> None:
    """Put the locks into ``threading`` and ``queue``; before modules that make locks at import are imported."""
    why = "its waiters wait on simulated time"
    registry.replace(_thread, "LockType", Lock, why)
    for name in ("allocate_lock", "allocate"):
        if hasattr(_thread, name):
            registry.replace(_thread, name, Lock, why)
    for name in ("Lock", "_allocate_lock"):
        made = Lock if isinstance(getattr(threading, name), type) else _thread.allocate_lock
        registry.rebind(threading, name, made, "that is the lock of _thread")
    registry.replace(_thread, "RLock", RLock, why)
    registry.rebind(threading, "_CRLock", RLock, "that is _thread.RLock, and what threading.RLock() makes")
    registry.replace(queue, "SimpleQueue", SimpleQueue, why)
    registry.rebind(threading, "_time", time.monotonic, "timeouts count simulated time")
    registry.rebind(queue, "time", time.monotonic, "timeouts count simulated time")
