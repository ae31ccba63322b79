"""Hooks that run before ``os._exit``, ``exec`` or a fatal signal of the process to itself.

No ``atexit`` function runs there, and the answer of an image's program, or what coverage has measured, would be lost.
After the end of the main module its caller does what is to be done.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from .patches import registry, signals

_first: list[Callable[[bool], None]] = []
_HARMLESS = frozenset(
    {
        *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
        *(signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    }
)
"""Signals that do not end a process by default."""


def do_first(act: Callable[[bool], None]) -> None:
    """Have *act*, which raises nothing, called before each such end, with whether the process is certain to end.

    It is not where a signal has a handler, or there is no program for ``exec``: the process may go on.
    """
    if not _first:
        _install()
    _first.append(act)


def _install() -> None:
    why = "the process may end in it, and runs no other Python code then"
    registry.replace(os, "_exit", _acting_first(os._exit, lambda *_: True), why)
    registry.replace(os, "abort", _acting_first(os.abort, lambda *_: True), why)
    for name in ("execv", "execve"):
        registry.replace(os, name, _acting_first(getattr(os, name), _can_be_executed), why)
    to_group = _acting_first(os.killpg, lambda group, signum: group in (0, os.getpgrp()) and _ends(signum))
    registry.replace(os, "killpg", to_group, why)
    signals.before_kill.append(_kills)
    signals.before_pthread_kill.append(lambda _, signum: _act(_ends(signum)))


def _kills(pid: Any, signum: Any) -> None:
    is_another = isinstance(pid, int) and pid > 0 and pid != os.getpid()
    if not is_another:
        _act(_is_own(pid) and _ends(signum))


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
        return False  # no signal, which the call refuses


def _can_be_executed(path: Any, *_: Any) -> bool:
    try:
        return os.access(path, os.X_OK)
    except (TypeError, ValueError):
        return False


def _act(certain: bool) -> None:
    for act in _first:
        act(certain)


def _acting_first(real: Callable[..., Any], is_certain: Callable[..., bool]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            certain = is_certain(*args, **kwargs)
        except TypeError:
            certain = False  # the call refuses its arguments
        _act(certain)
        return real(*args, **kwargs)

    return call
