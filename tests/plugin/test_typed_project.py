"""A typed project that uses every public name: mypy --strict and pyright find nothing in it, and it passes."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_scf_async
from pytest_scf_async import assertions, scripted

PROJECT = Path(__file__).with_name("typed_project")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
UNTYPED = """
from pytest_scf_async import AsyncEvent, ScfRuntime, assert_finished, assert_status, scf_function
from pytest_scf_async.scripted import finished
from pytest_scf_async.triggers import event_of

def use(runtime: ScfRuntime, event: AsyncEvent) -> None:
    runtime.deploy("a.py:b", env={})
    assert_status(event, 200)
    assert_finished("FINISHED")
    event.terminate(when="later")
    runtime.deploy_scripted("a", [finished], on_terminate="honor")
    scf_function("a.py:b", timeout="5")
    event_of("kos")
    event_of("cos", size="3")
    event_of("cos", event="cos:ObjectCreated:Pot")
    runtime.deploy("a.py:b").trigger("cos", topic="t")
    event_of("cos")["Records"][0]["cos"]["cosBucket"]["bucket"]
"""
FILES = ("test_typed.py", "test_typed_triggers.py", "export.py", "wrong.py")
WRONG = {("wrong.py", line) for line in range(7, 18)}


def check(*command: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=where, check=False)


def test_what_is_exported_is_what_there_is() -> None:
    assert sorted(pytest_scf_async._HOME_OF) == pytest_scf_async.__all__
    helpers = {name for name, home in pytest_scf_async._HOME_OF.items() if home == "assertions"}
    assert {name for name in vars(assertions) if name.startswith("assert_")} == helpers


def test_it_uses_every_public_name() -> None:
    tree = ast.parse((PROJECT / "test_typed.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {*pytest_scf_async.__all__, *scripted.__all__} - used == set()


def test_it_passes(project: pytest.Pytester) -> None:
    shutil.copytree(PROJECT, project.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    # In a process of its own: what the endpoint makes certificates with cannot be imported twice in one.
    project.runpytest_subprocess("-rf").assert_outcomes(passed=16)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """The project, and beside it a module in which lines 7 to 17 are wrong."""
    shutil.copytree(PROJECT, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "wrong.py").write_text(UNTYPED, encoding="utf-8")
    return tmp_path


def errors(found: subprocess.CompletedProcess[str], sign: str) -> set[tuple[str, int]]:
    """The files and lines of what a checker complains of."""
    lines = [line.split(":") for line in found.stdout.splitlines() if sign in line]
    return {(Path(file.strip()).name, int(number)) for file, number, *_ in lines}


@pytest.mark.once
def test_mypy_finds_what_is_wrong_and_nothing_in_the_project(both: Path) -> None:
    own_cache = [] if "MYPY_CACHE_DIR" in os.environ else ["--cache-dir", str(both / "cache")]  # CI keeps one
    found = check("mypy", "--strict", *own_cache, *FILES, where=both)
    assert errors(found, ": error: ") == WRONG, found.stdout + found.stderr


@pytest.mark.once
def test_pyright_finds_what_is_wrong_and_nothing_in_the_project(both: Path) -> None:
    """By basedpyright: pyright with its Node.js, so that nothing is downloaded in a test."""
    (both / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    found = check("basedpyright", "--pythonpath", sys.executable, *FILES, where=both)
    assert errors(found, " - error: ") == WRONG, found.stdout + found.stderr
    assert errors(found, " - warning: ") == set(), found.stdout


@pytest.mark.once
def test_pyright_finds_nothing_in_the_examples(tmp_path: Path) -> None:
    """In its strict mode. One imports a module beside it, which is found there by pytest, and here by a path.

    The jobs of examples/survival are left out: they use libraries that are not installed, or have no types.
    """
    root = {"root": str(EXAMPLES), "extraPaths": [str(EXAMPLES / "watcher")]}
    left_out = ["**/node_modules", str(EXAMPLES / "survival")]
    config = {"typeCheckingMode": "strict", "include": [str(EXAMPLES)], "exclude": left_out}
    text = json.dumps({**config, "executionEnvironments": [root]})
    (tmp_path / "pyrightconfig.json").write_text(text, encoding="utf-8")
    found = check("basedpyright", "--pythonpath", sys.executable, where=tmp_path)
    assert found.stdout.splitlines()[-1] == "0 errors, 0 warnings, 0 notes", found.stdout
