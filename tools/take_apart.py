"""Takes a wing or a feature out of a copy of the tree, and checks that the rest is whole without it.

Its files, its rows in the registries (REGISTRIES and the tables of the tools) and its tests are deleted, and nothing
else is changed. Then mypy and the checks of `make check` that ask about code pass, and so do the tests of the kernel. A
test file that imports what is gone is left out, and its name is printed; what asks about the whole is in OF_THE_WHOLE.
`--imports` only looks at who imports what is gone: for all parts that takes seconds, so `make check` does it.
Run: python tools/take_apart.py NAME... | --all | --next | --list [--quick | --imports] [-n WORKERS]
"""

from __future__ import annotations

import argparse
import ast
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rooms
from files_for import OTHER_PROJECTS

REGISTRIES = (
    "__init__.py",
    "operations.py",
    "wings/*.py",
    "wings_at_start.py",
    "lockstep/features/registry.py",
    "endpoint/actions.py",
)
"""The files of the package that may name what is taken out."""
FEATURES_BY_NAME = ("rooms.py", "take_apart.py")
"""The tools in whose tables the name of a feature alone stands for it: elsewhere `coverage` is a library."""
OF_OPTIONS = "tools/write_options.py"
"""Its tables name options, as `memory` and `trace` are, and no parts."""
CHECKS = ("imports", "runtimes", "slots", "ownership", "properties", "flags", "waits", "patches", "facts")
"""tools/check_*.py. The others of `make check` hold what is written about the whole: pages, counts and formats."""
OF_THE_WHOLE = {
    "tests/plugin/test_help.py::test_few_options_are_on_the_command_line": "it lists those of wings, too",
    "tests/plugin/test_typed_project.py": "it type-checks a project, and the examples, that use all there is",
    "tests/plugin/beside/test_without_other_plugins.py::test_without_all_of_them_at_once_and_with_our_options": (
        "one of its tests is a sweep"
    ),
    "tests/plugin/reports/test_events_never_run.py::test_an_event_that_an_operation_invoked_may_be_left_pending": (
        "of a table of how an event can be left, of which the endpoint's operations are one"
    ),
    "tests/plugin/test_runtime_factory.py::test_the_fixtures_work_on_a_runtime_of_a_module": (
        "all fixtures, those of wings included"
    ),
    "tests/plugin/test_runtime_factory.py::test_a_fixture_of_a_module_that_asks_for_one_of_a_test": "the same",
}
"""Tests of the kernel that ask about all that there is: they pass only where nothing is taken out."""
TESTS = ("tests/kernel", "tests/plugin")
READ = (rooms.PACKAGE, "tests", "tools")
"""Where sources are that may import a part."""
QUICK = ("tests/kernel/model", "tests/kernel/reports", "tests/kernel/events", "tests/plugin/test_fixtures.py")
"""What `--quick` runs of them."""
MOST_LEFT_OUT = {"programs": 3, "sweep": 2, "endpoint": 2, "real_cost": 1, "scripts": 6}
"""How many test files of the kernel may import a part; this only falls."""


@dataclass(frozen=True)
class Part:
    """What can be taken out: its files, in the package's directory, and its tests, below the tree."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    most_left_out: int


def parts() -> dict[str, Part]:
    """All of them, by name."""
    known = {**rooms.WINGS, **rooms.FEATURES}
    return {name: Part(name, each.files, each.tests, MOST_LEFT_OUT.get(name, 0)) for name, each in known.items()}


def copy(tree: Path, to: Path, below: Sequence[str] = ()) -> None:
    """Copy the files that Git knows, or would add: all of them, or those *below* these directories."""
    command = ["git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below]
    for name in os.fsdecode(subprocess.run(command, capture_output=True, check=True).stdout).split("\0")[:-1]:
        if (tree / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, to / name)


def take_out(part: Part, tree: Path) -> set[str]:
    """Take *part* out of *tree*; the names of the modules of the package and of the tests that are gone with it."""
    package = tree / rooms.PACKAGE
    gone = {name for name in _files(package) if rooms.is_of(name, part.files)}
    tests = {name for name in _files(tree / "tests", tree) if rooms.is_of(name, part.tests)}
    for path in (*(package / name for name in gone), *(tree / name for name in tests)):
        path.unlink()
    modules = {_module(f"{rooms.PACKAGE}/{name}") for name in gone if name.endswith(".py")}
    files = {name for pattern in REGISTRIES for name in package.glob(pattern)}
    files |= {*(tree / "tools").glob("*.py"), *(tree / "tests").glob("*internals.py")} - {tree / OF_OPTIONS}
    names: set[str] = set()
    for path in sorted(files):
        names |= _cut(path, part, modules, tree)
    return (
        modules | names | {Path(name).stem for name in tests} - {path.stem for path in (tree / "tests").rglob("*.py")}
    )


def _files(directory: Path, below: Path | None = None) -> Iterator[str]:
    for path in directory.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(below or directory).as_posix()


def _module(name: str) -> str:
    return ".".join(Path(name.removesuffix(".py").removesuffix("/__init__")).parts)


# -- rows ------------------------------------------------------------------------------------------------------------


def _cut(path: Path, part: Part, modules: set[str], tree: Path) -> set[str]:
    """Take the rows that name *part* out of the tables of a file, which loses its comments; the names that are gone."""
    inner = path.relative_to(tree).as_posix()
    module = ast.parse(path.read_bytes())
    cutter = _Cutter(part, modules, _module(inner).split("."), is_package=path.name == "__init__.py")
    if part.name not in rooms.WINGS and path.name not in FEATURES_BY_NAME:
        cutter.alone = None
    cut = cutter.visit(module)
    if cutter.has_cut:
        path.write_text(ast.unparse(ast.fix_missing_locations(cut)), encoding="utf-8")
    return {f"{path.stem if inner.startswith('tests/') else _module(inner)}.{name}" for name in cutter.names}


class _Cutter(ast.NodeTransformer):
    """Takes out imports of what is gone, and of tables, bases and definitions what has one of the names from these."""

    def __init__(self, part: Part, modules: set[str], inside: Sequence[str], *, is_package: bool) -> None:
        self._part = part
        self.alone: str | None = part.name
        """A text that is this and no more names the part; None: no text does."""
        self._modules = modules
        self._inside = inside if is_package else inside[:-1]
        self.names: set[str] = set()
        """What the file has no more."""
        self.has_cut = False

    def _is_gone(self, module: str) -> bool:
        return any(module == each or module.startswith(f"{each}.") for each in self._modules)

    def _names_it(self, text: str) -> bool:
        """Whether a text of a table names something that is gone: a part, a module, a file, or what it has."""
        path, dotted = text.partition(":")[0], text.removeprefix(f"{rooms.PACKAGE}.")
        return (
            text in self.names
            or text == self.alone
            or self._is_gone(f"{rooms.PACKAGE}.{dotted}")
            or rooms.is_of(path, self._part.files)
            or rooms.is_of(path, self._part.tests)
        )

    def _mentions(self, node: ast.AST) -> bool:
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in self.names:
                return True
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and self._names_it(each.value):
                return True
            if isinstance(each, ast.JoinedStr) and self._names_it(_written(each)):
                return True
        return False

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = [kept for each in node.body if (kept := self._statement(each)) is not None]
        return node

    def _statement(self, node: ast.stmt) -> ast.stmt | None:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            uses = any(isinstance(each, ast.ImportFrom) and self.loses(each) for each in ast.walk(node))
            annotated = [*ast.walk(node.args)] if isinstance(node, ast.FunctionDef) else []
            if uses or any(isinstance(each, ast.Name) and each.id in self.names for each in annotated):
                self.names.add(node.name)
                self.has_cut = True
                return None
            if isinstance(node, ast.ClassDef):
                node.bases = self._kept(node.bases)
            return node
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            node.value = self.visit(node.value)
            return node
        if isinstance(node, ast.If):
            node.body = [kept for each in node.body if (kept := self._statement(each)) is not None] or [ast.Pass()]
            return node
        return self._without_names(node) if isinstance(node, ast.ImportFrom) else node

    def loses(self, node: ast.ImportFrom) -> bool:
        """Whether it imports something that is gone."""
        base = self._absolute(node)
        return any(self._is_gone(base) or f"{base}.{alias.name}" in self._modules for alias in node.names)

    def _without_names(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        base = self._absolute(node)
        lost = [each for each in node.names if self._is_gone(base) or f"{base}.{each.name}" in self._modules]
        self.names.update(each.asname or each.name for each in lost)
        node.names = [each for each in node.names if each not in lost]
        self.has_cut = self.has_cut or bool(lost)
        return node if node.names else None

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        base = self._inside[: len(self._inside) - node.level + 1]
        return ".".join((*base, *([node.module] if node.module else [])))

    def _kept(self, nodes: Sequence[ast.expr]) -> list[ast.expr]:
        kept = [each for each in nodes if not self._mentions(each)]
        self.has_cut = self.has_cut or len(kept) < len(nodes)
        return kept

    def _collection(self, node: ast.Tuple | ast.List | ast.Set) -> ast.expr:
        node.elts = self._kept(node.elts)
        return node if node.elts or not isinstance(node, ast.Set) else ast.parse("set()", mode="eval").body

    visit_Tuple = visit_List = visit_Set = _collection

    def visit_Dict(self, node: ast.Dict) -> ast.Dict:
        rows = [
            (key, value)
            for key, value in zip(node.keys, node.values, strict=True)
            if not (key is not None and self._mentions(key))
            and not (isinstance(value, ast.Name) and value.id in self.names)
        ]
        self.has_cut = self.has_cut or len(rows) < len(node.keys)
        node.keys, node.values = [key for key, _ in rows], [self.visit(value) for _, value in rows]
        return node


def _written(node: ast.JoinedStr) -> str:
    """The text up to the first of its places whose value only running it would tell."""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += part.value
        elif isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "PACKAGE":
            text += rooms.PACKAGE
        else:
            break
    return text


# -- the rest --------------------------------------------------------------------------------------------------------


def still_imports(part: Part, tree: Path, gone: set[str]) -> list[str]:
    """Where the package imports what is *gone*; mypy finds that all the same, where the package is installed from."""
    found = []
    for name in sorted(_files(tree / rooms.PACKAGE, tree)):
        if name.endswith(".py"):
            finder = _Cutter(part, gone, _module(name).split("."), is_package=name.endswith("/__init__.py"))
            imports = [each for each in _imports((tree / name).read_bytes()) if isinstance(each, ast.ImportFrom)]
            found += [f"{name}:{each.lineno}" for each in imports if finder.loses(each)]
    return found


def left_out(tree: Path, gone: set[str], chosen: Iterable[str] = TESTS) -> list[str]:
    """The files with tests of *chosen* that import what is gone, or what imports it."""
    modules = {path.stem: path for path in (tree / "tests").rglob("*.py")}
    imported = {name: _imported(path) for name, path in modules.items()}
    lost: set[str] = set()
    while more := {name for name, targets in imported.items() if name not in lost and targets & (gone | lost)}:
        lost |= more
    found = (modules[name].relative_to(tree).as_posix() for name in lost if name.startswith("test_"))
    return sorted(name for name in found if name.startswith(tuple(chosen)) and not name.startswith(OTHER_PROJECTS))


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in _imports(path.read_bytes()):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@functools.cache
def _imports(source: bytes) -> list[ast.Import | ast.ImportFrom]:
    """All of a source, which is the same for most parts."""
    return [each for each in ast.walk(ast.parse(source)) if isinstance(each, (ast.Import, ast.ImportFrom))]


def commands_for(part: Part, *, quick: bool, workers: str) -> list[list[str]]:
    """What has to pass without *part*, as arguments of Python."""
    deselected = [f"--deselect={name}" for name in (*OF_THE_WHOLE, *part.tests) if "::" in name or name in OF_THE_WHOLE]
    return [
        ["-m", "mypy", "--strict", *os.environ.get("TYPES_OF", "").split(), rooms.PACKAGE],
        *([f"tools/check_{name}.py"] for name in CHECKS),
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", workers, *(QUICK if quick else TESTS), *deselected],
    ]


def is_whole_without(part: Part, tree: Path, commands: Sequence[Sequence[str]], below: Sequence[str] = ()) -> bool:
    """Whether all *commands* pass in a copy of *tree* without *part*; prints what is left out, and what fails.

    Without commands only imports are asked about, which needs no more than what is *below* some directories.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"without-{part.name}-") as directory:
        rest = Path(directory).resolve()
        rest.chmod(0o755)  # some tests are run as an ordinary user
        copy(tree, rest, below)
        cache = Path(os.environ.get("MYPY_CACHE_DIR") or tree / ".mypy_cache")
        if commands and cache.is_dir():
            shutil.copytree(cache, rest / ".mypy_cache")
        gone = take_out(part, rest)
        without = left_out(rest, gone)
        if commands or len(without) > part.most_left_out:
            found = f"without {part.name}: {len(without)} test files import what is gone"
            print(found, *without, sep="\n  ", flush=True)
        if len(without) > part.most_left_out:
            print(f"without {part.name}: at most {part.most_left_out} may do so: move tests to those of {part.name}")
            return False
        if wanted := still_imports(part, rest, gone):
            print(f"without {part.name}: these import what is gone: {', '.join(wanted)}")
            return False
        for command in commands:
            ignored = [f"--ignore={name}" for name in without if "pytest" in command]
            if not _passes([*command, *ignored], rest):
                print(f"without {part.name}: this fails: {' '.join(command)}", flush=True)
                return False
    if commands:
        print(f"without {part.name}: the rest is whole ({time.monotonic() - began:.0f} s)", flush=True)
    return True


def _passes(command: Sequence[str], tree: Path) -> bool:
    surroundings = {**os.environ, "PYTHONPATH": os.fspath(tree), "MYPY_CACHE_DIR": os.fspath(tree / ".mypy_cache")}
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, env=surroundings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-5_000:], flush=True)
    elif "pytest" in command:
        print(done.stdout.rstrip().rpartition("\n")[2], flush=True)
    return done.returncode == 0


def whose_turn(tree: Path, names: Sequence[str]) -> str:
    """The one that the contents of the last commit choose."""
    command: list[str | Path] = ["git", "-C", tree, "rev-parse", "HEAD^{tree}"]
    return names[int(subprocess.run(command, capture_output=True, text=True, check=True).stdout, 16) % len(names)]


def main(arguments: Sequence[str]) -> int:
    known = parts()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--all", action="store_true", help="each in turn")
    parser.add_argument("--next", action="store_true", help="the one whose turn it is, by the contents of the commit")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--imports", action="store_true", help="run nothing: find what imports what is gone")
    parser.add_argument("--quick", action="store_true", help="run only a few of the tests")
    parser.add_argument("-n", default="2", metavar="WORKERS", help="pytest's processes")
    given = parser.parse_args(arguments)
    if given.list:
        print(*known)
        return 0
    names = list(known) if given.all else [whose_turn(rooms.TREE, [*known])] if given.next else given.names
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        parser.error(f"{unknown or 'no name'}: it must be one of {', '.join(known)}")
    failed = []
    for name in names:
        commands = [] if given.imports else commands_for(known[name], quick=given.quick, workers=given.n)
        if not is_whole_without(known[name], rooms.TREE, commands, READ if given.imports else ()):
            failed.append(name)
    whole = "nobody imports what would be gone" if given.imports else "the rest is whole"
    print(f"take_apart: {', '.join(failed)} cannot be taken out" if failed else f"take_apart: {whole}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
