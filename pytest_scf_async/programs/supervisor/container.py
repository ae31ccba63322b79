"""The supervisor of a container: its shim has the engine start it, and its first process is traced before its exec.

The engine makes a process that becomes the program once all else of the container is ready (that of runc and crun). A
hook of the engine has that one wait until it is traced, with all its threads. The filter of system calls is put under
it at its exec, when its image is the program's: whatever rights the container has taken from it, it keeps those.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from functools import partial
from typing import Any, NoReturn

from ...linux import procfs
from ...protocol import messages
from ...protocol.real_time import REAL
from ..shim_connection import ShimConnection
from . import supervisor
from .tree import Process, Thread


class ContainerSupervisor(supervisor.Supervisor):
    def __init__(self, *arguments: Any, shim: int, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._shim = ShimConnection(shim)
        self._poller.register(shim, select.POLLIN)
        self._begins = False
        """It was asked for, and has not executed its program: what it does until then is the engine's."""

    def _start(self) -> None:
        self._begins = True
        environment = {**self._environment, **self._client.variables(self._invocation)}
        self._shim.start(self._program, environment, self._invocation, traced=True)

    def _handle_others(self, ready: set[int]) -> None:
        if self._shim.descriptor not in ready:
            return
        message = self._shim.receive()
        if "pid" in message:
            self._join(message["pid"])
        elif not self._pid:
            self._refuse()
        else:
            self._poller.unregister(self._shim.descriptor)  # its tracer sees its end, too

    def _join(self, pid: int) -> None:
        """The process that is going to be the program waits: trace it."""
        self._tree.join(pid)
        self._pid = pid
        self._send(messages.Program(pid))
        self._shim.go_on()

    def _check_program(self) -> None:
        if not self._begins:
            super()._check_program()
            return
        tree = self._tree
        self._show_time_if_moved()
        tree.step()
        if self._state.ended:
            if self._begins:
                self._refuse()
            self._end_as_program(self._status)  # it has begun and ended since the last check
        if self._state.stopped and tree.all_held():
            self._stopped()
        elif self._state.polled:
            self._report(running_threads=1)

    def _refuse(self) -> NoReturn:
        """The engine could not start it, and has said why in the output."""
        code = self._shim.exit_code()
        self._initialised("NOT_STARTED", f"the container could not be started (exit code {code})")
        while True:
            REAL.sleep(1)  # the test's process ends this one

    def _began(self, process: Process) -> None:
        if process.pid == self._pid and self._begins:
            self._begins = False
            self._checks = 0
            try:
                self._tree.put_filter(process)
            except (OSError, LookupError) as error:
                self._refusal = f"the container cannot be traced: {error}"
                os.kill(process.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):  # none of them is this process's any more
                os.sched_setaffinity(process.pid, self._program.cpus)
        super()._began(process)

    def _serves(self) -> bool:
        """An engine that forwards a port listens there before the program does."""
        program = self._program
        if not program.own_network and not any(procfs.listening_inodes(self._pid, {program.container_port})):
            return False
        return super()._serves()

    def _is_output(self, thread: Thread, fd: int) -> bool:
        """The output is a pipe of the engine's, which is not known here: whatever is no file may be it."""
        return not procfs.target_of(thread.tid, fd).startswith("/")

    def _why_not_started(self) -> str:
        return self._refusal

    def _end(self, status: int) -> NoReturn:
        """A SIGTERM that the kernel keeps from the first process of a container was a SIGKILL."""
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        super()._end(self._shim.status() if is_killed else status)


def serve(config: messages.Assign, program: messages.ProgramConfig, clock_file: int, shim: int) -> NoReturn:
    """Supervise *program*, which is in a container of the *shim*. What it draws is the machine's, also in a sweep."""
    config = config._replace(own_random=False)
    supervisor.serve(config, program, clock_file, make=partial(ContainerSupervisor, shim=shim))
