"""Handlers that call the endpoint, for the tests of it: a module that an instance can import."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from typing import Any

from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models
from tencentcloud.scf.v20180416.scf_client import ScfClient


def poll(event: dict[str, Any]) -> str:
    profile = ClientProfile(httpProfile=HttpProfile(reqTimeout=event.get("patience", 3600)))
    client = ScfClient(Credential(event["id"], event["key"]), "ap-guangzhou", profile)
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = event["of"]
    return str(client.GetAsyncEventStatus(request).Result.Status)


def sleeps(event: dict[str, Any], context: object) -> str:
    time.sleep(event["seconds"])
    return "slept"


def polls(event: dict[str, Any], context: object) -> list[Any]:
    """The answer, and the simulated seconds that it took."""
    began = time.time()
    status = poll(event)
    return [status, round(time.time() - began, 3)]


def asks_without_the_sdk(event: dict[str, Any], context: object) -> list[Any]:
    began = time.time()
    host = "scf.tencentcloudapi.com"
    kind = http.client.HTTPSConnection if event["tls"] else http.client.HTTPConnection
    connection = kind(host, timeout=3600)
    connection.request("POST", "/", event["body"], event["headers"])
    answer = connection.getresponse().read().decode()
    return [answer, round(time.time() - began, 3)]


def polls_and_asks_another(event: dict[str, Any], context: object) -> list[Any]:
    """Wait for the endpoint's answer and for that of a server of the test, which is in real time, at once."""
    times: list[float] = []
    began = time.time()

    def ask_another() -> None:
        with socket.create_connection(("127.0.0.1", event["port"])) as client:
            client.sendall(b"?")
            client.recv(1)
        times.append(time.time() - began)

    thread = threading.Thread(target=ask_another)
    thread.start()
    poll(event)
    times.append(time.time() - began)
    thread.join()
    return [round(each, 3) for each in times]


def asks_in_a_loop(event: dict[str, Any], context: object) -> list[Any]:
    """When a sleep beside the request was over, and when its answer came."""

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("scf.tencentcloudapi.com", 80)
        body = event["body"].encode()
        headers = {**event["headers"], "Content-Length": str(len(body))}
        lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        assert b'"Response"' in await reader.readuntil(b"}}")
        writer.close()

    async def both() -> list[float]:
        began = time.time()
        times: list[float] = []

        async def timed(what: Any) -> None:
            await what
            times.append(round(time.time() - began, 3))

        await asyncio.gather(timed(ask()), timed(asyncio.sleep(30)))
        return times

    return asyncio.run(both())


def signed_by_the_sdk(endpoint: Any, of: str) -> dict[str, Any]:
    """The headers and the body of a signed request, as the official client makes them in this process."""
    kept: dict[str, Any] = {}
    client = ScfClient(Credential(endpoint.secret_id, endpoint.secret_key), "ap-guangzhou")

    def keep(request: Any) -> Any:
        kept.update(headers=dict(request.header), body=request.data)
        raise InterruptedError

    client.request.send_request = keep
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = of
    with contextlib.suppress(TencentCloudSDKException):
        client.GetAsyncEventStatus(request)
    body = kept["body"]
    return {"headers": kept["headers"], "body": body if isinstance(body, str) else body.decode()}
