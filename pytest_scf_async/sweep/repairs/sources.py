"""A source file and its changes: as text for who changes it, as bytes for who runs it, and as a diff for who reads it.

A change is made in a text whose lines end with a newline. Its bytes have the encoding of the file, and the line ends of
each line that is there in both, so that the diff has nothing but the change.
"""

from __future__ import annotations

import difflib
import io
import os
import stat
import tempfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from ...errors import ScfUsageError

_CONTEXT = 2
"""Lines of a diff around each change."""
_NO_END = "\\ No newline at end of file\n"


@dataclass(frozen=True)
class Source:
    """One file of the code, as it was when the search for a repair began."""

    name: str
    """Its path below the code's directory."""
    path: str
    """Its absolute path."""
    content: bytes

    @cached_property
    def _encoding(self) -> str:
        return tokenize.detect_encoding(io.BytesIO(self.content).readline)[0]

    @property
    def _mark(self) -> str:
        """The mark of the order of bytes with which it begins; empty: none."""
        return "\ufeff" if self._encoding == "utf-8-sig" else ""

    @cached_property
    def _lines(self) -> list[str]:
        """Its lines with their own ends."""
        return _split(self.content.decode(self._encoding))

    @cached_property
    def text(self) -> str:
        """Its text, in which each line ends with a newline alone."""
        return "".join(f"{_body(line)}\n" if _body(line) != line else line for line in self._lines)

    def encoded(self, text: str) -> bytes:
        """What the file is with *text*."""
        return "".join(self._with_ends(text)).encode(self._encoding)

    def _with_ends(self, text: str) -> list[str]:
        ends = [line[len(_body(line)) :] for line in self._lines]
        usual = max(ends, key=ends.count, default="\n") or "\n"
        known = {_body(line): line for line in self._lines if _body(line) != line}
        after = [
            known.get(_body(line), f"{_body(line)}{usual}") if line.endswith("\n") else line for line in _split(text)
        ]
        for block in SequenceMatcher(None, _split(self.text), _split(text), autojunk=False).get_matching_blocks():
            after[block.b : block.b + block.size] = self._lines[block.a : block.a + block.size]
        return after

    def diff(self, text: str) -> str:
        """The unified diff to *text*, which ``git apply`` takes; empty: nothing differs."""
        path = os.path.relpath(self.path)
        names = (self.path, self.path) if path.startswith("..") else (f"a/{path}", f"b/{path}")
        before, after = (_split(self._mark + "".join(lines)) for lines in (self._lines, self._with_ends(text)))
        lines = difflib.unified_diff(before, after, *names, n=_CONTEXT)
        return "".join(line if line.endswith("\n") else f"{line}\n{_NO_END}" for line in lines)

    def size(self, text: str) -> int:
        """How many lines the diff to *text* adds and removes."""
        return sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in self.diff(text).splitlines())

    def moved(self, text: str) -> dict[int, int]:
        """The numbers that lines of the file have in *text*, by those that they have now."""
        blocks = SequenceMatcher(None, _split(self.text), _split(text), autojunk=False).get_matching_blocks()
        return {block.a + at + 1: block.b + at + 1 for block in blocks for at in range(block.size)}


def _split(text: str) -> list[str]:
    return io.StringIO(text, newline="").readlines()


def _body(line: str) -> str:
    return line.rstrip("\r\n")


def sources_of(directory: str, names: Iterator[str]) -> dict[str, Source]:
    """The Python files *names* below *directory* that are there, by their names."""
    found: dict[str, Source] = {}
    for name in names:
        path = os.path.join(directory, name)
        if name.endswith(".py") and os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = Source(name, path, file.read())
    return found


def write(source: Source, text: str) -> None:
    """Have the file be *text*, whole or not at all, with the mode and the owner that it has.

    Raises ``ScfUsageError`` where it has changed since, or cannot be written.
    """
    path = os.path.realpath(source.path)
    try:
        with open(path, "rb") as file:
            now, state = file.read(), os.fstat(file.fileno())
        if now != source.content:
            raise ScfUsageError(
                f"--apply: {source.path} has changed since the sweep: it is left as it is; sweep it again"
            )
        if not state.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
            raise ScfUsageError(f"--apply: {source.path} cannot be written: it is read-only")
        _replace(path, source.encoded(text), state)
    except OSError as error:
        raise ScfUsageError(f"--apply: {source.path} cannot be written: {error.strerror or error}") from None


def _replace(path: str, content: bytes, state: os.stat_result) -> None:
    directory, name = os.path.split(path)
    fd, new = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(fd, stat.S_IMODE(state.st_mode))
            if (state.st_uid, state.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, state.st_uid, state.st_gid)
            os.fsync(fd)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
