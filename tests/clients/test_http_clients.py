"""HTTP clients in a handler: ``get; sleep(60); get`` on one session needs no setting, and takes 60 seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.once
Run = Callable[..., Any]

BEGINS = """
import asyncio, ssl, time
BEGAN = time.time()
def passed():
    return round(time.time() - BEGAN, 3)
"""
BLOCKING = (
    BEGINS
    + """
def main_handler(event, context):
    url, authority = event["url"], event["authority"]
    with make(authority) as session:
        said = []
        for path in event["paths"]:
            said.append([get(session, url + path), passed()])
            time.sleep(60)
        return [said, passed()]
"""
)
LOOP = (
    BEGINS
    + """
async def main(event):
    url, authority = event["url"], event["authority"]
    async with make(authority) as session:
        said = []
        for path in event["paths"]:
            said.append([await get(session, url + path), passed()])
            await asyncio.sleep(60)
        return [said, passed()]

def main_handler(event, context):
    return asyncio.run(main(event))
"""
)
CLIENTS = {
    "requests": """
import requests
def make(authority):
    session = requests.Session()
    session.verify = authority
    return session
def get(session, url):
    return session.get(url, timeout=30).text
"""
    + BLOCKING,
    "urllib3": """
import urllib3
def make(authority):
    return urllib3.PoolManager(ca_certs=authority)
def get(session, url):
    return session.request("GET", url, timeout=30).data.decode()
"""
    + BLOCKING,
    "httpx": """
import httpx
def make(authority):
    return httpx.Client(verify=ssl.create_default_context(cafile=authority) if authority else True, timeout=30)
def get(session, url):
    return session.get(url).text
"""
    + BLOCKING,
    "httpx in asyncio": """
import httpx
def make(authority):
    return httpx.AsyncClient(verify=ssl.create_default_context(cafile=authority) if authority else True, timeout=30)
async def get(session, url):
    return (await session.get(url)).text
"""
    + LOOP,
    "aiohttp": """
import aiohttp
def make(authority):
    context = ssl.create_default_context(cafile=authority) if authority else True
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(30))
async def get(session, url):
    async with session.get(url) as response:
        return await response.text()
"""
    + LOOP,
}
EXPECTED = [[["abcdef", 0], ["abcdef", 60], ["abcdef", 120]], 180]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("paths", [["/", "/", "/"], ["/slow", "/slow", "/"], ["/parts", "/parts", "/"]])
def test_one_session(run: Run, http_url: str, client: str, paths: list[str]) -> None:
    assert run(CLIENTS[client], {"url": http_url, "authority": None, "paths": paths}) == EXPECTED


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("path", ["/", "/slow"])
def test_one_session_over_tls(run: Run, https_url: tuple[str, str], client: str, path: str) -> None:
    url, authority = https_url

    found = run(CLIENTS[client], {"url": url, "authority": authority, "paths": [path] * 3})

    assert found == EXPECTED


@pytest.mark.parametrize("client", ["httpx in asyncio", "aiohttp"])
def test_over_tls_an_answer_is_owed_in_a_loop_until_it_has_come(
    run: Run, https_url: tuple[str, str], client: str
) -> None:
    url, authority = https_url
    beside = """
async def ticks():
    while True:
        await asyncio.sleep(10)

async def beside(main, event):
    task = asyncio.create_task(ticks())
    result = await main(event)
    task.cancel()
    return result
"""
    source = CLIENTS[client].replace("asyncio.run(main(event))", "asyncio.run(beside(main, event))")
    assert "beside" in source

    found = run(source + beside, {"url": url, "authority": authority, "paths": ["/later", "/", "/later"]})

    assert found == EXPECTED


@pytest.mark.parametrize("client", ["httpx in asyncio", "aiohttp"])
def test_requests_at_once_on_several_connections(run: Run, http_url: str, client: str) -> None:
    source = CLIENTS[client].replace(
        "said.append([await get(session, url + path), passed()])",
        "said.append([(await asyncio.gather(*[get(session, url + path) for _ in range(4)]))[3], passed()])",
    )

    assert run(source, {"url": http_url, "authority": None, "paths": ["/slow", "/", "/slow"]}) == EXPECTED
