"""docs/troubleshooting.md has each message: those of the sources, and those of the catalogue of failures.

Its page in Chinese has the same.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from catalogue_support import TEXTS
from docs_support import TREE

# once: reads pages, sources and stored texts
pytestmark = pytest.mark.once

PAGE = TREE / "docs" / "troubleshooting.md"
CHINESE = TREE / "docs" / "zh" / "troubleshooting.md"
OURS = re.compile(
    r"(?:^E +(?:pytest_scf_async\.\w+|AssertionError): "
    r"|^(?:test_export\.py::)?(?=\w+.*(?:scf_function|never checked|parametrize)))(?P<text>.+)$",
    re.MULTILINE,
)
"""The first line of a failure, in a stored text."""
ELSEWHERE = {
    "found FAILED (445: …)": ("model/codes.py", '(445, "ContainerInitError"'),
    "found FAILED (450: …)": ("model/codes.py", '(450, "InitContainerTimeout"'),
    "what to do: move … out of this machine's /tmp, …": ("report/exceptions.py", "out of this machine's /tmp, or have"),
    "… could not end: the event has not settled for … (real_timeout, …)": (
        "lockstep/watchdog.py", "the event has not settled for {limit}",
    ),
    "… could not end: nothing is due any more, so no amount of time can bring it about.": (
        "lockstep/scheduler.py", "nothing is due any more, so no amount of time can bring it about",
    ),
    "… could not end: nothing is left to do at this simulated time.": (
        "lockstep/scheduler.py", "nothing is left to do at this simulated time",
    ),
    "…(…) has … twice: … by position and … by keyword…": ("errors.py", "by position and {keywords[name]!r} by keyword"),
    "…(…) takes only … by position, and also got …": ("errors.py", "by position, and also got {more}"),
    "…(…) needs …, its argument number …": ("errors.py", "its argument number {in_order.index(name) + 1}"),
    "the sweep of … interrupted nothing: …": ("sweep/report.py", "the sweep of {swept.function} interrupted nothing: "),
    "… does not survive …:": ("sweep/report.py", '"does not survive {}"'),
    "… takes too long to end after …:": ("sweep/report.py", '"takes too long to end after {}"'),
    "… does work twice after …:": ("sweep/report.py", '"does work twice after {}"'),
}  # fmt: skip
"""Rows that are written by hand and that no failure of the catalogue has: the file of the package with their words."""
PYTHONS = ("assert 'RUNNING' == 'FINISHED'", "assert 'FAILED' == 'FINISHED'")
"""Comparisons that a test makes itself, and pytest reports."""


@cache
def patterns() -> dict[str, re.Pattern[str]]:
    """What each row of the page matches: where it has a gap, anything."""
    rows = re.findall(r"^\| (?:`` (.+?) ``|`(.+?)`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    texts = [(one or other).replace("\\|", "|") for one, other in rows]
    return {text: re.compile(".*".join(map(re.escape, text.split("…")))) for text in texts}


def found(message: str) -> list[str]:
    """The rows in which a reader finds *message*: at its beginning, or where a row has a gap there."""
    return [text for text, pattern in patterns().items() if pattern.search(message)]


def first_message(stored: str) -> str:
    """The first message of ours in a stored text; empty where it has none."""
    match = OURS.search(stored)
    return "" if match is None else match["text"]


MESSAGES = {path.stem: first_message(path.read_text(encoding="utf-8")) for path in sorted(TEXTS.glob("*.txt"))}


@pytest.mark.parametrize("name", [name for name, text in MESSAGES.items() if text and text not in PYTHONS])
def test_a_failure_of_the_catalogue_is_on_the_page(name: str) -> None:
    rows = found(MESSAGES[name])
    assert rows, MESSAGES[name]
    assert len(rows) < 6, rows  # a row that everything matches is none


def test_all_of_the_catalogue_has_a_message() -> None:
    assert [name for name, text in MESSAGES.items() if not text] == []
    assert len(MESSAGES) > 100


def test_rows_that_are_written_by_hand_are_messages() -> None:
    by_hand = re.sub(r"<!-- \[messages: .*?<!-- \[end\] -->", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    stored = [path.read_text(encoding="utf-8") for path in TEXTS.glob("*.txt")]
    rows = [text for text in patterns() if f"| `{text}` |" in by_hand]
    assert len(rows) > 30
    assert [text for text in rows if not any(patterns()[text].search(each) for each in stored)] == [*ELSEWHERE]
    for file, words in ELSEWHERE.values():
        assert words in (TREE / "pytest_scf_async" / file).read_text(encoding="utf-8")


def test_a_message_that_is_nowhere_is_not_found() -> None:
    assert found("the handler is not valid because of the weather") == []


def checked(tree: Path) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, TREE / "tools" / "write_messages.py", "--check", tree)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_messages_of_the_sources_are_on_the_page(tmp_path: Path) -> None:
    """That they are there as they are is not checked here a second time: `make check` does so."""
    assert "/python tools/write_messages.py --check\n" in (TREE / "Makefile").read_text(encoding="utf-8")
    shutil.copytree(TREE / "pytest_scf_async", tmp_path / "pytest_scf_async", ignore=shutil.ignore_patterns("*.pyc"))
    (tmp_path / "docs" / "zh").mkdir(parents=True)
    shutil.copy(PAGE, tmp_path / "docs")
    shutil.copy(CHINESE, tmp_path / "docs" / "zh")
    clock = tmp_path / "pytest_scf_async" / "clock.py"
    clock.write_text(
        clock.read_text(encoding="utf-8").replace("simulated time moves only forward", "time cannot go back"),
        encoding="utf-8",
    )
    done = checked(tmp_path)
    assert done.returncode == 1
    stale = "does not have the messages of the package: make messages"
    assert done.stdout == "".join(
        f"write_messages: docs/{page} {stale}\n" for page in (PAGE.name, f"zh/{CHINESE.name}")
    )


def test_the_rows_in_chinese_are_those_in_english() -> None:
    english, chinese = (
        re.findall(r"^\| (`` .+? ``|`.+?`) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
        for page in (PAGE, CHINESE)
    )
    assert chinese == english


def test_a_message_of_a_new_file_needs_a_group(tmp_path: Path) -> None:
    package = tmp_path / "pytest_scf_async"
    (package / "report").mkdir(parents=True)
    (package / "report" / "teardown.py").touch()
    (package / "weather.py").write_text('raise ScfUsageError("it must not rain today")\n', encoding="utf-8")
    (tmp_path / "docs").mkdir()
    shutil.copy(PAGE, tmp_path / "docs")
    done = checked(tmp_path)
    assert done.returncode != 0
    assert "weather.py: its messages are in no group of tools/write_messages.py" in done.stderr
