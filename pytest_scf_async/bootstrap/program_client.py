"""How a program is spoken to that is no handler of this interpreter, without ever waiting for it."""

from __future__ import annotations

import _socket
import errno
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..protocol import messages
from ..protocol.sock_diag import SockDiag, unconfirmed
from .originals import real_poll

LOOPBACK_MS: Final = 1_000
"""Real milliseconds in which the kernel has answered for a port of the loopback; it takes some µs."""
LAST_WORDS_MS: Final = 1_000
"""Real milliseconds within which the final response of a program that has ended has come."""
INFO_BYTES: Final = 216
"""As much of ``struct tcp_info`` as there is to know; older kernels have less."""
_UNACKED: Final = 24
"""Where ``struct tcp_info`` has how much was not acknowledged."""


class Broken(NamedTuple):
    """There is no answer: the connection to the program is gone."""

    why: str


Answer = messages.Result | Broken
"""What has come of an event; whoever sends a `Result` on adds what it knows of the process."""


class ProgramClient(ABC):
    """What speaks with a program: asked again and again whether that is ready, and whether it has answered."""

    server = ""
    """Where it listens, as ``"127.0.0.1:9001"``, if the program connects to it; empty: it connects to the program."""
    starts_ready = False
    """Its init is over as soon as it runs."""
    sent = 0
    """How much has been sent before an event is: the program goes on when that grows."""
    init_failure: tuple[str, str] | None = None
    """Of a program that is ready: why its init has failed all the same, as a fact and a text."""
    answered: messages.Result | None = None
    """What has come of the event, of a program that goes on with it after that; `hear` gives it once it does not."""

    @property
    def connection(self) -> _socket.socket | None:
        """The one to the program that is open now."""
        return None

    def variables(self, invocation: messages.Invoke | None) -> Mapping[str, str]:
        """What the program finds in its environment, which is started for that event."""
        return {}

    @abstractmethod
    def descriptors(self) -> dict[int, int]:
        """What to poll, and for which events."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the init of the program is over."""

    def only_host(self) -> str:
        """The host on which it listens where nobody but itself can reach it; empty where it does not."""
        return ""

    @abstractmethod
    def ask(self, invocation: messages.Invoke) -> bool:
        """Send the event on its way; False where the program does not listen any more."""

    def await_arrival(self) -> None:  # noqa: B027  (few need it)
        """Until the kernel has brought the program what was sent: on a busy machine it takes its time."""

    @abstractmethod
    def receive(self) -> Answer | None:
        """What has come of the event; None: nothing yet."""

    def last_answer(self, status: int) -> messages.Result | None:
        """What a program that has ended, with *status* (of ``waitpid``), had answered before; None where it had not."""
        while is_readable(self.descriptors(), LAST_WORDS_MS):
            answer = self.receive()
            if answer is not None:
                return answer if isinstance(answer, messages.Result) else None
        return None

    def is_under_way(self, port: int, info: bytes) -> bool:
        """Whether something is between the program's end of a connection to `server` and this one.

        That end has *port*, and the kernel knows of it what *info* says (``tcp_info``).
        """
        return False

    def take_notes(self) -> list[str]:
        """What of the program's calls is to stand in the timeline, since the last time."""
        return []


def is_readable(descriptors: Mapping[int, int], timeout_ms: int = 0) -> bool:
    """Whether there is something at one of *descriptors* within so many real milliseconds."""
    poller = real_poll()
    for fd, events in descriptors.items():
        poller.register(fd, events)
    return bool(descriptors and poller.poll(timeout_ms))


def connect(
    address: tuple[str, int], prepare: Callable[[_socket.socket], object] | None = None
) -> _socket.socket | None:
    """A connection, which does not block, to a port of the loopback; None where nobody listens there."""
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


def tcp_info(connection: _socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)


def await_arrival(connection: _socket.socket) -> None:
    """Wait until the kernel has brought the other end what was sent: on a busy machine it takes its time."""
    for _ in range(LOOPBACK_MS):
        if not int.from_bytes(tcp_info(connection)[_UNACKED:][:4], "little"):
            return
        real_poll().poll(1)


def is_moving(connection: _socket.socket, sock_diag: SockDiag) -> bool:
    """Whether the kernel is still bringing something of a *connection* from one end to the other.

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
