"""The root logger as the platform's Python runtime sets it up before it imports user code.

It is at DEBUG and has one handler, which writes the message alone to stdout. The zygote makes the handler, once for all
instances and before it imports what is preloaded, so that a ``logging.basicConfig`` there does nothing either. The
programs of images are started without the platform's runtime: they take it off again.
"""

from __future__ import annotations

import logging
import sys
from _thread import get_ident
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

_handler: logging.Handler | None = None


DEBUG_CHARACTERS: Final = 4096
"""A text that is longer is not announced: it would be sent twice."""
_in_record: set[int] = set()
"""The threads in which a handler handles what a library logs at the level DEBUG."""


def install() -> None:
    """Set the root logger up; `use_stdout` gives the handler its stream."""
    global _handler
    _handler = logging.StreamHandler(sys.stdout)
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(_handler)


def noting_debug(
    handle: Callable[[logging.Handler, logging.LogRecord], Any], is_library: Callable[[str], bool]
) -> Callable[[logging.Handler, logging.LogRecord], Any]:
    """What is to stand in the place of *handle*, ``logging.Handler.handle``, so that `is_debug` can answer.

    Only the logging record says that code in a file which *is_library* has written a line, and at which level; in the
    output it is like those of user code. Each handler is one, also those that user code makes.
    """

    @wraps(handle)
    def noted(self: logging.Handler, record: logging.LogRecord) -> Any:
        ident = get_ident()
        if record.levelno > logging.DEBUG or ident in _in_record or not is_library(record.pathname):
            return handle(self, record)
        _in_record.add(ident)
        try:
            return handle(self, record)
        finally:
            _in_record.discard(ident)

    return noted


def is_debug(text: str | bytes) -> bool:
    """Whether *text*, which this thread writes, is what a library logs at the level DEBUG: nobody asked for it."""
    return bool(_in_record) and get_ident() in _in_record and len(text) <= DEBUG_CHARACTERS and not text.isspace()


def use_stdout() -> None:
    """Write to what ``sys.stdout`` is now."""
    if isinstance(_handler, logging.StreamHandler):
        _handler.stream = sys.stdout


def remove() -> None:
    """Leave the root logger as Python makes it, for a program that is no handler of the platform's runtime."""
    root = logging.getLogger()
    if _handler is not None:
        root.removeHandler(_handler)
    root.setLevel(logging.WARNING)
