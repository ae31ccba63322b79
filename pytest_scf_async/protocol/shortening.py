"""Shorten texts and lists for messages and reports: what is left out of long ones, they say how much it is."""

from __future__ import annotations

from collections.abc import Sequence


def shortened(text: str, head: int, tail: int = 0) -> str:
    """*text*, or where it has more characters its first *head* and its last *tail* ones."""
    left_out = len(text) - head - tail
    if left_out <= 0:
        return text
    if not tail:
        return f"{text[:head]}… ({left_out:,} more characters)"
    return f"{text[:head]}\n... {left_out:,} characters left out ...\n{text[-tail:]}"


def real_seconds(number: float) -> str:
    """A span of real time in seconds: ``1 real second``."""
    return f"{number:g} real second{'' if number == 1 else 's'}"


def shortened_line(line: str, most: int) -> str:
    """A line within a report of lines that has *most* characters at most: ``xxx…``."""
    return line if len(line) <= most else f"{line[: most - 1]}…"


def shortened_lines(text: str, head: int, tail: int) -> str:
    """*text*, or where it has more lines its first *head* and its last *tail* ones; one is never left out."""
    lines = text.splitlines()
    left_out = len(lines) - head - tail
    if left_out <= 1:
        return text
    return "\n".join((*lines[:head], f"... {left_out:,} lines left out ...", *lines[-tail:]))


def shortened_list(names: Sequence[str], most: int) -> str:
    """*names* with commas between them, or where there are more the first *most*: ``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
