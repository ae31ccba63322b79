"""The line of a traceback that names the exception."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import pytest

from pytest_scf_async.model.tracebacks import exception_line

pytestmark = pytest.mark.interpreter


def plain() -> None:
    raise ValueError("boom")


def several_lines() -> None:
    raise ValueError("boom\nand more\nTraceback of nothing")


def noted() -> None:
    error = ValueError("boom")
    error.__notes__ = ["when serializing list item 0"]  # type: ignore[attr-defined]  # what add_note does, from 3.11 on
    raise error


def caused() -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("boom") from error


def grouped() -> None:
    if sys.version_info >= (3, 11):
        raise ExceptionGroup("boom", [KeyError("first"), TypeError("second")])  # noqa: F821  (3.11 and newer)
    raise ValueError("boom")


@pytest.mark.parametrize("raising", [plain, several_lines, noted, caused, grouped])
def test_it_is_the_line_with_the_type(raising: Callable[[], None]) -> None:
    try:
        raising()
    except Exception as error:
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))

    if raising is not grouped or sys.version_info < (3, 11):
        assert exception_line(trace) == "ValueError: boom"
    else:
        assert exception_line(trace) == "ExceptionGroup: boom (2 sub-exceptions)"


def test_a_syntax_error_has_its_source_before_it() -> None:
    with pytest.raises(SyntaxError) as raised:
        compile("this is no Python", "index.py", "exec")
    trace = "".join(traceback.format_exception_only(raised.type, raised.value))

    assert exception_line(trace).startswith("SyntaxError: invalid syntax")


def test_without_a_frame_it_is_the_first_line() -> None:
    assert exception_line("TypeError: no argument\nwhen called\n") == "TypeError: no argument"


def test_of_nothing_it_is_nothing() -> None:
    assert exception_line("") == ""
