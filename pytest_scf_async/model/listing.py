"""What the platform's lists have in common: the checks of their parameters, and one page of what was found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeGuard, TypeVar

from .codes import api_error

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Listed(Protocol[T_co]):
    """A list, or the values of a dict: what has a length and can be read in both directions."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[T_co]: ...
    def __reversed__(self) -> Iterator[T_co]: ...


def check_limit(limit: object, most: int | None = None, code: str = "InvalidParameterValue.Limit") -> None:
    """Raise ScfApiError *code* unless *limit* is a whole number from 1 to *most*."""
    if not _is_whole(limit) or limit < 1 or (most is not None and limit > most):
        valid = f"it must be a whole number{', 1 or more' if most is None else f' from 1 to {most}'}"
        raise api_error(code, name="Limit", value=limit, valid=valid)


def check_offset(offset: object) -> None:
    """Raise ScfApiError ``InvalidParameterValue.Offset`` unless *offset* is a whole number, 0 or more."""
    if not _is_whole(offset) or offset < 0:
        raise api_error("InvalidParameterValue.Offset", value=offset)


def check_choice(code: str, value: object, valid: Sequence[str], **values: object) -> None:
    """Raise ScfApiError *code* unless *value* is one of *valid*; *values* are what else its text names."""
    if not isinstance(value, str) or value not in valid:
        raise api_error(code, value=value, valid=", ".join(valid), **values)


def page_of(ascending: Listed[T], order: str, offset: int, limit: int) -> list[T]:
    """A page of what is in ascending order; *order* is ``ASC``, or else descending."""
    ordered = iter(ascending) if order.upper() == "ASC" else reversed(ascending)
    return list(islice(ordered, min(offset, sys.maxsize), min(offset + limit, sys.maxsize)))


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def is_text(value: object) -> bool:
    """Whether *value*, which came from outside, is a text."""
    return isinstance(value, str)
