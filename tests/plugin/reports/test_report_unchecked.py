"""Corner cases: a FAILED event that its test never checked fails the test at teardown."""

from __future__ import annotations

import pytest
from plugin_support import ALONE_AND_WITH_A_WORKER, run_with

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

MIXED = """
    import pytest

    @pytest.mark.scf_function("handlers/raises.py:main_handler")
    class TestIt:
        def test_unchecked(self, async_event):
            async_event.wait()

        def test_failed_already(self, async_event):
            async_event.wait()
            assert 1 == 2

        @pytest.mark.xfail(reason="known", strict=True)
        def test_xfail(self, async_event):
            async_event.wait()
            assert 1 == 2

        def test_imperative_xfail(self, async_event):
            async_event.wait()
            pytest.xfail("half-way")

        def test_skips(self, async_event):
            async_event.wait()
            pytest.skip("half-way")

        def test_ended_by_the_harness(self, async_event):
            assert async_event.run_to("init").doing == "gated"
"""


@ALONE_AND_WITH_A_WORKER
def test_of_all_ends_of_a_test_one_is_failed_for_it(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    project.makepyfile(MIXED)
    result = run_with(project, workers, "-rE")
    result.assert_outcomes(passed=2, failed=1, xfailed=2, skipped=1, errors=1)
    assert (
        result.stdout.str().count("and the test never checked it; if the failure is expected, call assert_failed(") == 1
    )
    result.stdout.fnmatch_lines(["ERROR *::TestIt::test_unchecked*"])


def test_it_is_a_failure_that_a_mark_xfail_may_expect_as_any_other(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.xfail
        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(async_event):
            async_event.wait()
        """
    )
    project.runpytest().assert_outcomes(xpassed=1, xfailed=1)


def test_a_setup_that_failed_is_not_failed_for_it_as_well(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def breaks(async_event):
            async_event.wait()
            raise RuntimeError("broken")

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(breaks): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    assert "never checked" not in result.stdout.str()


def test_the_first_of_many_is_reported_some_are_named_and_the_rest_counted(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime):
            function = scf_runtime.deploy("handlers/raises.py:main_handler")
            function.deployed = scf_runtime.deploy("handlers/echo.py:main_handler").run("a word")
            for _ in range(15):
                function.invoke_async().wait()
        """
    )
    result = project.runpytest("-rN")
    result.assert_outcomes(passed=1, errors=1)
    output = result.stdout.str()
    assert output.count("and the test never checked it") == 1
    assert output.count("--- other FAILED events that the test never checked ---") == 1
    assert output.count(" of raises: FAILED (430) after 0 s: user code exception caught") == 8
    assert output.count("and 6 more") == 1
    assert output.count("- scf async event ") == 1  # the one of echo; the others are shown already


@pytest.mark.parametrize(
    ("look", "looks"),
    [
        ("async_event.status", True),
        ("async_event.status_code", True),
        ("async_event.error", True),
        ("async_event.transitions", True),
        ("async_event.ended", False),
        ("async_event.ended_at", False),
        ("async_event.duration", False),
        ("async_event.doing", False),
        ("async_event.log", False),
        ("assert_no_signal(async_event)", False),
        ("assert_transitions(async_event, ['RUNNING', 'FAILED'])", True),
    ],
)
def test_when_an_event_ended_says_nothing_of_how(project: pytest.Pytester, look: str, looks: bool) -> None:
    project.makepyfile(
        f"""
        import pytest
        from pytest_scf_async import assert_no_signal, assert_transitions

        @pytest.mark.scf_function("handlers/raises.py:main_handler")
        def test_it(async_event):
            async_event.wait()
            {look}
        """
    )
    project.runpytest().assert_outcomes(passed=1, errors=0 if looks else 1)
