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
    result = project.runpytest("--scf-async-start=2026-01-01T00:00:00Z")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert 1 == 2*",
            "*- scf async event ????????-* -*",
            "sleeps: FINISHED (200)",
            "--- log ---",
            "START RequestId:*",
            "going to sleep",
            "Response RequestId:* RetMsg:*slept*",
            "--- timeline, in simulated time from 2026-01-01T00:00:00+00:00 ---",
            "*+0 s  status    RUNNING: accepted",
            "*+3600 s  status    FINISHED (200): returned",
            "*- scf async event ????????-* -*",
            "echo: FINISHED (200)",
            "got {'n': 1}",
            "*- scf async event ????????-* -*",
            "raises: RUNNING",
            "none of its code has run yet: wait(), settle() and the gate calls run it",
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
    result.stdout.fnmatch_lines([f"*ERROR at {phase} of test_it*", "*- scf async event *", "got in a section"])


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


def test_a_long_log_is_shown_by_head_and_tail(project: pytest.Pytester) -> None:
    project.path.joinpath("handlers", "talks.py").write_text(
        "def main_handler(event, context):\n    for n in range(1000):\n        print('line', n, 'of many')\n"
    )
    project.makepyfile(FAILING.format(handler="talks"))
    output = project.runpytest("-p", "no:warnings").stdout.str()
    section = output[output.index("--- log ---") : output.index("--- timeline")].splitlines()
    assert len(section) == 1 + 60 + 1 + 60
    assert section[1].startswith("START RequestId:")
    assert section[61] == "... 885 lines are left out ..."
    assert section[-1].startswith("Report RequestId:")
    timeline = output[output.index("--- timeline") : output.index("short test summary")].splitlines()
    assert len(timeline) < 130
    assert sum("lines are left out" in line for line in timeline) == 1


def test_sections_come_through_xdist(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING.format(handler="echo"))
    result = run_forked(project, "-n1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- scf async event *", "echo: FINISHED (200)"])
