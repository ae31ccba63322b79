"""Tracebacks for users, without frames of the plugin."""

from __future__ import annotations

import sys
import traceback

from ..protocol.own_code import OWN_CODE

if sys.version_info >= (3, 11):  # traceback and linecache import them for the first exception: here once for all
    import ast  # noqa: F401
    import tokenize  # noqa: F401

_IMPORT_MACHINERY = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


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
