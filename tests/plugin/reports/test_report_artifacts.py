"""``--scf-async-artifacts``: of a failed test each event's log, timeline, records and facts are kept whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

FAILING = """
    from pytest_scf_async import assert_failed

    def talks(event, context):
        from pytest_scf_async.inside import record
        for n in range(event["lines"]):
            print("line", n, "of many")
        record("said", lines=event["lines"])
        return {"lines": event["lines"]}

    def test_it(scf_runtime):
        scf_runtime.deploy(talks).invoke_async({"lines": 1000}).wait()
        scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().settle()
        assert 1 == 2
"""


def of_tests(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def of_events(of_test: Path) -> list[Path]:
    """The directories of a test's events; beside them is its trace."""
    return sorted(path for path in of_test.iterdir() if path.name != "trace.html")


def test_the_whole_of_each_event_is_kept_and_the_section_names_it(project: pytest.Pytester) -> None:
    project.makepyfile(test_kept=FAILING)
    result = project.runpytest("--scf-async-artifacts=kept", "--scf-async-start=2026-01-01T00:00:00Z")
    result.assert_outcomes(failed=1)
    (of_test,) = of_tests(project.path / "kept")
    assert of_test.name.startswith("test_kept.py-test_it-")
    talks, sleeps = of_events(of_test)
    result.stdout.fnmatch_lines([f"--- in full: {of_test} ---"])
    assert {file.name for file in talks.iterdir()} == {"log.txt", "timeline.txt", "records.json", "event.json"}
    log = (talks / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {n} of many" for n in range(1000)]
    assert "line 500 of many" in (talks / "timeline.txt").read_text(encoding="utf-8")
    (record,) = json.loads((talks / "records.json").read_text(encoding="utf-8"))
    assert (record["name"], record["fields"]) == ("said", {"lines": 1000})
    facts = json.loads((talks / "event.json").read_text(encoding="utf-8"))
    assert talks.name == f"1-talks-{facts['request_id'][:8]}" or facts["function"] in talks.name
    assert (facts["status"], facts["status_code"], facts["result"]) == ("FINISHED", 200, {"lines": 1000})
    assert facts["test"] == "test_kept.py::test_it"
    assert facts["payload"] == {"lines": 1000}
    assert facts["started_at"] == "2026-01-01T00:00:00+00:00"
    running = json.loads((sleeps / "event.json").read_text(encoding="utf-8"))
    assert (running["status"], running["ended_at"], running["result"]) == ("RUNNING", None, None)


def test_nan_in_a_result_is_kept_as_a_text_as_json_has_no_such_number(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_kept="""
        def rate(event, context):
            return {"rate": float("nan"), "most": float("inf")}

        def test_it(scf_runtime):
            assert scf_runtime.deploy(rate).invoke_async().wait().result == "a text"
        """
    )
    project.runpytest("--scf-async-artifacts=kept").assert_outcomes(failed=1)
    (of_test,) = of_tests(project.path / "kept")
    text = (of_events(of_test)[0] / "event.json").read_text(encoding="utf-8")
    assert json.loads(text)["result"] == {"rate": "NaN", "most": "Infinity"}


def test_a_result_that_is_no_text_is_kept_in_base64(project: pytest.Pytester) -> None:
    project.makepyfile(
        app="""
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(bytes([0x89]) + b"PNG")

        HTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
        """,
        test_kept="""
        def test_it(scf_runtime):
            event = scf_runtime.deploy_image(["python", "app.py"], in_process=True).invoke_async().wait()
            assert event.result == "a text"
        """,
    )
    result = project.runpytest("--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    (of_test,) = of_tests(project.path / "kept")
    facts = json.loads((of_events(of_test)[0] / "event.json").read_text(encoding="utf-8"))
    assert (facts["status"], facts["result"], facts["result_base64"]) == ("FINISHED", None, "iVBORw==")


def test_the_ini_option_is_relative_to_the_ini_file(project: pytest.Pytester) -> None:
    ini = project.path / "tox.ini"
    ini.write_text(ini.read_text() + "\nscf_async_artifacts = kept/in/here\n")
    below = project.mkdir("below")
    below.joinpath("test_it.py").write_text("def test_it(scf_runtime): assert 1 == 2\n")
    below.joinpath("test_two.py").write_text(
        "def echo(event, context): return event\n\n"
        "def test_two(scf_runtime):\n    scf_runtime.deploy(echo).run()\n    assert 1 == 2\n"
    )
    result = project.runpytest("below")
    result.assert_outcomes(failed=2)
    (of_test,) = of_tests(project.path / "kept" / "in" / "here")  # the other test had no event
    assert of_test.name.startswith("below-test_two.py-test_two-")


def test_nothing_is_written_for_tests_that_pass(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING.replace("assert 1 == 2", "assert scf_runtime.events[1].doing == 'parked'"))
    project.runpytest("--scf-async-artifacts=kept").assert_outcomes(passed=1)
    assert not (project.path / "kept").exists()


def test_a_failure_takes_the_place_of_that_of_the_run_before(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING)
    project.runpytest("--scf-async-artifacts=kept")
    project.makepyfile(FAILING.replace("        scf_runtime.deploy(talks)", "        # scf_runtime.deploy(talks)"))
    project.runpytest("--scf-async-artifacts=kept").assert_outcomes(failed=1)
    (of_test,) = of_tests(project.path / "kept")
    assert [event.name[:9] for event in of_events(of_test)] == ["1-sleeps-"]


def test_a_failure_that_nobody_checked_is_kept_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async().wait()
        """
    )
    result = project.runpytest("--scf-async-artifacts=kept")
    result.assert_outcomes(passed=1, errors=1)
    (of_test,) = of_tests(project.path / "kept")
    (of_event,) = of_events(of_test)
    result.stdout.fnmatch_lines(["event * FAILED (430: *", f"--- in full: {of_test} ---"])
    error = json.loads((of_event / "event.json").read_text())["error"]
    assert error["statusCode"] == 430
    assert (of_event / "traceback.txt").read_text().rstrip() == error["stackTrace"].rstrip()


def test_a_directory_that_cannot_be_written_is_said_in_the_section(project: pytest.Pytester) -> None:
    project.makepyfile(
        "import os, pathlib\n\n"
        "def echo(event, context): return event\n\n"
        "def test_it(scf_runtime):\n    scf_runtime.deploy(echo).run()\n"
        "    pathlib.Path('kept').write_text('a file by now')\n    assert 1 == 2\n"
    )
    result = project.runpytest("--scf-async-artifacts=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", "--- in full: not written to *: Not a directory ---"])


@pytest.mark.parametrize("given", ["test_it.py", ""])
def test_what_is_no_directory_ends_the_session_at_once(project: pytest.Pytester, given: str) -> None:
    project.makepyfile(test_it="def test_it(): pass")
    result = project.runpytest(f"--scf-async-artifacts={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*scf_async_artifacts='{given}' (command line) is not valid: it must be the path of a *"]
    )
