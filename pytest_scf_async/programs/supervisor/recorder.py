"""Record what an instance, and all that it starts, change in a directory: each effect, and the directory before it.

A process that is killed leaves what it has changed outside itself. So what a kill can leave is known from one run: at
the entry of each system call that may change the directory the thread stands still, and what the calls before it have
done is looked at. The directory itself is asked, and no call is imitated; the arguments say only where to look, so that
thousands of other files there cost nothing.

The recorder is a sibling of the instance: it outlives it, user code does not see it among its children, and the kernel
kills the instance should the recorder die.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import marshal
import math
import mmap
import os
import signal
import socket
import stat
import struct
from _blake2 import blake2b  # hashlib would have OpenSSL read its configuration, in each instance's process
from collections.abc import Callable, Collection, Iterable, Iterator, MutableSequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple, cast

from ...linux import linux, procfs
from ...protocol import messages
from ...protocol.disk_record import (
    GOES_ON,
    IS_AT_REST,
    IS_DONE,
    KINDS,
    LENGTH,
    ORDER,
    PAGE,
    UNKNOWN,
    Data,
    Effect,
    Entry,
    Failed,
    Forgotten,
    Gone,
    Item,
    LivesOn,
    NodeKind,
    Order,
    Problem,
    Sync,
)
from ...protocol.shared_page import PAGE_BYTES, ClockPage, ControlPage
from ...side.originals import real_waitpid
from . import filter as seccomp
from . import sockets, tracee
from .listeners import Listener, Listeners, is_connected
from .random_numbers import RandomNumbers
from .system_calls import BY_NUMBER, CALLS, NAMES, RECORD, Conditions, EffectCall
from .tracee import Registers

MOST_FILES: Final = 10_000
MOST_BYTES: Final = 1 << 30
"""How many files, and how many bytes of them, a record takes."""
SEIZE_LIMIT: Final = 10.0
"""Real seconds within which the recorder has to trace the instance."""
_SET_PTRACER: Final = 0x59616D61
_LONGEST_NUMBER: Final = 64
"""Bytes of the id of a process, as the two say theirs to each other."""
_AT_CWD, _AT_REMOVEDIR = -100, 0x200
_LONGEST_ADDRESS: Final = 128
"""Bytes of the address of a socket (``sockaddr_storage``)."""
_LONGEST_NAME: Final = 200
"""Bytes of the name of a record."""
_NO_FILE: Final = 0x7FFF_FFFF
_LONGEST_PATH: Final = 4096
_USUAL_PATH: Final = 256
"""Bytes that are read at once of a path, which may be longer."""
_LONGEST_FILTER: Final = 8 * seccomp.MOST
"""Bytes: a filter comes in one piece, as it is shorter than the buffer of a socket."""
_SETS_ATTRIBUTES: Final = ("setxattr", "removexattr")
_PATH_IN_ADDRESS: Final = 2
"""Where the address of a Unix socket (``sockaddr_un``) has its path."""
_MOST_LINKS: Final = 40
_MOST_PARTS: Final = 1024
_STARTS: Final = (tracee.EVENT_CLONE, tracee.EVENT_FORK, tracee.EVENT_VFORK)
_PART: Final = struct.Struct("<QQ")

_FREES: Final = 0x2 | 0x8
"""Modes of ``fallocate``: FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE."""
_BLOCK: Final = 512
"""Bytes of the blocks that ``stat`` counts."""
_VECTOR_IN_HEADER: Final = 16
"""Where the header of a message (``msghdr``) says where its parts are, and how many."""
_MOST_COMPARED: Final = 1 << 16
_KINDS: Final = {kind: number for number, kind in enumerate(KINDS)}
_BUFFERED: Final = 1 << 16
_RWF_SYNCS: Final = 0x2 | 0x4
"""Flags of ``pwritev2``: RWF_DSYNC, RWF_SYNC."""

_ATTRIBUTES: Final = ("user.", "system.posix_acl_")
"""How the names of extended attributes begin that are recorded: those that anybody may set on a file of their own."""
_Attributes = tuple[tuple[str, bytes], ...]

Span = tuple[int, int]
"""From which byte to which the content of a file may change; -1: to its end."""
_EVERYTHING: Final = (0, -1)
_NOTHING: Final = (0, 0)


class _Seen(NamedTuple):
    """How a node was when it was looked at."""

    mode: int
    size: int
    mtime_ns: int
    stamped: bool
    """A call has set that time, and no write has changed it since."""
    attributes: _Attributes = ()


_NEVER: Final = _Seen(mode=0, size=0, mtime_ns=0, stamped=False)


@dataclass(eq=False)
class _Node:
    """What one or several paths lead to."""

    kind: NodeKind
    paths: list[str]
    seen: _Seen = _NEVER
    """How it was when it was looked at last."""


class _Change(NamedTuple):
    """Where to look once a call has been made."""

    path: str
    span: Span | None = None
    """None: its content changes only where another file comes to this path."""
    stamps: bool = False
    """Its times are set."""
    sets_attributes: bool = False
    """Its extended attributes are set."""


class Writer:
    """Writes a record to the end of a file."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._buffer = bytearray()
        self.size = 0
        """How many bytes the record has so far."""

    def add(self, item: Item, content: bytes = b"") -> None:
        """Add *item*, with the *content* of a `Data`."""
        fields = marshal.dumps((_KINDS[type(item)], *item))
        self.size += LENGTH.size + len(fields) + len(content)
        self._buffer += LENGTH.pack(len(fields)) + fields + content
        if len(self._buffer) > _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        while self._buffer:
            del self._buffer[: os.write(self._file, self._buffer)]


class AtCall(Enum):
    """What becomes of a call at whose entry a thread stands."""

    GOES_ON = auto()
    STOPS = auto()
    """There is a gate before it; it is recorded when the thread makes it again."""
    FAILS = auto()
    """It returns an error without being made."""


class _RefusedError(Exception):
    """A record cannot have what is in the directory; the text says why."""


class Disk:
    """The directory, as it was when it was looked at last, and the record of it."""

    def __init__(self, root: int, writer: Writer) -> None:
        """*root* is a descriptor of the directory: its path may lead elsewhere in the instance."""
        self._root = root
        self._writer = writer
        self._device = os.fstat(root).st_dev
        self._nodes: dict[int, _Node] = {}
        self._inodes: dict[str, int] = {}
        self._unnamed: set[int] = set()
        self._mapped: dict[int, _Node] = {}
        """Files that a process may change without a system call."""
        self.look([_Change("")])

    def paths_of(self, found: os.stat_result) -> list[str]:
        """The paths in the directory that lead to what was *found* somewhere."""
        node = self._nodes.get(found.st_ino) if found.st_dev == self._device else None
        return [] if node is None else node.paths

    def path_of(self, inode: int) -> str:
        """A path that leads to a file of the directory."""
        return self._nodes[inode].paths[0]

    def inode_of(self, found: os.stat_result) -> int:
        """That of what was *found* somewhere, if it is in the directory; else 0."""
        return found.st_ino if found.st_dev == self._device and found.st_ino in self._nodes else 0

    def has(self, path: str) -> bool:
        """Whether something is at that path."""
        return path in self._inodes

    def is_link(self, path: str) -> bool:
        """Whether a symbolic link is at that path."""
        return path in self._inodes and self._nodes[self._inodes[path]].kind == "symbolic link"

    def is_on(self, path: str) -> bool:
        """Whether what is at a path anywhere is in the same file system."""
        with contextlib.suppress(OSError):
            return os.stat(path).st_dev == self._device
        return False

    def mapped(self, inode: int) -> int:
        """*inode*, if that is a file of the directory that is mapped; else 0."""
        return inode if inode in self._mapped else 0

    def maps(self, path: str) -> None:
        """A file is mapped, shared and writable, from here on."""
        inode = self._inodes[path]
        self._mapped[inode] = self._nodes[inode]

    def look(self, changes: Iterable[_Change]) -> None:
        """Look at these paths, and add to the record what is new."""
        mapped = [_Change(path, _EVERYTHING) for node in self._mapped.values() for path in node.paths[:1]]
        for change in (*changes, *mapped):
            try:
                self._look(change)
            except FileNotFoundError:
                self._lose(change.path)  # another thread has removed it meanwhile
            except OSError as error:
                raise _RefusedError(f"{change.path!r} in run.path cannot be read ({error.strerror})") from None
        for inode in self._unnamed:
            if not self._nodes[inode].paths:
                del self._nodes[inode]
                self._mapped.pop(inode, None)
                self._writer.add(Forgotten(inode))
        self._unnamed.clear()
        too_many = f"{len(self._inodes):,} files" if len(self._inodes) > MOST_FILES else ""
        if too_many or self._writer.size > MOST_BYTES:
            most = f"a record has at most {MOST_FILES:,} files and {MOST_BYTES >> 30} GB: each kill recreates them"
            cure = "keep what the handler only reads outside run.path"
            raise _RefusedError(f"run.path has {too_many or 'changes of more than that'}: {most}; {cure}")

    def _look(self, change: _Change) -> None:
        path, span, stamps, sets_attributes = change
        try:
            found = os.stat(path, dir_fd=self._root, follow_symlinks=False) if path else os.fstat(self._root)
        except OSError:
            self._lose(path)
            return
        inode, kind = found.st_ino, _kind_of(found.st_mode)
        if kind == "device":
            raise _RefusedError(f"{path!r} in run.path is a device")
        if self._inodes.get(path, inode) != inode:
            self._lose(path)
        node, is_new = self._nodes.get(inode), False
        if node is None or node.kind != kind:
            node, is_new = _Node(kind, [] if node is None else node.paths), True
            self._nodes[inode] = node
        is_known = path in self._inodes
        if not is_known:
            self._inodes[path] = inode
            node.paths.append(path)
        before, has_size = node.seen, kind in ("file", "symbolic link")
        node.seen = now = _Seen(
            mode=stat.S_IMODE(found.st_mode),
            size=found.st_size * has_size,
            mtime_ns=found.st_mtime_ns * has_size,
            stamped=stamps or (before.stamped and before.mtime_ns == found.st_mtime_ns),
            attributes=self._attributes_of(path) if is_new or sets_attributes else before.attributes,
        )
        if not is_known or before != node.seen:
            target = os.readlink(path, dir_fd=self._root) if kind == "symbolic link" else ""
            entry = Entry(
                path=path,
                inode=inode,
                kind=kind,
                mode=now.mode,
                size=now.size,
                mtime_ns=now.mtime_ns,
                stamped=now.stamped,
                target=target,
                attributes=now.attributes,
            )
            self._writer.add(entry)
        if kind == "file":
            if span is None and (before.size, before.mtime_ns) != (now.size, now.mtime_ns):
                span = _EVERYTHING
            if is_new or span is not None:
                self._read(path, inode, found.st_size, None if is_new else span)
        elif kind == "directory" and not is_known:
            with self._opened(path) as fd:
                names = sorted(os.listdir(fd))
            for name in names:
                self._look(_Change(f"{path}/{name}" if path else name))

    def _read(self, path: str, inode: int, size: int, span: Span | None) -> None:
        """Add the bytes of a file to the record, those of the *span*; None: all but its holes."""
        if not size or span == _NOTHING:
            return
        with self._opened(path) as fd:
            for start, stop in _data_in(fd, size) if span is None else (span,):
                first = start - start % PAGE
                last = size if stop < 0 else min(stop + -stop % PAGE, size)
                if first < last:
                    content = os.pread(fd, last - first, first)
                    self._writer.add(Data(inode, first // PAGE, len(content)), content)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        fd = os.open(path or ".", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._root)
        try:
            yield fd
        finally:
            os.close(fd)

    def _attributes_of(self, path: str) -> _Attributes:
        whole = f"/proc/self/fd/{self._root}/{path}"
        try:
            names = os.listxattr(whole, follow_symlinks=False)
        except OSError:  # the file system has none
            return ()
        kept = sorted(each for each in names if each.startswith(_ATTRIBUTES))
        return tuple((each, os.getxattr(whole, each, follow_symlinks=False)) for each in kept)

    def _lose(self, path: str) -> None:
        inode = self._inodes.get(path)
        if inode is None:
            return
        is_directory = self._nodes[inode].kind == "directory"
        below = [each for each in self._inodes if each.startswith(f"{path}/")] if is_directory else []
        for each in (*below, path):
            gone = self._inodes.pop(each)
            self._nodes[gone].paths.remove(each)
            self._unnamed.add(gone)
            self._writer.add(Gone(each))


def _data_in(fd: int, size: int) -> Iterator[Span]:
    """Where a file has data, and no hole."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def _kind_of(mode: int) -> NodeKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "symbolic link"
    if stat.S_ISSOCK(mode):
        return "socket"
    return "pipe" if stat.S_ISFIFO(mode) else "device"


class Effects:
    """Records the effects of threads that stand at the entries of system calls."""

    def __init__(
        self,
        root: int,
        record: int,
        clock: ClockPage,
        control: ControlPage,
        *,
        server: str = "",
        processes: Callable[[], Iterable[int]],
        complete: Callable[[Effect], Effect],
        at_effect: messages.AtEffect,
        kill: Callable[[], object],
        syncs: bool,
    ) -> None:
        """*root* and *record* are descriptors: of the directory, and of the file of the record.

        *server* is the address at which this process itself serves what it traces, *processes* gives what it traces,
        and *complete* adds what else it knows of an effect. *at_effect* says at which of them what happens: a kill is
        made by calling *kill*. With *syncs* the record has what makes files durable, too.
        """
        self._writer = Writer(record)
        self._clock, self._control = clock, control
        self._server, self._complete = server, complete
        self._event = 0
        """Names the event whose effects are recorded; 0: none has begun."""
        self._gate_at = 0
        self._at_effect, self._kill = at_effect, kill
        self._is_failing = False
        """The next effect, or call that syncs, that may fail does."""
        self._synced = 0
        """How many calls that sync, and may fail, there were."""
        self._registers = Registers()
        self._listeners = Listeners(processes)
        self._peers: dict[int, str] = {}
        """By its inode, to whom outside of the record a socket is connected."""
        self._unanswered: dict[int, tuple[str, bytes]] = {}
        """The same of one that was connected where nobody listened, with the address as the kernel has it."""
        self._asked: set[int] = set()
        """Those on which something was said since the last receive."""
        self._in_flight: dict[int, list[_Change]] = {}
        """By thread: where to look for what its last effect does."""
        self._syncs = syncs
        self._writers: dict[tuple[int, int], int] = {}
        """By process and descriptor: the file that was written by that, while it is open."""
        self._durable: dict[int, int] = {}
        """By thread: the file that its last effect writes through to the disk (``O_SYNC``)."""
        self._disk: Disk | None = None
        try:
            self._disk = Disk(root, self._writer)
        except _RefusedError as error:
            self.fail(str(error))

    def fail(self, why: str) -> None:
        """Nothing is recorded from here on."""
        self._writer.add(Problem(why))
        self._writer.flush()
        self._disk = None

    def set_gate(self, number: int) -> None:
        """Have `at_call` stop a thread before the effect with that *number*; 0: before none."""
        self._gate_at = number

    def at_call(self, tid: int) -> AtCall:
        """Record the call at whose entry thread *tid* stands, if it may change the directory."""
        self._over(tid)
        becomes = self._at_call(tid)
        self._writer.flush()  # a supervisor is killed with its program
        return becomes

    def _at_call(self, tid: int) -> AtCall:
        if self._control.drawn_from != self._event:
            if self._event:
                self.stop()  # what the next event does, in the same instance, is no effect of this one
            self._event = self._control.drawn_from
        if self._disk is None:
            return AtCall.GOES_ON
        _, _, number, *arguments = tracee.entry_of(tid)
        name, row = NAMES[number], BY_NUMBER[number].effect
        has_effects = row is not None and seccomp.hold(row.when, arguments)
        if not (has_effects or self._syncs):
            return AtCall.GOES_ON
        for other in [*self._in_flight]:
            self._look_for(other)  # what this call is about may be what another thread has just made
        disk = self._disk
        if disk is None:
            return AtCall.GOES_ON
        fails = self._syncs and self._note_syncs(disk, tid, name, arguments)
        if fails or row is None or not has_effects:
            return AtCall.FAILS if fails else AtCall.GOES_ON
        is_gated = self._control.effects + 1 == self._gate_at
        asked = self._asked.copy() if is_gated else self._asked
        changes: list[_Change] = []
        effect = self._said(tid, name, row, arguments)
        if effect is None and not row.is_of_sockets:
            effect, changes = self._changing(disk, tid, name, row, arguments)
        if effect is None:
            return AtCall.GOES_ON
        if is_gated:
            self._gate_at, self._asked = 0, asked
            return AtCall.STOPS
        fails = self._add(effect)
        if changes and not fails:
            self._in_flight[tid] = changes
        return AtCall.FAILS if fails else AtCall.GOES_ON

    def _changing(
        self, disk: Disk, tid: int, name: str, row: EffectCall, arguments: list[int]
    ) -> tuple[Effect | None, list[_Change]]:
        """The effect that a call is, and where to look for what it does; None: it changes nothing in the directory."""
        call = "rmdir" if name == "unlinkat" and arguments[2] & _AT_REMOVEDIR else row.shown
        effect = Effect(call, [], self._clock.now_us, self._control.recorded, tid)
        if call == "ioctl" and arguments[1] & 0xFFFFFFFF == RECORD:
            return effect._replace(call="record", paths=[os.fsdecode(_text_at(tid, arguments[2]))]), []
        try:
            if row.paths and arguments[row.paths[-1][1]]:
                changes = self._by_name(disk, effect, row, arguments)
            else:
                effect, changes = self._by_descriptor(disk, effect, name, row, arguments)
        except OSError:
            return None, []  # the call itself fails with it
        if not changes:
            return None, []
        effect.paths.extend([change.path for change in changes])
        if row.makes and _makes_name(disk, effect, row, arguments):
            effect = effect._replace(takes_space=True)
        return effect, changes

    def _note_syncs(self, disk: Disk, tid: int, name: str, arguments: list[int]) -> bool:
        """Add to the record what is durable by now, and what the call at whose entry thread *tid* stands makes durable.

        Returns whether that call fails.

        That a descriptor is closed is seen by its not being there, in whatever way: by ``close``, by ``dup2``, as its
        process has ended or executes another program. Each close counts, not the last one of several descriptors of one
        opened file alone, as the kernel flushes a file of NFS at each. A call that syncs counts from its entry on: what
        another thread does before it returns is an order of several writers, of which one is tried anyway.
        """
        for (pid, fd), inode in [*self._writers.items()]:
            if _opened_by(disk, pid, fd) != inode:
                del self._writers[pid, fd]
                self._writer.add(Sync(inode, "close"))
        if CALLS[name].syncs is None or CALLS[name].effect is not None:
            return False
        self._look(())  # at files that are mapped
        if name == "msync":
            inode = disk.mapped(_inode_mapped_at(tid, arguments[0]))
        else:
            inode = 0 if name == "sync" else _opened_by(disk, tid, _int(arguments[0]))
        is_all = name == "syncfs" and disk.is_on(f"/proc/{tid}/fd/{_int(arguments[0])}")
        if not (inode or name == "sync" or is_all):
            return False
        if name == "sync":  # it never fails
            self._writer.add(Sync(0, "fsync"))
            return False
        self._synced += 1
        path = disk.path_of(inode) if inode and not is_all else ""
        seen = self._complete(Effect(name, [path or "run.path"], self._clock.now_us, 0, tid))
        call = self._synced, seen.text, seen.time_us, seen.function
        self._writer.add(Sync(0 if is_all else inode, "fdatasync" if name == "fdatasync" else "fsync", *call))
        wanted = self._at_effect
        is_there = wanted.is_sync and self._synced == wanted.number
        return self._fails(tid, wanted.error == errno.EIO, is_there=is_there)

    def _add(self, effect: Effect) -> bool:
        """Record *effect*, and have happen what is to happen there; whether it fails."""
        self._writer.add(self._complete(effect))
        self._writer.flush()
        self._control.effects += 1
        wanted = self._at_effect
        is_there = not wanted.is_sync and self._control.effects == wanted.number
        if is_there and not wanted.error:
            self._kill()
        if is_there and wanted.cut:
            self._cut(effect, wanted.cut)
            return False
        return self._fails(effect.thread, effect.may_fail_with(wanted.error), is_there=is_there)

    def _fails(self, tid: int, may_fail: bool, *, is_there: bool) -> bool:
        """Have the call at whose entry thread *tid* stands return the error without being made, if that is wanted."""
        error = self._at_effect.error
        if not (error and may_fail and (is_there or self._is_failing)):
            return False
        self._is_failing = self._at_effect.lasting
        self._writer.add(Failed(error))
        self._writer.flush()
        self._registers.read(tid)
        self._registers.return_at_entry(tid, -error)
        return True

    def _cut(self, effect: Effect, size: int) -> None:
        """Have a write end when its file has *size* bytes, as on a disk that is full then."""
        if effect.may_end_at(size):
            row = CALLS[effect.call].effect
            assert row is not None
            assert row.size is not None
            self._is_failing = True
            self._writer.add(Failed(self._at_effect.error))
            self._registers.read(effect.thread)
            self._registers.set_argument(row.size, size - effect.start)
            self._registers.write(effect.thread)

    def _said(self, tid: int, name: str, row: EffectCall, arguments: list[int]) -> Effect | None:
        """What a call says to another process, or is about to hear from one that was asked."""
        names_peer = row.address is not None or row.header is not None
        if not (row.says or row.hears) or not (names_peer or self._peers or self._unanswered):
            return None
        try:
            fd = _int(arguments[row.descriptor])
            found = os.stat(f"/proc/{tid}/fd/{fd}")
            if not stat.S_ISSOCK(found.st_mode):
                return None
            inode = found.st_ino
            address = 0 if row.address is None else arguments[row.address]
            if row.header is not None:
                address = int.from_bytes(tracee.read_memory(tid, arguments[row.header], 8), "little")
            peer = _peer_at(tid, address) if address else self._peer_of(tid, fd, inode)
            is_outside = bool(peer) and peer != self._server
            if not is_outside or (name == "connect" and not self._goes_outside(tid, fd, inode, peer, arguments)):
                return None
            now = self._clock.now_us, self._control.recorded
            if row.hears:
                if inode not in self._asked:
                    return None
                self._asked.discard(inode)
                return Effect("receive", [peer], *now, tid, said=name)
            if name == "connect":
                self._peers[inode] = peer
                return Effect("connect", [peer], *now, tid, said=name)
            self._asked.add(inode)
            size, content = _content_of(tid, name, row, arguments)
            words = content.translate(None, b"0123456789")  # a server of each run has another port
            said = blake2b(words, digest_size=8).hexdigest()
            return Effect("send", [peer], *now, tid, stop=size, said=said)
        except OSError:
            return None  # the call itself fails with it

    def _goes_outside(self, tid: int, fd: int, inode: int, peer: str, arguments: list[int]) -> bool:
        """Whether who listens where thread *tid* is about to connect is outside of the record."""
        self._peers.pop(inode, None)
        data = tracee.read_memory(tid, arguments[1], min(arguments[2], _LONGEST_ADDRESS))
        listener = self._listeners.at(tid, fd, data)
        if listener is Listener.NOBODY:
            self._unanswered[inode] = peer, data
        return listener is Listener.OUTSIDE

    def _peer_of(self, tid: int, fd: int, inode: int) -> str:
        """To whom outside a socket is connected; empty: to nobody there.

        Somebody may have begun to listen right behind the entry of its ``connect``.
        """
        if inode in self._unanswered and is_connected(tid, fd):
            peer, data = self._unanswered.pop(inode)
            if self._listeners.at(tid, fd, data) is not Listener.INSIDE:
                self._peers[inode] = peer
        return self._peers.get(inode, "")

    def ended(self, tid: int) -> None:
        """The last effect of a thread is over: look at what it has done."""
        self._over(tid)
        self._writer.flush()

    def _over(self, tid: int) -> None:
        if tid in self._in_flight:
            self._look_for(tid)
            del self._in_flight[tid]
            if inode := self._durable.pop(tid, 0):
                self._writer.add(Sync(inode, "fsync"))

    def all_ended(self) -> None:
        """Nothing that is traced is in a system call that changes something."""
        for tid in [*self._in_flight]:
            self.ended(tid)

    def stop(self, others: Collection[int] = ()) -> None:
        """Its event is over, or its first process has ended: what others still change belongs to no event.

        *others* are processes, or threads of some, that live when the first one has exited by itself.
        """
        self.all_ended()
        live = [pid for pid in others if not procfs.is_of_multiprocessing(procfs.command_of(pid))]
        if live and self._disk is not None:
            self._writer.add(LivesOn(len(live)))
            self._writer.flush()
        self._disk = None

    def _look_for(self, tid: int) -> None:
        self._look(self._in_flight[tid])

    def _look(self, changes: Iterable[_Change]) -> None:
        if self._disk is not None:
            try:
                self._disk.look(changes)
            except _RefusedError as error:
                self.fail(str(error))

    def close(self) -> None:
        """All threads have ended."""
        self._listeners.close()
        self._writer.flush()

    # -- what a call is about ------------------------------------------------------------------------------------------

    def _by_descriptor(
        self, disk: Disk, effect: Effect, name: str, row: EffectCall, arguments: list[int]
    ) -> tuple[Effect, list[_Change]]:
        tid, fd = effect.thread, _int(arguments[row.descriptor])
        found = os.stat(f"/proc/{tid}/fd/{fd}")
        paths = disk.paths_of(found)[:1]
        span: Span | None = None
        if not paths:
            return effect, []
        if row.size is not None or row.vector:
            start = _offset_of(tid, row, arguments, fd, found.st_size)
            stop = start + (_vector_length(tid, arguments) if row.size is None else arguments[row.size])
            span = start, stop
            left = math.inf if row.source is None else _left_of(tid, arguments, *row.source)
            takes_space, room_from = start < stop and left > 0 and _grows(found, min(stop, start + left)), UNKNOWN
            if takes_space and row.size is not None:
                room_from = max(start, 0 if _has_holes(found) else found.st_size)
            effect = effect._replace(
                inode=found.st_ino, start=start, stop=stop, takes_space=takes_space, room_from=room_from
            )
            if self._syncs:
                self._writers[procfs.thread_group_of(tid), fd] = found.st_ino
                if _state_of(tid, fd)[1] & os.O_DSYNC or (name == "pwritev2" and arguments[5] & _RWF_SYNCS):
                    self._durable[tid] = found.st_ino
        elif name == "ftruncate" or (name == "fallocate" and arguments[1] & ~1 == 0):
            span = _NOTHING
        elif name in ("fallocate", "ioctl"):
            span = _EVERYTHING
        elif name == "mmap":
            disk.maps(paths[0])
        if name == "fallocate" and not arguments[1] & _FREES:
            effect = effect._replace(takes_space=_grows(found, arguments[2] + arguments[3]))
        return effect, [_change_of(effect, path, span) for path in paths]

    @staticmethod
    def _by_name(disk: Disk, effect: Effect, row: EffectCall, arguments: list[int]) -> list[_Change]:
        span = _NOTHING if effect.call in ("open", "creat", "truncate") else None
        tid = effect.thread
        if row.address is None:
            named = [(_AT_CWD if at is None else _int(arguments[at]), arguments[text]) for at, text in row.paths]
            texts = [(directory, _text_at(tid, address)) for directory, address in named]
        else:
            texts = [(_AT_CWD, text) for text in _path_in_address(tid, arguments, row.address)]
        paths = [_path_of(disk, tid, *each, follows=row.follows, makes=row.makes) for each in texts]
        return [_change_of(effect, path, span) for path in paths if path is not None]


def _change_of(effect: Effect, path: str, span: Span | None) -> _Change:
    return _Change(path, span, stamps=effect.call == "utime", sets_attributes=effect.call in _SETS_ATTRIBUTES)


def _path_in_address(tid: int, arguments: list[int], at: int) -> Iterator[bytes]:
    """The path of a Unix socket that has one: its length is the argument after its address, if no zero byte ends it."""
    address = tracee.read_memory(tid, arguments[at], min(_int(arguments[at + 1]), _LONGEST_ADDRESS))
    if int.from_bytes(address[:_PATH_IN_ADDRESS], "little") == socket.AF_UNIX:
        path = address[_PATH_IN_ADDRESS:].partition(b"\0")[0]
        if path:
            yield path


def _peer_at(tid: int, address: int) -> str:
    """Who is at an address of a socket; empty: the kernel, a cache of names, which glibc asks, or nobody."""
    data = tracee.read_memory(tid, address, 8)
    family = int.from_bytes(data[:2], "little")
    if family == socket.AF_INET:
        return sockets.shown(data)
    if family == socket.AF_INET6:
        host = socket.inet_ntop(socket.AF_INET6, tracee.read_memory(tid, address + 8, 16))
        return f"[{host}]:{int.from_bytes(data[2:4], 'big')}"
    if family == socket.AF_UNIX:
        path = os.fsdecode(_text_at(tid, address + 2))
        return "" if path.startswith("/var/run/nscd/") else path or "a socket without a path"
    return "" if family in (socket.AF_NETLINK, socket.AF_UNSPEC) else f"a socket of the family {family}"


def _content_of(tid: int, name: str, row: EffectCall, arguments: list[int]) -> tuple[int, bytes]:
    """How many bytes a call sends, and the first of them."""
    if name in ("write", "sendto"):
        return arguments[2], tracee.read_memory(tid, arguments[1], min(arguments[2], _MOST_COMPARED))
    if name == "writev":
        return _vector_length(tid, arguments), b""
    if name == "sendmsg":
        vector, count = _PART.unpack(tracee.read_memory(tid, arguments[1] + _VECTOR_IN_HEADER, _PART.size))
        parts = list(_PART.iter_unpack(tracee.read_memory(tid, vector, min(count, _MOST_PARTS) * _PART.size)))
        content = b"".join(tracee.read_memory(tid, at, min(size, _MOST_COMPARED)) for at, size in parts if size)
        return sum(size for _, size in parts), content
    return 0 if row.size is None else arguments[row.size], b""


def _path_of(disk: Disk, tid: int, directory: int, named: bytes, *, follows: bool, makes: bool) -> str | None:
    """The path relative to the directory of what a call names, or *makes*; None: it lies elsewhere."""
    text = os.fsdecode(named).rstrip("/")
    base = f"/proc/{tid}/cwd" if directory == _AT_CWD else f"/proc/{tid}/fd/{directory}"
    with contextlib.suppress(OSError):
        for _ in range(_MOST_LINKS):
            whole = f"/proc/{tid}/root{text}" if text.startswith("/") else f"{base}/{text}"
            parent, _, last = whole.rpartition("/")
            if last in (".", "..", ""):
                return next(iter(disk.paths_of(os.stat(whole))), None)
            above = disk.paths_of(os.stat(parent))
            path = None if not above else f"{above[0]}/{last}" if above[0] else last
            if path is None and not makes and disk.paths_of(os.lstat(whole)) == [""]:
                return ""
            if not follows or not (os.path.islink(whole) if path is None else disk.is_link(path)):
                return path
            text, base = os.readlink(whole), parent
    return None


def _makes_name(disk: Disk, effect: Effect, row: EffectCall, arguments: list[int]) -> bool:
    """Whether a call makes a name where there is none, and does not fail as there is nothing that it could get."""
    if disk.has(effect.paths[-1]):
        return False
    if effect.call in ("link", "rename"):
        return len(effect.paths) == 2 and disk.has(effect.paths[0])
    if effect.call != "open":
        return True
    if row.flags is None:  # those of openat2 are in memory
        return bool(tracee.read_memory(effect.thread, arguments[2], 1)[0] & os.O_CREAT)
    return bool(arguments[row.flags] & os.O_CREAT)


def _grows(found: os.stat_result, stop: float) -> bool:
    """Whether a file needs more room when it is written up to *stop*: it is longer then, or has holes."""
    return stop > found.st_size or _has_holes(found)


def _has_holes(found: os.stat_result) -> bool:
    return found.st_blocks * _BLOCK < found.st_size


def _left_of(tid: int, arguments: list[int], descriptor_at: int, offset_at: int) -> float:
    """How many bytes are left of the file from which a call copies; infinity: it is no file."""
    fd = _int(arguments[descriptor_at])
    found = os.stat(f"/proc/{tid}/fd/{fd}")
    return found.st_size - _position_of(tid, fd, arguments[offset_at]) if stat.S_ISREG(found.st_mode) else math.inf


def _position_of(tid: int, fd: int, address: int) -> int:
    """Where a call begins that takes its offset from there; 0: from the position of the file."""
    if address:
        return int.from_bytes(tracee.read_memory(tid, address, 8), "little")
    return _state_of(tid, fd)[0]


def _opened_by(disk: Disk, pid: int, fd: int) -> int:
    """What is in the directory and open there; 0: nothing."""
    with contextlib.suppress(OSError):
        return disk.inode_of(os.stat(f"/proc/{pid}/fd/{fd}"))
    return 0


def _inode_mapped_at(tid: int, address: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{tid}/maps", "rb") as maps:
        for line in maps:
            span, _, _, _, inode = line.split()[:5]
            first, last = (int(each, 16) for each in span.split(b"-"))
            if first <= address < last:
                return int(inode)
    return 0


def _state_of(tid: int, fd: int) -> tuple[int, int]:
    """The position of an opened file, and its flags."""
    _, position, _, flags, *_ = procfs.descriptor_of(tid, fd).split(None, 4)
    return int(position), int(flags, 8)


def _offset_of(tid: int, row: EffectCall, arguments: list[int], fd: int, size: int) -> int:
    """Where in its file, which has that *size*, a call writes."""
    position, flags = _state_of(tid, fd)
    if flags & os.O_APPEND:
        return size
    offset = -1 if row.offset is None else arguments[row.offset]
    at = 0 if row.offset_at is None else arguments[row.offset_at]
    if at:
        offset = int.from_bytes(tracee.read_memory(tid, at, 8), "little")
    return offset if 0 <= offset < 1 << 63 else position  # pwritev2 at -1 writes there, too


def _int(value: int) -> int:
    """An ``int`` among the arguments of a call."""
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def _vector_length(tid: int, arguments: list[int]) -> int:
    parts = tracee.read_memory(tid, arguments[1], min(arguments[2], _MOST_PARTS) * _PART.size)
    return sum(size for _, size in _PART.iter_unpack(parts))


def _text_at(tid: int, address: int) -> bytes:
    """The text that ends with a zero byte at *address*; what is read does not go over the end of its page."""
    found = b""
    while len(found) < _LONGEST_PATH:
        size = min(_USUAL_PATH, PAGE - (address + len(found)) % PAGE)
        part, end, _ = tracee.read_memory(tid, address + len(found), size).partition(b"\0")
        found += part
        if end:
            break
    return found


class _Tracer:
    """Records the effects of one process, and of all that it starts, and answers what they draw."""

    def __init__(
        self,
        effects: Effects | None,
        random: RandomNumbers | None,
        pid: int,
        control: ControlPage,
        said: Callable[[bytes], object],
        *,
        threads: set[int],
    ) -> None:
        """The process *pid* is seized. By *said* it hears whether something of all that runs; *threads* has all."""
        self._effects, self._random, self._pid, self._control, self._said = effects, random, pid, control, said
        self._running = {pid}
        """The threads that do not stand still for SIGSTOP and its like."""
        self._threads = threads
        """All of them."""
        self._core, self._cpus, self._is_one = 0, os.sched_getaffinity(0), True
        self._deferred: list[int] = []

    def trace(self) -> None:
        """Trace them until the last of them has ended."""
        while True:
            try:
                tid, status = real_waitpid(-1, tracee.WALL)
            except ChildProcessError:
                _run_on(self._cpus)
                return
            if not os.WIFSTOPPED(status):
                self._ended(tid, status)
                continue
            try:
                self._stopped(tid, os.WSTOPSIG(status), status >> 16)
            except ProcessLookupError:
                self._deferred.clear()  # killed meanwhile

    def _ended(self, tid: int, status: int) -> None:
        self._running.discard(tid)
        self._threads.discard(tid)
        if self._random is not None:
            self._random.ended(tid)
        if self._effects is not None:
            self._effects.ended(tid)
            if tid == self._pid:
                self._effects.stop(self._running if os.WIFEXITED(status) else ())

    def _stopped(self, tid: int, signum: int, event: int) -> None:
        if event == tracee.EVENT_SECCOMP and self._effects is not None:
            self._effects.at_call(tid)
        if event == tracee.EVENT_STOP and signum in tracee.STOPS:
            self._rests(tid)
            tracee.listen(tid)
            return
        if not self._running:
            self._said(GOES_ON)
        self._running.add(tid)
        self._threads.add(tid)
        if event in _STARTS:
            self._is_one = False
            made = tracee.event_message(tid)
            self._running.add(made)
            self._threads.add(made)
        self._follow()
        if self._random is not None:
            self._random.stopped(tid, signum, event, self._step)
        first, *later = self._deferred or [0 if event or signum == tracee.SYSCALL_STOP else signum]
        self._deferred.clear()
        for each in later:
            os.kill(procfs.thread_group_of(tid), each)
        tracee.resume(tid, first)

    def _step(self, tid: int) -> None:
        status = tracee.step_once(tid, self._deferred)
        if status is not None:
            self._ended(tid, status)
            raise ProcessLookupError

    def _rests(self, tid: int) -> None:
        """A thread stands still, at no system call. Where all do, the record is complete should they be killed now.

        So nobody has to wait for the end of an instance, which takes the kernel some ms.
        """
        if self._effects is not None:
            self._effects.ended(tid)
        self._running.discard(tid)
        if not self._running:
            self._said(IS_AT_REST)

    def _follow(self) -> None:
        """Run on the core of the process while that is one thread, and bound to a core.

        At an effect one of the two waits for the other, and to wake a process on a core that idles takes longer than
        all that is done here meanwhile.
        """
        core = self._control.core * self._is_one
        if core != self._core:
            self._core = core
            _run_on({core - 1} if core else self._cpus)


def _run_on(cpus: Iterable[int]) -> None:
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.sched_setaffinity(0, cpus)


def serve(orders: int) -> None:
    """Take orders from the socket with the descriptor *orders*, and do for an instance what each says.

    What becomes of it is answered with bytes; where nobody is there any more, the process ends.
    """
    with socket.socket(fileno=orders) as asked:
        while True:
            data, fds = linux.receive_descriptors(asked, ORDER.size, 5)
            if not data:
                return  # nobody needs it any more

            def say(what: bytes) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # noticed before the next order
                    asked.sendall(what)

            _do(Order.unpacked(data), fds, say)
            say(IS_DONE)


@functools.cache
def _filter_of(has_effects: bool, syncs: bool, draws: bool) -> bytes:
    """The filter of an instance of which a recorder is to do this."""
    traced: dict[str, Conditions] = {}
    if has_effects:
        traced |= seccomp.EFFECTS | (seccomp.SYNCS if syncs else {})
    if draws:
        traced |= seccomp.DRAWS
    return seccomp.program(traced, seccomp.REFUSED_TO_RECORDED if has_effects else seccomp.REFUSED)


def _do(wanted: Order, fds: list[int], say: Callable[[bytes], object]) -> None:
    """Do what is *wanted* for an instance with these descriptors, and close them; *say* what it comes to meanwhile.

    A kill at an effect is this process's end: with it ends, at once, all that it traces.
    """
    *of_effects, control_file, connection = fds
    with socket.socket(fileno=connection) as instance:
        pid = 0
        control = ControlPage(control_file)

        def completed(effect: Effect) -> Effect:
            """The control page may say what the main thread has called."""
            if wanted.dispositions:
                state = procfs.signal_state(pid, signal.SIGTERM)
                effect = effect._replace(at_default=state is not None and not any(state))
            if effect.thread != pid:
                is_thread = os.path.exists(f"/proc/{pid}/task/{effect.thread}")
                return effect._replace(other="another thread" if is_thread else "a child process")
            function = control.function
            return effect._replace(function=function) if function else effect

        effects = random = None
        threads: set[int] = set()
        if of_effects:
            record, root, clock_file = of_effects
            clock = ClockPage(cast("MutableSequence[int]", memoryview(mmap.mmap(clock_file, PAGE_BYTES)).cast("q")))
            effects = Effects(
                *(root, record, clock, control),
                processes=lambda: threads,
                complete=completed,
                at_effect=wanted.at_effect,
                kill=lambda: os._exit(0),
                syncs=wanted.syncs,
            )
        if wanted.draws:
            random = RandomNumbers(control)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended meanwhile
            instance.sendall(b"%d" % os.getpid())
            if said := instance.recv(_LONGEST_NUMBER):
                pid = int(said)
                try:
                    tracee.seize(pid)
                    if random is not None:
                        random.seized(pid)
                except OSError as error:
                    if effects is not None:
                        effects.fail(f"ptrace: {error.strerror}")
                else:
                    instance.sendall(_filter_of(bool(of_effects), wanted.syncs, wanted.draws))
                    if (why := instance.recv(_LONGEST_PATH)) and effects is not None:
                        effects.fail(why.decode())
    threads.add(pid)
    _Tracer(effects, random, pid, control, say, threads=threads).trace()
    if effects is not None:
        effects.close()
    for fd in (*of_effects, control_file):
        os.close(fd)


def announce_record(name: str) -> None:
    """Have the recorder of this process know that a record of that name is about to be sent."""
    with contextlib.suppress(OSError):  # it is no call of any file
        fcntl.ioctl(_NO_FILE, RECORD, name.replace("\0", "").encode("utf-8", "replace")[:_LONGEST_NAME] + b"\0")


def be_recorded(connection: int) -> None:
    """Have the recorder at the other end of *connection* trace this process from here on; without it, go on alone."""
    with socket.socket(fileno=connection) as recorder:
        recorder.settimeout(SEIZE_LIMIT)
        if said := recorder.recv(_LONGEST_NUMBER):
            with contextlib.suppress(OSError):  # the kernel has no Yama
                linux.call(_SET_PTRACER, int(said))
            recorder.sendall(b"%d" % os.getpid())
            if instructions := recorder.recv(_LONGEST_FILTER):
                try:
                    seccomp.install(instructions)
                except OSError as error:
                    recorder.sendall(f"seccomp: {error.strerror}".encode())
