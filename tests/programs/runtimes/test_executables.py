"""What language a program was written in, by its file."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from program_internals import Language, language_of

# once: reads files
pytestmark = pytest.mark.once

GO = b"\4\0\0\0\4\0\0\0\4\0\0\0Go\0\0id\0\0"
"""A note of Go's linker."""


def executable(*notes: bytes, elf: bytes = b"\x7fELF\x02") -> bytes:
    """An executable with a segment for each of *notes*, and one of another kind."""
    headers = [struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 8, 8, 8)]
    at = 64 + 56 * (len(notes) + 1)
    for note in notes:
        headers.append(struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(note), len(note), 4))
        at += len(note)
    first = elf.ljust(32, b"\0") + struct.pack("<Q", 64)
    return first.ljust(54, b"\0") + struct.pack("<HH", 56, len(headers)) + bytes(6) + b"".join((*headers, *notes))


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("server", executable(b"\4\0\0\0", GO), Language(is_go=True, catches_signals=True)),
        ("server", executable(b"\4\0\0\0GNU\0"), Language()),
        ("server", executable(), Language()),
        ("server", executable(GO, elf=b"\x7fELF\x01"), Language()),
        ("server", executable(GO)[:70], Language()),
        ("server", b"", Language()),
        ("server", b"#!/bin/sh\n", Language()),
        ("node", executable(), Language(catches_signals=True)),
        ("java", executable(), Language(catches_signals=True)),
    ],
)
def test_the_language_of_a_file(tmp_path: Path, name: str, data: bytes, expected: Language) -> None:
    (tmp_path / name).write_bytes(data)
    assert language_of(str(tmp_path / name)) == expected


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "node").write_bytes(executable())
    (tmp_path / "server").symlink_to("node")
    assert language_of(str(tmp_path / "server")).catches_signals


@pytest.mark.parametrize("path", [sys.executable, "/no/such/file", "/"])
def test_what_is_none_of_these(path: str) -> None:
    assert language_of(path) == Language()
