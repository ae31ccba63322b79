"""The seeded set is what it says: the reference sweep finds each handler's windows, and none in the twins."""

from __future__ import annotations

import ast

import pytest
from model import failing, lines_passed, lines_traced
from seeded_set import FOLDER, SEEDED, Seeded, path_of, windows

CLASSES = {"lost", "doubled", "diverged", "late", "never finishes", "left behind"}
NAMES = [seeded.name for seeded in SEEDED]
BOTH = [
    pytest.param(seeded, f"{seeded.name}{twin}", id=f"{seeded.name}{twin}")
    for seeded in SEEDED
    for twin in ("", "_fixed")
]


def test_the_table_has_every_handler_once() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted([*NAMES, *(f"{name}_fixed" for name in NAMES)])
    assert len(NAMES) == len(set(NAMES)) >= 60


# once: it is about the set, which the sweep is tried with on every Python
@pytest.mark.once
@pytest.mark.parametrize(("seeded", "name"), BOTH)
def test_the_windows_are_those_of_its_source(seeded: Seeded, name: str) -> None:
    found = failing(path_of(name), seeded.payload, seeded.how, seeded.within)
    if not seeded.exactly_once:
        found = {failure for failure in found if failure[2] != "doubled"}
    assert found == windows(name)
    assert bool(found) == (name == seeded.name)


@pytest.mark.interpreter
@pytest.mark.parametrize(("seeded", "name"), BOTH)
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
