"""The tests in JavaScript beside this file, run with Jest as a user runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# npm has 330 packages to load, once they are not in its cache
pytestmark = [pytest.mark.npm, pytest.mark.timeout(600)]


def test_jest_passes(tmp_path: Path):
    project = tmp_path / "project"
    shutil.copytree(Path(__file__).parent, project, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    environment = {**os.environ, "PYTHON": sys.executable}

    for command in (["npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"], ["npm", "test"]):
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}"

    assert "Tests:       3 passed, 3 total" in done.stderr
