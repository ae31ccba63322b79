"""Who calls the endpoint: which instance a connection is of, and which addresses are of the loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address

from ..instances.instance import Instance
from ..instances.pool import Pool
from ..linux import procfs
from ..lockstep.event import Event


def ip_address_is_of_loopback(host: str) -> bool:
    """Whether *host* is ``localhost`` or an address of IPv4's loopback."""
    try:
        return host == "localhost" or IPv4Address(host).is_loopback
    except ValueError:
        return False


class ConnectionOwner:
    """Who is at the other end of *connection*: found out where it matters, which is where an answer takes time."""

    def __init__(self, pool: Pool[Event], connection: socket.socket, is_closing: Callable[[], bool]) -> None:
        self._pool = pool
        self._connection = connection
        self._is_closing = is_closing

    @property
    def closed(self) -> bool:
        """Whether the endpoint closes its connections."""
        return self._is_closing()

    def instance(self) -> tuple[Instance, int] | None:
        """The instance that has the other end, and the port of that in its own network; None where none has.

        A connection out of an instance's own network is relayed. Else the kernel says which socket is at the other
        end, and which process has that. Only instances that run an event are considered.
        """
        try:
            port = self._connection.getpeername()[1]
        except OSError:
            return None  # the client is gone
        forwarder = self._pool.port_forwarder
        relayed = None if forwarder is None else forwarder.origin(port)
        if relayed is not None:
            number, inside = relayed
            return next(((each, inside) for each in self._running() if each.number == number), None)
        from ..linux.sock_diag import SockDiag  # noqa: PLC0415  (Linux has it; the package is imported elsewhere too)

        kernel = SockDiag()
        try:
            other = kernel.other_end(self._connection)
        except OSError:
            return None
        finally:
            kernel.close()
        if other is None or not other.inode:
            return None
        target = f"socket:[{other.inode}]"
        return next(((each, port) for each in self._running() if _has(each, target)), None)

    def _running(self) -> list[Instance]:
        return list(self._pool.events)


def _has(instance: Instance, target: str) -> bool:
    processes = dict.fromkeys([instance.pid, *instance.user_process.processes(), *procfs.descendants_of(instance.pid)])
    return any(procfs.target_of(pid, fd) == target for pid in processes for fd in procfs.descriptors_of(pid))
