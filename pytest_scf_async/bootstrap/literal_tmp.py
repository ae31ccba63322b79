"""Without a mount namespace ``/tmp`` is the machine's: tell the test where user code opens a file there by its name."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

from ..protocol import messages
from .scheduler.door import door
from .scheduler.waiters import OWN_CODE

_EVENTS = frozenset({"open", "os.mkdir", "sqlite3.connect"})
_LIBRARY = os.path.dirname(os.__file__)


def watch(known: list[str]) -> None:
    """From here on tell the harness, once, of the first path below ``/tmp`` that is not in one of *known*."""
    told = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal told
        if told or event not in _EVENTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(arguments[0])
        if not path.startswith("/tmp/") or not door.active:
            return
        if any(path == each or path.startswith(f"{each}/") for each in known):
            return
        told = True
        door.tell(messages.json_frame(messages.NOTE, {"note": f"{_line()} uses {path!r}", "literal_tmp": True}))

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
