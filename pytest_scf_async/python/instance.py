"""The life of an instance: it is forked, assigned to a function, and runs one event after the other."""

from __future__ import annotations

import _socket
import faulthandler
import gc
import mmap
import os
import select
import traceback
from collections.abc import Sequence
from typing import NoReturn

from ..linux import linux
from ..protocol import messages, official_hosts, shared_page
from ..protocol.shared_page import ControlPage
from ..side import mounts
from ..side.channel import Channel
from ..wings.in_zygote import PARTS
from . import clock, handler, loading, parts, thread_table, wing_part
from .clock_page import NO_LIMIT
from .clock_polls import polls
from .gates import gates
from .patches import alarms, connections, signals, sockets
from .patches import official_hosts as redirection
from .role import Role, call, count_memory, used_memory
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
    result = call(lambda event, context: event, messages.unpack(messages.Invoke, frame[messages.HEADER.size :]))
    if result.text != invocation.payload:
        raise RuntimeError(f"the call that warms a process up has ended otherwise than that of a handler: {result}")
    messages.pack(result)
    loading.warm_up()
    mounts.warm_up()
    os.path.isfile(__file__)
    os.chdir("/")
    memoryview(mmap.mmap(control_file, shared_page.PAGE_BYTES)).release()
    used_memory()


def _become(config: messages.Assign, clock_file: int, others: list[int]) -> Role:
    """Become an instance of the function of *config*; its role."""
    prepare(config.environment)
    if config.sandbox is not None:
        mounts.complete(config.sandbox.own, config.sandbox.layer)
        if config.endpoint is not None and config.endpoint.leads:
            mounts.change_hosts(official_hosts.hosts_file)
        if config.endpoint is not None and config.endpoint.certifi:
            mounts.replace_file(config.endpoint.certifi, config.endpoint.bundle)
    role = Role(config)
    for part in PARTS:
        role = part.role_of(config) or role
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
    for module, given in config.parts.items():
        parts.part(module).begin(others, **given)
    return role


def main(nonce: str, fds: Sequence[int], zygote: int) -> NoReturn:
    """Live as an instance, in a process just forked from *zygote*; *fds* came with the request to fork it."""
    code = messages.SETUP_FAILED
    try:
        try:
            channel = _stand_ready(nonce, fds, zygote)
            if not select.select([channel.fd], [], [], 0)[0]:
                _warm_up(fds[2])
            body, (clock_file, *others) = channel.receive_first()
            role = _become(messages.unpack(messages.Assign, body), clock_file, others)
            gc.enable()
            count_memory()
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
