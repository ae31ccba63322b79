"""WebSocket clients in a handler: messages, keep-alive pings, what a server pushes, and pongs, which get no answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

pytestmark = pytest.mark.once
Run = Callable[..., Any]

BEGINS = """
import asyncio, threading, time
BEGAN = time.time()
def passed():
    return round(time.time() - BEGAN, 3)
"""
ECHO = (
    BEGINS
    + """
from websockets.asyncio.client import connect
async def main(url):
    said = []
    async with connect(url) as socket:
        for _ in range(3):
            await socket.send("word")
            said.append([await socket.recv(), passed()])
            await asyncio.sleep(60)
    return [said, passed()]

def main_handler(event, context):
    return asyncio.run(main(event))
"""
)
PINGED = ECHO.replace('await socket.send("word")', 'await socket.send("ping me")')


class Server:
    def __init__(self) -> None:
        self._slow = threading.Event()

    def talk(self, socket: ServerConnection) -> None:
        for message in socket:
            self._slow.wait(0.4)
            socket.send(str(message).upper())
            if message == "ping me":
                socket.ping()


@pytest.fixture
def url() -> Iterator[str]:
    with serve(Server().talk, "127.0.0.1", 0, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "ws://{}:{}".format(*server.socket.getsockname())
        server.shutdown()
        thread.join()


def test_a_client_of_asyncio_with_its_keep_alive(run: Run, url: str) -> None:
    assert run(ECHO, url) == [[["WORD", 0], ["WORD", 60], ["WORD", 120]], 180]


def test_a_client_of_threads(run: Run, url: str) -> None:
    found = run(
        BEGINS
        + """
from websockets.sync.client import connect
def main_handler(event, context):
    said = []
    with connect(event) as socket:
        for _ in range(3):
            socket.send("word")
            said.append([socket.recv(timeout=30), passed()])
            time.sleep(60)
    return [said, passed()]
""",
        url,
    )

    assert found == [[["WORD", 0], ["WORD", 60], ["WORD", 120]], 180]


def test_a_pong_is_never_answered_and_holds_nothing(run: Run, url: str) -> None:
    found = run(PINGED.replace("connect(url)", "connect(url, ping_interval=None)"), url)

    assert found == [[["PING ME", 0], ["PING ME", 60], ["PING ME", 120]], 180]
