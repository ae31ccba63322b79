"""A test that reads a version of Python or the sandbox has the mark for it: marks choose what CI runs where."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

# once: reads the sources of tests
pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[2]
OTHERS = ("clients", "libraries", "wire", "plugin/typed_project")
"""Folders of tests that have an environment of their own."""

ATTRIBUTES = {
    ("sys", "version_info"): {"interpreter"},
    ("sys", "hexversion"): {"interpreter"},
    ("sys", "version"): {"interpreter"},
    ("sys", "implementation"): {"interpreter"},
    ("platform", "python_version"): {"interpreter"},
    ("platform", "python_version_tuple"): {"interpreter"},
    ("platform", "python_implementation"): {"interpreter"},
    ("os", "geteuid"): {"sandbox"},
    ("os", "getuid"): {"sandbox"},
}
"""What a test reads, and the marks that it needs by that."""
FIXTURES = {"mounted": {"sandbox"}, "unmounted": {"sandbox"}}
KEYWORDS = {"sandbox": {"sandbox"}}
"""Keywords of calls."""
TEXTS = {".".join(attribute): marks for attribute, marks in ATTRIBUTES.items()} | {
    "--scf-async-sandbox": {"sandbox"},
    "curl -s": {"curl"},
}
"""In the code of a handler, and in a command line of pytest."""

Names = Mapping[str, set[str]]
"""Names of a module, each with the marks that a test needs which uses it."""


def facts_of(node: ast.AST) -> tuple[set[str], set[str]]:
    """The marks that *node* needs by what it reads itself, and the names that it uses."""
    needed: set[str] = set()
    used: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            used.add(each.id)
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            needed |= ATTRIBUTES.get((each.value.id, each.attr), set())
        elif isinstance(each, ast.arg):
            used.add(each.arg)
            needed |= FIXTURES.get(each.arg, set())
        elif isinstance(each, ast.keyword):
            needed |= KEYWORDS.get(each.arg or "", set())
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            for text, marks in TEXTS.items():
                if text in each.value:
                    needed |= marks
    return needed, used


def marked(node: ast.AST, mark: str) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == mark for each in ast.walk(node))


def defined(tree: ast.Module) -> dict[str, ast.AST]:
    """The names at the top of a module, with what defines them."""
    found: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.If | ast.With):
            for name in ast.walk(node):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    found[name.id] = node
    return found


def needs(tree: ast.Module, helpers: Mapping[str, Names]) -> dict[str, set[str]]:
    """Which marks each name at the top of a module needs: what it reads, and what is read by the names that it uses."""
    needed: dict[str, set[str]] = {}
    uses: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            theirs = helpers.get(node.module or "", {})
            needed |= {alias.asname or alias.name: set(theirs.get(alias.name, ())) for alias in node.names}
    for name, node in defined(tree).items():
        needed[name], uses[name] = facts_of(node)
    changed = True
    while changed:
        changed = False
        for name, used in uses.items():
            more = set().union(*(needed.get(each, set()) for each in used))
            if not more <= needed[name]:
                needed[name] |= more
                changed = True
    return needed


def is_test(node: ast.stmt) -> bool:
    prefixes = {ast.FunctionDef: "test_", ast.AsyncFunctionDef: "test_", ast.ClassDef: "Test"}
    return type(node) in prefixes and str(getattr(node, "name", "")).startswith(prefixes[type(node)])


def decorators_of(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Each test, or class of tests, with its decorators."""
    return {getattr(node, "name", ""): getattr(node, "decorator_list", []) for node in tree.body if is_test(node)}


def carrying(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """Each test with all that may carry its mark: that of the file, its decorators, and the tables that these name."""
    nodes = {name: node for name, node in defined(tree).items() if isinstance(node, ast.Assign | ast.AnnAssign)}
    of_file = [nodes["pytestmark"]] if "pytestmark" in nodes else []
    found: dict[str, list[ast.AST]] = {}
    for test, decorators in decorators_of(tree).items():
        found[test] = [*of_file, *decorators]
        for node in found[test]:  # it grows: a table may name another
            found[test] += [
                nodes[name] for name in facts_of(node)[1] if name in nodes and nodes[name] not in found[test]
            ]
    return found


def unmarked(tree: ast.Module, helpers: Mapping[str, Names] | None = None) -> list[str]:
    """The tests of a module that need a mark which they do not have, as ``test_name: mark``."""
    needed = needs(tree, helpers or {})
    return [
        f"{test}: {mark}"
        for test, nodes in carrying(tree).items()
        for mark in sorted(needed[test])
        if not any(marked(node, mark) for node in nodes)
    ]


def contradictions(tree: ast.Module) -> list[str]:
    """The tests of a module that depend on Python and run on one alone; cases of one test may differ."""
    file = [node for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0])]
    found = []
    for test, decorators in decorators_of(tree).items():
        of_all_cases = [*file, *(each for each in decorators if isinstance(each, ast.Attribute))]
        if all(any(marked(node, mark) for node in of_all_cases) for mark in ("interpreter", "once")):
            found.append(test)
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def helper_names() -> dict[str, Names]:
    """The names of the modules that tests import from each other's folders."""
    paths = [path for path in sorted(TESTS.rglob("*.py")) if not path.name.startswith(("test_", "conftest"))]
    found: dict[str, Names] = {}
    for _ in range(2):  # helpers import each other
        for path in paths:
            found[path.stem] = needs(parsed(path), found)
    return found


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("def test_a():\n    assert sys.version_info >= (3, 12)", "interpreter"),
        ("@pytest.mark.skipif(sys.hexversion < 0x030C0000, reason='old')\ndef test_a(): pass", "interpreter"),
        ("NEW = platform.python_version() > '3.12'\ndef test_a():\n    assert NEW", "interpreter"),
        ("def new():\n    return sys.version_info\ndef test_a():\n    assert new()", "interpreter"),
        ("CASES = [1] if sys.version_info > (3, 12) else []\n@cases(CASES)\ndef test_a(): pass", "interpreter"),
        ("from helper import SINCE\ndef test_a():\n    assert SINCE", "interpreter"),
        ("HANDLER = 'print(sys.version_info)'\ndef test_a():\n    deploy(HANDLER)", "interpreter"),
        ("class TestIt:\n    def test_a(self):\n        assert sys.version_info", "interpreter"),
        ("def test_a(mounted): pass", "sandbox"),
        ("def test_a(unmounted): pass", "sandbox"),
        ("@pytest.fixture\ndef place(mounted): pass\ndef test_a(place): pass", "sandbox"),
        ("def test_a():\n    make_runtime(sandbox='none')", "sandbox"),
        ("def test_a():\n    run('--scf-async-sandbox=none')", "sandbox"),
        ("def test_a():\n    assert os.geteuid() == 0", "sandbox"),
        ("BOOTSTRAP = 'curl -s there'\ndef test_a():\n    deploy(BOOTSTRAP)", "curl"),
    ],
)
def test_a_missing_mark_is_found(source: str, missing: str) -> None:
    name = "TestIt" if "class TestIt" in source else "test_a"
    helpers = {"helper": {"SINCE": {"interpreter"}}}

    assert unmarked(ast.parse(source), helpers) == [f"{name}: {missing}"]
    assert unmarked(ast.parse(f"pytestmark = pytest.mark.{missing}\n{source}"), helpers) == []
    assert unmarked(ast.parse(f"pytestmark = [pytest.mark.once, pytest.mark.{missing}]\n{source}"), helpers) == []
    assert unmarked(ast.parse(f"pytestmark = pytest.mark.go\n{source}"), helpers) == [f"{name}: {missing}"]


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.interpreter\ndef test_a():\n    assert sys.version_info",
        "CASES = [pytest.param(sys.version_info, marks=pytest.mark.interpreter)]\n@cases(CASES)\ndef test_a(): pass",
        "NEW = [case(0, marks=pytest.mark.interpreter)]\nALL = NEW if sys.version else 0\n@cases(ALL)\ndef test_a(): 0",
        "def helper():\n    return sys.version_info\ndef test_a(): pass",
        "def test_a(runtime):\n    assert runtime.sandbox == sys.platform",
    ],
)
def test_what_is_marked_or_needs_no_mark_is_not_found(source: str) -> None:
    assert unmarked(ast.parse(source)) == []


def test_every_test_has_the_marks_that_it_needs() -> None:
    helpers = helper_names()
    missing = {
        str(path.relative_to(TESTS)): found
        for path in sorted(TESTS.rglob("test_*.py"))
        if path != Path(__file__)
        and not any(path.is_relative_to(TESTS / folder) for folder in OTHERS)
        and (found := unmarked(parsed(path), helpers))
    }

    assert missing == {}, "CONTRIBUTING.md tells what each mark means"


@pytest.mark.parametrize(
    ("source", "tests"),
    [
        ("@pytest.mark.interpreter\n@pytest.mark.once\ndef test_a(): pass", ["test_a"]),
        ("pytestmark = pytest.mark.interpreter\n@pytest.mark.once\ndef test_a(): pass", ["test_a"]),
        ("@pytest.mark.interpreter\ndef test_a(): pass\n@pytest.mark.once\ndef test_b(): pass", []),
    ],
)
def test_a_contradiction_is_found(source: str, tests: list[str]) -> None:
    assert contradictions(ast.parse(source)) == tests


def test_no_test_that_depends_on_the_interpreter_runs_once() -> None:
    assert {
        str(path): found for path in sorted(TESTS.rglob("test_*.py")) if (found := contradictions(parsed(path)))
    } == {}


def unexplained_skips(tree: ast.Module) -> list[str]:
    """The calls of ``pytest.skip`` at whose reason `make test` fails: it does not begin with "needs "."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.skip"]
    return [
        found
        for call in calls
        if not (found := ast.unparse(call)).removeprefix("pytest.skip(").lstrip("f'\"").startswith("needs ")
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("pytest.skip('needs a kernel with futex_wait')", []),
        ("pytest.skip(f'needs a kernel with {name}')", []),
        ("pytest.skip('this machine has no libcrypto')", ["pytest.skip('this machine has no libcrypto')"]),
        ("pytest.skip(reason)", ["pytest.skip(reason)"]),
    ],
)
def test_a_skip_that_does_not_say_what_it_needs_is_found(source: str, found: list[str]) -> None:
    assert unexplained_skips(ast.parse(source)) == found


def test_every_skip_says_what_it_needs() -> None:
    assert {
        str(path): found for path in sorted(TESTS.rglob("*.py")) if (found := unexplained_skips(parsed(path)))
    } == {}
