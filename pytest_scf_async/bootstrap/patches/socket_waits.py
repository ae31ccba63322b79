"""Waits to hear something on a connection on which nothing need come (``idle_ok``): they do not hold the clock.

Installed only where a function has such connections: nobody else pays for it. A thread that waits there is in the door,
and what comes wakes it.
"""

from __future__ import annotations

import _socket
import select
import socket
from collections.abc import Iterable
from typing import Any

from ..scheduler.door import door
from ..scheduler.waiters import Watch, real_poll
from . import select as multiplexed

_METHODS = ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into")


def install(peers: Iterable[str]) -> None:
    """Let waits for what *peers* send be no real ones, in this instance."""
    multiplexed.idle_peers = frozenset(peers)
    for name in _METHODS:
        setattr(socket.socket, name, _hearing(name, getattr(_socket.socket, name)))


def _hearing(name: str, real: Any) -> Any:
    def hear(self: Any, *args: Any, **kwargs: Any) -> Any:
        flags = args[1:2] if name in ("recv", "recvfrom") else args[2:3]
        if door.active and not (kwargs.get("flags", flags[0] if flags else 0) & socket.MSG_DONTWAIT):
            _wait_to_hear(self, name)
        return real(self, *args, **kwargs)

    hear.__name__ = name
    hear.__qualname__ = f"socket.{name}"
    hear.__doc__ = real.__doc__
    return hear


def _wait_to_hear(connection: Any, name: str) -> None:
    timeout = connection.gettimeout()
    if timeout == 0 or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        address = connection.getpeername()
    except OSError:
        return  # the real function has the right words for that
    if not multiplexed.is_idle(address):
        return
    peer = multiplexed.shown(address)
    watched = real_poll()
    fd = connection.fileno()
    watched.register(fd, select.POLLIN)

    def is_ready() -> bool:
        return bool(watched.poll(0))

    def prepare() -> tuple[Watch, list[str]]:
        return Watch({fd: select.POLLIN}, is_ready), []

    what = f"{name} on a connection to {peer}"
    if not is_ready() and not multiplexed.wait(is_ready, timeout, what, prepare, []):
        raise TimeoutError("timed out")
