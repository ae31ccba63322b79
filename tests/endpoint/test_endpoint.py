"""The endpoint in a test: which callers it accepts, what it answers to anything else, declared faults, and its end."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import trustme  # noqa: F401  (what it is made of cannot be imported twice in a process: not in a session inside this one)
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.scf.v20180416 import models

from pytest_scf_async import HarnessError, ScfApiError, ScfEndpoint, ScfRuntime, ScfSettings, ScfUsageError
from pytest_scf_async.endpoint import server
from pytest_scf_async.endpoint.actions import ACTIONS
from pytest_scf_async.endpoint.rate_limits import RateLimits


def export(event: dict[str, Any], context: object) -> object:
    time.sleep(event.get("seconds", 7200))
    return {"rows": 20}


def status_of(client: Any, request_id: str) -> str:
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = request_id
    return str(client.GetAsyncEventStatus(request).Result.Status)


def terminate(client: Any, request_id: str, graceful: bool = False) -> None:
    request = models.TerminateAsyncEventRequest()
    request.FunctionName, request.InvokeRequestId, request.GraceShutdown = "export", request_id, graceful
    client.TerminateAsyncEvent(request)


def code_of(raised: pytest.ExceptionInfo[TencentCloudSDKException]) -> str:
    return str(raised.value.get_code())


def sent(
    endpoint: ScfEndpoint, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, Any, str]:
    """The status, the envelope and the content type that a request of plain HTTP gets."""
    connection = http.client.HTTPConnection(endpoint.address, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["Response"], answer.headers["Content-Type"]
    finally:
        connection.close()


# -- what an SDK sees ------------------------------------------------------------------------------------------------


def test_code_that_polls_sees_an_event_of_two_hours_end(scf_runtime: ScfRuntime, scf_client: Any) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({})

    polls = 0
    with scf_runtime.clock.patched():
        while status_of(scf_client, event.request_id) == "RUNNING":
            time.sleep(600)
            polls += 1

    assert polls == 12
    assert event.duration == timedelta(hours=2)


def test_calls_are_kept(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({}).settle()
    scf_runtime.clock.advance(60)
    status_of(scf_client, event.request_id)
    with pytest.raises(TencentCloudSDKException) as raised:
        status_of(scf_client, "none")

    first, second = scf_endpoint.calls
    assert (first.action, first.parameters, first.error) == (
        "GetAsyncEventStatus",
        {"InvokeRequestId": event.request_id},
        None,
    )
    assert first.at - event.started_at == timedelta(seconds=60)
    assert first.secret_id == scf_endpoint.secret_id
    assert first.client.startswith("SDK_PYTHON_")
    assert second.error == code_of(raised) == "ResourceNotFound.AsyncEvent"
    assert second.request_id == raised.value.get_request_id() != first.request_id


def test_request_ids_are_those_of_the_last_run(scf_settings: ScfSettings) -> None:
    def ids() -> list[str]:
        with ScfRuntime(scf_settings, seed="a test") as runtime, ScfEndpoint(runtime) as endpoint:
            for _ in range(3):
                sent(endpoint, "POST", "/", b"{}", {})
            return [endpoint.secret_id, endpoint.secret_key, *(call.request_id for call in endpoint.calls)]

    assert ids() == ids()
    assert len(set(ids())) == 5


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en-US", "Limit=0 is not valid: it must be a whole number from 1 to 100."),
        (
            "zh-CN",
            "Limit取值与规范不符，请修正后再试。(Limit=0 is not valid: it must be a whole number from 1 to 100.)",
        ),
        (None, "Limit取值与规范不符，请修正后再试。(Limit=0 is not valid: it must be a whole number from 1 to 100.)"),
    ],
)
def test_the_language_of_messages(scf_runtime: ScfRuntime, scf_client: Any, language: Any, message: str) -> None:
    scf_runtime.deploy(export, name="export")
    scf_client.profile.language = language
    request = models.ListAsyncEventsRequest()
    request.FunctionName, request.Limit = "export", 0

    with pytest.raises(TencentCloudSDKException) as raised:
        scf_client.ListAsyncEvents(request)

    assert raised.value.get_message() == message


@pytest.mark.parametrize(
    ("language", "begins"), [("en-US", "The request is missing"), ("zh-CN", "缺少参数。(The request is missing")]
)
def test_the_language_of_a_request_that_cannot_be_read(scf_endpoint: ScfEndpoint, language: str, begins: str) -> None:
    headers = {"X-TC-Action": "Invoke", "X-TC-Language": language}

    _, envelope, _ = sent(scf_endpoint, "POST", "/", b"{}", headers)

    assert envelope["Error"]["Message"].startswith(begins)


# -- which callers it accepts ----------------------------------------------------------------------------------------


def client_with(endpoint: ScfEndpoint, *credential: str) -> Any:
    from tencentcloud.common.credential import Credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.scf.v20180416.scf_client import ScfClient

    http_profile = HttpProfile(protocol="http", endpoint=endpoint.address)
    return ScfClient(Credential(*credential), "ap-guangzhou", ClientProfile(httpProfile=http_profile))


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (("AKIDunknown", "key"), "AuthFailure.SecretIdNotFound"),
        (("own", "another key"), "AuthFailure.SignatureFailure"),
        (("role", "key"), "AuthFailure.TokenFailure"),
        (("role", "key", "another token"), "AuthFailure.TokenFailure"),
    ],
)
def test_credentials_that_are_refused(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, credential: tuple[str, ...], code: str
) -> None:
    scf_endpoint.add_credentials("role", "key", token="token")
    if credential[0] == "own":
        credential = (scf_endpoint.secret_id, *credential[1:])

    with pytest.raises(TencentCloudSDKException) as raised:
        status_of(client_with(scf_endpoint, *credential), "none")

    assert code_of(raised) == code
    assert scf_endpoint.calls[0].secret_id == ""


def test_credentials_of_a_role_expire(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({"seconds": 60})
    expires_at = scf_runtime.clock.now + timedelta(hours=1)
    scf_endpoint.add_credentials("role", "key", token="token", expires_at=expires_at)
    client = client_with(scf_endpoint, "role", "key", "token")
    assert status_of(client, event.request_id) == "RUNNING"

    scf_runtime.clock.advance(3600)
    with pytest.raises(TencentCloudSDKException) as raised:
        status_of(client, event.request_id)

    assert code_of(raised) == "AuthFailure.TokenFailure"


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [
        ({"secret_id": ""}, "secret_id must be a non-empty string"),
        ({"secret_id": "a/b"}, "secret_id='a/b' contains a '/'"),
        ({"secret_key": 5}, "secret_key must be a non-empty string"),
        ({"token": ""}, "token must be a non-empty string"),
        ({"expires_at": datetime(2026, 1, 1, tzinfo=timezone.utc)}, "pass their token, too"),
    ],
)
def test_credentials_that_cannot_be(scf_endpoint: ScfEndpoint, credentials: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ScfUsageError, match=sentence):
        scf_endpoint.add_credentials(**{"secret_id": "id", "secret_key": "key", **credentials})


# -- what is no request of an SDK ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (("POST", "/", b"", {}), "MissingParameter"),
        (("GET", "/", b"", {}), "MissingParameter"),
        (("PUT", "/", b"{}", {}), "UnsupportedProtocol"),
        (("DELETE", "/x", b"", {}), "UnsupportedProtocol"),
        (("POST", "/", b"{}", {"X-TC-Action": "Invoke"}), "MissingParameter"),
        (("POST", "/%ff?%zz", b"\xff", {"Content-Type": "x" * 2000}), "InvalidParameter"),
    ],
)
def test_any_request_gets_an_envelope(
    scf_endpoint: ScfEndpoint, request_: tuple[str, str, bytes, dict[str, str]], code: str
) -> None:
    status, envelope, content_type = sent(scf_endpoint, *request_)

    assert (status, content_type) == (200, "application/json")
    assert envelope["Error"]["Code"] == code
    assert envelope["RequestId"] == scf_endpoint.calls[0].request_id


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"nonsense\r\n\r\n", "Bad request syntax"),
        (b"GET / HTTP/9.9\r\n\r\n", "Invalid HTTP version"),
        (b"A" * 70_000 + b"\r\n\r\n", "Too Long"),
        (b"GET http://[::x/ HTTP/1.1\r\n\r\n", "Invalid IPv6 URL"),
        (b"\r\n", "its first line is empty"),
        (b" \r\n\r\n", "its first line is empty"),
        (b"GET /\r\n\r\n", "its first line names no version of HTTP"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", "its Content-Length is 'many'"),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 6000 + b"\r\n\r\n", "its Content-Length is '999"),
        (b"POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\nabc", "its body ends after 3 of 50 bytes"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "Invalid chunk header"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "Negative chunk length"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "its body ends within a chunk"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nab", "its body ends within a chunk"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", "Missing chunk terminating newline"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_http_gets_an_envelope(scf_endpoint: ScfEndpoint, request_: bytes, reason: str) -> None:
    host, _, port = scf_endpoint.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        envelope = json.loads(answer.read())["Response"]

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert envelope["Error"]["Code"] == "InvalidRequest"
    assert reason in envelope["Error"]["Message"]
    assert [call.error for call in scf_endpoint.calls] == ["InvalidRequest"]


def answer_on(connection: socket.socket) -> tuple[int, Any]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())["Response"]


@pytest.mark.parametrize(
    ("begins", "reason"),
    [
        (b"GET", "it had not ended after 0.05 s"),
        (b"GET / HTTP/1.1\r\nHost: 127", "it had not ended after 0.05 s"),
        (b"POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\nabc", "its body had not ended after 0.05 s"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "its body had not ended after 0.05 s"),
    ],
)
def test_a_request_that_does_not_end_is_answered(
    scf_endpoint: ScfEndpoint, monkeypatch: pytest.MonkeyPatch, begins: bytes, reason: str
) -> None:
    monkeypatch.setattr(server, "CLIENT_TIMEOUT", 0.05)
    host, _, port = scf_endpoint.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(begins)  # and it keeps its side open
        status, envelope = answer_on(connection)

    assert (status, envelope["Error"]["Code"]) == (200, "InvalidRequest")
    assert reason in envelope["Error"]["Message"]


def test_the_answer_arrives_while_the_client_still_sends(scf_endpoint: ScfEndpoint) -> None:
    """A connection that is closed with something unread is reset, and what was sent on it is lost."""
    host, _, port = scf_endpoint.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"A" * 5_000_000)
        status, envelope = answer_on(connection)

    assert (status, envelope["Error"]["Code"]) == (200, "InvalidRequest")


def test_empty_lines_before_a_request_are_none_of_it(scf_endpoint: ScfEndpoint) -> None:
    host, _, port = scf_endpoint.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"\r\n\n\r\nGET / HTTP/1.1\r\n\r\n")

        assert answer_on(connection)[1]["Error"]["Code"] == "MissingParameter"


def test_the_answer_to_head_has_no_body(scf_endpoint: ScfEndpoint) -> None:
    host, _, port = scf_endpoint.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


# -- faults ----------------------------------------------------------------------------------------------------------


def test_a_refusal_that_was_declared(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({})
    scf_endpoint.fail("TerminateAsyncEvent", code="RequestLimitExceeded", when={"FunctionName": "export"}, times=2)

    for _ in range(2):
        with pytest.raises(TencentCloudSDKException) as raised:
            terminate(scf_client, event.request_id)
        assert code_of(raised) == "RequestLimitExceeded"
        assert status_of(scf_client, event.request_id) == "RUNNING"
    terminate(scf_client, event.request_id)

    assert status_of(scf_client, event.request_id) == "ABORTED"


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_a_declared_message_arrives_as_it_is(scf_endpoint: ScfEndpoint, scf_client: Any, language: str) -> None:
    scf_endpoint.fail("GetAsyncEventStatus", code="RequestLimitExceeded", message="slow down")
    scf_endpoint.fail("GetAsyncEventStatus", code="FailedOperation")
    scf_client.profile.language = language

    messages = []
    for _ in range(2):
        with pytest.raises(TencentCloudSDKException) as raised:
            status_of(scf_client, "none")
        messages.append(raised.value.get_message())

    assert messages[0] == "slow down"
    assert "The test declared fail('GetAsyncEventStatus', code='FailedOperation')." in messages[1]


def test_of_two_faults_the_first_happens_and_one_may_happen_always(scf_endpoint: ScfEndpoint, scf_client: Any) -> None:
    scf_endpoint.fail("GetAsyncEventStatus", code="RequestLimitExceeded")
    scf_endpoint.fail("GetAsyncEventStatus", code="InternalError", times=None)

    codes = []
    for _ in range(4):
        with pytest.raises(TencentCloudSDKException) as raised:
            status_of(scf_client, "none")
        codes.append(code_of(raised))

    assert codes == ["RequestLimitExceeded", "InternalError", "InternalError", "InternalError"]


def test_a_fault_meets_only_what_it_names(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({})
    scf_endpoint.fail("TerminateAsyncEvent", "InternalError", when={"GraceShutdown": True})

    terminate(scf_client, event.request_id)

    assert event.status == "ABORTED"
    assert scf_endpoint.faults_that_never_happened() == ["fail('TerminateAsyncEvent', code='InternalError')"]
    with pytest.raises(TencentCloudSDKException):
        terminate(scf_client, event.request_id, graceful=True)


@pytest.mark.parametrize(("what", "status"), [("request", "RUNNING"), ("response", "ABORTED")])
def test_what_is_lost_on_the_way(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any, what: Any, status: str
) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({}).settle()
    scf_endpoint.drop("TerminateAsyncEvent", what)

    with pytest.raises(TencentCloudSDKException) as raised:
        terminate(scf_client, event.request_id)

    assert code_of(raised) == "ClientNetworkError"
    assert event.status == status
    assert scf_endpoint.calls[0].dropped == what


def test_an_invocation_that_comes_twice(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any) -> None:
    scf_runtime.deploy(export, name="export")
    scf_endpoint.duplicate("Invoke", when={"FunctionName": "export"})
    request = models.InvokeRequest()
    request.FunctionName, request.ClientContext = "export", '{"seconds": 1}'

    invoked = [scf_client.Invoke(request).RequestId for _ in range(2)]

    assert [event.request_id for event in scf_runtime.wait_all()][1:] == invoked
    assert [event.result for event in scf_runtime.events] == [{"rows": 20}] * 3


def test_a_delay_is_simulated_time(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any) -> None:
    event = scf_runtime.deploy(export, name="export").invoke_async({"seconds": 50})
    scf_endpoint.delay("GetAsyncEventStatus", 60)

    assert status_of(scf_client, event.request_id) == "FINISHED"

    assert scf_runtime.clock.now - event.started_at == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda endpoint: endpoint.fail("ListEvents", code="x"), "did you mean 'ListAsyncEvents'"),
        (lambda endpoint: endpoint.fail("ListAsyncEvents", code=""), "code must be an error code of the API"),
        (lambda endpoint: endpoint.fail("ListAsyncEvents", code="Too many"), "code must be an error code of the API"),
        (lambda endpoint: endpoint.fail("ListAsyncEvents", code=429), "code must be an error code of the API"),
        (lambda endpoint: endpoint.fail("ListAsyncEvents", code="InternalError", message=5), "message=5"),
        (lambda endpoint: endpoint.delay("ListAsyncEvents", -1), "delay"),
        (lambda endpoint: endpoint.drop("ListAsyncEvents", "answer"), "'request' or 'response'"),
        (lambda endpoint: endpoint.drop("ListAsyncEvents", "request", when={"Name": 1}), "no such parameter"),
        (lambda endpoint: endpoint.drop("ListAsyncEvents", "request", when=[]), "mapping"),
        (lambda endpoint: endpoint.drop("ListAsyncEvents", "request", times=0), "times=0"),
    ],
)
def test_faults_that_cannot_be(scf_endpoint: ScfEndpoint, declare: Any, sentence: str) -> None:
    with pytest.raises(ScfUsageError, match=sentence):
        declare(scf_endpoint)
    assert scf_endpoint.faults_that_never_happened() == []


# -- limits ----------------------------------------------------------------------------------------------------------


def test_requests_beyond_the_limit_of_a_second(scf_settings: ScfSettings) -> None:
    settings = scf_settings.replace("test", api_rate_limits=True)
    with ScfRuntime(settings, seed="limits") as runtime, ScfEndpoint(runtime) as endpoint:
        client = client_with(endpoint, endpoint.secret_id, endpoint.secret_key)

        def code() -> str:
            with pytest.raises(TencentCloudSDKException) as raised:
                status_of(client, "none")
            return code_of(raised)

        assert [code() for _ in range(21)] == ["ResourceNotFound.AsyncEvent"] * 20 + ["RequestLimitExceeded"]
        runtime.clock.advance(0.9)
        assert code() == "RequestLimitExceeded"
        runtime.clock.advance(0.1)
        assert code() == "ResourceNotFound.AsyncEvent"


@pytest.mark.parametrize(
    ("action", "limit"),
    [
        ("ListAsyncEvents", 20),
        ("GetAsyncEventStatus", 20),
        ("TerminateAsyncEvent", 20),
        ("Invoke", 100),
        ("InvokeFunction", 10_000),
        ("GetRequestStatus", 20),
        ("GetFunctionLogs", 5),
        ("CreateFunction", 20),
    ],
)
def test_each_action_has_its_own_limit(scf_settings: ScfSettings, action: str, limit: int) -> None:
    with ScfRuntime(scf_settings.replace("test", api_rate_limits=True)) as runtime:
        limits = RateLimits(runtime)
        for _ in range(limit):
            limits.count(ACTIONS[action])

        with pytest.raises(ScfApiError, match=f"^RequestLimitExceeded: {action} has already had its {limit} requests"):
            limits.count(ACTIONS[action])
        limits.count(ACTIONS["ListFunctions"])


# -- its end ---------------------------------------------------------------------------------------------------------


def test_nothing_of_it_is_left(scf_settings: ScfSettings) -> None:
    before = set(threading.enumerate())
    with ScfRuntime(scf_settings) as runtime:
        endpoint = ScfEndpoint(runtime)
        host, _, port = endpoint.address.partition(":")
        idle = socket.create_connection((host, int(port)), timeout=30)
        kept = http.client.HTTPConnection(endpoint.address, timeout=30)
        kept.request("GET", "/")
        kept.getresponse().read()  # it stays open for a next request
        assert len(set(threading.enumerate()) - before) >= 2
        endpoint.close()
        endpoint.close()

        assert set(threading.enumerate()) == before
        assert idle.recv(1) == b""
        idle.close()
        kept.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=30)


def test_a_port_that_is_taken(scf_runtime: ScfRuntime) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        who = rf"Address already in use by pid {os.getpid()} \(.*python.*\); 0 is a port that is free$"
        with pytest.raises(ScfUsageError, match=f"cannot have port {port} of 127.0.0.1: {who}"):
            ScfEndpoint(scf_runtime, port=port)


def test_a_failure_of_our_own_fails_the_test(scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request_id: str) -> object:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(scf_runtime, "get_async_event_status", broken)
    endpoint = ScfEndpoint(scf_runtime)

    with pytest.raises(TencentCloudSDKException) as raised:
        status_of(client_with(endpoint, endpoint.secret_id, endpoint.secret_key), "x")

    assert code_of(raised) == "InternalError"
    with pytest.raises(HarnessError, match="ZeroDivisionError: broken"):
        endpoint.close()
