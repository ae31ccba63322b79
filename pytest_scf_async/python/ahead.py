"""Modules that an entry module imports before it does anything else: imported once in the zygote, for all instances.

Without this a handler that begins with ``import dataclasses, pathlib`` has each cold start take twice as long. It is
done for modules of AHEAD alone, as user code must not be able to tell: their import reads no variable and no clock,
starts and opens nothing, and leaves no state that instances may not share (a test looks at each). OpenSSL reads its
configuration once a process, so ``ssl``, ``hashlib`` and ``asyncio`` are not among them. What is installed is for the
setting ``preload`` to name.

They are out of ``sys.modules`` until an instance has the same imports, and no file that would be found in their place:
a user's own module is never imported ahead, nor hidden.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple

from ..linux import procfs

AHEAD = frozenset(
    (
        *("argparse", "ast", "base64", "binascii", "bisect", "calendar", "colorsys", "configparser", "copy", "csv"),
        *("dataclasses", "difflib", "dis", "email.message", "fractions", "getopt", "glob", "graphlib", "gzip", "html"),
        *("inspect", "ipaddress", "pathlib", "pickle", "pprint", "random", "sched", "shlex", "statistics", "tarfile"),
        *("tempfile", "unicodedata", "urllib.parse", "xml.etree.ElementTree", "zipfile"),
    )
)
STANDARD_LIBRARY = os.path.dirname(os.__file__)
LONGEST_SOURCE = 1 << 17
"""Bytes of an entry module that is looked at: as a tree it takes many times as much, which the zygote would keep."""
MOST_SETS = 4
"""Sets of modules that are kept, each apart from the others: they are in each instance's memory."""


class Kept(NamedTuple):
    """What an entry module imports, with what came along."""

    modules: dict[str, ModuleType]
    memory: int
    """Bytes that they took: they are the instance's, though it had them when it was forked."""


_kept: dict[frozenset[str], Kept] = {}
"""By what an entry module imports of AHEAD."""


def first_imports(source: bytes) -> frozenset[str]:
    """What a module imports, by names of the standard library, before it could change where modules are found."""
    found: set[str] = set()
    if len(source) > LONGEST_SOURCE:
        return frozenset()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module is not None and not statement.level:
            module = statement.module
            names = [module, *(f"{module}.{alias.name}" for alias in statement.names)]
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # its docstring
        else:
            break
        if not all(name.partition(".")[0] in sys.stdlib_module_names for name in names):
            break
        found.update(names)
    return frozenset(found)


def load(imports: frozenset[str]) -> None:
    """In the zygote: import what *imports* has of AHEAD, and keep it for the instances that are forked from here on."""
    names = imports & AHEAD
    if not names or names in _kept or len(_kept) == MOST_SETS:
        return
    before, memory, path = set(sys.modules), procfs.memory(os.getpid()), sys.path[:]
    sys.path[:] = [entry for entry in path if entry == STANDARD_LIBRARY or entry.endswith("lib-dynload")]
    with contextlib.suppress(Exception):  # of a Python without one of them: the instance meets it where its code does
        for name in sorted(names):
            __import__(name)
    sys.path[:] = path
    complete = names <= sys.modules.keys()
    modules = {name: sys.modules.pop(name) for name in sys.modules.keys() - before}
    _kept[names] = Kept(modules if complete else {}, max(procfs.memory(os.getpid()) - memory, 0))


def use(imports: frozenset[str], directories: Iterable[str]) -> int:
    """In an instance, before user code: what *imports* has of AHEAD has been imported.

    Not where one of *directories* may have a module of such a name, or an entry of ``sys.path`` that comes before the
    standard library. Gives how many bytes of memory the modules have taken.
    """
    kept = _kept.get(imports & AHEAD)
    if kept is None:
        return 0
    names = {name.partition(".")[0] for name in (*imports, *kept.modules)}
    first = sys.path[: sys.path.index(STANDARD_LIBRARY)] if STANDARD_LIBRARY in sys.path else sys.path
    if any(not names.isdisjoint(_names_in(directory)) for directory in (*directories, *first)):
        return 0
    sys.modules.update(kept.modules)
    return kept.memory


def _names_in(directory: str) -> set[str]:
    """The names of modules that may be in *directory*, and others."""
    try:
        return {name.partition(".")[0] for name in os.listdir(directory)}
    except OSError:
        return set()
