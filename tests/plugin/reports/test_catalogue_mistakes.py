"""The catalogue of failures: what a newcomer does first, and what the text says of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

WAITED = """
import pytest
from pytest_scf_async import *

@pytest.mark.scf_function("handlers/export.py:main_handler", payload={payload})
def test_export(async_event{fixtures}):
    {before}
    async_event.wait()
    {check}
"""

CONNECTS = """
    import os, sys

    sys.path.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "lib", "site-packages"))

    import client

    def main_handler(event, context):
        return fetch("http://127.0.0.1:1/rows")

    def fetch(url):
        return client.get(url).decode()
"""
CLIENT = """
    import socket

    class ClientError(Exception):
        pass

    def get(url):
        return request(url, attempt=1)

    def request(url, attempt):
        if attempt < 10:
            return request(url, attempt + 1)
        return send(url)

    def send(url):
        try:
            with socket.socket() as connection:
                connection.connect(("127.0.0.1", 1))
        except OSError as error:
            raise ClientError(f"{url}: {error}")
"""
INSTALLED = {"lib/site-packages/client.py": CLIENT}
READS_ENVIRONMENT = """
    import os

    def main_handler(event, context):
        return os.environ["API_URL"]
"""
WRITES_BELOW_HOME = """
    import os

    def main_handler(event, context):
        with open(os.path.expanduser("~/checkpoint.json"), "w") as file:
            file.write("{}")
"""
SLEEPS_TWICE = """
    import time

    def main_handler(event, context):
        time.sleep(3)
        time.sleep(60)
        return "slept"
"""


def waited(check: str, *, payload: object = None, before: str = "pass", fixtures: str = "") -> str:
    return WAITED.format(check=check, payload=repr(payload), before=before, fixtures=fixtures)


@pytest.mark.parametrize(
    ("handler", "test"),
    [
        pytest.param(CONNECTS, waited("assert_finished(async_event)"), id="refused_local_connection"),
        pytest.param(CONNECTS, waited("async_event.result"), id="result_after_a_long_traceback"),
        pytest.param(
            READS_ENVIRONMENT,
            waited(
                "assert_finished(async_event)",
                before='monkeypatch.setenv("API_URL", "http://127.0.0.1")',
                fixtures=", monkeypatch",
            ),
            id="variable_set_in_the_test_alone",
        ),
        pytest.param(WRITES_BELOW_HOME, waited("assert_finished(async_event)"), id="file_below_home"),
        pytest.param(
            'def main_handler(event, context):\n    return event.get("rows")',
            waited("assert_finished(async_event)", payload='{"rows": 3}'),
            id="payload_as_json_text",
        ),
        pytest.param(
            'def main_handler(event, context):\n    raise ValueError("boom")',
            waited('assert async_event.status == "FINISHED"'),
            id="status_of_a_failed_event",
        ),
        pytest.param(
            'def main_handler(event, context):\n    print("row 1")',
            waited('assert "row 1" in async_event.log'),
            id="text_in_the_log",
        ),
    ],
)
def test_end(catalogue: Callable[..., str], handler: str, test: str) -> None:
    catalogue(handler=handler, files=INSTALLED, test=test)


def test_status_after_an_advance(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event, scf_clock):
            scf_clock.advance(5)
            assert async_event.status == "FINISHED"
    """
    catalogue(handler=SLEEPS_TWICE, test=test)


def test_status_of_an_event_that_no_call_ran(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event):
            assert async_event.status == "FINISHED"
    """
    catalogue(handler=SLEEPS_TWICE, test=test)


def test_status_at_a_gate(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.wait_for_log("got")
            assert async_event.status == "FINISHED"
    """
    catalogue(test=test)


def test_a_time_of_an_event_beside_the_machines(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from datetime import datetime, timezone

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.wait()
            assert async_event.ended_at >= datetime.now(timezone.utc)
        """
    )
    result = project.runpytest("--scf-async-start=2020-01-01T00:00:00Z")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*2020-01-01T00:00:00+00:00 is simulated time, of event * of echo (it is * now); the other is real time",
            "E*what to do: compare with scf_clock.now, or call datetime.now() inside scf_clock.patched()",
        ]
    )


def test_run_of_two_events(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(scf_runtime):
            export = scf_runtime.deploy("handlers/export.py:main_handler")
            export.invoke_async().wait().status
            export.run()
    """
    catalogue(handler=CONNECTS, files=INSTALLED, test=test)


def test_listening_of_an_event_that_fails(catalogue: Callable[..., str]) -> None:
    handler = """
        def main_handler(event, context):
            for row in range(30):
                print("row", row)
            raise ValueError("boom")
    """
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event):
            async_event.wait_until_listening()
    """
    catalogue(handler=handler, test=test)


def test_wait_with_a_timeout(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event):
            async_event.wait(timeout=5)
    """
    catalogue(test=test)


def test_wait_until_within(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event, scf_runtime):
            scf_runtime.wait_until(lambda: async_event.ended, within=5)
    """
    catalogue(test=test)


def test_user_exit_of_a_handler_that_returns(catalogue: Callable[..., str]) -> None:
    handler = """
        import signal, time

        stopped = []
        signal.signal(signal.SIGTERM, lambda *args: stopped.append(True))

        def main_handler(event, context):
            while not stopped:
                time.sleep(1)
            return "stopped"
    """
    test = """
        import pytest
        from pytest_scf_async import assert_user_exit

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event):
            async_event.settle()
            async_event.terminate(grace_shutdown=True)
            assert_user_exit(async_event.wait())
    """
    catalogue(handler=handler, test=test)


def test_file_of_an_instance_that_is_gone(catalogue: Callable[..., str]) -> None:
    handler = """
        import os, time

        CHECKPOINT = "/tmp/checkpoint.json"

        def main_handler(event, context):
            if event == "go on":
                return open(CHECKPOINT).read()
            open(CHECKPOINT, "w").write("{}")
            time.sleep(60)
    """
    test = """
        from pytest_scf_async import assert_finished

        def test_export(scf_runtime):
            export = scf_runtime.deploy("handlers/export.py:main_handler")
            first = export.invoke_async("begin")
            first.settle()
            first.terminate()
            assert_finished(export.invoke_async("go on").wait())
    """
    catalogue(handler=handler, test=test)


FINISHES = """
import pytest
from pytest_scf_async import *

@pytest.mark.scf_function("handlers/export.py:main_handler", layers=[{layers}], timeout=60)
def test_export(async_event):
    assert_finished(async_event.wait())
"""


def test_module_in_a_directory_of_a_layer(catalogue: Callable[..., str]) -> None:
    handler = """
        import rows_of_export

        def main_handler(event, context):
            return rows_of_export.ROWS
    """
    files = {"layers/rows/python/rows_of_export.py": "ROWS = 3"}
    catalogue(handler=handler, test=FINISHES.format(layers='"layers/rows"'), files=files)


def test_exit_at_an_import(catalogue: Callable[..., str]) -> None:
    handler = """
        import os, sys

        if "ROWS" not in os.environ:
            sys.exit("ROWS is not set")

        def main_handler(event, context):
            return os.environ["ROWS"]
    """
    catalogue(handler=handler, test=FINISHES.format(layers=""))


def test_tasks_that_wait_for_each_other(catalogue: Callable[..., str]) -> None:
    handler = """
        import asyncio

        async def hands_over(mine, theirs):
            await mine.wait()
            theirs.set()

        async def main():
            here, there = asyncio.Event(), asyncio.Event()
            await asyncio.gather(hands_over(here, there), hands_over(there, here))

        def main_handler(event, context):
            asyncio.run(main())
    """
    catalogue(handler=handler, test=FINISHES.format(layers=""))


def test_event_that_is_awaited(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(scf_runtime):
            async def export():
                await scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async().wait()

            export().send(None)  # as a loop begins it
    """
    catalogue("--tb=short", test=test)
