"""A connection holds the clock while an answer is owed, and only then; what the process itself ends never does."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from process_support import CERTIFICATE, LONG, eventually, grow_impatient

from pytest_scf_async import CannotEndError

IMPORTS = """
import asyncio, enum, http.client, http.server, multiprocessing, os, select, selectors, socket, threading, time
from pytest_scf_async.inside import record

BEGAN = time.time()
END = bytes([13, 10])

def passed():
    return round(time.time() - BEGAN, 3)

def connected(event):
    host, port = event.rsplit(":", 1)
    return socket.create_connection((host, int(port)))
"""
SLOW = 0.4
"""Real seconds that a slow server takes: longer than a connection holds after something came."""

LATER = 1.5
"""The same: longer than it holds where it is not seen what has come."""

SOON = 0.02
"""Real seconds until the rest of an answer comes: less than a connection holds after something came."""

ProgramClient = Callable[[socket.socket], None]
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve each connection in a thread of the test's: gives the address. What is open at the end is closed."""
    open_now: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(talk: ProgramClient, family: int = socket.AF_INET, path: object = ("127.0.0.1", 0)) -> str:
        listening = socket.create_server(path, family=family) if family != socket.AF_UNIX else socket.socket(family)
        if family == socket.AF_UNIX:
            listening.bind(path)
            listening.listen()
        open_now.append(listening)

        def accepts() -> None:
            while True:
                try:
                    there, _ = listening.accept()
                except OSError:
                    return
                open_now.append(there)
                threads.append(threading.Thread(target=guarded, args=(there,)))
                threads[-1].start()

        def guarded(there: socket.socket) -> None:
            try:
                talk(there)
            except OSError:
                pass

        threads.append(threading.Thread(target=accepts))
        threads[-1].start()
        return str(path) if family == socket.AF_UNIX else "{}:{}".format(*listening.getsockname())

    yield start
    for each in open_now:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


def takes_time() -> None:
    """What a slow server does."""
    threading.Event().wait(SLOW)


def echoes(there: socket.socket) -> None:
    while data := there.recv(100):
        there.sendall(data.upper())


def echoes_slowly(there: socket.socket) -> None:
    while data := there.recv(100):
        takes_time()
        there.sendall(data.upper())


def keeps_silent(there: socket.socket) -> None:
    while there.recv(100):
        pass


BESIDE = (
    IMPORTS
    + """
def main_handler(event, context):
    connection = connected(event)
    said = []

    def reads():
        connection.sendall(b"get")
        while data := connection.recv(100):
            said.append([data.decode(), passed()])

    threading.Thread(target=reads, daemon=True).start()
    time.sleep(60)
    connection.sendall(b"again")
    time.sleep(60)
    return [said, passed()]
"""
)


@pytest.mark.parametrize("server", [echoes, echoes_slowly])
def test_a_thread_that_reads_from_an_idle_connection_holds_nothing(deploy, serve: Serve, server: ProgramClient) -> None:
    event = deploy(BESIDE).invoke_async(serve(server))

    assert event.wait().result == [[["GET", 0], ["AGAIN", 60]], 120]


LOOPS = {
    "a selector": """
def main_handler(event, context):
    said, ticks = [], []
    with selectors.DefaultSelector() as selector, connected(event) as connection:
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        for word in (b"get", b"again"):
            connection.send(word)
            while not selector.select(60):
                ticks.append(passed())
            said.append([connection.recv(100).decode(), passed()])
            assert not selector.select(60)
    return [said, ticks, round(passed())]
""",
    "select": """
def main_handler(event, context):
    said, ticks = [], []
    with connected(event) as connection:
        for word in (b"get", b"again"):
            connection.send(word)
            assert select.select([connection], [], [], 60)[0]
            said.append([connection.recv(100).decode(), passed()])
            assert not select.select([connection], [], [], 60)[0]
    return [said, ticks, round(passed())]
""",
    "asyncio": """
async def main(event):
    said, ticks = [], []
    host, port = event.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    for word in (b"get", b"again"):
        writer.write(word)
        said.append([(await reader.read(100)).decode(), passed()])
        await asyncio.sleep(60)
    writer.close()
    return [said, ticks, round(passed())]

def main_handler(event, context):
    return asyncio.run(main(event))
""",
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("server", [echoes, echoes_slowly])
def test_a_loop_beside_an_idle_connection(deploy, serve: Serve, server: ProgramClient, loop: str) -> None:
    event = deploy(IMPORTS + LOOPS[loop]).invoke_async(serve(server))

    assert event.wait().result == [[["GET", 0], ["AGAIN", 60]], [], 120]


def test_a_second_request_sent_at_once_is_owed_its_slow_answer(deploy, serve: Serve) -> None:
    asked = threading.Event()

    def talk(there: socket.socket) -> None:
        there.recv(3)
        there.sendall(b"ONE")
        there.recv(3)
        asked.set()
        takes_time()
        there.sendall(b"TWO")
        keeps_silent(there)

    event = deploy(
        IMPORTS
        + """
async def main(event):
    host, port = event.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    said = []
    for word in (b"one", b"two"):
        writer.write(word)
        said.append((await asyncio.wait_for(reader.readexactly(3), 30)).decode())
    writer.close()
    return [said, passed()]

def main_handler(event, context):
    return asyncio.run(main(event))
"""
    ).invoke_async(serve(talk))

    assert event.wait().result == [["ONE", "TWO"], 0]
    assert asked.is_set()


SENDS = {
    "os.write": "os.write(connection.fileno(), b'get')",
    "os.writev": "os.writev(connection.fileno(), [b'g', b'et'])",
    "os.sendfile": "os.sendfile(connection.fileno(), file.fileno(), 0, 3)",
    **({"os.splice": "os.splice(pipe[0], connection.fileno(), 3)"} if hasattr(os, "splice") else {}),
    "socket.sendfile": "connection.sendfile(file)",
    "a file on its descriptor": "os.fdopen(connection.fileno(), 'wb', 0, closefd=False).write(b'get')",
}
RECEIVES = {
    "recv": "connection.recv(3)",
    "os.read": "os.read(connection.fileno(), 3)",
    "os.readv": "(os.readv(connection.fileno(), [buffer := bytearray(3)]), buffer)[1]",
}


@pytest.mark.parametrize(
    ("send", "receive"), [*((each, "recv") for each in SENDS), ("os.write", "os.read"), ("os.write", "os.readv")]
)
def test_whatever_a_request_is_sent_and_its_answer_received_with(deploy, serve: Serve, send: str, receive: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    said, pipe = [], os.pipe()
    os.write(pipe[1], b"get")
    with open("/tmp/request", "wb+") as file, connected(event) as connection:
        file.write(b"get")
        file.flush()
        file.seek(0)
        connection.sendall(b"get")
        said.append([connection.recv(3).decode(), passed()])
        assert not select.select([connection], [], [], 60)[0]
        {SENDS[send]}
        assert select.select([connection], [], [], 30)[0]
        said.append([{RECEIVES[receive]}.decode(), passed()])
        assert not select.select([connection], [], [], 60)[0]
    return [said, round(passed())]
"""
    ).invoke_async(serve(echoes_slowly))

    assert event.wait().result == [[["GET", 0], ["GET", 60]], 120]


def test_a_send_on_another_thread_is_seen_by_who_waits(deploy, serve: Serve) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    connection, said = connected(event), []
    connection.sendall(b"one")
    assert connection.recv(3) == b"ONE"

    def reads():
        said.append([connection.recv(3).decode(), passed()])

    reader = threading.Thread(target=reads)
    reader.start()
    time.sleep(10)  # the connection is idle by now
    connection.sendall(b"two")
    reader.join(3600)
    return [said, passed()]
"""
    ).invoke_async(serve(echoes_slowly))

    assert event.wait().result == [[["TWO", 10]], 10]


PARTS = {
    "a length": [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"abc", b"def"],
    "chunks": [
        b"HTTP/1.1 200 OK\r\nTransfer-Enc",
        b"oding: chunked\r\n\r\n2\r\nab\r\n4",
        b"\r\ncdef\r\n0\r\n\r\n",
    ],
    "an interim answer": [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"],
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("client", ["http.client", "asyncio"])
def test_the_rest_of_an_http_answer_is_owed_however_long_it_takes(
    deploy, serve: Serve, parts: str, client: str
) -> None:
    def talk(there: socket.socket) -> None:
        while there.recv(1000):
            for part in PARTS[parts]:
                there.sendall(part)
                takes_time()

    clients = {
        "http.client": """
def main_handler(event, context):
    host, port = event.rsplit(":", 1)
    client, said = http.client.HTTPConnection(host, int(port), timeout=300), []
    for _ in range(2):
        client.request("GET", "/")
        said.append([client.getresponse().read().decode(), passed()])
        time.sleep(60)
    return said
""",
        "asyncio": """
async def main(event):
    host, port = event.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    said = []
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1" + 2 * END)
        text = b""
        while not text.endswith((b"def", b"0" + 2 * END)):
            text += await asyncio.wait_for(reader.read(100), 30)
        said.append(["abcdef", passed()])
        await asyncio.sleep(60)
    writer.close()
    return said

def main_handler(event, context):
    return asyncio.run(main(event))
""",
    }
    event = deploy(IMPORTS + clients[client]).invoke_async(serve(talk))

    assert event.wait().result == [["abcdef", 0], ["abcdef", 60]]


@pytest.mark.parametrize(("method", "size"), [("GET", 1), ("HEAD", 1), ("HEAD", 100)])
def test_the_rest_of_an_http_answer_is_owed_however_it_is_read(deploy, serve: Serve, method: str, size: int) -> None:
    def talk(there: socket.socket) -> None:
        asked = b""
        while data := there.recv(1000):
            asked += data
            if not asked.endswith(b"\r\n\r\n"):
                continue
            there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            if asked.startswith(b"GET"):
                there.sendall(b"abc")
                takes_time()
                there.sendall(b"def")
            asked = b""

    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    connection, said = connected(event), []
    for _ in range(2):
        connection.sendall(b"{method} / HTTP/1.1" + END)
        connection.sendall(END)
        text = b""
        while not text.endswith(b"def" if "{method}" == "GET" else 2 * END):
            assert select.select([connection], [], [], 5)[0]
            text += connection.recv({size})
        said.append(passed())
        assert not select.select([connection], [], [], 60)[0]
    return said
"""
    ).invoke_async(serve(talk))

    assert event.wait().result == [0, 60]


def test_a_letter_that_http_begins_with_is_no_http(deploy, serve: Serve) -> None:
    assert deploy(IMPORTS + LOOPS["select"].replace('b"get"', 'b"h"').replace('b"again"', 'b"http"')).run(
        serve(echoes)
    ) == [[["H", 0], ["HTTP", 60]], [], 120]


WEBSOCKET = (
    IMPORTS
    + """
def upgraded(event, size):
    connection = connected(event)
    connection.sendall(b"GET / HTTP/1.1" + END + b"Upgrade: websocket" + 2 * END)
    head = b""
    while not head.endswith(2 * END):
        head += connection.recv(size)
    return connection

def frame(first, text):
    return bytes([first, 128 + len(text)]) + bytes(4) + text

def received(connection, text):
    data = b""
    while not data.endswith(text):
        ready = select.select([connection], [], [], 60)[0]
        data += connection.recv(100) if ready else b"too late"
    return passed()

"""
)
WEBSOCKETS = {
    "the head byte by byte, and a pong that nobody answers": """
    connection = upgraded(event, 1)
    connection.sendall(frame(0x8A, b""))
    assert not select.select([connection], [], [], 60)[0]
    return passed()""",
    "a pong and a message at once": """
    connection = upgraded(event, 100)
    connection.sendall(frame(0x89, b""))
    connection.sendall(frame(0x81, b"both"))
    at = received(connection, b"both")
    assert not select.select([connection], [], [], 60)[0]
    return at + passed()""",
    "a pong in two parts": """
    connection = upgraded(event, 100)
    connection.sendall(frame(0x89, b"parts"))
    head, body = connection.recv(2), connection.recv(5)
    assert not select.select([connection], [], [], 60)[0]
    return passed()""",
    "a ping in two parts, whose pong is late": """
    connection = upgraded(event, 100)
    ping = frame(0x89, b"slow")
    connection.send(ping[:1])
    connection.send(ping[1:])
    at = received(connection, b"slow")
    assert not select.select([connection], [], [], 60)[0]
    return at + passed()""",
    "a pong in two parts that nobody answers": """
    connection = upgraded(event, 100)
    pong = frame(0x8A, b"pong")
    connection.sendall(pong[:3])
    connection.sendall(pong[3:])
    assert not select.select([connection], [], [], 60)[0]
    return passed()""",
    "a message whose rest is late": """
    connection = upgraded(event, 100)
    connection.sendall(frame(0x81, b"message"))
    at = received(connection, b"message")
    assert not select.select([connection], [], [], 60)[0]
    return at + passed()""",
    "a message behind the head": """
    connection = upgraded(event, 1000)
    connection.sendall(frame(0x81, b"slow"))
    at = received(connection, b"slow")
    assert not select.select([connection], [], [], 60)[0]
    return at + passed()""",
}


@pytest.mark.parametrize("case", WEBSOCKETS)
def test_a_websocket_however_its_frames_are_cut(deploy, serve: Serve, case: str) -> None:
    def frame(first: int, text: bytes) -> bytes:
        return bytes([first, len(text)]) + text

    def talk(there: socket.socket) -> None:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += there.recv(1)
        there.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        while head := there.recv(6, socket.MSG_WAITALL):
            text = there.recv(head[1] & 0x7F, socket.MSG_WAITALL) if head[1] & 0x7F else b""
            if text == b"both":
                there.sendall(frame(0x8A, b"") + frame(0x81, text))
            elif text == b"slow":
                takes_time()
                there.sendall(frame(0x8A if head[0] == 0x89 else 0x81, text))
            elif text == b"message":
                there.sendall(frame(0x81, text)[:3])
                takes_time()
                there.sendall(text[1:])
            elif text == b"parts":
                there.sendall(frame(0x8A, text))

    event = deploy(WEBSOCKET + f"def main_handler(event, context):{WEBSOCKETS[case]}").invoke_async(serve(talk))

    assert event.wait().result == 60


def test_an_answer_in_two_parts_is_received_in_one_simulated_instant(deploy, serve: Serve) -> None:
    def talk(there: socket.socket) -> None:
        while there.recv(3):
            there.sendall(b"a")
            takes_time()
            there.sendall(b"b")

    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    connection, said = connected(event), b""
    connection.sendall(b"get")
    while len(said) < 2:
        said += connection.recv(1)
    return [said.decode(), passed()]
"""
    ).invoke_async(serve(talk))

    assert event.wait().result == ["ab", 0]


def test_in_a_loop_an_answer_over_tls_is_owed_until_it_has_come(deploy, serve: Serve, tmp_path) -> None:
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def talk(there: socket.socket) -> None:
        with context.wrap_socket(there, server_side=True) as encrypted:
            while asked := encrypted.recv(100):
                never.wait(LATER)
                encrypted.sendall(asked.upper())

    never = threading.Event()
    event = deploy(
        IMPORTS
        + """
import ssl

async def ticks():
    while True:
        await asyncio.sleep(10)

async def asks(host, port, path):
    task = asyncio.create_task(ticks())
    context = ssl.create_default_context(cafile=path)
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
    said = []
    for word in (b"one", b"two"):
        writer.write(word)
        said.append([(await reader.read(100)).decode(), passed()])
        await asyncio.sleep(60)
    writer.close()
    task.cancel()
    return [said, passed()]

def main_handler(event, context):
    address, path = event
    return asyncio.run(asks(*address.rsplit(":", 1), path))
"""
    ).invoke_async([serve(talk), str(path)])

    assert event.wait().result == [[["ONE", 0], ["TWO", 60]], 120]


def test_a_loop_that_waits_for_the_rest_of_an_answer_receives_it_in_one_simulated_instant(
    deploy, serve: Serve, tmp_path: Path
) -> None:
    received = tmp_path / "handled"

    def talk(there: socket.socket) -> None:
        there.recv(3)
        there.sendall(b"a")
        assert eventually(received.exists)
        threading.Event().wait(SOON)
        there.sendall(b"b")
        keeps_silent(there)

    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    said = []
    with selectors.DefaultSelector() as selector, connected(event) as connection:
        selector.register(connection, selectors.EVENT_READ)
        connection.send(b"get")
        for _ in range(2):
            assert selector.select(60)
            said.append([connection.recv(100).decode(), passed()])
            open({str(received)!r}, "w").close()
        assert not selector.select(60)
    return [said, round(passed())]
"""
    ).invoke_async(serve(talk))

    assert event.wait().result == [[["a", 0], ["b", 0]], 60]


def test_no_short_timer_of_a_loop_passes_beside_a_request(deploy, serve: Serve) -> None:
    event = deploy(
        IMPORTS
        + """
async def main(event):
    host, port = event.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    passes = []
    writer.write(b"get")
    asyncio.get_running_loop().call_later(0.1, lambda: passes.append(passed()))
    said = [(await reader.read(100)).decode(), passed(), *passes]
    await asyncio.sleep(60)
    writer.close()
    return [said, passes, passed()]

def main_handler(event, context):
    return asyncio.run(main(event))
"""
    ).invoke_async(serve(echoes_slowly))

    assert event.wait().result == [["GET", 0], [0.1], 60]


def test_a_unix_socket_is_a_connection(deploy, serve: Serve, tmp_path) -> None:
    path = serve(echoes_slowly, socket.AF_UNIX, str(tmp_path / "socket"))
    event = deploy(
        IMPORTS.replace("host, port", "return unix(event)\n    host, port")
        + """
def unix(path):
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made
"""
        + BESIDE.removeprefix(IMPORTS)
    ).invoke_async(path)

    assert event.wait().result == [[["GET", 0], ["AGAIN", 60]], 120]


def test_a_server_that_speaks_first_is_waited_for(deploy, serve: Serve) -> None:
    def greets(there: socket.socket) -> None:
        takes_time()
        there.sendall(b"220 ready")
        keeps_silent(there)

    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return [connected(event).recv(100).decode(), passed()]
"""
    ).invoke_async(serve(greets))

    assert event.wait().result == ["220 ready", 0]


def test_what_a_server_pushes_is_received_when_it_comes(deploy, serve: Serve) -> None:
    push = threading.Event()

    def pushes(there: socket.socket) -> None:
        there.sendall(there.recv(100).upper())
        push.wait(LONG)
        there.sendall(b"news")
        keeps_silent(there)

    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    connection, said = connected(event), []
    connection.sendall(b"subscribe")

    def reads():
        while data := connection.recv(100):
            said.append(data.decode())
            print(said[-1])

    threading.Thread(target=reads, daemon=True).start()
    time.sleep(3600)
    print("an hour")
    while len(said) < 2:
        time.sleep(0.001)
    return said
"""
    ).invoke_async(serve(pushes))
    event.wait_for_log("an hour")

    push.set()

    assert event.wait().result == ["SUBSCRIBE", "news"]


def test_fire_and_forget_holds_nothing_where_nobody_waits(deploy, serve: Serve) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    connection = connected(event)
    for _ in range(3):
        connection.sendall(b"a line of a log")
        time.sleep(60)
    return passed()
"""
    ).invoke_async(serve(keeps_silent))

    assert event.wait().result == 180


FORGETS = (
    IMPORTS
    + """
async def main(event):
    host, port = event.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(b"a line of a log")
        await asyncio.sleep(60)
    writer.close()
    return passed()

def main_handler(event, context):
    return asyncio.run(main(event))
"""
)


def test_in_a_loop_it_is_owed_for_ever_unless_the_address_may_be_idle(deploy, serve: Serve, make_runtime) -> None:
    address = serve(keeps_silent)
    runtime = make_runtime()
    event = deploy(FORGETS, to=runtime).invoke_async(address)
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    assert f"deploy(..., idle_ok=['{address}'])" in str(caught.value)
    assert deploy(FORGETS, idle_ok=[address]).run(address) == 120


@pytest.mark.parametrize("timeout", [None, 30])
def test_an_answer_on_an_address_that_may_be_idle_is_waited_for(deploy, serve: Serve, timeout: object) -> None:
    address = serve(echoes_slowly)
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    connection = connected(event)
    connection.settimeout({timeout})
    connection.sendall(b"get")
    return [connection.recv(100).decode(), passed()]
""",
        idle_ok=[address],
    ).invoke_async(address)

    assert event.wait().result == ["GET", 0]


def test_a_client_of_the_handlers_own_server_owes_nothing(deploy, runtime) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    listening = socket.create_server(("127.0.0.1", 0))

    def serves():
        there, _ = listening.accept()
        while data := there.recv(100):
            there.sendall(data.upper())

    threading.Thread(target=serves, daemon=True).start()
    print("port", listening.getsockname()[1])
    time.sleep(3600)
    return passed()
"""
    ).invoke_async()
    event.wait_for_log("port")
    port = int(next(line.text for line in event.log if line.text.startswith("port ")).split()[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"get")

        assert event.wait().result == 3600
        assert client.recv(100) == b"GET"


FULL = """
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.write(write, bytes(1 << 16))
    os.set_blocking(write, True)
    wait, wake = (lambda: {}), (lambda: [os.read(read, 1 << 16) for _ in range(100)])"""
OWN = {
    "os.read of a pair of sockets": """
    here, there = socket.socketpair()
    wait, wake = (lambda: os.read(here.fileno(), 1)), (lambda: there.send(b"x"))""",
    "an eventfd": "fd = os.eventfd(0); wait, wake = (lambda: os.eventfd_read(fd)), (lambda: os.eventfd_write(fd, 1))",
    "SimpleQueue of multiprocessing": """
    queue = multiprocessing.SimpleQueue()
    wait, wake = queue.get, (lambda: queue.put(1))""",
    "a connection of multiprocessing": """
    here, there = multiprocessing.Pipe()
    wait, wake = here.recv, (lambda: there.send(1))""",
    "accept of a Unix socket": """
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("\\0in-here"); listening.listen()
    wait, wake = listening.accept, (lambda: socket.socket(socket.AF_UNIX).connect("\\0in-here"))""",
    "os.readv of a pipe": """
    read, write = os.pipe()
    wait, wake = (lambda: os.readv(read, [bytearray(1)])), (lambda: os.writev(write, [b"x"]))""",
    "os.read of a number that is an IntEnum": """
    read, write = os.pipe()
    end = enum.IntEnum("End", {"READ": read})
    wait, wake = (lambda: os.read(end.READ, 1)), (lambda: os.write(write, b"x"))""",
    "os.write to a full pipe": FULL.format("os.write(write, b'more')"),
    "os.write of more than there is room for": FULL.format("os.write(write, bytes(1 << 20))"),
    "os.write to a pair of sockets": """
    here, there = socket.socketpair()
    read = lambda: len(there.recv(1 << 16)) < 10
    wait, wake = (lambda: os.write(here.fileno(), bytes(1 << 22))), (lambda: list(iter(read, True)))""",
    "os.writev to a full pipe": FULL.format("os.writev(write, [b'mo', b're'])"),
    "a file on a full pipe": FULL.format("os.fdopen(write, 'wb').write(bytes(1 << 20))"),
    "a send for which there is no room": """
    here, there = socket.socketpair()
    read = lambda: len(there.recv(1 << 16)) < 10
    wait, wake = (lambda: here.sendall(b"x" * (1 << 22))), (lambda: list(iter(read, True)))""",
}


@pytest.mark.parametrize("wait", OWN)
def test_what_the_process_itself_ends_never_holds(deploy, wait: str) -> None:
    code = OWN[wait]
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    {code.strip()}
    ended = []

    def waits():
        wait()
        ended.append(passed())

    waiting = threading.Thread(target=waits)
    waiting.start()
    time.sleep(60)
    threading.Thread(target=wake, daemon=True).start()
    waiting.join()
    return [ended, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [[60], 60]


def test_a_client_and_a_slow_server_in_one_instance(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        time.sleep(30)
        size = int(self.headers["Content-Length"])
        data = self.rfile.read(size)
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass

def main_handler(event, context):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = http.client.HTTPConnection(*server.server_address, timeout=300)
    sizes = []
    for _ in range(2):  # more than there is room for
        client.request("POST", "/", b"x" * (1 << 23))
        sizes.append(len(client.getresponse().read()))
        time.sleep(60)
    client.close()
    server.shutdown()
    return [sizes, round(passed())]
"""
    ).invoke_async()

    assert event.wait().result == [[1 << 23] * 2, 180]


def test_the_timeout_of_sendall_is_one_of_the_whole_call(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    here, there = socket.socketpair()
    here.settimeout(1)

    def reads():
        for _ in range(10):
            time.sleep(0.3)
            while there.recv(1 << 16, socket.MSG_DONTWAIT) and select.select([there], [], [], 0)[0]:
                pass

    threading.Thread(target=reads).start()
    try:
        here.sendall(bytes(1 << 26))
    except TimeoutError as error:
        return [str(error), passed()]
"""
    ).invoke_async()

    assert event.wait().result == ["timed out", 1]
