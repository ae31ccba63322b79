"""The platform's SDK for Python signs and sends any parameters, and the endpoint reads what it was given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter
from tencentcloud.common.credential import Credential as SdkCredential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import scf_client

from pytest_scf_async.endpoint.http_request import HttpRequest
from pytest_scf_async.endpoint.request import read_request
from pytest_scf_async.endpoint.signature import Credential, Credentials, verify
from pytest_scf_async.errors import ScfApiError

pytestmark = [
    # once: the SDK is the same on all Pythons
    pytest.mark.once,
    # of the SDK, on Python 3.12 and newer
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning"),
]


class Received(BaseAdapter):
    """Keeps what `requests` would have written to a connection, and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[HttpRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        url = urlsplit(request.url)
        headers = {"host": url.netloc} | {
            name.lower(): value if isinstance(value, str) else value.decode("latin-1")
            for name, value in request.headers.items()
        }
        body = request.body or b""
        self.requests.append(
            HttpRequest(
                request.method, url.path, url.query, headers, body if isinstance(body, bytes) else body.encode()
            )
        )
        raise requests.ConnectionError("kept")

    def close(self) -> None:
        """There is nothing."""


def sent(
    parameters: Mapping[str, Any],
    *,
    method: str,
    post_or_get: str,
    endpoint: str = "127.0.0.1:8000",
    unsigned_payload: bool = False,
    token: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> HttpRequest:
    """The request that the SDK makes of a call."""
    profile = ClientProfile(method, HttpProfile(protocol="http", endpoint=endpoint, reqMethod=post_or_get))
    profile.unsignedPayload = unsigned_payload
    client = scf_client.ScfClient(SdkCredential("AKIDtest", "key-of-a-test", token), "ap-guangzhou", profile)
    received = Received()
    client.request.conn._session.mount("http://", received)
    with pytest.raises(TencentCloudSDKException, match="kept"):
        client.call_json("Invoke", dict(parameters), options=dict(options or {}))
    return received.requests[0]


TEXTS = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
NAMES = st.text(alphabet="ABCabc", min_size=1, max_size=4)
SCALARS = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans()
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
).filter(lambda tree: not tree.keys() & {"Action", "Version"})


def as_texts(value: Any) -> Any:
    """*value* as a form has it."""
    if isinstance(value, dict):
        return {name: as_texts(inner) for name, inner in value.items()}
    return [as_texts(inner) for inner in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize("post_or_get", ["POST", "GET"])
@pytest.mark.parametrize("method", ["TC3-HMAC-SHA256", "HmacSHA1", "HmacSHA256"])
@given(
    parameters=TREES,
    endpoint=st.sampled_from(["127.0.0.1:8000", "http://127.0.0.1:8000", "localhost", "scf.tencentcloudapi.com"]),
    unsigned_payload=st.booleans(),
    token=st.sampled_from([None, "tok/en+1="]),
)
@settings(deadline=None)
def test_what_the_sdk_signs_and_sends_is_read_as_it_was_given(
    *, method, post_or_get, parameters, endpoint, unsigned_payload, token
):
    http = sent(
        parameters,
        method=method,
        post_or_get=post_or_get,
        endpoint=endpoint,
        unsigned_payload=unsigned_payload,
        token=token,
    )
    request = read_request(http)

    assert request.typed is ((method, post_or_get) == ("TC3-HMAC-SHA256", "POST"))
    assert request.parameters == (parameters if request.typed else as_texts(parameters))
    assert (request.action, request.version, request.region) == ("Invoke", "2018-04-16", "ap-guangzhou")
    assert request.client.startswith("SDK_PYTHON_")
    clocks = {"real_seconds": time.time(), "simulated_seconds": 0.0}
    known = Credentials(Credential("AKIDtest", "key-of-a-test", token))
    assert verify(http, request, known, **clocks) == "AKIDtest"
    with pytest.raises(ScfApiError, match=r"AuthFailure\.SignatureFailure"):
        verify(http, request, Credentials(Credential("AKIDtest", "another", token)), **clocks)


def test_the_sdk_without_a_signature_says_skip():
    http = sent({"A": "x"}, method="TC3-HMAC-SHA256", post_or_get="POST", options={"SkipSign": True})
    request = read_request(http)
    clocks = {"real_seconds": time.time(), "simulated_seconds": 0.0}

    assert request.parameters == {"A": "x"}
    with pytest.raises(ScfApiError, match=r"AuthFailure\.InvalidAuthorization.*SKIP"):
        verify(http, request, Credentials(), **clocks)


def test_the_sdks_multipart_is_refused():
    http = sent({"A": "x"}, method="TC3-HMAC-SHA256", post_or_get="POST", options={"IsMultipart": True})

    with pytest.raises(ScfApiError, match=r"InvalidRequest: .* body is multipart/form-data"):
        read_request(http)
