"""Name the function of a library that user code has called, on the control page, for who records its effects.

A sweep asks for it in a run of its own, as each call of the main thread is reported here then. The name is there when a
call begins, so that the recorder finds it when that has an effect. A profiler of user code has precedence: where there
is one, nothing is named.
"""

from __future__ import annotations

import _thread
import builtins
import sys
from collections.abc import Callable, Container
from types import FrameType, ModuleType
from typing import Any

from ...protocol.own_code import OWN_CODE
from ...python.gates import lines
from ...python.scheduler.scheduler import scheduler
from . import libraries

_get_ident = _thread.get_ident
_PREFIXES = {"posix": "os.", "builtins": "", "io": ""}
"""What stands before the name of a function in C, where that is not its module."""
_KEEP_FILES = frozenset(("dbm", "gdbm", "logging", "mailbox", "shelve", "sqlite3", "tarfile", "zipfile"))
"""Modules of the standard library that decide themselves how the files are written which they keep."""


class _Functions:
    """The function for ``sys.setprofile``.

    It asks the stack whenever user code calls or is returned to, and at each call in C where there are greenlets, as
    they return from calls in any order. A library makes so many calls of its own that each may cost little.
    """

    def __init__(self, files: Container[str]) -> None:
        self._files = files
        self._in_c: dict[int, tuple[str, str]] = {}
        """The function in C that a frame of user code has called, until it returns, and its library, by the frame's
        identity."""
        self._modules: dict[type, str] = {}
        """Of types of C that do not say their modules."""
        self.begun = self._ended = False
        self._is_named = False
        """Whether the stack has been asked since calls are reported."""

    def begin(self) -> None:
        """Have the calls of this thread reported, unless they are to somebody else."""
        if sys.getprofile() is None:
            self.begun = True
            sys.setprofile(self)
            sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: object) -> None:
        """User code, in Python or in C, has calls reported to a profiler of its own from here on."""
        if event == "sys.setprofile" and _get_ident() == scheduler.main_ident and scheduler.active:
            self._ended = True
            scheduler.control.function = ""

    def __call__(self, frame: FrameType, event: str, callee: Any) -> None:
        if self._ended or not scheduler.active:  # in a child that user code forked, the page is its parent's
            self._is_named = False
            return
        self._name(frame, event, callee)
        if event in libraries.LOOKS and frame.f_code.co_filename not in self._files:
            places = getattr(lines.collector, "libraries", None)
            if places is not None:
                places.comes_to(frame)

    def _name(self, frame: FrameType, event: str, callee: Any) -> None:
        """Name the function that is under way now."""
        is_users, now = frame.f_code.co_filename in self._files, frame
        if event == "c_call":
            if is_users:
                self._in_c[id(frame)] = _name_in_c(callee), self.library_in_c(callee)
        elif is_users:
            self._in_c.pop(id(frame), None)
        if event in ("call", "return"):
            caller = frame.f_back
            if caller is None or not (is_users or caller.f_code.co_filename in self._files):
                return
            now = frame if event == "call" else caller
        elif not is_users and (event != "c_call" or (self._is_named and "greenlet" not in sys.modules)):
            return
        self._is_named = True
        scheduler.control.function = self._under_way(now)

    def _under_way(self, frame: FrameType) -> str:
        """The function that user code has called last, where, and its library: ``f@export.py:7@numpy``.

        *frame* is the innermost one. The text begins with ``@`` for one that the interpreter calls, as it does at
        the end of the ``with`` block of that line.
        """
        at: FrameType | None = frame
        outermost: FrameType | None = None
        while at is not None and at.f_code.co_filename not in self._files:
            if not at.f_code.co_filename.startswith(OWN_CODE):
                outermost = at
            at = at.f_back
        if at is None:
            return ""
        name, library = self._in_c.get(id(at), ("", ""))
        if not name and outermost is not None:
            name, library = _name_of(outermost), _library_of(outermost.f_globals.get("__name__"))
        file = at.f_code.co_filename.rpartition("/")[2]
        return f"{name}@{file}:{at.f_lineno}@{library}" if name or id(at) in self._in_c else ""

    def library_in_c(self, function: Any) -> str:
        """The library of a *function* in C; empty as `_library_of` says."""
        owner = getattr(function, "__self__", None)
        kind = type(owner)
        if owner is None or isinstance(owner, (ModuleType, type)):
            return _library_of(function.__module__)
        if kind.__module__ != "builtins" or hasattr(builtins, kind.__name__):
            return _library_of(kind.__module__)
        if kind not in self._modules:
            modules = [*sys.modules.items()]
            has = (name for name, module in modules if getattr(module, "__dict__", {}).get(kind.__name__) is kind)
            self._modules[kind] = next(has, "")
        return _library_of(self._modules[kind])


_functions: _Functions | None = None


def begin(files: Container[str], follow: Callable[[], None]) -> Callable[[], None]:
    """Name what code of *files* calls; what each thread is to call when it resumes, in place of *follow*."""
    global _functions
    functions = _functions = _functions or _Functions(files)

    def follow_both() -> None:
        follow()
        if not functions.begun and _get_ident() == scheduler.main_ident:
            functions.begin()

    return follow_both


def _library_of(module: object) -> str:
    """The library whose files are its own, by the name of a module of it; empty: a caller says how they are written."""
    top = module.partition(".")[0] if isinstance(module, str) else ""
    own = top.lstrip("_")
    is_standard = top in sys.stdlib_module_names or top in sys.builtin_module_names or top == "__main__"
    return "" if is_standard and own not in _KEEP_FILES else own


def _name_of(frame: FrameType) -> str:
    """The function of *frame*, as in ``Path.write_text`` and ``json.dump``."""
    code = frame.f_code
    name: str = getattr(code, "co_qualname", "") or _method_before_3_11(frame) or code.co_name
    name = name.rpartition("<locals>.")[2]
    return name.removesuffix(".__init__") if "." in name else f"{frame.f_globals.get('__name__', '?')}.{name}"


def _method_before_3_11(frame: FrameType) -> str:
    name = frame.f_code.co_name
    for value in [*frame.f_globals.values()]:
        method = vars(value).get(name) if isinstance(value, type) else None
        if getattr(getattr(method, "__func__", method), "__code__", None) is frame.f_code:
            return f"{value.__qualname__}.{name}"
    return ""


def _name_in_c(function: Any) -> str:
    """The same of a function in C; empty for one that the interpreter calls, as at the end of a ``with`` block."""
    name, module = function.__qualname__, function.__module__
    if function.__name__.startswith("__"):
        return ""
    if "." in name or not isinstance(module, str):
        return str(name)
    module = module.lstrip("_")
    return f"{_PREFIXES.get(module, f'{module}.')}{name}"


CALLBACKS = frozenset({_Functions.__call__.__code__})
"""The code of the callbacks of the interpreter."""
