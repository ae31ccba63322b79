"""What nobody can put on simulated time says so in the event's timeline: loops of uvloop, and timers of the kernel."""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ...protocol import messages
from ..scheduler.door import door
from ..scheduler.waiters import PLUMBING, describe_caller
from .builtin import stand_in

NAME = "uvloop"


def _watch(module: Any) -> None:
    """Have the loops of *module*, which has just been imported, say that they run."""
    PLUMBING[module.__file__] = NAME
    real = module.Loop.run_forever

    @functools.wraps(real)
    def run_forever(self: Any) -> Any:
        where = describe_caller(f"{NAME}.Loop.run_forever")
        what = f"a loop of {NAME}, whose sleeps and timeouts are real: no simulated time passes in them"
        _tell(NAME, f"{where} runs {what}")
        return real(self)

    module.Loop.run_forever = run_forever  # run_until_complete() calls it, too


def _tell(what: str, note: str) -> None:
    if door.active:
        door.tell(messages.json_frame(messages.NOTE, {"note": note, "has_real_time": what}))


def _telling(real: Any) -> Any:
    """``os.timerfd_create``."""

    @functools.wraps(real)
    def timerfd_create(*args: Any, **kwargs: Any) -> Any:
        made = real(*args, **kwargs)
        where = describe_caller("timerfd_create")
        _tell("timerfd", f"{where} makes a timer of the kernel, which is real: no simulated time passes in it")
        return made

    return timerfd_create


class _Finder:
    """Finds nothing itself: it has what the others find looked at once it is imported."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != NAME:
            return None
        others = (finder for finder in sys.meta_path if finder is not _Finder)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _watch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Before modules are preloaded."""
    sys.meta_path.insert(0, _Finder)
    if hasattr(os, "timerfd_create"):
        os.timerfd_create = stand_in("posix", "timerfd_create", _telling(os.timerfd_create))
