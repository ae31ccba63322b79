"""The timed waits of a traced program: how each is made to wait without a timeout, and how it ends at its due time.

A thread that would wait for a time waits in the kernel for ever, so that descriptors, futexes and signals end the wait
as they always do. When the wait is due the thread is interrupted, and the system call returns what it returns at its
timeout. If something else has ended it in the same instant, its real result stands. The arguments are in their
registers again when the call returns: compilers rely on that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

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
"""CLOCK_REALTIME, its coarse one, its alarm, and CLOCK_TAI."""
MONOTONIC_CLOCKS: Final = frozenset({1, 4, 6, 7, 9})
"""CLOCK_MONOTONIC, its raw and its coarse one, CLOCK_BOOTTIME and its alarm."""
_SLEEP_CLOCKS: Final = frozenset({0, 1, 7, 8, 9, 11})
"""On these a program can sleep: the raw clock and the coarse ones the kernel refuses."""
_FUTEX_CLOCKS: Final = frozenset({CLOCK_REALTIME, CLOCK_MONOTONIC})

_TIMER_ABSTIME: Final = 1
_FUTEX_WAIT, _FUTEX_CLOCK_REALTIME = 0, 256
_LOCK_PI: Final = 6
_WAIT_FOR_ONE, _DO_NOT_WAIT = 0x10000, 0x40
_MOST_DESCRIPTORS: Final = 1 << 20
"""The kernel looks at no more in a set than a process may have."""
_HEADER_BYTES: Final = 64
"""Of each datagram of ``recvmmsg`` (``struct mmsghdr``)."""


class Clocks(NamedTuple):
    """What the program's clocks show, in ns."""

    realtime: int
    monotonic: int

    def due(self, clock: int, at: int) -> int | None:
        """When *clock* shows *at*, on the realtime clock; None: that clock is the kernel's."""
        if clock in REALTIME_CLOCKS:
            return at
        if clock in MONOTONIC_CLOCKS:
            return at - self.monotonic + self.realtime
        return None


@dataclass
class Wait:
    """A timed wait of one thread."""

    due_ns: int
    """When it ends by itself, on the program's realtime clock."""
    name: str
    number: int
    arguments: tuple[int, ...]
    """Of the call as the program made it."""
    call: TimedCall
    place: tuple[int, int]
    """Instruction and stack: a wait that the kernel starts again comes from the same place."""
    rest_at: int = 0
    """Where the rest of the time is written; 0: nowhere."""
    is_due: bool = False
    """Its time is over: the thread has been interrupted, or only looks for what it would wait for."""
    sets: tuple[tuple[int, bytes], ...] = ()
    """Of ``select`` that only looks: the sets of descriptors, which are empty after that, and where they are."""
    delay_ns: int = 0
    """By how much `due_ns` is later than the thread has asked for: it has nothing to do then."""

    def expire(self) -> None:
        """Its time is over: once the thread is interrupted, the call returns what it returns at its timeout."""
        self.is_due = True

    def end_delay(self) -> None:
        """Be due when the thread has asked for: it has something to do now."""
        self.due_ns -= self.delay_ns
        self.delay_ns = 0

    @property
    def is_sleep(self) -> bool:
        """It is a sleep: one by name, or a look at no descriptor, as ``time.sleep`` of Python 3.10 is (``select``)."""
        count = self.call.descriptors
        return self.call.sleeps or (count is not None and self.arguments[count] & 0xFFFFFFFF == 0)


class TimedCall(NamedTuple):
    """A system call with a timeout."""

    timeout: int
    """The argument that is the timeout."""
    due: Callable[[int, Registers, Clocks], int | None]
    """When it is due, by the thread and its registers, on the realtime clock; None: it has no simulated timeout."""
    at_timeout: int = 0
    """What it returns then."""
    untimed: int = 0
    """The value of that argument with which it waits without a timeout."""
    sleeps: bool = False
    """It waits for nothing else: the thread waits for a signal instead."""
    rest: int | None = None
    """The argument that says where the rest of the time is written if something else ends it; None: nowhere."""
    restarts: bool = False
    """The kernel starts it again after a signal, too, whose handler is installed with ``SA_RESTART``."""
    sets: bool = False
    """It is ``select``: the sets of descriptors are empty after its timeout."""
    descriptors: int | None = None
    """The argument that bounds how many descriptors it looks at; None: it may have none, and looks at something."""


def timespec(tid: int, address: int) -> int | None:
    """The nanoseconds of a ``timespec``; None: the kernel refuses it."""
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
    """On the clock that the argument *clock* names, one of *clocks_*; absolute where *flags* say so, or always."""

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
    """A time of CLOCK_REALTIME."""
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
"""Waits in which the kernel sleeps until a timer goes off, for some µs, also where their time is over already.

Who looks then must not take the thread for one that waits without a timeout. The other calls do not sleep with 0.
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
) -> Wait | None:
    """Have the call at whose entry a thread stands wait without its timeout; the registers are still to be written.

    Where its time is over already it looks for what it waits for, and does not wait. None: it is to go on as it is.
    *again* is the wait that the kernel may be about to start again: that one is due when it was. *zero_at* gives the
    address of a ``timespec`` of 0. A new wait that is no sleep ends *past_ns* after its timeout: some loops ask whether
    the time is past. One of a thread that has nothing to do at its timeout ends *delay_ns* later.
    """
    call = TIMED[name]
    due = call.due(tid, registers, clocks)
    if due is None:
        return None
    arguments = registers.arguments
    wait = Wait(due, name, HERE.calls[name], arguments, call, (registers.counter, registers.stack))
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
        registers.set_argument(call.timeout, 0 if call.untimed == -1 else zero_at())  # long ago, where it is absolute
    if not wait.is_due and (again is None or wait.due_ns != again.due_ns):
        wait.delay_ns = delay_ns
        wait.due_ns += delay_ns + (past_ns if past_ns and not wait.is_sleep else 0)
    return wait


def end_at_once(tid: int, wait: Wait, registers: Registers) -> None:
    """Have a call that has not been made return: its time has come already. The registers are still to be written."""
    for index, value in enumerate(wait.arguments):
        registers.set_argument(index, value)
    registers.set_number(tid, -1)
    registers.result = wait.call.at_timeout


def poll_once(tid: int, wait: Wait, registers: Registers, zero_at: Callable[[], int]) -> bool:
    """Have a wait only look for what it would wait for; the registers are still to be written.

    False: it cannot, as the kernel will refuse what it is given.
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
    """Have a wait that has looked begin anew, as the thread began it; the registers are still to be written."""
    for address, data in wait.sets:
        write_memory(tid, address, data)
    for index, value in enumerate(wait.arguments):
        registers.set_argument(index, value)
    registers.make_call_again(wait.number)


def read(tid: int, name: str, registers: Registers, due_ns: int) -> Wait:
    """Have a read of the clock wait; the registers are still to be written."""
    arguments = registers.arguments
    _wait_for_a_signal(tid, registers)
    return Wait(due_ns, name, HERE.calls[name], arguments, _READ, (registers.counter, registers.stack))


def _wait_for_a_signal(tid: int, registers: Registers) -> None:
    if "pause" in HERE.calls:
        registers.set_number(tid, HERE.calls["pause"])
        return
    registers.set_number(tid, HERE.calls["ppoll"])
    for index in range(5):
        registers.set_argument(index, 0)


def end(tid: int, wait: Wait, registers: Registers, now_ns: int, *, restart: bool = False) -> bool:
    """A call has come to its end: what it returns, and leaves in memory. Whether the kernel may start it again.

    With *restart* it does, where the call was interrupted: that was our doing. The registers are still to be written.
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
        pass  # the kernel does not complain either


def _empty(tid: int, arguments: tuple[int, ...]) -> None:
    size = _set_bytes(arguments)
    for address in arguments[1:4]:
        if address and size:
            write_memory(tid, address, bytes(size))


def _set_bytes(arguments: tuple[int, ...]) -> int:
    """How many bytes a set of descriptors has that ``select`` is given."""
    return (min(arguments[0] & 0x7FFFFFFF, _MOST_DESCRIPTORS) + 63) // 64 * 8


def at_once(tid: int, registers: Registers) -> None:
    """Have a sleep return without having been made: it is due already."""
    registers.set_number(tid, -1)
    registers.result = 0


@dataclass
class Receipt:
    """A ``recvmmsg`` with a timeout, made as one call for each datagram.

    The kernel asks for the time after each datagram, and never while it waits for one (recvmmsg(2), BUGS). So the
    program's clock is asked between the calls.
    """

    until_ns: int
    arguments: tuple[int, ...]
    place: tuple[int, int]
    received: int = 0

    @classmethod
    def begin(cls, tid: int, registers: Registers, clocks: Clocks) -> Receipt | None:
        """Of the call at whose entry a thread stands; None: it is to go on as it is."""
        until = _after(timespec(tid, registers.argument(4)), clocks)
        arguments = registers.arguments
        if until is None or not arguments[2] & 0xFFFFFFFF:
            return None
        return cls(until, arguments, (registers.counter, registers.stack))

    def receive_next(self, registers: Registers) -> None:
        """Have it receive one; the registers are still to be written."""
        flags = self.arguments[3]
        if self.received and flags & _WAIT_FOR_ONE:
            flags |= _DO_NOT_WAIT
        for index, value in ((1, self.arguments[1] + _HEADER_BYTES * self.received), (2, 1), (3, flags), (4, 0)):
            registers.set_argument(index, value)

    def has_received(self, tid: int, registers: Registers, now_ns: int, *, restart: bool = False) -> bool:
        """One call has returned; whether another one is to follow. The registers are still to be written.

        With *restart* one follows where this one was interrupted: that was our doing.
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
