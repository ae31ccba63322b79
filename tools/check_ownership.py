"""Holds that an attribute is written by the module that owns it, and by no other: KNOWN alone may differ.

A module owns the attributes of its classes (those that their methods write to ``self``, and those that their bodies
declare) and what it binds itself. A write counts in each form: an assignment (plain, augmented, annotated, to a tuple,
by ``for`` or ``with``), ``del``, and ``setattr`` or ``delattr`` with a constant name. A method writes to its own
``self`` or ``cls``, and a function to what it has just made of a class of its module.

The syntax tree has no types. The class of an object is what the annotation of the parameter says; else what variables
and attributes of that name are anywhere in the package; else any class that has the attribute. A write passes where one
of these classes stands in the module that writes, or where none is of this package. A property's setter is a method.
Run: python tools/check_ownership.py [the package's directory]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE

SHARED = frozenset({"protocol/shared_page.py"})
"""Whose attributes are slots of shared memory: the page is there so that other processes write to it."""

KNOWN: dict[str, dict[str, str]] = {}
"""Writes of today: for each owner, who writes which of its attributes. Nothing is added: what is mended goes out."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


Class = tuple[str, str]
"""A class of the package: its file and its name."""
OUTSIDE: Class = ("", "")
"""A class that is not of the package."""

FROZEN = frozenset({"NamedTuple", "TypedDict", "Enum", "IntEnum", "Flag", "IntFlag", "StrEnum", "Protocol"})
"""Bases of classes to whose attributes nobody writes."""


class Module:
    """A file of the package: what it imports, and which attributes its classes have."""

    def __init__(self, path: Path, root: Path) -> None:
        self.inner = path.relative_to(root).as_posix()
        self.tree = ast.parse(path.read_bytes(), filename=str(path))
        self.root = root
        self._room = path.relative_to(root).parts[:-1]
        self.imported: dict[str, Class] = {}
        """What an import binds: the file that has it and its name there, or no name for the module itself."""
        self.classes = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)}
        self.attributes = {name: frozenset(_attributes(node)) for name, node in self.classes.items()}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    parts = tuple(alias.name.split("."))
                    file = self._file(parts[1:]) if parts[0] == PACKAGE else None
                    self.imported[alias.asname or alias.name] = (file, "") if file else OUTSIDE
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)

        self.outside = frozenset(self.from_outside(ast.walk(self.tree)))
        """Variables and attributes that get what a call to a module of others returns."""

    def from_outside(self, nodes: Iterable[ast.AST]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
                called = ast.unparse(node.value.func).split(".")[0]
                if self.imported.get(called) == OUTSIDE:
                    yield from (name for target in _targets(node) if (name := _last(target)))

    def _import_from(self, node: ast.ImportFrom) -> None:
        parts = tuple(node.module.split(".")) if node.module else ()
        is_ours = node.level > 0 or parts[:1] == (PACKAGE,)
        parts = (*self._room[: len(self._room) - node.level + 1], *parts) if node.level else parts[1:]
        for alias in node.names:
            name = alias.asname or alias.name
            if is_ours and (submodule := self._file((*parts, alias.name))):
                self.imported[name] = (submodule, "")
            else:
                file = self._file(parts) if is_ours else None
                self.imported[name] = (file, alias.name) if file else OUTSIDE

    def _file(self, parts: tuple[str, ...]) -> str | None:
        """The file of the module whose name in the package has *parts*."""
        for inner in ("/".join(parts) + ".py", "/".join((*parts, "__init__.py"))):
            if (self.root / inner).is_file():
                return inner
        return None

    def class_of(self, node: ast.expr | None) -> Class | None:
        """The one class that an annotation, or the function of a call, names beside None; None if it names no one."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant):
            node = node.left
        if isinstance(node, ast.Attribute):
            file, _ = self.imported.get(ast.unparse(node.value), OUTSIDE)
            return (file, node.attr) if file else OUTSIDE
        if not isinstance(node, ast.Name) or node.id in ("Any", "object"):
            return None
        return (self.inner, node.id) if node.id in self.classes else self.imported.get(node.id, OUTSIDE)


class Package:
    """All modules, and which classes the variables and attributes of a name have anywhere."""

    def __init__(self, root: Path) -> None:
        self.modules = {module.inner: module for module in (Module(path, root) for path in sorted(root.rglob("*.py")))}
        self.named: dict[str, set[Class]] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.arg):
                    self._name(node.arg, module.class_of(node.annotation))
                elif isinstance(node, ast.AnnAssign):
                    self._name(_last(node.target), module.class_of(node.annotation))
                elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                    self._name(_last(node.targets[0]), module.class_of(node.value.func))

    def _name(self, name: str | None, of: Class | None) -> None:
        if name is not None and of is not None and self.is_class(of):
            self.named.setdefault(name.lstrip("_"), set()).add(of)

    def is_class(self, of: Class) -> bool:
        return of[0] in self.modules and of[1] in self.modules[of[0]].classes

    def owner(self, of: Class, attribute: str) -> str | None:
        """The file of the class that has *attribute*: *of*, or the first of its bases; empty where it has a setter."""
        if not self.is_class(of):
            return None
        file, name = of
        module = self.modules[file]
        if any(isinstance(each, Function) and _is_setter(each, attribute) for each in module.classes[name].body):
            return ""
        if attribute in module.attributes[name]:
            return file
        bases = (module.class_of(base) for base in module.classes[name].bases)
        return next((found for base in bases if base and (found := self.owner(base, attribute)) is not None), None)

    def having(self, attribute: str) -> set[str]:
        """The files with a class that has *attribute*."""
        return {
            inner
            for inner, module in self.modules.items()
            if any(attribute in attributes for attributes in module.attributes.values())
        }


def check(root: Path, known: dict[str, dict[str, str]] | None = None) -> list[str]:
    """Every violation in the package whose directory is `root`, as `file:line: sentence`."""
    if known is None:
        known = KNOWN if root.resolve() == OWN_PACKAGE else {}
    entries = {
        (owner, file, attribute)
        for owner, files in known.items()
        for file, attributes in files.items()
        for attribute in attributes.split()
    }
    violations: list[str] = []
    needed: set[tuple[str, str, str]] = set()
    for module, line, target, attribute, owner in writes(root):
        entry = (owner, module, attribute)
        if entry in entries:
            needed.add(entry)
        else:
            violations.append(
                f"{root.name}/{module}:{line}: writes `{target}.{attribute}`, which {owner} owns; "
                "let it have a method for that."
            )
    return violations + [
        f"KNOWN has {attribute} of {owner} for {file}, which does not write it: take it out."
        for owner, file, attribute in sorted(entries - needed)
    ]


def writes(root: Path) -> Iterator[tuple[str, int, str, str, str]]:
    """Each write to what another module owns: the file, the line, the object, the attribute and the owner's file."""
    package = Package(root)
    for module in package.modules.values():
        finder = Finder(module, package)
        finder.visit(module.tree)
        for line, target, attribute, owner in sorted(finder.found):
            yield module.inner, line, target, attribute, owner


class Finder(ast.NodeVisitor):
    """Collects the writes of one module to what others own."""

    def __init__(self, module: Module, package: Package) -> None:
        self.module = module
        self.package = package
        self.found: list[tuple[int, str, str, str]] = []
        self._own: list[set[str]] = [set()]
        """For each function around: the names of what is its own, `self` or just made there."""
        self._local: list[set[str]] = [set()]
        """For each function around: the names that it binds, which hide what an import binds."""
        self._classes: list[dict[str, Class]] = [{}]
        """For each function around: the classes that the annotations of parameters name."""
        self._is_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before, self._is_class = self._is_class, True
        self.generic_visit(node)
        self._is_class = before

    def visit_FunctionDef(self, node: Function) -> None:
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        made, bound = _made(node, self.module.classes), _bound(node)
        own: set[str] = {name for name in self._own[-1] if name not in bound} | made
        if self._is_class and parameters and not _is_static(node):
            own.add(parameters[0].arg)
        self._own.append(own)
        self._local.append(self._local[-1] | bound)
        hidden = {name: of for name, of in self._classes[-1].items() if name not in bound}
        named = {each.arg: self.module.class_of(each.annotation) for each in parameters}
        of_others = dict.fromkeys(self.module.from_outside(_inside(node)), OUTSIDE)
        self._classes.append({**hidden, **of_others, **{name: of for name, of in named.items() if of is not None}})
        before, self._is_class = self._is_class, False
        self.generic_visit(node)
        self._is_class = before
        for stack in (self._own, self._local, self._classes):
            stack.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._write(node.value, node.attr, node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _last(node.func) in ("setattr", "delattr", "__setattr__", "__delattr__") and len(node.args) > 1:
            target, name = node.args[:2]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                self._write(target, name.value, node.lineno)
        self.generic_visit(node)

    def _write(self, target: ast.expr, attribute: str, line: int) -> None:
        owner = self._owner(target, attribute)
        if owner is not None:
            self.found.append((line, ast.unparse(target), attribute, owner))

    def _owner(self, target: ast.expr, attribute: str) -> str | None:
        """The file that owns *attribute* of *target*; None where that is this module, or nobody in the package."""
        if isinstance(target, ast.Call) and _last(target.func) == "type" and len(target.args) == 1:
            target = target.args[0]
        name = ast.unparse(target)
        if name in self._own[-1]:
            return None
        if name.split(".")[0] not in self._local[-1] and name in self.module.imported:
            return self.module.imported[name][0] or None
        of = self._classes[-1].get(name)
        if of is not None:
            owners = {self.package.owner(of, attribute)}
        else:
            last = _last(target) or ""
            named = self.package.named.get(last.lstrip("_"), ())
            if not named and last in self.module.outside:
                return None
            owners = {self.package.owner(each, attribute) for each in named} - {None}
            owners = owners or set(self.package.having(attribute))
        if owners & {self.module.inner, "", *SHARED}:
            return None
        return " or ".join(sorted(each for each in owners if each)) or None


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    """The attributes of a class: what its body declares, and what its methods write to their first parameter."""
    if any(_last(base) in FROZEN for base in node.bases) or any(
        isinstance(decorator, ast.Call)
        and any(keyword.arg == "frozen" and ast.unparse(keyword.value) == "True" for keyword in decorator.keywords)
        for decorator in node.decorator_list
    ):
        return
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id
        elif isinstance(each, ast.Assign):
            for target in each.targets:
                if isinstance(target, ast.Name) and target.id == "__slots__":
                    yield from (
                        part.value
                        for part in ast.walk(each.value)
                        if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    )
                elif isinstance(target, ast.Name):
                    yield target.id
        elif isinstance(each, Function):
            parameters = [*each.args.posonlyargs, *each.args.args]
            if not parameters or _is_static(each):
                continue
            for part in ast.walk(each):
                if (
                    isinstance(part, ast.Attribute)
                    and not isinstance(part.ctx, ast.Load)
                    and isinstance(part.value, ast.Name)
                    and part.value.id == parameters[0].arg
                ):
                    yield part.attr


def _bound(node: Function) -> set[str]:
    """The names that a function binds: its parameters, and what it assigns."""
    arguments = node.args
    names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    names |= {each.arg for each in (arguments.vararg, arguments.kwarg) if each is not None}
    shared: set[str] = set()
    for part in _inside(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, (ast.Global, ast.Nonlocal)):
            shared.update(part.names)
    return names - shared


def _made(node: Function, classes: Container[str]) -> set[str]:
    """The variables of a function to which it assigns only new objects of *classes*."""
    made: set[str] = set()
    others: set[str] = set()
    new: set[int] = set()
    for part in _inside(node):
        if isinstance(part, (ast.Assign, ast.AnnAssign)) and isinstance(part.value, ast.Call):
            target = _targets(part)[0]
            if isinstance(target, ast.Name) and _makes(part.value, classes):
                made.add(target.id)
                new.add(id(target))
    for part in _inside(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and id(part) not in new:
            others.add(part.id)
    return made - others


def _makes(call: ast.Call, classes: Container[str]) -> bool:
    """Whether *call* makes an object: ``Name()``, ``cls()``, ``Name.__new__(Name)`` or ``object.__new__(Name)``."""
    made = call.args[0] if _last(call.func) == "__new__" and call.args else call.func
    return isinstance(made, ast.Name) and (made.id in classes or made.id == "cls")


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, without the functions and classes in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _inside(child)


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _is_setter(node: Function, name: str) -> bool:
    return node.name == name and any(_last(decorator) == "setter" for decorator in node.decorator_list)


def _is_static(node: Function) -> bool:
    return any(_last(decorator) == "staticmethod" for decorator in node.decorator_list)


def _last(node: ast.expr) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_ownership: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"check_ownership: {len(violations)} violations" if violations else "check_ownership: owners write their own")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
