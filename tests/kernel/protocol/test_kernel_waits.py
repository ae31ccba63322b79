"""What a call of the kernel is that goes on after its process was stopped."""

from __future__ import annotations

import pytest
from internals import _restarted


@pytest.mark.parametrize(
    ("first", "second", "third", "name"),
    [
        (0x7F3412F342D0, 1, 5000, "poll"),
        (0x7F3412F342D0, 64, 5000, "poll"),
        (0x55EAC8D05AF0, 0x89, 0, "lock"),
        (0x55EAC8D05AF0, 0x189, 0, "lock"),
        (0x55EAC8D05AF0, 0x80, 0, "lock"),
        (1, 1, 0x7FFD13447590, "clock_nanosleep"),
        (0, 0, 0x7FFD13447590, "clock_nanosleep"),
        (0, 0, 5000, "poll"),
        (0x7FFD13447580, 0x7FFD13447590, 0, "nanosleep"),
        (0x7FFD13447580, 0, 0, "nanosleep"),
    ],
)
def test_a_restarted_call_is_known_by_its_arguments(first: int, second: int, third: int, name: str) -> None:
    assert _restarted(first, second, third) == name
