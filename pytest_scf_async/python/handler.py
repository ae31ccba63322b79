"""A Python handler: what its call comes to, its variables, and its process's end.

Both who calls it on simulated time itself (`instance`) and the program that a supervisor traces (`handler_program`) do
so in this way. It imports neither patches nor messages: a supervised program starts for each cold start.
"""

from __future__ import annotations

import atexit
import decimal
import json
import os
import sys
import threading
from collections.abc import Mapping
from types import CoroutineType
from typing import NamedTuple

from ..protocol.shortening import shortened
from . import tracebacks

LONGEST_TRACE = 1024 * 1024
"""Characters of a traceback that are kept: an exception may carry a text of any length, a message may not."""


class Outcome(NamedTuple):
    """The outcome of a call of a handler."""

    fact: str
    text: str | None = None
    """The return value, as JSON."""
    trace: str | None = None


_nobody = ""


def nobody_debugs(why: str) -> None:
    """Say *why* nobody answers a debugger here, where one ends user code; empty: somebody does."""
    global _nobody
    _nobody = why


def trace_of(error: BaseException) -> str:
    """The traceback of *error*."""
    trace = tracebacks.format_exception(error)
    if _nobody and tracebacks.ends_debugger(error):
        trace += f"{_nobody}\n"
    return shortened(trace, LONGEST_TRACE // 2, LONGEST_TRACE // 2)


def result_text(result: object) -> str:
    """The JSON of what a handler returned. The platform's runtime makes a text of a `Decimal` at the top only."""
    text = json.dumps(str(result) if type(result) is decimal.Decimal else result, ensure_ascii=False)
    text.encode("utf-8")
    return text


def returned(result: object) -> Outcome:
    """What it comes to that a handler has returned *result*; for *nobody* see `trace_of`."""
    try:
        return Outcome("RETURNED", result_text(result))
    except Exception as error:
        if isinstance(result, CoroutineType):
            result.close()  # else Python warns of it, at a line of ours
        return Outcome("RESULT_NOT_JSON", trace=trace_of(error))


def set_variables(variables: Mapping[str, str | None]) -> None:
    """Set the environment variables of one event; those that are None are not there."""
    for name, value in variables.items():
        if value is not None:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def flush() -> None:
    """Flush the two streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue  # detached or closed by user code


def join_all() -> None:
    """What the interpreter does at its end: call what was registered for it, then wait for all but daemon threads."""
    for callback in reversed(getattr(threading, "_threading_atexits", [])):
        callback()
    while True:
        alive = [
            thread
            for thread in threading.enumerate()
            if thread is not threading.main_thread() and not thread.daemon and thread is not threading.current_thread()
            if thread.is_alive()  # not where it only counts as stopped
        ]
        if not alive:
            return
        for thread in alive:
            thread.join()


def leave(error: BaseException) -> int:
    """The exit code of a process that *error* has left; what the interpreter does then has been done."""
    try:
        code = _exit_code(error)
        join_all()
        atexit._run_exitfuncs()
        flush()
    except BaseException as another:
        code = _exit_code(another)
    return code


def _exit_code(error: BaseException) -> int:
    """The exit code of *error* when it leaves the main module, written to stderr as the interpreter does."""
    if _nobody and tracebacks.ends_debugger(error):
        sys.stderr.write(f"{_nobody}\n")
    if not isinstance(error, SystemExit):
        sys.stderr.write(tracebacks.format_exception(error))
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1
