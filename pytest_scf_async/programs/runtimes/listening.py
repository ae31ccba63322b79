"""Whether a program that the instance itself runs serves its port from where the simulated clock is not to be seen.

Such a program would wait for its events in real time, and they for it: it is said at once, once a process that no
message comes from has been seen to listen.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...instances.runtimes.strategy import CLOSED, Running, Started
from ...linux import procfs
from ...linux.kernel_waits import waits_of
from .launcher import Launch


class AskedBy(NamedTuple):
    """What had the instance itself run a program, for texts."""

    text: str
    without: str
    """What to do to have the program supervised."""

    @property
    def instead(self) -> str:
        return f"{self.without}, and the program is supervised, with all that it starts, on simulated time"

    @property
    def of_one_process(self) -> str:
        return f"{self.text} is for programs of one process: {self.instead}"


BY_IN_PROCESS: Final = AskedBy("in_process=True", "leave out in_process=True")


def by_launch(launch: Launch) -> AskedBy:
    """The same of a launcher's *launch*, whose command need not begin with a program where it has a script."""
    keyword = "script=" if launch.script is not None else "module="
    return AskedBy(
        f"{keyword} of its Launch", f"leave out {keyword} of its Launch, begin its command= with the interpreter"
    )


_LISTENS_IN_PYTHON: Final = {"uvloop": False, "gevent": True, "eventlet": True}
"""Loops in C, by the library, as ``real_time`` of an event names it: whether Python makes the listening socket of a
server in one, so that the init seems to end although nothing accepts connections."""


def served_in_real_time(launch: Launch, asked_by: AskedBy, instance: Running, event: Started) -> str | None:
    """Why no event can come to the program of *instance* on simulated time; None: nothing is known against it.

    To be asked of an instance that no message came from for a while, though it does not wait in its scheduler.
    """
    if instance.gone or not instance.pid:
        return CLOSED if instance.has_closed_channel() else None
    command = " ".join([os.path.basename(launch.command[0]), *launch.command[1:]])
    became = _became(instance)
    if became is not None:
        return (
            f"the program {command!r} became {became!r} by exec, and {asked_by.text} is for programs that stay in "
            f"one process: {asked_by.instead}"
        )
    ports = {launch.port, instance.control.port or launch.port}
    for child in instance.children.look():
        if child.name and _listens(child.pid, ports):  # a fork (pty.fork) has the sockets of its parent
            return (
                f"port {launch.port} is served by the child process {child} of the program {command!r}, and "
                f"{asked_by.of_one_process}"
            )
    if instance.has_closed_channel():
        return CLOSED
    for library, in_python in _LISTENS_IN_PYTHON.items():
        # Who listens first, and then polls, has one loop for both: a loop that has ended may have polled just before.
        if (
            library in event.real_time
            and _listens(instance.pid, ports)
            and (in_python or (event.phase == "init" and _polls(instance.pid)))
        ):
            return (
                f"port {launch.port} is served by a loop of {library}, which {asked_by.text} cannot put on simulated "
                f"time: {asked_by.instead}"
            )
    return None


def _became(instance: Running) -> str | None:
    """The command of the program that has taken the place of the instance's own."""
    if instance.channel_open:
        return None
    own = _words(instance.zygote.pid)
    now = _words(instance.pid)
    return None if not now or now == own else " ".join(now)  # a process that ends has none


def _polls(pid: int) -> bool:
    return any(wait.polls for wait in waits_of(pid).values())


def _words(pid: int) -> Sequence[str]:
    return [os.fsdecode(word) for word in procfs.command_of(pid).split(b"\0") if word]


def _listens(pid: int, ports: set[int]) -> bool:
    """Whether *pid* has a TCP socket that listens on one of *ports* in its network."""
    listening = {f"socket:[{inode}]" for inode in procfs.listening_inodes(pid, ports)}
    return bool(listening) and any(procfs.target_of(pid, fd) in listening for fd in procfs.descriptors_of(pid))
