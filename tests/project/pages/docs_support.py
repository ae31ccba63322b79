"""The fenced blocks of the project's pages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[3]
MARK = re.compile(r"<!-- not run: (.+) -->")
NAME = re.compile(r"# ([\w./-]+\.(?:py|ini|toml))$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    not_run: str | None

    @property
    def name(self) -> str | None:
        """The file that it is."""
        found = NAME.match(self.text.partition("\n")[0])
        return found[1] if found else None


def blocks(page: str) -> Iterator[Block]:
    """The blocks of *page*, a path below the project, in order."""
    before, language, text, start = "", None, [], 0
    for number, line in enumerate((TREE / page).read_text(encoding="utf-8").splitlines(), 1):
        if language is None and line.startswith("```"):
            language, text, start = line[3:].strip(), [], number
            mark = MARK.fullmatch(before)
        elif line == "```" and language is not None:
            yield Block(language, "\n".join(text) + "\n", start, mark[1] if mark else None)
            language = None
        elif language is not None:
            text.append(line)
        before = line
    assert language is None, f"{page}: the block of line {start} has no end"


def forget_modules(monkeypatch: pytest.MonkeyPatch, files: Iterable[str]) -> None:
    """Have a session in this process import *files*, and not those of the suite that have their names."""
    for file in files:
        monkeypatch.delitem(sys.modules, Path(file).stem, raising=False)
