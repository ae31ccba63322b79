"""Whatever is sent gets a valid envelope with a documented code, and what is refused changes nothing."""

from __future__ import annotations

import json
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tc3 import signed
from tencentcloud.scf.v20180416 import errorcodes

from pytest_scf_async import ScfAsyncWarning, ScfEndpoint, ScfRuntime, ScfSettings
from pytest_scf_async.endpoint.actions import ACTIONS, OTHER_ACTIONS
from pytest_scf_async.endpoint.endpoint import Endpoint
from pytest_scf_async.endpoint.http_request import HttpRequest
from pytest_scf_async.endpoint.parameters import BOOLEAN, FLOAT, INTEGER, ListOf, Scalar, Struct
from pytest_scf_async.scripted import finished, running_for

COUNT = int(os.environ.get("SCF_FUZZ", "400"))
"""Examples of each of the three tests; `SCF_FUZZ=50000` is a long run, and `make fuzz` another."""
COMMON = """
    ActionOffline AuthFailure.InvalidAuthorization AuthFailure.InvalidSecretId AuthFailure.MFAFailure
    AuthFailure.SecretIdNotFound AuthFailure.SignatureExpire AuthFailure.SignatureFailure AuthFailure.TokenFailure
    AuthFailure.UnauthorizedOperation FailedOperation InternalError InvalidAction InvalidParameter
    InvalidParameterValue InvalidRequest LimitExceeded MissingParameter NoSuchProduct NoSuchVersion
    RequestLimitExceeded RequestSizeLimitExceeded ResourceInUse ResourceInsufficient ResourceNotFound
    ResourceUnavailable ServiceUnavailable UnauthorizedOperation UnknownParameter UnsupportedOperation
    UnsupportedProtocol UnsupportedRegion
"""
CODES = {*COMMON.split(), *(value for name, value in vars(errorcodes).items() if name.isupper())} - {"InternalError"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def handler(event: Any, context: object) -> object:
    return event


class Fuzzed:
    """An endpoint with a few functions and events."""

    def __init__(self, runtime: ScfRuntime) -> None:
        self.runtime = runtime
        self.endpoint = Endpoint(runtime)
        self.performed: set[str] = set()
        """Actions that were not refused."""
        runtime.create_namespace("reports")
        self.ids: list[str] = []
        self.deploy_what_is_missing()

    def deploy_what_is_missing(self) -> None:
        """A request may have deleted a function."""
        runtime = self.runtime
        if "sync" not in runtime.functions:
            runtime.deploy(handler, name="sync", async_run=False)
        if "export" not in runtime.functions:
            function = runtime.deploy(handler, name="export", max_instances=3)
            function.publish_version()
            function.create_alias("live", "1")
            self.ids = [function.invoke_async({}).request_id for _ in range(2)]
            runtime.event(self.ids[0]).wait()

    def state(self) -> object:
        runtime = self.runtime
        return (
            {
                name: (
                    function.configuration,
                    function.status,
                    function.list_versions(limit=10**6),
                    function.list_aliases(limit=10**6),
                    function.event_invoke_config,
                    len(function.events),
                )
                for name, function in runtime.functions.items()
            },
            runtime.list_namespaces(limit=10**6),
            [(event.request_id, event.doing) for event in runtime.events],
            runtime.clock.now_us,
        )

    def check(self, http: HttpRequest) -> None:
        self.deploy_what_is_missing()
        self.endpoint.polls.run_what_is_due()  # as on any poll, refused or not
        before = self.state()
        answer = self.endpoint.answer(http)
        assert answer is not None
        assert answer.status == 200
        envelope = json.loads(answer.body)
        assert envelope.keys() == {"Response"}
        response = envelope["Response"]
        assert UUID.fullmatch(response["RequestId"])
        # The fuzzer calls it very often while time stands: the warning about that is no problem here.
        assert [each for each in self.endpoint.problems if not isinstance(each, ScfAsyncWarning)] == []
        if "Error" in response:
            assert response.keys() == {"Error", "RequestId"}
            assert response["Error"].keys() == {"Code", "Message"}
            assert response["Error"]["Code"] in CODES
            assert response["Error"]["Message"]
            assert self.state() == before
        else:
            self.performed.add(self.endpoint.calls[-1].action)
        assert self.endpoint.calls[-1].error == response.get("Error", {}).get("Code")

    def sign(self, http: HttpRequest) -> HttpRequest:
        own = self.endpoint.own_credential
        return signed(http, own.secret_id, own.secret_key)


@pytest.fixture
def fuzzed(scf_settings: ScfSettings) -> Iterator[Fuzzed]:
    quiet = scf_settings.replace("test", status_reads_limit=10**9)
    with ScfRuntime(quiet, seed="fuzz") as runtime:
        yield Fuzzed(runtime)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
NAMES = ["export", "sync", "reports", "default", "live", "1", "$LATEST", "$DEFAULT", "Event", "ASC", ""]
WORDS = ["TRUE", "FALSE", "RUNNING", "OTHERS", "Tail", "{}", "2026-01-01 00:00:00", "index.main_handler", "$ID"]


def values_of(kind: Scalar | ListOf | Struct) -> st.SearchStrategy[Any]:
    """Values that a parameter may have, and others."""
    if isinstance(kind, Struct):
        return members_of(kind)
    if isinstance(kind, ListOf):
        return st.lists(values_of(kind.item), max_size=3)
    if kind is BOOLEAN:
        return st.booleans()
    if kind in (INTEGER, FLOAT):
        return st.integers(-1, 200) | st.integers() | st.floats()
    return st.sampled_from(NAMES + WORDS) | st.text(max_size=80)


def members_of(struct: Struct) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: values_of(struct.fields[name].kind) for name in struct.required},
        optional={name: values_of(field.kind) for name, field in struct.fields.items() if not field.required},
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """An action, and parameters that are nearly right."""
    action = draw(st.sampled_from(sorted(ACTIONS)))
    sent: Any = draw(members_of(ACTIONS[action].request))
    for _ in range(draw(st.integers(0, 2))):
        change = draw(st.sampled_from(["drop", "add", "replace", "none"]))
        if change == "drop" and sent:
            del sent[draw(st.sampled_from(sorted(sent)))]
        elif change == "add":
            sent[draw(st.text(max_size=20))] = draw(JSON)
        elif change == "replace" and sent:
            sent[draw(st.sampled_from(sorted(sent)))] = draw(JSON)
    return action, sent


def fuzz(test: Callable[..., None]) -> Callable[..., None]:
    chosen = settings(
        max_examples=COUNT,
        deadline=None,
        database=None,
        derandomize="SCF_FUZZ" not in os.environ,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    return chosen(test)


@pytest.mark.once
@pytest.mark.timeout(3600)
def test_signed_requests(fuzzed: Fuzzed) -> None:
    @fuzz
    @given(requests(), st.sampled_from(["", "zh-CN", "en-US"]))
    def check(request: tuple[str, Any], language: str) -> None:
        action, sent = request
        body = json.dumps(sent).replace('"$ID"', json.dumps(fuzzed.ids[-1])).encode()
        headers = {"x-tc-action": action, "x-tc-language": language}
        fuzzed.check(fuzzed.sign(HttpRequest("POST", "/", "", headers, body)))

    check()
    assert len(fuzzed.performed) > min(6, COUNT // 60)  # it came beyond the reading of requests


HEADERS = [
    "authorization",
    "content-type",
    "host",
    "x-tc-action",
    "x-tc-version",
    "x-tc-timestamp",
    "x-tc-token",
    "x-tc-language",
]


@pytest.mark.once
@pytest.mark.timeout(3600)
def test_anything_else(fuzzed: Fuzzed) -> None:
    actions = st.sampled_from([*sorted(ACTIONS), *sorted(OTHER_ACTIONS)]) | st.text(max_size=30)

    @fuzz
    @given(
        st.builds(
            HttpRequest,
            st.sampled_from(["POST", "GET", "PUT", "OPTIONS"]) | st.text(max_size=8),
            st.just("/") | st.text(st.characters(max_codepoint=255), max_size=20),
            st.text(st.characters(max_codepoint=255), max_size=60),
            st.dictionaries(
                st.sampled_from(HEADERS), st.text(st.characters(max_codepoint=255), max_size=60), max_size=3
            ),
            st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
        ),
        actions,
        st.booleans(),
    )
    def check(http: HttpRequest, action: str, unsigned: bool) -> None:
        named = action.encode("latin-1", "replace").decode("latin-1")
        fuzzed.check(http if unsigned else fuzzed.sign(replace(http, headers={"x-tc-action": named, **http.headers})))

    check()


# -- over a connection -----------------------------------------------------------------------------------------------

TARGETS = [
    *("/", "/prefix?x=1", "*", "", "//", "http://127.0.0.1/", "http://[::x/", "/%ff?%zz", "/_scf", "/_scf/"),
    *(f"/_scf/{path}" for path in ("clock", "clock/advance", "clock/move_to", "events", "faults", "calls", "reset")),
    *(f"/_scf/events/$ID{what}" for what in ("", "/wait", "/settle", "/wait_for_log", "//wait")),
    *(f"/_scf/faults/{what}" for what in ("fail", "delay", "drop", "duplicate")),
]
LINES = [
    *("Host: 127.0.0.1", "Host: localhost:80", "Host: evil.example", "Host:", "Origin: null", "Expect: 100-continue"),
    *("Content-Type: application/json", "Content-Type: multipart/form-data; boundary=x", "Connection: keep-alive"),
    *("Content-Length: $LENGTH", "Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "X-TC-Action: Invoke", "Authorization: x"),
    *("X-TC-Version: 2018-04-16", "X-TC-Timestamp: 1", "no colon", " folded", ": no name", "Upgrade: h2c"),
]
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "seconds": st.sampled_from([0, 1, 60, -1, 1e300, 10**30, "x", None]) | st.floats(),
        "when": st.sampled_from(["2027-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "noon", {}, 3]),
        "text": st.text(max_size=5),
        "pattern": st.sampled_from(["page", "(", "a{99999999999}"]) | st.text(max_size=5),
        "count": st.integers(-1, 3) | st.integers(),
        "action": st.sampled_from(["Invoke", "GetAsyncEventStatus", "none"]),
        "code": st.sampled_from(["RequestLimitExceeded", "none", ""]),
        "what": st.sampled_from(["request", "answer"]),  # a response that is lost is no answer
        "times": st.integers(-1, 2),
    },
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """What a client sends that closes its side then: nearly a request."""
    body = draw(
        st.sampled_from([b"", b"{}", b"[]", b"5\r\nhello\r\n0\r\n\r\n", b"fffffff\r\nab", b"\xff"])
        | st.binary(max_size=30)
    )
    if draw(st.booleans()):
        body = json.dumps(draw(MEMBERS | JSON)).encode()
    method = draw(
        st.sampled_from(["GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "", "G\x00T"]) | st.text(max_size=5)
    )
    target = draw(st.sampled_from(TARGETS) | st.text(max_size=20))
    version = draw(st.sampled_from(["HTTP/1.1"] * 4 + ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1.1", "HTTP/x", ""]))
    lines = draw(st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=6))
    lines += draw(st.sampled_from([["Host: 127.0.0.1", "Content-Length: $LENGTH"], ["Content-Length: $LENGTH"], []]))
    before, newline = (
        draw(st.sampled_from(["", "", "", "\r\n", "\n\n", " "])),
        draw(st.sampled_from(["\r\n", "\r\n", "\n"])),
    )
    head = newline.join([f"{before}{method} {target} {version}".rstrip(" "), *lines, "", ""])
    sent = head.replace("$LENGTH", str(len(body))).encode("utf-8", "replace") + body
    for _ in range(
        draw(st.integers(0, 3)) if draw(st.booleans()) else 0
    ):  # a few bytes are other ones, or are not there
        place = draw(st.integers(0, len(sent)))
        sent = sent[:place] + draw(st.binary(max_size=3)) + sent[place + draw(st.integers(0, 3)) :]
    return sent


def answer_to(endpoint: ScfEndpoint, sent: bytes) -> bytes:
    """All that the server sends until it closes the connection."""
    host, _, port = endpoint.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def check_answer(sent: bytes, answer: bytes) -> None:
    """Refuse an answer that is no HTTP, or has no envelope of the API or of what is below ``/_scf/``."""
    head, _, body = answer.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100 "):
        head, _, body = body.partition(b"\r\n\r\n")
    found = re.fullmatch(rb"HTTP/1\.[01] (\d+) [A-Za-z ]+\r\n(.+)", head, re.DOTALL)
    assert found is not None, f"no answer to {sent!r} but {answer!r}"
    status, headers = int(found[1]), found[2].lower()
    assert b"content-type: application/json" in headers
    if b"content-length: %d" % len(body) not in headers:
        assert body == b"", "a HEAD has no body"
        return
    content = json.loads(body)
    if "Response" in content:
        assert status == 200
        assert content["Response"].get("Error", {}).get("Code") in {None, *CODES}
    else:
        assert status in {200, 400, 403, 404, 405, 409}
        assert status == 200 or content["error"].keys() == {"type", "message"}


@pytest.mark.once
@pytest.mark.timeout(3600)
def test_whatever_is_sent_over_a_connection(scf_settings: ScfSettings) -> None:
    """But for a first byte that begins TLS, after which only TLS is spoken."""
    quiet = scf_settings.replace("test", status_reads_limit=10**9)
    with ScfRuntime(quiet, seed="fuzz") as runtime, ScfEndpoint(runtime) as endpoint:
        event = runtime.deploy_scripted("export", [running_for(60), finished()]).invoke_async()

        @fuzz
        @given(streams().filter(lambda sent: sent[:1] not in {b"", b"\x16"}))
        def check(sent: bytes) -> None:
            sent = sent.replace(b"$ID", event.request_id.encode())
            check_answer(sent, answer_to(endpoint, sent))
            assert [each for each in endpoint._site.endpoint.problems if not isinstance(each, ScfAsyncWarning)] == []

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScfAsyncWarning)
            check()
