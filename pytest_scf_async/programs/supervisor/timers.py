"""The timers of a traced program: those that send signals, and descriptors that can be read once a time is over.

The kernel makes them and never arms them: it would count in real time. When one is due the supervisor does what the
kernel does then: it sends the signal, with the value for the program's handler, or has the descriptor be ready at once.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ...linux import linux, procfs
from ...protocol.shared_page import Order
from .system_calls import NUMBERS
from .timeouts import MONOTONIC_CLOCKS, NS, REALTIME_CLOCKS, Clocks
from .tracee import Registers, read_memory, write_memory

CALLS: Final = frozenset(
    (
        *("setitimer", "getitimer", "alarm", "timerfd_settime", "timerfd_gettime"),
        *("timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"),
    )
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_TIMEVALS: Final = struct.Struct("<qqqq")
"""Of an interval timer: the interval, then the time until it goes off; seconds and the rest of each."""
_EVENT: Final = struct.Struct("<qiii")
"""``sigevent``: the value, the signal, how it is notified, and the thread."""
_INFORMATION: Final = struct.Struct("<iiiiiiq")
_INFORMATION_BYTES: Final = 128
_SI_TIMER: Final = -2
_SIGEV_NONE, _SIGEV_THREAD_ID = 1, 4
_ABSOLUTE: Final = 1
_DESCRIPTOR_FLAGS: Final = 3
_SET_TICKS: Final = 0x40085400
"""``ioctl``: TFD_IOC_SET_TICKS."""
_TIMER_TARGET: Final = "anon_inode:[timerfd]"


@dataclass(eq=False)
class Timer:
    """One timer of a process."""

    pid: int
    serial: int
    """Its number in the order in which threads and timers came to be."""
    clock: int
    order: Order = (0, 0, 0)
    """Its order among the waits of all instances."""
    signum: int = 0
    """The signal that it sends; 0: none."""
    thread: int = 0
    """The thread that gets the signal; 0: the process does."""
    value: int | None = None
    """The value that its handler gets; None: the number of the timer."""
    number: int = -1
    """Of ``timer_create``."""
    descriptor: int = -1
    """Of a timer that is a descriptor: ours, of the same timer."""
    fd: int = -1
    """The number that the process had for it."""
    due_ns: int | None = None
    """On the realtime clock; None: it is not armed."""
    every_ns: int = 0
    overrun: int = 0
    """How often it went off while the last signal that it sent was not delivered."""
    overrun_before: int = 0
    """The same of the signal before."""

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def set(self, every_ns: int, due_ns: int | None) -> None:
        self.every_ns, self.due_ns = every_ns, due_ns


class Timers:
    """All timers of a tree."""

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        """*processes* are those of the tree."""
        self._processes = processes
        self._intervals: dict[int, Timer] = {}
        """ITIMER_REAL, by process."""
        self._posix: dict[tuple[int, int], Timer] = {}
        self._descriptors: list[Timer] = []
        self._creating: dict[int, tuple[Timer, int]] = {}
        """By thread that stands in ``timer_create``: the timer, and where the process wants its number."""

    def all(self) -> list[Timer]:
        """Those that are armed."""
        every = (*self._intervals.values(), *self._posix.values(), *self._descriptors)
        return [timer for timer in every if timer.due_ns is not None]

    def forget(self, pid: int, *, executes: bool = False) -> None:
        """The process has ended, or runs another program, which has no timer of this one's but ITIMER_REAL."""
        if not executes:
            self._intervals.pop(pid, None)
        for key in [key for key in self._posix if key[0] == pid]:
            del self._posix[key]
        if not executes:
            for timer in [timer for timer in self._descriptors if timer.pid == pid]:
                self.is_there(timer)

    def is_there(self, timer: Timer) -> bool:
        """Whether the program still has it; if not, it is gone."""
        if timer.descriptor < 0 or _is_held(timer) or self._is_held_elsewhere(timer):
            return True
        self._drop(timer)
        return False

    def _is_held_elsewhere(self, timer: Timer) -> bool:
        """Whether a process has the descriptor under another number, or has inherited it."""
        for pid in self._processes():
            for fd in procfs.descriptors_of(pid):
                if procfs.target_of(pid, fd) == _TIMER_TARGET:
                    timer.pid, timer.fd = pid, fd
                    if _is_held(timer):
                        return True
        return False

    def _drop(self, timer: Timer) -> None:
        timer.close()
        self._descriptors.remove(timer)

    # -- system calls ------------------------------------------------------------------------------------------------

    def call(self, pid: int, name: str, registers: Registers, clocks: Clocks, serial: int) -> int | None:
        """Do what a system call of a thread asks for; its result. None: the kernel is to do it.

        ``OSError``: an address is none.
        """
        if name in ("setitimer", "getitimer", "alarm"):
            return self._interval(pid, name, registers, clocks, serial)
        if name == "timer_create":
            return None
        if name.startswith("timer_"):
            return self._of_posix(pid, name, registers, clocks)
        return self._of_descriptor(pid, name, registers, clocks, serial)

    def _interval(self, pid: int, name: str, registers: Registers, clocks: Clocks, serial: int) -> int:
        timer = self._intervals.get(pid)
        if timer is None:
            timer = self._intervals[pid] = Timer(pid, serial, 0, signum=signal.SIGALRM)
        rest_ns = 0 if timer.due_ns is None else max(timer.due_ns - clocks.realtime, 1)
        every_ns = timer.every_ns
        if name == "alarm":
            seconds = registers.argument(0) & 0xFFFFFFFF
            timer.set(0, clocks.realtime + seconds * NS if seconds else None)
            return -(-rest_ns // NS) if rest_ns % NS >= NS // 2 or rest_ns < NS else rest_ns // NS
        new, old = (registers.argument(1), registers.argument(2)) if name == "setitimer" else (0, registers.argument(1))
        if new:
            data = _TIMEVALS.unpack(read_memory(pid, new, _TIMEVALS.size))
            if any(part < 0 for part in data) or data[1] >= 1_000_000 or data[3] >= 1_000_000:
                return -errno.EINVAL
            after = data[2] * NS + data[3] * 1000
            every = data[0] * NS + data[1] * 1000
            timer.set(every if after else 0, clocks.realtime + after if after else None)
        elif name == "setitimer":
            timer.set(0, None)
        if old:
            write_memory(pid, old, _packed(every_ns, rest_ns, 1000))
        return 0

    def creates(self, tid: int, pid: int, registers: Registers, serial: int) -> bool:
        """A thread is about to make a timer; whether it is to stop once that is made."""
        clock, event, at = (registers.argument(index) for index in range(3))
        if clock & 0xFFFFFFFF not in REALTIME_CLOCKS | MONOTONIC_CLOCKS:
            return False
        timer = Timer(pid, serial, clock & 0xFFFFFFFF, signum=signal.SIGALRM)
        if event:
            value, signum, how, thread = _EVENT.unpack(read_memory(pid, event, _EVENT.size))
            timer.value = value
            timer.signum = 0 if how == _SIGEV_NONE else signum
            timer.thread = thread if how == _SIGEV_THREAD_ID else 0
        self._creating[tid] = timer, at
        return True

    def created(self, tid: int, registers: Registers) -> None:
        """It has been made, or not."""
        timer, at = self._creating.pop(tid)
        if registers.result == 0:
            timer.number = int.from_bytes(read_memory(timer.pid, at, 4), "little", signed=True)
            if timer.value is None:
                timer.value = timer.number
            self._posix[timer.pid, timer.number] = timer

    def is_creating(self, tid: int) -> bool:
        return tid in self._creating

    def _of_posix(self, pid: int, name: str, registers: Registers, clocks: Clocks) -> int | None:
        key = pid, registers.argument(0) & 0xFFFFFFFF
        timer = self._posix.get(key)
        if timer is None:
            return None
        if name == "timer_delete":
            del self._posix[key]
            return None
        if name == "timer_getoverrun":
            return timer.overrun_before if _is_pending(timer) else timer.overrun
        if name == "timer_gettime":
            write_memory(pid, registers.argument(1), _rest_of(timer, clocks))
            return 0
        if not registers.argument(2):
            return -errno.EINVAL
        result = self._settime(timer, registers, clocks)
        if timer.due_ns is None:
            timer.every_ns = 0
        return result

    def _of_descriptor(self, pid: int, name: str, registers: Registers, clocks: Clocks, serial: int) -> int | None:
        fd = registers.argument(0) & 0xFFFFFFFF
        try:
            copy = linux.copy_of_descriptor(pid, fd)
        except OSError:
            return None
        clock = _clock_of(copy)
        if clock is None or clock not in REALTIME_CLOCKS | MONOTONIC_CLOCKS:
            os.close(copy)
            return None
        timer = next((each for each in self._descriptors if linux.refers_to(pid, fd, each.descriptor)), None)
        if timer is not None:
            os.close(copy)
        elif name == "timerfd_gettime":
            os.close(copy)
            write_memory(pid, registers.argument(1), bytes(_TIMEVALS.size))
            return 0
        else:
            timer = Timer(pid, serial, clock, descriptor=copy, fd=fd)
            self._descriptors.append(timer)
        if name == "timerfd_gettime":
            write_memory(pid, registers.argument(1), _rest_of(timer, clocks))
            return 0
        flags = registers.argument(1) & 0xFFFFFFFF
        result = -errno.EINVAL if flags & ~_DESCRIPTOR_FLAGS else self._settime(timer, registers, clocks)
        if result == 0:
            _arm(timer.descriptor, 0)  # what has expired by now is gone
        if timer.due_ns is None:
            self._drop(timer)
        return result

    @staticmethod
    def _settime(timer: Timer, registers: Registers, clocks: Clocks) -> int:
        pid = timer.pid
        flags, new, old = (registers.argument(index) for index in (1, 2, 3))
        every, every_ns, seconds, ns = _TIMEVALS.unpack(read_memory(pid, new, _TIMEVALS.size))
        if every < 0 or seconds < 0 or not 0 <= every_ns < NS or not 0 <= ns < NS:
            return -errno.EINVAL
        before = _rest_of(timer, clocks)
        at = seconds * NS + ns
        due: int | None = None
        if at:
            due = clocks.due(timer.clock, at) if flags & _ABSOLUTE else clocks.realtime + at
        timer.set(every * NS + every_ns, due)
        if old:
            write_memory(pid, old, before)
        return 0

    # -- when one is due ---------------------------------------------------------------------------------------------

    def fire(self, timer: Timer, clocks: Clocks) -> None:
        """The time of *timer* has come: it goes off, and is armed again if it repeats."""
        assert timer.due_ns is not None
        times = 1
        if timer.every_ns:
            times += (clocks.realtime - timer.due_ns) // timer.every_ns
            timer.due_ns += times * timer.every_ns
        else:
            timer.due_ns = None
        if timer.descriptor >= 0:
            _tick(timer.descriptor, times)
        elif timer.number >= 0:
            _queue(timer, times)
        else:
            try:
                os.kill(timer.pid, timer.signum)
            except ProcessLookupError:
                timer.due_ns = None


def _packed(every_ns: int, rest_ns: int, unit: int) -> bytes:
    every, rest = divmod(every_ns, NS), divmod(rest_ns, NS)
    return _TIMEVALS.pack(every[0], every[1] // unit, rest[0], rest[1] // unit)


def _rest_of(timer: Timer, clocks: Clocks) -> bytes:
    return _packed(timer.every_ns, 0 if timer.due_ns is None else max(timer.due_ns - clocks.realtime, 1), 1)


def _queue(timer: Timer, times: int) -> None:
    """Send the signal of a timer, with the value for its handler; if the last one is still pending, it counts there."""
    if not timer.signum:
        return
    if _is_pending(timer):
        timer.overrun += times
        return
    timer.overrun_before, timer.overrun = timer.overrun, times - 1
    value = timer.number if timer.value is None else timer.value
    information = _INFORMATION.pack(timer.signum, 0, _SI_TIMER, 0, timer.number, timer.overrun, value)
    buffer = ctypes.create_string_buffer(information, _INFORMATION_BYTES)
    if timer.thread:
        _libc.syscall(NUMBERS["rt_tgsigqueueinfo"], timer.pid, timer.thread, timer.signum, buffer)
    else:
        _libc.syscall(NUMBERS["rt_sigqueueinfo"], timer.pid, timer.signum, buffer)


def _is_pending(timer: Timer) -> bool:
    """Whether a signal like the one that it sends has not been delivered."""
    masks = procfs.signal_masks(timer.pid, timer.thread or timer.pid) if timer.signum else {}
    return bool(masks.get(b"SigPnd" if timer.thread else b"ShdPnd", 0) << 1 >> timer.signum & 1)


def _clock_of(descriptor: int) -> int | None:
    """The clock of a timer that is a descriptor; None: it is none."""
    return _field_of(descriptor, b"clockid")


def _field_of(descriptor: int, field: bytes) -> int | None:
    fields = (line.partition(b":") for line in procfs.descriptor_of("self", descriptor).splitlines())
    return next((int(value) for name, _, value in fields if name == field), None)


def _tick(descriptor: int, times: int) -> None:
    """Have it be ready, so many times more than it is."""
    ticks = (_field_of(descriptor, b"ticks") or 0) + times
    try:
        fcntl.ioctl(descriptor, _SET_TICKS, struct.pack("=Q", ticks))
    except OSError:  # a kernel without CONFIG_CHECKPOINT_RESTORE
        _arm(descriptor, 1)


def _arm(descriptor: int, ns: int) -> None:
    """Have it be ready after so many real nanoseconds; 0: never."""
    data = ctypes.create_string_buffer(_TIMEVALS.pack(0, 0, 0, ns), _TIMEVALS.size)
    _libc.syscall(NUMBERS["timerfd_settime"], descriptor, 0, data, None)


def _is_held(timer: Timer) -> bool:
    """Whether its process has it still, under the same number."""
    return linux.refers_to(timer.pid, timer.fd, timer.descriptor)
