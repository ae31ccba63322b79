"""A debugger in a session of pytest: the user's terminal, where pytest leaves it alone (``-s``)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..wing_hooks import WingHooks
from . import terminal

if TYPE_CHECKING:
    import pytest


class DebuggerHooks(WingHooks):
    """What a debugger needs of a session."""

    def before_runtime(self, config: pytest.Config) -> None:
        """Let handlers have a debugger, if there is a terminal and pytest does not capture what tests write."""
        stdin, stdout = sys.__stdin__, sys.__stdout__
        if config.getoption("capture", "no") != "no" or stdin is None or stdout is None or not stdin.isatty():
            terminal.use(None)
            return

        def ask(text: str) -> str | None:
            config.hook.pytest_enter_pdb(config=config, pdb=None)  # pytest-timeout and faulthandler count no more
            before, _, prompt = text.rpartition("\n")
            if before:
                stdout.write(before + "\n")
                stdout.flush()
            try:
                return input(prompt) + "\n"
            except EOFError:
                return None

        terminal.use(ask)
