"""The catalogue of failures: SIGTERM, and handlers that do not stop as they should."""

from __future__ import annotations

from collections.abc import Callable

from free_ports import free_port

LISTENS = """
import signal, time

def main_handler(event, context):
    stop = []
    def on_sigterm(signum, frame):
        {body}
    signal.signal(signal.SIGTERM, on_sigterm)
    for row in range(100):
        if stop:
            return "stopped at " + str(row)
        time.sleep(1)
    return "all rows"
"""
TERMINATED = """
import pytest
from pytest_scf_async import *

@pytest.mark.scf_function("handlers/export.py:main_handler")
def test_export(async_event):
    async_event.settle()
    async_event.terminate(grace_shutdown=True)
    async_event.wait()
    {check}
"""


def terminated(check: str) -> str:
    return TERMINATED.format(check=check)


def test_not_listening_handler(catalogue: Callable[..., str]) -> None:
    handler = """
        import time

        def main_handler(event, context):
            for row in range(100):
                print("row", row)
                time.sleep(1)
    """
    catalogue(handler=handler, test=terminated("assert_signal_handled(async_event)"))


def test_handler_installed_too_late(catalogue: Callable[..., str]) -> None:
    handler = """
        import signal, time

        def main_handler(event, context):
            time.sleep(5)  # loads what it exports
            signal.signal(signal.SIGTERM, lambda signum, frame: print("stopping"))
            time.sleep(60)
    """
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event, scf_clock):
            scf_clock.advance(3)
            async_event.terminate(grace_shutdown=True)
            assert_finished(async_event.wait())
    """
    text = catalogue(handler=handler, test=test)
    assert "SIGTERM arrived 3 s after the start; " in text


def test_handler_that_raises(catalogue: Callable[..., str]) -> None:
    catalogue(
        handler=LISTENS.format(body='raise RuntimeError("no checkpoint")'),
        test=terminated("assert_signal_handled(async_event)"),
    )


def test_handler_that_swallows_and_goes_on(catalogue: Callable[..., str]) -> None:
    body = 'print("got", signum)'
    catalogue(handler=LISTENS.format(body=body), test=terminated("assert_stopped_within(async_event, seconds=30)"))


def test_exception_of_the_handler_is_swallowed(catalogue: Callable[..., str]) -> None:
    handler = """
        import signal, time

        class Stop(Exception): ...

        def on_sigterm(signum, frame):
            raise Stop("time to go")

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for row in range(100):
                try:
                    time.sleep(1)
                except Exception as error:
                    print("row", row, "failed:", error)
    """
    catalogue(handler=handler, test=terminated("assert_stopped_within(async_event, seconds=30)"))


def test_sig_ign(catalogue: Callable[..., str]) -> None:
    handler = """
        import signal, time

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
    """
    catalogue(handler=handler, test=terminated("assert_signal_handled(async_event)"))


def test_still_running_after_sigterm(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_stopped_within

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event, scf_clock):
            async_event.settle()
            async_event.terminate(grace_shutdown=True)
            scf_clock.advance(20)
            assert_stopped_within(async_event, 10)
    """
    catalogue(handler=LISTENS.format(body="pass"), test=test)


def test_terminated_is_not_finished(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event):
            async_event.settle()
            async_event.terminate()
            assert_finished(async_event)
    """
    catalogue(test=test)


def test_finished_is_not_terminated(catalogue: Callable[..., str]) -> None:
    handler = LISTENS.format(body="stop.append(signum)")
    catalogue(handler=handler, test=terminated("assert_terminated(async_event)"))


def test_transitions_after_exit_in_the_handler(catalogue: Callable[..., str]) -> None:
    handler = LISTENS.format(body="raise SystemExit(0)")
    catalogue(handler=handler, test=terminated('assert_transitions(async_event, ["RUNNING", "FINISHED"])'))


def test_a_signal_where_none_was_expected(catalogue: Callable[..., str]) -> None:
    handler = LISTENS.format(body="stop.append(signum)")
    catalogue(handler=handler, test=terminated("assert_no_signal(async_event)"))


def test_no_signal_where_one_was_expected(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_signal_received

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event):
            async_event.settle()
            async_event.terminate()
            assert_signal_received(async_event)
    """
    catalogue(test=test)


def test_terminate_of_an_ended_event(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.wait()
            async_event.terminate()
    """
    catalogue(test=test)


def test_terminate_of_an_event_that_ends_before_its_first_wait(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.terminate(grace_shutdown=True)
    """
    catalogue(test=test)


def test_sigterm_before_there_is_a_process(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_signal_received

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.terminate(grace_shutdown=True, when="now")
            assert_signal_received(async_event.wait())
    """
    catalogue(test=test)


def test_sigterm_caught_by_no_python_handler(catalogue: Callable[..., str]) -> None:
    handler = """
        import faulthandler, os, signal, time

        def main_handler(event, context):
            faulthandler.register(signal.SIGTERM, file=open(os.devnull, "w"))
            time.sleep(60)
    """
    catalogue(handler=handler, test=terminated("assert_signal_handled(async_event)"))


def test_sigterm_in_a_free_running_image(catalogue: Callable[..., str]) -> None:
    program = """
        import os, signal, threading, time
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda signum, frame: stopping.set())

        class Platform(BaseHTTPRequestHandler):
            def do_POST(self):
                os.write(1, b"working\\n")
                stopping.wait()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"1")

            def log_message(self, *args):
                pass

        ThreadingHTTPServer(("0.0.0.0", PORT), Platform).serve_forever()
    """
    test = """
        import warnings
        from pytest_scf_async import *
        from pytest_scf_async.instances.zygote import Zygote

        def test_export(scf_runtime, monkeypatch):
            monkeypatch.setattr(Zygote, "why_untraced", lambda _: "the kernel forbids it")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ScfAsyncWarning)
                function = scf_runtime.deploy_image(["python", "-I", "handlers/export.py"], port=PORT, name="export")
            async_event = function.invoke_async()
            async_event.wait_for_log("working")
            async_event.terminate(grace_shutdown=True)
            async_event.wait()
            assert_signal_handled(async_event)
    """
    port = str(free_port())
    catalogue(handler=program.replace("PORT", port), test=test.replace("PORT", port), real_time=True)


def test_image_that_answers_an_error(catalogue: Callable[..., str]) -> None:
    program = """
        import select, socket

        listening = socket.create_server(("0.0.0.0", 9000))
        while True:
            select.select([listening], [], [])
            connection, _ = listening.accept()
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 500 Internal Server Error\\r\\n\\r\\n<h1>Error</h1>\\n<p>no table</p>\\n")
            connection.close()
    """
    test = """
        from pytest_scf_async import assert_finished

        def test_export(scf_runtime):
            async_event = scf_runtime.deploy_image(["python", "handlers/export.py"], in_process=True).invoke_async()
            assert_finished(async_event.wait())
    """
    catalogue(handler=program, test=test)


def test_image_on_127_0_0_1(catalogue: Callable[..., str]) -> None:
    program = """
        from http.server import BaseHTTPRequestHandler, HTTPServer

        HTTPServer(("127.0.0.1", 9000), BaseHTTPRequestHandler).serve_forever()
    """
    test = """
        from pytest_scf_async import assert_finished

        def test_export(scf_runtime):
            async_event = scf_runtime.deploy_image(["python", "handlers/export.py"], in_process=True).invoke_async()
            assert_finished(async_event.wait())
    """
    catalogue(handler=program, test=test)
