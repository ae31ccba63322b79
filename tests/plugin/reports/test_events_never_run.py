"""At the end of a test that passed: those of which no code ran fail it, those left running are a warning."""

from __future__ import annotations

import re
import textwrap

import pytest

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

FUNCTION = 'scf_runtime.deploy("handlers/sleeps.py:main_handler")'


@pytest.fixture
def of_test(project: pytest.Pytester):
    """Run a test with the body given, and its function deployed as ``function``."""

    def run(body: str, *args: str) -> pytest.RunResult:
        (project.path / "handlers" / "sleeps.py").write_text(
            "import time\n\ndef main_handler(event, context):\n    print('row 1')\n    time.sleep(60)\n",
            encoding="utf-8",
        )
        head = (
            "import pytest\nfrom pytest_scf_async import *\n\ndef test_it(scf_runtime, scf_clock):\n"
            f"    function = {FUNCTION}\n"
        )
        project.makepyfile(test_it=head + textwrap.indent(textwrap.dedent(body), "    "))
        return project.runpytest(*args)

    return run


def test_an_event_of_which_no_code_ran_fails_its_test(of_test) -> None:
    result = of_test("event = function.invoke_async()\nassert event.status == 'RUNNING'")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "* ERROR at teardown of test_it *",
            "no code of event ????????-* of sleeps ever ran, *never_run='ignore' (it is 'fail', default)",
        ]
    )


def test_scripted_events_are_declared_and_so_no_rule_is_about_them(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from pytest_scf_async.scripted import failed, running_for

        def test_pending(scf_runtime):
            scf_runtime.deploy_scripted("export", [failed()]).invoke_async()

        def test_running_and_failed(scf_runtime, scf_clock):
            export = scf_runtime.deploy_scripted("export", [running_for(60), failed()], by_event={0: [failed()]})
            for _ in range(2):
                export.invoke_async()
            scf_clock.advance(5)
        """
    )
    project.runpytest("-Werror").assert_outcomes(passed=2)


def test_the_event_of_the_fixture_that_nothing_runs_fails_its_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(async_event):
            pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["no code of event * of raises ever ran, *"])


@pytest.mark.parametrize(
    "call",
    [
        "event.wait()",
        "event.settle()\nevent.status",
        "event.run_to('init')\nevent.doing",
        "event.terminate()",
        "event.terminate(when='now')",
        "function.delete()",
        "scf_clock.advance(1)\nevent.log",
        "assert_status(event, 'RUNNING')",
        "assert_no_signal(event)",
        "scf_runtime.list_async_events('sleeps')",
        "scf_runtime.get_async_event_status(event.request_id)",
    ],
)
def test_an_event_that_ran_or_was_terminated_listed_or_asserted_on_fails_nothing(of_test, call: str) -> None:
    result = of_test(f"event = function.invoke_async()\n{call}", "-Werror")
    result.assert_outcomes(passed=1)


def test_only_the_events_that_never_ran_are_named_and_not_without_end(of_test) -> None:
    result = of_test("function.invoke_async().wait()\nevents = [function.invoke_async() for _ in range(12)]")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["no code of events *, ????????-* of sleeps and 2 more ever ran, *"])
    (line,) = {line for line in result.outlines if line.startswith("no code of events")}
    assert line.count(" of sleeps") == 10


def test_a_listing_is_about_the_events_that_it_gives(of_test) -> None:
    result = of_test(
        "events = [function.invoke_async(), function.invoke_async()]\nscf_runtime.list_async_events('sleeps', limit=1)"
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["no code of event *"])


def test_a_test_that_failed_or_was_skipped_reports_none_of_them(of_test) -> None:
    of_test("function.invoke_async()\nassert False").assert_outcomes(failed=1)
    of_test("function.invoke_async()\npytest.skip('no')").assert_outcomes(skipped=1)


@pytest.mark.parametrize(("option", "outcome"), [("ignore", {}), ("warn", {"warnings": 1}), ("fail", {"errors": 1})])
def test_never_run_is_a_setting(of_test, option: str, outcome: dict[str, int]) -> None:
    result = of_test("function.invoke_async()", f"-oscf_async_never_run={option}", "-Wdefault")
    result.assert_outcomes(passed=1, **outcome)
    if outcome:
        result.stdout.fnmatch_lines(
            ["*no code of event * of sleeps ever ran, *='ignore' (it is '*', ini: scf_async_never_run)"]
        )


@pytest.mark.parametrize("call", ["event.settle()", "event.wait_for_log('row 1')", "scf_clock.advance(1)"])
def test_an_event_that_is_left_running_is_a_warning(of_test, call: str) -> None:
    result = of_test(f"event = function.invoke_async()\nassert event.status == 'RUNNING'\n{call}", "-Wdefault")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py:*",
            "*ScfAsyncWarning: event ????????-* of sleeps was still running *unfinished='ignore' (it is *, default)",
        ]
    )


@pytest.mark.parametrize(
    "look",
    [
        "event.status",
        "event.log",
        "event.records",
        "event.timeline",
        "event.signals",
        "event.instance",
        "event.doing",
        "assert_logged(event, 'row 1')",
        "scf_runtime.list_async_events('sleeps')",
        "scf_runtime.get_async_event_status(event.request_id)",
        "scf_runtime.wait_until(lambda: event.doing == 'parked', within=1)",
        "event.wait()",
        "event.terminate()",
    ],
)
def test_an_event_that_was_looked_at_last_is_no_warning(of_test, look: str) -> None:
    of_test(f"event = function.invoke_async()\nevent.settle()\n{look}", "-Werror").assert_outcomes(passed=1)


def test_a_call_that_raises_for_an_event_has_reported_it(of_test) -> None:
    result = of_test(
        """
        event, other = function.invoke_async(), function.invoke_async()
        event.settle()
        other.run_to("main_handler")
        with pytest.raises(CannotEndError):
            event.wait()
        assert other.doing == "gated"
        """,
        "-Werror",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(("option", "outcome"), [("ignore", {}), ("warn", {"warnings": 1}), ("fail", {"errors": 1})])
def test_unfinished_is_a_setting(of_test, option: str, outcome: dict[str, int]) -> None:
    result = of_test("function.invoke_async().settle()", f"-oscf_async_unfinished={option}", "-Wdefault")
    result.assert_outcomes(passed=1, **outcome)
    if outcome:
        result.stdout.fnmatch_lines(
            ["*event * of sleeps was still running *unfinished='ignore' (it is '*', ini: scf_async_unfinished)"]
        )


def test_events_that_failed_unchecked_come_first(of_test) -> None:
    result = of_test(
        """
        raises = scf_runtime.deploy("handlers/raises.py:main_handler")
        raises.invoke_async().wait()
        function.invoke_async()
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["event * of raises FAILED *", "no code of event * of sleeps ever ran, *"])


def test_an_event_that_waits_for_room_in_the_queue_is_neither_never_run_nor_unfinished(of_test) -> None:
    result = of_test(
        """
        function.update(max_instances=1, over_quota="queue")
        first, second = function.invoke_async(), function.invoke_async()
        assert second.doing == "queued"
        first.wait_for_log("row 1")
        first.terminate()
        """,
        "-Werror",
    )
    result.assert_outcomes(passed=1)


def test_an_event_that_an_operation_invoked_may_be_left_pending(of_test) -> None:
    of_test("scf_runtime.invoke('sleeps')\nscf_runtime.invoke_function('sleeps')").assert_outcomes(passed=1)


USES_MEMORY = """
from pytest_scf_async import assert_failed

def uses(event, context):
    return len(b"x" * (event << 20))

def test_it(scf_runtime):
    function, other = scf_runtime.deploy(uses, MEMORY), scf_runtime.deploy(uses, name="other", MEMORY)
    scf_runtime.wait_all([each.invoke_async(size) for each in (function, other) for size in (200, 20, 300)])
"""


@pytest.mark.parametrize(
    ("memory", "options", "outcome"),
    [
        ("", ["-Wdefault"], {"passed": 1, "warnings": 1}),
        ("", ["-Werror"], {"passed": 1, "errors": 1}),
        ("memory=512", ["-Werror"], {"passed": 1}),
        ("", ["-Wignore::pytest_scf_async.ScfAsyncWarning"], {"passed": 1, "warnings": 0}),
    ],
    ids=["warned", "error", "given", "ignored"],
)
def test_more_memory_than_the_function_has_is_a_warning_for_each_function(
    project: pytest.Pytester, memory: str, options: list[str], outcome: dict[str, int]
) -> None:
    project.makepyfile(test_it=USES_MEMORY.replace("MEMORY", memory))
    result = project.runpytest(*options)
    result.assert_outcomes(**outcome)
    text = result.stdout.str()
    for name in ("test_it", "other"):
        said = f" of {name} used 3\\d\\d MB and would be FAILED \\(434\\) on the platform, where a function has 128"
        assert len(re.findall(said, text)) == (not memory and "ignore" not in options[0]), text


def test_where_warnings_are_errors_neither_hides_what_else_is_wrong(project: pytest.Pytester) -> None:
    test = USES_MEMORY.replace("MEMORY", "") + "    other.invoke_async(1)\n"
    project.makepyfile(test_it=test)
    result = project.runpytest("-Werror")
    result.assert_outcomes(passed=1, errors=1)
    text = result.stdout.str()
    assert re.search(" of other used 3\\d\\d MB and would be FAILED ", text), text
    assert " of other ever ran, " in text


def test_a_limit_that_is_given_ends_the_event_instead(project: pytest.Pytester) -> None:
    test = USES_MEMORY.replace("MEMORY", "memory=128") + "    assert_failed(function.events[0], code=434)\n"
    project.makepyfile(test_it=test + "    assert_failed(other.events[2], code=434)\n")
    result = project.runpytest("-Werror")
    result.assert_outcomes(passed=1, errors=1)  # that of the four events which no one has checked
    text = result.stdout.str()
    assert " MB, and would be" not in text
