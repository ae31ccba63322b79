"""What the checks of tools/ have in common: each passes on this package, and refuses a directory without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from package_checks import PROJECT, load_tool, run_tool

# once: reads the sources of the package
pytestmark = pytest.mark.once

CHECKS = (
    *("check_facts", "check_flags", "check_imports", "check_ownership", "check_patches", "check_properties"),
    *("check_runtimes", "check_slots", "check_waits", "check_wings"),
)


def test_make_check_has_this_package_pass_each() -> None:
    """It is not checked here a second time: CI runs `make check`."""
    recipe = (PROJECT / "Makefile").read_text("utf-8").split("\ncheck:")[1].split("\n\n")[0]
    assert set(CHECKS) == {path.stem for path in (PROJECT / "tools").glob("check_*.py")}
    assert all(f"/python tools/{name}.py\n" in f"{recipe}\n" for name in CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_directory_without_python_files_is_an_error(name: str, tmp_path: Path) -> None:
    run = run_tool(name, tmp_path)
    assert run.returncode == 2
    assert "no Python files" in run.stderr


KNOWN = {"check_facts": 0, "check_flags": 3, "check_ownership": 0, "check_properties": 8, "check_waits": 16}
"""How many exceptions each check has at most: whoever takes one out lowers this."""


@pytest.mark.parametrize("name", CHECKS)
def test_the_list_of_exceptions_of_a_check_only_gets_shorter(name: str) -> None:
    assert len(getattr(load_tool(name), "KNOWN", ())) == KNOWN.get(name, 0)
