"""Functions of ours in the place of functions that are written in C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class StandIn(functools.partial):  # type: ignore[type-arg]
    """Unlike a function of Python it does not become a method as a class's attribute; it is pickled by its name."""

    def __get__(self, instance: object, owner: type | None = None) -> StandIn:
        return self

    def __reduce__(self) -> str:
        return self.__name__  # type: ignore[attr-defined, no-any-return]

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"  # type: ignore[attr-defined]


def stand_in(module: str, name: str, function: Callable[..., Any]) -> StandIn:
    """What takes the place of the C function *name* of *module*, and calls *function*."""
    made = StandIn(function)
    made.__name__ = made.__qualname__ = name  # type: ignore[attr-defined]
    made.__module__ = module
    made.__doc__ = function.__doc__
    return made
