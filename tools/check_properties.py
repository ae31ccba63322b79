"""Holds that a property only answers: it writes nothing, and reads nothing of ``/proc``.

Who reads an attribute expects that it costs nothing and changes nothing, in a debugger as well as in a condition that
is evaluated twice. What looks at processes is a method, whose call says so. A property may call others of its object:
they are looked at, too, as far as they stand in the same class.
Run: python tools/check_properties.py [the package's directory]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE

READS_PROC = frozenset({"procfs", "kernel_waits"})
"""Modules whose functions read ``/proc``."""

SEEN = "public: that the test has read it is noted, so that a failed event which nobody looked at fails its test"
LATER = "made at the first look: a million scripted events would have 2 KB each of lines that no test reads"
KNOWN: dict[str, str] = {
    **{f"async_event.py:AsyncEvent.{name}": SEEN for name in ("doing", "ended", "ended_at", "result", "status")},
    "async_event.py:AsyncEvent.status_code": SEEN,
    "lockstep/features/scripts.py:ScriptedEvent.log": LATER,
    "lockstep/features/scripts.py:ScriptedEvent.timeline": LATER,
}
"""By property: why it may all the same."""


def _is_property(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "property" for each in function.decorator_list)


def _own(node: ast.expr) -> str | None:
    """The name of the attribute of ``self`` that *node* is."""
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if is_own and isinstance(node, ast.Attribute) else None


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, (ast.Assign, ast.Delete)):
        yield from node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        yield node.target


def problems(function: ast.FunctionDef, methods: dict[str, ast.FunctionDef], seen: frozenset[str]) -> Iterator[str]:
    """What *function*, and what it calls of its own object, does that a property must not do."""
    for node in ast.walk(function):
        for target in _targets(node):
            if isinstance(target, (ast.Attribute, ast.Subscript)):
                yield f"writes {ast.unparse(target)}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in READS_PROC:
            yield f"asks {ast.unparse(node)}"
        name = (
            _own(node.func) if isinstance(node, ast.Call) else _own(node) if isinstance(node, ast.Attribute) else None
        )
        if name in methods and name not in seen and name is not None:
            yield from problems(methods[name], methods, seen | {name})


def check(root: Path) -> list[str]:
    """The violations in the package at *root*, sorted."""
    found = []
    used = set()
    for path in sorted(root.rglob("*.py")):
        shown = path.relative_to(root).as_posix()
        for owner in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(owner, ast.ClassDef):
                continue
            methods = {each.name: each for each in owner.body if isinstance(each, ast.FunctionDef)}
            for name, method in methods.items():
                if not _is_property(method):
                    continue
                place = f"{shown}:{owner.name}.{name}"
                why = list(dict.fromkeys(problems(method, methods, frozenset({name}))))
                if why and place in KNOWN:
                    used.add(place)
                elif why:
                    where = f"{PACKAGE}/{shown}:{method.lineno}"
                    found.append(f"{where}: the property {owner.name}.{name} {' and '.join(why)}.")
    gone = sorted(KNOWN.keys() - used) if root.resolve() == OWN_PACKAGE else []
    return found + [f"KNOWN has {place}, which is in order: take it out." for place in gone]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_properties: no Python files in {root}", file=sys.stderr)
        return 2
    found = check(root)
    for line in found:
        print(line)
    print(f"check_properties: {len(found)} violations" if found else "check_properties: properties only answer")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
