"""Below ``/_scf/`` the endpoint is nobody else's, no web page's and no handler's; each odd request has its answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from runtimes_table import file_in

from pytest_scf_async import ScfEndpoint, ScfRuntime, ScfSettings, assert_finished
from pytest_scf_async.scripted import finished

# once: rules of the endpoint: the same on all Pythons
pytestmark = pytest.mark.once


def asked(
    endpoint: ScfEndpoint, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any, Any]:
    """The status, the JSON and the headers that a request gets, which has no header but *headers* and what it needs."""
    connection = http.client.HTTPConnection(endpoint.address, timeout=60)
    sent = {"Host": endpoint.address, **(headers or {})}
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


# -- web pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "scf.tencentcloudapi.com", ""])
def test_a_host_that_is_no_loopback_is_refused(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, host: str) -> None:
    began = scf_runtime.clock.now

    for port in ("", ":40001"):
        headers = {"Host": f"{host}{port}"}
        status, answer, _ = asked(scf_endpoint, "POST", "/_scf/clock/advance", b'{"seconds": 60}', headers)

        assert status == 403
        assert answer["error"]["message"] == (
            f"POST /_scf/clock/advance is refused: its Host is '{host}{port}'; below /_scf/ it must be an address of "
            "the loopback, such as 127.0.0.1, or localhost, so that no web page has another name for it"
        )
    assert scf_runtime.clock.now == began


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3:80", "localhost", "LocalHost:40001", "[::1]", "[::1]:40001"])
def test_a_host_of_the_loopback_is_answered(scf_endpoint: ScfEndpoint, host: str) -> None:
    assert asked(scf_endpoint, "GET", "/_scf/clock", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8080", ""])
def test_any_origin_is_refused(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, origin: str) -> None:
    began = scf_runtime.clock.now

    for method, path in (("POST", "clock/advance"), ("POST", "reset"), ("OPTIONS", "reset"), ("GET", "calls")):
        status, answer, headers = asked(
            scf_endpoint, method, f"/_scf/{path}", b'{"seconds": 60}', {"Origin": origin, "Content-Type": "text/plain"}
        )

        assert status == 403
        assert f"{method} /_scf/{path} is refused: it has an Origin ('{origin}')" in answer["error"]["message"]
        assert not any(name.lower().startswith("access-control-") for name in headers)
    assert scf_runtime.clock.now == began


def test_the_api_asks_for_neither(scf_endpoint: ScfEndpoint) -> None:
    """There a key is asked for, and clients have hosts of the platform."""
    headers = {"Host": "scf.tencentcloudapi.com", "Origin": "http://evil.example"}

    status, answer, _ = asked(scf_endpoint, "GET", "/", headers=headers)

    assert (status, answer["Response"]["Error"]["Code"]) == (200, "MissingParameter")


# -- handlers --------------------------------------------------------------------------------------------------------

ASKS = """
import time, urllib.error, urllib.request

def main_handler(event, context):
    began = time.time()
    try:
        urllib.request.urlopen(event["url"], b"{}" if event["posts"] else None)
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode(), time.time() - began]
"""


@pytest.mark.parametrize("path", ["clock/advance", "events/$ID/wait", "clock"])
@pytest.mark.parametrize("by", ["name", "address"])
def test_a_handler_is_told_at_once(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path, path: str, by: str
) -> None:
    other = scf_runtime.deploy_scripted("other", [finished()]).invoke_async()
    file_in(tmp_path, "index.py", ASKS)
    function = scf_runtime.deploy(f"{tmp_path}/index.py:main_handler", network="all" if by == "address" else "loopback")
    url = scf_endpoint.url if by == "address" else "http://scf.tencentcloudapi.com"
    sent = {"url": f"{url}/_scf/{path.replace('$ID', other.request_id)}", "posts": path != "clock"}

    event = function.invoke_async(sent).wait()

    assert_finished(event)
    status, answer, seconds = event.result
    assert (status, seconds) == (409, 0)
    sentence = json.loads(answer)["error"]["message"]
    assert sentence.endswith(
        "is refused: it comes from a handler of this test, whose event would wait for itself; a handler calls the API, "
        "and the test moves the clock"
    )


# -- what else is odd ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/_scf//clock", "/_scf/clock//advance", "/_scf//clock/", "/_scf/events//wait"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_with_two_slashes_leads_nowhere(scf_endpoint: ScfEndpoint, method: str, path: str) -> None:
    status, answer, headers = asked(scf_endpoint, method, path, b'{"seconds": 60}')

    assert (status, headers["Location"]) == (404, None)
    assert answer["error"]["message"].startswith(f"{method} {path}: there is no such path; valid paths are ")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "MissingParameter: The request is missing a required parameter `seconds`."),
        (b"seconds=60", "InvalidParameter: the body is not valid: it must be JSON, and nothing else is before"),
        (b"[60]", "InvalidParameter: the body is not valid: it must be a JSON object"),
        (b'{"seconds": NaN}', "InvalidParameter: the body is not valid: it must be JSON, which has no NaN"),
        (b'{"seconds": 1, "seconds": 2}', "JSON whose objects have each name once"),
        (b'{"seconds": "60"}', "InvalidParameter: seconds is not valid: it must be a number"),
        (b"\xff", "it must be JSON in UTF-8"),
    ],
)
def test_an_advance_without_json(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, body: bytes, sentence: str
) -> None:
    began = scf_runtime.clock.now

    status, answer, _ = asked(scf_endpoint, "POST", "/_scf/clock/advance", body)

    assert (status, scf_runtime.clock.now) == (400, began)
    assert sentence in answer["error"]["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_whatever_type_json_is_said_to_be(scf_endpoint: ScfEndpoint, content_type: str) -> None:
    headers = {"Content-Type": content_type}

    assert asked(scf_endpoint, "POST", "/_scf/clock/advance", b'{"seconds": 60}', headers)[0] == 200


def test_the_end_of_time(scf_settings: ScfSettings) -> None:
    with ScfRuntime(scf_settings) as runtime, ScfEndpoint(runtime) as endpoint:
        runtime.clock.move_to(datetime(9998, 12, 31, 23, 59, 58, tzinfo=timezone.utc))
        runtime.deploy_scripted("export", [finished()]).invoke_async()

        def moved(path: str, **sent: object) -> tuple[int, Any]:
            return asked(endpoint, "POST", f"/_scf/{path}", json.dumps(sent).encode())[:2]

        assert moved("clock/advance", seconds=1) == (200, {"now": "9998-12-31T23:59:59+00:00"})
        status, answer = moved("clock/advance", seconds=1)
        assert status == 400
        assert "advance(duration) is 1, which ends after the year 9998; it is 9998-12-31" in answer["error"]["message"]
        status, answer = moved("clock/move_to", when="9999-01-01T00:00:00+00:00")
        assert status == 400
        assert "move_to(when) is 9999-01-01T00:00:00+00:00, which is after the year 9998" in answer["error"]["message"]
        for path in ("clock", "events", "calls"):
            assert asked(endpoint, "GET", f"/_scf/{path}")[0] == 200


# -- Date ------------------------------------------------------------------------------------------------------------


def test_the_date_is_the_platforms_time(scf_settings: ScfSettings) -> None:
    start = datetime(2031, 3, 5, 7, 11, 13, tzinfo=timezone.utc)
    with ScfRuntime(scf_settings.replace("test", start=start)) as runtime, ScfEndpoint(runtime) as endpoint:
        runtime.clock.advance(60)

        for path in ("/", "/_scf/clock", "http://[::x/"):  # the last is no HTTP
            _, _, headers = asked(endpoint, "GET", path)
            assert parsedate_to_datetime(headers["Date"]) == start.replace(minute=12)
