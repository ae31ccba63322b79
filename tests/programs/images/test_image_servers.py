"""The servers that images of Python run: each on simulated time, its idle polling too, and terminated gracefully."""

from __future__ import annotations

import re
import textwrap
from datetime import timedelta

import pytest
from image_support import COLD, program
from internals import version_of
from process_support import RECEIVED, assert_end, assert_kept, short_log, user_lines

FLASK = """
import signal, time
from flask import Flask, request

app = Flask(__name__)
stopping = False

def on_sigterm(signum, frame):
    global stopping
    print("signal", signum, flush=True)
    stopping = True

@app.post("/event-invoke")
def event_invoke():
    global stopping
    stopping = False
    print("working", flush=True)
    passes = 0
    while not stopping and passes < request.get_json().get("passes", 1_000_000):
        time.sleep(1)
        passes += 1
    return {"passes": passes}

signal.signal(signal.SIGTERM, on_sigterm)
"""
RUN_FLASK = 'if __name__ == "__main__":\n    app.run(host="0.0.0.0", port=9000)\n'

FASTAPI = """
import asyncio, signal, time
from fastapi import FastAPI, Request

app = FastAPI()
stopping = False

@app.post("/event-invoke")
async def event_invoke(request: Request):
    global stopping
    stopping = False
    event = await request.json()
    signal.signal(signal.SIGTERM, on_sigterm)
    print("working", flush=True)
    passes = 0
    while not stopping and passes < event.get("passes", 1_000_000):
        await asyncio.sleep(1)
        passes += 1
    return {"passes": passes}

def on_sigterm(signum, frame):
    global stopping
    print("signal", signum, flush=True)
    stopping = True
"""
RUN_UVICORN = (
    'if __name__ == "__main__":\n    import uvicorn\n    uvicorn.run(app, host="0.0.0.0", port=9000, loop="asyncio")\n'
)

WSGI = """
import json, signal, time

stopping = False

def on_sigterm(signum, frame):
    global stopping
    print("signal", signum, flush=True)
    stopping = True

signal.signal(signal.SIGTERM, on_sigterm)

def app(environ, start_response):
    global stopping
    stopping = False
    event = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    print("working", flush=True)
    passes = 0
    while not stopping and passes < event.get("passes", 1_000_000):
        time.sleep(1)
        passes += 1
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"passes": passes}).encode()]
"""
RUN_WSGIREF = """
from wsgiref.simple_server import make_server
make_server("0.0.0.0", 9000, app).serve_forever()
"""
RUN_WAITRESS = """
import waitress
waitress.serve(app, host="0.0.0.0", port=9000)
"""
HANDLE = """
stopping = False

def on_sigterm(signum, frame):
    global stopping
    print("signal", signum, flush=True)
    stopping = True

signal.signal(signal.SIGTERM, on_sigterm)

def handle(event, request):
    global stopping
    stopping = False
    print("working", flush=True)
    passes = 0
    while not stopping and passes < event.get("passes", 1_000_000):
        time.sleep(1)
        passes += 1
    return {"passes": passes}
"""
ACCEPT_LOOP = """
import json, signal, socket, time
stopping = False

def on_sigterm(signum, frame):
    global stopping
    print("signal", signum, flush=True)
    stopping = True

signal.signal(signal.SIGTERM, on_sigterm)
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("0.0.0.0", 9000))
listening.listen()
while True:
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as received:
        size = 0
        while (line := received.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split()[1])
        event = json.loads(received.read(size))
        stopping = False
        print("working", flush=True)
        passes = 0
        while not stopping and passes < event.get("passes", 1_000_000):
            time.sleep(1)
            passes += 1
        body = json.dumps({"passes": passes}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
"""
RUN = ("python", "app.py")
SERVERS = {
    "http.server": (program(HANDLE), RUN),
    "http.server with threads": (program(HANDLE, server="ThreadingHTTPServer"), RUN),
    "a loop of accept": (ACCEPT_LOOP, RUN),
    "wsgiref": (WSGI + RUN_WSGIREF, RUN),
    "waitress": (WSGI + RUN_WAITRESS, RUN),
    "waitress by its script": (WSGI, ("waitress-serve", "--listen=0.0.0.0:9000", "app:app")),
    "flask by script": (FLASK + RUN_FLASK, RUN),
    "flask by -m": (FLASK, ("python", "-m", "flask", "run", "--host=0.0.0.0", "--port=9000")),
    "flask by its own script": (FLASK, ("flask", "run", "--host", "0.0.0.0", "--port", "9000")),
    "uvicorn by script": (FASTAPI + RUN_UVICORN, RUN),
    "uvicorn by -m": (
        FASTAPI,
        ("python", "-m", "uvicorn", "app:app", "--host=0.0.0.0", "--port=9000", "--loop=asyncio"),
    ),
    "uvicorn by its own script": (FASTAPI, ("uvicorn", "app:app", "--host=0.0.0.0", "--port=9000", "--loop=asyncio")),
}


# once: another command starts the same server, which has a form without the mark
OTHER_FORMS = (
    "waitress by its script",
    "flask by -m",
    "flask by its own script",
    "uvicorn by -m",
    "uvicorn by its own script",
)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.once if name in OTHER_FORMS else ()) for name in SERVERS])
def function(request, deploy_image):
    source, command = SERVERS[request.param]
    return deploy_image(textwrap.dedent(source), command=command)


def test_a_graceful_termination_an_idle_minute_and_a_minute_of_work(function, runtime):
    """One after the other on one instance, as the start of a server is what costs."""
    first = function.invoke_async()
    first.wait_for_log("working")
    runtime.clock.advance(10.5)

    first.terminate(grace_shutdown=True)

    assert first.status == "RUNNING"
    assert first.signals[0].disposition == "handler"
    first.wait()
    assert (first.status, first.result) == ("FINISHED", {"passes": 11}), str(first.log)
    # asyncio sleeps whole ms by epoll, as it does outside
    assert timedelta(seconds=11) <= first.duration < timedelta(seconds=11, milliseconds=11)
    log = short_log(first)
    assert [line for line in log if line.startswith("INIT")] == ["INIT 0ms"]
    assert [line for line in log if line in (RECEIVED, "working", "signal 15")] == ["working", RECEIVED, "signal 15"]
    assert_kept(first)

    runtime.clock.advance(60)
    second = function.invoke_async({"passes": 60}).wait()

    assert (second.status, second.result) == ("FINISHED", {"passes": 60}), str(second.log)
    assert timedelta(minutes=1) <= second.duration < timedelta(minutes=1, milliseconds=60)
    assert (second.instance.cold, second.instance.pid) == (False, first.instance.pid)
    assert_kept(second)


# once: these are programs that are not ours; that of Python's own library is without the mark
NOT_OURS = [pytest.param(name, marks=pytest.mark.once) for name in ("flask by script", "uvicorn by script", "waitress")]


@pytest.mark.repeat
@pytest.mark.parametrize("name", ["http.server", *NOT_OURS])
def test_two_runs_have_equal_timelines(make_runtime, deploy_image, name):
    found = []
    source, command = SERVERS[name]
    for _ in range(2):
        target = make_runtime()
        function = deploy_image(source, to=target, command=command, name="app")
        event = function.invoke_async()
        event.wait_for_log("working")
        target.clock.advance(25)
        event.terminate(grace_shutdown=True)
        event.wait()
        own = {version_of(function).code.directory: "DIR", f"[{event.instance.pid}]": "[PID]"}
        lines = [line for line in event.timeline.splitlines() if not re.match(r" *\S+ s  wait ", line)]
        found.append([without(line.partition("MemUsage")[0], own) for line in lines])

    assert found[0] == found[1]
    assert len(found[0]) >= 15


def without(line, own):
    """*line* without what no two runs have in common. (How many waits one line stands for is another thing.)"""
    for text, name in own.items():
        line = line.replace(text, name)
    return line


@pytest.mark.once  # what Flask is here could be any server
def test_flask_beside_flask(deploy_image, runtime):
    source, command = SERVERS["flask by script"]
    function = deploy_image(source, command=command)
    events = [function.invoke_async({"passes": 10 * number}) for number in (3, 1, 2)]

    runtime.wait_all(events)

    assert [event.duration.total_seconds() for event in events] == [30, 10, 20]
    assert len({event.instance.pid for event in events}) == 3


@pytest.mark.once  # what the platform makes of an answer
def test_an_error_of_flask_is_430_with_its_page(deploy_image):
    source = """
    from flask import Flask
    app = Flask(__name__)
    @app.post("/event-invoke")
    def event_invoke():
        raise KeyError("no such row")
    app.run(host="0.0.0.0", port=9000)
    """
    event = deploy_image(textwrap.dedent(source)).invoke_async().wait()

    assert event.status_code == 430
    assert event.error["stackTrace"].startswith(
        "POST /event-invoke was answered with HTTP 500 INTERNAL SERVER ERROR: <!doctype html>"
    )
    assert "KeyError: 'no such row'" in user_lines(event)


@pytest.mark.once  # as above
def test_an_image_without_the_route_is_430(deploy_image):
    source = "from flask import Flask\nFlask(__name__).run(host='0.0.0.0', port=9000)\n"
    event = deploy_image(source).invoke_async().wait()

    assert event.status_code == 430
    assert event.error["stackTrace"].startswith("POST /event-invoke was answered with HTTP 404 NOT FOUND:")


@pytest.mark.once  # where a program listens is the platform's side
def test_flask_on_127_0_0_1_as_is_its_default(deploy_image):
    source = "from flask import Flask\nFlask(__name__).run(port=9000)\n"
    event = deploy_image(source).invoke_async().wait()

    assert event.status_code == 446
    assert "it must listen on 0.0.0.0:9000" in event.error["errorMessage"]


def test_ten_minutes_of_idle_polling_beside_the_work_are_no_time(deploy_image):
    event = deploy_image(program(HANDLE, server="ThreadingHTTPServer")).invoke_async({"passes": 600}).wait()

    log = [*COLD, "working", 'RESPONSE {"passes": 600}', "END", "REPORT 600000ms"]
    assert_end(event, "FINISHED", 200, after=600, log=log)


def test_a_plain_accept_is_reported_by_the_line_of_the_program(deploy_in_process):
    event = deploy_in_process(ACCEPT_LOOP).invoke_async({"passes": 1}).wait()
    line = 1 + next(number for number, text in enumerate(ACCEPT_LOOP.splitlines()) if "listening.accept()" in text)
    assert f"socket.accept at app.py:{line}" in event.timeline


@pytest.mark.once  # FastAPI's own
def test_fastapi_with_a_parameter_that_has_a_type(deploy_image):
    source = """
    from datetime import date
    from fastapi import FastAPI
    from pydantic import BaseModel

    app = FastAPI()

    class Order(BaseModel):
        rows: int
        day: date

    @app.post("/event-invoke")
    async def event_invoke(order: Order) -> Order:
        return order
    """
    command = ("uvicorn", "app:app", "--host=0.0.0.0", "--port=9000", "--loop=asyncio")
    event = deploy_image(textwrap.dedent(source), command=command).invoke_async({"rows": 3, "day": "2026-02-03"}).wait()
    assert (event.status_code, event.result) == (200, {"rows": 3, "day": "2026-02-03"})
