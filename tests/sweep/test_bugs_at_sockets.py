"""Handlers with a bug in what they say to a server, each beside its fixed twin.

With a server for each run, and with one for all of them, which is emptied before each run, the sweep says the same.
"""

from __future__ import annotations

import contextlib
import re
import socketserver
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sweeping import Deploy

from pytest_scf_async import ScfRuntime

# once: what differs by Python are points, which have tests of their own
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]


class Server(socketserver.ThreadingTCPServer):
    """Keeps values by name and a queue, and answers a line each: ``GET``, ``PUT``, ``ADD`` to a value, and ``POP``."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.empty()

    def empty(self) -> None:
        self.values: dict[str, str] = {}
        self.queue = ["item-0", "item-1"]

    def answer(self, verb: str, name: str, value: str = "") -> str:
        if verb == "PUT":
            self.values[name] = value
        elif verb == "ADD":
            self.values[name] = str(int(self.values.get(name, "0")) + int(value))
        elif verb == "POP":
            return self.queue.pop(0) if self.queue else "-"
        elif verb == "PEEK":
            return self.queue[0] if self.queue else "-"
        elif verb == "DROP":
            self.queue = [each for each in self.queue if each != name]
        return self.values.get(name, "-")


class Conversation(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # who has asked was killed
            for line in self.rfile:
                self.wfile.write(self.server.answer(*line.decode().split()).encode() + b"\n")


@contextlib.contextmanager
def running() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


SOURCE = """
    import os, socket, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        connection = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
        answers = connection.makefile()

        def ask(line):
            connection.sendall(line.encode() + b"\\n")
            return answers.readline().strip()

        def replace(name, text):
            (out / "new").write_text(text)
            os.replace(out / "new", out / name)

        try:
            HERE
        finally:
            answers.close()
            connection.close()
        return "done"
"""


@dataclass(frozen=True)
class Pair:
    """What two handlers do, of which one is wrong."""

    wrong: str
    right: str
    found: str
    """What is wrong, in the words of the report."""


PAIRS = {
    "an item is popped before its file is written": Pair(
        """
        while (item := ask("POP queue")) != "-":
            time.sleep(1)
            replace(item, "an item")
        """,
        """
        while (item := ask("PEEK queue")) != "-":
            time.sleep(1)
            replace(item, "an item")
            ask(f"DROP {item}")
        """,
        r"lost: file item-0",
    ),
    "a sum is added to before the position is saved": Pair(
        """
        position = out / "position"
        for number in range(int(position.read_text()) if position.exists() else 0, 2):
            time.sleep(1)
            ask(f"ADD sum {10 + number}")
            replace("position", str(number + 1))
        """,
        """
        position = out / "position"
        for number in range(int(position.read_text()) if position.exists() else 0, 2):
            time.sleep(1)
            ask(f"PUT sum-{number} {10 + number}")
            replace("position", str(number + 1))
        """,
        r"diverged: observed values .*\"31\"",
    ),
    "a position is saved before the value is put": Pair(
        """
        position = out / "position"
        for number in range(int(position.read_text()) if position.exists() else 0, 2):
            time.sleep(1)
            replace("position", str(number + 1))
            ask(f"PUT row-{number} written")
        """,
        """
        position = out / "position"
        for number in range(int(position.read_text()) if position.exists() else 0, 2):
            time.sleep(1)
            ask(f"PUT row-{number} written")
            replace("position", str(number + 1))
        """,
        r"lost: observed values \['row-0'\]",
    ),
    "a position is saved in place": Pair(
        """
        position = out / "position"
        for number in range(int(position.read_text()) if position.exists() else 0, 2):
            ask(f"PUT row-{number} written")
            position.write_text(str(number + 1))
        """,
        """
        position = out / "position"
        for number in range(int(position.read_text()) if position.exists() else 0, 2):
            ask(f"PUT row-{number} written")
            replace("position", str(number + 1))
        """,
        r"\nNEVER FINISHES: killed while job\.py:22 was writing position\n(.*\n)* *effect#\d+ +open +position +0 bytes",
    ),
    "a lock at a server has no owner": Pair(
        """
        if ask("GET lock") == "held":
            raise RuntimeError("another one is at work")
        ask("PUT lock held")
        for number in range(2):
            time.sleep(1)
            ask(f"PUT row-{number} written")
        ask("PUT lock free")
        """,
        """
        if ask("GET lock") not in ("-", "free", "this-job"):
            raise RuntimeError("another one is at work")
        ask("PUT lock this-job")
        for number in range(2):
            time.sleep(1)
            ask(f"PUT row-{number} written")
        ask("PUT lock free")
        """,
        r"\nNEVER FINISHES: SIGTERM (.*\n)* .*[Rr]estarted 5 times, failed 5 times",
    ),
}


def handler(lines: str) -> str:
    """The source of one that does this."""
    source, lines = textwrap.dedent(SOURCE), textwrap.dedent(lines).strip("\n")
    return re.sub(r"^( *)HERE$", lambda at: textwrap.indent(lines, at[1]), source, flags=re.MULTILINE)


def with_one_of_its_own(run: Any) -> Iterator[dict[str, str]]:
    with running() as server:
        yield {"OUT": str(run.path), "PORT": str(server.server_address[1])}
        run.observe(values=dict(server.values))


@pytest.fixture
def with_one_for_all() -> Iterator[Callable[[Any], Iterator[dict[str, str]]]]:
    with running() as server:

        def each_run(run: Any) -> Iterator[dict[str, str]]:
            server.empty()
            yield {"OUT": str(run.path), "PORT": str(server.server_address[1])}
            run.observe(values=dict(server.values))

        yield each_run


COMPARED = ("an item is popped before its file is written", "a position is saved in place")
"""One is found at real runs, and one at kills from the record."""


@pytest.mark.parametrize("name", COMPARED)
def test_a_bug_is_found_and_is_the_same_with_one_server_for_all_runs(
    scf_runtime: ScfRuntime, deployed: Deploy, with_one_for_all: Any, name: str
) -> None:
    function = deployed(handler(PAIRS[name].wrong))
    own, shared = (
        scf_runtime.sweep(function, each_run=each_run) for each_run in (with_one_of_its_own, with_one_for_all)
    )

    with pytest.raises(AssertionError, match=PAIRS[name].found):
        own.assert_survives()
    with pytest.raises(AssertionError, match=PAIRS[name].found):
        shared.assert_survives()
    assert [(run.key, run.kinds) for run in own.runs] == [(run.key, run.kinds) for run in shared.runs]


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in COMPARED])
def test_a_bug_is_found(scf_runtime: ScfRuntime, deployed: Deploy, with_one_for_all: Any, name: str) -> None:
    function = deployed(handler(PAIRS[name].wrong))
    each_run = with_one_for_all if len(name) % 2 else with_one_of_its_own  # the fixed twin has the other one
    with pytest.raises(AssertionError, match=PAIRS[name].found):
        scf_runtime.sweep(function, each_run=each_run).assert_survives()


@pytest.mark.parametrize("name", PAIRS)
def test_its_fixed_twin_raises_no_alarm(
    scf_runtime: ScfRuntime, deployed: Deploy, with_one_for_all: Any, name: str
) -> None:
    function = deployed(handler(PAIRS[name].right))
    each_run = with_one_of_its_own if len(name) % 2 else with_one_for_all  # the verdicts with both are compared above
    sweep = scf_runtime.sweep(function, each_run=each_run)
    sweep.assert_exactly_once()
    assert {run.how for run in sweep.runs} == {"graceful", "forced"}


IN_ONE_LINE = """
        connection.sendall(b"POP queue\\n"); item = answers.readline().strip()
        if not (out / "item-0").exists():
            replace("item-0", item)
"""


def test_a_kill_between_a_send_and_the_first_receive_after_it_finds_the_server_told(
    scf_runtime: ScfRuntime, deployed: Deploy, with_one_for_all: Any
) -> None:
    function = deployed(handler(IN_ONE_LINE))
    sweep = scf_runtime.sweep(function, each_run=with_one_for_all, how="forced", include=["job.py:19*"])
    found = {run.point.text.partition(" ")[0]: bool(run.kinds) for run in sweep.runs}
    assert found == {"": False, "receive": True}
