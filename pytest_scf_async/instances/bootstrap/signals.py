"""Signal handlers of user code: run at once on the main thread, and told to the harness."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from .. import wire
from .door import door

_real_signal = signal.signal
_real_getsignal = signal.getsignal
_real_sigmask = signal.pthread_sigmask

_handlers: dict[int, Any] = {}
"""What user code installed, by signal; the operating system has the trampoline."""


def _trampoline(signum: int, frame: FrameType | None) -> None:
    if door.active:
        door.on_signal(signum, frame)
    else:
        handler = _handlers.get(signum)
        if handler is not None:
            handler(signum, frame)


def _call_handler(signum: int, frame: FrameType | None) -> None:
    handler = _handlers.get(signum)
    if handler is None:  # uninstalled between the signal and its safe point
        return
    door.tell(wire.json_frame(wire.SIGNAL_ENTERED, {"signum": signum}))
    try:
        handler(signum, frame)
    except BaseException as error:
        left = {"signum": signum, "raised": type(error).__name__, "message": _text_of(error)}
        door.tell(wire.json_frame(wire.SIGNAL_LEFT, left))
        raise
    door.tell(wire.json_frame(wire.SIGNAL_LEFT, {"signum": signum, "raised": None}))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<no text>"


def fake_signal(signalnum: Any, handler: Any) -> Any:
    """``signal.signal``: the handler runs under the harness's eyes."""
    if callable(handler) and not isinstance(handler, signal.Handlers):
        previous = _real_signal(signalnum, _trampoline)
        before = _handlers.get(int(signalnum), previous)
        _handlers[int(signalnum)] = handler
    else:
        previous = _real_signal(signalnum, handler)
        before = _handlers.pop(int(signalnum), previous)
    if door.active:
        kind = "handler" if int(signalnum) in _handlers else getattr(handler, "name", str(handler))
        door.tell(wire.json_frame(wire.LISTENING, {"signum": int(signalnum), "handler": kind}))
    return before


def fake_getsignal(signalnum: Any) -> Any:
    """``signal.getsignal``: what user code installed."""
    return _handlers.get(int(signalnum), _real_getsignal(signalnum))


def reset() -> None:
    """Default dispositions and an empty mask, whatever started pytest had set."""
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ):
            continue  # the last two are ignored by the interpreter itself
        try:
            if _real_getsignal(number) in (signal.SIG_IGN, None):
                _real_signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # reserved by the C library
    _handlers[int(signal.SIGINT)] = signal.default_int_handler
    _real_signal(signal.SIGINT, _trampoline)
    _real_sigmask(signal.SIG_SETMASK, ())


def install() -> None:
    signal.signal = fake_signal
    signal.getsignal = fake_getsignal
    door.call_handler = _call_handler
