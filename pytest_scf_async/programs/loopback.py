"""An instance's own network namespace: it has only a loopback, and the ports that are relayed to the test's machine.

With a namespace each, any number of instances can listen on port 9000. A listening socket stays in the namespace in
which it was created, whichever process accepts its connections. So the instance creates the listening sockets of the
relayed ports, and hands them to the harness, which is outside of the namespace.
"""

from __future__ import annotations

import _socket
import fcntl
import socket
import struct
from collections.abc import Sequence

from ..linux import linux
from ..linux.mount_namespaces import libc, require
from ..protocol import messages

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
BACKLOG = 128


def enter() -> None:
    """Move this process to a new network namespace, and bring its loopback up.

    Raises an OSError that says what the kernel refused.
    """
    require(libc.unshare(CLONE_NEWNET), "unshare of the network namespace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket.fileno(), SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket.fileno(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def relay(relayed: Sequence[tuple[str, int, int]], to: int) -> None:
    """Listen on addresses of the loopback, and hand the listening sockets to the harness over the socket *to*.

    Each item of *relayed* is an address, a port on that address, and the port of the machine's loopback to which its
    connections are forwarded. *to* stays open until this process ends: the harness closes the listening sockets once
    *to* is closed.
    """
    harness = _socket.socket(fileno=to)
    for address, port, outside in relayed:
        # Calls of ``_socket`` sockets are not patched: they do not count as waits of user code.
        listening = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(BACKLOG)
            linux.send_descriptors(harness, messages.RELAYED.pack(outside), [listening.fileno()])
        finally:
            listening.close()
    harness.detach()
