"""Note in the timeline what cannot be put on simulated time: event loops in C, and timers of the kernel."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ...protocol import messages
from ..scheduler.callers import PLUMBING, describe_caller
from ..scheduler.scheduler import scheduler
from . import after_import, real_waits, registry


class _Loop(NamedTuple):
    """The method of a library that runs user code on real time."""

    library: str
    owner: str
    method: str


_LOOPS = {
    "uvloop": _Loop("uvloop", "Loop", "run_forever"),  # run_until_complete() calls it, too
    "gevent.hub": _Loop("gevent", "Hub", "run"),
    "eventlet.hubs.hub": _Loop("eventlet", "BaseHub", "run"),
}
"""By the module that has it."""


def _watch(module: Any) -> None:
    """Have the loops of *module*, which has just been imported, say that they run."""
    loop = _LOOPS[module.__name__]
    PLUMBING[module.__file__] = loop.library
    owner = getattr(module, loop.owner, None)
    real = getattr(owner, loop.method, None)
    if real is None:
        return  # another version of the library, which has it elsewhere

    def run(*args: Any, **kwargs: Any) -> Any:
        where = describe_caller(f"{loop.library}.{loop.owner}.{loop.method}")
        text = f"a loop of {loop.library}, whose sleeps and timeouts run in real time: no simulated time passes in them"
        _note(loop.library, f"{where} runs {text}")
        return real(*args, **kwargs)

    registry.replace(owner, loop.method, run, "the timeline says that its time is real")


def _note(description: str, note: str) -> None:
    if scheduler.active:
        scheduler.send_marked(messages.pack(messages.Note(note=note, has_real_time=description)))


def _noting(real: Any) -> Any:
    """``os.timerfd_create``."""

    def timerfd_create(*args: Any, **kwargs: Any) -> Any:
        made = real(*args, **kwargs)
        where = describe_caller("timerfd_create")
        _note("timerfd", f"{where} makes a kernel timer, which runs in real time: no simulated time passes in it")
        return made

    return timerfd_create


def install() -> None:
    """Before modules are preloaded."""
    for name in _LOOPS:
        after_import.patch(name, _watch)
    for name in real_waits.DEADLINES_OF_C:
        after_import.patch(name, real_waits.use_machine_time)
    after_import.patch(real_waits.SEMAPHORES, real_waits.use_real_clock)
    if hasattr(os, "timerfd_create"):
        why = "the timeline says that its time is real"
        registry.replace(os, "timerfd_create", _noting(os.timerfd_create), why)
