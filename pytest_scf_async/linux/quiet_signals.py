"""Send a signal whose handler runs in another process, and that ends nothing which its threads wait for there.

A handler ends many system calls (``nanosleep``, ``pause``, ``epoll_wait``, …) with EINTR, whatever its flags say, and
code in C takes that for the end of its wait. So the thread is traced until it has the signal, and what such a call is
about to return becomes what the kernel itself has for calls that begin again.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import select
import signal
import sys
from typing import Final

from ..protocol.real_time import REAL
from . import procfs
from .kernel_waits import RESTARTED, number_restarted

_LIMIT = 5.0
"""Real seconds in which a thread that may run takes a signal."""
_CONTINUE, _GET_REGISTERS, _SET_REGISTERS, _DETACH, _SEIZE = 7, 12, 13, 17, 0x4206
_TGKILL, _WALL, _EVENT_STOP = 234, 0x40000000, 128
_RESULT, _THIRD, _SECOND, _FIRST, _NUMBER = 10, 12, 13, 14, 15
"""Where the registers of an x86-64 have the result, the arguments and the number of a system call; -1: it was none."""
_INTERRUPTED: Final = frozenset({-4, -514, -516})
"""What that is where a handler is about to end the call: EINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK."""
_BEGINS_AGAIN = -513
"""ERESTARTNOINTR."""
_CAN_TRACE: Final = sys.platform == "linux" and os.uname().machine == "x86_64"


def signal_quietly(pid: int, pidfd: int, signum: int) -> bool:
    """Send *signum* to a thread of *pid* that has a handler for it; False: there is none, and nothing was sent.

    A call that it interrupts begins again, with the timeout that it was given. Where threads cannot be traced (another
    processor, a debugger, ``ptrace_scope``), the signal is sent as any other.
    """
    bit = 1 << (signum - 1)
    for task in procfs.tasks_of(pid):
        masks = procfs.signal_masks(pid, int(task))
        if masks.get(b"SigCgt", 0) & ~masks.get(b"SigBlk", 0) & bit and procfs.state_of(pid, task) in (b"R", b"S"):
            break
    else:
        return False
    traced: list[bool] = []
    ended = _thread.allocate_lock()
    ended.acquire(blocking=False)

    def trace() -> None:
        """In a thread of its own, with whose end the kernel lets go what it traces, whatever happens."""
        try:
            traced.append(_CAN_TRACE and _deliver(pid, pidfd, int(task), signum))
        finally:
            ended.release()

    _thread.start_new_thread(trace, ())
    ended.acquire(timeout=2 * _LIMIT)
    if traced == [False]:
        try:
            signal.pidfd_send_signal(pidfd, signum)
        except ProcessLookupError:
            return False
    return True


def _deliver(pid: int, pidfd: int, task: int, signum: int) -> bool:
    """Trace the thread *task* until it takes *signum*; False: that cannot be, and nothing was sent."""
    libc = ctypes.CDLL(None)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    gone = libc.ptrace(_SEIZE, task, None, None) < 0 or select.select([pidfd], [], [], 0)[0]
    if gone or libc.syscall(_TGKILL, pid, task, signum) < 0:
        return False
    deadline = REAL.monotonic() + _LIMIT
    while REAL.monotonic() < deadline:
        waited, status = os.waitpid(task, _WALL | os.WNOHANG)
        if not waited:
            os.sched_yield()
        elif not os.WIFSTOPPED(status):
            break  # it has ended
        elif status >> 16 == _EVENT_STOP or os.WSTOPSIG(status) != signum:
            libc.ptrace(_CONTINUE, task, None, 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status))
        else:
            registers = (ctypes.c_long * 27)()
            libc.ptrace(_GET_REGISTERS, task, None, registers)
            if registers[_NUMBER] >= 0 and registers[_RESULT] in _INTERRUPTED:
                registers[_RESULT] = _BEGINS_AGAIN
                if (
                    registers[_NUMBER] == RESTARTED
                ):  # it was stopped in the call before, and a handler ends what it is now
                    registers[_NUMBER] = number_restarted(*(registers[each] for each in (_FIRST, _SECOND, _THIRD)))
                libc.ptrace(_SET_REGISTERS, task, None, registers)
            libc.ptrace(_DETACH, task, None, signum)
            break
    return True
