"""Keep servers of programs that share the machine's network on its loopback, whatever language they are written in.

The zygote installs a seccomp filter once. All processes that descend from it inherit the filter: instances, programs,
and their children. When a thread calls ``bind`` or ``listen``, the kernel stops it and notifies the reaper. If a server
asks for all addresses of the machine, the reaper binds its socket to the loopback in place of the program. If it asks
for another address outside the loopback, the call fails with ``EADDRNOTAVAIL``. The kernel makes all other calls as it
would without the filter: those with loopback addresses, with other families, and those of processes with a network
namespace of their own. For Python code in an instance ``network`` refuses more addresses, and earlier; this module is
for code that ``network`` does not see.

Two alternatives were rejected. A supervisor for each program would not see the children of handlers, and would make
each start slower. A filter that each instance installs would make each start slower, too.

This protects against accidents, not against attackers. Another thread can change the address after the reaper has read
it and before the kernel does, as seccomp's manual page says. 32-bit calls and calls by io_uring are not seen.

The filter has two effects that a program can notice. The kernel allows one filter with notifications, so it refuses a
second one that a program wants for itself (``EBUSY``). The kernel's own ``bind`` is never interrupted by a signal; here
a signal that arrives before the reaper has taken the notification, for some ten µs, interrupts the call if the
program's handler has no ``SA_RESTART``. Python code in an instance makes such a call again (``network``).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
import sys

from ..linux import linux, procfs

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_NUMBERS = {"x86_64": (0xC000003E, 317, 49, 50), "aarch64": (0xC00000B7, 277, 200, 201)}
"""By architecture: its number in seccomp, and the numbers of the calls ``seccomp``, ``bind`` and ``listen``."""

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
_FLAGS = 1 << 3 | 1 << 2 | 1 << 5
"""Flags of the filter: it has a descriptor for notifications; it does not restrict the processor's speculation; once a
notification was taken, only a fatal signal interrupts the call, which would otherwise be made a second time (Linux
5.19)."""
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
_NUMBER_AT, _ARCHITECTURE_AT, _LENGTH_AT = 0, 4, 32
"""Offsets in the data that a filter reads; the length of an address is the call's third argument."""
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""Its id, the thread, flags, the call's number, the architecture, the instruction pointer, and the call's arguments."""
_ANSWER = struct.Struct("=QqiI")
"""The notification's id, the call's result, the error as a negative number, and flags."""
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1

_IPV4_BYTES, _IPV6_BYTES, _MOST_BYTES = 16, 28, 128
"""Lengths of addresses; the kernel refuses addresses that are longer than the last."""
_MAPPED = b"\0" * 10 + b"\xff\xff"
_ANY = (b"\0" * 4, b"\0" * 16, _MAPPED + b"\0" * 4)
_LOCALHOST, _LOCALHOST_6, _LOCALHOST_OF_BOTH = "127.0.0.1", "::1", "::ffff:127.0.0.1"

_asked_for_all = mmap.mmap(-1, 1 << 16)
"""By port: 1 if a program asked for all addresses and got 127.0.0.1. The reaper and the instances share this memory."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def asked_for_all(port: int) -> bool:
    """Whether a program has asked for *port* on all addresses, and got it on 127.0.0.1, since the last `forget`."""
    return _asked_for_all[port] != 0


def forget(port: int) -> None:
    """Forget earlier programs that asked for *port*: one is about to start that alone uses it."""
    _asked_for_all[port] = 0


# -- in the zygote ---------------------------------------------------------------------------------------------------


def install(reaper: socket.socket) -> str:
    """Install the filter in this process, for all that it forks and executes from here on.

    Returns an empty text, or why the filter cannot be installed. *reaper* is the connection to the reaper; it is
    closed. Only the reaper keeps the descriptor for notifications, so that a call that waits for an answer ends when
    the reaper ends: it fails with ``ENOSYS`` once the last copy of the descriptor is closed.
    """
    with reaper:
        why = reaper.recv(4096).decode().strip()
        if why:
            return why
        try:
            listener = _install()
        except OSError as error:
            return f"seccomp: {error.strerror}"
        try:
            linux.send_descriptors(reaper, b"\0", [listener])
        finally:
            os.close(listener)
    return ""


def _install() -> int:
    numbers = _NUMBERS.get(os.uname().machine)
    if numbers is None:
        raise OSError(errno.ENOSYS, f"no numbers of system calls are known for {os.uname().machine}")
    architecture, seccomp, bind, listen = numbers
    code = (
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 0, 5, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_EQUAL, 4, 0, listen),
        (_IF_EQUAL, 0, 2, bind),
        (_LOAD, 0, 0, _LENGTH_AT),
        (_IF_AT_LEAST, 1, 0, _IPV4_BYTES),  # netlink's, which each look-up of a name binds, are shorter
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _NOTIFY),
    )
    packed = b"".join(_INSTRUCTION.pack(*each) for each in code)
    instructions = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(code), ctypes.addressof(instructions))
    for _ in range(2):
        descriptor: int = _libc.syscall(seccomp, SECCOMP_SET_MODE_FILTER, _FLAGS, ctypes.byref(program))
        number = ctypes.get_errno()
        if descriptor >= 0:
            return descriptor
        if number != errno.EACCES:
            break
        linux.call(PR_SET_NO_NEW_PRIVS, 1)  # an ordinary user may not filter without it
    raise OSError(number, os.strerror(number))


# -- in the reaper ---------------------------------------------------------------------------------------------------


def offer(zygote: int, connection: socket.socket) -> None:
    """Send the *zygote*, a child of this process, an empty line, or why the reaper cannot serve its filter.

    The reaper must be able to copy descriptors of other processes and to read their memory.
    """
    why = ""
    try:
        os.close(linux.copy_of_descriptor(zygote, 0))
        procfs.memory_at(zygote, id(connection), 1)  # a fork has this object at the same address
    except OSError as error:
        why = error.strerror or str(error)
    try:
        connection.send(f"{why}\n".encode())
    except OSError:
        return  # the zygote has ended


def take(connection: socket.socket) -> int:
    """Receive the descriptor for notifications from the zygote, and close the connection.

    Returns -1 if the zygote has installed no filter.
    """
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    return descriptors[0] if descriptors else -1


def answer(listener: int) -> None:
    """Take the next notification, make or refuse the call, and answer the kernel."""
    notification = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notification)
        ident, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(notification)
        try:
            error = _do(listener, ident, thread, number, arguments)
        except (OSError, OverflowError):  # the thread ends, may not be read, or passed no valid address
            error = None
        flags = _CONTINUE if error is None else 0
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(ident, 0, -(error or 0), flags))
    except OSError as refusal:
        if refusal.errno != errno.ENOENT:  # the thread was killed meanwhile
            raise


def _do(listener: int, ident: int, thread: int, number: int, arguments: list[int]) -> int | None:
    """Make the call in place of the *thread*; returns its error, or 0 on success. None: the kernel is to make it."""
    if not procfs.shares_network(thread):
        return None
    fd = arguments[0] & 0xFFFFFFFF
    _, _, bind, listen = _NUMBERS[os.uname().machine]
    if number == bind:
        length = arguments[2] & 0xFFFFFFFF
        if length > _MOST_BYTES:
            return None
        found = _address(procfs.memory_at(thread, arguments[1], min(length, _IPV6_BYTES)))
        if found is None:
            return None
        family, packed, port = found
    sock = linux.copy_of_socket(procfs.thread_group_of(thread), fd)
    if sock is None:
        return None
    with sock:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", ident))
        if number == listen:
            return _before_listen(sock)
        if sock.family != family or not _is_server(sock, port):
            return None
        return _bind(sock, port) if packed in _ANY else errno.EADDRNOTAVAIL


def _address(data: bytes) -> tuple[int, bytes, int] | None:
    """The family, address and port that *data* contains.

    None if the kernel is to make the call: the address is the loopback's, of another family, or too short.
    """
    family, port = int.from_bytes(data[:2], sys.byteorder), int.from_bytes(data[2:4], "big")
    if len(data) < _IPV4_BYTES:
        return None
    if family in (socket.AF_INET, socket.AF_UNSPEC):  # the kernel takes AF_UNSPEC for AF_INET
        packed = data[4:8]
        return None if packed[:1] == b"\x7f" else (socket.AF_INET, packed, port)
    if family != socket.AF_INET6 or len(data) < 24:
        return None
    packed = data[8:24]
    return None if packed == b"\0" * 15 + b"\1" or packed[:13] == _MAPPED + b"\x7f" else (family, packed, port)


def _is_server(sock: socket.socket, port: int) -> bool:
    """Whether *sock*, bound to *port*, is a server's. A client's datagrams come from a port that the kernel chooses."""
    return sock.type == socket.SOCK_STREAM or (sock.proto == socket.IPPROTO_UDP and port != 0)


def _bind(sock: socket.socket, port: int) -> int:
    """Bind *sock* to the loopback instead of all addresses; returns the error, or 0."""
    host = _LOCALHOST
    if sock.family == socket.AF_INET6:
        only_6 = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        host = _LOCALHOST_6 if only_6 else _LOCALHOST_OF_BOTH
    try:
        sock.bind((host, port))
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    if host != _LOCALHOST_6 and sock.type == socket.SOCK_STREAM:
        _asked_for_all[port] = 1
    return 0


def _before_listen(sock: socket.socket) -> int | None:
    """Bind *sock* to the loopback first if it is not bound: the kernel would bind it to all addresses.

    Returns the error. None: the kernel is to make the call.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6) and _is_server(sock, 0) and sock.getsockname()[1] == 0:
        return _bind(sock, 0) or None
    return None
