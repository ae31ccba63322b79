"""action.yml: its steps, run by bash as GitHub runs them, with files for their output and for the job's summary."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# once: GitHub's side
pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[3]
HANDLER = """
import os

def main_handler(event, context):
    with open(os.path.join(os.environ["OUT"], "rows"), "w") as rows:
        for row in range(event["rows"]):
            rows.write(f"{row}\\n")
            rows.flush()
    return event["rows"]
"""
TESTS = """
from pytest_scf_async import scf_function

@scf_function("export.py:main_handler", payload={"rows": 1}, environment={"OUT": "/tmp"})
def test_finished(async_event):
    assert async_event.wait().result == 1

@scf_function("export.py:main_handler", payload={"rows": 1}, environment={"OUT": "/nowhere"})
def test_failed(async_event):
    assert async_event.wait().result == 1
"""


@dataclass(frozen=True)
class Done:
    """A step that has ended."""

    code: int
    printed: str
    outputs: str
    summary: str


def step(name: str) -> dict[str, Any]:
    from ruamel.yaml import YAML  # check-jsonschema needs it; not all environments of these tests have that

    action = YAML(typ="safe").load((PROJECT / "action.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(each for each in action["runs"]["steps"] if each["name"] == name)
    return found


def run(tmp_path: Path, **inputs: str) -> Done:
    """The step "Run", with *inputs*, as the runner has it: its shell, its variables, its files."""
    (tmp_path / "export.py").write_text(HANDLER, encoding="utf-8")
    (tmp_path / "test_export.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "step.sh").write_text(step("Run")["run"], encoding="utf-8")
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    outputs.touch()
    summary.touch()
    barred = ("PYTEST_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(barred)}
    for name, value in step("Run")["env"].items():
        environment[name] = inputs[re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", value)[1]]  # type: ignore[index]
    environment.update(GITHUB_OUTPUT=str(outputs), GITHUB_STEP_SUMMARY=str(summary))
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", tmp_path / "step.sh"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    return Done(done.returncode, done.stdout + done.stderr, outputs.read_text(), summary.read_text())


def test_tests_that_pass(tmp_path: Path) -> None:
    done = run(
        tmp_path, run="tests", arguments="-q -p no:cacheprovider -k 'finished and not failed'", python=sys.executable
    )
    assert (done.code, done.outputs) == (0, "exit-code=0\n"), done.printed
    assert re.fullmatch(r"### tests: exit code 0\n\n~~~~text\n1 passed, 1 deselected in .+\n~~~~\n", done.summary)


def test_a_test_that_fails_is_in_the_summary_with_its_trace(tmp_path: Path) -> None:
    arguments = "-q -p no:cacheprovider --scf-async-artifacts='kept files'"
    done = run(tmp_path, run="tests", arguments=arguments, python=sys.executable)
    assert (done.code, done.outputs) == (1, "exit-code=1\n"), done.printed
    assert "test_export.py::test_failed" in done.summary
    (trace,) = (tmp_path / "kept files").rglob("trace.html")
    assert str(trace.relative_to(tmp_path)) in done.summary
    assert "### tests: exit code 1\n\n~~~~text\n1 failed, 1 passed in " in done.summary


def test_a_sweep_is_in_the_summary(tmp_path: Path) -> None:
    arguments = """export.py:main_handler --payload '{"rows": 2}' --limit 20"""
    done = run(tmp_path, run="sweep", arguments=arguments, python=sys.executable)
    assert (done.code, done.outputs) == (0, "exit-code=0\n"), done.printed
    assert done.summary.startswith("### sweep: exit code 0\n\n~~~~text\n")
    assert len(done.summary.splitlines()) > 5


def test_a_sweep_that_cannot_be_tried_fails_the_step(tmp_path: Path) -> None:
    done = run(tmp_path, run="sweep", arguments="missing.py:main_handler", python=sys.executable)
    assert (done.code, done.outputs) == (2, "exit-code=2\n")


def test_arguments_are_words_and_no_code(tmp_path: Path) -> None:
    done = run(tmp_path, run="tests", arguments="-q $(touch made) '`touch made`' ; touch made", python=sys.executable)
    assert done.code == 4, "pytest finds no such files"
    assert not (tmp_path / "made").exists()


def test_another_word_for_what_is_run(tmp_path: Path) -> None:
    done = run(tmp_path, run="lint", arguments="", python=sys.executable)
    assert (done.code, done.printed) == (2, "run is 'lint', and has to be tests or sweep\n")


def test_the_plugin_that_is_installed_is_that_of_the_action() -> None:
    install = step("Install the plugin")
    assert install["env"]["ACTION"] == "${{ github.action_path }}"
    assert install["run"].endswith('pip install --disable-pip-version-check "$ACTION"')
