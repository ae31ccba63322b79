"""Prints the files that have a test which a selection of marks may choose; CI collects no others.

Run: python tools/files_for.py "interpreter and not go". Nothing is imported: a mark is one that a test has for certain
where it is written at the file (`pytestmark`), at the class or at the test, and one that a test may have where it is
written anywhere in the file, or in a helper that the file imports: a table of cases may give it. A file is left out
where the selection is false of each of its tests, whichever of the second marks they have.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parent.parent
FOLDERS = (
    "tests/kernel",
    "tests/programs",
    "tests/endpoint",
    "tests/conformance",
    "tests/trace",
    "tests/triggers",
    "tests/timers",
    "tests/deployable",
    "tests/sweep",
    "tests/plugin",
    "tests/project",
    "examples",
)
"""What `make test` collects: the `testpaths` of pyproject.toml."""
OTHER_PROJECTS = ("tests/plugin/typed_project/",)
"""What a `collect_ignore` leaves out."""
CONFTEST = "conftest.py"
OF_EXAMPLES = frozenset({"repeat", "sandbox"})
"""What conftest.py marks examples with."""
MARK = re.compile(r"\bmark\.(\w+)")
IMPORT = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def holds(selection: str, certain: frozenset[str], possible: frozenset[str]) -> bool | None:
    """Whether *selection* (names, `and`, `or`, `not`, brackets) is true of a test with these marks; None: it may be."""
    return _holds(ast.parse(selection.strip(), mode="eval").body, certain, possible)


def _holds(node: ast.expr, certain: frozenset[str], possible: frozenset[str]) -> bool | None:
    if isinstance(node, ast.Name):
        return True if node.id in certain else None if node.id in possible else False
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        value = _holds(node.operand, certain, possible)
        return None if value is None else not value
    if isinstance(node, ast.BoolOp):
        decisive = isinstance(node.op, ast.Or)
        values = [_holds(each, certain, possible) for each in node.values]
        return decisive if decisive in values else None if None in values else not decisive
    raise ValueError(f"a selection has names of marks, and, or, not and brackets alone: {ast.unparse(node)!r}")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _expression(name: str) -> ast.expr:
    """The value of the table of that *name* in conftest.py."""
    for node in _parsed(TREE / CONFTEST).body:
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target) == name
        ):
            return node.value or ast.Constant(None)
    raise LookupError(f"{CONFTEST} has no {name}")


@cache
def _table(name: str) -> Any:
    return ast.literal_eval(_expression(name))


def on_the_oldest() -> Mapping[str, tuple[str, ...]]:
    """Why the oldest Python runs some files, each with these, or with folders of them."""
    found: Mapping[str, tuple[str, ...]] = _table("ON_THE_OLDEST")
    return found


def long() -> Mapping[str, tuple[str, ...]]:
    """What takes long, each with its files."""
    found: Mapping[str, tuple[str, ...]] = _table("LONG")
    return found


def in_turn() -> tuple[tuple[str, ...], ...]:
    """The groups of long files of which a run of all of CI's legs has one."""
    found: tuple[tuple[str, ...], ...] = _table("IN_TURN")
    return found


def of_other_turns(turn: int) -> frozenset[str]:
    """The files that a run with that *turn*, which may be any number, leaves to other runs."""
    groups = in_turn()
    mine = turn % len(groups)
    return frozenset(name for at, names in enumerate(groups) if at != mine for name in names)


def needs() -> list[str]:
    """The marks of tests that need something which a machine may lack."""
    table = _expression("NEEDS")
    assert isinstance(table, ast.Dict)
    return [ast.literal_eval(key or ast.Constant(None)) for key in table.keys]


def written(nodes: list[ast.expr]) -> frozenset[str]:
    """The marks that *nodes* are themselves: `pytest.mark.once`, `pytest.mark.timeout(5)`, or a list of such."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.List | ast.Tuple):
            found |= written(node.elts)
        elif mark := MARK.fullmatch(
            ast.unparse(node.func if isinstance(node, ast.Call) else node).removeprefix("pytest.")
        ):
            found.add(mark[1])
    return frozenset(found)


def certain_marks(tree: ast.Module) -> dict[str, frozenset[str]]:
    """Each test of a module, or class of tests, with the marks that all of its cases have.

    A test that comes about in another way (imported, made by a call, in a branch) is there under the name "", with
    those of the file.
    """
    of_file: frozenset[str] = frozenset()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            of_file = written([node.value])
    found = {"": of_file} if any(_makes_tests(node) for node in tree.body) else {}
    for node in tree.body:
        if isinstance(node, DEFINITIONS) and node.name.startswith(("test", "Test")):
            found[node.name] = of_file | written(node.decorator_list)
    return found


def _makes_tests(node: ast.stmt) -> bool:
    if isinstance(node, (*DEFINITIONS, ast.Import)):
        return False
    if isinstance(node, ast.ImportFrom):
        return any((each.asname or each.name).startswith(("test", "Test", "*")) for each in node.names)
    return any(
        (isinstance(each, DEFINITIONS) and each.name.startswith(("test", "Test")))
        or (isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and each.id.startswith(("test", "Test")))
        for each in ast.walk(node)
    )


@cache
def _modules(tree: Path) -> Mapping[str, list[Path]]:
    """The modules of the tests, by name: pytest has the folder of each test that it collects in ``sys.path``."""
    found: dict[str, list[Path]] = {}
    for path in (tree / "tests").rglob("*.py"):
        if path.name != CONFTEST:
            found.setdefault(path.stem, []).append(path)
    return found


@cache
def _read(path: Path) -> tuple[frozenset[str], tuple[Path, ...]]:
    """The marks that are written in a file, and the files that can add to them: what it imports, its conftest.py's."""
    text = path.read_text(encoding="utf-8")
    names = IMPORT.findall(text)
    others = [path.parent / f"{name}.py" for name in names]
    others += [other for name in names for other in _modules(TREE).get(name, ())]
    others += [above / "conftest.py" for above in path.parents if above != TREE and above.is_relative_to(TREE)]
    return frozenset(MARK.findall(text)), tuple(other for other in others if other.exists())


def possible_marks(path: Path) -> frozenset[str]:
    """Each mark that may be on a test of a file."""
    seen, found = {path}, [path]
    for each in found:  # it grows
        more = [other for other in _read(each)[1] if other not in seen]
        seen.update(more)
        found += more
    return frozenset().union(*(_read(each)[0] for each in found))


def given_marks(path: Path) -> frozenset[str]:
    """The marks that conftest.py may give to tests of a file."""
    name = str(path.relative_to(TREE))
    of_examples = OF_EXAMPLES if name.startswith("examples/") else frozenset()
    oldest = any(Path(name).is_relative_to(entry) for entries in on_the_oldest().values() for entry in entries)
    is_long = any(name in names for names in long().values())
    return of_examples | ({"oldest"} if oldest else set()) | ({"long"} if is_long else set())


def marks_of(path: Path) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """Each test of a file below the tree, with the marks that it has, and with all that it may have."""
    possible = possible_marks(path) | given_marks(path)
    for test, certain in certain_marks(_parsed(path)).items():
        yield test, certain, possible


def may_choose(selection: str, path: Path) -> bool:
    """Whether *selection* may choose a test of a file below the tree."""
    any_test = holds(selection, frozenset(), possible_marks(path) | given_marks(path))  # quick, and mostly enough
    if any_test is not None:
        return any_test
    return any(holds(selection, certain, possible) is not False for _, certain, possible in marks_of(path))


def files_for(selection: str, folders: tuple[str, ...] = FOLDERS) -> list[str]:
    """The files below *folders* with a test that *selection* may choose, as paths from the tree."""
    paths = (path for folder in folders for path in sorted((TREE / folder).rglob("test_*.py")))
    names = {str(path.relative_to(TREE)): path for path in paths}
    return [name for name, path in names.items() if not name.startswith(OTHER_PROJECTS) and may_choose(selection, path)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("selection", nargs="?", default="", help="as pytest's -m")
    parser.add_argument("--needs", action="store_true", help="print a selection instead: what a machine may lack")
    parser.add_argument("--turn", type=int, help="leave out the files of IN_TURN (conftest.py) whose turn it is not")
    parser.add_argument("--others", action="store_true", help="print those that --turn leaves out instead")
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="files below these alone")
    options = parser.parse_args()
    others = frozenset() if options.turn is None else of_other_turns(options.turn)
    if options.others:
        print(*sorted(others))
        return 0
    if options.needs:
        print(" or ".join(needs()))
        return 0
    print(*(name for name in files_for(options.selection, tuple(options.folders)) if name not in others))
    return 0


if __name__ == "__main__":
    sys.exit(main())
