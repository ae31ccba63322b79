"""The endpoint as tests see it: where it is, who may call it, what it was asked, and what goes wrong on purpose."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Final

from ..clock import to_us
from ..errors import CannotEndError, HarnessError, ScfAsyncWarning, ScfUsageError, calls_named, hidden_from_users
from ..linux import procfs
from ..model.listing import is_text
from ..protocol import messages
from ..runtime import ScfRuntime
from .endpoint import Endpoint, EndpointCall
from .faults import Declaring, Fault
from .official_hosts import Redirection
from .signature import Credential
from .site import Site

__tracebackhide__ = hidden_from_users


@calls_named
class ScfEndpoint(Declaring):
    """Tencent Cloud's API 3.0 of SCF, answered by a runtime, on a free port of the loopback. Also a context manager.

    It serves from the moment that it exists until it is closed. What the official SDKs, ``tccli`` and other clients
    send is answered as the platform answers; signatures are verified. Meanwhile the hosts of SCF lead to it, in this
    process and in instances that start, unless the runtime's setting ``official_hosts`` is ``"machine"``; the authority
    of its certificates is trusted in both. Raises ``ScfUsageError`` where what it needs (extra ``endpoint``) is not
    installed, or the *port* of *host* cannot be had.
    """

    def __init__(self, runtime: ScfRuntime, *, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            from .certificates import authority  # noqa: PLC0415  (an extra has what these need)
            from .control import Control  # noqa: PLC0415
            from .server import Server  # noqa: PLC0415
        except ImportError as error:
            raise ScfUsageError(
                f"the endpoint needs {error.name}, which is not installed: pip install werkzeug trustme"
            ) from None
        answering = Endpoint(runtime)
        self._site = Site(answering, Control(answering))
        try:
            self._server = Server(self._site, host=host, port=port, tls=authority().server(host))
        except OSError as error:
            why = error.strerror or str(error)
            why += f" by {procfs.listeners_on(port)}" if error.errno == errno.EADDRINUSE else ""
            raise ScfUsageError(
                f"the endpoint cannot have port {port} of {host}: {why}; 0 is a port that is free"
            ) from None
        self.url: Final = f"http://{self._server.host}:{self._server.port}"
        """Where it is, as in ``http://127.0.0.1:40001``; TLS is spoken at the same port."""
        self.address: Final = f"{self._server.host}:{self._server.port}"
        """The same without the scheme: what SDKs call the endpoint."""
        self.secret_id: Final = self._site.endpoint.own_credential.secret_id
        """The SecretId of the account, the same in each run of a test."""
        self.secret_key: Final = self._site.endpoint.own_credential.secret_key
        """The SecretKey that belongs to `secret_id`."""
        self.region: Final = self._site.endpoint.region
        """The region of the runtime's settings."""
        files = os.path.join(runtime._session_scratch(), "endpoint")
        own, bundle, nearby = authority().write(files)
        self._restore = partial(authority().restore, files)
        leads = runtime.settings.official_hosts == "endpoint"
        where = self._server.host, self._server.port
        self._redirection = Redirection(*where, authority=own, bundle=bundle, leads=leads)
        self._redirection.begin()
        self._config = messages.EndpointConfig(*where, own, bundle, nearby, self._redirection.certifi, leads=leads)
        runtime._pool.use_endpoint(self._config, self._restore)

    @property
    def runtime(self) -> ScfRuntime:
        """The runtime that answers."""
        return self._site.endpoint.runtime

    def _allow_reset(self, new_runtime: Callable[[], ScfRuntime], end: Callable[[ScfRuntime], None]) -> None:
        """Let ``/_scf/reset`` have what *new_runtime* makes answer from then on; keys stay the same by its seed.

        *end* is called with the runtime that answered before, once no request comes to it any more. Resets that come at
        the same time happen one after the other: a runtime that has ended must not be the one that answers.
        """
        from .control import Control  # noqa: PLC0415

        one_at_a_time = threading.Lock()

        def reset() -> None:
            with one_at_a_time:
                before, runtime = self.runtime, new_runtime()
                runtime._pool.use_endpoint(self._config, self._restore)
                answering = Endpoint(runtime)
                self._site.replace(answering, Control(answering, reset))
                end(before)

        self._site.replace(self._site.endpoint, Control(self._site.endpoint, reset))

    @property
    def calls(self) -> list[EndpointCall]:
        """Every request so far, in the order in which they were answered."""
        return list(self._site.endpoint.calls)

    def add_credentials(
        self, secret_id: str, secret_key: str, *, token: str | None = None, expires_at: datetime | None = None
    ) -> None:
        """Accept requests signed with these, too: with *token* those of a role, until *expires_at* (simulated time).

        Raises ``ScfUsageError`` for what can be none, and for an *expires_at* without a *token*: other keys do not
        expire.
        """
        for name, text in (("secret_id", secret_id), ("secret_key", secret_key), ("token", token)):
            if not (is_text(text) and text) and not (name == "token" and token is None):
                raise ScfUsageError(f"add_credentials: {name} must be a non-empty string")  # it may be a secret
        if "/" in secret_id:
            raise ScfUsageError(
                f"add_credentials: secret_id={secret_id!r} contains a '/', which would end it in a signature"
            )
        if expires_at is not None and token is None:
            raise ScfUsageError(
                f"add_credentials({secret_id!r}, expires_at=...): only the keys of a role expire: pass their token, too"
            )
        expires_us = None if expires_at is None else to_us(expires_at, "expires_at")
        self._site.endpoint.credentials.add(Credential(secret_id, secret_key, token, expires_us))

    def _declare(self, fault: Fault) -> None:
        self._site.endpoint.faults._declare(fault)

    def faults_that_never_happened(self) -> list[str]:
        """The calls of `fail`, `delay`, `drop` and `duplicate` that no request has met, as they stand in the test."""
        return self._site.endpoint.faults.never_happened()

    def close(self) -> None:
        """Stop to serve; connections are closed, and the platform's hosts are what they were.

        Raises the first error of the test's own making that a client got, a ``ScfAsyncWarning`` of which the
        session makes an error, or ``HarnessError`` for what went wrong on our side.
        """
        self._redirection.end()
        self.runtime._pool.use_endpoint(None)
        self._site.endpoint.begin_closing()
        self._server.close()
        problems = self._site.endpoint.problems
        if problems:
            first = problems[0]
            if isinstance(first, (CannotEndError, ScfUsageError, ScfAsyncWarning)):
                raise first
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise HarnessError(
                f"the endpoint itself failed and answered InternalError{more}: {type(first).__name__}: {first}"
            ) from first

    def __enter__(self) -> ScfEndpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ScfEndpoint {self.url}, {len(self._site.endpoint.calls)} calls>"
