"""What one failed test prints of its events is at most about 40 lines, and what matters is never left out of it."""

from __future__ import annotations

import pytest

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

MOST = 45
"""Lines: 40, the titles of sections, and the one that names the trace."""


def lines_of_ours(result: pytest.RunResult) -> list[str]:
    """What stands behind ``E`` and in our sections."""
    found: list[str] = []
    ours = False
    for line in result.outlines:
        if line.startswith("=") or line.endswith("___"):
            ours = False
        elif line.startswith("-") and line.endswith("-"):
            ours = "scf async" in line or line.startswith("--- ")
        if line.startswith("E  ") or ours:
            found.append(line)
    return found


def test_of_twenty_events(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        def handler(event, context):
            print("this is event", event["n"])
            if event["n"] == 7:
                raise ValueError("one of many")

        def test_it(scf_runtime):
            function = scf_runtime.deploy(handler)
            for n in range(20):
                function.invoke_async({"n": n}).wait()
            assert function.events[7].status == "FINISHED"
        """
    )
    lines = lines_of_ours(project.runpytest())
    assert len(lines) <= MOST
    text = "\n".join(lines)
    assert "this is event 7" in text
    assert "status    FAILED (430): raised" in text
    assert text.count(" of test_it: FINISHED (200) after 0 s") == 8
    assert "likely cause: the function raised ValueError: one of many" in text
    assert [line[:12] for line in lines[-2:]] == ["--- in full:", "--- trace: /"]


SIGNALS = """
    import signal, time
    from pytest_scf_async import assert_finished
    from pytest_scf_async.inside import record

    def handler(event, context):
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        for row in range(1000):
            time.sleep(1)
            print("row", row)
            if stop:
                record("stopped", row=row)
                raise SystemExit("stopped")

    def test_it(scf_runtime):
        event = scf_runtime.deploy(handler).invoke_async()
        event.wait_for_log("row 500")
        event.terminate(grace_shutdown=True)
        assert_finished(event.wait())
"""


def test_of_a_thousand_waits(project: pytest.Pytester) -> None:
    """Each of these lines is in the middle of others, which are left out."""
    project.makepyfile(test_it=SIGNALS)
    lines = lines_of_ours(project.runpytest())
    assert len(lines) <= MOST
    text = "\n".join(lines)
    for kept in (
        "signal    user code installed a SIGTERM handler",
        "instance  stopped at wait_for_log('row 500')",
        "signal    SIGTERM sent: user code has a handler for it",
        "signal    SIGTERM handler entered",
        "signal    SIGTERM handler returned",
        "record    stopped row=500",
        "status    FAILED (439): process exited",
        "instance  reclaimed: process exited",
        "498 waits and 497 log lines left out",
        "log       row 497",
    ):
        assert kept in text, kept


def test_of_tasks_and_threads(project: pytest.Pytester) -> None:
    """Alternating waits are one line each, with the names of their tasks and threads."""
    project.makepyfile(
        test_it="""
        import asyncio, threading, time
        from pytest_scf_async import assert_user_exit

        async def upload(seconds):
            for _ in range(100):
                await asyncio.sleep(seconds)

        async def main():
            await asyncio.gather(*(asyncio.create_task(upload(n), name=f"upload-{n}") for n in (2, 3)))

        def work():
            for _ in range(100):
                time.sleep(2)

        def handler(event, context):
            asyncio.run(main())
            threads = [threading.Thread(target=work, name=f"worker-{n}") for n in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def test_it(scf_runtime):
            assert_user_exit(scf_runtime.deploy(handler).invoke_async().wait())
        """
    )
    lines = lines_of_ours(project.runpytest())
    assert len(lines) <= MOST
    text = "\n".join(lines)
    for name in ("2", "3"):
        assert f"await at test_it.py:6 in upload-{name}, " in text
    for name in ("worker-0", "worker-1", "worker-2"):
        assert f"sleep(2) at test_it.py:13 in {name}, 100 times, the last at +498 s" in text
    assert "status    FINISHED (200): returned" in text


def test_of_the_workers_of_gunicorn(project: pytest.Pytester) -> None:
    """Its arbiter and its workers wait by turns, as long as the event takes."""
    project.makepyfile(
        app="""
        import os, time

        def app(environ, start_response):
            for row in range(100):
                time.sleep(10)
            start_response("500 Internal Server Error", [("Content-Type", "application/json")])
            return [b'"no"']
        """,
        test_it="""
        import pathlib
        from pytest_scf_async import assert_finished

        def test_it(scf_runtime):
            command = ["gunicorn", "--bind=0.0.0.0:9000", "--control-socket=gunicorn.ctl", "--workers=3", "app:app"]
            function = scf_runtime.deploy_image([*command, "--timeout=0"], cwd=pathlib.Path(__file__).parent)
            assert_finished(function.invoke_async().wait())
        """,
    )
    lines = lines_of_ours(project.runpytest("-p", "no:warnings"))
    assert len(lines) <= MOST
    text = "\n".join(lines)
    for kept in ("status    RUNNING: accepted", "instance  cold start", "status    FAILED (", "instance  reclaimed: "):
        assert kept in text, kept


DEEP = """
    from pytest_scf_async.assertions import assert_finished

    def step(number):
        return step(number - 1) if number else missing["rows"]

    missing = {}

    def handler(event, context):
        try:
            return step(9)
        except KeyError as error:
            raise ValueError("no rows") from error

    def test_it(scf_runtime):
        function = scf_runtime.deploy(handler)
        first = function.invoke_async().wait()
        assert first.status == "FAILED"
        function.run()
"""


def test_of_two_events_whose_function_raised(project: pytest.Pytester) -> None:
    """The error of ``run()`` has as many lines of a traceback as that of an assertion, and ``-vv`` shows all."""
    project.makepyfile(test_it=DEEP)
    lines = lines_of_ours(project.runpytest())
    assert len(lines) <= MOST
    before = lines[: next(number for number, line in enumerate(lines) if "- scf async event " in line)]
    assert len(before) <= 12
    text = "\n".join(before)
    assert "likely cause: the function raised ValueError: no rows" in text
    assert "in handler" in text
    assert " lines left out ..." in text
    whole = "\n".join(lines_of_ours(project.runpytest("-vv")))
    assert "KeyError: 'rows'" in whole
    assert " lines left out ..." not in whole
