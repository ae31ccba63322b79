"""Connections of a traced program on which an answer is owed to it: they hold the clock.

``connect`` stops the thread, and from then on each send of that process does: a second filter is put under it, so that
a program which connects to nobody pays nothing for this. Who spoke last is known exactly: an answer is owed from the
``connect``, and from each send, until more has been received than there was then. Something that came may be a part of
an answer, so the connection holds for a moment longer. A peer of ``idle_ok`` may owe an answer for ever, so a
connection to it holds for a real second after each send at most.

The ages that the kernel keeps of the last segments are in ms, and do not order a fast exchange; they do not
show whether an idle connection has answered or a second request has just been sent.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ...linux import linux, procfs
from ...linux.sock_diag import SockDiag, TcpEnd, unconfirmed
from ...python import clock
from ..clients.program_client import TcpInfo, tcp_info
from .listeners import listener_at
from .tracee import read_memory

GRACE: Final = 0.1
"""Real seconds that a connection holds after something came. Nagle's algorithm and a delayed acknowledgement together
make 40 ms of this."""
IDLE_GRACE: Final = 1.0
"""Real seconds that a connection to a peer of ``idle_ok`` holds after each send, if no answer comes."""
_IPV4_BYTES: Final = 16
"""Of an address; none of a connection is shorter."""
_OPEN, _OPENING = (1, 4, 5), (2, 3)
"""``TCP_ESTABLISHED``, and the states of one on which the program sends no more, and may receive; and those before."""
_LOOPBACK_OF_BOTH: Final = "::ffff:"


@dataclass(eq=False)
class Connection:
    """One connection that a process has made."""

    fd: int
    """Where it had it at the last scan: a shell moves it (``read line </dev/tcp/127.0.0.1/6379``)."""
    inode: int
    received: int | None = None
    """How many bytes had been received when the program last sent something; None: it has sent nothing."""
    call: str = ""
    """The call of user code that has made it; empty: that is not known."""
    asked: str | None = None
    """The other end, with that call; empty: it is of the tree, or of this process; None: not known yet."""


def shown(address: bytes) -> str:
    """An address of IPv4 as the kernel has it in memory, as text."""
    return f"{socket.inet_ntoa(address[4:8])}:{int.from_bytes(address[2:4], 'big')}"


class Connections:
    """The connections of the processes of one tree."""

    def __init__(
        self,
        idle_ok: Iterable[str],
        own: Callable[[int], bool],
        server: tuple[str, Callable[[int, TcpInfo], bool]],
        sock_diag: SockDiag,
    ) -> None:
        """*own* says whether a socket, by its inode, is one of the tree's.

        *server* is the address at which this process itself serves the tree, and what says of a connection to it, by
        the port of the tree's end and what the kernel knows of that, whether something is under way: it holds then, and
        never as long as it waits for an answer.
        """
        self._idle_ok = frozenset(idle_ok)
        self._own = own
        self._server, self._is_under_way = server
        self._sock_diag = sock_diag
        self._by_process: dict[int, dict[int, Connection]] = {}
        """By their inodes."""
        self._answers_that_wait: set[int] = set()
        """Ports of the tree's ends of connections: the answers that are owed there wait on simulated time."""
        self._stirred_until: dict[str, float] = {}
        """By peer of ``idle_ok``: until when each connection to it holds the clock, on the real monotonic clock.

        What was sent on one of them may come on another: a message that the program publishes and has subscribed to.
        """
        self.held: list[str] = []
        """The peers of those that held the clock at the last scan."""
        self.idle = 0
        """How many with others outside did not: something may come there all the same."""

    def connects(self, pid: int, fd: int, address: int, length: int, call: str) -> bool:
        """A thread is about to connect, in that *call* of user code; whether it matters who speaks last there."""
        try:
            data = read_memory(pid, address, _IPV4_BYTES) if length >= _IPV4_BYTES else b""
        except OSError:
            return False
        family = int.from_bytes(data[:2], "little")
        if family not in (socket.AF_INET, socket.AF_INET6):
            return False
        inode = procfs.inode_of(pid, fd)
        if inode is None:
            return False
        connections = self._by_process.setdefault(pid, {})
        if not call and inode in connections:  # the call is made again
            call = connections[inode].call
        connections[inode] = Connection(fd, inode, call=call)
        return shown(data) != self._server

    def sends(self, pid: int, fd: int) -> str:
        """A thread is about to send something there. Returns who will owe an answer; empty: nobody outside."""
        connections = self._by_process.get(pid)
        inode = procfs.inode_of(pid, fd) if connections else None
        if not connections or inode not in connections:
            return ""
        connection = connections[inode]
        state = _state_of(pid, fd, self._sock_diag if connection.asked is None else None)
        if state is None:
            return ""
        connection.received = state.info.received
        if state.peer in self._idle_ok:
            self._stirred_until[state.peer] = clock.real_monotonic() + GRACE
        if connection.asked is None and state.port:  # else it is not made yet
            is_own = self._is_of_tree(pid, state)
            made = f" of {connection.call}" if connection.call else ""
            connection.asked = "" if is_own or state.peer == self._server else state.peer + made
        return connection.asked or ""

    def _is_of_tree(self, pid: int, state: _State) -> bool:
        """Whether a process of the tree has the other end, or is about to accept it."""
        if state.other is None:
            return False
        if state.other.inode:
            return self._own(state.other.inode)
        if self._sock_diag.is_answered():
            return self._own(listener_at(self._sock_diag, state.host, state.peer_port))
        return any(self._own(int(inode)) for inode in procfs.listening_inodes(pid, {state.peer_port}))

    def forked(self, parent: int, child: int) -> None:
        """A process has the connections of its parent."""
        if found := self._by_process.get(parent):
            self._by_process[child] = {inode: replace(each) for inode, each in found.items()}

    def answer_waits(self, port: int, waits: bool) -> None:
        """Whether the answer that is owed on the connection with that *port* waits on simulated time."""
        (self._answers_that_wait.add if waits else self._answers_that_wait.discard)(port)

    def forget(self, pid: int) -> None:
        """The process has ended."""
        self._by_process.pop(pid, None)

    def scan(self) -> bool:
        """See which hold the clock; whether the kernel still delivers something from one process to another."""
        self.held, self.idle, in_transit = [], 0, False
        for pid, connections in self._by_process.items():
            for connection in list(connections.values()):
                if procfs.inode_of(pid, connection.fd) != connection.inode and not _has_moved(pid, connection):
                    del connections[connection.inode]
                    continue
                state = _state_of(pid, connection.fd, self._sock_diag)
                if state is None:
                    continue
                other, held = state.other, self._holds(connection, state)
                if not (held or state.unconfirmed or (other is not None and other.unconfirmed)):
                    self.idle += state.peer != self._server
                    continue  # it is idle, whoever has the other end: to find that out costs as much as all before
                if other is not None and other.inode and self._own(other.inode):
                    in_transit = in_transit or other.unconfirmed > 0 or (state.unconfirmed > 0 and not other.unread)
                elif held:
                    self.held.append(state.peer)
        return in_transit

    def _holds(self, connection: Connection, state: _State) -> bool:
        """Whether the connection holds the clock."""
        info = state.info
        if state.peer == self._server:
            return self._is_under_way(state.port, info)
        if state.port in self._answers_that_wait:
            return False
        if info.state in _OPENING:
            return True
        if info.state not in _OPEN:
            return False
        is_owed, idle = info.received == connection.received, state.peer in self._idle_ok
        if is_owed and not (idle and info.sent_ms / 1000 >= IDLE_GRACE):
            return True
        if idle and clock.real_monotonic() < self._stirred_until.get(state.peer, 0.0):
            return True
        # Since it was made, where nothing has come: a server may speak first, and most of them are asked first.
        return info.received_ms / 1000 < GRACE


def _has_moved(pid: int, connection: Connection) -> bool:
    """Whether the process has the connection at another descriptor; it is known there from here on."""
    target = f"socket:[{connection.inode}]"
    for fd in procfs.descriptors_of(pid):
        if procfs.target_of(pid, fd) == target:
            connection.fd = fd
            return True
    return False


class _State(NamedTuple):
    """What the kernel knows of a connection."""

    host: str
    peer_port: int
    """The address of the other end, ..."""
    peer: str
    """... as it is shown."""
    port: int
    """Of this end."""
    info: TcpInfo
    unconfirmed: int
    """As of `TcpEnd`."""
    other: TcpEnd | None
    """The other end, where it is on this machine."""


def _state_of(pid: int, fd: int, sock_diag: SockDiag | None = None) -> _State | None:
    """What the kernel knows of a connection; None: it is none, or is none any more."""
    found = linux.copy_of_socket(pid, fd)
    if found is None:
        return None
    with found:
        try:
            info = tcp_info(found)
            on_the_way = unconfirmed(found)
        except OSError:
            return None
        try:
            own = found.getsockname()[1]
            host, port = found.getpeername()[:2]
            other = sock_diag.other_end(found) if sock_diag is not None else None
        except OSError as error:
            opening = error.errno == errno.ENOTCONN and info.state in _OPENING
            return _State("", 0, "a server", 0, info, on_the_way, None) if opening else None
    host = host.removeprefix(_LOOPBACK_OF_BOTH)
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _State(host, port, peer, own, info, on_the_way, other)
