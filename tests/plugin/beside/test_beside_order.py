"""xdist, random order, a second run of what failed, and a session without a cache."""

from __future__ import annotations

import re

import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS

# once: xdist and the order of tests are pytest's side
pytestmark = pytest.mark.once

SUITE = """
    import pytest
    from pytest_scf_async import assert_status

    @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
    class Test{name}:
        @pytest.mark.parametrize("n", range(2))
        def test_sleeps(self, async_event, n):
            assert async_event.wait().duration.total_seconds() == 3600

        def test_terminates(self, async_event):
            async_event.terminate()
            assert async_event.status == "ABORTED"

        def test_same_id_in_any_order(self, async_event):
            assert_status(async_event, "RUNNING")  # nothing runs it, on purpose
            assert async_event.request_id

        def test_fails(self, async_event):
            async_event.wait()
            assert async_event.status == "FAILED"
"""


@pytest.fixture
def suite(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(**{f"test_{name}": SUITE.format(name=name.title()) for name in ("one", "two")})
    return project


@pytest.mark.parametrize(
    ("options", "header"),
    [
        (("-n2",), []),
        (
            ("-n2", "--dist", "loadfile", "-oscf_async_leases=false"),
            ["scf-async: leases=False (ini: scf_async_leases)"],
        ),
    ],
)
def test_xdist(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], header: list[str]
) -> None:
    """The suite passes, and the header is one line at most, however many workers there are."""
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)  # no setting that the whole suite is run with
    result = run_forked(suite, *options)
    result.assert_outcomes(passed=8, failed=2)
    assert result.stdout.str().count("- scf async event ") == 2
    assert [line for line in result.outlines if line.startswith("scf-async")] == header
    assert not header or result.outlines.index(header[0]) < next(
        number for number, line in enumerate(result.outlines) if " workers" in line
    )


def test_random_order(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    others = ("-p no:cacheprovider", "-p no:asyncio", "-p no:anyio", "-p no:hypothesispytest")
    suite.makeini(f"[pytest]\nfilterwarnings = error\naddopts = {' '.join(others)}")
    orders, ids = [], []
    for seed in (1, 2):
        result = run_forked(suite, "-v", f"--randomly-seed={seed}", "--junitxml=junit.xml")
        result.assert_outcomes(passed=8, failed=2)
        orders.append(re.findall(r"^(test_\S+) (?:PASSED|FAILED)", result.stdout.str(), re.MULTILINE))
        ids.append(
            sorted(re.findall(r'name="scf_async_request_id" value="(\S+)"', (suite.path / "junit.xml").read_text()))
        )
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(ids[0]) == 10
    assert ids[0] == ids[1]  # whatever another plugin seeds


def test_what_failed_last_is_run_again(suite: pytest.Pytester) -> None:
    suite.makeini(f"[pytest]\naddopts = {PLAIN_OPTIONS}")
    run_forked(suite).assert_outcomes(passed=8, failed=2)
    again = run_forked(suite, "--lf")
    again.assert_outcomes(failed=2)
    assert again.stdout.str().count("- scf async event ") == 2


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
    result = run_forked(project, "-n1", "--scf-async-real-timeout=7", "--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", f"--- in full: {project.path / 'kept'}*"])
