"""What the benchmark makes of its rounds."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from benchmarks.measure import Row, compare, measure


def row(unit: str = "ratio", most: float | None = None, rounds: int = 3) -> Row:
    samples = (lambda: 2.0, lambda: 1.0)
    return Row("row", "a row", "", lambda: nullcontext(samples), most, unit, rounds=rounds, warm_up=1)


def test_a_round_in_which_the_machine_is_slow_changes_no_ratio() -> None:
    speeds = [1, 1, 5, 9, 1, 1, 7]
    result = compare(row(), [3.0 * speed for speed in speeds], [2.0 * speed for speed in speeds])

    assert (result.ratio, result.spread) == (1.5, 0)


def test_a_difference_is_that_within_a_round() -> None:
    result = compare(row("more"), [1.5, 9.5, 4.5], [1.0, 9.0, 4.0])

    assert (result.more, result.spread) == (0.5, 0)


@pytest.mark.parametrize(
    ("unit", "most", "reached"),
    [
        *(("ratio", 2.0, True), ("ratio", 1.9, False)),
        *(("more", 1.1, True), ("more", 1.0, False)),
        *(("s", 2.1, True), ("s", 2.0, False)),
        ("ratio", None, None),
    ],
)
def test_a_goal_is_compared_with_what_the_row_is_about(unit: str, most: float | None, reached: bool | None) -> None:
    assert measure(row(unit, most), quick=False).reached is reached


def test_rounds_without_a_floor_have_seconds_only() -> None:
    result = compare(row("s", 1.0), [0.5, 0.7, 0.6], [])

    assert (result.ours, result.floor, result.ratio, result.more) == (0.6, None, None, None)
    assert result.spread == pytest.approx(0.1)
