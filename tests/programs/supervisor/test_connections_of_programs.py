"""Connections of traced programs to real servers: while an answer is owed no simulated time passes.

``SCF_RUNS=50`` makes as many requests as that for each of 5.
"""

from __future__ import annotations

import os
import random
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from image_support import program

# once: what the platform does with a program is the same, whatever Python it runs on
REQUESTS = 5 * int(os.environ.get("SCF_RUNS", "3"))
pytestmark = [pytest.mark.once, pytest.mark.timeout(60 + REQUESTS)]


class Answers(socketserver.StreamRequestHandler):
    """Answers each line with one that is as long, after a moment, and in two parts."""

    wbufsize = 0
    server: Server

    def handle(self) -> None:
        moments = random.Random(1)
        for line in self.rfile:
            threading.Event().wait(moments.choice((0, 0, 0.001, 0.01, 0.05)))
            half = moments.randrange(len(line))
            began = time.monotonic()
            self.wfile.write(line[:half])
            threading.Event().wait(moments.choice((0, 0.001, 0.03)))
            self.wfile.write(line[half:])
            self.server.pauses.append(time.monotonic() - began)


class Server(socketserver.ThreadingTCPServer):
    """A server in real time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.pauses: list[float] = []
        """Of each answer: real seconds until its second part was there."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


ASKS = program("""
import os, socket

def tick():
    while True:
        time.sleep(0.001)

def handle(event, request):
    threading.Thread(target=tick, daemon=True).start()
    passed = []
    for number in range(event["requests"]):
        if number % 5 == 0:
            server = socket.create_connection(("127.0.0.1", event["port"]))
            if event["moves"]:  # to another descriptor, as shells do
                made = server.detach()
                server = socket.socket(fileno=os.dup(made))
                os.close(made)
            answers = server.makefile("rb")
        time.sleep(0.01)
        before = time.monotonic()
        for _ in range(3):  # one after the other: who spoke last is hard to see
            server.sendall(b"how are you?\\n")
            answers.readline()
        passed.append(time.monotonic() - before)
    return passed
""")


@pytest.mark.parametrize("moves", [False, True], ids=["where it was made", "at another descriptor"])
def test_no_time_passes_while_an_answer_is_owed(deploy_traced, server: Server, moves: bool) -> None:
    """Another thread of the program sleeps for a millisecond each, and would go on.

    What has come may be a part of an answer for 0.1 real seconds: on a busy machine the other part may be later.
    """
    port = server.server_address[1]
    function = deploy_traced(ASKS, ports=[port])

    event = function.invoke_async({"port": port, "requests": REQUESTS, "moves": moves}).wait()

    pauses = [max(server.pauses[3 * number : 3 * number + 3]) for number in range(REQUESTS)]
    in_time = [passed for passed, pause in zip(event.result, pauses, strict=True) if pause < 0.05]
    assert in_time == [0] * len(in_time)
    assert len(in_time) > REQUESTS / 2
