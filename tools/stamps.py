"""Says which test files a leg of CI need not run again: they passed there, and nothing that they use has changed since.

What a test file depends on, as contents and never by time or place:
- itself, and the test modules from which it imports;
- the build (BUILD): what makes the environments and chooses the tests;
- the kernel, with each file of a wing that comes along when it is imported, and what the table of wings loads itself;
- what tests share: all other files below tests/ that are no wing's;
- each wing that it uses, and what that wing uses: the wing whose tests it is one of, and those whose words (rooms.py)
  or modules stand in it, or in what it takes of helpers and of a conftest.py;
- all files of the tree, if it reads those, is about the project itself, or is one of the examples;
- the leg: its selection and arguments, Python, the installed packages, the machine's tools, and who runs it.

One hash of all that is its key. A leg that has passed keeps the keys of its files (`keep`), and its next run leaves out
the files whose keys are the same (`choose`). Where there is no Git work tree there are no keys, and all files run.

Run: python tools/stamps.py environment | choose | keep (.ci/stamps.sh does) | without WING
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import check_imports
import rooms

BUILD = ("pyproject.toml", "Makefile", ".ci/", "tools/", "conftest.py")
READS_THE_TREE = re.compile(
    r"^\.parents$|^getsource|^walk_packages$|^iter_modules$|^marks_of_items$|^TREE$|^PACKAGE$",
    re.MULTILINE,
)
"""What a test says, as of a wing, that reads files of the project: it looks for them from above its own folder."""
FILE_OF = "the file of "
"""Before what a test asks for its ``__file__``, among the names that it says."""
OWN_MODULES = re.compile(rf"\b{rooms.PACKAGE}\.[\w.]+")
EXAMPLES = "examples/"
OF_THE_PROJECT = ("tests/project/", EXAMPLES)
"""Tests that may read any file."""
REGISTRIES = frozenset({f"{rooms.PACKAGE}.command_line", f"{rooms.PACKAGE}.wings.commands"})
"""Modules of the kernel that name wings, and load one only when it is asked for: a test that does so has its words."""
TABLE_OF_WINGS = f"{rooms.PACKAGE}.wings"
"""What its other modules import of a wing may be loaded in any session: that alone, and not what it imports in turn."""
COMMANDS = (
    *("cc", "chromium", "chromium-browser", "google-chrome", "curl", "gdb", "go", "node", "npm", "podman", "postgres"),
    *("qemu-aarch64", "qemu-aarch64-static", "redis-server", "strace", "unshare"),
)
"""What tests may need: a file whose tests were left out for want of one is to run once it is there."""
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass
class Part:
    """What a piece of a test module says: texts, and names, by which it may take others along."""

    texts: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    """The dotted names of what it imports, and the first part of each."""
    folders: int = 0
    """How many folders its module is below the tree: that index of its path's ``parents`` is the tree."""

    def add(self, other: Part) -> None:
        self.texts |= other.texts
        self.names |= other.names
        self.modules |= other.modules

    def read(self, node: ast.AST) -> None:
        """Add what *node* says; its docstrings and comments do not count."""
        if isinstance(node, ast.Name):
            self.names.add(node.id)
            return
        if isinstance(node, ast.Constant):
            self._read_value(node.value)
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                self.read_import(node, alias)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Attribute):
            self.names.add(node.attr)
            if node.attr == "__file__":
                self.names.add(FILE_OF + ast.unparse(node.value))
            elif node.attr == "parents":
                self.names.add(".parents")
        elif isinstance(node, ast.Subscript) and self._stays_in_tests(node):
            node = node.value
        elif isinstance(node, (ast.arg, ast.keyword)):
            self.names.add(node.arg or "")
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.read(value)
            elif isinstance(value, list):
                for each in value:
                    if isinstance(each, ast.AST):
                        self.read(each)

    def read_import(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        dotted = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        self.texts.add(dotted)
        self.names.add(alias.name)
        self.modules |= {dotted, dotted.partition(".")[0]}

    def _stays_in_tests(self, node: ast.Subscript) -> bool:
        of_parents = isinstance(node.value, ast.Attribute) and node.value.attr == "parents"
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return of_parents and isinstance(index, int) and 0 <= index < self.folders

    def _read_value(self, value: object) -> None:
        if isinstance(value, (str, bytes)):
            text = value if isinstance(value, str) else value.decode("latin-1")
            self.texts.add(text)
            if text.isidentifier():  # a fixture may be asked for by its name
                self.names.add(text)

    @cached_property
    def text(self) -> str:
        """All of it for a pattern: texts in quotation marks, and names without, each on lines of its own."""
        return "\n".join((*(f'"{text}"' for text in self.texts), *self.names))


@dataclass
class Module:
    """A module of the tests: what others may take of it by its names, and what comes along in any case."""

    named: dict[str, list[Part]]
    always: Part
    """What runs or holds for whoever imports it: autouse fixtures, calls at its top."""

    @classmethod
    def read(cls, text: str, folders: int) -> Module:
        module = cls({}, Part())
        for node in ast.parse(text).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    part = Part()
                    part.read_import(node, alias)
                    module.named.setdefault((alias.asname or alias.name).partition(".")[0], []).append(part)
                continue
            part = Part(folders=folders)
            part.read(node)
            names = set(_bound(node))
            if not names or (isinstance(node, DEFINITIONS) and "autouse" in part.names):
                module.always.add(part)
            for name in names:
                module.named.setdefault(name, []).append(part)
        return module


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, DEFINITIONS):
        yield node.name
    elif not isinstance(node, ast.Expr):
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                yield each.id
            elif isinstance(each, DEFINITIONS):
                yield each.name
            elif isinstance(each, (ast.Import, ast.ImportFrom)):
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in each.names)


class Tree:
    """The project's files, by their contents, and what each test file depends on."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self.names = sorted(name for name in names if (root / name).is_file())
        self.hashes = {name: _content(root / name) for name in self.names}
        self._modules: dict[str, Module] = {}
        self._said: dict[int, tuple[set[str], bool]] = {}
        self.package = [name for name in self.names if name.startswith(f"{rooms.PACKAGE}/")]
        self.shared = [name for name in self.names if name.startswith("tests/") and not is_test(name)]
        self.tests = [name for name in self.names if name.startswith(("tests/", EXAMPLES)) and is_test(name)]
        self.by_stem: dict[str, list[str]] = {}
        """The modules of the tests, by name: pytest has the folder of each test that it collects in ``sys.path``."""
        for name in self.names:
            if name.startswith("tests/") and name.endswith(".py"):
                self.by_stem.setdefault(Path(name).stem, []).append(name)

    @classmethod
    def of_git(cls, root: Path) -> Tree:
        """The files that Git knows, or would add. Raises ``CalledProcessError`` where *root* is no work tree."""
        command: list[str | Path] = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout
        return cls(root, os.fsdecode(listed).split("\0")[:-1])

    def hash_of(self, names: Iterable[str]) -> str:
        return digest(*(f"{name}={self.hashes[name]}" for name in sorted(names)))

    def module(self, name: str) -> Module:
        if name not in self._modules:
            text = (self.root / name).read_text(encoding="utf-8")
            self._modules[name] = Module.read(text, len(Path(name).parts) - 1)
        return self._modules[name]

    @cached_property
    def files_elsewhere(self) -> set[str]:
        """What a test says that asks for the file of a module which is none of the package."""
        others = {*sys.stdlib_module_names, *self.by_stem} - {Path(name).stem for name in self.package}
        return {FILE_OF + name for name in others}

    @cached_property
    def imports(self) -> dict[str, dict[str, bool]]:
        """What each module of the package imports of it, and whether that is when it is imported itself."""
        package = self.root / rooms.PACKAGE
        modules = [check_imports.Module(self.root / name, package) for name in self.package if name.endswith(".py")]
        names = frozenset(module.name for module in modules)
        found: dict[str, dict[str, bool]] = {}
        for module in modules:
            finder = check_imports.Finder(module, names)
            finder.visit(ast.parse(module.path.read_bytes()))
            found[module.name] = {}
            for one in finder.found:
                if one.target in names:
                    found[module.name][one.target] = found[module.name].get(one.target, False) or one.eager
        return found

    @cached_property
    def kernel(self) -> list[str]:
        """The files of the kernel, with those of wings that come along when it is imported, or by TABLE_OF_WINGS."""
        reached = {_module_of(name) for name in self.package if _owner(name) == rooms.KERNEL and name.endswith(".py")}
        todo = [*(reached - REGISTRIES)]
        while todo:
            for target, eager in self.imports[todo.pop()].items():
                if eager and target not in reached:
                    reached.add(target)
                    todo.append(target)
        table = [name for name in self.imports if name.startswith(f"{TABLE_OF_WINGS}.") and name not in REGISTRIES]
        reached.update(*(self.imports[name] for name in table))
        return [name for name in self.package if _owner(name) == rooms.KERNEL or _module_of(name) in reached]

    @cached_property
    def wings(self) -> dict[str, list[str]]:
        """What each wing has: its files, and what its tests share."""
        return {
            wing: [
                *(name for name in self.package if _owner(name) == wing),
                *(name for name in self.shared if rooms.wing_of_test(name) == wing),
            ]
            for wing in rooms.WINGS
        }

    @cached_property
    def uses(self) -> dict[str, set[str]]:
        """The wings that each wing uses, itself included: by imports, and by the table."""
        used = {name: {name, *wing.uses} for name, wing in rooms.WINGS.items()}
        for module, targets in self.imports.items():
            if self.owners[module] != rooms.KERNEL:
                used[self.owners[module]] |= {self.owners[target] for target in targets} - {rooms.KERNEL}
        for _ in used:
            for wings in used.values():
                wings.update(*(used[wing] for wing in tuple(wings)))
        return used

    @cached_property
    def owners(self) -> dict[str, str]:
        """Whose each module of the package is, by its dotted name; of what the kernel imports, the kernel's."""
        kernel = set(self.kernel)
        return {_module_of(name): rooms.KERNEL if name in kernel else _owner(name) for name in self.package}

    def parts_of(self, test: str) -> tuple[list[Part], set[str]]:
        """What a test says, with all that it takes of helpers; and the test modules among those."""
        folders = Path(test).parents[:-1]  # what is above them is of the build
        above = {name for folder in folders if (name := str(folder / "conftest.py")) in self.hashes}
        own = self.module(test)
        parts: dict[int, Part] = {}
        names: set[str] = set()
        modules: set[str] = set()
        helpers: set[str] = set()
        new = [own.always, *(part for parts_of_name in own.named.values() for part in parts_of_name)]
        while new:
            parts.update({id(part): part for part in new})
            names.update(*(part.names for part in new))
            modules.update(*(part.modules for part in new))
            helpers = {name for each in modules & self.by_stem.keys() for name in self.by_stem[each]} | above
            found = [self.module(name) for name in helpers - {test}]
            new = [module.always for module in found]
            new += [part for module in found for name in module.named.keys() & names for part in module.named[name]]
            new = [part for part in new if id(part) not in parts]
        return list(parts.values()), {name for name in helpers if is_test(name)}

    def said_by(self, part: Part) -> tuple[set[str], bool]:
        """The wings of which *part* says something, and whether it reads the tree."""
        if id(part) not in self._said:
            dotted = part.modules | {name for text in part.texts for name in OWN_MODULES.findall(text)}
            wings = {self.owners[name] for name in dotted & self.owners.keys()} - {rooms.KERNEL}
            wings |= {name for name, wing in rooms.WINGS.items() if re.search(wing.words, part.text, re.MULTILINE)}
            places = {name for name in part.names if name.startswith(FILE_OF)} - self.files_elsewhere
            self._said[id(part)] = wings, bool(places) or READS_THE_TREE.search(part.text) is not None
        return self._said[id(part)]

    def touched(self, test: str) -> tuple[set[str], bool, set[str]]:
        """The wings that a test file uses, whether it reads the tree, and the test modules from which it imports."""
        if test.startswith(OF_THE_PROJECT):
            return set(rooms.WINGS), True, set()
        parts, modules = self.parts_of(test)
        said = [self.said_by(part) for part in parts]
        wings = set().union(*(wings for wings, _ in said)) | ({rooms.wing_of_test(test)} - {rooms.KERNEL})
        return set().union(*(self.uses[wing] for wing in wings)), any(reads for _, reads in said), modules

    @cached_property
    def keys(self) -> dict[str, str]:
        """The key of each test file, for any leg."""
        own_support = {name for name in self.shared if rooms.wing_of_test(name) == rooms.KERNEL}
        build = [name for name in self.names if rooms.is_of(name, BUILD)]
        common = digest(self.hash_of(build), self.hash_of(self.kernel), self.hash_of(own_support))
        everything = self.hash_of(self.names)
        wings = {wing: self.hash_of(names) for wing, names in self.wings.items()}
        found = {}
        for test in self.tests:
            touched, reads, modules = self.touched(test)
            of_wings = (f"{wing}={wings[wing]}" for wing in sorted(touched))
            found[test] = everything if reads else digest(common, self.hash_of({test, *modules}), *of_wings)
        return found


def _content(path: Path) -> str:
    """What Git keeps of a file: its bytes, and whether it can be run."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} {bool(path.stat().st_mode & 0o111)}"


def is_test(name: str) -> bool:
    return Path(name).name.startswith("test_") and name.endswith(".py")


def _owner(name: str) -> str:
    """Whose a file of the package is, by its path from the tree."""
    return rooms.wing_of(name.partition("/")[2])


def _module_of(name: str) -> str:
    """The dotted name of a file of the package, by its path from the tree."""
    return ".".join(Path(name.removesuffix(".py").removesuffix("/__init__")).parts)


def environment() -> str:
    """What of a leg is this interpreter's and this machine's."""
    packages = sorted(f"{each.name} {each.version}" for each in importlib.metadata.distributions())
    commands = [f"{name} {shutil.which(name)}" for name in COMMANDS]
    return digest(sys.version, platform.machine(), os.uname().release, str(os.geteuid()), *packages, *commands)


def leg_keys(keys: Mapping[str, str], about: str, files: Sequence[str]) -> dict[str, str]:
    """The key of each of *files* in the leg that *about* describes; a file that Git does not know has none."""
    return {name: digest(about, keys[name]) for name in files if name in keys}


def read_json(path: Path) -> dict[str, str]:
    """What is kept in a file; nothing, if it is not there or is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Mapping[str, str]) -> None:
    """Replace a file as a whole: legs run side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(json.dumps(value, indent=0), encoding="utf-8")
    new.replace(path)


def report(left_out: Sequence[str]) -> str:
    """The sentence about what is left out."""
    owners = Counter(rooms.wing_of_test(name) for name in left_out)
    whose = ", ".join(f"{owner} {number}" for owner, number in sorted(owners.items()))
    files = f"{len(left_out):,} test file{'s' * (len(left_out) > 1)}"
    why = "as they passed here, and nothing that they use has changed since"
    return f"not run again: {files} ({whose}), {why} (CI_ALL=1 runs all)"


def current_keys(scratch: Path) -> dict[str, str]:
    """The key of each test file, read once a run of CI; none, where there is no Git work tree."""
    file = scratch / "stamps-keys.json"
    if not file.exists():
        try:
            keys = Tree.of_git(rooms.TREE).keys
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no test file is left out, as Git cannot say which files there are: {error}", file=sys.stderr)
            keys = {}
        write_json(file, keys)
    return read_json(file)


def choose(scratch: Path, store: Path, leg: str, environment_of_leg: str, files: Sequence[str]) -> list[str]:
    """The files that the leg can leave out; what `keep` is to keep is in *scratch* from then on."""
    new = leg_keys(current_keys(scratch), digest(leg, environment_of_leg), files)
    write_json(scratch / file_of(leg), new)
    passed = {} if os.environ.get("CI_ALL") else read_json(store / file_of(leg))
    return [name for name in files if name in new and passed.get(name) == new[name]]


def keep(scratch: Path, store: Path, leg: str) -> None:
    """Keep the keys of a leg that has passed, in place of those of its last run."""
    write_json(store / file_of(leg), read_json(scratch / file_of(leg)))


def file_of(leg: str) -> str:
    return f"stamps-{digest(leg)[:16]}.json"


def without(wing: str) -> list[str]:
    """The test files that do not use *wing*, nor the whole tree: they pass without it."""
    tree = Tree.of_git(rooms.TREE)
    found = {test: tree.touched(test) for test in tree.tests}
    return [test for test, (wings, reads, _) in found.items() if wing not in wings and not reads]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "choose": "print those of FILE that have to run",
        "keep": "keep the keys of the files that `choose` was given, as the leg has passed",
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--scratch", type=Path, required=True, help="what one run of CI notes")
        command.add_argument("--store", type=Path, required=True, help="where the keys of legs are kept")
        command.add_argument("--leg", required=True, help="its selection and arguments")
        if name == "choose":
            command.add_argument("--environment", default="", help="what else the leg depends on")
            command.add_argument("files", nargs="*", metavar="FILE")
    commands.add_parser("environment", help="print the hash of this interpreter, its packages and this machine's tools")
    commands.add_parser("without", help="print the test files that do not use a wing").add_argument("wing")
    options = parser.parse_args()
    if options.command == "environment":
        print(environment())
    elif options.command == "without":
        print(*without(options.wing))
    elif options.command == "keep":
        keep(options.scratch, options.store, options.leg)
    else:
        left_out = choose(options.scratch, options.store, options.leg, options.environment, options.files)
        if left_out:
            print(report(left_out), file=sys.stderr)
        print(*(name for name in options.files if name not in left_out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
