"""Lead the hosts of the Cloud API to the endpoint of the test; ``sockets`` patches the calls and asks here."""

from __future__ import annotations

import socket
from typing import Any

from ...protocol.messages import EndpointConfig
from ...protocol.official_hosts import (
    ADDRESS,
    PORTS,
    WRAPPERS,
    api_host,
    is_scf,
    refusal,
    text,
    tunnel_refusal,
    wrapping,
)
from . import after_import, registry

_target: tuple[str, int] | None = None
"""The address and port to which hosts of SCF lead; None if they are looked up as others are."""


def follow(endpoint: EndpointConfig, *, own_network: bool) -> None:
    """Trust the authorities of *endpoint* from here on, and lead the hosts of SCF to it if it says so.

    From a network of the instance's own it is reached at the address and ports that are relayed into that.
    """
    global _target

    def patch_certifi(certifi: Any) -> None:
        why = "the authority of the endpoint's certificates is trusted, too"
        registry.replace(certifi, "where", lambda: endpoint.bundle, why)

    def authority_for(host: str) -> str | None:
        known = host in (endpoint.host, "localhost") or (endpoint.leads and api_host(host) is not None)
        return endpoint.authority if known else None

    def patch_ssl(ssl: Any) -> None:
        why = "contexts that were made before trust the authority of the endpoint's certificates, too"
        for name, place in WRAPPERS.items():
            replacement = wrapping(getattr(ssl.SSLContext, name), place, authority_for)
            registry.replace(ssl.SSLContext, name, replacement, why)

    after_import.patch("certifi", patch_certifi)
    after_import.patch("ssl", patch_ssl)
    if endpoint.leads:
        _target = (ADDRESS, PORTS[0]) if own_network else (endpoint.host, endpoint.port)
        after_import.patch("http.client", _patch_http)


def _patch_http(client: Any) -> None:
    real = client.HTTPConnection.set_tunnel

    def set_tunnel(self: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        found = api_host(text(host).partition(":")[0])
        if found is not None:
            raise OSError(tunnel_refusal(found))
        return real(self, host, *args, **kwargs)

    registry.replace(client.HTTPConnection, "set_tunnel", set_tunnel, "a proxy would reach the platform's own hosts")


def looked_up(host: Any) -> str | None:
    """The address of *host*, where it leads to the endpoint; None: it is none of these hosts.

    Raises ``socket.gaierror`` for other hosts of the API.
    """
    if _target is None or host is None:
        return None
    found = api_host(text(host))
    if found is None:
        return None
    if not is_scf(found):
        raise socket.gaierror(socket.EAI_NONAME, refusal(found))
    return ADDRESS


def led(address: Any) -> Any:
    """The address to which a connection to *address* is made."""
    if _target is None or not isinstance(address, tuple) or not address or not isinstance(address[0], (str, bytes)):
        return address
    host = text(address[0])
    if host != ADDRESS and looked_up(host) is None:
        return address
    return (*_target, *address[2:])
