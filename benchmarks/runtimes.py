"""Rows about runtimes: a cold start and a graceful termination of each, beside the start of the bare program."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from pytest_scf_async import ScfAsyncWarning, ScfRuntime, ScfSettings, assert_finished, assert_signal_handled
from pytest_scf_async.function import Function
from pytest_scf_async.programs.runtimes.program import Program

from .instances import HANDLERS, START, new_runtime
from .measure import Row, Sample, timed

IMAGES = HANDLERS / "image"
GO_FUNCTION = Path(__file__).parents[1] / "examples" / "go_shutdown" / "functions" / "returns"
ROWS_OF_GO = 1_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the bare program ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """*command* runs, and is killed at the end."""
    process = subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def await_port(port: int, process: subprocess.Popen[str]) -> None:
    while True:
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            os.sched_yield()
        else:
            return


def bare_start(command: Sequence[str], port: int | None, environment: Mapping[str, str] | None = None) -> Sample:
    """The seconds from the start of *command* until it listens, or without a *port* until its first line."""

    def sample() -> float:
        start = perf_counter()
        with program(command, environment) as process:
            if port is None:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            else:
                await_port(port, process)
            return perf_counter() - start

    return sample


# -- ours ------------------------------------------------------------------------------------------------------------


def stopped(runtime: ScfRuntime, function: Function, payload: dict[str, int], line: str) -> None:
    """A cold start, a graceful termination behind *line*, and the end of the instance."""
    event = function.invoke_async(payload)
    event.wait_for_log(line)
    event.terminate(grace_shutdown=True)
    event.wait()
    assert_finished(event)
    runtime.clock.advance(300)
    assert event.instance is not None
    assert not event.instance.alive


Deployed = tuple[Function, Sample]


def row(name: str, what: str, deploy: Callable[[ScfRuntime], Deployed], line: str = "ready") -> Row:
    @contextlib.contextmanager
    def prepare() -> Iterator[tuple[Sample, Sample]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScfAsyncWarning)  # it is free-running
            with new_runtime() as runtime:
                function, floor = deploy(runtime)
                yield timed(lambda: stopped(runtime, function, {"rows": ROWS_OF_GO, "sleep": True}, line)), floor

    return Row(name, what, "", prepare, rounds=40, quick_rounds=8, warm_up=1)


def python(runtime: ScfRuntime) -> Deployed:
    return runtime.deploy("stoppable.py:main_handler"), bare_start([sys.executable, str(HANDLERS / "bare.py")], None)


def image(file: str, *options: str) -> Callable[[ScfRuntime], Deployed]:
    def deploy(runtime: ScfRuntime) -> Deployed:
        port = free_port()
        command = [*options, str(IMAGES / file), str(port)]
        function = runtime.deploy_image(["python", *command], cwd=IMAGES, port=port)
        return function, bare_start([sys.executable, *command], port)

    return deploy


def go(runtime: ScfRuntime) -> Deployed:
    function = runtime.deploy(GO_FUNCTION, runtime="Go1", environment={"OUT": "/tmp"})
    port = free_port()
    launched = function._versions.latest.runtime
    assert isinstance(launched, Program)
    binary = launched.launch.command[0]
    return function, bare_start([binary], port, {"_LAMBDA_SERVER_PORT": str(port)})


# -- a whole test ----------------------------------------------------------------------------------------------------


def flask_test() -> None:
    with ScfRuntime(ScfSettings(start=START)) as runtime:
        port = free_port()
        function = runtime.deploy_image(["python", "flask_app.py", str(port)], cwd=IMAGES, port=port)
        event = function.invoke_async({})
        event.wait_for_log("ready")
        event.terminate(grace_shutdown=True)
        event.wait()
        assert_signal_handled(event)
        assert_finished(event, result={"passes": 1})


def flask_by_hand() -> None:
    port = free_port()
    with program([sys.executable, str(IMAGES / "flask_app.py"), str(port)]) as process:
        await_port(port, process)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/event-invoke", body="{}", headers={"Content-Type": "application/json"})
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert json.loads(connection.getresponse().read()) == {"passes": 1}
        connection.close()


@contextlib.contextmanager
def whole_flask() -> Iterator[tuple[Sample, Sample]]:
    yield timed(flask_test), timed(flask_by_hand)


def missing() -> list[str]:
    """What cannot be measured here, and why."""
    found = []
    if importlib.util.find_spec("flask") is None:
        found.append("the Flask image, as Flask is not installed (pip install flask)")
    if shutil.which("go") is None:
        found.append("Go, as there is no 'go' on the PATH (Debian and Ubuntu: apt-get install golang-go)")
    if shutil.which("node") is None:
        found.append("Node.js, as there is no 'node' on the PATH (Debian and Ubuntu: apt-get install nodejs)")
    return found


def rows() -> list[Row]:
    made = [
        row("python-stop", "Python: cold start, graceful stop / bare start", python),
        row("free-stop", "free-running image: the same / its bare start", image("server.py", "-I")),
    ]
    if importlib.util.find_spec("flask") is not None:
        made += [
            row("flask-stop", "Flask image: the same / its bare start", image("flask_app.py")),
            Row(
                "flask-graceful",
                "graceful test of the Flask image / by hand",
                "",
                whole_flask,
                rounds=20,
                quick_rounds=4,
                warm_up=1,
            ),
        ]
    if shutil.which("go") is not None:
        made.append(row("go-stop", "Go function: the same / its bare start", go, line="row 1"))
    return made
