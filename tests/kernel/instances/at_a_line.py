"""Does something in the middle of a call, at one line of the package: the same one in each run, as far as that is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest_scf_async

PACKAGE = os.path.dirname(pytest_scf_async.__file__)


class AtLine:
    """Calls *action* in this thread before the line of the package with the number *at*, counted in the block.

    What it raises is raised there. 0: never. A failed test shows which line it was.
    """

    def __init__(self, at: int, action: Callable[[], object]) -> None:
        self._at, self._action = at, action
        self.lines = 0
        """How many lines have been run."""

    def __enter__(self) -> AtLine:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines == self._at:
                print(f"line {self._at}: {frame.f_code.co_filename}:{frame.f_lineno}")
                self._action()
        return self._line


def spread(lines: int, count: int) -> range:
    """*count* of the numbers of *lines* lines, evenly; all where that is 0."""
    return range(1, lines + 1, max(lines // count, 1) if count else 1)
