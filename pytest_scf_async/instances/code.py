"""Where a function's code is: what ``deploy`` was given, as a directory, an entry file, a module and a function."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ScfUsageError

FORMS = (
    '"path/to/file.py:main_handler", a code directory or a zip with handler="index.main_handler", '
    "or a function of an importable module or test file"
)


@dataclass(frozen=True)
class Code:
    """One function's code on the host's disk."""

    directory: str
    """The code directory: the instance's working directory and the first entry of ``sys.path``."""
    entry: str
    """The entry module's file; it need not exist (the event ends with 437 then)."""
    module: str
    function: str
    stem: str
    """What the function is called when it is given no name."""

    @property
    def handler(self) -> str:
        return f"{self.module}.{self.function}"


def resolve(code: object, handler: str | None, lookup: tuple[str, ...], scratch: Callable[[], str]) -> Code:
    """The ``Code`` of what the user gave; relative paths are looked up in the directories *lookup*, in order.

    A zip is unpacked below ``scratch()``. Raises ``ScfUsageError`` with the value, and what is valid.
    """
    if inspect.isfunction(code):
        if handler is not None:
            raise ScfUsageError(f"handler={handler!r} goes with a directory or a zip, and code is {_name(code)}")
        return _of_function(code)
    text = os.fspath(code) if isinstance(code, os.PathLike) else code
    if not isinstance(text, str):
        raise ScfUsageError(f"code is {code!r} of type {type(code).__name__}; it takes {FORMS}")
    if handler is None:
        return _of_file(text, lookup)
    path = _find(text, text, lookup)
    if "." not in str(handler).strip("."):
        raise ScfUsageError(
            f"handler={handler!r} is not valid: it is the file without .py, a dot and the name of the function, "
            "as in 'index.main_handler'"
        )
    if zipfile.is_zipfile(path):
        path = _unpack(path, scratch())
    elif not os.path.isdir(path):
        raise ScfUsageError(f"code is {text!r}, which is neither a directory nor a zip; with a handler it takes one")
    module, _, function = handler.rpartition(".")
    entry = os.path.join(path, *module.split(".")) + ".py"
    return Code(path, entry, module, function, module.rpartition(".")[2])


def _find(path: str, given: str, lookup: tuple[str, ...]) -> str:
    candidates = [os.path.join(directory, path) for directory in lookup] if not os.path.isabs(path) else [path]
    for candidate in candidates:
        if os.path.exists(candidate):
            return os.path.realpath(candidate)
    missing = " and no ".join(dict.fromkeys(map(os.path.abspath, candidates)))
    raise ScfUsageError(f"code is {given!r}, and there is no {missing}; it takes {FORMS}")


def _of_file(text: str, lookup: tuple[str, ...]) -> Code:
    path, colon, function = text.rpartition(":")
    if not colon:
        raise ScfUsageError(f"code is {text!r}, which names no function; it takes {FORMS}")
    if not function.isidentifier():
        raise ScfUsageError(f"code is {text!r}, and {function!r} is no name of a function; it takes {FORMS}")
    found = _find(path, text, lookup)
    if not found.endswith(".py") or not os.path.isfile(found):
        raise ScfUsageError(f"code is {text!r}, and {found} is no Python file; it takes {FORMS}")
    stem = os.path.basename(found)[: -len(".py")]
    return Code(os.path.dirname(found), found, stem, function, stem)


def _of_function(function: Any) -> Code:
    name = _name(function)
    if "<locals>" in function.__qualname__ or function.__name__ == "<lambda>":
        raise ScfUsageError(
            f"code is {name}, which is defined inside a function; another process cannot import it: "
            "define it at the top level of its module"
        )
    if "." in function.__qualname__:
        raise ScfUsageError(f"code is {name}, which belongs to a class; the platform calls functions of a module only")
    file = inspect.getsourcefile(function)
    if file is None or not os.path.isfile(file):
        raise ScfUsageError(f"code is {name}, whose module has no file; it takes {FORMS}")
    entry = os.path.realpath(file)
    directory, base = os.path.split(entry)
    parts = [base[: -len(".py")]]
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory, package = os.path.split(directory)
        parts.insert(0, package)
    module = sys.modules.get(function.__module__)
    if module is not None and getattr(module, function.__name__, None) is None:
        raise ScfUsageError(f"code is {name}, which its module does not have under that name")
    return Code(directory, entry, ".".join(parts), function.__name__, parts[-1])


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _unpack(path: str, scratch: str) -> str:
    target = tempfile.mkdtemp(prefix="code-", dir=scratch)
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            parts = member.replace("\\", "/").split("/")
            if member.startswith("/") or ".." in parts:
                raise ScfUsageError(f"{path} has the member {member!r}, which lies outside the code directory")
        archive.extractall(target)
    return target
