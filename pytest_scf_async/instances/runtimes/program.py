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
from typing import Final, TypeGuard

from ...errors import ScfUsageError, hidden_from_users
from ..code import Code
from ..layers import absolute, existing
from .launcher import Launch

__tracebackhide__ = hidden_from_users

COMMAND_FORM: Final = 'command=["python", "app.py"]'
NO_ENGINE: Final = "no container engine is used, and command=[...] is the program that the image starts"
_REFERENCE: Final = re.compile(
    r"""(?! .*\.py\b )
    (?= .*[:@] | [\w-]+ \. [\w.-]+ (:\d+)? / )  # with a tag or a digest, or from a registry that has a domain
    \w [\w.-]* (:\d+)? (/ [\w.-]+)* (: \w[\w.-]*)? (@ \w+ : [0-9a-f]+)?""",
    re.VERBOSE | re.ASCII,
)
"""The name of an image, as container engines take it."""
_HARMLESS: Final = frozenset({"-u", "-B", "-s", "-d", "-v", "-q"})
"""Options of the interpreter that change nothing that matters here."""
_VERSIONED: Final = re.compile(r"python(3(\.\d+)?)?")
_SHEBANG_BYTES: Final = 256
_PORT_FORM: Final = "a port is a whole number from 1 to 65535"
_CWD_IS: Final = "cwd= is the directory in which the program is started"


@dataclass(frozen=True)
class Image:
    """An image's program."""

    code: Code
    """Its directory stands for the image's working directory."""
    launch: Launch
    why_free_running: str | None
    """Why it cannot be on the simulated clock; None: it is."""


def image(
    command: object, directory: object, lookup: tuple[str, ...], *, port: object, ports: object, source: str
) -> Image:
    """What ``deploy_image(command=, cwd=, port=, ports=)`` of *source* means.

    ``ScfUsageError`` with the value, the source and what is valid.
    """
    words = _words(command, source)
    where = _directory(directory, lookup, source)
    listens = _port(port, source)
    relayed = _ports(ports, listens, source)
    given = f"command={words!r} ({source})"
    path = _program(words[0], where, given)
    python = _as_python(path, words, where, given)
    script, module, argv = (None, None, words) if isinstance(python, str) else python
    launch = Launch(
        command=[path, *argv[1:]] if isinstance(python, str) else argv,
        directory=where,
        port=listens,
        ports=relayed,
        script=script,
        module=module,
    )
    stem = _stem(words, script, module, where)
    entry = script or path
    return Image(Code(where, entry, "", "", stem), launch, python if isinstance(python, str) else None)


def _words(command: object, source: str) -> list[str]:
    words: list[object] = []
    if isinstance(command, Sequence) and not isinstance(command, (str, bytes)):
        words = [os.fspath(word) if isinstance(word, os.PathLike) else word for word in command]
    texts = [word for word in words if isinstance(word, str) and word and "\0" not in word]
    if not texts or len(texts) != len(words):
        raise ScfUsageError(
            f"command={command!r} ({source}) is not valid: it is a list of words, the program first, as in "
            f"{COMMAND_FORM}{_no_engine(command)}"
        )
    return texts


def _no_engine(command: object) -> str:
    """What to add where *command*, or the first word of it, cannot be started and reads like the name of an image."""
    is_image = isinstance(command, str) and _REFERENCE.fullmatch(command)
    return f"; {command!r} reads like the name of an image: {NO_ENGINE}" if is_image else ""


def _directory(value: object, lookup: tuple[str, ...], source: str) -> str:
    if value is None:
        return os.path.abspath(lookup[0])
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(given, str):
        raise ScfUsageError(
            f"cwd={value!r} ({source}) of type {type(value).__name__} is not valid: it is the path of a directory, a "
            'str or a path, as in cwd="image"'
        )
    candidates = [given] if os.path.isabs(given) else [os.path.join(each, given) for each in lookup]
    named = f"cwd={given!r} ({source})"
    found = existing(candidates, named)
    if found is None:
        raise ScfUsageError(f"{named} is no directory: there is no {' and no '.join(absolute(candidates))}")
    if not os.path.isdir(found):
        raise ScfUsageError(f"{named} is no directory: {found} is a file")
    return found


def _is_port(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65_536


def _port(value: object, source: str) -> int:
    if not _is_port(value):
        raise ScfUsageError(f"port={value!r} ({source}) is not valid: {_PORT_FORM}")
    return value


def _ports(value: object, own: int, source: str) -> tuple[int, ...]:
    named = f"ports={value!r} ({source}) is not valid"
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ScfUsageError(f"{named}: it is a list of the ports of the test's own servers, as in ports=[6379]")
    ports = list(filter(_is_port, value))
    if len(ports) != len(value):
        wrong = next(each for each in value if not _is_port(each))
        raise ScfUsageError(f"{named}: {wrong!r} is no port; {_PORT_FORM}")
    if own in ports:
        raise ScfUsageError(f"{named}: {own} is the port on which the image's program listens itself (port={own})")
    return tuple(dict.fromkeys(ports))


def _program(name: str, directory: str, given: str) -> str:
    """The path of the program *name*: one on the path of the test's own Python, or one in the working directory."""
    if os.sep in name:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path if os.path.isabs(name) else os.path.abspath(path)
        where = "" if os.path.isabs(name) else _no_engine(name) or f"; {_CWD_IS}"
        raise ScfUsageError(f"{given}: there is no file {os.path.abspath(path)}{where}")
    if _VERSIONED.fullmatch(name) and name in (*_own_names(), "python", "python3"):
        return sys.executable
    beside = os.path.dirname(sys.executable)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ScfUsageError(
            f"{given}: there is no program {name!r} in {beside} nor on the PATH"
            f"{_no_engine(name) or '; install it, or give its path'}"
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


def _as_python(path: str, words: list[str], directory: str, given: str) -> _Python | str:
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
            raise ScfUsageError(f"{given} is not valid: -m takes the name of a module")
        return None, rest[1], rest[1:]
    script = os.path.abspath(os.path.join(directory, rest[0]))
    if not os.path.isfile(script):
        raise ScfUsageError(f"{given} runs {rest[0]!r}, and there is no file {script}: {_CWD_IS}")
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
