"""Memory that the test's process shares with instances: the clock page, one a runtime, and the control page, one each.

Both are 64-bit integers. In the test's process a page is an object whose attributes are its slots. In an instance the
code that runs at each simulated wait indexes a page with the constants of this module, as an attribute is slower:
``tools/check_slots.py`` lists the files that do, and refuses it everywhere else.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

Order: TypeAlias = tuple[int, int, int]
"""By which waits of one runtime and one due time go: when each began in µs, its owner's number, and its own number.

The owner is the event in the order of acceptance, within an instance the thread in the order of starts: which of two
owners was quicker at one simulated instant may depend on the machine. A wait that is due as it begins has 0 there: such
waits take turns, as one owner would keep all others from running. A wait for something real that has come is
`answered`.
"""
NextOrder: TypeAlias = Callable[..., Order]
"""`ClockPage.next_order`."""
NO_PLACE: Final = 1 << 62
"""The place of a real wait that waits for none, and that none waits for; see `answered`."""
FIRST_PLACE: Final = 1
"""That of one which waits for none, and for which others wait."""


def answered(due_us: int, place: int, number: int) -> Order:
    """The order of a wait that was answered at *due_us*, and had its *place* among all real waits of the runtime.

    No other one has its *number*.

    When an answer comes the machine decides. So those that are answered go on once all that is due at that time has
    been done, and in the order in which they asked.
    """
    return due_us + 1, place, number


# The clock page.
CLOCK_NOW: Final = 0
"""The simulated time, in whole µs since the Unix epoch. Machine code reads it here (``python/clock_page.py``)."""
CLOCK_SEQUENCE: Final = 1
"""The number of waits registered so far in the runtime: an `Order` ends with it."""
CLOCK_BOOT: Final = 2
"""The simulated time, in µs since the epoch, at which ``monotonic`` was 0."""

# The control page.
CONTROL_MESSAGES: Final = 0
"""Frames that the test's process has sent: a computing thread compares, so that it reads only when there are any."""
CONTROL_LEASE: Final = 1
"""The instance may move the clock itself to any time before this one, in µs since the epoch; 0: it may not."""
CONTROL_LEASED: Final = 2
"""How many waits have ended in that way."""
CONTROL_RECORDS: Final = 3
"""How many records of such waits there are."""
CONTROL_FORKS: Final = 4
"""Changes before and after the instance starts a child process."""
CONTROL_CHILDLESS: Final = 5
"""Set by the test's process: what CONTROL_FORKS was when no child of the instance, nor of its children, lived."""
CONTROL_SAVED: Final = 6
"""How many times what was measured was saved because the test's process asked."""
CONTROL_WATCHES: Final = 7
"""How many waits of the instance a descriptor ends, which a child process may hold the other end of."""
CONTROL_MEMORY_AT_FORK: Final = 8
"""Bytes that the instance had in memory when it was forked."""
CONTROL_ALARM: Final = 9
"""When the instance's alarm is due, in µs since the epoch; 0: none is set."""
CONTROL_PORT: Final = 10
"""Of an image's program without a network of its own: the port that it has underneath; 0: none."""
CONTROL_COMPUTED: Final = 11
"""Where computing takes simulated time: what the time is, in µs since the epoch, less what all computing of the process
has taken. It takes more until the test's process reads this again; the number includes that already."""
CONTROL_BESIDE: Final = 20
"""How many threads wait for somebody else without holding the clock: on a connection that is idle."""
CONTROL_WAKEUP_FD: Final = 21
"""The descriptor that every thread of the instance polls which waits in its scheduler."""
CONTROL_MUTED: Final = 22
"""1: a wait of the instance has been found ready while another thread ran, and has not gone on."""
CONTROL_C_CODE: Final = 23
"""1 where code in C may write to the output: before it moves the clock the instance reports what was written."""
CONTROL_READING: Final = 24
"""1 while the test's process reads the output of such an instance, and the clock: it is not to be moved."""
CONTROL_STOPS: Final = 25
"""Of a supervisor: how many times it has stopped its program because the test's process asked."""
CONTROL_CORE: Final = 27
"""Set by the test's process: the core on which the instance is to run from its next message on, plus 1; 0: any."""
CONTROL_READS: Final = 28
"""Set by the test's process: how many times it has read output of such an instance without a message that dates it."""
CONTROL_SPOKE: Final = 29
"""1 once Python code of the instance has connected to another process, was connected to, or has sent it a datagram."""
CONTROL_EFFECTS: Final = 30
"""Of a recorded instance: how many effects have begun, its recorder counts."""
CONTROL_RECORDED: Final = 31
"""How many records (``inside.record``) it has sent."""
CONTROL_DRAWN_FROM: Final = 32
"""Of an instance in a sweep: what code in C draws random numbers from, which is its event's alone; 0: the machine."""
CONTROL_DRAWN: Final = 33
"""1 once its tracer has seen such code draw some."""
CONTROL_READ_CLOCK: Final = 34
"""1 once Python of an instance in a sweep has read the simulated clock, or may have."""
CONTROL_AWAITS_SIGTERM: Final = 35
"""The kernel's number of the oldest thread that waits for SIGTERM by Python's ``sigwait`` or its kin; 0: none does."""
CONTROL_FAULT: Final = 26
"""Why our own code ends a process: `FAILED` or `CLOSED`."""
FAILED: Final = 1
"""By an exception of ours, in a process that runs no user code, as a supervisor."""
CLOSED: Final = 2
"""User code has closed the channel."""

FUNCTION: Final = struct.Struct("128p")
FUNCTION_OFFSET: Final = (CONTROL_AWAITS_SIGTERM + 1) * 8
"""Behind the slots above: the name of the function that user code has called, where a sweep has asked for it."""
LEASE_LOG: Final = 64
"""Where the records of leased waits begin: place of the text (offset << 16 | length), first and last beginning in µs,
count."""
LEASE_MAIN: Final = 60
"""The bit of the place that is set for a wait of the main thread."""
LEASE_RECORD: Final = 4
LEASE_FIRST: Final = 1
LEASE_LAST: Final = 2
LEASE_COUNT: Final = 3
"""Where a record has each of these, behind the place."""
LEASE_RECORDS: Final = 100
PASSES: Final = LEASE_LOG + LEASE_RECORD * LEASE_RECORDS
"""Where the passes of places in user code are counted, of each event anew, one slot a place."""
PLACES: Final = 48
"""How many places of one event can be watched."""

PAGE_BYTES: Final = 4096
TEXTS_OFFSET: Final = PAGE_BYTES
"""Behind the control page, the same file has the texts of the records of leased waits, ..."""
TEXTS_BYTES: Final = 4096
THREADS_OFFSET: Final = TEXTS_OFFSET + TEXTS_BYTES
"""... a row for each thread that user code has started: its identity in Python, the kernel's, and its name; and
the wait that holds the clock, ..."""
THREAD_NAME = struct.Struct("<QIB51s")
THREAD_HOLDS = struct.Struct("<B191s")
THREAD_ROW = struct.Struct("<QIB51sB191s")
THREAD_ROWS: Final = 64
LONGEST_WAIT: Final = 191
"""How many bytes a row has for a wait in real time: its description, and after a zero byte each the peers."""
STACKS_OFFSET: Final = THREADS_OFFSET + THREAD_ROW.size * THREAD_ROWS
"""... and then takes the stacks that ``faulthandler`` writes on STACKS_SIGNAL."""
STACKS_BYTES: Final = 1 << 20
CONTROL_BYTES: Final = STACKS_OFFSET + STACKS_BYTES
"""The size of the whole file."""


def _slot(number: int) -> int:
    """An attribute that is the slot of that *number*; type checkers take it for the number in it."""

    def read(page: Any) -> int:
        return page.slots[number]  # type: ignore[no-any-return]

    def write(page: Any, value: int) -> None:
        page.slots[number] = value

    return cast("int", property(read, write))


class ClockPage:
    """A clock page: of a clock alone, it is a list."""

    now_us = _slot(CLOCK_NOW)
    boot_us = _slot(CLOCK_BOOT)

    def __init__(self, slots: MutableSequence[int] | None = None) -> None:
        self.slots: MutableSequence[int] = [0, 0, 0] if slots is None else slots

    def copy(self) -> ClockPage:
        """One that nobody shares, with the same in it."""
        return ClockPage(list(self.slots[: CLOCK_BOOT + 1]))

    def next_order(self, owner: int = 0) -> Order:
        """The order of a wait of *owner* that begins now."""
        self.slots[CLOCK_SEQUENCE] += 1
        return self.slots[CLOCK_NOW], owner, self.slots[CLOCK_SEQUENCE]


class SharedClockPage(ClockPage):
    """The clock page of a runtime, which its instances map."""

    def __init__(self) -> None:
        self.file = shared_memory("scf-async-clock", PAGE_BYTES)
        """Its descriptor."""
        self._map = mmap.mmap(self.file, PAGE_BYTES)
        super().__init__(cast("MutableSequence[int]", memoryview(self._map).cast("q")))

    def close(self) -> None:
        """Unmap it, and close the file."""
        cast("memoryview", self.slots).release()
        self._map.close()
        os.close(self.file)


class KnownThread(NamedTuple):
    """A thread of an instance in Python."""

    ident: int
    """Its identity in Python."""
    native: int
    """The kernel's id of it."""
    name: str
    wait: str = ""
    """What it waits for in real time, in words."""
    peers: tuple[str, ...] = ()
    """The other ends of connections for whose answers it waits, as ``"host:port"``."""


class ControlPage:
    """The control page of an instance, and what the same file has behind it, but for the stacks."""

    messages = _slot(CONTROL_MESSAGES)
    lease = _slot(CONTROL_LEASE)
    leased = _slot(CONTROL_LEASED)
    records = _slot(CONTROL_RECORDS)
    forks = _slot(CONTROL_FORKS)
    childless = _slot(CONTROL_CHILDLESS)
    saved = _slot(CONTROL_SAVED)
    watches = _slot(CONTROL_WATCHES)
    memory_at_fork = _slot(CONTROL_MEMORY_AT_FORK)
    alarm = _slot(CONTROL_ALARM)
    port = _slot(CONTROL_PORT)
    computed = _slot(CONTROL_COMPUTED)
    beside = _slot(CONTROL_BESIDE)
    wakeup_fd = _slot(CONTROL_WAKEUP_FD)
    muted = _slot(CONTROL_MUTED)
    c_code = _slot(CONTROL_C_CODE)
    reading = _slot(CONTROL_READING)
    reads = _slot(CONTROL_READS)
    stops = _slot(CONTROL_STOPS)
    spoke = _slot(CONTROL_SPOKE)
    fault = _slot(CONTROL_FAULT)
    core = _slot(CONTROL_CORE)
    effects = _slot(CONTROL_EFFECTS)
    recorded = _slot(CONTROL_RECORDED)
    drawn_from = _slot(CONTROL_DRAWN_FROM)
    drawn = _slot(CONTROL_DRAWN)
    read_clock = _slot(CONTROL_READ_CLOCK)
    awaits_sigterm = _slot(CONTROL_AWAITS_SIGTERM)

    def __init__(self, file: int) -> None:
        self.file = file
        self._map = mmap.mmap(file, STACKS_OFFSET)
        whole = memoryview(self._map)
        page = whole[:PAGE_BYTES]
        self.slots: Any = page.cast("q")
        self.texts = whole[TEXTS_OFFSET:THREADS_OFFSET]
        """The texts of the records of leased waits."""
        self.threads = whole[THREADS_OFFSET:STACKS_OFFSET]
        """The rows of threads."""
        self._views = (self.slots, page, self.texts, self.threads, whole)

    def memory(self) -> mmap.mmap:
        """All of it, as memory."""
        return self._map

    def release(self) -> None:
        """Unmap it; nobody reads it any more."""
        for view in self._views:
            view.release()
        self._map.close()

    def leased_waits(self, first: int, until: int) -> Iterator[tuple[str, int, int, int, bool]]:
        """The leased waits of these records: text, beginnings (µs) of the first and the last, how many, and whether
        the main thread's."""
        for number in range(first, until):
            at = LEASE_LOG + number * LEASE_RECORD
            place, first_us, last_us, count = self.slots[at : at + LEASE_RECORD]
            start, length = (place & ~(1 << LEASE_MAIN)) >> 16, place & 0xFFFF
            text = bytes(self.texts[start : start + length]).decode("utf-8", "replace")
            yield text, first_us, last_us, count, bool(place >> LEASE_MAIN)

    @property
    def function(self) -> str:
        """The function that the main thread's user code has called, and that has not returned; empty: not known."""
        (name,) = FUNCTION.unpack_from(self._map, FUNCTION_OFFSET)
        return str(name, "utf-8", "replace")

    @function.setter
    def function(self, name: str) -> None:
        FUNCTION.pack_into(self._map, FUNCTION_OFFSET, name.encode("utf-8", "replace"))

    @property
    def passes(self) -> MutableSequence[int]:
        """How often the event has come to each of its places."""
        return self.slots[PASSES : PASSES + PLACES]  # type: ignore[no-any-return]

    def threads_known(self) -> Iterator[KnownThread]:
        """The threads that have a row."""
        for ident, native, size, name, length, wait in THREAD_ROW.iter_unpack(self.threads):
            if ident:
                description, *peers = wait[:length].decode("utf-8", "replace").split("\0")
                yield KnownThread(ident, native, name[:size].decode("utf-8", "replace"), description, tuple(peers))


def wait_of_thread(description: str, peers: Sequence[str]) -> bytes:
    """What a row of a thread has of its wait in real time; peers for which there is no room are left out."""
    behind = b""
    for peer in peers:
        data = b"\0" + peer.encode("utf-8", "replace")
        behind += data if len(behind) + len(data) <= LONGEST_WAIT // 2 else b""
    return description.encode("utf-8", "replace")[: LONGEST_WAIT - len(behind)] + behind


def shared_memory(name: str, size: int) -> int:
    """A descriptor of *size* zero bytes in memory, whose size nobody can change.

    User code finds it among its descriptors. Without the seals it could shorten the file, and the test's process, which
    has it mapped, would die of SIGBUS.
    """
    import fcntl  # noqa: PLC0415  (Windows has none, and imports this module)

    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd
