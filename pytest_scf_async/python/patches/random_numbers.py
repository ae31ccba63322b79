"""Random numbers in the runs of a sweep: the same in each run, by the event and the order in which it reads them.

A sweep compares runs, and what is drawn anew in each run could not be compared. Only what Python reads is drawn here:
``os.urandom``, ``os.getrandom``, and with them ``uuid``, ``secrets``, ``tempfile`` and the seeds of ``random``. What
code in C and programs draw a tracer answers (``programs/supervisor/random_numbers.py``). Outside a sweep they are the
machine's, as a test may keep what it names by them.
"""

from __future__ import annotations

import os
from _random import Random
from types import ModuleType
from typing import Any

from . import after_import, registry

_WHY = "in a sweep random numbers are the same in each run"
_drawn: Random | None = None
"""What they are drawn from; None: from the machine."""
_random: ModuleType | None = None
"""The module ``random``, once something has imported it."""
_seed = 0
"""That of `_drawn`, and of ``random``: this draws nothing itself, as it may be imported ahead, or later."""
_of_child = 0


def begin(event: str) -> None:
    """Draw random numbers from *event* on; ``random`` goes on from where it was, as user code may have seeded it."""
    first = not _seed
    _draw_from(int.from_bytes(event.encode(), "big"))
    if first:
        _seed_random()


def _draw_from(seed: int) -> None:
    global _drawn, _seed
    _drawn, _seed = Random(seed) if seed else None, seed


def _seed_random() -> None:
    if _random is not None and _seed:
        _random.seed(2 * _seed + 1)  # a number: for a text it imports a module, which user code would find


def _before_fork() -> None:
    global _of_child
    _of_child = 0 if _drawn is None else _drawn.getrandbits(128)


def _drawing(real: Any) -> Any:
    def fake(size: Any, *args: Any, **kwargs: Any) -> Any:
        if _drawn is None or not isinstance(size, int) or size < 0:
            return real(size, *args, **kwargs)
        return _drawn.getrandbits(8 * size).to_bytes(size, "big")

    return fake


def _patch_random(module: ModuleType) -> None:
    global _random
    _random = module
    real_seed = module.Random.seed

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        real_seed(self, _drawn.getrandbits(19_937) if a is None and _drawn is not None else a, version)

    registry.replace(module.Random, "seed", seed, _WHY)
    _seed_random()  # it has taken a seed of the machine, as it does in a child
    os.register_at_fork(after_in_child=_seed_random)


def install() -> None:
    registry.replace(os, "urandom", _drawing(os.urandom), _WHY)
    registry.replace(os, "getrandom", _drawing(os.getrandom), _WHY)
    after_import.patch("random", _patch_random)
    os.register_at_fork(before=_before_fork, after_in_child=lambda: _draw_from(_of_child))
