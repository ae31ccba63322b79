"""An event whose process ends by itself is FAILED with 439, whatever the exit code."""

from __future__ import annotations

import pytest
from internals import version_of
from process_support import assert_body, assert_end, assert_reclaimed_for_good

pytestmark = pytest.mark.sandbox

BODY = {"errorCode": -1, "errorMessage": "User process exit when running"}


def assert_exited(event, *, after=0, said=()):
    log = ["START", "INIT 0ms", *said, "ERROR 439", "END", f"REPORT {after * 1000}ms"]
    assert_end(event, "FAILED", 439, after=after, log=log)
    assert_body(event, **BODY)
    assert_reclaimed_for_good(event, "process exited")


@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit()",
        "sys.exit(0)",
        "sys.exit(6)",
        "raise SystemExit(False)",
        "exit_from_deep()",
        "os.abort()",
        "ctypes.string_at(0)",
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)",
        "signal.raise_signal(signal.SIGUSR1)",
        "signal.raise_signal(signal.SIGALRM)",
    ],
)
def test_a_process_that_ends_by_itself_is_439(deploy, ending):
    event = (
        deploy(f"""
        import ctypes, os, signal, sys, time
        def exit_from_deep():
            try:
                sys.exit(1)
            except Exception:
                print("never: SystemExit is no Exception")
            finally:
                time.sleep(0)
        def main_handler(event, context):
            time.sleep(5)
            print("the last line")
            {ending}
            print("never")
    """)
        .invoke_async()
        .wait()
    )

    assert_exited(event, after=5, said=["the last line"])


def test_the_text_of_a_system_exit_is_in_the_log(deploy):
    event = (
        deploy("""
        import sys
        def main_handler(event, context):
            sys.exit("database is gone")
    """)
        .invoke_async()
        .wait()
    )

    assert_exited(event, said=["database is gone"])


def test_a_keyboard_interrupt_out_of_the_handler_is_439_with_its_traceback_in_the_log(deploy, runtime):
    event = (
        deploy("""
        def main_handler(event, context):
            raise KeyboardInterrupt
    """)
        .invoke_async()
        .wait()
    )

    path = version_of(runtime.functions["index"]).code.entry
    said = [
        "Traceback (most recent call last):",
        f'  File "{path}", line 3, in main_handler',
        "    raise KeyboardInterrupt",
        "KeyboardInterrupt",
    ]
    assert_exited(event, said=said)


def test_a_base_exception_of_the_user_is_439_with_its_traceback_in_the_log(deploy):
    event = (
        deploy("""
        class Stop(BaseException):
            pass
        def main_handler(event, context):
            raise Stop("now")
    """)
        .invoke_async()
        .wait()
    )

    assert event.status_code == 439
    assert event.log[-4].text == "index.Stop: now"
    assert "pytest_scf_async" not in str(event.log)


def test_what_a_process_does_at_its_exit_belongs_to_the_event(deploy):
    event = (
        deploy("""
        import atexit, sys, time
        def farewell():
            time.sleep(2)
            print("farewell")
        def main_handler(event, context):
            atexit.register(farewell)
            sys.exit(0)
    """)
        .invoke_async()
        .wait()
    )

    assert_exited(event, after=2, said=["farewell"])


def test_an_exit_at_os_level_runs_no_exit_functions(deploy):
    event = (
        deploy("""
        import atexit, os
        def main_handler(event, context):
            atexit.register(print, "never")
            os._exit(0)
    """)
        .invoke_async()
        .wait()
    )

    assert_exited(event)


def test_an_exit_in_a_thread_ends_that_thread_only(deploy):
    event = (
        deploy("""
        import sys, threading
        def main_handler(event, context):
            thread = threading.Thread(target=sys.exit, args=(3,))
            thread.start()
            thread.join()
            return "alive"
    """)
        .invoke_async()
        .wait()
    )

    assert event.result == "alive"


def test_the_next_event_after_an_exit_has_a_new_instance(deploy):
    function = deploy("""
        import os
        def main_handler(event, context):
            if event["exit"]:
                os._exit(0)
            return os.getpid()
    """)
    first = function.invoke_async({"exit": True}).wait()

    second = function.invoke_async({"exit": False}).wait()

    assert second.instance.cold
    assert second.result == second.instance.pid != first.instance.pid
