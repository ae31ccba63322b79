"""Every end of an event in every runtime: one test for each cell of the table in docs/fidelity.md.

``SCF_CONFORMANCE=write`` writes what is found into that table; else the page must have it already. What a runtime does
otherwise is in its ``exceptions``, by name and with the reason, and in the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from internals import procfs
from process_support import assert_body, assert_kept, assert_reclaimed_for_good, is_gone, short_log, user_lines
from runtimes_table import (
    ENDS,
    FUNCTIONS,
    KEPT,
    PAGE,
    ROWS,
    RUNTIMES,
    WRITE,
    Row,
    Runtime,
    end_of,
    expected,
    rewriting,
    shown,
)

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.function import Function

# once: other runtimes: the same on all Pythons
pytestmark = pytest.mark.once

CELLS = [
    pytest.param(row, runtime_name, id=f"{row.what} - {runtime_name}", marks=RUNTIMES[runtime_name].marks)
    for runtime_name in RUNTIMES
    for row in ROWS.values()
]


@pytest.fixture
def function(request: pytest.FixtureRequest, row: Row, runtime_name: str) -> Function:
    return RUNTIMES[runtime_name].deploy(request.getfixturevalue, row)


@pytest.fixture
def event(function: Function, row: Row) -> Iterator[AsyncEvent]:
    event = function.invoke_async(row.order)
    FUNCTIONS[event.request_id] = function
    yield event
    del FUNCTIONS[event.request_id]


@pytest.mark.parametrize(("row", "runtime_name"), CELLS)
def test_cell(function: Function, event: AsyncEvent, row: Row, runtime_name: str) -> None:
    row = expected(row, runtime_name)
    processes = []
    if row.ready:
        event.wait_for_log("ready")
        processes = procfs.descendants_of(event.instance.pid)

    row.act(event)

    found = end_of(event)
    if row.end.endswith(ENDS):
        found = found.replace(KEPT, ENDS)
    assert found == row.end, event.timeline
    assert event.transitions[0][0] == "RUNNING"
    assert [status for status, _ in event.transitions[1:]] == [event.status]
    assert_log(event, row, RUNTIMES[runtime_name])
    assert_signals(event, row, RUNTIMES[runtime_name])
    if RUNTIMES[runtime_name].simulated:
        assert event.duration == timedelta(seconds=row.after)
    if found.endswith(ENDS):
        assert event.result == row.result
        assert function.invoke_async({"do": "return"}).wait().status == "FAILED"
    elif found.endswith(KEPT):
        assert event.result == row.result
        assert_kept(event)
        again = function.invoke_async({"do": "return"}).wait()
        assert (again.result, again.instance.cold, again.instance.pid) == ("done", False, event.instance.pid)
    else:
        trace = {name: text for name, text in event.error.items() if name == "stackTrace" and row.code == 430}
        own = {"errorMessage": "as asked"} if RUNTIMES[runtime_name].own_errors and row.code == 430 else {}
        assert_body(event, **{**row.error, **trace, **own})
        if row.cause:
            assert f"the process ended: {row.cause}" in event.timeline
        assert_reclaimed_for_good(event, row.reclaimed_because)
        assert all(map(is_gone, processes))
    if WRITE:
        with rewriting() as table:
            table.setdefault(row.what, {})[runtime_name] = found
    else:
        assert shown()[row.what][runtime_name] == found


def assert_log(event: AsyncEvent, row: Row, runtime: Runtime) -> None:
    """All lines in their order, where the program ends as it gets the signal; else those of the platform."""
    if runtime.simulated:
        assert short_log(event)[-1] == f"REPORT {round(row.after * 1000)}ms"
    lines = [re.sub(r"^(INIT|REPORT|RESPONSE) .*", r"\1", line) for line in short_log(event)]
    lines = [line for line in lines if line in ("ready", "handled") or line not in user_lines(event)]
    if row.order.get("then") in ("return", "exit") and row.what not in runtime.exceptions:
        start, init, received, *end = row.platform_lines
        assert lines == [start, init, "ready", received, "handled", *end]
    else:
        of_program = user_lines(event)
        assert [line for line in lines if line not in of_program] == row.platform_lines


def assert_signals(event: AsyncEvent, row: Row, runtime: Runtime) -> None:
    """Each SIGTERM that the test sent was received, and what it met is known as far as it can be."""
    met = "default" if row.order["do"] == "sleep" and not runtime.listens else "handler"
    shown = "unknown" if met in runtime.unknown else "native" if met in runtime.native else met
    assert [(signal.received, signal.disposition) for signal in event.signals] == [(True, shown)] * row.signals


def test_the_page_shows_every_row_and_every_exception() -> None:
    if WRITE:
        with rewriting():
            pass
    assert list(shown()) == list(ROWS)
    text = PAGE.read_text(encoding="utf-8")
    for runtime in RUNTIMES.values():
        for what, exceptional in runtime.exceptions.items():
            assert what in ROWS
            assert exceptional.why in text
