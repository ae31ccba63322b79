"""Blocking calls on sockets and pipes: a call that would block parks its thread until the descriptor is ready.

Calls that send and receive also note who has sent last on a connection, blocking or not: ``connections`` decides by
that whether a wait holds the clock.
"""

from __future__ import annotations

import _socket
import operator
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

from ...linux import procfs
from ...protocol.time_units import microseconds
from ...side.originals import real_poll
from .. import clock
from ..scheduler.callers import describe_call, describe_caller
from ..scheduler.scheduler import Readiness, scheduler
from . import after_import, connections, registry, waits_in_c
from . import select as select_patches

_fileno = _socket.socket.fileno
_gettimeout = _socket.socket.gettimeout
_kind: Any = _socket.socket.type.__get__
_real_send = _socket.socket.send
_real_sendall = _socket.socket.sendall
_real_read = os.read
_real_readv = os.readv
_real_eventfd_read = os.eventfd_read
_RECEIVE = {"recv": 1, "recvfrom": 1, "recvmsg": 2, "recv_into": 2, "recvfrom_into": 2, "recvmsg_into": 2}
"""The position of the flags of each call."""
_SYSTEM_CALLS = {"recv_into": "recv()", "recvfrom": "recv()", "recvfrom_into": "recv()", "recvmsg_into": "recvmsg()"}
_TAKES_NOTHING = socket.MSG_PEEK | socket.MSG_ERRQUEUE
_NEVER_WAITS = socket.MSG_DONTWAIT | socket.MSG_ERRQUEUE
_REAL = "subprocess"
"""The module whose reads stay real: its pipe says within a moment whether a program could be started."""


def is_ready(fd: int, events: int) -> Callable[[], bool]:
    """A function that says whether one of *events* is there on *fd*."""
    watched = real_poll()
    watched.register(fd, events)
    return lambda: bool(watched.poll(0))


def await_ready(fd: int, events: int, timeout: float | None, name: str) -> float | None:
    """Wait until one of *events* is there on *fd*; what is left of *timeout*, after which it raises TimeoutError.

    The timeout counts real seconds while the clock is held, else simulated ones.
    """
    ready = is_ready(fd, events)
    scheduler.note_real(lambda: _described(fd, name))
    left = timeout
    # To those who asked before, whether the answer is there by now or not.
    gives_way = events == select.POLLIN and scheduler.is_accompanied()
    while gives_way or not ready():
        claim = select_patches.claim_of(fd, receives=events == select.POLLIN)
        claims = [] if claim is None else [claim]
        owed = bool(connections.owed(claims))
        if not owed and ready():
            break
        gives_way = False
        began, began_us = clock.real_monotonic(), clock.now_us()
        readiness = Readiness({fd: events}, ready)
        select_patches.hold(readiness, claims, began + left if owed and left is not None else None, ends=True)
        due = None if readiness.holds or left is None else began_us + microseconds(left) + 1
        on = select_patches.named(claims)
        woken = select_patches.park(
            due,
            (describe_call if claims else describe_caller)(name, on),
            (readiness, claims),
            shown=_SYSTEM_CALLS.get(name, f"{name}()") + on,
            receives=events == select.POLLIN,
        )
        if left is not None:  # the grace in which something may follow is no part of the timeout
            real = owed and not any(connections.waits_on_simulated_time(each) for each in claims)
            left -= clock.real_monotonic() - began if real else (clock.now_us() - began_us) / 1e6
        if ready():
            break
        if left is not None and (left <= 0 or not woken):
            raise TimeoutError("timed out")
    return left


def _described(fd: int, name: str) -> str | None:
    """The name of a wait for others on *fd*, for `Scheduler.note_real`."""
    claim = select_patches.claim_of(fd)
    if claim is not None and claim.connection is not None and claim.connection.last == connections.PARTLY:
        return None
    return "" if claim is None else describe_call(name, select_patches.named([claim]))


# -- sockets -----------------------------------------------------------------------------------------------------------


def _receiving(name: str) -> Any:
    real = getattr(_socket.socket, name)
    position = _RECEIVE[name]
    what_came = _WHAT_CAME[name]

    def receive(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        flags = args[position] if len(args) > position else kwargs.get("flags", 0)
        if type(flags) is not int:
            flags = int(flags) if isinstance(flags, int) else 0
        if scheduler.active and not flags & _NEVER_WAITS and (timeout := _gettimeout(self)) != 0:
            await_ready(_fileno(self), select.POLLIN, timeout, name)
        received = real(self, *args, **kwargs)
        if not flags & _TAKES_NOTHING:
            connections.came(_fileno(self), what_came(received, *args, **kwargs))
        return received

    return receive


def _of_buffer(received: int, buffer: Any) -> Any:
    return memoryview(buffer).cast("B")[:received] if received else b""


def _of_buffers(received: int, buffers: Any) -> Any:
    return b"" if not received else b"".join(bytes(each) for each in buffers)[:received]


_WHAT_CAME: dict[str, Callable[..., Any]] = {
    "recv": lambda received, *_: received,
    "recvfrom": lambda received, *_: received[0],
    "recvmsg": lambda received, *_: received[0],
    "recv_into": lambda received, buffer=b"", *_, **__: _of_buffer(received, buffer),
    "recvfrom_into": lambda received, buffer=b"", *_, **__: _of_buffer(received[0], buffer),
    "recvmsg_into": lambda received, buffers, *_: _of_buffers(received[0], buffers),
}
"""By call, what finds the received bytes in what it has returned and its arguments."""


def _send(self: Any, /, *args: Any) -> int:
    data, flags = _to_send(args)
    if flags is None:
        return _real_send(self, *args)  # it refuses the arguments in its own words
    connections.sends(_fileno(self), data)
    timeout = _gettimeout(self)
    if not scheduler.active or timeout == 0 or _kind(self) != socket.SOCK_STREAM:
        count = _real_send(self, data, flags)
    else:
        count, _ = _send_some(self, data, flags, timeout)
    connections.sent(_fileno(self), data, count)
    return count


def _send_some(sock: Any, data: Any, flags: int, left: float | None) -> tuple[int, float | None]:
    """Send as much of *data* as there is room for, within *left* seconds; how much, and how many seconds are left."""
    fd = _fileno(sock)
    if left is not None:  # else the real call would wait for as long
        left = await_ready(fd, select.POLLOUT, left, "send")
    while True:
        try:
            return _real_send(sock, data, flags | socket.MSG_DONTWAIT), left
        except BlockingIOError:
            if flags & socket.MSG_DONTWAIT:
                raise
        left = await_ready(fd, select.POLLOUT, left, "send")


def _sendall(self: Any, /, *args: Any) -> None:
    data, flags = _to_send(args)
    if flags is None:
        _real_sendall(self, *args)
        return
    connections.sends(_fileno(self), data)
    left = _gettimeout(self)
    if not scheduler.active or left == 0 or _kind(self) != socket.SOCK_STREAM:
        _real_sendall(self, data, flags)
    else:
        with memoryview(data) as view, view.cast("B") as rest:
            done, left = _send_some(self, rest, flags, left)
            while done < len(rest):
                if left is not None and left <= 0:  # the timeout is that of the whole call
                    raise TimeoutError("timed out")
                count, left = _send_some(self, rest[done:], flags, left)
                done += count
    connections.sent(_fileno(self), data, sys.maxsize)


def _to_send(args: tuple[Any, ...]) -> tuple[Any, int | None]:
    """The data and the flags of a ``send``; no flags if *args* are no arguments of one."""
    try:
        data, flags = args if len(args) == 2 else (*args, 0)
        with memoryview(data) as view:
            return data, flags if isinstance(flags, int) and view.c_contiguous else None
    except (TypeError, ValueError):
        return None, None


def _accept(self: Any, /) -> Any:
    timeout = _gettimeout(self)
    if scheduler.active and timeout != 0:
        await_ready(_fileno(self), select.POLLIN, timeout, "accept")
    fd, address = _real_accept(self)
    connections.accepted(fd)
    if scheduler.active:
        for call in after_accept:
            call(fd, address)
    return fd, address


after_accept: list[Callable[[int, Any], None]] = []
"""Called with the descriptor and the address of each connection that an instance has accepted."""
_real_accept = _socket.socket._accept  # type: ignore[attr-defined]


def _closing(real: Any) -> Any:
    def _real_close(self: Any, _ss: Any = _socket.socket) -> None:
        connections.closes(_fileno(self))
        real(self, _ss)

    return _real_close


# -- TLS ---------------------------------------------------------------------------------------------------------------


def _patch_ssl(ssl: Any) -> None:
    """Patch ``SSLSocket``, whose blocking calls are in C, and ``SSLObject``, which encrypts for loops of asyncio."""
    real_read, real_write, real_send = ssl.SSLSocket.read, ssl.SSLSocket.write, ssl.SSLSocket.send

    def read(self: Any, len: int = 1024, buffer: Any = None) -> Any:
        timeout = _gettimeout(self)
        if scheduler.active and timeout != 0 and self._sslobj is not None and not self._sslobj.pending():
            await_ready(_fileno(self), select.POLLIN, timeout, "recv")
        received = real_read(self, len, buffer)
        connections.came(_fileno(self), received if buffer is None else _of_buffer(received, buffer))
        return received

    def write(self: Any, data: Any) -> Any:
        connections.sends(_fileno(self), data)
        count = real_write(self, data)
        connections.sent(_fileno(self), data, count)
        return count

    def send(self: Any, data: Any, flags: int = 0) -> Any:
        if self._sslobj is None:
            return real_send(self, data, flags)  # that of a socket
        connections.sends(_fileno(self), data)
        count = real_send(self, data, flags)
        connections.sent(_fileno(self), data, count)
        return count

    read_decrypted, write_decrypted = ssl.SSLObject.read, ssl.SSLObject.write

    def read_object(self: Any, len: int = 1024, buffer: Any = None) -> Any:
        received = read_decrypted(self, len, buffer)
        layer: connections.Layer | None = vars(self).get(_LAYER)
        if layer is not None:
            layer.came(received if buffer is None else _of_buffer(received, buffer))
        return received

    def write_object(self: Any, data: Any) -> Any:
        layer: connections.Layer | None = vars(self).get(_LAYER)
        if layer is not None:
            layer.sends(data)
        count = write_decrypted(self, data)
        if layer is not None:
            layer.sent(data, count)
        return count

    why = "who spoke last on a connection is known"
    registry.replace(ssl.SSLObject, "read", read_object, why)
    registry.replace(ssl.SSLObject, "write", write_object, why)
    why = "who spoke last on a connection is known, and the wait for what comes is one of the scheduler"
    registry.replace(ssl.SSLSocket, "read", read, why)
    registry.replace(ssl.SSLSocket, "write", write, why)
    registry.replace(ssl.SSLSocket, "send", send, why)


_LAYER = "_scf_async_layer"
"""The attribute of an ``SSLObject`` with the connection that it is on."""


def _is_agreed(sock: Any, ssl_object: Any) -> None:
    """Note that the handshake of *ssl_object* is over, whose bytes *sock* sends and receives."""
    layer = None if sock is None else connections.layer_on(sock.fileno())
    if layer is not None:
        setattr(ssl_object, _LAYER, layer)


def _patch_sslproto(sslproto: Any) -> None:
    real = sslproto.SSLProtocol._on_handshake_complete

    def _on_handshake_complete(self: Any, handshake_exc: Any) -> Any:
        if handshake_exc is None and self._transport is not None:
            made = self._sslobj if hasattr(self, "_sslobj") else self._sslpipe.ssl_object  # before Python 3.11
            _is_agreed(self._transport.get_extra_info("socket"), made)
        return real(self, handshake_exc)

    why = "what TLS carries is known"
    registry.replace(sslproto.SSLProtocol, "_on_handshake_complete", _on_handshake_complete, why)


def _patch_anyio(tls: Any) -> None:
    real = tls.TLSStream._call_sslobject_method
    raw_socket = sys.modules["anyio.abc"].SocketAttribute.raw_socket

    async def _call_sslobject_method(self: Any, func: Any, *args: Any) -> Any:
        result = await real(self, func, *args)
        if getattr(func, "__name__", "") == "do_handshake":
            _is_agreed(self.transport_stream.extra(raw_socket, None), self._ssl_object)
        return result

    why = "what TLS carries is known"
    registry.replace(tls.TLSStream, "_call_sslobject_method", _call_sslobject_method, why)


# -- descriptors -------------------------------------------------------------------------------------------------------


def is_of_this_process(fd: int) -> bool:
    """Whether *fd* is a pipe or socket for which only this process can end a wait; a child would in real time."""
    try:
        if not os.get_blocking(fd):
            return False
    except (OSError, TypeError):
        return False
    target = procfs.target_of("self", fd)
    if scheduler.forked and (not target.startswith("pipe:[") or _a_child_has(target)):
        return False
    return target.startswith(("pipe:[", "socket:[", "anon_inode:[eventfd]")) or target == "/dev/ptmx"


def _a_child_has(pipe: str) -> bool:
    """Whether a child of this process, or one of theirs, may have an end of *pipe*.

    Not every child has one: the resource tracker of ``multiprocessing``, which its queues and locks start from Python
    3.14 on, has none of the queue's.
    """
    pids = procfs.children_of(os.getpid())
    for pid in pids:  # the list grows meanwhile
        pids += procfs.children_of(pid)
        if procfs.may_have(pid, pipe):
            return True
    return False


def send_at_once(fd: int, data: memoryview) -> int:
    """Send as much of *data* on the socket *fd* as there is room for now."""
    borrowed = connections.borrow(fd)
    try:
        return _real_send(borrowed, data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    finally:
        borrowed.detach()


def _await_read(fd: Any, name: str) -> int:
    """Wait until *fd* can be read; its number, or -1 if the real function is to refuse it."""
    try:
        number = operator.index(fd)
    except TypeError:
        return -1
    if scheduler.active and number >= 0 and not is_ready(number, select.POLLIN)() and is_of_this_process(number):
        await_ready(number, select.POLLIN, None, name)
    return number


def _read(*args: Any, **named: Any) -> bytes:
    fd = -1
    if len(args) == 2 and sys._getframe(1).f_globals.get("__name__") != _REAL:
        waits_in_c.reads(args[0])
        fd = _await_read(args[0], "read")
    data = _real_read(*args, **named)
    if args[1]:
        connections.came(fd, data)
    return data


def _readv(*args: Any, **named: Any) -> int:
    waits_in_c.reads(args[0])
    fd = _await_read(args[0], "readv") if len(args) == 2 else -1
    count = _real_readv(*args, **named)
    if any(map(len, args[1])):
        connections.came(fd, b"".join(args[1])[:count])
    return count


def _eventfd_read(*args: Any, **named: Any) -> int:
    _await_read(args[0] if args else named.get("fd"), "read")
    return _real_eventfd_read(*args, **named)


def install() -> None:
    """Patch the calls, in the zygote; where the scheduler is not active their waits stay real."""
    why = "the wait is one of the scheduler, and who spoke last on a connection is known"
    for name in _RECEIVE:
        registry.replace(socket.socket, name, _receiving(name), why)
    registry.replace(socket.socket, "send", _send, why)
    registry.replace(socket.socket, "sendall", _sendall, why)
    registry.replace(socket.socket, "_accept", _accept, why)
    real_close: Any = socket.socket._real_close  # type: ignore[attr-defined]
    registry.replace(socket.socket, "_real_close", _closing(real_close), "its number may become another's")
    registry.replace(os, "read", _read, "the wait for a pipe of this process is one of the scheduler")
    registry.replace(os, "readv", _readv, "the wait for a pipe of this process is one of the scheduler")
    registry.replace(os, "eventfd_read", _eventfd_read, "only this process can end the wait")
    after_import.patch("ssl", _patch_ssl)
    after_import.patch("asyncio.sslproto", _patch_sslproto)
    after_import.patch("anyio.streams.tls", _patch_anyio)
    os.register_at_fork(after_in_child=connections.forget_waits)
