"""Which points a sweep tries where ``limit=`` leaves some out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from internals import messages
from sweep_internals import chosen

from pytest_scf_async import Point

# once: no process, and nothing of an interpreter
pytestmark = pytest.mark.once


def effect(number: int, text: str, missing: str = "") -> Point:
    """That of a program, of which no line is known; with *missing* the power fails there."""
    kind = "power" if missing else "effect"
    found = messages.Point(kind, 0, number, "", 0, text=text)
    return Point(f"{kind}#{number}", kind, "", 0, 0.0, found, text, missing=missing)


@pytest.mark.parametrize("at", [3, 250, 497])
def test_one_file_among_many_is_not_left_out(at: int) -> None:
    """Hundreds of objects are written, and one name that is never synced."""
    written = [effect(number, f"write objects/{number:04}") for number in range(500)]
    missing = [effect(number, "rename", f"objects/{number:04}") for number in range(500)]
    written[at], missing[at] = effect(at, "rename HEAD.lock to HEAD"), effect(at, "rename", "HEAD")

    for points in (written, missing):
        tried = chosen(points, 5, lambda point: {point.label})
        assert points[at] in tried
        assert len(tried) == 5


def test_more_things_than_runs_are_tried_at_equal_distances() -> None:
    points = [effect(number, f"write {chr(65 + number % 26)}{chr(65 + number // 26)}") for number in range(100)]
    tried = [point.found.number for point in chosen(points, 4, lambda point: {point.label})]

    assert tried == [0, 32, 64, 96]


def test_one_line_that_calls_a_library_for_all_its_work_is_as_good_as_many_lines() -> None:
    """The lines at the beginning do nothing that lasts, and the last one is all there is to do."""
    lines = [replace(effect(number, ""), kind="line", file="job.py", line=number + 1) for number in range(30)]
    of_last = [replace(effect(number, f"write objects/{number:04}"), file="job.py", line=30) for number in range(400)]
    of_last[321] = replace(effect(321, "rename HEAD.lock to HEAD"), file="job.py", line=30)

    tried = chosen([*lines, *of_last], 12, lambda point: {(point.kind, point.label)})
    assert max(point.line for point in tried if point.kind == "line") > 20
    tried = chosen([*lines, *of_last], 40, lambda point: {(point.kind, point.label)})
    assert of_last[321] in tried
    assert [point for point in tried if point.kind == "line"] == lines


def test_no_line_is_left_out_for_another_turn_of_one_that_is_tried() -> None:
    turns = [
        replace(effect(number, ""), kind="line", file="job.py", line=number % 10, label=f"job.py:{number}")
        for number in range(100)
    ]
    assert {point.line for point in chosen(turns, 10, lambda point: {point.label})} == {*range(10)}
