"""The sources of a trace: the file of user code that a wait names by its base name, and its lines."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..protocol.shortening import shortened, shortened_list

WHOLE: Final = 2_000
"""Lines of a file that is in the trace as a whole; of a longer one there are those around each place."""
AROUND: Final = 100
"""Lines before and behind a place of a longer file."""
LONGEST_LINE: Final = 1_000
"""Characters of a line; more are no code that anybody reads."""
LARGEST: Final = 4 << 20
"""Bytes of a file."""
MOST_FILES: Final = 20_000
"""Files that a code directory is searched for; a test's own directory may be that of a whole project."""
NAMED: Final = 3
_NOT_CODE: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


class Source(NamedTuple):
    """Where the source of a place is: a file by its number, or why there is none."""

    file: int | None
    why_not: str | None = None


class Sources:
    """Finds files below code directories, and keeps which of their lines are wanted."""

    def __init__(self, root: str) -> None:
        self._root = root
        """What the paths that are shown are relative to, if they are below it."""
        self._below: dict[str, dict[str, list[str]]] = {}
        """By code directory: where the files of each base name are."""
        self._numbers: dict[str, int] = {}
        self._lines: list[set[int]] = []

    def find(self, directory: str, name: str, line: int) -> Source:
        """The file below *directory* with the base name *name*, of which *line* is wanted."""
        if not os.path.isdir(directory):
            return Source(None, f"{directory} no longer exists")
        if directory not in self._below:
            self._below[directory] = _by_name(directory)
        found = self._below[directory].get(name, [])
        if len(found) == 1:
            return self.of_path(found[0], line)
        if not found:
            return Source(None, f"there is no {name} below {self._shown(directory)}")
        candidates = shortened_list([os.path.relpath(path, directory) for path in found], NAMED)
        return Source(None, f"several files have that name: {candidates}")

    def of_path(self, path: str, line: int) -> Source:
        """The file at *path*, of which *line* is wanted."""
        try:
            size = os.stat(path).st_size
        except OSError as error:
            return Source(None, f"{path}: {error.strerror or error}")
        if size > LARGEST:
            return Source(None, f"{self._shown(path)} has {size:,} bytes")
        number = self._numbers.setdefault(path, len(self._numbers))
        if number == len(self._lines):
            self._lines.append(set())
        self._lines[number].add(line)
        return Source(number)

    def files(self) -> list[dict[str, Any]]:
        """Each file with its lines, by number; of a long one those from the first place that is wanted to the last."""
        return [self._file(path, self._lines[number]) for path, number in self._numbers.items()]

    def _file(self, path: str, wanted: Collection[int]) -> dict[str, Any]:
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        if lines and not lines[-1]:
            del lines[-1]
        first, last = 1, len(lines)
        if len(lines) > WHOLE:
            first = max(min(wanted) - AROUND, 1)
            last = min(max(wanted) + AROUND, first + WHOLE - 1)
        shown = [shortened(line.rstrip("\r"), LONGEST_LINE) for line in lines[first - 1 : last]]
        return {"name": os.path.basename(path), "path": self._shown(path), "first": first, "lines": shown}

    def _shown(self, path: str) -> str:
        relative = os.path.relpath(path, self._root)
        return path if relative.startswith(os.pardir) else relative


def _by_name(directory: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for count, path in enumerate(_files_below(directory)):
        if count == MOST_FILES:
            break
        found.setdefault(os.path.basename(path), []).append(path)
    return found


def _files_below(directory: str) -> Iterator[str]:
    """The files of *directory*, and then those of its directories, without what is no code of a user's."""
    todo = [directory]
    while todo:
        one = todo.pop(0)
        try:
            with os.scandir(one) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if one != directory and any(entry.name == "pyvenv.cfg" for entry in inside):
            continue
        for entry in inside:
            if entry.is_file():
                yield entry.path
            elif entry.is_dir(follow_symlinks=False) and entry.name not in _NOT_CODE and entry.name[0] != ".":
                todo.append(entry.path)
