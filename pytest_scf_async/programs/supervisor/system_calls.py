"""The system calls that the supervisor and the recorder know: a row each, with all that differs between them.

The filter, the waits, the check that all threads wait, and the recorder are made from this table. A call that is not
here goes on in the kernel, and a thread in it counts as one that computes.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import socket
from enum import Enum, auto
from typing import Final, NamedTuple

from ...linux import linux, terminals
from .. import calls_of_user
from .timeouts import (
    FUTEX_CLOCKS,
    SLEEP_CLOCKS,
    TimedCall,
    after_milliseconds,
    after_timespec,
    after_timeval,
    at_timespec,
    of_futex,
    on_clock,
)
from .tracee import MACHINE

# -- of which arguments a call is of interest --------------------------------------------------------------------------


class Pointer(NamedTuple):
    """The argument is no null pointer."""

    argument: int


class Above(NamedTuple):
    """The argument, an ``int``, is above that value."""

    argument: int
    value: int = 0


class OneOf(NamedTuple):
    """The argument, an ``int`` of which the bits of *mask* count, is one of these."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


Condition = Pointer | Above | OneOf
Conditions = tuple[Condition, ...]
"""What all has to hold of the arguments; none: nothing has to."""
ALWAYS: Final[Conditions] = ()


# -- what a call is ----------------------------------------------------------------------------------------------------


class Waits(Enum):
    """Whether a thread that sleeps in a call waits until somebody else does something."""

    NO = auto()
    """Or the supervisor makes another call of it."""
    YES = auto()
    PATH = auto()
    """Unless it waits for the disk: it may have to find a file first, as that of a Unix socket."""
    READS = auto()
    """If what it reads is no file: otherwise it waits for the disk."""
    WRITES = auto()
    """The same of what it writes. One that writes its output goes on by itself."""
    VFORK = auto()
    """If its child has neither executed a program nor ended."""


class EffectCall(NamedTuple):
    """What a call may change in a directory, or say to another process.

    The text of an effect names its paths; one that says more has a field here, which `Effects._changing` reads, and one
    of `Effect`. What `Entry` does not have, such as owners, is not put back after a kill.
    """

    shown: str
    """Its name in reports, which variants of one call share."""
    paths: tuple[tuple[int | None, int], ...] = ()
    """Which arguments are its paths: the descriptor of the directory, where there is one, and the text. None: it is
    about a descriptor. Where the last text is a null pointer, too."""
    when: Conditions = ALWAYS
    follows: bool = False
    """Where its path is a symbolic link, it is about what that leads to."""
    makes: bool = False
    """It makes a name, if there is none yet."""
    descriptor: int = 0
    """Which argument is the descriptor of the file that changes, or of the socket."""
    size: int | None = None
    """Which argument says how many bytes it writes; None: no argument does."""
    vector: bool = False
    """The memory that it writes is in parts."""
    offset: int | None = None
    """Which argument says where in the file it writes; None: at the position of the file."""
    offset_at: int | None = None
    """The same of one that has the address of the offset, or is a null pointer."""
    source: tuple[int, int] | None = None
    """Which arguments say from which descriptor it copies, and where in memory the offset is."""
    flags: int | None = None
    """Which argument has O_CREAT; None: none, or it is in memory."""
    says: bool = False
    """It says something where its descriptor is a socket."""
    hears: bool = False
    """The same, and it receives something."""
    address: int | None = None
    """Which argument is the address of a peer, or of the socket itself, where a path may be, ..."""
    header: int | None = None
    """... or the header of a message, or the first of several ones, which begins with it."""

    @property
    def is_of_sockets(self) -> bool:
        """Whether it changes no file."""
        return self.shown in ("connect", "send", "receive")


class Asks(NamedTuple):
    """What a call waits for has a row in the timeline where no simulated time passes, too. Such a call has to stop."""

    options: int | None = None
    """Which argument has WNOHANG, of a call that takes the end of a child; None: it takes a lock."""


class Call(NamedTuple):
    """A system call."""

    x86_64: int | None
    """Its number, on each processor; None: there it has none."""
    aarch64: int | None
    stops: Conditions | None = None
    """At which arguments each program stops there; None: at none, or, if it is timed, wherever it has a timeout."""
    timed: TimedCall | None = None
    """Its timeout. With one the thread waits for others as soon as the supervisor has taken that away."""
    waits: Waits = Waits.NO
    ended_by_stops: bool = False
    """It returns EINTR after a thread was stopped and continued (signal(7)). The kernel restarts all others."""
    asks: Asks | None = None
    """Whether a process asks another one there for something that has a row."""
    effect: EffectCall | None = None
    syncs: Conditions | None = None
    """At which arguments it makes changes of files durable, or a descriptor of such a file comes to be."""
    sends: Conditions | None = None
    """At which a process stops there that has connected to somebody: it may say something there."""

    @property
    def stops_when(self) -> Conditions | None:
        """At which arguments each program stops there; None: at none."""
        if self.timed is None or self.timed.sleeps:
            return self.stops
        at = self.timed.timeout
        return *(self.stops or ()), Above(at) if self.timed.due is after_milliseconds else Pointer(at)


# -- the calls ---------------------------------------------------------------------------------------------------------

CLONE_UNTRACED: Final = 0x800000
"""A flag: what is made is not to be traced."""
_FUTEX_WAITS: Final = (0, 6, 9, 11, 13)
"""FUTEX_WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2."""
_LOCKS: Final = OneOf(1, (fcntl.LOCK_SH, fcntl.LOCK_EX), fcntl.LOCK_SH | fcntl.LOCK_EX | fcntl.LOCK_NB)
_AGAIN, _OVER = -errno.EAGAIN, -errno.ETIMEDOUT
_OUTPUT: Final = (OneOf(0, (1, 2)),)
_NO_OUTPUT: Final = (Above(0, 2),)
_REAL: Final = (OneOf(0, (0,)),)
"""ITIMER_REAL."""
IOCTLS: Final = (terminals.UNLOCK, calls_of_user.REGISTER, calls_of_user.DEBUG)
CLONES: Final = (0x40049409, 0x4020940D)
"""FICLONE, FICLONERANGE."""
RECORD: Final = 0x5343_4603
"""An ``ioctl`` by which an instance says that it is about to send a record of the name whose address it gives."""

_CHANGES: Final = os.O_CREAT | os.O_TRUNC
_OPENS: Final = (os.O_CREAT, os.O_TRUNC, _CHANGES)
_MAY_WRITE: Final = tuple(
    kind | more for kind in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR) for more in (0, *_OPENS) if kind | more
)
"""The descriptor of a file that was closed may be that of the same again."""
_MS_SYNC: Final = 4
_SHARED: Final = (OneOf(2, (mmap.PROT_WRITE,), mmap.PROT_WRITE), OneOf(3, (1, 3), 3))
"""A mapping that is shared, and writable."""

_PATH: Final = ((None, 0),)
_PATH_AT: Final = ((0, 1),)
_PATH_OF_SOCKET: Final = ((None, 1),)
_PATHS: Final = ((None, 0), (None, 1))
_PATHS_AT: Final = ((0, 1), (2, 3))
_OURS_SENT: Final = (OneOf(3, (0, socket.MSG_EOR, socket.MSG_MORE), linux.OURS_SENT),)
_OURS_RECEIVED: Final = (OneOf(3, (0, socket.MSG_CMSG_CLOEXEC, socket.MSG_WAITALL), linux.OURS_RECEIVED),)
_OURS_WRITTEN: Final = (OneOf(5, (0, 0x2, 0x4), linux.OURS_WRITTEN),)

CALLS: Final[dict[str, Call]] = {
    # Timed waits
    "nanosleep": Call(35, 101, ALWAYS, TimedCall(0, after_timespec, sleeps=True, rest=1)),
    "clock_nanosleep": Call(230, 115, ALWAYS, TimedCall(2, on_clock(0, 1, SLEEP_CLOCKS), sleeps=True, rest=3)),
    "poll": Call(7, None, timed=TimedCall(2, after_milliseconds, descriptors=1)),
    "epoll_wait": Call(232, None, timed=TimedCall(3, after_milliseconds), ended_by_stops=True),
    "epoll_pwait": Call(281, 22, timed=TimedCall(3, after_milliseconds), ended_by_stops=True),
    "epoll_pwait2": Call(441, 441, timed=TimedCall(3, after_timespec), ended_by_stops=True),
    "ppoll": Call(271, 73, timed=TimedCall(2, after_timespec, rest=2, descriptors=1)),
    "select": Call(23, None, timed=TimedCall(4, after_timeval, rest=4, sets=True, descriptors=0)),
    "pselect6": Call(270, 72, timed=TimedCall(4, after_timespec, rest=4, sets=True, descriptors=0)),
    "futex": Call(202, 98, (OneOf(1, _FUTEX_WAITS, 0x7F),), TimedCall(3, of_futex, _OVER, sleeps_though_due=True)),
    "futex_waitv": Call(
        *(449, 449),
        timed=TimedCall(3, on_clock(4, None, FUTEX_CLOCKS), _OVER, restarts=True, sleeps_though_due=True),
    ),
    "futex_wait": Call(
        *(455, 455),
        timed=TimedCall(4, on_clock(5, None, FUTEX_CLOCKS), _OVER, restarts=True, sleeps_though_due=True),
    ),
    "rt_sigtimedwait": Call(128, 137, timed=TimedCall(2, after_timespec, _AGAIN), ended_by_stops=True),
    "semtimedop": Call(
        *(220, 192), timed=TimedCall(3, after_timespec, _AGAIN, sleeps_though_due=True), ended_by_stops=True
    ),
    "mq_timedsend": Call(242, 182, timed=TimedCall(4, at_timespec, _OVER, restarts=True, sleeps_though_due=True)),
    "mq_timedreceive": Call(243, 183, timed=TimedCall(4, at_timespec, _OVER, restarts=True, sleeps_though_due=True)),
    "io_getevents": Call(208, 4, timed=TimedCall(4, after_timespec), ended_by_stops=True),
    "io_pgetevents": Call(333, 292, timed=TimedCall(4, after_timespec)),
    # Timers and clocks
    "alarm": Call(37, None, ALWAYS),
    "setitimer": Call(38, 103, _REAL),
    "getitimer": Call(36, 102, _REAL),
    "timer_create": Call(222, 107, ALWAYS),
    "timer_settime": Call(223, 110, ALWAYS),
    "timer_gettime": Call(224, 108, ALWAYS),
    "timer_getoverrun": Call(225, 109, ALWAYS),
    "timer_delete": Call(226, 111, ALWAYS),
    "timerfd_settime": Call(286, 86, ALWAYS),
    "timerfd_gettime": Call(287, 87, ALWAYS),
    "clock_gettime": Call(228, 113, ALWAYS),
    "gettimeofday": Call(96, 169, ALWAYS),
    "time": Call(201, None, ALWAYS),
    # Waits without a timeout
    "wait4": Call(61, 260, ALWAYS, waits=Waits.YES, asks=Asks(2)),
    "waitid": Call(247, 95, ALWAYS, waits=Waits.YES, asks=Asks(3)),
    "flock": Call(73, 32, (_LOCKS,), waits=Waits.PATH, asks=Asks()),
    "fcntl": Call(72, 25, (OneOf(1, (fcntl.F_SETLKW, fcntl.F_OFD_SETLKW)),), waits=Waits.PATH, asks=Asks()),
    "pause": Call(34, None, waits=Waits.YES),
    "rt_sigsuspend": Call(130, 133, waits=Waits.YES),
    "accept": Call(43, 202, waits=Waits.YES),
    "accept4": Call(288, 242, waits=Waits.YES),
    "semop": Call(65, 193, waits=Waits.YES, ended_by_stops=True),
    "msgsnd": Call(69, 189, waits=Waits.YES),
    "msgrcv": Call(70, 188, waits=Waits.YES),
    "restart_syscall": Call(219, 128, waits=Waits.YES),
    # What is read, sent and received
    "read": Call(0, 63, waits=Waits.READS),
    "readv": Call(19, 65, waits=Waits.READS),
    "pread64": Call(17, 67),
    "preadv": Call(295, 69),
    "preadv2": Call(327, 286),
    "recvmmsg": Call(299, 243, (Pointer(4),), waits=Waits.YES),
    "recvfrom": Call(45, 207, waits=Waits.YES, effect=EffectCall("receive", when=_OURS_RECEIVED, hears=True)),
    "recvmsg": Call(47, 212, waits=Waits.YES, effect=EffectCall("receive", hears=True)),
    "connect": Call(42, 203, ALWAYS, waits=Waits.PATH, effect=EffectCall("connect", says=True, address=1)),
    "write": Call(1, 64, _OUTPUT, None, Waits.WRITES, sends=_NO_OUTPUT, effect=EffectCall("write", size=2, says=True)),
    "writev": Call(
        20, 66, _OUTPUT, None, Waits.WRITES, sends=_NO_OUTPUT, effect=EffectCall("write", vector=True, says=True)
    ),
    "sendto": Call(
        *(44, 206), waits=Waits.YES, sends=ALWAYS, effect=EffectCall("send", when=_OURS_SENT, says=True, address=4)
    ),
    "sendmsg": Call(46, 211, waits=Waits.YES, sends=ALWAYS, effect=EffectCall("send", says=True, header=1)),
    "sendmmsg": Call(307, 269, sends=ALWAYS, effect=EffectCall("send", says=True, header=1)),
    "sendfile": Call(40, 71, sends=ALWAYS, effect=EffectCall("sendfile", size=3, source=(1, 2), says=True)),
    # Signals, processes and more
    "rt_sigaction": Call(13, 134, (OneOf(0, (15,)), Pointer(1))),
    "rt_sigreturn": Call(15, 139),
    "ptrace": Call(101, 117, ALWAYS),
    "vfork": Call(58, None, waits=Waits.VFORK),
    "clone": Call(56, 220, (OneOf(0, (CLONE_UNTRACED,), CLONE_UNTRACED),), waits=Waits.VFORK),
    "clone3": Call(435, 435, ALWAYS, waits=Waits.VFORK),  # its flags are in memory, where a filter does not see them
    "ioctl": Call(16, 29, (OneOf(1, IOCTLS),), effect=EffectCall("ioctl", when=(OneOf(1, (*CLONES, RECORD)),))),
    "prctl": Call(157, 167),
    "seccomp": Call(317, 277),
    "sched_yield": Call(24, 124),
    "getrandom": Call(318, 278),
    "memfd_create": Call(319, 279),
    "mprotect": Call(10, 226),
    "close": Call(3, 57),
    "bind": Call(49, 200, effect=EffectCall("bind", _PATH_OF_SOCKET, makes=True, address=1)),
    "listen": Call(50, 201),
    "rt_sigqueueinfo": Call(129, 138),
    "rt_tgsigqueueinfo": Call(297, 240),
    "io_uring_setup": Call(425, 425),
    "io_submit": Call(209, 2),
    # Changes of files
    "open": Call(
        *(2, None),
        waits=Waits.PATH,
        effect=EffectCall("open", _PATH, (OneOf(1, _OPENS, _CHANGES),), follows=True, makes=True, flags=1),
        syncs=(OneOf(1, _MAY_WRITE, _CHANGES | os.O_ACCMODE),),
    ),
    "openat": Call(
        *(257, 56),
        waits=Waits.PATH,
        effect=EffectCall("open", _PATH_AT, (OneOf(2, _OPENS, _CHANGES),), follows=True, makes=True, flags=2),
        syncs=(OneOf(2, _MAY_WRITE, _CHANGES | os.O_ACCMODE),),
    ),
    "openat2": Call(437, 437, effect=EffectCall("open", _PATH_AT, follows=True, makes=True)),
    "creat": Call(85, None, effect=EffectCall("creat", _PATH, follows=True, makes=True)),
    "pwrite64": Call(18, 68, effect=EffectCall("write", size=2, offset=3)),
    "pwritev": Call(296, 70, effect=EffectCall("write", vector=True, offset=3)),
    "pwritev2": Call(328, 287, effect=EffectCall("write", when=_OURS_WRITTEN, vector=True, offset=3)),
    "copy_file_range": Call(
        *(326, 285), effect=EffectCall("copy_file_range", descriptor=2, size=4, offset_at=3, source=(0, 1))
    ),
    "splice": Call(275, 76, effect=EffectCall("splice", descriptor=2, size=4, offset_at=3, says=True)),
    "mmap": Call(9, 222, effect=EffectCall("mmap", when=_SHARED, descriptor=4)),
    "truncate": Call(76, 45, effect=EffectCall("truncate", _PATH, follows=True)),
    "ftruncate": Call(77, 46, effect=EffectCall("truncate")),
    "fallocate": Call(285, 47, effect=EffectCall("fallocate")),
    "rename": Call(82, None, effect=EffectCall("rename", _PATHS, makes=True)),
    "renameat": Call(264, 38, effect=EffectCall("rename", _PATHS_AT, makes=True)),
    "renameat2": Call(316, 276, effect=EffectCall("rename", _PATHS_AT, makes=True)),
    "link": Call(86, None, effect=EffectCall("link", _PATHS, makes=True)),
    "linkat": Call(265, 37, effect=EffectCall("link", _PATHS_AT, makes=True)),
    "symlink": Call(88, None, effect=EffectCall("symlink", ((None, 1),), makes=True)),
    "symlinkat": Call(266, 36, effect=EffectCall("symlink", ((1, 2),), makes=True)),
    "unlink": Call(87, None, effect=EffectCall("unlink", _PATH)),
    "unlinkat": Call(263, 35, effect=EffectCall("unlink", _PATH_AT)),
    "mkdir": Call(83, None, effect=EffectCall("mkdir", _PATH, makes=True)),
    "mkdirat": Call(258, 34, effect=EffectCall("mkdir", _PATH_AT, makes=True)),
    "rmdir": Call(84, None, effect=EffectCall("rmdir", _PATH)),
    "mknod": Call(133, None, effect=EffectCall("mknod", _PATH, makes=True)),
    "mknodat": Call(259, 33, effect=EffectCall("mknod", _PATH_AT, makes=True)),
    "chmod": Call(90, None, effect=EffectCall("chmod", _PATH, follows=True)),
    "fchmod": Call(91, 52, effect=EffectCall("chmod")),
    "fchmodat": Call(268, 53, effect=EffectCall("chmod", _PATH_AT, follows=True)),
    "fchmodat2": Call(452, 452, effect=EffectCall("chmod", _PATH_AT, follows=True)),
    "chown": Call(92, None, effect=EffectCall("chown", _PATH, follows=True)),
    "fchown": Call(93, 55, effect=EffectCall("chown")),
    "lchown": Call(94, None, effect=EffectCall("chown", _PATH)),
    "fchownat": Call(260, 54, effect=EffectCall("chown", _PATH_AT, follows=True)),
    "utime": Call(132, None, effect=EffectCall("utime", _PATH, follows=True)),
    "utimes": Call(235, None, effect=EffectCall("utime", _PATH, follows=True)),
    "futimesat": Call(261, None, effect=EffectCall("utime", _PATH_AT, follows=True)),
    "utimensat": Call(280, 88, effect=EffectCall("utime", _PATH_AT, follows=True)),
    "setxattr": Call(188, 5, effect=EffectCall("setxattr", _PATH, follows=True)),
    "lsetxattr": Call(189, 6, effect=EffectCall("setxattr", _PATH)),
    "fsetxattr": Call(190, 7, effect=EffectCall("setxattr")),
    "setxattrat": Call(463, 463, effect=EffectCall("setxattr", _PATH_AT, follows=True)),
    "removexattr": Call(197, 14, effect=EffectCall("removexattr", _PATH, follows=True)),
    "lremovexattr": Call(198, 15, effect=EffectCall("removexattr", _PATH)),
    "fremovexattr": Call(199, 16, effect=EffectCall("removexattr")),
    "removexattrat": Call(466, 466, effect=EffectCall("removexattr", _PATH_AT, follows=True)),
    # What makes them durable
    "fsync": Call(74, 82, syncs=ALWAYS),
    "fdatasync": Call(75, 83, syncs=ALWAYS),
    "sync": Call(162, 81, syncs=ALWAYS),
    "syncfs": Call(306, 267, syncs=ALWAYS),
    "msync": Call(26, 227, syncs=(OneOf(2, (_MS_SYNC,), _MS_SYNC),)),
}

NUMBERS: Final[dict[str, int]] = {
    name: number
    for name, call in CALLS.items()
    if (number := call.aarch64 if MACHINE == "aarch64" else call.x86_64) is not None
}
"""Those that this machine has, with their numbers."""
NAMES: Final = {number: name for name, number in NUMBERS.items()}
BY_NUMBER: Final = {number: CALLS[name] for name, number in NUMBERS.items()}
