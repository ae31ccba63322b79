"""pytest-timeout and ``--durations``: real time stays real for them, and a test that runs out of it reports why."""

from __future__ import annotations

import re
import textwrap

import pytest
from forked_pytest import run_forked
from plugin_support import LIMIT_BEGINS, WAITS, locked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

COMPUTES = """
    def main_handler(event, context):
        print("computes")
        spin()

    def spin():
        while True:
            pass
"""


@pytest.fixture
def limited(project: pytest.Pytester) -> pytest.Pytester:
    for name, source in (("computes", COMPUTES), ("waits", WAITS)):
        project.path.joinpath("handlers", f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    project.makepyfile(
        """
        import pytest

        @pytest.mark.timeout(60, func_only=True)
        @pytest.mark.parametrize("name", ["computes", "waits"])
        def test_it(scf_runtime, limit_begins, name):
            event = scf_runtime.deploy(f"handlers/{name}.py:main_handler").invoke_async()
            sleeping = scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async()
            event.wait_for_log(name)
            sleeping.settle()
            limit_begins()
            scf_runtime.wait_all([event, sleeping])
        """
    )
    project.makeconftest(LIMIT_BEGINS)
    return project


@pytest.mark.parametrize(
    ("method", "name", "line"),
    [
        ("signal", "computes", r"computes\.py:[78] in spin"),
        ("signal", "waits", r"waits\.py:6 in main_h"),
        ("thread", "waits", r"waits\.py:6 in main_h"),
    ],
)
def test_a_test_out_of_time_says_what_each_instance_does(
    limited: pytest.Pytester, method: str, name: str, line: str
) -> None:
    with locked(limited.path / "handlers" / "waits.py"):
        result = run_forked(
            limited, f"--timeout-method={method}", "-oscf_async_compute_grace=0.1", "-p", "no:xdist", "-k", name
        )
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == 1
    assert "scf async: what the instances were doing" in text
    doing = "computing" if name == "computes" else "held by a real wait"
    assert re.search(rf"event \S+ of {name} is {doing}", text)
    assert re.search(line, text)
    if name == "waits":
        assert " of sleeps is parked in sleep(3600) at sleeps.py:6" in text
    assert "What to do: " in text


def test_simulated_days_take_no_time_of_a_timeout_and_freezegun_freezes_no_bound(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import datetime
        import freezegun
        import pytest

        @pytest.mark.timeout(60)
        def test_days(scf_runtime, scf_clock):
            function = scf_runtime.deploy("handlers/sleeps.py:main_handler")
            begin = scf_clock.now
            for _ in range(24):
                assert function.run() == "slept"
            scf_clock.advance(datetime.timedelta(days=3))
            assert scf_clock.now - begin == datetime.timedelta(days=4)

        @pytest.mark.timeout(60)
        @freezegun.freeze_time("2020-01-01")
        def test_frozen(scf_runtime):
            assert scf_runtime.deploy("handlers/sleeps.py:main_handler").run() == "slept"
        """
    )
    result = run_forked(project, "--durations=0", "--durations-min=0")
    result.assert_outcomes(passed=2)
    seconds = re.findall(r"([\d.]+)s call ", result.stdout.str())
    assert len(seconds) == 2
    assert all(0 < float(each) < 60 for each in seconds)


def test_a_test_that_polls_an_event_that_no_call_ran_is_told_what_runs_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.timeout(60, func_only=True)
        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_it(async_event, limit_begins):
            limit_begins()
            while async_event.status == "RUNNING":
                time.sleep(1)
        """
    )
    project.makeconftest(LIMIT_BEGINS)
    result = run_forked(project, "--timeout-method=signal", "-p", "no:xdist")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "event * is pending: none of its code has run",
            "What to do: call event.wait(), which runs the event to its end: *",
        ]
    )
