"""Rebind references to original functions that modules imported before the patches were installed.

The interpreter imports such modules at its start (``sitecustomize``, ``.pth`` files, and what those import); a handler,
a preloaded module and ``before_init`` come after the patches. A reference that a module keeps in a closure or an
object of its own, and a lock that it has made, stay real.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from . import registry

_SPARED = ("subprocess",)
"""Modules that keep the originals: ``subprocess`` is on real time."""
_OURS = __name__.partition(".")[0] + "."


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions of *module*, and the methods of its classes."""
    for value in list(vars(module).values()):
        members = list(vars(value).values()) if isinstance(value, type) else (value,)
        for member in members:
            if isinstance(member, FunctionType) and member.__module__ == module.__name__:
                yield member


def install() -> None:
    """Rebind them, after all patches of time and before anything gets an original on purpose."""
    ours = registry.replacements()
    modules: dict[str, Any] = dict(sys.modules)
    for name, module in modules.items():
        if not isinstance(module, ModuleType) or name in _SPARED or name.startswith(_OURS):
            continue
        registry.rebind_references(module, ours)
        for function in _functions(module):
            defaults = function.__defaults__
            if defaults and any(id(value) in ours for value in defaults):
                function.__defaults__ = tuple(ours.get(id(value), value) for value in defaults)
            by_name = function.__kwdefaults__ or {}
            by_name.update({key: ours[id(value)] for key, value in by_name.items() if id(value) in ours})
    _renew_locks_of_logging()


def _renew_locks_of_logging() -> None:
    """Replace the real locks that ``logging`` has made; this is the only thread, and holds none."""
    import logging  # noqa: PLC0415
    import threading  # noqa: PLC0415

    logging._lock = threading.RLock()  # type: ignore[attr-defined]
    handlers: list[Callable[[], Any]] = logging._handlerList  # type: ignore[attr-defined]
    for reference in handlers:
        handler = reference()
        if handler is not None and handler.lock is not None:
            handler.createLock()
