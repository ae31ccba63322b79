"""Bound the time of test code that a sweep calls: of hundreds of calls any may hang."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import CannotEndError
from ..protocol.shortening import real_seconds

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _TimeIsOver(BaseException):
    """Raised in the thread whose time is over; no ``except Exception`` of the test takes it."""


class TimeIsOverError(CannotEndError):
    """Test code has taken too long."""


@contextmanager
def bounded(seconds: float, what: str) -> Iterator[None]:
    """Raise ``TimeIsOverError`` in the ``with`` block once it has taken so many real seconds.

    It is raised between two bytecodes of the calling thread: one call of C code is waited for.
    """
    thread = threading.get_ident()
    timer = threading.Timer(seconds, lambda: _raise_in(thread, ctypes.py_object(_TimeIsOver)))
    timer.daemon = True
    timer.start()
    try:
        yield
    except _TimeIsOver:
        raise TimeIsOverError(f"{what} has not returned within {real_seconds(seconds)} (real_limit)") from None
    finally:
        timer.cancel()
