"""A bug of ours in the process beside a program is an error of the harness; it does not pass for the program's end."""

from __future__ import annotations

import sys

import pytest
from forked_pytest import run_forked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

SUPERVISOR = "pytest_scf_async.supervisor.supervisor:Supervisor._invoke"
AGENT = "pytest_scf_async.bootstrap.agent:Agent._start"
TRIAL = "pytest_scf_async.supervisor.tree:Tree.settled"
"""Where this fails, programs cannot be traced, and are free-running."""


@pytest.mark.parametrize("faulty", [[SUPERVISOR], [TRIAL, AGENT]], ids=["supervisor", "agent"])
def test_it_is_reported_with_its_stack(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, faulty: list[str]
) -> None:
    project.makepyfile(
        fault=f"""
        import pkgutil

        def fails(*_):
            return [][0]

        for name in {faulty!r}:
            kind, _, method = name.rpartition(".")
            setattr(pkgutil.resolve_name(kind), method, fails)
        """,
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
    monkeypatch.setenv("PYTHONPATH", str(project.path))
    result = run_forked(project, "-rP", "-W", "ignore:programs cannot be traced", "-oscf_async_preload=fault")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            "the process that stands beside the program of export failed, .* bug of pytest-scf-async; it wrote:",
            r".*File .*fault\.py.*, line 4, in fails",
            "IndexError: list index out of range",
        ]
    )
