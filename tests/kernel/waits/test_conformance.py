"""Every wait of tests/kernel/waits/waits_table.py, on each thread, with and without SIGTERM: one test for each cell.

``SCF_CONFORMANCE=write`` writes what is found into the table of docs/waits.md; else the page must have it already.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from internals import event_of, lockstep_of
from process_support import RECEIVED, START, assert_end, eventually
from waits_table import (
    ABSENT,
    COLUMNS,
    HOLDS,
    MAIN,
    OTHER,
    RAISES,
    RETURNS,
    ROWS,
    WRITE,
    Row,
    rewriting,
    seconds,
    shown,
    source,
)

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.function import Function
from pytest_scf_async.plugin.plugin import _configured as configured
from pytest_scf_async.runtime import ScfRuntime

WORKS_FOR = 0.05
"""Real seconds until what a real wait waits for comes."""

MARKS = {
    MAIN: [pytest.mark.leases],
    RETURNS: [pytest.mark.interpreter, pytest.mark.leases],
}
"""The column that runs on every Python, and those that run without leases: the others follow from them.

The oldest and the newest Python run all of them.
"""

CELLS = [
    pytest.param(
        row,
        column,
        id=f"{row.name.replace('`', '').replace('…', '...')} - {column}",
        marks=MARKS.get(column, []),
    )
    for column in COLUMNS
    for row in ROWS.values()
    if row.runs_here and column in row.columns
]


class Peer:
    """What the handler's real waits wait for, in the process of the test."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.fifo = directory / "fifo"
        os.mkfifo(self.fifo)
        self._pipe = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        stack.callback(os.close, self._pipe)
        self._server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.lock = directory / "lock"
        self._locked = stack.enter_context(self.lock.open("w"))

    def begin(self) -> dict[str, object]:
        """Make ready for one wait, and give what the handler has to know."""
        with suppress(BlockingIOError):
            os.read(self._pipe, 100)
        while select.select([self._server], [], [], 0)[0]:
            self._server.accept()[0].close()
        fcntl.flock(self._locked, fcntl.LOCK_EX)
        return {"fifo": str(self.fifo), "port": self._server.getsockname()[1], "lock": str(self.lock)}

    def write(self, _: AsyncEvent) -> None:
        os.write(self._pipe, b"go\n")

    def answer(self, _: AsyncEvent) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhere")

    def unlock(self, _: AsyncEvent) -> None:
        fcntl.flock(self._locked, fcntl.LOCK_UN)


@pytest.fixture(scope="module")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScfRuntime]:
    with ScfRuntime(configured(request.config), start=START, base_temp=tmp_path_factory.getbasetemp()) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def function(platform: ScfRuntime, tmp_path_factory: pytest.TempPathFactory) -> Function:
    """The handler of all rows; where an event ended, its instance runs the next one."""
    directory = tmp_path_factory.mktemp("waits")
    (directory / "index.py").write_text(source(), encoding="utf-8")
    return platform.deploy(f"{directory}/index.py:main_handler", name="waits")


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with ExitStack() as stack:
        yield Peer(tmp_path_factory.mktemp("peer"), stack)


@pytest.fixture
def event(platform: ScfRuntime, function: Function, peer: Peer, row: Row, column: str) -> Iterator[AsyncEvent]:
    """The event of one cell, which stands in its wait.

    It has the wait again where nothing comes from outside: the test's process moves the clock in the first one, and the
    instance itself in the second, where it has a lease.

    It begins at a whole second: `sched` adds seconds to a float of the clock, and compares, so that from other
    times it may sleep a microsecond more.
    """
    platform.clock.move_to(platform.clock.now.replace(microsecond=0) + timedelta(seconds=1))
    ends = ["end", "again"] if is_waited_for_again(row, column) else ["end"]
    event = function.invoke_async({"row": row.name, "column": column, "peer": peer.begin(), "ends": ends})
    event.settle()
    yield event
    if not event.ended:
        event.terminate()


def is_waited_for_again(row: Row, column: str) -> bool:
    return column in (MAIN, OTHER) and not row.real


def release(event: AsyncEvent, peer: Peer, row: Row, *, after: Callable[[], object] | None = None) -> None:
    """Bring what a real wait waits for, now or once *after* is over, while the handler goes on."""
    if row.release is None:
        return
    bring = getattr(peer, row.release)
    if after is None:
        bring(event)
    else:
        threading.Thread(target=lambda: (after(), bring(event)), daemon=True).start()


def signal_has_come(event: AsyncEvent) -> None:
    """Wait until the SIGTERM has been sent that another thread of the test sends."""
    assert eventually(lambda: event_of(event).signals)
    with lockstep_of(event).locked():  # it is sent before the lock is given up
        pass


@pytest.mark.parametrize(("row", "column"), CELLS)
def test_cell(platform: ScfRuntime, peer: Peer, event: AsyncEvent, row: Row, column: str) -> None:
    doing = event.doing
    assert doing == ("held" if row.real else "parked"), f"{event.status}\n{event.log}"
    if column in (RETURNS, RAISES, ABSENT):
        if row.signal_at:
            platform.clock.advance(row.signal_at / 1e6)
        if row.not_listening and column != ABSENT:
            release(event, peer, row, after=lambda: signal_has_come(event))
        event.terminate(grace_shutdown=True)
        assert_what_the_signal_met(platform, event, row, column)
    if not event.ended:
        release(event, peer, row, after=(lambda: threading.Event().wait(WORKS_FOR)) if column == HOLDS else None)
        event.wait()

    found = what_was_found(event, row, column, doing)
    assert found == row.expected(column), f"{event.status} {event.status_code}\n{event.log}"
    if WRITE:
        with rewriting() as table:
            table.setdefault(row.name, dict.fromkeys(COLUMNS, ""))[column] = found
    else:
        assert shown()[row.name][column] == found


def assert_what_the_signal_met(platform: ScfRuntime, event: AsyncEvent, row: Row, column: str) -> None:
    """The termination took no time; when it returned, the process had ended or the handler had, where it was called."""
    at = event.started_at + timedelta(microseconds=row.signal_at)
    assert platform.clock.now == at
    (signal,) = event.signals
    assert (signal.received, signal.disposition) == (True, "default" if column == ABSENT else "handler")
    if column == ABSENT:
        assert event.ended
    elif row.received is None:
        assert signal.left_at == at


def assert_end_by_the_signal(event: AsyncEvent, row: Row) -> None:
    """The default action has ended the process, and the log shows that."""
    assert event.instance is not None
    cold = ["INIT 0ms"] if event.instance.cold else []
    log = ["START", *cold, RECEIVED, "ERROR 439", "END", f"REPORT {row.signal_at // 1000}ms"]
    assert_end(event, "FAILED", 439, after=row.signal_at / 1e6, log=log)


def what_was_found(event: AsyncEvent, row: Row, column: str, doing: str) -> str:
    """The cell: when the wait ended, in simulated seconds from its beginning, and how."""
    if event.status != "FINISHED":
        if column == ABSENT:
            assert_end_by_the_signal(event, row)
        duration = event.duration
        assert duration is not None
        return f"{event.status_code} at {seconds(round(duration.total_seconds() * 1e6))}"
    found = event.result
    received = found.pop("handled")
    assert received == ([row.received_at] if column in (RETURNS, RAISES) else [])
    for signal in event.signals:
        assert signal.entered_at == event.started_at + timedelta(microseconds=row.received_at)
        assert signal.raised == ("Stop: SIGTERM" if column == RAISES else None)
    if is_waited_for_again(row, column):
        assert found["again"] == found["end"]
    if "stopped" in found:
        return f"{seconds(found['stopped'])}, its exception"
    return f"{'held, ' if doing == 'held' else ''}{seconds(found['end'])}"


@pytest.mark.interpreter
def test_the_page_shows_every_row() -> None:
    if WRITE:
        with rewriting():
            pass
    table = shown()

    assert list(table) == list(ROWS)
    assert len(table) >= 60
    for name, cells in table.items():
        assert [column for column, cell in cells.items() if cell] == ROWS[name].columns
