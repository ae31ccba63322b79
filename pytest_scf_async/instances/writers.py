"""Processes that are in the middle of a write to an instance's output, which must not be stopped there.

A write to a pipe that is full blocks with a part of it written. The kernel ends it with that part when its process is
stopped: code that does not look at how much was written loses the rest. On the platform nothing stops it. But who waits
for room in a pipe that nobody reads does not go on either: no signal is needed to stop it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from ..protocol import procfs
from ..protocol.real_time import REAL
from .output import PIPE_BYTES, Output

LONGEST = 10.0
"""Real seconds in which a thread that could run can be expected to have run, on a machine that is very busy."""
LOOK_EVERY = 0.0001
"""Real seconds between two looks."""
FILLS_WITHIN_NS = 10_000_000
"""Processor time in which a thread that is in a long write has filled the pipe, and waits."""
AT_ONCE = 0.00005
"""Real seconds in which nobody fills a pipe of 1 MB that was empty just before."""
ATTEMPTS = 20
_WRITES = {"x86_64": (b"1", b"20"), "aarch64": (b"64", b"66")}.get(platform.machine(), ())
"""The numbers of the system calls ``write`` and ``writev``."""


def writers_that_wait(output: Output, pids: Sequence[int]) -> frozenset[int]:
    """Those of *pids* that wait for room in the pipe of *output*: they stand still until it is read, and not before.

    Where there are none the pipe is left with room for what any of *pids* may just begin to write: while there is room
    a write goes on to its end, whatever signal has come.
    """
    look = _Look(output, pids)
    since = REAL.monotonic()
    while look.is_unsure() and REAL.monotonic() - since < LONGEST:
        REAL.sleep(LOOK_EVERY)
    if not look.waiting:
        output.make_room(PIPE_BYTES)
        for _ in range(ATTEMPTS):
            output.read()
            before = REAL.monotonic()
            if output.unread() <= PIPE_BYTES // 8 and REAL.monotonic() - before < AT_ONCE:
                break  # else we had no core meanwhile
    return frozenset(look.waiting.values())


class _Look:
    """What is known of threads that may be in a write to a pipe, from looks at them between which nobody reads it."""

    def __init__(self, output: Output, pids: Sequence[int]) -> None:
        self._output = output
        self._inode = os.fstat(output.fd).st_ino
        self._pids = pids
        self._unread = -1
        self.waiting: dict[str, int] = {}
        """The threads that waited in a write at the last look, each with its process."""
        self._running: dict[str, list[int]] = {}
        """Of each thread that could run: its processor time (ns) at the last look, what it was when it had changed for
        the first time, and how often it has since anything was written. The kernel counts it at each tick, so that what
        has changed once may have been spent before."""

    def is_unsure(self) -> bool:
        """Look, and say whether the next look can be expected to tell more."""
        unread = self._output.unread()
        grown, self._unread = unread != self._unread, unread
        before, self.waiting = self.waiting, {}
        unsure = False
        known, self._running = self._running, {}
        for pid in self._pids:
            for task in procfs.tasks_of(pid):
                call = procfs.system_call_of(pid, task)
                if call[:1] == [b"running"]:
                    used = procfs.processor_ns_of(pid, task)
                    ran = self._running[task] = known.get(task, [used, 0, 0])
                    if grown:
                        ran[2] = 0
                    if used != ran[0]:
                        ran[0], ran[1], ran[2] = used, ran[1] or used, ran[2] + (not grown)
                    unsure |= ran[2] < 2 and (not ran[1] or used < ran[1] + FILLS_WITHIN_NS)
                elif len(call) > 1 and call[0] in _WRITES and self._is_on_pipe(pid, int(call[1], 16)):
                    state = procfs.state_of(pid, task)
                    unsure |= state == b"D"  # what it writes comes from a disk
                    if state == b"S":
                        self.waiting[task] = pid
        return unsure or (bool(self.waiting) and (grown or self.waiting != before))

    def _is_on_pipe(self, pid: int, fd: int) -> bool:
        return procfs.inode_of(pid, fd & 0xFFFFFFFF) == self._inode
