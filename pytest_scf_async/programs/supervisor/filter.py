"""The seccomp filter of a traced program: at which system calls its threads stop for the supervisor.

All else goes on in the kernel: a call that the filter allows whatever its arguments are costs next to nothing. Timed
waits are recognized by their arguments: only those with a timeout stop.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from ...linux import linux
from .system_calls import ALWAYS, CALLS, CLONES, IOCTLS, NUMBERS, Above, Condition, Conditions, OneOf, Pointer
from .timeouts import after_milliseconds
from .tracee import HERE, Registers

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_SECCOMP: Final = 22
_NO_NEW_PRIVS: Final = 38
_FILTER_MODE: Final = 2
_LOAD, _AND, _IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _TRACE, _ERRNO, _TRAP = 0x7FFF0000, 0x7FF00000, 0x00050000, 0x00030000
_ENOSYS: Final = 38
MOST: Final = 4096
"""Instructions that the kernel takes (BPF_MAXINSNS)."""
_X32: Final = 0x40000000
_MOST_INT: Final = 0x7FFFFFFF

_Code = list[tuple[int, int, int, int]]


def _of(field: str) -> dict[str, Conditions]:
    """The calls that have conditions in that *field* of their rows."""
    return {name: found for name, call in CALLS.items() if (found := getattr(call, field)) is not None}


TRACED: Final = _of("stops_when")
"""At which system calls a thread stops, and what all has to hold of its arguments."""
SENDS: Final = _of("sends")
"""The same, of a process that has connected to somebody: what may say something there."""
EFFECTS: Final = {name: call.effect.when for name, call in CALLS.items() if call.effect is not None}
"""The same, of a process whose changes of files are recorded: what may change one, or speak to another process."""
SYNCS: Final = _of("syncs")
"""The same, of a process of which is recorded what makes its changes of files durable: in place of those in `EFFECTS`.
``sync_file_range`` is none, as it leaves the size of a file, and the cache of the disk, as they are."""
DRAWS: Final = dict.fromkeys(("getrandom", "open", "openat", "openat2"), ALWAYS)
"""The same, of a process in a sweep: what draws random numbers, or opens a file that has some (`random_numbers`)."""
RANDOM_FILES: Final = dict.fromkeys(("read", "readv", "pread64", "preadv", "preadv2"), ALWAYS)
"""The same, of a process that has opened a file of random numbers: what may read it."""
RECORDED: Final = {**TRACED, **EFFECTS, "ioctl": (OneOf(1, (*IOCTLS, *CLONES)),)}
"""The same, of a program whose changes of files are recorded."""

REFUSED: Final = ("io_uring_setup",)
"""Programs do without these, where the kernel says that it has none (ENOSYS)."""
REFUSED_TO_RECORDED: Final = (*REFUSED, "io_submit")
"""Changes that these make are in no system call that a filter sees."""


def program(traced: Mapping[str, Conditions] = TRACED, refused: Sequence[str] = REFUSED) -> bytes:
    """The instructions of a filter."""
    code: _Code = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 1, 0, HERE.audit),
        (_RETURN, 0, 0, _TRAP),  # calls of 32-bit programs: a signal, at which it stops; the numbers mean others there
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if HERE.number >= 0:  # x86-64
        code += [(_IF_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    for name in refused:
        code += [(_IF_EQUAL, 0, 1, NUMBERS[name]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    for name, conditions in traced.items():
        if name in NUMBERS:
            block = [each for condition in conditions for each in _unless(condition)]
            block.append((_RETURN, 0, 0, _TRACE))
            code.append((_IF_EQUAL, 0, len(block), NUMBERS[name]))
            code += block
    code.append((_RETURN, 0, 0, _ALLOW))
    if len(code) > MOST or any(step > 255 for _, yes, no, _ in code for step in (yes, no)):
        raise AssertionError(f"a filter of {len(code)} instructions")
    return b"".join(_INSTRUCTION.pack(*each) for each in code)


def hold(conditions: Conditions, arguments: Sequence[int]) -> bool:
    """Whether all *conditions* hold of these arguments."""
    return all(_holds(condition, arguments[condition.argument]) for condition in conditions)


def is_unseen_poll(name: str, registers: Registers) -> bool:
    """Whether that call is a wait of no length at which the filter does not stop a thread."""
    timed = CALLS[name].timed if name in CALLS else None
    if timed is None or timed.due is not after_milliseconds:
        return name == "sched_yield"
    return not registers.argument(timed.timeout) & 0xFFFFFFFF


def _holds(condition: Condition, value: int) -> bool:
    if isinstance(condition, Pointer):
        return value != 0
    low = value & 0xFFFFFFFF
    if isinstance(condition, OneOf):
        return low & condition.mask in condition.values
    return condition.value < low <= _MOST_INT


def _unless(condition: Condition) -> _Code:
    """Allow the call unless *condition* holds."""
    low = _ARGUMENTS_AT + 8 * condition.argument
    allow = (_RETURN, 0, 0, _ALLOW)
    if isinstance(condition, Pointer):
        return [
            (_LOAD, 0, 0, low),
            (_IF_EQUAL, 0, 3, 0),
            (_LOAD, 0, 0, low + 4),
            (_IF_EQUAL, 0, 1, 0),
            allow,
        ]
    if isinstance(condition, Above):
        return [(_LOAD, 0, 0, low), (_IF_GREATER, 0, 1, condition.value), (_IF_GREATER, 0, 1, _MOST_INT), allow]
    found: _Code = [(_LOAD, 0, 0, low), (_AND, 0, 0, condition.mask)]
    left = len(condition.values)
    for value in condition.values:
        found.append((_IF_EQUAL, left, 0, value))
        left -= 1
    return [*found, allow]


@functools.cache
def of_program(*, recorded: bool, syncs: bool, draws: bool) -> bytes:
    """That of a program whose effects are *recorded*, with what *syncs* them, and whose random numbers it *draws* from
    the supervisor."""
    traced = {**(RECORDED if recorded else TRACED), **(SYNCS if syncs else {}), **(DRAWS if draws else {})}
    return program(traced, REFUSED_TO_RECORDED if recorded else REFUSED)


STANDARD: Final = of_program(recorded=False, syncs=False, draws=False)
"""That of all programs."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def in_memory(instructions: bytes, address: int) -> bytes:
    """What a process with this at *address* gives ``seccomp`` as that filter: the structure, then the instructions."""
    return struct.pack("<HxxxxxxQ", len(instructions) // _INSTRUCTION.size, address + 16) + instructions


def install(instructions: bytes) -> None:
    """Filter the calls of this process, and of all that it forks and executes, from here on. Raises ``OSError``."""
    linux.call(_NO_NEW_PRIVS, 1)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // _INSTRUCTION.size, ctypes.addressof(buffer))
    if _libc.prctl(PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
