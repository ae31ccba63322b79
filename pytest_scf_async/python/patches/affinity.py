"""The cores that a process may use: user code sees those that it would have without the harness.

An instance may be bound to the core of the test's process, see ``lockstep.shared_core``. It is bound no more once user
code asks, as it may start as many threads as there are cores.
"""

from __future__ import annotations

import os
from typing import Any

from ..scheduler.scheduler import scheduler
from . import registry

_WHY = "the harness may have bound the process to one core, and lets it go first"


def _unbound(real: Any) -> Any:
    def fake(*args: Any, **kwargs: Any) -> Any:
        if scheduler.active:
            scheduler.leave_core()
        return real(*args, **kwargs)

    return fake


def install() -> None:
    for name in ("sched_getaffinity", "sched_setaffinity"):
        registry.replace(os, name, _unbound(getattr(os, name)), _WHY)
