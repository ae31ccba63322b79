"""The tests in Go beside this file, run with `go test` as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.go


def test_go_test_passes():
    environment = {**os.environ, "PYTHON": sys.executable, "GOPROXY": "off", "GOTOOLCHAIN": "local"}

    done = subprocess.run(
        ["go", "test", "-count=1", "-v", "./..."],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stdout.count("--- PASS") == 3
