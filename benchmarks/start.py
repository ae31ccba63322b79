"""Rows about a pytest run that has the plugin installed and uses none of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .measure import Row, Sample

_IMPORT = "import {before}; from time import perf_counter as p; s = p(); import {name}; print(p() - s)"


def environment(directory: str) -> dict[str, str]:
    """Compiled modules are kept, in *directory*: a user's second run finds them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": os.path.join(directory, "compiled")}


def run_pytest(directory: str, *arguments: str) -> float:
    """Seconds of processor time of a pytest run: of its real time, what else the machine does is too large a part."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments]
    process = subprocess.Popen(command, cwd=directory, env=environment(directory), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def pytest_start() -> Iterator[tuple[Sample, Sample]]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        Path(directory, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        yield (
            lambda: run_pytest(directory),
            lambda: run_pytest(directory, "-p", "no:scf_async"),
        )


def import_seconds(directory: str, name: str, before: str) -> float:
    command = [sys.executable, "-c", _IMPORT.format(name=name, before=before)]
    process = subprocess.run(command, env=environment(directory), check=True, capture_output=True, text=True)
    return float(process.stdout)


@contextlib.contextmanager
def plugin_import() -> Iterator[tuple[Sample, None]]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        yield lambda: import_seconds(directory, "pytest_scf_async.plugin.plugin", before="pytest"), None


def rows() -> list[Row]:
    return [
        Row(
            "start",
            "pytest start, plugin unused / without it (processor time)",
            "< 3 ms more",
            pytest_start,
            0.003,
            unit="more",
            rounds=60,
            quick_rounds=5,
            warm_up=1,
        ),
        Row(
            "import",
            "import pytest_scf_async.plugin.plugin, after pytest",
            "< 5 ms",
            plugin_import,
            0.005,
            unit="s",
            rounds=20,
            quick_rounds=5,
            warm_up=1,
        ),
    ]
