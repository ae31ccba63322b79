"""The seeded set is what it says: the reference sweep finds each handler's windows, and none in the twins."""

from __future__ import annotations

import ast
import json

import pytest
import search_windows
from model import lines_passed, lines_traced
from search_windows import wrong_in
from seeded_set import FOLDER, ON_EVERY_PYTHON, SEARCHED, SEEDED, Seeded, digest_of, path_of, windows

CLASSES = {"lost", "doubled", "diverged", "late", "never finishes", "left behind"}
NAMES = [seeded.name for seeded in SEEDED]
SOME = ("acknowledged_first", "counted_twice", "rows_in_a_global", "added_to_a_zip")
"""One of each kind. ``make windows`` searches all: that takes a minute, and depends on nothing that is measured."""
BOTH = [
    pytest.param(seeded, f"{seeded.name}{twin}", id=f"{seeded.name}{twin}")
    for seeded in SEEDED
    for twin in ("", "_fixed")
]


def test_the_table_has_every_handler_once() -> None:
    assert sorted(path.stem for path in FOLDER.rglob("*.py")) == sorted([*NAMES, *(f"{name}_fixed" for name in NAMES)])
    assert len(NAMES) == len(set(NAMES)) >= 60


@pytest.mark.parametrize(("seeded", "name"), BOTH)
def test_its_windows_were_searched_in_these_sources(seeded: Seeded, name: str) -> None:
    searched = json.loads(SEARCHED.read_text("utf-8"))
    assert searched.get(name) == digest_of(seeded, name), "make windows searches them, and compares with the marks"


# once: it is about the set, which the sweep is tried with on every Python
@pytest.mark.once
@pytest.mark.parametrize(("seeded", "name"), [each for each in BOTH if each.values[0].name in SOME])
def test_a_search_finds_the_windows_that_are_marked(seeded: Seeded, name: str) -> None:
    assert wrong_in(seeded, name) == ""


# once: as above
@pytest.mark.once
def test_a_search_tells_a_window_that_is_not_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    (seeded,) = (each for each in SEEDED if each.name == SOME[0])
    ((line, how, outcome), *_) = sorted(windows(seeded.name))
    monkeypatch.setattr(search_windows, "windows", lambda name: windows(name) - {(line, how, outcome)})
    assert f"not marked [({line}, {how!r}, {outcome!r})]" in wrong_in(seeded, seeded.name)


# interpreter: some, as the sweep is tried with these on every Python; once: the others
@pytest.mark.parametrize(
    ("seeded", "name"),
    [
        pytest.param(
            *each.values,
            id=each.id,
            marks=pytest.mark.interpreter if each.values[0].name in ON_EVERY_PYTHON else pytest.mark.once,
        )
        for each in BOTH
    ],
)
def test_the_model_passes_the_lines_that_python_traces(seeded: Seeded, name: str) -> None:
    lines = lines_passed(path_of(name), seeded.payload)
    assert lines == lines_traced(path_of(name), seeded.payload)
    assert 10 <= len(lines) <= 120


@pytest.mark.parametrize("seeded", SEEDED, ids=NAMES)
def test_each_handler_says_what_is_wrong_and_what_is_right(seeded: Seeded) -> None:
    marked = windows(seeded.name)
    assert {how for _, how, _ in marked} <= set(seeded.how)
    assert {outcome for _, _, outcome in marked} <= CLASSES
    texts = [
        ast.get_docstring(ast.parse(path_of(f"{seeded.name}{twin}").read_text("utf-8"))) for twin in ("", "_fixed")
    ]
    assert all(text is not None and text.count("\n\n") == 1 for text in texts)
    assert len(set(texts)) == 2
