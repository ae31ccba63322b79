"""The timed waits of a traced program: how each is made to wait without a timeout, and how it ends at its due time.

A thread that makes a system call with a timeout waits in the kernel without one, so that descriptors, futexes and
signals still end the wait. When the wait is due the supervisor interrupts the thread, and the call returns the result
that it has at a timeout. If something else ended the call at the same instant, it keeps its real result. The changed
arguments are restored in their registers before the call returns, because compilers rely on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...protocol.wait_texts import IN_CHILD
from .system_calls import CALLS, NUMBERS
from .timeouts import NS, TIMER_ABSTIME, TIMESPEC, Clocks, TimedCall, after_timespec
from .tracee import (
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
    INTERRUPTED,
    Registers,
    read_memory,
    write_memory,
)

_EINTR: Final = 4
_WAIT_FOR_ONE, _DO_NOT_WAIT = 0x10000, 0x40
_MOST_DESCRIPTORS: Final = 1 << 20
"""The size limit of a set: the kernel reads no bits of descriptors that a process cannot have."""
_HEADER_BYTES: Final = 64
"""The size of a datagram's header in ``recvmmsg`` (``struct mmsghdr``)."""
TIMED: Final = {name: call.timed for name, call in CALLS.items() if call.timed is not None}
_READ: Final = TimedCall(0, lambda _tid, _registers, _clocks, _at: None, sleeps=True)


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
    due = call.due(tid, registers, clocks, call.timeout)
    if due is None:
        return None
    arguments = registers.arguments
    wait = Wait(due, name, NUMBERS[name], arguments, call, (registers.counter, registers.stack))
    wait.in_child = in_child
    if again is not None and (again.place, again.number) == (wait.place, wait.number):
        wait.due_ns = again.due_ns
    elif due <= clocks.realtime and not (wait.is_sleep or call.sleeps_though_due):
        return None
    if call.rest is not None and not (name == "clock_nanosleep" and arguments[1] & TIMER_ABSTIME):
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
    """Have a call return its result at a timeout without being made."""
    registers.set_arguments(wait.arguments)
    registers.return_at_entry(tid, wait.call.at_timeout)


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
    registers.set_arguments(wait.arguments)
    registers.make_call_again(wait.number)


def read(tid: int, name: str, registers: Registers, due_ns: int, *, in_child: bool) -> Wait:
    """Have a read of the clock wait until *due_ns*. The caller writes the registers."""
    arguments = registers.arguments
    _wait_for_a_signal(tid, registers)
    place = registers.counter, registers.stack
    return Wait(due_ns, name, NUMBERS[name], arguments, _READ, place, in_child=in_child)


def _wait_for_a_signal(tid: int, registers: Registers) -> None:
    registers.set_number(tid, NUMBERS["ppoll"])
    registers.set_arguments((0,) * 5)


def end(tid: int, wait: Wait, registers: Registers, now_ns: int, *, restart: bool = False) -> bool:
    """Set the result of a call that has returned, and what it leaves in memory; returns whether it may be restarted.

    With *restart* an interrupted call is restarted, because the supervisor itself has interrupted it. The caller writes
    the registers.
    """
    result = registers.result
    interrupted = result in INTERRUPTED
    registers.restore_arguments(wait.arguments)
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
        write_memory(tid, at, TIMESPEC.pack(seconds, ns // unit))
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
        until = after_timespec(tid, registers, clocks, 4)
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
        registers.restore_arguments(self.arguments)
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
        registers.make_call_again(NUMBERS["recvmmsg"])
        return True
