"""Tracebacks as text: which of their lines names the exception, and which are of a frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_PLACE = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_FRAME = re.compile(r'  File "([^"]*)", line (\d+) in ')
_HEAD = re.compile(r"(  \+ Exception Group )?Traceback \(most recent call last\):")

_ANY_FRAME = re.compile(r'[ |+-]*File "(.+)", line \d+')
_MARGIN = re.compile(r"^ *[|+] ?")
"""What an exception group has before each line."""
_ANY_HEAD = re.compile(r"[ |+-]*(?:Exception Group )?Traceback \(most recent call last\):")


class Piece(NamedTuple):
    """Lines of a traceback that belong together: a frame, an exception with its message, or the first line."""

    number: int
    """Of the traceback that it is in: a chain of exceptions has one each."""
    start: int
    end: int
    file: str
    """That of the frame; empty for another piece."""
    is_exception: bool


def is_underline(line: str) -> bool:
    """Whether *line* only marks a part of the source above it."""
    marks = line.strip(" |")
    return bool(marks) and set(marks) <= {"~", "^", " "}


def pieces(lines: Sequence[str]) -> list[Piece]:
    """The pieces of a traceback of these *lines*, in its order.

    Whatever follows a frame and is indented further is of that frame: its source, marks below that, how often it is
    repeated. What follows an exception is of its message, until the next traceback begins.
    """
    found: list[Piece] = []
    number = 0
    for at, line in enumerate(lines):
        frame, last = _ANY_FRAME.match(line), found[-1] if found else None
        if _ANY_HEAD.fullmatch(line):
            number += bool(found)
            found.append(Piece(number, at, at + 1, "", False))
        elif frame is not None:
            found.append(Piece(number, at, at + 1, frame[1], False))
        elif last is not None and (last.is_exception or (last.file and _MARGIN.sub("", line)[:2].isspace())):
            found[-1] = last._replace(end=at + 1)
        else:
            found.append(Piece(number, at, at + 1, "", True))
    return found


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


def exception_lines(trace: str) -> list[str]:
    """The lines of *trace* that name an exception: of a chain one each, the last one's last."""
    lines = trace.splitlines()
    return [lines[piece.start] for piece in pieces(lines) if piece.is_exception]


def last_place(trace: str) -> tuple[str, int] | None:
    """The file and line that *trace* names last; None where it names none."""
    places = _PLACE.findall(trace)
    return (places[-1][0], int(places[-1][1])) if places else None


def innermost(trace: str, is_wanted: Callable[[str], bool]) -> tuple[str, int] | None:
    """The file and line of the innermost frame of the last exception in *trace* whose file is wanted."""
    lines = trace.splitlines()
    found = pieces(lines)
    for piece in reversed(found):
        if piece.number == found[-1].number and piece.file and is_wanted(piece.file):
            return last_place(lines[piece.start].lstrip(" |+-"))
    return None


def place_at_fault(line: str) -> tuple[str, int] | None:
    """The file and line of the frame that a *line* which ``faulthandler`` has written names; None of others."""
    place = _FRAME.match(line) if line.startswith("  File") else None
    return None if place is None else (place[1], int(place[2]))


def is_of_errno(line: str, number: int) -> bool:
    """Whether the *line* that names an exception is of an ``OSError`` with that number."""
    return f"[Errno {number}]" in line
