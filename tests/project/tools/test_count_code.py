"""tools/count_code.py counts the code of the kernel and of the wings, and holds what is long to its lists."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from package_checks import PROJECT, load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

TOOL = load_tool("count_code")
ROOMS = TOOL.rooms
LINES = {
    "": 0,
    "x = 1\n": 1,
    "\n# a comment\nx = 1  # another\n\n": 1,
    '"""A docstring\n\nof three lines."""\nx = 1\n': 1,
    'class A:\n    x: int\n    """What it is."""\n': 2,
    "x = (\n    1,\n\n    # why\n    2,\n)\n": 4,
    'x = """a text\n\nwith an empty line"""\n': 3,
    "def f() -> None:\n    'what it does'\n    if x:\n        return\n": 3,
}


@pytest.mark.parametrize(("text", "number"), LINES.items())
def test_lines_of_code(text: str, number: int) -> None:
    assert TOOL.lines_of_code(text) == number


def test_a_file_counts_for_its_wing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ROOMS.Wing(files=("sweep/", "sweep_command.py"), tests=(), words="")
    programs = ROOMS.Wing(files=("instances/runtimes/g*.py",), tests=(), words="")
    monkeypatch.setattr(ROOMS, "WINGS", {"sweep": sweep, "programs": programs})
    root = write_package(
        tmp_path,
        {
            "runtime": "x = 1\n",
            "sweep/report": "x = 1\ny = 2\n",
            "sweep_command": "x = 1\n",
            "sweeping": "x = 1\n",
            "instances/runtimes/go": "x = 1\n",
            "instances/runtimes/python": "x = 1\n",
        },
    )

    assert TOOL.counted(root) == {"kernel": 3, "sweep": 3, "programs": 1}
    assert TOOL.main([str(root)]) == 0
    assert "      3  kernel (LIMIT " in capsys.readouterr().out


def test_a_kernel_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_package(tmp_path, {"runtime": "x = 1\ny = 2\n"})
    monkeypatch.setattr(TOOL, "LIMIT", 2)
    assert TOOL.main([str(root)]) == 0
    monkeypatch.setattr(TOOL, "LIMIT", 1)
    assert TOOL.check(root, 2) == ["the kernel has 2 lines of code, and LIMIT is 1: it only falls."]
    assert TOOL.main([str(root)]) == 1


def methods(number: int) -> str:
    return "class Pool:\n" + "".join(f"    def f{index}(self): ...\n" for index in range(number))


def lines(number: int) -> str:
    return "def spawn():\n" + "    x = 1\n" * (number - 1)


def test_a_class_of_many_methods_needs_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOOL.check(write_package(tmp_path, {"pool": methods(40)}), 1) == []
    root = write_package(tmp_path, {"pool": f"x = 1\n{methods(41)}"})
    (line,) = TOOL.check(root, 1)
    assert line.startswith(
        "pytest_scf_async/pool.py:2: the class Pool has 41 methods: shorten it, or say in LONG_CLASSES"
    )
    monkeypatch.setitem(TOOL.LONG_CLASSES, "pool.py:Pool", "one concept")
    assert TOOL.check(root, 1) == []


def test_a_property_and_its_setter_are_one_method(tmp_path: Path) -> None:
    setter = "    @property\n    def f0(self): ...\n    @f0.setter\n    def f0(self, value): ...\n"
    assert TOOL.check(write_package(tmp_path, {"pool": methods(40) + setter}), 1) == []


def test_a_function_of_many_lines_needs_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOOL.check(write_package(tmp_path, {"pool": lines(60)}), 1) == []
    in_class = "class Pool:\n" + textwrap.indent(lines(61), "    ")
    root = write_package(tmp_path, {"pool": in_class})
    (line,) = TOOL.check(root, 1)
    assert "pool.py:2: the function Pool.spawn has 61 lines: shorten it, or say in LONG_FUNCTIONS" in line
    monkeypatch.setitem(TOOL.LONG_CLASSES, "pool.py:Pool.spawn", "in the wrong list")
    assert TOOL.check(root, 1) == [line]
    monkeypatch.setitem(TOOL.LONG_FUNCTIONS, "pool.py:Pool.spawn", "a table")
    assert TOOL.check(root, 1) == []


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package itself, in whose place there is a small one; nothing is long in it, and nothing listed."""
    monkeypatch.setattr(ROOMS, "TREE", tmp_path)
    monkeypatch.setattr(ROOMS, "WINGS", {})
    monkeypatch.setattr(TOOL, "LIMIT", 1)
    monkeypatch.setattr(TOOL, "ENTRIES", 0)
    monkeypatch.setattr(TOOL, "LONG_CLASSES", {})
    monkeypatch.setattr(TOOL, "LONG_FUNCTIONS", {})
    return write_package(tmp_path, {"runtime": "x = 1\n"})


@pytest.mark.parametrize(("name", "what"), [("LONG_CLASSES", "Pool"), ("LONG_FUNCTIONS", "spawn")])
def test_an_entry_that_is_no_longer_true_has_to_go(
    own: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.setattr(TOOL, name, {f"pool.py:{what}": "it was so once"})
    monkeypatch.setattr(TOOL, "ENTRIES", 1)
    assert TOOL.check(own, 1) == [f"pool.py:{what} is listed, and is not that long: take it out."]


def test_a_name_in_the_table_of_rooms_that_is_no_file_has_to_go(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own.parent / "tests").mkdir()
    (own.parent / "tests" / "test_a.py").touch()
    wing = ROOMS.Wing(files=("runtime.py", "gone/"), tests=("tests/test_*.py", "tests/test_gone.py"), words="gone")
    monkeypatch.setattr(ROOMS, "WINGS", {"one": wing})
    assert TOOL.check(own, 1) == [
        f"rooms.py has {name} for one, and there is no such file: take it out."
        for name in ("gone/", "tests/test_gone.py")
    ]


def test_the_lists_only_get_shorter(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOOL, "LONG_CLASSES", {"runtime.py:Pool": "one concept"})
    (own / "runtime.py").write_text(methods(41))
    assert TOOL.check(own, 1) == ["LONG_CLASSES and LONG_FUNCTIONS have 1 entries, and ENTRIES is 0: it only falls."]


def test_the_limit_comes_down_with_the_kernel(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOOL, "LIMIT", 1 + TOOL.SLACK)
    assert TOOL.check(own, 1) == []
    monkeypatch.setattr(TOOL, "LIMIT", 2 + TOOL.SLACK)
    assert TOOL.check(own, 1) == ["the kernel has 1 lines of code, and LIMIT is 102: set it to 1."]


def test_each_entry_has_a_sentence() -> None:
    for name, sentence in {**TOOL.LONG_CLASSES, **TOOL.LONG_FUNCTIONS}.items():
        assert len(sentence.split()) > 3, name


def test_make_check_runs_it() -> None:
    recipe = (PROJECT / "Makefile").read_text("utf-8").split("\ncheck:")[1].split("\n\n")[0]
    assert "/python tools/count_code.py\n" in recipe


def test_a_directory_without_python_files_is_an_error(tmp_path: Path) -> None:
    run = run_tool("count_code", tmp_path)
    assert run.returncode == 2
    assert "no Python files" in run.stderr
