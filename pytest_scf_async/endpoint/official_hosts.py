"""The platform's hosts in the test's own process, while an endpoint answers for them.

Names are resolved and sockets connected by a few functions of ``socket``, which requests, http.client, httpx, aiohttp
and the loops of asyncio all call: these are replaced. What has sockets of its own in C (uvloop, pycurl, gRPC) is not
led to the endpoint. The authority of the endpoint's certificates is trusted by what reads environment variables,
by what asks certifi, and by each TLS context of Python that names the endpoint, whenever it was made.
"""

from __future__ import annotations

import _socket
import http.client
import importlib
import os
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from ..protocol import official_hosts as hosts

_MAPPED: Final = "::ffff:"
"""What an address of IPv4 has before it, on a socket of IPv6."""
_lock: Final = threading.RLock()
_active: Final[list[Redirection]] = []
"""The last one is in force."""
_undo: Final[list[Callable[[], None]]] = []
"""What takes the patches back, the last one first."""
_environment: Final[dict[str, tuple[str | None, str]]] = {}
"""By variable: what it was, and what it is now."""
_certifi_files: Final[list[str]] = []
"""What certifi names without us, while any is in force; empty where it is not installed."""
_to_be_loaded: Final[weakref.WeakKeyDictionary[ssl.SSLContext, str]] = weakref.WeakKeyDictionary()
"""The bundle that a context is to trust, and has not read: it has met no server yet that needs it."""


class Redirection:
    """From `begin` to `end`: clients in this process trust the authorities in the file *bundle*.

    Contexts of TLS that exist already are given the one in the file *authority*. With *leads* hosts of SCF lead to the
    endpoint at *host* and *port*, too, and other hosts of the API are refused.
    """

    def __init__(self, host: str, port: int, *, authority: str, bundle: str, leads: bool) -> None:
        self.host: Final = host
        self.port: Final = port
        self.authority: Final = authority
        self.bundle: Final = bundle
        self.leads: Final = leads

    def begin(self) -> None:
        """Be in force, in place of others that are."""
        with _lock:
            if not _active:
                _patch()
            _active.append(self)
            _set_environment()

    @property
    def certifi(self) -> str:
        """The file that certifi names without us, once this is in force; empty where it is not installed."""
        with _lock:
            return _certifi_files[0] if _certifi_files else ""

    def end(self) -> None:
        """Be in force no more; once none is, everything is as it was. May be called twice."""
        with _lock:
            if self not in _active:
                return
            _active.remove(self)
            _set_environment()
            while not _active and _undo:
                _undo.pop()()


def _leading() -> Redirection | None:
    return next((each for each in reversed(_active) if each.leads), None)


def _set_environment() -> None:
    """Have the variables be those of the redirection in force, or what they were; what others have set stays."""
    for name, (before, ours) in _environment.items():
        if os.environ.get(name) != ours:
            continue
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    _environment.clear()
    if not _active:
        return
    wanted: dict[str, str] = {}
    hosts.trust(wanted, _active[-1].bundle)
    leading = _leading()
    if leading is not None:
        wanted |= hosts.without_proxy(os.environ, f"{leading.host}:{leading.port}")
    for name, value in wanted.items():
        _environment[name] = (os.environ.get(name), value)
        os.environ[name] = value


# -- what is patched -------------------------------------------------------------------------------------------------


def _patch() -> None:
    _replace(_socket, "getaddrinfo", _looking_up(_socket.getaddrinfo))  # that of socket calls it
    for name in ("gethostbyname", "gethostbyname_ex"):
        real = getattr(socket, name)
        _replace_everywhere(real, _looking_up(real))
    for name in ("connect", "connect_ex"):
        _replace(socket.socket, name, _connecting(getattr(socket.socket, name)))
    _replace(http.client.HTTPConnection, "set_tunnel", _tunnelling(http.client.HTTPConnection.set_tunnel))
    load = ssl.SSLContext.load_verify_locations
    for name, place in hosts.WRAPPERS.items():
        real = hosts.wrapping(getattr(ssl.SSLContext, name), place, _authority_for)
        _replace(ssl.SSLContext, name, _loading_first(real, place, load))
    _replace(ssl.SSLContext, "load_verify_locations", _loading_later(load))
    _undo.append(lambda: _load_what_is_left(load))
    try:
        certifi = importlib.import_module("certifi")
    except ImportError:
        return
    _certifi_files.append(certifi.where())
    _undo.append(_certifi_files.clear)
    _replace_everywhere(certifi.where, lambda: _active[-1].bundle)


def _replace(owner: Any, name: str, replacement: Any) -> None:
    before = vars(owner).get(name)
    setattr(owner, name, replacement)

    def restore() -> None:
        if vars(owner).get(name) is not replacement:
            return  # another has put its own there since, and takes it away
        if before is None:
            delattr(owner, name)  # it is inherited
        else:
            setattr(owner, name, before)

    _undo.append(restore)


def _replace_everywhere(original: Any, replacement: Any) -> None:
    """Have *replacement* stand in each module that has *original*, by whatever name."""
    _rebind(original, replacement)
    _undo.append(lambda: _rebind(replacement, original))


def _rebind(old: Any, new: Any) -> None:
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is old:
                setattr(module, name, new)


def _authority_for(host: str) -> str | None:
    """The file with the authority of the certificate that a server shows that is *host*; None: it is another's."""
    leading = _leading()
    if leading is not None and hosts.api_host(host) is not None:
        return leading.authority
    return next((each.authority for each in reversed(_active) if host in (each.host, "localhost")), None)


def _loading_later(load: Any) -> Any:
    """Have a context read a bundle of ours when it meets a server that needs it.

    The SDK makes a context for each request, and reads some 150 authorities into it, which takes most of the request's
    time. The endpoint needs one of them, which `wrapping` gives it.
    """

    def load_verify_locations(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        with _lock:
            later = capath is None and cadata is None and cafile in [each.bundle for each in _active]
            if later:
                _to_be_loaded[self] = cafile
        if not later:
            load(self, cafile, capath, cadata)

    return load_verify_locations


def _loading_first(wrap: Any, place: int, load: Any) -> Any:
    """*wrap*, a method that begins TLS, for a context that may have to read a bundle first."""

    def wrap_loaded(*args: Any, **kwargs: Any) -> Any:
        name = kwargs.get("server_hostname") or (args[place] if len(args) > place else None)
        if not name or _authority_for(hosts.text(name)) is None:
            bundle = _to_be_loaded.pop(args[0], None)
            if bundle is not None:
                load(args[0], bundle)
        return wrap(*args, **kwargs)

    return wrap_loaded


def _load_what_is_left(load: Any) -> None:
    """Contexts that live on are wrapped without us from now on."""
    while _to_be_loaded:
        context, bundle = _to_be_loaded.popitem()
        load(context, bundle)


def _looking_up(real: Any) -> Any:
    def look_up(*args: Any, **kwargs: Any) -> Any:
        host = args[0] if args else kwargs.get("host")
        found = hosts.api_host(hosts.text(host)) if _leading() is not None and host is not None else None
        if found is None:
            return real(*args, **kwargs)
        if not hosts.is_scf(found):
            raise socket.gaierror(socket.EAI_NONAME, hosts.refusal(found))
        return real(hosts.ADDRESS, *args[1:], **kwargs) if args else real(**{**kwargs, "host": hosts.ADDRESS})

    return look_up


def _connecting(real: Any) -> Any:
    def connect(self: Any, address: Any, /) -> Any:
        return real(self, _led(address))

    return connect


def _led(address: Any) -> Any:
    """Where a connection to *address* leads."""
    leading = _leading()
    if leading is None or not isinstance(address, tuple) or not address or not isinstance(address[0], (str, bytes)):
        return address
    host = hosts.text(address[0])
    found = hosts.api_host(host)
    if found is not None and not hosts.is_scf(found):
        raise socket.gaierror(socket.EAI_NONAME, hosts.refusal(found))
    if found is None and host.removeprefix(_MAPPED) != hosts.ADDRESS:
        return address
    return (f"{_MAPPED}{leading.host}" if host.startswith(_MAPPED) else leading.host, leading.port, *address[2:])


def _tunnelling(real: Any) -> Any:
    def set_tunnel(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        found = hosts.api_host(hosts.text(host).partition(":")[0]) if _leading() is not None else None
        if found is not None:
            raise OSError(hosts.tunnel_refusal(found))
        return real(self, host, *args, **kwargs)

    return set_tunnel
