"""Lockstep: user code runs only inside a blocking call, one thread of the runtime at a time, when it is due."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from internals import Instance, Poller, answers, event_of, lockstep_of
from process_support import LONG, START, Latch, eventually, grow_impatient, state_of, user_lines

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.errors import CannotEndError
from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.leases

NAPS = """
    import time

    def main_handler(event, context):
        for nap in event["naps"]:
            print(f"{event['name']} {time.time() - 1767225600:g}")
            time.sleep(nap)
        print(f"{event['name']} {time.time() - 1767225600:g} end")
        return event["name"]
"""


def seconds(event: AsyncEvent) -> list[tuple[float, str]]:
    """User lines, each with the simulated seconds since START at which the harness received it."""
    return [((line.time - START).total_seconds(), line.text) for line in event.log if line.source == "Custom"]


def in_order(*events: AsyncEvent) -> list[str]:
    """The user lines of all events in the order of their times."""
    lines = [(line.time, number, line.text) for number, event in enumerate(events) for line in event.log
             if line.source == "Custom"]  # fmt: skip
    return [text for _, _, text in sorted(lines)]


# -- several instances -----------------------------------------------------------------------------------------------


@pytest.mark.repeat
def test_instances_wake_in_order_of_their_due_times(deploy, runtime: ScfRuntime, tmp_path) -> None:
    function = deploy(
        """
        import os, time

        def main_handler(event, context):
            fd = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for nap in event["naps"]:
                time.sleep(nap)
                os.write(fd, f"{event['name']}{time.time() - 1767225600:g} ".encode())
        """
    )
    file = tmp_path / "order"

    def invoke(name: str, *naps: float) -> AsyncEvent:
        return function.invoke_async({"file": str(file), "name": name, "naps": naps})

    runtime.wait_all([invoke("a", 3, 3, 1), invoke("b", 1, 1, 1, 1), invoke("c", 2, 2, 2), invoke("d", 6, 0.5)])

    assert file.read_text() == "b1 c2 b2 a3 b3 c4 b4 d6 a6 c6 d6.5 a7 "


def test_what_is_due_at_one_instant_goes_in_the_order_of_beginning(deploy, runtime: ScfRuntime, tmp_path) -> None:
    function = deploy(
        """
        import os, time

        def main_handler(event, context):
            fd = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for index, nap in enumerate(event["naps"]):
                time.sleep(nap)
                os.write(fd, f"{event['name']}{index} ".encode())
        """
    )
    file = tmp_path / "order"
    events = [
        function.invoke_async({"file": str(file), "name": name, "naps": naps})
        for name, naps in (("a", [1, 4]), ("b", [2, 3]), ("c", [5]), ("d", [3, 2]))
    ]

    runtime.wait_all(events)

    assert file.read_text() == "a0 b0 d0 c0 a1 b1 d1 "


ANSWERED_LAST = """
    import os, socket, time

    def main_handler(event, context):
        file = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        server = socket.create_connection(("127.0.0.1", event["port"]))
        server.sendall(event["name"].encode())
        for _ in range(6):
            os.write(file, event["name"].encode())
            server.sendall(b"!")
            if event["name"] == "a":
                server.recv(1)
            time.sleep(30)
"""


@pytest.fixture
def answers_late() -> Iterator[int]:
    """The port of a server that answers "a" only when it has heard of "b", who waits from then on."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: dict[str, socket.socket] = {}

    def serve() -> None:
        with contextlib.suppress(OSError):  # the test is over
            while len(clients) < 2:
                client, _ = listener.accept()
                clients[client.recv(1).decode()] = client
            while clients["b"].recv(1) and clients["a"].recv(1):
                for client in clients.values():  # a traced program holds the clock until both are answered
                    client.sendall(b".")

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    for each in (listener, *clients.values()):
        with contextlib.suppress(OSError):  # the other end is gone
            each.shutdown(socket.SHUT_RDWR)
    thread.join()
    for each in (listener, *clients.values()):
        each.close()


@pytest.mark.parametrize(
    "children", [("real", "real"), ("simulated", "simulated"), ("simulated", "real")], ids=" and ".join
)
def test_what_began_to_wait_at_one_instant_goes_in_order_of_events_whoever_was_answered_first(
    deploy, runtime: ScfRuntime, tmp_path, answers_late: int, children: tuple[str, str]
) -> None:
    file = tmp_path / "order"
    events = []
    for name, kind in zip("ab", children, strict=True):
        function = deploy(ANSWERED_LAST, children=kind, ports=[answers_late] if kind == "simulated" else [])
        events.append(function.invoke_async({"name": name, "file": str(file), "port": answers_late}))

    runtime.wait_all(events)

    assert file.read_text() == "ab" * 6, "\n".join(event.timeline for event in events)
    assert [event.duration for event in events] == [timedelta(seconds=180)] * 2


POOL = """
    import concurrent.futures, urllib.request

    def main_handler(event, context):
        def asks(number):
            for turn in range(3):
                urllib.request.urlopen(f"http://127.0.0.1:{event['port']}/{turn}/{number}").read()
                print(turn, number)

        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            list(pool.map(asks, range(5)))
"""


@contextlib.contextmanager
def answering(choose: Callable[[list[str]], list[str]]) -> Iterator[int]:
    """The port of a server: after each request *choose* gives, of the paths that wait, those to answer, in order."""
    listener = socket.create_server(("127.0.0.1", 0))
    waiting: dict[str, socket.socket] = {}

    def serve() -> None:
        with contextlib.suppress(OSError):  # the test is over
            while True:
                client, _ = listener.accept()
                waiting[client.recv(1 << 16).decode().split()[1]] = client
                for path in choose(list(waiting)):
                    with waiting.pop(path) as answered:
                        answered.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in (listener, *waiting.values()):
            each.close()


ASKS_AND_MARKS = """
    import asyncio, http.client, socket, threading, time, urllib.request

    def by_urllib(port):
        return lambda path: urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).read()

    def kept(port):
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def ask(path):
            for _ in range(2):
                connection.request("POST", path, b"x" * 1000)
                connection.getresponse().read()

        return ask

    def by_asyncio(port):
        async def ask(path):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n".encode())
            await reader.readuntil(b"\\r\\n\\r\\nok")
            writer.close()

        return lambda path: asyncio.run(ask(path))

    def work(ask, name, marks):
        for turn in range(6):
            ask(f"/{name}/{turn}")
            with socket.create_connection(("127.0.0.1", marks)) as marked:
                marked.sendall(name.encode())
                marked.recv(1)
            time.sleep(30)

    def main_handler(event, context):
        ask = globals()[event["by"]]
        names = [event["name"] + each for each in event["threads"]]
        works = [(ask(event["port"]), name, event["marks"]) for name in names]
        threads = [threading.Thread(target=work, args=each) for each in works[1:]]
        for thread in threads:
            thread.start()
        work(*works[0])
        for thread in threads:
            thread.join()
"""


class _InOrder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: InOrder

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, name, turn = self.path.split("/")
        self.server.await_turn(name, turn)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.server.answered(name, turn)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


class InOrder(ThreadingHTTPServer):
    """Answers the requests of one instant in *order*, once all have come, each in two parts; without one at once."""

    daemon_threads = True

    def __init__(self, order: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _InOrder)
        self.order = order
        self.asked: set[tuple[str, str]] = set()
        self.done: set[tuple[str, str]] = set()
        self.changed = threading.Condition()

    def await_turn(self, name: str, turn: str) -> None:
        with self.changed:
            self.asked.add((name, turn))
            self.changed.notify_all()
            before = self.order[: self.order.index(name)] if self.order else []
            assert self.changed.wait_for(
                lambda: (
                    self.asked.issuperset((each, turn) for each in self.order)
                    and self.done.issuperset((each, turn) for each in before)
                ),
                LONG,
            )

    def answered(self, name: str, turn: str) -> None:
        with self.changed:
            self.done.add((name, turn))
            self.changed.notify_all()


@contextlib.contextmanager
def answering_in(order: list[str]) -> Iterator[int]:
    """The port of an `InOrder`."""
    with InOrder(order) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def noting() -> Iterator[tuple[int, list[str]]]:
    """The port of a server that serves one client after another, and what each has said."""
    listener = socket.create_server(("127.0.0.1", 0))
    said: list[str] = []

    def serve() -> None:
        with contextlib.suppress(OSError):  # the test is over
            while True:
                client, _ = listener.accept()
                with client:
                    said.append(client.recv(100).decode())
                    client.sendall(b".")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], said
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


@pytest.mark.repeat
@pytest.mark.parametrize("threads", ["1", "12"], ids=["one thread", "two threads"])
@pytest.mark.parametrize("by", ["by_urllib", "kept", "by_asyncio"])
def test_what_events_do_between_their_answers_and_their_next_waits_goes_in_the_order_in_which_they_asked(
    deploy, runtime: ScfRuntime, by: str, threads: str
) -> None:
    names = [name + thread for name in "abc" for thread in threads]
    rows = set()

    for order in ([], names, names[::-1]):
        function = deploy(ASKS_AND_MARKS)
        with answering_in(order) as port, noting() as (marks, said):
            events = [
                function.invoke_async({"by": by, "port": port, "marks": marks, "name": name, "threads": threads})
                for name in "abc"
            ]
            runtime.wait_all(events)
        assert said == names * 6
        waits = [row for event in events for row in event.timeline.splitlines() if "  wait  " in row]
        naps = [re.search(r"sleep\(30\)[^,]*(?:, (\d+) times)?", row) for row in waits]
        assert sum(int(nap[1] or 1) for nap in naps if nap) == 6 * len(names)
        rows.add(re.sub(r"127\.0\.0\.1:\d+", "server", "\n".join(waits)))
        assert not any("not repeatable" in event.timeline for event in events)

    assert len(rows) == 1, "\n\n".join(rows)


@pytest.mark.repeat
def test_threads_that_are_answered_at_one_instant_go_on_in_the_order_in_which_they_asked(
    deploy, runtime: ScfRuntime
) -> None:
    def backwards(paths: list[str]) -> list[str]:
        return sorted(paths, key=lambda path: path[::-1], reverse=True) if len(paths) == 5 else []

    with answering(backwards) as port:
        event = deploy(POOL).invoke_async({"port": port}).wait()

    assert user_lines(event) == [f"{turn} {number}" for turn in range(3) for number in range(5)]
    assert "not repeatable" not in event.timeline


def test_a_thread_whose_answer_comes_of_what_a_younger_one_does_is_overtaken_which_the_timeline_says(
    deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PATIENCE", 0.02)
    answered = []

    def all_others_first(paths: list[str]) -> list[str]:
        others = [path for path in paths if path != "/0/0"]
        answered.extend(others)
        return paths[1:] + paths[:1] if len(answered) == 12 else others

    with answering(all_others_first) as port:
        event = deploy(POOL).invoke_async({"port": port}).wait()

    lines = user_lines(event)
    assert lines.index("0 0") >= 8  # the last line of each of the others may come after it, as it asked first
    assert sorted(lines) == [f"{turn} {number}" for turn in range(3) for number in range(5)]
    assert (
        event.timeline.count("continues before another thread, which is also waiting for an answer: not repeatable")
        == 1
    )


def test_an_event_that_goes_on_before_one_that_asked_first_says_so_once(deploy, runtime: ScfRuntime) -> None:
    function = deploy("""
        import urllib.request

        def main_handler(event, context):
            for turn in range(event["turns"]):
                urllib.request.urlopen(f"http://127.0.0.1:{event['port']}/{event['name']}/{turn}").read()
    """)

    def first_last(paths: list[str]) -> list[str]:
        asks = event_of(events["second" in paths[-1]]).instance
        assert eventually(lambda: asks.state.held)  # it has asked, and waits by now
        return [path for path in paths[::-1] if path != "/first/0" or "/second/2" in paths]

    with answering(first_last) as port:
        events = [
            function.invoke_async({"port": port, "name": name, "turns": turns})
            for name, turns in (("first", 1), ("second", 3))
        ]
        runtime.wait_all(events)

    said = [event.timeline.count("continues before") for event in events]
    assert said == [0, 1]
    assert (
        f"continues before event {events[0].request_id}, which is also waiting for an answer: not repeatable"
        in events[1].timeline
    )


SERVES = """
    import socket

    def main_handler(event, context):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            print(listening.getsockname()[1], flush=True)
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", event["port"])) as other:
                client.recv(1)
                other.sendall(b"?")
                client.sendall(other.recv(1))
"""
ASKS = """
    import socket

    def main_handler(event, context):
        with socket.create_connection(("127.0.0.1", event["port"])) as server:
            server.sendall(b"?")
            server.recv(1)
"""


def test_an_event_that_serves_another_one_waits_for_nobody_which_its_timeline_says(
    deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PATIENCE", LONG)

    with noting() as (port, said):
        serves = deploy(SERVES).invoke_async({"port": port})
        serves.wait_for_log(re.compile(r"^\d+$"))
        asks = deploy(ASKS).invoke_async({"port": int(user_lines(serves)[0])})
        runtime.wait_all([serves, asks])

    assert said == ["?"]
    assert serves.timeline.count("continues before event") == 1
    assert "not repeatable" not in asks.timeline


def test_programs_that_wait_for_answers_at_one_instant_say_that_they_go_on_in_real_time(
    deploy, runtime: ScfRuntime
) -> None:
    with answering(lambda paths: paths if len(paths) == 2 else []) as port:
        function = deploy(
            """
            import urllib.request

            def main_handler(event, context):
                urllib.request.urlopen(f"http://127.0.0.1:{event['port']}/{event['name']}").read()
            """,
            children="simulated",
            ports=[port],
        )
        events = [function.invoke_async({"port": port, "name": name}) for name in "ab"]
        runtime.wait_all(events)

    said = [event.timeline.count("continues by itself alongside event") for event in events]
    assert sum(said) >= 1, "\n".join(event.timeline for event in events)
    assert max(said) == 1


def test_code_in_c_that_waits_beside_another_event_says_that_it_goes_on_in_real_time(
    deploy, runtime: ScfRuntime, tmp_path
) -> None:
    function = deploy("""
        import subprocess

        def main_handler(fifo, context):
            subprocess.run(["sh", "-c", 'read line < "$0"', fifo])
    """)
    fifos = [tmp_path / name for name in "ab"]
    for fifo in fifos:
        os.mkfifo(fifo)
    events = [function.invoke_async(str(fifo)) for fifo in fifos]

    def write() -> None:
        instances = [event_of(event) for event in events]
        assert eventually(lambda: all(each.instance and each.instance.state.preempted for each in instances))
        for fifo in fifos:
            fifo.write_text("line\n")

    thread = threading.Thread(target=write)
    thread.start()
    runtime.wait_all(events)
    thread.join()

    said = [event.timeline.count("continues by itself alongside event") for event in events]
    assert said in ([1, 0], [1, 1], [0, 1]), "\n".join(event.timeline for event in events)


def test_twenty_instances_share_a_counter_in_a_file_without_a_lock(deploy, runtime: ScfRuntime, tmp_path) -> None:
    function = deploy(
        """
        import time

        def main_handler(path, context):
            for _ in range(10):
                with open(path) as file:
                    value = int(file.read())
                for _ in range(1000):
                    pass
                with open(path, "w") as file:
                    file.write(str(value + 1))
                time.sleep(1)
        """
    )
    file = tmp_path / "counter"
    file.write_text("0")

    runtime.wait_all([function.invoke_async(str(file)) for _ in range(20)])

    assert file.read_text() == "200"
    assert runtime.clock.now == START + timedelta(seconds=10)


def test_invoke_async_runs_nothing_and_a_line_appears_only_in_a_blocking_call(deploy, runtime: ScfRuntime) -> None:
    function = deploy(NAPS)
    first = function.invoke_async({"name": "a", "naps": [5]})
    second = function.invoke_async({"name": "b", "naps": [5]})

    assert (first.doing, second.doing) == ("pending", "pending")
    assert first.instance is None
    assert [first.status, str(first.log)] == ["RUNNING", ""]

    second.settle()
    assert user_lines(first) == ["a 0"]  # it was accepted first, so it ran first
    assert user_lines(second) == ["b 0"]
    assert (first.doing, second.doing) == ("parked", "parked")
    assert runtime.clock.now == START


def test_an_event_that_is_settled_stays_as_it_is_until_time_moves(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS).invoke_async({"name": "a", "naps": [5, 5]})
    for _ in range(3):
        event.settle()
        assert seconds(event) == [(0, "a 0")]

    runtime.clock.advance(4.999999)
    assert seconds(event) == [(0, "a 0")]
    runtime.clock.advance(timedelta(microseconds=1))
    assert seconds(event) == [(0, "a 0"), (5, "a 5")]
    assert event.doing == "parked"


# -- moving the clock ------------------------------------------------------------------------------------------------


def test_advance_goes_from_due_time_to_due_time_and_lets_each_wake_up_run(deploy, runtime: ScfRuntime) -> None:
    function = deploy(NAPS)
    one = function.invoke_async({"name": "a", "naps": [1, 2, 30]})
    two = function.invoke_async({"name": "b", "naps": [1.5, 1.5, 1.5]})

    runtime.clock.advance(10)

    assert seconds(one) == [(0, "a 0"), (1, "a 1"), (3, "a 3")]
    assert seconds(two) == [(0, "b 0"), (1.5, "b 1.5"), (3, "b 3"), (4.5, "b 4.5 end")]
    assert (one.status, two.status) == ("RUNNING", "FINISHED")
    assert two.ended_at == START + timedelta(seconds=4.5)
    assert runtime.clock.now == START + timedelta(seconds=10)


def test_an_advance_of_nothing_runs_what_is_ready(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS).invoke_async({"name": "a", "naps": [0]})

    runtime.clock.advance(0)

    assert event.status == "FINISHED"
    assert runtime.clock.now == START


def test_advance_past_a_timeout_ends_the_event_at_its_timeout(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS, timeout=100).invoke_async({"name": "a", "naps": [30] * 10})

    runtime.clock.advance(1_000)

    assert (event.status, event.status_code) == ("FAILED", 433)
    assert event.ended_at == START + timedelta(seconds=100)
    assert [at for at, _ in seconds(event)] == [0, 30, 60, 90]
    assert runtime.clock.now == START + timedelta(seconds=1_000)


def test_move_to_runs_what_is_due_on_the_way(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS).invoke_async({"name": "a", "naps": [3_600] * 5})

    runtime.clock.move_to(START + timedelta(hours=3))

    assert [at for at, _ in seconds(event)] == [0, 3_600, 7_200, 10_800]


def test_time_passes_where_nothing_runs(runtime: ScfRuntime) -> None:
    runtime.clock.advance(timedelta(days=3))

    assert runtime.clock.now == START + timedelta(days=3)


def test_wait_moves_the_clock_no_further_than_the_end_of_the_event(deploy, runtime: ScfRuntime) -> None:
    function = deploy(NAPS)
    long = function.invoke_async({"name": "long", "naps": [100, 100]})
    short = function.invoke_async({"name": "short", "naps": [7]})

    short.wait()

    assert runtime.clock.now == START + timedelta(seconds=7)
    assert seconds(long) == [(0, "long 0")]


def test_wait_until_stops_at_the_first_instant_at_which_it_is_true(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS).invoke_async({"name": "a", "naps": [10] * 10})

    runtime.wait_until(lambda: len(user_lines(event)) >= 4, within=1_000)

    assert runtime.clock.now == START + timedelta(seconds=30)
    assert event.doing == "parked"


def test_wait_until_that_stays_false_is_an_error_after_the_time_that_was_given(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS).invoke_async({"name": "a", "naps": [10] * 10})

    with pytest.raises(CannotEndError, match=r"still false when 25 s of simulated time had passed"):
        runtime.wait_until(lambda: event.ended, within=25)

    assert runtime.clock.now == START + timedelta(seconds=25)
    assert [at for at, _ in seconds(event)] == [0, 10, 20]


def test_wait_until_sees_what_happens_at_its_last_instant(deploy, runtime: ScfRuntime) -> None:
    event = deploy(NAPS).invoke_async({"name": "a", "naps": [25]})

    runtime.wait_until(lambda: event.ended, within=25)

    assert event.status == "FINISHED"


def test_wait_all_ends_with_the_last_event(deploy, runtime: ScfRuntime) -> None:
    function = deploy(NAPS)
    events = [function.invoke_async({"name": str(number), "naps": [number]}) for number in (3, 9, 1)]

    assert runtime.wait_all() == events

    assert [event.result for event in events] == ["3", "9", "1"]
    assert runtime.clock.now == START + timedelta(seconds=9)


# -- computing for ever ----------------------------------------------------------------------------------------------

FOR_EVER = """
    import time

    def main_handler(event, context):
        print("begins")
        while True:
            pass
"""


def test_a_handler_that_computes_for_ever_gives_up_its_turn(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.05)
    for_ever = deploy(FOR_EVER, to=runtime).invoke_async()
    other = deploy(NAPS, to=runtime).invoke_async({"name": "b", "naps": []})

    other.wait()

    assert other.status == "FINISHED"
    assert for_ever.doing == "computing"
    assert "not repeatable" in for_ever.timeline
    assert "not repeatable" not in other.timeline
    assert runtime.clock.now == START


def test_advance_takes_a_handler_that_computes_for_ever_to_its_timeout(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(FOR_EVER, to=runtime, timeout=60).invoke_async().wait_for_log("begins")
    other = deploy(NAPS, to=runtime).invoke_async({"name": "b", "naps": [10, 10]}).wait_for_log("b 0")
    grow_impatient(runtime)

    runtime.clock.advance(70)

    assert other.status == "FINISHED"
    assert seconds(other) == [(0, "b 0"), (10, "b 10"), (20, "b 20 end")]

    assert (event.status, event.status_code) == ("FAILED", 433)
    assert event.duration == timedelta(seconds=60)


def test_waiting_for_a_handler_that_computes_for_ever_is_an_error_that_names_advance(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(FOR_EVER, to=runtime).invoke_async().wait_for_log("begins")
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    text = str(caught.value)
    assert f"wait() on event {event.request_id} could not end" in text
    assert "0.3 real seconds (real_timeout" in text
    assert "is computing" in text
    assert "in main_handler" in text
    assert "advance" in text
    event.terminate()
    assert event.status == "ABORTED"


def test_a_handler_that_computes_is_stopped_between_calls(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(FOR_EVER, to=runtime).invoke_async()

    assert deploy("def main_handler(event, context): return 1", to=runtime).run() == 1

    def states() -> set[str]:
        with open(f"/proc/{event.instance.pid}/stat", encoding="ascii") as file:
            return {file.read().rpartition(")")[2].split()[0]}

    assert eventually(lambda: states() == {"T"})


# -- real waits ------------------------------------------------------------------------------------------------------


def test_a_handler_in_a_real_wait_holds_the_clock_and_nobody_else(deploy, runtime: ScfRuntime, latch: Latch) -> None:
    event = deploy(
        """
        import subprocess, time

        def main_handler(event, context):
            print("before")
            subprocess.run(["head", "-c1", event], check=True, stdout=subprocess.DEVNULL)
            print(f"after {time.time() - 1767225600:g}")
            time.sleep(10)
            return time.time()
        """
    ).invoke_async(latch.path)
    other = deploy(NAPS).invoke_async({"name": "b", "naps": [3]})

    event.settle()
    assert event.doing == "held"
    other.settle()
    assert seconds(other) == [(0, "b 0")]
    latch.open()
    other.wait()

    assert event.wait().result == START.timestamp() + 10
    assert seconds(event) == [(0, "before"), (0, "after 0")]
    assert other.ended_at == START + timedelta(seconds=3)


def test_a_read_from_a_pipe_that_somebody_else_writes_holds_the_clock(deploy, runtime: ScfRuntime, tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    try:
        event = deploy(
            """
            import time

            def main_handler(event, context):
                with open(event, "rb", buffering=0) as file:
                    got = file.read(5).decode()
                return [got, time.time() - 1767225600]
            """
        ).invoke_async(str(fifo))
        event.settle()
        assert event.doing == "held"
        runtime.clock.advance(5, past_held=True)
        assert runtime.clock.now == START + timedelta(seconds=5)
        os.write(writer, b"bytes")

        assert event.wait().result == ["bytes", 5]
    finally:
        os.close(writer)


def test_threads_beside_one_in_a_real_wait_have_their_turns_and_receive_from_it(deploy, runtime, tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    try:
        event = deploy(
            """
            import queue, threading

            def main_handler(path, context):
                received = queue.Queue()

                def read():
                    with open(path, "rb", buffering=0) as file:
                        while True:
                            received.put(file.read(5).decode())

                threading.Thread(target=read, daemon=True).start()
                other = threading.Thread(target=print, args=("beside",))
                other.start()
                other.join()
                print("joined")
                return [received.get(), received.get()]
            """
        ).invoke_async(str(fifo))
        event.wait_for_log("joined")
        assert user_lines(event) == ["beside", "joined"]
        event.settle()
        assert event.doing == "held"
        os.write(writer, b"first")
        os.write(writer, b"other")

        assert event.wait().result == ["first", "other"]
    finally:
        os.close(writer)


def test_a_real_wait_that_does_not_end_is_an_error_that_names_it(deploy, make_runtime, tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    try:
        runtime = make_runtime()
        event = deploy(
            """
            def reads(path):
                with open(path, "rb", buffering=0) as file:
                    return file.read(5)

            def main_handler(event, context):
                return reads(event)
            """,
            to=runtime,
        ).invoke_async(str(fifo))
        event.settle()
        grow_impatient(runtime)

        for call in (lambda: runtime.clock.advance(5), event.wait):
            with pytest.raises(CannotEndError) as caught:
                call()
            assert "held by a real wait" in str(caught.value)
            assert "in reads" in str(caught.value)
            assert "past_held=True" in str(caught.value)
        assert runtime.clock.now == START
    finally:
        os.close(writer)


# -- several threads of the test -------------------------------------------------------------------------------------


@pytest.mark.repeat
def test_two_threads_of_the_test_may_wait_at_once(deploy, runtime: ScfRuntime) -> None:
    function = deploy(NAPS)
    events = [function.invoke_async({"name": str(number), "naps": [number + 1] * 20}) for number in range(4)]
    failed: list[BaseException] = []
    begin = threading.Barrier(len(events))

    def wait(event: AsyncEvent) -> None:
        try:
            begin.wait()
            event.wait()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=wait, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert [event.result for event in events] == ["0", "1", "2", "3"]
    assert [event.ended_at for event in events] == [START + timedelta(seconds=20 * (n + 1)) for n in range(4)]


def test_a_call_that_ends_does_not_stop_what_another_thread_of_the_test_waits_for(deploy, runtime: ScfRuntime) -> None:
    slow = deploy(
        """
        import subprocess

        def main_handler(event, context):
            subprocess.run(["sleep", "0.3"], check=True)
            return "slept"
        """
    ).invoke_async()
    slow.settle()
    quick = [deploy(NAPS).invoke_async({"name": "q", "naps": []}) for _ in range(10)]
    results: list[object] = []
    waiter = threading.Thread(target=lambda: results.append(slow.wait().result))
    waiter.start()

    for event in quick:
        event.settle()
    waiter.join()

    assert results == ["slept"]


def test_an_instance_that_speaks_before_the_zygote_has_reported_it_can_be_signalled(
    deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = Poller.poll

    def instances_only(self: Poller, timeout: float) -> list[Any]:
        return [speaker for speaker in everyone(self, timeout) if isinstance(speaker, Instance)]

    monkeypatch.setattr(Poller, "poll", instances_only)
    event = deploy(
        """
        import signal, time

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("handled"))
            time.sleep(60)
        """
    ).invoke_async()

    event.terminate(grace_shutdown=True)

    assert event.signals[0].disposition == "handler"
    assert event.wait().instance.pid > 0
    assert eventually(lambda: state_of(event.instance.pid) == "T")


def test_an_instance_has_started_before_what_it_reports_is_done(deploy, runtime, monkeypatch) -> None:
    """Its fork and its result may be received at once: hooks get the start first."""
    event = deploy("import time\ndef main_handler(event, context): time.sleep(1)").invoke_async().settle()
    lockstep, order = lockstep_of(runtime), []
    monkeypatch.setattr(lockstep, "on_start", lambda _: order.append("started"))
    lockstep._follow_ups.append(lambda: order.append("reported"))
    instance = event_of(event).instance
    monkeypatch.setattr(instance, "take_start", lambda: True)
    instance._report()

    lockstep.refresh()

    assert order == ["started", "reported"]
