"""The processes of programs: one that the instance's process has started, or traces, or that is in a container."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from ...instances.user_process import Memory, Process, UserProcess
from ...linux import procfs
from ...linux.kernel_waits import waits_for_signal
from ...linux.linux import cpu_clock_of


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

    def memory(self, *, has_children: bool) -> Memory:
        peak = procfs.peak_memory(self._pid) if self.runs and self._pid and not self._instance.peak else 0
        if not peak or not has_children:
            return Memory(peak, [])
        # What it has left is below the instance's process, and what is in a container is not.
        below = {*procfs.descendants_of(self._instance.pid), *procfs.descendants_of(self._pid)}
        return Memory(peak, sorted(below - {self._pid}))

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
        peak = super().memory(has_children=False).peak
        return Memory(peak, [pid for pid in self.processes() if pid != self.pid] if peak else [])

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
