"""Waits for the end of a process that this one has started, whatever clock the test is on."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether *process* ends within real *seconds*; the clock of ``subprocess`` may be one that a test froze."""
    if process.poll() is None:
        with pidfd_of(process.pid) as pidfd:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.poll(seconds * 1000)
    return process.poll() is not None


@contextmanager
def pidfd_of(pid: int) -> Iterator[int]:
    """A descriptor of the process that has the number *pid* now; raises ``ProcessLookupError`` if none has."""
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)
