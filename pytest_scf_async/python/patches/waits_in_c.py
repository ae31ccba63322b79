"""Waits of C code for children: each call in which the main thread may wait for one is a row of the timeline.

These waits stay real, and hold the clock by the kernel's word. Whether there is anything to wait for, the machine's
speed decides; so the call has its row whatever it finds, at an instant at which there may be a child. A read of a pipe
is noted where user code makes it, as it is chance how much of the pipe its buffer has read before.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
from types import SimpleNamespace
from typing import Any

from ...linux import procfs
from ..scheduler.callers import describe_call
from ..scheduler.scheduler import scheduler
from . import registry

_READS = ("peek", "read", "read1", "readall", "readinto", "readinto1", "readline")
"""The methods of files that read a pipe; iterating calls ``readline`` where that is overridden."""
_WAITED_FOR = ("pipe:[", "socket:[", "/dev/ptmx", "/dev/pts/")
"""What the links of descriptors begin with on which a read may wait for a child."""
_FURTHER = ("errors", "newline", "closefd", "opener")
"""What ``os.fdopen`` takes after its own parameters."""
_TO_READ = ("r", "rb", "br", "rt", "tr")
_real_fdopen: Any = os.fdopen
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


def _noted_lock(real: Any, name: str) -> Any:
    """*real*, which locks a file: it may wait for a child that holds the lock."""

    def call(*args: Any, **named: Any) -> Any:
        asked = args[1] if len(args) > 1 else 0
        if isinstance(asked, int) and asked & (fcntl.LOCK_EX | fcntl.LOCK_SH) and not asked & fcntl.LOCK_NB:
            waits(name)
        return real(*args, **named)

    return call


def _noted_class(kind: Any, names: tuple[str, ...]) -> Any:
    made = type(kind.__name__, (kind,), {n: noted(getattr(kind, n), n) for n in names if hasattr(kind, n)})
    registry.imitate(kind, made)
    return made


_File, _Reader, _Text = (_noted_class(kind, _READS) for kind in (io.FileIO, io.BufferedReader, io.TextIOWrapper))


def _fdopen(fd: Any, mode: Any = "r", buffering: Any = -1, encoding: Any = None, *args: Any, **kwargs: Any) -> Any:
    """``os.fdopen``: the file that is made of what may be a pipe's end notes its reads."""
    if type(fd) is int:
        asked = {**dict(zip(_FURTHER, args)), **kwargs, "mode": mode, "buffering": buffering, "encoding": encoding}  # noqa: B905
        made = _pipe(fd, asked)
        if made is not None:
            return made
    return _real_fdopen(fd, mode, buffering, encoding, *args, **kwargs)


def _pipe(fd: int, asked: dict[str, Any]) -> Any:
    """The file that ``os.fdopen`` makes of an end of a pipe, as it is *asked*; None for whatever else it is."""
    mode, buffering = asked["mode"], asked["buffering"]
    if mode not in _TO_READ or not procfs.target_of("self", fd).startswith(_WAITED_FOR):
        return None
    try:
        _real_fdopen(fd, **{**asked, "closefd": False}).close()
    except Exception:
        return None  # the real one refuses what is wrong
    raw = _File(fd, "rb", asked.get("closefd", True))
    if "b" in mode and not buffering:
        return raw
    binary = _Reader(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
    if "b" in mode:
        return binary
    by_line = buffering == 1 or (buffering < 0 and raw.isatty())
    text = _Text(binary, *(asked.get(name) for name in ("encoding", "errors", "newline")), by_line)
    text.mode = mode
    return text


def _open(fd: int, mode: str, buffering: int) -> Any:
    """``io.open`` of a parent's end of a pipe."""
    return _fdopen(fd, mode, buffering) if mode == "rb" else open(fd, mode, buffering)


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

    for name in ("flock", "lockf"):
        registry.replace(fcntl, name, _noted_lock(getattr(fcntl, name), f"fcntl.{name}"), _WHY)
    registry.replace(subprocess.Popen, "_wait", _wait, _WHY)
    registry.replace(os, "fdopen", _fdopen, _WHY)
    pipes = SimpleNamespace(**{**vars(io), "open": _open, "TextIOWrapper": _Text})
    registry.rebind(subprocess, "io", pipes, _WHY)
