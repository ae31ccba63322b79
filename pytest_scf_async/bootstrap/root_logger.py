"""The root logger as the platform's Python runtime sets it up before it imports user code.

It is at DEBUG and has one handler, which writes the message alone to stdout. The zygote makes the handler, once for all
instances and before it imports what is preloaded, so that a ``logging.basicConfig`` there does nothing either. The
programs of images are started without the platform's runtime: they take it off again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

_handler: logging.Handler | None = None


DEBUG_CHARACTERS: Final = 4096
"""A message that is longer is not announced: it would be sent twice."""


def install(announce: Callable[[str], None] | None = None, is_library: Callable[[str], bool] = bool) -> None:
    """Set the root logger up; `use_stdout` gives the handler its stream.

    What code in a file that *is_library* logs at the level DEBUG goes to *announce* before it is written.
    """
    global _handler
    _handler = handler = logging.StreamHandler(sys.stdout)

    def announce_debug(record: logging.LogRecord) -> bool:
        """Announce what a library logs at the level DEBUG, so that a timeline can leave it out: nobody asked for it.

        Only the logging record says who has written a line; in the output it is like those of user code. A filter sees
        it, and not a handler of a class of ours, which user code could find.
        """
        if announce is not None and record.levelno <= logging.DEBUG and is_library(record.pathname):
            text = handler.format(record)
            if len(text) <= DEBUG_CHARACTERS:
                announce(text)
        return True

    if announce is not None:
        handler.addFilter(announce_debug)
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(_handler)


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
