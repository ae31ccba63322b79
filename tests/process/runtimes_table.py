"""What every runtime has to do with the same orders: a row for each line of the design's table of ends.

A runtime is one column: how its function is deployed, and what it cannot do, with the reason. Its program carries out
the order that comes as the event; docs/fidelity.md shows the table, which ``SCF_CONFORMANCE=write`` writes.
"""

from __future__ import annotations

import fcntl
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from image_support import program

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.function import Function

WRITE = os.environ.get("SCF_CONFORMANCE") == "write"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "fidelity.md"

KEPT, RECLAIMED = "reused", "reclaimed"


@dataclass(frozen=True)
class Row:
    """One way for an event to end."""

    what: str
    """As the page shows it."""
    order: dict[str, Any]
    """What the program is to do."""
    end: str
    """Status, code, and what becomes of the instance."""
    act: Callable[[AsyncEvent], object] = AsyncEvent.wait
    """What the test does once the program has said ``ready``, or with the pending event."""
    ready: bool = False
    """Whether the program says ``ready`` before it is acted on."""
    says: str = ""
    """A line that has to be in the log."""
    options: Mapping[str, Any] = field(default_factory=dict)


def end_of(event: AsyncEvent) -> str:
    """What was found, in the form of ``Row.end``."""
    instance = event.instance
    assert instance is not None
    fate = KEPT if instance.alive else RECLAIMED
    return f"{event.status} {event.status_code}, {fate}"


def gracefully(event: AsyncEvent) -> None:
    event.terminate(grace_shutdown=True)
    event.wait()


def gracefully_then_by_force(event: AsyncEvent) -> None:
    event.terminate(grace_shutdown=True)
    assert event.status == "RUNNING"
    event.terminate()


def gracefully_twice(event: AsyncEvent) -> None:
    event.terminate(grace_shutdown=True)
    event.terminate(grace_shutdown=True)
    event.wait()


def by_force(event: AsyncEvent) -> None:
    event.terminate()


def by_force_at_init(event: AsyncEvent) -> None:
    event.run_to("init")
    event.terminate()


def time_out(event: AsyncEvent) -> None:
    event._lockstep.advance_to(event._lockstep.clock.now_us + 100_000_000, False)


def delete(event: AsyncEvent) -> None:
    event_function(event).delete()


def event_function(event: AsyncEvent) -> Function:
    """The function of *event*, which the test has put there."""
    found: Function = FUNCTIONS[event.request_id]
    return found


FUNCTIONS: dict[str, Function] = {}
"""By request id, while a test goes on."""

_RECEIVED = "[PLATFORM] Signal received successfully."
_FAILED = "[PLATFORM] Signal reception failed."
_SLEEP = {"do": "sleep", "seconds": 1000}

_ROWS = [
    Row("returns", {"do": "return"}, f"FINISHED 200, {KEPT}", says="Response RequestId:"),
    Row("sleeps, then returns", {"do": "sleep", "seconds": 0.05}, f"FINISHED 200, {KEPT}"),
    Row("raises an exception, or answers with an error", {"do": "raise"}, f"FAILED 430, {RECLAIMED}", says="ERROR"),
    Row("result over 6 MB", {"do": "big"}, f"FAILED 407, {RECLAIMED}", says="ERROR"),
    Row("ends its process with code 0", {"do": "exit", "code": 0}, f"FAILED 439, {RECLAIMED}", says="ERROR"),
    Row("ends its process with code 3", {"do": "exit", "code": 3}, f"FAILED 439, {RECLAIMED}", says="ERROR"),
    Row("is killed by a signal of its own", {"do": "kill"}, f"FAILED 439, {RECLAIMED}"),
    Row(
        "runs until the timeout",
        _SLEEP,
        f"FAILED 433, {RECLAIMED}",
        time_out,
        ready=True,
        options={"timeout": 60},
        says="Invoking task timed out after 60 seconds",
    ),
    Row("uses more memory than it has", {"do": "memory"}, f"FAILED 434, {RECLAIMED}", options={"memory": 128}),
    Row("terminated by force", _SLEEP, f"ABORTED 499, {RECLAIMED}", by_force, ready=True, says="RequestCanceled"),
    Row("terminated by force before its init", _SLEEP, f"ABORTED 499, {RECLAIMED}", by_force_at_init),
    Row("its function is deleted", _SLEEP, f"ABORTED 499, {RECLAIMED}", delete, ready=True),
    Row(
        "SIGTERM, it listens, and returns",
        {"do": "listen", "then": "return"},
        f"FINISHED 200, {KEPT}",
        gracefully,
        ready=True,
        says=_RECEIVED,
    ),
    Row(
        "SIGTERM, it listens, and ends its process",
        {"do": "listen", "then": "exit"},
        f"FAILED 439, {RECLAIMED}",
        gracefully,
        ready=True,
        says=_RECEIVED,
    ),
    Row("SIGTERM, nothing listens", _SLEEP, f"FAILED 439, {RECLAIMED}", gracefully, ready=True, says=_RECEIVED),
    Row(
        "SIGTERM, it listens, and goes on to its end",
        {"do": "listen", "then": "go on"},
        f"FINISHED 200, {KEPT}",
        gracefully,
        ready=True,
        says=_RECEIVED,
    ),
    Row(
        "SIGTERM, it listens and goes on, then by force",
        {"do": "listen", "then": "nothing"},
        f"ABORTED 499, {RECLAIMED}",
        gracefully_then_by_force,
        ready=True,
        says=_RECEIVED,
    ),
    Row(
        "SIGTERM twice, it goes on to its end",
        {"do": "listen", "then": "go on"},
        f"FINISHED 200, {KEPT}",
        gracefully_twice,
        ready=True,
        says=_RECEIVED,
    ),
]
ROWS = {row.what: row for row in _ROWS}

# -- the runtimes ----------------------------------------------------------------------------------------------------

_WORK = """
import os, signal, sys, threading, time

heard = threading.Event()

def on_sigterm(signum, frame):
    os.write(1, b"heard\\n")
    if then == "exit":
        os._exit(0)
    if then == "return":
        heard.set()

def listen():
    signal.signal(signal.SIGTERM, on_sigterm)

def work(order):
    global then
    do, then = order["do"], order.get("then")
    if do == "listen":
        heard.clear()  # first: it may be told to stop as soon as the line is there
        os.write(1, b"ready\\n")
        if then == "go on":
            time.sleep(0.2)
        else:
            heard.wait(1000)
        return then
    if do == "sleep":
        os.write(1, b"ready\\n")
        time.sleep(order["seconds"])
    if do == "raise":
        raise ValueError("as it was told")
    if do == "big":
        return "x" * (6 * 1024 * 1024)
    if do == "exit":
        os._exit(order["code"])
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "memory":
        data = b"x" * (200 << 20)
        time.sleep(100)
        return len(data)
    return "done"
"""
_CODE = (
    _WORK
    + """
def main_handler(event, context):
    if event["do"] == "listen":
        listen()
    return work(event)
"""
)
_HANDLE = (
    _WORK
    + """
def handle(event, request):
    try:
        return work(event)
    except ValueError as error:
        raise Answer(500, str(error).encode())
"""
)


def image_of(order: Mapping[str, Any]) -> str:
    """The program of an image; it has to listen to SIGTERM where it begins, on its main thread."""
    listens = "listen()\n" if order["do"] == "listen" else ""
    return program(_HANDLE + listens, server="ThreadingHTTPServer")


Deploys = Callable[[Any, Row], Function]
"""Deploys the program of a row; the first argument gives a fixture of the test by its name."""


@dataclass(frozen=True)
class Runtime:
    """One column."""

    deploy: Deploys
    exceptions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By the row's text: what is found instead, and why."""
    unknown: frozenset[str] = frozenset()
    """What of its signals cannot be known: the words of ``SignalView.disposition`` that become "unknown"."""
    marks: tuple[pytest.MarkDecorator, ...] = ()
    """Those of its tests."""


RUNTIMES: dict[str, Runtime] = {
    "Python code": Runtime(lambda fixture, row: fixture("deploy")(_CODE, **row.options)),
    "image, Python": Runtime(
        lambda fixture, row: fixture("deploy_image")(textwrap.dedent(image_of(row.order)), **row.options)
    ),
    "image, free-running": Runtime(
        lambda fixture, row: fixture("deploy_free")(textwrap.dedent(image_of(row.order)), **row.options),
        unknown=frozenset({"handler"}),
    ),
    "Go code": Runtime(
        lambda fixture, row: fixture("runtime").deploy("go/orders", runtime="Go1", **row.options),
        unknown=frozenset(
            {"handler", "default"}
        ),  # its runtime catches the signal, whether the function listens or not
        marks=(pytest.mark.go,),
    ),
}

# -- the table of the page -------------------------------------------------------------------------------------------

HEAD = f"| an event | {' | '.join(RUNTIMES)} |"


def expected(row: Row, runtime: str) -> str:
    found = RUNTIMES[runtime].exceptions.get(row.what)
    return row.end if found is None else found[0]


def _lines(text: str) -> tuple[int, int, list[str]]:
    lines = text.split("\n")
    first = next(number for number, line in enumerate(lines) if line.startswith("| an event | Python code |")) + 2
    return first, lines.index("", first), lines


def shown() -> dict[str, dict[str, str]]:
    """What the page shows: for each row its cells by runtime."""
    first, last, lines = _lines(PAGE.read_text(encoding="utf-8"))
    assert lines[first - 2] == HEAD
    return _cells(lines[first:last], list(RUNTIMES))


def _cells(lines: list[str], columns: list[str]) -> dict[str, dict[str, str]]:
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in rows}


@contextmanager
def rewriting() -> Iterator[dict[str, dict[str, str]]]:
    """The cells of the page, which are written back: all rows and columns of this file, in its order."""
    with open(PAGE, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        first, last, lines = _lines(text)
        columns = [cell.strip() for cell in lines[first - 2].strip("|").split("|")][1:]
        table = _cells(lines[first:last], columns)
        yield table
        rows = [f"| {name} | {' | '.join(table.get(name, {}).get(each, '') for each in RUNTIMES)} |" for name in ROWS]
        lines[first - 2 : last] = [HEAD, "|" + "---|" * (len(RUNTIMES) + 1), *rows]
        file.seek(0)
        file.write("\n".join(lines))
        file.truncate()
