"""A failed test shows the events that any runtime of the process has accepted during it, and no others."""

from __future__ import annotations

import gc
import weakref
from xml.etree import ElementTree

import pytest
from internals import EVENTS_KEPT, accepted_since, begin_test, end_test
from plugin_support import ALONE_AND_WITH_A_WORKER, run_with

from pytest_scf_async import ScfRuntime
from pytest_scf_async.scripted import finished

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

RUNTIMES = """
    import pytest
    from pytest_scf_async import ScfRuntime

    @pytest.fixture(scope="module")
    def shared(scf_runtime_factory):
        with scf_runtime_factory() as runtime:
            runtime.deploy("handlers/echo.py:main_handler").run("said in the setup")
            yield runtime
            runtime.functions["echo"].run("said in the teardown")

    def said_elsewhere(text):
        with ScfRuntime() as runtime:
            return runtime.deploy("handlers/echo.py:main_handler").run(text)

    @pytest.fixture
    def refused(shared):
        shared.functions["echo"].run("said before the error")
        raise RuntimeError("broken")

    def test_passes(shared):
        shared.functions["echo"].run("said in a test that passed")

    def test_fails(shared, scf_runtime):
        shared.functions["echo"].run("said by the shared one")
        scf_runtime.deploy("handlers/echo.py:main_handler").run("said by the test's own")
        said_elsewhere("said by one that is closed")
        assert 1 == 2

    def test_fails_in_setup(refused): pass

    def test_fails_without_events(shared):
        assert 1 == 2

    def test_fails_alone():
        said_elsewhere("said by a plain one")
        with ScfRuntime() as runtime:
            runtime.deploy("handlers/echo.py:main_handler").invoke_async("said by one that is open").wait()
            assert 1 == 2
"""


def said(result: pytest.RunResult) -> dict[str, list[str]]:
    """What the report of each test that failed shows, by the test's name."""
    found: dict[str, list[str]] = {}
    test = ""
    for line in result.outlines:
        if "short test summary info" in line:
            break
        if line.startswith("_"):
            test = line.strip("_ ")
        elif line.startswith("+") and "  log       got said" in line:
            found.setdefault(test, []).append(line.partition("got said ")[2])
    return found


@ALONE_AND_WITH_A_WORKER
def test_each_shows_what_was_accepted_during_it(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    project.makepyfile(RUNTIMES)
    result = run_with(project, workers, "-p", "no:randomly", "-vv", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, failed=3, errors=1)
    assert said(result) == {
        "test_fails": ["by the shared one", "by the test's own", "by one that is closed"],
        "ERROR at setup of test_fails_in_setup": ["before the error"],
        "test_fails_alone": ["by a plain one", "by one that is open"],
    }
    assert "said in a" not in result.stdout.str()
    named = {
        case.get("name"): sum(one.get("name") == "scf_async_request_id" for one in case.iter("property"))
        for case in ElementTree.parse(project.path / "junit.xml").getroot().iter("testcase")
    }
    assert named == {
        "test_passes": 2,
        "test_fails": 3,
        "test_fails_in_setup": 1,
        "test_fails_without_events": 0,
        "test_fails_alone": 3,  # and one of the teardown of the module
    }


def test_two_runtimes_may_have_the_same_request_ids(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_scf_async import ScfRuntime, assert_failed

        def test_it():
            with ScfRuntime() as one, ScfRuntime() as other:
                for runtime, text in ((one, "said by one"), (other, "said by the other")):
                    runtime.deploy("handlers/echo.py:main_handler").run(text)
                assert one.events[0].request_id == other.events[0].request_id
                assert_failed(one.events[0], code=430)
        """
    )
    result = project.runpytest("-vv")
    result.assert_outcomes(failed=1)
    assert said(result) == {"test_it": ["by the other"]}
    result.stdout.fnmatch_lines(["E * log       got said by one"])  # the failure's own text has it


def test_the_teardown_of_a_longer_one_is_of_the_last_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        def shared(scf_runtime_factory):
            with scf_runtime_factory() as runtime:
                yield runtime.deploy("handlers/echo.py:main_handler")
                runtime.functions["echo"].run("said in the teardown")
            raise RuntimeError("broken")

        def test_one(shared): shared.run("said in one")
        def test_two(shared): shared.run("said in two")
        """
    )
    result = project.runpytest("-p", "no:randomly", "-vv")
    result.assert_outcomes(passed=2, errors=1)
    assert said(result) == {"ERROR at teardown of test_two": ["in two", "in the teardown"]}


def test_a_test_that_a_plugin_runs_again_begins_anew(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):  # as pytest-rerunfailures does
            if nextitem is None:
                return None
            for _ in range(2):
                item._initrequest()
                runtestprotocol(item, nextitem=nextitem)
            return True
        """
    )
    project.makepyfile(
        """
        import itertools
        import pytest

        @pytest.fixture(scope="module")
        def shared(scf_runtime_factory):
            with scf_runtime_factory() as runtime:
                yield runtime.deploy("handlers/echo.py:main_handler")

        attempts = itertools.count(1)

        def test_it(shared):
            shared.run(f"said in attempt {next(attempts)}")
            assert 1 == 2

        def test_last(shared): pass
        """
    )
    result = project.runpytest("-p", "no:randomly", "-vv")
    result.assert_outcomes(failed=2, passed=1)
    assert said(result) == {"test_it": ["in attempt 1", "in attempt 2"]}  # each in one of the two reports


def test_files_are_written_of_all_of_them(project: pytest.Pytester) -> None:
    project.makepyfile(RUNTIMES)
    result = project.runpytest("-p", "no:randomly", "--scf-async-artifacts=kept")
    kept = {
        path.name.rpartition("-")[0]: sum(each.is_dir() for each in path.iterdir())
        for path in project.path.joinpath("kept").iterdir()
    }
    file = "test_files_are_written_of_all_of_them.py-test_"
    assert kept == {f"{file}fails": 3, f"{file}fails_in_setup": 1, f"{file}fails_alone": 2}
    assert result.stdout.str().count("--- in full: ") == 3


def test_what_came_before_the_tests_is_of_none(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_scf_async import ScfRuntime
        from pytest_scf_async.scripted import finished

        runtime = ScfRuntime()
        runtime.deploy_scripted("early", [finished()]).invoke_async()

        def test_it():
            runtime.deploy_scripted("late", [finished()]).invoke_async()
            assert 1 == 2

        def test_close():
            runtime.close()
        """
    )
    result = project.runpytest("-p", "no:randomly")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["late: RUNNING, *"])
    assert "early: " not in result.stdout.str()


def test_a_session_inside_a_test_takes_nothing_from_its_report(
    project: pytest.Pytester, scf_runtime: ScfRuntime
) -> None:
    before = begin_test()
    with ScfRuntime() as closed:
        event = closed.deploy_scripted("before", [finished()]).invoke_async()
    own = scf_runtime.deploy_scripted("own", [finished()]).invoke_async().wait()
    project.makepyfile(RUNTIMES)
    project.runpytest_inprocess("-p", "no:randomly", "-k", "alone").assert_outcomes(failed=1)
    assert accepted_since(before) == [event, own]


def test_closed_runtimes_are_kept_for_the_report_up_to_a_bound_and_until_the_test_ends() -> None:
    def run(events: int) -> weakref.ref[ScfRuntime]:
        with ScfRuntime() as runtime:
            function = runtime.deploy_scripted("many", [finished()])
            for _ in range(events):
                function.invoke_async()
            return weakref.ref(runtime)

    began = begin_test()
    runtimes = [run(events) for events in (100, 100, 50)]
    assert len(accepted_since(began)) == EVENTS_KEPT
    runtimes.append(run(1))
    gc.collect()
    assert [runtime() is None for runtime in runtimes] == [True, False, False, False]
    assert len(accepted_since(began)) == 151
    runtimes.append(run(EVENTS_KEPT + 1))
    gc.collect()
    assert len(accepted_since(began)) == EVENTS_KEPT + 1
    end_test(began)
    gc.collect()
    assert [runtime() for runtime in runtimes] == [None] * 5
    assert accepted_since(began) == []
