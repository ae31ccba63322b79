"""The report of a failed test has a section for each of its events, bounded; that of a passing one has none."""

from __future__ import annotations

import pytest
from forked_pytest import run_forked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

FAILING = """
    import pytest

    @pytest.mark.scf_function("handlers/{handler}.py:main_handler")
    def test_it(async_event):
        async_event.wait()
        assert 1 == 2
"""


def test_log_and_timeline_of_each_event(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().wait()
            scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async({"n": 1}).settle()
            scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async()
            assert 1 == 2
        """
    )
    result = project.runpytest("--scf-async-start=2026-01-01T08:00:00+08:00")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert 1 == 2*",
            "*- scf async event ????????-* -*",
            "sleeps: FINISHED (200), in simulated time from 2026-01-01T08:00:00+08:00",
            "*+0 s  status    RUNNING: accepted",
            "*+0 s  log       START RequestId:*",
            "*+0 s  log       going to sleep",
            "*+3600 s  status    FINISHED (200): returned",
            "*+3600 s  log       Response RequestId:* RetMsg:*slept*",
            "*- scf async event ????????-* -*",
            "echo: FINISHED (200), in simulated time from 2026-01-01T09:00:00+08:00",
            "*+0 s  log       got {'n': 1}",
            "*- scf async event ????????-* -*",
            "raises: RUNNING, in simulated time from 2026-01-01T09:00:00+08:00",
            "none of its code has run yet: wait(), settle() and the gate calls run it",
            "--- in full: */scf-async/*-test_it-* ---",
        ]
    )


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_errors_of_other_fixtures_have_the_sections_too(project: pytest.Pytester, phase: str) -> None:
    project.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def other(async_event):
            async_event.wait()
            if {phase == "setup"}:
                raise RuntimeError("broken")
            yield
            raise RuntimeError("broken")

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload="in a section")
        def test_it(other): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1, passed=phase == "teardown")
    result.stdout.fnmatch_lines(
        [f"*ERROR at {phase} of test_it*", "*- scf async event *", "*+0 s  log       got in a section"]
    )


def test_a_test_that_passes_has_none(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING.format(handler="echo").replace("1 == 2", "1 == 1"))
    result = project.runpytest("-rA", "-vv")
    result.assert_outcomes(passed=1)
    assert "scf async event" not in result.stdout.str()


def test_a_test_without_a_runtime_has_none(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(): assert 1 == 2")
    result = project.runpytest()
    result.assert_outcomes(failed=1)
    assert "scf async" not in result.stdout.str()


def test_of_a_long_log_the_beginning_and_the_end_are_shown(project: pytest.Pytester) -> None:
    project.path.joinpath("handlers", "talks.py").write_text(
        "def main_handler(event, context):\n    for n in range(1000):\n        print('line', n, 'of many')\n"
    )
    project.makepyfile(FAILING.format(handler="talks"))
    result = project.runpytest("-p", "no:warnings")
    begin = next(n for n, line in enumerate(result.outlines) if line.startswith("talks: FINISHED"))
    end = next(n for n, line in enumerate(result.outlines) if line.startswith("--- in full: "))
    timeline = result.outlines[begin + 1 : end]
    assert len(timeline) == 24
    assert timeline[0].endswith("status    RUNNING: accepted")
    assert len([line for line in timeline if line.endswith(" log lines left out")]) == 1
    assert any(line.endswith("status    FINISHED (200): returned") for line in timeline)
    assert timeline[-1].startswith("+0 s  log       Report RequestId:")


def test_very_verbose_leaves_nothing_out(project: pytest.Pytester) -> None:
    project.path.joinpath("handlers", "talks.py").write_text(
        "def main_handler(event, context):\n    for n in range(1000):\n        print('line', n, 'of many')\n"
    )
    project.makepyfile(FAILING.format(handler="talks"))
    output = project.runpytest("-p", "no:warnings", "-vv").stdout.str()
    assert all(f"line {n} of many" in output for n in range(1000))
    assert "left out" not in output
    assert "line 500 of many" not in project.runpytest("-p", "no:warnings").stdout.str()  # in the same process


def test_sections_come_through_xdist(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING.format(handler="echo"))
    result = run_forked(project, "-n1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- scf async event *", "echo: FINISHED (200), in simulated time from *"])
