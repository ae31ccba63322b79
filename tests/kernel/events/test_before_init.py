"""``before_init``: the test's own function runs in the instance before the function's module is imported."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import helpers_in_instances  # noqa: F401
import pytest
from calls_recorder import install
from process_support import START, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async import ScfUsageError
from pytest_scf_async.inside import record

HANDLER = """
import os, sys
print("module")
def main_handler(event, context):
    return [sys.modules.get("calls").LIST, os.getcwd(), sys.path[0]]
"""


def install_from_here(*positional, **named):
    """Of a test file, which is imported in the instance."""
    install(*positional, **named)
    record("installed", module=__name__)


class Fakes:
    def method(self):
        pass


@pytest.fixture
def fakes(tmp_path):
    """Write a module of fakes beside the code, and give its path."""

    def write(source: str, name: str = "fakes.py") -> str:
        path = tmp_path / "fakes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, [[], {}]),
        ([1, "two"], [[1, "two"], {}]),
        ((1, {"a": None}), [[1, {"a": None}], {}]),
        ({"bucket": "b", "n": 2.5}, [[], {"bucket": "b", "n": 2.5}]),
        ([], [[], {}]),
        ({}, [[], {}]),
    ],
)
def test_a_function_is_called_with_its_arguments_on_simulated_time(deploy, arguments, expected):
    function = deploy(HANDLER, before_init=install, before_init_args=arguments)

    (*called, at), directory, first = function.run()

    assert called == expected
    assert at == START.timestamp()
    assert directory == first
    assert Path(directory).name == "code1"
    event = function.events[0]
    assert user_lines(event) == ["installed", "module"]
    assert short_log(event)[:3] == ["START", "installed", "module"]
    assert [(each.name, each.fields) for each in event.records] == [("installed", {"module": "calls_recorder"})]


def test_a_function_of_a_test_file_is_called(deploy):
    function = deploy(HANDLER, before_init=install_from_here, before_init_args=[1, "two"])

    assert function.run()[0][:2] == [[1, "two"], {}]
    modules = [each.fields["module"] for each in function.events[0].records]
    assert modules == ["calls_recorder", "test_before_init"]


def test_a_path_is_looked_up_as_code_is(runtime, tmp_path):
    (tmp_path / "index.py").write_text(HANDLER)
    function = runtime.deploy(
        f"{tmp_path}/index.py:main_handler", before_init="calls_recorder.py:install", before_init_args=[3]
    )

    assert function.run()[0][0] == [3]


def test_its_own_directory_can_be_imported_from_and_comes_after_everything_else(deploy, fakes):
    fakes("WHOSE = 'the test'", "helper.py")
    fakes("WHOSE = 'the test'", "json_of_mine.py")
    fakes("raise AssertionError('shadows the standard library')", "csv.py")
    path = fakes("""
import sys
import helper
def install():
    sys.modules["helper_of_test"] = helper
def later():
    import json_of_mine
    return json_of_mine.WHOSE
""")
    function = deploy(
        """
        import sys, csv
        import fakes
        def main_handler(event, context):
            return [sys.modules["helper_of_test"].WHOSE, fakes.later(), sys.path[-1] == event, sys.path.count(event)]
        """,
        before_init=f"{path}:install",
    )

    assert function.run(str(Path(path).parent)) == ["the test", "the test", True, 1]


def test_a_function_of_a_package_is_imported_under_its_own_name(deploy, fakes, monkeypatch):
    path = Path(fakes("", "top.py")).parent / "mypackage"
    path.mkdir()
    (path / "__init__.py").write_text("")
    (path / "parts.py").write_text("NAME = 'parts'")
    (path / "fakes.py").write_text(
        "import builtins\nfrom .parts import NAME\ndef install():\n    builtins.installed_by = [__name__, NAME]\n"
    )
    monkeypatch.syspath_prepend(str(path.parent))
    from mypackage.fakes import install as from_package

    function = deploy("def main_handler(event, context):\n    return installed_by\n", before_init=from_package)

    assert function.run() == ["mypackage.fakes", "parts"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        del sys.modules[name]


def test_fakes_and_the_handler_may_be_in_one_file_which_is_imported_once(deploy, runtime):
    function = deploy(
        """
        print("imported")
        state = []
        def install(value):
            state.append(value)
        def main_handler(event, context):
            return state
        """,
    )
    from internals import version_of

    directory = version_of(function).code.directory
    both = runtime.deploy(
        f"{directory}/index.py:main_handler", before_init=f"{directory}/index.py:install", before_init_args=[5]
    )

    assert both.run() == [5]
    assert user_lines(both.events[0]) == ["imported"]


def test_it_runs_once_an_instance(deploy):
    function = deploy(
        "import calls\ndef main_handler(event, context):\n    calls.LIST.append(event)\n    return len(calls.LIST)\n",
        before_init=install,
    )

    assert [function.run(1), function.run(2)] == [4, 5]
    assert [len(event.records) for event in function.events] == [1, 0]


def test_it_runs_before_the_gate_of_the_init(deploy):
    event = deploy(HANDLER, before_init=install).invoke_async()

    event.run_to("init")

    assert user_lines(event) == ["installed"]
    assert event.wait().status == "FINISHED"
    assert user_lines(event) == ["installed", "module"]


def test_a_published_version_and_an_updated_function_keep_it(deploy):
    function = deploy(HANDLER, before_init=install, before_init_args=[1])
    version = function.publish_version()
    function.update(timeout=60)

    assert function.run()[0][0] == [1]
    assert function.run(qualifier=version)[0][0] == [1]


FAILURES = {
    "an exception": (
        "def install():\n    helper()\ndef helper():\n    raise KeyError('bucket')\n",
        "KeyError: 'bucket'",
    ),
    "an exit": ("import sys\ndef install():\n    sys.exit(3)\n", "SystemExit: 3"),
    "an interrupt": ("def install():\n    raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    "an import": ("import nothing_of_that_name\ndef install(): pass\n", "No module named 'nothing_of_that_name'"),
    "a missing function": ("def other(): pass\n", "module 'fakes' has no attribute 'install'"),
    "a syntax error": ("def install(:\n", "SyntaxError: invalid syntax"),
    "wrong arguments": ("def install(needed): pass\n", "missing 1 required positional argument: 'needed'"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_in_it_is_the_tests_own(deploy, fakes, failure):
    source, words = FAILURES[failure]
    path = fakes(source)
    function = deploy(HANDLER, before_init=f"{path}:install", name="export")
    event = function.invoke_async()

    with pytest.raises(ScfUsageError) as caught:
        event.wait()

    text = str(caught.value)
    first = text.partition("\n")[0]
    assert first.startswith(f"before_init='{path}:install' (deploy(...)) of function 'export' raised ")
    assert words in first
    assert (f'File "{path}", line' in text) is (failure not in ("a missing function", "wrong arguments"))
    assert "bootstrap" not in text
    assert "/pytest_scf_async/" not in text
    from internals import event_of

    assert (event.status, event_of(event).ended_by_close) == ("FAILED", True)
    assert user_lines(event) == []
    assert "before_init" in event.timeline
    assert_reclaimed_for_good(event, "process exited")
    with pytest.raises(ScfUsageError):  # each instance runs it
        function.run()


def test_the_others_go_on_when_one_of_several_fails(deploy, runtime, fakes):
    good = deploy(HANDLER, before_init=install).invoke_async()
    bad = deploy(HANDLER, before_init=f"{fakes('def install(): 1 / 0')}:install").invoke_async()

    with pytest.raises(ScfUsageError, match="ZeroDivisionError"):
        runtime.wait_all()
    runtime.wait_all()

    assert (good.status, bad.status) == ("FINISHED", "FAILED")


def test_it_may_sleep_and_its_time_is_the_inits(deploy, fakes):
    path = fakes("import time\ndef install():\n    time.sleep(5)\n")
    event = deploy("def main_handler(event, context): pass", before_init=f"{path}:install").invoke_async()
    event.wait()

    assert event.duration == timedelta(seconds=5)
    assert short_log(event)[1] == "INIT 5000ms"


def local():
    def inner():
        pass

    return inner


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"before_init": "fakes.py:install"}, ["before_init is 'fakes.py:install', and there is no "]),
        ({"before_init": "fakes"}, ["before_init is 'fakes', which names no function; it must be \"tests/fakes.py:"]),
        ({"before_init": 5}, ["before_init=5 (deploy(...)) is of type int; it must be "]),
        ({"before_init": local()}, ["before_init is ", "defined inside a function"]),
        ({"before_init": Fakes.method}, ["before_init is ", "belongs to a class"]),
        ({"before_init_args": [1]}, ["before_init_args=[1] (deploy(...)) goes with before_init"]),
        ({"before_init": install, "before_init_args": "text"}, ["before_init_args='text' (deploy(...)) is not valid"]),
        ({"before_init": install, "before_init_args": {1: 2}}, ["the keyword 1 is not a str"]),
        ({"before_init": install, "before_init_args": [object()]}, ["is not JSON serializable", "keyword arguments"]),
        ({"before_init": install, "before_init_args": [float("nan")]}, ["before_init_args=[nan] (deploy(...))"]),
    ],
)
def test_what_is_not_valid_is_refused_at_the_deployment(deploy, given, words):
    with pytest.raises(ScfUsageError) as caught:
        deploy(HANDLER, **given)

    for each in words:
        assert each in str(caught.value)
