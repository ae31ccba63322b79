"""Note files that user code opens in ``/tmp`` by name, where that is the machine's: there is no mount namespace.

Then ``/dev/shm`` is the machine's as well. What user code makes there is removed with the instance; what
``multiprocessing`` makes there is removed by its resource tracker (``reaper.kill_children``).
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

from ..protocol import messages
from ..protocol.own_code import OWN_CODE
from .scheduler.scheduler import scheduler

_EVENTS = frozenset({"open", "os.mkdir", "sqlite3.connect"})
_SHARED = "/dev/shm/"
_LIBRARY = os.path.dirname(os.__file__)


def watch(known: list[str]) -> None:
    """From here on report the first path below ``/tmp`` that is not in one of *known*."""
    reported = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal reported
        if event not in _EVENTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(arguments[0])
        if path.startswith(_SHARED) and scheduler.active and not os.path.lexists(path):
            scheduler.send_marked(messages.pack(messages.Note(note="", in_shared_memory=path)))
            return
        if not path.startswith("/tmp/") or not scheduler.active:
            return
        if reported or any(path == each or path.startswith(f"{each}/") for each in known):
            return
        reported = True
        scheduler.send_marked(messages.pack(messages.Note(note=f"{_line()} uses {path!r}", literal_tmp=True)))

    sys.addaudithook(hook)


def _line() -> str:
    """The line of user code that runs."""
    frame: FrameType | None = sys._getframe(2)
    outermost = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((OWN_CODE, "<frozen")):
            outermost = f"{file}:{frame.f_lineno}"
            if not file.startswith(_LIBRARY):
                return outermost
        frame = frame.f_back
    return outermost
