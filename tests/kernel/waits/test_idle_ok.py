"""``idle_ok``: a thread that waits to receive on a connection on which nothing need come holds no clock."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from internals import lockstep_of
from process_support import grow_impatient, received, user_lines

from pytest_scf_async import CannotEndError, HandlerError, ScfUsageError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

IMPORTS = """
import os, select, selectors, signal, socket, threading, time
from pytest_scf_async.inside import record

BEGAN = time.time()

def passed():
    return time.time() - BEGAN
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def address(server) -> str:
    return "{}:{}".format(*server.getsockname())


SUBSCRIBER = (
    IMPORTS
    + """
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    received = []

    def listens():
        while data := connection.recv(100):
            received.append([data.decode(), passed()])

    listener = threading.Thread(target=listens, name="listener", daemon=True)
    listener.start()
    time.sleep(3600)
    print("an hour")
    time.sleep(23 * 3600 - 1)
    return [received, passed()]
"""
)


def test_a_day_passes_beside_a_subscription(deploy, server, address: str) -> None:
    event = deploy(SUBSCRIBER, idle_ok=[address]).invoke_async(address)

    assert event.wait().result == [[], 24 * 3600 - 1]


def test_without_it_the_subscription_holds_the_clock_and_the_error_proposes_it(
    deploy, make_runtime, server, address: str
) -> None:
    runtime = make_runtime()
    event = deploy(SUBSCRIBER, to=runtime, idle_ok=["127.0.0.1:1"]).invoke_async(address)
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    assert f"thread 'listener' is in recv() on a connection to {address}, most" in str(caught.value)
    assert (
        f"What to do: {address} has not answered: make it answer; deploy(..., idle_ok=['{address}']) lets simulated "
        "time pass while the connection is silent; "
    ) in str(caught.value)


LATE = 0.05
"""Real seconds after which a server passes a message on: less than a connection holds after something was received."""


@pytest.mark.parametrize("answers", [True, False])
def test_a_message_that_it_publishes_itself_comes_on_its_subscription_in_no_time(
    deploy, server, address: str, answers: bool
) -> None:
    def serves() -> None:
        subscriber, _ = server.accept()
        publisher, _ = server.accept()
        with subscriber, publisher:
            while data := publisher.recv(100):
                if answers:
                    publisher.sendall(b"published")
                never.wait(LATE)
                subscriber.sendall(data)

    never = threading.Event()
    serving = threading.Thread(target=serves)
    serving.start()
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    subscription = socket.create_connection((host, int(port)))
    received = []

    def listens():
        while data := subscription.recv(100):
            received.append([data.decode(), passed()])

    threading.Thread(target=listens, daemon=True).start()
    publisher = socket.create_connection((host, int(port)))
    for hour in range(3):
        time.sleep(3600)
        publisher.sendall(str(hour).encode())
        if {answers}:
            publisher.recv(100)
        while len(received) == hour:
            time.sleep(60)
    publisher.close()
    return received
""",
        idle_ok=[address],
    ).invoke_async(address)

    assert event.wait().result == [["0", 3600], ["1", 7260], ["2", 10920]]
    serving.join()


@pytest.mark.repeat
def test_what_comes_is_received_at_the_time_at_which_the_handler_is(deploy, server, address: str) -> None:
    event = deploy(SUBSCRIBER, idle_ok=[address]).invoke_async(address)
    event.settle()
    there, _ = server.accept()
    with there:
        there.sendall(b"first")
        assert received(there)
        event.wait_for_log("an hour")
        there.sendall(b"second")
        assert received(there)

        assert event.wait().result == [[["first", 0], ["second", 3600]], 24 * 3600 - 1]


RECEIVES = {
    "recv": "bytes(connection.recv(10))",
    "recv_into": "connection.recv_into(bytearray(10)) * b'x'",
    "recvfrom": "connection.recvfrom(10)[0]",
    "recvfrom_into": "connection.recvfrom_into(bytearray(10))[0] * b'x'",
    "recvmsg": "connection.recvmsg(10)[0]",
    "recvmsg_into": "connection.recvmsg_into([bytearray(10)])[0] * b'x'",
    "a file": "connection.makefile('rb').read(1)",
    "select": "select.select([connection], [], []) and connection.recv(10)",
    "a selector": "selects() and connection.recv(10)",
}


@pytest.mark.parametrize("how", RECEIVES)
def test_however_it_is_received(deploy, server, address: str, how: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))

    def selects():
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            return selector.select()

    def sleeps():
        time.sleep(3600)
        print("an hour")
        time.sleep(3600)
        print("two hours")

    threading.Thread(target=sleeps).start()
    received = {RECEIVES[how]}
    return [len(received), passed()]
""",
        idle_ok=[address],
    ).invoke_async(address)
    event.wait_for_log("two hours")
    there, _ = server.accept()
    with there:
        there.sendall(b"x")
        assert received(there)

        assert event.wait().result == [1, 7200]


def test_its_timeout_is_simulated(deploy, server, address: str) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    connection.settimeout(30)
    polls = 0
    while passed() < 24 * 3600 - 60:
        try:
            connection.recv(100)
        except TimeoutError:
            polls += 1
    connection.settimeout(0)
    try:
        connection.recv(100)
    except BlockingIOError:
        pass
    connection.setblocking(True)
    try:
        connection.recv(100, socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
    return [polls, round(passed(), 1)]
""",
        idle_ok=[address],
        timeout=86_400,
    ).invoke_async(address)

    assert event.wait().result == [2878, 86_340.0]


@pytest.mark.parametrize("raises", [True, False])
def test_a_sigterm_meets_the_main_thread_in_it(deploy, server, address: str, raises: bool) -> None:
    event = deploy(
        IMPORTS
        + f"""
class Stop(BaseException):
    pass

def on_term(signum, frame):
    time.sleep(5)
    record("SIGTERM", at=passed())
    if {raises}:
        raise Stop

def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_term)
    host, port = event.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    threading.Thread(target=time.sleep, args=(100,)).start()
    try:
        received = connection.recv(100).decode()
    except Stop:
        received = "stopped"
    return [received, passed()]
""",
        idle_ok=[address],
    ).invoke_async(address)
    event.settle()
    assert event.doing == "parked"

    event.terminate(grace_shutdown=True)
    if not raises:
        lockstep_of(event).clock.advance(50)
        there, _ = server.accept()
        there.sendall(b"data")
        assert received(there)
        there.close()

    assert event.wait().result == (["stopped", 5] if raises else ["data", 50])
    assert [each.fields for each in event.records] == [{"at": 5}]


def test_the_end_of_the_connection_is_received(deploy, server, address: str) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    print("connected")
    return len(connection.recv(100))
""",
        idle_ok=[address],
    ).invoke_async(address)
    event.wait_for_log("connected")
    there, _ = server.accept()
    with there:
        there.shutdown(socket.SHUT_WR)
        assert received(there)

        assert event.wait().result == 0


def test_nothing_that_could_come_is_an_error_that_names_the_wait(deploy, server, address: str) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    return len(socket.create_connection((host, int(port))).recv(100))
""",
        idle_ok=[address],
        timeout=60,
    ).invoke_async(address)

    event.wait()

    assert (event.status_code, event.duration) == (433, timedelta(seconds=60))
    with pytest.raises(HandlerError, match=rf"stuck in `recv` on index\.py:12 \(on a connection to {address}\) until"):
        event.result  # noqa: B018


def test_localhost_is_both_of_its_addresses(deploy, address: str) -> None:
    port = int(address.rpartition(":")[2])
    function = deploy(
        SUBSCRIBER, idle_ok=(f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:07", "[::ffff:127.0.0.1]:8")
    )

    assert function.configuration.idle_ok == (f"127.0.0.1:{port}", f"[::1]:{port}", "[::1]:7", "127.0.0.1:8")
    function.update(idle_ok=["10.0.0.1:80"])
    assert function.configuration.idle_ok == ("10.0.0.1:80",)
    function.update(timeout=3)
    assert function.configuration.idle_ok == ("10.0.0.1:80",)


MAPPED = """
def main_handler(event, context):
    connection = socket.socket(socket.AF_INET6)
    connection.connect(("::ffff:127.0.0.1", int(event.rsplit(":", 1)[1])))
    assert not select.select([connection], [], [], 3600)[0]
    return passed()
"""


def test_an_ipv4_address_within_ipv6_is_that_ipv4_address(deploy, server, address: str) -> None:
    port = address.rpartition(":")[2]

    assert deploy(IMPORTS + MAPPED, idle_ok=[f"[::ffff:127.0.0.1]:{port}"]).run(address) == pytest.approx(3600)


DATAGRAMS = {
    "a loop of asyncio": """
import asyncio

async def main(port):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    for _ in range(2):
        transport.sendto(b"a count", ("127.0.0.1", port))
        await asyncio.sleep(60)
    transport.close()

def sends(port):
    asyncio.run(main(port))
""",
    "a name": """
def sends(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"a count", ("localhost", port))
        assert not select.select([made], [], [], 60)[0]
        made.sendmsg([b"a count"], [], 0, ("127.0.0.1", port))
        assert not select.select([made], [], [], 60)[0]
""",
}


@pytest.mark.parametrize("how", DATAGRAMS)
def test_datagrams_that_nobody_answers(deploy, how: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        handler = IMPORTS + DATAGRAMS[how] + "def main_handler(event, context):\n    sends(event)\n    return passed()"

        assert deploy(handler, idle_ok=[f"127.0.0.1:{port}"]).run(port) == pytest.approx(120)
        assert [server.recv(100) for _ in range(2)] == [b"a count"] * 2


NO_ADDRESSES: list[object] = [
    *("127.0.0.1:1", ["127.0.0.1"], ["127.0.0.1:0"], ["127.0.0.1:70000"], ["redis:6379"], ["::1:6379"]),
    *(["[127.0.0.1]:1"], [6379], 6379, ["127.0.0.1:x"], [":1"]),
]


@pytest.mark.parametrize("value", NO_ADDRESSES)
def test_what_is_no_address_is_refused(deploy, value: object) -> None:
    with pytest.raises(
        ScfUsageError, match=r"idle_ok=.* \(deploy\(...\)\) is not valid: it must be a sequence of addresses"
    ):
        deploy(SUBSCRIBER, idle_ok=value)


def test_a_server_that_the_handler_talks_to_all_the_time(deploy, server, address: str) -> None:
    def serves() -> None:
        there, _ = server.accept()
        with there:
            while data := there.recv(1):
                there.sendall(data.upper())

    serving = threading.Thread(target=serves)
    serving.start()
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(5)
        for letter in b"abc":
            connection.sendall(bytes([letter]))
            print(connection.recv(1).decode())
""",
    ).invoke_async(address)

    event.wait()
    serving.join()

    assert (user_lines(event), event.duration) == (["A", "B", "C"], timedelta(0))
