"""The fixtures: what each one gives, and the errors for a test that uses them wrongly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from forked_pytest import run_forked

from pytest_scf_async import AsyncEvent, Function, ScfRuntime, SimulatedClock

PROJECT = Path(__file__).with_name("typed_project")


def test_the_runtime_is_fresh_in_every_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_fresh(scf_runtime, number):
            assert scf_runtime.functions == {}
            assert scf_runtime.events == []
            scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async(number).wait()
        """
    )
    project.runpytest().assert_outcomes(passed=2)


def test_the_clock_is_that_of_the_runtime(scf_runtime: ScfRuntime, scf_clock: SimulatedClock) -> None:
    assert scf_clock is scf_runtime.clock


def test_instances_die_with_their_test(project: pytest.Pytester) -> None:
    """An idle one may take a moment: the test's end does not wait for it."""
    project.makepyfile(
        """
        import os, select

        pidfds = []

        def test_one_warm_one_asleep(scf_runtime):
            for name in ("echo", "sleeps"):
                event = scf_runtime.deploy(f"handlers/{name}.py:main_handler").invoke_async().settle()
                pidfds.append(os.pidfd_open(event.instance.pid))
            assert select.select(pidfds, [], [], 0)[0] == []

        def test_both_are_gone():
            assert len(pidfds) == 2
            for pidfd in pidfds:
                assert select.select([pidfd], [], [], 60)[0], "its process is still there"
        """
    )
    project.runpytest().assert_outcomes(passed=2)


def test_an_event_has_not_run(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload={"rows": 3})
        def test_pending(async_event, scf_function, scf_runtime):
            assert scf_runtime.events == [async_event] == scf_function.events
            assert async_event.doing == "pending"
            assert str(async_event.log) == ""
            assert async_event.wait().result == {"rows": 3}
        """
    )
    project.runpytest().assert_outcomes(passed=1)


def test_an_event_without_a_payload_gets_an_empty_one(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        def test_empty(async_event):
            assert async_event.wait().result == {}
        """
    )
    project.runpytest().assert_outcomes(passed=1)


def test_parametrize_gives_payloads(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload="of the marker")
        @pytest.mark.parametrize("async_event", [{"rows": 1}, None, ["a"]], indirect=True)
        def test_payloads(async_event, request):
            expected = request.node.callspec.params["async_event"]
            assert async_event.wait().result == ({} if expected is None else expected)
        """
    )
    project.runpytest().assert_outcomes(passed=3)


def test_a_function_without_its_marker_is_a_usage_error(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_function(scf_function): pass
        def test_event(async_event): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=2)
    form = '@pytest.mark.scf_function("handlers/export.py:main_handler", payload={"rows": 3}, timeout=60)'
    for test, fixture in (("function", "scf_function"), ("event", "async_event")):
        name = f"test_a_function_without_its_marker_is_a_usage_error.py::test_{test}"
        assert f"\n{name} uses the fixture {fixture} but has no scf_function marker; add one: {form}\n" in (
            result.stdout.str()
        )
    assert "plugin.py" not in result.stdout.str()


def test_an_overridden_function_needs_no_marker(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import pytest

        @pytest.fixture
        def scf_function(scf_runtime):
            return scf_runtime.deploy("handlers/echo.py:main_handler")
        """
    )
    project.makepyfile("def test_it(async_event): assert async_event.wait().result == {}")
    project.runpytest().assert_outcomes(passed=1)


def test_a_payload_that_is_not_json_is_a_usage_error(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.scf_function("handlers/echo.py:main_handler", payload={"when": {1, 2}})
        def test_marker(async_event): pass

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        @pytest.mark.parametrize("async_event", [{"when": {1, 2}}], indirect=True)
        def test_parametrize(async_event): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*::test_marker: async_event (scf_function marker): payload??when??=* is a set; it must be *",
            "*::test_parametrize*: async_event (parametrize of async_event): payload??when??=* is a set; it must *",
        ]
    )


def test_code_is_looked_up_beside_the_test_and_then_below_the_root(project: pytest.Pytester) -> None:
    deep = project.mkdir("deep")
    deep.joinpath("handlers").mkdir()
    deep.joinpath("handlers", "echo.py").write_text("def main_handler(event, context): return 'the near one'\n")
    deep.joinpath("test_deep.py").write_text(
        """
def test_near_and_far(scf_runtime):
    assert scf_runtime.deploy("handlers/echo.py:main_handler").run() == "the near one"
    assert scf_runtime.deploy("handlers/sleeps.py:main_handler").run() == "slept"
"""
    )
    result = project.runpytest("--rootdir", str(project.path), deep)
    result.assert_outcomes(passed=1)


def test_request_ids_come_from_the_id_of_the_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_ids(scf_runtime, number):
            function = scf_runtime.deploy("handlers/echo.py:main_handler")
            print("ids", *(function.invoke_async().request_id for _ in range(2)))
        """
    )
    runs = [re.findall("ids ([0-9a-f-]+ [0-9a-f-]+)", project.runpytest("-s").stdout.str()) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(" ".join(runs[0]).split())) == 4


@pytest.mark.once  # the machine's side
def test_where_instances_cannot_run_a_fixture_is_one_usage_error(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import os
        del os.pidfd_open
        """
    )
    project.makepyfile("def test_it(scf_runtime): pass\ndef test_model(): from pytest_scf_async import Status")
    result = run_forked(project)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*test_it uses scf_runtime, and instances run on Linux (5.4 or newer) only, and this is linux without os.*"]
    )
    assert "plugin.py" not in result.stdout.str()


@pytest.mark.scf_function(f"{PROJECT}/export.py:main_handler", payload={"rows": 1})
def test_what_fixtures_give_has_the_public_types(scf_function: Function, async_event: AsyncEvent) -> None:
    assert isinstance(scf_function, Function)
    assert isinstance(async_event, AsyncEvent)
    assert async_event.wait().result == {"rows": 1}
