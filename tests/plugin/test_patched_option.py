"""The setting ``patched``: tests with ``scf_runtime`` are on the simulated clock, and pytest itself is not."""

from __future__ import annotations

import re

import pytest
from forked_pytest import run_forked
from plugin_support import LIMIT_BEGINS, WAITS, locked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

YEAR_LONG = """
    import asyncio
    import threading
    import time
    from datetime import datetime, timedelta, timezone

    import pytest

    @pytest.fixture
    def earlier(scf_runtime):
        time.sleep(86_400)
        yield
        time.sleep(86_400)

    def test_a_year(scf_runtime, scf_clock, earlier):
        start = scf_clock.now
        event = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async()
        while event.status != "FINISHED":
            time.sleep(5)
        time.sleep(365 * 86_400)
        asyncio.run(asyncio.sleep(3600))
        assert not threading.Event().wait(60)
        assert scf_clock.now == datetime.now(timezone.utc)
        assert scf_clock.now - start == timedelta(days=365, hours=2, seconds=60, microseconds=1)

    def test_without_a_runtime_time_is_real():
        assert abs(time.time() - real_time()) < 60

    def real_time():
        import os
        with open("now", "w"):
            return os.stat("now").st_mtime
"""


REAL = """
    import time

    def test_real(scf_runtime):
        now = scf_runtime.clock.now
        time.sleep(0.001)
        assert scf_runtime.clock.now == now
        assert time.time() > 1_767_225_600 + 60
"""


def ini(project: pytest.Pytester, *lines: str) -> None:
    text = project.path.joinpath("tox.ini").read_text()
    project.path.joinpath("tox.ini").write_text("\n".join([text.rstrip(), *lines]) + "\n")


def durations(result: pytest.RunResult) -> list[float]:
    """Seconds of setups, calls and teardowns, as ``--durations=0`` shows them."""
    found = re.findall(r"([\d.]+)s (?:setup|call|teardown) ", result.stdout.str())
    assert found
    return list(map(float, found))


@pytest.mark.parametrize("where", ["ini", "fixture"])  # the command line is in the test with xdist
def test_a_year_of_the_test_takes_no_time_of_pytest(project: pytest.Pytester, where: str) -> None:
    project.makepyfile(YEAR_LONG)
    arguments = ["--durations=0", "--durations-min=0", "-vv", "--junitxml=junit.xml", "--timeout=60"]
    if where == "ini":
        ini(project, "scf_async_patched = true")
    else:
        project.makeconftest(
            """
            import pytest
            from pytest_scf_async import ScfSettings

            @pytest.fixture
            def scf_settings():
                return ScfSettings(patched=True)
            """
        )
    result = run_forked(project, *arguments)
    result.assert_outcomes(passed=2)
    assert len(durations(result)) == 6
    assert sum(durations(result)) < 60
    assert sum(durations(result)) > 0
    (whole,) = re.findall(r"2 passed in ([\d.]+)s", result.stdout.str())
    assert float(whole) < 60
    times = re.findall(r' time="([\d.]+)"', project.path.joinpath("junit.xml").read_text())
    assert len(times) == 3
    assert all(0 <= float(each) < 60 for each in times)


def test_it_is_off_where_the_command_line_says_so(project: pytest.Pytester) -> None:
    ini(project, "scf_async_patched = true", "scf_async_start = 2026-01-01T00:00:00Z")
    project.makepyfile(REAL)
    project.runpytest("-oscf_async_patched=false").assert_outcomes(passed=1)


def test_a_value_that_is_none(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(): pass")
    result = project.runpytest("-oscf_async_patched=maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    sentence = "patched='maybe' (ini: scf_async_patched) is not valid: it must be True or False"
    result.stderr.fnmatch_lines([f"ERROR: {sentence}"])


OUT_OF_TIME = {
    # Its time is over wherever it is by then: in the setup too.
    "false": """
        @pytest.mark.timeout(0.5)
        def test_out_of_time(scf_runtime):
            os.read(os.pipe()[0], 1)
    """,
    "true": """
        @pytest.mark.timeout(60)
        def test_out_of_time(scf_runtime, limit_begins):
            scf_runtime.deploy("handlers/waits.py:main_handler").invoke_async().settle()
            limit_begins()
            time.sleep(5)
    """,
}


@pytest.mark.parametrize("method", ["signal", "thread"])
@pytest.mark.parametrize("func_only", ["true", "false"])
def test_pytest_timeout_counts_real_seconds(project: pytest.Pytester, method: str, func_only: str) -> None:
    """A test that is out of real time ends, and one that lets days pass does not."""
    ini(project, "scf_async_patched = true", f"timeout_func_only = {func_only}", f"timeout_method = {method}")
    waits = project.path / "handlers" / "waits.py"
    waits.write_text(WAITS)
    project.makepyfile(
        """
        import os
        import time
        import pytest

        @pytest.mark.timeout(60)
        def test_days(scf_runtime):
            time.sleep(86_400)

        LIMIT
        """.replace("LIMIT", OUT_OF_TIME[func_only])
    )
    project.makeconftest(LIMIT_BEGINS)
    with locked(waits):
        result = run_forked(project, "-p", "no:xdist", "-v")
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == 1
    assert "test_days PASSED" in text
    assert re.search(r"Timeout \(>0\.[35]s\)|\+ Timeout \+", text)
    assert "could not end" not in text
    assert ("of waits is held by a real wait" in text) is (func_only == "true")


def test_the_users_own_freeze_nests_and_time_is_real_after_tests_that_passed_or_failed(
    project: pytest.Pytester,
) -> None:
    ini(project, "scf_async_patched = true", "scf_async_start = 2026-01-01T00:00:00Z")
    project.makepyfile(
        """
        import time
        from datetime import date, datetime

        import pytest
        from freezegun import freeze_time

        @freeze_time("2020-02-02")
        def test_decorated(scf_runtime):
            assert date.today() == date(2020, 2, 2)
            time.sleep(5)
            assert date.today() == date(2020, 2, 2)
            assert scf_runtime.clock.time() == 1_767_225_605

        def test_inside(scf_runtime):
            with freeze_time("2020-02-02"):
                assert date.today() == date(2020, 2, 2)
            assert datetime.utcfromtimestamp(time.time()).year == 2026

        @pytest.fixture
        def frozen():
            with freeze_time("2020-02-02"):
                yield

        def test_in_a_fixture_within(scf_runtime, frozen):
            assert date.today() == date(2020, 2, 2)

        def test_fails(scf_runtime):
            time.sleep(60)
            assert time.time() == 0

        def test_after_them_time_is_real():
            assert datetime.__module__ == "datetime"
            assert time.time() > 1_767_225_600 + 3600
            assert time.sleep.__module__ == "time"
        """
    )
    result = run_forked(project, "--durations=0", "--durations-min=0", "-W", "ignore::DeprecationWarning")
    result.assert_outcomes(passed=4, failed=1)
    assert 0 < sum(durations(result)) < 60


def test_within_a_freeze_of_the_user(project: pytest.Pytester) -> None:
    """Under a user's freeze pytest's own durations are wrong: freezegun replaces what ``_pytest.timing`` has."""
    ini(project, "scf_async_patched = true", "scf_async_start = 2026-01-01T00:00:00Z")
    project.makepyfile(test_real=REAL)  # which fails here
    project.makepyfile(
        """
        import time
        import pytest
        from freezegun import freeze_time

        @pytest.fixture
        def frozen():
            with freeze_time("2020-02-02"):
                yield
                assert time.time() == 1_580_601_600

        def test_it(frozen, scf_runtime):
            time.sleep(5)
            assert time.time() == 1_767_225_605
        """
    )
    run_forked(project).assert_outcomes(passed=1, failed=1)


def test_beside_xdist(project: pytest.Pytester) -> None:
    project.makepyfile(YEAR_LONG)
    result = run_forked(project, "-oscf_async_patched=true", "-n", "2", "--durations=0", "--durations-min=0")
    result.assert_outcomes(passed=2)
    assert sum(durations(result)) < 60


@pytest.mark.sandbox
def test_an_async_test_of_pytest_asyncio(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--scf-async-sandbox={chosen_sandbox}")
    project.makepyfile(
        """
        import asyncio
        from datetime import timedelta

        import pytest

        @pytest.mark.asyncio
        async def test_it(scf_runtime, scf_clock):
            start = scf_clock.now
            event = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async()
            while event.status != "FINISHED":
                await asyncio.sleep(5)
            assert scf_clock.now - start == timedelta(hours=1)
        """
    )
    project.makeini(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\nscf_async_patched = true\n"
        "addopts = -p no:cacheprovider -p no:anyio -p no:randomly -p no:hypothesispytest"
    )
    run_forked(project).assert_outcomes(passed=1)
