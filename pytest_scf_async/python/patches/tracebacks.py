"""Tracebacks and stacks that user code has printed show no frame of ours.

Patched functions raise what the originals raise, from frames of ours, and below a handler are those that call it. All
that the standard library prints in Python (``traceback``, ``logging``, ``asyncio``) reads frames in one method. The
interpreter itself prints what nobody catches: in threads, at the end of a program, and in ``__del__``.
"""

from __future__ import annotations

import sys
import threading
import traceback
from types import FrameType
from typing import Any

from .. import tracebacks
from . import after_import, registry

_WHY = "what it prints shows no frame of ours"
_real_excepthook = sys.excepthook
_real_thread_excepthook = threading.excepthook
_real_unraisablehook = sys.unraisablehook


def excepthook(exctype: Any, value: Any, traceback: Any, /) -> Any:
    tracebacks.without_own(value)
    _real_excepthook(exctype, value, traceback)


def thread_excepthook(args: Any, /) -> Any:
    tracebacks.without_own(getattr(args, "exc_value", None))
    _real_thread_excepthook(args)


def unraisablehook(unraisable: Any, /) -> Any:
    trace = getattr(unraisable, "exc_traceback", None)
    if trace is not None:
        tracebacks.without_own(unraisable.exc_value)
        kept = tracebacks.users_part(trace)
        fields = (unraisable.exc_type, unraisable.exc_value, kept, unraisable.err_msg, unraisable.object)
        unraisable = type(unraisable)(fields)
    _real_unraisablehook(unraisable)


def _patch_base_tasks(module: Any) -> None:
    real_get_stack = module._task_get_stack

    def get_stack(task: Any, limit: int | None) -> list[FrameType]:
        """What ``print_stack`` of a task prints; of one that runs, the frames are those of its thread, too."""
        return [frame for frame in real_get_stack(task, limit) if not tracebacks.is_own(frame)]

    registry.rebind(module, "_task_get_stack", get_stack, _WHY)


def install() -> None:
    registry.rebind(traceback.StackSummary, tracebacks.EXTRACTS, tracebacks.users_extract(), _WHY)
    after_import.patch("asyncio.base_tasks", _patch_base_tasks)
    if sys.version_info < (3, 13):  # later ones print by the module traceback
        registry.replace(sys, "excepthook", excepthook, _WHY)
        registry.replace(threading, "excepthook", thread_excepthook, _WHY)
    registry.replace(sys, "unraisablehook", unraisablehook, _WHY)
