"""What stands in the file to which instances write the lines that they have run: pieces, each behind a header."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_HEADER = struct.Struct("<8sII")
"""A mark, the length, the checksum."""
_MARK = b"\xc0vered\r\n"


def piece_of(data: bytes) -> bytes:
    """*data* behind its header."""
    return _HEADER.pack(_MARK, len(data), zlib.crc32(data)) + data


def pieces_of(written: bytes) -> Iterator[bytes]:
    """The whole pieces; one that a process was killed in the middle of is left out."""
    at = 0
    while (at := written.find(_MARK, at)) >= 0 and len(written) - at >= _HEADER.size:
        _, length, checksum = _HEADER.unpack_from(written, at)
        piece = written[at + _HEADER.size : at + _HEADER.size + length]
        if len(piece) == length and zlib.crc32(piece) == checksum:
            yield piece
            at += _HEADER.size + length
        else:
            at += 1
