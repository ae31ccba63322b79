"""What cold starts spend long on is said, with what to do about it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_internals import cold_start_texts
from sweeping import each_run

from pytest_scf_async import ScfRuntime, ScfSettings

# once: it is about what is said
pytestmark = pytest.mark.once

COMPUTES = 'hashlib.pbkdf2_hmac("sha256", b"", b"", 800_000)'
LIBRARY = "computes_at_import"
OTHER = "quopri"
"""A module that no other test has preloaded: so there is a zygote of these tests' own."""
SAVES = f"""
    import hashlib, os, sys
    import {LIBRARY}
    from own import model

    def main_handler(event, context):
        with open(os.environ["OUT"] + "/done", "w") as done:
            done.write("1")
"""
JOB = f"""
    import hashlib, sys
    import {LIBRARY}
    {COMPUTES}
    with open(sys.argv[1] + "/done", "w") as done:
        done.write("1")
"""


@pytest.fixture(scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A library that computes when it is imported, for sessions that begin here: those with a setting of their own."""
    directory = tmp_path_factory.mktemp("installed")
    (directory / f"{LIBRARY}.py").write_text(f"import hashlib\n{COMPUTES}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory))
        yield


@pytest.fixture
def code(tmp_path: Path, _installed: None) -> Path:
    """The directory of a function."""
    (tmp_path / "own.py").write_text(f"import hashlib\nmodel = {COMPUTES}\n")
    (tmp_path / "index.py").write_text(textwrap.dedent(SAVES))
    (tmp_path / "job.py").write_text(textwrap.dedent(JOB))
    return tmp_path


def said(report: str) -> set[str]:
    """What the lines of *report* say of cold starts, without the seconds."""
    return {line.partition(" s of ")[2] for line in report.splitlines() if " s of each cold start goes into " in line}


@pytest.mark.parametrize("preload", [OTHER, LIBRARY])
def test_a_handler(code: Path, preload: str) -> None:
    with ScfRuntime(ScfSettings(preload=[preload]), lookup=[code]) as runtime:
        function = runtime.deploy(f"{code}/index.py:main_handler")
        sweep = runtime.sweep(function, each_run=each_run, how="forced", points="waits")
    found = {"each cold start goes into own.py:2"}
    if preload == OTHER:
        found.add(f"each cold start goes into the import at index.py:3: preload={LIBRARY} imports it once for all runs")
    assert said(sweep.report) == found


def test_a_job(code: Path) -> None:
    with ScfRuntime(ScfSettings(preload=[OTHER]), lookup=[code]) as runtime:
        job = runtime.deploy_image(["python", "job.py", "{path}"], cwd=code, port=-1, in_process=True)
        sweep = runtime.sweep(job, each_run=each_run, how="forced", points="waits")
    text = f"each cold start goes into the import at job.py:3: preload={LIBRARY} imports it once for all runs"
    assert said(sweep.report) == {text}, "what it computes itself is its work"


def test_lines_are_added_up_and_slowest_first(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    file = tmp_path / "index.py"
    file.write_text("import own, a.b\nfrom c import (\n    d,\n)\nfrom . import e\nwork()\n")
    index, program = str(file), str(tmp_path / "train.py")
    lines = [(index, 1, 0.2), (index, 2, 0.5), (index, 6, 0.3), (index, 6, 0.3), (program, 1, 9.0)]
    assert list(cold_start_texts(lines, str(tmp_path), program)) == [
        "0.6 s of each cold start goes into index.py:6",
        "0.5 s of each cold start goes into the import at index.py:2: preload=c imports it once for all runs",
        "0.2 s of each cold start goes into the import at index.py:1: preload=a imports it once for all runs",
    ]
