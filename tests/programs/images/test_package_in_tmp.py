"""The package and Python may lie below /tmp, of which each instance has its own: nothing is to be missed for that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_support import LONG

import pytest_scf_async

# once: the test's side: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

RUNS = """
import sys
sys.path.insert(0, sys.argv[1])
from pytest_scf_async import ScfRuntime, __file__ as found
assert found.startswith(sys.argv[1]), found
with ScfRuntime() as runtime:
    event = runtime.deploy_image(["false"], cwd=sys.argv[1]).invoke_async().wait()
    print(event.status_code)
"""


@pytest.fixture
def copy() -> Iterator[Path]:
    """A directory below /tmp with a copy of the package."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    shutil.copytree(Path(pytest_scf_async.__file__).parent, directory / "pytest_scf_async")
    yield directory
    shutil.rmtree(directory)


def test_what_is_imported_late_is_found(copy: Path) -> None:
    """The first instance is that of a program that is not Python, for which the zygote imports a module more."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUNS, str(copy)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONG,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )
    assert done.stdout == "439\n"


RUNS_ITSELF = """
import sys
from pytest_scf_async import ScfRuntime
assert sys.executable == sys.argv[1], sys.executable
with ScfRuntime() as runtime:
    event = runtime.deploy_image([sys.executable, "-c", "print('ran')"]).invoke_async().wait()
    print([line.text for line in event.log if line.source == "Custom"])
"""


def test_an_interpreter_behind_links_is_found(copy: Path) -> None:
    """As ``uv venv`` makes one: its ``bin/python`` is a link to the one that was given, which may be a link, too."""
    first, second = copy / "first" / "python", copy / "second" / "python"
    for link, target in ((second, sys.executable), (first, second)):
        link.parent.mkdir()
        link.symlink_to(target)
    done = subprocess.run(
        [first, "-W", "error", "-c", RUNS_ITSELF, str(first)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONG,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout == "['ran']\n"
