"""What language an executable file was written in, as far as the runtime of that behaves in ways of its own."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

_CATCHING: Final = frozenset({"node", "nodejs", "java"})
"""Programs that run others, and catch SIGTERM before they do; Go's runtime does the same in each of its programs."""
_NOTE: Final = 4
_LONGEST_NOTE: Final = 4096
_ELF_64: Final = b"\x7fELF\x02"


class Language(NamedTuple):
    """What is known of the language of a program."""

    is_go: bool = False
    catches_signals: bool = False
    """Its runtime catches SIGTERM before the program's own code does, whether that listens or not."""


def language_of(path: str) -> Language:
    """The language of the program in the file *path*."""
    try:
        with open(path, "rb") as file:
            is_go = b"Go\0\0" in b"".join(_notes(file))
    except (OSError, struct.error):
        return Language()
    return Language(is_go, is_go or os.path.basename(os.path.realpath(path)) in _CATCHING)


def _notes(file: BinaryIO) -> Iterator[bytes]:
    """The notes of an executable, in which a linker says who it is."""
    header = file.read(64)
    if not header.startswith(_ELF_64):
        return
    (programs,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    file.seek(programs)
    found = file.read(size * count)
    for number in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", found, size * number)
        if kind == _NOTE:
            file.seek(offset)
            yield file.read(min(length, _LONGEST_NOTE))
