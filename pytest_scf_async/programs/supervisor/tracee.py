"""Trace threads of other processes: ``ptrace``, the registers of a stopped thread, and its memory.

Everything that depends on the processor is in `Architecture`; the rest of the package asks it. ``ptrace`` belongs to
one thread: whatever is here is called by the thread that seized the tracees.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from ...side.originals import real_waitpid

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = ctypes.CDLL(None).ptrace
"""It has no ``argtypes``, and keeps no ``errno``: each of the two would make half a call more of a call. So integers
have to fit into an ``int``, all else is given as an object of ``ctypes``, and `_call` asks why a call has failed."""
_ptrace_with_errno = _libc.ptrace
_readv, _writev = _libc.process_vm_readv, _libc.process_vm_writev
_readv.restype = _writev.restype = ctypes.c_ssize_t

_POKE_DATA, _POKE_USER, _CONTINUE, _SINGLE_STEP, _SYSCALL = 5, 6, 7, 9, 24
_GET_EVENT_MESSAGE, _GET_SIGNAL_INFO, _GET_REGISTERS, _SET_REGISTERS = 0x4201, 0x4202, 0x4204, 0x4205
_EMULATE = 31
_SEIZE, _INTERRUPT, _LISTEN, _PEEK_SIGNALS = 0x4206, 0x4207, 0x4208, 0x4209
_GENERAL, _SYSTEM_CALL = 1, 0x404
"""Sets of registers: NT_PRSTATUS; NT_ARM_SYSTEM_CALL."""

STOPS: Final = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
"""Signals that stop a process."""
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_SECCOMP, EVENT_STOP = 1, 2, 3, 4, 7, 128
_GOOD_SYSCALL = 1
_EXIT_KILL = 1 << 20
OPTIONS: Final = _GOOD_SYSCALL | _EXIT_KILL | sum(1 << event for event in (1, 2, 3, 4, 7))
SYSCALL_STOP: Final = signal.SIGTRAP | 0x80

WALL: Final = 0x40000000
"""Wait for threads that were made by ``clone`` too (``__WALL``)."""

ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK = 512, 513, 514, 516
INTERRUPTED: Final = frozenset({-4, -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK})
"""What a system call returns that something else than its own end has ended; the kernel makes EINTR of the rest."""


class Architecture(NamedTuple):
    """Where a processor has what: indexes into its general registers of 64 bits."""

    audit: int
    """How a seccomp filter knows it."""
    registers: int
    """How many there are."""
    arguments: tuple[int, ...]
    result: int
    number: int
    """The number of the system call; -1: it is not among the general registers."""
    counter: int
    """Where the next instruction is."""
    stack: int
    trap: bytes
    """The instruction that makes a system call."""


ARCHITECTURES: Final = {
    "x86_64": Architecture(0xC000003E, 27, (14, 13, 12, 7, 9, 8), 10, 15, 16, 19, b"\x0f\x05"),
    "aarch64": Architecture(0xC00000B7, 34, (0, 1, 2, 3, 4, 5), 0, -1, 32, 31, b"\x01\x00\x00\xd4"),
}
MACHINE: Final = os.uname().machine
HERE: Final = ARCHITECTURES.get(MACHINE, ARCHITECTURES["x86_64"])
"""That of this machine; `ARCHITECTURES` has no other on which programs can be traced."""


CAN_EMULATE: Final = MACHINE == "x86_64"
"""Tried there; without it a thread goes on until the next call at which the filter stops it."""


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _call(request: int, tid: int, address: Any, data: Any) -> None:
    if _ptrace(request, tid, address, data) < 0 and _ptrace_with_errno(request, tid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def seize(tid: int) -> None:
    """Trace a thread, and all that it clones, forks and executes; they die with this process."""
    _call(_SEIZE, tid, 0, OPTIONS)


def resume(tid: int, signum: int = 0) -> None:
    """Let a stopped thread go on, with that signal."""
    _call(_CONTINUE, tid, 0, signum)


def resume_to_exit(tid: int, signum: int = 0) -> None:
    """Let a thread that stands at a system call go on until that returns; another one until it makes a call."""
    _call(_SYSCALL, tid, 0, signum)


def emulate(tid: int) -> None:
    """Let a stopped thread go on until its next system call, which it does not make; where `CAN_EMULATE`."""
    if _ptrace(_EMULATE, tid, 0, 0) < 0:
        _call(_EMULATE, tid, 0, 0)


def step_once(tid: int, deferred: list[int]) -> int | None:
    """Let a stopped thread execute one instruction, and wait for that; if it has ended instead, return its wait status.

    Signals that arrive meanwhile are added to *deferred*.
    """
    _call(_SINGLE_STEP, tid, 0, 0)
    while True:
        status: int = real_waitpid(tid, WALL)[1]
        if not os.WIFSTOPPED(status):
            return status
        signum, event = os.WSTOPSIG(status), status >> 16
        if signum == signal.SIGTRAP and event == 0:
            return None
        if event == 0:
            deferred.append(signum)
        _call(_SINGLE_STEP, tid, 0, 0)


def interrupt(tid: int) -> None:
    """Have a thread stop that runs, or waits in a system call."""
    _call(_INTERRUPT, tid, 0, 0)


def listen(tid: int) -> None:
    """Leave a thread stopped that a signal has stopped (SIGSTOP and its like)."""
    _call(_LISTEN, tid, 0, 0)


_message = ctypes.c_ulong()


def event_message(tid: int) -> int:
    """The thread or process that an event is about."""
    _call(_GET_EVENT_MESSAGE, tid, 0, ctypes.byref(_message))
    return _message.value


_queues = [struct.pack("=QIi", 0, shared, 1) for shared in (0, 1)]
_queue = ctypes.create_string_buffer(16)


def has_pending_signals(tid: int) -> bool:
    """Whether a stopped thread, or its process, has been sent a signal that has not come yet; also a blocked one."""
    for queue in _queues:
        _queue.raw = queue
        if _ptrace(_PEEK_SIGNALS, tid, _queue, _information) != 0:
            return True
    return False


_INFORMATION_BYTES: Final = 128
_information = ctypes.create_string_buffer(_INFORMATION_BYTES)
_GET_SYSCALL_INFO: Final = 0x420E
AT_ENTRY: Final = 1


def is_at_entry(tid: int) -> bool:
    """Of a thread that stopped at a system call: whether it has not been made yet."""
    return entry_of(tid)[0] == AT_ENTRY


_RESULT_AT: Final = 8 * HERE.result
_ENTRY: Final = struct.Struct("=BxxxI16xQ6Q")


def entry_of(tid: int) -> tuple[int, ...]:
    """Of a thread that stopped at a system call: `AT_ENTRY` where it has not been made yet, the architecture for which
    it is, its number, and its six arguments. In place of the registers it is a quarter of the bytes, and one tuple."""
    if _ptrace(_GET_SYSCALL_INFO, tid, _INFORMATION_BYTES, _information) < 0:
        _call(_GET_SYSCALL_INFO, tid, _INFORMATION_BYTES, _information)
    return _ENTRY.unpack_from(_information)


def return_zero(tid: int) -> None:
    """Have a call that a thread does not make (`emulate`) return 0; where `CAN_EMULATE`."""
    if _ptrace(_POKE_USER, tid, _RESULT_AT, 0) < 0:
        _call(_POKE_USER, tid, _RESULT_AT, 0)


_SYSTEM_CALL_INFO = struct.Struct("=iiixxxxQiI")
_BY_SECCOMP = 1


def makes_foreign_call(tid: int) -> bool:
    """Whether the SIGSYS at whose delivery a thread stands came of a system call of another architecture."""
    _call(_GET_SIGNAL_INFO, tid, 0, _information)
    _, _, code, _, _, audit = _SYSTEM_CALL_INFO.unpack_from(_information)
    return bool(code == _BY_SECCOMP and audit != HERE.audit)


_arguments_in: Final = itemgetter(*HERE.arguments)


class Registers:
    """The general registers of one stopped thread: read at once, and written at once."""

    __slots__ = ("_part", "_part_at", "_size", "_values")

    def __init__(self) -> None:
        self._values = (ctypes.c_uint64 * HERE.registers)()
        self._size = ctypes.sizeof(self._values)
        self._part = _Part(ctypes.addressof(self._values), self._size)
        self._part_at = ctypes.byref(self._part)

    def read(self, tid: int) -> None:
        self._part.length = self._size
        _call(_GET_REGISTERS, tid, _GENERAL, self._part_at)

    def write(self, tid: int) -> None:
        _call(_SET_REGISTERS, tid, _GENERAL, self._part_at)

    def copy(self) -> Registers:
        """The same values, which later reads leave as they are."""
        other = Registers()
        ctypes.memmove(other._values, self._values, ctypes.sizeof(self._values))
        return other

    def argument(self, index: int) -> int:
        return self._values[HERE.arguments[index]]

    @property
    def arguments(self) -> tuple[int, ...]:
        return _arguments_in(self._values)  # type: ignore[no-any-return]

    def set_argument(self, index: int, value: int) -> None:
        self._values[HERE.arguments[index]] = value & 0xFFFFFFFFFFFFFFFF

    def set_arguments(self, values: Sequence[int]) -> None:
        for at, value in zip(HERE.arguments, values, strict=False):
            self._values[at] = value & 0xFFFFFFFFFFFFFFFF

    def restore_arguments(self, values: Sequence[int]) -> None:
        """The same at the return of a call, where one of them may have its result."""
        result = self._values[HERE.result]
        self.set_arguments(values)
        self._values[HERE.result] = result

    @property
    def result(self) -> int:
        value = self._values[HERE.result]
        return value - (1 << 64) if value >> 63 else value

    @result.setter
    def result(self, value: int) -> None:
        self._values[HERE.result] = value & 0xFFFFFFFFFFFFFFFF

    @property
    def counter(self) -> int:
        return self._values[HERE.counter]

    @counter.setter
    def counter(self, value: int) -> None:
        self._values[HERE.counter] = value

    @property
    def stack(self) -> int:
        return self._values[HERE.stack]

    def number(self, tid: int) -> int:
        """Of the system call at which *tid* stands."""
        if HERE.number >= 0:
            return self._values[HERE.number] & 0xFFFFFFFF
        return _arm_number(tid)

    def set_number(self, tid: int, value: int) -> None:
        """Have it make another system call; -1: none, and `result` is what it returns."""
        if HERE.number >= 0:
            self._values[HERE.number] = value & 0xFFFFFFFFFFFFFFFF
        else:
            _set_arm_number(tid, value)

    def return_at_entry(self, tid: int, result: int) -> None:
        """Have the call at whose entry the thread stands return *result* without being made."""
        self.set_number(tid, -1)
        self.result = result
        self.write(tid)

    def make_call_again(self, number: int) -> None:
        """Stand before the instruction of the call at which the thread stands now."""
        self.counter -= len(HERE.trap)
        if HERE.number >= 0:
            self._values[HERE.result] = number
            self._values[HERE.number] = 0xFFFFFFFFFFFFFFFF

    def set_call(self, number: int, arguments: tuple[int, ...]) -> None:
        """Be about to make that system call, before its instruction."""
        self.set_arguments(arguments)
        self._values[HERE.result if HERE.number >= 0 else 8] = number


_arm_value = ctypes.c_int()
_arm_part = _Part(ctypes.addressof(_arm_value), 4)


def _arm_number(tid: int) -> int:
    _call(_GET_REGISTERS, tid, _SYSTEM_CALL, ctypes.byref(_arm_part))
    return _arm_value.value


def _set_arm_number(tid: int, value: int) -> None:
    _arm_value.value = value
    _call(_SET_REGISTERS, tid, _SYSTEM_CALL, ctypes.byref(_arm_part))


# -- memory ------------------------------------------------------------------------------------------------------------


_LITTLE: Final = 512
_read_to = ctypes.create_string_buffer(_LITTLE)
_ours, _theirs = _Part(ctypes.addressof(_read_to), 0), _Part()
_ours_at, _theirs_at = ctypes.byref(_ours), ctypes.byref(_theirs)
"""Where little is read to: to make them takes as long as the call."""


def read_memory(tid: int, address: int, size: int) -> bytes:
    """*size* bytes of its memory; ``OSError``: they are not there."""
    if size > _LITTLE:
        buffer = ctypes.create_string_buffer(size)
        ours_at = ctypes.byref(_Part(ctypes.addressof(buffer), size))
    else:
        buffer, ours_at, _ours.length = _read_to, _ours_at, size
    _theirs.base, _theirs.length = address, size
    got = _readv(tid, ours_at, 1, _theirs_at, 1, 0)
    if got != size:
        number = ctypes.get_errno() if got < 0 else 14
        raise OSError(number, os.strerror(number))
    return buffer.raw[:size]


def write_memory(tid: int, address: int, data: bytes) -> None:
    """Write to memory that it may write itself; ``OSError``: it may not."""
    buffer = ctypes.create_string_buffer(data, len(data))
    ours, theirs = _Part(ctypes.addressof(buffer), len(data)), _Part(address, len(data))
    if _writev(tid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) != len(data):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_code(tid: int, address: int, data: bytes) -> None:
    """Write to memory that it may not write itself, word by word; *address* is one of a word.

    Through ``/proc/PID/mem`` it would be one call, which ``proc_mem.force_override=never`` forbids (Linux 6.12).
    """
    size = len(data) + -len(data) % 8
    whole = bytearray(read_memory(tid, address, size))
    whole[: len(data)] = data
    for offset in range(0, size, 8):
        word = int.from_bytes(whole[offset : offset + 8], "little")
        _call(_POKE_DATA, tid, ctypes.c_void_p(address + offset), ctypes.c_ulong(word))
