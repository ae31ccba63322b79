"""A FAILED event that its test never checked fails the test at teardown; one that was checked does not."""

from __future__ import annotations

import pytest
from forked_pytest import run_forked

# once: the rules of the plugin are the same on all Pythons
pytestmark = pytest.mark.once


def test_an_unchecked_failure_fails_the_test_at_teardown(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(async_event):
            async_event.wait()
        """
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "* ERROR at teardown of test_it *",
            "event ????????-* of raises FAILED (430: user code exception caught) and the test never checked it; *",
            "Traceback (most recent call last):",
            "ValueError: boom",
            "--- timeline, in simulated time from *",
            "+0 s  log       about to fail",
            "+0 s  status    FAILED (430): raised",
            "ERROR test_it.py::test_it - Failed: event *",
        ]
    )
    assert "scf async event" not in result.stdout.str()  # all of it is shown already


def test_each_unchecked_failure_is_named(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime):
            function = scf_runtime.deploy("handlers/raises.py:main_handler")
            events = [function.invoke_async() for _ in range(3)]
            scf_runtime.wait_all(events)
            assert events[1].status == "FAILED"
        """
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    assert result.stdout.str().count("and the test never checked it") == 1
    assert result.stdout.str().count("--- other FAILED events that the test never checked ---") == 1
    assert result.stdout.str().count("FAILED (430) after 0 s: user code exception caught") == 1


LOOKS = {
    "status": "event.status",
    "status_code": "event.status_code",
    "error": "event.error",
    "result": "pytest.raises(HandlerError, lambda: event.result)",
    "helper": "assert_failed(event, code=430)",
    "another helper": "assert_logged(event, 'about to fail')",
    "run": "pytest.raises(HandlerError, lambda: function.run())",
    "get": "scf_runtime.get_async_event_status(event.request_id)",
    "list": "scf_runtime.list_async_events('raises')",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_an_event_that_was_looked_at_is_no_failure(project: pytest.Pytester, look: str) -> None:
    project.makepyfile(
        f"""
        import pytest
        from pytest_scf_async import HandlerError, assert_failed, assert_logged

        def test_it(scf_runtime):
            function = scf_runtime.deploy("handlers/raises.py:main_handler")
            {"event = function.invoke_async().wait()" if "run()" not in look else ""}
            {look}
        """
    )
    project.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("how", ["wait()", "log", "transitions before the end"])
def test_what_is_not_a_look(project: pytest.Pytester, how: str) -> None:
    body = {"wait()": "event.wait()", "log": "str(event.wait().log)"}.get(how, "event.status; event.wait()")
    project.makepyfile(
        f"""
        def test_it(scf_runtime):
            event = scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async()
            {body}
        """
    )
    project.runpytest().assert_outcomes(passed=1, errors=1)


def test_a_test_that_failed_already_does_not_fail_twice(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        class TestIt:
            def test_fails(self, async_event):
                async_event.wait()
                assert 1 == 2

            @pytest.mark.xfail(raises=AssertionError)
            def test_fails_as_expected(self, async_event):
                async_event.wait()
                assert 1 == 2

            def test_skips(self, async_event):
                async_event.wait()
                pytest.skip("half-way")
        """
    )
    result = project.runpytest()
    result.assert_outcomes(failed=1, xfailed=1, skipped=1)


def test_events_that_the_harness_ends_are_no_failures(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_running(async_event):
            assert async_event.settle().doing == "parked"

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_before_its_first_line(async_event):
            assert async_event.run_to("init").doing == "gated"
        """
    )
    project.runpytest().assert_outcomes(passed=2)


def test_aborted_and_finished_events_are_no_failures(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async().wait()
            scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().terminate()
        """
    )
    project.runpytest().assert_outcomes(passed=1)


def test_a_failed_event_says_nothing_in_an_interrupted_session(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(async_event):
            async_event.wait()
            raise KeyboardInterrupt
        """
    )
    result = run_forked(project)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert "never checked" not in result.stdout.str() + result.stderr.str()
