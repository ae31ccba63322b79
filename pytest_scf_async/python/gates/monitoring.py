"""Lines of user code by ``sys.monitoring``: only code objects with a place in them run more slowly.

It uses a tool number of its own, so that coverage, a debugger and a profiler work beside it.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any

from .. import tracebacks
from . import lines

_monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
_events = _monitoring.events
_TOOLS = (4, 3, 5, 2)
"""The numbers to try; those that no kind of tool has by convention come first."""

_tool: int | None = None
_watched: set[CodeType] = set()
_started: set[int] = set()
"""The identities of frames whose body is about to begin."""
_carried: tuple[BaseException, tuple[int, int] | None] | None = None
"""The exception that a handler of a signal has raised at a gate, while it leaves the line of that gate; and its place
in the traceback, if that is another one than the gate's."""


def change() -> None:
    """Follow a change of the places."""
    global _tool
    for code in _watched:
        _monitoring.set_local_events(_tool, code, 0)
    _watched.clear()
    _started.clear()
    if not lines.files:
        if _tool is not None:
            if _stands():
                _monitoring.set_events(_tool, _events.RAISE)  # what leaves the line of that gate has frames of ours
                return
            _monitoring.set_events(_tool, 0)
            for event in _BY_EVENT:
                _monitoring.register_callback(_tool, event, None)
            _monitoring.free_tool_id(_tool)
            _tool = None
        return
    if _tool is None:
        _tool = next(number for number in _TOOLS if _monitoring.get_tool(number) is None)
        _monitoring.use_tool_id(_tool, "pytest-scf-async")
        for event, callback in _BY_EVENT.items():
            _monitoring.register_callback(_tool, event, callback)
    else:
        _monitoring.restart_events()  # events that were disabled may be needed now
    _monitoring.set_events(_tool, _events.PY_START | _events.PY_RESUME | _events.PY_THROW | _events.RAISE)
    for frame in sys._current_frames().values():
        on_stack = frame
        while on_stack is not None:
            _watch(on_stack.f_code)
            on_stack = on_stack.f_back  # type: ignore[assignment]


def _stands() -> bool:
    """Whether a thread is in one of the callbacks, at a gate."""
    for frame in sys._current_frames().values():
        on_stack: FrameType | None = frame
        while on_stack is not None:
            if on_stack.f_code in CALLBACKS:
                return True
            on_stack = on_stack.f_back
    return False


def follow() -> None:
    """Do nothing, as monitoring is the same for all threads."""


def call_traced(handler: Any, signum: int, frame: FrameType | None) -> None:
    sys.call_tracing(handler, (signum, frame))


def _watch(code: CodeType) -> lines.Points | None:
    if code.co_filename not in lines.files:
        return None
    points = lines.points(code)
    if points is not None and code not in _watched:
        _watched.add(code)
        wanted = _events.LINE if points.watches_lines() else 0
        if points.watches_instructions():
            wanted |= _events.INSTRUCTION
        if points.collected:
            wanted |= _events.CALL
        _monitoring.set_local_events(_tool, code, wanted)
    return points


def _on_start(code: CodeType, offset: int) -> Any:
    global _carried
    try:
        points = _watch(code)
        if points is None or not (points.starts or points.early):
            return _monitoring.DISABLE
        if points.early:  # 3.13 reports the line once for all calls
            lines.passed([*points.starts, *points.offsets.get(points.entry, ())])
        else:
            _started.add(id(sys._getframe(1)))
    except BaseException as error:  # raised by a handler of a signal
        _carried = error, None
        raise
    return None


def _on_resume(code: CodeType, offset: int) -> Any:
    _watch(code)
    return _monitoring.DISABLE


def _on_throw(code: CodeType, offset: int, error: BaseException) -> None:
    _watch(code)


def _on_line(code: CodeType, line: int) -> Any:
    global _carried
    try:
        frame = sys._getframe(1)
        slots = _slots(code, frame)
        if not slots:
            return _monitoring.DISABLE if slots is None else None
        lines.passed(slots)
    except BaseException as error:
        _carried = error, None
        raise
    return None


def _on_instruction(code: CodeType, offset: int) -> Any:
    global _carried
    points = lines.points(code)
    try:
        if points is None or not lines.at_instruction(points, sys._getframe(1)):
            return _monitoring.DISABLE
    except BaseException as error:
        _carried = error, None if points is None else points.place_of_exception(offset)
        raise
    return None


def _on_call(code: CodeType, offset: int, callee: object, first: object) -> Any:
    if lines.collector is None:
        return _monitoring.DISABLE
    lines.collector.calls(id(sys._getframe(1)), offset, callee)
    return None


def _slots(code: CodeType, frame: FrameType) -> list[int] | None:
    """The slots that are passed where *frame* is; None if there is nothing there, nor will be."""
    points = lines.points(code)
    if points is None:
        return None
    offset = frame.f_lasti
    slots = points.offsets.get(offset)
    if offset != points.entry:
        return slots
    if points.early:
        return None
    if id(frame) in _started:
        _started.discard(id(frame))
        return [*points.starts, *(slots or ())]
    return slots or ([] if points.starts else None)


def _on_raise(code: CodeType, offset: int, error: BaseException) -> None:
    global _carried
    if _carried is not None and error is _carried[0]:
        place, _carried = _carried[1], None
        tracebacks.without_own(error)
        if place is not None:
            tracebacks.set_place(error, sys._getframe(1), *place)


_BY_EVENT = {
    _events.PY_START: _on_start,
    _events.PY_RESUME: _on_resume,
    _events.PY_THROW: _on_throw,
    _events.LINE: _on_line,
    _events.INSTRUCTION: _on_instruction,
    _events.CALL: _on_call,
    _events.RAISE: _on_raise,
}
CALLBACKS = frozenset(callback.__code__ for callback in _BY_EVENT.values())
"""The code of the callbacks of the interpreter."""
