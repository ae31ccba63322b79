"""Connections of traced programs to real servers: while an answer is owed no simulated time passes.

``SCF_RUNS=50`` makes as many requests as that for each of 5.
"""

from __future__ import annotations

import os
import random
import socketserver
import threading
from collections.abc import Iterator

import pytest
from image_support import program

# once: what the platform does with a program is the same, whatever Python it runs on
REQUESTS = 5 * int(os.environ.get("SCF_RUNS", "3"))
pytestmark = [pytest.mark.once, pytest.mark.timeout(60 + REQUESTS)]


class Answers(socketserver.StreamRequestHandler):
    """Answers each line with one that is as long, after a moment, and in two parts."""

    wbufsize = 0

    def handle(self) -> None:
        moments = random.Random(1)
        for line in self.rfile:
            threading.Event().wait(moments.choice((0, 0, 0.001, 0.01, 0.05)))
            half = moments.randrange(len(line))
            self.wfile.write(line[:half])
            threading.Event().wait(moments.choice((0, 0.001, 0.03)))
            self.wfile.write(line[half:])


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server in real time."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found.server_address[1]
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
def test_no_time_passes_while_an_answer_is_owed(deploy_traced, server: int, moves: bool) -> None:
    """Another thread of the program sleeps for a millisecond each, and would go on."""
    function = deploy_traced(ASKS, ports=[server])

    event = function.invoke_async({"port": server, "requests": REQUESTS, "moves": moves}).wait()

    assert event.result == [0] * REQUESTS
