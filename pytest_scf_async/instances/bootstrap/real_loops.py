"""uvloop has a loop in C, whose waits and clock nobody can put on simulated time: the event's timeline says so."""

from __future__ import annotations

import functools
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from .. import wire
from .door import door
from .waits import PLUMBING, describe_caller

NAME = "uvloop"


def _watch(module: Any) -> None:
    """Have the loops of *module*, which has just been imported, say that they run."""
    PLUMBING[module.__file__] = NAME
    real = module.Loop.run_forever

    @functools.wraps(real)
    def run_forever(self: Any) -> Any:
        if door.active:
            _tell()
        return real(self)

    module.Loop.run_forever = run_forever  # run_until_complete() calls it, too


def _tell() -> None:
    where = describe_caller(f"{NAME}.Loop.run_forever")
    note = f"{where} runs a loop of {NAME}, whose sleeps and timeouts are real: no simulated time passes in them"
    door.tell(wire.json_frame(wire.NOTE, {"note": note, "has_real_time": NAME}))


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
