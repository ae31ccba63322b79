"""What only the Linux kernel gives, by way of ``prctl``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_LAST_SIGNAL: int = getattr(signal, "SIGRTMAX", 64)
"""Elsewhere there is none, and the module is imported all the same: the facade needs it."""

STACKS_SIGNAL = _LAST_SIGNAL - 3
"""Makes an instance write the Python stacks of all its threads where the harness reads them."""

POKE_SIGNAL = _LAST_SIGNAL - 4
"""Interrupts what the main thread waits in, so that the interpreter looks for other signals that have come."""

if sys.platform == "linux":
    _prctl = ctypes.CDLL(None, use_errno=True).prctl
    _prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def _call(option: int, value: int) -> None:
    if _prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}, {value}): {os.strerror(error)}")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    _call(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have descendants whose parents end become children of this process."""
    _call(PR_SET_CHILD_SUBREAPER, 1)


def signal_masks(pid: int | str, task: int) -> dict[bytes, int]:
    """What ``/proc`` tells of a thread's signals, by its words (``SigBlk``, ``SigPnd``, ``ShdPnd``, …); empty: gone."""
    try:
        with open(f"/proc/{pid}/task/{task}/status", "rb", buffering=0) as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    words = (line.partition(b":") for line in lines)
    return {name: int(value, 16) for name, _, value in words if name.startswith((b"Sig", b"Shd")) and name != b"SigQ"}


def is_blocked(pid: int | str, signum: int) -> bool:
    """Whether every thread of *pid* blocks *signum*, so that it stays pending."""
    bit = 1 << (signum - 1)
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    return all(signal_masks(pid, int(task)).get(b"SigBlk", bit) & bit for task in tasks)


def children_of(pid: int) -> list[int]:
    """The living and the unreaped child processes of *pid*, of all its threads; none when it is gone."""
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return found
