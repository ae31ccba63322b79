"""Counts the words of English prose of the pages, README.md and docs/: no tables, code, comments, or what is generated.

A test holds the sum below ``LIMIT``, which only goes down. Run: python tools/count_words.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 10_250
"""Words of prose that all pages together may have."""
NOT_PROSE = (
    re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE),  # a block of code
    re.compile(r"<!-- \[(?P<name>[^]]+)\] -->.*?<!-- \[end\] -->", re.DOTALL),  # generated
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"^(?: {4}|\|).*$", re.MULTILINE),  # indented code, and rows of tables
    re.compile(r"!?\[(?P<text>[^]]*)\]\([^)]*\)"),  # of a link its text is prose
)


def words(page: str) -> int:
    """How many words of prose the text of *page* has."""
    for pattern in NOT_PROSE:
        page = pattern.sub(lambda found: found.groupdict().get("text", " "), page)
    return len(re.findall(r"(?![\u4e00-\u9fff])[^\W_][\w'’.,:=/()\[\]-]*", page))


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> int:
    found = {page: words(page.read_text(encoding="utf-8")) for page in pages()}
    for page, number in found.items():
        print(f"{number:7,}  {page.relative_to(ROOT)}")
    print(f"{sum(found.values()):7,}  of {LIMIT:,} words of prose")
    return int(sum(found.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
