"""What the kernel knows of one TCP socket of this network namespace, asked by its addresses (man 7 sock_diag).

The tables in ``/proc/net`` hold the same. The kernel walks all of its connections to write one, which takes ms, so they
are read only where sock_diag cannot be asked.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import socket
import struct
import sys
import termios
from typing import Any, Final, NamedTuple

from . import procfs

Address = tuple[Any, ...]
"""As ``socket.getsockname`` gives it."""

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_DONE: Final = 3
_REQUEST: Final = 1
_DUMP: Final = 0x300
HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBBxI")
_ENDS = struct.Struct("!HH16s16s")
_ANY_COOKIE: Final = bytes(4) + b"\xff" * 8
"""No interface is named, nor one certain socket."""
_ALL_STATES: Final = 0xFFFFFFFF
LISTENS: Final = 10
"""A state (TCP_LISTEN)."""
_OWN_ADDRESS: Final = HEADER.size + 4 + 4
"""Where an answer has the address of the socket, after what precedes the ends and the two ports."""
_LOOPBACK: Final = (
    (socket.AF_INET, "127.0.0.1", socket.inet_aton("127.0.0.1")),
    (socket.AF_INET, "127.0.0.1", socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")),
    (socket.AF_INET6, "::1", socket.inet_pton(socket.AF_INET6, "::1")),
)
"""By whom it is asked for, how it is written, and as the address of a socket."""
FIRST_NUMBERS: Final = HEADER.size + 4 + 48
"""Where an answer has five numbers, after the state and the ends: expires, unread, unconfirmed, the user, the inode."""
NUMBERS = struct.Struct("=5I")
_ERROR = struct.Struct("=i")
_ANSWER_BYTES: Final = 8192
_MAPPED: Final = "0000000000000000FFFF0000" if sys.byteorder == "little" else "00000000000000000000FFFF"
"""What an address of IPv4 has before it, on a socket of IPv6."""


class TcpEnd(NamedTuple):
    """One end of a connection."""

    inode: int
    """0: its process has closed it, or has not accepted it yet."""
    unread: int
    """Bytes that have come, and its process has not read."""
    unconfirmed: int
    """Bytes that its process has sent, and of which the kernel does not know yet that they have come."""


class SockDiag:
    """Asks the kernel of this process's network namespace."""

    def __init__(self) -> None:
        self._socket: _socket.socket | None = None
        self._is_served: bool | None = None
        """None: this was not asked yet."""
        self._requests = 0

    def other_end(self, connection: _socket.socket) -> TcpEnd | None:
        """The other end of a *connection* that has one, where it is in this network; None: it is not, or gone."""
        own, other, family = connection.getsockname(), connection.getpeername(), connection.family
        if not self.is_answered():
            return _in_tables(family, other, own)
        answer = self.query(family, other, own)
        if answer is None:
            return None
        _, unread, unconfirmed, _, inode = NUMBERS.unpack_from(answer, FIRST_NUMBERS)
        return TcpEnd(inode, unread, unconfirmed)

    def loopback_listener(self, port: int) -> str:
        """The loopback's address at which a socket listens on *port* and on no other address; empty: none does."""
        if not self.is_answered():
            return procfs.listens_on_loopback(port)
        for family, host, address in _LOOPBACK:
            answer = self.query(family, (host, port), ("::" if family == socket.AF_INET6 else "0.0.0.0", 0))
            if answer is None or answer[HEADER.size + 1] != LISTENS:
                continue
            if answer[_OWN_ADDRESS : _OWN_ADDRESS + len(address)] == address:
                return host
        return ""

    def close(self) -> None:
        """Ask no more."""
        if self._socket is not None:
            self._socket.close()

    def is_answered(self) -> bool:
        """Whether this kernel answers: one that does not says that each socket is unknown, and so has no states."""
        if self._is_served is None:
            try:
                kind, answer = self._exchange(socket.AF_INET, ("0.0.0.0", 0), ("0.0.0.0", 0), flags=_DUMP, states=0)
                self._is_served = kind == _DONE and _ERROR.unpack_from(answer, HEADER.size)[0] == 0
            except OSError:
                self._is_served = False
        return self._is_served

    def query(self, family: int, own: Address, other: Address) -> bytes | None:
        """What is said of the socket whose address is *own*, connected to *other*; None: there is none."""
        kind, answer = self._exchange(family, own, other, flags=0, states=_ALL_STATES)
        if kind == _SOCK_DIAG_BY_FAMILY:
            return answer
        (error,) = _ERROR.unpack_from(answer, HEADER.size)
        if -error not in (errno.ENOENT, errno.EINVAL):  # the second: the kernel has no IPv6
            raise OSError(-error, "sock_diag")
        return None

    def _exchange(self, family: int, own: Address, other: Address, *, flags: int, states: int) -> tuple[int, bytes]:
        """The kind of the answer, and all of it."""
        if self._socket is None:
            self._socket = _socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
            self._socket.connect((0, 0))
        self._requests += 1
        query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, states)
        query += _ENDS.pack(own[1], other[1], _packed(family, own), _packed(family, other)) + _ANY_COOKIE
        size = HEADER.size + len(query)
        self._socket.send(HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST | flags, self._requests, 0) + query)
        number = -1
        while number != self._requests:
            answer = self._socket.recv(_ANSWER_BYTES, socket.MSG_DONTWAIT)  # the kernel has answered within the send
            _, kind, _, number, _ = HEADER.unpack_from(answer)
        return kind, answer


def unconfirmed(connection: _socket.socket) -> int:
    """Bytes that were sent there, and of which the kernel does not know yet that they have come."""
    return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _packed(family: int, address: Address) -> bytes:
    return socket.inet_pton(family, address[0].partition("%")[0])


def _in_tables(family: int, own: Address, other: Address) -> TcpEnd | None:
    ends = [_in_table(family, own), _in_table(family, other)]
    mapped = [end.removeprefix(_MAPPED) for end in ends] if all(end.startswith(_MAPPED) for end in ends) else ends
    for table, wanted in (("tcp6", ends), ("tcp", mapped), ("tcp6", [_MAPPED + end for end in mapped])):
        for row in procfs.table_of_sockets(os.getpid(), table):
            if row[1:3] == wanted:
                unconfirmed, _, unread = row[4].partition(":")
                return TcpEnd(int(row[9]), int(unread, 16), int(unconfirmed, 16))
    return None


def _in_table(family: int, address: Address) -> str:
    """An address as the tables have it: words of 32 bits in the machine's order."""
    packed = _packed(family, address)
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
