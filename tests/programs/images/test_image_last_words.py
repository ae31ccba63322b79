"""An answer of an image's program ends its event, whatever the program does next: it ends, or works on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from image_support import program
from process_support import RECEIVED, eventually, is_gone, short_log, user_lines

from pytest_scf_async import assert_finished, assert_signal_handled

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

STOPS = """
stopping = False

def on_sigterm(signum, frame):
    global stopping
    stopping = True

signal.signal(signal.SIGTERM, on_sigterm)

def handle(event, request):
    print("working", flush=True)
    rows = 0
    while not stopping and rows < event["rows"]:
        time.sleep(1)
        rows += 1
    return rows
"""
UNTIL_STOPPED = """
server = HTTPServer(("0.0.0.0", 9000), Platform)
while not stopping:
    server.handle_request()
server.server_close()
print("clean exit", flush=True)
"""
ENDS = {
    "the end of its main module": "",
    "sys.exit": "sys.exit(3)",
    "os._exit": "os._exit(0)",
    "an exception": "raise RuntimeError('at the end')",
    "another program": "os.execv('/bin/true', ['true'])",
    "SIGKILL to itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "abort": "os.abort()",
}
HEAD = "HTTP/1.1 200 OK\\r\\n"
AFTER_THE_ANSWER = """
class Server(HTTPServer):
    def shutdown_request(self, request):
        super().shutdown_request(request)
        {after}

Server(("0.0.0.0", 9000), Platform).serve_forever()
"""


def until_stopped(end: str = "") -> str:
    return program(STOPS).rpartition("\nHTTPServer(")[0] + UNTIL_STOPPED + end


def and_after_the_answer(after: str) -> str:
    return program(STOPS).rpartition("\nHTTPServer(")[0] + AFTER_THE_ANSWER.format(after=after)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("free_running", [False, True], ids=["simulated", "free-running"])
def test_the_program_answers_and_ends(deploy_image, deploy_free, end, free_running):
    function = (deploy_free if free_running else deploy_image)(until_stopped(ENDS[end]))
    event = function.invoke_async({"rows": 10_000})
    event.wait_for_log("working")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_finished(event)
    assert RECEIVED in short_log(event)
    if free_running:
        return  # it is frozen, or was quicker and is gone
    assert_signal_handled(event)
    assert "clean exit" in user_lines(event)
    assert eventually(lambda: is_gone(event.instance.pid))
    again = function.invoke_async({"rows": 0}).wait()
    assert (again.status_code, again.result, again.instance.cold) == (200, 0, True)


@pytest.mark.parametrize("said", [HEAD + "Content-", HEAD + "Content-Length: 3\\r\\n\\r\\n1"])
@pytest.mark.parametrize("free_running", [False, True], ids=["simulated", "free-running"])
def test_the_program_ends_within_its_answer(deploy_image, deploy_free, said, free_running):
    handle = f'def handle(event, request): os.write(request.connection.fileno(), b"{said}"); os._exit(0)'
    event = (deploy_free if free_running else deploy_image)(program(handle)).invoke_async().wait()

    assert event.status_code == 439


@pytest.mark.parametrize("free_running", [False, True], ids=["simulated", "free-running"])
def test_the_end_of_the_program_is_that_of_an_answer_without_a_length(deploy_image, deploy_free, free_running):
    handle = f'def handle(event, request): os.write(request.connection.fileno(), b"{HEAD}\\r\\n12"); os._exit(0)'
    event = (deploy_free if free_running else deploy_image)(program(handle)).invoke_async().wait()

    assert (event.status_code, event.result) == (200, 12)


@pytest.mark.parametrize(
    "signals",
    [
        "signal.raise_signal(signal.SIGUSR1)",
        "os.kill(os.getpid(), signal.SIGUSR1)",
        "signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)",
        "os.kill(os.getpid(), signal.SIGWINCH)",
        "os.kill(os.getpid(), 0)",
        "attempt(os.killpg, 2**22 - 1, signal.SIGKILL)",  # a group that is not there
        "attempt(os.execv, '/no/such/program', ['x'])",
    ],
)
def test_a_signal_that_ends_nothing_ends_no_answer(deploy_image, signals):
    handle = f"""
    def attempt(function, *arguments):
        try:
            function(*arguments)
        except OSError:
            pass

    signal.signal(signal.SIGUSR1, lambda signum, frame: None)

    def handle(event, request):
        request.connection.sendall(b"{HEAD}\\r\\n1")  # its end is that of the connection
        {signals}
        request.connection.sendall(b"2")
        request.close_connection = True
        request.send_response = request.send_header = lambda *_: None
        request.end_headers = lambda: None
        return b""
    """
    function = deploy_image(program(handle))
    for cold in (True, False):
        event = function.invoke_async().wait()
        assert (event.status_code, event.result, event.instance.cold) == (200, 12, cold)


@pytest.mark.parametrize(
    "after",
    ["[time.sleep(1) for _ in range(100)]", "[threading.Event().wait(1) for _ in range(100)]", "time.sleep(100)"],
)
def test_what_it_does_after_its_answer_takes_no_time_of_the_event(deploy_image, make_runtime, runtime, after):
    durations = []
    for leases in (True, False):
        function = deploy_image(and_after_the_answer(after), to=make_runtime(leases=leases), timeout=50)
        event = function.invoke_async({"rows": 5}).wait()
        assert event.status_code == 200
        durations.append(event.duration)

    assert durations == [timedelta(seconds=5)] * 2


def test_an_answer_is_there_when_it_is_given(deploy_image, runtime):
    event = deploy_image(and_after_the_answer("[time.sleep(1) for _ in range(100)]")).invoke_async({"rows": 5})
    runtime.clock.advance(20)

    assert (event.status, event.duration) == ("FINISHED", timedelta(seconds=5))


@pytest.mark.parametrize("free_running", [False, True], ids=["simulated", "free-running"])
@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("b'HTTP/1.1 103 Early Hints\\r\\nLink: x\\r\\n\\r\\n' + WHOLE", 12),
        ("b'HTTP/1.1 102 Processing\\r\\n\\r\\nHTTP/1.1 103 Early Hints\\r\\n\\r\\n' + WHOLE", 12),
        ("HEAD % 200_000 + b'[' * 100_000 + b']' * 100_000", "[" * 100_000 + "]" * 100_000),
    ],
    ids=["early hints", "two of them", "deep"],
)
def test_unusual_answers(deploy_image, deploy_free, answer, result, free_running):
    handle = f"""
    HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n"
    WHOLE = HEAD % 2 + b"12"
    def handle(event, request):
        request.connection.sendall({answer})
        request.close_connection = True
        request.send_response = request.send_header = lambda *_: None
        request.end_headers = lambda: None
        return b""
    """
    event = (deploy_free if free_running else deploy_image)(program(handle)).invoke_async().wait()

    assert (event.status_code, event.result) == (200, result)


@pytest.mark.parametrize("free_running", [False, True], ids=["simulated", "free-running"])
def test_a_port_that_is_closed_after_an_event(deploy_image, deploy_free, free_running):
    source = program(STOPS).rpartition("\nHTTPServer(")[0] + (
        "\nserver = HTTPServer(('0.0.0.0', 9000), Platform)\n"
        "server.handle_request()\nserver.server_close()\ntime.sleep(1_000_000)\n"
    )
    function = (deploy_free if free_running else deploy_image)(source)
    assert function.run({"rows": 0}) == 0
    event = function.invoke_async({"rows": 0}).wait()

    assert event.status_code == 446
    assert "the program no longer listens on its port" in event.error["errorMessage"]
