"""Threads of user code: the scheduler knows of them before they start, and they are joined on simulated time.

A thread that it did not know of would run beside the one that has the run token, until its first wait.
"""

from __future__ import annotations

import _thread
import itertools
import threading
from typing import Any

from ...protocol.wait_texts import named
from .. import thread_table
from ..scheduler.callers import describe_caller
from ..scheduler.scheduler import ThreadState, scheduler
from . import registry
from .locks import timeout_due

_real_join = threading.Thread.join
_real_start = threading.Thread.start
_real_is_alive = threading.Thread.is_alive
_real_start_new_thread = _thread.start_new_thread

outside: set[object] = set()
"""A token for each running thread of a process without a scheduler: the zygote, or a child that user code forked."""


def _run(state: ThreadState, function: Any, args: Any, kwargs: Any) -> None:
    thread_table.begin(getattr(getattr(function, "__self__", None), "_name", None))
    scheduler.begin_thread(state)
    try:
        function(*args, **kwargs)
    finally:
        if scheduler.active:
            thread_table.end()
            scheduler.end_thread(state)


def _expect(function: Any) -> ThreadState:
    owner = getattr(function, "__self__", None)
    state = scheduler.expect_thread()
    if isinstance(owner, threading.Thread):
        owner._scf_async_state = state  # type: ignore[attr-defined]
    return state


def _run_outside(token: object, function: Any, args: Any, kwargs: Any) -> None:
    try:
        function(*args, **kwargs)
    finally:
        outside.discard(token)


def start_new_thread(function: Any, args: Any, kwargs: Any = None) -> int:
    if not scheduler.active:
        token = object()
        outside.add(token)
        return _real_start_new_thread(_run_outside, (token, function, args, kwargs or {}))
    state = _expect(function)
    try:
        return _real_start_new_thread(_run, (state, function, args, kwargs or {}))
    except BaseException:
        scheduler.forget_thread(state)
        raise


def _joinable(real: Any) -> Any:
    def start_joinable_thread(function: Any, handle: Any = None, daemon: bool = True) -> Any:
        if not scheduler.active:
            token = object()
            outside.add(token)
            return real(lambda: _run_outside(token, function, (), {}), handle=handle, daemon=daemon)
        state = _expect(function)
        try:
            return real(lambda: _run(state, function, (), {}), handle=handle, daemon=daemon)
        except BaseException:
            scheduler.forget_thread(state)
            raise

    return start_joinable_thread


class _Started(threading.Event):
    """``Thread._started``: a thread that has set it yields, so that the thread which started it resumes first."""

    def set(self) -> None:
        super().set()
        if scheduler.active:
            scheduler.yield_run_token()


def _start(self: threading.Thread) -> None:
    if scheduler.active and not self._started.is_set():  # type: ignore[attr-defined]
        self._started = _Started()  # type: ignore[attr-defined]
    _real_start(self)


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    state: ThreadState | None = getattr(self, "_scf_async_state", None)
    is_stopped = getattr(self, "_is_stopped", False)
    if not scheduler.active or state is None or is_stopped or self is threading.current_thread():
        _real_join(self, timeout)
        return
    if timeout is not None and timeout <= 0:
        if state.ended:
            _real_join(self)
        return
    due = None if timeout is None else timeout_due(timeout)
    for_long = "" if timeout is None else f" for {float(timeout):g} s"
    try:
        ended = scheduler.join_thread(state, due, describe_caller(f"join of {named(self.name)}{for_long}"))
    except BaseException:
        _count_as_stopped(self)
        raise
    if ended:
        _real_join(self)  # it is about to end: only its last instructions in C are left


def _count_as_stopped(thread: Any) -> None:
    """Have *thread* count as stopped after a handler of a signal has raised in ``join``, as before Python 3.13.

    There ``join`` waits for a lock that the running thread holds, and releases it when it is interrupted. From then on
    nobody waits for the thread: the next ``join`` returns at once, and so does the end of the process.
    """
    lock = getattr(thread, "_tstate_lock", None)
    if lock is not None and lock.locked():
        lock.release()
        thread._stop()


def _is_alive(self: threading.Thread) -> bool:
    state: ThreadState | None = getattr(self, "_scf_async_state", None)
    return _real_is_alive(self) and not (scheduler.active and state is not None and state.ended)


_numbers = itertools.count(1)


def _hash(self: Any) -> int:
    """The number of the thread: with its address, a set of threads would have another order in each run."""
    known = vars(self)
    if "_scf_async_hash" not in known:
        known["_scf_async_hash"] = next(_numbers)
    return known["_scf_async_hash"]  # type: ignore[no-any-return]


def install() -> None:
    for thread in threading.enumerate():  # they may be in sets already
        vars(thread)["_scf_async_hash"] = hash(thread)
    registry.rebind(threading.Thread, "__hash__", _hash, "a pool of threads joins them in the order of a set")
    counted = "the scheduler knows of a thread before it starts"
    for name in ("start_new_thread", "start_new"):
        if hasattr(_thread, name):
            registry.replace(_thread, name, start_new_thread, counted)
    if hasattr(threading, "_start_new_thread"):
        registry.rebind(threading, "_start_new_thread", _thread.start_new_thread, "that is _thread.start_new_thread")
    if hasattr(_thread, "start_joinable_thread"):
        joinable = registry.replace(_thread, "start_joinable_thread", _joinable(_thread.start_joinable_thread), counted)
        registry.rebind(threading, "_start_joinable_thread", joinable, "that is _thread.start_joinable_thread")
    registry.replace(threading.Thread, "start", _start, "the thread that has started another one resumes first")
    joined = "a thread is joined on simulated time"
    registry.replace(threading.Thread, "join", _join, joined)
    registry.replace(threading.Thread, "is_alive", _is_alive, joined)
    thread_table.install()
