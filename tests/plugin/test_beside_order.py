"""xdist, random order, a second run of what failed, and a session without a cache."""

from __future__ import annotations

import re

import pytest
from plugin_support import PLAIN_OPTIONS

SUITE = """
    import pytest

    @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
    class Test{name}:
        @pytest.mark.parametrize("n", range(4))
        def test_sleeps(self, async_event, n):
            assert async_event.wait().duration.total_seconds() == 3600

        def test_terminates(self, async_event):
            async_event.terminate()
            assert async_event.status == "ABORTED"

        def test_same_id_in_any_order(self, async_event):
            assert async_event.request_id

        def test_fails(self, async_event):
            async_event.wait()
            assert async_event.status == "FAILED"
"""


@pytest.fixture
def suite(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(**{f"test_{name}": SUITE.format(name=name.title()) for name in ("one", "two", "three")})
    return project


@pytest.mark.parametrize("options", [("-n2",), ("-n2", "--dist", "loadfile"), ("-n2", "--dist", "worksteal")])
def test_xdist(suite: pytest.Pytester, options: tuple[str, ...]) -> None:
    result = suite.runpytest_subprocess(*options)
    result.assert_outcomes(passed=18, failed=3)
    assert result.stdout.str().count("- scf async event ") == 3


def test_random_order(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    suite.makeini(
        "[pytest]\nfilterwarnings = error\n"
        "addopts = -p no:cacheprovider -p no:asyncio -p no:anyio -p no:hypothesispytest"
    )
    orders, ids = [], []
    for seed in (1, 2):
        result = suite.runpytest_subprocess("-v", f"--randomly-seed={seed}", "--junitxml=junit.xml")
        result.assert_outcomes(passed=18, failed=3)
        orders.append(re.findall(r"^(test_\S+) (?:PASSED|FAILED)", result.stdout.str(), re.MULTILINE))
        ids.append(
            sorted(re.findall(r'name="scf_async_request_id" value="(\S+)"', (suite.path / "junit.xml").read_text()))
        )
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(ids[0]) == 21
    assert ids[0] == ids[1]  # whatever another plugin seeds


def test_what_failed_last_is_run_again(suite: pytest.Pytester) -> None:
    suite.makeini(f"[pytest]\naddopts = {PLAIN_OPTIONS}")
    suite.runpytest_subprocess().assert_outcomes(passed=18, failed=3)
    again = suite.runpytest_subprocess("--lf")
    again.assert_outcomes(failed=3)
    assert again.stdout.str().count("- scf async event ") == 3


def test_the_header_is_one_line_however_many_workers(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)  # no setting that the whole suite is run with
    plain = suite.runpytest_subprocess("-n2")
    assert "scf-async: " not in plain.stdout.str().partition(" workers")[0]
    used = suite.runpytest_subprocess("-n2", "--scf-async-leases=false")
    assert used.stdout.str().partition(" workers")[0].count("scf-async: ") == 1
    used.stdout.fnmatch_lines(["scf-async: leases=False (command line: --scf-async-leases)"])


def test_options_reach_the_workers(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime):
            assert scf_runtime.settings.real_timeout == 7
            assert scf_runtime.settings.source("real_timeout") == "command line: --scf-async-real-timeout"
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
            assert 1 == 2
        """
    )
    result = project.runpytest_subprocess("-n1", "--scf-async-real-timeout=7", "--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", f"--- in full: {project.path / 'kept'}*"])
