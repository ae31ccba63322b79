"""The client of an image's program: ``POST /event-invoke`` on its port (document 56051), without ever waiting.

Who owns this asks it again and again: whether the program listens, and whether it has answered.
"""

from __future__ import annotations

import _socket
import binascii
import contextlib
import http.client
import io
import json
import select
import socket

from ...linux.sock_diag import SockDiag
from ...protocol import messages
from ...protocol.limits import RESULT_LIMIT
from ...protocol.shortening import shortened
from ...side.originals import real_poll
from .. import bind_filter
from .program_client import (
    ESTABLISHED,
    LOOPBACK_MS,
    Answer,
    Broken,
    ProgramClient,
    Stream,
    await_arrival,
    connect,
    tcp_info,
)

PATH = "/event-invoke"
LOCALHOST = "127.0.0.1"
OUTSIDE = "127.0.0.2"
"""An address of the loopback that, like the platform's, does not reach a program which listens on 127.0.0.1 only."""
CLIENT = "127.0.0.3"
"""The address from which connections to the program come."""
CLIENT_PORT = 50_000
"""The port from which the first event comes; fixed, as programs log it, and logs are the same in every run."""
SHOWN = 2000
"""How many characters of an answer that is an error are shown."""
HEAD_LIMIT = 1 << 16


class EventInvokeClient(ProgramClient):
    """The connections to one program, one for each event."""

    def __init__(
        self, port: int, client_port: int = 0, *, shares_network: bool = False, is_forwarded: bool = False
    ) -> None:
        """*client_port* is where the first connection comes from, the next one from the next; 0: from any.

        A program that *shares_network* with the machine may have been bound to the loopback by the reaper. A port that
        *is_forwarded* by a container engine is reached from and at 127.0.0.1 alone.
        """
        self.shown_port = port
        self._shares_network = shares_network
        self._is_forwarded = is_forwarded
        self.address = (LOCALHOST if is_forwarded else OUTSIDE), port
        self.client: tuple[str, int] | None = None
        """The address of this end of the open connection."""
        self._client_port = client_port
        self._stream: Stream | None = None
        self._response = bytearray()
        self._received = 0
        """How many bytes have come on this connection, with those that were dropped."""

    def use_port(self, port: int) -> None:
        """Reach the program at *port* of 127.0.0.1."""
        self.address = LOCALHOST, port

    @property
    def connection(self) -> _socket.socket | None:
        return None if self._stream is None else self._stream.socket

    def descriptors(self) -> dict[int, int]:
        """The descriptors to poll, each with its events."""
        return {} if self._stream is None else self._stream.descriptors()

    def is_ready(self) -> bool:
        """Whether the program listens; the connection that found this out serves the next event."""
        if self._stream is None:
            address = self.address
            if self._shares_network and bind_filter.asked_for_all(address[1]):
                address = LOCALHOST, address[1]
            binds = None if self._is_forwarded else lambda made: _bind(made, self._client_port)
            connection = connect(address, prepare=binds)
            if connection is None:
                return False
            self._stream, self.client = Stream(connection), connection.getsockname()
            if self._client_port:
                self._client_port += 1
        return True

    def only_host(self) -> str:
        """The host on which the program listens, if only itself can reach that; else empty."""
        if self._is_forwarded:
            return ""
        # Looked up, not tried: a program that serves one connection would have served that one.
        with contextlib.closing(SockDiag()) as sock_diag:
            host = sock_diag.loopback_listener(self.address[1])
        return "" if host and self.is_ready() else host  # it may have begun to listen after the last look

    def why_unreachable(self) -> str:
        host = self.only_host()
        return only_localhost(host, self.shown_port) if host else ""

    def ask(self, invocation: messages.Invoke) -> bool:
        """Send the event; False if the program no longer listens."""
        if not self.is_ready() or self._stream is None:
            return False
        body = invocation.payload.encode()
        headers = {**_headers(invocation), "Content-Length": len(body)}
        lines = [f"POST {PATH} HTTP/1.1", f"Host: {LOCALHOST}:{self.shown_port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._response.clear()
        self._received = 0
        self._stream.send("\r\n".join([*lines, "", ""]).encode() + body)
        return True

    def await_arrival(self) -> None:
        """Wait until the kernel has brought the program what was sent, which takes a while on a busy machine."""
        if self._stream is not None:
            await_arrival(self._stream.socket)

    def has_received_all(self, end: _socket.socket) -> bool:
        """Whether all has come that was ever sent from *end*, the program's end, and neither end has anything to do."""
        info, unsent = tcp_info(end), self._stream is not None and self._stream.unsent
        return info.state == ESTABLISHED and info.sent == self._received and info.received > 0 and not unsent

    def await_what_was_said(self, end: _socket.socket | None) -> bool:
        """Wait until all has come that was sent from *end*, the program's end of the connection; whether it has.

        None: the other end has been closed, and that is what comes last.
        """
        if self._stream is None:
            return True
        if end is None:
            poller = real_poll()
            poller.register(self._stream.socket.fileno(), select.POLLRDHUP)
            return bool(poller.poll(LOOPBACK_MS))
        sent = tcp_info(end).sent
        for _ in range(LOOPBACK_MS):
            if tcp_info(self._stream.socket).received >= sent:
                return True
            real_poll().poll(1)
        return False

    def receive(self) -> Answer | None:
        """The answer to the event, once it is complete."""
        if self._stream is None:
            return None
        self._stream.send()
        if not self._receive_bytes(self._stream) or not _is_complete(self._response, self._stream.ended):
            return None
        answer = _result_of(bytes(self._response))
        self.close()
        return answer

    def receive_final_response(self) -> messages.Result | None:
        """The answer of a program that is about to end, which ends the answer as well; None if there is none."""
        if self._stream is None:
            return None
        self._receive_bytes(self._stream)
        answer = _result_of(bytes(self._response)) if self._response else None
        if answer is None or isinstance(answer, Broken):
            return None
        self.close()
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            self._stream.socket.close()
            self._stream = None

    def _receive_bytes(self, stream: Stream) -> bool:
        """Receive what has come; whether there was anything."""
        data = stream.receive()
        self._response += data
        self._received += len(data)
        _drop_interim(self._response)
        return stream.ended or bool(data)


def only_localhost(host: str, port: int) -> str:
    """Why a program that listens on *host* only cannot be reached."""
    shown = f"[{host}]" if ":" in host else host
    return (
        f"the program listens on {shown}:{port} only, where the platform cannot reach it: it must listen on "
        f"0.0.0.0:{port} (document 56051)"
    )


def _bind(made: _socket.socket, client_port: int) -> None:
    if client_port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((CLIENT, client_port))
            return
        except OSError:
            pass  # somebody of this machine's network has it
    made.bind((CLIENT, 0))


def _headers(invocation: messages.Invoke) -> messages.JsonObject:
    """The common request headers (document 56051); the timeout in ms and the memory in MB."""
    context = invocation.context
    return {
        "Content-Type": "application/json",
        "X-Scf-Request-Id": context["request_id"],
        "X-Scf-Memory": context["memory_limit_in_mb"],
        "X-Scf-Timeout": context["time_limit_in_ms"],
        "X-Scf-Version": context["function_version"],
        "X-Scf-Name": context["function_name"],
        "X-Scf-Namespace": context["namespace"],
        "X-Scf-Region": context["tencentcloud_region"],
        "X-Scf-Appid": context["tencentcloud_appid"],
        "X-Scf-Uin": context["tencentcloud_uin"],
        **invocation.headers,
    }


def _drop_interim(response: bytearray) -> None:
    """Ignore interim (1xx) responses, such as 100 Continue and 103 Early Hints."""
    while (head_bytes := response.find(b"\r\n\r\n", 0, HEAD_LIMIT)) >= 0:
        status = bytes(response[:head_bytes]).partition(b"\r\n")[0].split(b" ")[1:2]
        if not status or not status[0].startswith(b"1") or status == [b"101"]:
            return
        del response[: head_bytes + 4]


def _is_complete(response: bytearray, eof: bool) -> bool:
    head_bytes = response.find(b"\r\n\r\n", 0, HEAD_LIMIT)
    if eof or head_bytes < 0:
        return eof
    fields = bytes(response[:head_bytes]).lower().split(b"\r\n")
    body = head_bytes + 4
    status = fields[0].split(b" ")[1:2]
    for field in fields[1:]:
        name, _, value = field.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return len(response) >= body + int(value)
        if name == b"transfer-encoding" and b"chunked" in value:
            return _are_all_chunks(response, body)
    return status in ([b"204"], [b"304"])


def _are_all_chunks(response: bytearray, at: int) -> bool:
    """Whether the last chunk has come, and what follows it, of a body that begins *at* there."""
    while True:
        end = response.find(b"\r\n", at)
        if end < 0:
            return False
        try:
            size = int(bytes(response[at:end]).partition(b";")[0], 16)
        except ValueError:
            return True  # the answer is refused with a reason
        if size == 0:
            return response.startswith(b"\r\n", end + 2) or response.find(b"\r\n\r\n", end) >= 0
        at = end + 2 + size + 2


class _Received:
    """An answer in memory, as a socket for ``http.client``."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _result_of(data: bytes) -> Answer:
    """The result of an answer: 2xx has the return value, everything else is an error of user code."""
    if not data:
        return Broken(f"the program closed the connection of POST {PATH} without an answer")
    response = http.client.HTTPResponse(_Received(data), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, OSError, ValueError) as error:
        why = f"the program's answer to POST {PATH} is not a complete HTTP response ({type(error).__name__}: {error})"
        return Broken(why)
    finally:
        response.close()
    if b"\r\n\r\n" not in data and b"\n\n" not in data:
        return Broken(f"the program closed the connection of POST {PATH} inside the header of its answer")
    if not 200 <= response.status < 300:
        shown = shortened(body.decode("utf-8", "replace"), SHOWN)
        trace = f"POST {PATH} was answered with HTTP {response.status} {response.reason}: {shown}"
        return messages.Result("RAISED", trace=trace)
    return returned(body)


def returned(body: bytes) -> messages.Result:
    """The result of an event that was answered with *body*.

    A body that is no text is kept as it is, too: no line of the log can have it.
    """
    if len(body) > RESULT_LIMIT:
        return messages.Result("RESULT_TOO_LARGE", size=len(body))
    try:
        return messages.Result("RETURNED", _as_json(body.decode()))
    except UnicodeDecodeError:
        text = json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False)
        return messages.Result("RETURNED", text, content=binascii.b2a_base64(body, newline=False).decode())


def _as_json(text: str) -> str:
    """The body as the return value: JSON as it is, on one line; any other text as a JSON string."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    return " ".join(text.split("\n")).strip()  # a string of JSON has no line break


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")  # NaN and Infinity, which Python would take
