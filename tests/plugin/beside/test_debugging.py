"""A debugger in a handler, and pytest's own in a test, at a terminal: a pseudo-terminal plays the user's."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import textwrap
import time

import pytest

HANDLER = """
    import time

    def main_handler(event, context):
        total = 1
        {stop}
        before = time.time()
        time.sleep(7200)
        total += 41
        return [total, time.time() - before]
"""
TEST = """
    import pytest

    @pytest.mark.timeout(60)
    def test_it(scf_runtime):
        function = scf_runtime.deploy("handlers/stops.py:main_handler")
        event = function.invoke_async().wait()
        print("status", event.status_code, event.duration.total_seconds(), event.log)
        assert event.result == [42, 7200]
"""
LATER = """
    import os
    from pytest_scf_async.protocol.real_time import REAL

    real = REAL.monotonic
    REAL.monotonic = lambda: real() + 1000 * os.path.exists("later")  # the harness's own real seconds
"""
LIMIT = 60.0


class Terminal:
    """pytest at a terminal of its own."""

    def __init__(self, directory: str, *options: str) -> None:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *options]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.environ["TERM"] = "dumb"
            os.execv(command[0], command)
        self.shown = ""
        self.read = 0

    def expect(self, text: str) -> str:
        """Wait until *text* is shown after what was expected before; what came up to it."""
        deadline = time.monotonic() + LIMIT
        while (at := self.shown.find(text, self.read)) < 0:
            assert time.monotonic() < deadline, self.shown
            assert self._receive(), self.shown
        found, self.read = self.shown[self.read : at], at + len(text)
        return found

    def _receive(self) -> bool:
        if not select.select([self.fd], [], [], 1)[0]:
            return True
        try:
            data = os.read(self.fd, 65_536)
        except OSError:  # the error of a terminal that no process has open any more
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)

    def type(self, line: str) -> None:
        os.write(self.fd, line.encode() + b"\n")

    def end(self) -> int:
        while self._receive():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def with_handler(project: pytest.Pytester, stop: str) -> None:
    source = textwrap.dedent(HANDLER).format(stop=stop)
    project.path.joinpath("handlers", "stops.py").write_text(source, encoding="utf-8")
    project.makepyfile(test_stops=TEST)


@pytest.mark.parametrize("stop", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_a_handler_has_a_prompt_while_nothing_else_goes_on(project: pytest.Pytester, stop: str) -> None:
    with_handler(project, stop)
    project.makeconftest(LATER)
    terminal = Terminal(str(project.path), "-s")
    terminal.expect("(Pdb) ")
    project.path.joinpath("later").touch()  # real_timeout and real_limit are over
    os.kill(terminal.pid, signal.SIGALRM)  # and so is pytest-timeout's limit
    terminal.type("p total, 'a' + 'b'")
    assert "(1, 'ab')" in terminal.expect("(Pdb) ")
    for _ in range(5):
        terminal.type("n")
        if "time.sleep(7200)" in terminal.expect("(Pdb) "):
            break
    terminal.type("n")
    assert "total += 41" in terminal.expect("(Pdb) ")
    terminal.type("p time.time() - before")
    assert "7200.0" in terminal.expect("(Pdb) ")
    terminal.type("c")
    terminal.expect("status 200 7200.0")
    terminal.expect("1 passed")
    assert terminal.end() == 0
    assert "Pdb" not in terminal.shown.partition("status 200")[2]  # nothing of it is in the function's log


@pytest.mark.interpreter
def test_leaving_the_debugger_ends_the_handler(project: pytest.Pytester) -> None:
    with_handler(project, "breakpoint()")
    terminal = Terminal(str(project.path), "-s")
    terminal.expect("(Pdb) ")
    terminal.type("q")
    if sys.version_info >= (3, 14):  # pdb asks, and ends the process
        terminal.expect("Quit anyway? [y/n] ")
        terminal.type("n")
        terminal.expect("(Pdb) ")
        terminal.type("q")
        terminal.expect("Quit anyway? [y/n] ")
        terminal.type("y")
        terminal.expect("status 439 0.0")
    else:
        terminal.expect("status 430 0.0")
        terminal.expect("bdb.BdbQuit")
    assert terminal.end() == 1
    assert "needs a terminal" not in terminal.shown


def test_a_question_of_a_command_of_the_debugger_is_asked_at_the_terminal(project: pytest.Pytester) -> None:
    with_handler(project, "breakpoint()")
    terminal = Terminal(str(project.path), "-s")
    terminal.expect("(Pdb) ")
    terminal.type("b 7")
    assert "Breakpoint 1 at" in terminal.expect("(Pdb) ")
    terminal.type("clear")
    terminal.expect("Clear all breaks? ")
    terminal.type("y")
    assert "Deleted breakpoint 1" in terminal.expect("(Pdb) ")
    terminal.type("c")
    terminal.expect("1 passed")
    assert terminal.end() == 0


@pytest.mark.once  # pytest's side: the same on all Pythons
@pytest.mark.parametrize("stop", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_where_pytest_captures_an_error_says_what_to_do(project: pytest.Pytester, stop: str) -> None:
    with_handler(project, stop)
    terminal = Terminal(str(project.path))
    terminal.expect("a debugger in a handler needs a terminal that pytest does not capture: run pytest with -s")
    assert terminal.end() == 1


@pytest.mark.once  # pytest's side
def test_pytests_own_debugger_finds_the_event(project: pytest.Pytester) -> None:
    with_handler(project, "raise ValueError('boom')")
    terminal = Terminal(str(project.path), "-s", "--pdb", "--scf-async-real-timeout=1")
    terminal.expect("(Pdb) ")
    terminal.type("u")
    terminal.expect("(Pdb) ")
    terminal.type("p event.status_code, scf_runtime.clock.now_us > 0")
    assert "(430, True)" in terminal.expect("(Pdb) ")
    terminal.type("q")
    assert terminal.end() == 2


def test_a_debugger_of_the_users_own_is_left_alone(project: pytest.Pytester) -> None:
    with_handler(project, "import sys; sys.breakpointhook = lambda: print('my own'); breakpoint()")
    project.runpytest("-s").assert_outcomes(passed=1)
