"""What the kernel knows of a connection: both ways to query it give the same."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest
from internals import SockDiag, TcpEnd, sock_diag
from process_support import eventually
from program_internals import is_moving

# once: what the kernel answers is the same, whatever Python queries it
pytestmark = pytest.mark.once


@pytest.fixture(params=["asked", "tables"])
def diag(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SockDiag]:
    """One that queries the kernel, and one whose kernel does not answer."""
    if request.param == "tables":
        monkeypatch.setattr(sock_diag, "_NETLINK_SOCK_DIAG", 31)  # a family that no kernel has
    made = SockDiag()
    yield made
    made.close()


@pytest.fixture(params=["127.0.0.1", "::1", "IPv4 on a socket of IPv6"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The end of a client, and of its server."""
    v6 = request.param != "127.0.0.1"
    host = "::" if request.param.startswith("IPv4") else request.param
    with socket.create_server(
        (host, 0), family=socket.AF_INET6 if v6 else socket.AF_INET, dualstack_ipv6=host == "::"
    ) as it:
        to = "127.0.0.1" if host == "::" else host
        with socket.create_connection((to, it.getsockname()[1])) as client, it.accept()[0] as server:
            yield client, server


def fill(end: socket.socket) -> None:
    """Send more than there is room for."""
    end.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            end.send(bytes(100_000))


def test_the_other_end_is_found_from_either(diag, ends) -> None:
    client, server = ends
    assert diag.other_end(client) == TcpEnd(os.fstat(server.fileno()).st_ino, 0, 0)
    assert diag.other_end(server) == TcpEnd(os.fstat(client.fileno()).st_ino, 0, 0)


def test_what_was_not_read_is_counted_and_what_finds_no_room(diag, ends) -> None:
    client, server = ends
    server.sendall(b"a line\n")
    assert eventually(lambda: diag.other_end(server) == TcpEnd(os.fstat(client.fileno()).st_ino, 7, 0))

    server.setblocking(False)
    fill(server)
    assert eventually(lambda: diag.other_end(client).unconfirmed == sock_diag.unconfirmed(server) > 0)


def test_an_end_that_is_gone_is_none(diag, ends) -> None:
    client, server = ends
    server.send(b"unread")
    diag.other_end(client)
    inode = os.fstat(server.fileno()).st_ino
    server.close()
    found = diag.other_end(client)
    assert found is None or found.inode == 0 != inode


def test_something_moves_while_an_end_has_sent_what_has_not_come_and_the_other_would_take_it(diag, ends) -> None:
    client, server = ends
    assert not is_moving(client, diag)

    fill(server)
    assert is_moving(client, diag)
    client.setblocking(False)
    while is_moving(client, diag):
        with contextlib.suppress(BlockingIOError):
            client.recv(1 << 20)

    fill(client)
    assert eventually(lambda: not is_moving(client, diag))  # the program has enough to read, and does not read it


def test_where_the_other_end_is_gone_or_the_connection_is_reset_nothing_moves(diag, ends) -> None:
    client, server = ends
    client.send(b"unread")
    server.close()
    assert eventually(lambda: not is_moving(client, diag))


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", ""),
        ("::", ""),
        ("127.0.0.2", ""),
    ],
)
def test_who_listens_on_the_loopback_alone_is_found(diag: SockDiag, host: str, found: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        port = server.getsockname()[1]
        assert diag.loopback_listener(port) == ""
        server.listen()
        assert diag.loopback_listener(port) == found
    assert diag.loopback_listener(port) == ""


def test_a_connection_is_no_listener(diag: SockDiag) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
    with client, accepted:
        assert diag.loopback_listener(accepted.getsockname()[1]) == ""


def test_a_kernel_without_an_answer_is_distinguished_from_a_socket_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with contextlib.closing(SockDiag()) as diag, socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(sock_diag, "_SOCK_DIAG_BY_FAMILY", 4000)  # a request that no kernel knows
        assert diag.loopback_listener(server.getsockname()[1]) == "127.0.0.1"
