"""The marker scf_function: which one wins, what is kept of the others, and what is refused."""

from __future__ import annotations

import re

import pytest

from pytest_scf_async import ScfUsageError, scf_function


def test_the_closest_marker_wins_and_keywords_of_farther_ones_are_kept(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.scf_function("handlers/sleeps.py:main_handler", timeout=100, memory=256, payload="far")

        def test_module(scf_function, async_event):
            assert scf_function.name == "sleeps"
            assert scf_function.configuration.timeout == 100
            assert async_event.settle().doing == "parked"

        @pytest.mark.scf_function("handlers/echo.py:main_handler", timeout=50)
        class TestClass:
            def test_class(self, scf_function, async_event):
                assert scf_function.name == "echo"
                assert scf_function.configuration.timeout == 50
                assert scf_function.configuration.memory == 256
                assert async_event.wait().result == "far"

            @pytest.mark.scf_function(timeout=7, payload="near")
            def test_function(self, scf_function, async_event):
                assert scf_function.name == "echo"
                assert scf_function.configuration.timeout == 7
                assert scf_function.configuration.memory == 256
                assert async_event.wait().result == "near"
        """
    )
    project.runpytest().assert_outcomes(passed=3)


def test_a_handler_keyword_goes_with_the_code_that_is_replaced(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.scf_function("handlers", handler="echo.main_handler")

        def test_directory(async_event):
            assert async_event.wait().result == {}

        @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
        def test_file(async_event):
            assert async_event.wait().result == "slept"
        """
    )
    project.runpytest().assert_outcomes(passed=2)


def test_code_may_be_a_function_as_a_keyword(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        def main_handler(event, context):
            return "of the test file"

        @pytest.mark.scf_function(code=main_handler)
        def test_function(async_event):
            assert async_event.wait().result == "of the test file"
        """
    )
    project.runpytest().assert_outcomes(passed=1)


def test_the_typed_call_makes_the_same_marker(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_scf_async import scf_function

        def main_handler(event, context):
            return event

        pytestmark = scf_function(main_handler, payload="far", timeout=7, memory=256)

        def test_module(async_event):
            assert async_event.wait().result == "far"

        @scf_function(payload=None, timeout=None)
        def test_none_takes_back_what_a_farther_marker_says(scf_function, async_event):
            assert async_event.wait().result == {}
            assert scf_function.configuration.timeout == 86_400
            assert scf_function.configuration.memory == 256
            assert scf_function.configuration.sources["memory"] == "scf_function marker"
        """
    )
    project.runpytest().assert_outcomes(passed=2)


def test_the_typed_call_refuses_a_keyword_where_it_is_written() -> None:
    refused = re.escape("scf_function(...) has no keyword 'tiemout'; did you mean 'timeout'? (valid keywords: code, ")
    with pytest.raises(ScfUsageError, match=refused):
        scf_function("handlers/echo.py:main_handler", tiemout=5)  # type: ignore[call-arg]
    with pytest.raises(ScfUsageError, match=r"scf_function\(\.\.\.\) takes only code by position, and also got 5 "):
        scf_function("handlers/echo.py:main_handler", 5)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        (
            '"handlers/echo.py:main_handler", tiemout=5',
            (
                "its scf_function marker has the keyword 'tiemout'; did you mean 'timeout'? (valid keywords: code, *, "
                "payload)"
            ),
        ),
        (
            "timeout=5",
            'its scf_function marker names no handler; give a handler first, as in @pytest.mark.scf_function("handl*',
        ),
        (
            '"handlers/echo.py:main_handler", "handlers/sleeps.py:main_handler"',
            "*names 2 functions, 'handlers/echo.py:main_handler', 'handlers/sleeps.py:main_handler'; it takes one, *",
        ),
        (
            '"handlers/echo.py:main_handler", code="handlers/sleeps.py:main_handler"',
            "its scf_function marker names 2 functions, *",
        ),
        (
            '"handlers/echo.py:main_handler", timeout=0',
            "timeout=0 (scf_function marker) is not valid: *",
        ),
        (
            '"handlers/echo.py:main_handler", environment={"SCF_RUNTIME": "x"}',
            "*SCF_RUNTIME*(scf_function marker)*",
        ),
        (
            '"handlers/missing.py:main_handler"',
            "its scf_function marker: code is 'handlers/missing.py:main_handler', and there is no *",
        ),
    ],
)
def test_what_is_wrong_is_a_usage_error(project: pytest.Pytester, marker: str, sentence: str) -> None:
    project.makepyfile(
        test_wrong=f"""
        import pytest

        @pytest.mark.scf_function({marker})
        def test_it(async_event): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    escaped = sentence.replace("[", "[[]")
    result.stdout.fnmatch_lines([f"test_wrong.py::test_it: {escaped}", "ERROR test_wrong.py::test_it - *UsageError: *"])
    assert "plugin.py" not in result.stdout.str()


def test_a_value_of_deploy_names_deploy_as_its_source(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from pytest_scf_async import ScfUsageError

        @pytest.mark.scf_function("handlers/echo.py:main_handler", timeout=5)
        def test_it(scf_runtime, scf_function):
            with pytest.raises(ScfUsageError, match=r"^timeout=0 \\(deploy\\(\\.\\.\\.\\)\\) is not valid"):
                scf_runtime.deploy("handlers/echo.py:main_handler", timeout=0)
            assert scf_runtime.deploy("handlers/sleeps.py:main_handler").configuration.timeout == 86_400
        """
    )
    project.runpytest().assert_outcomes(passed=1)


def test_the_marker_is_known_to_strict_markers_and_listed(project: pytest.Pytester) -> None:
    result = project.runpytest("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.scf_function(code, [*], payload=None, [*][*]deploy): *"])


def test_a_function_that_computes_for_ever_times_out_by_its_marker(project: pytest.Pytester) -> None:
    (project.path / "handlers" / "loops.py").write_text(
        "def main_handler(event, context):\n    while True:\n        pass\n", encoding="utf-8"
    )
    project.makepyfile(
        """
        import pytest
        from pytest_scf_async import assert_timed_out

        @pytest.mark.scf_function("handlers/loops.py:main_handler", timeout=60, compute_rate=1000)
        def test_it(async_event, scf_function):
            assert_timed_out(async_event.wait())
            assert scf_function.configuration.sources["compute_rate"] == "scf_function marker"

        def test_by_setting(scf_runtime):
            function = scf_runtime.deploy("handlers/loops.py:main_handler", timeout=60)
            assert_timed_out(function.invoke_async().wait())
        """
    )
    project.runpytest("-oscf_async_compute_rate=2000").assert_outcomes(passed=2)
