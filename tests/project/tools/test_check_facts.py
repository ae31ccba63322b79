"""tools/check_facts.py catches code that looks for a fact in a sentence, in each form that this has."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from package_checks import load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

ELSEWHERE = """
from enum import Enum
from typing import Literal
RESET: Final = "SIGTERM is set to default"
WORDS = ("the program closed", "nothing")
Disposition = Literal["no process", "handler"]
class Fact(Enum):
    RETURNED = "returned"
"""
"""What the package of each test has as ``model.py``."""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_facts")


def package(root: Path, source: str) -> Path:
    return write_package(root, {"model": ELSEWHERE, "cause": source})


LOOKS_FOR = {
    "text == 'SIGTERM is set to default'": "SIGTERM is set to default",
    "'SIGTERM is set to default' != text": "SIGTERM is set to default",
    "any(entry.text == RESET for entry in timeline)": "SIGTERM is set to default",
    "entry.text == model.RESET": "SIGTERM is set to default",
    "' has used more memory (' in entry.text": " has used more memory (",
    "text in ('the process ended', 'x')": "the process ended",
    "text in WORDS": "the program closed",
    "text.startswith('the process ended: ')": "the process ended: ",
    "text.startswith(('POST', 'the program closed'))": "the program closed",
    "text.startswith(WORDS)": "the program closed",
    "text.endswith(' by itself')": " by itself",
    "text.removeprefix('the process ended: ')": "the process ended: ",
    "text.partition(' at ')[0]": " at ",
    "text.split(' on ')": " on ",
    "text.find('used more')": "used more",
    "text.startswith(f'event {number} ended')": "event \0 ended",
    "text.startswith('the process ' + 'ended')": "the process ",
    "text == (RESET if is_reset else '')": "SIGTERM is set to default",
    "text.startswith(b'HTTP answer')": "HTTP answer",
    "re.search('a connection to (.*)', text)": "a connection to (.*)",
    "re.compile(r'exit code (\\d+)')": r"exit code (\d+)",
    "fact == Fact.RETURNED.value": "Fact.RETURNED.value",
    "text.endswith(Fact.RETURNED.value)": "Fact.RETURNED.value",
}


@pytest.mark.parametrize("looks", LOOKS_FOR)
def test_who_looks_for_a_sentence_is_named(tool: ModuleType, tmp_path: Path, looks: str) -> None:
    assert tool.check(package(tmp_path, f"found = {looks}\n")) == [
        f"pytest_scf_async/cause.py:1: {LOOKS_FOR[looks]!r} is looked for in a text: ask for the fact."
    ]


def test_a_case_of_match_looks_for_its_text(tool: ModuleType, tmp_path: Path) -> None:
    (found,) = tool.check(package(tmp_path, "match text:\n    case 'its process ended':\n        pass\n"))
    assert found.endswith(":2: 'its process ended' is looked for in a text: ask for the fact.")


@pytest.mark.parametrize(
    "source",
    [
        "text = 'the process ended'",
        "texts = {'no process': 'there is no process yet'}[met]",
        "fits = disposition == 'no process'",
        "fits = kind in ('handler', 'default')",
        "head, _, rest = line.partition(': ')",
        "parts = line.split(' ')",
        "fits = fact is Fact.RETURNED",
        "text = f'reclaimed: {fact.value}' + Fact.RETURNED.value",
        "given = cause is GENERAL",
        "raise ValueError('no such file')",
    ],
)
def test_what_makes_a_text_or_looks_for_a_value_passes(tool: ModuleType, tmp_path: Path, source: str) -> None:
    assert tool.check(package(tmp_path, "GENERAL = 'the cause of all'\n" + source)) == []


def test_what_comes_from_outside_passes_where_it_is_listed(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tool.FROM_OUTSIDE, "cause.py", {"No module ": "Python"})
    root = package(tmp_path, "fits = text.startswith('No module named ') or text.startswith('Some module named ')\n")
    (found,) = tool.check(root)
    assert "'Some module named '" in found


@pytest.mark.parametrize("listed", ["FROM_OUTSIDE", "KNOWN"])
def test_what_nobody_looks_for_any_more_has_to_go_out(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    monkeypatch.setattr(tool, "FROM_OUTSIDE", {})
    monkeypatch.setattr(tool, "KNOWN", {})
    monkeypatch.setitem(getattr(tool, listed), "cause.py", {"the process ended": "lockstep/reports.py"})
    root = package(tmp_path, "")
    monkeypatch.setattr(tool, "OWN_PACKAGE", root.resolve())
    assert tool.check(root) == ["'the process ended' is listed for cause.py, which does not look for it: take it out."]


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [("x = 1", 0, "nobody looks for a sentence"), ("x = y == 'no such thing'", 1, "check_facts: 1 violations")],
)
def test_the_exit_code_says_whether_there_was_one(tmp_path: Path, source: str, code: int, said: str) -> None:
    run = run_tool("check_facts", package(tmp_path, source))
    assert run.returncode == code
    assert said in run.stdout
