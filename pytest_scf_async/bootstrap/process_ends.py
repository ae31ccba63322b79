"""What is done before this process ends in a way of which no other Python code is told: ``os._exit``, ``exec``, a
signal to itself. The end of the main module is told by who runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from .patches.builtin import stand_in

_first: list[Callable[[bool], None]] = []
_HARMLESS = frozenset(
    {
        *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
        *(signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    }
)
"""Signals that end no process by default."""


def do_first(act: Callable[[bool], None]) -> None:
    """Have *act*, which raises nothing, called before each such end, with whether it is certain to be one.

    It is not where a signal has a handler, or there is no program for ``exec``: the process may go on.
    """
    if not _first:
        _install()
    _first.append(act)


def _install() -> None:
    os._exit = stand_in("posix", "_exit", _acting_first(os._exit, lambda *_: True))
    os.abort = stand_in("posix", "abort", _acting_first(os.abort, lambda *_: True))
    for name in ("execv", "execve"):
        setattr(os, name, stand_in("posix", name, _acting_first(getattr(os, name), _can_be_executed)))
    signal.raise_signal = stand_in("_signal", "raise_signal", _acting_first(signal.raise_signal, _ends))
    to_thread = _acting_first(signal.pthread_kill, lambda _, signum: _ends(signum))
    signal.pthread_kill = stand_in("_signal", "pthread_kill", to_thread)
    to_group = _acting_first(os.killpg, lambda group, signum: group in (0, os.getpgrp()) and _ends(signum))
    os.killpg = stand_in("posix", "killpg", to_group)
    real_kill, acting_kill = os.kill, _acting_first(os.kill, lambda pid, signum: _is_own(pid) and _ends(signum))

    def kill(pid: Any, signal: Any, /) -> None:
        others = isinstance(pid, int) and pid > 0 and pid != os.getpid()
        (real_kill if others else acting_kill)(pid, signal)

    os.kill = stand_in("posix", "kill", kill)


def _is_own(pid: Any) -> bool:
    """Whether ``os.kill`` takes *pid* for this process, or for its group."""
    return pid in (0, os.getpid(), -os.getpgrp())


def _ends(signum: Any) -> bool:
    """Whether the signal *signum* ends this process."""
    if signum == signal.SIGKILL:
        return True
    try:
        return signum not in _HARMLESS and signal.getsignal(signum) is signal.SIG_DFL
    except (TypeError, ValueError):
        return False  # it is no signal: the call is refused


def _can_be_executed(path: Any, *_: Any) -> bool:
    try:
        return os.access(path, os.X_OK)
    except (TypeError, ValueError):
        return False


def _acting_first(real: Callable[..., Any], is_certain: Callable[..., bool]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            certain = is_certain(*args, **kwargs)
        except TypeError:
            certain = False  # the call is refused, in its own words
        for act in _first:
            act(certain)
        return real(*args, **kwargs)

    return call
