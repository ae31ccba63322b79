"""Ports of the machine's loopback that instances with a network of their own find on theirs.

Connections are relayed by one thread a runtime, which starts with the first instance that has such ports: the test's
server, the test and the instance may all wait for each other.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading

from ...linux.linux import receive_descriptors
from ...protocol import messages

CHUNK = 1 << 16
FORWARD_LIMIT = 1.0
"""Real seconds that a call of the test waits for what has come: one side may send without an end."""
_real_selector = selectors.DefaultSelector


class _Connection:
    """Two sockets; what comes from one goes to the other."""

    def __init__(self, inside: socket.socket, outside: socket.socket) -> None:
        self.other = {inside: outside, outside: inside}
        self.unsent: dict[socket.socket, bytearray] = {inside: bytearray(), outside: bytearray()}
        """By who is to get it."""
        self.ended: set[socket.socket] = set()
        """Who sends no more."""
        self.reported_ends: set[socket.socket] = set()
        """Those of them whose end was reported to the other side."""


class PortForwarder:
    """Forwards the ports of one runtime's instances."""

    def __init__(self) -> None:
        self._selector = _real_selector()
        self._wakeup, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, self._be_woken)
        self._connections: dict[socket.socket, _Connection] = {}
        self._given: dict[socket.socket, list[socket.socket]] = {}
        """By the socket of an instance: the listening ones that came over it."""
        self._without_room: dict[socket.socket, int] = {}
        """Listening sockets, with their ports, that wait for the end of a connection: no descriptor was left."""
        self._numbers: dict[socket.socket, int] = {}
        """By the socket of an instance, and by each listening one: the number of that instance."""
        self._origins: dict[int, tuple[int, int]] = {}
        """By the port that a connection has outside: the number of the instance, and the port that it has there."""
        self._todo: list[socket.socket] = []
        self._asked: list[threading.Event] = []
        """Set once all that has come is forwarded."""
        self._closed = False
        self._thread: threading.Thread | None = None

    def open(self, number: int) -> int:
        """A descriptor for instance *number*: listening sockets that it sends there are relayed while it lives."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._numbers[ours] = number
        self._todo.append(ours)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pytest_scf_async port forwarder", daemon=True)
            self._thread.start()
        self._wake()
        return theirs.detach()

    def forward(self) -> None:
        """Wait until all that has come by now is forwarded; no longer than FORWARD_LIMIT."""
        if self._connections:
            done = threading.Event()
            self._asked.append(done)
            self._wake()
            done.wait(FORWARD_LIMIT)

    def origin(self, port: int) -> tuple[int, int] | None:
        """Where a connection comes from that has *port* here: the number of the instance, and the port there."""
        return self._origins.get(port)

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._wake()
            self._thread.join()
        self._selector.close()
        listening = [each for known in self._given.values() for each in known]
        for each in (self._wakeup, self._woken, *self._todo, *self._given, *listening, *self._connections):
            each.close()

    def _wake(self) -> None:
        self._wakeup.send(b"\0")

    def _run(self) -> None:
        while not self._closed:
            asked = list(self._asked)
            ready = self._selector.select(0 if asked else None)
            for key, events in ready:
                key.data(key.fileobj, events)
            if not ready:
                for done in asked:
                    done.set()
                    self._asked.remove(done)

    def _be_woken(self, woken: socket.socket, _: int) -> None:
        woken.recv(CHUNK)
        while self._todo:
            giver = self._todo.pop()
            self._given[giver] = []
            self._selector.register(giver, selectors.EVENT_READ, self._be_given)

    def _be_given(self, giver: socket.socket, _: int) -> None:
        """An instance hands a listening socket over, or has ended."""
        data, fds = receive_descriptors(giver, messages.RELAYED.size, 1)
        if not data:
            for each in (giver, *self._given.pop(giver)):
                if self._without_room.pop(each, None) is None:
                    self._selector.unregister(each)
                self._numbers.pop(each, None)
                each.close()
            return
        (port,) = messages.RELAYED.unpack(data)
        for fd in fds:
            listening = socket.socket(fileno=fd)
            listening.setblocking(False)
            self._given[giver].append(listening)
            self._numbers[listening] = self._numbers[giver]
            self._listen(listening, port)

    def _listen(self, listening: socket.socket, port: int) -> None:
        def accept(listening: socket.socket, _: int) -> None:
            self._accept(listening, port)

        self._selector.register(listening, selectors.EVENT_READ, accept)

    def _accept(self, listening: socket.socket, port: int) -> None:
        try:
            outside = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            self._wait_for_room(listening, port)
            return
        try:
            inside, address = listening.accept()
        except OSError as error:
            outside.close()
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._wait_for_room(listening, port)
            return
        connection = _Connection(inside, outside)
        for each in (inside, outside):
            each.setblocking(False)
            # A side that sends twice in a row, as in a handshake of TLS, would wait 40 ms for a late acknowledgement.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[each] = connection
        outside.bind(("127.0.0.1", 0))  # where it comes from is known before the server can ask
        self._origins[outside.getsockname()[1]] = (self._numbers[listening], address[1])
        outside.connect_ex(("127.0.0.1", port))  # a server whose queue is full keeps nobody but this connection waiting
        self._selector.register(outside, selectors.EVENT_WRITE, self._answered)

    def _wait_for_room(self, listening: socket.socket, port: int) -> None:
        self._selector.unregister(listening)  # else it would be ready for ever
        self._without_room[listening] = port

    def _answered(self, outside: socket.socket, _: int) -> None:
        """The test's server has taken the connection, or has refused it."""
        connection = self._connections[outside]
        if outside.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            self._drop(connection)  # as near to a refusal as can be had: the connection was accepted already
            return
        self._selector.unregister(outside)
        for each in connection.other:
            self._selector.register(each, selectors.EVENT_READ, self._pass_on)

    def _pass_on(self, speaker: socket.socket, events: int) -> None:
        connection = self._connections.get(speaker)
        if connection is None:
            return
        other = connection.other[speaker]
        try:
            if events & selectors.EVENT_READ and speaker not in connection.ended:
                data = speaker.recv(CHUNK)
                connection.unsent[other] += data
                if not data:
                    connection.ended.add(speaker)
            for listener in (speaker, other):
                unsent = connection.unsent[listener]
                if unsent:
                    try:
                        del unsent[: listener.send(unsent)]
                    except BlockingIOError:
                        pass
                if not unsent and connection.other[listener] in connection.ended - connection.reported_ends:
                    connection.reported_ends.add(connection.other[listener])
                    listener.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        if len(connection.ended) == len(connection.other) and not any(connection.unsent.values()):
            self._drop(connection)
            return
        for each in (speaker, other):
            wanted = selectors.EVENT_WRITE if connection.unsent[each] else 0
            if each not in connection.ended and len(connection.unsent[connection.other[each]]) < CHUNK:
                wanted |= selectors.EVENT_READ
            self._want(each, wanted)

    def _want(self, each: socket.socket, events: int) -> None:
        known = each.fileno() in self._selector.get_map()
        if events and known:
            self._selector.modify(each, events, self._pass_on)
        elif events:
            self._selector.register(each, events, self._pass_on)
        elif known:
            self._selector.unregister(each)

    def _drop(self, connection: _Connection) -> None:
        for each in connection.other:
            self._origins.pop(each.getsockname()[1], None)
            self._connections.pop(each, None)
            self._want(each, 0)
            each.close()
        while self._without_room:
            self._listen(*self._without_room.popitem())
