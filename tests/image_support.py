"""Programs of images that the tests run, and checks of their events."""

from __future__ import annotations

import textwrap

from internals import procfs

from pytest_scf_async import AsyncEvent

COLD = ["START", "INIT 0ms"]
"""The begin of the log after a cold start, where the program took no simulated time to listen."""

_SERVER = """
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

class Answer(Exception):
    '''What ``handle`` raises to answer with another status.'''

class Platform(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = 200, handle(json.loads(body), self)
        except Answer as error:
            status, answer = error.args
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass
"""


def program(handle: str, *, server: str = "HTTPServer", address: str = "0.0.0.0", port: int = 9000) -> str:
    """A program that serves events with the function ``handle(event, request)`` of the text given.

    ``handle`` gives the answer, bytes or what can be written as JSON, or raises ``Answer(status, answer)``.
    """
    return f"{_SERVER}\n{textwrap.dedent(handle)}\n{server}(({address!r}, {port}), Platform).serve_forever()\n"


LISTENER = """
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
    while not stopping:
        time.sleep(1)
        passes += 1
    return f"stopped after {passes}"
"""
"""Works until its listener was called: with a server of threads only, as in another the listener runs in ``handle``."""


def processes(event: AsyncEvent) -> list[int]:
    """The process of the program that an event runs in, and those below it."""
    assert event.instance is not None
    return [event.instance.pid, *procfs.descendants_of(event.instance.pid)]
