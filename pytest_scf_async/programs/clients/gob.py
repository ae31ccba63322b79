"""Gob, the encoding of Go's ``encoding/gob``, as far as calls of ``net/rpc`` need it.

A stream is a sequence of messages, each preceded by its length. A message either defines a type, under a number that
the sender chooses, or contains the number of a type and a value. Both sides match the fields of structs by name, and a
field with the zero value is not sent. (https://pkg.go.dev/encoding/gob, "Encoding Details")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

BOOL, INT, UINT, FLOAT, BYTES, STRING = range(1, 7)
"""The numbers of the types that need no definition."""
FIRST_OWN: Final = 65
"""The first number that a sender may give to a type of its own."""


class GobError(ValueError):
    """The bytes are not a valid gob, or contain something that is not decoded here."""


class Struct(NamedTuple):
    """The type of a struct that is sent: its fields in order, each of a basic type or a struct itself."""

    name: str
    fields: Mapping[str, int | Struct]


# -- sending ---------------------------------------------------------------------------------------------------------


def _uint(value: int) -> bytes:
    if value < 128:
        return bytes([value])
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([256 - len(raw)]) + raw


def _int(value: int) -> bytes:
    return _uint(~value << 1 | 1 if value < 0 else value << 1)


def _bytes(value: bytes) -> bytes:
    return _uint(len(value)) + value


def _fields(*values: bytes | None) -> bytes:
    """Encode the fields of a struct, in order, and its end; None: the field has the zero value."""
    found, gap = [], 1
    for value in values:
        if value is None:
            gap += 1
        else:
            found += [_uint(gap), value]
            gap = 1
    return b"".join(found) + b"\0"


class Encoder:
    """The sender's side of one stream."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def encode(self, kind: Struct, value: Mapping[str, Any]) -> bytes:
        """The messages that define the types which the other side does not know yet, then the message with *value*."""
        definitions = b"".join(self._define(kind))
        return definitions + _message(_int(self._numbers[kind.name]) + self._struct(kind, value))

    def _define(self, kind: Struct) -> list[bytes]:
        if kind.name in self._numbers:
            return []
        number = self._numbers[kind.name] = FIRST_OWN + len(self._numbers)
        inner = [each for field in kind.fields.values() if isinstance(field, Struct) for each in self._define(field)]
        fields = [
            _fields(_bytes(name.encode()), _int(self._numbers[field.name] if isinstance(field, Struct) else field))
            for name, field in kind.fields.items()
        ]
        common = _fields(_bytes(kind.name.encode()), _int(number))
        of_struct = _fields(common, _uint(len(fields)) + b"".join(fields) if fields else None)
        return [_message(_int(-number) + _fields(None, None, of_struct)), *inner]

    def _struct(self, kind: Struct, value: Mapping[str, Any]) -> bytes:
        return _fields(*[self._value(field, value[name]) for name, field in kind.fields.items()])

    def _value(self, kind: int | Struct, value: Any) -> bytes | None:
        if isinstance(kind, Struct):
            return self._struct(kind, value)
        if not value:
            return None
        if kind == STRING:
            return _bytes(value.encode())
        if kind == BYTES:
            return _bytes(value)
        return _int(value) if kind == INT else _uint(int(value))


def _message(content: bytes) -> bytes:
    return _uint(len(content)) + content


# -- receiving -------------------------------------------------------------------------------------------------------


class Reader:
    """Reads the values of one message."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> memoryview:
        if count > len(self.data) - self.at:
            raise GobError("a value is longer than its message")
        self.at += count
        return self.data[self.at - count : self.at]

    def uint(self) -> int:
        first = self.take(1)[0]
        return first if first < 128 else int.from_bytes(self.take(256 - first), "big")

    def int(self) -> int:
        value = self.uint()
        return ~(value >> 1) if value & 1 else value >> 1

    def bytes(self) -> bytes:
        return bytes(self.take(self.uint()))

    def text(self) -> str:
        return self.bytes().decode("utf-8", "replace")


_BASIC: Final[Mapping[int, Callable[[Reader], Any]]] = {
    BOOL: lambda reader: bool(reader.uint()),
    INT: Reader.int,
    UINT: Reader.uint,
    BYTES: Reader.bytes,
    STRING: Reader.text,
}


class Decoder:
    """The receiver's side of one stream: it is fed with bytes as they arrive, and returns each value once complete."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._types: dict[int, Mapping[str, Any]] = {}

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> Any:
        """The next value, or None if it is not complete yet. Raises ``GobError``.

        A struct is a dict without the fields that have the zero value.
        """
        while True:
            found = self._next_message()
            if found is None:
                return None
            reader = Reader(memoryview(found))
            number = reader.int()
            if number < 0:
                self._types[-number] = _definition(reader)
                continue
            if number not in self._types or "fields" not in self._types[number]:
                reader.take(1)  # a value that is not a struct is preceded by a zero byte
            return self._value(number, reader)

    def _next_message(self) -> bytes | None:
        if not self._data:
            return None
        head = 1 if self._data[0] < 128 else 1 + 256 - self._data[0]
        if len(self._data) < head:
            return None
        length = Reader(memoryview(bytes(self._data[:head]))).uint()
        if len(self._data) < head + length:
            return None
        message = bytes(self._data[head : head + length])
        del self._data[: head + length]
        return message

    def _value(self, number: int, reader: Reader) -> Any:
        basic = _BASIC.get(number)
        if basic is not None:
            return basic(reader)
        kind = self._types.get(number)
        if kind is None:
            raise GobError(f"a value has the type {number}, which was not defined")
        if "fields" in kind:
            return self._struct(kind["fields"], reader)
        if "key" in kind:
            count = reader.uint()
            return {self._value(kind["key"], reader): self._value(kind["element"], reader) for _ in range(count)}
        if "element" in kind:
            return [self._value(kind["element"], reader) for _ in range(reader.uint())]
        return reader.bytes()  # a type that encodes itself

    def _struct(self, fields: list[tuple[str, int]], reader: Reader) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for at in _fields_in(reader, -1):
            if at >= len(fields):
                raise GobError(f"a struct has no field {at}")
            name, number = fields[at]
            found[name] = self._value(number, reader)
        return found


def _fields_in(reader: Reader, at: int = 0) -> Iterator[int]:
    """The numbers of the fields that a struct has, which are counted from *at*; each is read before the next."""
    while gap := reader.uint():
        at += gap
        yield at


def _definition(reader: Reader) -> Mapping[str, Any]:
    """A type, as a dict of its fields, or of its element and perhaps its key; empty if the type encodes itself."""
    found: dict[str, Any] = {}
    for at in _fields_in(reader):
        if at == 1:  # an array: its common part, element and length
            found = {"element": _numbers(reader, 3).get(2, 0)}
        elif at == 2:  # a slice
            found = {"element": _numbers(reader, 2).get(2, 0)}
        elif at == 3:
            found = {"fields": _struct_definition(reader)}
        elif at == 4:
            numbers = _numbers(reader, 3)
            found = {"key": numbers.get(2, 0), "element": numbers.get(3, 0)}
        elif at in (5, 6, 7):  # it encodes itself
            _numbers(reader, 1)
        else:
            raise GobError(f"a type is defined as {at}, which is not known")
    return found


def _numbers(reader: Reader, last: int) -> dict[int, int]:
    """The fields of a definition that are numbers, except the first, the common part, which only names the type."""
    found: dict[int, int] = {}
    for at in _fields_in(reader):
        if at == 1:
            _common(reader)
        elif at <= last:
            found[at] = reader.int()
        else:
            raise GobError(f"the definition of a type has a field {at}")
    return found


def _common(reader: Reader) -> tuple[str, int]:
    name, number = "", 0
    for at in _fields_in(reader):
        if at == 1:
            name = reader.text()
        elif at == 2:
            number = reader.int()
        else:
            raise GobError(f"a name has a field {at}")
    return name, number


def _struct_definition(reader: Reader) -> list[tuple[str, int]]:
    fields: list[tuple[str, int]] = []
    for at in _fields_in(reader):
        if at == 1:
            _common(reader)
        elif at == 2:
            fields = [_common(reader) for _ in range(reader.uint())]
        else:
            raise GobError(f"the definition of a struct has a field {at}")
    return fields
