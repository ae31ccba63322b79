"""What the test's process and the root of a sweep's branches send each other: lists of JSON, each behind its length.

The root is an instance that has run no user code. It forks one process after the other: a *scout* runs the handler,
and forks a *branch* at each point that is to be interrupted; a *resume* is the handler invoked again after that. All of
them write to one socket, and one of them alone runs at any time.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from . import linux

JsonObject = dict[str, Any]
_LENGTH = struct.Struct("<I")

SCOUT = -1
"""The number of the scout among the jobs. Others below 0 are scouts, too: those that go on behind a SIGTERM."""


class Prepare(NamedTuple):
    """What all branches have in common."""

    run_path: str
    """Where user code finds the run's directory."""
    home: str
    """The directory of the runs' directories, each of which has its number as its name while it is not `run_path`."""
    roots: list[str]
    exclude: list[str]
    invocations: list[JsonObject]
    """The event, and the next ones with which the function is invoked again: fields of ``messages.Invoke``."""
    waits_us: list[int]
    """Simulated time before each of them, from the end of the one before."""
    idle_reclaim_us: int
    """After that time an instance that is idle is no longer there."""
    expected: str
    """The result of the undisturbed run, as JSON."""
    init_timeout_us: int
    timeout_us: int
    real_timeout: float
    """Real seconds that one process may take."""
    core: int
    """The core on which the root and all that it forks run, until user code asks for others: one after the other, each
    finds in its caches what the one before has left."""


class Branch(NamedTuple):
    """An interruption at a point: a job of its own."""

    key: list[Any]
    """The point: file, name, first line, offset and number of a pass; or kind and number."""
    how: str
    """``"graceful"``, ``"forced"``, ``"timeout"``, ``"fault,…"``, or ``"scout"``: graceful, and then the branches of
    ``then``."""
    job: int
    then: list[list[Any]]
    """The branches of a scout."""


class Scout(NamedTuple):
    """Run the handler, and branch off at these points; its directory has this name."""

    state: str
    now_us: int
    branches: list[list[Any]]


class Resume(NamedTuple):
    """Invoke the function once more, in a new process: the event with the number *attempt*."""

    job: int
    state: int
    now_us: int
    attempt: int
    starts: int
    """Which one of the run's instances this is."""
    environment: dict[str, str]
    """What is in the environment for this event, as it begins at that time."""


class Verdict(NamedTuple):
    """Whether the result that was asked about is the one that is expected."""

    done: bool
    environment: dict[str, str]
    """What is in the environment for the next event, where one follows."""


class Begins(NamedTuple):
    """A job's process begins as a copy of its parent's; or it is invoked again, warm."""

    job: int
    copy_of: int
    """The job whose process was forked; the job itself, where it is invoked again."""
    now_us: int
    state: int
    attempt: int


class Happened(NamedTuple):
    """A record (its name and fields), or that the handler of SIGTERM was entered or left."""

    job: int
    now_us: int
    what: str
    name: str
    fields: JsonObject


class Ends(NamedTuple):
    """An event has ended by a fact (``model.Fact``)."""

    job: int
    now_us: int
    fact: str
    text: str | None
    trace: str | None
    tmp: list[str]
    """What is in its /tmp, where it was asked for."""


class Asks(NamedTuple):
    """Is this the result that is expected? The answer is a `Verdict`."""

    job: int
    next_us: int
    """When the next event would begin."""
    text: str


class Gone(NamedTuple):
    """A job's process has ended with that wait status."""

    job: int
    now_us: int
    status: int


class Cannot(NamedTuple):
    """A job cannot branch off: it has to be run from the beginning."""

    job: int
    why: str


class Done(NamedTuple):
    """What was asked for last has been done; those jobs of a scout that are not known by now were not reached."""


_CLASSES = (Prepare, Scout, Resume, Verdict, Begins, Happened, Ends, Asks, Gone, Cannot, Done)
_BY_NAME: dict[str, Any] = {each.__name__: each for each in _CLASSES}


def send(connection: socket.SocketType, message: Any) -> None:
    """Send one message whole."""
    data = json.dumps([type(message).__name__, *message], separators=(",", ":")).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(read: Callable[[int], bytes]) -> Any:
    """The next message of what *read* reads, as a file does; None at the end."""
    head = read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = read(size)
    if len(data) < size:
        return None
    name, *fields = json.loads(data)
    return _BY_NAME[name](*fields)


def read_exactly(connection: socket.SocketType, size: int) -> bytes:
    """Read *size* bytes, fewer at the end, and none that follow: those may be for another process."""
    parts = []
    while size:
        data = linux.receive(connection, min(size, 1 << 20))
        if not data:
            break
        parts.append(data)
        size -= len(data)
    return b"".join(parts)
