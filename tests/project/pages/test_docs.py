"""Every code block of README.md and docs/ runs.

A block's first line names the file that it is: ``# handlers/export.py``, ``# test_export.py``, ``# conftest.py``,
``# pytest.ini``, ``# pyproject.toml``. The blocks of a page make one project, and the page's tests are run in it;
configuration files are each tried alone, with --strict-config. A console block's lines ``$ pytest …`` are run in it,
which is a test of its own.
What cannot run has ``<!-- not run: why -->`` on the line before it, and is counted.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from docs_support import MARK, TREE, Block, blocks, forget_modules
from forked_pytest import run_forked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (TREE / "docs").glob("*.md")))
TRANSLATIONS = ("README.zh-CN.md", *sorted(f"docs/zh/{path.name}" for path in (TREE / "docs" / "zh").glob("*.md")))
"""Pages whose blocks are those of the English ones, which tools/compare_translations.py holds."""
NOT_RUN = {
    "README.md": 2,
    "docs/about.md": 1,
    "docs/conformance.md": 3,
    "docs/how-to-api.md": 1,
    "docs/how-to-ci.md": 1,
    "docs/how-to-languages.md": 4,
    "docs/install.md": 2,
    "docs/jobs.md": 1,
    "docs/recipes.md": 1,
    "docs/survival.md": 1,
    "docs/sweep.md": 4,
    "docs/trace.md": 1,
}
"""How many blocks of a page are marked as not run; none elsewhere."""
CONFIGURATION = ("ini", "toml")
OF_ASYNCIO = "ignore:The configuration option"
"""What pytest-asyncio, which is there for other tests, complains about."""


def commands(block: Block) -> list[list[str]]:
    """The command lines of a console block."""
    lines = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    assert lines, f"line {block.line}: a console block has no line that begins with $"
    return [shlex.split(line, comments=True) for line in lines]


def files_of(page: str, directory: Path) -> list[Block]:
    """Write the files of *page*, and give the blocks that are no console's, in order."""
    written = []
    for block in blocks(page):
        where = f"{page}:{block.line}"
        if block.not_run or block.language in ("text", "console", "mermaid"):
            continue
        assert block.language in ("python", *CONFIGURATION), f"{where}: nothing runs a block of {block.language!r}"
        assert block.name is not None, f"{where}: its first line names no file, as in # handlers/export.py"
        file = directory / block.name
        if block.language not in CONFIGURATION:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        written.append(block)
    return written


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(
    page: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str
) -> None:
    tests = 0
    written = files_of(page, pytester.path)
    forget_modules(monkeypatch, (block.name or "" for block in written))
    for block in written:
        name = block.name or ""
        if block.language in CONFIGURATION:
            file = pytester.path / name
            file.write_text(block.text, encoding="utf-8")
            done = pytester.runpytest_inprocess(
                "--strict-config", "-W", OF_ASYNCIO, "--co", "-q", "--ignore-glob=*", f"--config-file={file}"
            )
            assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED, f"{page}:{block.line}"
            file.unlink()
        tests += block.text.count("\ndef test_") if Path(name).name.startswith("test_") else 0
    if tests:
        # forked: pytester forgets libraries that a page imports, but not that the package ``http`` has their modules
        done = run_forked(pytester, "-W", "error", "-W", OF_ASYNCIO, "-p", "no:cacheprovider")
        assert done.ret == pytest.ExitCode.OK
        assert done.parseoutcomes()["passed"] >= tests


@pytest.mark.once
@pytest.mark.timeout(300)  # each is a session of pytest
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(
    page: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str
) -> None:
    forget_modules(monkeypatch, (block.name or "" for block in files_of(page, pytester.path)))
    asked = [line for block in blocks(page) if block.language == "console" and not block.not_run
             for line in commands(block)]  # fmt: skip
    for command, *arguments in asked:
        assert command == "pytest", f"{page}: nothing runs the command {command!r}; mark the block as not run"
        if not arguments:
            continue  # that is the run of the blocks
        done = run_forked(pytester, *arguments)
        assert done.ret == pytest.ExitCode.OK, f"{page}: $ {command} {' '.join(arguments)}"


def test_what_does_not_run_is_marked_and_counted() -> None:
    marked = {page: sum(block.not_run is not None for block in blocks(page)) for page in PAGES}
    assert {page: number for page, number in marked.items() if number} == NOT_RUN
    for page in PAGES:
        text = (TREE / page).read_text(encoding="utf-8")
        assert len(MARK.findall(text)) == marked[page], f"{page}: a mark has no block below it"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*PAGES, *TRANSLATIONS):
        text = (TREE / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", text):
            assert ((TREE / page).parent / target).exists(), f"{page}: {target}"


NOT_REPEATABLE = {"What differs from run to run": 11, "What cannot be ordered": 6}
"""How many rows the tables of `docs/repeatable.md` have at most: what becomes repeatable lowers these."""


def test_the_lists_of_what_is_not_repeatable_only_shrink() -> None:
    text = (TREE / "docs" / "repeatable.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    tables = {title: re.findall(r"^\|---.*\n((?:\|.*\n)+)", sections[title], re.MULTILINE) for title in NOT_REPEATABLE}
    assert {title: "".join(rows).count("\n") for title, rows in tables.items()} == NOT_REPEATABLE
