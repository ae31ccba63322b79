"""Nothing of ours needs another plugin: without any of them, tests with our fixtures end as they do with it.

``-p no:NAME`` takes a plugin away, pytest's own ones too. Where bare pytest cannot run a test without one, nor can we.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import pytest
from _pytest.config import default_plugins, essential_plugins  # pytest has no public list of them

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

OURS = "scf_async"
OF_BARE_PYTEST = (*essential_plugins, "python")
"""Without these bare pytest runs no test; the first ones cannot be taken away."""
INSTALLED = sorted({each.name for each in metadata.entry_points(group="pytest11")} - {OURS})
BARE = "def test_it(): pass"
TESTS = """
    import time

    import pytest

    def test_runtime(scf_runtime):
        event = scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async({"a": 1})
        event.wait()
        assert event.result == {"a": 1}

    @pytest.mark.scf_function("handlers/echo.py:main_handler", payload={"a": 2})
    def test_event(async_event, scf_clock):
        async_event.wait()
        with scf_clock.patched():
            time.sleep(5)
        assert async_event.result == {"a": 2}

    def test_fails(scf_runtime):
        event = scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async({})
        event.wait()
        assert event.status == "FINISHED"

    def test_fails_unchecked(scf_runtime):
        scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async({}).wait()

    def test_sweep(scf_runtime):
        function = scf_runtime.deploy("handlers/loses.py:main_handler")
        sweep = scf_runtime.sweep(function, {}, points="log", how="forced", done=lambda event: True, each_run=each_run)
        sweep.assert_survives()

    def each_run(run):
        yield {"OUT": str(run.path)}
"""
LOSES = """
import os

def main_handler(event, context):
    print("between")
    open(os.environ["OUT"] + "/done", "w").close()
"""

Outcome = tuple[str, str, str, tuple[str, ...], bool]


def outcomes(project: pytest.Pytester, *options: str) -> tuple[int, list[Outcome]]:
    """What a session ends with, and each report: its test, its phase, its outcome, and what of ours it shows."""
    record = project.inline_run("-p", "no:cacheprovider", *options)
    reports = record.getreports("pytest_runtest_logreport")
    return int(record.ret), [
        (
            report.nodeid,
            report.when or "",
            report.outcome,
            tuple(title for title, _ in report.sections if title.startswith("scf async event")),
            "likely cause: " in report.longreprtext,
        )
        for report in reports
    ]


@pytest.fixture
def ended(project: pytest.Pytester) -> Callable[..., tuple[int, list[Outcome]]]:
    project.path.joinpath("handlers", "loses.py").write_text(LOSES, encoding="utf-8")
    project.makepyfile(test_ours=TESTS, test_bare=BARE)
    return lambda *options: outcomes(project, *options)


EXPECTED: list[tuple[int, list[Outcome]]] = []
"""What the tests end with beside all plugins, once it is known."""


@pytest.mark.parametrize("plugin", [*(each for each in default_plugins if each not in essential_plugins), *INSTALLED])
def test_without_a_plugin(plugin: str, ended: Callable[..., tuple[int, list[Outcome]]]) -> None:
    without = ("-p", f"no:{plugin}")
    if not EXPECTED:
        EXPECTED.append(ended("test_ours.py"))
        _, reports = EXPECTED[0]
        assert [outcome for _, phase, outcome, *_ in reports if phase == "call"] == [
            *("passed", "passed", "failed", "passed", "failed")
        ]
        assert [(phase, len(shown), cause) for _, phase, outcome, shown, cause in reports if outcome == "failed"] == [
            ("call", 1, True),
            ("teardown", 0, True),
            ("call", 0, False),
        ]
    bare, _ = ended("-p", f"no:{OURS}", *without, "test_bare.py")
    assert (bare != pytest.ExitCode.OK) == (plugin in OF_BARE_PYTEST)
    if bare != pytest.ExitCode.OK:
        assert ended(*without, "test_ours.py")[0] == bare
        return

    assert ended(*without, "test_ours.py") == EXPECTED[0]


def test_without_all_of_them_at_once_and_with_our_options(
    ended: Callable[..., object], project: pytest.Pytester
) -> None:
    plugins = [plugin for plugin in (*default_plugins, *INSTALLED) if plugin not in OF_BARE_PYTEST]
    options = [option for plugin in plugins for option in ("-p", f"no:{plugin}")]
    kept = project.path / "kept"
    code, reports = outcomes(project, *options, "--scf-async-live-log", f"--scf-async-artifacts={kept}", "test_ours.py")

    assert code == pytest.ExitCode.TESTS_FAILED
    assert [outcome for _, phase, outcome, *_ in reports if phase == "call"] == [
        *("passed", "passed", "failed", "passed", "failed")
    ]
    assert len(list(kept.glob("*/*/timeline.txt"))) == 2
    assert len(list(kept.glob("*/sweep-1-loses.json"))) == 1


def test_in_an_interpreter_that_loads_no_other_installed_plugin(
    ended: Callable[..., object], project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    done = project.runpytest_subprocess("-p", "pytest_scf_async.plugin.plugin", "test_ours.py")

    done.assert_outcomes(passed=3, failed=2, errors=1)
