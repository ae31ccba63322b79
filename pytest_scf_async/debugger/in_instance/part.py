"""``breakpoint()`` and ``pdb`` in an instance: the harness shows their prompt on the user's terminal.

An instance has a session of its own and cannot read from the terminal. While the prompt is open the harness reads a
line and does nothing else, so the clock is held.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from ...python import handler
from ...python.patches import registry
from ...python.scheduler.scheduler import scheduler

NO_TERMINAL = (
    "a debugger in a handler needs a terminal that pytest does not capture: run pytest with -s (and without -n)"
)
_SKIPPED = ["pytest_scf_async", "pytest_scf_async.*", "freezegun.*"]
"""Modules in which stepping does not stop."""

enabled = False


class _Terminal(io.StringIO):
    """The stream to which the debugger writes, which is shown with the next question, and from which it reads."""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return scheduler.ask_terminal(text)


def begin(descriptors: list[int], *, has_terminal: bool) -> None:
    """Have each ``pdb.Pdb`` without streams of its own use the terminal; refuse ``breakpoint()`` if there is none."""
    prepare(has_terminal=has_terminal)
    if not enabled:
        registry.rebind(sys, "breakpointhook", refuse, "there is no terminal")
    handler.nobody_debugs("" if enabled else NO_TERMINAL)


def prepare(*, has_terminal: bool) -> None:
    """Patch ``pdb`` once for all instances, where there is a terminal."""
    global enabled
    if enabled or not has_terminal:
        return
    enabled = True
    registry.rebind(sys, "breakpointhook", sys.__breakpointhook__, "there is a terminal")
    import pdb  # noqa: PLC0415  (only a session with a terminal needs it)

    real_init = pdb.Pdb.__init__

    def init(
        self: pdb.Pdb, completekey: str = "tab", stdin: Any = None, stdout: Any = None, *rest: Any, **options: Any
    ) -> None:
        if scheduler.active and stdin is None and stdout is None:
            stdin = stdout = _Terminal()
            if not rest:
                options.setdefault("skip", _SKIPPED)
                options.setdefault("nosigint", True)
        real_init(self, completekey, stdin, stdout, *rest, **options)

    def ask(prompt: object = "", /) -> str:
        if not scheduler.active:
            return input(prompt)
        typed = scheduler.ask_terminal(str(prompt))
        if not typed:
            raise EOFError
        return typed.rstrip("\n")

    registry.replace(pdb.Pdb, "__init__", init, "it speaks to the user's terminal by way of the harness")
    registry.rebind(
        pdb, "input", ask, "pdb's own questions, such as that of `q` since 3.14, are for the user's terminal"
    )


def refuse(*arguments: Any, **keywords: Any) -> Any:
    """``sys.breakpointhook`` without a terminal; PYTHONBREAKPOINT may name another debugger."""
    if not scheduler.active or os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **keywords)
    raise RuntimeError(NO_TERMINAL)
