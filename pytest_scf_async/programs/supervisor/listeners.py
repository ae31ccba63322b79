"""Who listens where a recorded process connects: another one of the record, or somebody outside.

What a process of the record is told is no message to somebody else: its files are recorded too, and a kill ends it with
the others. A server that the program starts itself is the usual case. A peer that cannot be made out is outside.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from ...linux import linux, procfs, sock_diag

_IPV4, _IPV6 = slice(4, 8), slice(8, 24)
"""Where an address in memory has the host, behind the family and the port."""
_MAPPED: Final = "::ffff:"
_ACCEPTS: Final = 0x10000
"""A flag in the table of Unix sockets: it listens (SO_ACCEPTCON)."""


class Listener(Enum):
    """Who listens at an address."""

    NOBODY = auto()
    """The call is about to fail, unless somebody begins to listen at this moment."""
    INSIDE = auto()
    OUTSIDE = auto()
    """Or it cannot be told."""


class Listeners:
    """The listening sockets of this machine."""

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        """*processes* gives those of the record, or the threads of these."""
        self._processes = processes
        self._sock_diag = sock_diag.SockDiag()

    def at(self, tid: int, fd: int, data: bytes) -> Listener:
        """Who listens at an address, as the kernel has it, to which thread *tid* connects *fd*. Raises ``OSError``."""
        copy = _copy_of(tid, fd)
        if copy is None:
            return Listener.OUTSIDE
        with copy:
            kind, protocol = copy.type, copy.proto
        family = int.from_bytes(data[:2], "little")
        if family == socket.AF_UNIX and kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            return self._at_name(tid, data[2:])
        if family in (socket.AF_INET, socket.AF_INET6) and protocol == socket.IPPROTO_TCP:
            v6 = family == socket.AF_INET6
            host = socket.inet_ntop(family, data[_IPV6 if v6 else _IPV4])
            return self._at_port(tid, host, int.from_bytes(data[2:4], "big"))
        return Listener.OUTSIDE

    def close(self) -> None:
        """Ask no more."""
        self._sock_diag.close()

    def _at_port(self, tid: int, host: str, port: int) -> Listener:
        """Only of the loopback: the kernel is asked for the listener of a port, and does not say whose host that is."""
        host = host.removeprefix(_MAPPED)
        if not (host == "::1" or host.startswith("127.")):
            return Listener.OUTSIDE
        if not (procfs.shares_network(tid) and self._sock_diag.is_answered()):
            return self._whose(map(int, procfs.listening_inodes(tid, {port})))  # which takes ms
        inode = listener_at(self._sock_diag, host, port)
        return self._whose([inode] if inode else [])

    def _at_name(self, tid: int, name: bytes) -> Listener:
        """The table has the names with which sockets were bound: another path may lead to the same one."""
        listening = [
            (os.fsencode(row[7]), int(row[6]))
            for row in procfs.table_of_sockets(tid, "unix")
            if len(row) == 8 and int(row[3], 16) & _ACCEPTS
        ]
        if name.startswith(b"\0"):  # it is no path
            shown = name.replace(b"\0", b"@")
            return self._whose([inode for each, inode in listening if each == shown])
        path = os.fsdecode(name.partition(b"\0")[0])
        try:
            found = os.lstat(f"/proc/{tid}/root{path}" if path.startswith("/") else f"/proc/{tid}/cwd/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return Listener.NOBODY
        if not stat.S_ISSOCK(found.st_mode):
            return Listener.OUTSIDE
        last = os.path.basename(name.partition(b"\0")[0])
        return self._whose([inode for each, inode in listening if os.path.basename(each) == last])

    def _whose(self, inodes: Iterable[int]) -> Listener:
        found = {self._is_inside(inode) for inode in inodes}
        if not found:
            return Listener.NOBODY
        return Listener.INSIDE if found == {True} else Listener.OUTSIDE

    def _is_inside(self, inode: int) -> bool:
        target = f"socket:[{inode}]"
        return any(
            procfs.target_of(tid, fd) == target for tid in self._processes() for fd in procfs.descriptors_of(tid)
        )


def listener_at(kernel: sock_diag.SockDiag, host: str, port: int) -> int:
    """The inode of the socket that listens at that address of this machine; 0: none does. The *kernel* answers."""
    family, anybody = (socket.AF_INET6, "::") if ":" in host else (socket.AF_INET, "0.0.0.0")
    answer = kernel.query(family, (host, port), (anybody, 0))
    if answer is None or answer[sock_diag.HEADER.size + 1] != sock_diag.LISTENS:
        return 0
    *_, inode = sock_diag.NUMBERS.unpack_from(answer, sock_diag.FIRST_NUMBERS)
    return int(inode)


def is_connected(tid: int, fd: int) -> bool:
    """Whether the socket at a descriptor of thread *tid* has another end. Raises ``OSError`` where it is gone."""
    copy = _copy_of(tid, fd)
    if copy is None:
        return False
    with copy:
        try:
            copy.getpeername()
        except OSError:
            return False
    return True


def _copy_of(tid: int, fd: int) -> socket.socket | None:
    return linux.copy_of_socket(procfs.thread_group_of(tid), fd)
