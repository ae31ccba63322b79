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
from collections.abc import Mapping

from .. import wire
from .waits import real_poll

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
LOOPBACK_MS = 1_000
"""Real milliseconds in which the kernel has answered for a port of the loopback; it takes some µs."""


class EventInvoke:
    """The connections to one program, one for each event."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self.shown_port = port
        self.address = OUTSIDE, port
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
            self._connection = self._connect(self.address)
        return self._connection is not None

    def only_localhost(self) -> bool:
        """Whether it listens where nobody but itself can reach it."""
        found = self._connect((LOCALHOST, self.address[1]))
        if found is not None:
            found.close()
        return found is not None

    def _connect(self, address: tuple[str, int]) -> _socket.socket | None:
        made = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.bind((CLIENT, 0))
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

    def ask(self, invocation: wire.JsonObject) -> bool:
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

    def hear(self) -> wire.JsonObject | None:
        """The body of a RESULT once the answer is complete; nothing before."""
        if self._connection is None:
            return None
        self._send()
        if not self._receive() or not _is_complete(self._heard, self._eof):
            return None
        answer = _result_of(bytes(self._heard))
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
        return self._eof or len(self._heard) > before


def _headers(invocation: wire.JsonObject) -> wire.JsonObject:
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


def _is_complete(heard: bytearray, eof: bool) -> bool:
    head, separator, _ = bytes(heard[:65536]).partition(b"\r\n\r\n")
    if eof or not separator:
        return eof
    fields = head.lower().split(b"\r\n")
    if fields[0].split(b" ")[1:2] == [b"100"]:
        del heard[: len(head) + len(separator)]
        return _is_complete(heard, eof)
    for field in fields[1:]:
        name, _, value = field.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return len(heard) >= len(head) + len(separator) + int(value)
        if name == b"transfer-encoding" and b"chunked" in value:
            return heard.endswith(b"0\r\n\r\n")
    return fields[0].split(b" ")[1:2] in ([b"204"], [b"304"])


class _Heard:
    """An answer in memory, in the form in which ``http.client`` takes a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _result_of(data: bytes) -> wire.JsonObject:
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
    text = body.decode("utf-8", "replace")
    if not 200 <= response.status < 300:
        shown = text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]}… ({len(text):,} characters)"
        return {"fact": "RAISED", "trace": f"HTTP {response.status} {response.reason} from POST {PATH}: {shown}"}
    if len(body) > RESULT_LIMIT:
        return {"fact": "RESULT_TOO_LARGE", "bytes": len(body)}
    return {"fact": "RETURNED", "text": _as_json(text)}


def _as_json(text: str) -> str:
    """The body as the return value: JSON as it is, any other text as a JSON string."""
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text, ensure_ascii=False)
    return text.strip()
