"""pytest-asyncio and anyio tests: blocking calls in a worker thread, and in the loop where it may be blocked."""

from __future__ import annotations

import os

import pytest
from forked_pytest import run_forked

ASYNCIO = """
    import asyncio
    import pytest

    @pytest.mark.asyncio
    @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
    async def test_in_a_thread(async_event):
        turns = 0
        waiting = asyncio.ensure_future(asyncio.to_thread(async_event.wait))
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0)
        assert (await waiting).result == "slept"
        assert turns > 1  # the loop went on

    @pytest.mark.asyncio
    async def test_two_at_once(scf_runtime):
        function = scf_runtime.deploy("handlers/sleeps.py:main_handler")
        events = [function.invoke_async() for _ in range(3)]
        done = await asyncio.gather(*(asyncio.to_thread(event.wait) for event in events))
        assert done == events
        assert {event.result for event in events} == {"slept"}

    @pytest.mark.asyncio
    @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
    async def test_in_the_loop(async_event):
        async_event.settle()
        async_event.terminate(grace_shutdown=True)
        assert async_event.wait().status_code == 439

    @pytest.mark.asyncio
    @pytest.mark.scf_function("handlers/raises.py:main_handler")
    async def test_fails(async_event):
        await asyncio.to_thread(async_event.wait)
        assert async_event.result
"""
ANYIO = """
    import anyio
    import pytest

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
    async def test_in_a_thread(async_event):
        await anyio.to_thread.run_sync(async_event.wait)
        assert async_event.result == "slept"

    @pytest.mark.anyio
    async def test_in_a_group(scf_runtime):
        function = scf_runtime.deploy("handlers/sleeps.py:main_handler")
        events = [function.invoke_async() for _ in range(3)]
        async with anyio.create_task_group() as group:
            for event in events:
                group.start_soon(anyio.to_thread.run_sync, event.wait)
        assert {event.result for event in events} == {"slept"}

    @pytest.mark.anyio
    async def test_in_the_loop(scf_runtime):
        assert scf_runtime.deploy("handlers/echo.py:main_handler").run(7) == 7
"""
OPTIONS = ("-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def own_options(project: pytest.Pytester, more: str = "") -> None:
    """An ini file, and no option besides, that switches the other plugins off."""
    os.environ["PYTEST_ADDOPTS"] = ""  # the fixture that set it puts it back
    project.makeini(f"[pytest]\nfilterwarnings = error\n{more}")


@pytest.mark.once  # a plugin that is not ours; asyncio in a test's own process is in the test below it
def test_asyncio(project: pytest.Pytester) -> None:
    own_options(project, "asyncio_default_fixture_loop_scope = function")
    project.makepyfile(ASYNCIO)
    result = run_forked(project, *OPTIONS, "-p", "no:anyio")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*HandlerError: event * of raises is FAILED (430)*", "*- scf async event *"])


@pytest.mark.once  # as above
def test_anyio(project: pytest.Pytester) -> None:
    own_options(project)
    project.makepyfile(ANYIO)
    result = run_forked(project, *OPTIONS, "-p", "no:asyncio")
    result.assert_outcomes(passed=3)


def test_a_plain_loop(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio

        def test_it(scf_runtime):
            function = scf_runtime.deploy("handlers/sleeps.py:main_handler")

            async def main():
                first, second = function.invoke_async(), function.invoke_async()
                second.wait()  # it blocks the loop
                return await asyncio.wait_for(asyncio.to_thread(first.wait), timeout=60)

            assert asyncio.run(main()).result == "slept"
        """
    )
    project.runpytest().assert_outcomes(passed=1)
