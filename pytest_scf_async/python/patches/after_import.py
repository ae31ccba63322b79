"""Patch modules once an instance imports them; many it never does."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

_patches: dict[str, list[Callable[[Any], None]]] = {}
"""By the module that they patch, in order."""


def patch(name: str, patch_module: Callable[[Any], None]) -> None:
    """Call *patch_module* with the module *name* once that has been imported; at once if it has been already."""
    module = sys.modules.get(name)
    if module is not None:
        patch_module(module)
    else:
        _patches.setdefault(name, []).append(patch_module)


class _Finder:
    """A finder that has modules patched after the other finders' loaders have executed them."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _patches:
            return None
        others = (finder for finder in sys.meta_path if finder is not _Finder)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for patch_module in _patches[name]:
                patch_module(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Install the finder, before modules are preloaded."""
    sys.meta_path.insert(0, _Finder)
