"""The root of the branches: an instance that has run no user code, and forks processes that do."""

from __future__ import annotations

import _socket
import functools
import gc
import os
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from ...protocol import branches, linux, messages
from .. import mounts, process_ends
from ..originals import real_exit
from ..scheduler.scheduler import scheduler
from . import privacy, processes, scout
from .directories import Directories
from .own_harness import OwnHarness, invocation_of


def serve(branch: messages.Branch) -> messages.Invoke:
    """Serve the test's process at the socket that *branch* names; returns in forked processes alone.

    It gives the event that such a process is to run, from the load of the code on.
    """
    connection = _connected(branch.socket)
    read = functools.partial(branches.read_exactly, connection)
    plan: branches.Prepare = branches.receive(read)
    try:
        harness = _go_alone(connection, plan)
    except OSError as error:
        _refuse(connection, read, f"{error.strerror or error}")
    ours = privacy.ours_now()
    gc.freeze()  # a collection in a fork would write to each object, and so copy all pages
    while True:
        asked: branches.Scout | branches.Resume | None = branches.receive(read)
        if asked is None:
            real_exit(0)
        harness.directories.put(str(asked.state))
        pid = privacy.fork()
        if pid == 0:
            return _begin(harness, asked, ours)
        processes.await_end(harness, pid, _job_of(asked))
        processes.end_what_is_left()
        harness.directories.take(str(asked.state))
        branches.send(connection, branches.Done())


def _job_of(asked: branches.Scout | branches.Resume) -> int:
    return asked.job if isinstance(asked, branches.Resume) else branches.SCOUT


def _refuse(connection: Any, read: Callable[[int], bytes], why: str) -> NoReturn:
    """Answer all that is asked: this kernel gives no branches."""
    while (asked := branches.receive(read)) is not None:
        branches.send(connection, branches.Cannot(_job_of(asked), why))
        branches.send(connection, branches.Done())
    real_exit(0)


def _connected(path: str) -> Any:
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
    connection: Any = _socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # its calls are not patched
    connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")  # an address has 107 bytes at most
    os.close(directory)
    return connection


def _go_alone(connection: Any, plan: branches.Prepare) -> OwnHarness:
    """Have this process, and all that are forked from it, share no memory and no output with the test's process."""
    for buffer in (scheduler.clock_page, scheduler.control.memory()):
        privacy.own_memory(buffer)
    scheduler.bind_to_core(plan.core)
    channel = scheduler.channel
    directories = Directories(plan.run_path, plan.home)
    mounts.drop_capabilities()
    os.dup(channel.fd)  # the test's process would take its end for the end of this process
    woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    os.dup2(woken, channel.fd, inheritable=False)
    os.close(woken)
    nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd, inherited in ((1, True), (2, True), (channel.marks, False)):
        os.dup2(nothing, fd, inheritable=inherited)
    os.close(nothing)
    harness = OwnHarness(channel, connection, plan, directories)
    scheduler.use_channel(harness)
    process_ends.do_first(lambda _: harness.exits())
    return harness


def _begin(harness: OwnHarness, asked: branches.Scout | branches.Resume, ours: privacy.Ours) -> messages.Invoke:
    """In a process just forked: become the scout, or a resume. Gives its event."""
    linux.die_with_parent()
    plan = harness.plan
    attempt, environment = 0, dict[str, str]()
    harness.clock.now_us = asked.now_us
    if isinstance(asked, branches.Resume):
        attempt, environment = asked.attempt, asked.environment
        os.environ["HOSTNAME"] = f"scf-async-{asked.starts}"
        harness.become(asked.job, attempt)
        harness.announce(asked.job, asked.state, attempt)
    else:
        harness.announce(branches.SCOUT, -1)
        linux.adopt_orphans()
        scout.begin(harness, [branches.Branch(*each) for each in asked.branches], ours)
    harness.starts_cold()
    return messages.Invoke(**invocation_of(plan, attempt, environment))
