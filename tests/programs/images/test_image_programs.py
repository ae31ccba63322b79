"""Which programs of images the test's own interpreter runs, however its path is spelled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from internals import Deployed
from program_internals import image

from pytest_scf_async.errors import ScfUsageError

pytestmark = pytest.mark.interpreter

OWN = "venv/bin/python"


def environment(path: Path) -> None:
    """An environment of the interpreter that runs this, as ``venv`` makes it: a directory with links to that."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    for name in ("python3", f"python3.{sys.version_info.minor}"):
        (path / "bin" / name).symlink_to("python")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the test's own environment, by a link and by its own name, another one, and a program."""
    environment(tmp_path / "venv")
    environment(tmp_path / "other")
    (tmp_path / "link").symlink_to("venv")
    (tmp_path / "q").mkdir()
    (tmp_path / "app.py").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / OWN))
    return tmp_path


def in_process(project: Path, *command: str) -> Deployed:
    given = {"command": list(command), "cwd": None, "port": 9000, "in_process": True}
    return image(given, (str(project),), "deploy_image(...)", lambda: "a test says so")


@pytest.mark.parametrize("ours", [OWN, f"q/../{OWN}", "link/bin/python"], ids=["plain", "dots", "link"])
@pytest.mark.parametrize(
    "theirs",
    [OWN, f"{OWN}3.{sys.version_info.minor}", f"q/../{OWN}", "link/bin/python3"],
    ids=["plain", "version", "dots", "link"],
)
def test_the_own_interpreter_is_known_by_any_path(project, monkeypatch, ours: str, theirs: str) -> None:
    monkeypatch.setattr(sys, "executable", f"{project}/{ours}")
    script = project / "serve"
    script.write_text(f"#!{project}/{theirs}\n")
    script.chmod(0o755)

    assert in_process(project, f"{project}/{theirs}", "app.py").runtime.launch.in_process
    assert in_process(project, f"./{theirs}", "app.py").runtime.launch.in_process
    assert in_process(project, "./serve").runtime.launch.in_process


@pytest.mark.parametrize("other", ["other/bin/python", "gone/bin/python"])
def test_another_environment_of_the_same_interpreter_is_another(project, other: str) -> None:
    script = project / "serve"
    script.write_text(f"#!{project}/{other}\n")
    script.chmod(0o755)

    with pytest.raises(ScfUsageError, match="not a Python program of the test's own interpreter"):
        in_process(project, "./serve")
