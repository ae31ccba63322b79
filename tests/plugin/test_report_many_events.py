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


def test_of_many_events_the_failed_unfinished_and_last_have_sections(project: pytest.Pytester) -> None:
    project.makepyfile(MANY)
    result = project.runpytest()
    output = result.stdout.str()
    assert output.count("- scf async event ") == 10
    shown = [line for line in result.outlines if line.startswith("this is event")]
    assert shown == [f"this is event {n}" for n in (3, 40, 93, 94, 95, 96, 97, 98, 99)]  # and 100, which did not start
    assert output.count(": RUNNING\n") == 1
    result.stdout.fnmatch_lines(["91 more events are not shown; --scf-async-artifacts=DIR keeps all of it in files"])


def test_the_directory_of_artifacts_has_all_of_many_events(project: pytest.Pytester) -> None:
    project.makepyfile(MANY)
    result = project.runpytest("--scf-async-artifacts=kept")
    result.stdout.fnmatch_lines(["91 more events are not shown; all of them are in the directory of artifacts"])
    (of_test,) = (project.path / "kept").iterdir()
    assert len(list(of_test.iterdir())) == 101


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
    result.stdout.fnmatch_lines(["xxx*… (99,000 more characters)"])
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
    assert result.outlines.count("got said") == 4
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
