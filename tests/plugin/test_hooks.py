"""The hooks of hookspecs.py: when they are called, and with what."""

from __future__ import annotations

import pytest


def test_instance_started_and_event_ended(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import os
        import pytest

        def pytest_configure(config):
            config.reported = []

        @pytest.hookimpl(optionalhook=True)
        def pytest_scf_async_instance_started(instance):
            os.kill(instance.pid, 0)  # it is there
            reported.append(("started", instance.pid, instance.cold))

        @pytest.hookimpl(optionalhook=True)
        def pytest_scf_async_event_ended(event):
            reported.append(("ended", event.request_id, event.status))

        reported = []

        @pytest.fixture
        def reported_so_far():
            return reported
        """
    )
    project.makepyfile(
        """
        def test_it(scf_runtime, reported_so_far):
            function = scf_runtime.deploy("handlers/echo.py:main_handler")
            first = function.invoke_async().wait()
            second = function.invoke_async().wait()
            failed = scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async().wait()
            killed = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async()
            killed.terminate()
            never = function.invoke_async()
            scf_runtime.get_async_event_status(never.request_id)  # nothing runs it, on purpose
            assert reported_so_far == [
                ("started", first.instance.pid, True),
                ("ended", first.request_id, "FINISHED"),
                ("ended", second.request_id, "FINISHED"),
                ("started", failed.instance.pid, True),
                ("ended", failed.request_id, "FAILED"),
                ("started", killed.instance.pid, True),
                ("ended", killed.request_id, "ABORTED"),
            ]

        def test_what_the_harness_ends_is_not_reported(reported_so_far):
            assert len(reported_so_far) == 7
        """
    )
    project.runpytest().assert_outcomes(passed=2)


def test_a_hook_with_a_wrong_argument_is_refused(project: pytest.Pytester) -> None:
    project.makeconftest("def pytest_scf_async_event_ended(evnt): pass")
    result = project.runpytest()
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*evnt*"])
