"""The HTTP server of an endpoint: plain HTTP and TLS on one port, by Werkzeug (extra ``endpoint``)."""

from __future__ import annotations

import http
import re
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from ..errors import HarnessError
from .http_request import HttpRequest
from .site import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LARGEST_BODY: Final = 11 * 1024 * 1024
"""Bytes of a body that are read at most: one more than the platform takes is enough to refuse it."""
TLS_HANDSHAKE: Final = 0x16
"""The first byte of a connection by TLS."""
CLIENT_TIMEOUT: Final = 30.0
"""Real seconds that a client has for its first byte, for the handshake, and for each next part of its request."""
LINGER: Final = 1.0
"""Real seconds in which a client that was answered before its request had ended may go on sending it."""
END_TIMEOUT: Final = 10.0
"""Real seconds that threads have to end, once their connections are closed."""

QUEUE: Final = 128
"""Connections that may wait to be accepted."""
LONGEST_LINE: Final = 65_537
"""Bytes of a line that are read at most; ``http.server`` refuses a line of so many."""
_LENGTH: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


class _Unreadable(Exception):
    """A request that is no HTTP, or not a whole one; the text says why."""


class Server(ThreadedWSGIServer):
    """Serves what *site* answers on a loopback address until it is closed. *port* 0 is one that is free.

    With *tls* a connection may also speak TLS: the first byte that it sends says which. Raises ``OSError`` where the
    address cannot be had. There is one thread a connection; it knows its connections, so that it can close them.
    """

    daemon_threads = True  # the interpreter's end waits for none of them

    def __init__(
        self, site: Site, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.site: Final = site
        self.tls: Final = tls
        self._closing = False
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:  # Werkzeug ends the process where it fails
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OverflowError:
                raise OSError("it must be a whole number below 65,536") from None
            listener.listen(QUEUE)
            super().__init__(host, port, self._answer, handler=_Handler, fd=listener.fileno())
        self._thread = threading.Thread(target=self._serve, name="pytest_scf_async endpoint", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, address = self.get_request()
            except OSError:
                continue  # closed, or a client that was gone before it was accepted
            self.process_request(connection, address)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application: the site answers."""
        try:
            request = _request_of(environ)
        except _Unreadable as error:
            request = _unreadable(str(error))
        answer = self.site.answer(request, environ["werkzeug.socket"])
        if answer is None:
            _shut(environ["werkzeug.socket"])
            raise ConnectionAbortedError  # Werkzeug writes nothing then
        status = f"{answer.status} {http.HTTPStatus(answer.status).phrase}"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body)))])
        return [] if request.method == "HEAD" else [answer.body]

    def close(self) -> None:
        """Refuse new connections, close those that there are, and wait until no thread is left. May be called twice."""
        if self._closing:
            return
        self._closing = True
        self.socket.shutdown(socket.SHUT_RDWR)  # ends the wait for a connection, which closing alone does not
        self._thread.join(END_TIMEOUT)
        self.server_close()
        with self._guard:
            open_ones = dict(self._connections)
            for connection in open_ones:
                _shut(connection)
        for thread in open_ones.values():
            if thread is not threading.current_thread():
                thread.join(END_TIMEOUT)
        if self._thread.is_alive():
            raise HarnessError(f"the thread that serves {self.host}:{self.port} did not end in {END_TIMEOUT:g} s")

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections[request] = threading.current_thread()
            if self._closing:
                _shut(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                del self._connections[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off, or speaks no TLS to the end, is no error of ours."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  (Werkzeug's name)
        """`Endpoint.calls` has what happened; the test's output stays its own."""


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the client was first


class _Handler(WSGIRequestHandler):
    """Reads requests from one connection, which may be a TLS one."""

    server: Server
    raw_requestline: bytes
    disable_nagle_algorithm = True  # head and body are two writes, and the client would acknowledge the first one late

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request.settimeout(CLIENT_TIMEOUT)
            if self.request.recv(1, socket.MSG_PEEK) == bytes([TLS_HANDSHAKE]):
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def parse_request(self) -> bool:
        """Read the head of a request; what is none is answered, where ``http.server`` is silent or speaks HTTP/0.9."""
        while self.raw_requestline in (b"\r\n", b"\n"):  # RFC 9112, 2.2: ignored before a request
            self.raw_requestline = self.rfile.readline(LONGEST_LINE)
        if not str(self.raw_requestline, "iso-8859-1").split():
            self.send_error(http.HTTPStatus.BAD_REQUEST, "its first line is empty")
            return False
        if not super().parse_request():
            return False
        if self.request_version == "HTTP/0.9":
            self.send_error(http.HTTPStatus.BAD_REQUEST, "its first line names no version of HTTP")
            return False
        return True

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except ValueError as error:  # of Werkzeug, which cannot split the target of the request; others it catches
            self.send_error(http.HTTPStatus.BAD_REQUEST, str(error))

    def finish(self) -> None:
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()  # the server closes the socket that it accepted, which has been detached

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no HTTP with an envelope, too."""
        answer = self.server.site.answer(_unreadable(message or http.HTTPStatus(code).phrase))
        assert answer is not None  # no fault is declared for it
        self.request_version = "HTTP/1.1"
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")  # which `http.server` does then
        self.end_headers()
        self.wfile.write(answer.body)
        self._discard_the_rest()

    def _discard_the_rest(self) -> None:
        """Read what else the client sends: a connection that is closed before is reset, and the answer is lost."""
        self.wfile.flush()
        self.connection.settimeout(LINGER)
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(LARGEST_BODY):
                pass
        except OSError:
            pass  # it sends no more, and has not closed its side, or is gone

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002  (the name that it has there)
        """All that ``http.server`` does where a client has not ended its request in time."""
        self.send_error(http.HTTPStatus.REQUEST_TIMEOUT, f"it had not ended after {CLIENT_TIMEOUT:g} s")

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002  (nobody gives it here)
        """The header ``Date``: the platform's time, which is the simulated one."""
        return super().date_time_string(self.server.site.endpoint.runtime.clock.time())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """As `Server.log`."""


def _unreadable(reason: str) -> HttpRequest:
    return HttpRequest("", "", "", {}, b"", unreadable=reason)


def _request_of(environ: WSGIEnvironment) -> HttpRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value.strip(" \t")
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    path, _, query = environ["REQUEST_URI"].partition("?")
    return HttpRequest(environ["REQUEST_METHOD"], path, query, headers, _body_of(environ))


def _body_of(environ: WSGIEnvironment) -> bytes:
    """The body, or a byte more than the platform takes of it; raises ``_Unreadable`` for one that is cut short."""
    stream = environ["wsgi.input"]
    try:
        if environ.get("wsgi.input_terminated"):  # it came in chunks
            # A view keeps its length. Of `read` Werkzeug's stream makes a buffer that is shorter than what it says to
            # have read, where the body ends within a chunk: Python reads past its end, and the process may crash.
            chunks = memoryview(bytearray(LARGEST_BODY))
            return bytes(chunks[: stream.readinto(chunks)])
        length = environ.get("CONTENT_LENGTH") or "0"
        if not _LENGTH.fullmatch(length):
            raise _Unreadable(f"its Content-Length is {length[:50]!r}, which is not a number of bytes")
        size = min(int(length), LARGEST_BODY)
        body: bytes = stream.read(size)
    except ConnectionError:
        raise  # the client is gone
    except ValueError:
        raise _Unreadable("its body ends within a chunk") from None
    except TimeoutError:
        raise _Unreadable(f"its body had not ended after {CLIENT_TIMEOUT:g} s") from None
    except OSError as error:
        raise _Unreadable(f"its body is not in chunks, as Transfer-Encoding says: {error}") from None
    if len(body) < size:
        raise _Unreadable(f"its body ends after {len(body)} of {int(length)} bytes")
    return body
