"""Random numbers of the kernel in the runs of a sweep: the same in each run, for all code that a tracer sees.

A sweep compares runs, and asks of a handler that it does the same in each. What Python draws is patched
(``bootstrap/patches/random_numbers.py``); here it is what code in C and programs in any language draw. The tracer
answers their ``getrandom``, and has an ``open`` of ``/dev/urandom`` or ``/dev/random`` open a file of memory instead,
which the thread itself makes: one of ours could not be found from another mount namespace. To stop at each ``read``,
the other way, would cost a program much more.

Each process has numbers of its own, by the event, the way on which it was forked (the second child of the first one),
and the order in which it draws. So the order between processes decides nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from _random import Random
from collections import Counter
from typing import Final

from ..bootstrap.originals import real_waitpid
from ..protocol import linux, procfs
from ..protocol.shared_page import ControlPage
from . import exec as exec_stop
from . import filter as seccomp
from . import tracee
from .tracee import HERE, Registers, read_memory, write_memory

_NUMBERS: Final = {HERE.calls[name]: name for name in seccomp.DRAWS if name in HERE.calls}
_FILES: Final = (b"/dev/urandom\0", b"/dev/random\0")
_LONGEST: Final = len(_FILES[0])
_DRAWN_AT_ONCE: Final = 1 << 18
"""So many random bytes has a file; zeros follow without end, as more would cost each ``open`` milliseconds."""
_ENDLESS: Final = 1 << 40
_MFD_CLOEXEC: Final = 1
_NON_BLOCKING: Final = 1
_FLAGS: Final = (0, 1, 2, 3, 4, 5)
"""Those that the kernel takes."""
_MOST: Final = (1 << 25) - 1
"""How many bytes one call gets at most (random(4))."""
_MEAN_NOTHING: Final = ((8, _NON_BLOCKING), (2496, _NON_BLOCKING))
"""Calls after which nobody needs to answer others: that of glibc's ``malloc`` in each program, of a key that is only
compared, and that of each object of Python's ``random``, which is seeded anew by the patch of Python's own numbers."""


def _of_any_kind() -> contextlib.suppress:
    """A block for a program that may be none for this processor: then it draws in its own ways."""
    return contextlib.suppress(OSError, LookupError, ValueError, struct.error)


class RandomNumbers:
    """Those that traced processes draw."""

    def __init__(self, control: ControlPage) -> None:
        self._control = control
        self._names: dict[int, str] = {}
        """Of each process: on which way it was forked."""
        self._early: set[int] = set()
        """Those that were seen before the stop of the parent that announces them."""
        self._forked: Counter[tuple[int, str]] = Counter()
        self._drawn: Counter[tuple[int, str]] = Counter()
        """How many children each process has had, and how often it has drawn, by event."""
        self._opening: dict[int, tuple[int, Registers]] = {}
        """By thread that opens a file of memory: its process, and its registers as they were."""
        self._registers = Registers()

    # -- processes -----------------------------------------------------------------------------------------------------

    def forked(self, parent: int, child: int) -> None:
        """A process has forked another one. The child may have been seen before that, and may even have ended."""
        above = self._name_of(parent)
        if child in self._early:
            self._early.discard(child)
        elif child not in self._names:
            self._forked[self._control.drawn_from, above] += 1
            self._names[child] = f"{above}.{self._forked[self._control.drawn_from, above]}"

    def executed(self, pid: int) -> None:
        """A process stands at the first instruction of a program."""
        with _of_any_kind():
            exec_stop.draw_by_calls(pid, self._take(pid, exec_stop.RANDOM_BYTES))

    def ended(self, tid: int) -> None:
        """A thread has ended; of a process it is the first one, with the process."""
        self._names.pop(tid, None)
        self._opening.pop(tid, None)

    def _name_of(self, pid: int) -> str:
        name = self._names.get(pid)
        if name is None:
            parent = procfs.parent_of(pid)
            if parent in self._names:
                self.forked(parent, pid)
                self._early.add(pid)
            return self._names.setdefault(pid, "")
        return name

    # -- what they draw ------------------------------------------------------------------------------------------------

    def at_call(self, tid: int, pid: int, registers: Registers) -> bool:
        """Answer the call at whose entry a thread stands, if it draws; whether it has to stop when the call returns.

        *registers* are those of the thread, *pid* is its process; 0: to be found out.
        """
        name = _NUMBERS.get(registers.number(tid))
        if name is None or not self._control.drawn_from:
            return False
        try:
            if name == "getrandom":
                self._answers(tid, pid, registers)
                return False
            return self._opens(tid, pid, name, registers)
        except OSError:
            return False  # an address of nothing: the kernel says so

    def _answers(self, tid: int, pid: int, registers: Registers) -> None:
        address, size, flags = registers.argument(0), registers.argument(1), registers.argument(2) & 0xFFFFFFFF
        if flags not in _FLAGS:
            return
        size = min(size, _MOST)
        write_memory(tid, address, self._take(pid or procfs.thread_group_of(tid), size))
        registers.set_number(tid, -1)
        registers.result = size
        registers.write(tid)
        self._control.drawn |= (size, flags) not in _MEAN_NOTHING

    def _opens(self, tid: int, pid: int, name: str, registers: Registers) -> bool:
        path_at = int(name != "open")
        path, flags = registers.argument(path_at), registers.argument(path_at + 1)
        if not read_memory(tid, path, _LONGEST).startswith(_FILES):
            return False
        if name == "openat2":
            flags = int.from_bytes(read_memory(tid, flags, 8), "little")
        if flags & os.O_ACCMODE == os.O_WRONLY:
            return False
        self._opening[tid] = pid or procfs.thread_group_of(tid), registers.copy()
        registers.set_argument(0, path)  # its name
        registers.set_argument(1, _MFD_CLOEXEC if flags & os.O_CLOEXEC else 0)
        registers.set_number(tid, HERE.calls["memfd_create"])
        registers.write(tid)
        self._control.drawn = 1
        return True

    def at_exit(self, tid: int) -> None:
        """A thread has stopped at the return of a call: if it has opened such a file, fill that."""
        pid, registers = self._opening.pop(tid, (0, None))
        if registers is None:
            return
        self._registers.read(tid)
        registers.result = file = self._registers.result
        registers.write(tid)
        with contextlib.suppress(OSError):  # it has failed
            copy = linux.copy_of_descriptor(pid, file)
            try:
                os.ftruncate(copy, _ENDLESS)
                os.pwrite(copy, self._take(pid, _DRAWN_AT_ONCE), 0)
            finally:
                os.close(copy)

    def _take(self, pid: int, size: int) -> bytes:
        """The next random numbers of a process."""
        drawn_by = self._control.drawn_from, self._name_of(pid)
        self._drawn[drawn_by] += 1
        seed = f"{drawn_by} {self._drawn[drawn_by]}".encode()
        return Random(int.from_bytes(seed, "big")).getrandbits(8 * size).to_bytes(size, "big")

    # -- for a recorder ------------------------------------------------------------------------------------------------

    def seized(self, pid: int) -> None:
        """Have a process that runs already, and is seized, draw by system calls. Raises ``OSError``."""
        tracee.interrupt(pid)
        real_waitpid(pid, tracee.WALL)
        with _of_any_kind():
            exec_stop.draw_by_calls(pid)
        tracee.resume(pid)

    def stopped(self, tid: int, signum: int, event: int) -> bool:
        """Handle a stop of a thread; whether it has to stop when the call returns at which it stands."""
        if event == tracee.EVENT_SECCOMP:
            self._registers.read(tid)
            return self.at_call(tid, 0, self._registers)
        if signum == tracee.SYSCALL_STOP:
            self.at_exit(tid)
        elif event == tracee.EVENT_EXEC:
            self.executed(tid)
        elif event in (tracee.EVENT_FORK, tracee.EVENT_VFORK, tracee.EVENT_CLONE) and signum == signal.SIGTRAP:
            child = tracee.event_message(tid)
            if procfs.thread_group_of(child) == child:
                self.forked(procfs.thread_group_of(tid), child)
        return False
