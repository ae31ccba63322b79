"""What the tests of the tracer share: run a program on a simulated clock, and what such a program begins with."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import program_internals
import pytest
from process_support import LONG
from program_internals import MACHINE

import pytest_scf_async

S = 1_000_000_000
"""A second, in ns."""
MANY_READS = 1_000_000
"""Reads of the clock in a row that no program makes which does not poll it."""

_OTHERS = {
    "getitimer": (36, 102), "timerfd_create": (283, 85), "epoll_create1": (291, 20), "semget": (64, 190),
    "semctl": (66, 191), "semop": (65, 193), "mq_open": (240, 180), "mq_unlink": (241, 181), "io_setup": (206, 0),
    "sched_yield": (24, 124), "restart_syscall": (219, 128), "clock_getres": (229, 114),
    "exit": (60, 93),
}  # fmt: skip
_ONLY_X86_64 = {"arch_prctl": 158} if MACHINE == "x86_64" else {}
NUMBERS = {
    **_ONLY_X86_64,
    **{name: numbers[MACHINE != "x86_64"] for name, numbers in _OTHERS.items()},
    **program_internals.NUMBERS,
}
"""Of system calls, on this processor."""

PRELUDE = (
    f"NUMBERS = {NUMBERS!r}\n"
    """
import _thread, ctypes, errno, os, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
REALTIME, MONOTONIC, BOOTTIME, TAI, ABSOLUTE = 0, 1, 7, 11, 1
S = 1_000_000_000


def call(name, *arguments):
    '''Make a system call; what it returns, or -errno.'''
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    given += [ctypes.c_long(0)] * (6 - len(given))
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *given)
    return -ctypes.get_errno() if result == -1 else result


def timespec(ns, rest=None):
    return (ctypes.c_int64 * 2)(*(divmod(ns, S) if rest is None else (ns, rest)))


def timeval(ns):
    return (ctypes.c_int64 * 2)(ns // S, ns % S // 1000)


def after(ns, clock=MONOTONIC):
    '''The time of a clock so long after now.'''
    return timespec(time.clock_gettime_ns(clock) + ns)


def ns_of(spec, unit=1):
    return spec[0] * S + spec[1] * unit


def say(*values):
    os.write(1, f'{values[0] if len(values) == 1 else list(values)!r}\\n'.encode())


began = time.monotonic_ns()


def now():
    '''The nanoseconds since the program began.'''
    return time.monotonic_ns() - began


def timed(what, *arguments):
    '''Make a system call, or call a function; say what it returns, and how many ns it took.'''
    before = time.monotonic_ns()
    result = what(*arguments) if callable(what) else call(what, *arguments)
    say(result, time.monotonic_ns() - before)


def sleep(ns):
    return call('clock_nanosleep', MONOTONIC, 0, timespec(ns), 0)


def start(function, *arguments):
    return _thread.start_new_thread(function, arguments)


def pipe_written_after(ns):
    '''The end of a pipe for reading, to which a thread writes so many ns from now.'''
    read, write = os.pipe()
    start(lambda: (sleep(ns), os.write(write, b'x')))
    return read

"""
)

_MODULES = ("select", "signal", "socket", "subprocess", "threading")
"""What a program imports only if it uses it: each costs some ms."""


@dataclass
class Traced:
    """What came of a run."""

    end: str
    """How it ended: ``ended``, ``waits`` (all of it waits, and nothing is due), or ``hangs: ...``."""
    ns: int = -1
    """The simulated nanoseconds that passed."""
    status: int | None = None
    out: str = ""
    err: str = ""
    stops: int = 0
    again: int = 0
    """How many waits were over at once like the one before, without the requests of that one."""
    ended: list[tuple[int, str]] = field(default_factory=list)
    """Of each wait that ended at its time: when, and what it was."""

    @property
    def said(self) -> list[Any]:
        """What the program has printed."""
        return _values(self.out)


def _values(out: str) -> list[Any]:
    return [ast.literal_eval(line) for line in out.splitlines()]


@cache
def _runner() -> subprocess.Popen[str]:
    root = Path(pytest_scf_async.__file__).parent.parent
    command = [sys.executable, "-I", "-S", str(Path(__file__).parent / "traced_runs.py"), str(root)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end_runs() -> None:
    """End the process that makes the runs, if there is one."""
    if _runner.cache_info().currsize:
        _runner().communicate()
        _runner.cache_clear()


LEASES = os.environ.get("TRACED_LEASES") == "1"
"""All of these tests have to hold with leases as well as without."""


def trace(
    *argv: str,
    events: list[tuple[int, str, Any]] | None = None,
    limit_ns: int = 1 << 62,
    reads_before_wait: int = MANY_READS,
    as_cpython: bool = False,
    vdso: bool = True,
    one_cpu: bool = True,
    leases: bool | str = LEASES,
    descriptors: int = 0,
    real_time: bool = True,
    input_in_loop: int = 0,
    real_limit: float = LONG,
) -> Traced:
    """Run a command on a simulated clock.

    *events* are what comes from outside, each at a number of ns: ``(5 * S, "signal", 15)``, ``(S, "input", "a")``,
    and ``(S, "hold", None)``, which stops all threads as a gate does and lets them go on. Nothing is done that is due
    after *limit_ns*. A wait of Python ends 1 µs after its timeout: only *as_cpython* has that, so that all other tests
    see the nanosecond. Without *vdso* each read of the clock is a system call. With *leases* the time of a wait may
    come before it has begun; where they are ``"withdrawn"`` that seems to be so until it is requested.
    With *descriptors* neither the tracer nor the program may have more. Without *real_time* none passes for the tracer,
    so that it never has to check again the threads that wait. *input_in_loop* is after how many waits that were over at
    once, as the one before, its stdin is written to, without a report.
    """
    request = {
        "argv": argv, "events": events or [], "limit_ns": limit_ns, "reads_before_wait": reads_before_wait,
        "as_cpython": as_cpython, "vdso": vdso, "one_cpu": one_cpu, "leases": leases, "real_limit": real_limit,
        "descriptors": descriptors, "real_time": real_time, "input_in_loop": input_in_loop,
    }  # fmt: skip
    runner = _runner()
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(json.dumps(request) + "\n")
    runner.stdin.flush()
    result = json.loads(runner.stdout.readline())
    result["ended"] = [tuple(each) for each in result.get("ended", ())]
    return Traced(**result)


def python(source: str) -> list[str]:
    """The command that runs *source* after the prelude."""
    modules = [name for name in _MODULES if f"{name}." in source]
    imports = f"import {', '.join(modules)}\n" if modules else ""
    return [sys.executable, "-I", "-S", "-W", "ignore", "-c", PRELUDE + imports + source]


def run(source: str, **options: Any) -> Traced:
    """Trace a Python program to its good end."""
    traced = trace(*python(source), **options)
    assert (traced.end, traced.status, traced.err) == ("ended", 0, ""), traced
    return traced


def said(source: str, **options: Any) -> list[Any]:
    """What a Python program prints, traced to its good end."""
    return run(source, **options).said


def said_untraced(source: str) -> list[Any]:
    """What it prints without the tracer, on the machine's clock."""
    done = subprocess.run(python(source), capture_output=True, text=True, check=True, timeout=LONG)
    return _values(done.stdout)


def needs(*names: str) -> None:
    """Skip a test of system calls that this processor does not have."""
    missing = [name for name in names if name not in NUMBERS]
    if missing:
        pytest.skip(f"needs a processor with the system call {missing[0]}")
