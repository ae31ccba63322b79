"""Whether the platform loads a compiled file: CentOS 7 on x86-64 (documents 55594, 67791), so glibc 2.17."""

from __future__ import annotations

import re
from typing import Final

from .pythons import Version

GLIBC: Final = 17
"""The minor version of glibc 2 in CentOS 7."""
_ELF: Final = re.compile(rb"\x7fELF\x02.{13}\x3e\0", re.DOTALL)
"""The header of a file for x86-64: 64 bits, and the machine 62."""
_MUSL: Final = re.compile(rb"\0(libc\.musl-|/lib/ld-musl-)")
_NEEDED: Final = re.compile(rb"\0GLIBC_2\.(\d+)(?=[\0.])")


def suffixes(version: Version) -> tuple[str, ...]:
    """The ends of the names of compiled modules that Python *version* looks for on the platform, in this order."""
    flags = "m" if version < (3, 8) else ""
    return (f".cpython-{version[0]}{version[1]}{flags}-x86_64-linux-gnu.so", ".abi3.so", ".so")


def why_not(content: bytes) -> str:
    """Why the platform does not load a file with this *content*; empty where nothing is known against it."""
    if _ELF.match(content) is None:
        return "is not compiled for Linux on x86-64"
    if _MUSL.search(content):
        return "is compiled for musl, as Alpine Linux has it, and not for glibc"
    needed = max(map(int, _NEEDED.findall(content)), default=0)
    return f"needs glibc 2.{needed}, and the platform has 2.{GLIBC}" if needed > GLIBC else ""
