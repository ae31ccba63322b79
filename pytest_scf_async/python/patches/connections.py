"""Decide which connections hold the clock: those on which another process owes this one an answer.

The calls of ``socket`` and ``ssl`` show who has sent last. An answer is owed while a connection is being made, until
its first byte has come, and from each send to the next receive. Data that has come may be a part of an answer, so the
connection holds the clock for a moment longer; of HTTP/1 the length of the answer is known. After that the connection
is idle, as one in a pool is, and holds nothing: if it did, no time would ever pass. Nobody owes anything on a
connection that this process has accepted.

The calls of code in C are seen for the rows of the timeline alone (``c_connections``). For its connections the kernel
keeps the ages of the last segments sent and received, in ms, which do not order a fast exchange: if the two are too
close, an answer is taken as owed.
"""

from __future__ import annotations

import _socket
import _thread
import math
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from ...linux import procfs
from ...protocol.messages import AnswerWaits
from ...protocol.shared_page import FIRST_PLACE, NO_PLACE
from ...protocol.shortening import shortened_list
from .. import c_connections, clock
from ..http_answers import MESSAGE, PING, PONG, START, Answer, Frames
from ..scheduler.scheduler import Waiter, scheduler

GRACE = 0.1
"""Real seconds for which a connection holds the clock after data has come, as the rest of an answer may follow. Nagle's
algorithm and a delayed acknowledgement take 40 ms of this."""
LONG_GRACE = 1.0
"""The same for a thread that blocks to receive more after it has sent a request itself, as such a connection is hardly
ever idle, and where the data is not seen (TLS of a library's own, or just after a handshake). Also the real seconds for
which a connection to a peer of ``idle_ok``, which may owe an answer for ever, holds the clock after each send."""
FOREVER = math.inf

_FEW = 3
"""How many connections a text names."""
_TIE_MS = 2
_HANDSHAKE = b"\x16"
_HEAD = b"HEAD "
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_CREDENTIALS = struct.Struct("3i")
_get_ident = _thread.get_ident
_own_pid = os.getpid
_fileno = _socket.socket.fileno
_kind: Any = _socket.socket.type.__get__

# Offsets of struct tcp_info.
_INFO_BYTES = 136
_LAST_SENT, _LAST_RECEIVED = 44, 52
_RECEIVED = 128
_STATE_OPENING = (2, 3)  # TCP_SYN_SENT, TCP_SYN_RECV

# What was last seen of a connection.
OPENED, SENT, PARTLY, CAME, WANING, QUIET = range(6)
"""Nothing has come yet; this side has sent last; a part of an HTTP answer has come; something has come; it holds the
clock until ``wanes_at``; it holds it no more."""

idle_peers: frozenset[str] = frozenset()
"""The peers of ``deploy(idle_ok=)``, which may owe an answer for ever."""
_answers_that_wait: set[int] = set()
"""Ports of this process's ends of connections whose answers wait on simulated time."""
own_hosts: frozenset[str] = frozenset()
"""Hosts whose sockets count as this process's own: the platform's, for an image's program."""


class Connection:
    """What is known of one socket from the calls that this process has made."""

    __slots__ = (
        "accepted", "answer", "asked_at", "asks_head", "decrypted", "inode", "last", "peer", "pinged", "place", "port",
        "received_frames", "seen", "sent_frames", "sent_to", "speaker", "stirred_until", "tls", "waits", "wanes_at",
    )  # fmt: skip

    def __init__(self, inode: int, *, accepted: bool = False, seen: bool = True) -> None:
        self.inode = inode
        self.accepted = accepted
        self.seen = seen
        """Its calls are seen, as Python has made it."""
        self.last = OPENED
        self.speaker = 0
        """The thread that has sent last on it."""
        self.tls = False
        """Only encrypted data is seen: what comes may be the tickets of a session, and no answer."""
        self.decrypted = False
        """The data inside TLS is seen, so that of the socket is ignored."""
        self.asks_head = False
        """The last request was a HEAD: its answer has no body."""
        self.answer: Answer | None = None
        """The HTTP answer that has come in part."""
        self.received_frames: Frames | None = None
        self.sent_frames: Frames | None = None
        """The frames of a WebSocket, once it is one."""
        self.pinged = False
        """A pong is owed for a ping that this side has sent."""
        self.asked_at = 0.0
        """When it was first seen that this side had sent last, on the real monotonic clock."""
        self.place = 0
        """That of the first wait for what is owed (`Readiness.place`), until more is sent: how many waits an answer
        takes the machine decides."""
        self.wanes_at = 0.0
        """In seconds of the real monotonic clock."""
        self.stirred_until = 0.0
        """Until when it holds the clock though nothing is owed on it, as what was sent on another may come on it."""
        self.peer: _Peer | None = None
        """The other end, once it is connected."""
        self.port = 0
        """The port of this end, once it is connected."""
        self.sent_to = ""
        """Where a socket for datagrams has sent last, written as in ``idle_ok``."""
        self.waits: list[Waiter] = []
        """The waiters that this socket may end; a send on another thread makes them look again."""


class _Peer(NamedTuple):
    text: str
    """What the connection is to a user; empty if its other end is this process's own."""
    idle: bool
    """It may owe an answer for ever."""
    kind: int
    family: int
    address: str = ""
    """The other end, if it is in the network and not this process's own."""


PATIENCE = 5.0
"""Real seconds after a request for which no timeout of a wait passes: some clients have one every 0.1 s."""


class Claim(NamedTuple):
    """A descriptor that others can make ready."""

    text: str
    """What it is to a user."""
    until: float | None
    """Until when it holds the clock, on the real monotonic clock; None if it does not."""
    connection: Connection | None = None
    not_before: float = 0.0
    """Until when no timeout of the wait passes, on the real monotonic clock."""
    peer: str = ""
    """The other end of a connection in the network, as ``"host:port"``."""


_connections: dict[int, Connection] = {}
"""By descriptor. If one was closed past Python, another inode shows it."""


# -- what the calls of Python say --------------------------------------------------------------------------------------


def use_idle_peers(peers: frozenset[str]) -> None:
    """Have *peers* owe answers for ever without holding the clock."""
    global idle_peers
    idle_peers = peers


def use_own_hosts(hosts: frozenset[str]) -> None:
    """Count sockets at *hosts* as this process's own."""
    global own_hosts
    own_hosts = hosts


def _note_that_it_speaks() -> None:
    """Have the test's process know that this one has spoken to another; a child that it starts is known already."""
    if scheduler.active:  # the zygote has no control page
        scheduler.control.spoke = 1


def opens(sock: Any) -> None:
    """Note that *sock* is about to be connected."""
    _note_that_it_speaks()
    fd = _fileno(sock)
    if fd >= 0 and (known := _connections.get(fd)) is None:
        _connections[fd] = Connection(os.fstat(fd).st_ino)
    elif fd >= 0 and known is not None and known.inode != (inode := os.fstat(fd).st_ino):
        _connections[fd] = Connection(inode)


def accepted(fd: int) -> None:
    """Note that *fd* is a connection that another process has made."""
    _note_that_it_speaks()
    _connections[fd] = Connection(os.fstat(fd).st_ino, accepted=True)


def sends(fd: int, data: Any) -> None:
    """Note that *data* is about to be sent on *fd*; the call itself refuses what cannot be sent."""
    clock.reads[0] = 0
    connection = _connections.get(fd)
    if connection is not None and not connection.decrypted:
        _traffic(fd, connection)
        if connection.last == OPENED:
            connection.tls = (_start_of(data) or b"")[:1] == _HANDSHAKE
        _says(fd, connection, data)


_report_traffic: Callable[[int, str], None] | None = None
"""Called before something is sent on a connection and after something was received there, while the sweep wants that;
what it raises the call raises."""


def report_traffic_to(report: Callable[[int, str], None] | None) -> None:
    """Call *report* with the descriptor and the other end of each connection on which something is sent or received."""
    global _report_traffic
    _report_traffic = report


def _traffic(fd: int, connection: Connection) -> None:
    if _report_traffic is not None and connection.seen:
        _report_traffic(fd, "" if connection.peer is None else connection.peer.text)


def sends_unseen(fd: int) -> None:
    """Note that data is about to be sent on *fd* which the call does not show."""
    connection = _connections.get(fd)
    if connection is not None:
        connection.sent_frames = None  # it is not known where the next frame begins
        sends(fd, b"")


def sent(fd: int, data: Any, count: int) -> None:
    """Note that the first *count* bytes of *data* were sent on *fd*."""
    connection = _connections.get(fd)
    if connection is not None and not connection.decrypted:
        _said(connection, data, count)


def _says(fd: int, connection: Connection, data: Any) -> None:
    start = _start_of(data)
    if start is None:
        return
    if connection.sent_frames is not None:
        kinds = connection.sent_frames.copy().feed(bytes(data))
        if kinds & PING:
            connection.pinged = True
            _look_again(connection)
        if not kinds & MESSAGE:
            return  # nobody answers a pong
    connection.asks_head = start == _HEAD or (connection.asks_head and connection.last == SENT)
    connection.last = SENT
    connection.speaker = _get_ident()
    connection.answer = None
    connection.asked_at = 0.0
    connection.place = 0
    if connection.waits:
        _look_again(connection)
    if idle_peers:
        _may_stir_others(fd, connection)


def _said(connection: Connection, data: Any, count: int) -> None:
    if connection.sent_frames is not None:
        connection.sent_frames.feed(bytes(data)[:count])


def _start_of(data: Any) -> bytes | None:
    """As much of *data* as shows what it is; None if it cannot be sent."""
    if type(data) is bytes:
        return data[: len(_HEAD)]
    try:
        with memoryview(data) as view, view.cast("B") as octets:
            return bytes(octets[: len(_HEAD)])
    except (TypeError, BufferError):
        return None


def sends_to_anybody(sock: Any, data: Any, address: Any = None) -> None:
    """Note that *data* is about to be sent on *sock*, to *address* if it is a socket for datagrams."""
    fd = _fileno(sock)
    if fd not in _connections and _kind(sock) == socket.SOCK_DGRAM:
        opens(sock)
    named = isinstance(address, tuple) and len(address) > 1 and isinstance(address[0], str)
    if idle_peers and named and fd in _connections:
        host = address[0] if address[0] != "localhost" else "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"
        _connections[fd].sent_to = shown((host, *address[1:]))
    sends(fd, data)


def came(fd: int, data: Any) -> None:
    """Note that *data* was received on *fd*; if it is empty, that is the end of the connection."""
    if len(data):
        clock.reads[0] = 0
    connection = _connections.get(fd)
    if connection is not None and not (connection.decrypted and len(data)):
        _traffic(fd, connection)
        _came(fd, connection, data)


def _came(fd: int, connection: Connection, data: Any) -> None:
    if idle_peers:
        _may_stir_others(fd, connection)
    if connection.received_frames is not None and len(data):
        _frames_came(connection, connection.received_frames, bytes(data))
        return
    answer = connection.answer
    if answer is None and connection.last == SENT and len(data) and START.startswith(bytes(data[: len(START)])):
        answer = connection.answer = Answer(without_body=connection.asks_head)
    if answer is None:
        connection.last = CAME
        return
    answer.feed(bytes(data))
    owed = answer.owed
    connection.last = PARTLY if owed else CAME if owed is None else QUIET
    if answer.ended:
        connection.answer = None
        if answer.is_websocket:
            connection.received_frames, connection.sent_frames = Frames(), Frames()
            _frames_came(connection, connection.received_frames, answer.rest)


def _frames_came(connection: Connection, frames: Frames, data: bytes) -> None:
    kinds = frames.feed(data)
    if kinds & PONG:
        connection.pinged = False
    if kinds & MESSAGE:  # a ping and a pong answer nothing else
        connection.last = PARTLY if frames.in_message else CAME


class Layer(NamedTuple):
    """TLS on a connection by an object without a socket, whose bytes a loop of asyncio sends and receives."""

    fd: int
    connection: Connection

    def sends(self, data: Any) -> None:
        self.connection.tls = False
        _says(self.fd, self.connection, data)

    def sent(self, data: Any, count: int) -> None:
        _said(self.connection, data, count)

    def came(self, data: Any) -> None:
        self.connection.tls = False
        _came(self.fd, self.connection, data)


def layer_on(fd: int) -> Layer | None:
    """The layer of the TLS whose handshake on *fd* is over; None if its data is seen already."""
    connection = _connections.get(fd)
    if connection is None or connection.decrypted or not connection.tls:
        return None
    connection.decrypted = True
    connection.last = CAME
    return Layer(fd, connection)


def answer_waits(message: AnswerWaits) -> list[Waiter]:
    """Note whether the answer on a connection waits on simulated time; the waiters that it concerns."""
    (_answers_that_wait.add if message.waits else _answers_that_wait.discard)(message.port)
    return [waiter for each in tuple(_connections.values()) if each.port == message.port for waiter in each.waits]


def waits_on_simulated_time(claim: Claim) -> bool:
    """Whether *claim* is of an answer that waits on simulated time."""
    return claim.connection is not None and claim.connection.port in _answers_that_wait


def closes(fd: int) -> None:
    """Forget *fd*, which is about to be closed: its number may become another's."""
    _connections.pop(fd, None)


def forget_waits() -> None:
    """Forget the waiters, in a forked child, whose only thread waits for nothing."""
    for connection in _connections.values():
        connection.waits = []
        connection.peer = None  # it may be the parent


def _may_stir_others(fd: int, connection: Connection) -> None:
    """Have idle connections to the same peer of ``idle_ok`` as *fd*'s hold the clock for a moment.

    What is sent on one of them may come on another: a message that this process publishes and has subscribed to.
    """
    if connection.peer is None:
        claim_of(fd)
    peer = connection.peer
    if peer is None or not peer.idle:
        return
    until = clock.real_monotonic() + GRACE
    for other in tuple(_connections.values()):
        if other is not connection and other.peer == peer and other.waits:
            other.stirred_until = until
            _look_again(other)


def _look_again(connection: Connection) -> None:
    from ..scheduler.scheduler import scheduler  # noqa: PLC0415  (it imports what imports this module)

    for waiter in tuple(connection.waits):
        scheduler.wake(waiter)


def answers_in_c() -> str:
    """On what the main thread has got answers in C since the last call, to be put behind a name; empty: it has not."""
    found = c_connections.answered()
    texts = [_peer_in_c(there) for fd, there in found if fd not in _connections or not _connections[fd].seen]
    return f" on {shortened_list(texts, _FEW)}" if texts else ""


def _peer_in_c(there: bytes) -> str:
    """The other end of a connection, by its address as the kernel has it."""
    family = int.from_bytes(there[:2], sys.byteorder)
    if family not in _INTERNET:
        return "a Unix socket"
    packed = there[4:8] if family == socket.AF_INET else there[8:24]
    return f"a connection to {shown((socket.inet_ntop(family, packed), int.from_bytes(there[2:4], 'big')))}"


# -- in which order --------------------------------------------------------------------------------------------------


def owed(claims: list[Claim]) -> list[Claim]:
    """Those of *claims* to which others owe something."""
    return [claim for claim in claims if claim.until == FOREVER]


def place_of(claims: list[Claim], next_place: Callable[[], int]) -> int:
    """The place of a wait for *claims* among those of the runtime: that of the first answer that is owed.

    A process that has accepted a connection of another waits for none: that one may wait for its answer.
    """
    if claims and not owed(claims):
        return NO_PLACE
    if any(each.accepted and each.peer is not None and each.peer.text for each in tuple(_connections.values())):
        return FIRST_PLACE
    asked = [claim.connection for claim in owed(claims) if claim.connection is not None and claim.connection.seen]
    for connection in asked:
        connection.place = connection.place or next_place()
    return min((connection.place for connection in asked), default=0) or next_place()


# -- who holds ---------------------------------------------------------------------------------------------------------


class _Borrowed(_socket.socket):
    """Made of another's descriptor, which it never closes."""

    def __del__(self) -> None:
        self.detach()


def borrow(fd: int) -> _socket.socket:
    """A socket object of another's descriptor, for its methods; the caller detaches it."""
    blocks = os.get_blocking(fd)
    made = _Borrowed(fileno=fd)
    if blocks:
        os.set_blocking(fd, True)  # a default timeout has made it non-blocking
    return made


def claim_of(fd: int, *, receives: bool = False) -> Claim | None:
    """What the socket *fd* is to a user, if others can make it ready; None if only this process can.

    A socket that listens counts as the process's own, as the clock would never move in a server otherwise. With
    *receives* the calling thread blocks to receive something.
    """
    try:
        inode = os.fstat(fd).st_ino
        connection = _connections.get(fd)
        if connection is None or connection.inode != inode:
            connection = _connections[fd] = Connection(inode, seen=False)
        if not connection.seen:
            c_connections.waited_for(fd)
        if connection.peer is not None and connection.seen:  # only until when it holds changes
            return _claim(connection, connection.peer, None, receives)
        borrowed = borrow(fd)
    except OSError:
        return None  # closed meanwhile
    try:
        if borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        peer = _peer_of(borrowed)
        if peer is None:
            return _unconnected(borrowed, connection)
        connection.peer = peer
        if peer.family in _INTERNET:
            connection.port = borrowed.getsockname()[1]
        return _claim(connection, peer, borrowed, receives)
    except OSError:
        return None  # closed meanwhile
    finally:
        borrowed.detach()


def _peer_of(sock: _socket.socket) -> _Peer | None:
    """The other end of *sock*; None if it is not connected yet."""
    here = sock.getsockname()
    try:
        there = sock.getpeername()
    except OSError:
        return None
    if sock.family == socket.AF_UNIX:
        pid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        own = pid == _own_pid() or not (here or there)
        text = "" if own else f"a Unix socket{f' at {there or here!r}' if there or here else ''}"
        return _Peer(text, False, sock.type, sock.family)
    if sock.family not in _INTERNET:
        return _Peer("a socket", False, sock.type, sock.family)
    own = there[0].removeprefix("::ffff:") in own_hosts or _is_here(sock.type, there, here)
    address = "" if own else shown(there)
    text = f"a connection to {address}" if address else ""
    return _Peer(text, shown(there) in idle_peers, sock.type, sock.family, address)


def _unconnected(sock: _socket.socket, connection: Connection) -> Claim:
    """A socket without another end: one that is being connected, or one for datagrams."""
    if sock.family in _INTERNET and sock.type == socket.SOCK_DGRAM:
        until = _holds_until(connection, connection.sent_to in idle_peers)
        return Claim(f"a UDP socket at {shown(sock.getsockname())}", until, connection)
    text = "a Unix socket" if sock.family == socket.AF_UNIX else "a socket without a connection yet"
    return Claim(text, FOREVER, connection)


def _claim(connection: Connection, peer: _Peer, sock: _socket.socket | None, receives: bool) -> Claim | None:
    if not peer.text:
        return None
    if connection.port in _answers_that_wait:
        return Claim(peer.text, None, connection, peer=peer.address)
    if connection.seen:
        until = _holds_until(connection, peer.idle, receives)
    elif sock is not None and peer.family in _INTERNET and peer.kind == socket.SOCK_STREAM:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        until = _by_the_kernel(info, peer.idle)
        connection.asked_at = clock.real_monotonic() - int.from_bytes(info[_LAST_SENT:][:4], sys.byteorder) / 1_000
    else:
        until = None if peer.idle else FOREVER
    if connection.stirred_until and connection.stirred_until > max(until or 0.0, clock.real_monotonic()):
        until = connection.stirred_until
    not_before = 0.0
    if until == FOREVER and connection.seen and connection.last in (SENT, PARTLY):
        connection.asked_at = connection.asked_at or clock.real_monotonic()
    if until == FOREVER and connection.asked_at:
        not_before = connection.asked_at + PATIENCE
    return Claim(peer.text, until, connection, not_before, peer.address)


def _holds_until(connection: Connection, idle: bool, receives: bool = False) -> float | None:
    last = connection.last
    if connection.pinged and not idle:
        return FOREVER
    if last == QUIET:
        return None
    now = clock.real_monotonic()
    if last == WANING:
        if now < connection.wanes_at:
            return connection.wanes_at
        connection.last = QUIET
        return None
    if last == OPENED and idle:
        return None
    if last in (OPENED, SENT, PARTLY) and not (idle or connection.accepted):
        return FOREVER
    connection.last = WANING
    waits_for_rest = connection.tls or (receives and connection.speaker == _get_ident())
    connection.wanes_at = now + (LONG_GRACE if waits_for_rest or (idle and last == SENT) else GRACE)
    return connection.wanes_at


def _by_the_kernel(info: bytes, idle: bool) -> float | None:
    """The same for a connection whose calls are not seen, by its TCP_INFO."""
    if len(info) < _INFO_BYTES or info[0] in _STATE_OPENING:
        return FOREVER
    (sent,) = struct.unpack_from("=I", info, _LAST_SENT)
    (received,) = struct.unpack_from("=I", info, _LAST_RECEIVED)
    (amount,) = struct.unpack_from("=Q", info, _RECEIVED)
    if idle:
        left = LONG_GRACE - sent / 1_000
    elif amount and received + _TIE_MS <= sent:
        left = GRACE - received / 1_000
    else:
        return FOREVER
    return clock.real_monotonic() + left if left > 0 else None


def shown(address: Any) -> str:
    """*address* as it is written in ``idle_ok``."""
    host, port = address[:2]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_here(kind: int, there: Any, here: Any) -> bool:
    """Whether the other end of a connection, at the address *there*, is a socket of this process, or will be one."""
    if there[0] != here[0] and not there[0].startswith(("127.", "::1", "::ffff:127.")):
        return False
    for fd in procfs.descriptors_of("self"):
        if not procfs.target_of("self", fd).startswith("socket:"):
            continue
        try:
            other = borrow(fd)
        except OSError:
            continue
        try:
            if other.family not in _INTERNET or other.type != kind:
                continue
            address = other.getsockname()
            if address[1] != there[1]:
                continue
            if other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                if address[0] in (there[0], "0.0.0.0", "::"):  # it has not accepted the connection yet
                    return True
            elif address[:2] == there[:2] and other.getpeername()[:2] == here[:2]:
                return True
        except OSError:
            continue
        finally:
            other.detach()
    return False
