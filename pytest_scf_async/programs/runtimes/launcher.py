"""What a user's launcher is asked, and what it gives: how instances of a runtime of its own are started."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from ...errors import ScfUsageError, constructor_named
from ...instances.code import Code
from ...model.configuration import IMAGE_PORT

_SPOKEN: Final = ("event-invoke", "gob", "runtime-api")


@dataclass(frozen=True)
class CodePackage:
    """Code of another runtime than Python's: what ``pytest_scf_async_launcher`` is asked about."""

    runtime: str
    """One of the platform's, as in ``"Nodejs18.15"``."""
    handler: str
    """As it was given, or ``"index.main_handler"``."""
    directory: str
    """The absolute path of the code; a zip has been unpacked there."""


@constructor_named()
@dataclass(frozen=True)
class Launch:
    """A program, and how the platform speaks to it: what ``pytest_scf_async_launcher`` gives for a runtime of its own.

    The *command* is started in the *directory*, in the function's sandbox and network, and has to listen on *port*;
    then it gets each event as ``POST /event-invoke`` with the event's JSON as the body, and answers with the result,
    2xx for a return and anything else for an error of the user's code (430). Its first word is the path of a program.
    """

    command: Sequence[str]
    directory: str
    """An absolute path."""
    environment: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """Variables beside the function's own."""
    port: int = IMAGE_PORT
    ports: Sequence[int] = ()
    """Ports of the test's own servers, on the machine's loopback, that the program finds on its own loopback."""
    speaks: Literal["event-invoke", "gob", "runtime-api"] = "event-invoke"
    """"gob" is how the platform's Go library is spoken to; "runtime-api": the program asks for its events, as the
    ``bootstrap`` of a custom runtime does (document 47274), and *port* means nothing."""
    script: str | None = None
    """The Python file of a program of one process that the instance runs itself, as ``in_process=True`` of an image."""
    module: str | None = None
    """The same for a module, as ``python -m`` does."""

    def __post_init__(self) -> None:
        if isinstance(self.command, str) or not self.command or not all(isinstance(word, str) for word in self.command):
            raise ScfUsageError(f"command={self.command!r} is not valid: it must be a list of words, the program first")
        if not self.in_process and not (os.path.isabs(self.command[0]) and os.path.isfile(self.command[0])):
            raise ScfUsageError(
                f"command[0]={self.command[0]!r} is not valid: it must be the absolute path of a program, as "
                "shutil.which(...) gives it"
            )
        if not (os.path.isabs(self.directory) and os.path.isdir(self.directory)):
            raise ScfUsageError(
                f"directory={self.directory!r} is not valid: it must be the absolute path of a directory"
            )
        if self.script is not None and not (os.path.isabs(self.script) and os.path.isfile(self.script)):
            raise ScfUsageError(f"script={self.script!r} is not valid: it must be the absolute path of a Python file")
        if self.script is not None and self.module is not None:
            raise ScfUsageError(f"script={self.script!r} and module={self.module!r}: give only one of them")
        for name, port in (("port", self.port), *(("ports", port) for port in self.ports)):
            if type(port) is not int or not 0 < port < 65_536:
                raise ScfUsageError(f"{name}={port!r} is not valid: a port is a whole number from 1 to 65535")
        if self.port in self.ports:
            raise ScfUsageError(f"ports={self.ports!r} is not valid: {self.port} is the program's own port")
        if self.speaks not in _SPOKEN:
            raise ScfUsageError(f"speaks={self.speaks!r} is not valid; valid are {', '.join(map(repr, _SPOKEN))}")
        if not all(isinstance(text, str) for pair in self.environment.items() for text in pair):
            raise ScfUsageError("environment is not valid: its names and values must be str")
        object.__setattr__(self, "command", tuple(self.command))
        object.__setattr__(self, "ports", tuple(self.ports))

    @property
    def in_process(self) -> bool:
        """The instance runs it itself, instead of starting it as a program that is supervised."""
        return self.script is not None or self.module is not None

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories of what it starts."""
        return tuple(dict.fromkeys([self.directory, os.path.dirname(self.command[0])]))

    def moved(self, before: Code, after: Code) -> Launch:
        """The same with what lies in the code directory of *before* in that of *after*."""
        if before.directory == after.directory:
            return self

        def move(path: str) -> str:
            below = path.startswith(before.directory.rstrip("/") + "/")
            return os.path.join(after.directory, os.path.relpath(path, before.directory)) if below else path

        directory = after.directory if self.directory == before.directory else move(self.directory)
        script = None if self.script is None else move(self.script)
        return replace(self, command=[move(word) for word in self.command], directory=directory, script=script)
