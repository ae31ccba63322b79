"""The tracebacks that users see are those of their own code: they hold no frame of ours."""

from __future__ import annotations

import re
import textwrap
import traceback

import pytest
from process_support import user_lines

from pytest_scf_async.errors import HandlerError

pytestmark = pytest.mark.interpreter


def frames(text):
    """(file name, function) of each frame in a traceback's text."""
    return [
        (path.rpartition("/")[2], name)
        for path, name in re.findall(r'^ *(?:\| )?File "(.*)", line \d+, in (.*)$', text, re.M)
    ]


def stack_of(event):
    event.wait()
    assert event.status == "FAILED"
    text = event.error.get("stackTrace") or event.error["errorMessage"]
    assert "pytest_scf_async" not in text
    assert "importlib" not in text
    return text


def test_a_raise_in_the_handler_shows_the_handlers_frames(deploy):
    event = deploy("""
        def deep(n):
            if n == 0:
                raise ValueError("deep")
            deep(n - 1)
        def main_handler(event, context):
            deep(2)
    """).invoke_async()

    text = stack_of(event)

    assert frames(text) == [("index.py", "main_handler"), *[("index.py", "deep")] * 3]
    assert text.endswith("ValueError: deep\n")


def test_chained_exceptions_show_both_stacks(deploy):
    event = deploy("""
        import time
        def main_handler(event, context):
            try:
                try:
                    {}["key"]
                except KeyError as error:
                    time.sleep(1)
                    raise ValueError("explicit") from error
            except ValueError:
                int("context")
    """).invoke_async()

    text = stack_of(event)

    assert frames(text) == [("index.py", "main_handler")] * 3
    assert "The above exception was the direct cause of the following exception:" in text
    assert "During handling of the above exception, another exception occurred:" in text
    assert [line for line in text.splitlines() if re.match(r"\w+Error", line)] == [
        "KeyError: 'key'",
        "ValueError: explicit",
        "ValueError: invalid literal for int() with base 10: 'context'",
    ]


def test_an_error_of_sleep_itself_points_at_the_users_line(deploy):
    event = deploy("""
        import time
        def main_handler(event, context):
            time.sleep(-1)
    """).invoke_async()

    text = stack_of(event)

    assert frames(text) == [("index.py", "main_handler")]
    assert text.endswith("ValueError: sleep length must be non-negative\n")


@pytest.mark.parametrize(
    "wait",
    ["time.sleep(50)", "threading.Event().wait(50)", "worker.join()", "queue.Queue().get(timeout=50)"],
)
def test_a_listener_that_raises_out_of_a_wait_shows_the_wait_and_the_listener(deploy, wait):
    event = deploy(f"""
        import queue, signal, threading, time
        def on_sigterm(signum, frame):
            raise RuntimeError("stop")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            worker = threading.Thread(target=time.sleep, args=(50,), daemon=True)
            worker.start()
            {wait}
    """).invoke_async()

    event.terminate(grace_shutdown=True)

    text = stack_of(event)
    own = [frame for frame in frames(text) if frame[0] == "index.py"]
    assert own == [("index.py", "main_handler"), ("index.py", "on_sigterm")]
    assert {name for name, _ in frames(text)} <= {"index.py", "threading.py", "queue.py"}


def test_a_listener_that_raises_at_a_gate_shows_the_print_and_the_listener(deploy):
    event = deploy("""
        import signal
        def on_sigterm(signum, frame):
            raise RuntimeError("stop")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for row in range(100):
                print("row", row)
    """).invoke_async()
    event.wait_for_log("row 50")

    event.terminate(grace_shutdown=True)

    assert frames(stack_of(event)) == [("index.py", "main_handler"), ("index.py", "on_sigterm")]
    assert user_lines(event)[-1] == "row 50"


def test_an_import_that_fails_in_a_module_of_the_user_shows_both_files(runtime, tmp_path):
    (tmp_path / "index.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("import no_such_module_anywhere\n")

    text = stack_of(runtime.deploy(f"{tmp_path}/index.py:main_handler").invoke_async())

    assert frames(text) == [("index.py", "<module>"), ("helper.py", "<module>")]


def test_an_import_that_fails_in_a_package_shows_the_users_files(runtime, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("")
    (tmp_path / "app" / "index.py").write_text("from . import missing\n")

    text = stack_of(runtime.deploy(tmp_path, handler="app.index.main_handler").invoke_async())

    assert frames(text) == [("index.py", "<module>")]


def test_a_result_that_json_cannot_write_shows_no_frame_of_ours(deploy):
    text = stack_of(deploy("def main_handler(event, context): return {'x': {1}}").invoke_async())

    assert "\nTypeError: Object of type set is not JSON serializable\n" in text
    assert "pytest_scf_async" not in text


def test_the_traceback_that_user_code_formats_has_no_frame_of_ours_below_its_own(deploy):
    event = (
        deploy("""
        import traceback
        def main_handler(event, context):
            try:
                1 / 0
            except ZeroDivisionError:
                traceback.print_exc()
    """)
        .invoke_async()
        .wait()
    )

    assert frames(str(event.log)) == [("index.py", "main_handler")]


PRINTED = {
    "traceback.print_exc": ("shows(time.sleep, -1)", ["shows"]),
    "with a limit": ("shows(time.sleep, -1, limit=-1)", ["shows"]),
    "with locals": (
        """
        try:
            queue.SimpleQueue().get(timeout=1)
        except queue.Empty as error:
            print("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
        """,
        ["main_handler"],
    ),
    "of a context": (
        """
        try:
            try:
                queue.SimpleQueue().get_nowait()
            finally:
                1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
        """,
        ["main_handler", "main_handler"],
    ),
    "of a socket": ("pair = socket.socketpair(); pair[0].settimeout(1); shows(pair[0].recv, 1)", ["shows"]),
    "of a lock": ("shows(threading.Lock().release)", ["shows"]),
    "logging.exception": (
        """
        try:
            time.sleep(-1)
        except ValueError:
            logging.exception("it failed")
        """,
        ["main_handler"],
    ),
    "stack_info of logging": ("logging.warning('here', stack_info=True)", ["main_handler"]),
    "traceback.print_stack": ("traceback.print_stack()", ["main_handler"]),
    "walk_stack": (
        "print(''.join(traceback.StackSummary.extract(traceback.walk_stack(None)).format()))",
        ["main_handler"],
    ),
    "the stack of a thread": ("in_thread(lambda: traceback.print_stack())", ["<lambda>"]),
    "sys._current_frames": (
        "[traceback.print_stack(frame) for frame in sys._current_frames().values()]",
        ["main_handler"],
    ),
    "an exception in a thread": ("in_thread(sleeps_wrongly)", ["sleeps_wrongly"]),
    "an exception in a thread of _thread": (
        """
        _thread.start_new_thread(sleeps_wrongly, ())
        time.sleep(1)
        while len(os.listdir("/proc/self/task")) > 1:  # the interpreter prints when the thread has left all Python code
            time.sleep(0)
        """,
        ["sleeps_wrongly"],
    ),
    "an exception in a finaliser": (
        "type('Dies', (), {'__del__': lambda self: sleeps_wrongly()})()",
        ["<lambda>", "sleeps_wrongly"],
    ),
    "sys.excepthook": (
        """
        try:
            sleeps_wrongly()
        except ValueError as error:
            sys.excepthook(ValueError, error, error.__traceback__)
        """,
        ["main_handler", "sleeps_wrongly"],
    ),
    "a handler of a signal": (
        """
        signal.signal(signal.SIGALRM, lambda signum, frame: traceback.print_stack(frame))
        signal.alarm(5)
        time.sleep(10)
        """,
        ["main_handler"],
    ),
    "the stack in a handler of a signal": (
        """
        signal.signal(signal.SIGALRM, lambda signum, frame: traceback.print_stack())
        signal.alarm(5)
        time.sleep(10)
        """,
        ["main_handler", "<lambda>"],
    ),
    "a callback of asyncio": (
        """
        async def waits():
            asyncio.get_running_loop().call_soon(sleeps_wrongly)
            await asyncio.sleep(1)
        asyncio.run(waits())
        """,
        ["sleeps_wrongly"],
    ),
    "the stack of a task": (
        """
        async def prints():
            asyncio.current_task().print_stack()
        asyncio.run(prints())
        """,
        ["main_handler", "prints"],
    ),
    "a child": (
        """
        child = os.fork()
        if not child:
            traceback.print_stack()
            os._exit(0)
        os.waitpid(child, 0)
        """,
        ["main_handler"],
    ),
}


@pytest.mark.parametrize(("code", "functions"), PRINTED.values(), ids=PRINTED)
def test_what_user_code_prints_has_no_frame_of_ours(deploy, code, functions):
    source = """
import _thread, asyncio, logging, os, queue, signal, socket, sys, threading, time, traceback

def shows(call, *arguments, limit=None, **options):
    try:
        call(*arguments, **options)
    except Exception:
        traceback.print_exc(limit)

def sleeps_wrongly():
    time.sleep(-1)

def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

def main_handler(event, context):
"""
    event = deploy(source + textwrap.indent(textwrap.dedent(code), "    ")).invoke_async().wait()

    assert event.status == "FINISHED", str(event.log)
    assert "pytest_scf_async" not in str(event.log)
    assert "<string>" not in str(event.log)
    assert [name for file, name in frames(str(event.log)) if file == "index.py"] == functions


def test_a_handler_whose_children_are_simulated_prints_no_frame_of_ours(deploy):
    source = "import traceback\ndef main_handler(event, context): traceback.print_stack()"
    event = deploy(source, children="simulated").invoke_async().wait()

    assert frames(str(event.log)) == [("index.py", "main_handler")]


def test_the_traceback_of_a_thread_starts_in_the_standard_library(deploy):
    event = (
        deploy("""
        import threading
        def fails():
            raise ValueError("in a thread")
        def main_handler(event, context):
            thread = threading.Thread(target=fails)
            thread.start()
            thread.join()
    """)
        .invoke_async()
        .wait()
    )

    assert "pytest_scf_async" not in str(event.log)
    assert frames(str(event.log))[-1] == ("index.py", "fails")


def test_the_error_that_a_test_sees_has_the_handlers_stack_in_its_text(deploy):
    function = deploy("def main_handler(event, context): return 1 / event['by']")

    with pytest.raises(HandlerError) as refusal:
        function.run({"by": 0})

    text = "".join(traceback.format_exception_only(refusal.type, refusal.value))
    assert "ZeroDivisionError: division by zero" in text
    assert frames(text) == [("index.py", "main_handler")]


def test_recursion_without_end_is_430_and_its_stack_is_short(deploy):
    event = deploy("""
        def main_handler(event, context):
            return main_handler(event, context)
    """).invoke_async()

    text = stack_of(event)

    assert "RecursionError: maximum recursion depth exceeded" in text
    assert "[Previous line repeated " in text


def test_an_exception_whose_text_cannot_be_made_is_430(deploy):
    event = deploy("""
        class Hostile(Exception):
            def __str__(self):
                raise ValueError("no text")
        def main_handler(event, context):
            raise Hostile
    """).invoke_async()

    assert stack_of(event).splitlines()[-1].startswith("index.Hostile: <")  # the words differ between Pythons


def test_an_exception_with_a_lone_surrogate_is_430_and_the_log_stays_text(deploy):
    event = deploy(r"""
        def main_handler(event, context):
            raise ValueError("half \ud800 pair")
    """).invoke_async()

    assert "half" in stack_of(event)
    str(event.log).encode("utf-8", "surrogatepass")
