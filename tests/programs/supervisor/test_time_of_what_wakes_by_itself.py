"""A program that was not woken by the clock still reads the right time.

The supervisor does not hear of it when a thread takes a signal in ``sigwait`` or through a descriptor, or receives data
from another process.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from pytest_scf_async import AsyncEvent
from pytest_scf_async.runtime import ScfRuntime

PROGRAM = """
import ctypes, os, signal, socket, sys, threading, time

def waits(how, port=0):
    if how == "a connection":
        with socket.create_connection(("127.0.0.1", port)) as connection:
            print("waits", flush=True)
            began = time.monotonic()
            connection.recv(10)
            connection.sendall(str(round(time.monotonic() - began, 3)).encode())
            return
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

def main_handler(event, context):
    began = time.monotonic()
    waits(**event)
    print("woken after", round(time.monotonic() - began, 3))
    time.sleep(2)
    print("ends after", round(time.monotonic() - began, 3))

if __name__ == "__main__":
    main_handler({"how": sys.argv[1], "port": int(sys.argv[2])}, None)
"""
LONG = 30
"""Real seconds in which an answer has come."""
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


@pytest.mark.parametrize("kind", ["program", "handler"])
def test_data_of_a_server_of_the_test(runtime: ScfRuntime, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "waits.py"
    file.write_text(PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, str(file), "a connection", str(port)]
        peers = [f"127.0.0.1:{port}"]
        if kind == "program":
            function = runtime.deploy_image(command=command, port=-1, ports=[port], idle_ok=peers)
            event = function.invoke_async()
        else:
            function = runtime.deploy(f"{file}:main_handler", children="simulated", ports=[port], idle_ok=peers)
            event = function.invoke_async({"how": "a connection", "port": port})
        event.wait_for_log("waits")
        with server.accept()[0] as connection:
            connection.settimeout(LONG)
            runtime.clock.advance(1.5)
            connection.send(b"data")
            assert connection.recv(10) == b"1.5"
    event.terminate()
