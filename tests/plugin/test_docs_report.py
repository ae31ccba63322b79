"""The failure report in README.md is what pytest prints."""

from __future__ import annotations

import re

import pytest
from docs_support import blocks, forget_modules

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

START = "2026-01-01T00:00:00Z"


def reported(lines: list[str]) -> list[str]:
    """The lines without what differs from run to run, and long ones of the timeline cut, as README has them."""
    text = "\n".join(lines)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "22474b0c-…", text)
    text = re.sub(r"(MemUsage: ?)[\d.]+MB", r"\g<1>…MB", text)
    return [f"{line[:117]}…" if len(line) > 118 and re.match(r"E +\+", line) else line for line in text.splitlines()]


def test_the_report_of_the_readme_is_true(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str
) -> None:
    page = {block.name: block.text for block in blocks("README.md") if block.language == "python"}
    (shown,) = [block.text.splitlines() for block in blocks("README.md") if block.language == "text"]
    for name in ("handlers/backup.py", "test_backup.py"):
        file = pytester.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(page[name], encoding="utf-8")
    forget_modules(monkeypatch, ["test_backup.py"])
    done = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", f"--scf-async-start={START}", "--tb=short", "test_backup.py"
    )
    done.assert_outcomes(failed=1)
    first = done.outlines.index("test_backup.py:12: in test_a_backup_stops_cleanly")
    last = next(n for n in range(first, len(done.outlines)) if not done.outlines[n].startswith(("E ", "    ", "test_")))
    assert reported(done.outlines[first:last]) == shown
