"""Exceptions that handlers of signals raise, such as ``KeyboardInterrupt``, come where all is in order.

Python calls the handler of a signal between any two instructions of the main thread. What Ctrl-C or pytest-timeout
raises there, between a descriptor's making and its keeping, between the receipt of a message and what follows from it,
or in the middle of a stop, could be undone by no ``finally``. So while a block is `shielded`, handlers that are Python
code wait for one of the places that are `exposed`: the waits for instances, code of the test, and the end of the block.
A second signal of a kind that waits already does not wait: the user means it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` itself makes enums of all that it gives, at ten times the cost
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from ..errors import hidden_from_users

__tracebackhide__ = hidden_from_users

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGALRM", "SIGTERM") if hasattr(signal, name))
_handlers: dict[int, Any] = {}
"""The handlers of the process that `_note` stands in for."""
_noted: dict[int, None] = {}
"""The signals whose handlers have still to be called."""


class _Shield:
    """The shield of the main thread; no other one runs handlers of signals."""

    owner: int | None = None
    """The main thread, while one of its blocks is shielded."""
    exposed = False


_shield = _Shield()


def _note(signum: int, frame: FrameType | None) -> None:
    if _shield.owner is None or _shield.exposed or signum in _noted:
        _noted.pop(signum, None)
        _handlers[signum](signum, frame)
    else:
        _noted[signum] = None


def call_handlers() -> None:
    """Call the handlers of the signals that have come: all is in order here."""
    while _noted and _shield.owner in (None, threading.get_ident()):
        signum = next(iter(_noted))
        del _noted[signum]
        _handlers[signum](signum, sys._getframe())


@contextmanager
def shielded() -> Iterator[None]:
    """A block that a handler of a signal interrupts only where it calls `exposed` or `call_handlers`."""
    owner = threading.get_ident()
    if _shield.owner == owner:
        before, _shield.exposed = _shield.exposed, False
        try:
            yield
        finally:
            _shield.exposed = before
    elif threading.current_thread() is not threading.main_thread():
        yield
    else:
        try:
            _stand_in(owner)
            yield
        finally:
            try:
                _stand_back()
            finally:  # here, too: the handler of a signal that comes in the last line of that is in its place again
                _shield.owner, _shield.exposed = None, False
                call_handlers()


def _stand_in(owner: int) -> None:
    _shield.owner = owner
    for signum in _SIGNALS:
        handler = _signal.getsignal(signum)
        if callable(handler) and handler is not _note:
            _handlers[signum] = handler
            _signal.signal(signum, _note)


def _stand_back() -> None:
    try:
        for signum, handler in _handlers.items():
            if _signal.getsignal(signum) is _note:
                _signal.signal(signum, handler)
    finally:
        _shield.owner, _shield.exposed = None, False


def exposed(call: Callable[_P, _T], *given: _P.args, **named: _P.kwargs) -> _T:
    """Call what may wait, or is code of the test: handlers of signals run meanwhile, and what they raise is raised."""
    if _shield.owner != threading.get_ident():
        return call(*given, **named)
    before, _shield.exposed = _shield.exposed, True
    try:
        call_handlers()
        return call(*given, **named)
    finally:
        _shield.exposed = before
