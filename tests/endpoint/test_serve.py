"""``python -m pytest_scf_async serve``: the endpoint as a process, which other processes call and stop."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from endpoint_internals import allow_reset
from internals import procfs
from process_support import eventually, family_is_gone, mark_of
from runtimes_table import file_in
from tencentcloud.common.exception import TencentCloudSDKException

from pytest_scf_async import ScfEndpoint, ScfRuntime, ScfSettings

SAME_ON_ALL = pytest.mark.once
"""The rest reads a file of TOML, which the oldest Python does by a library."""

HANDLER = """
import signal, sys, time

def main_handler(event, context):
    def stop(signum, frame):
        print("cleans up")
        time.sleep(2)
        sys.exit(0)

    if event.get("listens"):
        signal.signal(signal.SIGTERM, stop)
    print("working")
    time.sleep(event["seconds"])
    print("page 2")
    time.sleep(event["seconds"])
    return {"rows": 20}
"""
FILE = """
[settings]
region = "ap-shanghai"
start = 2026-01-01T00:00:00Z

[functions.export]
code = "export.py:main_handler"
timeout = 86400
"""
STARTS_A_CHILD = """
import subprocess, time

def main_handler(event, context):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("working")
    time.sleep(event["seconds"])
"""
SAVES = """
import signal, time
from pytest_scf_async.inside import record

def main_handler(event, context):
    def stop(signum, frame):
        raise ValueError("stopped")

    signal.signal(signal.SIGTERM, stop)
    for page in (1, 2, 3):
        print("saves a page")
        record("put", page=page)
        time.sleep(60)
"""
BOOTSTRAP = """#!/bin/bash
api="http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime"
curl -s -d " " "$api/init/ready"
curl -s "$api/invocation/next" >/dev/null
echo working
sleep 3600
"""
PUSHES_BYTES = r"""#!/bin/bash
api="http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime"
curl -s -d " " "$api/init/ready"
curl -s "$api/invocation/next" >/dev/null
printf '\x89PNG' | curl -s --data-binary @- "$api/invocation/response"
"""
MORE_FUNCTIONS = """
[functions.starts]
code = "starts.py:main_handler"

[functions.program]
code = "program"
runtime = "CustomRuntime"
"""


class Served:
    """A process that serves, and what it has printed."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.scratch = directory / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest_scf_async", "serve", *arguments],
            cwd=directory,
            env={**os.environ, "TMPDIR": str(self.scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.environment: dict[str, str] = {}
        for line in self.process.stdout:
            name, _, value = line.rstrip("\n").partition("=")
            self.environment[name] = value
            if name == "SCF_ENDPOINT_URL":
                break

    def control(self, method: str, path: str, **sent: Any) -> Any:
        request = urllib.request.Request(
            f"{self.environment['SCF_ENDPOINT_URL']}/_scf/{path}",
            method=method,
            data=json.dumps(sent).encode() if method == "POST" else None,
        )
        try:
            # A context of its own: that of ``urllib`` is made once, with the authorities that were trusted then.
            with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context()) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["error"]

    def client(self) -> Any:
        from tencentcloud.common.credential import Credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile
        from tencentcloud.scf.v20180416.scf_client import ScfClient

        environment = self.environment
        credential = Credential(environment["TENCENTCLOUD_SECRET_ID"], environment["TENCENTCLOUD_SECRET_KEY"])
        http_profile = HttpProfile(
            protocol=environment["SCF_ENDPOINT_URL"].partition(":")[0],
            endpoint=environment["SCF_ENDPOINT"],
            certification=environment.get("SSL_CERT_FILE"),
        )
        return ScfClient(credential, environment["TENCENTCLOUD_REGION"], ClientProfile(httpProfile=http_profile))

    def invoke(self, function: str = "export", **event: Any) -> str:
        from tencentcloud.scf.v20180416 import models

        request = models.InvokeRequest()
        request.FunctionName, request.InvocationType = function, "Event"
        request.ClientContext = json.dumps(event)
        return str(self.client().Invoke(request).RequestId)

    def terminate(self, function: str, request_id: str) -> None:
        """Terminate an event gracefully."""
        from tencentcloud.scf.v20180416 import models

        request = models.TerminateAsyncEventRequest()
        request.FunctionName, request.InvokeRequestId, request.GraceShutdown = function, request_id, True
        self.client().TerminateAsyncEvent(request)

    def ends(self) -> tuple[int, str, str]:
        """What the process ended with, and what it had printed since."""
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, errors


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "export.py").write_text(HANDLER)
    (tmp_path / "scf.toml").write_text(FILE)
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(Served(tmp_path, *(arguments or ("scf.toml",)), "--print-env"))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
        served.process.communicate(timeout=60)


def test_the_api_and_the_clock(serve: Any) -> None:
    served = serve()
    assert served.environment["TENCENTCLOUD_REGION"] == "ap-shanghai"
    request_id = served.invoke(seconds=3600)

    reached = served.control("POST", f"events/{request_id}/wait_for_log", text="page 2")
    assert (reached["status"], reached["doing"]) == ("RUNNING", "gated")
    assert served.control("GET", "clock") == {"now": "2026-01-01T01:00:00+00:00"}
    assert served.control("POST", "clock/advance", seconds=60) == {"now": "2026-01-01T01:01:00+00:00"}
    ended = served.control("POST", f"events/{request_id}/wait")

    assert (ended["status"], ended["status_code"], ended["result"]) == ("FINISHED", 200, {"rows": 20})
    assert ended["ended_at"] == "2026-01-01T02:00:00+00:00"
    assert [line["text"] for line in ended["log"] if line["source"] == "Custom"] == ["working", "page 2"]
    assert "FINISHED (200)" in ended["timeline"]
    assert served.control("GET", "events")["events"] == [
        {
            "request_id": request_id,
            "function_name": "export",
            "status": "FINISHED",
            "status_code": 200,
            "doing": "ended",
        }
    ]


@SAME_ON_ALL
def test_what_is_due_runs_on_a_poll(serve: Any) -> None:
    from tencentcloud.scf.v20180416 import models

    served = serve()
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = served.invoke(seconds=0)

    assert served.client().GetAsyncEventStatus(request).Result.Status == "FINISHED"
    assert served.control("GET", "clock") == {"now": "2026-01-01T00:00:00+00:00"}


@SAME_ON_ALL
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), {"SCF_TIME": "simulated"}),
        (("--time=real", "--rate=60"), {"SCF_TIME": "real", "SCF_TIME_RATE": "60"}),
    ],
)
def test_what_it_prints_says_how_time_passes(serve: Any, arguments: tuple[str, ...], said: dict[str, str]) -> None:
    environment = serve("scf.toml", *arguments).environment

    assert {name: value for name, value in environment.items() if name.startswith("SCF_TIME")} == said


@SAME_ON_ALL
@pytest.mark.parametrize(
    ("arguments", "scheme", "time"),
    [
        ((), "http", "passes on request, below /_scf/clock"),
        (("--tls", "--time=real", "--rate=60"), "https", "flows at rate 60"),
    ],
)
def test_the_line_for_people(tmp_path: Path, arguments: tuple[str, ...], scheme: str, time: str) -> None:
    command = [sys.executable, "-m", "pytest_scf_async", "serve", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()

    trust = r", certificates by /\S+/authority\.pem" if scheme == "https" else ""
    where = rf"{scheme}://127\.0\.0\.1:\d+ \(region ap-guangzhou, SecretId \w+{trust}\)"
    assert re.fullmatch(rf"serving {where}; simulated time {time}\n", line)


@SAME_ON_ALL
def test_tls(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve("scf.toml", "--tls")
    trusted = {
        name: served.environment[name]
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    }
    assert served.environment["SCF_ENDPOINT_URL"] == f"https://{served.environment['SCF_ENDPOINT']}"
    for name, value in trusted.items():
        monkeypatch.setenv(name, value)

    request_id = served.invoke(seconds=60)  # by the SDK
    served.control("POST", "reset")

    assert served.control("GET", "events") == {"events": []}  # by what reads SSL_CERT_FILE
    assert served.invoke(seconds=60) == request_id


@SAME_ON_ALL
def test_what_is_shown_of_an_event(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "saves.py").write_text(SAVES)
    (tmp_path / "scf.toml").write_text(FILE + '[functions.saves]\ncode = "saves.py:main_handler"\n')
    served = serve()
    request_id = served.invoke("saves")
    reached = served.control("POST", f"events/{request_id}/wait_for_log", pattern="saves a p.ge", count=2)
    assert (reached["doing"], reached["ended_at"], reached["error"]) == ("gated", None, None)
    assert served.control("GET", "clock") == {"now": "2026-01-01T00:01:00+00:00"}
    served.terminate("saves", request_id)

    ended = served.control("GET", f"events/{request_id}")

    assert (ended["status"], ended["status_code"], ended["result"]) == ("FAILED", 430, None)
    assert ended["error"]["errorMessage"] == "user code exception caught"
    assert (ended["function_name"], ended["qualifier"], ended["retry_num"]) == ("saves", "$LATEST", 0)
    assert (ended["started_at"], ended["ended_at"]) == ("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00")
    assert ended["records"] == [{"time": "2026-01-01T00:00:00+00:00", "name": "put", "fields": {"page": 1}}]
    (sent,) = ended["signals"]
    assert sent == {
        "sent_at": "2026-01-01T00:01:00+00:00",
        "received": True,
        "disposition": "handler",
        "raised": "ValueError: stopped",
    }


@SAME_ON_ALL
def test_reset_begins_anew(serve: Any) -> None:
    served = serve()
    first = served.invoke(seconds=3600)
    served.control("POST", f"events/{first}/settle")
    served.control("POST", "clock/move_to", when="2026-01-01T08:00:00+08:00")

    assert served.control("POST", "reset") == {}

    assert served.control("GET", "events") == {"events": []}
    assert served.control("GET", "clock") == {"now": "2026-01-01T00:00:00+00:00"}
    assert served.invoke(seconds=1) == first  # the keys are the same, and so are ids


@SAME_ON_ALL
@pytest.mark.parametrize("which", ["zygote", "reaper"])
def test_it_goes_on_after_its_zygote_or_reaper_was_killed(serve: Any, which: str) -> None:
    served = serve()
    served.control("POST", f"events/{served.invoke(seconds=1)}/wait")
    (reaper,) = procfs.children_of(served.process.pid)
    (zygote,) = procfs.children_of(reaper)
    mark = mark_of(zygote)
    os.kill(zygote if which == "zygote" else reaper, signal.SIGKILL)
    assert eventually(lambda: family_is_gone(zygote, mark))

    with pytest.raises(TencentCloudSDKException, match="the zygote, which instances are forked from, is gone"):
        served.invoke(seconds=1)
    for _ in range(2):
        shown = served.control("POST", f"events/{served.invoke(seconds=1)}/wait")
        assert shown["status"] == "FINISHED"
        served.control("POST", "reset")
    served.process.send_signal(signal.SIGTERM)
    served.ends()
    assert os.listdir(served.scratch) == []


@SAME_ON_ALL
def test_resets_that_come_at_once_happen_one_after_the_other(scf_settings: ScfSettings) -> None:
    order: list[str] = []
    served: list[ScfRuntime] = []

    def new_runtime() -> ScfRuntime:
        order.append("begins")
        if len(order) == 1:
            eventually(lambda: len(order) > 1 or "reset" in [frame.f_code.co_name for frame in what_threads_do()])
        order.append("made")
        served.append(resources.enter_context(ScfRuntime(scf_settings)))
        return served[-1]

    def end(runtime: ScfRuntime) -> None:
        order.append("ended")
        runtime.close()

    def reset(_: int) -> int:
        with urllib.request.urlopen(f"{endpoint.url}/_scf/reset", b"", timeout=60) as answer:
            return int(answer.status)

    with ExitStack() as resources, ThreadPoolExecutor(2) as clients:
        endpoint = resources.enter_context(ScfEndpoint(resources.enter_context(ScfRuntime(scf_settings))))
        allow_reset(endpoint, new_runtime, end)

        assert list(clients.map(reset, range(2))) == [200, 200]

        assert order == ["begins", "made", "ended"] * 2
        assert endpoint.runtime is served[-1]


def what_threads_do() -> list[FrameType]:
    """The innermost frame of each thread but this one."""
    return [frame for thread, frame in sys._current_frames().items() if thread != threading.get_ident()]


@SAME_ON_ALL
@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "text"),
    [
        (
            "GET",
            "nothing",
            {},
            404,
            "GET /_scf/nothing: there is no such path; valid paths are GET /_scf/calls, GET /_scf/clock",
        ),
        ("DELETE", "clock", {}, 405, "DELETE /_scf/clock: it accepts "),
        ("POST", "clock/advance", {}, 400, "parameter `seconds`"),
        ("POST", "clock/advance", {"seconds": -1}, 400, "advance(duration)"),
        ("POST", "clock/advance", {"second": 1}, 400, "did you mean 'seconds'"),
        ("POST", "faults/fail", {"action": "Invoke"}, 400, "parameter `code`"),
        ("POST", "faults/fail", {"action": "Invoked", "code": "x"}, 400, "did you mean 'Invoke'"),
        ("POST", "faults/drop", {"action": "Invoke", "what": "answer"}, 400, "'request' or 'response'"),
        (
            "POST",
            "faults/delay",
            {"action": "Invoke", "seconds": 1, "when": 3},
            400,
            "when is not valid: it must be an object",
        ),
        ("POST", "faults/duplicate", {"action": "Invoke", "times": 0}, 400, "times=0 is not valid"),
        ("POST", "clock/move_to", {"when": "noon"}, 400, "when='noon' is not a time"),
        ("GET", "events/none", {}, 404, "event('none')"),
        ("POST", "events/none/wait", {}, 404, "event('none')"),
    ],
)
def test_refused_requests(serve: Any, method: str, path: str, sent: dict[str, Any], status: int, text: str) -> None:  # noqa: PLR0917
    code, error = serve().control(method, path, **sent)

    assert code == status
    assert text in error["message"]


@SAME_ON_ALL
def test_faults_and_calls(serve: Any) -> None:
    from tencentcloud.common.exception import TencentCloudSDKException

    served = serve()
    served.control("POST", "faults/fail", action="Invoke", code="RequestLimitExceeded", times=2)
    served.control("POST", "faults/drop", action="Invoke", what="response", when={"FunctionName": "export"})
    served.control("POST", "faults/duplicate", action="Invoke")
    served.control("POST", "faults/delay", action="Invoke", seconds=60, always=True)
    served.control("POST", "faults/delay", action="ListFunctions", seconds=1)
    for _ in range(3):
        with pytest.raises(TencentCloudSDKException):
            served.invoke(seconds=1)
    for _ in range(3):
        served.invoke(seconds=1)

    calls = served.control("GET", "calls")["calls"]
    assert [(call["error"], call["dropped"]) for call in calls] == [
        ("RequestLimitExceeded", None),
        ("RequestLimitExceeded", None),
        (None, "response"),
        *[(None, None)] * 3,
    ]
    assert {(call["action"], call["parameters"]["FunctionName"]) for call in calls} == {("Invoke", "export")}
    assert {call["region"] for call in calls} == {"ap-shanghai"}
    assert len(served.control("GET", "events")["events"]) == 5  # one of the dropped, two of the duplicated
    assert served.control("GET", "clock") == {"now": "2026-01-01T00:02:00+00:00"}
    assert served.control("GET", "faults") == {"never_happened": ["delay('ListFunctions', 1)"]}
    served.control("POST", "reset")
    assert served.control("GET", "calls") == {"calls": []}
    assert served.control("GET", "faults") == {"never_happened": []}


@SAME_ON_ALL
def test_gates_that_are_refused(serve: Any) -> None:
    served = serve()
    path = f"events/{served.invoke(seconds=1)}/wait_for_log"

    assert served.control("POST", path)[0] == 400
    assert served.control("POST", path, text="a", pattern="b")[0] == 400
    for pattern in ("(", "a{99999999999}", "(" * 3000 + ")" * 3000):
        assert served.control("POST", path, pattern=pattern)[0] == 400
    code, error = served.control("POST", path, pattern="page [45]")
    assert (code, error["type"]) == (409, "GateNotReachedError")


@SAME_ON_ALL
@pytest.mark.parametrize(
    ("arguments", "listens", "end"),
    [
        ((), True, "FAILED (439)"),
        (("--on-stop=forced",), True, "ABORTED (499)"),
        (("--on-stop=abandon",), True, None),
        ((), False, "FAILED (439)"),
    ],
)
def test_sigterm_ends_running_events(serve: Any, arguments: tuple[str, ...], listens: bool, end: str | None) -> None:
    served = serve("scf.toml", *arguments)
    request_id = served.invoke(seconds=3600, listens=listens)
    served.control("POST", f"events/{request_id}/wait_for_log", text="working")

    served.process.send_signal(signal.SIGTERM)

    line = f"event {request_id} of export: {end}\n" if end else ""
    assert served.ends() == (0, line, "")


@SAME_ON_ALL
def test_more_memory_than_a_function_has_is_warned_of_as_it_ends(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "eats.py").write_text("def main_handler(event, context):\n    return len(b'x' * (event['mb'] << 20))\n")
    (tmp_path / "scf.toml").write_text(FILE + '[functions.eats]\ncode = "eats.py:main_handler"\n')
    served = serve()
    for mb in (20, 250):
        served.control("POST", f"events/{served.invoke('eats', mb=mb)}/wait")
    served.process.send_signal(signal.SIGTERM)

    status, _, errors = served.ends()
    assert status == 0
    assert re.findall(r"ScfAsyncWarning: event \S+ of eats used 2\d\d MB and would be FAILED \(434\)", errors), errors
    assert errors.count("ScfAsyncWarning") == 1


@SAME_ON_ALL
def test_polls_at_one_instant_warn_of_time_that_stands(serve: Any) -> None:
    from tencentcloud.scf.v20180416 import models

    served = serve()
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = served.invoke(seconds=3600)
    client = served.client()
    for _ in range(50):
        client.GetAsyncEventStatus(request)

    served.process.send_signal(signal.SIGTERM)

    _, _, errors = served.ends()
    assert "was asked 50 times how far events are, at one simulated time" in errors
    assert "/_scf/clock/advance lets time pass" in errors


@SAME_ON_ALL
@pytest.mark.curl
def test_a_result_that_is_no_text_is_in_base64(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "bootstrap").write_text(PUSHES_BYTES)
    (tmp_path / "program" / "bootstrap").chmod(0o755)
    with (tmp_path / "scf.toml").open("a") as file:
        file.write('[functions.program]\ncode = "program"\nruntime = "CustomRuntime"\n')
    served = serve()
    request_id = served.invoke("program")

    ended = served.control("POST", f"events/{request_id}/wait")

    assert (ended["status"], ended["result"], ended["result_base64"]) == ("FINISHED", None, "iVBORw==")


@SAME_ON_ALL
def test_time_that_flows(serve: Any) -> None:
    served = serve("scf.toml", "--time=real", "--rate=100000")
    request_id = served.invoke(seconds=1800)

    while (event := served.control("GET", f"events/{request_id}"))["status"] == "RUNNING":
        pass  # an hour takes 36 ms

    assert event["result"] == {"rows": 20}


@SAME_ON_ALL
@pytest.mark.curl
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_events_in_the_middle(serve: Any, tmp_path: Path, signum: signal.Signals) -> None:
    (tmp_path / "starts.py").write_text(STARTS_A_CHILD)
    (tmp_path / "program").mkdir()
    file_in(tmp_path / "program", "bootstrap", BOOTSTRAP, 0o755)
    (tmp_path / "scf.toml").write_text(FILE + MORE_FUNCTIONS)
    served = serve()
    for name in ("export", "starts", "program"):
        request_id = served.invoke(name, seconds=3600)
        served.control("POST", f"events/{request_id}/wait_for_log", text="working")
    pids = procfs.descendants_of(served.process.pid)
    commands = [procfs.command_of(pid).rstrip(b"\0").split(b"\0") for pid in pids]
    assert [b"sleep", b"1000"] in commands, "the child of the handler"
    assert os.fsencode(tmp_path / "program" / "bootstrap") in [command[-1] for command in commands], "the program"
    assert os.listdir(served.scratch)
    left = [os.pidfd_open(pid) for pid in pids]

    served.process.send_signal(signum)

    for pidfd in left:
        assert select.select([pidfd], [], [], 60)[0], "a process outlived the one that served"
        os.close(pidfd)
    assert served.ends()[0] == (0 if signum == signal.SIGTERM else -signum)
    assert os.listdir(served.scratch) == []


@pytest.mark.parametrize(
    ("arguments", "content", "sentence"),
    [
        (("none.toml",), "", "none.toml cannot be read: No such file or directory"),
        (("scf.toml",), "[settings", "scf.toml is not TOML"),
        (("scf.toml",), "[function.x]", "did you mean 'functions'"),
        (("scf.toml",), "functions = 3", "settings and functions must be tables"),
        (("scf.toml",), "[functions]\nx = 3", "functions.x must be a table"),
        (("scf.toml",), "[functions.x]\ntimeout = 3", "functions.x has no code"),
        (("scf.toml",), '[functions.x]\ncode = "y.py:f"', "functions.x: code is 'y.py:f'"),
        (("scf.toml",), '[functions.x]\ncode = "export.py:main_handler"\ntime = 3', "functions.x: deploy(...)"),
        (("scf.toml",), "[settings]\nregions = 1", "'regions' (scf.toml) is not a setting; did you mean 'region'?"),
        (("--host=0.0.0.0",), "", "--host 0.0.0.0 is not an IPv4 address of the loopback"),
        (("--host=::1",), "", "--host ::1 is not an IPv4 address of the loopback"),
        (("--port=1000000",), "", "cannot have port 1000000 of 127.0.0.1"),
        (("--time=real", "--rate=0"), "", "--rate 0 is not valid: it must be a finite number above 0"),
        (("--time=real", "--rate=inf"), "", "--rate inf is not valid"),
        (("--rate=60",), "", "--rate 60 applies only to time that flows: add --time real"),
    ],
)
def test_what_it_refuses(tmp_path: Path, arguments: tuple[str, ...], content: str, sentence: str) -> None:
    (tmp_path / "export.py").write_text(HANDLER)
    (tmp_path / "scf.toml").write_text(content)

    ended = subprocess.run(
        [sys.executable, "-m", "pytest_scf_async", "serve", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("python -m pytest_scf_async serve: ")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
