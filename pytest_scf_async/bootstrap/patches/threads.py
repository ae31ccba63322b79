"""Threads of user code: counted from the moment they are asked for, joined on simulated time."""

from __future__ import annotations

import _thread
import threading
from typing import Any

from .. import thread_table
from ..scheduler.door import door
from ..scheduler.waiters import ThreadState, describe_caller
from .locks import timeout_due

_real_join = threading.Thread.join
_real_start = threading.Thread.start
_real_is_alive = threading.Thread.is_alive
_real_start_new_thread = _thread.start_new_thread


def _run(state: ThreadState, function: Any, args: Any, kwargs: Any) -> None:
    thread_table.begin(getattr(getattr(function, "__self__", None), "_name", None))
    door.begin_thread(state)
    try:
        function(*args, **kwargs)
    finally:
        if door.active:
            thread_table.end()
            door.end_thread(state)


def _expect(function: Any) -> ThreadState:
    owner = getattr(function, "__self__", None)
    state = door.expect_thread()
    if isinstance(owner, threading.Thread):
        owner._scf_async_state = state  # type: ignore[attr-defined]
    return state


def start_new_thread(function: Any, args: Any, kwargs: Any = None) -> int:
    if not door.active:
        return _real_start_new_thread(function, args, kwargs or {})
    state = _expect(function)
    try:
        return _real_start_new_thread(_run, (state, function, args, kwargs or {}))
    except BaseException:
        door.forget_thread(state)
        raise


def _joinable(real: Any) -> Any:
    def start_joinable_thread(function: Any, handle: Any = None, daemon: bool = True) -> Any:
        if not door.active:
            return real(function, handle=handle, daemon=daemon)
        state = _expect(function)
        try:
            return real(lambda: _run(state, function, (), {}), handle=handle, daemon=daemon)
        except BaseException:
            door.forget_thread(state)
            raise

    return start_joinable_thread


class _Started(threading.Event):
    """``Thread._started``: once it is set, the starter goes on first."""

    def set(self) -> None:
        super().set()
        if door.active:
            door.yield_turn()


def _start(self: threading.Thread) -> None:
    if door.active and not self._started.is_set():  # type: ignore[attr-defined]
        self._started = _Started()  # type: ignore[attr-defined]
    _real_start(self)


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    state: ThreadState | None = getattr(self, "_scf_async_state", None)
    if not door.active or state is None or self is threading.current_thread():
        _real_join(self, timeout)
        return
    if timeout is not None and timeout <= 0:
        if state.ended:
            _real_join(self)
        return
    due = None if timeout is None else timeout_due(timeout)
    if door.join_thread(state, due, describe_caller(f"join of {self.name}")):
        _real_join(self)  # what is left of the thread is its last few instructions in C


def _is_alive(self: threading.Thread) -> bool:
    state: ThreadState | None = getattr(self, "_scf_async_state", None)
    return _real_is_alive(self) and not (door.active and state is not None and state.ended)


def join_all() -> None:
    """What the interpreter does at its end: call what was registered for it, then wait for all but daemon threads."""
    for callback in reversed(getattr(threading, "_threading_atexits", [])):
        callback()
    while True:
        alive = [
            thread
            for thread in threading.enumerate()
            if thread is not threading.main_thread() and not thread.daemon and thread is not threading.current_thread()
        ]
        if not alive:
            return
        for thread in alive:
            thread.join()


def install() -> None:
    _thread.start_new_thread = start_new_thread
    threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]
    if hasattr(_thread, "start_joinable_thread"):
        joinable = _joinable(_thread.start_joinable_thread)
        _thread.start_joinable_thread = joinable
        threading._start_joinable_thread = joinable  # type: ignore[attr-defined]
    threading.Thread.start = _start  # type: ignore[method-assign]
    threading.Thread.join = _join  # type: ignore[method-assign]
    threading.Thread.is_alive = _is_alive  # type: ignore[method-assign]
    thread_table.install()
