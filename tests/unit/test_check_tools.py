"""What the checks of tools/ have in common: each passes on this package, and refuses a directory without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from package_checks import PACKAGE, load_tool, run_tool

# once: reads the sources of the package
pytestmark = pytest.mark.once

CHECKS = (
    *("check_facts", "check_flags", "check_imports", "check_ownership", "check_patches", "check_properties"),
    *("check_runtimes", "check_slots", "check_waits"),
)


@pytest.mark.parametrize("name", CHECKS)
def test_this_package_passes(name: str) -> None:
    assert load_tool(name).check(PACKAGE) == []


@pytest.mark.parametrize("name", CHECKS)
def test_a_directory_without_python_files_is_an_error(name: str, tmp_path: Path) -> None:
    run = run_tool(name, tmp_path)
    assert run.returncode == 2
    assert "no Python files" in run.stderr
