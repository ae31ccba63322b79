"""Database clients in a handler: psycopg, whose connections C code makes, against PostgreSQL; PyMySQL."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.once
Run = Callable[..., Any]

BEGINS = """
import asyncio, selectors, socket, threading, time
BEGAN = time.time()
def passed():
    return round(time.time() - BEGAN, 3)
"""


@pytest.mark.postgresql
@pytest.mark.parametrize("query", ["SELECT 1", "SELECT 1 FROM pg_sleep(0.4)"])
def test_psycopg(run: Run, postgres_port: int, query: str) -> None:
    found = run(
        BEGINS
        + f"""
import psycopg
def main_handler(event, context):
    said = []
    with psycopg.connect(host="127.0.0.1", port=event, user="tester", dbname="postgres") as connection:
        for _ in range(3):
            said.append([connection.execute("{query}").fetchone()[0], passed()])
            time.sleep(60)
    return [said, passed()]
""",
        postgres_port,
    )

    assert found == [[[1, 0], [1, 60], [1, 120]], 180]


@pytest.mark.postgresql
@pytest.mark.parametrize("query", ["SELECT 1", "SELECT 1 FROM pg_sleep(0.4)"])
def test_psycopg_in_asyncio(run: Run, postgres_port: int, query: str) -> None:
    found = run(
        BEGINS
        + f"""
import psycopg
async def main(port):
    said = []
    connect = psycopg.AsyncConnection.connect
    async with await connect(host="127.0.0.1", port=port, user="tester", dbname="postgres") as connection:
        for _ in range(3):
            cursor = await connection.execute("{query}")
            said.append([(await cursor.fetchone())[0], passed()])
            await asyncio.sleep(60)
    return [said, passed()]

def main_handler(event, context):
    return asyncio.run(main(event))
""",
        postgres_port,
    )

    assert found == [[[1, 0], [1, 60], [1, 120]], 180]


@pytest.mark.postgresql
def test_a_connection_of_c_code_on_a_selector_is_owed_its_slow_answer_and_is_idle_afterwards(
    run: Run, postgres_port: int
) -> None:
    found = run(
        BEGINS
        + """
import psycopg
def main_handler(event, context):
    connection = psycopg.connect(host="127.0.0.1", port=event, user="tester", dbname="postgres", autocommit=True)
    pg = connection.pgconn
    with selectors.DefaultSelector() as selector:
        selector.register(pg.socket, selectors.EVENT_READ)
        pg.send_query(b"SELECT 1 FROM pg_sleep(0.4)")
        assert selector.select(3600)
        asked = passed()
        while pg.is_busy() or pg.get_result() is not None:
            pg.consume_input()
        assert not selector.select(3600)
    connection.close()
    return [asked, round(passed())]
""",
        postgres_port,
    )

    assert found == [0, 3600]


@pytest.mark.postgresql
def test_each_call_of_libpq_that_gets_an_answer_is_a_row(
    runtime: ScfRuntime, tmp_path: Path, postgres_port: int
) -> None:
    (tmp_path / "index.py").write_text("""import psycopg, time
def query(port, text):
    with psycopg.connect(host="127.0.0.1", port=port, user="tester", dbname="postgres") as connection:
        connection.execute(text)
def main_handler(event, context):
    with psycopg.connect(host="127.0.0.1", port=event, user="tester", dbname="postgres") as connection:
        connection.execute("SELECT 1")
        connection.execute("SELECT generate_series(1, 20000)")
        time.sleep(60)
        query(event, "SELECT 1")
""")
    event = runtime.deploy(f"{tmp_path}/index.py:main_handler").invoke_async(postgres_port)
    event.wait()

    there = f" on a connection to 127.0.0.1:{postgres_port} at index.py:"
    calls = ["connect 6", "execute 7", "execute 8", "", "connect 3", "execute 4", "__exit__ 3", "__exit__ 6"]
    rows = ["psycopg.connection." + call.replace(" ", there) if call else "sleep(60) at index.py:9" for call in calls]
    assert re.findall(r"  wait +(.+)", event.timeline) == rows


def _packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


_GREETING = b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"a" * 8 + b"\0" + struct.pack("<H", 0xF7FF) + b"\x21" + (
    struct.pack("<HH", 2, 0x8F) + b"\x15" + b"\0" * 10 + b"b" * 12 + b"\0mysql_native_password\0"
)  # fmt: skip
_OK = b"\0\0\0\x02\0\0\0"


def _speaks_mysql(there: socket.socket, slow: threading.Event) -> None:
    """Greet, accept any user, and answer each command with OK after a while."""
    slow.wait(0.4)
    there.sendall(_packet(0, _GREETING))
    with there, there.makefile("rb") as file:
        while head := file.read(4):
            command = file.read(int.from_bytes(head[:3], "little"))
            if command == b"\x01":
                return
            slow.wait(0.4 if command[:1] == b"\x03" else 0)
            there.sendall(_packet(head[3] + 1, _OK))


@pytest.fixture
def mysql_port() -> Iterator[int]:
    slow = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: _speaks_mysql(listening.accept()[0], slow))
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_pymysql(run: Run, mysql_port: int) -> None:
    found = run(
        BEGINS
        + """
import pymysql
def main_handler(event, context):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    connection, said = pymysql.connect(host="127.0.0.1", port=event, user="tester", read_timeout=30), []
    for _ in range(3):
        connection.query("DO 1")
        said.append(passed())
        time.sleep(60)
    connection.close()
    return [said, passed()]
""",
        mysql_port,
    )

    assert found == [[0, 60, 120], 180]
