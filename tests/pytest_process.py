"""A pytest in a process of its own, whose end the tests check: what it started, and what is left of it."""

from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from forked_pytest import ForkedPytest
from internals import OWNER_MARK
from plugin_support import PLAIN_OPTIONS

WITHIN = 1.0
"""Seconds after which nothing may be left."""
LOOK, LONGEST_LOOK = 0.005, 0.01
"""Real seconds between two checks, and how much of that time counts at most: in longer times no process ran."""
DEADLINE = 60.0
"""Real seconds for a pytest to come to the point, or to its end; on a busy machine too."""

NUMBERS = itertools.count(100)

STAY = """
    import subprocess

    def main_handler(event, context):
        # A child that shares nothing with the instance: neither session, nor environment, nor a descriptor.
        nothing = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
        subprocess.Popen(["sleep", "{SLEEP}"], env={}, start_new_session=True, **nothing)
        in_other_sessions(event, context)

    def in_other_sessions(event, context):
        # A child in a session of its own, whose own child is an orphan in yet another one.
        subprocess.Popen(["sh", "-c", "setsid sleep {SLEEP} & exec sleep {SLEEP}"], start_new_session=True).wait()
"""

SIGNALS = """
    import signal, time

    def not_listening(event, context):
        time.sleep(60)

    def listens(event, context):
        signal.signal(signal.SIGTERM, lambda signum, frame: print("handled it"))
        time.sleep(60)
"""

PROJECT = """
    import os
    import signal
    import threading

    import pytest

    from pytest_scf_async.linux import procfs

    @pytest.fixture
    def busy(async_event):
        return started(async_event, sleeps=3)

    def started(event, sleeps):
        # The event, once its instance has started all that it will.
        event.settle()
        pid = event.instance.pid
        while len([p for p in procfs.descendants_of(pid) if name_of(p) == "sleep"]) < sleeps:
            event.settle()
        assert event.status == "RUNNING"  # read last, so that a test which leaves it there is not warned of it
        return event

    def name_of(pid):
        # The name of a process that lives; nothing for one that has ended.
        try:
            with open(f"/proc/{pid}/stat") as file:
                before, _, after = file.read().rpartition(")")
        except OSError:
            return ""
        return "" if after.split()[0] in "ZX" else before.partition("(")[2]

    def parent_of(pid):
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])

    def say(text):
        os.write(int(os.environ["SAY"]), f"{text}\\n".encode())
"""


class Pytest:
    """A pytest in a process and a session of its own, as a terminal starts one."""

    def __init__(self, project: Path, tests: str, *arguments: str, launcher: tuple[str, ...] = ()) -> None:
        project.joinpath("handlers").mkdir()
        self.sleep = f"1000.{next(NUMBERS)}{os.getpid()}"
        """The argument of its `sleep` processes, which no other process on this machine has."""
        stay = textwrap.dedent(STAY).replace("{SLEEP}", self.sleep)
        project.joinpath("handlers", "stay.py").write_text(stay, encoding="utf-8")
        project.joinpath("handlers", "signals.py").write_text(textwrap.dedent(SIGNALS), encoding="utf-8")
        source = textwrap.dedent(PROJECT) + textwrap.dedent(tests)
        project.joinpath("test_it.py").write_text(source, encoding="utf-8")
        ini = f"[pytest]\nfilterwarnings = error\naddopts = {PLAIN_OPTIONS}\n"
        project.joinpath("pytest.ini").write_text(ini, encoding="utf-8")
        self.temporary = project / "temporary"
        self.temporary.mkdir()
        self.output_file = project / "output.txt"
        self.said, say = os.pipe()
        environment = {"TMPDIR": str(self.temporary), "SAY": str(say), "SLEEP_SECONDS": self.sleep}
        given = ["-p", "no:cacheprovider", f"--basetemp={project / 'base'}"]
        given += ["--scf-async-real-timeout=600", "-oscf_async_real_limit=600", *arguments]
        self.process: ForkedPytest | subprocess.Popen[bytes]
        if launcher:
            self.process = _launched([*launcher, sys.executable, "-m", "pytest", *given], environment, say, self)
        else:
            self.process = ForkedPytest(
                given, project, self.output_file, self.output_file, environment=environment, new_session=True
            )
        os.close(say)

    def __enter__(self) -> Pytest:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.ours():
            os.kill(pid, signal.SIGKILL)
        os.close(self.said)

    @property
    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def wait_until_said(self) -> None:
        """Wait for a line of the test itself."""
        ready, _, _ = select.select([self.said], [], [], DEADLINE)
        assert ready, f"the test said nothing:\n{self.output}"
        assert os.read(self.said, 1), f"pytest ended before its test came to the point:\n{self.output}"

    def end(self) -> int:
        """Its exit code."""
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"pytest does not end:\n{self.output}")

    def ours(self) -> list[int]:
        """The processes that it started by way of the plugin, zombies aside: by our mark, or by `self.sleep`."""
        start = f"{OWNER_MARK}={self.process.pid}-".encode()
        reported = self.sleep.encode()
        found = []
        for entry in filter(str.isdecimal, os.listdir("/proc")):
            try:
                environment = Path("/proc", entry, "environ").read_bytes().split(b"\0")
                command = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if reported in command or any(variable.startswith(start) for variable in environment):
                found.append(int(entry))
        return found

    def directories(self) -> list[str]:
        return [name for name in os.listdir(self.temporary) if name.startswith("pytest-scf-async-")]

    def require_something_there(self) -> None:
        """Require what the tests below are about: reaper, zygote, instance, three sleeps, and a directory.

        The process that was forked ahead for the next instance may be there, too.
        """
        names = sorted(_name_of(pid) for pid in self.ours())
        assert names.count("sleep") == 3, names
        assert len(names) in (6, 7), names
        assert len(self.directories()) == 1

    def require_nothing_left(self) -> None:
        passed, before = 0.0, time.monotonic()
        while (left := self.ours()) or self.directories():
            shown = [(pid, _name_of(pid)) for pid in left] or self.directories()
            assert passed < WITHIN, f"left: {shown}\n{self.output}"
            if left:
                _wait_for_end_of(left[0], LOOK)
            else:
                os.sched_yield()
            now = time.monotonic()
            passed += min(now - before, LONGEST_LOOK)
            before = now


def _launched(command: list[str], environment: dict[str, str], say: int, run: Pytest) -> subprocess.Popen[bytes]:
    with run.output_file.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=run.output_file.parent,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(say,),
            start_new_session=True,
        )


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _wait_for_end_of(pid: int, seconds: float) -> None:
    with ExitStack() as stack:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        stack.callback(os.close, pidfd)
        select.select([pidfd], [], [], seconds)
