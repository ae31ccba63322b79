"""The life of an instance: it is forked, assigned to a function, and runs one event after the other."""

from __future__ import annotations

import _socket
import faulthandler
import gc
import json
import mmap
import os
import resource
import select
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from ..linux import linux
from ..protocol import messages, official_hosts, shared_page
from ..protocol.limits import RESULT_LIMIT
from ..protocol.shared_page import ControlPage
from ..side import loopback, mounts
from ..side.channel import Channel
from . import ahead, clock, debugger, handler, literal_tmp, loading, root_logger, thread_table, wing_part
from .clock_page import NO_LIMIT
from .clock_polls import polls
from .gates import gates
from .patches import alarms, c_code, connections, random_numbers, signals, sockets
from .patches import official_hosts as redirection
from .scheduler.alarm import Alarm
from .scheduler.scheduler import scheduler
from .scheduler.signal_inbox import SignalInbox


def _too_many_reads() -> None:
    scheduler.control.read_clock = 1
    place = polls.look()
    if place is not None:
        scheduler.park(clock.now_us() + clock.READ_WAIT_US, "a loop that polls the clock")
        polls.waited(place)


def _too_many_reads_in_c() -> None:
    scheduler.control.read_clock = 1
    place = polls.look()
    if place and scheduler.park_in_c(clock.now_us() + clock.READ_WAIT_US, "a loop that polls the clock"):
        polls.waited(place)


def prepare(environment: dict[str, str]) -> None:
    """Set *environment*; in the zygote before a fork, and again in the instance, where little is left to change.

    Each page of memory that an instance writes after the fork has to be copied, which takes time.
    """
    before = dict(os.environ)
    for name in before.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if before.get(name) != value:
            os.environ[name] = value
    if before.get("TZ", "unset") != environment.get("TZ"):
        clock.fake_tzset()


def _stand_ready(nonce: str, fds: Sequence[int], zygote: int) -> Channel:
    """Do all of a start that does not depend on the function; the channel to the harness."""
    channel_fd, pipe, control_file, wakeup_fd = fds
    os.setsid()
    linux.die_with_parent()
    linux.adopt_orphans()
    if os.getppid() != zygote:
        os._exit(0)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)
    control = ControlPage(control_file)
    faulthandler.register(linux.STACKS_SIGNAL, file=control_file, all_threads=True)
    thread_table.keep_in(control.threads)
    own_socket = _socket.socket(fileno=channel_fd)  # its calls are not patched
    channel = Channel(own_socket, (pipe, messages.mark_of(nonce)), control)
    scheduler.attach(
        channel,
        control,
        wakeup_fd,
        SignalInbox(signals.watch(), signals.call_handler),
        Alarm(control, alarms.ring),
        arm_gates=gates.set_gates,
        answer_waits=connections.answer_waits,
        answers_in_c=connections.answers_in_c,
    )
    return channel


def _warm_up(control_file: int) -> None:
    """Do once what each start does, while no event waits: so the pages that it writes are copied ahead."""
    prepare(dict(os.environ))
    sample = {"number": 1, "words": ["one", None, True], "nested": {"text": "one"}}
    invocation = messages.Invoke(handler.result_text(sample), {"request_id": "one"}, {}, {}, None)
    frame = messages.pack(invocation)
    result = _call(lambda event, context: event, messages.unpack(messages.Invoke, frame[messages.HEADER.size :]))
    if result.text != invocation.payload:
        raise RuntimeError(f"the call that warms a process up has ended otherwise than that of a handler: {result}")
    messages.pack(result)
    loading.warm_up()
    mounts.warm_up()
    os.path.isfile(__file__)
    os.chdir("/")
    memoryview(mmap.mmap(control_file, shared_page.PAGE_BYTES)).release()
    _peak_rss()


def _become(config: messages.Assign, clock_file: int, others: list[int]) -> Role:
    """Become an instance of the function of *config*; its role."""
    prepare(config.environment)
    if config.sandbox is not None:
        mounts.complete(config.sandbox.own, config.sandbox.layer)
        if config.endpoint is not None and config.endpoint.leads:
            mounts.change_hosts(official_hosts.hosts_file)
        if config.endpoint is not None and config.endpoint.certifi:
            mounts.replace_file(config.endpoint.certifi, config.endpoint.bundle)
    role = role_of(config)
    role.enter_network(others)
    mounts.drop_capabilities()
    clock_page = clock.map_page(clock_file) if role.on_simulated_time else None
    if config.recorded:
        role.be_recorded(others)  # from here on it stops where it maps a file
    if clock_page is None:
        role.keep_clock(clock_file)
        return role
    os.close(clock_file)
    clock.attach(clock_page, NO_LIMIT, _too_many_reads, _too_many_reads_in_c)
    if config.clock_reads_before_wait is not None:
        polls.limit_to(config.clock_reads_before_wait)
    if config.own_random and not clock.notes_first_read():
        scheduler.control.read_clock = 1
    if config.compute_rate:
        clock.let_computing_take_time(config.compute_rate, lambda: scheduler.control)
    if config.wing_part is not None:
        wing_part.use(config.wing_part)
    scheduler.join(clock_page)
    if not role.own_network:
        sockets.listen_on_loopback()
    if config.network == "loopback":
        sockets.guard(config.deployed_by)
    if config.endpoint is not None:
        redirection.follow(config.endpoint, own_network=role.own_network)
    connections.use_idle_peers(frozenset(config.idle_ok))
    debugger.install(has_terminal=config.debugger)
    if config.coverage is not None:
        from . import coverage  # noqa: PLC0415  (it imports coverage)

        (sink,) = others
        coverage.start(config.coverage, sink)
    return role


def _trace_of(error: BaseException) -> str:
    return handler.trace_of(error, debugger.nobody())


def _call(function: Any, invocation: messages.Invoke) -> messages.Result:
    try:
        scheduler.ring_overdue()
        result = function(json.loads(invocation.payload), invocation.context)
    except Exception as error:
        return messages.Result("RAISED", trace=_trace_of(error))
    outcome = handler.returned(result, debugger.nobody())
    size = 0 if outcome.text is None else len(outcome.text.encode("utf-8"))
    if size > RESULT_LIMIT:
        return messages.Result("RESULT_TOO_LARGE", size=size)
    return messages.Result(*outcome)


def _initialise(config: messages.Assign) -> Any:
    """Load the user's handler and report that; None if there is none, which is reported as well."""
    path = config.entry
    try:
        if not os.path.isfile(path):
            fact, trace = "ENTRY_FILE_MISSING", f"{path} is not there"
        else:
            if config.sandbox is None:
                literal_tmp.watch(config.known_tmp)
            if config.only_writes is not None:
                _guard_writes(config.only_writes)
            _enter_code(config)
            function = loading.load_handler(path, config.module, config.function)
            if callable(function):
                scheduler.initialised()
                scheduler.send_marked(messages.pack(messages.InitDone(None, rss=_peak_rss() - _start_rss)))
                if config.memory_limited:
                    scheduler.park(clock.now_us(), "")  # the harness checks the memory before the handler begins
                return function
            raise TypeError(f"{config.module}.{config.function} is {function!r}, which cannot be called")
    except Exception as error:
        fact, trace = "CODE_NOT_LOADED", _trace_of(error)
    scheduler.send_marked(messages.pack(messages.InitDone(fact, trace, _peak_rss() - _start_rss)))
    return None


def _guard_writes(paths: list[str]) -> None:
    assert wing_part.part is not None
    wing_part.part.guard_writes(paths)


_entered_code = False


def _enter_code(config: messages.Assign) -> None:
    global _entered_code
    if not _entered_code:
        os.chdir(config.code_directory)
        sys.path[:0] = config.search_path
        _entered_code = True


def _use_what_was_imported_ahead(config: messages.Assign) -> None:
    global _start_rss
    if config.coverage is None:
        of_test = [] if config.before_init is None else [config.before_init.directory]
        _start_rss -= ahead.use(loading.first_imports(config.entry), [*config.search_path, *of_test])
        scheduler.control.memory_at_fork = _start_rss


def _prepare_for_test(config: messages.Assign, wanted: messages.BeforeInit) -> bool:
    """Call the test's function of ``before_init``; False if it has failed, which is reported."""
    directory = wanted.directory
    try:
        _enter_code(config)
        found_already = directory in sys.path
        sys.path.insert(len(config.search_path), directory)
        try:
            function = loading.load_handler(wanted.entry, wanted.module, wanted.function)
            arguments = json.loads(wanted.arguments)
            if isinstance(arguments, dict):
                function(**arguments)
            else:
                function(*arguments)
        finally:
            if directory in sys.path:
                sys.path.remove(directory)
            if not found_already:  # later imports find what lies there, but after the function's own code
                sys.path.append(directory)
    except BaseException as error:  # SystemExit is a failure of it, too
        if scheduler.active:
            scheduler.send_marked(messages.pack(messages.InitDone(messages.BEFORE_INIT_RAISED, _trace_of(error), 0)))
            return False
    if not scheduler.active:  # a child that it has forked has returned from it
        os._exit(0)
    return True


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


_start_rss = 0


def _serve_handler(config: messages.Assign) -> None:
    """Call the handler with one event after the other; SystemExit and its like are raised."""
    function: Any = None
    while True:
        invocation = _next(config)
        if function is None:
            _apply_environment(invocation)
            if not _entered_code:
                _use_what_was_imported_ahead(config)
            if not _may_begin(config, invocation):
                continue
            function = _initialise(config)
            if function is None:
                continue
        else:
            _apply_environment(invocation)
            signals.stand_if_listening()  # the handler of a signal may be installed since an earlier event
        answer = _call(function, invocation)
        handler.flush()
        if not scheduler.active:  # a child that user code has forked has returned from the handler
            os._exit(0)
        scheduler.save_coverage()
        gates.report_points()
        answer = answer._replace(rss=_peak_rss() - _start_rss, used_ns=clock.processor_ns())
        scheduler.send(messages.pack(answer))


def _next(config: messages.Assign) -> messages.Invoke:
    """Wait for the next event."""
    invocation = scheduler.idle()
    if config.own_random:
        random_numbers.begin(invocation.context["request_id"])
        scheduler.control.drawn_from = invocation.seed
    return invocation


def _may_begin(config: messages.Assign, invocation: messages.Invoke) -> bool:
    """Call ``before_init``, then stop at a gate at the init if there is one; whether user code may be loaded."""
    if config.before_init is not None and not _prepare_for_test(config, config.before_init):
        return False
    if invocation.gate is not None:
        scheduler.gate(invocation.gate, "init")
    return True


_variables = handler.Variables()


def _apply_environment(invocation: messages.Invoke) -> None:
    _variables.apply(invocation.environment, invocation.context["environ"])


def _serve_program(config: messages.Assign, program: messages.ProgramConfig) -> None:
    """Run the program of an image; returns when it has ended, and the process is to end."""
    from ..programs import image  # noqa: PLC0415  (only images need it)

    root_logger.remove()
    while True:
        invocation = _next(config)
        _variables.set(invocation.environment)
        if _may_begin(config, invocation):
            break
    image.open_gateway(program, invocation)
    image.run(program)


def _serve_job(config: messages.Assign, program: messages.ProgramConfig) -> None:
    """Run the program of a job image for one event; returns when it has ended, and the process is to end."""
    from ..programs import image  # noqa: PLC0415  (only jobs need them)
    from ..programs.clients import job  # noqa: PLC0415  (only jobs need them)

    root_logger.remove()
    while True:
        invocation = _next(config)
        _variables.set(job.variables(invocation))
        if _may_begin(config, invocation):
            break
    if config.only_writes is not None:
        _guard_writes(config.only_writes)
    scheduler.initialised()
    scheduler.send_marked(messages.pack(messages.InitDone(None, rss=_peak_rss() - _start_rss)))
    image.run(program)


class Role:
    """Load a handler and call it with each event: what an instance does, unless a subclass says otherwise."""

    on_simulated_time = True
    own_network = False
    """The instance has a network of its own, which has a loopback only."""

    def __init__(self, config: messages.Assign) -> None:
        self.config = config

    def enter_network(self, others: list[int]) -> None:
        """Enter the network of the instance; the last of the descriptors *others* may be for that."""

    def be_recorded(self, others: list[int]) -> None:
        """Have what user code changes in a directory recorded; the last of the descriptors *others* are for that."""
        with c_code.ours_alone():  # it may have been forked ahead, before the zygote imported this for sweeps
            from ..programs.supervisor import recorder  # noqa: PLC0415  (only a sweep needs it)

        recorder.be_recorded(others.pop())
        scheduler.channel.is_traced()

    def keep_clock(self, clock_file: int) -> None:
        """Take the descriptor of the clock page, in a role that is not on simulated time itself."""
        os.close(clock_file)

    def serve(self) -> None:
        """Serve events; returns or raises when the process is to end."""
        _serve_handler(self.config)

    def leave(self, error: BaseException) -> int:
        """The exit code of the process after *error* has left `serve`: it ends as a program of its own would."""
        return handler.leave(error, debugger.nobody())


class ProgramRole(Role):
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
        _serve_program(self.config, self.program)


class JobRole(ProgramRole):
    """Be the Python program of a job image, which runs for one event."""

    def serve(self) -> None:
        _serve_job(self.config, self.program)


class RoleBesideProgram(ProgramRole):
    """Start a program in a process of its own, and speak for it: no user code runs in this one."""

    on_simulated_time = False

    def leave(self, error: BaseException) -> int:
        """The exit code after *error*: a bug of ours. Without a mark it would pass for the end of the program."""
        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        scheduler.control.fault = shared_page.FAILED
        return 1


class AgentRole(RoleBesideProgram):
    """Start a program on real time, and speak for it."""

    def serve(self) -> None:
        from ..programs import agent  # noqa: PLC0415  (only such programs need it)

        agent.serve(self.config.environment, self.program)


class ContainerRole(RoleBesideProgram):
    """Speak for a program in a container on real time."""

    _shim = -1

    def enter_network(self, others: list[int]) -> None:
        self._shim = others.pop()
        super().enter_network(others)

    def serve(self) -> None:
        from ..programs import agent  # noqa: PLC0415  (only such programs need it)

        agent.serve_container(self.config.environment, self.program, self._shim)


class SupervisorRole(RoleBesideProgram):
    """Start a program and trace it, so that it is on simulated time; this process itself is not."""

    _clock_file = -1
    _recorded: tuple[int, int] | None = None

    def be_recorded(self, others: list[int]) -> None:
        record, root = others.pop(), others.pop()
        self._recorded = root, record

    def keep_clock(self, clock_file: int) -> None:
        self._clock_file = clock_file

    def serve(self) -> None:
        from ..programs.supervisor import supervisor  # noqa: PLC0415  (only such programs need it)

        supervisor.serve(self.config, self.program, self._clock_file, self._recorded)


class ContainerSupervisorRole(SupervisorRole):
    """Trace a program in a container, so that it is on simulated time, and speak for it."""

    _shim = -1

    def enter_network(self, others: list[int]) -> None:
        self._shim = others.pop()
        super().enter_network(others)

    def serve(self) -> None:
        from ..programs.supervisor import container  # noqa: PLC0415  (only such programs need it)

        container.serve(self.config, self.program, self._clock_file, self._shim)


def role_of(config: messages.Assign) -> Role:
    """The role of an instance with *config*; only this function decides it."""
    program = config.program
    if program is None:
        return Role(config)
    if program.supervised:
        return (ContainerSupervisorRole if program.container_port else SupervisorRole)(config, program)
    if program.container_port:
        return ContainerRole(config, program)
    if program.free_running:
        return AgentRole(config, program)
    return (JobRole if program.speaks == "job" else ProgramRole)(config, program)


def main(nonce: str, fds: Sequence[int], zygote: int) -> NoReturn:
    """Live as an instance, in a process just forked from *zygote*; *fds* came with the request to fork it."""
    global _start_rss
    code = messages.SETUP_FAILED
    try:
        try:
            channel = _stand_ready(nonce, fds, zygote)
            if not select.select([channel.fd], [], [], 0)[0]:
                _warm_up(fds[2])
            body, (clock_file, *others) = channel.receive_first()
            role = _become(messages.unpack(messages.Assign, body), clock_file, others)
            gc.enable()
            _start_rss = scheduler.control.memory_at_fork = _peak_rss()
        except BaseException as error:
            try:
                text = traceback.format_exc()
            except BaseException:  # it imports modules to show the line, for which there may be no descriptor left
                text = f"{type(error).__name__}: {error}\n"
            os.write(2, text.encode())
            os._exit(messages.SETUP_FAILED)
        code = 1  # for an exception that is raised while another one is handled
        try:
            role.serve()
            code = role.leave(SystemExit())
        except BaseException as error:
            code = role.leave(error)
        scheduler.receive_final_response()
    finally:
        os._exit(code)
