"""docs/where.md names files and what is in them: both are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

# once: reads sources: the same on all Pythons
pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "pytest_scf_async"
TEXT = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!which)(.+?) \| `([\w/.]+)` \| (.*?) ?\|$", TEXT, re.MULTILINE)


def names_in(file: Path) -> set[str]:
    """Functions, classes and variables of a module, and methods as ``Class.method``."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {each.id for each in targets if isinstance(each, ast.Name)}
    return found


def test_all_rows_are_read() -> None:
    assert len(ROWS) == sum(line.startswith("| ") and not line.startswith("| which") for line in TEXT.splitlines()) > 40


@pytest.mark.parametrize(("rule", "file", "names"), ROWS, ids=[rule for rule, _, _ in ROWS])
def test_the_file_has_what_the_page_says(rule: str, file: str, names: str) -> None:
    there = names_in(PACKAGE / file)
    assert [name for name in re.findall(r"`([\w.]+)`", names) if name not in there] == []


def test_the_other_files_and_directories_are_there() -> None:
    last = TEXT[TEXT.index("## Adding") :]
    paths = [name for name in re.findall(r"`([\w/.]+)`", last) if "/" in name or name.endswith(".py")]
    assert [path for path in paths if not ((PACKAGE / path).exists() or (ROOT / path).exists())] == []
    assert len(paths) > 10
