"""An instance's own network: a namespace with nothing in it but a loopback, and the ports that the test relays into it.

Any number of instances can each listen on port 9000 there. A listening socket belongs to the namespace in which it was
made, whoever accepts its connections: those of the relayed ports are handed to the harness, which is outside.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Sequence

from ..protocol import linux, messages

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
BACKLOG = 128
"""Takes a socket of ``_socket`` as well, whose calls are no waits of user code."""
_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Move this process to a network namespace of its own, whose loopback is up; OSError that says what was refused."""
    if _libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare of the network namespace: {os.strerror(number)}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket.fileno(), SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket.fileno(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def relay(relayed: Sequence[tuple[str, int, int]], to: int) -> None:
    """Listen on addresses of the loopback, and hand the listening sockets to the harness over the socket *to*.

    Each of *relayed* is an address, a port of it, and the port of the machine's loopback that it leads to. *to*
    stays open: the harness lets go of them when it is closed, with the end of this process.
    """
    harness = _socket.socket(fileno=to)
    for address, port, outside in relayed:
        listening = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(BACKLOG)
            linux.send_descriptors(harness, messages.RELAYED.pack(outside), [listening.fileno()])
        finally:
            listening.close()
    harness.detach()
