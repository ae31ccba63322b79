"""Checks what would be released: builds it once, looks at it, and runs tests on the wheel without the sources.

What is checked: the wheel of the sdist is byte for byte that of the tree; name, version, licence, addresses and the
long description are what an index takes and shows, with no link or picture that leads nowhere; the package has its
types, which mypy finds; a tag is the version with a v before it.
Run: make release-check [TAG=v1.2.3] [TESTS=examples] [OUT=dist] [NEWEST=python] [ARGS='what pytest gets']
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import try_wheel

PROJECT = "pytest-scf-async"
LABELS = {"Homepage", "Documentation", "Changelog", "Issues", "Source"}
"""The addresses that an index shows beside the text."""
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)((a|b|rc)[1-9]\d*)?")
"""The form of a version: PEP 440's, with the three numbers of Semantic Versioning."""
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|\b(?:src|href)=\"([^\"]+)\"")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TYPED = """
from typing import assert_type

import pytest
from pytest_scf_async import AsyncEvent, ScfRuntime, Status, scf_function


@scf_function("export.py:main_handler", payload={"rows": 3}, timeout=60)
def test_it(scf_runtime: ScfRuntime, async_event: AsyncEvent) -> None:
    assert_type(async_event.stop(within=30), AsyncEvent)
    assert_type(async_event.status, Status)
    scf_runtime.deploy("export.py:main_handler", tiemout=5)
"""
WRONG_LINE = 12
"""The line of it that has a mistake: were the package not typed, mypy would find none."""
TEST_FILES = ("tests", "examples", "docs", "tools", "benchmarks", "conftest.py", "pyproject.toml", "Makefile")
TEXT_FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")


def check_tag(tag: str, version: str) -> Iterator[str]:
    if not VERSION.fullmatch(version):
        yield f"the version {version!r} is not of the form 1.2.3, or 1.2.3rc1"
    if tag and tag != f"v{version}":
        yield f"the tag {tag!r} is not v{version}, which is what the version {version} needs"


def check_changelog(text: str, version: str) -> Iterator[str]:
    if not re.search(rf"^## \[{re.escape(version)}\]", text, re.MULTILINE):
        yield f"CHANGELOG.md has no section for {version}"


def check_metadata(wheel: Path, tree: Path) -> Iterator[str]:
    """What *wheel* says of itself, against the files of *tree*."""
    headers = try_wheel.metadata_of(wheel)
    name, version = headers["Name"], headers["Version"]
    if name != PROJECT:
        yield f"the name is {name!r} and not {PROJECT!r}"
    if not wheel.name.startswith(f"{PROJECT.replace('-', '_')}-{version}-py3-none-any"):
        yield f"{wheel.name} is not named after version {version}, as a wheel of Python alone for any machine"
    if headers["License-Expression"] != "Apache-2.0":
        yield f"License-Expression is {headers['License-Expression']!r} and not 'Apache-2.0'"
    if headers["Requires-Python"] != ">=3.10":
        yield f"Requires-Python is {headers['Requires-Python']!r}, and the oldest Python of the classifiers is 3.10"
    if not headers["Summary"]:
        yield "there is no Summary"
    with zipfile.ZipFile(wheel) as archive:
        files = {file.partition(".dist-info/")[2] or file: archive.read(file) for file in archive.namelist()}
    if files.get("licenses/LICENSE") != (tree / "LICENSE").read_bytes():
        yield "the wheel does not have the project's LICENSE"
    if "scf_async = pytest_scf_async.plugin.plugin" not in files.get("entry_points.txt", b"").decode():
        yield "the wheel has no entry point by which pytest finds the plugin"
    if f"{try_wheel.PACKAGE}/py.typed" not in files:
        yield "the wheel has no py.typed: type checkers would not read its types"
    strangers = {file.partition("/")[0] for file in archive.namelist()} - {try_wheel.PACKAGE}
    if strangers != {f"{try_wheel.PACKAGE}-{version}.dist-info"}:
        yield f"the wheel installs {', '.join(sorted(strangers))} beside {try_wheel.PACKAGE}"
    yield from check_addresses([each.partition(", ") for each in headers.get_all("Project-URL", [])])


def check_addresses(found: list[tuple[str, str, str]]) -> Iterator[str]:
    labels = {label for label, _, _ in found}
    if labels != LABELS:
        yield f"[project.urls] has {sorted(labels)} and not {sorted(LABELS)}"
    source = next((address for label, _, address in found if label == "Source"), "")
    for label, _, address in found:
        if not address.startswith(source) or not address.startswith("https://"):
            yield f"the address of {label}, {address}, is not below that of Source, {source!r}"


def check_description(text: str, content_type: str, source: str, version: str, tree: Path) -> Iterator[str]:
    """Each link and picture of the long description *text* leads somewhere from the page of an index, too."""
    if content_type != "text/markdown":
        yield f"the long description is {content_type!r}, and an index renders it as text/markdown"
    at_source = re.compile(
        rf"(?:{re.escape(source)}/(?:blob|tree)|{re.escape(raw_of(source))})/v{re.escape(version)}/(?P<path>[^#]+)"
    )
    for found in LINK.finditer(FENCED.sub("", text)):
        address = found[1] or found[2]
        ours = at_source.match(address)
        if ours is None and not address.startswith("https://"):
            yield f"the long description links {address}, which leads nowhere on the page of an index"
        elif ours is None and address.startswith((source, raw_of(source))):
            yield f"the long description links {address}, which is not of version {version}"
        elif ours is not None and not (tree / ours["path"]).exists():
            yield f"the long description links {address}, and there is no {ours['path']}"


def raw_of(source: str) -> str:
    """Where the files of a repository are without a page around them: what a picture needs."""
    return source.replace("https://github.com/", "https://raw.githubusercontent.com/")


def check_same(wheel: Path, of_tree: Path) -> Iterator[str]:
    """The wheel of the sdist is that of the tree: nothing is missing in the sdist, and a build can be repeated."""
    if wheel.read_bytes() == of_tree.read_bytes():
        return
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(of_tree) as other:
        ones, others = ({file: each.read(file) for file in each.namelist()} for each in (one, other))
    differing = sorted(file for file in ones.keys() | others.keys() if ones.get(file) != others.get(file))
    yield f"the wheel of the sdist is not that of the tree; what differs: {', '.join(differing) or 'only the archive'}"


def check_built(wheel: Path, of_tree: Path, tag: str, tree: Path) -> list[str]:
    """What is wrong with *wheel*, made from the sdist, and *of_tree*, made without it."""
    headers = try_wheel.metadata_of(wheel)
    urls = dict(each.split(", ", 1) for each in headers.get_all("Project-URL", []))
    text, kind, version = str(headers.get_payload()), headers["Description-Content-Type"], headers["Version"]
    return [
        *check_tag(tag, version),
        *check_changelog((tree / "CHANGELOG.md").read_text(encoding="utf-8"), version),
        *check_metadata(wheel, tree),
        *check_description(text, kind, urls.get("Source", ""), version, tree),
        *check_same(wheel, of_tree),
    ]


def check_types(building: Path, installed: Path, scratch: Path) -> None:
    """mypy --strict, in the environment *building*, finds the one mistake of a file that uses what is *installed*."""
    file = scratch / "uses_it.py"
    file.write_text(TYPED, encoding="utf-8")
    program = "import sys; from mypy.api import run; print(run(sys.argv[1:])[0])"
    words = ("--strict", "--python-version", "3.11", "--cache-dir", scratch / "mypy", "--python-executable", installed)
    found = try_wheel.run(building, "-c", program, *words, file, cwd=scratch)
    lines = [int(line.split(":")[1]) for line in found.splitlines() if ": error: " in line]
    if lines != [WRONG_LINE]:
        sys.exit(f"mypy should find a mistake in line {WRONG_LINE} of a file that uses the wheel, and found:\n{found}")


def run_suite(python: str, wheel: Path, scratch: Path, arguments: list[str]) -> str:
    """pytest's last line of the tests on the installed *wheel*, in a copy of the project without the package."""
    scratch.mkdir()
    inside = try_wheel.clean_environment(python, scratch / "environment")
    try_wheel.pip(inside, f"{wheel}[test]")
    copy = scratch / "project"
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", ".pytest_cache")
    for name in (*TEST_FILES, *TEXT_FILES):
        if (try_wheel.TREE / name).is_dir():
            shutil.copytree(try_wheel.TREE / name, copy / name, ignore=ignored)
        else:
            shutil.copy(try_wheel.TREE / name, copy)
    # once: what reads the sources, or runs a checker, and what cannot depend on how the package was installed
    options = ("-q", "-p", "no:cacheprovider", "-n", str(os.cpu_count()), "--dist", "worksteal", "-m", "not once")
    lines = try_wheel.run(inside, "-m", "pytest", *options, *arguments, cwd=copy, limit=None).splitlines()
    return lines[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default="", help="the tag that the release is to have")
    parser.add_argument("--newest", default=sys.executable, metavar="PYTHON", help="what the tests run on")
    parser.add_argument("--tests", choices=("suite", "examples"), default="suite", help="what runs on the wheel")
    parser.add_argument("--out", type=Path, metavar="DIRECTORY", help="put what was checked there, to be published")
    parser.add_argument("arguments", nargs="*", help="what pytest gets, of the suite")
    arguments = parser.parse_args()
    if arguments.out and arguments.out.exists():
        parser.error(f"--out {arguments.out}: it is there already, and what is in it would be published, too")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scf-release.") as directory:
        scratch = Path(directory)
        wheel = try_wheel.build(scratch, "twine", "mypy")
        building = scratch / "building" / "bin" / "python"
        by_uv = ("--installer", "uv") if try_wheel.UV else ()
        again = ("-m", "build", "--wheel", *by_uv, "--outdir", scratch / "again")
        try_wheel.run(building, *again, try_wheel.TREE, cwd=scratch)
        wrong = check_built(wheel, scratch / "again" / wheel.name, arguments.tag, try_wheel.TREE)
        if wrong:
            sys.exit("\n".join(wrong))
        try_wheel.run(building, "-m", "twine", "check", "--strict", *(scratch / "dist").iterdir(), cwd=scratch)
        print(f"{wheel.name} can be released: metadata, description, licence, addresses, version; the sdist gives it")
        if arguments.tests == "examples":
            print(f"newest: {try_wheel.try_in(arguments.newest, wheel, [], scratch / 'newest')}")
            installed = scratch / "newest" / "environment" / "bin" / "python"
        else:
            print(f"tests: {run_suite(arguments.newest, wheel, scratch / 'suite', arguments.arguments)}")
            installed = scratch / "suite" / "environment" / "bin" / "python"
        check_types(building, installed, scratch)
        if arguments.out:
            shutil.copytree(scratch / "dist", arguments.out)
    print(f"the wheel has its types and passes the {arguments.tests} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
