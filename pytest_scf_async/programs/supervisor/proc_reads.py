"""What ``/proc`` says of a thread of the program: whether it waits until somebody else does something.

`Tree.busy` reads this of each thread, in two passes, and decides from the two results. The files of a thread are
kept open where there are descriptors enough, as opening one costs more than reading it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from ...linux import procfs
from .system_calls import BY_NUMBER, Waits

FILES: Final = ("schedstat", "syscall", "stat")
"""What is read of a thread, by the numbers that follow."""
COUNTERS: Final = 0
"""How often and how long it has run."""
CALL: Final = 1
STATE: Final = 2
_FILE_BYTES: Final = 512
_WAITS: Final = {
    number: Waits.YES if call.timed is not None and not call.timed.sleeps else call.waits
    for number, call in BY_NUMBER.items()
}


def opened(pid: int, tid: int, index: int) -> int:
    """A descriptor of one of `FILES` of a thread."""
    return os.open(f"/proc/{pid}/task/{tid}/{FILES[index]}", os.O_RDONLY | os.O_CLOEXEC)


def open_all(pid: int, tid: int) -> list[int]:
    """Descriptors of all `FILES` of a thread; raises OSError, and leaves none open, where one cannot be had.

    That of a thread that has ended cannot: without rights over other processes the kernel refuses ``syscall`` then.
    """
    files: list[int] = []
    try:
        while len(files) < len(FILES):
            files.append(opened(pid, tid, len(files)))
    except OSError:
        for file in files:
            os.close(file)
        raise
    return files


def read(pid: int, tid: int, files: Sequence[int], index: int) -> bytes:
    """What one of `FILES` has of a thread now; *files* are the open ones, or there are none."""
    if files:
        return os.pread(files[index], _FILE_BYTES, 0)
    file = opened(pid, tid, index)
    try:
        return os.pread(file, _FILE_BYTES, 0)
    finally:
        os.close(file)


def sleeps(stat: bytes, *, in_vfork: bool, is_stopped: bool) -> bool:
    """Whether a thread sleeps, or is in a state that `waits` has judged."""
    state = stat.rpartition(b") ")[2][:1]
    allowed = b"SZ" + (b"D" if in_vfork else b"") + (b"t" if is_stopped else b"")
    return state != b"" and state in allowed


def waits(pid: int, tid: int, call: bytes, *, output: str, in_vfork: bool, is_stopped: bool) -> bool:
    """Whether a thread waits in the *call* that ``/proc`` shows, until somebody else does something.

    One that reads a file waits for the disk, and goes on by itself. So does one that writes its *output*.
    """
    number, _, rest = call.partition(b" ")
    if is_stopped:  # SIGCONT wakes it, and its next stop comes a moment later
        return procfs.state_of(pid, str(tid)) == b"t"
    if not number.isdigit():
        if number == b"-1" and tid == pid:
            return procfs.state_of(pid, str(pid)) == b"Z"  # it has ended, and other threads have not
        return False  # it runs, or waits in no call: for a page of memory
    kind = _WAITS.get(int(number), Waits.NO)
    if kind is Waits.PATH:
        # "S": for a FIFO's other end, a server, a lock; "D": for the disk
        return procfs.state_of(pid, str(tid)) == b"S"
    if kind in (Waits.READS, Waits.WRITES):
        target = procfs.target_of(tid, int(rest.partition(b" ")[0], 16) & 0xFFFFFFFF)
        if target == "":  # another thread has closed it; or this one has been killed in the call, and ends
            return bool(procfs.descriptors_of(tid))
        if target == output and kind is Waits.WRITES:
            return False
        return not target.startswith("/") or target.startswith("/dev/")
    # a fork takes its time, too
    return kind is Waits.YES or (in_vfork and kind is Waits.VFORK)
