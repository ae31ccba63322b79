"""The server of the runtime API, without any process: each request that a program may send, in whatever pieces."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from internals import RESULT_LIMIT, messages
from program_internals import RuntimeApi, tcp_info

CONTEXT: Any = {"request_id": "one", "memory_limit_in_mb": 128, "time_limit_in_ms": 3000, "namespace": "default"}
EVENT = messages.Invoke('{"rows": "ä"}', CONTEXT, {"TRIGGER_SRC": None}, {}, None)
NEXT = "GET /runtime/invocation/next HTTP/1.1\r\n\r\n"


class Client:
    """A program with one connection; the server deals with what came whenever something is read."""

    def __init__(self, server: RuntimeApi) -> None:
        self.server = server
        host, _, port = server.server.partition(":")
        self.socket = socket.create_connection((host, int(port)))

    def says(self, *parts: str | bytes) -> None:
        for part in parts:
            data = memoryview(part.encode() if isinstance(part, str) else part)
            while data:
                data = data[self.socket.send(data[: 1 << 16]) :]
                self.server.is_ready()

    def receives(self) -> str:
        """All that has been answered."""
        self.server.is_ready()
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1 << 20).decode()
        except BlockingIOError:
            return ""
        finally:
            self.socket.setblocking(True)

    def pushes(self, path: str, body: str | bytes, *headers: str) -> str:
        data = body.encode() if isinstance(body, str) else body
        head = [f"POST /runtime/invocation/{path} HTTP/1.1", f"Content-Length: {len(data)}", *headers, "", ""]
        self.says("\r\n".join(head), data)
        return self.receives()


@pytest.fixture
def server() -> Iterator[RuntimeApi]:
    server = RuntimeApi(own_network=False, waits_for_program=False)
    yield server
    server.close()


@pytest.fixture
def client(server: RuntimeApi) -> Iterator[Client]:
    client = Client(server)
    with client.socket:
        yield client


@pytest.fixture
def asked(server: RuntimeApi, client: Client) -> Client:
    """A program that has been given the event."""
    server.ask(EVENT)
    client.says(NEXT)
    assert client.receives().endswith(EVENT.payload)
    return client


def status(answer: str) -> int:
    return int(answer.split()[1])


def test_where_it_is(server: RuntimeApi) -> None:
    port = server.server.partition(":")[2]
    assert server.variables(None) == {"SCF_RUNTIME_API": "127.0.0.1", "SCF_RUNTIME_API_PORT": port}


def test_the_init_is_over_when_the_program_says_so_and_once_is_enough(server: RuntimeApi, client: Client) -> None:
    assert not server.is_ready()
    for _ in range(2):
        client.says("POST /runtime/init/ready HTTP/1.1\r\nContent-Length: 1\r\n\r\n ")
        answer = client.receives()
        assert (status(answer), server.is_ready()) == (200, True)
        assert answer.endswith("Content-Length: 0\r\n\r\n")


def test_an_event_comes_to_the_request_that_waits_for_it_and_to_the_next_one_again(
    server: RuntimeApi, client: Client
) -> None:
    client.says(NEXT)
    assert client.receives() == ""
    server.ask(EVENT)
    first = client.receives()
    head, _, body = first.partition("\r\n\r\n")
    assert {"request_id: one", "memory_limit_in_mb: 128", "time_limit_in_ms: 3000"} < set(head.split("\r\n"))
    assert body == EVENT.payload
    client.says(NEXT)
    assert client.receives() == first


def test_a_runtime_of_ours_gets_the_whole_context(server: RuntimeApi, client: Client) -> None:
    server.ask(EVENT)
    client.says(NEXT.replace("\r\n\r\n", "\r\nscf_async_context: 1\r\n\r\n"))
    (line,) = (line for line in client.receives().split("\r\n") if line.startswith("scf_async_context: "))
    assert json.loads(line.partition(": ")[2]) == [CONTEXT, {"TRIGGER_SRC": None}]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"rows": 3}', '{"rows": 3}'),
        ("plain ä", '"plain ä"'),
        ("", '""'),
        ("[1,\n 2]", "[1,  2]"),
    ],
)
def test_what_is_pushed_is_the_result(server: RuntimeApi, asked: Client, body: str, text: str) -> None:
    assert status(asked.pushes("response", body)) == 200
    assert server.receive() == messages.Result("RETURNED", text)
    assert server.receive() is None


def test_what_is_no_text_is_pushed_as_it_is(server: RuntimeApi, asked: Client) -> None:
    assert status(asked.pushes("response", b"\xff")) == 200
    assert server.receive() == messages.Result("RETURNED", '"\ufffd"', content="/w==")


def test_a_result_over_6_mb_is_read_to_its_end_and_not_kept(server: RuntimeApi, asked: Client) -> None:
    at_most = b'"' + b"x" * (RESULT_LIMIT - 2) + b'"'
    assert status(asked.pushes("response", at_most)) == 200
    assert server.receive() == messages.Result("RETURNED", at_most.decode())
    server.ask(EVENT)
    asked.says(NEXT)
    asked.receives()
    assert status(asked.pushes("response", b"x" * (RESULT_LIMIT + 5))) == 200
    assert server.receive() == messages.Result("RESULT_TOO_LARGE", size=RESULT_LIMIT + 5)


def test_an_error_is_the_platforms_message(server: RuntimeApi, asked: Client) -> None:
    asked.pushes("error", "no such row")
    assert server.receive() == messages.Result("RAISED", message="no such row")


@pytest.mark.parametrize(("fact", "known"), [("CODE_NOT_LOADED", "CODE_NOT_LOADED"), ("TERMINATED", "RAISED")])
def test_a_runtime_of_ours_says_what_kind_of_error_it_is(
    server: RuntimeApi, asked: Client, fact: str, known: str
) -> None:
    asked.pushes("error", "Error: %\n  at", f"scf_async_fact: {fact}", "scf_async_message: 100%25")
    assert server.receive() == messages.Result(known, trace="Error: %\n  at", message="100%")


def test_who_waits_for_the_program_is_woken_when_it_asks_for_the_next_event() -> None:
    with ExitStack() as stack:
        server = RuntimeApi(own_network=False, waits_for_program=True)
        stack.callback(server.close)
        client = Client(server)
        stack.enter_context(client.socket)
        server.ask(EVENT)
        client.says(NEXT)
        client.receives()
        client.pushes("response", "1")
        assert server.receive() is None
        assert server.answered == messages.Result("RETURNED", "1")
        client.says(NEXT)
        assert server.receive() == messages.Result("RETURNED", "1")
        assert client.receives() == ""
        server.ask(EVENT._replace(payload="2"))
        assert client.receives().endswith("\r\n\r\n2")


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["Content-Length: 4\r\n\r\n", "12", "34"], "1234"),
        (["Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "12"], "12"),
        (["Transfer-Encoding: chunked\r\n\r\n", "2;x=y\r\n12\r", "\n1\r\n3\r\n0\r\n", "T: 1\r\n\r\n"], "123"),
        (["content-length:1\n\n", "7"], "7"),
    ],
)
def test_a_body_in_whatever_pieces(server: RuntimeApi, asked: Client, parts: list[str], text: str) -> None:
    head = "POST /runtime/invocation/response HTTP/1.1\r\n"
    asked.says(head, parts[0])
    if "Expect" in parts[0]:
        assert asked.receives() == "HTTP/1.1 100 Continue\r\n\r\n"
    asked.says(*parts[1:])
    assert status(asked.receives()) == 200
    assert server.receive() == messages.Result("RETURNED", text)


@pytest.mark.parametrize(
    ("request_", "stays"),
    [
        (NEXT, True),
        (NEXT.replace("1.1", "1.0"), False),
        (NEXT.replace("1\r\n", "1\r\nConnection: close\r\n"), False),
        (NEXT.replace("1.1\r\n", "1.0\r\nConnection: Keep-Alive\r\n"), True),
        ("\r\n" + NEXT + NEXT, True),
    ],
)
def test_a_connection_is_closed_as_the_program_wishes(
    server: RuntimeApi, client: Client, request_: str, stays: bool
) -> None:
    client.says(request_)
    server.ask(EVENT)
    assert EVENT.payload in client.receives()
    assert (len(server.descriptors()) == 2) is stays
    if not stays:
        assert client.socket.recv(1) == b""


@pytest.mark.parametrize(
    ("said", "reported"),
    [
        ("hello\r\n\r\n", "'hello' is not an HTTP/1.1 request"),
        ("GET / SMTP/1\r\n\r\n", "'GET / SMTP/1' is not an HTTP/1.1 request"),
        ("POST /runtime/invocation/response HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "'-1' is not a body length"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "'xyz' is not a body length"),
        ("GET /" + "x" * 70_000, "its head is too long"),
        ("GET / HTTP/1.1\r\n" + "A: " + "x" * 70_000 + "\r\n", "its head is too long"),
    ],
)
def test_what_is_no_request_ends_the_connection(server: RuntimeApi, client: Client, said: str, reported: str) -> None:
    client.says(said)
    assert status(client.receives()) == 400
    assert server.take_notes() == [f"a request of the program was refused: {reported}"]
    assert server.take_notes() == []
    assert len(server.descriptors()) == 1
    other = Client(server)
    with other.socket:
        other.says("POST /runtime/init/ready HTTP/1.1\r\n\r\n")
        assert server.is_ready()


def test_a_request_whose_program_has_gone_gets_no_event(server: RuntimeApi, client: Client) -> None:
    client.says(NEXT)
    client.socket.close()
    server.ask(EVENT)
    assert len(server.descriptors()) == 1
    assert server.receive() is None
    other = Client(server)
    with other.socket:
        other.says(NEXT)
        assert other.receives().endswith(EVENT.payload)


def test_what_has_not_arrived_is_under_way(server: RuntimeApi, client: Client) -> None:
    def under_way() -> bool:
        return server.is_under_way(client.socket.getsockname()[1], tcp_info(client.socket))

    client.socket.sendall(NEXT.encode()[:9])
    client.socket.sendall(NEXT.encode()[9:])  # that may have to wait for the acknowledgement
    assert under_way()
    server.is_ready()
    server.is_ready()
    assert not under_way()
    server.ask(EVENT)
    client.receives()
    assert not under_way()
