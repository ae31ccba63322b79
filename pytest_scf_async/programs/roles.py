"""What a process of the zygote becomes for a program, or for a recording; each imports what only it needs."""

from __future__ import annotations

import os
import traceback

from ..protocol import messages, official_hosts, shared_page
from ..python import handler, records, root_logger
from ..python.patches import c_code
from ..python.role import Role, guard_writes, initialised, may_begin, next_event
from ..python.scheduler.scheduler import scheduler
from . import loopback
from .clients import job


class RecordedRole(Role):
    """Be a handler whose changes in a directory are recorded."""

    def be_recorded(self, others: list[int]) -> None:
        with c_code.ours_alone():  # it may have been forked ahead, before the zygote imported this for sweeps
            from .supervisor import recorder  # noqa: PLC0415  (only a sweep needs it)

        recorder.be_recorded(others.pop())
        records.before_each.append(recorder.announce_record)
        scheduler.channel.is_traced()


class ProgramRole(RecordedRole):
    """Be the Python program of an image, to which each event is sent."""

    def __init__(self, config: messages.Assign, program: messages.ProgramConfig) -> None:
        super().__init__(config)
        self.program = program
        self.own_network = program.own_network

    def enter_network(self, others: list[int]) -> None:
        if self.own_network:
            loopback.enter()
            relayed = [("127.0.0.1", port, port) for port in self.program.ports]
            endpoint = self.config.endpoint
            if endpoint is not None and endpoint.leads:
                relayed += [(official_hosts.ADDRESS, port, endpoint.port) for port in official_hosts.PORTS]
            if relayed:
                loopback.relay(relayed, others.pop())

    def serve(self) -> None:
        """Run the program; returns when it has ended, and the process is to end."""
        from . import image  # noqa: PLC0415  (only such programs need it)

        root_logger.remove()
        while True:
            invocation = next_event(self.config)
            handler.set_variables(self.variables(invocation))
            if may_begin(self.config, invocation):
                break
        self.begin(invocation)
        image.run(self.program)

    def variables(self, invocation: messages.Invoke) -> dict[str, str | None]:
        """The variables that the program finds."""
        return invocation.environment

    def begin(self, invocation: messages.Invoke) -> None:
        """The program is about to run."""
        from . import image  # noqa: PLC0415

        image.open_gateway(self.program, invocation)


class JobRole(ProgramRole):
    """Be the Python program of a job image, which runs for one event."""

    def variables(self, invocation: messages.Invoke) -> dict[str, str | None]:
        return job.variables(invocation)

    def begin(self, invocation: messages.Invoke) -> None:  # noqa: ARG002  (it is in the variables)
        if self.config.only_writes is not None:
            guard_writes(self.config.only_writes)
        initialised()


class RoleBesideProgram(ProgramRole):
    """Start a program in a process or a container of its own, and speak for it: no user code runs in this one."""

    on_simulated_time = False
    _shim = -1
    """The descriptor by which the shim of a container is spoken to."""

    def enter_network(self, others: list[int]) -> None:
        if self.program.container_port:
            self._shim = others.pop()
        super().enter_network(others)

    def leave(self, error: BaseException) -> int:  # noqa: ARG002
        """The exit code after *error*: a bug of ours. Without a mark it would pass for the end of the program."""
        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        scheduler.control.fault = shared_page.FAILED
        return 1


class AgentRole(RoleBesideProgram):
    """Speak for a program on real time."""

    def serve(self) -> None:
        from . import agent  # noqa: PLC0415  (only such programs need it)

        agent.serve(self.config.environment, self.program, self._shim)


class SupervisorRole(RoleBesideProgram):
    """Trace a program, so that it is on simulated time; this process itself is not."""

    _clock_file = -1
    _recorded: tuple[int, int] | None = None

    def be_recorded(self, others: list[int]) -> None:
        record, root = others.pop(), others.pop()
        self._recorded = root, record

    def keep_clock(self, clock_file: int) -> None:
        self._clock_file = clock_file

    def serve(self) -> None:
        from .supervisor import container, supervisor  # noqa: PLC0415  (only such programs need them)

        if self.program.container_port:
            container.serve(self.config, self.program, self._clock_file, self._shim)
        supervisor.serve(self.config, self.program, self._clock_file, self._recorded)


def role_of(config: messages.Assign) -> Role:
    """The role of an instance with *config* that has a program, or is recorded; only this function decides it."""
    program = config.program
    if program is None:
        return RecordedRole(config)
    if program.supervised:
        return SupervisorRole(config, program)
    if program.container_port or program.free_running:
        return AgentRole(config, program)
    return (JobRole if program.speaks == "job" else ProgramRole)(config, program)
