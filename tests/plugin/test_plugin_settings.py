"""Settings: where they come from, which one wins, and that messages name the source."""

from __future__ import annotations

import re

import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

SHOW = """
    def test_it(scf_runtime):
        settings = scf_runtime.settings
        for name in ("real_timeout", "real_limit", "timeout", "start"):
            print(f"shown {name}={getattr(settings, name)} ({settings.source(name)})")
"""


def shown(result: pytest.RunResult) -> dict[str, str]:
    result.assert_outcomes(passed=1)
    return dict(re.findall(r"shown (\w+)=(.*)", result.stdout.str()))


def ini(project: pytest.Pytester, *lines: str) -> None:
    text = project.path.joinpath("tox.ini").read_text()
    project.path.joinpath("tox.ini").write_text("\n".join([text.rstrip(), *lines]) + "\n")


def test_without_anything_the_defaults_hold(project: pytest.Pytester) -> None:
    project.makepyfile(SHOW)
    assert shown(project.runpytest("-s")) == {
        "real_timeout": "10.0 (default)",
        "real_limit": "120.0 (default)",
        "timeout": "None (default)",
        "start": "None (default)",
    }


def test_ini_then_command_line_then_fixture(project: pytest.Pytester) -> None:
    ini(project, "scf_async_real_timeout = 3", "scf_async_real_limit = 30", "scf_async_timeout = 300")
    project.makeconftest(
        """
        import pytest
        from pytest_scf_async import ScfSettings

        @pytest.fixture
        def scf_settings():
            return ScfSettings(timeout=500)
        """
    )
    project.makepyfile(SHOW)
    result = project.runpytest("-s", "-oscf_async_real_limit=40", "--scf-async-real-timeout=4")
    assert shown(result) == {
        "real_timeout": "4.0 (command line: --scf-async-real-timeout)",
        "real_limit": "40.0 (ini: scf_async_real_limit)",
        "timeout": "500 (scf_settings)",
        "start": "None (default)",
    }


def test_the_marker_wins_over_settings_and_deploy_stands_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler", timeout=7)
        def test_it(scf_runtime, scf_function):
            assert scf_function.configuration.timeout == 7
            assert scf_function.configuration.sources["timeout"] == "scf_function marker"
            other = scf_runtime.deploy("handlers/sleeps.py:main_handler")
            assert other.configuration.timeout == 60
            assert other.configuration.sources["timeout"] == "ini: scf_async_timeout"
            given = scf_runtime.deploy("handlers/sleeps.py:main_handler", timeout=9)
            assert given.configuration.sources["timeout"] == "deploy(...)"
        """
    )
    project.runpytest("-oscf_async_timeout=60").assert_outcomes(passed=1)


def test_a_fixture_may_extend_what_was_configured(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
    import pytest

    @pytest.fixture
    def scf_settings(scf_settings):
        return scf_settings.replace("my test file", timeout=scf_settings.timeout * 2)
        """
        + SHOW
    )
    result = shown(project.runpytest("-s", "-oscf_async_timeout=60", "--scf-async-real-timeout=5"))
    assert result["timeout"] == "120.0 (my test file)"
    assert result["real_timeout"] == "5.0 (command line: --scf-async-real-timeout)"


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-01-01T00:00:00+00:00", "2026-01-01 00:00:00+00:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01 00:00:00+00:00"),
        ("2026-01-01 08:00:00+08:00", "2026-01-01 08:00:00+08:00"),
    ],
)
def test_the_clock_starts_where_the_setting_says(project: pytest.Pytester, text: str, iso: str) -> None:
    project.makepyfile(
        SHOW
        + """
        from datetime import datetime, timezone
        assert scf_runtime.clock.now == datetime(2026, 1, 1, tzinfo=timezone.utc)
        """
    )
    ini(project, f"scf_async_start = {text}")
    assert shown(project.runpytest("-s"))["start"] == f"{iso} (ini: scf_async_start)"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            "real_timeout=soon",
            "real_timeout='soon' ({}) is not valid: it must be a number of seconds, more than 0 and * at most",
        ),
        ("real_limit=-1", "real_limit=-1.0 ({}) is not valid: it must be a number of seconds, more than 0*"),
        ("compute_grace=nan", "compute_grace=nan ({}) is not valid: it must be a number of seconds, more than 0*"),
        ("memory=1.5", "memory='1.5' ({}) is not valid: it must be a whole number, 1 or more"),
        (
            "start=2026-01-01",
            "start='2026-01-01' ({}) is not valid: it must be a time with its zone, as in 2026-01-01T00:00:00+00:00",
        ),
        (
            "start=now",
            "start='now' ({}) is not valid: it must be a time with its zone, as in 2026-01-01T00:00:00+00:00",
        ),
        (
            "graceful_return_status=DONE",
            "graceful_return_status='DONE' ({}) is not valid: it must be 'FINISHED' or 'ABORTED'",
        ),
        (
            "terminate_without_trace=maybe",
            "terminate_without_trace='maybe' ({}) is not valid: it must be True or False",
        ),
    ],
)
@pytest.mark.parametrize("where", ["ini", "command line"])
def test_a_wrong_value_ends_the_session_before_the_first_test(
    project: pytest.Pytester, option: str, sentence: str, where: str
) -> None:
    name, _, value = option.partition("=")
    project.makepyfile("def test_it(): pass")
    if where == "ini":
        ini(project, f"scf_async_{name} = {value}")
        source, arguments = f"ini: scf_async_{name}", []
    elif name in ("real_timeout", "start"):
        source = f"command line: --scf-async-{name.replace('_', '-')}"
        arguments = [source.removeprefix("command line: ") + f"={value}"]
    else:
        source, arguments = f"ini: scf_async_{name}", ["-o", f"scf_async_{name}={value}"]
    result = project.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {sentence.format(source)}"])


def test_what_the_fixture_gives_has_to_be_settings(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_wrong="""
        import pytest

        @pytest.fixture
        def scf_settings():
            return {"timeout": 5}

        def test_it(scf_runtime): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    sentence = "test_wrong.py::test_it: the fixture scf_settings returned a value of type dict; it must return *"
    result.stdout.fnmatch_lines([sentence])


def test_an_error_about_a_bound_names_its_source(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def for_ever(event, context):
            while True:
                pass

        def test_it(scf_runtime):
            scf_runtime.deploy(for_ever).invoke_async().wait()
        """
    )
    result = project.runpytest("--scf-async-real-timeout=0.2", "-oscf_async_compute_grace=0.05")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*0.2 real seconds (real_timeout, command line: --scf-async-real-timeout)*"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), None),
        (("-v",), "scf-async: default settings"),
        (("-oscf_async_timeout=60",), "scf-async: timeout=60 (ini: scf_async_timeout)"),
    ],
)
def test_a_header_line_only_where_it_says_something(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], line: str | None
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    project.makepyfile("def test_it(): pass")
    result = project.runpytest(*arguments)
    headers = [each for each in result.outlines if each.startswith("scf-async")]
    assert headers == ([] if line is None else [line])


def test_a_module_that_cannot_be_preloaded_is_reported_at_the_users_line_with_its_source(
    project: pytest.Pytester,
) -> None:
    project.makepyfile("""
        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
    """)
    result = run_forked(project, "-oscf_async_preload=json,nothing_of_this_name")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *ScfUsageError: preload (ini: scf_async_preload): 'nothing_of_this_name' cannot be *",
            "",
            "*.py:2: ScfUsageError",
        ]
    )
    assert "pytest_scf_async/" not in result.stdout.str()
