"""What files of the plugin tests share: options, and a time limit that begins when something is there."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from forked_pytest import run_forked

WITHOUT_HTML: Final = "-p no:html -p no:metadata"
PLAIN_OPTIONS: Final = f"-p no:asyncio -p no:randomly -p no:anyio -p no:hypothesispytest {WITHOUT_HTML}"
"""What is there for tests of its own: one warns in each run that does not configure it, the other shuffles tests, and
the others take longer to import than most of these runs take."""

ALONE_AND_WITH_A_WORKER: Final = pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
"""One worker shows the same as many, where the process that started it prints what a worker reports."""


def run_with(project: pytest.Pytester, workers: tuple[str, ...], *options: str) -> pytest.RunResult:
    """Run the tests of *project*; in this process, which is cheaper, where there are no workers."""
    return run_forked(project, *options, *workers) if workers else project.runpytest_inprocess(*options)


WAITS: Final = """import fcntl

def main_handler(event, context):
    with open(__file__) as file:
        print("waits")
        fcntl.flock(file, fcntl.LOCK_EX)
"""
"""A handler that waits for a lock which `locked` has."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have a file of the project locked by this process."""
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


LIMIT_BEGINS: Final = """
    import pytest
    import pytest_timeout

    @pytest.fixture
    def limit_begins(request):
        # Begins pytest-timeout's time for this test anew, with little of it left, once what it is to find is there.
        def begin(seconds=0.3):
            hook, settings = request.node.ihook, pytest_timeout._get_item_settings(request.node)
            hook.pytest_timeout_cancel_timer(item=request.node)
            hook.pytest_timeout_set_timer(item=request.node, settings=settings._replace(timeout=seconds))
        return begin
"""
"""A conftest by which a test begins its short limit itself: from the start it would race with the preparations."""

REFUSE: Final = """
    import ctypes, errno, platform

    class Filter(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]

    NUMBER, ARGUMENT = {call!r}[platform.machine()], {argument!r}
    compare = [(0x20, 0, 0, 0), (0x15, 0, 1 if ARGUMENT is None else 3, NUMBER)]
    if ARGUMENT is not None:
        compare += [(0x20, 0, 0, 16), (0x15, 0, 1, ARGUMENT)]
    code = [*compare, (0x06, 0, 0, 0x00050000 | errno.{error}), (0x06, 0, 0, 0x7FFF0000)]
    filters = (Filter * len(code))(*code)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
    assert libc.prctl(22, 2, ctypes.byref(Program(len(code), filters)), 0, 0) == 0, ctypes.get_errno()
"""
"""A conftest with which the kernel refuses every process of the session one system call, or one operation of it."""
