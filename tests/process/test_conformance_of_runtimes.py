"""Every end of an event in every runtime: one test for each cell of the table in docs/fidelity.md.

``SCF_CONFORMANCE=write`` writes what is found into that table; else the page has to say it already. What a runtime does
otherwise is in its ``exceptions``, by name and with the reason, and in the page.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from runtimes_table import (
    FUNCTIONS,
    KEPT,
    PAGE,
    ROWS,
    RUNTIMES,
    WRITE,
    Row,
    end_of,
    expected,
    rewriting,
    shown,
)

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.function import Function

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
    if row.ready:
        event.wait_for_log("ready")

    row.act(event)

    found = end_of(event)
    assert found == expected(row, runtime_name), event.timeline
    assert row.says in str(event.log)
    assert event.transitions[0][0] == "RUNNING"
    assert [status for status, _ in event.transitions[1:]] == [event.status]
    assert event.log[0].text == f"START RequestId:{event.request_id}"
    assert event.log[-1].text.startswith("Report RequestId:")
    if found.endswith(KEPT):
        again = function.invoke_async({"do": "return"}).wait()
        assert (again.result, again.instance.cold, again.instance.pid) == ("done", False, event.instance.pid)
    if WRITE:
        with rewriting() as table:
            table.setdefault(row.what, {})[runtime_name] = found
    else:
        assert shown()[row.what][runtime_name] == found


@pytest.mark.parametrize("runtime_name", [pytest.param(name, marks=each.marks) for name, each in RUNTIMES.items()])
@pytest.mark.parametrize("row", [row for row in ROWS.values() if "SIGTERM" in row.what], ids=lambda row: row.what)
def test_what_is_known_of_a_signal(event: AsyncEvent, row: Row, runtime_name: str) -> None:
    event.wait_for_log("ready")

    event.terminate(grace_shutdown=True)

    met = "default" if row.order["do"] == "sleep" else "handler"
    assert event.signals[0].received
    assert event.signals[0].disposition == ("unknown" if met in RUNTIMES[runtime_name].unknown else met)


def test_the_page_shows_every_row_and_every_exception() -> None:
    if WRITE:
        with rewriting():
            pass
    assert list(shown()) == list(ROWS)
    text = PAGE.read_text(encoding="utf-8")
    for runtime in RUNTIMES.values():
        for what, (_, why) in runtime.exceptions.items():
            assert what in ROWS
            assert why in text
