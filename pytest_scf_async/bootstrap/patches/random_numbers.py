"""Random numbers in the runs of a sweep: the same in each run, by the event and the order in which it reads them.

A sweep compares runs, and what is drawn anew in each run could not be compared. Only what Python reads is drawn here:
``os.urandom``, ``os.getrandom``, and with them ``uuid``, ``secrets``, ``tempfile`` and the seeds of ``random``. Outside
a sweep these are the machine's, as a test may keep what it names by them.
"""

from __future__ import annotations

import os
import random
from typing import Any

from . import registry

_WHY = "in a sweep random numbers are the same in each run"
_drawn: random.Random | None = None
"""What they are drawn from; None: from the machine."""
_of_child = ""


def begin(event: str) -> None:
    """Draw random numbers from *event* on; ``random`` goes on from where it was, as user code may have seeded it."""
    global _drawn
    first, _drawn = _drawn is None, random.Random(event)
    if first:
        random.seed(_drawn.getrandbits(128))


def _before_fork() -> None:
    global _of_child
    _of_child = "" if _drawn is None else f"{_drawn.getrandbits(128)}"


def _in_child() -> None:
    global _drawn
    if _of_child:
        _drawn = None
        begin(_of_child)


def _drawing(real: Any) -> Any:
    def fake(size: Any, *args: Any, **kwargs: Any) -> Any:
        if _drawn is None or not isinstance(size, int) or size < 0:
            return real(size, *args, **kwargs)
        return _drawn.randbytes(size)

    return fake


def install() -> None:
    registry.replace(os, "urandom", _drawing(os.urandom), _WHY)
    registry.replace(os, "getrandom", _drawing(os.getrandom), _WHY)
    real_seed = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        real_seed(self, _drawn.getrandbits(19_937) if a is None and _drawn is not None else a, version)

    registry.replace(random.Random, "seed", seed, _WHY)
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
