"""tools/release_check.py finds what an index, pytest or a type checker would not take of a wheel."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import PROJECT, load_tool

# once: metadata and archives
pytestmark = pytest.mark.once

SOURCE = "https://example.org/owner/it"
FILES = {
    "pytest_scf_async/__init__.py": "",
    "pytest_scf_async/py.typed": "",
    "pytest_scf_async-1.2.3.dist-info/entry_points.txt": "[pytest11]\nscf_async = pytest_scf_async.plugin.plugin\n",
    "pytest_scf_async-1.2.3.dist-info/licenses/LICENSE": "the licence\n",
    "pytest_scf_async-1.2.3.dist-info/METADATA": f"""\
Metadata-Version: 2.4
Name: pytest-scf-async
Version: 1.2.3
Summary: Tests events
Project-URL: Homepage, {SOURCE}
Project-URL: Documentation, {SOURCE}/docs
Project-URL: Changelog, {SOURCE}/log
Project-URL: Issues, {SOURCE}/issues
Project-URL: Source, {SOURCE}
License-Expression: Apache-2.0
Requires-Python: >=3.10
Description-Content-Type: text/markdown

See [the docs]({SOURCE}/blob/v1.2.3/docs/a.md#part), [pytest](https://docs.pytest.org).

```
[not a link](nowhere)
```
""",
}
METADATA = next(name for name in FILES if name.endswith("/METADATA"))


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(PROJECT / "tools"))
    try:
        return load_tool("release_check")
    finally:
        sys.path.pop(0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Part\n", encoding="utf-8")
    (tmp_path / "LICENSE").write_text("the licence\n", encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.3] - 2026-01-01\n", encoding="utf-8")
    return tmp_path


def written(directory: Path, files: dict[str, str], name: str = "pytest_scf_async-1.2.3-py3-none-any.whl") -> Path:
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / name, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file), text)
    return directory / name


def found(tool: ModuleType, tree: Path, files: dict[str, str], tag: str = "") -> list[str]:
    wrong: list[str] = tool.check_built(written(tree / "one", files), written(tree / "two", files), tag, tree)
    return wrong


@pytest.mark.parametrize("tag", ["", "v1.2.3"])
def test_nothing_is_wrong(tool: ModuleType, tree: Path, tag: str) -> None:
    assert found(tool, tree, FILES, tag) == []


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3rc1", "release-1.2.3"])
def test_another_tag(tool: ModuleType, tree: Path, tag: str) -> None:
    assert found(tool, tree, FILES, tag) == [f"the tag {tag!r} is not v1.2.3, which is what the version 1.2.3 needs"]


@pytest.mark.parametrize(
    ("version", "is_one"),
    [("0.1.0", True), ("1.2.3rc1", True), ("1.2", False), ("01.2.3", False), ("1.2.3.dev0", False)],
)
def test_the_form_of_a_version(tool: ModuleType, version: str, is_one: bool) -> None:
    assert list(tool.check_tag("", version)) == (
        [] if is_one else [f"the version {version!r} is not of the form 1.2.3, or 1.2.3rc1"]
    )


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("Name: pytest-scf-async", "Name: pytest-scf", "the name is 'pytest-scf' and not 'pytest-scf-async'"),
        ("License-Expression: Apache-2.0", "License: Apache", "License-Expression is None and not 'Apache-2.0'"),
        ("Requires-Python: >=3.10", "Requires-Python: >=3.9", "Requires-Python is '>=3.9', and the oldest Python of "),
        ("Summary: Tests events\n", "", "there is no Summary"),
        ("Project-URL: Issues", "Project-URL: Bugs", "[project.urls] has ['Bugs', 'Changelog', 'Documentation', "),
        (
            f"Issues, {SOURCE}",
            "Issues, https://example.com",
            "the address of Issues, https://example.com/issues, is not",
        ),
        ("text/markdown", "text/plain", "the long description is 'text/plain', and an index renders it as text/mark"),
        (f"({SOURCE}/blob", "(docs", "the long description links docs/v1.2.3/docs/a.md#part, which leads nowhere on "),
        (
            "/a.md",
            "/b.md",
            f"the long description links {SOURCE}/blob/v1.2.3/docs/b.md#part, and there is no docs/b.md",
        ),
        (
            "blob/v1.2.3",
            "blob/main",
            f"the long description links {SOURCE}/blob/main/docs/a.md#part, which is not of v",
        ),
    ],
)
def test_what_the_metadata_should_not_say(tool: ModuleType, tree: Path, before: str, after: str, sentence: str) -> None:
    assert before in FILES[METADATA]
    wrong = found(tool, tree, {**FILES, METADATA: FILES[METADATA].replace(before, after)})
    assert [text[: len(sentence)] for text in wrong] == [sentence]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("pytest_scf_async/py.typed", "the wheel has no py.typed: type checkers would not read its types"),
        ("pytest_scf_async-1.2.3.dist-info/entry_points.txt", "the wheel has no entry point by which pytest finds the"),
        ("pytest_scf_async-1.2.3.dist-info/licenses/LICENSE", "the wheel does not have the project's LICENSE"),
    ],
)
def test_a_file_that_is_missing(tool: ModuleType, tree: Path, file: str, sentence: str) -> None:
    (wrong,) = found(tool, tree, {name: text for name, text in FILES.items() if name != file})
    assert wrong.startswith(sentence)


def test_what_else_it_would_install(tool: ModuleType, tree: Path) -> None:
    assert found(tool, tree, {**FILES, "tests/test_it.py": ""}) == [
        "the wheel installs pytest_scf_async-1.2.3.dist-info, tests beside pytest_scf_async"
    ]


def test_a_version_without_a_section_of_the_changelog(tool: ModuleType, tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text("## [1.2.30]\n", encoding="utf-8")
    assert found(tool, tree, FILES) == ["CHANGELOG.md has no section for 1.2.3"]


def test_the_wheel_of_the_sdist_is_another(tool: ModuleType, tree: Path) -> None:
    of_sdist = written(tree / "one", FILES)
    of_tree = written(tree / "two", {**FILES, "pytest_scf_async/__init__.py": "1", "pytest_scf_async/a.js": ""})
    (wrong,) = tool.check_same(of_sdist, of_tree)
    assert wrong.endswith("; what differs: pytest_scf_async/__init__.py, pytest_scf_async/a.js")
