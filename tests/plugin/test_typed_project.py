"""A typed project that uses every public name: mypy --strict and pyright find nothing in it, and it passes."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_scf_async
from pytest_scf_async import assertions

PROJECT = Path(__file__).with_name("typed_project")
UNTYPED = """
from pytest_scf_async import AsyncEvent, ScfRuntime, assert_finished, assert_status

def use(runtime: ScfRuntime, event: AsyncEvent) -> None:
    runtime.deploy("a.py:b", env={})
    assert_status(event, 200)
    assert_finished("FINISHED")
    event.terminate(when="later")
"""


def check(*command: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=where, check=False)


def test_what_is_exported_is_what_there_is() -> None:
    assert sorted(pytest_scf_async._HOME_OF) == pytest_scf_async.__all__
    assert {name for name in vars(assertions) if name.startswith("assert_")} == set(assertions.__all__)
    assert set(assertions.__all__) <= set(pytest_scf_async.__all__)


def test_it_uses_every_public_name() -> None:
    tree = ast.parse((PROJECT / "test_typed.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(pytest_scf_async.__all__) - used == set()


def test_it_passes(project: pytest.Pytester) -> None:
    shutil.copytree(PROJECT, project.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    project.runpytest("-rf").assert_outcomes(passed=9)


@pytest.mark.once
def test_mypy_finds_nothing(tmp_path: Path) -> None:
    found = check("mypy", "--strict", "--cache-dir", str(tmp_path), "test_typed.py", "export.py", where=PROJECT)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.once
def test_mypy_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(UNTYPED, encoding="utf-8")
    found = check("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "wrong.py", where=tmp_path)
    lines = sorted({int(line.split(":")[1]) for line in found.stdout.splitlines() if ": error: " in line})
    assert lines == [5, 6, 7, 8], found.stdout


@pytest.mark.once
def test_pyright_finds_nothing(tmp_path: Path) -> None:
    """By basedpyright: pyright with its Node.js, so that nothing is downloaded in a test."""
    shutil.copytree(PROJECT, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    found = check("basedpyright", "--pythonpath", sys.executable, "test_typed.py", "export.py", where=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.once
def test_pyright_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(UNTYPED, encoding="utf-8")
    found = check("basedpyright", "--pythonpath", sys.executable, "wrong.py", where=tmp_path)
    lines = sorted({int(line.split(":")[1]) for line in found.stdout.splitlines() if " - error: " in line})
    assert lines == [5, 6, 7, 8], found.stdout
