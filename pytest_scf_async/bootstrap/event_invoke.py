"""How an image's program is spoken to: ``POST /event-invoke`` on its port (document 56051), without ever waiting.

Who owns this asks it again and again: whether the program listens, and whether it has answered.
"""

from __future__ import annotations

import _socket
import errno
import http.client
import io
import json
import select
import socket
import struct
from collections.abc import Mapping

from ..protocol import messages
from .scheduler.waiters import real_poll

PATH = "/event-invoke"
LOCALHOST = "127.0.0.1"
OUTSIDE = "127.0.0.2"
"""An address of the loopback that a program which listens on 127.0.0.1 alone does not have, as the platform's is."""
CLIENT = "127.0.0.3"
"""Where connections to the program come from."""
RESULT_LIMIT = 6 * 1024 * 1024
SHOWN_BYTES = 2000
"""As much of an answer that is an error is told."""
READ_BYTES = 1 << 18
HEAD_LIMIT = 1 << 16
LOOPBACK_MS = 1_000
"""Real milliseconds in which the kernel has answered for a port of the loopback; it takes some µs."""


_COUNT, _TWO_COUNTS = struct.Struct("=Q"), struct.Struct("=QQ")
_UNACKED, _BYTES_RECEIVED, _BYTES_SENT, _INFO_BYTES = 24, 128, 200, 216
"""Where ``struct tcp_info`` has what was not acknowledged, received, and sent (followed by what was sent again)."""


def _tcp_info(connection: _socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)


class EventInvoke:
    """The connections to one program, one for each event."""

    def __init__(self, port: int, headers: Mapping[str, str], client_port: int = 0) -> None:
        """*client_port* is where the first connection comes from, the next one from the next; 0: from any."""
        self.shown_port = port
        self.address = OUTSIDE, port
        self.client: tuple[str, int] | None = None
        """This end of the connection that is open."""
        self._client_port = client_port
        self._headers = headers
        """What each request has beside the headers of its event."""
        self._connection: _socket.socket | None = None
        self._unsent = memoryview(b"")
        self._heard = bytearray()
        self._eof = False

    def descriptors(self) -> dict[int, int]:
        """What to poll, and for which events."""
        if self._connection is None:
            return {}
        return {self._connection.fileno(): select.POLLIN | (select.POLLOUT if self._unsent else 0)}

    def is_ready(self) -> bool:
        """Whether the program listens; the connection that found this out serves the next event."""
        if self._connection is None:
            self._connection = self._connect(self.address, self._client_port)
            if self._connection is not None and self._client_port:
                self._client_port += 1
        return self._connection is not None

    def only_host(self) -> str:
        """The host on which it listens where nobody but itself can reach it; empty where it does not."""
        client = self.client
        try:
            for family, host in ((socket.AF_INET, LOCALHOST), (socket.AF_INET6, "::1")):
                found = self._connect((host, self.address[1]), family=family)
                if found is not None:
                    found.close()
                    return "" if self.is_ready() else host  # it may have begun to listen after the last look
        finally:
            if self._connection is None:
                self.client = client
        return ""

    def _connect(
        self, address: tuple[str, int], client_port: int = 0, family: int = socket.AF_INET
    ) -> _socket.socket | None:
        try:
            made = _socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            return None  # a machine without that family
        try:
            made.setblocking(False)
            if family == socket.AF_INET:
                _bind(made, client_port)
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
        self.client = made.getsockname()
        return made

    def ask(self, invocation: messages.JsonObject) -> bool:
        """Send the event on its way; False where the program does not listen any more."""
        if not self.is_ready():
            return False
        body = invocation["payload"].encode()
        headers = {**_headers(invocation), **self._headers, "Content-Length": len(body)}
        lines = [f"POST {PATH} HTTP/1.1", f"Host: {LOCALHOST}:{self.shown_port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._unsent = memoryview("\r\n".join([*lines, "", ""]).encode() + body)
        self._heard.clear()
        self._eof = False
        self._send()
        return True

    def await_arrival(self) -> None:
        """Until the kernel has brought the program what was sent: on a busy machine it takes its time."""
        for _ in range(LOOPBACK_MS):
            if self._connection is None or not int.from_bytes(_tcp_info(self._connection)[_UNACKED:][:4], "little"):
                return
            real_poll().poll(1)

    def await_what_was_said(self, program: _socket.socket | None) -> bool:
        """Until all is there that was sent from *program*, the other end of the connection; whether it came.

        None: the other end has been closed, and that is what comes last.
        """
        if self._connection is None:
            return True
        if program is None:
            poller = real_poll()
            poller.register(self._connection.fileno(), select.POLLRDHUP)
            return bool(poller.poll(LOOPBACK_MS))
        sent, again = _TWO_COUNTS.unpack_from(_tcp_info(program).ljust(_INFO_BYTES, b"\0"), _BYTES_SENT)
        for _ in range(LOOPBACK_MS):
            (received,) = _COUNT.unpack_from(_tcp_info(self._connection), _BYTES_RECEIVED)
            if received >= sent - again:
                return True
            real_poll().poll(1)
        return False

    def hear(self) -> messages.JsonObject | None:
        """The body of a RESULT once the answer is complete; nothing before."""
        if self._connection is None:
            return None
        self._send()
        if not self._receive() or not _is_complete(self._heard, self._eof):
            return None
        answer = _result_of(bytes(self._heard))
        self.close()
        return answer

    def hear_last_words(self) -> messages.JsonObject | None:
        """The body of a RESULT where the program, which is about to end, has answered; its end is the answer's."""
        if self._connection is None:
            return None
        self._receive()
        answer = _result_of(bytes(self._heard)) if self._heard else None
        if answer is None or answer["fact"] == "BROKEN":
            return None
        self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self) -> None:
        while self._unsent and self._connection is not None:
            try:
                sent = self._connection.send(self._unsent, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self._unsent = memoryview(b"")  # it has hung up: what it said before is there to be heard
                return
            self._unsent = self._unsent[sent:]

    def _receive(self) -> bool:
        """Whether there was anything new."""
        before = len(self._heard)
        while not self._eof and self._connection is not None:
            try:
                data = self._connection.recv(READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self._eof = not data
            self._heard += data
        is_new = self._eof or len(self._heard) > before
        _drop_interim(self._heard)
        return is_new


def only_localhost(host: str, port: int) -> str:
    """What is told of a program that listens on *host* only."""
    shown = f"[{host}]" if ":" in host else host
    return (
        f"the program listens on {shown}:{port} only, where the platform cannot reach it: it has to listen on "
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


def _headers(invocation: messages.JsonObject) -> messages.JsonObject:
    """The common request headers (document 56051); the timeout in ms and the memory in MB."""
    context = invocation["context"]
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
    }


def _drop_interim(heard: bytearray) -> None:
    """Forget what comes before the answer: 100 Continue, 103 Early Hints and their like."""
    while (head_bytes := heard.find(b"\r\n\r\n", 0, HEAD_LIMIT)) >= 0:
        status = bytes(heard[:head_bytes]).partition(b"\r\n")[0].split(b" ")[1:2]
        if not status or not status[0].startswith(b"1") or status == [b"101"]:
            return
        del heard[: head_bytes + 4]


def _is_complete(heard: bytearray, eof: bool) -> bool:
    head_bytes = heard.find(b"\r\n\r\n", 0, HEAD_LIMIT)
    if eof or head_bytes < 0:
        return eof
    fields = bytes(heard[:head_bytes]).lower().split(b"\r\n")
    body = head_bytes + 4
    status = fields[0].split(b" ")[1:2]
    for field in fields[1:]:
        name, _, value = field.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return len(heard) >= body + int(value)
        if name == b"transfer-encoding" and b"chunked" in value:
            return _are_all_chunks(heard, body)
    return status in ([b"204"], [b"304"])


def _are_all_chunks(heard: bytearray, at: int) -> bool:
    """Whether the last chunk has come, and what follows it, of a body that begins *at* there."""
    while True:
        end = heard.find(b"\r\n", at)
        if end < 0:
            return False
        try:
            size = int(bytes(heard[at:end]).partition(b";")[0], 16)
        except ValueError:
            return True  # it is told what is wrong with it
        if size == 0:
            return heard.startswith(b"\r\n", end + 2) or heard.find(b"\r\n\r\n", end) >= 0
        at = end + 2 + size + 2


class _Heard:
    """An answer in memory, in the form in which ``http.client`` takes a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _result_of(data: bytes) -> messages.JsonObject:
    """What an answer means: 2xx is the return value, everything else an error of the user's code."""
    if not data:
        return {"fact": "BROKEN", "why": f"the program closed the connection of POST {PATH} without an answer"}
    response = http.client.HTTPResponse(_Heard(data), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, OSError, ValueError) as error:
        why = f"the program's answer to POST {PATH} is no whole HTTP answer ({type(error).__name__}: {error})"
        return {"fact": "BROKEN", "why": why}
    finally:
        response.close()
    if b"\r\n\r\n" not in data and b"\n\n" not in data:
        return {"fact": "BROKEN", "why": f"the program closed the connection of POST {PATH} within its answer's head"}
    text = body.decode("utf-8", "replace")
    if not 200 <= response.status < 300:
        shown = text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]}… ({len(text):,} characters)"
        return {
            "fact": "RAISED",
            "trace": f"POST {PATH} was answered with HTTP {response.status} {response.reason}: {shown}",
        }
    if len(body) > RESULT_LIMIT:
        return {"fact": "RESULT_TOO_LARGE", "bytes": len(body)}
    return {"fact": "RETURNED", "text": _as_json(text)}


def _as_json(text: str) -> str:
    """The body as the return value: JSON as it is, on one line; any other text as a JSON string."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    return " ".join(text.split("\n")).strip()  # a string of JSON has no line break


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # NaN and Infinity, which Python would take
