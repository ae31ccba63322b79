"""Tracebacks as text: which of their lines names the exception."""

from __future__ import annotations

import re

_PLACE = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_FRAME = re.compile(r'  File "([^"]*)", line (\d+) in ')
_HEAD = re.compile(r"(  \+ Exception Group )?Traceback \(most recent call last\):")


def exception_line(trace: str) -> str:
    """The line of *trace* that names the exception, as in ``ValueError: boom``.

    It need not be the last one: further lines of the message and notes follow it (``json`` of Python 3.14 notes where
    in the result the error is), and the members of an exception group. Of a chain it is that of the last exception.
    """
    lines = trace.rstrip().splitlines()
    start, margin = 0, ""
    for number, line in enumerate(lines):
        head = _HEAD.fullmatch(line)
        if head is not None:
            start, margin = number + 1, "  | " if head[1] else ""
    for line in lines[start:]:
        text = line.removeprefix(margin)
        if text and not text.startswith(" "):
            return text
    return lines[-1] if lines else ""


def last_place(trace: str) -> tuple[str, int] | None:
    """The file and line that *trace* names last; None where it names none."""
    places = _PLACE.findall(trace)
    return (places[-1][0], int(places[-1][1])) if places else None


def place_at_fault(line: str) -> tuple[str, int] | None:
    """The file and line of the frame that a *line* which ``faulthandler`` has written names; None of others."""
    place = _FRAME.match(line) if line.startswith("  File") else None
    return None if place is None else (place[1], int(place[2]))


def is_of_errno(line: str, number: int) -> bool:
    """Whether the *line* that names an exception is of an ``OSError`` with that number."""
    return f"[Errno {number}]" in line
