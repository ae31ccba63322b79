"""The platform's runtime API (document 47274): a program asks for its events here, and sends their results and errors.

The server never blocks: its owner calls it again and again. If the program asks for an event and there is none, the
request gets no answer until there is one. While the program waits for that answer it does not hold the clock, unless
data is still in transit between the program and the server (`RuntimeApi.is_under_way`).
"""

from __future__ import annotations

import _socket
import json
import select
import socket
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...protocol import messages
from ...protocol.limits import RESULT_LIMIT
from ...protocol.shortening import shortened
from ...python.handler import LONGEST_TRACE
from .event_invoke import returned
from .program_client import ESTABLISHED, ProgramClient, Stream, TcpInfo

HOST: Final = "127.0.0.1"
PORT: Final = 9001
"""The port of the server in an instance's own network; in the machine's network the kernel chooses the port."""
HEAD_LIMIT: Final = 1 << 16
SHOWN: Final = 100
ERROR_LIMIT: Final = 1 << 18
"""How many characters of an error are kept, so that it fits into a message to the test's process."""
READY: Final = "/runtime/init/ready"
NEXT, RESPONSE, ERROR = "/runtime/invocation/next", "/runtime/invocation/response", "/runtime/invocation/error"
METHODS: Final = {READY: "POST", NEXT: "GET", RESPONSE: "POST", ERROR: "POST"}
VALID: Final = ", ".join(f"{method} {path}" for path, method in METHODS.items())
_OPENING = (2, 3)
_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 431: "Too Large"}

# Headers between this package's own runtimes and this server, for facts that the platform's API cannot express.
CONTEXT_WANTED: Final = "scf_async_context"
"""In ``next``: the answer is to have a header of this name, with the whole context and the event's own variables."""
FACT: Final = "scf_async_fact"
"""In ``error``: the kind of failure. In ``response``: a Python handler has returned that, so nothing is made of it. In
``ready``: the init has failed with that kind of failure; the body says why."""
MESSAGE: Final = "scf_async_message"
"""In ``error``: the message, quoted as in a URL; the body is the stack trace.

A Python traceback comes without this header: the test's process finds the message in it."""
_FACTS: Final = frozenset({"RAISED", "CODE_NOT_LOADED", "ENTRY_FILE_MISSING", "RESULT_NOT_JSON"})


class _Malformed(ValueError):
    """The data received is not a valid HTTP request; the text says why."""


class _Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    """The start of the body: at most one byte more than a result may have."""
    size: int
    """The length of the whole body in bytes."""
    stays: bool
    """Whether the connection stays open for the next request."""


class _Connection(Stream):
    """One connection of the program, with the request on it that is not complete yet."""

    def __init__(self, made: _socket.socket, counts: list[int]) -> None:
        super().__init__(made)
        self.counts = counts
        """How many bytes were received on it, how many were sent, and 1 if the server has closed it."""
        self.waits: _Request | None = None
        """The program's request for an event, if there is no event for it yet."""
        self.closes = False
        """It is to be closed once all data was sent."""
        self._received = bytearray()
        self._reader = self._requests()

    def take(self) -> None:
        """Receive what has come."""
        data = self.receive()
        self._received += data
        self.counts[0] += len(data)
        if data:  # a program that sends head and body apart would wait for the acknowledgement between them
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def give(self, data: bytes) -> None:
        """Send *data* next."""
        self.counts[1] += len(data)
        self.send(data)

    def request(self) -> _Request | None:
        """The next complete request, or None. Raises `_Malformed`."""
        return next(self._reader)

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    def _requests(self) -> Iterator[_Request | None]:
        """Yield each request, and None whenever more data has to be received first."""
        while True:
            line, headers = yield from self._head()
            method, path, version = line
            if "100-continue" in headers.get("expect", "").lower():
                self.give(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = bytearray()
            size = 0
            if "chunked" in headers.get("transfer-encoding", "").lower():
                while length := _number(str((yield from self._line()).partition(b";")[0], "latin-1"), 16):
                    size += yield from self._take(length, body)
                    yield from self._line()
                while (yield from self._line()):
                    pass  # trailers
            else:
                size = yield from self._take(_number(headers.get("content-length", "0"), 10), body)
            wish = headers.get("connection", "").lower()
            stays = "close" not in wish if version == "HTTP/1.1" else "keep-alive" in wish
            yield _Request(method, path, headers, bytes(body), size, stays)

    def _head(self) -> Any:
        while not (line := (yield from self._line())):
            pass
        words = line.decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _Malformed(f"{shortened(line.decode('latin-1'), SHOWN)!r} is not an HTTP/1.1 request")
        headers: dict[str, str] = {}
        while field := (yield from self._line()):
            name, _, value = field.decode("utf-8", "replace").partition(":")
            headers[name.strip().lower()] = value.strip()
            if sum(map(len, headers.values())) > HEAD_LIMIT:
                raise _Malformed("its head is too long")
        return words, headers

    def _line(self) -> Any:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > HEAD_LIMIT:
                raise _Malformed("its head is too long")
            yield None
        line = bytes(self._received[:end]).rstrip(b"\r")
        del self._received[: end + 1]
        return line

    def _take(self, length: int, into: bytearray) -> Any:
        """Consume *length* bytes of a body; bytes beyond what `_Request.body` keeps are dropped."""
        left = length
        while left:
            data = self._received[:left]
            del self._received[:left]
            into += data[: max(RESULT_LIMIT + 1 - len(into), 0)]
            left -= len(data)
            if left:
                yield None
        return length


def _number(text: str, base: int) -> int:
    try:
        number = int(text.strip(), base)
    except ValueError:
        number = -1
    if number < 0:
        raise _Malformed(f"{shortened(text, SHOWN)!r} is not a body length")
    return number


class RuntimeApi(ProgramClient):
    """The server of one instance.

    With *waits_for_program* `receive` returns an answer only when the program asks for its next event, because the work
    that the program does after it has sent the answer still belongs to the event. An owner that sees the whole program
    wait before that reads the answer from `answered`.
    """

    def __init__(self, *, own_network: bool, waits_for_program: bool) -> None:
        self._waits_for_program = waits_for_program
        self._listener = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((HOST, PORT if own_network else 0))
        except OSError:
            self._listener.bind((HOST, 0))  # a server of the test that the program connects to has that port
        self._listener.listen(128)
        self._listener.setblocking(False)
        self._port: int = self._listener.getsockname()[1]
        self.server = f"{HOST}:{self._port}"
        self._connections: list[_Connection] = []
        self._counts: dict[int, list[int]] = {}
        """The counts of each connection (`_Connection.counts`), closed ones too, by the port of the program's end."""
        self._ready = False
        self.init_failure: tuple[str, str] | None = None
        self._event: messages.Invoke | None = None
        self._fetched = False
        """The program has received the event."""
        self._wants_next = False
        """The program has asked for the next event since it sent its answer to this one."""
        self._notes: list[str] = []

    # -- for the owner -------------------------------------------------------------------------------------------------

    def variables(self, invocation: messages.Invoke | None) -> Mapping[str, str]:
        return {"SCF_RUNTIME_API": HOST, "SCF_RUNTIME_API_PORT": str(self._port)}

    def descriptors(self) -> dict[int, int]:
        polled = {self._listener.fileno(): select.POLLIN}
        for each in self._connections:
            polled |= each.descriptors()
        return polled

    def is_ready(self) -> bool:
        """Whether the program has reported that its init is over."""
        self._serve()
        return self._ready

    def ask(self, invocation: messages.Invoke) -> bool:
        """Give the program the event at once if it has asked for one, else when it asks."""
        self._event, self.answered = invocation, None
        self._fetched = self._wants_next = False
        self._serve()
        for connection in list(self._connections):
            if connection.waits is not None:
                request, connection.waits = connection.waits, None
                self._give_event(connection, request)
                self._close_if_done(connection)
        return True

    def receive(self) -> messages.Result | None:
        self._serve()
        if self.answered is None or (self._waits_for_program and not self._wants_next):
            return None
        return self._end()

    def last_answer(self, status: int) -> messages.Result | None:
        self._serve()
        return None if self.answered is None else self._end()

    def close(self) -> None:
        """Close the listener and all connections."""
        self._listener.close()
        for connection in self._connections:
            connection.socket.close()

    def _end(self) -> messages.Result | None:
        answer, self.answered = self.answered, None
        self._event = None
        return answer

    def take_notes(self) -> list[str]:
        notes, self._notes = self._notes, []
        return notes

    def is_under_way(self, port: int, info: TcpInfo) -> bool:
        if self._event is None and self._ready:
            return False  # the server reads nothing before the next event
        if info.state in _OPENING or info.not_sent:
            return True
        received, sent, closed = self._counts.get(port, (0, 0, 0))
        return bool(info.sent != received or info.received < sent or (closed and info.state == ESTABLISHED))

    # -- requests ------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Accept connections, and handle the requests that have been received."""
        while True:
            try:
                fd, (_, port, *_) = self._listener._accept()  # type: ignore[attr-defined]
            except OSError:
                break
            made = _socket.socket(fileno=fd)
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            counts = self._counts[port] = [0, 0, 0]
            self._connections.append(_Connection(made, counts))
        for connection in list(self._connections):
            connection.take()
            connection.send()
            try:
                while connection.waits is None and not connection.closes and (request := connection.request()):
                    self._take(connection, request)
            except _Malformed as error:
                connection.closes = True
                self._refuse(connection, 400, f"a request of the program was refused: {error}")
            self._close_if_done(connection)

    def _close_if_done(self, connection: _Connection) -> None:
        if connection.ended or connection.failure or (connection.closes and not connection.unsent):
            connection.counts[2] = 1
            connection.socket.close()
            self._connections.remove(connection)

    def _take(self, connection: _Connection, request: _Request) -> None:
        connection.closes = not request.stays
        path = request.path.partition("?")[0]
        asked = f"{request.method} {shortened(path, SHOWN)}"
        if path not in METHODS:
            self._refuse(connection, 404, f"{asked} is not a call of the runtime API, which has {VALID}")
        elif METHODS[path] != request.method:
            self._refuse(connection, 405, f"{asked} was refused: the runtime API has {METHODS[path]} {path}")
        elif path == READY:
            self._ready = True
            if (fact := request.headers.get(FACT)) in _FACTS:
                self.init_failure = fact, _whole(request)
            self._answer(connection)
        elif path == NEXT:
            self._wants_next = self.answered is not None
            if self._event is None or self._wants_next:
                connection.waits, connection.closes = request, False
            else:
                self._give_event(connection, request)
        else:
            self._pushed(connection, request, path)

    def _give_event(self, connection: _Connection, request: _Request) -> None:
        assert self._event is not None
        self._fetched = True
        context = self._event.context
        headers = {name: str(context[name]) for name in ("request_id", "memory_limit_in_mb", "time_limit_in_ms")}
        if CONTEXT_WANTED in request.headers:
            headers[CONTEXT_WANTED] = json.dumps([context, self._event.environment])
        connection.closes = not request.stays
        self._answer(connection, 200, self._event.payload.encode(), headers)

    def _pushed(self, connection: _Connection, request: _Request, path: str) -> None:
        why = self._why_ignored(request)
        if why:
            self._notes.append(f"POST {path} was ignored: {why}")
        elif path == RESPONSE:
            self.answered = _returned(request)
        else:
            self.answered = _failed(request)
        self._answer(connection)

    def _why_ignored(self, request: _Request) -> str:
        """Why a result or an error of the program is ignored; empty: it is the answer to the event."""
        if self._event is None or not self._fetched:
            return f"the program had not requested an event (GET {NEXT})"
        own = self._event.context["request_id"]
        given = request.headers.get("request_id", own)
        if given != own:
            return f"its request_id {shortened(given, SHOWN)!r} is not that of the event, {own}"
        return "the event already has its answer, and the first one counts" if self.answered is not None else ""

    def _refuse(self, connection: _Connection, status: int, why: str) -> None:
        self._notes.append(why)
        self._answer(connection, status, json.dumps({"message": why}, ensure_ascii=False).encode())

    def _answer(
        self,
        connection: _Connection,
        status: int = 200,
        body: bytes = b"",  # empty on success: curl would print it, and it would appear in the log
        headers: Mapping[str, str] | None = None,
    ) -> None:
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        if connection.closes:
            fields["Connection"] = "close"
        lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in fields.items())]
        connection.give("\r\n".join([*lines, "", ""]).encode() + body)
        self.sent += 1


def _returned(request: _Request) -> messages.Result:
    if request.size > RESULT_LIMIT:
        return messages.Result("RESULT_TOO_LARGE", size=request.size)
    if request.headers.get(FACT) == "RETURNED":  # it is JSON, but for NaN and Infinity, which Python's json writes
        return messages.Result("RETURNED", request.body.decode())
    return returned(request.body)


def _whole(request: _Request) -> str:
    """The body of a request by a runtime of ours, which has shortened it already."""
    return shortened(request.body.decode("utf-8", "replace"), LONGEST_TRACE + SHOWN)


def _failed(request: _Request) -> messages.Result:
    """The result of an event for which the program sent an error; the error's text is the platform's message."""
    fact = request.headers.get(FACT, "RAISED")
    if FACT in request.headers and MESSAGE not in request.headers:
        return messages.Result(fact if fact in _FACTS else "RAISED", trace=_whole(request))
    text = shortened(request.body.decode("utf-8", "replace"), ERROR_LIMIT)
    if MESSAGE not in request.headers:
        return messages.Result("RAISED", message=text)
    message = urllib.parse.unquote(request.headers[MESSAGE])
    return messages.Result(fact if fact in _FACTS else "RAISED", trace=text, message=message)
