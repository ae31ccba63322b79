"""Hypothesis: the runtime is made inside the test, a new one for each example."""

from __future__ import annotations

import pytest

RECIPE = """
    from hypothesis import given, settings, strategies
    from hypothesis import Phase
    from pytest_scf_async import ScfRuntime, assert_finished

    PHASES = set(Phase) - {{Phase.explain}}

    @settings(deadline=None, max_examples=20, phases=PHASES, database=None, derandomize=True)
    @given({payloads})
    def test_it(payload):
        with ScfRuntime() as runtime:
            event = runtime.deploy("handlers/{handler}.py:main_handler").invoke_async(payload).wait()
            assert_finished(event, result=payload)
"""
STUBBORN = """
def main_handler(event, context):
    return event if event < 17 else event - 1
"""


@pytest.fixture
def properties(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--scf-async-sandbox={chosen_sandbox}")
    project.makeini("[pytest]\nfilterwarnings = error\naddopts = -p no:randomly -p no:asyncio -p no:anyio")
    return project


def test_a_property_that_holds(properties: pytest.Pytester) -> None:
    payloads = "strategies.integers() | strategies.lists(strategies.text())"
    properties.makepyfile(RECIPE.format(handler="echo", payloads=payloads))
    properties.runpytest_subprocess("--hypothesis-seed=1").assert_outcomes(passed=1)


def test_a_property_that_does_not_hold_is_shrunk(properties: pytest.Pytester) -> None:
    properties.path.joinpath("handlers", "stubborn.py").write_text(STUBBORN, encoding="utf-8")
    properties.makepyfile(RECIPE.format(handler="stubborn", payloads="strategies.integers(0, 1000)"))
    result = properties.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*payload=17*"])
    assert "Flaky" not in result.stdout.str()


def test_the_fixture_inside_a_property_is_refused_by_hypothesis(properties: pytest.Pytester) -> None:
    properties.makepyfile(
        """
        from hypothesis import given, strategies

        @given(strategies.integers())
        def test_it(scf_runtime, number): pass
        """
    )
    result = properties.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FailedHealthCheck*function-scoped fixture*"])
