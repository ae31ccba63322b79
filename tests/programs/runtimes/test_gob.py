"""Gob as Go's ``encoding/gob`` writes it: bytes that Go wrote are read, and what is written is what Go writes."""

from __future__ import annotations

import pytest
from program_internals import gob

Point = gob.Struct("Point", {"X": gob.INT, "Y": gob.INT})
"""The example of Go's documentation: ``type Point struct { X, Y int }``."""
OF_THE_DOCUMENTATION = bytes.fromhex(
    "1fff8103 0101 05506f696e7401ff82000102010158010400010159010400000007ff82012c01420 0".replace(" ", "")
)
"""``Point{22, 33}``, as https://pkg.go.dev/encoding/gob shows it: the definition under the number 65, and the value."""
KINDS = gob.Struct(
    "Kinds",
    {"Text": gob.STRING, "Raw": gob.BYTES, "Small": gob.INT, "Count": gob.UINT, "Truth": gob.BOOL, "Inner": Point},
)


def decoded(data: bytes) -> object:
    decoder = gob.Decoder()
    decoder.feed(data)
    return decoder.next()


def test_what_the_documentation_shows_is_read() -> None:
    assert decoded(OF_THE_DOCUMENTATION) == {"X": 22, "Y": 33}


def test_what_is_written_is_what_the_documentation_shows() -> None:
    assert gob.Encoder().encode(Point, {"X": 22, "Y": 33}) == OF_THE_DOCUMENTATION


@pytest.mark.parametrize(
    "number", [0, 1, -1, 63, 64, -64, -65, 127, 128, 255, 256, 2**31, -(2**31), 2**63 - 1, -(2**63)]
)
def test_numbers_come_back(number: int) -> None:
    value = {"X": number, "Y": 1}
    expected = {name: item for name, item in value.items() if item}  # the zero value is not sent
    assert decoded(gob.Encoder().encode(Point, value)) == expected


def test_each_kind_of_field_comes_back() -> None:
    value = {"Text": "ä 𝄞", "Raw": b"\xff\0", "Small": -5, "Count": 2**64 - 1, "Truth": True, "Inner": {"X": 1, "Y": 2}}
    assert decoded(gob.Encoder().encode(KINDS, value)) == value


def test_a_type_is_defined_once_for_a_stream() -> None:
    encoder, decoder = gob.Encoder(), gob.Decoder()
    first, second = (
        encoder.encode(KINDS, {**dict.fromkeys(KINDS.fields, 0), "Inner": {"X": n, "Y": 0}}) for n in (1, 2)
    )
    assert len(second) < len(first)
    decoder.feed(first + second)
    assert [decoder.next(), decoder.next(), decoder.next()] == [{"Inner": {"X": 1}}, {"Inner": {"X": 2}}, None]


def test_bytes_may_come_one_at_a_time() -> None:
    decoder = gob.Decoder()
    found = []
    for byte in OF_THE_DOCUMENTATION:
        decoder.feed(bytes([byte]))
        found.append(decoder.next())
    assert found == [None] * (len(OF_THE_DOCUMENTATION) - 1) + [{"X": 22, "Y": 33}]


def test_slices_and_maps_are_read() -> None:
    """``struct { L []string; M map[string]int }`` with one item each, as Go wrote it."""
    names = gob.Decoder()
    # 65: a struct with the fields L (66) and M (67); 66: a slice of strings (6); 67: a map of strings (6) to ints (2)
    definitions = [
        "ff81 03 01 01 01 54 01 ff82 00 01 02 01 01 4c 01 ff84 00 01 01 4d 01 ff86 00 00 00",
        "ff83 02 01 02 ff84 00 01 0c 00 00",
        "ff85 04 01 02 ff86 00 01 0c 01 04 00 00",
        "ff82 01 01 01 61 01 01 01 62 0a 00",
    ]
    for each in definitions:
        data = bytes.fromhex(each.replace(" ", ""))
        names.feed(bytes([len(data)]) + data)
    assert names.next() == {"L": ["a"], "M": {"b": 5}}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("03ff820100", "a value has the type 65, which was not defined"),
        ("02ff82", "a value is longer than its message"),
        ("05ff8109 0100", "a type is defined as 9, which is not known"),
    ],
)
def test_what_is_no_gob_is_refused(data: str, why: str) -> None:
    with pytest.raises(gob.GobError, match=why):
        decoded(bytes.fromhex(data.replace(" ", "")))
