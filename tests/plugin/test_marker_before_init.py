"""The marker's before_init, network and background: fakes of a project, and the report of a failure in them."""

from __future__ import annotations

import pytest

FAKES = """
    from pytest_scf_async.inside import record

    def install(bucket="none"):
        import builtins
        record("installed", bucket=bucket)
        builtins.bucket = bucket

    def broken():
        raise KeyError("no such bucket")
"""


@pytest.fixture
def with_fakes(project: pytest.Pytester) -> pytest.Pytester:
    """The project with a module of fakes, and a handler that uses what they put in."""
    project.makepyfile(fakes=FAKES)
    (project.path / "handlers" / "uses.py").write_text("def main_handler(event, context):\n    return bucket\n")
    return project


def test_the_marker_takes_a_path_or_a_function_and_arguments_go_with_their_function(
    with_fakes: pytest.Pytester,
) -> None:
    with_fakes.makepyfile(
        """
        import builtins
        import pytest

        def of_test_file():
            builtins.bucket = "of the test file"

        pytestmark = pytest.mark.scf_function(
            "handlers/uses.py:main_handler", before_init="fakes.py:install", before_init_args={"bucket": "far"}
        )

        def test_path(async_event):
            assert async_event.wait().result == "far"
            assert [record.fields for record in async_event.records] == [{"bucket": "far"}]

        @pytest.mark.scf_function(before_init_args=["near"])
        def test_arguments(async_event):
            assert async_event.wait().result == "near"

        @pytest.mark.scf_function(before_init=of_test_file, network="all", background=("redis-server",),
                                  idle_ok=["localhost:6379"])
        def test_function(async_event, scf_function):
            assert async_event.wait().result == "of the test file"
            assert scf_function.configuration.network == "all"
            assert scf_function.configuration.background == ("redis-server",)
            assert scf_function.configuration.idle_ok == ("127.0.0.1:6379", "[::1]:6379")
        """
    )
    with_fakes.runpytest().assert_outcomes(passed=3)


def test_a_failure_in_it_fails_the_test_once_and_says_where(with_fakes: pytest.Pytester) -> None:
    with_fakes.makepyfile(
        """
        import pytest
        from pytest_scf_async import ScfUsageError

        @pytest.mark.scf_function("handlers/uses.py:main_handler", before_init="fakes.py:broken")
        def test_fails(async_event):
            async_event.wait()

        @pytest.mark.scf_function("handlers/uses.py:main_handler", before_init="fakes.py:broken")
        def test_expects_it(async_event):
            with pytest.raises(ScfUsageError):
                async_event.wait()
        """
    )
    result = with_fakes.runpytest()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * before_init='fakes.py:broken' (scf_function marker) of function 'uses' raised KeyError: 'no such *",
            "*fakes.py*line 9, in broken*",
            "uses: FAILED (439), ended by the harness, in simulated time from *",
        ]
    )


def test_what_is_not_valid_is_a_usage_error_of_the_marker(with_fakes: pytest.Pytester) -> None:
    with_fakes.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/uses.py:main_handler", before_init="nowhere.py:install")
        def test_it(async_event): pass

        @pytest.mark.scf_function("handlers/uses.py:main_handler", network="none")
        def test_network(async_event): pass
        """
    )
    result = with_fakes.runpytest()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*test_it: its scf_function marker: before_init is 'nowhere.py:install', and there is no *",
            "*test_network: network='none' (scf_function marker) is not valid: it must be 'loop*",
        ]
    )


@pytest.mark.parametrize("where", ["ini", "command line"])
def test_the_network_of_all_functions_is_a_setting(with_fakes: pytest.Pytester, where: str) -> None:
    with_fakes.makepyfile(
        """
        def test_it(scf_runtime):
            function = scf_runtime.deploy("handlers/echo.py:main_handler")
            assert function.configuration.network == "all"
        """
    )
    arguments = []
    if where == "ini":
        ini = with_fakes.path / "tox.ini"
        ini.write_text(ini.read_text() + "\nscf_async_network = all\n")
        source = "ini: scf_async_network"
    else:
        arguments = ["-oscf_async_network=all"]
        source = "ini: scf_async_network"
    result = with_fakes.runpytest(*arguments)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"scf-async: *network=all ({source})*"])


def test_a_wrong_network_ends_the_session(with_fakes: pytest.Pytester) -> None:
    result = with_fakes.runpytest("-oscf_async_network=none")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: network='none' (ini: scf_async_network) is not valid: it must be '*"])
