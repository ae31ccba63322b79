"""Reads of the clock that are system calls: what each returns, and writes into the program's memory.

Most reads are none: a program reads its clock page (`exec`). The others are those of a program without one, and those
that are one too many in a row.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

from .timeouts import CLOCK_REALTIME, MONOTONIC_CLOCKS, NS, REALTIME_CLOCKS, Clocks
from .tracee import Registers, write_memory

READS: Final = frozenset({"clock_gettime", "gettimeofday", "time"})


def shown(name: str, registers: Registers, clocks: Clocks) -> int | None:
    """What a read is to show, in ns; None: that clock is the kernel's."""
    clock = registers.argument(0) & 0xFFFFFFFF if name == "clock_gettime" else CLOCK_REALTIME
    if clock in REALTIME_CLOCKS:
        return clocks.realtime
    return clocks.monotonic if clock in MONOTONIC_CLOCKS else None


def answer(tid: int, name: str, registers: Registers, clocks: Clocks) -> int:
    """Answer a read; the result of the call."""
    seconds, ns = divmod(shown(name, registers, clocks) or 0, NS)
    zone_at = registers.argument(1) if name == "gettimeofday" else 0
    at = registers.argument(1 if name == "clock_gettime" else 0)
    data = struct.pack("<q", seconds)
    if name != "time":
        data += struct.pack("<q", ns if name == "clock_gettime" else ns // 1000)
    try:
        if at:
            write_memory(tid, at, data)
        if zone_at:
            write_memory(tid, zone_at, bytes(8))
    except OSError:
        return -errno.EFAULT
    return seconds if name == "time" else 0
