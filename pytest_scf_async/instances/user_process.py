"""The process of an instance that runs user code: the instance's own, or one that it has started.

Asks the kernel about user code: whether it runs, how much it has computed, what memory it has.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..linux import procfs
from ..linux.kernel_waits import waits_for_signal
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
        return procfs.signal_state(self.pid, signum) if self.pid else None

    def signal(self, signum: int) -> bool:
        """Send it *signum*; False when it is gone."""
        return self._instance.signal(signum)

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
        """What it has in memory above what it had at its fork; with the descendants where it may have some."""
        pid, at_fork = self._instance.pid, self._instance.control.memory_at_fork
        peak = max(procfs.peak_memory(pid) - at_fork, 0) if at_fork else 0
        return Memory(peak, procfs.descendants_of(pid) if has_children else [])


class StartedProcess(UserProcess):
    """The instance's process starts another one. Signals go to that by a pidfd, and only so."""

    def __init__(self, instance: Process) -> None:
        super().__init__(instance)
        self.runs = False
        self._pid = 0
        self._pidfd: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def started(self, pid: int) -> None:
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # the instance is gone, and the program with it
        if pid in procfs.children_of(self._instance.pid):
            self._pid = pid  # which is nobody else's, as the instance has not waited for it

    def signal(self, signum: int) -> bool:
        if self._pidfd is None or not self._pid:
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, signum)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


class ContainerProcess(StartedProcess):
    """The first process of a container, which the shim has started. Signals go to it by way of the engine."""

    def started(self, pid: int) -> None:
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self._pid = pid

    @property
    def elsewhere(self) -> Sequence[int]:
        return (self._pid,) if self._pid else ()

    def signal(self, signum: int) -> bool:
        companion = self._instance.companion
        return companion is not None and bool(self._pid) and companion.signal(signum)

    def kill(self) -> None:
        if self._instance.companion is not None:
            self._instance.companion.kill(self._pidfd)

    def close(self) -> None:
        super().close()
        if self._instance.companion is not None:
            self._instance.companion.close()


class TracedProcesses(StartedProcess):
    """A program with all that it has started, which the instance's process traces.

    The tracer itself is none of them. It sleeps most of the time, and works where one of them does nothing.
    """

    def __init__(self, instance: Process) -> None:
        super().__init__(instance)
        self._cpu_ns = 0

    def processes(self) -> list[int]:
        tracer = self._instance.pid
        top = [pid for pid in procfs.children_of(tracer) if procfs.tracer_of(pid) == tracer]
        return [each for pid in top for each in (pid, *procfs.descendants_of(pid))]

    def activity(self) -> tuple[bool, procfs.Picture]:
        running, picture = procfs.activity_of(self.processes())
        return running or procfs.activity(self._instance.pid)[0], picture

    def delays(self) -> procfs.Picture:
        return procfs.activity_of((*self.processes(), self._instance.pid))[1]

    def cpu_ns(self, at_end: int | None) -> int | None:
        if at_end is not None:
            return self._cpu_ns
        processes = self.processes()
        used = sum(map(procfs.reaped_cpu_ns, (*processes, self._instance.pid)))
        for pid in processes:
            try:
                used += time.clock_gettime_ns(cpu_clock_of(pid))
            except OSError:
                continue  # who waits for it has its time
        self._cpu_ns = max(self._cpu_ns, used)
        return self._cpu_ns

    def memory(self, *, has_children: bool) -> Memory:  # noqa: ARG002  (what it has started is traced)
        if not self.runs:
            return Memory(0, [])
        return Memory(procfs.peak_memory(self.pid), [pid for pid in self.processes() if pid != self.pid])

    def signal_state(self, signum: int) -> procfs.SignalState | None:
        """While a thread is in ``sigwait`` the kernel shows the same mask as where nobody wants the signal."""
        state = super().signal_state(signum)
        if state is not None and not state.blocked and waits_for_signal(self.pid, signum):
            return state._replace(blocked=True)
        return state


class TracedContainer(ContainerProcess, TracedProcesses):
    """The same of a container that the instance's process traces."""

    elsewhere = ()
    """Its tracer stops it."""

    def processes(self) -> list[int]:
        if not self._pid or procfs.tracer_of(self._pid) != self._instance.pid:
            return []
        return [self._pid, *procfs.descendants_of(self._pid)]
