"""A pytest in a process of its own that does not begin anew: a fork of this one, which has imported all that it needs.

It costs half the processor time of an interpreter that begins anew, or less, and what it does to its process (filters
of system calls, a zygote of its own) ends with it, too. What reads which modules are loaded needs a fresh interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from internals import close_shared_zygote

DEFAULT_FILTERS = (
    ("default", DeprecationWarning, "__main__"),
    ("ignore", DeprecationWarning, ""),
    ("ignore", PendingDeprecationWarning, ""),
    ("ignore", ImportWarning, ""),
    ("ignore", ResourceWarning, ""),
)
"""What an interpreter begins with."""


class ForkedPytest:
    """Runs ``pytest.main`` in *directory*; it has of ``subprocess.Popen`` what the tests use."""

    def __init__(
        self,
        arguments: list[str],
        directory: Path,
        output: Path,
        errors: Path,
        *,
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
    ) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            if new_session:
                os.setsid()
            os.environ.update(environment or {})
            _become_pytest(arguments, directory, output, errors)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            pidfd = os.pidfd_open(self.pid)
            try:
                select.select([pidfd], [], [], timeout)
            finally:
                os.close(pidfd)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("pytest", timeout or 0)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def run_forked(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run pytest on *project* with those *options* in a fork; the result is that of ``runpytest_subprocess``."""
    plugins = [option for plugin in project.plugins for option in ("-p", str(plugin))]
    output, errors = project.path / "stdout", project.path / "stderr"
    started = time.monotonic()
    process = ForkedPytest([f"--basetemp={project.path / 'base'}", *plugins, *options], project.path, output, errors)
    try:
        code: int | pytest.ExitCode = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (output, errors)]
    print(*lines[0], *lines[1], sep="\n")
    with contextlib.suppress(ValueError):
        code = pytest.ExitCode(code)
    return pytest.RunResult(code, *lines, time.monotonic() - started)


def _become_pytest(arguments: list[str], directory: Path, output: Path, errors: Path) -> NoReturn:
    code = 1
    try:
        gc.freeze()  # pytest collects garbage at its end, and nothing of the other process is garbage
        atexit._clear()  # the exit handlers of the other process are not for this one
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for path, number in ((Path(os.devnull), 0), (output, 1), (errors, 2)):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
            os.dup2(fd, number)
            os.close(fd)
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        warnings.resetwarnings()
        for action, category, module in reversed(DEFAULT_FILTERS):
            warnings.filterwarnings(action, category=category, module=module)
        os.chdir(directory)
        tempfile.tempdir = None  # TMPDIR may be another
        sys.path.insert(0, str(directory))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
        importlib.invalidate_caches()
        close_shared_zygote()  # the next zygote asks the kernel anew
        code = int(pytest.main(arguments))
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
