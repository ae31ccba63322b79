"""The certificate authority of a session, and the certificates that an endpoint shows (extra ``endpoint``).

Made when the first endpoint begins: what it needs takes 100 ms to import. The authority's key stays in this process.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import ssl
import sys
import threading
from typing import Final

import trustme

from ..linux.linux import remove_tree
from ..protocol.official_hosts import CA_VARIABLES, DOMAIN, SERVICE, api_host

_NAMES: Final = (f"*.{DOMAIN}", f"{SERVICE}.{DOMAIN}", "localhost", "127.0.0.1", "::1")
"""Whom a client may mean that has named nobody."""
_BLOCK: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----.+?-----END [A-Z0-9 ]+-----", re.DOTALL)
"""A certificate, as files of PEM have it; what else is in such a file is for readers."""


class Authority:
    """A certificate authority, whose certificates are valid from 2000 to 2037."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="pytest-scf-async", organization_unit_name="a test's endpoint")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def server(self, host: str) -> ssl.SSLContext:
        """What a server speaks TLS with that is found at *host*: clients may name any host of the API as well."""
        context = self._context(*_NAMES, host)
        context.sni_callback = self._chosen
        return context

    def _context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # a client's first read would take them, and wait for more where nobody sees it: in C
        self._ca.issue_cert(*dict.fromkeys(names)).configure_cert(context)
        return context

    def _chosen(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Show a certificate for *name*: a wildcard stands for one label, and regional hosts have two."""
        host = None if name is None else api_host(name)
        if host is None:
            return
        with self._lock:
            context = self._contexts.get(host)
            if context is None:
                context = self._contexts[host] = self._context(host)
        connection.context = context

    def write(self, directory: str) -> tuple[str, str, str]:
        """The paths of files in *directory*: this authority; it and all that this process trusts; no public ones."""
        names = ("authority.pem", "authorities.pem", "nearby.pem")
        own, bundle, nearby = (os.path.join(directory, name) for name in names)
        with self._lock:
            if not os.path.exists(bundle):
                os.makedirs(directory, exist_ok=True)
                trusted, public = _trusted(), _blocks(_of_certifi())
                others = [block for key, block in trusted.items() if key not in public]
                for path, authorities in ((own, []), (nearby, others), (bundle, trusted.values())):
                    with open(path, "wb") as file:
                        file.write(b"\n".join([*authorities, self._ca.cert_pem.bytes()]))
        return own, bundle, nearby

    def restore(self, directory: str) -> None:
        """Write those files again if *directory* has gone with a killed zygote: who trusts them knows that path.

        This process removes them at its end.
        """
        if not os.path.exists(directory):
            self.write(directory)
            atexit.register(_remove, os.path.dirname(directory), os.getpid())


def _remove(directory: str, pid: int) -> None:
    if os.getpid() == pid:
        remove_tree(directory)


def _of_certifi() -> str | None:
    """The file with the public authorities, as certifi has it whatever its ``where`` says."""
    found = importlib.util.find_spec("certifi")
    return None if found is None or found.origin is None else os.path.join(os.path.dirname(found.origin), "cacert.pem")


def _blocks(path: str | None) -> dict[bytes, bytes]:
    """The certificates in a file, by what they are without white space; none where it cannot be read."""
    try:
        with open(path or "", "rb") as file:
            return {b"".join(block.split()): block for block in _BLOCK.findall(file.read())}
    except OSError:
        return {}  # whoever uses it reports that


def _trusted() -> dict[bytes, bytes]:
    """The authorities that clients in this process may use now, each once, as `_blocks`.

    The files that name them have most in common, and clients such as the SDK read all of it for each request: that
    takes twice as long where an authority stands there twice.
    """
    paths = [os.environ.get(variable) for variable in CA_VARIABLES]
    paths.append(ssl.get_default_verify_paths().cafile)
    if "certifi" in sys.modules:
        paths.append(sys.modules["certifi"].where())
    found: dict[bytes, bytes] = {}
    for path in dict.fromkeys(paths):
        found = {**_blocks(path), **found}
    return found


_lock = threading.Lock()
_authority: Authority | None = None


def authority() -> Authority:
    """That of this process."""
    global _authority  # noqa: PLW0603  (one a session)
    with _lock:
        if _authority is None:
            _authority = Authority()
        return _authority
