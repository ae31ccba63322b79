"""The floors: the least that any such tool has to do, without anything of ours.

Both processes of a floor are pinned to cores. A round trip between two takes four times as long as one within a core,
and which of the two it is would otherwise be the kernel's choice, another one in each run.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from .measure import Sample

_FORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from time import perf_counter as clock
import gc, os, signal, socket
from pytest_scf_async.zygote import zygote
path = sys.argv[2]
code = compile(open(path).read(), path, "exec")
gc.disable()
gc.collect()
gc.freeze()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the process that is forked has the same
for line in sys.stdin:
    start = clock()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        names = {"__name__": "plain"}
        exec(code, names)
        theirs.sendall(str(names["main_handler"]({}, {})).encode())
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    assert ours.recv(100)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    ours.close()
    print(clock() - start, flush=True)
"""


@contextlib.contextmanager
def bare_fork(handler: Path) -> Iterator[Sample]:
    """Fork a process with all that the zygote has loaded, run the module's compiled code there and its handler, hear
    of it in one message, kill the process and reap it. The process that forks takes the time itself."""
    project = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", _FORKER, project, handler], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        commands, answers = process.stdin, process.stdout
        assert commands is not None
        assert answers is not None

        def sample() -> float:
            commands.write("again\n")
            commands.flush()
            return float(answers.readline())

        yield sample


def two_cores() -> tuple[int, int]:
    """Two cores that this process may use; the same one twice where it has no second."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


@contextlib.contextmanager
def bare_round_trip(cores: int = 2) -> Iterator[Sample]:
    """A hundred messages to another process and back over a socket pair; the seconds of one.

    The processes are on two *cores*, or both on one. This process is pinned only while it is measured.
    """
    here, there = two_cores()
    if cores == 1:
        there = here
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {there})
        ours.close()
        while data := theirs.recv(100):
            theirs.sendall(data)
        os._exit(0)
    theirs.close()

    def sample() -> float:
        free = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {here})
        try:
            start = perf_counter()
            for _ in range(100):
                ours.sendall(b"are you there?")
                ours.recv(100)
            return (perf_counter() - start) / 100
        finally:
            os.sched_setaffinity(0, free)

    try:
        yield sample
    finally:
        ours.close()
        os.waitpid(pid, 0)
