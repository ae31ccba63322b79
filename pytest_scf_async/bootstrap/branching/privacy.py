"""What makes a forked process independent of the one that it was forked from, beside directories: memory and files."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..scheduler.scheduler import scheduler

_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_FIXED = 0x10
TMP = "/tmp"
_SQLITE = b"SQLite format 3\0"
_DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero", "/dev/full")
_FLAGS_OF_OPENING = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOCTTY

_python = ctypes.PyDLL(None, use_errno=True)  # its calls keep the interpreter's lock: the child has no other thread
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)


def fork() -> int:
    """Fork without what ``os.fork`` has others do: modules that seed a generator of random numbers anew, say."""
    pid: int = _python.fork()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"fork: {os.strerror(number)}")
    return pid


def own_memory(buffer: Any) -> None:
    """Have the shared memory of *buffer*, whole pages, be this process's own from here on, with what is in it."""
    view = memoryview(buffer).cast("B")
    content = bytes(view)
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    length = -(-len(content) // mmap.PAGESIZE) * mmap.PAGESIZE
    found = _libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, _ANONYMOUS | _FIXED, -1, 0)
    if found != address:
        number = ctypes.get_errno()
        raise OSError(number, f"memory of one's own: {os.strerror(number)}")
    ctypes.memmove(address, content, len(content))


# -- open files --------------------------------------------------------------------------------------------------------


def shared_mappings() -> int:
    """How many mappings this process has that it shares with others."""
    with open("/proc/self/maps", "rb") as file:
        return file.read().count(b"rw-s ")


class Ours(NamedTuple):
    """What this process has of ours."""

    descriptors: frozenset[int]
    mappings: int


def ours_now() -> Ours:
    """What this process has, before any user code has run."""
    listed = map(int, os.listdir("/proc/self/fd"))  # the listing's own is among them, and is closed by now
    return Ours(frozenset(fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")), shared_mappings())


class OpenFile(NamedTuple):
    """A descriptor of user code."""

    fd: int
    path: str
    mode: int


def users_files(ours: Ours) -> list[OpenFile]:
    """What user code has open.

    In another mount namespace the kernel would give the path from the root of a mount which is not there.
    """
    found = []
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd in ours.descriptors:
            continue
        try:
            found.append(OpenFile(fd, os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd).st_mode))
        except OSError:
            continue  # the listing's own descriptor
    return found


def why_not(ours: Ours, files: Iterable[OpenFile], run_path: str) -> str:
    """Why this process, which has *ours* and *files*, cannot be copied; empty where it can be."""
    if len(scheduler.threads) > 1 or len(os.listdir("/proc/self/task")) > 1:
        others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        return f"another thread runs ({', '.join(others) or 'of code in C'})"
    if scheduler.forked:
        return "it has started a process"
    if signal.getsignal(signal.SIGCHLD) not in (signal.SIG_DFL, None):
        return "it has a handler for SIGCHLD"
    for fd, path, mode in files:
        if stat.S_ISREG(mode):
            if path.startswith((run_path, TMP)) and _is_database(fd):
                return f"the database {os.path.basename(path)} is open"
        elif not (stat.S_ISCHR(mode) and path in _DEVICES):
            return f"it has {path} open"
    return "" if shared_mappings() <= ours.mappings else "it shares memory"


def _is_database(fd: int) -> bool:
    try:
        return os.pread(fd, len(_SQLITE), 0) == _SQLITE
    except OSError:
        return False  # it can only be written to


def own_files(files: Iterable[OpenFile]) -> None:
    """Open each regular one of *files* anew, with the same number, flags and offset: the file of this process's own
    directories. What was removed is copied."""
    for fd, path, mode in files:
        if not stat.S_ISREG(mode):
            continue
        flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~_FLAGS_OF_OPENING
        inherited = fcntl.fcntl(fd, fcntl.F_GETFD)
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        again = _copy_of_removed(fd, flags) if path.endswith(" (deleted)") else os.open(path, flags | os.O_CLOEXEC)
        os.lseek(again, offset, os.SEEK_SET)
        os.dup2(again, fd, inheritable=not inherited & fcntl.FD_CLOEXEC)
        os.close(again)


def _copy_of_removed(fd: int, flags: int) -> int:
    path = os.path.join(TMP, f".scf-async-removed-{fd}")
    with open(f"/proc/self/fd/{fd}", "rb") as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    again = os.open(path, flags | os.O_CLOEXEC)
    os.unlink(path)
    return again
