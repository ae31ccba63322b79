"""The end of processes that were forked for branches: their parents wait for them."""

from __future__ import annotations

import os
import select
import signal
from typing import NoReturn

from ...protocol import branches, procfs
from ...protocol.shortening import real_seconds
from ..originals import real_exit, real_kill, real_poll, real_waitpid
from .own_harness import OwnHarness


def await_end(harness: OwnHarness, pid: int, job: int) -> None:
    """Wait for the process *pid* of *job*, and report how it has ended. A scout may take its time."""
    pidfd = os.pidfd_open(pid)
    try:
        poller = real_poll()
        poller.register(pidfd, select.POLLIN)
        in_time = bool(poller.poll(None if job < 0 else harness.plan.real_timeout * 1000))
    finally:
        os.close(pidfd)
    if not in_time:
        real_kill(pid, signal.SIGKILL)
    _, status = real_waitpid(pid, 0)
    if not in_time:
        why = f"it has not ended within {real_seconds(harness.plan.real_timeout)}"
        branches.send(harness.connection, branches.Cannot(job, why))
        return
    branches.send(harness.connection, branches.Gone(job, harness.clock.now_us, status))


def end_what_is_left() -> None:
    """Kill and reap the children of this process: what a process that has ended has left, as this one adopts that."""
    while True:
        try:
            ended, _ = real_waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            for pid in procfs.children_of(os.getpid()):
                real_kill(pid, signal.SIGKILL)
            real_waitpid(-1, 0)


def leave() -> NoReturn:
    """End this process at once."""
    real_exit(0)
