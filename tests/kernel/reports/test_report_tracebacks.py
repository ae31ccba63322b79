"""A traceback that is shortened keeps what the user has written."""

from __future__ import annotations

import pytest

from pytest_scf_async.report.tracebacks import shortened_traceback

# once: texts alone
pytestmark = pytest.mark.once

CODE = "/project/handlers"
REFUSED = "ConnectionRefusedError: [Errno 111] Connection refused"
LAST = "client.ClientError: no answer"
MAIN = [f'  File "{CODE}/export.py", line 4, in main_handler', "    return fetch(url)"]
FETCH = [f'  File "{CODE}/export.py", line 7, in fetch', "    return client.get(url)"]


def library(number: int) -> list[str]:
    return [f'  File "/usr/lib/python3/client.py", line {number}, in call', "    return self.call(", "        url)"]


TRACE = "\n".join(
    (
        "Traceback (most recent call last):",
        *library(1),
        REFUSED,
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        *MAIN,
        "           ~~~~~^^^^^",
        *FETCH,
        *(line for number in range(20) for line in library(number)),
        "  [Previous line repeated 960 more times]",
        LAST,
    )
)


def test_frames_of_the_code_directory_and_the_exception_are_kept_and_the_rest_is_counted() -> None:
    assert shortened_traceback(TRACE, 7, [CODE]).splitlines() == [
        "... 9 lines left out ...",
        *MAIN,
        *FETCH,
        "... 61 lines left out ...",
        LAST,
    ]


def test_where_there_is_room_the_exception_before_is_kept_next() -> None:
    lines = shortened_traceback(TRACE, 9, [CODE]).splitlines()
    assert lines == [
        "... 4 lines left out ...",
        REFUSED,
        "... 4 lines left out ...",
        *MAIN,
        *FETCH,
        "... 61 lines left out ...",
        LAST,
    ]


@pytest.mark.parametrize("most", range(2, 90))
def test_it_never_has_more_lines_and_counts_all_that_is_missing(most: int) -> None:
    whole = [line for line in TRACE.splitlines() if "^^" not in line]
    lines = shortened_traceback(TRACE, most, [CODE]).splitlines()
    assert len(lines) <= most
    assert lines[-1] == LAST
    shown = [line for line in lines if "^^" not in line]
    left_out = [int(line.split()[1]) for line in shown if line.startswith("... ")]
    assert len(shown) - len(left_out) + sum(left_out) == len(whole)


def test_an_innermost_frame_of_the_user_is_kept_before_the_outer_ones() -> None:
    deep = [[f'  File "{CODE}/export.py", line {number}, in step', f"    step({number})"] for number in range(50)]
    trace = "\n".join(("Traceback (most recent call last):", *(line for frame in deep for line in frame), LAST))
    assert shortened_traceback(trace, 6, [CODE]).splitlines() == [
        "... 97 lines left out ...",
        *deep[48],
        *deep[49],
        LAST,
    ]


def test_a_package_that_is_installed_below_the_code_directory_is_not_the_users() -> None:
    installed = f'  File "{CODE}/.venv/lib/python3/site-packages/client.py", line 3, in get'
    trace = TRACE.replace('  File "/usr/lib/python3/client.py", line 19, in call', installed)
    assert "site-packages" in trace
    assert shortened_traceback(trace, 7, [CODE]) == shortened_traceback(TRACE, 7, [CODE])


def test_a_directory_whose_name_only_begins_alike_is_another() -> None:
    assert MAIN[0] not in shortened_traceback(TRACE, 7, ["/project/hand"])


def test_members_of_an_exception_group_count_as_tracebacks() -> None:
    trace = "\n".join(
        (
            "  + Exception Group Traceback (most recent call last):",
            *(f"  | {line}" for line in (*MAIN, *library(1), *library(2))),
            "  | ExceptionGroup: two (1 sub-exception)",
            "  +-+---------------- 1 ----------------",
            "    | Traceback (most recent call last):",
            *(f"    | {line}" for line in (*FETCH, *library(3), *library(4))),
            f"    | {LAST}",
            "    +------------------------------------",
        )
    )
    lines = shortened_traceback(trace, 8, [CODE]).splitlines()
    assert len(lines) <= 8
    assert f"    | {FETCH[0]}" in lines
    assert f"    | {LAST}" in lines


@pytest.mark.parametrize("trace", ["", "ValueError: boom", "\n".join(map(str, range(30)))])
def test_what_is_no_traceback_is_shortened_too(trace: str) -> None:
    lines = shortened_traceback(trace, 4, [CODE]).splitlines()
    assert len(lines) <= 4
    assert lines[:1] == trace.splitlines()[:1]
