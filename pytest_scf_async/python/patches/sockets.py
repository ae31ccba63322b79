"""Guard the network of an instance: with ``network="loopback"`` it reaches the loopback and Unix sockets only.

Guarded or not, its own servers are bound to the loopback, so that no test opens a port to a network.

The functions and methods of ``socket`` are patched, which are called before a name is looked up. An audit hook would be
called for each audit event of the interpreter, and for ``connect`` only after the look-up. What does not go through
``socket`` (C extensions with sockets of their own, other programs) is not guarded.
"""

from __future__ import annotations

import _socket
import errno
import socket
import sys
from collections.abc import Callable
from typing import Any, Protocol

from .. import records
from ..scheduler.callers import is_library, user_frame
from . import connections, official_hosts, registry

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_LOCAL_FAMILIES = frozenset(getattr(socket, name, None) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG"))

_guarded = ""
"""The call that has deployed the function, if its network is guarded; else empty."""


class OtherPort(Protocol):
    """The port of a program that is bound to another one."""

    def bind(self, of: Any, address: Any, bind: Callable[[Any, Any], None]) -> bool:
        """Bind the socket *of* by *bind* if *address* is the program's port; whether it is."""

    def underneath(self, of: Any, address: Any) -> Any:
        """The address to which a connection to *address* is made."""


_other_port: OtherPort | None = None


def put_underneath(port: OtherPort) -> None:
    """From here on ask *port* about binds and connections to the port of a program."""
    global _other_port
    _other_port = port


_listens_on_loopback = False
"""Servers of this instance may be bound to the loopback only."""


def listen_on_loopback() -> None:
    """From here on bind servers of this instance, which shares the machine's networks, to the loopback."""
    global _listens_on_loopback
    _listens_on_loopback = True


def guard(deployed_by: str) -> None:
    """From here on refuse connections that leave this machine; texts name the call *deployed_by*."""
    global _guarded
    _guarded = deployed_by


def _text(host: Any) -> str:
    return host.decode("utf-8", "replace") if isinstance(host, (bytes, bytearray)) else str(host)


def _number_of(host: str) -> tuple[int, bytes] | None:
    """The family and the packed address of *host*; None for a name, which would be looked up."""
    try:
        return socket.AF_INET, socket.inet_aton(host)  # in any form that the C library takes: 127.1, 0x7f000001
    except (OSError, ValueError):
        pass
    try:
        return socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except (OSError, ValueError):
        return None


def _is_local_number(family: int, packed: bytes) -> bool:
    if family == socket.AF_INET6:  # a connection to the unspecified address goes to this machine
        if packed[:12] == b"\0" * 10 + b"\xff\xff":
            return packed[12] == 127
        return packed in (b"\0" * 15 + b"\1", b"\0" * 16)
    return packed[0] == 127 or packed == b"\0" * 4


def _is_local_name(name: str) -> bool:
    name = name.rstrip(".").lower()
    return not name or name in _LOCAL_NAMES or name.endswith(".localhost") or name == socket.gethostname().lower()


def _stays(family: int, address: Any) -> bool:
    """Whether data for *address* of *family* stays on this machine; so it counts for what is no address."""
    if family in _LOCAL_FAMILIES or address is None:
        return True
    if family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if not isinstance(address, tuple) or not address or not isinstance(address[0], (str, bytes, bytearray)):
        return True  # the real function refuses it in its own words
    host = _text(address[0])
    number = _number_of(host)
    return _is_local_name(host) if number is None else _is_local_number(*number)


def _may_look_up(host: Any) -> bool:
    """Whether *host* can be looked up on this machine, as numbers can."""
    if host is None:
        return True
    name = _text(host)
    return _is_local_name(name) or _number_of(name) is not None


def _users_line() -> str:
    """The line of user code that has called, for a text."""
    nearest = frame = user_frame(sys._getframe(1))
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    frame = frame or nearest
    return "" if frame is None else f" at {frame.f_code.co_filename}:{frame.f_lineno}"


def _refuse(description: str, error: Callable[[str], OSError]) -> OSError:
    where = _users_line()
    records.note(f'{description} refused{where} (network="loopback")')
    return error(
        f'{description} refused{where}: this function has network="loopback". Replace it with a fake in '
        f'{_guarded}(..., before_init=...), or allow it with network="all"'
    )


def _shown(address: Any) -> str:
    if isinstance(address, tuple) and len(address) > 1 and isinstance(address[0], (str, bytes, bytearray)):
        host = _text(address[0])
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return repr(address)


def _check(sock: Any, address: Any, description: str) -> None:
    if _guarded and not _stays(sock.family, address):
        raise _refuse(f"{description} {_shown(address)}", lambda text: ConnectionRefusedError(errno.ECONNREFUSED, text))


_noted: set[str] = set()
"""Where nothing listened: a client that tries again and again has one line in the timeline."""


def _note_refusal(address: Any) -> None:
    """Have the timeline name *address*: the exception does not."""
    shown = _shown(address)
    if shown not in _noted:
        _noted.add(shown)
        records.note(f"connection to {shown} refused: nothing listens there")


def _connect(self: Any, object: Any, /) -> None:
    given = object
    if _other_port is not None:
        object = _other_port.underneath(self, object)
    object = official_hosts.led(object)
    _check(self, object, "connection to")
    connections.opens(self)
    try:
        _socket.socket.connect(self, object)
    except ConnectionRefusedError:
        _note_refusal(given)
        raise


def _connect_ex(self: Any, object: Any, /) -> int:
    if _other_port is not None:
        object = _other_port.underneath(self, object)
    object = official_hosts.led(object)
    _check(self, object, "connection to")
    connections.opens(self)
    return _socket.socket.connect_ex(self, object)


def _bind(self: Any, object: Any, /) -> None:
    if _other_port is None or not _other_port.bind(self, object, _bind_here):
        _bind_here(self, object)


def _bind_here(self: Any, object: Any) -> None:
    address = _on_loopback(self, object) if _listens_on_loopback else object
    _again_after_signals(lambda: _socket.socket.bind(self, address))


def _listen(self: Any, *backlog: Any) -> None:
    if (
        _listens_on_loopback and _is_server(self) and self.getsockname()[1] == 0
    ):  # else the kernel would listen at all addresses
        _bind_here(self, ("", 0))
    _again_after_signals(lambda: _socket.socket.listen(self, *backlog))


def _again_after_signals(call: Callable[[], None]) -> None:
    """Make *call* again while signals interrupt it, as they do under ``bind_filter``, and without it never."""
    while True:
        try:
            return call()
        except InterruptedError:
            continue


def _is_server(sock: Any) -> bool:
    """Whether others connect to *sock* once it listens; a socket for datagrams is no server."""
    return sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM


def _on_loopback(sock: Any, address: Any) -> Any:
    """The address to which a server is bound that asks for *address*; the loopback, if it asks for all."""
    if not _is_server(sock) or not isinstance(address, tuple) or not isinstance(address[0], (str, bytes, bytearray)):
        return address
    host = _text(address[0])
    number = _number_of(host)
    if not host or number in ((socket.AF_INET, b"\0" * 4), (socket.AF_INET6, b"\0" * 16)):
        if sock.family == socket.AF_INET:
            return "127.0.0.1", *address[1:]
        only_6 = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return "::1" if only_6 else "::ffff:127.0.0.1", *address[1:]  # clients of such a server mostly speak IPv4
    if _is_local_name(host) if number is None else _is_local_number(*number):
        return address
    where = _users_line()
    records.note(f"listening on {_shown(address)} refused{where}")
    text = f"listening on {_shown(address)} refused{where}: an instance may listen on this machine's loopback only"
    raise OSError(errno.EADDRNOTAVAIL, f"{text}; bind to '' or '127.0.0.1'")


def _sendto(self: Any, data: Any, *flags_and_address: Any) -> int:
    address = flags_and_address[-1] if flags_and_address else None
    if flags_and_address:
        _check(self, address, "datagram to")
    connections.sends_to_anybody(self, data, address)
    return _socket.socket.sendto(self, data, *flags_and_address)


def _sendmsg(self: Any, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
    if address is not None:
        _check(self, address, "datagram to")
    connections.sends_to_anybody(self, buffers[0] if isinstance(buffers, (list, tuple)) and buffers else b"", address)
    return _socket.socket.sendmsg(self, buffers, ancdata, flags, address)


def _looking_up(real: Any) -> Any:
    def look_up(*args: Any, **kwargs: Any) -> Any:
        host = args[0] if args else kwargs.get("host")
        if (official := official_hosts.looked_up(host)) is not None:
            return real(official, *args[1:], **kwargs) if args else real(**{**kwargs, "host": official})
        if _guarded and not _may_look_up(host):
            text = f"look-up of the name {_text(host)!r}"
            raise _refuse(text, lambda text: socket.gaierror(socket.EAI_NONAME, text))
        return real(*args, **kwargs)

    return look_up


def _looking_back(real: Any) -> Any:
    """Patch a function that asks for the name of an address, which is a look-up as well."""

    def look_up(address: Any, *args: Any) -> Any:
        host = address[0] if isinstance(address, tuple) and address else address
        if _guarded and isinstance(host, (str, bytes)) and not _stays(socket.AF_INET, (host, 0)):
            text = f"look-up of the address {_text(host)!r}"
            raise _refuse(text, lambda text: socket.gaierror(socket.EAI_NONAME, text))
        return real(address, *args)

    return look_up


def install() -> None:
    """Patch the functions; they refuse nothing until `guard` is called."""
    why = "what leaves this machine may be refused"
    for name, method in (
        ("connect", _connect),
        ("connect_ex", _connect_ex),
        ("bind", _bind),
        ("listen", _listen),
        ("sendto", _sendto),
        ("sendmsg", _sendmsg),
    ):
        registry.replace(socket.socket, name, method, why)
    for name, wrapper in (
        ("getaddrinfo", _looking_up),
        ("gethostbyname", _looking_up),
        ("gethostbyname_ex", _looking_up),
        ("gethostbyaddr", _looking_back),
        ("getnameinfo", _looking_back),
    ):
        owner = _socket if name == "getaddrinfo" else socket  # that of socket is written in Python, and calls this one
        registry.replace(owner, name, wrapper(getattr(_socket, name)), why)
