"""Whatever is sent gets a valid envelope with a documented code, and what is refused changes nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tc3 import signed
from tencentcloud.scf.v20180416 import errorcodes

from pytest_scf_async import ScfAsyncWarning, ScfRuntime, ScfSettings
from pytest_scf_async.endpoint.actions import ACTIONS, OTHER_ACTIONS
from pytest_scf_async.endpoint.endpoint import Endpoint
from pytest_scf_async.endpoint.http_request import HttpRequest
from pytest_scf_async.endpoint.parameters import BOOLEAN, FLOAT, INTEGER, ListOf, Scalar, Struct

COUNT = int(os.environ.get("SCF_FUZZ", "400"))
"""Examples of each of the two tests; `SCF_FUZZ=50000` is a long run."""
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
    assert len(fuzzed.performed) > 6  # it came beyond the reading of requests


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
