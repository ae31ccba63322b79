"""The seccomp filter of a traced program: at which system calls its threads stop for the supervisor.

All else goes on in the kernel: a call that the filter allows whatever its arguments are costs next to nothing. Timed
waits are recognized by their arguments: only those with a timeout stop.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import mmap
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ...linux import linux, terminals
from ...protocol import calls_of_user
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

_Code = list[tuple[int, int, int, int]]


class Pointer(NamedTuple):
    """The argument is no null pointer."""

    argument: int


class Positive(NamedTuple):
    """The argument, an ``int``, is above 0."""

    argument: int


class Above(NamedTuple):
    """The argument, an ``int``, is above that value."""

    argument: int
    value: int


class OneOf(NamedTuple):
    """The argument, an ``int`` of which the bits of *mask* count, is one of these."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


Condition = Pointer | Positive | Above | OneOf

CLONE_UNTRACED: Final = 0x800000
"""A flag: what is made is not to be traced."""
_FUTEX_WAITS: Final = (0, 6, 9, 11, 13)
"""FUTEX_WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2."""

TRACED: Final[dict[str, tuple[Condition, ...]]] = {
    "nanosleep": (),
    "clock_nanosleep": (),
    "poll": (Positive(2),),
    "epoll_wait": (Positive(3),),
    "epoll_pwait": (Positive(3),),
    "epoll_pwait2": (Pointer(3),),
    "ppoll": (Pointer(2),),
    "select": (Pointer(4),),
    "pselect6": (Pointer(4),),
    "futex": (OneOf(1, _FUTEX_WAITS, 0x7F), Pointer(3)),
    "futex_waitv": (Pointer(3),),
    "futex_wait": (Pointer(4),),
    "rt_sigtimedwait": (Pointer(2),),
    "semtimedop": (Pointer(3),),
    "mq_timedsend": (Pointer(4),),
    "mq_timedreceive": (Pointer(4),),
    "recvmmsg": (Pointer(4),),
    "io_getevents": (Pointer(4),),
    "io_pgetevents": (Pointer(4),),
    "alarm": (),
    "setitimer": (OneOf(0, (0,)),),
    "getitimer": (OneOf(0, (0,)),),
    "timer_create": (),
    "timer_settime": (),
    "timer_gettime": (),
    "timer_getoverrun": (),
    "timer_delete": (),
    "timerfd_settime": (),
    "timerfd_gettime": (),
    "clock_gettime": (),
    "gettimeofday": (),
    "time": (),
    "wait4": (),
    "waitid": (),
    "flock": (OneOf(1, (fcntl.LOCK_SH, fcntl.LOCK_EX), fcntl.LOCK_SH | fcntl.LOCK_EX | fcntl.LOCK_NB),),
    "fcntl": (OneOf(1, (fcntl.F_SETLKW, fcntl.F_OFD_SETLKW)),),
    "connect": (),
    "write": (OneOf(0, (1, 2)),),
    "writev": (OneOf(0, (1, 2)),),
    "rt_sigaction": (OneOf(0, (15,)), Pointer(1)),
    "ptrace": (),
    "clone": (OneOf(0, (CLONE_UNTRACED,), CLONE_UNTRACED),),
    "ioctl": (OneOf(1, (terminals.UNLOCK, calls_of_user.REGISTER, calls_of_user.DEBUG)),),
    "clone3": (),  # its flags are in memory, where a filter does not see them
}
"""At which system calls a thread stops, and what all has to hold of its arguments."""

SENDS: Final[dict[str, tuple[Condition, ...]]] = {
    "write": (Above(0, 2),),
    "writev": (Above(0, 2),),
    "sendto": (),
    "sendmsg": (),
    "sendmmsg": (),
    "sendfile": (),
}
"""The same, of a process that has connected to somebody: what may say something there."""

_CREATES_OR_TRUNCATES: Final = (os.O_CREAT, os.O_TRUNC, os.O_CREAT | os.O_TRUNC)
_CLONES: Final = (0x40049409, 0x4020940D)
"""FICLONE, FICLONERANGE."""
_ALWAYS: Final = (
    *("openat2", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    *("splice", "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
    *(
        "symlinkat",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
        "mknod",
        "mknodat",
        "chmod",
        "fchmod",
        "fchmodat",
    ),
    *("fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat", "utimensat"),
)
EFFECTS: Final[dict[str, tuple[Condition, ...]]] = {
    "open": (OneOf(1, _CREATES_OR_TRUNCATES, os.O_CREAT | os.O_TRUNC),),
    "openat": (OneOf(2, _CREATES_OR_TRUNCATES, os.O_CREAT | os.O_TRUNC),),
    "ioctl": (OneOf(1, _CLONES),),
    "mmap": (OneOf(2, (mmap.PROT_WRITE,), mmap.PROT_WRITE), OneOf(3, (1, 3), 3)),  # shared, and writable
    **dict.fromkeys(_ALWAYS, ()),
    **dict.fromkeys(("connect", "sendmsg", "sendmmsg", "recvmsg"), ()),
    "pwritev2": (OneOf(5, (0, 0x2, 0x4), linux.OURS_WRITTEN),),
    "sendto": (OneOf(3, (0, socket.MSG_EOR, socket.MSG_MORE), linux.OURS_SENT),),
    "recvfrom": (OneOf(3, (0, socket.MSG_CMSG_CLOEXEC, socket.MSG_WAITALL), linux.OURS_RECEIVED),),
}
"""The same, of a process whose changes of files are recorded: what may change one, or speak to another process."""
_OPENS: Final = os.O_CREAT | os.O_TRUNC | os.O_ACCMODE
_MAY_WRITE: Final = tuple(
    kind | more for kind in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR) for more in (0, *_CREATES_OR_TRUNCATES) if kind | more
)
_MS_SYNC: Final = 4
SYNCS: Final[dict[str, tuple[Condition, ...]]] = {
    **dict.fromkeys(("fsync", "fdatasync", "sync", "syncfs"), ()),
    "msync": (OneOf(2, (_MS_SYNC,), _MS_SYNC),),
    "open": (OneOf(1, _MAY_WRITE, _OPENS),),  # the descriptor of a file that was closed may be that of the same again
    "openat": (OneOf(2, _MAY_WRITE, _OPENS),),
}
"""The same, of a process of which is recorded what makes its changes of files durable: in place of those in `EFFECTS`.
``sync_file_range`` is none, as it leaves the size of a file, and the cache of the disk, as they are."""
DRAWS: Final[dict[str, tuple[Condition, ...]]] = dict.fromkeys(("getrandom", "open", "openat", "openat2"), ())
"""The same, of a process in a sweep: what draws random numbers, or opens a file that has some (`random_numbers`)."""
RANDOM_FILES: Final[dict[str, tuple[Condition, ...]]] = dict.fromkeys(
    ("read", "readv", "pread64", "preadv", "preadv2"), ()
)
"""The same, of a process that has opened a file of random numbers: what may read it."""
RECORDED: Final = {
    **TRACED,
    **EFFECTS,
    "ioctl": (OneOf(1, (terminals.UNLOCK, calls_of_user.REGISTER, calls_of_user.DEBUG, *_CLONES)),),
}
"""The same, of a program whose changes of files are recorded."""

REFUSED: Final = ("io_uring_setup",)
"""Programs do without these, where the kernel says that it has none (ENOSYS)."""
REFUSED_TO_RECORDED: Final = (*REFUSED, "io_submit")
"""Changes that these make are in no system call that a filter sees."""


def program(traced: Mapping[str, tuple[Condition, ...]] = TRACED, refused: Sequence[str] = REFUSED) -> bytes:
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
        code += [(_IF_EQUAL, 0, 1, HERE.calls[name]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    for name, conditions in traced.items():
        if name in HERE.calls:
            block = [each for condition in conditions for each in _unless(condition)]
            block.append((_RETURN, 0, 0, _TRACE))
            code.append((_IF_EQUAL, 0, len(block), HERE.calls[name]))
            code += block
    code.append((_RETURN, 0, 0, _ALLOW))
    if len(code) > MOST or any(step > 255 for _, yes, no, _ in code for step in (yes, no)):
        raise AssertionError(f"a filter of {len(code)} instructions")
    return b"".join(_INSTRUCTION.pack(*each) for each in code)


def stops_at(name: str, registers: Registers) -> bool:
    """Whether the filter stops a thread at that call, which is one of `TRACED`."""
    return all(_holds(condition, registers.argument(condition.argument)) for condition in TRACED[name])


def has_effects(name: str, arguments: Sequence[int]) -> bool:
    """Whether that call is one of `EFFECTS`."""
    return name in EFFECTS and all(_holds(condition, arguments[condition.argument]) for condition in EFFECTS[name])


def is_unseen_poll(name: str, registers: Registers) -> bool:
    """Whether that call is a wait of no length at which the filter does not stop a thread."""
    if name not in ("poll", "epoll_wait", "epoll_pwait"):
        return name == "sched_yield"
    return not registers.argument(2 if name == "poll" else 3) & 0xFFFFFFFF


def _holds(condition: Condition, value: int) -> bool:
    if isinstance(condition, Pointer):
        return value != 0
    low = value & 0xFFFFFFFF
    if isinstance(condition, OneOf):
        return low & condition.mask in condition.values
    least = 0 if isinstance(condition, Positive) else condition.value
    return least < low and not (isinstance(condition, Positive) and low > 0x7FFFFFFF)


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
    if isinstance(condition, Positive):
        return [(_LOAD, 0, 0, low), (_IF_EQUAL, 1, 0, 0), (_IF_GREATER, 0, 1, 0x7FFFFFFF), allow]
    if isinstance(condition, Above):
        return [(_LOAD, 0, 0, low), (_IF_GREATER, 1, 0, condition.value), allow]
    found: _Code = [(_LOAD, 0, 0, low), (_AND, 0, 0, condition.mask)]
    left = len(condition.values)
    for value in condition.values:
        found.append((_IF_EQUAL, left, 0, value))
        left -= 1
    return [*found, allow]


STANDARD: Final = program()
"""That of all programs."""


@functools.cache
def of_program(*, recorded: bool, syncs: bool, draws: bool) -> bytes:
    """That of a program whose effects are *recorded*, with what *syncs* them, and whose random numbers it *draws* from
    the supervisor."""
    traced = {**(RECORDED if recorded else TRACED), **(SYNCS if syncs else {}), **(DRAWS if draws else {})}
    return program(traced, REFUSED_TO_RECORDED if recorded else REFUSED)


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
