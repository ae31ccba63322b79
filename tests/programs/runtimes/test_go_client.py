"""GoClient against real Go programs, without an instance around them: whatever the agent may receive."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from internals import messages
from program_internals import Broken, GoClient, go_client, go_program

pytestmark = pytest.mark.go

FUNCTIONS = Path(__file__).parents[2] / "handlers" / "go"
LIMIT = 30.0
"""Real seconds within which something has to come; it comes within milliseconds."""
CONTEXT = {
    "memory_limit_in_mb": 512,
    "time_limit_in_ms": 86_400_000,
    "request_id": "5b4f3c64-7c3d-4a2f-9d4c-0a3c1f4f5e66",
    "environment": json.dumps({"SCF_NAMESPACE": "prod", "OUT": "ä ü"}),
    "environ": "SCF_NAMESPACE=prod;SCF_NAMESPACE=prod",
    "function_version": "$LATEST",
    "function_name": "export",
    "namespace": "prod",
    "tencentcloud_region": "ap-guangzhou",
    "tencentcloud_appid": "1250000000",
    "tencentcloud_uin": "100000000001",
}
NOTHING: dict = {}
"""No variable that belongs to one event alone."""


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    directory = str(tmp_path_factory.mktemp("go"))
    return lambda: directory


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nothing listens on, outside the range from which clients get theirs; no other test gets it."""
    while True:
        number = random.randrange(20_000, 32_000)
        with socket.socket() as probe, socket.socket(socket.AF_UNIX) as reserved:
            try:
                reserved.bind(f"\0pytest-scf-async-port-{number}")
                probe.bind(("0.0.0.0", number))
            except OSError:
                continue
            probe.close()
            yield number
            return


class Program:
    """A Go function as a child of the test."""

    def __init__(self, binary: str, port: int) -> None:
        self.process = subprocess.Popen(
            [binary],
            env={"_LAMBDA_SERVER_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self) -> None:
        with self.process:
            self.process.kill()


@pytest.fixture
def start(scratch: Callable[[], str], port: int) -> Iterator[Callable[..., Program]]:
    with ExitStack() as stack:

        def start_one(directory: Path = FUNCTIONS) -> Program:
            started = Program(go_program(str(directory), "main", scratch).binary, port)
            stack.callback(started.end)
            return started

        yield start_one


@pytest.fixture
def talk(port: int) -> Iterator[GoClient]:
    talking = GoClient(port, time.time_ns)
    yield talking
    talking.close()


@pytest.fixture
def program(start: Callable[..., Program], talk: GoClient) -> Program:
    """The function that does what its event names; it has answered a ping."""
    started = start()
    assert until(talk, talk.is_ready)
    return started


def until(talk: GoClient, look: Callable[[], object]) -> object:
    deadline = time.monotonic() + LIMIT
    while not (found := look()):
        rest = deadline - time.monotonic()
        assert rest > 0, "nothing came"
        waits = select.poll()
        for descriptor, events in talk.descriptors().items():
            waits.register(descriptor, events)
        waits.poll(1000 * rest if talk.descriptors() else 1)  # nothing reports that it listens
    return found


def asking(
    talk: GoClient, *, timeout: float = 3, context: dict = CONTEXT, own: dict = NOTHING, **event: object
) -> None:
    limited = {**context, "time_limit_in_ms": int(timeout * 1000)}
    talk.ask(messages.Invoke(json.dumps(event, ensure_ascii=False), limited, own, headers={}, gate=None))


def asked(talk: GoClient, **event: object) -> messages.Result | Broken:
    asking(talk, **event)
    return until(talk, talk.receive)


def result(talk: GoClient, **event: object) -> object:
    answer = asked(talk, **event)
    assert answer.fact == "RETURNED", answer
    return json.loads(answer.text)


def test_it_is_ready_once_the_function_has_answered_a_ping(talk, start):
    assert not talk.is_ready()
    assert talk.receive() is None
    assert talk.descriptors() == {}
    start()
    assert until(talk, talk.is_ready)
    assert talk.receive() is None


def test_the_function_gets_every_field(talk, program):
    before = time.time()
    reported = result(talk, do="echo", timeout=86_400, text="ä ü 𝄞 </script>\n", number=2)
    after = time.time()
    assert reported["event"] == {"do": "echo", "text": "ä ü 𝄞 </script>\n", "number": 2}
    assert before + 86_400 <= reported["deadline"] <= after + 86_400
    assert reported["request"] == {
        "Payload": None,  # the event
        "RequestId": CONTEXT["request_id"],
        "TraceId": CONTEXT["request_id"],
        "Deadline": {"Seconds": 0, "Nanos": 0},  # the deadline
        "InvokedFunctionUnique": "export",
        "ClientContext": None,
        "Namespace": "prod",
        "FunctionName": "export",
        "FunctionVersion": "$LATEST",
        "MemoryLimitInMb": 512,
        "TimeLimitInMs": 86_400_000,
        "Environment": CONTEXT["environment"],
        "TencentcloudRegion": "ap-guangzhou",
        "TencentcloudAppID": "1250000000",
        "TencentcloudUin": "100000000001",
        "FunctionTrace": "",
    }
    assert result(talk, do="getenv", text="OUT") == "ä ü"


def test_a_timeout_may_be_a_fraction_of_a_second(talk, program):
    before = time.time()
    deadline = result(talk, do="echo", timeout=0.25)["deadline"]
    assert before + 0.25 <= deadline <= time.time() + 0.25


def test_events_come_one_after_the_other(talk, program):
    assert [result(talk, do="large", number=number) for number in (3, 4, 5)] == ["x", "xx", "xxx"]


def test_what_the_function_prints_is_in_its_own_output_alone(talk, program):
    assert result(talk, do="print", text="one line") is None
    program.process.terminate()
    assert program.process.stdout.read() == "one line\none line\n"


def test_an_error_is_reported_with_its_type(talk, program):
    assert asked(talk, do="fail", text="no such\nbucket") == messages.Result(
        "RAISED", trace="errorString: no such\nbucket"
    )
    assert asked(talk, do="refuse", text="no").trace == "refused: no"
    assert result(talk, do="large", number=3) == "x"


def test_a_panic_is_reported_with_its_stack_the_innermost_call_last(talk, program):
    answer = asked(talk, do="panic", text="out of luck")
    assert answer.fact == "RAISED"
    heading, *frames, last = answer.trace.splitlines()
    assert heading == "Goroutine (most recent call last):"
    assert last == "panic (string): out of luck"
    (line,) = [
        number
        for number, text in enumerate((FUNCTIONS / "main.go").read_text().splitlines(), 1)
        if text.strip() == "panic(asked.Text)"
    ]
    assert frames.index(f"  {FUNCTIONS}/main.go:{line}, in main.handle") == len(frames) - 2  # Go's own panic is last


def test_a_panic_of_the_runtime_is_reported_too(talk, program):
    answer = asked(talk, do="nil map")
    assert answer.fact == "RAISED"
    assert answer.trace.endswith(": assignment to entry in nil map")


@pytest.mark.parametrize("code", [0, 7])
def test_a_function_that_exits_breaks_the_connection(talk, program, code):
    answer = asked(talk, do="exit", number=code)
    assert isinstance(answer, Broken)
    assert answer.why.startswith("the connection to the function is gone: ")
    assert program.process.wait(LIMIT) == code
    assert talk.descriptors() == {}
    assert talk.receive() == answer
    asking(talk, do="echo")
    assert talk.receive() == answer


def test_a_panic_outside_the_call_breaks_the_connection(talk, program):
    assert isinstance(asked(talk, do="crash", text="boom"), Broken)
    assert program.line() == "panic: boom"
    assert program.process.wait(LIMIT) == 2


def test_a_function_that_ended_between_two_events_is_found_gone(talk, program):
    assert result(talk, do="large", number=3) == "x"
    program.process.kill()
    program.process.wait(LIMIT)
    assert isinstance(asked(talk, do="echo"), Broken)


def test_sigterm_ends_a_function_that_exits_at_it(talk, program):
    asking(talk, do="exit at SIGTERM")
    assert program.line() == "working"
    program.process.terminate()
    assert isinstance(until(talk, talk.receive), Broken)
    assert program.line() == "leaving"
    assert program.process.wait(LIMIT) == 0


def test_sigterm_ends_a_function_that_does_not_listen(talk, program):
    asking(talk, do="block")
    assert program.line() == "working"
    program.process.terminate()
    assert isinstance(until(talk, talk.receive), Broken)
    assert program.process.wait(LIMIT) == -signal.SIGTERM


def test_sigterm_before_the_first_event_ends_the_function(talk, program):
    program.process.terminate()
    assert program.process.wait(LIMIT) == -signal.SIGTERM
    assert talk.receive() is None


def test_a_function_that_returns_at_sigterm_has_a_result(talk, program):
    asking(talk, do="return at SIGTERM")
    assert program.line() == "working"
    assert talk.receive() is None
    program.process.terminate()
    assert until(talk, talk.receive) == messages.Result("RETURNED", '"stopped"')
    assert result(talk, do="large", number=3) == "x"


def test_megabytes_go_both_ways(talk, program):
    text = '"ä\\' * (5 * 1024 * 1024 // 6)  # 5 MB of JSON
    reported = result(talk, do="echo", text=text)
    assert reported["event"]["text"] == text


def test_the_largest_result_is_returned_and_a_larger_one_is_not(talk, program):
    assert len(result(talk, do="large", number=go_client.RESULT_LIMIT)) == go_client.RESULT_LIMIT - 2
    for size in (go_client.RESULT_LIMIT + 1, 3 * go_client.RESULT_LIMIT):
        assert asked(talk, do="large", number=size) == messages.Result("RESULT_TOO_LARGE", size=size)
    assert result(talk, do="large", number=3) == "x"


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1] 2", "plain text", "x" * 1000])
def test_a_result_that_is_not_json_is_reported_as_such(talk, program, text):
    answer = asked(talk, do="raw", text=text)
    assert answer.fact == "RESULT_NOT_JSON"
    assert answer.trace.startswith("the result is not JSON: ")
    assert repr(text)[:200] in answer.trace
    assert len(answer.trace) < 400


def test_bytes_that_are_no_text_are_no_json(talk, program):
    answer = asked(talk, do="bytes")
    assert answer == messages.Result("RESULT_NOT_JSON", trace="the result is not JSON: its bytes are not UTF-8")


def test_a_program_without_invoke_says_so(talk, start):
    start(FUNCTIONS / "only_pings")
    assert until(talk, talk.is_ready)
    answer = asked(talk, do="echo")
    assert answer.fact == "RAISED"
    assert answer.trace.startswith("rpc.ServerError: rpc: can't find method Function.Invoke")


def test_it_leaves_no_descriptor(start, port):
    start()
    before = len(os.listdir("/proc/self/fd"))
    talk = GoClient(port, time.time_ns)
    assert until(talk, talk.is_ready)
    talk.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert talk.descriptors() == {}
