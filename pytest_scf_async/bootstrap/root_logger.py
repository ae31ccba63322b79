"""The root logger as the platform's Python runtime sets it up before it imports user code.

It is at DEBUG and has one handler, which writes the message alone to stdout. The zygote makes the handler, once for all
instances and before it imports what is preloaded, so that a ``logging.basicConfig`` there does nothing either. The
programs of images are started without the platform's runtime: they take it off again.
"""

from __future__ import annotations

import logging
import sys

_handler: logging.Handler | None = None


def install() -> None:
    """Set the root logger up; `use_stdout` gives the handler its stream."""
    global _handler
    _handler = logging.StreamHandler(sys.stdout)
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
