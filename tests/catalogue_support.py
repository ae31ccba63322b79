"""The catalogue of failures: what a user reads when a test fails, stored as text and compared.

`pytest tests/plugin --co -q -k catalogue` lists them. SCF_CATALOGUE=write writes the texts anew: read each before you
commit it, as a user in their first hour would.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import pytest_scf_async.assertions  # noqa: F401  (imported before the first run in this process, and so once)

TEXTS: Final = Path(__file__).parent / "plugin" / "reports" / "catalogue"
WRITE: Final = os.environ.get("SCF_CATALOGUE") == "write"

# What differs from run to run, machine to machine, or between versions of Python and pytest, and what stands for it.
_NORMAL: Final = (
    (re.compile(r"\bpid \d+"), "pid PID"),
    (re.compile(r"the child process \d+"), "the child process PID"),
    (re.compile(r"in which [0-9,.]+ simulated"), "in which N simulated"),
    (re.compile(r", [0-9,]+ times$", re.MULTILINE), ", N times"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\bport=\d{4,5}\b"), "port=PORT"),
    (re.compile(r"\b0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"MemUsage: ?\d+(\.\d+)?MB"), "MemUsage: N MB"),
    (re.compile(r"used more memory \(\d+(\.\d+)? MB"), "used more memory (N MB"),
    (re.compile(r"/[^ \n:'\"]*/lib/python3\.\d+/"), "PYTHON/"),
    # Lines with a traceback are cut: where, depends on the length of paths.
    (re.compile(r'("stackTrace":).*$', re.MULTILINE), r"\1 and so on"),
    (re.compile(r'("errorMessage":)(?!.*"stackTrace":).*(Traceback|File ).*$', re.MULTILINE), r"\1 and so on"),
    (re.compile(r'File "(<frozen os>|PYTHON/os\.py)", line \d+, in __getitem__\n(E +raise .*\n)?'), "File of os\n"),
    (re.compile(r"^E +PYTHON/.*\n(E +PYTHON/.*\n)*", re.MULTILINE), "E           PYTHON/: some frames\n"),
    (re.compile(r"\S*/pytest_scf_async/(\S+?):\d+"), r"OURS/\1:N"),
    (re.compile(r"^(E? *)[ ~^]*[~^]{2,}[ ~^]*$\n", re.MULTILINE), ""),  # Python 3.11 and newer underline
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
    (re.compile(r"^(_ )+_*$", re.MULTILINE), "- - -"),
)

# Where simulated time goes at the rate of the real one.
_REAL_TIMES: Final = (
    (re.compile(r"^E +\+[0-9.]+ s ", re.MULTILINE), "E       +N s "),
    (re.compile(r"\b[0-9.]+ s after"), "N s after"),
    (re.compile(r"\b\d+ms\b"), "Nms"),
    (re.compile(r"(T00:00:)\d\d\.\d+"), r"\1NN"),
)

Catalogue = Callable[..., str]


def normal(text: str, project: Path) -> str:
    """*text* without what is another in each run."""
    text = text.replace(str(project), "PROJECT")
    for pattern, instead in _NORMAL:
        text = pattern.sub(instead, text)
    return text.strip() + "\n"


@pytest.fixture
def catalogue(request: pytest.FixtureRequest, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Run a test that fails, compare the text of its failure with the stored one, and return it."""
    name = re.sub(r"^test_((end|marker|call|scripted)\[)?|\]$", "", request.node.name)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delitem(sys.modules, "test_export", raising=False)  # that of an example, when all is run together

    def look(
        *options: str, test: str, handler: str = "", files: dict[str, str] | None = None, real_time: bool = False
    ) -> str:
        sources = {f"handlers/{stem}": source for stem, source in {"export.py": handler}.items() if source}
        for path, source in {**sources, **(files or {}), "test_export.py": test}.items():
            file = project.path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
        run = project.inline_run("--scf-async-start=2026-01-01T00:00:00Z", "--color=no", *options)
        parts = []
        for report in run.getreports("pytest_runtest_logreport pytest_collectreport"):
            if report.failed:
                phase = getattr(report, "when", "collect")
                parts.append(f"## {report.nodeid}: {phase}\n\n{report.longreprtext}")
        assert parts, "the test of this entry of the catalogue has to fail, and passed"
        text = normal("\n\n".join(parts), project.path)
        for pattern, instead in _REAL_TIMES if real_time else ():
            text = pattern.sub(instead, text)
        ours = re.search(r"^\S*pytest_scf_async/\S+:\d+: .*", text, re.MULTILINE)
        assert ours is None, f"a frame of ours is shown:\n{text}"
        _compare(TEXTS / f"{name}.txt", text)
        return text

    return look


def _compare(kept: Path, text: str) -> None:
    if WRITE:
        kept.write_text(text, encoding="utf-8")
        return
    assert kept.exists(), f"{kept.name} is not kept yet: SCF_CATALOGUE=write writes it; the text is:\n{text}"
    before = kept.read_text(encoding="utf-8")
    if before != text:
        difference = difflib.unified_diff(before.splitlines(), text.splitlines(), "kept", "now", lineterm="")
        pytest.fail(f"{kept.name} reads otherwise:\n" + "\n".join(difference), pytrace=False)
