"""The report on events is bounded by their number, and is the same in every phase, under xdist and for junit."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from plugin_support import ALONE_AND_WITH_A_WORKER, run_with

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

MANY = """
    def handler(event, context):
        print("this is event", event["n"])
        if event["n"] in (3, 40):
            raise ValueError("one of many")

    def test_it(scf_runtime):
        function = scf_runtime.deploy(handler)
        for n in range(100):
            function.invoke_async({"n": n}).wait()
        function.invoke_async({"n": 100})
        assert all(event.status for event in function.events) and 1 == 2
"""


def test_of_many_events_the_failed_and_unfinished_have_sections_and_others_a_line(project: pytest.Pytester) -> None:
    project.makepyfile(test_many=MANY)
    result = project.runpytest()
    output = result.stdout.str()
    shown = [line.rpartition("  ")[2] for line in result.outlines if "this is event" in line]
    assert shown == ["this is event 3", "this is event 40"]  # and 100, which did not start
    assert output.count("- scf async event ") == 3
    assert output.count("test_many: RUNNING, in simulated time from ") == 1
    assert len([line for line in result.outlines if line.endswith(" of test_many: FINISHED (200) after 0 s")]) == 8
    result.stdout.fnmatch_lines(["and 90 more", "--- in full: */scf-async/test_many.py-test_it-* ---"])
    begin = next(n for n, line in enumerate(result.outlines) if "- scf async event " in line)
    end = next(n for n, line in enumerate(result.outlines) if "--- in full" in line)
    assert end - begin + 1 <= 44  # with the titles


def test_the_directory_of_artifacts_has_all_of_many_events(project: pytest.Pytester) -> None:
    project.makepyfile(MANY)
    result = project.runpytest("--scf-async-artifacts=kept")
    (of_test,) = (project.path / "kept").iterdir()
    result.stdout.fnmatch_lines(["and 90 more", f"--- in full: {of_test} ---"])
    assert len([each for each in of_test.iterdir() if each.name != "trace.html"]) == 101


def test_a_line_that_is_very_long_is_cut(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def handler(event, context):
            print("x" * 100_000)

        def test_it(scf_runtime):
            scf_runtime.deploy(handler).run()
            assert 1 == 2
        """
    )
    result = project.runpytest()
    result.stdout.fnmatch_lines(["*+0 s  log       xxx*…"])
    assert len(result.stdout.str()) < 10_000


PHASES = """
    import pytest

    @pytest.fixture
    def breaks(async_event, request):
        async_event.wait()
        if "setup" in request.node.name:
            raise RuntimeError("broken")
        yield
        if "teardown" in request.node.name:
            raise RuntimeError("broken")

    @pytest.mark.scf_function("handlers/echo.py:main_handler", payload="said")
    class TestIt:
        def test_setup(self, breaks): pass
        def test_call(self, breaks): assert 1 == 2
        def test_teardown(self, breaks): pass
        @pytest.mark.xfail(strict=True)
        def test_that_passes_and_should_not(self, async_event):
            async_event.wait()
        def test_that_passes(self, breaks): pass
"""


@ALONE_AND_WITH_A_WORKER
def test_every_phase_has_its_sections_and_junit_the_request_ids(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    project.makepyfile(PHASES)
    result = run_with(project, workers, "--junitxml=junit.xml")
    result.assert_outcomes(passed=2, failed=2, errors=2)
    assert result.stdout.str().count("- scf async event ") == 4
    assert len([line for line in result.outlines if line.endswith("+0 s  log       got said")]) == 4
    for case in ElementTree.parse(project.path / "junit.xml").getroot().iter("testcase"):
        properties = [one.get("value") for one in case.iter("property") if one.get("name") == "scf_async_request_id"]
        assert len(set(properties)) == 1, case.get("name")


def test_tests_without_events_have_no_properties(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(scf_runtime): pass\ndef test_that(): pass")
    project.runpytest("--junitxml=junit.xml").assert_outcomes(passed=2)
    assert "property" not in (project.path / "junit.xml").read_text()


def test_each_of_several_events_has_its_property(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(scf_runtime, capsys):
            function = scf_runtime.deploy("handlers/echo.py:main_handler")
            for _ in range(3):
                function.run()
            with capsys.disabled():
                print("ids", *(event.request_id for event in function.events))
        """
    )
    result = project.runpytest("--junitxml=junit.xml")
    ids = next(line for line in result.outlines if "ids " in line).split("ids ")[1].split()
    found = ElementTree.parse(project.path / "junit.xml").getroot().iter("property")
    assert [one.get("value") for one in found] == [identity.rstrip(".") for identity in ids]
