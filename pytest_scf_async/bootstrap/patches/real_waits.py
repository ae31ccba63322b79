"""What stays on real time although it asks a clock: waits for child processes, which work in real time."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

_real_monotonic = time.monotonic
_real_sleep = time.sleep

_OF_PROCESSES = ("connection", "queues", "synchronize", "managers")
"""The modules of ``multiprocessing`` that measure how long they have waited."""
_clock = SimpleNamespace(monotonic=_real_monotonic)


def install() -> None:
    """Let the timeouts of ``subprocess`` count real seconds, with the functions from before the patches of ``time``."""
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    subprocess._time = _real_monotonic  # type: ignore[attr-defined]
    subprocess.time = SimpleNamespace(**{**vars(time), "sleep": _real_sleep})  # type: ignore[attr-defined]


def spare_multiprocessing() -> None:
    """Let the timeouts of ``multiprocessing`` count real seconds too, where it is used.

    Called whenever a child process is about to be started: to import it for every instance would cost each of them.
    """
    if "multiprocessing" not in sys.modules:
        return
    import multiprocessing.queues  # noqa: PLC0415
    import multiprocessing.synchronize  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    connection: Any = multiprocessing.connection
    connection._WaitSelector = subprocess._PopenSelector  # type: ignore[attr-defined]
    for name in _OF_PROCESSES:
        module: Any = sys.modules.get(f"multiprocessing.{name}")
        if module is not None:
            module.time = _clock
