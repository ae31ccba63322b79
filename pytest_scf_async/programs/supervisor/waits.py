"""The timed waits of a traced program: how each is made to wait without a timeout, and how it ends at its due time.

A thread that makes a system call with a timeout waits in the kernel without one, so that descriptors, futexes and
signals still end the wait. When the wait is due the supervisor interrupts the thread, and the call returns the result
that it has at a timeout. If something else ended the call at the same instant, it keeps its real result. The changed
arguments are restored in their registers before the call returns, because compilers rely on them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...protocol.wait_texts import IN_CHILD
from .tracee import (
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
    HERE,
    INTERRUPTED,
    Registers,
    read_memory,
    write_memory,
)

NS: Final = 1_000_000_000
_EINTR, _EAGAIN, _ETIMEDOUT = 4, 11, 110
_TIMESPEC: Final = struct.Struct("<qq")
_LONGEST_NS: Final = 1 << 62

CLOCK_REALTIME, CLOCK_MONOTONIC = 0, 1
REALTIME_CLOCKS: Final = frozenset({0, 5, 8, 11})
"""CLOCK_REALTIME, its coarse variant, its alarm clock, and CLOCK_TAI."""
MONOTONIC_CLOCKS: Final = frozenset({1, 4, 6, 7, 9})
"""CLOCK_MONOTONIC, its raw and coarse variants, CLOCK_BOOTTIME and its alarm clock."""
_SLEEP_CLOCKS: Final = frozenset({0, 1, 7, 8, 9, 11})
"""The clocks on which a program can sleep. The kernel refuses the raw clock and the coarse ones."""
_FUTEX_CLOCKS: Final = frozenset({CLOCK_REALTIME, CLOCK_MONOTONIC})

_TIMER_ABSTIME: Final = 1
_FUTEX_WAIT, _FUTEX_CLOCK_REALTIME = 0, 256
_LOCK_PI: Final = 6
_WAIT_FOR_ONE, _DO_NOT_WAIT = 0x10000, 0x40
_MOST_DESCRIPTORS: Final = 1 << 20
"""The size limit of a set: the kernel reads no bits of descriptors that a process cannot have."""
_HEADER_BYTES: Final = 64
"""The size of a datagram's header in ``recvmmsg`` (``struct mmsghdr``)."""


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


@dataclass
class Wait:
    """A timed wait of one thread."""

    due_ns: int
    """When it times out, on the program's realtime clock."""
    name: str
    number: int
    arguments: tuple[int, ...]
    """The arguments of the call as the program made it."""
    call: TimedCall
    place: tuple[int, int]
    """The instruction and stack pointers: a wait that the kernel restarts has the same ones."""
    rest_at: int = 0
    """The address at which the remaining time is written; 0: nowhere."""
    is_due: bool = False
    """Its time is over: either the thread has been interrupted, or the call only polls."""
    sets: tuple[tuple[int, bytes], ...] = ()
    """If this is a ``select`` that only polls: the addresses and contents of its sets, which the poll may empty."""
    delay_ns: int = 0
    """By how much `due_ns` is later than the thread's own timeout, at which it would have nothing to do."""
    in_child: bool = False
    """Its thread is one of a child process of the program."""

    @property
    def shown(self) -> str:
        """Its name in the timeline.

        Which child waits is not in it: when a child has ended depends on the machine, and so would its number.
        """
        return self.name + IN_CHILD if self.in_child else self.name

    def expire(self) -> None:
        """Mark its time as over: once the thread is interrupted, the call returns its result at a timeout."""
        self.is_due = True

    def end_delay(self) -> None:
        """Make it due at the thread's own timeout, as the thread has something to do then."""
        self.due_ns -= self.delay_ns
        self.delay_ns = 0

    @property
    def is_sleep(self) -> bool:
        """Whether it is a sleep, or a wait for no descriptors (``time.sleep`` of Python 3.10 calls ``select``)."""
        count = self.call.descriptors
        return self.call.sleeps or (count is not None and self.arguments[count] & 0xFFFFFFFF == 0)


class TimedCall(NamedTuple):
    """A system call with a timeout."""

    timeout: int
    """The index of the argument that is the timeout."""
    due: Callable[[int, Registers, Clocks], int | None]
    """Returns when a call is due on the realtime clock, from the thread and its registers.

    None: the call has no simulated timeout.
    """
    at_timeout: int = 0
    """The result of the call at its timeout."""
    untimed: int = 0
    """The value of the timeout argument that means no timeout."""
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


def timespec(tid: int, address: int) -> int | None:
    """The ``timespec`` at *address* in nanoseconds; None: the kernel refuses it."""
    try:
        seconds, ns = _TIMESPEC.unpack(read_memory(tid, address, _TIMESPEC.size))
    except OSError:
        return None
    if seconds < 0 or not 0 <= ns < NS:
        return None
    whole: int = seconds * NS + ns
    return min(whole, _LONGEST_NS)


def _after(nanoseconds: int | None, clocks: Clocks) -> int | None:
    return None if nanoseconds is None else clocks.realtime + nanoseconds


def _of_timespec(index: int) -> Callable[[int, Registers, Clocks], int | None]:
    return lambda tid, registers, clocks: _after(timespec(tid, registers.argument(index)), clocks)


def _of_milliseconds(index: int) -> Callable[[int, Registers, Clocks], int | None]:
    return lambda _tid, registers, clocks: clocks.realtime + (registers.argument(index) & 0x7FFFFFFF) * 1_000_000


def _of_timeval(index: int) -> Callable[[int, Registers, Clocks], int | None]:
    def due(tid: int, registers: Registers, clocks: Clocks) -> int | None:
        try:
            seconds, microseconds = _TIMESPEC.unpack(read_memory(tid, registers.argument(index), _TIMESPEC.size))
        except OSError:
            return None
        whole = seconds * NS + microseconds * 1000
        return None if seconds < 0 or microseconds < 0 else clocks.realtime + min(whole, _LONGEST_NS)

    return due


def _of_clock(
    clock: int, flags: int | None, index: int, clocks_: frozenset[int]
) -> Callable[[int, Registers, Clocks], int | None]:
    """A time on the clock that the argument *clock* names, if it is one of *clocks_*.

    The time is absolute if the argument *flags* says so, or if *flags* is None.
    """

    def due(tid: int, registers: Registers, clocks: Clocks) -> int | None:
        at = timespec(tid, registers.argument(index))
        named = registers.argument(clock) & 0xFFFFFFFF
        if at is None or named not in clocks_:
            return None
        if flags is None or registers.argument(flags) & _TIMER_ABSTIME:
            return clocks.due(named, at)
        return clocks.realtime + at

    return due


def _of_deadline(index: int) -> Callable[[int, Registers, Clocks], int | None]:
    """An absolute time of CLOCK_REALTIME."""
    return lambda tid, registers, _clocks: timespec(tid, registers.argument(index))


def _of_futex(tid: int, registers: Registers, clocks: Clocks) -> int | None:
    at = timespec(tid, registers.argument(3))
    if at is None:
        return None
    operation = registers.argument(1) & 0x7F
    if operation == _FUTEX_WAIT:
        return clocks.realtime + at
    realtime = operation == _LOCK_PI or registers.argument(1) & _FUTEX_CLOCK_REALTIME
    return clocks.due(CLOCK_REALTIME if realtime else CLOCK_MONOTONIC, at)


TIMED: Final[dict[str, TimedCall]] = {
    "nanosleep": TimedCall(0, _of_timespec(0), sleeps=True, rest=1),
    "clock_nanosleep": TimedCall(2, _of_clock(0, 1, 2, _SLEEP_CLOCKS), sleeps=True, rest=3),
    "poll": TimedCall(2, _of_milliseconds(2), untimed=-1, descriptors=1),
    "epoll_wait": TimedCall(3, _of_milliseconds(3), untimed=-1),
    "epoll_pwait": TimedCall(3, _of_milliseconds(3), untimed=-1),
    "epoll_pwait2": TimedCall(3, _of_timespec(3)),
    "ppoll": TimedCall(2, _of_timespec(2), rest=2, descriptors=1),
    "select": TimedCall(4, _of_timeval(4), rest=4, sets=True, descriptors=0),
    "pselect6": TimedCall(4, _of_timespec(4), rest=4, sets=True, descriptors=0),
    "futex": TimedCall(3, _of_futex, -_ETIMEDOUT),
    "futex_waitv": TimedCall(3, _of_clock(4, None, 3, _FUTEX_CLOCKS), -_ETIMEDOUT, restarts=True),
    "futex_wait": TimedCall(4, _of_clock(5, None, 4, _FUTEX_CLOCKS), -_ETIMEDOUT, restarts=True),
    "rt_sigtimedwait": TimedCall(2, _of_timespec(2), -_EAGAIN),
    "semtimedop": TimedCall(3, _of_timespec(3), -_EAGAIN),
    "mq_timedsend": TimedCall(4, _of_deadline(4), -_ETIMEDOUT, restarts=True),
    "mq_timedreceive": TimedCall(4, _of_deadline(4), -_ETIMEDOUT, restarts=True),
    "io_getevents": TimedCall(4, _of_timespec(4)),
    "io_pgetevents": TimedCall(4, _of_timespec(4)),
}

_READ: Final = TimedCall(0, lambda _tid, _registers, _clocks: None, sleeps=True)


_SLEEPS_THOUGH_DUE: Final = frozenset(
    {"futex", "futex_waitv", "futex_wait", "mq_timedsend", "mq_timedreceive", "semtimedop"}
)
"""Calls in which the kernel sleeps for some µs, until a timer expires, even if their time is over already.

A check at that moment must not take the thread for one that waits without a timeout. All other calls do not sleep if
their timeout is 0.
"""


def begin(
    tid: int,
    name: str,
    registers: Registers,
    clocks: Clocks,
    *,
    again: Wait | None,
    zero_at: Callable[[], int],
    past_ns: int,
    delay_ns: int = 0,
    in_child: bool = False,
) -> Wait | None:
    """Change the call at whose entry a thread has stopped so that it waits without a timeout.

    If the time of the call is over already, it only polls. None: the call is to be made unchanged. The caller writes
    the registers.

    *again* is an earlier wait that the kernel may be restarting; if so, its due time stays. *zero_at* returns the
    address of a ``timespec`` of 0. A new wait that is not a sleep ends *past_ns* after its timeout, because some loops
    check that the time is past. A new wait ends another *delay_ns* later; the caller passes that for a thread that has
    nothing to do at its timeout.
    """
    call = TIMED[name]
    due = call.due(tid, registers, clocks)
    if due is None:
        return None
    arguments = registers.arguments
    wait = Wait(due, name, HERE.calls[name], arguments, call, (registers.counter, registers.stack))
    wait.in_child = in_child
    if again is not None and (again.place, again.number) == (wait.place, wait.number):
        wait.due_ns = again.due_ns
    elif due <= clocks.realtime and not call.sleeps and name not in _SLEEPS_THOUGH_DUE:
        return None
    if call.rest is not None and not (name == "clock_nanosleep" and arguments[1] & _TIMER_ABSTIME):
        wait.rest_at = arguments[call.rest]
    if call.sleeps:
        _wait_for_a_signal(tid, registers)
    elif wait.due_ns > clocks.realtime:
        registers.set_argument(call.timeout, call.untimed)
    else:
        wait.is_due = True
        registers.set_argument(call.timeout, 0 if call.untimed == -1 else zero_at())  # an absolute time of 0 is past
    if not wait.is_due and (again is None or wait.due_ns != again.due_ns):
        wait.delay_ns = delay_ns
        wait.due_ns += delay_ns + (past_ns if past_ns and not wait.is_sleep else 0)
    return wait


def end_at_once(tid: int, wait: Wait, registers: Registers) -> None:
    """Have a call return its result at a timeout without being made. The caller writes the registers."""
    for index, value in enumerate(wait.arguments):
        registers.set_argument(index, value)
    registers.set_number(tid, -1)
    registers.result = wait.call.at_timeout


def poll_once(tid: int, wait: Wait, registers: Registers, zero_at: Callable[[], int]) -> bool:
    """Have a wait only poll; returns whether it can. The caller writes the registers.

    It cannot if its sets of descriptors are unreadable; the kernel refuses the call then.
    """
    if wait.call.sets:
        size = _set_bytes(wait.arguments)
        try:
            wait.sets = tuple((at, read_memory(tid, at, size)) for at in wait.arguments[1:4] if at and size)
        except OSError:
            return False
    registers.set_argument(wait.call.timeout, 0 if wait.call.untimed == -1 else zero_at())
    return True


def make_again(tid: int, wait: Wait, registers: Registers) -> None:
    """Have a thread whose wait has polled make the call again as it first did. The caller writes the registers."""
    for address, data in wait.sets:
        write_memory(tid, address, data)
    for index, value in enumerate(wait.arguments):
        registers.set_argument(index, value)
    registers.make_call_again(wait.number)


def read(tid: int, name: str, registers: Registers, due_ns: int, *, in_child: bool) -> Wait:
    """Have a read of the clock wait until *due_ns*. The caller writes the registers."""
    arguments = registers.arguments
    _wait_for_a_signal(tid, registers)
    place = registers.counter, registers.stack
    return Wait(due_ns, name, HERE.calls[name], arguments, _READ, place, in_child=in_child)


def _wait_for_a_signal(tid: int, registers: Registers) -> None:
    if "pause" in HERE.calls:
        registers.set_number(tid, HERE.calls["pause"])
        return
    registers.set_number(tid, HERE.calls["ppoll"])
    for index in range(5):
        registers.set_argument(index, 0)


def end(tid: int, wait: Wait, registers: Registers, now_ns: int, *, restart: bool = False) -> bool:
    """Set the result of a call that has returned, and what it leaves in memory; returns whether it may be restarted.

    With *restart* an interrupted call is restarted, because the supervisor itself has interrupted it. The caller writes
    the registers.
    """
    result = registers.result
    interrupted = result in INTERRUPTED
    for index, value in enumerate(wait.arguments):
        if HERE.arguments[index] != HERE.result:
            registers.set_argument(index, value)
    registers.set_number(tid, wait.number)
    rest_ns = max(wait.due_ns - now_ns, 0)
    if interrupted and wait.is_due:
        registers.result = wait.call.at_timeout
        if wait.call.sets:
            _empty(tid, wait.arguments)
    elif interrupted and result != -ERESTARTNOINTR and (restart or result != -_EINTR):
        registers.result = -ERESTARTSYS if wait.call.restarts else -ERESTARTNOHAND
    if wait.rest_at and not (wait.call.sleeps and (wait.is_due or not interrupted)):
        _write_rest(tid, wait.rest_at, rest_ns, NS // 1_000_000 if wait.name == "select" else 1)
    return interrupted and not wait.is_due


def _write_rest(tid: int, at: int, rest_ns: int, unit: int) -> None:
    seconds, ns = divmod(rest_ns, NS)
    try:
        write_memory(tid, at, _TIMESPEC.pack(seconds, ns // unit))
    except OSError:
        pass  # the kernel ignores the error, too


def _empty(tid: int, arguments: tuple[int, ...]) -> None:
    size = _set_bytes(arguments)
    for address in arguments[1:4]:
        if address and size:
            write_memory(tid, address, bytes(size))


def _set_bytes(arguments: tuple[int, ...]) -> int:
    """The size in bytes of each set of descriptors of a ``select`` with these *arguments*."""
    return (min(arguments[0] & 0x7FFFFFFF, _MOST_DESCRIPTORS) + 63) // 64 * 8


def wakes(registers: Registers) -> bool:
    """Whether a ``futex`` call wakes other threads: FUTEX_WAKE, WAKE_OP, UNLOCK_PI or WAKE_BITSET."""
    return registers.argument(1) & 0x7F in (1, 5, 7, 10)


def at_once(tid: int, registers: Registers) -> None:
    """Have a sleep that is due already return without being made."""
    registers.set_number(tid, -1)
    registers.result = 0


@dataclass
class Receipt:
    """A ``recvmmsg`` with a timeout, made as one call for each datagram.

    The kernel checks the timeout after each datagram, but never while it waits for one (recvmmsg(2), BUGS). So it is
    enough to check the program's clock between the calls.
    """

    until_ns: int
    arguments: tuple[int, ...]
    place: tuple[int, int]
    received: int = 0

    @classmethod
    def begin(cls, tid: int, registers: Registers, clocks: Clocks) -> Receipt | None:
        """The receipt for the call at whose entry a thread has stopped; None: the call is to be made unchanged."""
        until = _after(timespec(tid, registers.argument(4)), clocks)
        arguments = registers.arguments
        if until is None or not arguments[2] & 0xFFFFFFFF:
            return None
        return cls(until, arguments, (registers.counter, registers.stack))

    def receive_next(self, registers: Registers) -> None:
        """Have the call receive one datagram. The caller writes the registers."""
        flags = self.arguments[3]
        if self.received and flags & _WAIT_FOR_ONE:
            flags |= _DO_NOT_WAIT
        for index, value in ((1, self.arguments[1] + _HEADER_BYTES * self.received), (2, 1), (3, flags), (4, 0)):
            registers.set_argument(index, value)

    def has_received(self, tid: int, registers: Registers, now_ns: int, *, restart: bool = False) -> bool:
        """Handle the return of one call; returns whether another one follows. The caller writes the registers.

        With *restart* an interrupted call is made again, because the supervisor itself has interrupted it.
        """
        result = registers.result
        for index, value in enumerate(self.arguments):
            if HERE.arguments[index] != HERE.result:
                registers.set_argument(index, value)
        if restart and result in INTERRUPTED:
            return self._again(registers)
        if result == 1:
            self.received += 1
            if self.received < self.arguments[2] & 0xFFFFFFFF and now_ns < self.until_ns:
                return self._again(registers)
        if self.received:
            registers.result = self.received
            _write_rest(tid, self.arguments[4], max(self.until_ns - now_ns, 0), 1)
        return False

    def _again(self, registers: Registers) -> bool:
        registers.set_argument(0, self.arguments[0])
        registers.make_call_again(HERE.calls["recvmmsg"])
        return True
