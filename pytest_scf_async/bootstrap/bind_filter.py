"""Keep programs that share the machine's network on its loopback, whatever language they are written in.

The zygote installs a seccomp filter once, and all that is forked from it inherits it: instances, programs, and what
those start. The kernel stops a thread in ``bind`` and ``listen`` and notifies the reaper, which binds a server's socket
that asked for all addresses of the machine to the loopback in the program's stead. Everything else goes on in the
kernel as if nothing had been there: loopback addresses, other families, processes with a network namespace of their
own. For Python code in an instance ``network`` refuses more, and earlier; this is for what that does not see.

The alternative, a supervisor for each program, does not see the children of handlers, and costs each start something.
A filter that each instance installs would cost each start something, too.

This protects against accidents, not against attackers: another thread can change the address between the look at it
and the kernel's own, as seccomp's manual page says, and neither 32-bit calls nor those by io_uring are seen. A program
that wants to be notified of system calls itself is refused (``EBUSY``): the kernel allows one such filter. A signal
that comes before the reaper has taken the notification interrupts a call of a program whose handler says so (no
``SA_RESTART``), where the kernel's own ``bind`` is never interrupted: that takes some ten µs. Python code in an
instance makes the call again (``network``).
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

from ..protocol import linux, procfs

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_NUMBERS = {"x86_64": (0xC000003E, 317, 49, 50), "aarch64": (0xC00000B7, 277, 200, 201)}
"""By architecture: how the filter knows it, and the numbers of ``seccomp``, ``bind`` and ``listen``."""

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
_FLAGS = 1 << 3 | 1 << 2 | 1 << 5
"""A descriptor for notifications; the processor speculates on as before; once a notification was taken, no signal but a
deadly one interrupts the call, which would be made a second time after it (Linux 5.19)."""
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
_NUMBER_AT, _ARCHITECTURE_AT, _LENGTH_AT = 0, 4, 32
"""Where a filter finds what it looks at; the length of an address is the third argument."""
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""Its id, the thread, flags, the call's number, the architecture, where it was made, and its arguments."""
_ANSWER = struct.Struct("=QqiI")
"""The notification's id, what the call returns, the error as a negative number, flags."""
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1

_IPV4_BYTES, _IPV6_BYTES, _MOST_BYTES = 16, 28, 128
"""Of an address; the kernel refuses longer ones."""
_MAPPED = b"\0" * 10 + b"\xff\xff"
_ANY = (b"\0" * 4, b"\0" * 16, _MAPPED + b"\0" * 4)
_LOCALHOST, _LOCALHOST_6, _LOCALHOST_OF_BOTH = "127.0.0.1", "::1", "::ffff:127.0.0.1"

_asked_for_all = mmap.mmap(-1, 1 << 16)
"""By port: 1 where a program asked for all addresses, and got 127.0.0.1. Reaper and instances share it."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def asked_for_all(port: int) -> bool:
    """Whether a program asked for *port* on all addresses, and got it on 127.0.0.1, since the last `forget` of it."""
    return _asked_for_all[port] != 0


def forget(port: int) -> None:
    """A program is about to start that has *port* to itself."""
    _asked_for_all[port] = 0


# -- in the zygote ---------------------------------------------------------------------------------------------------


def install(reaper: socket.socket) -> str:
    """Filter the calls of this process, and of all that it forks and executes from here on; why that cannot be, if so.

    *reaper* is the connection to it, which is closed. Nothing but the reaper may keep the descriptor that it gets: with
    its last holder a call that waits for an answer ends (``ENOSYS``).
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
        (_IF_AT_LEAST, 1, 0, _IPV4_BYTES),  # that of netlink, which each look-up of a name binds, is shorter
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
        linux.call(PR_SET_NO_NEW_PRIVS, 1)  # without that an ordinary user may not filter
    raise OSError(number, os.strerror(number))


# -- in the reaper ---------------------------------------------------------------------------------------------------


def offer(zygote: int, connection: socket.socket) -> None:
    """Tell the *zygote*, a child of this process, whether the reaper can do what it would be asked for."""
    why = ""
    try:
        os.close(linux.copy_of_descriptor(zygote, 0))
        procfs.memory_at(zygote, id(connection), 1)  # where it is here, too
    except OSError as error:
        why = error.strerror or str(error)
    try:
        connection.send(f"{why}\n".encode())
    except OSError:
        return  # it has ended


def take(connection: socket.socket) -> int:
    """The descriptor for notifications, which the zygote has sent; -1: it has none. The connection is closed."""
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    return descriptors[0] if descriptors else -1


def answer(listener: int) -> None:
    """Deal with the next notification."""
    notification = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notification)
        ident, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(notification)
        try:
            error = _do(listener, ident, thread, number, arguments)
        except (OSError, OverflowError):  # it ends, may not be looked at, or names an address that none is
            error = None
        flags = _CONTINUE if error is None else 0
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(ident, 0, -(error or 0), flags))
    except OSError as refusal:
        if refusal.errno != errno.ENOENT:  # the thread was killed meanwhile
            raise


def _do(listener: int, ident: int, thread: int, number: int, arguments: list[int]) -> int | None:
    """Make the call for the *thread*; its error, 0 where it went well. None: the kernel is to make it."""
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
    """Family, address and port; None of what is left to the kernel: the loopback, other families, what is too short."""
    family, port = int.from_bytes(data[:2], sys.byteorder), int.from_bytes(data[2:4], "big")
    if len(data) < _IPV4_BYTES:
        return None
    if family in (socket.AF_INET, socket.AF_UNSPEC):  # the latter is taken for the former
        packed = data[4:8]
        return None if packed[:1] == b"\x7f" else (socket.AF_INET, packed, port)
    if family != socket.AF_INET6 or len(data) < 24:
        return None
    packed = data[8:24]
    return None if packed == b"\0" * 15 + b"\1" or packed[:13] == _MAPPED + b"\x7f" else (family, packed, port)


def _is_server(sock: socket.socket, port: int) -> bool:
    """Whether others may reach *sock* at *port*. Clients send datagrams from a port that the kernel chooses."""
    return sock.type == socket.SOCK_STREAM or (sock.proto == socket.IPPROTO_UDP and port != 0)


def _bind(sock: socket.socket, port: int) -> int:
    """Bind it to the loopback instead of all addresses; the error, or 0."""
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
    """The kernel would choose all addresses for a socket that is not bound."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and _is_server(sock, 0) and sock.getsockname()[1] == 0:
        return _bind(sock, 0) or None
    return None
