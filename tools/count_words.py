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
OWN_LIMITS = {"docs/survival.md": 500}
"""Pages that are no manual, and have a limit of their own: this one tells what was found, in three stories."""
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
    found = {str(page.relative_to(ROOT)): words(page.read_text(encoding="utf-8")) for page in pages()}
    for page, number in found.items():
        of = f" of its own {OWN_LIMITS[page]:,}" if page in OWN_LIMITS else ""
        print(f"{number:7,}  {page}{of}")
    counted = sum(number for page, number in found.items() if page not in OWN_LIMITS)
    print(f"{counted:7,}  of {LIMIT:,} words of prose")
    return int(counted > LIMIT or any(found[page] > most for page, most in OWN_LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
