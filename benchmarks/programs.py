"""Rows about traced programs: a day of sleeps, their start, and what a line, a clock read and a system call cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from time import perf_counter

from pytest_scf_async import ScfAsyncWarning, ScfRuntime, ScfSettings
from pytest_scf_async.function import Function

from .instances import DAY, HANDLERS, START
from .measure import Row, Sample
from .runtimes import await_port, bare_start, free_port, program

PROGRAMS = HANDLERS / "program"
SLEEPS = 4_000
"""As many are made, and the time of as many as a day has seconds is shown."""
MANY = {"clock reads": 1_000_000, "system calls": 100_000}
LINES = 2_000


@contextlib.contextmanager
def built() -> Iterator[str]:
    """The path of the program in Go."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        os.chmod(directory, 0o755)
        binary = Path(directory, "program")
        environment = os.environ | {"CGO_ENABLED": "0", "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
        subprocess.run(["go", "build", "-o", binary, PROGRAMS / "main.go"], env=environment, check=True)
        yield str(binary)


@contextlib.contextmanager
def node() -> Iterator[list[str]]:
    yield ["node", str(PROGRAMS / "sleeper.js")]


@contextlib.contextmanager
def go() -> Iterator[list[str]]:
    with built() as binary:
        yield [binary]


@contextlib.contextmanager
def traced(command: Sequence[str]) -> Iterator[tuple[ScfRuntime, Function, int]]:
    """The function, and the port on which the program listens."""
    port = free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScfAsyncWarning)  # it would be free-running
        settings = ScfSettings(start=START, clock_reads_before_wait=1_000_000_000, compute_grace=600)
        with ScfRuntime(settings) as runtime:
            yield runtime, runtime.deploy_image([*command, str(port)], cwd=PROGRAMS, port=port, timeout=DAY), port


def asked(function: Function, what: str, count: int) -> float:
    """The seconds of an event."""
    start = perf_counter()
    function.invoke_async({"What": what, "Count": count}).wait()
    return perf_counter() - start


def asked_bare(port: int, what: str, count: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = perf_counter()
    connection.request("POST", "/event-invoke", body=json.dumps({"What": what, "Count": count}))
    connection.getresponse().read()
    seconds = perf_counter() - start
    connection.close()
    return seconds


@contextlib.contextmanager
def day(language: AbstractContextManager[list[str]]) -> Iterator[tuple[Sample, None]]:
    with language as command, traced(command) as (_, function, _):
        asked(function, "sleeps", 1)
        yield lambda: (asked(function, "sleeps", SLEEPS) - asked(function, "sleeps", 0)) / SLEEPS * DAY, None


@contextlib.contextmanager
def first_wait(language: AbstractContextManager[list[str]]) -> Iterator[tuple[Sample, Sample]]:
    """From the call until the program waits in its event, of an instance that is started for it."""
    with language as command, traced(command) as (runtime, function, port):

        def ours() -> float:
            start = perf_counter()
            event = function.invoke_async({"What": "sleeps", "Count": 1})
            event.settle()
            seconds = perf_counter() - start
            assert event.doing == "parked"
            event.wait()
            runtime.clock.advance(300)  # idle for so long, the instance is reclaimed
            return seconds

        yield ours, bare_start([*command, str(port)], port)


@contextlib.contextmanager
def each(what: str) -> Iterator[tuple[Sample, Sample]]:
    """One of *what*, traced and by the bare program."""
    with go() as command, traced(command) as (_, function, _):
        port, count = free_port(), MANY[what]
        with program([*command, str(port)]) as process:
            await_port(port, process)
            asked(function, what, 1)
            yield (
                lambda: (asked(function, what, count) - asked(function, what, 0)) / count,
                lambda: (asked_bare(port, what, count) - asked_bare(port, what, 0)) / count,
            )


@contextlib.contextmanager
def line_at_a_gate() -> Iterator[tuple[Sample, None]]:
    """One line that a program prints while the test waits for another one."""
    with traced(["python", "-I", "lines.py"]) as (_, function, _):

        def waited(count: int) -> float:
            start = perf_counter()
            event = function.invoke_async({"What": "", "Count": count}).wait_for_log("done")
            seconds = perf_counter() - start
            event.wait()
            return seconds

        waited(1)
        yield lambda: (waited(LINES) - waited(0)) / LINES, None


def rows() -> list[Row]:
    row = partial(Row, rounds=10, quick_rounds=3, warm_up=1)
    found = []
    if shutil.which("node") is not None:
        what = "24 h of one-second sleeps of a program in Node.js"
        found.append(row("node-day", what, "< 15 s", lambda: day(node()), most=15, unit="s"))
    found.append(row("gate-line", "a printed line at a gate", "< 50 µs", line_at_a_gate, most=50e-6, unit="s"))
    if shutil.which("go") is None:
        return found
    what = "24 h of one-second sleeps of a program in Go"
    found.append(row("go-day", what, "< 30 s", lambda: day(go()), most=30, unit="s"))
    what = "a program in Go, to its first wait / its bare start"
    found.append(row("first-wait", what, "+ 25 ms", lambda: first_wait(go()), most=0.025, unit="more"))
    what = "time.Now() of a traced program in Go / of the bare one"
    found.append(row("traced-clock", what, "< 0.1 µs", partial(each, "clock reads"), most=0.1e-6, unit="s"))
    what = "an untraced system call of it / of the bare one"
    found.append(row("traced-call", what, "≤ 2 ×", partial(each, "system calls"), most=2))
    return found
