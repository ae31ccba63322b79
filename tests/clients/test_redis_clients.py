"""redis-py in a handler, against a real redis-server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.once, pytest.mark.redis_server]
Run = Callable[..., Any]

BEGINS = """
import asyncio, threading, time
import redis, redis.asyncio
BEGAN = time.time()
def passed():
    return round(time.time() - BEGAN, 3)
"""


def test_one_connection(run: Run, redis_port: int) -> None:
    found = run(
        BEGINS
        + """
def main_handler(event, context):
    client, said = redis.Redis(port=event), []
    for _ in range(3):
        said.append([client.ping(), passed()])
        time.sleep(60)
    return [said, passed()]
""",
        redis_port,
    )

    assert found == [[[True, 0], [True, 60], [True, 120]], 180]


def test_one_connection_of_asyncio(run: Run, redis_port: int) -> None:
    found = run(
        BEGINS
        + """
async def main(port):
    client, said = redis.asyncio.Redis(port=port), []
    for _ in range(3):
        said.append([await client.ping(), passed()])
        await asyncio.sleep(60)
    await client.aclose()
    return [said, passed()]

def main_handler(event, context):
    return asyncio.run(main(event))
""",
        redis_port,
    )

    assert found == [[[True, 0], [True, 60], [True, 120]], 180]


POPS = (
    BEGINS
    + """
def main_handler(event, context):
    client = redis.Redis(port=event["port"], socket_timeout=60)
    print("asks")
    found = client.blpop(event["key"], 5)
    return [found and found[1].decode(), passed()]
"""
)


def test_blpop_is_answered_by_the_server_in_its_own_time(run: Run, redis_port: int) -> None:
    assert run(POPS, {"port": redis_port, "key": "nothing"}) == [None, 0]


def test_blpop_gets_what_the_test_pushes(runtime: ScfRuntime, tmp_path: Any, redis_port: int) -> None:
    path = tmp_path / "handler.py"
    path.write_text(POPS)
    event = runtime.deploy(f"{path}:main_handler").invoke_async({"port": redis_port, "key": "jobs"})
    event.wait_for_log("asks")
    event.settle()
    with socket.create_connection(("127.0.0.1", redis_port)) as client:
        client.sendall(b"RPUSH jobs one\r\n")
        assert client.recv(100).startswith(b":")

        assert event.wait().result == ["one", 0]


def test_a_subscription_may_be_idle(run: Run, redis_port: int) -> None:
    found = run(
        BEGINS
        + """
def main_handler(event, context):
    client = redis.Redis(port=event)
    subscription, received = client.pubsub(), []
    subscription.subscribe(news=lambda message: received.append([message["data"].decode(), passed()]))
    thread = subscription.run_in_thread(sleep_time=None, daemon=True)
    time.sleep(3600)
    client.publish("news", "one")
    while not received:
        time.sleep(0.01)
    return received[0]
""",
        redis_port,
        idle_ok=[f"127.0.0.1:{redis_port}"],
    )

    assert found == ["one", 3600]
