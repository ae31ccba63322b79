"""What a call of the kernel is that goes on after its process was stopped."""

from __future__ import annotations

import pytest
from internals import _restarted


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (0x7F3412F342D0, 1, "poll"),
        (0x7F3412F342D0, 64, "poll"),
        (0x55EAC8D05AF0, 0x89, "lock"),
        (0x55EAC8D05AF0, 0x189, "lock"),
        (0x55EAC8D05AF0, 0x80, "lock"),
        (1, 1, "clock_nanosleep"),
        (0, 0, "clock_nanosleep"),
        (0x7FFD13447580, 0x7FFD13447590, "nanosleep"),
        (0x7FFD13447580, 0, "nanosleep"),
    ],
)
def test_a_restarted_call_is_known_by_its_arguments(first: int, second: int, name: str) -> None:
    assert _restarted(first, second) == name
