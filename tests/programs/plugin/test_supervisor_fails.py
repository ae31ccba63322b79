"""A bug of ours in the process beside a program is an error of the harness; it does not pass for the program's end."""

from __future__ import annotations

import sys

import pytest
from forked_pytest import run_forked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

SUPERVISOR = "pytest_scf_async.programs.supervisor.supervisor:Supervisor._invoke"
AGENT = "pytest_scf_async.programs.agent:Agent._start"
TRIAL = "pytest_scf_async.programs.supervisor.tree:Tree.settled"
"""Where this fails, programs cannot be traced, and are free-running."""


@pytest.fixture
def faulty(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The module ``fault``, which has these functions of ours fail where it is preloaded."""
    project.makepyfile(
        fault=f"""
        import pkgutil

        def fails(*_):
            return [][0]

        for name in {request.param!r}:
            kind, _, method = name.rpartition(".")
            setattr(pkgutil.resolve_name(kind), method, fails)
        """
    )
    monkeypatch.setenv("PYTHONPATH", str(project.path))


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("faulty", [[SUPERVISOR], [TRIAL, AGENT]], ids=["supervisor", "agent"], indirect=True)
def test_it_is_reported_with_its_stack(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=f"""
        import pytest
        from pytest_scf_async import HarnessError

        def test_it(scf_runtime):
            function = scf_runtime.deploy_image([{sys.executable!r}, "-I", "-c", "pass"], cwd=".", name="export")
            with pytest.raises(HarnessError) as caught:
                function.invoke_async().wait()
            print(caught.value)
        """,
    )
    result = run_forked(project, "-rP", "-W", "ignore:programs cannot be traced", "-oscf_async_preload=fault")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            "the supervisor of the program of export failed, .* bug of pytest-scf-async; it wrote:",
            r".*File .*fault\.py.*, line 4, in fails",
            "IndexError: list index out of range",
        ]
    )


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("faulty", [[TRIAL]], ids=["trial"], indirect=True)
def test_a_trial_of_tracing_that_fails_is_reported_with_its_stack(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=f"""
        import pytest
        from pytest_scf_async import ScfAsyncWarning

        def test_it(scf_runtime):
            with pytest.warns(ScfAsyncWarning, match="programs cannot be traced") as caught:
                scf_runtime.deploy_image([{sys.executable!r}, "-I", "-c", "pass"], cwd=".", name="export")
            print(caught[0].message)
        """,
    )
    result = run_forked(project, "-rP", "-oscf_async_preload=fault")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r".*\(the process that tried it ended with the wait status 256; it wrote:",
            r".*File .*fault\.py.*, line 4, in fails",
            "IndexError: list index out of range",
        ]
    )
