"""The catalogue of failures: results, errors, logs, files and instances that are not what the test expects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

WAITED = """
import re, pytest
from pytest_scf_async import *

@pytest.mark.scf_function("handlers/export.py:main_handler", payload={payload})
def test_export(async_event):
    async_event.wait()
    {check}
"""


def waited(check: str, payload: object = None) -> str:
    return WAITED.format(check=check, payload=repr(payload))


def returning(expression: str, *before: str) -> str:
    return "\n".join(
        ("def main_handler(event, context):", *(f"    {line}" for line in before), f"    return {expression}")
    )


ROWS = returning(
    '{"rows": 3, "files": ["a.csv", "b.csv"], "complete": False}',
    'print("row 1")',
    'print("row 2")',
    'print("uploaded")',
)


@pytest.mark.parametrize(
    ("handler", "check"),
    [
        pytest.param(
            ROWS,
            'assert_finished(async_event, {"rows": 4, "files": ["a.csv", "b.csv"], "complete": True})',
            id="wrong_result",
        ),
        pytest.param(returning("2"), "assert_finished(async_event, result=3)", id="wrong_short_result"),
        pytest.param(ROWS, 'assert_log_order(async_event, ["uploaded", "row 2"])', id="log_lines_in_another_order"),
        pytest.param(ROWS, 'assert_logged(async_event, "uploded")', id="line_never_logged"),
        pytest.param(
            ROWS, 'assert_logged(async_event, re.compile(r"row \\d\\d"))', id="line_of_a_pattern_never_logged"
        ),
        pytest.param(ROWS, 'assert_logged(async_event, r"row \\d")', id="regular_expression_as_a_text"),
        pytest.param(
            returning('event["table"]["name"]'), "assert async_event.result == 1", id="result_of_a_failed_event"
        ),
        pytest.param(returning("{1, 2, 3}"), "assert_finished(async_event)", id="result_not_json"),
        pytest.param(returning("{1, 2, 3}"), "async_event.result", id="result_not_json_asked_for"),
        pytest.param("import qcloud_cos", "pass", id="import_error_nobody_checked"),
        pytest.param(returning("1", "import os", "os._exit(3)"), "assert_finished(async_event)", id="os_exit"),
        pytest.param(
            returning("1", "import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)"),
            "assert_finished(async_event)",
            id="segmentation_fault",
        ),
        pytest.param(
            "import qcloud_cos\n\ndef main_handler(event, context): ...",
            "assert_finished(async_event)",
            id="import_error",
        ),
        pytest.param(
            "def main_handler(event, context)\n    return 1", "assert_finished(async_event)", id="syntax_error"
        ),
        pytest.param("def export(event, context): ...", "assert_finished(async_event)", id="missing_handler"),
        pytest.param("async " + returning("1"), "assert_finished(async_event)", id="async_def_handler"),
        pytest.param(
            "def main_handler(event):\n    return 1", "assert_finished(async_event)", id="handler_with_one_argument"
        ),
        pytest.param(returning("1", 'raise ValueError("boom")'), "assert_timed_out(async_event)", id="another_failure"),
        pytest.param(
            returning("1", "import sys", "sys.exit(0)"),
            "assert_finished(async_event)",
            id="handler_that_calls_sys_exit",
        ),
        pytest.param(returning('"x" * 7_000_000'), "assert_finished(async_event)", id="result_too_large"),
    ],
)
def test_end(catalogue: Callable[..., str], handler: str, check: str) -> None:
    catalogue(handler=handler, test=waited(check))


def test_result_of_a_running_event(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_export(async_event):
            async_event.settle()
            assert async_event.result == "slept"
    """
    catalogue(test=test)


def test_event_that_no_call_ran(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_logged

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload="hello")
        def test_export(async_event):
            assert_logged(async_event, "got hello")
    """
    text = catalogue(test=test)
    assert "none of its code has run" in text


def test_result_of_an_event_that_no_call_ran(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload="hello")
        def test_export(async_event):
            assert async_event.result == "hello"
    """
    catalogue(test=test)


def test_sync_function_over_three_seconds(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(scf_runtime):
            export = scf_runtime.deploy("handlers/sleeps.py:main_handler", async_run=False)
            assert export.run() == "slept"
    """
    catalogue(test=test)


def test_entry_file_missing(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers", handler="exprt.main_handler")
        def test_export(async_event):
            assert_finished(async_event.wait())
    """
    catalogue(handler=returning("1"), test=test)


def test_sync_function_that_exits(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(scf_runtime):
            assert scf_runtime.deploy("handlers/export.py:main_handler", async_run=False).run() == 1
    """
    catalogue(handler=returning("1", "import os", "os._exit(3)"), test=test)


def test_timeout(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler", timeout=60)
        def test_export(async_event):
            assert_finished(async_event.wait(), result="slept")
    """
    catalogue(test=test)


def test_files_lost_in_tmp(catalogue: Callable[..., str]) -> None:
    handler = """
        import os, tempfile, time

        def main_handler(event, context):
            with open(os.path.join(tempfile.gettempdir(), "checkpoint.json"), "w") as file:
                file.write("{}")
            time.sleep(60)
    """
    test = """
        import pytest
        from pytest_scf_async import assert_nothing_lost

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event):
            async_event.settle()
            async_event.terminate()
            assert_nothing_lost(async_event)
    """
    catalogue(handler=handler, test=test)


def test_stale_flag_in_a_warm_instance(catalogue: Callable[..., str]) -> None:
    handler = """
        import signal, time

        stopped = False

        def on_sigterm(signum, frame):
            global stopped
            stopped = True

        signal.signal(signal.SIGTERM, on_sigterm)

        def main_handler(event, context):
            rows = 0
            while not stopped and rows < 10:
                time.sleep(1)
                rows += 1
            return rows
    """
    test = """
        from pytest_scf_async import assert_finished

        def test_export(scf_runtime):
            export = scf_runtime.deploy("handlers/export.py:main_handler")
            first = export.invoke_async()
            first.settle()
            first.terminate(grace_shutdown=True)
            first.wait()
            second = export.invoke_async()
            assert_finished(second.wait(), result=10)
    """
    catalogue(handler=handler, test=test)


def test_failed_event_nobody_checked(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_export(async_event):
            async_event.wait()
    """
    catalogue(test=test)


def test_gate_never_reached(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload={"rows": 2})
        def test_export(async_event):
            async_event.wait_for_log("row 500 ")
    """
    catalogue(test=test)


def test_listening_never_reached(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.wait_until_listening()
    """
    catalogue(test=test)


def test_memory_limit(catalogue: Callable[..., str]) -> None:
    handler = """
        import time

        def main_handler(event, context):
            rows = bytearray(150_000_000)
            time.sleep(1)
            return len(rows)
    """
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/export.py:main_handler", memory=128)
        def test_export(async_event):
            assert_finished(async_event.wait())
    """
    catalogue(handler=handler, test=test)


def test_status_expired(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from datetime import timedelta

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event, scf_runtime):
            async_event.wait()
            scf_runtime.clock.advance(timedelta(hours=72))
            assert scf_runtime.get_async_event_status(async_event.request_id).status == "FINISHED"
    """
    catalogue(test=test)


def test_status_not_expired_yet(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_expired

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event, scf_runtime):
            async_event.wait()
            scf_runtime.clock.advance(3600)
            assert_expired(scf_runtime, async_event.request_id)
    """
    catalogue(test=test)


def test_reused_with_a_cold_start(catalogue: Callable[..., str]) -> None:
    test = """
        from pytest_scf_async import assert_reused

        def test_export(scf_runtime):
            export = scf_runtime.deploy("handlers/echo.py:main_handler")
            first = export.invoke_async(1).wait()
            scf_runtime.clock.advance(301)
            second = export.invoke_async(2).wait()
            assert_reused(first, by=second)
    """
    catalogue(test=test)


def test_reclaimed_of_a_kept_instance(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_reclaimed

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_export(async_event):
            assert_reclaimed(async_event.wait())
    """
    catalogue(test=test)


def test_quota_refused(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler", max_instances=1)
        def test_export(async_event, scf_function):
            async_event.settle()
            scf_function.invoke_async({"rows": 2})
    """
    catalogue(test=test)


def test_a_long_timeline(catalogue: Callable[..., str]) -> None:
    handler = """
        import time

        def main_handler(event, context):
            for row in range(2000):
                print("row", row)
                time.sleep(1)
    """
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/export.py:main_handler")
        def test_export(async_event):
            assert_finished(async_event.wait(), result=2000)
    """
    text = catalogue(handler=handler, test=test)
    assert len(text.splitlines()) < 100
