"""tools/stamps.py: a leg of CI leaves out the test files that passed there while nothing that they use has changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from package_checks import PROJECT, load_tool, tool_file

# once: Git, a shell, and texts of sources
pytestmark = pytest.mark.once

TOOL = load_tool("stamps")
ROOMS = TOOL.rooms
WINGS = {
    "programs": ROOMS.Wing(
        files=("supervisor/", "instances/go.py"), tests=("tests/process/test_go.py",), words=r"image|Go1"
    ),
    "sweep": ROOMS.Wing(files=("sweep/",), tests=("tests/sweep/",), words="sweep", uses=("programs",)),
    "trace": ROOMS.Wing(files=("trace/",), tests=("tests/trace/",), words="async.trace"),
}
FILES = {
    "pyproject.toml": "[project]",
    "docs/page.md": "# A page",
    "pytest_scf_async/__init__.py": "",
    "pytest_scf_async/runtime.py": "from .instances import go\ndef sweep():\n    from .sweep import points\n",
    "pytest_scf_async/command_line.py": "from .wings import commands\n",
    "pytest_scf_async/wings/__init__.py": "",
    "pytest_scf_async/wings/hooks.py": "def configure():\n    from ..trace.option import x\n",
    "pytest_scf_async/trace/option.py": "from .page import x\n",
    "pytest_scf_async/wings/commands.py": "from ..trace import page\n",
    "pytest_scf_async/instances/__init__.py": "",
    "pytest_scf_async/instances/go.py": "x = 1",
    "pytest_scf_async/supervisor/__init__.py": "",
    "pytest_scf_async/supervisor/tree.py": "x = 1",
    "pytest_scf_async/sweep/__init__.py": "",
    "pytest_scf_async/sweep/points.py": "x = 1",
    "pytest_scf_async/trace/__init__.py": "",
    "pytest_scf_async/trace/page.py": "from ..sweep.points import x\n",
    "tests/internals.py": "from pytest_scf_async import runtime\nfrom pytest_scf_async.supervisor import tree\n",
    "tests/process/conftest.py": "def started(): return deploy('image.py')\ndef deploy(): return 'index.py'\n",
    "tests/process/handlers/index.py": "x = 1",
    "tests/process/model.py": "image = 1",
    "tests/process/test_clock.py": "'''Not an image, and no sweep.'''\nfrom pytest_scf_async.model import x\n",
    "tests/process/test_after.py": "from test_clock import x\n",
    "tests/process/test_deploy.py": "from internals import runtime\ndef test_it(deploy): pass\n",
    "tests/process/test_fixture.py": "def test_it(started): pass\n",
    "tests/process/test_by_name.py": "USES = pytest.mark.usefixtures('started')\n",
    "tests/process/test_tree.py": "from internals import tree\n",
    "tests/process/test_text.py": "CODE = 'import pytest_scf_async.supervisor.tree'\n",
    "tests/process/test_go.py": "x = 1",
    "tests/process/test_swept.py": "def test_it(runtime):\n    runtime.sweep()\n",
    "tests/process/test_page.py": "PAGE = Path(__file__).parents[2] / 'docs'\n",
    "tests/process/test_package.py": "import pytest_scf_async as package\nHERE = package.__file__\n",
    "tests/process/test_below.py": "import os, model\nHERE = Path(model.__file__).parents[1], os.__file__\n",
    "tests/project/test_marks.py": "x = 1",
    "tests/sweep/handlers/index.py": "x = 1",
    "tests/sweep/test_points.py": "x = 1",
    "tests/trace/test_trace.py": "x = 1",
    "examples/demo/test_demo.py": "x = 1",
}
PROCESS = "tests/process/test_"
ALL = {name for name in FILES if TOOL.is_test(name)}
ALWAYS = {f"{PROCESS}page.py", f"{PROCESS}package.py", "tests/project/test_marks.py", "examples/demo/test_demo.py"}
SWEEPS = {f"{PROCESS}swept.py", "tests/sweep/test_points.py", "tests/trace/test_trace.py"}
PROGRAMS = {f"{PROCESS}{name}.py" for name in ("fixture", "by_name", "tree", "text", "go")}
CHANGES = {
    "the build": ("pyproject.toml", ALL),
    "the kernel": ("pytest_scf_async/runtime.py", ALL),
    "what the kernel imports of a wing": ("pytest_scf_async/instances/go.py", ALL),
    "what is loaded of a wing in any session": ("pytest_scf_async/trace/option.py", ALL),
    "what tests share": ("tests/process/handlers/index.py", ALL),
    "a wing that another one uses": ("pytest_scf_async/supervisor/tree.py", PROGRAMS | SWEEPS | ALWAYS),
    "a wing that another one imports": ("pytest_scf_async/sweep/points.py", SWEEPS | ALWAYS),
    "a wing that nothing imports but a registry": (
        "pytest_scf_async/trace/page.py",
        {"tests/trace/test_trace.py"} | ALWAYS,
    ),
    "what a wing's tests share": ("tests/sweep/handlers/index.py", SWEEPS | ALWAYS),
    "a test": (f"{PROCESS}deploy.py", {f"{PROCESS}deploy.py"} | ALWAYS),
    "a test from which another one imports": (
        f"{PROCESS}clock.py",
        {f"{PROCESS}clock.py", f"{PROCESS}after.py"} | ALWAYS,
    ),
    "a page": ("docs/page.md", ALWAYS),
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a kernel, three wings and their tests."""
    root = tmp_path / "tree"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    monkeypatch.setattr(ROOMS, "TREE", root)
    monkeypatch.setattr(ROOMS, "WINGS", WINGS)
    monkeypatch.delenv("CI_ALL", raising=False)
    return root


def keys(root: Path) -> dict[str, str]:
    found: dict[str, str] = TOOL.Tree.of_git(root).keys
    return found


def change(file: Path) -> None:
    file.write_text(f"{file.read_text()}\n# another\n")


@pytest.mark.parametrize(("name", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_a_change_has_run_again(tree: Path, name: str, expected: set[str]) -> None:
    before = keys(tree)
    assert before.keys() == ALL
    change(tree / name)
    assert {test for test, key in keys(tree).items() if key != before[test]} == expected


def test_a_new_file_is_a_change(tree: Path) -> None:
    before = keys(tree)
    (tree / "pytest_scf_async" / "clock.py").write_text("x = 1")
    assert {test for test, key in keys(tree).items() if key != before[test]} == ALL


def test_neither_times_nor_paths_matter(tree: Path, tmp_path: Path) -> None:
    before = keys(tree)
    for name in FILES:
        os.utime(tree / name, (1, 1))
    (tree / ".gitignore").write_text("*.pyc\n")
    before_all = keys(tree)
    (tree / "pytest_scf_async" / "clock.pyc").touch()
    copy = tmp_path / "copy"
    shutil.copytree(tree, copy, copy_function=shutil.copyfile)

    assert {test for test, key in before_all.items() if key != before[test]} == ALWAYS  # they read .gitignore, too
    assert keys(tree) == before_all
    assert keys(copy) == before_all


def test_that_a_file_can_be_run_matters(tree: Path) -> None:
    before = keys(tree)
    (tree / "tests/process/handlers/index.py").chmod(0o755)
    assert not keys(tree).items() & before.items()


@pytest.fixture
def leg(tree: Path, tmp_path: Path) -> Leg:
    return Leg(tmp_path)


class Leg:
    """A leg of CI, of which each run has a scratch directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runs = 0

    def left_out(self, *, environment: str = "", name: str = "once", passes: bool = True) -> set[str]:
        """What a run leaves out."""
        self._runs += 1
        scratch, store = self._directory / f"scratch{self._runs}", self._directory / "store"
        found = set(TOOL.choose(scratch, store, name, environment, sorted(ALL)))
        if passes:
            TOOL.keep(scratch, store, name)
        return found


def test_a_leg_that_has_passed_leaves_out_what_has_not_changed(leg: Leg, tree: Path) -> None:
    assert leg.left_out() == set()
    assert leg.left_out() == ALL
    change(tree / "pytest_scf_async/sweep/points.py")
    assert leg.left_out() == ALL - SWEEPS - ALWAYS
    assert leg.left_out() == ALL


def test_a_leg_that_has_failed_runs_all_of_it_again(leg: Leg, tree: Path) -> None:
    leg.left_out()
    change(tree / "pytest_scf_async/sweep/points.py")
    assert leg.left_out(passes=False) == ALL - SWEEPS - ALWAYS
    assert leg.left_out(passes=False) == ALL - SWEEPS - ALWAYS


def test_what_passed_elsewhere_runs(leg: Leg) -> None:
    leg.left_out()
    assert leg.left_out(environment="Python 3.99") == set()
    assert leg.left_out(name="once -oscf_async_leases=false") == set()


def test_all_of_it_runs_where_that_is_asked_for(leg: Leg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_ALL", "1")
    assert leg.left_out() == leg.left_out() == set()
    monkeypatch.delenv("CI_ALL")
    assert leg.left_out() == ALL


@pytest.mark.parametrize("damage", ["", "[]", '{"a'])
def test_stamps_that_are_damaged_leave_out_nothing(leg: Leg, tmp_path: Path, damage: str) -> None:
    leg.left_out()
    (stamps,) = (tmp_path / "store").iterdir()
    stamps.write_text(damage)
    assert leg.left_out() == set()
    assert leg.left_out() == ALL


def test_without_git_all_of_it_runs(leg: Leg, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(tree / ".git")
    assert leg.left_out() == leg.left_out() == set()
    assert "no test file is left out, as Git cannot say which files there are" in capsys.readouterr().err


def test_it_says_what_is_left_out_and_why(tree: Path) -> None:
    assert TOOL.report(["tests/sweep/test_points.py", f"{PROCESS}clock.py", f"{PROCESS}after.py"]) == (
        "not run again: 3 test files (kernel 2, sweep 1), as they passed here, and nothing that they use has changed"
        " since (CI_ALL=1 runs all)"
    )


def test_the_tests_that_pass_without_a_wing(tree: Path) -> None:
    assert set(TOOL.without("sweep")) == ALL - SWEEPS - ALWAYS
    assert set(TOOL.without("programs")) == ALL - SWEEPS - ALWAYS - PROGRAMS


def test_an_environment_is_that_of_the_interpreter_and_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TOOL.environment()
    assert TOOL.environment() == before
    monkeypatch.setattr(TOOL.shutil, "which", lambda name: f"/bin/{name}-of-this-test")
    assert TOOL.environment() != before
    monkeypatch.undo()
    monkeypatch.setattr(TOOL.sys, "version", "3.99")
    assert TOOL.environment() != before


SCRIPT = r"""
set -euo pipefail
SCRATCH=$1
CACHE=$2
main=main
declare -A python_of=([main]="$3")
WORKERS=""
environment() { :; }
venv_of() { echo venv; }
on() { echo "an environment"; }
files_for() { echo $FILES; }
makes() {
    echo "makes $*"
    [ -z "${FAILS:-}" ]
}
. .ci/stamps.sh
eval "$(sed -n '/^here()/,/^}/p; /^tests_on()/,/^}/p' .ci/run)"
tests_on 3.13 "once or go" -oscf_async_leases=false
echo "the end"
"""


def run_leg(tree: Path, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the function of .ci/run that runs tests, in the tree, with nothing but its own files."""
    scratch = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    command: list[str | Path] = ["bash", "-c", SCRIPT, "leg", scratch, tmp_path / "cache", sys.executable]
    files = "tests/process/test_clock.py tests/sweep/test_points.py"
    return subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "FILES": files, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_leg_keeps_and_reads_them(tree: Path, tmp_path: Path) -> None:
    for name in (*(f"tools/{name}.py" for name in ("stamps", "rooms", "check_imports")), ".ci/run", ".ci/stamps.sh"):
        (tree / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tree / name)
    selection = "'(once or go) and not npm' -oscf_async_leases=false"

    failed = run_leg(tree, tmp_path, FAILS="yes")
    first = run_leg(tree, tmp_path)
    change(tree / "pytest_scf_async/sweep/points.py")
    second = run_leg(tree, tmp_path)
    third = run_leg(tree, tmp_path)
    whole = run_leg(tree, tmp_path, CI_ALL="1")

    assert failed.returncode != 0
    assert "the end" not in failed.stdout
    for run in (failed, first, whole):
        assert f"-m {selection} --only='tests/process/test_clock.py tests/sweep/test_points.py'\n" in run.stdout, (
            run.stderr
        )
        assert "not run again" not in run.stderr
    assert f"-m {selection} --only='tests/sweep/test_points.py'\n" in second.stdout
    assert "not run again: 1 test file (kernel 1), as " in second.stderr
    assert third.stdout == "the end\n"
    assert "not run again: 2 test files (kernel 1, sweep 1), as " in third.stderr


def test_each_test_file_has_a_key() -> None:
    """So that none of them runs each time because the tool does not know of it."""
    if not (PROJECT / ".git").exists():
        pytest.skip("needs a Git work tree")
    found = keys(PROJECT)
    assert set(load_tool("files_for").files_for("not of_no_test")) <= found.keys()


def test_the_words_of_the_table_are_patterns() -> None:
    for name, wing in ROOMS.WINGS.items():
        assert re.search(wing.words, "", re.MULTILINE) is None, name
        assert set(wing.uses) <= ROOMS.WINGS.keys() - {name}


def test_the_registries_are_there() -> None:
    for module in TOOL.REGISTRIES:
        assert (PROJECT / module.replace(".", "/")).with_suffix(".py").exists()


def test_stamps_are_of_the_build_themselves() -> None:
    for name in (tool_file("stamps"), tool_file("rooms"), PROJECT / ".ci" / "stamps.sh", PROJECT / "conftest.py"):
        assert ROOMS.is_of(name.relative_to(PROJECT).as_posix(), TOOL.BUILD)
