"""The user's entry module: compiled once in the zygote, imported in each instance."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from types import CodeType
from typing import Any

MOST_COMPILED = 256
"""How many files have their code kept: a session may run thousands, each test with one of its own."""
TIMESTAMP_NS = 50_000_000
"""More than the step of a file system's timestamps: a file may change within it and look the same."""

_EMPTY = compile("def main_handler(event, context): return event", __file__, "exec", dont_inherit=True)

_compiled: dict[str, tuple[int, int, CodeType, frozenset[str]]] = {}
"""By path: modification time (ns), size, code, and what it imports first."""
_young: set[str] = set()
"""Paths of files that had just been written when they were compiled."""


def compile_ahead(path: str) -> None:
    """Keep the compiled code of *path*, for all instances that are forked from here on."""
    from . import ahead, clock  # noqa: PLC0415  (who loads a handler in a traced program has no clock of ours)

    try:
        state = os.stat(path)
        known = _compiled.get(path)
        if known is not None and known[:2] == (state.st_mtime_ns, state.st_size) and path not in _young:
            return
        _young.discard(path)
        if abs(clock.real_time_ns() - state.st_mtime_ns) < TIMESTAMP_NS:
            _young.add(path)
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path, "exec", dont_inherit=True)
        imports = ahead.first_imports(source)
    except (OSError, SyntaxError, ValueError):
        _forget(path)  # the instance meets the error where the platform would
        return
    _compiled[path] = (state.st_mtime_ns, state.st_size, code, imports)
    if len(_compiled) > MOST_COMPILED:
        _forget(next(iter(_compiled)))


def first_imports(path: str) -> frozenset[str]:
    """What the module at *path* imports first (`ahead`); nothing where the file was not compiled as it is now."""
    known = _compiled.get(path)
    try:
        state = os.stat(path)
    except OSError:
        return frozenset()
    return known[3] if known is not None and known[:2] == (state.st_mtime_ns, state.st_size) else frozenset()


def _forget(path: str) -> None:
    _compiled.pop(path, None)
    _young.discard(path)


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        known = _compiled.get(self.path)
        if known is not None:
            state = os.stat(self.path)
            if known[:2] == (state.st_mtime_ns, state.st_size):
                return known[2]
        return super().get_code(fullname)


def warm_up() -> None:
    """Do what `load_handler` does, with an empty module that is not registered."""
    loader: Any = _Loader("warm_up", __file__)  # what typeshed asks of a loader differs between Pythons
    spec = importlib.util.spec_from_file_location("warm_up", __file__, loader=loader)
    if spec is not None:
        module = importlib.util.module_from_spec(spec)
        exec(_EMPTY, module.__dict__)  # noqa: S102  (a line of ours)


def run_script(path: str, namespace: dict[str, Any]) -> None:
    """Run the file *path* as a program does, in the dict of its main module."""
    code = _Loader("__main__", path).get_code("__main__")
    exec(code, namespace)  # type: ignore[arg-type]  # noqa: S102  (the user's program)


def load_handler(path: str, module_name: str, function_name: str) -> Any:
    """Import *module_name* from *path*; its function. Exceptions of user code are raised."""
    known = sys.modules.get(module_name)
    if known is not None and getattr(known, "__file__", None) == path:
        module = known  # before_init is in the same file
    elif "." in module_name:
        __import__(module_name)  # unlike importlib.import_module, it leaves no frame in the user's traceback
        module = sys.modules[module_name]
    else:
        loader: Any = _Loader(module_name, path)
        spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(module_name, None)
            raise
    return getattr(module, function_name)
