"""Keep on real time what measures how long children or code in C take, which work in real time."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

from .. import clock as clocks
from . import registry, waits_in_c

_real_monotonic = time.monotonic
_real_sleep = time.sleep

_OF_PROCESSES = ("connection", "queues", "synchronize", "managers")
"""The modules of ``multiprocessing`` that measure how long they wait."""
_clock = SimpleNamespace(monotonic=_real_monotonic)
_WHY = "what it waits for works in real time"

DEADLINES_OF_C = ("grpc._channel", "grpc._server", "grpc.aio._utils", "grpc._cython.cygrpc")
"""Modules that make deadlines of ``time.time()`` for code in C, which waits for them on the machine's clock."""


def use_machine_time(module: Any) -> None:
    """Have *module*, which has just been imported, read the machine's clock."""
    clock = SimpleNamespace(**{**vars(time), "time": lambda: clocks.real_time_ns() / 1e9})
    _give_clock(module, clock, "it makes deadlines for code in C, which keeps the machine's clock")


def _give_clock(module: Any, clock: Any, why: str) -> None:
    if module.time is not clock:
        registry.rebind(module, "time", clock, why)


SEMAPHORES = "multiprocessing.synchronize"
"""Its semaphores wait in C, in real time; a rest of a timeout by the simulated clock would never be used up."""


def use_real_clock(module: Any) -> None:
    """Have `SEMAPHORES`, which has just been imported, measure its waits on the real clock."""
    _give_clock(module, _clock, _WHY)
    waits_in_c.note_locks(module)


def install() -> None:
    """Have the timeouts of ``subprocess`` count real seconds."""
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    registry.rebind(subprocess, "_time", _real_monotonic, _WHY)
    registry.rebind(subprocess, "time", SimpleNamespace(**{**vars(time), "sleep": _real_sleep}), _WHY)
    if hasattr(subprocess, "_CAN_USE_PIDFD_OPEN"):  # Python 3.15 waits for a child's end in a poll, which is simulated
        registry.rebind(subprocess, "_CAN_USE_PIDFD_OPEN", False, _WHY)


def spare_multiprocessing() -> None:
    """Have the timeouts of ``multiprocessing`` count real seconds too, if it is imported.

    Called whenever a child process is about to be started: to import it for every instance would cost each of them.
    """
    if "multiprocessing" not in sys.modules:
        return
    import multiprocessing.queues  # noqa: PLC0415
    import multiprocessing.synchronize  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    connection: Any = multiprocessing.connection
    selector = subprocess._PopenSelector  # type: ignore[attr-defined]
    if connection._WaitSelector is not selector:
        registry.rebind(connection, "_WaitSelector", selector, _WHY)
    for name in _OF_PROCESSES:
        module: Any = sys.modules.get(f"multiprocessing.{name}")
        if module is not None:
            _give_clock(module, _clock, _WHY)
