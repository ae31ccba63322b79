"""One row more in the table of options makes a setting, an option of pytest, and a keyword of calls and the marker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# once: the table of options, and pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[2]
ROW = """    Option(
        "colour",
        _choice("red", "blue"),
        "The colour of functions.",
        _PYTEST | _FUNCTIONS,
        default="red",
        deploy="its colour",
        kept="str",
    ),
"""
USES = """
    import pytest
    from pytest_scf_async import ScfSettings, ScfUsageError, scf_function

    def test_settings(scf_runtime):
        assert ScfSettings().colour == "red"
        assert (scf_runtime.settings.colour, scf_runtime.settings.source("colour")) == SETTING

    def test_calls(scf_runtime):
        function = scf_runtime.deploy("handlers/echo.py:main_handler")
        assert (function.configuration.colour, function.configuration.sources["colour"]) == SETTING
        function.update(colour="red")
        assert (function.configuration.colour, function.configuration.sources["colour"]) == ("red", "update(...)")
        image = scf_runtime.deploy_image(["python", "-m", "http.server"], colour="red")
        assert (image.configuration.colour, image.configuration.sources["colour"]) == ("red", "deploy_image(...)")
        refused = r"^colour='green' \\(deploy\\(...\\)\\) is not valid: it must be 'red' or 'blue'$"
        with pytest.raises(ScfUsageError, match=refused):
            scf_runtime.deploy("handlers/echo.py:main_handler", colour="green")

    @pytest.mark.scf_function("handlers/echo.py:main_handler", colour="red")
    def test_marker(scf_function):
        assert scf_function.configuration.sources["colour"] == "scf_function marker"

    @scf_function("handlers/echo.py:main_handler", colour="red")
    def test_typed_marker(scf_function):
        assert scf_function.configuration.sources["colour"] == "scf_function marker"
"""
TYPES = """
from pytest_scf_async import Function, ScfRuntime, ScfSettings, scf_function

def right(runtime: ScfRuntime, function: Function) -> str:
    runtime.deploy("a.py:b", colour="blue")
    runtime.deploy_image(["a"], colour="blue")
    function.update(colour="red")
    return function.configuration.colour + ScfSettings(colour="red").colour

def wrong(runtime: ScfRuntime, function: Function) -> None:
    runtime.deploy("a.py:b", colour="green")
    runtime.deploy_image(["a"], colour=1)
    function.update(colour=None)
    ScfSettings(colour="green")
    scf_function("a.py:b", colour="green")
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with that row."""
    copy = tmp_path_factory.mktemp("changed")
    for name in ("pytest_scf_async", "tools"):
        shutil.copytree(PROJECT / name, copy / name)  # with the bytecode, which holds for all that is the same
    (copy / "docs").mkdir()
    for page in ("reference.md", "tuning.md"):
        shutil.copy(PROJECT / "docs" / page, copy / "docs")
    table = copy / "pytest_scf_async" / "options.py"
    before, end, after = table.read_text(encoding="utf-8").partition(')\n"""All of them, in the order')
    assert end
    table.write_text(before + ROW + end + after, encoding="utf-8")
    for arguments in ([], ["--check"]):
        subprocess.run([sys.executable, "tools/write_options.py", *arguments], cwd=copy, check=True)
    return copy


@pytest.fixture
def project_of_it(project: pytest.Pytester, changed: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose pytest, in a process of its own, has the copy; the zygote of this process is there before."""
    monkeypatch.setenv("PYTHONPATH", str(changed))
    return project


def test_pytest_settings_calls_and_the_marker_have_it(project_of_it: pytest.Pytester) -> None:
    project_of_it.makepyfile(USES.replace("SETTING", "('blue', 'ini: scf_async_colour')"))
    project_of_it.runpytest_subprocess("-oscf_async_colour=blue").assert_outcomes(passed=4)


def test_a_wrong_value_and_help_name_it(project_of_it: pytest.Pytester) -> None:
    project_of_it.makepyfile("def test_it(): pass")
    wrong = project_of_it.runpytest_subprocess("-oscf_async_colour=green")
    wrong.stderr.fnmatch_lines(
        ["ERROR: colour='green' (ini: scf_async_colour) is not valid: it must be 'red' or 'blue'"]
    )
    shown = " ".join(project_of_it.runpytest_subprocess("--help").stdout.str().split())
    assert "scf_async_colour (string): the colour of functions (red or blue)" in shown


def test_the_reference_has_it_in_each_of_its_tables(changed: Path) -> None:
    page = (changed / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page.count("| `colour` | `'red'` | yes | The colour of functions. |\n") == 1
    assert page.count("| `colour` | its colour |\n") == 2


def test_type_checkers_know_its_type(changed: Path) -> None:
    (changed / "uses.py").write_text(TYPES, encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(changed / "cache"), "uses.py"],
        capture_output=True,
        text=True,
        cwd=changed,
        env={**os.environ, "MYPYPATH": str(changed)},
        check=False,
    )
    lines = sorted(int(line.split(":")[1]) for line in found.stdout.splitlines() if ": error: " in line)
    assert lines == [11, 12, 13, 14, 15], found.stdout
