"""Tracebacks for users, without frames of the plugin."""

from __future__ import annotations

import functools
import sys
import traceback
from types import FrameType, TracebackType
from typing import Any, Final

from ..protocol.own_code import OWN_CODE

if sys.version_info >= (3, 11):  # traceback and linecache import them for the first exception: here once for all
    import ast  # noqa: F401
    import tokenize  # noqa: F401

EXTRACTS: Final = "_extract_from_extended_frame_gen" if sys.version_info >= (3, 11) else "extract"
"""The class method of ``traceback.StackSummary`` that reads all frames which Python code prints."""
_IMPORT_MACHINERY = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def is_own(frame: FrameType) -> bool:
    """Whether *frame* is of the plugin, or of the ``python -c`` with which its process began."""
    file = frame.f_code.co_filename
    return file.startswith(OWN_CODE) or (file == "<string>" and frame.f_back is None)


def users_extract() -> Any:
    """What `EXTRACTS` names, without the plugin's frames."""
    extract: Any = getattr(traceback.StackSummary, EXTRACTS).__func__

    @functools.wraps(extract)
    def extract_users(klass: Any, frame_gen: Any, **options: Any) -> Any:
        kept = []
        for entry in frame_gen:  # in no frame of its own: walk_stack(None) counts those around it
            if not is_own(entry[0]):
                kept.append(entry)  # noqa: PERF401
        return extract(klass, kept, **options)

    made: Any = extract_users
    return classmethod(made)


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """*trace* without the entries of the plugin's frames; its own entries are changed."""
    entries: list[TracebackType] = []
    while trace is not None:
        if not is_own(trace.tb_frame):
            entries.append(trace)
        trace = trace.tb_next
    following: TracebackType | None = None
    for entry in reversed(entries):
        entry.tb_next = following
        following = entry
    return following


def without_own(error: BaseException | None) -> None:
    """Remove the plugin's frames from the traceback of *error*, and from those of its causes and contexts."""
    left, seen = [error], set()
    while left:
        each = left.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = users_part(each.__traceback__)
            left += (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))


def set_place(error: BaseException, frame: FrameType, offset: int, line: int) -> None:
    """Have the entry of *frame* in the traceback of *error* name that *offset* of an instruction and that *line*."""
    before: TracebackType | None = None
    entry = error.__traceback__
    while entry is not None and entry.tb_frame is not frame:
        before, entry = entry, entry.tb_next
    if entry is None:
        return
    changed = TracebackType(entry.tb_next, frame, offset, line)
    if before is None:
        error.__traceback__ = changed
    else:
        before.tb_next = changed


def _clean(summary: traceback.TracebackException, seen: set[int]) -> None:
    if id(summary) in seen:
        return
    seen.add(id(summary))
    summary.stack[:] = [
        frame
        for frame in summary.stack
        if not frame.filename.startswith(OWN_CODE) and frame.filename not in _IMPORT_MACHINERY
    ]
    for other in (summary.__cause__, summary.__context__, *(getattr(summary, "exceptions", None) or ())):
        if other is not None:
            _clean(other, seen)


def ends_debugger(error: BaseException) -> bool:
    """*error* is how pdb ends where nobody answers it: BdbQuit, or from Python 3.14 on ``sys.exit``."""
    if type(error).__name__ == "BdbQuit":
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return isinstance(error, SystemExit) and trace is not None and trace.tb_frame.f_globals.get("__name__") == "pdb"


def format_exception(error: BaseException) -> str:
    """The classic traceback text of *error*, its causes and contexts included."""
    summary = traceback.TracebackException.from_exception(error)
    _clean(summary, set())
    return "".join(summary.format())
