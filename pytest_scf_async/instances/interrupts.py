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
from collections.abc import Callable
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

    def expose(self, exposed: bool) -> None:
        self.exposed = exposed

    def raise_for(self, owner: int) -> None:
        try:
            self.owner = owner
            for signum in _SIGNALS:
                handler = _signal.getsignal(signum)
                if callable(handler) and handler is not _note:
                    _handlers[signum] = handler
                    _signal.signal(signum, _note)
        except BaseException:  # of a handler that was still in its place
            self.drop()
            raise

    def drop(self) -> None:
        try:
            try:
                for signum, handler in _handlers.items():
                    if _signal.getsignal(signum) is _note:
                        _signal.signal(signum, handler)
            finally:
                self.owner, self.exposed = None, False
        finally:  # twice: the handler of a signal that comes in the line before is in its place again
            self.owner, self.exposed = None, False


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


class shielded:
    """A block that a handler of a signal interrupts only where it calls `exposed` or `call_handlers`."""

    __slots__ = ("_is_outermost", "_was_exposed")

    def __enter__(self) -> None:
        owner = threading.get_ident()
        self._is_outermost = False
        self._was_exposed: bool | None = None
        if _shield.owner == owner:
            self._was_exposed = _shield.exposed
            _shield.expose(False)
        elif threading.current_thread() is threading.main_thread():
            self._is_outermost = True
            _shield.raise_for(owner)

    def __exit__(self, *exception: object) -> None:
        if self._is_outermost:
            try:
                _shield.drop()
            finally:
                call_handlers()
        elif self._was_exposed is not None:
            _shield.expose(self._was_exposed)


def exposed(call: Callable[_P, _T], *given: _P.args, **named: _P.kwargs) -> _T:
    """Call what may wait, or is code of the test: handlers of signals run meanwhile, and what they raise is raised."""
    if _shield.owner != threading.get_ident():
        return call(*given, **named)
    before = _shield.exposed
    try:
        _shield.expose(True)
        call_handlers()
        return call(*given, **named)
    finally:
        _shield.expose(before)
