"""Processes that are in the middle of a write to an instance's output, which must not be stopped there.

A write to a pipe that is full blocks with a part of it written. The kernel ends it with that part when its process is
stopped: code that does not look at how much was written loses the rest. On the platform nothing stops it. But who waits
for room in a pipe that nobody reads does not go on either: no signal is needed to stop it. Of a write that begins when
the pipe is full nothing is written, and the kernel begins it anew once the process goes on.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence

from ..linux import procfs
from ..protocol.real_time import REAL
from .output import Output

LONGEST = 10.0
"""Real seconds in which a thread that could run can be expected to have run, on a machine that is very busy."""
LOOK_EVERY = 0.0001
"""Real seconds between two looks."""
CHANGES = 2
"""Changes of a thread's processor time after which it has certainly run since the first look."""
AWAKE = (b"R", b"S")
"""States of threads that have not stopped. Who waits for a child of ``vfork`` (D) does not before that goes on."""
_WRITES = {"x86_64": (b"1", b"20"), "aarch64": (b"64", b"66")}.get(platform.machine(), ())
"""The numbers of the system calls ``write`` and ``writev``."""


def writers_that_wait(output: Output, pids: Sequence[int]) -> frozenset[int]:
    """Fill the pipe of *output*, and find those of *pids* that wait for room in it: they stand still while it is full.

    No other of them is in the middle of a write then, and none begins one.
    """
    output.fill()
    look = _Look(output, pids)
    since = REAL.monotonic()
    while look.is_unsure() and REAL.monotonic() - since < LONGEST:
        REAL.sleep(LOOK_EVERY)
    return look.waiting


def wait_until_stopped(pids: Iterable[int]) -> None:
    """Wait until no thread of *pids*, to which a SIGSTOP was sent, has still to notice it.

    A SIGCONT before that takes the SIGSTOP back, but the kernel ends a write as if it were there.
    """
    since = REAL.monotonic()
    for pid in pids:
        while any(procfs.state_of(pid, task) in AWAKE for task in procfs.tasks_of(pid)):
            if REAL.monotonic() - since > LONGEST:
                return
            REAL.sleep(LOOK_EVERY)


class _Look:
    """What is known of threads that may be in a write to a pipe that is full, from looks at them."""

    def __init__(self, output: Output, pids: Sequence[int]) -> None:
        self._inode = os.fstat(output.fd).st_ino
        self._pids = pids
        self.waiting: frozenset[int] = frozenset()
        """The processes of which a thread waited in a write at the last look."""
        self._running: dict[str, tuple[int, int]] = {}
        """Of each thread that could run: its processor time (ns) at the last look, and how often that has changed. The
        kernel counts it at each tick, so that what has changed once may have been spent before."""

    def is_unsure(self) -> bool:
        """Look, and say whether the next look can be expected to show more."""
        waiting = set()
        unsure = False
        known, self._running = self._running, {}
        for pid in self._pids:
            for task in procfs.tasks_of(pid):
                call = procfs.system_call_of(pid, task)
                if call[:1] == [b"running"]:  # in the middle of a write it would find the pipe full, and wait
                    used = procfs.processor_ns_of(pid, task)
                    before, changes = known.get(task, (used, 0))
                    self._running[task] = used, changes + (used != before)
                    unsure |= self._running[task][1] < CHANGES
                elif len(call) > 1 and call[0] in _WRITES and self._is_on_pipe(pid, int(call[1], 16)):
                    state = procfs.state_of(pid, task)
                    unsure |= state in b"RD"  # it is about to go on; or what it writes comes from a disk
                    if state == b"S":
                        waiting.add(pid)
        self.waiting = frozenset(waiting)
        return unsure

    def _is_on_pipe(self, pid: int, fd: int) -> bool:
        return procfs.inode_of(pid, fd & 0xFFFFFFFF) == self._inode
