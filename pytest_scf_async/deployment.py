"""What ``deploy`` and ``update`` make of their keywords: a valid configuration, each value with its source.

Which keywords there are, and what each has to be, is in the table of options; what the platform allows of some of them
is in LIMITS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from .errors import Given, hidden_from_users
from .instances.code import resolve_before_init
from .instances.layers import layer_paths, mounted_directories
from .instances.runtimes.strategy import Runtime
from .model.configuration import LIMITS, FunctionConfiguration
from .options import OPTIONS, Option, ScfSettings, Where, options_of

__tracebackhide__ = hidden_from_users

Mounts = Sequence[str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]]
"""What ``mounts`` takes: directories, or pairs of one and its path in an instance."""


class Unchanged(Enum):
    """The default of a keyword of ``update`` for which None means something."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged.UNCHANGED


def looked_up(given: Mapping[str, Any], lookup: tuple[str, ...], source: str, runtime: Runtime) -> dict[str, Any]:
    """The values for a configuration: *given* with its paths and its functions found on disk, by way of *lookup*.

    *source* says where *given* came from. Raises ``ScfUsageError`` for what is not there, and for what a function of
    the *runtime* cannot have.
    """
    found = dict(given)
    for name, look_up in (("layers", layer_paths), ("mounts", mounted_directories)):
        if found.get(name, UNCHANGED) is not UNCHANGED:
            found[name] = look_up(found[name], lookup)
    given_both = found.get("before_init", UNCHANGED), found.pop("before_init_args", UNCHANGED)
    if given_both != (UNCHANGED, UNCHANGED):
        install, arguments = (None if value is UNCHANGED else value for value in given_both)
        before_init = found["before_init"] = resolve_before_init(install, arguments, lookup, source)
        if before_init is not None:
            runtime.check_before_init(before_init, source)
    return found


def first_configuration(settings: ScfSettings, given: Mapping[str, Any], source: str) -> FunctionConfiguration:
    """The configuration of a function that is deployed with *given*, where None stands for "as the settings say".

    *source* says where *given* came from. Raises ``ScfUsageError`` with the value, its source, and what is valid.
    """
    values: dict[str, Given] = {}
    for option in _CONFIGURING:
        value, of_value = given.get(option.name), source
        if value is None:
            is_setting = option.name in _OF_SETTINGS
            value = getattr(settings, option.name) if is_setting else option.default
            of_value = settings.source(option.name) if is_setting else ""
        elif option.name == "environment":
            value = _with_variables_of(settings, option, value, source)
        values[option.name] = option.given(value, of_value)
    return checked_configuration(values)


def changed_configuration(
    settings: ScfSettings, before: FunctionConfiguration, given: Mapping[str, Any], source: str
) -> FunctionConfiguration:
    """*before* with what ``update`` was *given*, where UNCHANGED stands for "as before".

    *source* says where *given* came from. Raises ``ScfUsageError`` with the value, its source, and what is valid.
    """
    values: dict[str, Given] = {}
    for option in _CONFIGURING:
        value, of_value = given.get(option.name, UNCHANGED), source
        if value is UNCHANGED:
            value, of_value = getattr(before, option.name), before.sources.get(option.name, "")
        elif option.name == "environment":
            value = _with_variables_of(settings, option, value, source)
        values[option.name] = option.given(value, of_value)
    return checked_configuration(values)


_CONFIGURING: Final = [option for option in OPTIONS if option.kept]
"""The options that a function's configuration keeps."""
_OF_SETTINGS: Final = frozenset(option.name for option in options_of(Where.SETTINGS))


def _with_variables_of(settings: ScfSettings, option: Option, environment: object, source: str) -> object:
    """*environment* with the variables of the settings, which are every function's; None stands for no others.

    Both are checked apart first, and then together: a refusal names where what it refuses came from.
    """
    if not isinstance(environment, (Mapping, type(None))):
        return environment
    own = environment or {}
    others = {name: value for name, value in settings.environment.items() if name not in own}
    both, of_others = {**settings.environment, **own}, settings.source(option.name)
    if others:
        for variables, origin in ((others, of_others), (own, source), (both, f"{of_others} and {source}")):
            LIMITS[option.name](option.given(variables, origin), {})
    return both


def checked_configuration(values: Mapping[str, Given]) -> FunctionConfiguration:
    """The configuration with *values*, of each option one: the platform's limit of it holds, or its own rule."""
    checked: dict[str, Any] = {}
    for option in _CONFIGURING:
        given, limit = values[option.name], LIMITS.get(option.name)
        checked[option.name] = option.check(given) if limit is None else limit(given, values)
    sources = {name: given.source for name, given in values.items() if given.source}
    return FunctionConfiguration(**checked, sources=MappingProxyType(sources))
