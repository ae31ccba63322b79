"""Image functions (document 56051): what ``deploy_image`` was given, as a program to start.

A program that the test's own Python can run as it is runs in the instance itself, on the simulated clock. Everything
else is free-running: it is started as it is, and sees real time.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import ScfUsageError, hidden_from_users
from .code import Code
from .launch import Launch
from .layers import absolute, existing

__tracebackhide__ = hidden_from_users

COMMAND_FORM: Final = 'command=["python", "app.py"]'
_HARMLESS: Final = frozenset({"-u", "-B", "-s", "-d", "-v", "-q"})
"""Options of the interpreter that change nothing that matters here."""
_VERSIONED: Final = re.compile(r"python(3(\.\d+)?)?")
_SHEBANG_BYTES: Final = 256


@dataclass(frozen=True)
class Image:
    """An image's program."""

    code: Code
    """Its directory stands for the image's working directory."""
    launch: Launch
    why_free_running: str | None
    """Why it cannot be on the simulated clock; None: it is."""


def image(command: object, directory: str | None, lookup: tuple[str, ...], port: object, ports: object) -> Image:
    """What ``deploy_image(command=, cwd=, port=, ports=)`` means.

    Raises ``ScfUsageError`` with the value, and what is valid.
    """
    if isinstance(command, (str, bytes)) or not isinstance(command, Sequence):
        raise ScfUsageError(f"command={command!r} is not valid: it is a list of words, as in {COMMAND_FORM}")
    words = [os.fspath(word) if isinstance(word, os.PathLike) else word for word in command]
    if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
        raise ScfUsageError(f"command={command!r} is not valid: it is a list of texts, as in {COMMAND_FORM}")
    where = _directory(directory, lookup)
    checked = {"port": _port("port", port)}
    relayed = _ports(ports)
    if checked["port"] in relayed:
        raise ScfUsageError(f"ports={ports!r} has {port!r}, which is the port of the program itself")
    path = _program(words[0], where)
    python = _as_python(path, words, where)
    script, module, argv = (None, None, words) if isinstance(python, str) else python
    launch = Launch(
        command=[path, *argv[1:]] if isinstance(python, str) else argv,
        directory=where,
        port=checked["port"],
        ports=relayed,
        script=script,
        module=module,
    )
    stem = _stem(words, script, module, where)
    entry = script or path
    return Image(Code(where, entry, "", "", stem), launch, python if isinstance(python, str) else None)


def _directory(given: str | None, lookup: tuple[str, ...]) -> str:
    if given is None:
        return os.path.abspath(lookup[0])
    candidates = [given] if os.path.isabs(given) else [os.path.join(each, given) for each in lookup]
    found = existing(candidates, f"cwd={given!r}")
    if found is None or not os.path.isdir(found):
        missing = " and no ".join(absolute(candidates))
        raise ScfUsageError(f"cwd={given!r} is no directory: there is no {missing}")
    return found


def _port(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65_536:
        raise ScfUsageError(f"{name}={value!r} is not valid: a port is a whole number from 1 to 65535")
    return value


def _ports(value: object) -> tuple[int, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ScfUsageError(f"ports={value!r} is not valid: it is a list of the ports of the test's own servers")
    return tuple(dict.fromkeys(_port("ports", each) for each in value))


def _program(name: str, directory: str) -> str:
    """The path of the program *name*: one on the path of the test's own Python, or one in the working directory."""
    if os.sep in name:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path if os.path.isabs(name) else os.path.abspath(path)
        raise ScfUsageError(f"command[0] is {name!r}, and there is no file {os.path.abspath(path)}")
    if _VERSIONED.fullmatch(name) and name in (*_own_names(), "python", "python3"):
        return sys.executable
    beside = os.path.dirname(sys.executable)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ScfUsageError(
            f"command[0] is {name!r}, which is neither in {beside} nor on the PATH: install it, or give its path"
        )
    return os.path.abspath(found)


def _own_names() -> tuple[str, ...]:
    return (f"python3.{sys.version_info.minor}",)


def _is_own_python(path: str) -> bool:
    if path == sys.executable:
        return True
    directory, name = os.path.split(path)
    return bool(_VERSIONED.fullmatch(name)) and directory == os.path.dirname(sys.executable)


_Python = tuple[str | None, str | None, list[str]]
"""The script, or the module, and ``sys.argv``."""


def _as_python(path: str, words: list[str], directory: str) -> _Python | str:
    """How the test's own interpreter runs the command; else why it cannot."""
    if not _is_own_python(path):
        interpreter = _interpreter_of(path)
        if interpreter is None or not _is_own_python(interpreter):
            return f"{words[0]} is no Python program of the test's own interpreter, {sys.executable}"
        return path, None, [path, *words[1:]]
    rest = words[1:]
    while rest and rest[0] in _HARMLESS:
        rest.pop(0)
    if not rest or rest[0] in ("-", "-c") or (rest[0].startswith("-") and rest[0] != "-m"):
        return f"{' '.join(words)!r} is no script or module that the interpreter of the tests can run itself"
    if rest[0] == "-m":
        if len(rest) == 1:
            raise ScfUsageError(f"command={words!r} is not valid: -m takes the name of a module")
        return None, rest[1], rest[1:]
    script = os.path.abspath(os.path.join(directory, rest[0]))
    if not os.path.isfile(script):
        raise ScfUsageError(f"command={words!r} runs {rest[0]!r}, and there is no file {script}")
    return script, None, rest


def _interpreter_of(path: str) -> str | None:
    """The program that the ``#!`` line of a file names."""
    try:
        with open(path, "rb") as file:
            first, _, rest = file.read(_SHEBANG_BYTES).partition(b"\n")
    except OSError:
        return None
    if first == b"#!/bin/sh" and rest.startswith(b"'''exec' "):  # how pip writes a path that is too long, or has spaces
        first = b"#!" + rest.split(b" ")[1].strip(b'"')
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    if words[:1] == ["/usr/bin/env"] and len(words) == 2:
        return sys.executable if words[1] in ("python", "python3", *_own_names()) else None
    return words[0] if len(words) == 1 else None


def _stem(words: list[str], script: str | None, module: str | None, directory: str) -> str:
    """What the function is called that no one named: after the program, or the first file that it is given."""
    if module is not None:
        return module.rpartition(".")[2]
    files = (word for word in words[1:] if os.path.isfile(os.path.join(directory, word)))
    return os.path.splitext(os.path.basename(script or next(files, words[0])))[0]
