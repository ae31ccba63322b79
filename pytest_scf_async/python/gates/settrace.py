"""Lines of user code by ``sys.settrace``, for Python 3.10 and 3.11.

Each thread sets the trace function for itself when it resumes. One that user code sets (coverage, a debugger) is called
first, and ``sys.gettrace`` returns that one.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import sys
import threading
from types import FrameType
from typing import Any, NamedTuple

from ...protocol.own_code import OWN_CODE
from .. import tracebacks
from ..patches import registry
from ..scheduler.scheduler import scheduler
from . import lines

_real_settrace = sys.settrace
_real_gettrace = sys.gettrace
_real_threading_settrace = threading.settrace
_get_ident = _thread.get_ident

_theirs: dict[int, Any] = {}
"""User code's own trace function, by thread."""
_raised: list[_Raised] = []
"""What has left a line, until the next event is reported; a listener that is interrupted itself leaves two."""


class _Raised(NamedTuple):
    """What a handler of a signal has raised."""

    error: BaseException
    frame: FrameType
    """The frame that is interrupted."""
    place: tuple[int, int] | None = None
    """The offset and the line of that frame in the traceback; None: those at which it is."""


_raise: Any = ctypes.pythonapi.PyErr_SetObject
_raise.argtypes = [ctypes.py_object] * 5
_raise.restype = None


def change() -> None:
    """Do nothing when the places change: each thread follows by itself, in `follow`."""


def follow() -> None:
    """Trace the calling thread if there are places, else leave it as user code has set it."""
    thread = _get_ident()
    current = _real_gettrace()
    if lines.files:
        if current is not _trace:
            _theirs[thread] = current
            _real_settrace(_trace)
    elif current is _trace:
        _real_settrace(_theirs.pop(thread, None))
    _follow_frames(sys._getframe(1))


def _follow_frames(frame: FrameType | None) -> None:
    """Trace the frames that are on the stack already, whose calls were not reported."""
    while frame is not None:
        local = frame.f_trace
        watched = frame.f_code.co_filename in lines.files and lines.points(frame.f_code) is not None
        if isinstance(local, _Local):
            if not lines.files:
                frame.f_trace, frame.f_trace_lines = local.theirs, local.lines
                frame.f_trace_opcodes = local.opcodes
        elif lines.files and (watched or local is not None):
            frame.f_trace = _Local(frame, local, watched)
        frame = frame.f_back


def _trace(frame: FrameType, event: str, arg: Any) -> Any:
    """The trace function of a thread: called for each call of a Python function."""
    if _raised:
        _mend()
    theirs = _theirs.get(_get_ident())
    local = None
    code = frame.f_code
    if theirs is not None and not code.co_filename.startswith(OWN_CODE):
        local = theirs(frame, event, arg)
        if _real_gettrace() is not _trace:  # coverage has set its own in its place
            _stay_on_top()
    try:
        points = lines.points(code) if code.co_filename in lines.files else None
        if lines.collector is not None and points is not None and frame.f_back is not None:
            lines.collector.calls_python(frame.f_back)
        if points is None:
            return None if local is None else _Local(frame, local, False)
        traced = _Local(frame, local, True)
        traced.begins = bool(points.starts) and frame.f_lasti < points.entry
    except BaseException as error:  # raised by a handler of a signal: it leaves the first line of the function
        traced = _Local(frame, local, True)
        traced.raises = error
    return traced


class _Local:
    """The trace function of one frame in which there are places, or that user code traces."""

    __slots__ = ("begins", "lines", "opcodes", "raises", "theirs")

    def __init__(self, frame: FrameType, theirs: Any, watched: bool) -> None:
        self.theirs = theirs
        self.lines = frame.f_trace_lines
        """Theirs wants lines; coverage does not want those of files that it leaves out."""
        self.opcodes = frame.f_trace_opcodes
        """Theirs wants instructions."""
        self.begins = False
        """Its next line is the first of the body."""
        self.raises: BaseException | None = None
        if watched:
            frame.f_trace_lines = True
            points = lines.points(frame.f_code)
            if points is not None and points.watches_instructions():
                frame.f_trace_opcodes = True

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if _raised:
            _mend()
        theirs = self.theirs
        wanted = self.lines if event == "line" else self.opcodes if event == "opcode" else True
        if wanted and theirs is not None and _theirs.get(_get_ident()) is not None:
            result = theirs(frame, event, arg)
            if result is not None:
                self.theirs = result
            if _real_gettrace() is not _trace:
                _stay_on_top()
        if event == "line":
            try:
                self._line(frame)
            except BaseException as error:  # raised by a handler of a signal
                tracebacks.without_own(error)
                return _raiser(self, _Raised(error, frame))
        elif event == "opcode":
            raised = self._instruction(frame)
            if raised is not None:  # outside of any ``except``, in which the interpreter would ask for the class
                _real_settrace(None)  # as the interpreter does next: it would ask here, too, to report the exception
                return _raiser(self, raised)(frame, event, arg)
        return self

    def _instruction(self, frame: FrameType) -> _Raised | None:
        """Look at the instruction at which *frame* is. Returns what a handler of a signal has raised."""
        points = lines.points(frame.f_code) if frame.f_code.co_filename in lines.files else None
        if points is None or not points.watches_instructions():
            frame.f_trace_opcodes = self.opcodes
            return None
        try:
            lines.at_instruction(points, frame)
        except BaseException as error:
            tracebacks.without_own(error)
            return _Raised(error, frame, points.place_of_exception(frame.f_lasti))
        return None

    def _line(self, frame: FrameType) -> None:
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        if frame.f_code.co_filename not in lines.files:
            return
        points = lines.points(frame.f_code)
        if points is None:
            return
        slots = points.offsets.get(frame.f_lasti)
        if self.begins:
            self.begins = False
            slots = [*points.starts, *(slots or ())]
        if slots is not None:
            lines.passed(slots)


def _raiser(local: _Local, raised: _Raised) -> Any:
    """A trace function that raises the error out of the line at which its frame is, without a frame of ours.

    A trace function that raises is the last one that is called in its thread. So the error is raised as one of a class
    which the interpreter has to ask whether it is one, at the first handler, ``finally`` or ``with`` that it comes to:
    tracing begins again there. It is called at once, for the instruction; the line has been reported.
    """
    error, frame = raised.error, raised.frame
    base = next(known for known in type(error).__mro__ if known.__module__ == "builtins")
    carrier = _Carrier("Carrier", (base,), {})
    carrier.back = functools.partial(_begin_again, local, raised, frame.f_trace_opcodes)
    frame.f_trace_opcodes = True
    return functools.partial(_raise, carrier, error)


class _Carrier(type):
    back: Any = None

    def __subclasscheck__(cls, subclass: type) -> bool:
        back, cls.back = cls.back, None
        if back is not None:
            back(sys._getframe(1))
        return True


def _begin_again(local: _Local, raised: _Raised, opcodes: bool, handling: FrameType) -> None:
    frame = raised.frame
    frame.f_trace_opcodes = opcodes
    if not scheduler.active:
        return
    if frame.f_trace is None:
        frame.f_trace = local
    _follow_frames(handling)
    _raised.append(raised)
    _real_settrace(_trace)  # without a place left, too, until the traceback is in order; no call follows here


def _mend() -> None:
    """Remove our own entries from the tracebacks, and the one of the line that Python 3.10 lists twice."""
    while _raised:
        error, frame, place = _raised.pop()
        tracebacks.without_own(error)
        entry = error.__traceback__
        while entry is not None:
            following = entry.tb_next
            if following is not None and following.tb_frame is entry.tb_frame and following.tb_lasti == entry.tb_lasti:
                entry.tb_next = following.tb_next
            entry = entry.tb_next
        if place is not None:
            tracebacks.set_place(error, frame, *place)
    if not lines.files and _real_gettrace() is _trace:
        _real_settrace(_theirs.pop(_get_ident(), None))


# -- what user code calls ----------------------------------------------------------------------------------------------


def _stay_on_top() -> None:
    """After user code has set a trace function, here or in C: set ours again, which calls that one."""
    if not scheduler.active or not lines.files:
        return
    current = _real_gettrace()
    if current is not _trace:
        _theirs[_get_ident()] = current
        _real_settrace(_trace)
    _follow_frames(sys._getframe(1))


def _settrace(function: Any, /) -> None:
    if not scheduler.active or not lines.files:
        _real_settrace(function)
        return
    _theirs[_get_ident()] = function
    _real_settrace(_trace)
    _follow_frames(sys._getframe(1))


def _gettrace() -> Any:
    current = _real_gettrace()
    return _theirs.get(_get_ident()) if current is _trace else current


def _threading_settrace(func: Any) -> None:
    _real_threading_settrace(func)
    _stay_on_top()  # coverage has just set its own in C


def call_traced(handler: Any, signum: int, frame: FrameType | None) -> None:
    sys.call_tracing(_call, (handler, signum, frame))


def _call(handler: Any, signum: int, frame: FrameType | None) -> None:
    _real_settrace(_real_gettrace())  # 3.11 has it off
    handler(signum, frame)


_WHY = "gates at lines have a trace function of their own, under that of user code"
registry.replace(sys, "settrace", _settrace, _WHY)
registry.replace(sys, "gettrace", _gettrace, _WHY)
registry.replace(threading, "settrace", _threading_settrace, _WHY)
CALLBACKS = frozenset({_trace.__code__, _Local.__call__.__code__})
"""The code of the callbacks of the interpreter."""
