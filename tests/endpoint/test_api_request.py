"""From HTTP to a request of the API: what real clients send, each thing that is refused, and anything else."""

from __future__ import annotations

import dataclasses
import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_requests import REQUESTS, SECRET_ID, SECRET_KEY

from pytest_scf_async.endpoint.form import DEEPEST, form_fields, form_tree
from pytest_scf_async.endpoint.http_request import HttpRequest
from pytest_scf_async.endpoint.request import ApiRequest, language_of, read_request
from pytest_scf_async.endpoint.signature import Credential, Credentials, verify
from pytest_scf_async.errors import ScfApiError

HEADERS = {
    "x-tc-action": "Invoke",
    "x-tc-version": "2018-04-16",
    "x-tc-timestamp": "1700000000",
    "content-type": "application/json",
}
COMMON = "Action=Invoke&Version=2018-04-16&Timestamp=1700000000"
KB, MB = 1024, 1024 * 1024


def post(body: bytes = b"{}", **headers: str | None) -> HttpRequest:
    """A POST with common headers; those that are None are left out."""
    sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return HttpRequest("POST", "/", "", {name: value for name, value in sent.items() if value is not None}, body)


def get(query: str, **headers: str) -> HttpRequest:
    return dataclasses.replace(post(b"", **headers), method="GET", query=query)


def form(body: str | bytes, content_type: str = "application/x-www-form-urlencoded") -> HttpRequest:
    body = body if isinstance(body, bytes) else body.encode()
    return HttpRequest("POST", "/", "", {"content-type": content_type}, body)


def refusal(http: HttpRequest) -> ScfApiError:
    with pytest.raises(ScfApiError) as caught:
        read_request(http)
    return caught.value


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_real_client_sends_is_read(name):
    request = read_request(REQUESTS[name])

    expected = {"FunctionName": "export"}
    if not name.startswith("tccli"):
        expected |= {
            "Status": ["RUNNING", "FAILED"],
            "StartTimeInterval": {"Start": "2026-01-01 00:00:00", "End": "2026-01-02 00:00:00"},
            "Limit": 5 if "TC3 POST" in name else "5",
        }
    assert request.parameters == expected
    assert request.typed is ("TC3 POST" in name)
    assert (request.action, request.version, request.region) == ("ListAsyncEvents", "2018-04-16", "ap-guangzhou")
    assert language_of(REQUESTS[name]) == "zh-CN"
    assert request.timestamp // 1_000_000 == 1_795
    assert request.client.startswith(("SDK_", "TENCENT_SDK_CAPI"))


def test_common_parameters_are_headers_and_the_rest_is_json():
    http = post(
        b'{"FunctionName":"f","Action":"x","Retry":null,"Big":-9223372036854775808,"Rate":0.5,"On":[true,{}]}',
        content_type="Application/JSON; charset=UTF-8",
        x_tc_region="ap-beijing",
        x_tc_language="en-US",
        x_tc_requestclient="test",
    )

    assert read_request(http) == ApiRequest(
        "Invoke",
        "2018-04-16",
        "ap-beijing",
        1_700_000_000,
        {"FunctionName": "f", "Action": "x", "Retry": None, "Big": -(2**63), "Rate": 0.5, "On": [True, {}]},
        True,
        "test",
    )


def test_common_parameters_are_headers_and_the_rest_is_the_query():
    request = read_request(get("FunctionName=a%20b+c%2B&Limit=5&Action=x", authorization="SKIP"))

    assert request.action == "Invoke"
    assert request.parameters == {"FunctionName": "a b c+", "Limit": "5", "Action": "x"}
    assert not request.typed


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", ""])
def test_all_parameters_are_one_form(content_type):
    """@tencent-sdk/capi sends it as application/json."""
    fields = "Region=r&Nonce=1&SecretId=i&Signature=s&SignatureMethod=m&Token=t&Language=en-US&RequestClient=c"

    request = read_request(form(f"{COMMON}&{fields}&FunctionName=f&Token.0=x", content_type))

    assert request == ApiRequest(
        "Invoke", "2018-04-16", "r", 1_700_000_000, {"FunctionName": "f", "Token": ["x"]}, False, "c"
    )


def test_all_parameters_are_one_query():
    assert read_request(HttpRequest("GET", "/", f"{COMMON}&A.0=x", {}, b"")).parameters == {"A": ["x"]}


@pytest.mark.parametrize(
    ("http", "name"),
    [
        (post(x_tc_action=None, authorization="SKIP"), "X-TC-Action"),
        (post(x_tc_version=None), "X-TC-Version"),
        (post(x_tc_timestamp=""), "X-TC-Timestamp"),
        (form("Version=2018-04-16&Timestamp=1"), "Action"),
        (form("Action=A&Timestamp=1"), "Version"),
        (form("Action=A&Version=2018-04-16"), "Timestamp"),
        (form(b'{"Action":"Invoke"}', "application/json"), "Action"),
        (form(""), "Action"),
    ],
)
def test_a_common_parameter_that_is_missing_is_named_as_it_would_be_sent(http, name):
    error = refusal(http)

    assert error.code == "MissingParameter"
    assert error.platform_message == f"The request is missing a required parameter `{name}`."


@pytest.mark.parametrize("timestamp", ["now", "1.5", "-1", "1" * 13, "1" * 9999, " 1", "١"])
def test_a_timestamp_is_whole_seconds(timestamp):
    for http in (post(x_tc_timestamp=timestamp), form(f"{COMMON[:-10]}{timestamp}")):
        error = refusal(http)
        assert error.code == "InvalidParameterValue"
        assert "Timestamp=" in error.platform_message
        assert len(error.platform_message) < 400


def test_a_language_is_one_of_two():
    error = refusal(post(x_tc_language="de"))

    assert error.code == "InvalidParameterValue"
    assert error.platform_message == "X-TC-Language='de' is not valid: it must be zh-CN or en-US."
    read_request(post(x_tc_language=""))  # the SDK of Go sends an empty one


@pytest.mark.parametrize(
    ("http", "language"),
    [
        (post(x_tc_language="en-US"), "en-US"),
        (post(x_tc_language="zh-CN"), "zh-CN"),
        (post(x_tc_language=""), "zh-CN"),
        (post(x_tc_language="de"), "zh-CN"),
        (post(), "zh-CN"),
        (post(b"{", x_tc_language="en-US"), "en-US"),
        (post(b"{", x_tc_language="en-US", x_tc_action=None), "en-US"),
        (form(f"{COMMON}&Language=en-US"), "en-US"),
        (form("Language=en-US"), "en-US"),
        (HttpRequest("GET", "/", f"{COMMON}&Language=en-US", {}, b""), "en-US"),
        (form("Language=en-US&%zz"), "zh-CN"),
        (form(COMMON), "zh-CN"),
    ],
)
def test_a_language_is_known_before_the_request_is_read(http, language):
    assert language_of(http) == language


@pytest.mark.parametrize("method", ["PUT", "post", "", "\0400 Bad request"])
def test_any_other_method_is_refused(method):
    error = refusal(dataclasses.replace(post(), method=method))

    assert error.code == "UnsupportedProtocol"
    assert error.platform_message == f"The HTTP method {method!r} is not supported: it must be GET or POST."


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "json"])
def test_a_post_with_common_headers_is_json(content_type):
    error = refusal(post(content_type=content_type))

    assert error.code == "UnsupportedProtocol"
    assert error.platform_message.endswith("is not supported: it must be application/json.")


@pytest.mark.parametrize("headers", [{}, {"x_tc_action": None}])
def test_multipart_is_for_other_services(headers):
    assert refusal(post(b"--b--", content_type="Multipart/Form-Data; boundary=b", **headers)).code == "InvalidRequest"


@pytest.mark.parametrize(
    ("limit", "make", "code"),
    [
        (32 * KB, lambda size: get("A=" + "x" * (size - 3)), "RequestSizeLimitExceeded"),
        (10 * MB, lambda size: post(b'{"A":"' + b"x" * (size - 8) + b'"}'), "RequestSizeLimitExceeded"),
        (MB, lambda size: form(f"{COMMON}&A=".ljust(size, "x")), "AuthFailure.SignatureFailure"),
    ],
    ids=["GET", "POST", "signed form"],
)
def test_a_request_has_a_largest_size(limit, make, code):
    assert len(str(read_request(make(limit)).parameters["A"])) > limit - 100

    error = refusal(make(limit + 1))
    assert error.code == code
    assert str(limit + 1) in error.platform_message
    assert str(limit) in error.platform_message.replace(str(limit + 1), "")


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        (b"", "JSON, and nothing else"),
        (b"{", "JSON, and nothing else"),
        (b"{} {}", "JSON, and nothing else"),
        (b"{'a': 1}", "JSON, and nothing else"),
        (b'\xef\xbb\xbf{"a": 1}', "JSON, and nothing else"),
        (b'{"a": 1'.ljust(10**6, b"0"), "JSON whose integers have 64 bits"),
        (b"[]", "a JSON object"),
        (b'"text"', "a JSON object"),
        (b"null", "a JSON object"),
        (b'{"a": NaN}', "JSON, which has no NaN"),
        (b'{"a": [-Infinity]}', "JSON, which has no -Infinity"),
        (b'{"a": 1e999}', "JSON whose numbers fit into 64 bits"),
        (b'{"a": 123456789012345678901}', "JSON whose integers have 64 bits"),
        (b'{"a": 1, "a": 1}', "JSON whose objects have each name once"),
        (b'{"b": {"a": 1, "a": 1}}', "JSON whose objects have each name once"),
        (b'{"a": "\xff"}', "JSON in UTF-8"),
        ('{"a": "x"}'.encode("utf-16"), "JSON in UTF-8"),
        (rb'{"a": ["\ud800"]}', "JSON whose strings are Unicode"),
        (rb'{"\udfff": 1}', "JSON whose strings are Unicode"),
        (b'{"a": "\xed\xa0\x80"}', "JSON in UTF-8"),
        (rb'{"a": {"b": "x\u0000"}}', "JSON whose strings have no NUL"),
        (b'{"a": "x\0"}', "JSON, and nothing else"),
    ],
)
def test_a_body_that_is_no_json_object_of_the_api_is_refused(body, valid):
    error = refusal(post(body))

    assert error.code == "InvalidParameter"
    assert error.platform_message.startswith(f"the body is not valid: it must be {valid}")


@pytest.mark.interpreter
@pytest.mark.parametrize("depth", [DEEPEST, 500, 100_000, 5_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_body_that_is_nested_too_deeply_is_refused(depth, opening, closing):
    body = b'{"a":' + opening * depth + b"1" + closing * depth + b"}"
    error = refusal(post(body[: 10 * MB]))

    assert error.code == "InvalidParameter"
    assert f"{DEEPEST} lists and objects" in error.platform_message
    level = read_request(post(b'{"a":' + opening * (DEEPEST - 1) + b"1" + closing * (DEEPEST - 1) + b"}"))
    assert level.parameters["a"]


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("A=1&B=", {"A": "1", "B": ""}),
        ("A", {"A": ""}),
        ("&&A=x=y&", {"A": "x=y"}),
        ("%41%2e0=%E5%AF%BC+%2B", {"A": ["导 +"]}),
        ("A.1=b&A.0=a", {"A": ["a", "b"]}),
        ("A.10=c&A.9=b&A.2=a", {"A": ["a", "b", "c"]}),  # the SDKs of Go and Node.js leave gaps
        ("A.0.0=a&A.0.1=b&A.1.0=c", {"A": [["a", "b"], ["c"]]}),
        ("Code.ZipFile=UEs=", {"Code": {"ZipFile": "UEs="}}),
        (
            "E.Variables.0.Key=k&E.Variables.0.Value=v&E.Variables.1.Key=l",
            {"E": {"Variables": [{"Key": "k", "Value": "v"}, {"Key": "l"}]}},
        ),
        ("A.01=x", {"A": {"01": "x"}}),
        ("A.x=1&A.y=2", {"A": {"x": "1", "y": "2"}}),
        ("0=x&1=y", {"0": "x", "1": "y"}),
        ("__proto__.constructor=x", {"__proto__": {"constructor": "x"}}),
        ("A.-1=x", {"A": {"-1": "x"}}),
        ("A.١=x", {"A": {"١": "x"}}),
    ],
)
def test_names_of_a_form_make_lists_and_structs(query, tree):
    assert form_tree(form_fields(query.encode(), "the query")) == tree


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("A=1&A=2", "A"),
        ("A=1&A.0=2", "A.0"),
        ("A.0=1&A=2", "A"),
        ("A.0=1&A.0.B=2", "A.0.B"),
        ("A.0.B=1&A.0=2", "A.0"),
        ("A.0=1&A.B=2", "A"),
        ("A.0.0=1&A.0.B=2", "A.0"),
        ("=1", ""),
        (".A=1", ".A"),
        ("A.=1", "A."),
        ("A..B=1", "A..B"),
        (".".join("A" * (DEEPEST + 1)) + "=1", ".".join("A" * (DEEPEST + 1))),
        ("A.1" * 10_000, ("A.1" * 34)[:100]),
        ("%=1", "the query"),
        ("A=%4", "the query"),
        ("A=%zz", "the query"),
        ("A=%u0041", "the query"),
        ("A=%FF", "the query"),
        ("%ED%A0%80=1", "the query"),
        ("A=%00", "A"),
        ("A%00=1", "A\\0"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(query, name):
    error = refusal(get(query))

    assert error.code == "InvalidParameter"
    assert error.platform_message.startswith(f"{name} is not valid: it must be ")


def test_a_query_that_is_not_escaped_is_read_as_its_bytes():
    assert read_request(get("A=导".encode().decode("latin-1"))).parameters == {"A": "导"}


NAMES = st.text(alphabet=st.characters(exclude_characters=".\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
TEXTS = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        TEXTS,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(NAMES.filter(lambda name: not name.isdecimal()), inner, min_size=1, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


def flattened(value: object, name: str = "") -> dict[str, str]:
    """The fields of a form, as the SDK of Python makes them."""
    if isinstance(value, str):
        return {name: value}
    pairs = enumerate(value) if isinstance(value, list) else value.items()
    fields: dict[str, str] = {}
    for key, inner in pairs:
        fields |= flattened(inner, f"{name}.{key}" if name else str(key))
    return fields


@given(TREES, st.randoms(use_true_random=False))
def test_a_tree_of_texts_comes_back_from_a_form(tree, random):
    fields = list(flattened(tree).items())
    random.shuffle(fields)

    assert form_tree(form_fields(urlencode(fields).encode(), "the body")) == tree


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, JSON_VALUES, max_size=4), st.booleans())
def test_an_object_comes_back_from_json(tree, escaped):
    assert read_request(post(json.dumps(tree, ensure_ascii=escaped).encode())).parameters == tree


HEADER_NAMES = sorted({name for http in REQUESTS.values() for name in http.headers} | {"x-tc-content-sha256"})
FORM_NAMES = [
    "Action",
    "Version",
    "Timestamp",
    "Nonce",
    "SecretId",
    "Signature",
    "Token",
    "Language",
    "A",
    "A.0",
    "A.B",
]
ANY_TEXT = st.text(max_size=20)
HEADER_VALUES = ANY_TEXT | st.sampled_from(
    ["SKIP", "", "application/json", "multipart/form-data", "1700000000", "TC3-HMAC-SHA256 Credential=a/b/c/d"]
)
FORMS = st.lists(
    st.tuples(st.sampled_from(FORM_NAMES) | ANY_TEXT, ANY_TEXT | st.just(SECRET_ID) | st.just("1700000000")),
    max_size=12,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
BODIES = (
    st.binary(max_size=50)
    | FORMS.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | st.text(alphabet='{}[]":,\\ud8001eE-. NaInfity', max_size=40).map(str.encode)
)
HTTP = st.builds(
    HttpRequest,
    st.sampled_from(["GET", "POST"]) | ANY_TEXT,
    st.just("/") | ANY_TEXT,
    FORMS | ANY_TEXT,
    st.dictionaries(st.sampled_from(HEADER_NAMES) | ANY_TEXT, HEADER_VALUES, max_size=8),
    BODIES,
)


@st.composite
def damaged(draw: st.DrawFn) -> HttpRequest:
    """A request of a real client, of which a few things are not as they were."""
    http = REQUESTS[draw(st.sampled_from(sorted(REQUESTS)))]
    headers = dict(http.headers)
    for name in draw(st.lists(st.sampled_from(sorted(headers)), max_size=2, unique=True)):
        value = headers.pop(name)
        kind = draw(st.sampled_from(["gone", "other", "cut", "spliced"]))
        if kind != "gone":
            cut = draw(st.integers(0, len(value)))
            headers[name] = {"other": draw(HEADER_VALUES), "cut": value[:cut]}.get(
                kind, value[:cut] + draw(ANY_TEXT) + value[cut + draw(st.integers(0, 4)) :]
            )
    cut = draw(st.integers(0, len(http.body)))
    body = draw(st.sampled_from([http.body, http.body[:cut] + draw(st.binary(max_size=4)) + http.body[cut:]]) | BODIES)
    cut = draw(st.integers(0, len(http.query)))
    query = draw(st.sampled_from([http.query, http.query[:cut] + draw(ANY_TEXT) + http.query[cut:]]) | FORMS)
    return HttpRequest(http.method, draw(st.sampled_from(["/", http.path, "/é"])), query, headers, body)


@given(HTTP | damaged())
@settings(max_examples=500)
def test_whatever_arrives_is_read_or_refused_in_the_platforms_codes(http):
    known = Credentials(Credential(SECRET_ID, SECRET_KEY), Credential("", "é"))
    error = request = None
    try:
        request = read_request(http)
        verify(http, request, known, real_seconds=request.timestamp, simulated_seconds=0.0)
    except ScfApiError as refused:
        error = refused
    if request is not None:
        assert json.dumps(request.parameters, allow_nan=False, ensure_ascii=False).encode()
    if error is not None:
        assert re.fullmatch(r"[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]+)?", error.code)
        assert len(error.platform_message) < 3_000
