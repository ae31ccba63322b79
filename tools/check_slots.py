"""Holds that the slots of the shared pages have names: only the files of DEFINES and MAY_INDEX index a page.

Elsewhere a slot is an attribute of the page (``control.lease``). The files of MAY_INDEX run at each simulated wait of
an instance, where an attribute costs too much: they index with the constants of ``protocol/shared_page.py``, and never
with a number.
Run: python tools/check_slots.py [the package's directory]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OWN_PACKAGE = Path(__file__).resolve().parent.parent / "pytest_scf_async"

DEFINES = ("protocol/", "programs/supervisor/exec.py")
"""Where pages are defined; ``exec.py`` defines the page of clocks that a traced program reads."""
MAY_INDEX = frozenset(
    f"{name}.py"
    for name in (
        *("python/clock", "python/clock_page", "python/gates/lines", "python/scheduler/scheduler"),
        "side/lease_log",
    )
)

PAGE = re.compile(r"_?(\w+_)?page|_?control|slots")
"""What a page, or the numbers in it, is called, as a variable or as an attribute."""
SLOT = re.compile(r"CLOCK_(NOW|SEQUENCE|BOOT)|CONTROL_(?!BYTES)[A-Z_]+|LEASE_(LOG|RECORD|FIRST|LAST|COUNT)|PASSES")
"""The names of slots, and of places in the records of leased waits; ``CLOCK_`` begins names of the library's, too."""


def check(root: Path) -> list[str]:
    """Every violation in the package whose directory is `root`, as `file:line: sentence`."""
    violations: list[str] = []
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root).as_posix()
        if inner.startswith(DEFINES):
            continue
        tree = ast.parse(path.read_bytes(), filename=str(path))
        judge = _numbers if inner in MAY_INDEX else _indices
        violations += [f"{root.name}/{inner}:{line}: {sentence}" for line, sentence in sorted(set(judge(tree)))]
    if root.resolve() == OWN_PACKAGE:
        violations += [
            f"MAY_INDEX names {inner}, which indexes no page."
            for inner in sorted(MAY_INDEX)
            if not any(_pages(ast.parse((root / inner).read_bytes())))
        ]
    return violations


def _indices(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What stands in a file that has to use attributes: an index into a page, or the name of a slot."""
    for node in _pages(tree):
        yield node.lineno, f"{ast.unparse(node)} is an index into a page: use the attribute of the page."
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and SLOT.fullmatch(node.attr):
            yield node.lineno, f"{node.attr} is the number of a slot: use the attribute of the page."
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if SLOT.fullmatch(alias.name):
                    yield node.lineno, f"{alias.name} is the number of a slot: use the attribute of the page."


def _numbers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What stands in a file that may index: a bare number."""
    for node in _pages(tree):
        if any(isinstance(each, ast.Constant) and isinstance(each.value, int) for each in ast.walk(node.slice)):
            yield node.lineno, f"{ast.unparse(node)} has a bare number: name the slot in protocol/shared_page.py."


def _pages(tree: ast.AST) -> Iterator[ast.Subscript]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            value = node.value
            name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
            if PAGE.fullmatch(name):
                yield node


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_slots: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"check_slots: {len(violations)} violations" if violations else "check_slots: slots have names")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
