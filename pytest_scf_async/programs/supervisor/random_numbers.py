"""Random numbers of the kernel in the runs of a sweep: the same in each run, for all code that a tracer sees.

A sweep compares runs, and asks of a handler that it does the same in each. What Python draws is patched
(``python/patches/random_numbers.py``); here it is what code in C and programs in any language draw. The tracer
answers their ``getrandom``, and each read of ``/dev/urandom`` and ``/dev/random``. A process stops at its reads from
the first time on that it opens one of these, by a second filter, as such a stop costs some 10 µs.

Each process has numbers of its own, by the event, the way on which it was forked (the second child of the first one),
how many bytes it wants, and the order in which it draws so many. So the order between processes decides nothing, nor
does it matter whether an instance imports Python's ``random`` itself, which draws, or that was imported ahead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import struct
from _random import Random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from ...linux import procfs
from ...protocol.shared_page import ControlPage
from ...side.originals import real_waitpid
from . import exec as exec_stop
from . import filter as seccomp
from . import tracee
from .system_calls import NAMES
from .tracee import Registers, read_memory, write_memory

_FILES: Final = (b"/dev/urandom\0", b"/dev/random\0")
_DEVICES: Final = (os.makedev(1, 9), os.makedev(1, 8))
_LONGEST: Final = len(_FILES[0])
_PART: Final = struct.Struct("<QQ")
_MOST_PARTS: Final = 1024
"""As readv(2) has it."""
_AT_READS: Final = seccomp.program(seccomp.RANDOM_FILES, ())
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

    CALLS: Final = frozenset((*seccomp.DRAWS, *seccomp.RANDOM_FILES))
    """By which they do."""

    def __init__(self, control: ControlPage) -> None:
        self._control = control
        self._names: dict[int, str] = {}
        """Of each process: on which way it was forked."""
        self._early: set[int] = set()
        """Those that were seen before the stop of the parent that announces them."""
        self._forked: Counter[tuple[int, str]] = Counter()
        self._drawn: Counter[tuple[int, str, int]] = Counter()
        """How many children each process has had, and how often it has drawn so many bytes, by event."""
        self._readers: set[int] = set()
        """The processes that stop at their reads."""
        self._registers = Registers()

    # -- processes -----------------------------------------------------------------------------------------------------

    def forked(self, parent: int, child: int) -> None:
        """A process has forked another one. The child may have been seen before that, and may even have ended."""
        above = self._name_of(parent)
        if parent in self._readers:
            self._readers.add(child)
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
        self._readers.discard(tid)

    def _name_of(self, pid: int) -> str:
        if pid not in self._names and (parent := procfs.parent_of(pid)) in self._names:
            self.forked(parent, pid)
            self._early.add(pid)
        return self._names.setdefault(pid, "")

    # -- what they draw ------------------------------------------------------------------------------------------------

    def at_call(self, tid: int, pid: int, registers: Registers, step: Callable[[int], None]) -> None:
        """Answer the call at whose entry a thread stands, if it draws.

        *registers* are those of the thread, *pid* is its process; 0: to be found out. *step* lets it execute one
        instruction.
        """
        name = NAMES.get(registers.number(tid), "")
        if name not in self.CALLS or not self._control.drawn_from:
            return
        with contextlib.suppress(OSError):  # an address of nothing, or no such descriptor: the kernel says so
            if name == "getrandom":
                self._answers_getrandom(tid, pid, registers)
            elif name in seccomp.RANDOM_FILES:
                self._reads(tid, pid, name, registers)
            else:
                self._opens(tid, pid, name, registers, step)

    def _answers_getrandom(self, tid: int, pid: int, registers: Registers) -> None:
        address, size, flags = registers.argument(0), registers.argument(1), registers.argument(2) & 0xFFFFFFFF
        if flags in _FLAGS:
            self._answers(tid, pid, registers, [(address, size)])
            self._control.drawn |= (min(size, _MOST), flags) not in _MEAN_NOTHING

    def _answers(self, tid: int, pid: int, registers: Registers, parts: Sequence[tuple[int, int]]) -> None:
        """Have a call return random bytes, written to these addresses, so many to each."""
        left = min(sum(size for _, size in parts), _MOST)
        drawn = memoryview(self._take(pid or procfs.thread_group_of(tid), left))
        for address, size in parts:
            write_memory(tid, address, bytes(drawn[:size]))
            drawn = drawn[size:]
        registers.return_at_entry(tid, left)

    def _opens(self, tid: int, pid: int, name: str, registers: Registers, step: Callable[[int], None]) -> None:
        path_at = int(name != "open")
        if not read_memory(tid, registers.argument(path_at), _LONGEST).startswith(_FILES):
            return
        self._control.drawn = 1
        pid = pid or procfs.thread_group_of(tid)
        if pid not in self._readers:
            self._readers.add(pid)
            exec_stop.add_filter(tid, registers, step, _AT_READS)

    def _reads(self, tid: int, pid: int, name: str, registers: Registers) -> None:
        file = os.stat(f"/proc/{tid}/fd/{registers.argument(0) & 0xFFFFFFFF}")
        if not stat.S_ISCHR(file.st_mode) or file.st_rdev not in _DEVICES:
            return
        address, size = registers.argument(1), registers.argument(2)
        parts = [(address, size)]
        if name not in ("read", "pread64"):
            parts = list(_PART.iter_unpack(read_memory(tid, address, min(size, _MOST_PARTS) * _PART.size)))
        self._answers(tid, pid, registers, parts)

    def _take(self, pid: int, size: int) -> bytes:
        """The next random numbers of a process."""
        drawn_by = self._control.drawn_from, self._name_of(pid), size
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

    def stopped(self, tid: int, signum: int, event: int, step: Callable[[int], None]) -> None:
        """Handle a stop of a thread; *step* lets it execute one instruction."""
        if event == tracee.EVENT_SECCOMP:
            self._registers.read(tid)
            self.at_call(tid, 0, self._registers, step)
        elif event == tracee.EVENT_EXEC:
            self.executed(tid)
        elif event in (tracee.EVENT_FORK, tracee.EVENT_VFORK, tracee.EVENT_CLONE) and signum == signal.SIGTRAP:
            child = tracee.event_message(tid)
            if procfs.thread_group_of(child) == child:
                self.forked(procfs.thread_group_of(tid), child)
