"""What is done before this process ends in a way of which no other Python code is told: ``os._exit``, ``exec``, a
signal to itself. The end of the main module is told by who runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from .standins import stand_in

_first: list[Callable[[], None]] = []


def do_first(act: Callable[[], None]) -> None:
    """Have *act*, which raises nothing, called before each such end. The process may go on all the same."""
    if not _first:
        _install()
    _first.append(act)


def _install() -> None:
    for name in ("_exit", "abort", "execv", "execve", "killpg"):
        setattr(os, name, stand_in("posix", name, _acting_first(getattr(os, name))))
    for name in ("raise_signal", "pthread_kill"):
        setattr(signal, name, stand_in("_signal", name, _acting_first(getattr(signal, name))))
    real_kill, acting_kill = os.kill, _acting_first(os.kill)

    def kill(pid: Any, signal: Any, /) -> None:
        others = isinstance(pid, int) and pid > 0 and pid != os.getpid()
        (real_kill if others else acting_kill)(pid, signal)

    os.kill = stand_in("posix", "kill", kill)


def _acting_first(real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        for act in _first:
            act()
        return real(*args, **kwargs)

    return call
