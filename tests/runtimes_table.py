"""What every runtime has to do with the same orders: a row for each line of the design's table of ends.

A runtime is one column: how its function is deployed, and what it cannot do, with the reason. Its program carries out
the order that comes as the event; docs/fidelity.md shows the table, which ``SCF_CONFORMANCE=write`` writes.
"""

from __future__ import annotations

import fcntl
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from image_support import program
from internals import lockstep_of
from process_support import RECEIVED

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.function import Function

WRITE = os.environ.get("SCF_CONFORMANCE") == "write"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "fidelity.md"

KEPT, RECLAIMED = "reused", "reclaimed"
ENDS = "reused, and ends with the next event"
"""The event has finished, so its instance is reused, though its program has begun to end."""


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
    """What the test does once the program has printed ``ready``, or with the pending event."""
    ready: bool = False
    """Whether the test waits until the program prints ``ready``."""
    signals: int = 0
    """How many SIGTERMs the test sends."""
    after: float = 0
    """When it ends, in seconds from its acceptance: exactly so where its time is simulated."""
    cause: str = ""
    """How its process ended, as the timeline shows it."""
    because: str | None = None
    """Why its instance is reclaimed, where its code leaves that open."""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> int:
        return int(self.end.partition(",")[0].split()[1])

    @property
    def platform_lines(self) -> list[str]:
        """What the platform writes into the log, in short form and without durations."""
        begins = ["START"] if self.act is by_force_at_init else ["START", "INIT"]
        ends = "RESPONSE" if self.code == 200 else f"ERROR {self.code}"
        return [*begins, *[RECEIVED] * self.signals, ends, "END", "REPORT"]

    @property
    def result(self) -> object:
        return self.order.get("then", "done")

    @property
    def error(self) -> dict[str, Any]:
        """The error's body, without what every one has, and without a stack trace."""
        message, _ = _ERRORS[self.code]
        return {"errorCode": 1 if self.code == 430 else -1, "errorMessage": message.format(**self.options)}

    @property
    def reclaimed_because(self) -> str:
        return self.because or _ERRORS[self.code][1]


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
    lockstep_of(event).advance_to(lockstep_of(event).clock.now_us + 100_000_000, False)


def delete(event: AsyncEvent) -> None:
    event_function(event).delete()


def event_function(event: AsyncEvent) -> Function:
    """The function of *event*, which the test has put there."""
    found: Function = FUNCTIONS[event.request_id]
    return found


FUNCTIONS: dict[str, Function] = {}
"""By request id, while a test goes on."""

_ERRORS = {
    407: ("The size of response exceeds the upper limit (6MB)", "result too large"),
    430: ("user code exception caught", "raised"),
    433: ("Invoking task timed out after {timeout} seconds", "timed out"),
    434: ("MemoryLimitReached", "memory exceeded"),
    439: ("User process exit when running", "process exited"),
    499: ("RequestCanceled", "terminated"),
}
"""By code: the message, and why the instance is reclaimed."""
_SLEEP = {"do": "sleep", "seconds": 1000}

_ROWS = [
    Row("returns", {"do": "return"}, f"FINISHED 200, {KEPT}"),
    Row("sleeps, then returns", {"do": "sleep", "seconds": 0.05}, f"FINISHED 200, {KEPT}", after=0.05),
    Row("raises an exception, or answers with an error", {"do": "raise"}, f"FAILED 430, {RECLAIMED}"),
    Row("result over 6 MB", {"do": "big"}, f"FAILED 407, {RECLAIMED}"),
    Row("ends its process with code 0", {"do": "exit", "code": 0}, f"FAILED 439, {RECLAIMED}", cause="exit code 0"),
    Row("ends its process with code 3", {"do": "exit", "code": 3}, f"FAILED 439, {RECLAIMED}", cause="exit code 3"),
    Row(
        "is killed by a signal of its own",
        {"do": "kill"},
        f"FAILED 439, {RECLAIMED}",
        cause="killed by SIGKILL (signal 9)",
    ),
    Row(
        "runs until the timeout",
        _SLEEP,
        f"FAILED 433, {RECLAIMED}",
        time_out,
        ready=True,
        after=60,
        options={"timeout": 60},
    ),
    Row("uses more memory than it has", {"do": "memory"}, f"FAILED 434, {RECLAIMED}", options={"memory": 128}),
    Row("terminated by force", _SLEEP, f"ABORTED 499, {RECLAIMED}", by_force, ready=True),
    Row("terminated by force before its init", _SLEEP, f"ABORTED 499, {RECLAIMED}", by_force_at_init),
    Row(
        "its function is deleted",
        _SLEEP,
        f"ABORTED 499, {RECLAIMED}",
        delete,
        ready=True,
        because="function deleted",
    ),
    Row(
        "SIGTERM, it listens, and returns",
        {"do": "listen", "then": "return"},
        f"FINISHED 200, {KEPT}",
        gracefully,
        ready=True,
        signals=1,
    ),
    Row(
        "SIGTERM, it listens, and ends its process",
        {"do": "listen", "then": "exit"},
        f"FAILED 439, {RECLAIMED}",
        gracefully,
        ready=True,
        signals=1,
        cause="exit code 0",
    ),
    Row(
        "SIGTERM, nothing listens",
        _SLEEP,
        f"FAILED 439, {RECLAIMED}",
        gracefully,
        ready=True,
        signals=1,
        cause="killed by SIGTERM (signal 15)",
    ),
    Row(
        "SIGTERM, it listens, and goes on to its end",
        {"do": "listen", "then": "go on"},
        f"FINISHED 200, {KEPT}",
        gracefully,
        ready=True,
        signals=1,
        after=0.2,
    ),
    Row(
        "SIGTERM, it listens and goes on, then by force",
        {"do": "listen", "then": "nothing"},
        f"ABORTED 499, {RECLAIMED}",
        gracefully_then_by_force,
        ready=True,
        signals=1,
    ),
    Row(
        "SIGTERM twice, it goes on to its end",
        {"do": "listen", "then": "go on"},
        f"FINISHED 200, {KEPT}",
        gracefully_twice,
        ready=True,
        signals=2,
        after=0.2,
    ),
]
ROWS = {row.what: row for row in _ROWS}

# -- the runtimes ----------------------------------------------------------------------------------------------------

_WORK = """
import os, signal, sys, threading, time

received = threading.Event()

def on_sigterm(signum, frame):
    os.write(1, b"handled\\n")
    if then == "exit":
        os._exit(0)
    if then == "return":
        received.set()

def listen():
    signal.signal(signal.SIGTERM, on_sigterm)

def work(order):
    global then
    do, then = order["do"], order.get("then")
    if do == "listen":
        received.clear()  # first: the signal may come as soon as the line is there
        os.write(1, b"ready\\n")
        if then == "go on":
            time.sleep(0.2)
        else:
            received.wait(1000)
        return then
    if do == "sleep":
        os.write(1, b"ready\\n")
        time.sleep(order["seconds"])
    if do == "raise":
        raise ValueError("as asked")
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
    return program(_HANDLE + listens_in_python(order), server="ThreadingHTTPServer")


_BOOTSTRAP = f"""#!{sys.executable} -I
{_WORK}
import http.client, json

api = http.client.HTTPConnection(os.environ["SCF_RUNTIME_API"], int(os.environ["SCF_RUNTIME_API_PORT"]))

def call(method, path, body=None):
    api.request(method, "/runtime" + path, body)
    return api.getresponse().read()

call("POST", "/init/ready", " ")
while True:
    order = json.loads(call("GET", "/invocation/next"))
    if order["do"] == "listen":
        listen()
    try:
        result = json.dumps(work(order))
    except ValueError as error:
        call("POST", "/invocation/error", str(error))
    else:
        call("POST", "/invocation/response", result)
"""
_IN_NODE = """
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const ready = () => process.stdout.write('ready\\n');

function received(then) {
  return new Promise((resolve) => process.on('SIGTERM', () => {
    process.stdout.write('handled\\n');
    if (then === 'exit') process.exit(0);
    if (then === 'return') resolve();
  }));
}

exports.main_handler = async ({ do: what, then, seconds, code }) => {
  if (what === 'listen') {
    const signalled = received(then);
    ready();
    await (then === 'go on' ? sleep(0.2) : Promise.race([signalled, sleep(1000)]));
    process.removeAllListeners('SIGTERM');
    return then;
  }
  if (what === 'sleep') { ready(); await sleep(seconds); }
  if (what === 'raise') throw new Error('as asked');
  if (what === 'big') return 'x'.repeat(6 * 1024 * 1024);
  if (what === 'exit') process.exit(code);
  if (what === 'kill') process.kill(process.pid, 'SIGKILL');
  if (what === 'memory') { const data = Buffer.alloc(200 << 20, 'x'); await sleep(100); return data.length; }
  return 'done';
};
"""


_IN_FLASK = f"""
{_WORK}
from flask import Flask, jsonify, request

app = Flask(__name__)

@app.post("/event-invoke")
def invoke():
    try:
        return jsonify(work(request.get_json(force=True)))
    except ValueError as error:
        return str(error), 500
"""
_IN_GUNICORN = f"""
{_WORK}
import json

def app(environ, start_response):
    order = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    try:
        status, body = "200 OK", json.dumps(work(order))
    except ValueError as error:
        status, body = "500 Internal Server Error", str(error)
    start_response(status, [("Content-Type", "application/json")])
    return [body.encode()]
"""
_SERVER_IN_NODE = f"""
{_IN_NODE}
require('http').createServer((request, response) => {{
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => exports.main_handler(JSON.parse(Buffer.concat(parts))).then(
    (result) => response.end(JSON.stringify(result)),
    (error) => {{ response.statusCode = 500; response.end(error.message); }},
  ));
}}).listen(9000, '0.0.0.0');
"""
_ENTRYPOINT = """
trap 'kill -TERM $server' TERM
python app.py &
server=$!
while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
exit $code
"""
"""A shell script that starts the server, and passes SIGTERM on to it."""


def flask_of(order: Mapping[str, Any]) -> str:
    """The same of Flask's own server."""
    return f"{_IN_FLASK}{listens_in_python(order)}app.run('0.0.0.0', 9000)\n"


def listens_in_python(order: Mapping[str, Any]) -> str:
    return "listen()\n" if order["do"] == "listen" else ""


def file_in(directory: Path, name: str, text: str, mode: int = 0o644) -> Path:
    """A code directory with one file, of that *text*; the directory."""
    (directory / name).write_text(text, encoding="utf-8")
    (directory / name).chmod(mode)
    return directory


Deploys = Callable[[Any, Row], Function]
"""Deploys the program of a row; the first argument gives a fixture of the test by its name."""


@dataclass(frozen=True)
class Exceptional:
    """What becomes of an event in one runtime where that differs from its row."""

    end: str
    why: str
    """A part of its text on the page."""
    cause: str = ""
    """How its process ended, where it did."""


@dataclass(frozen=True)
class Runtime:
    """One column."""

    deploy: Deploys
    exceptions: Mapping[str, Exceptional] = field(default_factory=dict)
    """By the row's text: what is found instead."""
    unknown: frozenset[str] = frozenset()
    """What of its signals cannot be known: the words of ``SignalView.disposition`` that become "unknown"."""
    native: frozenset[str] = frozenset()
    """What its language's runtime catches: the words that become "native"."""
    listens: bool = False
    """Its main process listens to SIGTERM, whether the code that runs the event does or not."""
    own_errors: bool = False
    """The platform's message of an error is the program's own text."""
    simulated: bool = True
    """Its time is: an event ends at exactly the instant of its row."""
    marks: tuple[pytest.MarkDecorator, ...] = ()
    """Those of its tests."""


_WORKERS_END = "its workers get 30 s for what they do, and then it ends"
_OF_GUNICORN = {
    **dict.fromkeys(
        ["ends its process with code 0", "ends its process with code 3", "is killed by a signal of its own"],
        Exceptional(f"FAILED 430, {RECLAIMED}", "A worker that ends is replaced"),
    ),
    **dict.fromkeys(
        ["SIGTERM, nothing listens", "SIGTERM, it listens, and returns", "SIGTERM, it listens, and ends its process"],
        Exceptional(f"FAILED 439, {RECLAIMED}", _WORKERS_END, "exit code 0"),
    ),
    **dict.fromkeys(
        ["SIGTERM, it listens, and goes on to its end", "SIGTERM twice, it goes on to its end"],
        Exceptional(f"FINISHED 200, {ENDS}", _WORKERS_END),
    ),
}

_OF_SERVER = "ends with the server's exit code"
_OF_A_SCRIPT = {
    "is killed by a signal of its own": Exceptional(f"FAILED 439, {RECLAIMED}", _OF_SERVER, "exit code 137"),
    "SIGTERM, nothing listens": Exceptional(f"FAILED 439, {RECLAIMED}", _OF_SERVER, "exit code 143"),
}

RUNTIMES: dict[str, Runtime] = {
    "Python code": Runtime(lambda fixture, row: fixture("deploy")(_CODE, **row.options)),
    "Python code, simulated children": Runtime(
        lambda fixture, row: fixture("deploy")(_CODE, children="simulated", **row.options)
    ),
    "image, Python": Runtime(
        lambda fixture, row: fixture("deploy_image")(textwrap.dedent(image_of(row.order)), **row.options)
    ),
    "image, Flask": Runtime(lambda fixture, row: fixture("deploy_image")(flask_of(row.order), **row.options)),
    "image, gunicorn": Runtime(
        lambda fixture, row: fixture("deploy_image")(
            _IN_GUNICORN,
            command=[
                "gunicorn",
                "--bind=0.0.0.0:9000",
                "--control-socket=gunicorn.ctl",
                "--workers=2",
                "--timeout=0",
                "app:app",
            ],
            **row.options,
        ),
        exceptions=_OF_GUNICORN,
        listens=True,
        simulated=False,  # it is, but gunicorn draws how long it waits between the starts of two workers
    ),
    "image, shell script": Runtime(
        lambda fixture, row: fixture("deploy_image")(
            textwrap.dedent(image_of(row.order)), command=["bash", "-c", _ENTRYPOINT], **row.options
        ),
        exceptions=_OF_A_SCRIPT,
        listens=True,
    ),
    "image, Node.js": Runtime(
        lambda fixture, row: fixture("deploy_image")(_SERVER_IN_NODE, command=["node", "app.py"], **row.options),
        native=frozenset({"handler", "default"}),  # Node.js catches it, with or without a handler in the program
        marks=(pytest.mark.nodejs,),
    ),
    "image, free-running": Runtime(
        lambda fixture, row: fixture("deploy_free")(textwrap.dedent(image_of(row.order)), **row.options),
        unknown=frozenset({"handler"}),
        simulated=False,
    ),
    "Go code": Runtime(
        lambda fixture, row: fixture("runtime").deploy("go/orders", runtime="Go1", **row.options),
        native=frozenset({"handler", "default"}),  # Go's runtime catches it, whether the function listens or not
        marks=(pytest.mark.go,),
    ),
    "custom runtime": Runtime(
        lambda fixture, row: fixture("runtime").deploy(
            file_in(fixture("tmp_path"), "bootstrap", _BOOTSTRAP, 0o755), runtime="CustomRuntime", **row.options
        ),
        own_errors=True,
    ),
    "Node.js code": Runtime(
        lambda fixture, row: fixture("runtime").deploy(
            file_in(fixture("tmp_path"), "index.js", _IN_NODE), runtime="Nodejs18.15", **row.options
        ),
        native=frozenset({"handler", "default"}),  # Node.js catches it, whether the function listens or not
        own_errors=True,
        marks=(pytest.mark.nodejs,),
    ),
}

# -- the table of the page -------------------------------------------------------------------------------------------

HEAD = f"| an event | {' | '.join(RUNTIMES)} |"


def expected(row: Row, runtime: str) -> Row:
    """The row as *runtime* has it."""
    found = RUNTIMES[runtime].exceptions.get(row.what)
    return row if found is None else replace(row, end=found.end, cause=found.cause)


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
