"""tools/take_apart.py takes a part of the package out of a copy of the tree, and finds what still needs it."""

from __future__ import annotations

import ast
import subprocess
import textwrap
from pathlib import Path

import pytest
from package_checks import PACKAGE, load_tool

# once: reads the sources of the package
pytestmark = pytest.mark.once

TOOL = load_tool("take_apart")
ROOMS = TOOL.rooms
SWEEP = TOOL.Part("sweep", ("sweep/",), ("tests/sweep/",), 0)
TREE = {
    "pytest_scf_async/__init__.py": "NAMES = {'sweep.run': ('Run',), 'runtime': ('Runtime',)}\n",
    "pytest_scf_async/runtime.py": "from .wings.calls import Calls\nclass Runtime(Calls): pass\n",
    "pytest_scf_async/wings/__init__.py": "",
    "pytest_scf_async/wings/calls.py": "from ..sweep.run import Run\nclass Calls(Run): pass\n",
    "pytest_scf_async/sweep/__init__.py": "",
    "pytest_scf_async/sweep/run.py": "class Run: pass\n",
    "tests/internals.py": "from pytest_scf_async.sweep.run import Run\nfrom pytest_scf_async.runtime import Runtime\n",
    "tests/kernel/test_runtime.py": "from internals import Runtime\n",
    "tests/sweep/test_run.py": "from internals import Run\n",
}
LOADS = [["-c", "import pytest_scf_async.runtime"]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def test_what_names_it_only_in_registries_is_whole_without_it(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert TOOL.is_whole_without(SWEEP, tree, LOADS)
    assert "without sweep: 0 test files import what is gone" in capsys.readouterr().out
    assert (tree / "pytest_scf_async" / "sweep").is_dir()


@pytest.mark.parametrize(
    ("mention", "said"),
    [
        ("from .sweep.run import Run\n", "these import what is gone: pytest_scf_async/runtime.py:3"),
        ("from .wings import calls\nassert calls.Run\n", "this fails: -c import pytest_scf_async.runtime"),
    ],
    ids=["import", "name"],
)
def test_a_mention_in_the_kernel_is_found(
    tree: Path, capsys: pytest.CaptureFixture[str], mention: str, said: str
) -> None:
    with (tree / "pytest_scf_async" / "runtime.py").open("a") as file:
        file.write(mention)
    assert not TOOL.is_whole_without(SWEEP, tree, LOADS)
    assert f"without sweep: {said}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "uses",
    [
        "from internals import Run\n",
        "from pytest_scf_async.sweep import run\n",
        "import pytest_scf_async.sweep.run\n",
        "def test_it():\n    from shared import sweeps\n",
    ],
)
def test_a_test_of_the_kernel_that_uses_it_is_refused(
    tree: Path, capsys: pytest.CaptureFixture[str], uses: str
) -> None:
    (tree / "tests" / "shared.py").write_text("from internals import Run as sweeps\n")
    (tree / "tests" / "kernel" / "test_runtime.py").write_text(uses)
    assert not TOOL.is_whole_without(SWEEP, tree, LOADS)
    output = capsys.readouterr().out
    assert "without sweep: 1 test files import what is gone\n  tests/kernel/test_runtime.py" in output
    assert "at most 0 may do so" in output


def test_imports_alone_are_looked_at_in_seconds(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    below = ["pytest_scf_async", "tests"]
    assert TOOL.is_whole_without(SWEEP, tree, [], below)
    other = tree / "tests" / "plugin" / "typed_project" / "test_typed.py"
    other.parent.mkdir(parents=True)
    other.write_text("from internals import Run\n")  # of a project that no test of the kernel collects
    assert TOOL.is_whole_without(SWEEP, tree, [], below)
    assert capsys.readouterr().out == ""
    (tree / "tests" / "kernel" / "test_runtime.py").write_text("from internals import Run\n")
    assert not TOOL.is_whole_without(SWEEP, tree, [], below)
    assert "at most 0 may do so" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from ..sweep.run import Run, other\nROWS = (Run(), 1)\n", "ROWS = (1,)"),
        ("from ..sweep import run\nfrom .. import clock\n", "from .. import clock"),
        ("if TYPE_CHECKING:\n    from ..sweep.run import Run\n", "if TYPE_CHECKING:\n    pass"),
        ("def f():\n    from ..sweep.run import Run\nROWS = {'a': f, 'b': g}\n", "ROWS = {'b': g}"),
        ("from ..sweep.run import Run\ndef f(run: Run): pass\n", ""),
        ("from ..sweep.run import Run\nclass A(Run, B): pass\n", "class A(B):\n    pass"),
        ("KNOWS = {'sweep': {'model'}, 'root': A | {'sweep', 'trace'}}\n", "KNOWS = {'root': A | {'trace'}}"),
        ("LONG = {'sweep/run.py:Run.go': 1, 'runtime.py:A': 2}\n", "LONG = {'runtime.py:A': 2}"),
        ("PROGRAMS = {f'{PACKAGE}.sweep.run': 1, f'{PACKAGE}.inside': 2}\n", "PROGRAMS = {f'{PACKAGE}.inside': 2}"),
    ],
)
def test_rows(tmp_path: Path, before: str, after: str) -> None:
    package = tmp_path / "pytest_scf_async"
    for name in ("sweep/__init__", "sweep/run", "wings/rows"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(before if name == "wings/rows" else "")
    TOOL.take_out(SWEEP, tmp_path)
    assert (package / "wings" / "rows.py").read_text() == ast.unparse(ast.parse(textwrap.dedent(after)))


def test_each_feature_of_the_scheduler_is_a_part() -> None:
    files = {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "lockstep" / "features").glob("*.py")}
    core = {f"lockstep/features/{name}.py" for name in ("__init__", "feature", "registry")}
    features = [name for feature in ROOMS.FEATURES.values() for name in feature.files]
    assert sorted(files - core) == sorted(name for name in {*features} if name.startswith("lockstep/features/"))


def test_the_lists_of_exceptions_only_get_shorter() -> None:
    assert len(TOOL.OF_THE_WHOLE) <= 6
    for name in TOOL.OF_THE_WHOLE:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (PACKAGE.parent / file).read_text() or not test


def test_the_commit_chooses_whose_turn_it_is() -> None:
    names = [*TOOL.parts()]
    assert TOOL.whose_turn(PACKAGE.parent, names) in names
