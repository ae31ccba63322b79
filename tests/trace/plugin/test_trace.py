"""``--scf-async-trace``: which tests leave a trace, where that is, what refers to it, and that it hides no failure."""

from __future__ import annotations

import html
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from forked_pytest import run_forked
from plugin_support import ALONE_AND_WITH_A_WORKER, WITHOUT_HTML, run_with
from sweep_internals import MOST_COMPARED, aligned
from sweep_support import LOSES, SURVIVES, SWEEPS, write_handler
from trace_format import trace_at

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

FAILS = """
    from pytest_scf_async import assert_finished

    def test_fails(scf_runtime):
        assert_finished(scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async().wait())

    def test_passes(scf_runtime):
        assert scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async().wait().ended

    def test_has_no_event(scf_runtime):
        assert scf_runtime.events == []
"""
HEADLINE = (
    "expected FINISHED (200); found FAILED (430: user code exception caught): the function raised ValueError: boom"
)


def traces(project: pytest.Pytester, directory: str = "kept") -> dict[str, dict[str, Any]]:
    """By the name of its test, the data of each trace."""
    found = [trace_at(path) for path in sorted(project.path.joinpath(directory).glob("*/trace.html"))]
    return {str(facts["test"]).rpartition("::")[2]: facts for facts in found}


def named_in(result: pytest.RunResult) -> list[str]:
    """The traces that the last lines of failures name."""
    return [found[1] for line in result.outlines if (found := re.fullmatch("--- trace: (.*) ---", line))]


@ALONE_AND_WITH_A_WORKER
def test_a_test_that_fails_leaves_a_trace_and_the_last_line_names_it(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    project.makepyfile(test_it=FAILS)
    result = run_with(project, workers, "--scf-async-artifacts=kept", "--scf-async-start=2026-01-01T00:00:00+08:00")
    result.assert_outcomes(failed=1, passed=2)
    (facts,) = traces(project).values()
    assert (facts["test"], facts["outcome"], facts["headline"]) == ("test_it.py::test_fails", "failed", HEADLINE)
    assert (facts["zone"], facts["zone_minutes"], facts["origin_us"]) == ("+08:00", 480, 1_767_196_800_000_000)
    assert facts["real_seconds"] > 0
    assert facts["failure"].startswith("expected FINISHED (200); found FAILED")
    (event,) = facts["events"]
    assert event["why"][0] == "likely cause: the function raised ValueError: boom"
    (failed,) = (row for row in event["entries"] if row[2].startswith("FAILED (430)"))
    file, line, number, _ = facts["places"][failed[4]]
    assert (file, line, facts["files"][number]["path"]) == ("raises.py", 4, "handlers/raises.py")
    (path,) = named_in(result)
    assert Path(path) == next(project.path.joinpath("kept").glob("*/trace.html"))
    lines = [line for line in result.outlines if line.startswith("---")]
    assert lines[lines.index(f"--- trace: {path} ---") - 1] == f"--- in full: {Path(path).parent} ---"


def test_without_artifacts_it_is_below_the_base_temp(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=FAILS)
    (path,) = named_in(project.runpytest_inprocess("-k", "fails"))
    assert Path(path).parts[-3:-1] == ("scf-async", Path(path).parent.name)
    assert trace_at(Path(path))["test"] == "test_it.py::test_fails"


def test_on_keeps_those_of_tests_that_pass_and_have_events(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=FAILS)
    result = project.runpytest_inprocess("--scf-async-artifacts=kept", "--scf-async-trace=on")
    result.assert_outcomes(failed=1, passed=2)
    found = traces(project)
    assert sorted(found) == ["test_fails", "test_passes"]
    passed = found["test_passes"]
    assert (passed["outcome"], passed["headline"], passed["failure"]) == ("passed", "echo FINISHED after 0 s", None)


@pytest.mark.parametrize(
    ("ini", "options", "kept"),
    [("off", (), 0), ("", ("--scf-async-trace=off",), 0), ("on", ("--scf-async-trace=off",), 0)],
)
def test_off_writes_none(project: pytest.Pytester, ini: str, options: tuple[str, ...], kept: int) -> None:
    file = project.path / "tox.ini"
    file.write_text(f"{file.read_text()}\nscf_async_trace = {ini}\n")
    project.makepyfile(test_it=FAILS)
    result = project.runpytest_inprocess("--scf-async-artifacts=kept", *options)
    assert len(traces(project)) == kept
    assert named_in(result) == []


def test_the_ini_file_switches_it_on(project: pytest.Pytester) -> None:
    file = project.path / "tox.ini"
    file.write_text(f"{file.read_text()}\nscf_async_trace = on\n")
    project.makepyfile(test_it=FAILS)
    project.runpytest_inprocess("--scf-async-artifacts=kept", "-k", "passes")
    assert list(traces(project)) == ["test_passes"]


@pytest.mark.parametrize("given", ["always", "retain_on_failure"])
def test_another_word_ends_the_session_at_once(project: pytest.Pytester, given: str) -> None:
    project.makepyfile(test_it="def test_it(): pass")
    result = project.runpytest_inprocess(f"--scf-async-trace={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*scf_async_trace='{given}' (command line) is not valid: it must be 'off', 'retain-on-failure' or 'on'"]
    )


def test_nothing_of_it_is_imported_for_tests_that_pass(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=FAILS,
        test_last="""
        import sys

        def test_nothing_is_there():
            names = [name for name in sys.modules if "scf_async.trace" in name]
            assert names == ["pytest_scf_async.trace", "pytest_scf_async.trace.hooks"]  # which imports nothing of it
        """,
    )
    result = project.runpytest_subprocess("-k", "passes or nothing")
    result.assert_outcomes(passed=2, deselected=2)


def test_failures_in_setup_and_teardown_have_one_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.fixture
        def broken(scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
            raise RuntimeError("the fixture is broken")

        def test_setup(broken):
            pass

        def test_teardown(scf_runtime):
            scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async().wait()
        """
    )
    result = project.runpytest_inprocess("--scf-async-artifacts=kept", "--scf-async-trace=on")
    result.assert_outcomes(passed=1, errors=2)
    found = traces(project)
    assert {name: facts["outcome"] for name, facts in found.items()} == {
        "test_setup": "error",
        "test_teardown": "error",
    }
    assert found["test_setup"]["headline"] == "the fixture is broken"
    assert "the test never checked it" in found["test_teardown"]["headline"]
    assert len(named_in(result)) == 2


def test_where_call_and_teardown_fail_the_call_is_the_answer(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.fixture
        def leaves():
            yield
            raise RuntimeError("the teardown is broken")

        def test_it(leaves, scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
            raise ValueError("the call is broken")
        """
    )
    result = project.runpytest_inprocess("--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1, errors=1)
    (facts,) = traces(project).values()
    assert (facts["outcome"], facts["headline"]) == ("failed", "the call is broken")
    assert len(named_in(result)) == 2


def test_a_file_that_cannot_be_written_hides_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(
        "import pathlib\n\n"
        "def echo(event, context): return event\n\n"
        "def test_it(scf_runtime):\n    scf_runtime.deploy(echo).run()\n"
        "    pathlib.Path('kept').write_text('a file by now')\n    assert 1 == 2\n"
    )
    result = project.runpytest_inprocess("--scf-async-artifacts=kept", "--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", "--- trace: not written to */trace.html: Not a directory ---"])
    assert "scf_async_trace" not in project.path.joinpath("junit.xml").read_text()


def test_a_defect_of_the_writer_hides_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=FAILS)
    project.makeconftest("import pytest_scf_async.trace.of_test as module\nmodule.trace_facts = lambda *_: 1 / 0\n")
    result = run_forked(project, "-k", "fails", "--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*found FAILED (430*", "--- trace: not written to *: ZeroDivisionError: * ---"])


@ALONE_AND_WITH_A_WORKER
def test_junit_and_the_job_summary_refer_to_it(
    project: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = project.path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project.makepyfile(test_it=FAILS)
    options = ("--junitxml=junit.xml", "--scf-async-artifacts=kept", "--scf-async-trace=on")
    run_with(project, workers, *options).assert_outcomes(failed=1, passed=2)
    cases = {str(case.get("name")): case for case in ET.parse(project.path / "junit.xml").iter("testcase")}
    named = {
        name: [each.get("value") for each in case.iter("property") if each.get("name") == "scf_async_trace"]
        for name, case in cases.items()
    }
    paths = {path.parent.name.split("-")[1]: path for path in project.path.glob("kept/*/trace.html")}
    assert named == {
        "test_fails": [str(paths["test_fails"])],
        "test_passes": [str(paths["test_passes"])],
        "test_has_no_event": [],
    }
    lines = summary.read_text().splitlines()
    assert lines[:5] == [
        "before",
        "### Failed tests of SCF functions",
        "",
        "| test | what is wrong | trace |",
        "|---|---|---|",
    ]
    assert len(lines) == 6, lines
    (row,) = lines[5:]
    relative = paths["test_fails"].relative_to(project.path)
    assert row == f"| `test_it.py::test_fails` | {HEADLINE} | `{relative}` |"


@ALONE_AND_WITH_A_WORKER
def test_the_report_of_pytest_html_links_it(
    project: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_it=FAILS)
    ini = project.path / "tox.ini"
    ini.write_text(ini.read_text().replace(WITHOUT_HTML, ""))
    monkeypatch.setenv("PYTEST_ADDOPTS", os.environ["PYTEST_ADDOPTS"].replace(WITHOUT_HTML, ""))
    options = ("--html=out/report.html", "--scf-async-artifacts=kept")
    project.runpytest_subprocess(*options, *workers).assert_outcomes(failed=1, passed=2)
    text = project.path.joinpath("out", "report.html").read_text(encoding="utf-8")
    (path,) = project.path.glob("kept/*/trace.html")
    found = re.search(r'data-jsonblob="([^"]*)"', text)
    assert found is not None
    tests = json.loads(html.unescape(found[1]))["tests"]
    links = [
        extra for cases in tests.values() for case in cases for extra in case["extras"] if extra["name"] == "trace"
    ]
    (link,) = links
    assert (project.path / "out" / link["content"]).resolve() == path.resolve()


def test_a_sweep_is_in_the_trace_of_its_test(project: pytest.Pytester) -> None:
    write_handler(project, LOSES)
    project.makepyfile(sweeps=SWEEPS, test_it=SURVIVES)
    result = run_forked(project, "--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    (facts,) = traces(project).values()
    (sweep,) = facts["sweeps"]
    assert (sweep["function"], sweep["failed"], sweep["runs"]) == ("loses", 1, 7)
    assert sweep["headline"] == "loses does not survive being killed: 1 of 7 interruptions fails"
    ((file, lines),) = ((heat["file"], heat["lines"]) for heat in sweep["heat"])
    assert facts["files"][file]["path"] == "handlers/loses.py"
    assert [line for line in lines if line[2]] == [[8, 1, 1]]
    (found,) = sweep["classes"]
    assert facts["places"][found["place"]][:2] == ["loses.py", 8]
    assert found["replay"] == "pytest test_it.py::test_it --scf-async-replay='forced@loses.py:8#1'"
    assert found["attempts"][0][:2] == ["ABORTED (499) after 0 s", "interrupted"]
    assert found["differences"]
    assert (found["repro"], found["repro_call"]) == (None, "sweep.failures[0].write_repro(path)")
    assert len(named_in(result)) == 1


def test_the_report_of_a_sweep_says_with_the_head_that_what_is_done_twice_is_survived(project: pytest.Pytester) -> None:
    write_handler(
        project,
        """
        from pytest_scf_async.inside import record

        def main_handler(event, context):
            record("done")
            return len("done")
        """,
    )
    project.makepyfile(sweeps=SWEEPS, test_it=SURVIVES)
    run_forked(project, "--scf-async-artifacts=kept", "--scf-async-trace=on").assert_outcomes(passed=1)
    ((sweep,),) = (facts["sweeps"] for facts in traces(project).values())
    assert sweep["headline"].startswith("loses survives all ")
    assert sweep["report"].splitlines()[0] == sweep["headline"]
    assert [each["title"].partition(":")[0] for each in sweep["classes"]] == ["accepted"]


def test_a_trace_counts_what_the_assertion_counts(project: pytest.Pytester) -> None:
    handler = LOSES.replace(
        "    def main_handler",
        """    from pytest_scf_async.inside import record

    def main_handler""",
    ).replace('        return "done"', '        record("done")\n        return "done"')
    write_handler(project, handler)
    exactly_once = SURVIVES.replace("test_it", "test_once").replace("survives", "exactly_once")
    project.makepyfile(sweeps=SWEEPS, test_it=SURVIVES, test_once=exactly_once)
    result = run_forked(project, "--scf-async-artifacts=kept")
    result.assert_outcomes(failed=2)
    both = {name: facts["sweeps"][0] for name, facts in traces(project).items()}
    lost, as_well = (
        f"loses does not survive being killed: {text}"
        for text in ("1 of 9 interruptions fails", "2 of 9 interruptions fail, for 2 reasons")
    )
    assert (both["test_it"]["headline"], both["test_once"]["headline"]) == (lost, as_well)
    assert [each["title"].partition(":")[0] for each in both["test_it"]["classes"]] == ["LOST", "accepted"]
    for each in both.values():
        verdict, counts = each["report"].splitlines()[:2]
        assert f"{verdict} {counts.strip()}" == each["headline"]
    assert [each["title"].partition(":")[0] for each in both["test_once"]["classes"]] == ["LOST", "DOUBLED"]
    for sweep in both.values():
        result.stdout.fnmatch_lines([f"*{text}" for text in sweep["headline"].split(" killed: ")[1:]])
        assert sum(line[2] for heat in sweep["heat"] for line in heat["lines"]) == sweep["failed"]


def test_a_repro_that_the_test_has_written_is_named_from_the_trace(project: pytest.Pytester) -> None:
    write_handler(project, LOSES)
    project.makepyfile(
        sweeps=SWEEPS,
        test_it="""
            import shutil
            from sweeps import sweep

            def test_it(scf_runtime):
                found = sweep(scf_runtime)
                found.failures[0].write_repro("repros/lost")
                found.assert_survives()

            def test_removed(scf_runtime):
                found = sweep(scf_runtime)
                shutil.rmtree(found.failures[0].write_repro("repros/removed"))
                found.assert_survives()
        """,
    )
    run_forked(project, "--scf-async-artifacts=kept").assert_outcomes(failed=2)
    both = {name: sweep["classes"][0] for name, facts in traces(project).items() for sweep in facts["sweeps"]}
    found = both["test_it"]
    assert (found["repro"], found["repro_call"]) == ("../../repros/lost/repro.sh", None)
    removed = both["test_removed"]
    assert (removed["repro"], removed["repro_call"]) == (None, "sweep.failures[0].write_repro(path)")
    (trace,) = project.path.glob("kept/*test_it-*/trace.html")
    assert trace.parent.joinpath(found["repro"]).is_file()


def test_equal_lines_of_two_runs_are_beside_each_other() -> None:
    first = ["FINISHED (200)", "+0 s  log  a", "+1 s  log  b", "+2 s  log  c"]
    second = ["FINISHED (200)", "+0 s  log  a", "+1 s  log  x", "+1 s  log  y", "+2 s  log  c", "+3 s  log  d"]
    assert aligned(first, second) == [
        ["FINISHED (200)", "FINISHED (200)"],
        ["+0 s  log  a", "+0 s  log  a"],
        ["+1 s  log  b", "+1 s  log  x"],
        [None, "+1 s  log  y"],
        ["+2 s  log  c", "+2 s  log  c"],
        [None, "+3 s  log  d"],
    ]
    rows = aligned(["same"] * 2, ["same"] * (MOST_COMPARED + 5))
    assert (len(rows), rows[-1]) == (MOST_COMPARED + 1, [None, "(5 more lines are left out)"])
