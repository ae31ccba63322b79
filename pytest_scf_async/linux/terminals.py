"""Pseudoterminals: what is written to one end is not at the other when ``write`` returns.

A worker of the kernel takes it there, some µs later on a machine that has nothing else to do, and milliseconds later on
one that has. Until then a reader sleeps as if there were nothing, which no file of ``/proc`` tells apart. ``poll``
waits for that worker (``n_tty_poll`` in the kernel), even where there is nothing to read then.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable
from typing import Any, Final

from .linux import copy_of_descriptor
from .procfs import descriptors_of, target_of

UNLOCK: Final = 0x40045431
"""The ``ioctl`` without which the other end of a new terminal cannot be opened (TIOCSPTLCK)."""
_ENDS: Final = ("/dev/pts/", "/dev/ptmx")
_real_poll: Any = getattr(select, "poll", None)
"""Windows has none, and imports this module; a test may replace it (gevent)."""


def is_end(target: str) -> bool:
    """Whether the file of a descriptor, in the kernel's words, is an end of a terminal."""
    return target.startswith(_ENDS)


def ends_of(pid: int) -> list[tuple[int, int]]:
    """All that a process has open, each with its process."""
    return [(pid, fd) for fd in descriptors_of(pid) if is_end(target_of(pid, fd))]


def deliver(ends: Iterable[tuple[int, int]]) -> None:
    """Have the kernel deliver what was written before to *ends*, each a process and its descriptor.

    Who waits for it has been woken when this returns. What comes to one end may be echoed to the other, so that all are
    polled twice. One that has been closed meanwhile is left out.
    """
    poller = _real_poll()
    copies: list[int] = []
    try:
        for pid, fd in ends:
            with contextlib.suppress(OSError):
                copies.append(copy_of_descriptor(pid, fd))
                poller.register(copies[-1], select.POLLIN)
        poller.poll(0)
        poller.poll(0)
    finally:
        for copy in copies:
            os.close(copy)
