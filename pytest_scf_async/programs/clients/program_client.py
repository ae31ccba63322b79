"""Base of the clients of programs, which send a program its events and receive its answers without ever waiting."""

from __future__ import annotations

import _socket
import errno
import select
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ...linux.sock_diag import SockDiag, unconfirmed
from ...protocol import messages
from ...side.originals import real_poll

LOOPBACK_MS: Final = 1_000
"""Real milliseconds within which the kernel answers for a port of the loopback; it takes some µs."""
LAST_WORDS_MS: Final = 1_000
"""Real milliseconds within which the final response of a program that has ended comes."""
READ_BYTES: Final = 1 << 18
_TCP_INFO: Final = struct.Struct("=B23xI16xI4xI72xQ8xI52xQQ")
"""``struct tcp_info``, which has all of this since Linux 4.19: a zygote needs a later one (``pidfd_open``)."""


class Stream:
    """A connection of which no call waits."""

    def __init__(self, connection: _socket.socket) -> None:
        self.socket = connection
        self.unsent = memoryview(b"")
        self.failure = ""
        """Why nothing can be sent there, or comes, any more."""
        self.ended = False
        """Nothing comes any more."""

    def descriptors(self) -> dict[int, int]:
        """The descriptor to poll, with its events."""
        return {self.socket.fileno(): select.POLLIN | (select.POLLOUT if self.unsent else 0)}

    def send(self, data: bytes = b"") -> None:
        """Send what is unsent, and *data*, as far as that goes. After a failure, what was said before still comes."""
        if data:
            self.unsent = memoryview(bytes(self.unsent) + data)
        while self.unsent:
            try:
                self.unsent = self.unsent[self.socket.send(self.unsent, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                return
            except OSError as error:
                self.unsent, self.failure = memoryview(b""), error.strerror or str(error)

    def receive(self) -> bytes:
        """What has come."""
        found = bytearray()
        while not self.ended:
            try:
                data = self.socket.recv(READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                data, self.failure = b"", error.strerror or str(error)
            self.ended = not data
            found += data
        return bytes(found)


class TcpInfo(NamedTuple):
    """What the kernel knows of a connection."""

    state: int
    unacknowledged: int
    """Segments that were sent."""
    sent_ms: int
    """For how long nothing with data was sent, ..."""
    received_ms: int
    """... and nothing received."""
    received: int
    """Bytes."""
    not_sent: int
    """Bytes that are to be sent for the first time."""
    transmitted: int
    """Bytes that were sent, ..."""
    again: int
    """... and how many of them for another time."""

    @property
    def sent(self) -> int:
        """Bytes."""
        return self.transmitted - self.again


ESTABLISHED: Final = 1
"""The state while neither end has hung up."""


class Broken(NamedTuple):
    """The connection to the program is gone, and there is no answer."""

    why: str


Answer = messages.Result | Broken
"""The answer to an event; whoever sends a `Result` on adds what it knows of the process."""


class ProgramClient(ABC):
    """A client of one program; its owner asks again and again whether that is ready, and whether it has answered."""

    server = ""
    """Where it listens, as ``"127.0.0.1:9001"``, if the program connects to it; empty if it connects to the program."""
    starts_ready = False
    """The init of the program is over as soon as the program runs."""
    sent = 0
    """How much has been sent apart from events; the program goes on when that grows."""
    init_failure: tuple[str, str] | None = None
    """Why the init has failed of a program that is ready, as a fact and a text."""
    answered: messages.Result | None = None
    """The answer of a program that goes on with the event after it; `receive` returns it when that is over."""

    @property
    def connection(self) -> _socket.socket | None:
        """The connection to the program that is open."""
        return None

    def variables(self, invocation: messages.Invoke | None) -> Mapping[str, str]:
        """The variables that a program finds which is started for that event."""
        return {}

    @abstractmethod
    def descriptors(self) -> dict[int, int]:
        """The descriptors to poll, each with its events."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the init of the program is over."""

    def why_unreachable(self) -> str:
        """Why a program that listens cannot be reached; empty: it can, or does not listen yet."""
        return ""

    @abstractmethod
    def ask(self, invocation: messages.Invoke) -> bool:
        """Send the event; False if the program no longer listens."""

    def await_arrival(self) -> None:  # noqa: B027  (few need it)
        """Wait until the kernel has brought the program what was sent, which takes a while on a busy machine."""

    @abstractmethod
    def receive(self) -> Answer | None:
        """The answer to the event; None if there is none yet."""

    def last_answer(self, status: int) -> messages.Result | None:
        """The answer of a program that has ended with *status* (of ``waitpid``); None if it had not answered."""
        while is_readable(self.descriptors(), LAST_WORDS_MS):
            answer = self.receive()
            if answer is not None:
                return answer if isinstance(answer, messages.Result) else None
        return None

    def is_under_way(self, port: int, info: TcpInfo) -> bool:
        """Whether something is between this process and the program's end, at *port*, of a connection to `server`."""
        return False

    def take_notes(self) -> list[str]:
        """The lines for the timeline that came up since the last call."""
        return []


def is_readable(descriptors: Mapping[int, int], timeout_ms: int = 0) -> bool:
    """Whether one of *descriptors* is ready within so many real milliseconds."""
    poller = real_poll()
    for fd, events in descriptors.items():
        poller.register(fd, events)
    return bool(descriptors and poller.poll(timeout_ms))


def connect(
    address: tuple[str, int], prepare: Callable[[_socket.socket], object] | None = None
) -> _socket.socket | None:
    """A non-blocking connection to a port of the loopback; None if nobody listens there."""
    made = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        if prepare is not None:
            prepare(made)
        error = made.connect_ex(address)
        if error == errno.EINPROGRESS:
            poller = real_poll()
            poller.register(made.fileno(), select.POLLOUT)
            known = poller.poll(LOOPBACK_MS)
            error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if known else errno.ETIMEDOUT
    except OSError:
        made.close()
        raise
    if error != 0:
        made.close()
        return None
    return made


def tcp_info(connection: _socket.socket) -> TcpInfo:
    """What the kernel knows of a TCP *connection*; ``OSError``: it is none."""
    data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    return TcpInfo(*_TCP_INFO.unpack(data))


def await_arrival(connection: _socket.socket) -> None:
    """Wait until the kernel has brought the other end what was sent, which takes a while on a busy machine."""
    for _ in range(LOOPBACK_MS):
        if not tcp_info(connection).unacknowledged:
            return
        real_poll().poll(1)


def is_moving(connection: _socket.socket, sock_diag: SockDiag) -> bool:
    """Whether the kernel is still moving data of *connection* from one end to the other.

    Each end has read all that it has, and waits: what one of them has sent is in neither queue until the kernel gets to
    it, which on a busy machine takes its time.
    """
    try:
        other = sock_diag.other_end(connection)
        if other is None:
            return False
        return other.unconfirmed > 0 or (other.unread == 0 and unconfirmed(connection) > 0)
    except OSError:
        return False  # it has been reset
