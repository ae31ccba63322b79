"""A program that was not woken by the clock still reads the right time, and receives at once what was sent to it.

The supervisor does not hear of it when a thread takes a signal in ``sigwait`` or through a descriptor, or receives data
from another process.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from pytest_scf_async import AsyncEvent
from pytest_scf_async.runtime import ScfRuntime

PROGRAM = """
import ctypes, os, signal, socket, sys, threading, time

def waits(how, port=0):
    if how == "a connection":
        with socket.create_connection(("127.0.0.1", port)) as connection:
            print("waits", flush=True)
            return connection.recv(10)
    if how in ("a listener", "no listener"):
        return receives(port, how == "a listener")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    if how == "a descriptor":
        mask = ctypes.c_uint64(1 << (signal.SIGTERM - 1))
        descriptor = ctypes.CDLL(None).signalfd(-1, ctypes.byref(mask), 0)
        print("waits", flush=True)
        return os.read(descriptor, 128)
    print("waits", flush=True)
    if how == "sigtimedwait":
        return signal.sigtimedwait([signal.SIGTERM], 600)
    if how == "a thread":
        taker = threading.Thread(target=signal.sigwait, args=([signal.SIGTERM],))
        taker.start()
        return taker.join()
    return signal.sigwait([signal.SIGTERM])

def receives(port, listens):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        def receive():
            while data := connection.recv(10):
                print(data.decode(), flush=True)

        def stop(signum, frame):
            print("SIGTERM", flush=True)
            raise SystemExit

        signal.signal(signal.SIGTERM, stop if listens else signal.SIG_DFL)
        threading.Thread(target=receive, daemon=True).start()
        print("waits", flush=True)
        time.sleep(600)

def main_handler(event, context):
    began = time.monotonic()
    waits(**event)
    print("woken after", round(time.monotonic() - began, 3))
    time.sleep(2)
    print("ends after", round(time.monotonic() - began, 3))

if __name__ == "__main__":
    main_handler({"how": sys.argv[1], "port": int(sys.argv[2])}, None)
"""
SIGNALS = ("sigwait", "sigtimedwait", "a thread", "a descriptor")


def said_by(event: AsyncEvent) -> list[str]:
    return [line.text for line in event.log if " after " in line.text]


@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize("kind", ["program", "handler"])
def test_a_sigterm_that_no_handler_gets(runtime: ScfRuntime, tmp_path: Path, kind: str, how: str) -> None:
    file = tmp_path / "waits.py"
    file.write_text(PROGRAM)
    if kind == "program":
        function = runtime.deploy_image(command=[sys.executable, str(file), how, "0"], port=-1)
        event = function.invoke_async()
    else:
        function = runtime.deploy(f"{file}:main_handler", children="simulated")
        event = function.invoke_async({"how": how})
    event.wait_for_log("waits")
    runtime.clock.advance(1.5)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert said_by(event) == ["woken after 1.5", "ends after 3.5"]


Invoke = Callable[[str], AsyncEvent]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server of the test, which pushes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(params=["program", "handler", "handler with real children"])
def invoke(request: pytest.FixtureRequest, runtime: ScfRuntime, tmp_path: Path, server: socket.socket) -> Invoke:
    """Invokes an event that connects to the server, and waits there."""
    file = tmp_path / "waits.py"
    file.write_text(PROGRAM)
    port = server.getsockname()[1]
    peers = [f"127.0.0.1:{port}"]

    def invoke(how: str) -> AsyncEvent:
        if request.param == "program":
            command = [sys.executable, str(file), how, str(port)]
            event = runtime.deploy_image(command=command, port=-1, ports=[port], idle_ok=peers).invoke_async()
        else:
            children: Literal["simulated", "real"] = "simulated" if request.param == "handler" else "real"
            function = runtime.deploy(f"{file}:main_handler", children=children, ports=[port], idle_ok=peers)
            event = function.invoke_async({"how": how, "port": port})
        event.wait_for_log("waits")
        return event

    return invoke


def test_data_of_a_server_of_the_test(runtime: ScfRuntime, server: socket.socket, invoke: Invoke) -> None:
    event = invoke("a connection")
    with server.accept()[0] as connection:
        runtime.clock.advance(1.5)
        connection.send(b"data")
        event.wait()

    assert said_by(event) == ["woken after 1.5", "ends after 3.5"]


def test_data_of_before_a_sigterm_is_received_before_it(
    runtime: ScfRuntime, server: socket.socket, invoke: Invoke
) -> None:
    event = invoke("a listener")
    with server.accept()[0] as connection:
        runtime.clock.advance(1.5)
        connection.send(b"data")
        event.terminate(grace_shutdown=True)
        event.wait()

    texts = [line.text for line in event.log]
    assert [text for text in texts if text in ("data", "SIGTERM")] == ["data", "SIGTERM"]


def test_a_sigterm_ends_what_is_looked_at_in_that_call(
    runtime: ScfRuntime, server: socket.socket, invoke: Invoke
) -> None:
    event = invoke("no listener")
    with server.accept()[0] as connection:
        runtime.clock.advance(1.5)
        connection.send(b"data")
        event.terminate(grace_shutdown=True)

    assert event.status_code == 439
    assert "data" in [line.text for line in event.log]


def test_data_of_before_the_end_by_force_is_received(
    runtime: ScfRuntime, server: socket.socket, invoke: Invoke
) -> None:
    event = invoke("a listener")
    with server.accept()[0] as connection:
        runtime.clock.advance(1.5)
        connection.send(b"data")
        event.terminate()

    assert "data" in [line.text for line in event.log]


def test_a_wait_beside_an_idle_connection_is_one(runtime: ScfRuntime, server: socket.socket, invoke: Invoke) -> None:
    """That a call looks whether something has come there begins no other wait."""
    event = invoke("a listener")
    with server.accept()[0]:
        for _ in range(3):
            runtime.clock.advance(1)
        event.terminate()

    rows = [row for row in event.timeline.splitlines() if "sleep" in row or "pselect6" in row]
    assert len(rows) == 1
    assert "times" not in rows[0]
