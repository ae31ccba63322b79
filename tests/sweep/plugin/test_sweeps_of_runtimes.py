"""Sweeps in runtimes that are those of a module, or that a test makes itself."""

from __future__ import annotations

import pytest
from sweep_support import write_sweeps

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

OF_A_MODULE = """
    import pytest

    @pytest.fixture(scope="module")
    def scf_runtime(scf_runtime_factory):
        with scf_runtime_factory() as runtime:
            yield runtime
"""


def test_a_sweep_is_told_what_the_test_is_told_that_makes_it(project: pytest.Pytester) -> None:
    write_sweeps(
        project,
        test=OF_A_MODULE
        + """
    from sweeps import sweep

    def test_before(scf_runtime):
        pass

    def test_loses(scf_runtime):
        sweep(scf_runtime, include="loses.py:8").assert_survives()

    def test_after(scf_runtime):
        assert 1 == 2
    """,
    )
    result = project.runpytest("-p", "no:randomly", "--scf-async-artifacts=kept")
    result.assert_outcomes(passed=1, failed=2)
    output = result.stdout.str()
    assert output.count("scf async: sweep of loses") == 1
    assert "scf async event" not in output  # neither the sweep's runs, nor anything of another test
    assert [path.name for path in project.path.joinpath("kept").rglob("sweep*")] == ["sweep-1-loses.json"]


def test_the_runs_of_a_sweep_have_no_hooks(project: pytest.Pytester) -> None:
    project.makeconftest("def pytest_scf_async_event_ended(event):\n    print('ended', event.status)\n")
    project.makepyfile(
        """
        from pytest_scf_async import ScfRuntime

        def test_it(capsys):
            with ScfRuntime() as runtime:
                echo = runtime.deploy("handlers/echo.py:main_handler")
                sweep = runtime.sweep(echo, how="forced", limit=1, compares_nothing=True)
            sweep.assert_survives()
            assert capsys.readouterr().out == ""
        """
    )
    project.runpytest().assert_outcomes(passed=1)
