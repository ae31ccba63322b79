"""The platform's own hosts lead to the endpoint, in the test's process and in instances, and nothing is left of it."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import ssl
import time
import urllib.request
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.scf.v20180416 import models
from tencentcloud.scf.v20180416.scf_client import ScfClient

from pytest_scf_async import ScfEndpoint, ScfRuntime, ScfSettings, assert_finished
from pytest_scf_async.endpoint.certificates import Authority

HOST = "scf.tencentcloudapi.com"
REGIONAL = "scf.ap-guangzhou.tencentcloudapi.com"
OTHER = "cos.tencentcloudapi.com"


def poll(credential: tuple[str, str], request_id: str) -> str:
    """What code does that knows of no endpoint."""
    client = ScfClient(Credential(*credential), "ap-guangzhou")
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = request_id
    return str(client.GetAsyncEventStatus(request).Result.Status)


def returns(event: Any, context: object) -> object:
    return event


def takes_a_minute(event: Any, context: object) -> None:
    time.sleep(60)


def polls(event: dict[str, Any], context: object) -> str:
    return poll((event["id"], event["key"]), event["of"])


def asks(event: dict[str, Any], context: object) -> str:
    """The answer, or the error, of a request by the standard library."""
    try:
        with urllib.request.urlopen(event["url"], timeout=30) as answer:
            return str(answer.read().decode())
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def keys(endpoint: ScfEndpoint) -> dict[str, str]:
    return {"id": endpoint.secret_id, "key": endpoint.secret_key}


# -- in the test's process -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_opener(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``urllib.request`` keeps for all requests has the proxies of the first one."""
    monkeypatch.setattr(urllib.request, "_opener", None)


def test_the_official_client_without_an_endpoint(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    event = scf_runtime.deploy(takes_a_minute).invoke_async({})
    assert poll((scf_endpoint.secret_id, scf_endpoint.secret_key), event.request_id) == "RUNNING"
    event.wait()

    assert poll((scf_endpoint.secret_id, scf_endpoint.secret_key), event.request_id) == "FINISHED"
    assert len(scf_endpoint.calls) == 2


@pytest.mark.parametrize("host", [HOST, REGIONAL, "SCF.intl.tencentcloudapi.com", "scf.internal.tencentcloudapi.com"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_all_hosts_of_scf_lead_to_it(scf_endpoint: ScfEndpoint, host: str, scheme: str) -> None:
    with urllib.request.urlopen(f"{scheme}://{host}/", timeout=30) as answer:
        assert b"MissingParameter" in answer.read()
    assert len(scf_endpoint.calls) == 1


def test_tls_at_its_own_address(scf_endpoint: ScfEndpoint) -> None:
    for host in (scf_endpoint.address, scf_endpoint.address.replace("127.0.0.1", "localhost")):
        with urllib.request.urlopen(f"https://{host}/", timeout=30) as answer:
            assert b"MissingParameter" in answer.read()


@pytest.mark.parametrize("setting", ["endpoint", "machine"])
def test_contexts_that_were_made_before_trust_it(scf_settings: ScfSettings, setting: Any) -> None:
    contexts = [ssl.create_default_context() for _ in range(2)]
    opener = urllib.request.build_opener()
    settings = scf_settings.replace("test", official_hosts=setting)
    with ScfRuntime(settings) as runtime, ScfEndpoint(runtime) as endpoint:
        host, _, port = endpoint.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            contexts[0].wrap_socket(plain, server_hostname="localhost").close()
        with opener.open(f"https://{endpoint.address}/", timeout=30) as answer:
            assert b"MissingParameter" in answer.read()

        async def ask() -> None:
            _, writer = await asyncio.open_connection(host, int(port), ssl=contexts[1])
            writer.close()
            await writer.wait_closed()

        asyncio.run(ask())


def test_a_certificate_of_another_host_is_refused(scf_endpoint: ScfEndpoint) -> None:
    host, _, port = scf_endpoint.address.partition(":")
    context = ssl.create_default_context()
    with socket.create_connection((host, int(port)), timeout=30) as plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname="example.com")


def test_asyncio_reaches_it(scf_endpoint: ScfEndpoint) -> None:
    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(REGIONAL, 443, ssl=True)
        writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert b"MissingParameter" in asyncio.run(ask())


def test_a_socket_that_is_connected_by_name(scf_endpoint: ScfEndpoint) -> None:
    with socket.socket() as client:
        client.connect((HOST, 443))
        assert "{}:{}".format(*client.getpeername()) == scf_endpoint.address
    with socket.socket() as client:
        assert client.connect_ex((socket.gethostbyname(HOST), 1234)) == 0
        assert "{}:{}".format(*client.getpeername()) == scf_endpoint.address
    with socket.socket() as client, pytest.raises(socket.gaierror, match=f"{OTHER} is refused"):
        client.connect((OTHER, 443))


@pytest.mark.parametrize("name", ["gethostbyname", "gethostbyname_ex"])
def test_the_address_of_its_hosts(scf_endpoint: ScfEndpoint, name: str) -> None:
    look_up = getattr(socket, name)

    found = look_up(f"{HOST}.")

    assert "127.83.67.70" in (found if isinstance(found, str) else found[2])
    with pytest.raises(socket.gaierror, match="is refused"):
        look_up(OTHER)


def test_the_opener_that_a_test_before_has_left(scf_settings: ScfSettings) -> None:
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=30)
    with ScfRuntime(scf_settings) as runtime, ScfEndpoint(runtime) as endpoint:
        urllib.request.urlopen(f"https://{HOST}/", timeout=30).close()
        assert len(endpoint.calls) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_no_proxy_is_asked(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, name: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nothing listens there
        monkeypatch.setenv(name, "http://127.0.0.1:{1}".format(*closed.getsockname()))
        monkeypatch.setenv("NO_PROXY", "example.com")
        endpoint: ScfEndpoint = request.getfixturevalue("scf_endpoint")
        event = scf_runtime.deploy(returns).invoke_async({})

        assert poll((endpoint.secret_id, endpoint.secret_key), event.request_id) == "FINISHED"
        with urllib.request.urlopen(f"https://{REGIONAL}/", timeout=30) as answer:
            assert b"MissingParameter" in answer.read()
        with urllib.request.urlopen(f"https://{endpoint.address}/", timeout=30) as answer:
            assert b"MissingParameter" in answer.read()
        assert os.environ["NO_PROXY"].startswith("example.com,")


def test_a_proxy_that_the_client_itself_names_is_refused(scf_endpoint: ScfEndpoint) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", 9)

    with pytest.raises(OSError, match=f"a tunnel through a proxy to {HOST} is refused"):
        connection.set_tunnel(HOST, 443)


def test_other_hosts_of_the_api_are_refused(scf_endpoint: ScfEndpoint) -> None:
    with pytest.raises(OSError, match=f'{OTHER} is refused: the test has an endpoint .* official_hosts="machine"'):
        urllib.request.urlopen(f"https://{OTHER}/", timeout=30)

    from tencentcloud.common.common_client import CommonClient

    with pytest.raises(TencentCloudSDKException, match=r"cvm\.tencentcloudapi\.com is refused"):
        CommonClient("cvm", "2017-03-12", Credential("id", "key"), "ap-guangzhou").call_json("DescribeZones", {})


# -- in instances ----------------------------------------------------------------------------------------------------


def test_the_official_client_in_a_handler(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    event = scf_runtime.deploy(returns).invoke_async({}).wait()
    polling = scf_runtime.deploy(polls).invoke_async({"of": event.request_id, **keys(scf_endpoint)})
    polling.wait()

    assert_finished(polling, result="FINISHED")
    assert [call.action for call in scf_endpoint.calls] == ["GetAsyncEventStatus"]


def polls_by_its_role(event: dict[str, Any], context: object) -> list[str]:
    """Call it at once, and in the seventh hour with the credentials that it began with."""
    names = ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN")
    client = ScfClient(Credential(*(os.environ[name] for name in names)), os.environ["TENCENTCLOUD_REGION"])
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = event["of"]
    answers = []
    for hours in (0, 5.9, 0.2):
        time.sleep(hours * 3600)
        try:
            answers.append(str(client.GetAsyncEventStatus(request).Result.Status))
        except TencentCloudSDKException as error:
            answers.append(str(error.get_code()))
    return answers


def test_the_credentials_of_a_handlers_role_are_accepted_until_they_expire(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint
) -> None:
    event = scf_runtime.deploy(returns).invoke_async({}).wait()
    polling = scf_runtime.deploy(polls_by_its_role).invoke_async({"of": event.request_id}).wait()

    assert_finished(polling, result=["FINISHED", "FINISHED", "AuthFailure.TokenFailure"])


@pytest.mark.parametrize("network", ["loopback", "all"])
@pytest.mark.parametrize("host", [HOST, REGIONAL])
def test_hosts_in_a_handler(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, host: str, network: Any) -> None:
    function = scf_runtime.deploy(asks, network=network)

    assert "MissingParameter" in str(function.run({"url": f"https://{host}/"}))
    assert f"{OTHER} is refused: the test has an endpoint" in str(function.run({"url": f"https://{OTHER}/"}))


MODULE_WITH_AN_OPENER = """
import ssl, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
"""


def asks_with_a_context_of_before(event: dict[str, Any], context: object) -> str:
    import with_opener

    with with_opener.opener.open(event["url"], timeout=30) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("network", ["loopback", "all"])
def test_a_context_of_a_preloaded_module_trusts_it(
    scf_settings: ScfSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Any
) -> None:
    (tmp_path / "with_opener.py").write_text(MODULE_WITH_AN_OPENER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ScfRuntime(scf_settings.replace("test", preload="with_opener")) as runtime, ScfEndpoint(runtime):
        function = runtime.deploy(asks_with_a_context_of_before, network=network)

        assert "MissingParameter" in str(function.run({"url": f"https://{REGIONAL}/"}))


def test_no_proxy_is_asked_in_a_handler(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    environment = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "example.com"}
    function = scf_runtime.deploy(asks, environment=environment)

    assert "MissingParameter" in str(function.run({"url": f"https://{REGIONAL}/"}))


def trusted(event: object, context: object) -> str:
    with open(os.environ["SSL_CERT_FILE"], encoding="latin-1") as file:
        return file.read()


@pytest.mark.sandbox
def test_public_authorities_are_trusted_where_they_can_be_met(runtime: ScfRuntime, mounted: bool) -> None:
    """An SDK reads the file in each request, and a hundred and fifty authorities take a third of its time."""
    public = Path(certifi.__file__).with_name("cacert.pem").read_text(encoding="latin-1").split("-----")[2]
    with ScfEndpoint(runtime):
        everywhere: Any = runtime.deploy(trusted, network="all").run({})
        nearby: Any = runtime.deploy(trusted, name="nearby").run({})

    assert public in everywhere
    assert (public in nearby) == (not mounted)


def test_the_authorities_of_the_user_are_trusted_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = trustme.CA().cert_pem
    users.write_to_path(str(tmp_path / "users.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "users.pem"))

    own, bundle, nearby = Authority().write(str(tmp_path))

    assert users.bytes().strip() not in Path(own).read_bytes()
    for path in (bundle, nearby):
        assert users.bytes().strip() in Path(path).read_bytes()
        assert Path(own).read_bytes() in Path(path).read_bytes()


def variables(event: object, context: object) -> dict[str, str]:
    return dict(os.environ)


def test_what_a_handler_finds_in_its_environment(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    before = ScfRuntime(scf_runtime.settings)
    with before:
        without: Any = before.deploy(variables).run({})
    found: Any = scf_runtime.deploy(variables, environment={"SSL_CERT_FILE": "/own"}).run({})

    added = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NO_PROXY", "no_proxy"}
    assert found.keys() - without.keys() == added
    assert found["SSL_CERT_FILE"] == "/own"
    assert not any(scf_endpoint.url in value for value in found.values())


# -- its end, and the setting ----------------------------------------------------------------------------------------


def patched_things() -> dict[str, object]:
    import _socket

    import certifi
    import requests.certs

    return {
        "getaddrinfo": _socket.getaddrinfo,
        "gethostbyname": (socket.gethostbyname, _socket.gethostbyname),
        "gethostbyname_ex": (socket.gethostbyname_ex, _socket.gethostbyname_ex),
        "connect": vars(socket.socket).get("connect"),
        "connect_ex": vars(socket.socket).get("connect_ex"),
        "wrap_socket": ssl.SSLContext.wrap_socket,
        "wrap_bio": ssl.SSLContext.wrap_bio,
        "load_verify_locations": ssl.SSLContext.load_verify_locations,
        "set_tunnel": http.client.HTTPConnection.set_tunnel,
        "where": (certifi.where, requests.certs.where, certifi.core.where),
        "environment": dict(os.environ),
    }


@contextmanager
def unchanged() -> Iterator[None]:
    before = patched_things()
    yield
    assert patched_things() == before


def test_an_authority_is_in_the_bundle_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of the SDK read the bundle for each request, and what machines and certifi trust is much the same."""
    with open(certifi.where(), encoding="utf-8") as file:
        of_certifi = file.read()
    (tmp_path / "same.pem").write_text(of_certifi.replace("# ", "# another note: "))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "same.pem"))

    own, bundle, _ = Authority().write(str(tmp_path / "made"))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    written = Path(bundle).read_text(encoding="utf-8")
    assert written.count("BEGIN CERTIFICATE") == len(context.get_ca_certs())
    assert Path(own).read_text(encoding="utf-8") in written


def test_a_context_reads_the_bundle_for_other_servers_than_the_endpoint(scf_settings: ScfSettings) -> None:
    def wrapped(host: str | None) -> int:
        """How many authorities a new context has loaded once it has begun TLS with *host*."""
        context = ssl.create_default_context(cafile=certifi.where())
        context.check_hostname = False
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)
        return len(context.get_ca_certs())

    import certifi

    with ScfRuntime(scf_settings) as runtime:
        of_certifi = wrapped("example.com")
        with ScfEndpoint(runtime) as endpoint:
            assert wrapped(HOST) == wrapped(endpoint.address.partition(":")[0]) == 1
            assert wrapped("example.com") > of_certifi
            assert wrapped(None) > of_certifi
            kept = ssl.create_default_context(cafile=certifi.where())
        assert len(kept.get_ca_certs()) > of_certifi
        assert wrapped("example.com") == of_certifi


def test_contexts_of_requests_do_not_stay(scf_endpoint: ScfEndpoint) -> None:
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    kept = weakref.ref(context)
    del context

    assert kept() is None


def test_nothing_of_it_is_left(scf_settings: ScfSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/before")
    with unchanged(), ScfRuntime(scf_settings) as runtime:
        with ScfEndpoint(runtime):
            import certifi

            changed = patched_things()
            with open(certifi.where(), encoding="utf-8") as file:
                assert file.read().count("BEGIN CERTIFICATE") > 10
            assert os.environ["SSL_CERT_FILE"] == certifi.where()
        before = patched_things()
        assert not [name for name, value in changed.items() if value == before[name]]


def test_the_last_of_two_endpoints_is_found(scf_settings: ScfSettings) -> None:
    def asked() -> tuple[int, int]:
        urllib.request.urlopen(f"https://{HOST}/", timeout=30).close()
        return len(first.calls), len(second.calls)

    with unchanged(), ScfRuntime(scf_settings) as runtime:
        first = ScfEndpoint(runtime)
        second = ScfEndpoint(runtime)
        assert asked() == (0, 1)
        second.close()
        assert asked() == (1, 1)
        second = ScfEndpoint(runtime)
        first.close()
        assert asked() == (1, 1)
        second.close()


def test_hosts_of_the_machine(scf_settings: ScfSettings) -> None:
    settings = scf_settings.replace("test", official_hosts="machine")
    with unchanged(), ScfRuntime(settings) as runtime, ScfEndpoint(runtime) as endpoint:
        before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
        assert socket.gethostbyname("localhost") == "127.0.0.1"
        with pytest.raises(ConnectionRefusedError), socket.socket() as client:
            client.connect(("127.83.67.70", 9))
        with urllib.request.urlopen(f"https://{endpoint.address}/", timeout=30) as answer:
            assert b"MissingParameter" in answer.read()
        assert before == {name: os.environ.get(name) for name in before}
        answer_of_handler = str(runtime.deploy(asks).run({"url": f"https://{OTHER}/"}))
        assert f"look-up of the name '{OTHER}' refused" in answer_of_handler
