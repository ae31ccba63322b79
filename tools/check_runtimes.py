"""Holds that only instances/runtimes/ and programs/runtimes/ know which runtime a function has. Others ask its Runtime.

A test on what tells one runtime from another is refused elsewhere: on whether there is a launch or a program, on how
that is spoken to, on a parent of a process, on the class of a runtime or of an instance, on the runtime's name.
Run: python tools/check_runtimes.py [the package's directory]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OWN_PACKAGE = Path(__file__).resolve().parent.parent / "pytest_scf_async"

KNOWS_RUNTIMES = ("instances/runtimes/", "programs/runtimes/", "model/")
"""Where any test may stand: `model` knows the names of the platform's runtimes, and the rules for them."""

DECIDES: dict[str, frozenset[str]] = {
    "zygote/zygote.py": frozenset({"_expect"}),
    "programs/in_zygote.py": frozenset({"import_ahead", "role_of"}),
    "programs/roles.py": frozenset({"role_of"}),
}
"""Functions inside an instance that decide what it becomes, by the message that it gets."""

TESTED = re.compile(r"launch|free_running|speaks|_?programs?(_\w+)?|(IMAGE|GO|PYTHON)_RUNTIMES?")
"""What tells one runtime from another, as a variable, an attribute or a key."""
CLASSES = frozenset({"Runtime", "PythonHandler", "Program", "PythonProgram", "FreeRunning", "Supervised", "GoFunction"})


def check(root: Path) -> list[str]:
    """Every violation in the package whose directory is `root`, as `file:line: sentence`."""
    violations: list[str] = []
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root).as_posix()
        if inner.startswith(KNOWS_RUNTIMES):
            continue
        finder = Finder(DECIDES.get(inner, frozenset()))
        finder.visit(ast.parse(path.read_bytes(), filename=str(path)))
        violations += [
            f"{root.name}/{inner}:{line}: this tests {what}: ask the Runtime for the fact that is meant "
            "(instances/runtimes/strategy.py), or the instance."
            for line, what in sorted(set(finder.found))
        ]
    return violations


class Finder(ast.NodeVisitor):
    """Collects the tests of one module on which runtime something has."""

    def __init__(self, decides: frozenset[str]) -> None:
        self.decides = decides
        self.found: list[tuple[int, str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in self.decides:
            self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        for tested in _tested(node):
            name = _name(tested)
            if name is not None:
                self.found.append((tested.lineno, name))
        super().generic_visit(node)


def _tested(node: ast.AST) -> Iterator[ast.expr]:
    """What *node* tests: for truth, or against something else."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
        yield node.test
    elif isinstance(node, ast.comprehension):
        yield from node.ifs
    elif isinstance(node, ast.Match):
        yield node.subject
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Compare):
        yield from (node.left, *node.comparators)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "type"):
        yield from node.args


def _name(node: ast.expr) -> str | None:
    """How *node* is called where it tells one runtime from another; None where it does not."""
    if isinstance(node, ast.NamedExpr):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr if node.attr == "parent" or _tells(node.attr) else None
    if isinstance(node, ast.Subscript):
        return _name(node.slice)
    if isinstance(node, ast.Constant):
        return repr(node.value) if isinstance(node.value, str) and _tells(node.value) else None
    return node.id if isinstance(node, ast.Name) and _tells(node.id) else None


def _tells(name: str) -> bool:
    return name in CLASSES or TESTED.fullmatch(name) is not None


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_runtimes: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"check_runtimes: {len(violations)} violations" if violations else "check_runtimes: runtimes are asked")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
