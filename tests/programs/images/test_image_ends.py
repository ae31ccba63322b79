"""How events of an image end whose program is Python: by its answers, its exits, its time, its memory."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from image_support import COLD, program
from process_support import assert_body, assert_end, assert_kept, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async import assert_finished

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

FAILED_AT_ONCE = ["END", "REPORT 0ms"]


def test_what_the_program_answers_is_the_result_and_the_instance_is_kept(deploy_image):
    function = deploy_image(program("def handle(event, request): return {'got': event}"))

    event = function.invoke_async({"text": "你好"}).wait()

    log = [*COLD, 'RESPONSE {"got": {"text": "\\u4f60\\u597d"}}', "END", "REPORT 0ms"]
    assert_end(event, "FINISHED", 200, log=log)
    assert event.result == {"got": {"text": "你好"}}
    assert_kept(event)


def test_simulated_time_passes_in_the_program(deploy_image, runtime):
    event = deploy_image(program("def handle(event, request): time.sleep(86_000); return 1")).invoke_async().wait()

    assert_end(event, "FINISHED", 200, after=86_000, log=[*COLD, "RESPONSE 1", "END", "REPORT 86000000ms"])
    assert runtime.clock.now == event.ended_at


@pytest.mark.parametrize(
    ("body", "result"),
    [
        pytest.param(b'{"a": [1, null]}', {"a": [1, None]}, id="JSON"),
        pytest.param(b'\n "text"\n', "text", id="JSON with spaces around it"),
        pytest.param(b"plain words", "plain words", id="any other text"),
        pytest.param("wörter".encode(), "wörter", id="text that is not ASCII"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"NaN", "NaN", id="what only Python takes for JSON"),
    ],
)
def test_a_body_is_the_result_as_json_or_as_a_text(deploy_image, body, result):
    event = deploy_image(program(f"def handle(event, request): return {body!r}")).invoke_async().wait()

    assert event.result == result


def test_a_body_that_is_no_text_is_the_result_as_bytes(deploy_image):
    event = deploy_image(program("def handle(event, request): return b'\\x89PNG'")).invoke_async().wait()

    assert event.result == b"\x89PNG"
    assert_end(event, "FINISHED", 200, log=[*COLD, 'RESPONSE "�PNG"', "END", "REPORT 0ms"])
    assert_finished(event, result=b"\x89PNG")
    for wanted, shown in ((b"\x88PNG", r"the result of 4 bytes that are not text: b'\x88PNG'"), ("�PNG", '"�PNG"')):
        with pytest.raises(AssertionError) as failure:
            assert_finished(event, result=wanted)
        expected, found = str(failure.value).split("\n")[:2]
        assert shown in expected + found
        assert r"the result of 4 bytes that are not text: b'\x89PNG'" in expected + found


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "Bad Request"), (404, "Not Found"), (500, "Internal Server Error"), (302, "Found")]
)
def test_an_answer_that_is_not_2xx_is_an_error_of_user_code(deploy_image, status, reason):
    function = deploy_image(program(f"def handle(event, request): raise Answer({status}, b'no such row')"))

    event = function.invoke_async().wait()

    assert_end(event, "FAILED", 430, log=[*COLD, "ERROR 430", *FAILED_AT_ONCE])
    trace = f"POST /event-invoke was answered with HTTP {status} {reason}: no such row"
    assert_body(event, errorCode=1, errorMessage="user code exception caught", stackTrace=trace)
    assert_reclaimed_for_good(event, "raised")


def test_a_long_error_page_is_reported_in_part(deploy_image):
    event = deploy_image(program("def handle(event, request): raise Answer(500, b'x' * 100_000)")).invoke_async().wait()

    assert event.error["stackTrace"].endswith("xxx… (98,000 more characters)")
    assert len(event.error["stackTrace"]) < 2_200


def test_an_accepted_answer_is_a_return(deploy_image):
    event = deploy_image(program("def handle(event, request): raise Answer(202, b'7')")).invoke_async().wait()

    assert event.result == 7


RAW = """
import socket
listening = socket.create_server(("0.0.0.0", 9000))
while True:
    connection, _ = listening.accept()
    received = connection.recv(65_536)
    {answer}
    connection.close()
"""


@pytest.mark.parametrize(
    ("answer", "trace"),
    [
        pytest.param(
            'connection.sendall(b"hello\\n")',
            "the program's answer to POST /event-invoke is not a complete HTTP response (BadStatusLine: hello",
            id="no HTTP",
        ),
        pytest.param(
            'connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf")',
            "the program's answer to POST /event-invoke is not a complete HTTP response (IncompleteRead: ",
            id="half of it",
        ),
        pytest.param("pass", "the program closed the connection of POST /event-invoke without an answer", id="nothing"),
    ],
)
def test_what_is_no_answer_is_an_error_of_user_code(deploy_image, answer, trace):
    event = deploy_image(RAW.format(answer=answer)).invoke_async().wait()

    assert_end(event, "FAILED", 430, log=[*COLD, "ERROR 430", *FAILED_AT_ONCE])
    assert event.error["stackTrace"].startswith(trace)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param("HTTP/1.0 200 OK\r\n\r\n[1]", [1], id="ended by the connection's end"),
        pytest.param("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1]", [1], id="HTTP/1.1 without a length"),
        pytest.param(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n", [1], id="in chunks"
        ),
        pytest.param(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", [1], id="100 comes first"
        ),
        pytest.param("HTTP/1.1 204 No Content\r\n\r\n", "", id="204"),
        pytest.param("HTTP/1.1 200\r\ncontent-length:3\r\n\r\n[1]", [1], id="no reason, other case"),
    ],
)
def test_every_form_of_an_answer_is_understood(deploy_image, answer, result):
    event = deploy_image(RAW.format(answer=f"connection.sendall({answer.encode()!r})")).invoke_async().wait()

    assert event.result == result


def test_an_answer_in_chunks_is_whole_with_its_last_chunk(deploy_image):
    # the data of the first chunk ends as the last one does
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n[0\r\n\r\n"
    rest = b"\r\n1\r\n]\r\n0\r\n\r\n"
    answer = f"connection.sendall({first!r}); import time; time.sleep(5); connection.sendall({rest!r})"
    event = deploy_image(RAW.format(answer=answer)).invoke_async().wait()

    assert (event.result, event.duration) == ([0], timedelta(seconds=5))


def test_an_answer_in_two_parts_ends_the_event_with_the_second(deploy_image):
    answer = (
        'connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\n12"); import time; time.sleep(7); '
        'connection.sendall(b"34")'
    )
    event = deploy_image(RAW.format(answer=answer)).invoke_async().wait()

    assert (event.result, event.duration) == (1234, timedelta(seconds=7))


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("sys.exit(0)", "exit code 0"),
        ("sys.exit('words')", "exit code 1"),
        ("os.abort()", "killed by SIGABRT (signal 6)"),
    ],
)
def test_a_program_that_ends_in_an_event_is_439(deploy_image, end, how):
    # http.server catches SystemExit nowhere; it comes out of serve_forever and ends the program
    event = deploy_image(program(f"def handle(event, request): {end}")).invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert_body(event, errorCode=-1, errorMessage="User process exit when running")
    assert f"the process ended: {how}" in event.timeline
    assert_reclaimed_for_good(event, "process exited")


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "raise ValueError('no configuration')", "os._exit(0)"])
def test_a_program_that_ends_before_it_listens_is_439(deploy_image, end):
    event = deploy_image(f"import os, sys\nprint('starting', flush=True)\n{end}\n").invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert user_lines(event)[0] == "starting"
    assert ("ValueError: no configuration" in user_lines(event)) is ("ValueError" in end)
    assert short_log(event)[-4:-2] == ["INIT 0ms", "ERROR 439"]
    assert_reclaimed_for_good(event, "process exited")


def test_a_program_that_ends_long_after_its_start_is_439_at_that_time(deploy_image):
    event = deploy_image("import time; time.sleep(12)").invoke_async().wait()

    assert_end(event, "FAILED", 439, after=12, log=["START", "INIT 12000ms", "ERROR 439", "END", "REPORT 12000ms"])


def test_exit_functions_of_a_program_run_at_its_end(deploy_image):
    source = "import atexit; atexit.register(print, 'bye')\n" + program("def handle(event, request): sys.exit()")

    assert user_lines(deploy_image(source).invoke_async().wait())[-1] == "bye"


def test_the_timeout_counts_from_when_the_program_listens(deploy_image):
    source = "import time; time.sleep(10)\n" + program("def handle(event, request): time.sleep(1000)")
    event = deploy_image(source, timeout=3).invoke_async().wait()

    assert_end(event, "FAILED", 433, after=13, log=["START", "INIT 10000ms", "ERROR 433", "END", "REPORT 3000ms"])


def test_a_result_may_have_6_mb(deploy_image):
    size = 6 * 1024 * 1024 - 2
    event = deploy_image(program(f"def handle(event, request): return 'x' * {size}")).invoke_async().wait()

    assert event.status_code == 200
    assert len(event.result) == size


def test_a_big_answer_from_a_file(deploy_image, tmp_path):
    (tmp_path / "answer.json").write_text(f'"{"x" * 3_000_000}"')
    answer = f"""connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
    with open({str(tmp_path / "answer.json")!r}, "rb") as file:
        connection.sendfile(file)"""

    event = deploy_image(RAW.format(answer=answer)).invoke_async().wait()

    assert event.result == "x" * 3_000_000


def test_a_payload_of_128_kb_arrives_whole(deploy_image):
    payload = {"text": "x" * (128 * 1024 - 20)}
    event = deploy_image(program("def handle(event, request): return event")).invoke_async(payload).wait()

    assert event.result == payload


def test_an_event_without_a_payload_is_an_empty_object(deploy_image):
    source = program("def handle(event, request): return [event, request.headers['Content-Length']]")

    assert deploy_image(source).invoke_async().wait().result == [{}, "2"]


def test_a_function_without_async_execution_keeps_its_instance_after_an_error(deploy_image):
    function = deploy_image(program("def handle(event, request): raise Answer(500, b'no')"), async_run=False)

    with pytest.raises(Exception, match="HTTP 500") as raised:
        function.run()

    assert type(raised.value).__name__ == "HandlerError"
    assert_kept(function.events[0])


def test_the_result_is_json_on_one_line(deploy_image):
    body = json.dumps({"a": 1}, indent=1).encode()
    event = deploy_image(program(f"def handle(event, request): return {body!r}")).invoke_async().wait()

    assert event.result == {"a": 1}
    assert "\n" not in next(line.text for line in event.log if line.text.startswith("Response"))
