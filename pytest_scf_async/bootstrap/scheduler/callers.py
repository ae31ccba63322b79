"""Which line of user code made a call, for the texts that name a wait."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType
from typing import Any

from ...protocol.own_code import OWN_CODE

_STANDARD = os.path.dirname(os.__file__)
PLUMBING = {
    os.path.join(_STANDARD, *name.split(".")) + ".py": name
    for name in ("threading", "queue", "selectors", "socket", "concurrent.futures._base", "concurrent.futures.thread")
}
PLUMBING[os.path.join(_STANDARD, "subprocess.py")] = "subprocess"
for _name in ("base_events", "events", "runners"):
    PLUMBING[os.path.join(_STANDARD, "asyncio", _name + ".py")] = "asyncio"
"""Modules, mostly of the standard library, that wait on behalf of their callers. Texts name the line of the caller."""


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame from *frame* outwards that is not ours."""
    while frame is not None and frame.f_code.co_filename.startswith(OWN_CODE):
        frame = frame.f_back
    return frame


_passed: dict[int, tuple[CodeType, str]] = {}
"""By identity: code that is not the user's, and the name of a wait that user code starts by calling it."""
_described: tuple[Any, str] = (None, "")
"""The last description and what it describes: a loop waits at the same place again and again."""


def describe_caller(description: str, on: str = "") -> str:
    """*description* with what the call is made *on*, and the line of user code that called it."""
    global _described
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        passed = _passed.get(id(code))
        if passed is None:
            module = PLUMBING.get(code.co_filename)
            if module is None and not code.co_filename.startswith(OWN_CODE):
                break
            passed = _passed[id(code)] = code, "" if module is None else f"{module}.{code.co_name}"
        description = passed[1] or description
        frame = frame.f_back
    description += on
    if frame is None:
        return description
    place = description, frame.f_code, frame.f_lasti
    known, text = _described
    if place != known:
        text = f"{description} at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        _described = place, text
    return text
