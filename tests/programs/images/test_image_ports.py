"""The network of an image's instance: its own loopback, the test's servers that are relayed there, and nothing else."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from free_ports import free_port
from image_support import program
from internals import REAL, pool_of
from process_support import descriptors, eventually

# once: the kernel's side, and the test's: the same on all Pythons
pytestmark = pytest.mark.once

ASKS = """
import socket
def handle(event, request):
    answers = []
    connections = [socket.create_connection(("127.0.0.1", event["port"])) for _ in range(event.get("connections", 1))]
    for number, connection in enumerate(connections):
        connection.sendall(b"hello %d\\n" % number)
    for connection in connections:
        answers.append(connection.makefile().readline().strip())
        connection.close()
    return answers
"""


class Server:
    """A server of the test, whose connections are served by a thread each."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        self.connections = 0

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            self.connections += 1
            if self._closing:
                connection.close()
                return
            thread = threading.Thread(target=self._run, args=(connection,))
            thread.start()
            self._threads.append(thread)

    _closing = False

    def _run(self, connection: socket.socket) -> None:
        with connection:
            self._serve(connection)

    def close(self) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in (self._accepting, *self._threads):
            thread.join()
        self._listening.close()


def echo(connection: socket.socket) -> None:
    line = connection.makefile("rb").readline()
    connection.sendall(b"you said " + line)


@pytest.fixture
def serving() -> Iterator[Callable[[Callable[[socket.socket], None]], Server]]:
    with ExitStack() as stack:

        def start(serve: Callable[[socket.socket], None]) -> Server:
            server = Server(serve)
            stack.callback(server.close)
            return server

        yield start


def test_a_server_of_the_test_is_found_on_the_loopback(deploy_image, serving):
    server = serving(echo)
    function = deploy_image(program(ASKS), ports=[server.port])

    assert function.invoke_async({"port": server.port}).wait().result == ["you said hello 0"]


def test_a_free_running_program_finds_it_too(deploy_free, serving):
    server = serving(echo)
    function = deploy_free(program(ASKS), ports=[server.port])

    assert function.invoke_async({"port": server.port}).wait().result == ["you said hello 0"]


def test_what_a_side_sends_is_passed_on_at_once(deploy_image, serving, runtime):
    """Else each handshake of TLS waits 40 ms for an acknowledgement: 121 polls of the SDK took ten seconds."""
    without_delay = []

    def look(connection: socket.socket) -> None:
        connection.recv(1)
        forwarder = pool_of(runtime).port_forwarder
        ends = [] if forwarder is None else list(forwarder._connections)
        without_delay.extend(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0 for each in ends)
        connection.sendall(b"!\n")

    server = serving(look)

    assert deploy_image(program(ASKS), ports=[server.port]).run({"port": server.port}) == ["!"]
    assert without_delay in ([True, True], [])  # none: without a network of its own the program connects by itself


def test_several_connections_and_several_instances(deploy_image, serving, runtime):
    server = serving(echo)
    function = deploy_image(program(ASKS), ports=[server.port])
    events = [function.invoke_async({"port": server.port, "connections": 5}) for _ in range(4)]

    runtime.wait_all(events)

    assert [event.result for event in events] == [[f"you said hello {number}" for number in range(5)]] * 4


def test_several_servers(deploy_image, serving):
    servers = [serving(echo) for _ in range(3)]
    ports = [server.port for server in servers]
    function = deploy_image(program(ASKS), ports=ports)

    for port in ports:
        assert function.invoke_async({"port": port}).wait().result == ["you said hello 0"]
    assert [server.connections for server in servers] == [1, 1, 1]


BIG = 3_000_000


def test_big_bodies_both_ways(deploy_image, serving):
    received = hashlib.sha256()

    def serve(connection: socket.socket) -> None:
        left = BIG
        while left:
            data = connection.recv(65_536)
            received.update(data)
            left -= len(data)
        connection.sendall(bytes(range(250)) * (BIG // 250))

    server = serving(serve)
    handle = f"""
    import hashlib, socket
    def handle(event, request):
        with socket.create_connection(("127.0.0.1", {server.port})) as connection:
            connection.sendall(b"abc" * {BIG // 3})
            got = bytearray()
            while data := connection.recv(65_536):
                got += data
        return [len(got), hashlib.sha256(got).hexdigest()]
    """
    event = deploy_image(program(handle), ports=[server.port]).invoke_async().wait()

    assert event.result == [BIG, hashlib.sha256(bytes(range(250)) * (BIG // 250)).hexdigest()]
    assert received.hexdigest() == hashlib.sha256(b"abc" * (BIG // 3)).hexdigest()


def test_an_end_of_one_side_is_passed_on(deploy_image, serving):
    def serve(connection: socket.socket) -> None:
        data = connection.makefile("rb").read()  # until the program sends no more
        connection.sendall(data.upper())

    server = serving(serve)
    handle = f"""
    import socket
    def handle(event, request):
        with socket.create_connection(("127.0.0.1", {server.port})) as connection:
            connection.sendall(b"words")
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile().read()
    """
    event = deploy_image(program(handle), ports=[server.port]).invoke_async().wait()

    assert event.result == "WORDS"


def test_a_server_that_hangs_up_has_hung_up(deploy_image, serving):
    server = serving(lambda _: None)
    function = deploy_image(program(ASKS), ports=[server.port])

    event = function.invoke_async({"port": server.port}).wait()

    assert event.status_code in (200, 430, 439)
    if event.status_code == 200:
        assert event.result == [""]


@pytest.mark.sandbox
def test_a_server_that_is_not_there(deploy_image, mounted):
    port = free_port()
    handle = f"""
    import socket
    def handle(event, request):
        try:
            with socket.create_connection(("127.0.0.1", {port})) as connection:
                return repr(connection.recv(10))
        except ConnectionError as error:
            return type(error).__name__
    """
    event = deploy_image(program(handle), ports=[port]).invoke_async().wait()

    # the forwarder accepts before it can know; without namespaces the program connects to the machine itself
    assert event.result in (["b''", "ConnectionResetError"] if mounted else ["ConnectionRefusedError"])


@pytest.mark.sandbox
def test_the_machines_loopback_is_not_reached_otherwise(deploy_image, serving, mounted):
    server = serving(echo)
    handle = f"""
    import socket
    def handle(event, request):
        try:
            socket.create_connection(("127.0.0.1", {server.port})).close()
        except ConnectionRefusedError:
            return "refused"
        return "connected"
    """
    event = deploy_image(program(handle)).invoke_async().wait()

    assert event.result == ("refused" if mounted else "connected")  # without namespaces the loopback is the machine's


def test_no_other_machine_is_reached(deploy_in_process):
    handle = """
    import socket
    def handle(event, request):
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        except OSError as error:
            return str(error)
    """
    event = deploy_in_process(program(handle)).invoke_async().wait()

    assert "192.0.2.1:80" in event.result
    assert 'network="all"' in event.result


@pytest.mark.sandbox
def test_a_network_of_its_own_has_nothing_but_a_loopback(deploy_free, mounted):
    handle = "import socket\ndef handle(event, request): return [name for _, name in socket.if_nameindex()]"
    event = deploy_free(program(handle)).invoke_async().wait()

    if mounted:
        assert event.result[0] == "lo"
    assert "lo" in event.result


def test_with_network_all_an_image_shares_the_machines_loopback(deploy_image, serving):
    server = serving(echo)
    function = deploy_image(program(ASKS), network="all")

    assert function.invoke_async({"port": server.port}).wait().result == ["you said hello 0"]


def test_the_test_waits_for_its_own_server(deploy_image, runtime):
    """The event is run while the server's thread, which is the test's, waits as well."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
        event = deploy_image(program(ASKS), ports=[port]).invoke_async({"port": port})
        event.settle()
        assert event.doing == "held"
        connection, _ = listening.accept()
        with connection:
            connection.makefile().readline()
            connection.sendall(b"by hand\n")
            assert event.wait().result == ["by hand"]


def test_forwarded_ports_go_with_their_instances(make_runtime, deploy_in_process, serving):
    server = serving(echo)
    target = make_runtime()
    function = deploy_in_process(program(ASKS), to=target, ports=[server.port])

    def run_one():
        event = function.invoke_async({"port": server.port})
        event.run_to("handle")
        event.terminate()
        assert event.status == "ABORTED"

    run_one()
    forwarder = pool_of(target).port_forwarder
    assert forwarder is None or eventually(lambda: not forwarder._given)  # None: without a network of their own
    before = descriptors()

    for _ in range(10):  # one descriptor that stays would be seen
        run_one()

    assert eventually(lambda: descriptors() <= before)


def test_a_connection_that_stood_goes_with_its_instance(deploy_image, serving):
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        while connection.recv(100):
            pass
        ended.set()

    server = serving(serve)
    handle = f"""
    import socket
    def handle(event, request):
        connection = socket.create_connection(("127.0.0.1", {server.port}))
        connection.sendall(b"hello")
        print("connected", flush=True)
        time.sleep(1000)
    """
    event = deploy_image(program(handle), ports=[server.port]).invoke_async()
    event.wait_for_log("connected")

    event.terminate()

    assert ended.wait(5)


CONNECTS = """
import socket
kept = []
def handle(event, request):
    for _ in range(event["connections"]):
        kept.append(socket.create_connection(("127.0.0.1", event["port"])))
    for each in kept[:event.get("half_closed", 0)]:
        each.shutdown(socket.SHUT_WR)
    return len(kept)
"""


@pytest.mark.sandbox
def test_a_server_that_takes_no_connection_holds_nothing_up(deploy_image, deploy_traced, serving, runtime, mounted):
    """The queue of the server is full: the kernel does not answer later connections."""
    other = serving(echo)
    with closing(socket.create_server(("127.0.0.1", 0), backlog=1)) as silent:
        port = silent.getsockname()[1]
        function = deploy_image(program(CONNECTS), ports=[port, other.port])
        connections = 20 if mounted else 1  # without a network of its own it connects by itself, and would wait
        assert function.run({"port": port, "connections": connections}) == connections
        asks = deploy_traced(program(ASKS), ports=[other.port])
        assert asks.run({"port": other.port}) == ["you said hello 0"]
        began = REAL.monotonic()
        runtime.close()
        assert REAL.monotonic() - began < 60  # the kernel would go on trying for more than two minutes


def test_connections_that_one_side_has_ended_are_closed_with_the_runtime(deploy_image, serving, runtime):
    hung_up, closed = threading.Event(), threading.Event()

    def receive_the_end(connection: socket.socket) -> None:
        assert connection.recv(1) == b""
        hung_up.set()
        closed.wait(60)

    server = serving(receive_the_end)
    function = deploy_image(program(CONNECTS), ports=[server.port])
    assert function.run({"port": server.port, "connections": 1, "half_closed": 1}) == 1
    assert hung_up.wait(60)
    forwarder = pool_of(runtime).port_forwarder
    kept = [] if forwarder is None else list(forwarder._connections)  # None: it connects by itself, on the machine's
    if forwarder is not None:
        assert len(kept) == 2
        assert eventually(lambda: any(each.fileno() not in forwarder._selector.get_map() for each in kept))

    runtime.close()

    closed.set()
    assert {each.fileno() for each in kept} <= {-1}


@pytest.mark.sandbox
def test_a_program_that_asks_itself(deploy_image, make_runtime):
    handle = """
    import urllib.request
    def handle(event, request):
        if event == "inner":
            return "asked"
        answers = []
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            asked = urllib.request.Request(f"http://{host}:9000/", data=b'"inner"')
            answers.append(json.loads(urllib.request.urlopen(asked).read()))
        return answers
    """
    for sandbox in ("auto", "none"):
        function = deploy_image(program(handle, server="ThreadingHTTPServer"), to=make_runtime(sandbox=sandbox))
        assert function.run("outer") == ["asked"] * 3
