"""What ``deploy`` and ``update`` make of their keywords: a valid configuration, each value with its source.

A keyword of both is a field of ``FunctionConfiguration``, checked by ``function_configuration``; one that has a default
in ``ScfSettings`` is in FROM_SETTINGS too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, Final

from .errors import ScfUsageError, hidden_from_users
from .instances.code import resolve_before_init
from .instances.layers import layer_paths, mounted_directories
from .instances.runtimes.launcher import Launch
from .model import GO_RUNTIME, PYTHON_RUNTIMES, RUNTIMES, FunctionConfiguration, function_configuration
from .options import ScfSettings

__all__ = ["UNCHANGED", "Unchanged", "changed_configuration", "first_configuration", "looked_up"]

__tracebackhide__ = hidden_from_users

FROM_SETTINGS: Final = (
    "runtime",
    "namespace",
    "timeout",
    "init_timeout",
    "memory",
    "environment",
    "async_run",
    "trace",
    "network",
)
"""What comes from the settings where ``deploy`` is not given it."""


class Unchanged(Enum):
    """The default of a keyword of ``update`` for which None means something."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged.UNCHANGED


def looked_up(given: Mapping[str, Any], lookup: tuple[str, ...], source: str, launch: Launch | None) -> dict[str, Any]:
    """The values for a configuration: *given* with its paths and its functions found on disk, by way of *lookup*.

    *source* says where *given* came from; *launch* is the program that instances run instead of a Python handler.
    Raises ``ScfUsageError`` for what is not there, and for what such a program cannot have.
    """
    found = dict(given)
    for name, look_up in (("layers", layer_paths), ("mounts", mounted_directories)):
        if found[name] is not UNCHANGED:
            found[name] = look_up(found[name], lookup)
    arguments = found.pop("before_init_args")
    if (found["before_init"], arguments) != (UNCHANGED, UNCHANGED):
        install, arguments = (None if value is UNCHANGED else value for value in (found["before_init"], arguments))
        before_init = found["before_init"] = resolve_before_init(install, arguments, lookup, source)
        if before_init is not None and launch is not None and launch.free_running:
            raise ScfUsageError(
                f"before_init={before_init.shown!r} ({source}) is called in the Python process of an instance, "
                f"before the first line of its code, and {_program(launch)} is free-running, without such a process: "
                "have environment= point it to a fake server of the test instead"
            )
    return found


def _program(launch: Launch) -> str:
    if launch.speaks == "gob":
        return "a Go program"
    program, *arguments = launch.command
    return repr(" ".join([os.path.basename(program), *arguments]))


def first_configuration(
    settings: ScfSettings,
    given: Mapping[str, Any],
    source: str,
    runnable: Sequence[str] = (*PYTHON_RUNTIMES, GO_RUNTIME),
) -> FunctionConfiguration:
    """The configuration of a function that is deployed with *given*, where None stands for "as the settings say".

    *source* says where *given* came from; *runnable* are the runtimes that can be had.
    Raises ``ScfUsageError`` with the value, its source, and what is valid.
    """
    values = {name: getattr(settings, name) for name in FROM_SETTINGS}
    sources = {name: settings.source(name) for name in FROM_SETTINGS}
    given = {name: value for name, value in given.items() if value is not None}
    return _configuration(settings, {**values, "runnable": runnable}, sources, given, source)


def changed_configuration(
    settings: ScfSettings, before: FunctionConfiguration, given: Mapping[str, Any], source: str
) -> FunctionConfiguration:
    """*before* with what ``update`` was *given*, where UNCHANGED stands for "as before".

    *source* says where *given* came from. Raises ``ScfUsageError`` with the value, its source, and what is valid.
    """
    values = {each.name: getattr(before, each.name) for each in fields(before) if each.name != "sources"}
    changed = {name: value for name, value in given.items() if value is not UNCHANGED}
    return _configuration(settings, {**values, "runnable": RUNTIMES}, before.sources, changed, source)


def _configuration(
    settings: ScfSettings,
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    given: Mapping[str, Any],
    source: str,
) -> FunctionConfiguration:
    values = {**values, **given}
    environment = given.get("environment", UNCHANGED)
    if isinstance(environment, (Mapping, type(None))):  # the variables of the settings are every function's
        values["environment"] = {**settings.environment, **(environment or {})}
    return function_configuration(**values, sources={**sources, **dict.fromkeys(given, source)})
