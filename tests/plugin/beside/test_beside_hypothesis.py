"""Hypothesis: the runtime is made inside the test, a new one for each example."""

from __future__ import annotations

import os

import pytest
from plugin_support import PLAIN_OPTIONS

# once: hypothesis calls a test again, which is the same on all Pythons
pytestmark = pytest.mark.once

TESTS = """
    from hypothesis import Phase, given, settings, strategies
    from pytest_scf_async import ScfRuntime, assert_finished

    SETTINGS = settings(
        deadline=None, max_examples=20, phases=set(Phase) - {Phase.explain}, database=None, derandomize=True
    )

    def comes_back(handler, payload):
        with ScfRuntime() as runtime:
            event = runtime.deploy(f"handlers/{handler}.py:main_handler").invoke_async(payload).wait()
            assert_finished(event, result=payload)

    @SETTINGS
    @given(strategies.integers() | strategies.lists(strategies.text()))
    def test_holds(payload):
        comes_back("echo", payload)

    @SETTINGS
    @given(strategies.integers(0, 1000))
    def test_does_not_hold(payload):
        comes_back("stubborn", payload)

    @given(strategies.integers())
    def test_the_fixture_inside(scf_runtime, number):
        pass
"""
STUBBORN = """
def main_handler(event, context):
    return event if event < 17 else event - 1
"""


def test_properties_hold_or_are_shrunk_and_the_fixture_inside_one_is_refused(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", os.environ["PYTEST_ADDOPTS"].replace(PLAIN_OPTIONS, ""))
    project.makeini("[pytest]\nfilterwarnings = error\naddopts = -p no:randomly -p no:asyncio -p no:anyio")
    project.path.joinpath("handlers", "stubborn.py").write_text(STUBBORN, encoding="utf-8")
    project.makepyfile(TESTS)

    result = project.runpytest_subprocess("-v")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*::test_holds PASSED*", "*::test_does_not_hold FAILED*"])
    result.stdout.fnmatch_lines(["*payload=17*", "*FailedHealthCheck*function-scoped fixture*"])
    assert "Flaky" not in result.stdout.str()
