"""``--scf-async-live-log`` prints the lines of events as they come, past pytest's capture."""

from __future__ import annotations

import pytest
from plugin_support import run_with

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

SOURCE = """
    def test_it(scf_runtime):
        event = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().settle()
        print("the test is captured")
        event.wait()

    def test_other(scf_runtime):
        scf_runtime.deploy("handlers/echo.py:main_handler").run("two")
"""


@pytest.mark.parametrize("options", [(), ("-s",), ("-v",), ("-q",), ("--capture=sys",), ("--capture=tee-sys",)])
def test_lines_come_with_function_and_request_id(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makepyfile(SOURCE)
    result = project.runpytest("--scf-async-live-log", *options)
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines(
        [
            r"^sleeps [0-9a-f]{8} \+0 s \| START RequestId:.*",
            r"^sleeps [0-9a-f]{8} \+0 s \| going to sleep$",
            r"^sleeps [0-9a-f]{8} \+3600 s \| Response RequestId:.*",
            r"^echo [0-9a-f]{8} \+0 s \| got two$",
        ],
        consecutive=False,
    )
    captured = "the test is captured" not in result.stdout.str()
    assert captured is (not {"-s", "--capture=tee-sys"} & set(options))


def test_they_come_while_the_test_runs(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime, capfd):
            event = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().settle()
            with capfd.disabled():
                print("settled")
            event.wait()
            assert capfd.readouterr().out == ""
        """
    )
    result = project.runpytest("--scf-async-live-log")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["sleeps * | going to sleep", "settled", "sleeps * | Response RequestId:*"])


def test_the_ini_option_says_the_same(project: pytest.Pytester) -> None:
    ini = project.path / "tox.ini"
    ini.write_text(ini.read_text() + "\nscf_async_live_log = true\n")
    project.makepyfile(SOURCE)
    result = project.runpytest()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["sleeps * | going to sleep"])


@pytest.mark.parametrize(
    ("options", "workers"),
    [((), ()), (("--scf-async-live-log",), ("-n1",)), (("--scf-async-live-log", "-p", "no:terminal"), ())],
)
def test_without_it_or_without_a_terminal_none_come(
    project: pytest.Pytester, options: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    project.makepyfile(SOURCE)
    result = run_with(project, workers, *options)
    assert result.ret == 0
    assert "going to sleep" not in result.stdout.str()
