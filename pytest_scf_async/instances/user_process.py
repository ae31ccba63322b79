"""The process of an instance that runs user code: the instance's own; of a program see `runtimes/processes`.

Asks the kernel about user code: whether it runs, how much it has computed, what memory it has.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..linux import linux, procfs
from ..linux.linux import cpu_clock_of
from ..protocol.shared_page import ControlPage


class Companion(Protocol):
    """What runs the program of an instance for its process, outside the sandbox: the shim of a container."""

    descriptor: int
    """What the instance's process gets to speak to it, to be closed once it has it."""

    def signal(self, signum: int) -> bool: ...
    def kill(self, pidfd: int | None) -> None: ...
    def close(self) -> None: ...


class Process(Protocol):
    """The process of an instance."""

    pid: int
    peak: int
    control: ControlPage
    companion: Companion | None

    def signal(self, signum: int) -> bool: ...


class Memory(NamedTuple):
    """What the processes that run user code have in memory."""

    peak: int
    """Bytes that the main one has had at most."""
    others: list[int]
    """The other ones: each counts with what it has now."""


class UserProcess:
    """The process that runs user code, to which a SIGTERM goes: the instance's own."""

    def __init__(self, instance: Process) -> None:
        self._instance = instance
        self.runs = True
        """User code runs there: what the process does with signals is what that says."""

    @property
    def pid(self) -> int:
        """Its process id; 0 where there is none yet."""
        return self._instance.pid

    def signal_state(self, signum: int) -> procfs.SignalState | None:
        """What *signum* meets there; None: there is no process, or it is gone."""
        state = procfs.signal_state(self.pid, signum) if self.pid else None
        return state._replace(blocked=True) if state is not None and self._taker(signum) else state

    def _taker(self, signum: int) -> int:
        """The thread of its Python code that waits for SIGTERM, and is to get it; 0: the kernel finds who gets it."""
        waits = self._instance.control.awaits_sigterm if signum == signal.SIGTERM else 0
        return procfs.taker_of(self.pid, signum, waits) if waits else 0

    def signal(self, signum: int) -> bool:
        """Send it *signum*; False when it is gone."""
        taker = self._taker(signum)
        return (taker != 0 and linux.signal_thread(self.pid, taker, signum)) or self._instance.signal(signum)

    def begins(self) -> None:
        """User code begins to run there."""
        self.runs = True

    def started(self, pid: int) -> None:
        """The instance has started *pid*, which is to run user code, and has not waited for it."""

    def kill(self) -> None:
        """The instance is about to be killed: kill what does not end with it."""

    def close(self) -> None:
        """Release what belonged to it."""

    # -- what the kernel shows ---------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """The processes that run user code and have no instance of their own."""
        return [self._instance.pid]

    @property
    def elsewhere(self) -> Sequence[int]:
        """Those that are not below the instance's process, without what is below them."""
        return ()

    def activity(self) -> tuple[bool, procfs.Picture]:
        """Whether a thread of user code runs or could, and a picture of its threads: equal pictures mean none ran."""
        return procfs.activity(self._instance.pid)

    def delays(self) -> procfs.Picture:
        """A picture of the threads that user code cannot go on without, as long as they wait for a processor."""
        return procfs.activity(self._instance.pid)[1]

    def cpu_ns(self, at_end: int | None) -> int | None:
        """Processor time that user code has used, in ns, as exact as the kernel counts it; None: it has just ended.

        *at_end* is what the instance's own process had used when it ended, once it has.
        """
        if at_end is not None:
            return at_end
        try:
            return time.clock_gettime_ns(cpu_clock_of(self._instance.pid))
        except OSError:
            return None

    def memory(self, *, has_children: bool) -> Memory:
        """What it had in memory above what it had at its fork; with the descendants if *has_children* and it lives."""
        pid, at_fork = self._instance.pid, self._instance.control.memory_at_fork
        peak = max((self._instance.peak or procfs.peak_memory(pid)) - at_fork, 0) if at_fork else 0
        return Memory(peak, procfs.descendants_of(pid) if has_children and not self._instance.peak else [])
