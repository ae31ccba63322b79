"""Code in C of the user, which may write to the output past the patches: its output has the right time, too.

It is known that a library is loaded, not what it does. From then on the output is looked at each time before the clock
is moved here (``Scheduler._before_move``). That takes time, which instances without such code do not spend.
"""

from __future__ import annotations

import _imp
import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any

from .. import c_connections
from ..scheduler.scheduler import scheduler
from . import registry

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PACKAGES = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_WHY = "what code in C writes to the output has the time at which it was written"

_real_create_dynamic = _imp.create_dynamic
_real_dlopen: Any = ctypes._dlopen  # type: ignore[attr-defined]


def is_of_standard_library(path: str) -> bool:
    return path.startswith(_STANDARD_LIBRARY) and not any(part in path for part in _PACKAGES)


def fake_create_dynamic(spec: Any, file: Any = None, /) -> Any:
    if not is_of_standard_library(str(spec.origin)):
        scheduler.expect_output_of_c_code()
    made = _real_create_dynamic(spec) if file is None else _real_create_dynamic(spec, file)
    if scheduler.c_code:
        c_connections.redirect(is_of_standard_library)
    return made


def fake_dlopen(*args: Any) -> Any:
    if not _ours:
        scheduler.expect_output_of_c_code()
    handle = _real_dlopen(*args)
    if scheduler.c_code:
        c_connections.redirect(is_of_standard_library)
    return handle


@contextlib.contextmanager
def of_ours() -> Iterator[None]:
    """While the plugin itself loads a library, which writes nothing to a handler's output."""
    global _ours
    _ours = True
    try:
        yield
    finally:
        _ours = False


@contextlib.contextmanager
def ours_alone() -> Iterator[None]:
    """Import modules of ours, and remove those that came along with them.

    A handler must not find those in ``sys.modules`` before it imports them: a module of its own may have the same name
    as one of the standard library, ``email.py`` for example.
    """
    before = set(sys.modules)
    with of_ours():
        yield
    package = __name__.partition(".")[0]
    for name in set(sys.modules) - before:
        if name.partition(".")[0] != package:
            del sys.modules[name]


_ours = False


def install() -> None:
    """Before modules are preloaded."""
    c_connections.install()
    registry.replace(_imp, "create_dynamic", fake_create_dynamic, _WHY)
    registry.replace(ctypes, "_dlopen", fake_dlopen, _WHY)
