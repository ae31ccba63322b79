"""What only the Linux kernel gives: ``prctl``, descriptors of others, signals of ours, the removal of directories."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any, Final

from ..protocol.real_time import REAL

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_PIDFD_GETFD = 438
_KCMP = {"x86_64": 312, "aarch64": 272}
_INT = struct.Struct("i")
SEND_LIMIT = 10.0
"""Real seconds within which other processes have to receive the descriptors that are on their way."""

_LAST_SIGNAL: int = getattr(signal, "SIGRTMAX", 64)
"""Elsewhere there is none, and the module is imported all the same: the facade needs it."""

STACKS_SIGNAL = _LAST_SIGNAL - 3
"""Makes an instance write the Python stacks of all its threads where the harness reads them."""

POKE_SIGNAL = _LAST_SIGNAL - 4
"""Interrupts what the main thread waits in, so that the interpreter checks for other signals that have come."""

if sys.platform == "linux":
    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.syscall.restype = ctypes.c_long
    _prctl = _libc.prctl
    _prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def call(option: int, value: int) -> None:
    """Set an attribute of this process with ``prctl``."""
    if _prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}, {value}): {os.strerror(error)}")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    call(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have descendants whose parents end become children of this process."""
    call(PR_SET_CHILD_SUBREAPER, 1)


def signal_thread(pid: int, task: int, signum: int) -> bool:
    """Send *signum* to one thread of a process; False: it is gone."""
    return bool(_libc.tgkill(pid, task, signum) == 0)


def cpu_clock_of(pid: int) -> int:
    """The clock of all processor time of *pid*, and not of its children: clock_getcpuclockid(3)."""
    return ~pid << 3 | 2


def send_descriptors(connection: socket.SocketType, data: bytes, fds: Sequence[int]) -> int:
    """Send *data* with the descriptors *fds*; how many bytes were sent.

    The kernel counts the descriptors on their way of all processes of a user together, and refuses more
    (``ETOOMANYREFS``) where they are as many as this process may have open. They are received a moment later: it is
    tried again, for `SEND_LIMIT` real seconds.
    """
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))]
    deadline = REAL.monotonic() + SEND_LIMIT
    while True:
        try:
            return connection.sendmsg([data], ancillary)
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS or REAL.monotonic() > deadline:
                raise
        REAL.sleep(0.001)


OURS_SENT: Final = socket.MSG_EOR | socket.MSG_MORE
OURS_RECEIVED: Final = socket.MSG_CMSG_CLOEXEC | socket.MSG_WAITALL
OURS_WRITTEN: Final = 0x2 | 0x4  # RWF_DSYNC and RWF_SYNC
"""Flags of the calls by which an instance that is traced speaks to the test's process, so that a filter knows these.

They change nothing on such a socket, or such a pipe, and no code combines them.
"""


def receive(connection: Any, size: int, flags: int = 0) -> bytes:
    """Receive *size* bytes at most; none once the other process has closed its end.

    Where it has closed that, or has been killed, before it had read all that was sent to it, the kernel says so by an
    error in place of the end.
    """
    try:
        data: bytes = connection.recv(size, flags)
    except ConnectionResetError:
        return b""
    return data


def receive_descriptors(connection: socket.SocketType, size: int, most: int) -> tuple[bytes, list[int]]:
    """Receive *size* bytes and *most* descriptors at most, which no child inherits; the rest of them is closed.

    ``socket.recv_fds`` takes flags and passes none on, so that every program which user code starts would have them.
    """
    try:
        data, ancillary, _, _ = connection.recvmsg(size, socket.CMSG_SPACE(most * _INT.size), socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # as in `receive`
        return b"", []
    found: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = payload[: len(payload) - len(payload) % _INT.size]
            found += [fd for (fd,) in _INT.iter_unpack(whole)]
    return data, found


def copy_of_descriptor(pid: int, fd: int) -> int:
    """A descriptor of what the descriptor *fd* of the process *pid* refers to, to be closed; ``OSError``: none."""
    pidfd = os.pidfd_open(pid)
    try:
        copy: int = _libc.syscall(_PIDFD_GETFD, pidfd, fd, 0)
        number = ctypes.get_errno()
    finally:
        os.close(pidfd)
    if copy < 0:
        raise OSError(number, f"pidfd_getfd: {os.strerror(number)}")
    return copy


def copy_of_socket(pid: int, fd: int) -> socket.socket | None:
    """The socket at the descriptor *fd* of the process *pid*; None: it is another kind of file there, or none.

    The process may go on meanwhile: where a socket was a moment ago, a file may have been opened since.
    """
    try:
        copy = copy_of_descriptor(pid, fd)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def refers_to(pid: int, fd: int, copy: int) -> bool:
    """Whether the descriptor *fd* of the process *pid* is of the same open file as *copy* of this one (``kcmp``)."""
    order: int = _libc.syscall(_KCMP[os.uname().machine], pid, os.getpid(), 0, fd, copy)
    return order == 0


def remove_tree(path: str) -> None:
    """Remove the directory *path* with all that is in it, as far as the kernel lets us; raise nothing.

    Directories whose owner took its own rights away (modes 0 and 0500) get them back first: ``shutil.rmtree`` leaves
    those, and on Python 3.12 and older it ends with ``RecursionError`` in one that is a thousand levels deep.
    """
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        _remove_step_by_step(path)


def _remove_step_by_step(path: str) -> None:
    directories = [path]
    for directory in directories:  # it grows meanwhile
        try:
            os.chmod(directory, 0o700)
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.path)
                continue
            try:
                os.unlink(entry.path)
            except OSError:
                continue
    for directory in reversed(directories):
        try:
            os.rmdir(directory)
        except OSError:
            continue
