"""The timeouts of system calls: which argument each one is, what it means, and when it is over.

What a call needs to be made without its timeout, and to return as at its timeout, is a `TimedCall`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from .tracee import Registers, read_memory

NS: Final = 1_000_000_000
TIMESPEC: Final = struct.Struct("<qq")
_LONGEST_NS: Final = 1 << 62

CLOCK_REALTIME, CLOCK_MONOTONIC = 0, 1
REALTIME_CLOCKS: Final = frozenset({0, 5, 8, 11})
"""CLOCK_REALTIME, its coarse variant, its alarm clock, and CLOCK_TAI."""
MONOTONIC_CLOCKS: Final = frozenset({1, 4, 6, 7, 9})
"""CLOCK_MONOTONIC, its raw and coarse variants, CLOCK_BOOTTIME and its alarm clock."""
SLEEP_CLOCKS: Final = frozenset({0, 1, 7, 8, 9, 11})
"""The clocks on which a program can sleep. The kernel refuses the raw clock and the coarse ones."""
FUTEX_CLOCKS: Final = frozenset({CLOCK_REALTIME, CLOCK_MONOTONIC})

TIMER_ABSTIME: Final = 1
_FUTEX_WAIT, _FUTEX_CLOCK_REALTIME = 0, 256
_LOCK_PI: Final = 6


class Clocks(NamedTuple):
    """The time that the program's clocks show, in ns."""

    realtime: int
    monotonic: int

    def due(self, clock: int, at: int) -> int | None:
        """The time of the realtime clock at which *clock* shows *at*; None: *clock* is not simulated."""
        if clock in REALTIME_CLOCKS:
            return at
        if clock in MONOTONIC_CLOCKS:
            return at - self.monotonic + self.realtime
        return None


Due = Callable[[int, Registers, Clocks, int], int | None]
"""Returns when a call is due on the realtime clock, from the thread, its registers, the clocks, and the index of the
argument that is the timeout. None: the call has no simulated timeout."""


class TimedCall(NamedTuple):
    """A system call with a timeout."""

    timeout: int
    """The index of the argument that is the timeout."""
    due: Due
    at_timeout: int = 0
    """The result of the call at its timeout."""
    sleeps: bool = False
    """It is a sleep, and waits for nothing else. To wait without a timeout the thread waits for a signal instead."""
    rest: int | None = None
    """The index of the argument with the address at which the remaining time is written; None: there is none."""
    restarts: bool = False
    """The kernel also restarts it after a signal whose handler was installed with ``SA_RESTART``."""
    sets: bool = False
    """It is ``select``, whose sets of descriptors are empty after a timeout."""
    descriptors: int | None = None
    """The index of the argument that bounds its descriptors; None: it has none, and waits for something else."""
    sleeps_though_due: bool = False
    """The kernel sleeps in it for some µs, until a timer expires, even if its time is over already.

    A check at that moment must not take the thread for one that waits without a timeout. All other calls do not sleep
    if their timeout is 0.
    """

    @property
    def untimed(self) -> int:
        """The value of the timeout argument that means no timeout."""
        return -1 if self.due is after_milliseconds else 0


def timespec(tid: int, address: int) -> int | None:
    """The ``timespec`` at *address* in nanoseconds; None: the kernel refuses it."""
    try:
        seconds, ns = TIMESPEC.unpack(read_memory(tid, address, TIMESPEC.size))
    except OSError:
        return None
    if seconds < 0 or not 0 <= ns < NS:
        return None
    whole: int = seconds * NS + ns
    return min(whole, _LONGEST_NS)


def after_timespec(tid: int, registers: Registers, clocks: Clocks, at: int) -> int | None:
    nanoseconds = timespec(tid, registers.argument(at))
    return None if nanoseconds is None else clocks.realtime + nanoseconds


def after_milliseconds(_tid: int, registers: Registers, clocks: Clocks, at: int) -> int | None:
    return clocks.realtime + (registers.argument(at) & 0x7FFFFFFF) * 1_000_000


def after_timeval(tid: int, registers: Registers, clocks: Clocks, at: int) -> int | None:
    try:
        seconds, microseconds = TIMESPEC.unpack(read_memory(tid, registers.argument(at), TIMESPEC.size))
    except OSError:
        return None
    whole = seconds * NS + microseconds * 1000
    return None if seconds < 0 or microseconds < 0 else clocks.realtime + min(whole, _LONGEST_NS)


def at_timespec(tid: int, registers: Registers, _clocks: Clocks, at: int) -> int | None:
    """An absolute time of CLOCK_REALTIME."""
    return timespec(tid, registers.argument(at))


def on_clock(clock: int, flags: int | None, allowed: frozenset[int]) -> Due:
    """A time on the clock that the argument *clock* names, if it is one of those that are *allowed*.

    The time is absolute if the argument *flags* says so, or if *flags* is None.
    """

    def due(tid: int, registers: Registers, clocks: Clocks, at: int) -> int | None:
        ns = timespec(tid, registers.argument(at))
        named = registers.argument(clock) & 0xFFFFFFFF
        if ns is None or named not in allowed:
            return None
        if flags is None or registers.argument(flags) & TIMER_ABSTIME:
            return clocks.due(named, ns)
        return clocks.realtime + ns

    return due


def of_futex(tid: int, registers: Registers, clocks: Clocks, at: int) -> int | None:
    ns = timespec(tid, registers.argument(at))
    if ns is None:
        return None
    operation = registers.argument(1) & 0x7F
    if operation == _FUTEX_WAIT:
        return clocks.realtime + ns
    realtime = operation == _LOCK_PI or registers.argument(1) & _FUTEX_CLOCK_REALTIME
    return clocks.due(CLOCK_REALTIME if realtime else CLOCK_MONOTONIC, ns)
