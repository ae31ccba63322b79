"""Child processes of user code: the harness knows that there may be one before there is.

While a child lives the clock is held, as what it does takes real time. If it were reported after its start, the clock
could move in between.
"""

from __future__ import annotations

import _posixsubprocess
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from ..scheduler.scheduler import scheduler
from . import real_waits, registry, waits_in_c

_STARTERS = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")
"""The functions of ``os`` that start a process; all others are made of these, or of ``_posixsubprocess``."""

before_fork: list[Callable[[FrameType], None]] = []
"""Called with the frame that calls ``os.fork``, in an instance and before it does anything; may raise."""

SA_NOCLDSTOP = 1


class _Sigaction(ctypes.Structure):
    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * (1024 // (8 * ctypes.sizeof(ctypes.c_ulong)))),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


_real_sigmask = signal.pthread_sigmask
_sigaction = ctypes.CDLL(None, use_errno=True).sigaction
_sigaction.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _counted(real: Any, before: Sequence[Callable[[FrameType], None]] = ()) -> Any:
    def start(*args: Any, **kwargs: Any) -> Any:
        if not scheduler.active:
            return real(*args, **kwargs)
        for call in before:
            call(sys._getframe(1))
        real_waits.spare_multiprocessing()
        scheduler.forks()
        try:
            return real(*args, **kwargs)
        finally:
            if scheduler.active:  # not in the child of a fork
                scheduler.forks()

    return start


def disposition(signum: int) -> int | None:
    """What the kernel does with a signal for this process, code in C included: the address of a handler, or
    ``SIG_DFL`` or ``SIG_IGN``; None: this thread blocks it."""
    action = _Sigaction()
    _sigaction(signum, None, ctypes.byref(action))
    return None if signum in _real_sigmask(signal.SIG_BLOCK, ()) else action.handler or 0


def ignore_stops_of_children() -> None:
    """Have no SIGCHLD sent for a child that is stopped or continued, as the harness does with children."""
    action = _Sigaction()
    if _sigaction(signal.SIGCHLD, None, ctypes.byref(action)) == 0:
        action.flags |= SA_NOCLDSTOP
        _sigaction(signal.SIGCHLD, ctypes.byref(action), None)


def install() -> None:
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    why = "the harness knows that there may be a child process before there is"
    for name in _STARTERS:
        before = before_fork if name == "fork" else ()
        real = waits_in_c.noted(os.system, "os.system") if name == "system" else getattr(os, name)
        registry.replace(os, name, _counted(real, before), why)
    fork_exec = registry.replace(_posixsubprocess, "fork_exec", _counted(_posixsubprocess.fork_exec), why)
    if hasattr(subprocess, "_fork_exec"):
        registry.rebind(subprocess, "_fork_exec", fork_exec, "that is _posixsubprocess.fork_exec")
