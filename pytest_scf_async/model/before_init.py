"""What runs in an instance before the function's own code: the way to put fakes into another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import ScfUsageError, hidden_from_users

__tracebackhide__ = hidden_from_users

_ARGUMENTS_RULE: Final = "it must be a dict (keyword arguments) or a list (positional ones) of JSON values"


@dataclass(frozen=True)
class BeforeInit:
    """A function of the test, and how an instance imports and calls it."""

    shown: str
    """What the test called it."""
    directory: str
    """What has to be importable for its module."""
    entry: str
    """The file of its module."""
    module: str
    function: str
    arguments: str
    """A JSON object (keyword arguments) or array (positional ones), as text."""


def before_init_arguments(value: object, source: str) -> str:
    """*value* as the text of a JSON object or array; ``ScfUsageError`` with the value and its *source* otherwise."""
    if value is None:
        return "[]"

    def refuse(reason: str) -> ScfUsageError:
        return ScfUsageError(f"before_init_args={value!r} ({source}) is not valid: {reason}")

    if not isinstance(value, (Mapping, list, tuple)):
        raise refuse(_ARGUMENTS_RULE)
    arguments: Any = dict(value) if isinstance(value, Mapping) else list(value)
    for name in arguments if isinstance(arguments, dict) else ():
        if not isinstance(name, str):
            raise refuse(f"the keyword {name!r} is not a str")
    try:
        return json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise refuse(f"{error}; {_ARGUMENTS_RULE}") from None
