"""The parameters of an action: their names and types, and the reading of what a client sent as them.

A JSON body has values with types; in a form or a query all of them are texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ..errors import did_you_mean
from .operations.error_texts import api_error

Parameters: TypeAlias = Mapping[str, Any]
"""What `read` makes of a request: by name, only what was sent. Structs are mappings, too."""

LARGEST_INTEGER: Final = 2**63
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


def _one_of(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


def _integer(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and -LARGEST_INTEGER <= value < LARGEST_INTEGER
    return value if whole else None


def _float(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number and abs(value) < LARGEST_INTEGER else None  # NaN is below nothing


def _integer_of_text(value: Any) -> int | None:
    return _integer(int(value)) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def _float_of_text(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, str) and value.isascii() and "_" not in value else math.nan
    except ValueError:
        return None
    return _float(number)


def _boolean_of_text(value: Any) -> bool | None:
    return _BOOLEANS.get(value.lower()) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type of a single value."""

    name: str
    """As the platform's documents call it."""
    valid: str
    of_json: Callable[[Any], Any] = field(repr=False)
    """The value as it is used; None for what is none of this type."""
    of_text: Callable[[Any], Any] = field(repr=False)


STRING: Final = Scalar("String", "a string", _one_of(str), _one_of(str))
INTEGER: Final = Scalar("Integer", "an integer", _integer, _integer_of_text)
FLOAT: Final = Scalar("Float", "a number", _float, _float_of_text)
BOOLEAN: Final = Scalar("Boolean", "a boolean", _one_of(bool), _boolean_of_text)
OBJECT: Final = Scalar("Object", "an object", _one_of(dict), _one_of(dict))
"""An object of JSON with whatever members: no parameter of the platform's is one."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose items are all of one type."""

    item: Scalar | Struct


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one member of a struct."""

    name: str
    kind: Scalar | ListOf | Struct
    required: bool = False


class Struct:
    """The parameters of an action, or a struct in them; *name* is that of the platform's documents."""

    def __init__(self, name: str, *fields: Field) -> None:
        self.name: Final = name
        self.fields: Final[Mapping[str, Field]] = {field.name: field for field in fields}
        self.required: Final = tuple(field.name for field in fields if field.required)

    def __repr__(self) -> str:
        return f"<Struct {self.name}>"


class Structs:
    """The structs of *table* by their names: a line has the name of one, a colon, and its fields.

    ``Name`` is a string that a request may have, and ``Name!`` one that it has to have; ``Name=Type`` is of another
    type, the name of a struct of the table or of a scalar, and ``[Type]`` a list of such values. ``*Name`` stands for
    the fields of another struct. A line that begins with a space continues the one before.
    """

    def __init__(self, table: str) -> None:
        rows = (row.partition(":") for row in re.split(r"\n(?=\S)", table.strip()))
        self._rows = {name: fields for name, _, fields in rows}
        self._kinds: dict[str, Scalar | Struct] = {
            each.name: each for each in (STRING, INTEGER, FLOAT, BOOLEAN, OBJECT)
        }

    def make(self, name: str, fields: str) -> Struct:
        """A struct of that *name* with *fields*, which are written as in the table."""
        return Struct(name, *self._fields(fields))

    def __getitem__(self, name: str) -> Struct:
        return self.make(name, self._rows[name])

    def _fields(self, fields: str) -> Iterator[Field]:
        for word in fields.split():
            name, _, kind = word.partition("=")
            required, name = name.endswith("!"), name.removesuffix("!")
            if name.startswith("*"):
                yield from self._fields(self._rows[name[1:]])
            elif kind.startswith("["):
                yield Field(name, ListOf(self._kind(kind[1:-1])), required)
            else:
                yield Field(name, self._kind(kind or STRING.name), required)

    def _kind(self, name: str) -> Scalar | Struct:
        if name not in self._kinds:
            self._kinds[name] = self[name]
        return self._kinds[name]


def read(sent: Mapping[str, Any], struct: Struct, *, typed: bool, unknown: dict[str, str] | None = None) -> Parameters:
    """The parameters that were *sent*, each of its type. Those of a form are not *typed*: all of them are texts.

    A JSON null stands for a parameter that was not sent. A name that *struct* does not have is left out and comes to
    *unknown*, with a hint at the one that may be meant. Raises ``ScfApiError``: ``UnknownParameter`` for such a name
    where *unknown* is None, ``MissingParameter``, and ``InvalidParameter`` for a value of another type (document
    30771).
    """
    return _read_struct(sent, struct, typed, "", unknown)


def _read_struct(
    sent: Mapping[str, Any], struct: Struct, typed: bool, prefix: str, unknown: dict[str, str] | None
) -> Parameters:
    fields = struct.fields
    found: dict[str, Any] = {}
    for name, value in sent.items():
        field = fields.get(name)
        if field is None:
            hint = did_you_mean(name, fields)
            if unknown is None:
                raise api_error("UnknownParameter", name=f"{prefix}{name}", hint=hint)
            unknown[f"{prefix}{name}"] = hint
        elif value is not None:
            found[name] = _read_value(value, field.kind, typed, f"{prefix}{name}", unknown)
    for name in struct.required:
        if name not in found:
            raise api_error("MissingParameter", name=f"{prefix}{name}")
    return found


def _read_value(
    value: Any, kind: Scalar | ListOf | Struct, typed: bool, place: str, unknown: dict[str, str] | None
) -> Any:
    if isinstance(kind, Struct):
        if not isinstance(value, Mapping):
            raise _refused(place, "an object")
        return _read_struct(value, kind, typed, f"{place}.", unknown)
    if isinstance(kind, ListOf):
        if not isinstance(value, list):
            raise _refused(place, "a list")
        return [_read_value(item, kind.item, typed, f"{place}.{index}", unknown) for index, item in enumerate(value)]
    read_value = (kind.of_json if typed else kind.of_text)(value)
    if read_value is None:
        raise _refused(place, kind.valid)
    return read_value


def _refused(place: str, valid: str) -> Exception:
    return api_error("InvalidParameter", name=place, valid=valid)
