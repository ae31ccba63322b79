"""Whether an image's program that is to be on the simulated clock serves its port from where that is not to be seen.

Such a program would wait for its events in real time, and they for it: it is said at once, once a process that no
message comes from has been seen to listen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ...lockstep.event import Event
from ...protocol import messages
from ...protocol.kernel_waits import waits_of
from ..instance import Instance

_LISTENS = "0A"
"""How ``/proc/net/tcp`` writes the state of a socket that listens."""
_INSTEAD = 'or let the program be free-running, in real time, as with command=["python", "-E", ...]'


def served_in_real_time(instance: Instance, event: Event) -> str | None:
    """Why no event can come to the program of *instance* on simulated time; None: nothing is known against it.

    To be asked of an instance that no message came from for a while, though it does not wait in its door.
    """
    launch = event.function.launch
    if launch is None or launch.free_running or instance.gone or not instance.pid:
        return None
    command = " ".join([os.path.basename(launch.command[0]), *launch.command[1:]])
    became = _became(instance)
    if became is not None:
        return (
            f"the program {command!r} became {became!r} by exec, and another program cannot be put on the simulated "
            f"clock from inside: name that one in command=, with its environment in environment=, {_INSTEAD}"
        )
    ports = {launch.port, int(instance.control[messages.CONTROL_PORT]) or launch.port}
    for child in instance.children.look():
        if child.name and _listens(child.pid, ports):  # a fork is a member, or about to be one
            return (
                f"port {launch.port} is served by the child process {child} of the program {command!r}, which sees "
                "real time: serve from one process, without a reloader (Flask: debug=False or use_reloader=False; "
                f"uvicorn: no --reload and no --workers; hypercorn: -w 0), or from forks, as gunicorn does, {_INSTEAD}"
            )
    if "uvloop" in event.real_time and event.phase == "init" and _polls(instance.pid) and _listens(instance.pid, ports):
        return (
            f"port {launch.port} is served by a loop of uvloop, which cannot be put on simulated time: have the "
            f"program use the loop of asyncio in tests (uvicorn: --loop asyncio), {_INSTEAD}"
        )
    return None


def _became(instance: Instance) -> str | None:
    """The command of the program that has taken the place of the instance's own."""
    if instance.channel_open:
        return None
    own = _words(instance.zygote.pid)
    now = _words(instance.pid)
    return None if not now or now == own else " ".join(now)  # a process that ends has none


def _polls(pid: int) -> bool:
    return any(wait.polls for wait in waits_of(pid).values())


def _words(pid: int) -> Sequence[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0") if word]
    except OSError:
        return ()


def _listens(pid: int, ports: set[int]) -> bool:
    """Whether *pid* has a TCP socket that listens on one of *ports* in its network."""
    listening = {f"socket:[{inode}]" for inode in _listening(pid, ports)}
    return bool(listening) and any(link in listening for link in _descriptors(pid))


def _listening(pid: int, ports: set[int]) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue  # it is gone, or has no such network
        yield from (row[9] for row in rows if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) in ports)


def _descriptors(pid: int) -> Iterator[str]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
