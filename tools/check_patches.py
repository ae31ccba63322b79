"""Holds that an instance's patches go through their registry, and that each target is patched in one place.

A patch is a call of ``registry.replace``, ``registry.rebind`` or ``registry.replace_method``: its target is the owner
and the name, which is a constant, or a variable of a ``for`` over constants. In the files of ROOMS beside the registry
nothing else may write to what belongs to a library: no assignment to an attribute of a module or class of it
(plain, augmented, ``del``, ``setattr``, ``delattr``, ``vars(...)[...]``), but for data such as ``sys.argv``.

Who else wants to know of a call that is patched subscribes to the module that patches it.
Run: python tools/check_patches.py [the package's directory]
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE
ROOMS = ("side", "python", "zygote", "programs")
"""Rooms that run in instances, beside the user's code."""
PATCHES = "python/patches"
REGISTRY = f"{PATCHES}/registry.py"
WAYS = frozenset({"replace", "rebind", "replace_method"})

UNNAMED = {
    f"{PATCHES}/unsimulated.py": "the method that runs a loop has another name in each library",
    f"{PATCHES}/datetime.py": "the methods of freezegun's classes are a table of protocol/, for both sides",
    f"{PATCHES}/tracebacks.py": "the method that reads all frames has another name before Python 3.11",
}
"""Files with a target whose name is no constant, and why."""
UNREGISTERED = {
    (
        "programs/handler_program.py",
        "sys.breakpointhook",
    ): "that program has a plain interpreter, without the registry",
    (
        "programs/handler_program.py",
        "traceback.StackSummary.<tracebacks.EXTRACTS>",
    ): "that program has a plain one, too",
    ("programs/handler_program.py", "logging.Handler.handle"): "the same",
}
"""Writes to what belongs to a library that are no patches of an instance, and why."""


class Module:
    """A file: what its names mean, and the constants that it binds."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.root = root
        self.inner = path.relative_to(root).as_posix()
        self.tree = ast.parse(path.read_bytes(), filename=str(path))
        self.libraries: dict[str, str] = {}
        """By the name that an import of a library binds: what it is there, with dots."""
        self.ours: dict[str, tuple[str, str]] = {}
        """By the name that an import of the package binds: the module, with dots, and the name in it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        self.libraries[alias.asname] = alias.name
                    else:
                        self.libraries[alias.name.split(".")[0]] = alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom):
                room = path.relative_to(root).parts[:-1]
                names = tuple(node.module.split(".")) if node.module else ()
                for alias in node.names:
                    bound = alias.asname or alias.name
                    if node.level:
                        module = (*room[: len(room) - node.level + 1], *names)
                        self.ours[bound] = ("/".join(module), alias.name)
                    else:
                        self.libraries[bound] = f"{node.module}.{alias.name}"
        self.constants: dict[str, ast.expr] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                self.constants[node.target.id] = node.value

    def library(self, node: ast.expr) -> str | None:
        """What *node* is in a library, with dots; None for what is local, or of the package."""
        text = ast.unparse(node)
        first, dot, rest = text.partition(".")
        return self.libraries[first] + dot + rest if first in self.libraries else None

    def names(self, node: ast.expr, loops: dict[str, list[str] | None]) -> list[str] | None:
        """The names that *node* stands for in a call of the registry; None where they cannot be seen."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        return loops.get(node.id) if isinstance(node, ast.Name) else None

    def values(self, node: ast.expr) -> list[ast.expr] | None:
        """The items of a literal, or of the constant that *node* names, here or in another file."""
        if isinstance(node, ast.Name) and node.id in self.constants:
            return self.values(self.constants[node.id])
        if isinstance(node, ast.Name) and node.id in self.ours:
            file, name = self.ours[node.id]
            path = self.root / f"{file}.py"
            return Module(path, self.root).values(ast.Name(name)) if path.is_file() else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "items":
            return self.values(node.func.value)
        if isinstance(node, ast.Dict):
            return [key for key in node.keys if key is not None]
        return list(node.elts) if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else None


class Finder(ast.NodeVisitor):
    """Collects the patches of one file, and its writes to what belongs to libraries."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.patches: list[tuple[str, int]] = []
        """Each target, and the line."""
        self.unnamed: list[tuple[int, str]] = []
        self.writes: list[tuple[int, str]] = []
        self._loops: dict[str, list[str] | None] = {}

    def visit_For(self, node: ast.For) -> None:
        before = dict(self._loops)
        values = self.module.values(node.iter)
        targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
        pairs = isinstance(node.target, ast.Tuple) and not _has_items(node.iter)
        for place, target in enumerate(targets):
            if isinstance(target, ast.Name):
                parts = [_part(value, place) if pairs else value for value in values or ()]
                if place and not pairs:
                    parts = []
                names = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                self._loops[target.id] = names if names and len(names) == len(parts) else None
        self.generic_visit(node)
        self._loops = before

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if self._is_patch(function):
            self._patch(node)
        elif ast.unparse(function) in ("setattr", "delattr") and len(node.args) > 1:
            owner, name = node.args[:2]
            library = self.module.library(owner)
            if isinstance(name, ast.Constant):
                self._write(library, str(name.value), node.lineno)
            elif library is not None:
                self.writes.append((node.lineno, f"{library}.<{ast.unparse(name)}>"))
        self.generic_visit(node)

    def _is_patch(self, function: ast.expr) -> bool:
        """Whether *function* is one of the registry's, by whatever name it was imported."""
        if isinstance(function, ast.Name):
            file, name = self.module.ours.get(function.id, ("", ""))
            return f"{file}.py" == REGISTRY and name in WAYS
        if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
            return False
        name = function.value.id
        return function.attr in WAYS and self.module.ours.get(name, ("", name))[1] == "registry"

    def _patch(self, node: ast.Call) -> None:
        owner, name = node.args[:2]
        names = self.module.names(name, self._loops)
        if names is None:
            self.unnamed.append((node.lineno, ast.unparse(name)))
        of = self.module.library(owner) or ast.unparse(owner)
        self.patches += [(f"{of}.{each}", node.lineno) for each in names or ()]

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._write(self.module.library(node.value), node.attr, node.lineno)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        of = node.value
        if not isinstance(node.ctx, ast.Load):
            if isinstance(of, ast.Call) and ast.unparse(of.func) == "vars" and of.args:
                library = self.module.library(of.args[0])
            elif isinstance(of, ast.Attribute) and of.attr == "__dict__":
                library = self.module.library(of.value)
            else:
                library = None
            if library is not None:
                self.writes.append((node.lineno, f"{library}.<{ast.unparse(node.slice)}>"))
        self.generic_visit(node)

    def _write(self, library: str | None, name: str, line: int) -> None:
        if library is not None and _may_be_function(library, name):
            self.writes.append((line, f"{library}.{name}"))


def _has_items(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "items"


def _part(node: ast.expr, place: int) -> ast.expr | None:
    return node.elts[place] if isinstance(node, (ast.Tuple, ast.List)) and place < len(node.elts) else None


def _may_be_function(library: str, name: str) -> bool:
    """Whether *name* of *library* can be called; what is not found here is taken for a function."""
    module, _, rest = library.partition(".")
    try:
        found: object = importlib.import_module(module)
        for each in (*rest.split("."), name) if rest else (name,):
            found = getattr(found, each)
    except (ImportError, AttributeError):
        return True
    return callable(found)


def check(root: Path) -> list[str]:
    """Every violation in the package whose directory is `root`, as `file:line: sentence`."""
    is_own = root.resolve() == OWN_PACKAGE
    unnamed_known = UNNAMED if is_own else {}
    unregistered_known = UNREGISTERED if is_own else {}
    violations: list[str] = []
    first: dict[str, str] = {}
    needed: set[object] = set()
    for module, finder in _found(root):
        for target, line in finder.patches:
            place = f"{module}:{line}"
            if target in first:
                violations.append(
                    f"{root.name}/{place}: patches {target}, which {first[target]} patches: subscribe to that."
                )
            first.setdefault(target, place)
        for line, name in finder.unnamed:
            needed.add(module)
            if module not in unnamed_known:
                violations.append(f"{root.name}/{module}:{line}: patches `{name}`: name the target by a constant.")
        for line, target in finder.writes:
            needed.add((module, target))
            if (module, target) not in unregistered_known:
                violations.append(f"{root.name}/{module}:{line}: writes {target}: patch it by the registry.")
    left = [key for key in (*unnamed_known, *unregistered_known) if key not in needed]
    return violations + [f"the exception {key} is not needed: take it out." for key in left]


def _found(root: Path) -> Iterator[tuple[str, Finder]]:
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        module = Module(path, root)
        if module.inner != REGISTRY:
            finder = Finder(module)
            finder.visit(module.tree)
            yield module.inner, finder


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not any(path for room in ROOMS for path in (root / room).rglob("*.py")):
        print(f"check_patches: no Python files in {', '.join(ROOMS)} of {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(
        f"check_patches: {len(violations)} violations" if violations else "check_patches: each target is patched once"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
