"""A library in C asks a server on a connection of its own, as libpq does: each call that gets an answer is a row."""

from __future__ import annotations

import contextlib
import re
import socket
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_support import LIBRARY_IN_C

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.libcrypto]

START = """import select, sys, threading, time
sys.path.insert(0, __file__.replace("index.py", "site-packages"))
from client import Client, ask_once


def main_handler(port, context):
    client = Client(port)
"""
"""What is before the eighth line of a handler."""
OTHERS = re.compile("RequestId|threading.start|join of asks")
ROW = re.compile(r" *\+\S+ s  (?:wait|log) +(.+)")


@pytest.fixture
def port() -> Iterator[int]:
    """A server that sends back what it gets, in two parts."""

    def echo(there: socket.socket) -> None:
        while data := there.recv(1000):
            there.sendall(data[:1])
            there.sendall(data[1:])

    def serve() -> None:
        while not ending.is_set():
            accepted.append(listening.accept()[0])
            threads.append(threading.Thread(target=echo, args=(accepted[-1],)))
            threads[-1].start()

    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve)
        server.start()
        yield listening.getsockname()[1]
        ending.set()
        socket.create_connection(listening.getsockname()).close()
        server.join()
    for there in accepted:
        with contextlib.suppress(OSError):
            there.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for there in accepted:
        there.close()


BODIES = {
    "each call": (
        """
        print(client.ask(b"one", b"one"))
        client.ask(b"two", b"two")
        client.ask(b"three", b"three")
        time.sleep(1)
        print(client.ask(b"four", b"four"))
        """,
        [
            *["client.ask there at index.py:8", "b'one'", "client.ask there at index.py:9"],
            *[
                "client.ask there at index.py:10",
                "sleep(1) at index.py:11",
                "client.ask there at index.py:12",
                "b'four'",
            ],
        ],
    ),
    "a connection that is closed again": (
        """
        ask_once(port, b"one")
        print("between")
        for word in (b"two", b"three"): ask_once(port, word)
        """,
        [
            *["client.ask_once there at index.py:8", "between"],
            "client.ask_once there at index.py:10",
        ],
    ),
    "no question": ("Client(port).close()", []),
    "a question, and its answer later, in parts": (
        """
        client.send(b"one")
        time.sleep(1)
        print(client.read(b"", 1))
        print(client.read(b"", 2))
        """,
        ["sleep(1) at index.py:9", "client.read there at index.py:10", "b'o'", "b'ne'"],
    ),
    "a wait of Python's": (
        """
        for word in (b"one", b"two"):
            client.send(word)
            print(select.select([client], [], [])[0] == [client])
            print(client.read(word))
        """,
        ["select there at index.py:10", "True", "b'one'", "True", "b'two'"],
    ),
    "a function that C calls back": (
        """
        came = []
        def report(operation, result):
            if operation == 0x82 and not came:  # it has read
                came.append(result)
                print("came")
            return result
        client.report_to(report)
        client.ask(b"one", b"one")
        """,
        ["client.ask there at index.py:15", "came"],
    ),
    "another thread": (
        """
        thread = threading.Thread(target=ask_once, args=(port, b"one"), name="asks")
        thread.start()
        thread.join()
        print("joined")
        """,
        ["joined"],
    ),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_call_that_gets_an_answer_is_a_row_before_what_follows(
    scf_runtime: ScfRuntime, tmp_path: Path, port: int, body: str
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "client.py").write_text(LIBRARY_IN_C, encoding="utf-8")
    source, expected = BODIES[body]
    lines = textwrap.indent(textwrap.dedent(source).strip(), "    ")
    (tmp_path / "index.py").write_text(f"{START}{lines}\n    return True\n", encoding="utf-8")
    event = scf_runtime.deploy(f"{tmp_path}/index.py:main_handler").invoke_async(port)
    event.wait()
    assert event.status == "FINISHED", event.timeline
    rows = [match[1] for line in event.timeline.splitlines() if (match := ROW.match(line))]
    shown = [row.replace(f" on a connection to 127.0.0.1:{port}", " there") for row in rows if not OTHERS.search(row)]
    assert shown == expected
