"""``signal.pause``, ``sigwait``, ``sigwaitinfo`` and ``sigtimedwait`` on simulated time, on every thread.

The signals stay in the kernel, and a signalfd becomes readable once one is there; a thread that waits takes it when it
has the run token.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...linux import procfs
from ...protocol import messages
from ...protocol.time_units import LONGEST
from ..clock import real_number
from ..scheduler.callers import describe_caller
from ..scheduler.scheduler import Readiness, Waiter, scheduler
from . import children, registry, signals
from .locks import timeout_due

_real_pause = signal.pause
_real_sigwait = signal.sigwait
_real_sigwaitinfo = signal.sigwaitinfo
_real_sigtimedwait = signal.sigtimedwait
_real_sigmask = signal.pthread_sigmask
_own_pid = os.getpid
_close = os.close

_SIGSET_LONGS = 1024 // (8 * ctypes.sizeof(ctypes.c_ulong))
_signalfd = ctypes.CDLL(None, use_errno=True).signalfd
_handled = 0
"""How many handlers of signals have returned."""
_pauses: list[Waiter] = []
"""The waiters of ``pause`` on the main thread, the outermost first."""


def _has_come(awaited: signals.Awaited) -> bool:
    """Whether a signal is there for *awaited* that no thread takes which has waited for longer."""
    of_main = procfs.signal_masks("self", _own_pid())
    shared = of_main[b"ShdPnd"] & of_main[b"SigBlk"]  # the main thread takes those that it does not block
    for other in signals.awaited:
        own = procfs.signal_masks("self", other.task).get(b"SigPnd", 0)
        if other is awaited:
            return bool(awaited.mask & (own | shared))
        if other.waiter is not None and (other.waiter.woken or other.waiter.granted) and not other.mask & own:
            taken = shared & other.mask
            shared &= ~(taken & -taken)  # the lowest of them
    return False


@contextmanager
def _blocked(signums: list[int]) -> Iterator[list[int]]:
    """Block *signums* on this thread, so that they come by the descriptor; gives those that were not blocked."""
    before = _real_sigmask(signal.SIG_BLOCK, signums)
    new = [signum for signum in signums if signum not in before]
    try:
        yield new
    finally:
        _real_sigmask(signal.SIG_UNBLOCK, new)


def _open_signalfd(mask: int) -> int:
    words = (ctypes.c_ulong * _SIGSET_LONGS)()
    bits = 8 * ctypes.sizeof(ctypes.c_ulong)
    for index in range(_SIGSET_LONGS):
        words[index] = mask >> (index * bits) & (1 << bits) - 1
    fd = int(_signalfd(-1, ctypes.byref(words), os.O_CLOEXEC | os.O_NONBLOCK))
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return fd


def _park(signums: list[int], due_us: int | None, description: str, *, defers: bool = False) -> bool:
    """Park until one of *signums* has come, all of which are blocked; whether it has.

    With *defers* no handler of another signal is called before that, as in C: ``sigwait`` is not interrupted.
    """
    awaited = signals.Awaited(signums)
    fd = _open_signalfd(awaited.mask)

    def enlist(waiter: Waiter) -> bool:
        if defers:
            waiter.defer_handlers()
        awaited.begins(waiter)
        return True

    readiness = Readiness({fd: select.POLLIN}, lambda: _has_come(awaited))
    try:
        return scheduler.park(due_us, description, enlist=enlist, readiness=readiness)
    finally:
        awaited.ends()
        _close(fd)


def _take(signums: list[int], due_us: int | None, description: str, *, defers: bool = False) -> Any:
    """Take one of *signums* that is there or comes until *due_us*; None if none did."""
    if signal.SIGCHLD in signums:
        children.ignore_stops_of_children()
    with _blocked([signum for signum in signals.caught() if signum in signums]):
        while True:
            info = _real_sigtimedwait(signums, 0)
            if info is not None:
                _taken(info.si_signo, description)
                return info
            try:
                woken = _park(signums, due_us, description, defers=defers)
            except BaseException:
                if defers and (info := _real_sigtimedwait(signums, 0)) is not None:  # before any handler was called
                    _taken(info.si_signo, description)
                raise
            if not woken:
                info = _real_sigtimedwait(signums, 0)
                if info is not None:
                    _taken(info.si_signo, description)
                return info


def _taken(signum: int, description: str) -> None:
    if signum == signal.SIGALRM:
        scheduler.alarm_taken()
    elif signum == signal.SIGTERM:
        scheduler.send_marked(messages.pack(messages.Note(note=f"{description} took SIGTERM")))


def fake_sigtimedwait(sigset: Any, timeout: Any, /) -> Any:
    """Like sigwaitinfo(), but with a timeout, of simulated time."""
    if not scheduler.active:
        return _real_sigtimedwait(sigset, timeout)
    signums = list(sigset)
    timeout = real_number(timeout)
    is_number = isinstance(timeout, float) or hasattr(timeout, "__index__")
    if is_number and 0 < timeout < LONGEST:
        return _take(signums, timeout_due(timeout), describe_caller(f"sigtimedwait({timeout:g} s)"))
    info = _real_sigtimedwait(signums, timeout)  # it does not wait, or raises an error
    if info is not None:
        _taken(info.si_signo, describe_caller("sigtimedwait()"))
    return info


def fake_sigwaitinfo(sigset: Any, /) -> Any:
    """Wait, on simulated time, until one of the signals is there, and take it."""
    if not scheduler.active:
        return _real_sigwaitinfo(sigset)
    return _take(list(sigset), None, describe_caller("sigwaitinfo()"))


def fake_sigwait(sigset: Any) -> signal.Signals:
    """Wait, on simulated time, until one of the signals is there; handlers of others are called afterwards."""
    if not scheduler.active:
        return signal.Signals(_real_sigwait(sigset))
    info = _take(list(sigset), None, describe_caller("sigwait()"), defers=True)
    return signal.Signals(info.si_signo)


def _signal_handled() -> None:
    global _handled
    _handled += 1
    for waiter in _pauses:
        scheduler.wake(waiter)


def fake_pause() -> None:
    """Wait, on simulated time, until a signal has come whose handler is called."""
    if not scheduler.active:
        _real_pause()
    elif scheduler.threads.get(_thread.get_ident()) is scheduler.main:
        _pause_of_main(describe_caller("pause()"))
    else:
        _pause_of_another(describe_caller("pause()"))


def _pause_of_main(description: str) -> None:
    seen = _handled
    mine: list[Waiter] = []

    def enlist(waiter: Waiter) -> bool:
        mine.append(waiter)
        _pauses.append(waiter)
        return _handled == seen

    try:
        scheduler.park(None, description, enlist=enlist)
    finally:
        for waiter in mine:
            _pauses.remove(waiter)


def _pause_of_another(description: str) -> None:
    """Wait until a signal is there for this thread; then unblock it, so that the main thread calls its handler."""

    def unblock() -> None:
        _real_sigmask(signal.SIG_UNBLOCK, new)
        scheduler.main.wake()

    caught = signals.caught()
    before = _real_sigmask(signal.SIG_BLOCK, caught)
    new = [signum for signum in caught if signum not in before]
    try:
        _park(new, None, description)
    except BaseException:
        unblock()
        raise
    scheduler.signal_main(unblock)


def install() -> None:
    why = "it waits on simulated time"
    registry.replace(signal, "pause", fake_pause, why)
    registry.replace(signal, "sigwait", fake_sigwait, why)
    registry.replace(signal, "sigwaitinfo", fake_sigwaitinfo, why)
    registry.replace(signal, "sigtimedwait", fake_sigtimedwait, why)
    signals.handled.append(_signal_handled)
