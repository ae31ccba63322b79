"""The client of an image's program: which connection it uses."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from internals import messages
from program_internals import CLIENT_PORT, OUTSIDE, EventInvokeClient

# once: the kernel's sockets are the same on all Pythons
pytestmark = pytest.mark.once

LONG = 30.0
"""Real seconds within which something has to come; it comes within milliseconds."""
OF_TENCENT = ("region", "appid", "uin")
CONTEXT = {
    **dict.fromkeys(["request_id", "function_version", "function_name", "namespace"], "app"),
    **dict.fromkeys([f"tencentcloud_{name}" for name in OF_TENCENT], "1"),
    "time_limit_in_ms": 3000,
    "memory_limit_in_mb": 128,
}


@pytest.fixture(params=[0, CLIENT_PORT])
def client(request: pytest.FixtureRequest) -> Iterator[tuple[EventInvokeClient, socket.socket]]:
    """A client, and the listening socket of its program, which listens since the client has checked last."""
    with socket.socket() as listener:
        listener.settimeout(LONG)
        listener.bind(("0.0.0.0", 0))
        client = EventInvokeClient(listener.getsockname()[1], request.param)
        assert not client.is_ready()
        listener.listen()
        yield client, listener
        client.close()


def test_a_program_that_serves_one_connection_gets_the_event_on_it(client):
    """It may listen just after the client has found that it does not, and then seem to listen on 127.0.0.1 alone."""
    speaking, listener = client

    assert speaking.only_host() == ""
    assert speaking.is_ready()
    with listener.accept()[0] as first:
        assert speaking.ask(messages.Invoke("{}", CONTEXT, {}, headers={}, gate=None))
        first.settimeout(LONG)
        assert first.recv(1000).startswith(b"POST /event-invoke ")


LOOPBACK = {"127.0.0.1": "127.0.0.1", "::ffff:127.0.0.1": "127.0.0.1", "::1": "::1"}
"""By the address at which a program listens, the host that the error names."""


@pytest.mark.parametrize("address", LOOPBACK)
def test_a_program_that_listens_on_the_loopback_alone_is_reported(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        if address.startswith("::ffff:"):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, 0))
        listener.listen()
        client = EventInvokeClient(listener.getsockname()[1])
        assert not client.is_ready()
        assert client.only_host() == LOOPBACK[address]
        assert client.address[0] == OUTSIDE


def test_a_program_that_listens_on_another_port_of_the_loopback_or_only_connects_is_not():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as other:
        assert EventInvokeClient(other.getsockname()[1]).only_host() == ""
