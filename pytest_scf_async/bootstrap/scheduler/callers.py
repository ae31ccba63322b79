"""Which line of user code made a call, for the texts that name a wait, and which thread or task of asyncio it is of."""

from __future__ import annotations

import _thread
import os
import sys
import threading
from types import CodeType, FrameType
from typing import Any

from ...protocol.own_code import OWN_CODE

_get_ident = _thread.get_ident
_main_thread = threading.main_thread

_STANDARD = os.path.dirname(os.__file__)
_ASYNCIO = os.path.join(_STANDARD, "asyncio", "")
PLUMBING = {
    os.path.join(_STANDARD, *name.split(".")) + ".py": name
    for name in ("threading", "queue", "selectors", "socket", "concurrent.futures._base", "concurrent.futures.thread")
}
PLUMBING[os.path.join(_STANDARD, "subprocess.py")] = "subprocess"
for _name in ("base_events", "events", "runners"):
    PLUMBING[os.path.join(_STANDARD, "asyncio", _name + ".py")] = "asyncio"
"""Modules, mostly of the standard library, that wait on behalf of their callers. Texts name the line of the caller."""


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame from *frame* outwards that is not ours."""
    while frame is not None and frame.f_code.co_filename.startswith(OWN_CODE):
        frame = frame.f_back
    return frame


_passed: dict[int, tuple[CodeType, str]] = {}
"""By identity: code that is not the user's, and the name of a wait that user code starts by calling it."""
_described: tuple[Any, str] = (None, "")
"""The last description and what it describes: a loop waits at the same place again and again."""


def describe_caller(description: str, on: str = "") -> str:
    """*description* with what the call is made *on*, and the line of user code that called it.

    Of another thread than the main one it has the name. Where the loop of asyncio waits for an instant, it is the task
    that goes on then, with the line at which that awaits: the loop's caller is the same for all of them.
    """
    global _described
    call = description
    loop: FrameType | None = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        passed = _passed.get(id(code))
        if passed is None:
            module = PLUMBING.get(code.co_filename)
            if module is None and not code.co_filename.startswith(OWN_CODE):
                break
            passed = _passed[id(code)] = code, "" if module is None else f"{module}.{code.co_name}"
        if code.co_name == "_run_once" and passed[1] == "asyncio._run_once":
            loop = frame
        description = passed[1] or description
        frame = frame.f_back
    description += on
    if loop is not None:
        awaited = _awaited(loop.f_locals.get("self"))
        if awaited:
            return awaited + on + _in_thread()
    if frame is None:  # a thread whose target is no code of the user's
        return call + on + _in_thread()
    place = description, frame.f_code, frame.f_lasti
    known, text = _described
    if place != known:
        text = f"{description} at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        _described = place, text
    return text + _in_thread()


def _in_thread() -> str:
    """The name of this thread, behind a description; nothing of the main one."""
    ident = _get_ident()
    if ident == _main_thread().ident:
        return ""
    thread = threading._active.get(ident)  # type: ignore[attr-defined]  # current_thread() would make one of our own
    return "" if thread is None else f" in {thread.name}"


def _awaited(loop: Any) -> str:
    """What *loop* wakes at the next instant that is due: a task and where it awaits; empty where that is not known."""
    try:
        timer = loop._scheduled[0]
        callback, values = timer._callback, timer._args
        task = getattr(getattr(callback, "__self__", None), "_task", None)  # of asyncio.timeout
        if task is None:
            future = values[0]
            task = next(waiting.__self__ for waiting, _ in future._callbacks)
        coroutine, name = task.get_coro(), task.get_name()
    except (AttributeError, IndexError, StopIteration, TypeError):
        return ""  # a callback of call_later, or another loop: its caller is named
    line = None
    while coroutine is not None:
        frame = _part(coroutine, "frame")
        if frame is not None and not frame.f_code.co_filename.startswith((_ASYNCIO, OWN_CODE)):
            line = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        coroutine = _part(coroutine, "await")
    return f"await at {line} in {name}" if line is not None else ""


def _part(awaitable: Any, part: str) -> Any:
    """The *part*, ``frame`` or ``await``, of a coroutine, a generator or an asynchronous generator."""
    for kind in ("cr", "gi", "ag"):
        name = f"{kind}_{'yieldfrom' if kind == 'gi' and part == 'await' else part}"
        if hasattr(awaitable, name):
            return getattr(awaitable, name)
    return None
