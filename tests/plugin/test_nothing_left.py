"""However a test ends, nothing of it is left: no process, in whatever session, and no temporary directory."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_process import DEADLINE, NUMBERS, Pytest

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


IN_A_BLOCKING_CALL = """
    @pytest.mark.scf_function("handlers/stay.py:main_handler")
    def test_it(busy):
        say("here")
        busy.wait()
"""
IN_ITS_OWN_CODE = """
    @pytest.mark.scf_function("handlers/stay.py:main_handler")
    def test_it(busy):
        say("here")
        threading.Event().wait()
"""
AT_A_LINE = """
    import sys

    import pytest_scf_async

    seen = 0

    def called(frame, event, argument):
        return line if frame.f_code.co_filename.startswith(os.path.dirname(pytest_scf_async.__file__)) else None

    def line(frame, event, argument):
        global seen
        if event == "line":
            seen += 1
            if seen == int({at}):
                os.kill(os.getpid(), signal.SIGKILL)
        return line

    @pytest.mark.scf_function("handlers/stay.py:main_handler")
    def test_it(request):
        sys.settrace(called)
        try:
            busy = request.getfixturevalue("busy")
            busy.terminate(grace_shutdown=True)
        finally:
            sys.settrace(None)
"""
KILLS = int(os.environ.get("SCF_KILLS", "3"))
LINES = 6000
"""About as many lines of the package are run in that test."""
PLACES = pytest.mark.parametrize(
    "tests", [pytest.param(IN_A_BLOCKING_CALL, id="in wait()"), pytest.param(IN_ITS_OWN_CODE, id="in the test")]
)


@pytest.mark.sandbox
def test_after_a_sigkill_of_pytest_in_the_middle_of_a_test(tmp_path: Path, stack: ExitStack) -> None:
    """Wherever it is in its test: no code of it runs any more."""
    run = stack.enter_context(Pytest(tmp_path, IN_A_BLOCKING_CALL))
    run.wait_until_said()
    run.require_something_there()
    run.process.kill()
    assert run.end() == -signal.SIGKILL
    run.require_nothing_left()


@pytest.mark.parametrize("at", [LINES * number // KILLS + 40 for number in range(KILLS)])
def test_after_a_sigkill_of_pytest_at_a_line_of_ours(at: int, tmp_path: Path, stack: ExitStack) -> None:
    """Wherever it is in a start, a stop or a wait; where the test has fewer lines, it ends by itself."""
    run = stack.enter_context(Pytest(tmp_path, AT_A_LINE.replace("{at}", str(at))))
    assert run.end() in (-signal.SIGKILL, pytest.ExitCode.OK), run.output
    run.require_nothing_left()


@PLACES
@pytest.mark.sandbox
def test_after_ctrl_c(tests: str, tmp_path: Path, stack: ExitStack) -> None:
    run = stack.enter_context(Pytest(tmp_path, tests))
    run.wait_until_said()
    run.require_something_there()
    os.killpg(run.process.pid, signal.SIGINT)  # what a terminal does: the whole foreground group gets it
    assert run.end() == pytest.ExitCode.INTERRUPTED
    run.require_nothing_left()
    assert "KeyboardInterrupt" in run.output
    assert "INTERNALERROR" not in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("method", "tests"),
    [
        pytest.param("signal", IN_A_BLOCKING_CALL, id="signal, in wait()"),
        pytest.param("signal", IN_ITS_OWN_CODE, id="signal, in the test"),
        pytest.param("thread", IN_A_BLOCKING_CALL, id="thread"),  # which ends the process, wherever the test is
    ],
)
def test_after_pytest_timeout(method: str, tests: str, tmp_path: Path, stack: ExitStack) -> None:
    mark = f"@pytest.mark.timeout(0.2, method={method!r}, func_only=True)"  # what it needs is there: it has `busy`
    limited = tests.replace("def test_it", f"{mark}\n    def test_it")
    run = stack.enter_context(Pytest(tmp_path, limited))
    assert run.end() == pytest.ExitCode.TESTS_FAILED
    run.require_nothing_left()
    assert "Timeout" in run.output
    assert "INTERNALERROR" not in run.output


def test_after_a_fixture_that_fails(tmp_path: Path, stack: ExitStack) -> None:
    tests = """
        seen = []

        @pytest.fixture
        def broken(busy):
            seen.extend([busy.instance.pid, *procfs.descendants_of(busy.instance.pid)])
            raise RuntimeError("this fixture is broken")

        @pytest.mark.scf_function("handlers/stay.py:main_handler")
        def test_it(broken): pass

        def test_nothing_is_left_of_the_one_before():
            assert len(seen) == 4
            assert [pid for pid in seen if name_of(pid)] == []
    """
    run = stack.enter_context(Pytest(tmp_path, tests))
    assert run.end() == pytest.ExitCode.TESTS_FAILED
    run.require_nothing_left()
    assert "1 passed, 1 error in" in run.output
    assert "RuntimeError: this fixture is broken" in run.output


@PLACES
@pytest.mark.sandbox
def test_after_a_sigkill_of_the_zygote(tests: str, tmp_path: Path, stack: ExitStack) -> None:
    killed = tests.replace("threading.Event().wait()", "").replace(
        'say("here")',
        """
        seen.extend([busy.instance.pid, *procfs.descendants_of(busy.instance.pid)])
        os.kill(parent_of(busy.instance.pid), signal.SIGKILL)
    """,
    )
    after = """
    seen = []

    def test_nothing_is_left_of_the_one_before():
        assert len(seen) == 4
        assert [pid for pid in seen if name_of(pid)] == []

    @pytest.mark.scf_function("handlers/stay.py:main_handler")
    def test_a_new_zygote_serves_the_next_test(busy): pass
    """
    run = stack.enter_context(Pytest(tmp_path, killed + after))
    code = run.end()
    run.require_nothing_left()
    if tests is IN_A_BLOCKING_CALL:
        assert code == pytest.ExitCode.TESTS_FAILED
        assert "1 failed, 2 passed in" in run.output
        assert "HarnessError: the zygote, which instances are forked from, is gone" in run.output
    else:
        assert code == pytest.ExitCode.OK, run.output


@pytest.mark.sandbox
def test_after_a_sigkill_of_the_reaper(tmp_path: Path, stack: ExitStack) -> None:
    tests = """
        @pytest.mark.scf_function("handlers/stay.py:in_other_sessions")
        def test_it(async_event):
            zygote = parent_of(started(async_event, sleeps=2).instance.pid)
            os.kill(parent_of(zygote), signal.SIGKILL)

        @pytest.mark.scf_function("handlers/stay.py:main_handler")
        def test_a_new_zygote_serves_the_next_test(busy): pass
    """
    run = stack.enter_context(Pytest(tmp_path, tests))
    assert run.end() == pytest.ExitCode.OK, run.output
    run.require_nothing_left()


IGNORED = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
BLOCKED = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])"


@pytest.mark.parametrize("how", [pytest.param(IGNORED, id="ignored"), pytest.param(BLOCKED, id="blocked")])
@pytest.mark.sandbox
def test_sigterm_is_itself_whatever_started_pytest(how: str, tmp_path: Path, stack: ExitStack) -> None:
    tests = """
        from pytest_scf_async import assert_signal_handled, assert_user_exit

        @pytest.mark.scf_function("handlers/signals.py:not_listening")
        def test_not_listening(async_event):
            async_event.terminate(grace_shutdown=True)
            assert_user_exit(async_event)

        @pytest.mark.scf_function("handlers/signals.py:listens")
        def test_listens(async_event):
            async_event.terminate(grace_shutdown=True)
            assert_signal_handled(async_event.wait())

        @pytest.mark.scf_function("handlers/stay.py:main_handler")
        def test_children_are_killed(busy): pass

        def test_it_is_as_the_starter_left_it():
            state = procfs.signal_state(os.getpid(), signal.SIGTERM)
            assert state.ignored or state.blocked
    """
    launch = f"import os, signal, sys; {how}; os.execv(sys.argv[1], sys.argv[1:])"
    launcher = (sys.executable, "-c", launch)
    run = stack.enter_context(Pytest(tmp_path, tests, launcher=launcher))
    assert run.end() == pytest.ExitCode.OK, run.output
    run.require_nothing_left()


def wait_for_fifo(run: Pytest, path: Path) -> None:
    """Wait for a line that a process which has no descriptor of ours writes to the named pipe *path*."""
    fifo = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ready, _, _ = select.select([fifo], [], [], DEADLINE)
        assert ready, f"nobody wrote to {path.name}:\n{run.output}"
    finally:
        os.close(fifo)


def end_by(how: signal.Signals, run: Pytest) -> None:
    """End pytest as *how* does: a terminal sends SIGINT to the whole foreground group."""
    if how is signal.SIGINT:
        os.killpg(run.process.pid, how)
        assert run.end() == pytest.ExitCode.INTERRUPTED
    else:
        run.process.kill()
        assert run.end() == -how


HOW = pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)


@pytest.mark.once
@HOW
def test_in_the_middle_of_a_go_build(
    how: signal.Signals, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    tools = tmp_path / "tools"
    tools.mkdir()
    go = tools / "go"
    go.write_text(  # as the real one: it starts compilers, and writes into GOTMPDIR
        '#!/bin/sh\nmkdir "$GOTMPDIR/go-build1"\nsetsid sleep "$SLEEP" &\nsleep "$SLEEP" &\necho x >"$FIFO"\n'
        'exec sleep "$SLEEP"\n'
    )
    go.chmod(0o755)
    package = tmp_path / "function"
    package.mkdir()
    package.joinpath("main.go").write_text("package main\nfunc main() {}\n")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FIFO", str(fifo))
    monkeypatch.setenv("SLEEP", sleep := f"2000.{next(NUMBERS)}{os.getpid()}")
    run = stack.enter_context(
        Pytest(
            tmp_path,
            f"""
            def test_it(scf_runtime):
                scf_runtime.deploy({str(package)!r}, runtime="Go1")
            """,
        )
    )
    run.sleep = sleep
    wait_for_fifo(run, fifo)
    assert len([name for name in os.listdir(run.temporary) if name.startswith("pytest-scf-async-go-")]) == 1
    end_by(how, run)
    run.require_nothing_left()


@pytest.mark.once
@HOW
def test_in_the_middle_of_a_preload_that_never_ends(
    how: signal.Signals, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    modules = tmp_path / "modules"
    modules.mkdir()
    modules.joinpath("endless.py").write_text(f"open({str(fifo)!r}, 'w').write('x')\nwhile True:\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(modules))
    tests = """
        @pytest.mark.scf_function("handlers/stay.py:main_handler")
        def test_it(async_event):
            async_event.settle()
    """
    run = stack.enter_context(Pytest(tmp_path, tests, "-o", "scf_async_preload=endless"))
    wait_for_fifo(run, fifo)
    assert len(run.ours()) == 2  # the zygote and its reaper
    end_by(how, run)
    run.require_nothing_left()


@pytest.mark.once
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sigkill_while_the_zygote_is_started(when: str, tmp_path: Path, stack: ExitStack) -> None:
    tests = f"""
        import subprocess

        class Popen(subprocess.Popen):
            def __init__(self, *arguments, **keywords):
                if {when == "after"}:
                    super().__init__(*arguments, **keywords)
                os.kill(os.getpid(), signal.SIGKILL)

        subprocess.Popen = Popen  # the zygote may be started once the tests are collected

        @pytest.mark.scf_function("handlers/stay.py:main_handler")
        def test_it(async_event):
            async_event.settle()
    """
    run = stack.enter_context(Pytest(tmp_path, tests))
    assert run.end() == -signal.SIGKILL
    run.require_nothing_left()
