"""The record of what a run changes in a directory: a recorder writes it, the test's process reads it.

The record is a file of items in the order in which they were seen. An item is a tuple as ``marshal`` writes it, with
its length before it: the number of its class in `KINDS`, and its fields. Behind one of `Data` are its bytes. What
stands before an `Effect` is the directory as it was when that system call began, so that a kill at this moment leaves
exactly that.

``marshal`` takes a fifth of the time of JSON, for which the traced thread waits. Both sides are the same Python, and
user code cannot reach the file.
"""

from __future__ import annotations

import errno
import marshal
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from .messages import AtEffect

PAGE: Final = 4096
"""Bytes of a page of a file: where a kill can cut a write, and in which contents are kept."""

UNKNOWN: Final = -1

NodeKind = Literal["file", "directory", "symbolic link", "socket", "pipe", "device"]


class Order(NamedTuple):
    """What a recorder is to do for an instance.

    Five descriptors come along: the file of the record, the directory, the clock page, the control page of the
    instance, and the connection to it. Only the last two come where no effects are recorded.
    """

    at_effect: AtEffect
    draws: bool
    """Whether it answers what code in C draws of the kernel's random numbers."""
    syncs: bool
    """Whether the record has what makes files durable."""
    dispositions: bool
    """Whether it says of each effect what a SIGTERM does there; a program that is traced by itself always does."""

    def packed(self) -> bytes:
        return ORDER.pack(*self.at_effect, self.draws, self.syncs, self.dispositions)

    @classmethod
    def unpacked(cls, data: bytes) -> Order:
        """What `packed` has given."""
        *at_effect, draws, syncs, dispositions = ORDER.unpack(data)
        return cls(AtEffect(*at_effect), draws, syncs, dispositions)


IS_DONE: Final = b"1"
"""What a recorder says of an order: all that it was to trace has ended, ..."""
IS_AT_REST: Final = b"2"
"""... or stands still for SIGSTOP, with all that it has done in the record, ..."""
GOES_ON: Final = b"3"
"""... or does so no more."""
ORDER: Final = struct.Struct("<II??Q???")


class Effect(NamedTuple):
    """A system call that is about to begin, and that may change the directory, or what another process knows."""

    call: str
    """Its name; variants of one call share it, as ``openat`` and ``open`` do."""
    paths: list[str]
    """What it is about, relative to the directory."""
    time_us: int
    """The simulated time."""
    records: int
    """How many records (``inside.record``) the instance had sent by then."""
    thread: int
    """The kernel's number of who makes it."""
    inode: int = 0
    """Where it writes to a file: to which, ..."""
    start: int = 0
    stop: int = 0
    """... and from which byte to which it is to write."""
    lines: int = UNKNOWN
    """How many lines had been written to the log by then."""
    said: str = ""
    """A digest of what is said to another process; the path of ``connect``, ``send`` and ``receive`` is its address."""
    in_event: bool = False
    """Whether the init of a program is over: it has been given its event."""
    at_default: bool = False
    """Whether a SIGTERM ends the process there, as it has its default disposition: an instance of Python, where that
    was asked for, or a program, whose first thread is about to make the call, and does not block it."""
    function: str = ""
    """The function of a library that user code has called, where, and that library if it decides itself how files are
    written, as in ``numpy.save@export.py:7@numpy``, where the instance was asked to name it."""
    takes_space: bool = False
    """Whether it needs room on the disk: it makes a name, a file longer, or fills a hole of one."""
    room_from: int = UNKNOWN
    """Of a write of which a full disk may take a part: from which byte of the file on it needs room."""
    other: str = ""
    """Who makes it in an instance, where that is not the main thread: ``another thread``, ``a child process``."""

    def may_fail_with(self, error: int) -> bool:
        """Whether the kernel may give that error: any but ENOSPC wherever it changes the directory itself."""
        is_change = not self.said and self.call not in _NEVER_FAIL
        return is_change and (self.takes_space or error != errno.ENOSPC)

    def may_end_at(self, cut: int) -> bool:
        """Whether it is a write that ends on a full disk when the file has *cut* bytes."""
        return UNKNOWN < self.room_from <= cut and self.start < cut < self.stop

    @property
    def text(self) -> str:
        """As reports show it."""
        if self.call == "send":
            return f"send {self.stop:,} byte{'s' * (self.stop != 1)} to {self.paths[0]}"
        return f"{self.call} {' to '.join(path or 'run.path' for path in self.paths)}"


_NEVER_FAIL: Final = ("mmap", "ioctl", "record")
"""A mapping fails at stores into it, and a clone of a file is what few file systems have: a program then copies it. A
record is no system call of user code."""


class Failed(NamedTuple):
    """The effect, or the sync, that stands before it was made to fail."""

    error: int


class Entry(NamedTuple):
    """There is this at a path."""

    path: str
    inode: int
    kind: NodeKind
    mode: int
    size: int
    mtime_ns: int
    stamped: bool
    """A call has set that time, and no write has changed it since."""
    target: str
    """Of a symbolic link."""
    attributes: tuple[tuple[str, bytes], ...] = ()
    """Extended attributes, by name: those that anybody may set on a file of their own."""


class Gone(NamedTuple):
    """There is nothing at a path any more."""

    path: str


class Data(NamedTuple):
    """A file has these bytes from the beginning of a page on."""

    inode: int
    page: int
    size: int


class Forgotten(NamedTuple):
    """A file has no name any more."""

    inode: int


class Sync(NamedTuple):
    """Something makes durable what a file, or a directory, has by now: no effect, as it changes nothing."""

    inode: int
    """0: all of them."""
    by: Literal["fsync", "fdatasync", "close"]
    """``fsync``: any call that waits for the disk; ``close``: a descriptor by which it was written is closed."""
    number: int = 0
    """Among the system calls that sync, and may fail with EIO; 0: it is none of them."""
    text: str = ""
    """What that call is, as reports show it."""
    time_us: int = 0
    """The simulated time."""
    function: str = ""
    """As that of an `Effect`."""


class Problem(NamedTuple):
    """Why the record is not complete, or says less than all."""

    why: str


class LivesOn(NamedTuple):
    """The first process has exited, and others that it has started have not, as where it is a daemon."""

    processes: int


Item = Effect | Entry | Gone | Data | Forgotten | Problem | Sync | Failed | LivesOn
KINDS: Final[tuple[type[Item], ...]] = (Effect, Entry, Gone, Data, Forgotten, Problem, Sync, Failed, LivesOn)
LENGTH: Final = struct.Struct("<I")
"""Before each item, of its fields."""


def items_in(file: int) -> Iterator[tuple[Item, bytes]]:
    """The items of the record in *file*, each with its bytes; a last one that is not complete is left out."""
    size = os.fstat(file).st_size
    if not size:
        return
    with mmap.mmap(file, size, prot=mmap.PROT_READ) as record:
        start = LENGTH.size
        while start <= size:
            (length,) = LENGTH.unpack_from(record, start - LENGTH.size)
            at = start + length
            if at > size:
                return
            number, *fields = marshal.loads(record[start:at])
            item: Item = KINDS[number](*fields)
            content = b""
            if isinstance(item, Data):
                content = record[at : at + item.size]
                at += item.size
                if at > size:
                    return
            yield item, content
            start = at + LENGTH.size
