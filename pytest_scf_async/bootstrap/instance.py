"""What an instance does from its fork to its end: become an instance, then one event after the other."""

from __future__ import annotations

import _socket
import errno
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

from ..protocol import linux, messages, official_hosts, shared_page
from ..protocol.limits import RESULT_LIMIT
from ..protocol.shared_page import ControlPage
from . import ahead, clock, debugger, handler, literal_tmp, loading, loopback, mounts, root_logger, thread_table
from .clock_page import NEVER
from .patches import connections, signals, sockets
from .patches import official_hosts as redirection
from .scheduler.scheduler import scheduler


def _too_many_reads() -> None:
    scheduler.park(clock.now_us() + clock.READ_WAIT_US, "a loop that polls the clock")
    clock.reads[0] = clock.reads_limit  # such a wait is no progress: the next read is one too


def _too_many_reads_in_c() -> None:
    if scheduler.park_in_c(clock.now_us() + clock.READ_WAIT_US, "a loop that polls the clock"):
        clock.reads[0] = clock.reads_limit


def prepare(environment: dict[str, str]) -> None:
    """What can be done before the fork, in the zygote: a page that an instance need not write need not be copied.

    From one instance to the next little of the environment changes.
    """
    before = dict(os.environ)
    for name in before.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if before.get(name) != value:
            os.environ[name] = value
    if before.get("TZ", "unset") != environment.get("TZ"):
        clock.fake_tzset()


def _stand_ready(nonce: str, fds: Sequence[int], zygote: int) -> _socket.socket:
    """Become an instance, of whatever function: all that does not depend on it. Gives the channel."""
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
    channel = _socket.socket(fileno=channel_fd)  # whose calls are no waits of user code
    scheduler.attach(channel, wakeup_fd, control, (pipe, messages.mark_of(nonce)), signals.watch())
    return channel


def _warm_up(control_file: int) -> None:
    """Do once what every start does, while nobody waits: after a fork each page has to be copied that is written."""
    prepare(dict(os.environ))
    sample = {"number": 1, "words": ["one", None, True], "nested": {"text": "one"}}
    invocation = messages.Invoke(handler.result_text(sample), {"request_id": "one"}, {}, {}, None)
    frame = messages.pack(invocation)
    messages.pack(_call(lambda event, context: event, messages.unpack(messages.Invoke, frame[messages.HEADER.size :])))
    loading.warm_up()
    mounts.warm_up()
    os.path.isfile(__file__)
    os.chdir("/")
    memoryview(mmap.mmap(control_file, shared_page.PAGE_BYTES)).release()
    _peak_rss()


def _hear_what_to_be(channel: _socket.socket) -> tuple[messages.Assign, int, list[int]]:
    """Wait for the first frame: what it says, the descriptor of the clock's page, and others."""
    frames = messages.FrameReader()
    clock_file, others = -1, []
    while True:
        data, fds = linux.receive_descriptors(channel, 1 << 16, 3)
        if not data:
            os._exit(0)  # nobody needed it
        if fds:
            clock_file, *others = fds
        found = list(frames.feed(data))
        if found and clock_file < 0:  # the kernel drops a descriptor for which there is no room
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if found:
            _, body = found.pop(0)
            scheduler.heard = found
            scheduler.frames = frames
            return messages.unpack(messages.Assign, body), clock_file, others


def _become(config: messages.Assign, clock_file: int, others: list[int]) -> Role:
    """Become an instance of the function that *config* says; gives what it is to do."""
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
    if not role.on_simulated_time:
        role.keep_clock(clock_file)
        return role
    clock_page = clock.map_page(clock_file)
    os.close(clock_file)
    limit = config.clock_reads_before_wait
    clock.attach(clock_page, NEVER if limit is None else limit, _too_many_reads, _too_many_reads_in_c)
    if config.compute_rate:
        clock.let_computing_take_time(config.compute_rate, lambda: scheduler.control)
    scheduler.join(clock_page)
    if not role.own_network:
        sockets.listen_on_loopback()
    if config.network == "loopback":
        sockets.guard(config.deployed_by)
    if config.endpoint is not None:
        redirection.follow(config.endpoint, own_network=role.own_network)
    connections.use_idle_peers(frozenset(config.idle_ok))
    if config.debugger:
        debugger.install()
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
        return messages.Result("RESULT_TOO_LARGE")
    return messages.Result(*outcome)


def _initialise(config: messages.Assign) -> Any:
    """The user's handler; None when the harness has been told why there is none."""
    path = config.entry
    try:
        if not os.path.isfile(path):
            fact, trace = "ENTRY_FILE_MISSING", f"{path} is not there"
        else:
            if config.sandbox is None:
                literal_tmp.watch(config.known_tmp)
            _enter_code(config)
            function = loading.load_handler(path, config.module, config.function)
            if callable(function):
                scheduler.tell(messages.pack(messages.InitDone(None, rss=_peak_rss() - _start_rss)))
                if config.memory_limited:
                    scheduler.yield_turn()  # the harness looks at it before the first line of the handler
                return function
            raise TypeError(f"{config.module}.{config.function} is {function!r}, which cannot be called")
    except Exception as error:
        fact, trace = "CODE_NOT_LOADED", _trace_of(error)
    scheduler.tell(messages.pack(messages.InitDone(fact, trace, _peak_rss() - _start_rss)))
    return None


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
    """Call the test's own function; False when it failed, and the harness has been told."""
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
            if (
                not found_already
            ):  # what it imports later is found, and nothing of the function's comes from there first
                sys.path.append(directory)
    except BaseException as error:  # SystemExit is no end of the function either
        if scheduler.active:
            scheduler.tell(messages.pack(messages.InitDone(messages.BEFORE_INIT_RAISED, _trace_of(error), 0)))
            return False
    if not scheduler.active:  # a child that it forked came back out of it
        os._exit(0)
    return True


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


_start_rss = 0


def _serve_handler(config: messages.Assign) -> None:
    """Call the handler with one event after the other, for ever; SystemExit and its like come out."""
    function: Any = None
    while True:
        invocation = scheduler.idle()
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
            signals.stand_if_listening()  # it listens since an earlier event
        answer = _call(function, invocation)
        handler.flush()
        if not scheduler.active:  # a child that user code forked came back out of the handler
            os._exit(0)
        if scheduler.save is not None:
            scheduler.save()
        answer = answer._replace(rss=_peak_rss() - _start_rss, used_ns=clock.processor_ns())
        scheduler.send(messages.pack(answer))


def _may_begin(config: messages.Assign, invocation: messages.Invoke) -> bool:
    """Before the first line of user code: the test's own function, then a gate; whether the former did not fail."""
    if config.before_init is not None and not _prepare_for_test(config, config.before_init):
        return False
    if invocation.gate is not None:
        scheduler.gate(invocation.gate, "init")
    return True


_variables = handler.Variables()


def _apply_environment(invocation: messages.Invoke) -> None:
    _variables.apply(invocation.environment, invocation.context["environ"])


def _serve_program(config: messages.Assign, program: messages.ProgramConfig) -> None:
    """Be the program of an image; returns when it does, as a process then ends."""
    from . import image  # noqa: PLC0415  (only images need it)

    root_logger.remove()
    while True:
        invocation = scheduler.idle()
        _variables.set(invocation.environment)
        if _may_begin(config, invocation):
            break
    image.open_gateway(program, invocation)
    image.run(program)


class Role:
    """What an instance does: it loads a handler, and calls it with each event."""

    on_simulated_time = True
    own_network = False
    """It has a network of its own, with nothing in it but a loopback."""

    def __init__(self, config: messages.Assign) -> None:
        self.config = config

    def enter_network(self, others: list[int]) -> None:
        """Enter the network that it is to have; the last of the descriptors *others* may belong to that."""

    def keep_clock(self, clock_file: int) -> None:
        """The descriptor of the clock's page, of one that does not see simulated time itself."""
        os.close(clock_file)

    def serve(self) -> None:
        """Deal with events; returns, or raises, when the process is to end."""
        _serve_handler(self.config)


class ProgramRole(Role):
    """It is the Python program that each event is sent to."""

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


class AgentRole(ProgramRole):
    """It starts such a program, which sees real time, as it does itself."""

    on_simulated_time = False

    def serve(self) -> None:
        from . import agent  # noqa: PLC0415  (only such programs need it)

        agent.serve(self.config.environment, self.program)


class ContainerRole(ProgramRole):
    """It speaks for a program in a container, which sees real time, as it does itself."""

    on_simulated_time = False
    _keeper = -1

    def enter_network(self, others: list[int]) -> None:
        self._keeper = others.pop()
        super().enter_network(others)

    def serve(self) -> None:
        from . import agent  # noqa: PLC0415  (only such programs need it)

        agent.serve_container(self.config.environment, self.program, self._keeper)


class SupervisorRole(ProgramRole):
    """It starts such a program, and has it see simulated time; it does not itself."""

    on_simulated_time = False
    _clock_file = -1

    def keep_clock(self, clock_file: int) -> None:
        self._clock_file = clock_file

    def serve(self) -> None:
        from ..supervisor import supervisor  # noqa: PLC0415  (only such programs need it)

        supervisor.serve(self.config, self.program, self._clock_file)


class ContainerSupervisorRole(SupervisorRole):
    """It has a program in a container see simulated time, and speaks for it."""

    _keeper = -1

    def enter_network(self, others: list[int]) -> None:
        self._keeper = others.pop()
        super().enter_network(others)

    def serve(self) -> None:
        from ..supervisor import container  # noqa: PLC0415  (only such programs need it)

        container.serve(self.config, self.program, self._clock_file, self._keeper)


def role_of(config: messages.Assign) -> Role:
    """What the instance is to do that is told *config*: the one place that decides this."""
    program = config.program
    if program is None:
        return Role(config)
    if program.supervised:
        return (ContainerSupervisorRole if program.container_port else SupervisorRole)(config, program)
    if program.container_port:
        return ContainerRole(config, program)
    return AgentRole(config, program) if program.free_running else ProgramRole(config, program)


def _leave(error: BaseException) -> int:
    return handler.leave(error, debugger.nobody())


def main(nonce: str, fds: Sequence[int], zygote: int) -> NoReturn:
    """The life of an instance, in a process just forked from *zygote*; *fds* are those that came with the request."""
    global _start_rss
    code = messages.SETUP_FAILED
    try:
        try:
            channel = _stand_ready(nonce, fds, zygote)
            if not select.select([channel], [], [], 0)[0]:
                _warm_up(fds[2])
            config, clock_file, others = _hear_what_to_be(channel)
            role = _become(config, clock_file, others)
            gc.enable()
            _start_rss = scheduler.control.memory_at_fork = _peak_rss()
        except BaseException as error:
            try:
                text = traceback.format_exc()
            except BaseException:  # it imports modules to show the line, and there may be no descriptor left for that
                text = f"{type(error).__name__}: {error}\n"
            os.write(2, text.encode())
            os._exit(messages.SETUP_FAILED)
        code = 1  # of an exception that comes while another one is dealt with
        try:
            role.serve()
            code = _leave(SystemExit())
        except BaseException as error:
            code = _leave(error)
        scheduler.receive_final_response()
    finally:
        os._exit(code)
