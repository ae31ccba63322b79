"""``--scf-async-replay``, ``--scf-async-shard``, and the runs that failed the last time, which come first."""

from __future__ import annotations

import pytest
from plugin_support import ALONE_AND_WITH_A_WORKER, run_with
from sweep_support import KEEPS, LABELS, LOST, MADE, SURVIVES, order, write_handler, write_sweeps

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

TWO_HANDLERS = (
    SURVIVES
    + """
    def other(event, context):
        return "done"

    def test_other(scf_runtime):
        scf_runtime.sweep(scf_runtime.deploy(other), how="forced", compares_nothing=True).assert_survives()
"""
)


@pytest.fixture
def sweeps(project: pytest.Pytester) -> pytest.Pytester:
    write_sweeps(project)
    return project


@pytest.fixture
def with_cache(sweeps: pytest.Pytester) -> pytest.Pytester:
    ini = sweeps.path / "tox.ini"
    ini.write_text(ini.read_text(encoding="utf-8").replace("-p no:cacheprovider", ""), encoding="utf-8")
    return sweeps


# -- replay ------------------------------------------------------------------------------------------------------------


TRIED = "Tried: 1 of 7 points, with how=forced."
"""A line that each whole report has once."""


def test_the_report_of_one_run_that_passes_is_shown(sweeps: pytest.Pytester) -> None:
    result = sweeps.runpytest_inprocess("--scf-async-replay=forced@loses.py:5#1")
    result.assert_outcomes(passed=1)
    assert order(sweeps) == ["loses.py:5#1"]
    report = result.stdout.str().partition("test_it.py::test_it: ")[2].partition("=====")[0]
    assert report.startswith("loses survives the one interruption, at 1 point\n")
    assert report.splitlines().count(TRIED) == 1
    assert "limit=" not in report


FAILS = "sweep(scf_runtime).assert_survives()"


@ALONE_AND_WITH_A_WORKER
@pytest.mark.parametrize(
    ("fixture", "body", "outcomes"),
    [
        ("", FAILS, {"failed": 1}),
        ("", "assert sweep(scf_runtime).failures == []", {"failed": 1}),
        ("", f"with pytest.raises(AssertionError): {FAILS}", {"passed": 1}),
        ("", f"with pytest.raises(AssertionError): {FAILS}\n            assert 1 == 2", {"failed": 1}),
        (", subtests", FAILS, {"failed": 2}),
        (", failing", "pass", {"errors": 1}),
        (", read", "pass", {"passed": 1}),
    ],
)
def test_the_report_of_one_run_that_fails_is_shown_once(
    sweeps: pytest.Pytester, workers: tuple[str, ...], fixture: str, body: str, outcomes: dict[str, int]
) -> None:
    sweeps.makepyfile(
        test_it=f"""
        import pytest
        from sweeps import sweep

        @pytest.fixture
        def failing(scf_runtime):
            {FAILS}

        @pytest.fixture
        def read(scf_runtime):
            assert sweep(scf_runtime).failures

        def test_it(scf_runtime{fixture}):
            {body}
        """
    )
    result = run_with(sweeps, workers, f"--scf-async-replay={LOST}", "-rA")
    result.assert_outcomes(**outcomes)
    assert order(sweeps) == ["loses.py:8#1"]
    assert result.stdout.str().count(TRIED) == 1
    assert result.stdout.str().count("Timeline of the interrupted event:") == 1


@ALONE_AND_WITH_A_WORKER
def test_a_sweep_that_has_no_such_run_has_nothing_to_repeat(sweeps: pytest.Pytester, workers: tuple[str, ...]) -> None:
    sweeps.makepyfile(test_it=TWO_HANDLERS)
    result = run_with(sweeps, workers, "-rs", f"--scf-async-replay={LOST}")
    result.assert_outcomes(failed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"SKIPPED * test_it.py:*: test_it.py::test_other: *has no run '{LOST}': the key is *"])


@pytest.mark.parametrize("asks", ["assert_survives()", "assert_exactly_once()", "failures", "report"])
def test_the_key_of_the_second_sweep_of_a_test(sweeps: pytest.Pytester, asks: str) -> None:
    sweeps.makepyfile(
        test_it=f"""
        from sweeps import sweep

        def test_it(scf_runtime):
            sweep(scf_runtime, exclude="loses.py:8").{asks}
            assert [run.key for run in sweep(scf_runtime).runs] == ["{LOST}"]
        """
    )
    sweeps.runpytest_inprocess(f"--scf-async-replay={LOST}").assert_outcomes(passed=1)
    assert order(sweeps) == ["loses.py:8#1"]


@ALONE_AND_WITH_A_WORKER
def test_a_key_that_no_sweep_has_is_a_usage_error(sweeps: pytest.Pytester, workers: tuple[str, ...]) -> None:
    result = run_with(sweeps, workers, "--scf-async-replay=forced@loses.py:8#2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(
        [
            "ERROR: no sweep in this session has the run --scf-async-replay='forced@loses.py:8#2'",
            "test_it.py::test_it: sweep: function 'loses' has no run 'forced@loses.py:8#2': *; did you mean '*'?",
        ]
    )


# -- shard -------------------------------------------------------------------------------------------------------------


def test_each_part_makes_other_runs_and_together_they_make_all(sweeps: pytest.Pytester) -> None:
    parts = []
    sweeps.makeconftest("")
    sweeps.makepyfile(
        test_it="""
        from sweeps import sweep

        def test_it(scf_runtime):
            made = sweep(scf_runtime)
            with open("order", "w") as file:
                print(*(run.point.label for run in made.runs), sep="\\n", file=file)
            made.assert_survives()
        """
    )
    for part, lost in ((1, 0), (2, 0), (3, 1)):
        sweeps.runpytest_inprocess(f"--scf-async-shard={part}/3").assert_outcomes(passed=1 - lost, failed=lost)
        parts.append(order(sweeps))
    assert [len(part) for part in parts] == [3, 2, 2]
    assert sorted(parts[0] + parts[1] + parts[2]) == LABELS


def test_an_empty_part_fails(sweeps: pytest.Pytester) -> None:
    result = sweeps.runpytest_inprocess("--scf-async-shard=8/8")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*shard 8/8 of function 'loses' is empty: there are 7 runs"])


@pytest.mark.parametrize("given", ["0/2", "3/2", "2", "a/b", "1/0", "", "1/2/3"])
def test_what_is_no_part_ends_the_session_at_once(sweeps: pytest.Pytester, given: str) -> None:
    result = sweeps.runpytest_inprocess(f"--scf-async-shard={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*--scf-async-shard='{given}' is not valid: it must be one part of several, as in 2/5, *"]
    )


# -- what failed the last time -----------------------------------------------------------------------------------------


@ALONE_AND_WITH_A_WORKER
def test_what_failed_comes_first_the_next_time_until_it_is_right(
    with_cache: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    first = [MADE[1], MADE[0], MADE[2]]
    seen = []
    for source in (None, None, KEEPS, None):
        if source is not None:
            write_handler(with_cache, source)
        run_with(with_cache, workers)
        seen.append(order(with_cache))
    assert seen == [MADE, first, first[:2], MADE[:2]], "the right handler leaves no mark, and so two states"


def test_a_part_forgets_nothing_that_it_has_not_run(with_cache: pytest.Pytester) -> None:
    for options in ((), ("--scf-async-shard=1/3",), ("--scf-async-replay=forced@loses.py:5#1",), ()):
        with_cache.runpytest_inprocess(*options)
    assert order(with_cache)[-len(MADE)] == MADE[1]


def test_sweeps_of_one_test_are_told_apart(with_cache: pytest.Pytester) -> None:
    with_cache.makepyfile(
        test_it="""
        from sweeps import sweep

        def test_it(scf_runtime):
            both = [sweep(scf_runtime, exclude="loses.py:8"), sweep(scf_runtime)]
            assert [len(each.failures) for each in both] == [0, 0]
        """
    )
    for _ in range(2):
        with_cache.runpytest_inprocess().assert_outcomes(failed=1)
    without = [MADE[0], MADE[2]]
    assert order(with_cache) == [*without, *MADE, *without, MADE[1], *without]


def test_without_a_cache_nothing_is_kept(sweeps: pytest.Pytester) -> None:
    for _ in range(2):
        sweeps.runpytest_inprocess().assert_outcomes(failed=1)
    assert order(sweeps) == MADE * 2
    assert not sweeps.path.joinpath(".pytest_cache").exists()
