"""How an event ends whose code cannot be loaded."""

from __future__ import annotations

import zipfile

import pytest
from process_support import assert_body, assert_end, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async.errors import HandlerError

pytestmark = pytest.mark.sandbox

NOT_LOADED = ["START", "INIT 0ms", "ERROR 443", "END", "REPORT 0ms"]


def assert_not_loaded(event, last_line):
    assert_end(event, "FAILED", 443, log=NOT_LOADED)
    message = event.error["errorMessage"]
    assert_body(event, errorCode=1, errorMessage=message)
    assert message.splitlines()[-1] == last_line
    assert "pytest_scf_async" not in message
    assert "importlib" not in message
    assert_reclaimed_for_good(event, "code not loaded")


def test_a_module_that_is_not_there_is_443_with_the_traceback_as_message(deploy):
    event = (
        deploy("""
        import no_such_module_anywhere
        def main_handler(event, context):
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    assert_not_loaded(event, "ModuleNotFoundError: No module named 'no_such_module_anywhere'")
    assert event.error["errorMessage"].startswith("Traceback (most recent call last):\n")
    assert 'index.py", line 2, in <module>\n    import no_such_module_anywhere\n' in event.error["errorMessage"]


def test_an_exception_at_import_is_443(deploy):
    event = (
        deploy("""
        CLIENT = {}["secret"]
        def main_handler(event, context):
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    assert_not_loaded(event, "KeyError: 'secret'")


def test_a_syntax_error_is_443_with_the_line(deploy):
    event = (
        deploy("""
        def main_handler(event, context)
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    assert_not_loaded(event, "SyntaxError: expected ':'")
    assert 'index.py", line 2\n    def main_handler(event, context)\n' in event.error["errorMessage"]


def test_a_file_that_is_not_utf_8_is_443(deploy, runtime, tmp_path):
    (tmp_path / "latin.py").write_bytes(b"def main_handler(event, context): return 'caf\xe9'\n")

    event = runtime.deploy(f"{tmp_path}/latin.py:main_handler").invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 443)
    last = event.error["errorMessage"].splitlines()[-1]
    assert last.startswith(("SyntaxError: (unicode error) 'utf-8' codec can't", "SyntaxError: Non-UTF-8 code"))  # 3.14
    assert "pytest_scf_async" not in event.error["errorMessage"]


def test_a_handler_that_is_not_there_is_443(deploy):
    event = (
        deploy("""
        def handler(event, context):
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    assert_not_loaded(event, "AttributeError: module 'index' has no attribute 'main_handler'")


def test_a_handler_that_cannot_be_called_is_443(deploy):
    event = deploy("main_handler = 'text'").invoke_async().wait()

    assert_not_loaded(event, "TypeError: index.main_handler is 'text', which cannot be called")


def test_an_entry_file_that_is_not_in_the_directory_is_437(runtime, tmp_path):
    (tmp_path / "other.py").write_text("def main_handler(event, context): return 1\n")

    event = runtime.deploy(tmp_path, handler="index.main_handler").invoke_async().wait()

    assert_end(event, "FAILED", 437, log=["START", "INIT 0ms", "ERROR 437", "END", "REPORT 0ms"])
    assert_body(event, errorCode=-1, errorMessage="HandlerNotFound")
    assert_reclaimed_for_good(event, "entry file missing")


def test_a_directory_with_its_entry_file_runs_and_finds_its_neighbours_and_files(runtime, tmp_path):
    (tmp_path / "index.py").write_text(
        "import os, neighbour\n"
        "def main_handler(event, context):\n"
        "    return [neighbour.VALUE, open('data.txt').read(), os.getcwd(), __file__]\n"
    )
    (tmp_path / "neighbour.py").write_text("VALUE = 7\n")
    (tmp_path / "data.txt").write_text("relative")

    result = runtime.deploy(tmp_path, handler="index.main_handler").run()

    assert result == [7, "relative", str(tmp_path), str(tmp_path / "index.py")]


def test_a_dotted_handler_is_a_module_of_a_package_with_relative_imports(runtime, tmp_path):
    package = tmp_path / "app" / "handlers"
    package.mkdir(parents=True)
    (tmp_path / "app" / "__init__.py").write_text("")
    (tmp_path / "app" / "shared.py").write_text("VALUE = 'shared'\n")
    (package / "__init__.py").write_text("")
    (package / "export.py").write_text("from ..shared import VALUE\ndef main_handler(event, context): return VALUE\n")

    assert runtime.deploy(tmp_path, handler="app.handlers.export.main_handler").run() == "shared"


def test_a_zip_runs_as_a_directory_does(runtime, tmp_path):
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("index.py", "import lib.more\ndef main_handler(event, context): return lib.more.VALUE\n")
        archive.writestr("lib/more.py", "VALUE = 'zipped'\n")

    assert runtime.deploy(tmp_path / "code.zip", handler="index.main_handler").run() == "zipped"


def test_a_failed_import_is_tried_again_by_the_next_event_in_a_new_instance(runtime, tmp_path):
    path = tmp_path / "index.py"
    path.write_text("import no_such_module_anywhere\n")
    function = runtime.deploy(f"{path}:main_handler")
    first = function.invoke_async().wait()
    path.write_text("def main_handler(event, context): return 'repaired'\n")

    second = function.invoke_async().wait()

    assert first.status_code == 443
    assert (second.result, second.instance.cold) == ("repaired", True)


def test_what_the_init_writes_stands_between_start_and_the_report_of_the_init(deploy):
    event = (
        deploy("""
        import time
        print("in the init")
        time.sleep(2)
        def main_handler(event, context):
            print("in the handler")
    """)
        .invoke_async()
        .wait()
    )

    assert short_log(event) == [
        "START",
        "in the init",
        "INIT 2000ms",
        "in the handler",
        "RESPONSE null",
        "END",
        "REPORT 0ms",
    ]


def test_the_init_that_fails_is_reported_with_its_time_before_the_error(deploy):
    event = (
        deploy("""
        import time
        time.sleep(2)
        raise ValueError("in the init")
    """)
        .invoke_async()
        .wait()
    )

    assert short_log(event) == ["START", "INIT 2000ms", "ERROR 443", "END", "REPORT 2000ms"]


def test_the_error_code_of_a_443_is_minus_1_in_the_log_and_1_in_the_body_that_a_sync_caller_gets(deploy):
    function = deploy("CLIENT = {}['secret']", async_run=False)

    with pytest.raises(HandlerError) as refusal:
        function.run()

    (event,) = function.events
    (line,) = [line.text for line in event.log if line.text.startswith("ERROR")]
    assert '"errorCode":-1,"errorMessage":"Traceback' in line
    assert r"in \u003cmodule\u003e" in line
    assert refusal.value.body["errorCode"] == event.error["errorCode"] == 1
    assert event.error["errorMessage"].endswith("KeyError: 'secret'\n")


def test_what_a_failing_init_writes_is_in_the_log(deploy):
    event = (
        deploy("""
        print("before", end="")
        raise ValueError("in the init")
    """)
        .invoke_async()
        .wait()
    )

    assert short_log(event) == ["START", "before", "INIT 0ms", "ERROR 443", "END", "REPORT 0ms"]
    assert user_lines(event) == ["before"]


@pytest.mark.parametrize("ending", ["raise SystemExit(0)", "import sys; sys.exit('gone')", "import os; os._exit(0)"])
def test_an_init_that_ends_the_process_is_439(deploy, ending):
    event = (
        deploy(f"""
        import time
        time.sleep(1)
        {ending}
    """)
        .invoke_async()
        .wait()
    )

    said = ["gone"] if "gone" in ending else []
    assert_end(event, "FAILED", 439, after=1, log=["START", *said, "INIT 1000ms", "ERROR 439", "END", "REPORT 1000ms"])
    assert_body(event, errorCode=-1, errorMessage="User process exit when running")
    assert_reclaimed_for_good(event, "process exited")
