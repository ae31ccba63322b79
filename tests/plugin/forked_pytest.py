"""A pytest in a process of its own that does not begin anew: a fork of this one, which has imported all that it needs.

It costs a fifth of the processor time of ``runpytest_subprocess``, and what it does to its process (filters of system
calls, a zygote of its own) ends with it, too. What reads which modules are loaded needs a fresh interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
import time
import traceback
import warnings
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


def run_forked(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run pytest on *project* with those *options* in a fork; the result is that of ``runpytest_subprocess``."""
    arguments = [f"--basetemp={project.path / 'base'}", *(("-p", name) for name in project.plugins), *options]
    output, errors = project.path / "stdout", project.path / "stderr"
    started = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become_pytest(project.path, [str(argument) for argument in arguments], output, errors)
    try:
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (output, errors)]
    print(*lines[0], *lines[1], sep="\n")
    code: int | pytest.ExitCode = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(ValueError):
        code = pytest.ExitCode(code)
    return pytest.RunResult(code, *lines, time.monotonic() - started)


def _become_pytest(directory: Path, arguments: list[str], output: Path, errors: Path) -> NoReturn:
    code = 1
    try:
        atexit._clear()  # what this process would do at its end is the other one's to do
        for path, number in ((Path(os.devnull), 0), (output, 1), (errors, 2)):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(fd, number)
            os.close(fd)
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        warnings.resetwarnings()
        for action, category, module in reversed(DEFAULT_FILTERS):
            warnings.filterwarnings(action, category=category, module=module)
        os.chdir(directory)
        sys.path.insert(0, str(directory))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
        importlib.invalidate_caches()
        close_shared_zygote()  # nobody has asked the kernel yet
        code = int(pytest.main(arguments))
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
