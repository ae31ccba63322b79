"""The agent of a program that runs in real time because it cannot be traced.

The instance's process is the agent. It starts the program as its child, in the same sandbox and network, and exchanges
requests and answers with it. It ends as the program does, with the same exit code or by the same signal, so that the
test's process sees how the program has ended.
"""

from __future__ import annotations

import os
import select
from typing import NoReturn

from ..linux import procfs
from ..protocol import messages
from ..python import clock
from ..python.scheduler.scheduler import scheduler
from ..side.originals import real_poll
from . import program_process
from .clients.program_client import Answer, Broken, ProgramClient
from .clients.spoken import client_of
from .shim_connection import ShimConnection

READY_CHECK_MS = 5
"""Real milliseconds between two checks whether the program listens."""
EXIT_CHECK_MS = 100
EXIT_CHECKS = 50
"""How many checks are made of a program that has closed its connection during an event.

The checks end when the program has ended, or when all its threads wait.
"""


class Agent:
    def __init__(self, environment: dict[str, str], program: messages.ProgramConfig, client: ProgramClient) -> None:
        self._program = program
        self._environment = {**environment, **program.environment}
        self._client = client
        self._pid = 0
        self._pidfd = -1
        self._gated = False
        self._ready = False
        self._event_sent = False
        self._waiting: messages.Invoke | None = None
        """The event that is to be sent to the program once it listens."""

    def serve(self) -> NoReturn:
        """Handle messages of the harness and answers of the program, until one of them ends."""
        self._take(scheduler.channel.take_unread())
        while True:
            poller = real_poll()
            poller.register(scheduler.channel.fd, select.POLLIN)
            for fd, events in self._processes().items():
                poller.register(fd, events)
            starting = self._pid and not self._ready
            if starting or self._event_sent:
                for fd, events in self._client.descriptors().items():
                    poller.register(fd, events)
            ready = {fd for fd, _ in poller.poll(READY_CHECK_MS if starting else None)}
            if scheduler.channel.fd in ready:
                self._take(scheduler.channel.receive())
            if self._pid:
                self._check_program()
            self._check_processes(ready)

    def _processes(self) -> dict[int, int]:
        """The descriptors of the program's process, and the events to poll them for."""
        return {self._pidfd: select.POLLIN} if self._pidfd >= 0 else {}

    def _check_processes(self, ready: set[int]) -> None:
        if self._pidfd in ready:
            self._end_as_program()

    def _take(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            if kind == messages.INVOKE:
                invocation = messages.unpack(messages.Invoke, body)
                self._waiting = invocation
                if not self._pid and invocation.gate is not None:
                    self._gated = True
                    self._send(messages.Gated(invocation.gate, main=True))
                elif not self._pid:
                    self._start()
            elif kind == messages.OPEN_GATE and self._gated:
                self._gated = False
                self._start()

    def _check_program(self) -> None:
        if not self._ready:
            self._ready = self._serves()
            if self._ready:
                self._initialised(None, "")
            elif why := self._client.why_unreachable():
                self._ready = True
                self._waiting = None
                self._initialised("PORT_NOT_BOUND", why)
        if self._ready and self._waiting is not None:
            invocation, self._waiting = self._waiting, None
            self._event_sent = self._client.ask(invocation)
            if not self._event_sent:
                self._answer(messages.Result("PORT_NOT_BOUND", trace="the program no longer listens on its port"))
        answer = self._client.receive() if self._event_sent else None
        for note in self._client.take_notes():
            self._send(messages.Note(note=note))
        if answer is not None:
            self._event_sent = False
            self._answer(answer)

    def _serves(self) -> bool:
        return self._client.is_ready()

    def _initialised(self, fact: str | None, trace: str) -> None:
        self._send(messages.InitDone(fact, trace, self._memory(), clock.real_monotonic()))

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Broken):
            if self._ends():
                self._end_as_program()
            answer = messages.Result("RAISED", trace=answer.why)
        self._send(answer._replace(rss=self._memory(), at=clock.real_monotonic()))

    def _memory(self) -> int:
        """The peak memory of the program in bytes."""
        return procfs.peak_memory(self._pid) if self._pid else program_process.peak_memory_at_end()

    def _ends(self) -> bool:
        """Whether the program, which has closed its connection, ends.

        False once all its threads wait between two checks, as the threads of a server do.
        """
        poller = real_poll()
        poller.register(self._pidfd, select.POLLIN)
        before: list[bytes] | None = None
        for _ in range(EXIT_CHECKS):
            if poller.poll(EXIT_CHECK_MS):
                return True
            now = procfs.ticks_of_sleepers(self._pid)
            if now is not None and now == before:
                return False
            before = now
        return False

    def _send(self, message: messages.FromAgent) -> None:
        if messages.is_marked(message):
            scheduler.channel.mark_output()
        scheduler.channel.send(messages.pack(message))

    # -- the program -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the program; if that fails, the event ends."""
        self._change_forks()
        environment = {**self._environment, **self._client.variables(self._waiting)}
        started = program_process.start(self._program, environment, self._waiting)
        self._change_forks()
        pid = started.pid
        self._send(messages.Program(pid))
        started.begin()
        with open(started.why, "rb", buffering=0) as file:
            why = file.read()
        if why:
            os.waitpid(pid, 0)
            self._initialised("NOT_STARTED", why.decode("utf-8", "replace"))
            return
        self._send(messages.Program(pid, runs=True))
        self._pid, self._pidfd = pid, os.pidfd_open(pid)

    @staticmethod
    def _change_forks() -> None:
        scheduler.control.forks += 1

    def _end_as_program(self) -> NoReturn:
        """End as the program has ended; first send its last answer, and report when it ended."""
        at = clock.real_monotonic()
        status, self._pid = self._status(), 0
        answer = self._client.last_answer(status) if self._event_sent else None
        if answer is not None:
            self._answer(answer._replace(ends=True))
        self._send(messages.Program(0, at=at, rss=self._memory()))
        program_process.end_as(status)

    def _status(self) -> int:
        """The program's wait status, as ``waitpid`` returns it."""
        return os.waitpid(self._pid, 0)[1]


class ContainerAgent(Agent):
    """The agent of a program in a container. A shim, at the other end of a socket, starts the container."""

    def __init__(
        self, environment: dict[str, str], program: messages.ProgramConfig, client: ProgramClient, shim: int
    ) -> None:
        super().__init__(environment, program, client)
        self._shim = ShimConnection(shim)

    def _start(self) -> None:
        environment = {**self._environment, **self._client.variables(self._waiting)}
        self._shim.start(self._program, environment, self._waiting, traced=False)

    def _processes(self) -> dict[int, int]:
        return {**super()._processes(), self._shim.descriptor: select.POLLIN}

    def _check_processes(self, ready: set[int]) -> None:
        if self._shim.descriptor in ready:
            self._receive_from_shim()
        super()._check_processes(ready)

    def _receive_from_shim(self) -> None:
        message = self._shim.receive()
        if "pid" in message:
            self._runs(message["pid"])
        elif not message["started"]:
            self._initialised("NOT_STARTED", f"the container could not be started (exit code {message['ended']})")
        elif not self._pid:  # the program had ended before its process could be opened
            if self._client.starts_ready:
                self._initialised(None, "")
                self._event_sent = True
            self._end_as_program()

    def _runs(self, pid: int) -> None:
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # the program has ended, which the shim reports next
        self._change_forks()
        self._send(messages.Program(pid))
        self._send(messages.Program(pid, runs=True))
        self._pid = pid

    def _serves(self) -> bool:
        """Whether the program listens.

        An engine that forwards a port listens there before the program does, so the port alone is not enough: the
        program must listen on the port of the container.
        """
        program = self._program
        forwards = not program.own_network and not self._client.starts_ready
        if forwards and not any(procfs.listening_inodes(self._pid, {program.container_port})):
            return False
        return super()._serves()

    def _status(self) -> int:
        return self._shim.status()


def serve(environment: dict[str, str], program: messages.ProgramConfig, shim: int) -> NoReturn:
    """Be the agent of *program*, which gets *environment* in addition to its own variables.

    With a descriptor *shim* the program runs in a container, which the process at the other end starts.
    """
    client = client_of(program, clock.genuine.time_ns)
    if shim >= 0:
        ContainerAgent(environment, program, client, shim).serve()
    Agent(environment, program, client).serve()
