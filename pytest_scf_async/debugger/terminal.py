"""The user's terminal, for a debugger in an instance: its text is shown here, and a line that is typed goes there."""

from __future__ import annotations

from collections.abc import Callable

ask: Callable[[str], str | None] | None = None
"""Shows a text, the prompt last, and gives the next line that is typed, with its end; None at the end of the input.

None itself where there is no terminal, or where pytest captures what tests write.
"""


def use(asks: Callable[[str], str | None] | None) -> None:
    """Have *asks* be what asks the user from here on."""
    global ask  # noqa: PLW0603  (a process has one terminal)
    ask = asks
