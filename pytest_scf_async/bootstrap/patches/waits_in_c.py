"""Waits of C code for children: each call in which the main thread may wait for one is a row of the timeline.

These waits stay real, and hold the clock by the kernel's word. Whether there is anything to wait for, the machine's
speed decides; so the call has its row whatever it finds, at an instant at which there may be a child. A read of a pipe
is noted where user code makes it, as it is chance how much of the pipe its buffer has read before.
"""

from __future__ import annotations

import io
import os
import sys
from types import SimpleNamespace
from typing import Any

from ...protocol import procfs
from ..scheduler.callers import describe_call
from ..scheduler.scheduler import scheduler
from . import registry

_READS = ("peek", "read", "read1", "readall", "readinto", "readinto1", "readline")
"""The methods of files that read a pipe; iterating calls ``readline`` where that is overridden."""
_WAITED_FOR = ("pipe:[", "socket:[", "/dev/ptmx", "/dev/pts/")
"""What the links of descriptors begin with on which a read may wait for a child."""
_WHY = "what the main thread may wait for is in the timeline"


def waits(name: str) -> None:
    """Note that the calling thread may wait in C for another process, in the call *name*."""
    if scheduler.active and scheduler.beside_others:
        scheduler.note_real(lambda: describe_call(name, ""))


def reads(fd: Any) -> None:
    """The same for a read of *fd*, if that can wait."""
    may_wait = scheduler.active and scheduler.beside_others and procfs.target_of("self", fd).startswith(_WAITED_FOR)
    if may_wait and os.get_blocking(fd):
        waits("read")


def noted(real: Any, name: str, options: int = sys.maxsize) -> Any:
    """*real*, a call in which a thread may wait, but with WNOHANG, which it may have from argument *options* on."""

    def call(*args: Any, **named: Any) -> Any:
        if not any(isinstance(each, int) and each & os.WNOHANG for each in args[options:]):
            waits(name)
        return real(*args, **named)

    return call


def _noted_class(kind: Any, names: tuple[str, ...]) -> Any:
    made = type(kind.__name__, (kind,), {n: noted(getattr(kind, n), n) for n in names if hasattr(kind, n)})
    registry.imitate(kind, made)
    return made


_File, _Reader, _Text = (_noted_class(kind, _READS) for kind in (io.FileIO, io.BufferedReader, io.TextIOWrapper))


def _open(fd: int, mode: str, buffering: int) -> Any:
    """``io.open`` of a parent's end of a pipe."""
    if mode != "rb":
        return open(fd, mode, buffering)
    raw = _File(fd, mode)
    return _Reader(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE) if buffering else raw


def note_locks(module: Any) -> None:
    """Have the locks of *module*, ``multiprocessing.synchronize``, be noted."""
    own = vars(module._multiprocessing)
    own = SimpleNamespace(**{**own, "SemLock": _noted_class(own["SemLock"], ("acquire", "__enter__"))})
    registry.rebind(module, "_multiprocessing", own, _WHY)


def install() -> None:
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    for name, options in (("wait", 0), ("wait3", 0), ("wait4", 1), ("waitid", 2)):
        registry.replace(os, name, noted(getattr(os, name), f"os.{name}", options), _WHY)
    real_wait: Any = subprocess.Popen._wait  # type: ignore[attr-defined]

    def _wait(self: Any, timeout: Any) -> Any:
        waits("wait")
        return real_wait(self, timeout)

    registry.replace(subprocess.Popen, "_wait", _wait, _WHY)
    pipes = SimpleNamespace(**{**vars(io), "open": _open, "TextIOWrapper": _Text})
    registry.rebind(subprocess, "io", pipes, _WHY)
