"""Where a function's code is: what ``deploy`` was given, as a directory, an entry file, a module and a function."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import stat
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import Given, HarnessError, ScfUsageError, did_you_mean, hidden_from_users, near_name
from ..linux.linux import remove_tree
from ..model.before_init import BeforeInit, before_init_arguments
from ..model.configuration import BAD_HANDLER, HANDLER_RULE
from .layers import absolute, check_readable, existing
from .packages import LARGEST_CODE, unpack

__tracebackhide__ = hidden_from_users

FORMS = (
    '"path/to/file.py:main_handler", a code directory or a zip with handler="index.main_handler", '
    "or a function of an importable module or test file"
)

BEFORE_INIT_FORMS = '"tests/fakes.py:install", or a function of an importable module or test file'


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
    archive: str = ""
    """The zip that the directory was unpacked from."""

    @property
    def handler(self) -> str:
        return f"{self.module}.{self.function}"

    @property
    def entry_name(self) -> str:
        """The entry module's file, seen from the code directory."""
        return os.path.relpath(self.entry, self.directory)

    def functions(self) -> list[str]:
        """The functions that the entry module defines at its top level, as its file is now."""
        try:
            with open(self.entry, "rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are the instance's to show
                body = ast.parse(file.read()).body
        except (OSError, SyntaxError, ValueError):
            return []
        return [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]

    def near_handler(self) -> str:
        """The handler with the name of a file of the entry file's directory that is called much the same; or nothing.

        Of several it is the nearest.
        """
        *packages, stem = self.module.split(".")
        try:
            names = sorted(os.listdir(os.path.dirname(self.entry)))
        except OSError:
            return ""
        near = near_name(stem, [name[: -len(".py")] for name in names if name.endswith(".py")])
        return ".".join([*packages, near, self.function]) if near else ""


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
        raise ScfUsageError(f"code is {code!r} of type {type(code).__name__}; it must be {FORMS}")
    if handler is None:
        return _of_file(text, lookup)
    given = path = _find(text, text, lookup)
    _check_handler(handler)
    if zipfile.is_zipfile(path):
        return replace(_of_directory(unpack_code(path, scratch()), handler, given), archive=given)
    if os.path.isdir(path):
        check_readable(path, f"code is {text!r}, and {path}")
    else:
        raise ScfUsageError(f"code is {text!r}, which is neither a directory nor a zip; with a handler it takes one")
    return _of_directory(path, handler, given)


def code_directory(code: object, lookup: tuple[str, ...], scratch: Callable[[], str], runtime: str) -> tuple[str, str]:
    """The directory of a code package that is no Python, and the stem of its function's name.

    A zip is unpacked below ``scratch()``.
    """
    text = os.fspath(code) if isinstance(code, os.PathLike) else code
    forms = f"a code directory or a zip, as the runtime is {runtime!r}"
    if not isinstance(text, str):
        raise ScfUsageError(f"code is {code!r} of type {type(code).__name__}; it must be {forms}")
    path = _find(text, text, lookup, forms=forms)
    if zipfile.is_zipfile(path):
        return unpack_code(path, scratch()), _stem(path)
    if not os.path.isdir(path):
        raise ScfUsageError(f"code is {text!r}, which is neither a directory nor a zip; it must be {forms}")
    return path, _stem(path)


def resolve_again(
    before: Code, code: object, handler: str | None, lookup: tuple[str, ...], scratch: Callable[[], str]
) -> Code:
    """The ``Code`` of a function whose code was *before*, when it is given other code, another handler, or both.

    A directory or a zip without a handler keeps the one that the function has. Raises what `resolve` raises.
    """
    if code is None:
        assert handler is not None
        _check_handler(handler)
        return replace(_of_directory(before.directory, handler, before.directory), archive=before.archive)
    if handler is None and isinstance(code, (str, os.PathLike)) and ":" not in str(os.fspath(code)):
        handler = before.handler
    return resolve(code, handler, lookup, scratch)


def resolve_before_init(function: object, arguments: object, lookup: tuple[str, ...], source: str) -> BeforeInit | None:
    """What ``deploy(before_init=function, before_init_args=arguments)`` means; *source* says where they came from.

    None where there is none. Raises ``ScfUsageError`` with the value, and what is valid.
    """
    text = before_init_arguments(arguments, source)
    if function is None:
        if arguments is not None:
            raise ScfUsageError(f"before_init_args={arguments!r} ({source}) goes with before_init, which is not given")
        return None
    if inspect.isfunction(function):
        code, shown = _of_function(function, "before_init", BEFORE_INIT_FORMS), _name(function)
    elif isinstance(function, str):
        code, shown = _of_file(function, lookup, "before_init", BEFORE_INIT_FORMS), function
    else:
        raise ScfUsageError(
            f"before_init={function!r} ({source}) is of type {type(function).__name__}; it must be {BEFORE_INIT_FORMS}"
        )
    return BeforeInit(shown, code.directory, code.entry, code.module, code.function, text)


def _check_handler(handler: str) -> None:
    if "." not in str(handler).strip("."):
        Given("handler", handler).refuse(HANDLER_RULE, BAD_HANDLER)


def _of_directory(path: str, handler: str, given: str) -> Code:
    """The code below *path*, which is the directory *given*, or was unpacked from the zip *given*.

    The platform's examples call every entry file ``index.py``, so that name would tell no two functions apart.
    """
    module, _, function = handler.rpartition(".")
    entry = os.path.join(path, *module.split(".")) + ".py"
    stem = module.rpartition(".")[2]
    return Code(path, entry, module, function, _stem(given) if stem == "index" else stem)


def _stem(given: str) -> str:
    """The name of the directory *given*, or of the zip without its suffix."""
    name = os.path.basename(os.path.abspath(given))
    return name if os.path.isdir(given) else os.path.splitext(name)[0]


def _find(path: str, given: str, lookup: tuple[str, ...], what: str = "code", forms: str = FORMS) -> str:
    candidates = [os.path.join(directory, path) for directory in lookup] if not os.path.isabs(path) else [path]
    found = existing(candidates, f"{what} is {given!r}")
    if found is None:
        missing = " and no ".join(absolute(candidates))
        near = _meant(given, lookup) or _near(candidates)
        raise ScfUsageError(f"{what} is {given!r}, and there is no {missing}{near}; it must be {forms}")
    return found


def _of_file(text: str, lookup: tuple[str, ...], what: str = "code", forms: str = FORMS) -> Code:
    path, colon, function = text.rpartition(":")
    if not colon:
        raise ScfUsageError(f"{what} is {text!r}, which names no function{_meant(text, lookup)}; it must be {forms}")
    if not function.isidentifier():
        raise ScfUsageError(f"{what} is {text!r}, and {function!r} is not the name of a function; it must be {forms}")
    found = _find(path, text, lookup, what, forms)
    if not found.endswith(".py") or not os.path.isfile(found):
        raise ScfUsageError(f"{what} is {text!r}, and {found} is not a Python file; it must be {forms}")
    stem = os.path.basename(found)[: -len(".py")]
    return Code(os.path.dirname(found), found, stem, function, stem)


def _of_function(function: Any, what: str = "code", forms: str = FORMS) -> Code:
    name = _name(function)
    if function.__name__ == "<lambda>":
        raise ScfUsageError(
            f"{what} is a lambda, which another process cannot import: write a def at the top level of a module"
        )
    if "<locals>" in function.__qualname__:
        raise ScfUsageError(
            f"{what} is {name}, which is defined inside a function; another process cannot import it: "
            "define it at the top level of its module"
        )
    if "." in function.__qualname__:
        raise ScfUsageError(f"{what} is {name}, which belongs to a class; only functions of a module can be called")
    file = inspect.getsourcefile(function)
    if file is None or not os.path.isfile(file):
        raise ScfUsageError(f"{what} is {name}, whose module has no file; it must be {forms}")
    entry = os.path.realpath(file)
    directory, base = os.path.split(entry)
    parts = [base[: -len(".py")]]
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory, package = os.path.split(directory)
        parts.insert(0, package)
    module = sys.modules.get(function.__module__)
    if module is not None and getattr(module, function.__name__, None) is None:
        raise ScfUsageError(f"{what} is {name}, which its module does not have under that name")
    return Code(directory, entry, ".".join(parts), function.__name__, parts[-1])


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def unpack_code(path: str, scratch: str) -> str:
    """Unpack the zip *path* into a new directory below *scratch*, and give that. Raises what `unpack` raises."""
    target = tempfile.mkdtemp(prefix="code-", dir=scratch)
    try:
        unpack(path, target, "code")
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise HarnessError(f"{path} cannot be unpacked to {target}: {error.strerror or error}") from None
        raise
    return target


class Copy:
    """The code of a published version, kept: instances run it where it was for as long as nothing there changes.

    Hidden directories, ``__pycache__`` and virtual environments are left out.
    """

    def __init__(self, code: Code, scratch: str) -> None:
        self._code = code
        self._picture = _picture(code.directory)
        self._copied = copied(code, scratch, "version-", "publish_version() would keep", self._picture)

    def code_to_run(self) -> Code:
        """The code where it was, or the copy once it is not the same there any more."""
        return self._code if _picture(self._code.directory) == self._picture else self._copied

    def remove(self) -> None:
        """Remove the copy."""
        remove_tree(self._copied.directory)


def copied(
    code: Code, scratch: str, prefix: str, what: str, picture: Sequence[tuple[str, int, int]] | None = None
) -> Code:
    """A copy of *code* in a new directory below *scratch*, of the same files as a ``Copy``: those of the *picture*.

    Raises ``ScfUsageError``, which begins with *what*, where it has more bytes than the platform takes.
    """
    picture = _picture(code.directory) if picture is None else picture
    size = sum(size for _, _, size in picture)
    if size > LARGEST_CODE:
        raise ScfUsageError(
            f"{what} {size:,} bytes of {code.directory}, and the platform takes {LARGEST_CODE:,} bytes of code at "
            "most; give the function a directory of its own"
        )
    directory = tempfile.mkdtemp(prefix=prefix, dir=scratch)
    for path, _, _ in picture:
        target = os.path.join(directory, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(code.directory, path), target)
    return replace(
        code, directory=directory, entry=os.path.join(directory, os.path.relpath(code.entry, code.directory))
    )


def size_of(code: Code) -> int:
    """Bytes of every file that belongs to *code*."""
    return sum(size for _, _, size in _picture(code.directory))


def _picture(directory: str) -> list[tuple[str, int, int]]:
    """Path, modification time (ns) and size of every file that belongs to the code."""
    found: list[tuple[str, int, int]] = []
    for parent, directories, files in os.walk(directory):
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".")
            and name != "__pycache__"
            and not os.path.exists(os.path.join(parent, name, "pyvenv.cfg"))
        )
        for name in sorted(files):
            path = os.path.join(parent, name)
            try:
                state = os.stat(path)
            except OSError:
                continue  # a link to nothing, or a file that is gone again
            if stat.S_ISREG(state.st_mode):
                found.append((os.path.relpath(path, directory), state.st_mtime_ns, state.st_size))
    return found


def _meant(given: str, lookup: Iterable[str]) -> str:
    """Names the file and the function where *given* is a module with dots, or a file without its suffix or function."""
    path, colon, function = given.rpartition(":")
    if not colon:
        path, _, function = (given, "", "main_handler") if given.endswith(".py") else given.rpartition(".")
    folder, module = os.path.split(path.removesuffix(".py"))
    file = os.path.join(folder, module.replace(".", os.sep) + ".py")
    if not function.isidentifier() or not any(os.path.isfile(os.path.join(each, file)) for each in lookup):
        return ""
    meant = f"{file}:{function}"
    return f" (did you mean {meant!r}?)"


def _near(missing: Iterable[str]) -> str:
    """Names what lies where something is *missing*, and is called much the same."""
    for path in map(os.path.abspath, missing):
        try:
            near = did_you_mean(os.path.basename(path), sorted(os.listdir(os.path.dirname(path))))
        except (OSError, ValueError):
            continue
        if near:
            return f" ({near.removeprefix('; ')})"
    return ""
