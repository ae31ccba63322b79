"""Connections of traced programs to peers of ``idle_ok``, on which an answer may be owed for ever."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest
from process_support import user_lines

from pytest_scf_async import AsyncEvent

# once: what the kernel knows of a connection is the same, whatever Python the test runs on
pytestmark = pytest.mark.once

LATE = 0.3
"""Real seconds after which the server answers: many times what it takes for the clock to pass a program that waits."""

Run = Callable[[str, str, int], AsyncEvent]


class Answers(socketserver.StreamRequestHandler):
    """Answers each line with the same; one that begins with ``late`` after a moment, one with ``quiet`` never.

    One with ``publish`` comes on the first connection.
    """

    connections: list[socketserver.StreamRequestHandler]

    def handle(self) -> None:
        self.connections.append(self)
        for line in self.rfile:
            if line.startswith(b"late"):
                threading.Event().wait(LATE)
            if line.startswith(b"publish"):
                self.connections[0].wfile.write(line)
            elif not line.startswith(b"quiet"):
                self.wfile.write(line)


@pytest.fixture
def port() -> Iterator[int]:
    """The port of such a server, in real time."""
    handler = type("AnswersOfTest", (Answers,), {"connections": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def run(deploy_image, port: int) -> Run:
    """Run a program to its end, whose server is a peer of ``idle_ok``.

    It finds a line and how often it has to ask with it in its environment, and prints each answer with the simulated
    seconds that have passed.
    """

    def run(name: str, line: str, times: int) -> AsyncEvent:
        command, source = PROGRAMS[name]
        environment = {"PORT": str(port), "LINE": line, "TIMES": str(times)}
        function = deploy_image(
            source, command=command, port=-1, ports=[port], idle_ok=[f"127.0.0.1:{port}"], environment=environment
        )
        return function.invoke_async().wait()

    return run


_PYTHON = """
import os, select, socket, threading, time

def passed():
    return round(time.monotonic() - began, 1)

def connected():
    return socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))

began, line, times = time.monotonic(), os.environ["LINE"].encode(), int(os.environ["TIMES"])
connection = connected()
"""
_ASKS = """
for number in range(times):
    if number % 5 == 0:
        time.sleep(60)
    connection.sendall(line + b"\\n")
    print((ask() or b"nothing").decode().strip(), passed(), flush=True)
"""
_BASH = """
exec 3<>/dev/tcp/127.0.0.1/$PORT
for ((number = 0; number < TIMES; number++)); do
    ((number % 5)) || sleep 60
    echo "$LINE" >&3
    read -t 2 -u 3 answer || answer=nothing
    echo "$answer" $SECONDS.0
done
"""
_POLLS = """
poller = select.poll()
poller.register(connection, select.POLLIN)
def ask():
    return poller.poll(2000) and connection.recv(100)
"""
_SUBSCRIBES = """
def listens():
    while data := connection.recv(100):
        print(data.decode().strip(), passed(), flush=True)

threading.Thread(target=listens, daemon=True).start()
connection.sendall(line + b"\\n")
for number in range(times):
    time.sleep(3600)
    with connected() as publisher:
        publisher.sendall(b"publish %d\\n" % number)
        print("published", passed(), flush=True)
time.sleep(3600)
print("end", passed())
"""
_ON_ITS_OWN = ("python", "-I", "app.py")
"""Not in the process of the instance, as a program in Python with one process is by default."""
PROGRAMS = {
    "recv": (_ON_ITS_OWN, _PYTHON + "def ask(): return connection.recv(100)\n" + _ASKS),
    "poll": (_ON_ITS_OWN, _PYTHON + _POLLS + _ASKS),
    "bash": (("bash", "app.py"), _BASH),
    "subscriber": (_ON_ITS_OWN, _PYTHON + _SUBSCRIBES),
}


@pytest.mark.parametrize("name", ["recv", "poll", "bash"])
@pytest.mark.parametrize(("line", "times"), [("at once", 20), ("late", 2)])
def test_an_answer_comes_in_no_time(run: Run, name: str, line: str, times: int) -> None:
    event = run(name, line, times)

    assert user_lines(event) == [f"{line} {60.0 * (number // 5 + 1)}" for number in range(times)]


def test_an_answer_that_does_not_come_holds_no_longer_than_a_moment(run: Run) -> None:
    event = run("poll", "quiet", 2)

    assert user_lines(event) == ["nothing 62.0", "nothing 64.0"]


def test_hours_pass_beside_a_subscription_and_a_message_that_is_published_comes_in_no_time(run: Run) -> None:
    event = run("subscriber", "quiet", 2)

    lines = user_lines(event)
    assert lines[-1] == "end 10800.0"
    assert sorted(lines[:-1]) == ["publish 0 3600.0", "publish 1 7200.0", "published 3600.0", "published 7200.0"]
