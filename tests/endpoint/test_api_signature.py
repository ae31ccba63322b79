"""The signer of a request of the API: real clients, the platform's own examples, and each way to be refused."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from urllib.parse import urlencode

import pytest
from wire_requests import REQUESTS, SECRET_ID, SECRET_KEY, TOKENS

from pytest_scf_async.endpoint.http_request import HttpRequest
from pytest_scf_async.endpoint.request import read_request
from pytest_scf_async.endpoint.signature import Credential, Credentials, verify
from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.model.credentials import role_credentials

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

NOW = 1_700_000_000  # 2023-11-14 22:13:20 UTC
DAY = "2023-11-14"
KEY = Credential(SECRET_ID, SECRET_KEY)
TC3 = {"content-type": "application/json", "host": "127.0.0.1:8000", "x-tc-action": "ListFunctions"}
FORM = {"Action": "ListFunctions", "Version": "2018-04-16", "Timestamp": NOW, "Nonce": 7, "SecretId": SECRET_ID}


def tc3(
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    body: bytes = b"{}",
    timestamp: int = NOW,
    date: str = DAY,
    service: str = "scf",
    names: str = "content-type;host",
    headers: dict[str, str] | None = None,
    signed: dict[str, str] | None = None,
    signed_path: str = "/",
    signed_query: str | None = None,
    payload: bytes | None = None,
    key: str = SECRET_KEY,
) -> HttpRequest:
    """A request with *headers* that is signed as document 46710 has it, with what differs from it in the others."""
    sent = {**TC3, "x-tc-version": "2018-04-16", "x-tc-timestamp": str(timestamp), **(headers or {})}
    values = {**sent, **(signed or {})}
    lines = "".join(f"{name}:{values[name]}\n" for name in names.split(";"))
    hashed = hashlib.sha256(body if payload is None else payload).hexdigest()
    signed_query = query if signed_query is None else signed_query
    canonical = f"{method}\n{signed_path}\n{signed_query}\n{lines}\n{names}\n{hashed}"
    scope = f"{date}/{service}/tc3_request"
    text = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode('latin-1')).hexdigest()}"
    derived = f"TC3{key}".encode()
    for part in (date, service, "tc3_request", text):
        derived = hmac.new(derived, part.encode("latin-1"), hashlib.sha256).digest()
    sent["authorization"] = (
        f"TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedHeaders={names}, Signature={derived.hex()}"
    )
    return HttpRequest(method, path, query, sent, body)


def form(method: str = "POST", *, digest: str = "sha1", leave_out: str = "", **fields: object) -> HttpRequest:
    """A form that is signed as document 46710 has it. None in *fields* leaves a field out."""
    sent = {name: str(value) for name, value in {**FORM, **fields}.items() if value is not None}
    signed = "&".join(f"{name}={value}" for name, value in sorted(sent.items()) if name != leave_out)
    text = f"{method}127.0.0.1:8000/?{signed}"
    signature = base64.b64encode(hmac.new(SECRET_KEY.encode(), text.encode(), digest).digest()).decode()
    sent.setdefault("Signature", signature)
    text = urlencode({name: value for name, value in sent.items() if value})
    if leave_out:
        text += f"&{leave_out}="
    headers = {"host": "127.0.0.1:8000", "content-type": "application/x-www-form-urlencoded"}
    body = "" if method == "GET" else text
    return HttpRequest(method, "/", text if method == "GET" else "", headers, body.encode())


def verified(
    http: HttpRequest,
    *credentials: Credential,
    real: float = NOW,
    simulated: float = 0,
) -> str:
    known = Credentials(*(credentials or [KEY]))
    return verify(http, read_request(http), known, real_seconds=real, simulated_seconds=simulated)


def refusal(http: HttpRequest, *credentials: Credential, **clocks: float) -> ScfApiError:
    with pytest.raises(ScfApiError) as caught:
        verified(http, *credentials, **clocks)
    return caught.value


def changed(http: HttpRequest, **headers: str | None) -> HttpRequest:
    """*http* with headers changed (`_` for `-`), and without those that are None."""
    new = {**http.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return dataclasses.replace(http, headers={name: value for name, value in new.items() if value is not None})


def altered(http: HttpRequest) -> HttpRequest:
    """*http* with another value of one parameter, which is still a well-formed request."""
    return dataclasses.replace(
        http, query=http.query.replace("export", "expert"), body=http.body.replace(b"export", b"expert")
    )


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_real_client_signs_is_right(name):
    http = REQUESTS[name]
    request = read_request(http)
    credential = Credential(SECRET_ID, SECRET_KEY, TOKENS.get(name.split()[0]))

    assert verified(http, credential, real=request.timestamp) == SECRET_ID
    assert refusal(http, dataclasses.replace(credential, secret_key="another"), real=request.timestamp).code == (
        "AuthFailure.SignatureFailure"
    )


@pytest.mark.parametrize("name", [name for name in REQUESTS if "UNSIGNED-PAYLOAD" not in name])
def test_a_real_clients_request_that_was_changed_on_its_way_is_refused(name):
    http = REQUESTS[name]
    credential = Credential(SECRET_ID, SECRET_KEY, TOKENS.get(name.split()[0]))
    if name.startswith("go TC3 POST"):  # it has UNSIGNED-PAYLOAD as well
        assert verified(altered(http), credential, real=read_request(http).timestamp) == SECRET_ID
    else:
        error = refusal(altered(http), credential, real=read_request(http).timestamp)
        assert error.code == "AuthFailure.SignatureFailure"


def test_the_example_of_document_46710_is_right():
    http = HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/json; charset=utf-8",
            "host": "cvm.tencentcloudapi.com",
            "x-tc-action": "DescribeInstances",
            "x-tc-version": "2017-03-12",
            "x-tc-timestamp": "1551113065",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, "
                "SignedHeaders=content-type;host, "
                "Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
            ),
        },
        rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}',
    )
    key = Credential("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")

    assert verified(http, key, real=1551113065) == key.secret_id


def test_the_example_of_the_older_signature_is_right():
    query = (
        "Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&Region=ap-guangzhou"
        "&SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&Timestamp=1465185768&Version=2017-03-12"
        "&Signature=EliP9YW3pW28FpsEdkXt%2F%2BWcGeI%3D"
    )
    http = HttpRequest("GET", "/", query, {"host": "cvm.tencentcloudapi.com"}, b"")
    key = Credential("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")

    assert verified(http, key, real=1465185768) == key.secret_id


@pytest.mark.parametrize(
    "http",
    [
        pytest.param(tc3(), id="as in the document"),
        pytest.param(tc3(body='{"Name":"导出"}'.encode()), id="a body in UTF-8"),
        pytest.param(tc3(service="127"), id="any service"),
        pytest.param(tc3(path="/prefix"), id="a path that is not signed"),
        pytest.param(tc3(path="/prefix", signed_path="/prefix"), id="a path that is"),
        pytest.param(tc3(signed={"host": "127.0.0.1"}), id="a host without its port"),
        pytest.param(tc3(headers={"host": "LocalHost:80"}, signed={"host": "localhost:80"}), id="a host in lower case"),
        pytest.param(
            tc3(names="content-type;host;x-tc-action", signed={"x-tc-action": "listfunctions"}),
            id="another header, in lower case",
        ),
        pytest.param(tc3(names="content-type;host;x-tc-action"), id="another header, as it is"),
        pytest.param(
            tc3(headers={"x-tc-content-sha256": "UNSIGNED-PAYLOAD"}, payload=b"UNSIGNED-PAYLOAD"), id="no payload"
        ),
        pytest.param(tc3(headers={"x-tc-content-sha256": "UNSIGNED"}), id="a payload, whatever that header says"),
        pytest.param(tc3(method="GET", query="Limit=5&Name=a%20b+c", body=b""), id="a GET"),
        pytest.param(tc3(query="a=b", signed_query=""), id="a POST, whose query is not signed"),
        pytest.param(form(), id="a form"),
        pytest.param(form("GET"), id="a query"),
        pytest.param(form(SignatureMethod="HmacSHA1"), id="a form by HmacSHA1"),
        pytest.param(form(SignatureMethod="HmacSHA256", digest="sha256"), id="a form by HmacSHA256"),
        pytest.param(form(SignatureMethod="MD5"), id="a form by what is unknown is by HmacSHA1"),
        pytest.param(form(Name="a b&c=d+e/é导"), id="a form, signed before it was encoded"),
        pytest.param(form(leave_out="Language"), id="a form with an empty field that is not signed"),
    ],
)
def test_each_form_that_the_documents_and_clients_have_is_right(http):
    assert verified(http) == SECRET_ID


@pytest.mark.parametrize(
    "http",
    [
        tc3(key="another"),
        tc3(body=b'{"a":1}', payload=b"{}"),
        tc3(payload=b"UNSIGNED-PAYLOAD"),
        tc3(method="GET", query="Limit=5", signed_query="Limit=6", body=b""),
        tc3(signed={"host": "127.0.0.2:8000"}),
        tc3(signed={"content-type": "text/plain"}),
        tc3(signed_path="/other"),
        changed(tc3(), authorization=tc3().headers["authorization"].replace("/scf/", "/cvm/")),
        form(Signature="AAAA"),
        form(Signature="é"),
        form(digest="sha256"),
        form(SignatureMethod="HmacSHA256"),
        form("GET", Signature=form("POST").body.decode()),
    ],
)
def test_any_other_signature_is_refused(http):
    assert refusal(http).code == "AuthFailure.SignatureFailure"


def test_a_wrong_signature_is_answered_with_what_should_have_been_signed():
    assert "'POST\\n/\\n\\ncontent-type:application/json\\nhost:127.0.0.1:8000" in str(refusal(tc3(key="another")))
    assert "'POST127.0.0.1:8000/?Action=…&Nonce=…&SecretId=…" in str(refusal(form(Signature="AAAA")))


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("Basic abc", "the only method is TC3-HMAC-SHA256"),
        ("TC3-HMAC-SHA256", "no `Credential`"),
        ("TC3-HMAC-SHA256 nonsense", "no `Credential`"),
        ("TC3-HMAC-SHA256 Credential=a/b/c/tc3_request, Signature=aa", "no `SignedHeaders`"),
        ("TC3-HMAC-SHA256 Credential=a/b/c/tc3_request, SignedHeaders=content-type;host", "no `Signature`"),
        ("TC3-HMAC-SHA256 Credential=a/b/tc3_request, SignedHeaders=host, Signature=aa", "SecretId/Date/Service"),
        ("TC3-HMAC-SHA256 Credential=a/b/c/aws4, SignedHeaders=host, Signature=aa", "SecretId/Date/Service"),
        ("TC3-HMAC-SHA256 Credential=/b/c/tc3_request, SignedHeaders=host, Signature=aa", "SecretId/Date/Service"),
        (
            "TC3-HMAC-SHA256 Credential=a/b/c/tc3_request, SignedHeaders=host, Signature=aa",
            "must include content-type",
        ),
        (
            "TC3-HMAC-SHA256 Credential=a/b/c/tc3_request, SignedHeaders=content-type;host;x-no, Signature=aa",
            "'x-no', which is not a header",
        ),
        (
            (
                f"TC3-HMAC-SHA256 Credential={SECRET_ID}/2023-11-15/scf/tc3_request, "
                "SignedHeaders=content-type;host, Signature=aa"
            ),
            "`Date` in Credential not valid",
        ),
        (
            "TC3-HMAC-SHA256 Credential=a/b/c/tc3_request, SignedHeaders=Content-Type;Host, Signature=aa",
            "must include content-type",
        ),
        ("SKIP", "it is SKIP"),
    ],
)
def test_a_malformed_authorization_is_refused_with_what_is_wrong(authorization, reason):
    error = refusal(changed(tc3(), authorization=authorization))

    assert error.code == "AuthFailure.InvalidAuthorization"
    assert reason in error.platform_message


def test_the_date_is_that_of_the_timestamp_in_utc():
    last, first = 1_699_999_999 // 86_400 * 86_400 - 1, 1_699_999_999 // 86_400 * 86_400

    assert verified(tc3(timestamp=last, date="2023-11-13"), real=last) == SECRET_ID
    assert verified(tc3(timestamp=first, date="2023-11-14"), real=first) == SECRET_ID
    assert refusal(tc3(timestamp=last, date="2023-11-14"), real=last).code == "AuthFailure.InvalidAuthorization"


@pytest.mark.parametrize("http", [tc3(), form()], ids=["TC3", "form"])
@pytest.mark.parametrize(("real", "simulated"), [(NOW + 300, 0), (NOW - 300, 0), (0, NOW + 300), (0, NOW - 300.0)])
def test_a_timestamp_five_minutes_from_either_clock_is_taken(http, real, simulated):
    assert verified(http, real=real, simulated=simulated) == SECRET_ID


@pytest.mark.parametrize(("http", "name"), [(tc3(), "X-TC-Timestamp"), (form(), "Timestamp")])
@pytest.mark.parametrize(("real", "simulated"), [(NOW + 301, 0), (0, NOW - 301), (NOW + 300.5, NOW - 300.5)])
def test_a_timestamp_further_away_is_refused(http, name, real, simulated):
    error = refusal(http, real=real, simulated=simulated)

    assert error.code == "AuthFailure.SignatureExpire"
    assert f"{name} is {NOW}" in error.platform_message


@pytest.mark.parametrize("http", [tc3(), form()], ids=["TC3", "form"])
def test_an_unknown_secret_id_is_refused_and_a_long_one_is_not_shown_whole(http):
    error = refusal(http, Credential("AKIDother", SECRET_KEY))

    assert error.code == "AuthFailure.SecretIdNotFound"
    assert error.platform_message.startswith("The SecretId is not found")  # clients look for it
    assert repr(SECRET_ID) in error.platform_message
    assert "scf_endpoint.secret_id" in error.platform_message
    assert "add_credentials" in error.platform_message
    long = refusal(form(SecretId="a-secret-key-in-the-wrong-place"))
    assert "'a-secret…'" in long.platform_message


@pytest.mark.parametrize(
    "with_token",
    [lambda token: changed(tc3(), x_tc_token=token), lambda token: form(Token=token)],
    ids=["TC3", "form"],
)
class TestToken:
    """A temporary key: the token is part of a form's signature, and not of TC3's."""

    TEMPORARY = Credential(SECRET_ID, SECRET_KEY, "tök", 5_000_000)

    def test_the_right_one_is_taken_until_it_expires(self, with_token):
        known = dataclasses.replace(self.TEMPORARY, token="tok")

        assert verified(with_token("tok"), known, simulated=4.999999) == SECRET_ID
        assert verified(with_token("tok"), dataclasses.replace(known, expires_us=None), simulated=1e9) == SECRET_ID
        assert self.reason(with_token("tok"), known, simulated=5) == "it has expired"

    def test_any_other_is_refused(self, with_token):
        assert self.reason(with_token("other"), self.TEMPORARY) == "it is not that of the key"
        assert self.reason(with_token(None), self.TEMPORARY) == "the key is temporary, and the request has none"
        assert self.reason(with_token("tok"), KEY) == "the key is not temporary and has none"

    def reason(self, http, credential, simulated=0):
        error = refusal(http, credential, simulated=simulated)
        assert error.code == "AuthFailure.TokenFailure"
        return error.platform_message.partition("correct: ")[2].rstrip(".")


@pytest.mark.parametrize(
    ("http", "name"),
    [
        (changed(tc3(), authorization=None), "Authorization"),
        (form(SecretId=None), "SecretId"),
        (form(SecretId=""), "SecretId"),
        (form(Nonce=None), "Nonce"),
        (form(Signature=""), "Signature"),
    ],
)
def test_a_request_without_its_signature_is_refused(http, name):
    error = refusal(http)

    assert error.code == "MissingParameter"
    assert f"`{name}`" in error.platform_message


def test_a_credential_shows_no_secret():
    assert repr(Credential("AKIDtest", "the-key", "the-token")) == "Credential(secret_id='AKIDtest', expires_us=None)"


def test_a_credential_that_is_added_replaces_the_one_of_its_id():
    known = Credentials(KEY)
    newer = Credential(SECRET_ID, "another")
    known.add(newer)

    assert known.find(SECRET_ID) is newer
    assert known.find("AKIDother") is None


def test_they_are_found_by_their_id_with_the_time_until_which_they_are_valid():
    issued = role_credentials(NOW * 1_000_000)
    secret_id, secret_key = issued["TENCENTCLOUD_SECRETID"], issued["TENCENTCLOUD_SECRETKEY"]

    assert Credentials().find(secret_id) == Credential(
        secret_id, secret_key, issued["TENCENTCLOUD_SESSIONTOKEN"], (NOW + 6 * 3600) * 1_000_000
    )


@pytest.mark.parametrize(
    "secret_id",
    [
        "AKIDtest",
        *(f"scf-async-secret-id-until-{until}" for until in ("", "now", "20260101T6000Z")),
    ],
)
def test_another_id_is_of_no_role(secret_id):
    assert Credentials().find(secret_id) is None
