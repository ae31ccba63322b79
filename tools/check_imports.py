"""Holds the direction of imports in the package: a room knows only the rooms that KNOWS names, and no file itself.

A file that imports one that imports it, over however many others, is a circle, and no circle may be there.

An import counts wherever it stands: at the top, inside a function, under TYPE_CHECKING, or as import_module("a.name").

The test's process has nothing of the rooms of OTHER_PROCESSES. No text there may name one of their modules either, as
one for import_module, runpy or sys.modules would: only the texts of CHILD_PROGRAMS may, which this process never runs.
And each name that is imported there is written out.
Run: python tools/check_imports.py [the package's directory]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE

# Which rooms a room may import, itself aside. A room is a module or a package directly inside the package, or a package
# inside one of these that has a row of its own here; "root" is the package's __init__.
#
# What only some tests use is a wing. The kernel, which is all other rooms, knows none, and no wing knows another one.
# NAMES_WINGS has the rooms that name wings, as somebody has to; CHILD_PROGRAMS and BECOMES have what else names modules
# of programs.
WINGS = frozenset(
    {"endpoint", "endpoint.operations", "sweep", "sweep.command", "sweep.in_instance", "trace", "conformance"}
    | {"deployable", "programs", "programs.runtimes", "programs.supervisor", "timers", "triggers"}
    | {"coverage", "coverage.in_instance", "debugger", "debugger.in_instance"}
)
NAMES_WINGS: dict[str, str] = {
    "wings": "the registry: what each wing adds to the kernel's classes, to pytest and to the command line",
    "wings.in_zygote": "the same of the zygote and of instances",
    "wings_at_start": "the same of pytest's start: options and fixtures",
    "root": "the public names, which type checkers read there",
    "operations": "public names, too",
}
KNOW_A_WING: dict[str, frozenset[str]] = {}
"""Rooms of the kernel that know a wing all the same; this only gets shorter."""
CORE = frozenset({"errors", "options", "model", "clock", "protocol"})
MACHINERY = CORE | {"scripted", "instances", "lockstep"}
FACADE = MACHINERY | {"hookspecs", "report", "deployment"}
KNOWS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "hookspecs": frozenset(),
    "inside": frozenset(),
    "protocol": frozenset(),
    "linux": frozenset({"protocol"}),
    "options": frozenset({"errors"}),
    "model": frozenset({"errors"}),
    "clock": frozenset({"errors", "protocol"}),
    "scripted": frozenset({"errors", "model", "clock", "protocol"}),
    "scripted_calls": MACHINERY | {"function"},
    "side": frozenset({"protocol", "linux"}),
    "wings.in_zygote": frozenset({"programs"}),
    "python": frozenset({"protocol", "linux", "side", "wings.in_zygote"}),
    "zygote": frozenset({"protocol", "linux", "side", "python", "wings.in_zygote"}),
    "programs": frozenset({"protocol", "linux", "side", "python", "zygote"}),
    "programs.supervisor": frozenset({"protocol", "linux", "side", "python", "programs"}),
    "programs.runtimes": MACHINERY | {"linux", "deployment", "async_event", "function"},
    "sweep.in_instance": frozenset({"protocol", "linux", "side", "python"}),
    "coverage.in_instance": frozenset({"protocol", "python"}),
    "debugger.in_instance": frozenset({"python"}),
    "coverage": frozenset({"model", "protocol", "instances", "lockstep", "wing_hooks"}),
    "debugger": frozenset({"protocol", "instances", "lockstep", "wing_hooks"}),
    "instances": CORE | {"scripted", "linux"},
    "lockstep": MACHINERY | {"linux"},
    "deployment": MACHINERY,
    "report": frozenset({"model", "errors", "protocol", "lockstep"}),
    "sweep": FACADE | {"linux", "async_event", "function", "inner", "stage", "wing_hooks"},
    "event_answers": frozenset({"model"}),
    "operations": frozenset({"model", "event_answers", "endpoint.operations", "timers"}),
    "timers": frozenset({"errors", "clock", "model"}),
    "trace": FACADE | {"async_event", "wing_hooks"},
    "triggers": CORE | {"async_event"},
    "termination": FACADE,
    "async_event": FACADE | {"termination"},
    "function": FACADE | {"async_event", "wings"},
    "marker": frozenset({"errors", "options", "deployment", "async_event"}),
    "session": frozenset({"options", "model", "async_event", "wings"}),
    "inner": MACHINERY | {"async_event", "function"},
    "stage": MACHINERY | {"deployment", "async_event", "function"},
    "runtime": FACADE | {"linux", "event_answers", "termination", "async_event", "function", "session", "wings"},
    "assertions": frozenset({"runtime", "async_event", "report", "clock", "model", "errors", "protocol"}),
    "endpoint": FACADE | {"linux", "runtime", "endpoint.operations", "async_event", "function", "inner", "wing_hooks"},
    "endpoint.operations": MACHINERY | {"deployment", "async_event", "function", "inner"},
    "wing_hooks": frozenset({"async_event"}),
    "wings_at_start": frozenset({"runtime", "endpoint"}),
    "wings": frozenset({"runtime", "lockstep", "instances", "scripted_calls", "wing_hooks", "programs.runtimes"})
    | {"endpoint", "endpoint.operations", "sweep", "sweep.command", "trace", "conformance", "coverage", "debugger"}
    | {"timers", "triggers", "deployable"},
    "plugin": FACADE
    | {
        "runtime",
        "session",
        "wing_hooks",
        "wings",
        "wings_at_start",
        "async_event",
        "function",
        "assertions",
        "inside",
        "root",
    },
    "conformance": frozenset({"errors"}),
    "deployable": CORE | {"instances", "session"},
    "sweep.command": FACADE | {"function", "runtime", "sweep"},
    "command_line": frozenset({"wings", "errors"}),
    "__main__": frozenset({"command_line"}),
    "root": FACADE
    | {"endpoint", "runtime", "event_answers", "async_event", "function", "assertions", "inside", "marker"}
    | {"programs.runtimes", "sweep", "deployable"},
}

# Rooms that run inside an instance, beside the user's code: the standard library and what is named here, nothing else.
OUTSIDERS_OF: dict[str, frozenset[str]] = {
    "inside": frozenset(),
    "protocol": frozenset({"freezegun"}),
    "linux": frozenset(),
    "side": frozenset(),
    "python": frozenset({"freezegun"}),
    "zygote": frozenset(),
    "wings.in_zygote": frozenset(),
    "programs": frozenset(),
    "programs.supervisor": frozenset(),
    "sweep.in_instance": frozenset(),
    "coverage.in_instance": frozenset({"coverage"}),
    "debugger.in_instance": frozenset(),
}

# Imports that KNOWS refuses and one file may have, inside a function only. A process is forked before it is known what
# kind of instance it will be: one that becomes a supervisor imports what that needs then, and no other instance does.
# The zygote imports it for all of them, where there are such instances.
BECOMES: dict[str, frozenset[str]] = {
    f"{PACKAGE}.programs.{module}": frozenset(
        f"{PACKAGE}.programs.supervisor.{name}" for name in ("supervisor", "container", "recorder", "probe")
    )
    for module in ("in_zygote", "roles")
}

# Rooms that the test's process never has: their patches replace functions of the standard library, and their state is
# that of the one process in which they run.
OTHER_PROCESSES: dict[str, str] = {
    "side": "the zygote and in instances",
    "python": "the zygote and in instances",
    "zygote": "the zygote and in its reaper",
    "wings.in_zygote": "the zygote and in instances",
    "programs": "instances and beside them",
    "programs.supervisor": "the supervisor of a program",
    "sweep.in_instance": "the instances of a sweep",
    "coverage.in_instance": "the zygote and in instances",
    "debugger.in_instance": "the zygote and in instances",
}

# Texts that name modules of these rooms: by file and constant, with why this process imports nothing by them.
CHILD_PROGRAMS: dict[str, dict[str, str]] = {
    f"{PACKAGE}.instances.zygote": {"_START": "what an interpreter is started with that becomes reaper and zygote"},
    f"{PACKAGE}.programs.runtimes.go": {"_START": "what an interpreter is started with that reaps compilers"},
    f"{PACKAGE}.programs.runtimes.container": {"_START": "what an interpreter is started with that becomes a keeper"},
    f"{PACKAGE}.programs.runtimes.simulated_children": {
        "_PROGRAM": "what the interpreter of a handler is started with, below its supervisor"
    },
    f"{PACKAGE}.coverage.feature": {"IN_INSTANCE": "what each instance that is measured is told to import"},
    f"{PACKAGE}.debugger.feature": {"IN_INSTANCE": "what each instance is told to import"},
    f"{PACKAGE}.sweep.calls": {"IN_INSTANCE": "what each instance of a sweep is told to import"},
    f"{PACKAGE}.inside": {"_RECORDS": "looked up in sys.modules and never imported: an instance has it"},
}

# Files that import a name which is not written out, with what it can be.
COMPUTED_IMPORTS: dict[str, str] = {PACKAGE: "a home of a public name, each of which stands under TYPE_CHECKING, too"}

_HERE = [room for room in KNOWS if room not in OTHER_PROCESSES and room.split(".")[0] in OTHER_PROCESSES]
"""Rooms of the test's process within these."""
_OTHERS = "|".join(map(re.escape, sorted(OTHER_PROCESSES, key=len, reverse=True)))
_ONE = f"(?!(?:{'|'.join(map(re.escape, _HERE)) or '(?!)'})\\b)({_OTHERS})"
_NAMES_A_MODULE = re.compile(rf"^{_ONE}\.[a-zA-Z_]|(?:^\.|\.\.|{PACKAGE}\.){_ONE}\b")

# `model` does no I/O, starts nothing and knows neither the real time nor pytest.
BARRED_FROM: dict[str, frozenset[str]] = {
    "model": frozenset(
        {"os", "posix", "shutil", "tempfile", "socket", "select", "selectors", "subprocess", "multiprocessing"}
        | {"signal", "time", "threading", "_thread", "concurrent", "asyncio", "pytest", "_pytest"}
    ),
}

# Importing anything of these packages runs their __init__ as well, inside an instance too and at the start of every
# pytest: at its top level it imports nothing of this project.
EMPTY = (
    *("instances", "lockstep", "protocol", "linux", "plugin"),
    *("wings", "endpoint", "endpoint.operations", "sweep", "trace", "conformance", "programs.runtimes"),
    *("coverage", "debugger", "timers", "triggers", "deployable"),
)
LAZY = frozenset(
    {
        PACKAGE,
        *(f"{PACKAGE}.{room}" for room in (*EMPTY, *OTHER_PROCESSES)),
    }
)


@dataclass(frozen=True)
class Import:
    """One import statement's one target: a dotted, absolute name."""

    target: str
    line: int
    eager: bool


class Module:
    """A file of the package, by its dotted name."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.is_package = path.name == "__init__.py"
        parts = path.relative_to(root).with_suffix("").parts
        self.name = ".".join((PACKAGE, *(parts[:-1] if self.is_package else parts)))

    def absolute(self, level: int, module: str | None) -> str | None:
        """What `from <level dots><module> import ...` means here; None where the dots lead out of the package."""
        if level == 0:
            return module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - level + (1 if self.is_package else 0)]
        return ".".join((*base, *(module.split(".") if module else ()))) if base else None


class Finder(ast.NodeVisitor):
    """Collects the imports of one module, with whether each runs when the module is imported."""

    def __init__(self, module: Module, names: frozenset[str]) -> None:
        self.module = module
        self.names = names
        self.found: list[Import] = []
        self.texts: list[tuple[int, str, str]] = []
        """Texts that name a module of OTHER_PROCESSES: the line, the room, and the constant that is bound to it."""
        self.computed: list[int] = []
        """Lines that import a name which is not written out."""
        self._bound = ""
        self.escapes: list[int] = []
        self._eager = True

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._later(node)

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Lambda = visit_FunctionDef

    def visit_If(self, node: ast.If) -> None:
        if _last(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)
            return
        before, self._eager = self._eager, False
        for child in node.body:
            self.visit(child)
        self._eager = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.module.absolute(node.level, node.module)
        if base is None:
            self.escapes.append(node.lineno)
            return
        for alias in node.names:
            # `from pytest_scf_async import clock` means the module of that name where there is one.
            submodule = f"{base}.{alias.name}"
            is_room = submodule.removeprefix(f"{PACKAGE}.") in KNOWS
            self._add(submodule if is_room or submodule in self.names else base, node)

    def visit_Call(self, node: ast.Call) -> None:
        if _last(node.func) in {"import_module", "__import__"} and node.args:
            first = node.args[0]
            for name in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                    self.computed.append(node.lineno)
                elif not name.value.startswith("."):
                    self._add(name.value, node)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._bind(node, node.targets[0])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._bind(node, node.target)

    def _bind(self, node: ast.stmt, target: ast.expr) -> None:
        before, self._bound = self._bound, (_last(target) or "") if self._eager else ""
        self.generic_visit(node)
        self._bound = before

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and (named := _NAMES_A_MODULE.search(node.value)):
            self.texts.append((node.lineno, named[1] or named[2], self._bound))

    def _later(self, node: ast.AST) -> None:
        before, self._eager = self._eager, False
        self.generic_visit(node)
        self._eager = before

    def _add(self, target: str, node: ast.stmt | ast.expr) -> None:
        self.found.append(Import(target, node.lineno, self._eager))


def _last(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def room_of(name: str) -> str:
    """The room of a module of the package, by its dotted name."""
    _, *inner = name.split(".")
    if not inner:
        return "root"
    within = ".".join(inner[:2])
    return within if within in KNOWS else inner[0]


def check(root: Path) -> list[str]:
    """Every violation in the package whose directory is `root`, as `file:line: sentence`."""
    modules = [Module(path, root) for path in sorted(root.rglob("*.py"))]
    names = frozenset(module.name for module in modules)
    violations: list[str] = []
    imports: dict[str, set[str]] = {module.name: set() for module in modules}
    programs: set[tuple[str, str]] = set()
    for module in modules:
        shown = f"{root.name}/{module.path.relative_to(root).as_posix()}"
        try:
            tree = ast.parse(module.path.read_bytes(), filename=str(module.path))
        except SyntaxError as error:
            violations.append(f"{shown}:{error.lineno or 1}: this file is not valid Python: {error.msg}.")
            continue
        finder = Finder(module, names)
        finder.visit(tree)
        imports[module.name] = {one.target for one in finder.found if one.target in names}
        found = [(line, "this relative import leads out of the package.") for line in finder.escapes]
        room = room_of(module.name)
        if room not in KNOWS:
            found.append((1, f"'{room}' is no room of the package: add it to KNOWS in {Path(__file__).name}."))
        else:
            found += [(one.line, sentence) for one in finder.found for sentence in _judge(module, one)]
            if room not in OTHER_PROCESSES:
                programs.update((module.name, bound) for _, _, bound in finder.texts)
                found += _judge_names(module, finder)
        violations += [f"{shown}:{line}: {sentence}" for line, sentence in sorted(set(found))]
    violations += _know_wings(KNOWS)
    violations += [f"{' and '.join(circle)} import each other in a circle." for circle in sorted(_circles(imports))]
    if root.resolve() == OWN_PACKAGE:
        listed = {(file, constant) for file, constants in CHILD_PROGRAMS.items() for constant in constants}
        violations += [
            f"CHILD_PROGRAMS names {constant} of {file}, which names no module of another process: take it out."
            for file, constant in sorted(listed - programs)
        ]
    return violations


def _know_wings(knows: dict[str, frozenset[str]]) -> Iterator[str]:
    """What is wrong with the rows of the kernel's rooms, and with those of wings."""
    for room in sorted(WINGS & knows.keys()):
        own = room.split(".")[0]
        others = {known for known in knows[room] & (WINGS | NAMES_WINGS.keys()) if known.split(".")[0] != own}
        if others:
            yield f"KNOWS lets {room} know {', '.join(sorted(others))}: no wing knows another one."
    for room in sorted(knows.keys() - WINGS - NAMES_WINGS.keys()):
        known, allowed = knows[room] & WINGS, KNOW_A_WING.get(room, frozenset())
        if known != allowed:
            names = ", ".join(sorted(known ^ allowed))
            yield f"KNOWS and KNOW_A_WING differ in what wings {room} knows ({names}): no room of the kernel knows one."


def _judge_names(module: Module, finder: Finder) -> Iterator[tuple[int, str]]:
    """What is wrong with the names of modules that a file of the test's process has as texts."""
    for line, room, bound in finder.texts:
        if bound not in CHILD_PROGRAMS.get(module.name, ()):
            yield line, f"{_never(module, room)}: this text names a module of it."
    for line in finder.computed:
        if module.name not in COMPUTED_IMPORTS:
            yield line, "the name of the module that is imported here has to be written out."


def _never(module: Module, room: str) -> str:
    return f"{room_of(module.name)} must not import {room}, which runs in {OTHER_PROCESSES[room]}"


def _circles(imports: dict[str, set[str]]) -> frozenset[tuple[str, ...]]:
    """The sets of files of which each imports each other one, directly or not; one that imports itself is one, too."""
    reach = {name: _reachable(name, imports) for name in imports}
    circles = (tuple(sorted(other for other in reach[name] if name in reach[other])) for name in imports)
    return frozenset(circle for circle in circles if circle)


def _reachable(name: str, imports: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    todo = [*imports[name]]
    while todo:
        one = todo.pop()
        if one not in reached:
            reached.add(one)
            todo += imports[one]
    return reached


def _judge(module: Module, one: Import) -> Iterator[str]:
    room = room_of(module.name)
    top = one.target.split(".")[0]
    if top != PACKAGE:
        if top in BARRED_FROM.get(room, ()):
            yield f"{room} must not import {one.target}: no I/O, no processes, no real time and no pytest there."
        allowed = OUTSIDERS_OF.get(room)
        if allowed is not None and top not in allowed and top not in sys.stdlib_module_names:
            loaded = " and ".join(("the standard library", *sorted(allowed)))
            yield f"{room} must not import {one.target}: beside the user's code only {loaded} may be loaded."
        return
    target = room_of(one.target)
    becomes = not one.eager and one.target in BECOMES.get(module.name, ())
    is_of_another_process = target in OTHER_PROCESSES and room not in OTHER_PROCESSES
    if target != room and (target not in KNOWS[room] or is_of_another_process) and not becomes:
        if target == "plugin":
            yield f"{room} must not import plugin: nobody does."
        elif is_of_another_process:
            yield f"{_never(module, target)}."
        elif target not in KNOWS:
            yield f"{room} must not import {one.target}: '{target}' is no room of the package."
        else:
            known = ", ".join(sorted(KNOWS[room])) or "no other room of the package"
            yield f"{room} must not import {_shown(target)}: it may know {known}."
    if module.is_package and module.name in LAZY and one.eager:
        where = "only inside a function or under TYPE_CHECKING"
        yield f"{module.name} must not import {one.target} at its top level: {where}."


def _shown(room: str) -> str:
    return "the package itself" if room == "root" else room


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_imports: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"check_imports: {len(violations)} violations" if violations else "check_imports: all imports run one way")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
