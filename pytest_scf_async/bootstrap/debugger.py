"""``breakpoint()`` and ``pdb`` in an instance: they speak to the user's terminal by way of the harness.

An instance has a session of its own and could not read from the terminal. While the prompt is open the harness reads,
and so nothing else happens: the clock stands.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from .patches import registry
from .scheduler.scheduler import scheduler

NO_TERMINAL = (
    "a debugger in a handler needs a terminal that pytest does not capture: run pytest with -s (and without -n) there"
)
_SKIPPED = ["pytest_scf_async", "pytest_scf_async.*", "freezegun.*"]
"""Modules that stepping does not stop in."""

enabled = False


class _Terminal(io.TextIOBase):
    """What the debugger reads from and writes to."""

    def __init__(self) -> None:
        self._text = ""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        self._text += text
        return len(text)

    def flush(self) -> None:
        """What was written is shown with the next question, or once the debugger leaves."""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        text, self._text = self._text, ""
        return scheduler.ask_terminal(text)


def install(*, has_terminal: bool) -> None:
    """Have every ``pdb.Pdb`` that is given no streams use the terminal; without one refuse ``breakpoint()``.

    In the zygote of a session that has one, else in the instance.
    """
    global enabled
    if enabled:
        return
    hook, why = (sys.__breakpointhook__, "there is a terminal") if has_terminal else (refuse, "there is no terminal")
    registry.rebind(sys, "breakpointhook", hook, why)
    enabled = has_terminal
    if enabled:
        _use_terminal()


def _use_terminal() -> None:
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


def nobody() -> str:
    """Why no one answers a debugger; empty where someone does."""
    return "" if enabled else NO_TERMINAL


def refuse(*arguments: Any, **keywords: Any) -> Any:
    """``sys.breakpointhook`` where there is no terminal; PYTHONBREAKPOINT may name another debugger."""
    if not scheduler.active or os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **keywords)
    raise RuntimeError(NO_TERMINAL)
