"""tools/compare_translations.py finds each way in which a page in Chinese is not that of the English one any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from package_checks import PROJECT, load_tool

# once: reads pages: the same on all Pythons
pytestmark = pytest.mark.once

TOOL = load_tool("compare_translations")
ENGLISH = """# Page

[中文](zh/page.md)

What it is.

## First

<!-- not run: why -->
```python
# no_heading.py
print(1)
```

## Second

Text.

<!-- [messages: time] -->

generated

<!-- [end] -->

### Third

```text
out
```
"""
CHINESE = (
    ENGLISH.replace("# Page\n\n[中文](zh/page.md)\n\nWhat it is.", "# 页面\n\n[English](../page.md)\n\n这是什么。")
    .replace("## First", "## 第一")
    .replace("## Second\n\nText.", "## 第二\n\n正文。")
    .replace("# Third", "# 第三")
)


class Project:
    """A project of two pages in both languages, whose hashes are those of the English ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in (
            ("README.md", "# Name\n\n[中文](README.zh-CN.md)\n"),
            ("README.zh-CN.md", "# 名称\n\n[English](README.md)\n"),
            ("docs/page.md", ENGLISH),
            ("docs/zh/page.md", CHINESE),
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> int:
        return int(TOOL.main([*arguments, "--root", str(self.root)]))

    def change(self, page: str, old: str, new: str) -> None:
        text = (self.root / page).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.root / page).write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    made = Project(tmp_path)
    for page in ("README.zh-CN.md", "docs/zh/page.md"):
        assert made.run("--write", page) == 0
    assert made.run() == 0
    assert capsys.readouterr().out == "compare_translations: 2 pages in Chinese have what the English ones have\n"
    return made


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one problem that was printed, behind the page's name."""
    (line,) = capsys.readouterr().out.splitlines()
    return line.removeprefix("compare_translations: ").partition(": ")[2]


@pytest.mark.parametrize(
    ("page", "change", "problem"),
    [
        ("docs/page.md", ("Text.", "Other text."), "the section 第二 (Second) is a translation of "),
        ("docs/page.md", ("## Second", "## New"), "the section 第二 (New) is a translation of "),
        ("docs/zh/page.md", ("## 第二", "第二"), "the section ## Second is missing: ### 第三 is there"),
        ("docs/zh/page.md", ("### 第三", "第三"), "the section ### Third is missing: the page ends there"),
        ("docs/zh/page.md", ("### 第三", "## 第三"), "the section ### Third is missing: ## 第三 is there"),
        ("docs/page.md", ("### Third", "Third"), "the section ### 第三 is not on the English page"),
        ("docs/zh/page.md", ("print(1)", "print(2)"), "the section 第一 (First): its code block 1 is not that of"),
        (
            "docs/zh/page.md",
            ("not run: why", "not run: 因为"),
            "the section 第一 (First): its code block 1 is not that of",
        ),
        ("docs/zh/page.md", ("```text\nout\n```", ""), "the section 第三 (Third): its code block 1 is not that of"),
        (
            "docs/zh/page.md",
            ("正文。", "[名称](../../README.md)"),
            "it links README.md, of which there is a page in Chinese",
        ),
        ("docs/zh/page.md", ("[English](../page.md)", ""), "it does not link page.md, which it translates"),
    ],
)
def test_a_difference_is_one_sentence(
    project: Project, capsys: pytest.CaptureFixture[str], page: str, change: tuple[str, str], problem: str
) -> None:
    project.change(page, *change)
    assert project.run() == 1
    assert said(capsys).startswith(problem)


def test_an_english_page_that_does_not_link_the_chinese_one(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.change("docs/page.md", "[中文](zh/page.md)\n\n", "")
    assert project.run("--write", "docs/zh/page.md") == 0
    assert project.run() == 1
    assert said(capsys) == "page.md does not link it"


def test_a_section_without_a_hash(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    of_second = TOOL.sections(ENGLISH)[2].hash
    project.change("docs/zh/page.md", f"<!-- of: {of_second} -->\n", "")
    assert project.run() == 1
    assert said(capsys) == f"the section 第二 (Second) has no line <!-- of: {of_second} --> below its heading"


def test_a_page_without_an_english_one(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project.root / "docs" / "page.md").unlink()
    assert project.run() == 1
    assert capsys.readouterr().out == "compare_translations: docs/page.md: there is no such page\n"


def test_what_is_generated_is_not_translated(project: Project) -> None:
    project.change("docs/page.md", "\ngenerated\n", "\nother messages\n")
    assert project.run() == 0


def test_a_section_that_was_translated_is_noted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.change("docs/page.md", "What it is.", "What it was.")
    project.change("docs/page.md", "Text.", "Other text.")
    assert project.run("--write", "docs/zh/page.md", "Second") == 0
    assert project.run() == 1
    assert said(capsys).startswith("the section 页面 (Page) is a translation of ")
    assert project.run("--write", "docs/zh/page.md", "Page") == 0
    assert project.run() == 0
    text = (project.root / "docs/zh/page.md").read_text(encoding="utf-8")
    assert TOOL.HASH.sub("", text) == CHINESE


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("docs/zh/page.md", "Fourth"), 1, "docs/zh/page.md: page.md has no section Fourth; it has: Page, First, "),
        (("docs/page.md",), 2, "docs/page.md is no page in Chinese; these are: README.zh-CN.md, docs/zh/page.md"),
    ],
)
def test_what_cannot_be_noted(
    project: Project, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, problem: str
) -> None:
    assert project.run("--write", *arguments) == code
    assert capsys.readouterr().out.startswith(f"compare_translations: {problem}")


def test_make_check_compares_the_pages_of_this_project() -> None:
    """They are not compared here a second time: CI runs `make check`."""
    recipe = (PROJECT / "Makefile").read_text("utf-8").split("\ncheck:")[1].split("\n\n")[0]
    assert "/python tools/compare_translations.py\n" in f"{recipe}\n"
    assert PROJECT / "README.zh-CN.md" in TOOL.pairs(PROJECT)
