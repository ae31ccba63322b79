"""What a test sees of its sweeps: failures, subtests, files, the progress, effects of plugins, and an early end."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from pathlib import Path

import pytest
from forked_pytest import run_forked
from plugin_support import REFUSE
from sweep_support import LABELS, LOST, MADE, ORDER, SURVIVES, order, write_sweeps

from pytest_scf_async.sweep.findings import Swept

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once


@pytest.fixture
def sweeps(project: pytest.Pytester) -> pytest.Pytester:
    write_sweeps(project)
    return project


# -- a sweep of which nobody asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["", "swept.points", "repr(swept)"])
def test_a_test_that_never_asks_what_was_found_fails(sweeps: pytest.Pytester, asked: str) -> None:
    sweeps.makepyfile(
        test_it=f"""
        from sweeps import sweep

        def test_it(scf_runtime):
            swept = sweep(scf_runtime, include="loses.py:4")
            {asked}
        """
    )
    result = sweeps.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["this test made a sweep of loses and never looked at what it found, so it *"])
    assert result.stdout.str().count("made a sweep") == 2  # once more in the summary


@pytest.mark.parametrize(
    "asks", ["swept.failures", "swept.runs", "swept.report", "swept.assert_survives()", "swept.assert_exactly_once()"]
)
def test_a_test_that_asks_passes(sweeps: pytest.Pytester, asks: str) -> None:
    sweeps.makepyfile(
        test_it=f"""
        from sweeps import sweep

        def test_it(scf_runtime):
            swept = sweep(scf_runtime, include="loses.py:4")
            {asks}
        """
    )
    sweeps.runpytest_inprocess().assert_outcomes(passed=1)


def test_of_several_sweeps_those_are_named_of_which_nobody_asked(sweeps: pytest.Pytester) -> None:
    sweeps.makepyfile(
        test_it="""
        from sweeps import sweep

        def other(event, context):
            return "done"

        def test_it(scf_runtime):
            assert sweep(scf_runtime, include="loses.py:4").failures == []
            scf_runtime.sweep(scf_runtime.deploy(other), how="forced", compares_nothing=True)
        """
    )
    result = sweeps.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["this test made a sweep of test_it and never looked at *"])


def test_a_test_that_fails_anyway_has_one_failure(sweeps: pytest.Pytester) -> None:
    sweeps.makepyfile(
        test_it="""
        from sweeps import sweep

        def test_it(scf_runtime):
            sweep(scf_runtime, include="loses.py:4")
            assert 1 == 2
        """
    )
    sweeps.runpytest_inprocess().assert_outcomes(failed=1)


# -- the failure -------------------------------------------------------------------------------------------------------


def test_the_failure_is_at_the_tests_own_line(sweeps: pytest.Pytester) -> None:
    result = sweeps.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">*sweep(scf_runtime).assert_survives()", "E *AssertionError: loses does not survive being killed:"]
    )
    assert "sweep.py" not in result.stdout.str()


def test_each_class_is_a_subtest_where_the_test_has_them(sweeps: pytest.Pytester) -> None:
    sweeps.makepyfile(
        test_it="""
        from sweeps import sweep

        def test_it(scf_runtime, subtests):
            sweep(scf_runtime, how=("forced", "timeout")).assert_survives()
            assert not "reached"
        """
    )
    result = sweeps.runpytest_inprocess("-rA")
    result.assert_outcomes(failed=3)
    for how in ("forced", "timeout"):
        title = f"LOST: {'killed' if how == 'forced' else 'timed out'} before loses.py:8"
        result.stdout.fnmatch_lines([f"_* test_it [[]{title}[]] _*"])
        assert (
            result.stdout.str().count(f"Replay:  pytest test_it.py::test_it --scf-async-replay='{how}@loses.py:8#1'")
            == 1
        )
    verdict = ["E *AssertionError: loses does not survive being killed or its timeout:", "E *  2 of 14 interruptions *"]
    result.stdout.fnmatch_lines(verdict, consecutive=True)
    assert "reached" not in result.stdout.str()
    assert "hidden" not in result.stdout.str()


def test_a_test_with_subtests_that_survives_has_none(sweeps: pytest.Pytester) -> None:
    test = SURVIVES.replace("scf_runtime):", "scf_runtime, subtests):")
    sweeps.makepyfile(test_it=test.replace("(scf_runtime).a", "(scf_runtime, exclude='loses.py:8').a"))
    sweeps.runpytest_inprocess().assert_outcomes(passed=1)


def test_points_beyond_the_limit_are_told_and_those_of_other_shards_are_not_among_them(sweeps: pytest.Pytester) -> None:
    sweeps.makepyfile(
        test_it="""
        from sweeps import sweep

        def test_limit(scf_runtime):
            report = sweep(scf_runtime, limit=2).report
            assert "Not tried: 1 point beyond limit=." in report
            assert "Tried: 6 of 7 points, with how=forced" in report

        def test_shard(scf_runtime):
            report = sweep(scf_runtime).report
            assert "Tried: 4 of 7 points, with how=forced" in report
            assert "limit=" not in report
        """
    )
    sweeps.runpytest_inprocess("-k", "limit").assert_outcomes(passed=1, deselected=1)
    sweeps.runpytest_inprocess("-k", "shard", "--scf-async-shard=1/2").assert_outcomes(passed=1, deselected=1)


# -- files -------------------------------------------------------------------------------------------------------------


def test_all_facts_of_the_sweep_of_a_failed_test_are_kept(sweeps: pytest.Pytester) -> None:
    result = sweeps.runpytest_inprocess("--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    (path,) = sweeps.path.joinpath("kept").glob("*/*.json")
    result.stdout.fnmatch_lines(["*scf async: sweep of loses*", f"--- in full: {path} ---"])
    assert (path.parent.name[:20], path.name) == ("test_it.py-test_it-", "sweep-1-loses.json") or path.name
    facts = json.loads(path.read_text(encoding="utf-8"))
    fields = {field.name for field in dataclasses.fields(Swept) if field.compare}
    assert facts.keys() == fields | {"points", "forced_only"}  # which follow from the runs
    assert [point["name"] for point in facts["points"]] == LABELS
    assert (facts["function"], facts["hows"], facts["planned"]) == ("loses", ["forced"], len(LABELS))
    (lost,) = [run for run in facts["runs"] if run["kinds"]]
    assert (lost["key"], lost["point"], lost["how"], lost["kinds"]) == (LOST, "loses.py:8#1", "forced", ["lost"])
    assert lost["written"] == ["mark (0 bytes)"]
    (difference,) = lost["differences"]
    assert (difference["kind"], difference["effect"], difference["name"]) == ("lost", "file", "row")
    assert [(attempt["status"], attempt["status_code"]) for attempt in lost["attempts"]] == [
        ("ABORTED", 499),
        ("FINISHED", 200),
    ]


def test_every_key_is_in_the_reference(sweeps: pytest.Pytester) -> None:
    sweeps.runpytest_inprocess("--scf-async-artifacts=kept").assert_outcomes(failed=1)
    (path,) = sweeps.path.joinpath("kept").glob("*/*.json")
    facts = json.loads(path.read_text(encoding="utf-8"))
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")
    section = page.partition("\n## A sweep as JSON\n")[2].partition("\n## ")[0]
    (lost,) = [run for run in facts["runs"] if run["kinds"]]
    (difference,) = lost["differences"]
    keys = {*facts, *facts["points"][0], *lost, *difference, *lost["attempts"][0]}
    keys.update(*(part for part in (*difference["missing"], *difference["extra"])))
    assert {key for key in keys if f"`{key}`" not in section} == set()


def test_nothing_is_kept_of_a_test_that_passed(sweeps: pytest.Pytester) -> None:
    sweeps.makepyfile(test_it=SURVIVES.replace("sweep(scf_runtime)", "sweep(scf_runtime, exclude='loses.py:8')"))
    sweeps.runpytest_inprocess("--scf-async-artifacts=kept").assert_outcomes(passed=1)
    assert not sweeps.path.joinpath("kept").exists()


# -- an end before its end ---------------------------------------------------------------------------------------------

TWO_RUNS = (
    ORDER
    + """
            if len(made) == 2:
                {then}
    """
)


def test_ctrl_c_ends_the_session_and_shows_what_is_known(project: pytest.Pytester) -> None:
    write_sweeps(project, conftest=TWO_RUNS.format(then="import os, signal; os.kill(os.getpid(), signal.SIGINT)"))
    result = run_forked(project)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert order(project) == MADE[:2]
    result.stdout.fnmatch_lines(
        [
            "*scf async: what the sweep has found so far*",
            "loses has survived 5 interruptions so far, at 5 points",
            "  Incomplete: the sweep ended after 5 of 7 interruptions, because Ctrl-C or SIGTERM arrived.",
            "*KeyboardInterrupt*",
        ]
    )


TIME_PASSES = """
    from pytest_scf_async.protocol.real_time import REAL

    real, late = REAL.monotonic, []
    REAL.monotonic = lambda: real() + sum(late)  # the harness's own real seconds
"""
"""A conftest that can make it late: so a time limit is over without a test that waits for it."""


@pytest.mark.parametrize("method", ["signal", "thread"])
@pytest.mark.parametrize("func_only", ["false", "true"])
def test_it_ends_before_the_time_of_the_test_does(project: pytest.Pytester, method: str, func_only: str) -> None:
    write_sweeps(project, conftest=TIME_PASSES + TWO_RUNS.format(then="late.append(98.5)"))
    result = run_forked(project, "--timeout=100", f"--timeout-method={method}", "-o", f"timeout_func_only={func_only}")
    result.assert_outcomes(failed=1)
    assert order(project) == MADE[:2]
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: loses does not survive being killed:",
            "E *  1 of 6 interruptions fails",
            "E *Incomplete: the sweep ended after 6 of 7 interruptions, because the time limit of the test was near.",
        ]
    )


@pytest.mark.parametrize(
    ("options", "then"),
    [
        (("--timeout=100",), "late.append(90)"),  # 10 s are left
        (("--timeout=0",), "late.append(1000)"),
        (("--timeout=100",), "late.append(1000); __import__('pytest_timeout').pytest_enter_pdb()"),
    ],
    ids=["in time", "no limit", "debugger"],
)
def test_it_comes_to_its_end_where_there_is_time(project: pytest.Pytester, options: tuple[str, ...], then: str) -> None:
    write_sweeps(project, conftest=TIME_PASSES + TWO_RUNS.format(then=then))
    run_forked(project, *options).assert_outcomes(failed=1)
    assert order(project) == MADE


def test_whose_time_is_over_before_it_begins_is_incomplete(project: pytest.Pytester) -> None:
    test = SURVIVES.replace("sweep(scf", "import conftest; conftest.late.append(98.5)\n        sweep(scf")
    write_sweeps(project, test=test, conftest=TIME_PASSES)
    result = run_forked(project, "--timeout=100")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *Incomplete: the sweep ended after 1 of 7 interruptions, because the time limit of the test was near."]
    )


# -- the progress ------------------------------------------------------------------------------------------------------

AT_A_TERMINAL = """
    import importlib

    import pytest

    progress = importlib.import_module("pytest_scf_async.sweep.progress")  # a run in this process forgets modules
    progress.REWRITTEN_EACH = 0.0

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(session):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.isatty = type(reporter.isatty)({terminal})
"""


def test_a_terminal_shows_the_progress_in_one_line(project: pytest.Pytester) -> None:
    write_sweeps(project, conftest=AT_A_TERMINAL.format(terminal=True))
    run_forked(project).assert_outcomes(failed=1)
    output = project.path.joinpath("stdout").read_bytes().decode()
    (line,) = [line for line in output.split("\n") if "s left" in line]
    *shown, blank, outcome = line.split("\r")[1:]
    assert [text.partition("failed")[0] for text in shown] == [
        f"sweep: {done} of 7 interruptions, {int(done >= 6)} " for done in range(1, 8)
    ]
    assert shown[-1].rstrip().endswith(", 0 s left")
    assert (blank.strip(), len(blank), outcome[0]) == ("", len(shown[0]), "F")


@pytest.mark.parametrize(
    ("terminal", "options", "ci"), [(False, (), ""), (True, ("-q",), ""), (True, (), "true"), (True, ("-n1",), "")]
)
def test_where_nobody_looks_there_is_none(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, terminal: bool, options: tuple[str, ...], ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    write_sweeps(project, conftest=AT_A_TERMINAL.format(terminal=terminal))
    result = run_forked(project, *options)
    result.assert_outcomes(failed=1)
    assert "s left" not in result.stdout.str()


# -- effects of plugins ------------------------------------------------------------------------------------------------


def test_what_plugins_give_is_compared_as_a_final_state(project: pytest.Pytester) -> None:
    conftest = """
        def pytest_scf_async_sweep_effects(run):
            assert run.event.ended and run.events[-1].ended
            return {"rows in the store": len(list(run.path.glob("row")))}
    """
    write_sweeps(project, conftest=conftest)
    project.makepyfile(another="def pytest_scf_async_sweep_effects(run): return {'events': bool(run.events)}")
    project.syspathinsert()
    result = project.runpytest_inprocess("-p", "another")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *diverged: observed rows in the store is 0 instead of 1"])
    assert "observed events" not in result.stdout.str()


def test_a_conftest_of_other_tests_is_not_asked(project: pytest.Pytester) -> None:
    write_sweeps(project, conftest="")
    project.path.joinpath("test_it.py").unlink()
    for name in ("one", "two"):
        directory = project.mkdir(name)
        directory.joinpath("conftest.py").write_text("def pytest_scf_async_sweep_effects(run): return {'store': 1}")
        directory.joinpath(f"test_{name}.py").write_text(textwrap.dedent(SURVIVES), encoding="utf-8")
    project.syspathinsert()
    result = project.runpytest_inprocess()
    result.assert_outcomes(failed=2)
    assert "are given twice" not in result.stdout.str()
    assert result.stdout.str().count("lost: file row") == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{'store': 1}", "*ScfUsageError: pytest_scf_async_sweep_effects: the effects 'store' are given twice"),
        (
            "{1: 1}",
            ("*ScfUsageError: pytest_scf_async_sweep_effects: the effects 1 are not a valid name: it must be a str"),
        ),
        (
            "[1]",
            "*ScfUsageError: an implementation of pytest_scf_async_sweep_effects returned [[]1[]]: it must return *",
        ),
    ],
)
def test_what_is_not_valid_is_refused(project: pytest.Pytester, given: str, sentence: str) -> None:
    write_sweeps(project, conftest="def pytest_scf_async_sweep_effects(run): return {'store': 1}")
    project.makepyfile(another=f"def pytest_scf_async_sweep_effects(run): return {given}")
    project.syspathinsert()
    result = project.runpytest_inprocess("-p", "another")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([sentence])


def test_without_a_tracer_kills_are_real_runs_and_the_report_says_so(project: pytest.Pytester) -> None:
    seize = {"call": {"x86_64": 101, "aarch64": 117}, "argument": 0x4206}  # ptrace(PTRACE_SEIZE)
    write_sweeps(project, conftest=REFUSE.format(**seize, error="EPERM") + ORDER)
    result = run_forked(project)
    result.assert_outcomes(failed=1)
    assert order(project) == LABELS
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: loses does not survive being killed:",
            "E *  1 of 7 interruptions fails",
            "E *  Not tried: kills at effects (ptrace: Operation not permitted).",
            "E *LOST: killed before loses.py:8",
        ]
    )


def test_without_a_tracer_power_failures_are_refused(project: pytest.Pytester) -> None:
    seize = {"call": {"x86_64": 101, "aarch64": 117}, "argument": 0x4206}  # ptrace(PTRACE_SEIZE)
    asks = SURVIVES.replace("sweep(scf_runtime)", 'sweep(scf_runtime, how="power")')
    write_sweeps(project, asks, REFUSE.format(**seize, error="EPERM") + ORDER)
    result = run_forked(project)
    result.assert_outcomes(failed=1)
    needs = "sweep: how='power' needs a record of what function 'loses' changes in run.path, and there is none"
    result.stdout.fnmatch_lines([f"E *ScfUsageError: {needs}: ptrace: Operation not permitted"])
