"""CI collects the files that tools/files_for.py names for a selection: no file that is left out has a test of it."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from package_checks import load_tool

TOOL = load_tool("files_for")
NAMES = ("a", "b", "c")
MOST = 40
"""Python files in one folder: with more nobody sees what is there, nor where the next one belongs."""


def subsets(names: tuple[str, ...]) -> list[frozenset[str]]:
    return [
        frozenset(name for name, there in zip(names, chosen, strict=True) if there)
        for chosen in product((False, True), repeat=len(names))
    ]


@pytest.mark.once
@pytest.mark.parametrize(
    "selection",
    ["a", "not a", "a and not b", "(a or b) and not c", "not (a or not b)", "(a) and not b and not c"],
)
def test_a_selection_of_marks_that_are_not_all_known(selection: str) -> None:
    for certain, possible in product(subsets(NAMES), repeat=2):
        outcomes = {
            TOOL.holds(selection, marks, marks) for marks in subsets(NAMES) if certain <= marks <= certain | possible
        }
        assert None not in outcomes
        value = TOOL.holds(selection, certain, possible)
        assert value is None or outcomes == {value}, (certain, possible)


@pytest.mark.once
@pytest.mark.parametrize("selection", ["a == b", "f(a)", "'a'"])
def test_what_is_no_selection(selection: str) -> None:
    with pytest.raises(ValueError, match="names of marks, and, or, not and brackets alone"):
        TOOL.holds(selection, frozenset(), frozenset())


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "certain"),
    [
        ("def test_a(): pass", {"test_a": set()}),
        ("pytestmark = pytest.mark.x\ndef test_a(): pass", {"test_a": {"x"}}),
        ("pytestmark = [pytest.mark.x, mark.y(1), *MORE]\nclass TestA: pass", {"TestA": {"x", "y"}}),
        ("pytestmark = pytest.mark.x if NEW else ()\ndef test_a(): pass", {"test_a": set()}),
        ("@pytest.mark.x\n@pytest.mark.y(reason='')\n@other\ndef test_a(): pass", {"test_a": {"x", "y"}}),
        (
            "@pytest.mark.parametrize('n', [param(1, marks=pytest.mark.x)])\ndef test_a(n): 0",
            {"test_a": {"parametrize"}},
        ),
        ("class TestA:\n    @pytest.mark.x\n    def test_a(self): pass", {"TestA": set()}),
        ("def helper(): pass\nVALUE = 1", {}),
        ("pytestmark = pytest.mark.x\nfrom helper import test_a", {"": {"x"}}),
        ("from helper import *", {"": set()}),
        ("test_a = made()", {"": set()}),
        ("if NEW:\n    @pytest.mark.x\n    def test_a(): pass", {"": set()}),
    ],
)
def test_the_marks_that_a_test_has_for_certain(source: str, certain: dict[str, set[str]]) -> None:
    assert TOOL.certain_marks(ast.parse(source)) == certain


@pytest.mark.once
def test_marks_in_what_a_file_imports_are_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOOL, "TREE", tmp_path)
    folder = tmp_path / "tests" / "kernel"
    folder.mkdir(parents=True)
    for name, text in {
        "test_a.py": "from table import CASES\nimport shared\nimport elsewhere\nmark.x",
        "table.py": "import test_a\nimport more\nmark.y",
        "more.py": "mark.z",
        "conftest.py": "mark.of_fixtures",
        "unrelated.py": "mark.other",
    }.items():
        (folder / name).write_text(text)
    (tmp_path / "tests" / "shared.py").write_text("mark.shared")
    (tmp_path / "tests" / "sweep").mkdir()
    (tmp_path / "tests" / "sweep" / "elsewhere.py").write_text("mark.elsewhere")
    (tmp_path / "tests" / "conftest.py").write_text("mark.of_all")

    marks = {"x", "y", "z", "of_fixtures", "shared", "elsewhere", "of_all"}
    assert TOOL.possible_marks(folder / "test_a.py") == marks


@pytest.mark.interpreter  # each leg that runs whole files compares those that it has collected
def test_every_test_has_the_marks_that_the_tool_knows_of(
    marks_of_items: dict[tuple[str, str], set[frozenset[str]]], pytestconfig: pytest.Config
) -> None:
    known = {f"{folder}/" for folder in TOOL.FOLDERS}
    checked = 0
    of_files: dict[str, dict[str, tuple[frozenset[str], frozenset[str]]]] = {}
    for (name, test), cases in marks_of_items.items():
        if not name.startswith(tuple(known)):
            continue  # of a run that names others, as `make clients` does
        if name not in of_files:
            marks_of_file = TOOL.marks_of(pytestconfig.rootpath / name)
            of_files[name] = {each: (certain, possible) for each, certain, possible in marks_of_file}
        of_tests = of_files[name]
        certain, possible = of_tests[test] if test in of_tests else of_tests[""]
        for marks in cases:
            checked += 1
            assert certain <= marks <= certain | possible, f"{name}::{test}"
    assert checked


def test_each_folder_with_tests_is_collected() -> None:
    tree = Path(__file__).parents[3]
    files = [file.relative_to(tree) for file in tree.joinpath("tests").glob("*/**/test_*.py")]
    folders = {"/".join(file.parts[:2]) for file in files if file.parts[1] != "handlers"}
    assert folders - set(TOOL.FOLDERS) == {"tests/clients", "tests/libraries", "tests/wire"}  # with libraries of theirs


def test_no_two_test_files_have_one_name() -> None:
    """pytest refuses the second one, but only where both are collected."""
    tree = Path(__file__).parents[3]
    names = Counter(file.name for folder in TOOL.FOLDERS for file in tree.joinpath(folder).rglob("test_*.py"))
    assert [name for name, files in names.items() if files > 1] == []


@pytest.mark.once
def test_it_knows_the_files_of_every_test(
    marks_of_items: dict[tuple[str, str], set[frozenset[str]]], pytestconfig: pytest.Config
) -> None:
    assert list(TOOL.FOLDERS) == pytestconfig.getini("testpaths")
    names = {name for name, _ in marks_of_items if name.startswith(tuple(TOOL.FOLDERS))}
    assert names <= set(TOOL.files_for("not of_no_test"))


@pytest.mark.once
def test_it_knows_what_a_machine_may_lack(pytestconfig: pytest.Config) -> None:
    marks = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert {"curl", "go", "podman", "strace"} <= set(TOOL.needs()) <= marks


@pytest.mark.once
def test_what_the_oldest_python_runs_is_there_and_has_its_reason() -> None:
    listed = TOOL.files_for("oldest")
    for reason, names in TOOL.on_the_oldest().items():
        assert re.fullmatch(r"\S.{20,}\S", reason), names
        for name in names:
            assert (TOOL.TREE / name).exists(), name
            assert TOOL.files_for("oldest", (name,)) if "." not in name else name in listed


@pytest.mark.once
def test_contributing_lists_the_files_of_long_tests() -> None:
    page = (TOOL.TREE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|`]+) \| ((?:`tests/[^`]+`(?:, )?)+) \|$", page, re.MULTILINE)
    listed = {reason: tuple(re.findall("`([^`]+)`", names)) for reason, names in rows}

    assert listed == TOOL.long()
    assert [name for names in listed.values() for name in names if not (TOOL.TREE / name).exists()] == []


@pytest.mark.once
def test_each_search_that_takes_turns_is_long_and_has_one_turn() -> None:
    groups = TOOL.in_turn()
    names = [name for group in groups for name in group]
    assert len(names) == len(set(names))
    assert set(names) <= {name for listed in TOOL.long().values() for name in listed}
    for turn in range(1000, 1000 + 2 * len(groups)):
        assert set(names) - TOOL.of_other_turns(turn) == set(groups[turn % len(groups)])
    assert all(any("bare" in name or "timed" in name for name in group) for group in groups), (
        "each meets real processes"
    )


@pytest.mark.once
def test_a_turn_leaves_out_the_files_of_others_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(*arguments: str) -> set[str]:
        monkeypatch.setattr(sys, "argv", ["files_for.py", *arguments])
        assert TOOL.main() == 0
        return set(capsys.readouterr().out.split())

    everything = printed("not of_no_test")
    left = printed("not of_no_test", "--turn", "1")
    assert left < everything
    assert everything - left == printed("--turn", "1", "--others") == TOOL.of_other_turns(1)


def crowded(tests: Path) -> dict[str, int]:
    """The folders of tests with too many Python files, each with their number."""
    numbers = Counter(str(path.parent.relative_to(tests)) for path in tests.rglob("*.py"))
    return {folder: number for folder, number in numbers.items() if number > MOST}


@pytest.mark.once
def test_a_folder_with_too_many_files_is_found(tmp_path: Path) -> None:
    for folder, number in {"kernel": MOST, "kernel/time": MOST + 1, "sweep": 1}.items():
        (tmp_path / folder).mkdir()
        for each in range(number):
            (tmp_path / folder / f"test_{each}.py").touch()

    assert crowded(tmp_path) == {"kernel/time": MOST + 1}


@pytest.mark.once
def test_no_folder_of_tests_has_too_many_files() -> None:
    assert crowded(TOOL.TREE / "tests") == {}, "a part of it gets a folder of its own, named after what that is about"
