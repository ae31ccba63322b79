"""The catalogue of failures: calls that cannot end, and what each thread of the instance is doing then."""

from __future__ import annotations

from collections.abc import Callable

SOON = "--scf-async-real-timeout=0.5"
STANDS = {
    "conftest.py": """
        import pytest

        @pytest.fixture
        def async_event(async_event):
            return async_event.settle()  # so that it does not race with the timeout to its wait
    """
}
WAITS = """
import pytest

@pytest.mark.scf_function("handlers/export.py:main_handler")
def test_export(async_event):
    async_event.wait()
"""


def test_held_by_a_child(catalogue: Callable[..., str]) -> None:
    handler = """
        import subprocess

        def main_handler(event, context):
            subprocess.run(["sleep", "3600"])
    """
    catalogue(SOON, handler=handler, test=WAITS, files=STANDS)


SILENT_SERVER = """
import socket
import pytest

@pytest.mark.scf_function("handlers/export.py:main_handler")
def test_export(scf_function):
    with socket.create_server(("127.0.0.1", 0)) as server:
        scf_function.invoke_async(server.getsockname()[1]).settle().wait()
"""


def test_held_by_a_socket(catalogue: Callable[..., str]) -> None:
    handler = """
        import socket

        def main_handler(event, context):
            client = socket.create_connection(("127.0.0.1", event))
            client.sendall(b"a request")
            client.recv(100)
    """
    catalogue(SOON, handler=handler, test=SILENT_SERVER)


def test_a_named_thread_is_held(catalogue: Callable[..., str]) -> None:
    handler = """
        import socket, threading

        def upload(client):
            client.sendall(b"a request")
            client.recv(100)

        def main_handler(event, context):
            client = socket.create_connection(("127.0.0.1", event))
            uploader = threading.Thread(target=upload, args=(client,), name="uploader")
            uploader.start()
            uploader.join()
    """
    text = catalogue(SOON, handler=handler, test=SILENT_SERVER)
    assert "thread 'uploader' is in recv() on a connection to 127.0.0.1:PORT, most" in text
    assert "'MainThread'" in text


def test_asyncio_is_held(catalogue: Callable[..., str]) -> None:
    handler = """
        import asyncio

        async def export(reader):
            return await reader.read(100)

        async def run(port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            return await export(reader)

        def main_handler(event, context):
            asyncio.run(run(event))
    """
    # Its import would be computing, which on a busy machine takes longer than the call waits.
    catalogue(SOON, "-oscf_async_preload=asyncio", handler=handler, test=SILENT_SERVER)


def test_loop_that_computes(catalogue: Callable[..., str]) -> None:
    handler = """
        def main_handler(event, context):
            print("begins")
            while True: pass
    """
    files = {"conftest.py": STANDS["conftest.py"].replace("settle()", 'wait_for_log("begins")')}
    catalogue("--scf-async-real-timeout=1", "-oscf_async_compute_grace=0.1", handler=handler, test=WAITS, files=files)


def test_lock_dead_lock(catalogue: Callable[..., str]) -> None:
    handler = """
        import threading

        rows = threading.Lock()

        def main_handler(event, context):
            with rows:
                with rows:
                    return "never"
    """
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/export.py:main_handler", timeout=60)
        def test_export(async_event):
            assert_finished(async_event.wait())
    """
    text = catalogue(handler=handler, test=test)
    assert "lock" in text.lower()


def test_time_would_have_to_pass_at_a_gate(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(scf_runtime):
            sleeps = scf_runtime.deploy("handlers/sleeps.py:main_handler")
            first, second = sleeps.invoke_async(), sleeps.invoke_async()
            first.wait_for_log("going")
            second.wait()
    """
    catalogue(test=test)


def test_polling_a_status(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event):
            while async_event.status == "RUNNING":
                pass
    """
    catalogue(test=test)


def test_wait_until_that_stays_false(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event, scf_runtime):
            scf_runtime.wait_until(lambda: len(async_event.log) > 100, within=60)
    """
    catalogue(test=test)


def test_more_simulated_time_than_the_real_limit_allows(catalogue: Callable[..., str]) -> None:
    handler = """
        import time

        def main_handler(event, context):
            while True:
                time.sleep(0.001)
    """
    catalogue("-oscf_async_real_limit=1", handler=handler, test=WAITS)
