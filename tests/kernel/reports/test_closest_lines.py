"""The lines of a log that are nearest to what a test looked for in vain."""

from __future__ import annotations

import re

import pytest

from pytest_scf_async.model.log_lines import LogLine, init_report_line
from pytest_scf_async.report.closest import CLOSEST_LINES, SHOWN, closest_lines

# once: texts
pytestmark = pytest.mark.once

REPORT = init_report_line(
    "6808d4dd-addc-4509-998a-55e424e6b502",
    coldstart_ms=0,
    pull_code_ms=0,
    init_runtime_ms=0,
    init_function_ms=0,
    memory_mb=128,
    mem_usage_bytes=1 << 20,
)


def of_user(*texts: str) -> list[LogLine]:
    return [LogLine(0, text, "Custom", 0) for text in texts]


def of_platform(*texts: str) -> list[LogLine]:
    return [LogLine(0, text, "Platform", 0) for text in texts]


@pytest.mark.parametrize(
    ("pattern", "log", "text"),
    [
        ("uploded", of_user("row 1", "uploaded"), "; the closest is 'uploaded'"),
        ("UPLOADED", of_user("uploaded to disk"), "; the closest is 'uploaded to disk'"),
        (re.compile(r"row \d\d"), of_user("row 1", "row 2"), "; the closest are 'row 1', 'row 2'"),
        ("row 500 ", of_user("got {'rows': 2}"), ""),
        ("uploded", [], ""),
        ("uploded", of_user("row 1", "row 1"), ""),
        ("row 7", of_user("row 1", "row 1"), "; the closest is 'row 1'"),
    ],
)
def test_lines_of_user_code(pattern: str | re.Pattern[str], log: list[LogLine], text: str) -> None:
    assert closest_lines(pattern, log) == text


def test_a_long_line_of_the_platform_is_like_nothing_in_particular() -> None:
    assert closest_lines("report on memory and runtime", of_user(REPORT))  # its small pieces have much of it
    assert closest_lines("report on memory and runtime", of_platform(REPORT)) == ""
    assert closest_lines("part 1", of_platform("START RequestId: 6808d4dd-addc-4509-998a-55e424e6b502", REPORT)) == ""
    received = of_platform("[PLATFORM] Signal received successfully.")
    assert closest_lines("Signal recieved", received) == "; the closest is '[PLATFORM] Signal received successfully.'"


def test_the_nearest_are_shown_in_the_order_of_the_log_and_shortened() -> None:
    log = of_user("row 9 and more", *(f"row {number}" for number in range(9)), "row 5 " + "x" * 200)
    assert closest_lines("row 77", log) == "; the closest are 'row 0', 'row 1', 'row 7'"
    assert closest_lines("row 77", log).count("row ") == CLOSEST_LINES
    (line,) = re.findall("'(.*)'", closest_lines("row 5 xx", log[-1:]))
    assert len(line) == SHOWN
