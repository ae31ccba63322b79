"""Which CPUs the processes of one supervised program run on: as few as the setting says, and not those of the last one.

A program on one CPU does the same in each run: where two threads are ready, the kernel's queue of that CPU says which
goes first. All programs of a machine on the same CPU would wait for each other, while the rest of it idles.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Final

_places: Final = count(os.getpid())
"""The numbers of programs. Workers of xdist, whose process ids follow each other, begin at CPUs of their own."""


def next_cpus(most: int) -> list[int]:
    """The CPUs of the next program, *most* of them at most, among those that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    number = min(most, len(usable))
    first = next(_places) * number
    return sorted(usable[(first + index) % len(usable)] for index in range(number))
