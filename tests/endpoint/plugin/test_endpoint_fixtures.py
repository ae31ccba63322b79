"""``scf_endpoint`` and ``scf_client`` in a test: what fails the test at its end, and the error without the extra."""

from __future__ import annotations

import pytest
import trustme  # noqa: F401  (what it is made of cannot be imported twice in a process: not in a session inside this one)

# once: the rules of the plugin are the same on all Pythons
pytestmark = pytest.mark.once


def test_a_fault_that_no_request_has_met_fails_a_test_that_passed(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import urllib.request

        def test_unmet(scf_endpoint):
            scf_endpoint.fail("Invoke", code="InternalError", when={"FunctionName": "export"})
            scf_endpoint.drop("Invoke", "response", times=None)

        def test_failed_already(scf_endpoint):
            scf_endpoint.delay("Invoke", 60)
            assert False, "another reason"

        def test_none(scf_endpoint):
            pass
        """
    )

    result = project.runpytest()

    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "* ERROR at teardown of test_unmet *",
            "no request has matched what the test declared: fail('Invoke', code='InternalError'), drop('Invoke', *",
        ]
    )


def test_an_error_of_the_test_that_a_client_received_fails_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from tencentcloud.common.exception import TencentCloudSDKException
        from tencentcloud.scf.v20180416 import models
        from pytest_scf_async.scripted import finished

        @pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning")
        def test_it(scf_runtime, scf_client):
            scf_runtime.deploy_scripted("export", [finished()], by_event=lambda payload: payload["rows"])
            request = models.InvokeRequest()
            request.FunctionName = "export"
            with pytest.raises(TencentCloudSDKException, match="InternalError"):
                scf_client.Invoke(request)
        """
    )

    result = project.runpytest()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ScfUsageError: by_event (deploy_scripted(...)) of function 'export' raised KeyError*"]
    )
    result.stdout.no_fnmatch_line("*endpoint itself failed*")


@pytest.mark.parametrize(
    ("missing", "fixture", "sentence"),
    [
        (
            "trustme",
            "scf_endpoint",
            "the endpoint needs trustme, which is not installed: pip install werkzeug trustme",
        ),
        (
            "werkzeug",
            "scf_endpoint",
            "the endpoint needs werkzeug*, which is not installed: pip install werkzeug trustme",
        ),
        (
            "tencentcloud",
            "scf_client",
            "* uses scf_client, which needs tencentcloud*: pip install tencentcloud-sdk-python-scf",
        ),
    ],
)
def test_a_missing_extra_is_named(project: pytest.Pytester, missing: str, fixture: str, sentence: str) -> None:
    project.makepyfile(
        f"""
        import sys

        import pytest

        @pytest.fixture
        def without(monkeypatch):
            for name in list(sys.modules):
                of_endpoint = name.startswith("pytest_scf_async.endpoint.") and not name.endswith(".served_answers")
                if name.partition(".")[0] == {missing!r} or of_endpoint:  # the runtime has the feature of that class
                    monkeypatch.delitem(sys.modules, name)
            monkeypatch.setitem(sys.modules, {missing!r}, None)

        def test_it(without, {fixture}):
            pass
        """
    )

    result = project.runpytest()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*UsageError: *{sentence}"])


def test_code_that_polls_while_time_stands_is_the_likely_cause_of_its_failure(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from tencentcloud.scf.v20180416.models import GetAsyncEventStatusRequest

        @pytest.mark.parametrize("times", [5, 30])
        @pytest.mark.parametrize("later", [0, 1])
        def test_it(scf_runtime, scf_client, times, later):
            event = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().settle()
            request = GetAsyncEventStatusRequest()
            request.InvokeRequestId = event.request_id
            for _ in range(times):
                scf_client.GetAsyncEventStatus(request)
            scf_runtime.clock.advance(later)
            assert event.status == "FINISHED"
        """
    )

    # A process of its own: pytester imports modules anew for each run in this one, and requests does not bear that. Of
    # utcfromtimestamp, with which the official SDK signs, Python 3.12 and newer warn.
    warnings = ("-Werror::pytest_scf_async.ScfAsyncWarning", "-Wignore::DeprecationWarning")
    result = project.runpytest_subprocess(*warnings)

    result.assert_outcomes(failed=4)
    text = result.stdout.str()
    assert text.count("-- scf async: likely cause --") == 1
    assert text.count("\nthe endpoint was asked 30 times how far events are, at one simulated time (") == 1


@pytest.mark.parametrize(
    ("context", "pause"), [("scf_clock.patched()", "time.sleep(600)"), ("scf_clock.running(rate=100_000)", "pass")]
)
def test_code_that_polls_in_time_that_passes_as_advised_sees_the_end(
    project: pytest.Pytester, context: str, pause: str
) -> None:
    project.makepyfile(
        f"""
        import time
        from tencentcloud.scf.v20180416.models import GetAsyncEventStatusRequest

        def test_it(scf_runtime, scf_clock, scf_client):
            event = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async()
            request = GetAsyncEventStatusRequest()
            request.InvokeRequestId = event.request_id
            with {context}:
                while scf_client.GetAsyncEventStatus(request).Result.Status == "RUNNING":
                    {pause}
            assert event.status == "FINISHED"
        """
    )

    project.runpytest_subprocess("-Wignore::DeprecationWarning").assert_outcomes(passed=1)
