"""What a test looks for in the lines of a log: a text, or a compiled regular expression."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable

from ..errors import ScfUsageError, hidden_from_users
from .log_lines import LogLine

__tracebackhide__ = hidden_from_users

SHOWN = 80
"""Characters of what a pattern has found that a text shows."""


def line_matcher(pattern: str | re.Pattern[str]) -> tuple[str, Callable[[str], bool]]:
    """*pattern* for messages, and what says whether a line contains it; ``ScfUsageError`` for anything else."""
    if pattern == "":
        raise ScfUsageError(
            "pattern='' is not valid: every line contains it; it must be a non-empty str or a compiled pattern"
        )
    if isinstance(pattern, str):
        return repr(pattern), lambda line: pattern in line
    if isinstance(getattr(pattern, "pattern", None), str):  # a pattern for bytes finds nothing in a line
        return f"re.compile({pattern.pattern!r})", lambda line: pattern.search(line.removesuffix("\r")) is not None
    raise ScfUsageError(f"pattern={pattern!r} is not valid: it must be a str or a compiled pattern for str")


def is_there_as_a_pattern(pattern: str | re.Pattern[str], log: Iterable[LogLine]) -> str | None:
    """What to say where no line has *pattern*, a text, and one would if it were a regular expression."""
    if not isinstance(pattern, str):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what re says about a text that was never meant for it
        try:
            compiled = re.compile(pattern)
        except re.error:
            return None
    lines = [line.text for line in log]
    found = next((match[0] for line in lines if (match := compiled.search(line)) is not None and match[0]), None)
    if found is None or any(pattern in line for line in lines):
        return None
    return f"a str is matched literally: pass re.compile({pattern!r}), which matches {found[:SHOWN]!r}"
