"""What ``/proc`` tells of a process: for signals and for error texts. It is never asked whether the clock may jump
because an instance waits; of the test's own threads, which have no door, there is nothing else to ask."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .linux import children_of, is_blocked

__all__ = [
    "ASLEEP",
    "SignalState",
    "activity",
    "children_of",
    "cpu_ns",
    "descendants_of",
    "is_below",
    "memory",
    "parent_of",
    "peak_memory",
    "signal_state",
    "unshared_memory",
]

ASLEEP = ("S", "T", "Z", "X", "t", "I")
"""States of a thread that does not run, and cannot before something wakes it."""


@dataclass(frozen=True)
class SignalState:
    """What the kernel does with one signal for one process."""

    ignored: bool
    blocked: bool
    caught: bool


def signal_state(pid: int, signum: int) -> SignalState | None:
    """How *signum* meets process *pid*; None when the process is gone. Blocked: by all its threads."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    masks = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        if name in (b"SigBlk", b"SigIgn", b"SigCgt"):
            masks[name] = int(value, 16)
        elif name == b"State" and value.split()[:1] == [b"Z"]:
            return None
    bit = 1 << (signum - 1)
    blocked = bool(masks[b"SigBlk"] & bit) and is_blocked(pid, signum)
    return SignalState(bool(masks[b"SigIgn"] & bit), blocked, bool(masks[b"SigCgt"] & bit))


def activity(pid: int) -> tuple[bool, tuple[tuple[str, str, bytes], ...]]:
    """Whether a thread of *pid* runs or could, and a picture of all threads: equal pictures mean that none ran."""
    picture: list[tuple[str, str, bytes]] = []
    running = False
    try:
        tasks = sorted(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return False, ()
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/stat", "rb", buffering=0) as file:
                state = file.read().rpartition(b")")[2].split()[0].decode()
            with open(f"/proc/{pid}/task/{task}/schedstat", "rb", buffering=0) as file:
                scheduled = file.read()
        except OSError:
            continue
        running = running or state not in ASLEEP
        picture.append((task, state, scheduled))
    return running, tuple(picture)


def cpu_ns(pid: int) -> int:
    """Nanoseconds of processor time that the threads of *pid* which live have used."""
    total = 0
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", "rb", buffering=0) as file:
                total += int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            continue
    return total


def descendants_of(pid: int) -> list[int]:
    """All processes below *pid*, parents first."""
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children_of(parent)]
        found += level
    return found


def parent_of(pid: int) -> int | None:
    """The parent of *pid*, living or unreaped; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def is_below(pid: int, ancestor: int) -> bool:
    """Whether the process *pid*, living or unreaped, is a descendant of *ancestor*, which adopts orphans.

    Looked up from below, where nothing is missed: what loses its parent meanwhile becomes a child of *ancestor*.
    """
    reaped: set[int] = set()
    at = pid
    while (parent := parent_of(at)) != ancestor:
        if parent is None and at != pid and at not in reaped:
            reaped.add(at)
            at = pid  # one between them ended while it was looked at: once more
        elif parent in (None, 0):
            return False
        else:
            at = parent
    return True


def memory(pid: int) -> int:
    """Bytes that *pid* has in memory, shared ones too; 0 when the process is gone."""
    return _kilobytes(f"/proc/{pid}/status", b"VmRSS:") * 1024


def peak_memory(pid: int) -> int:
    """The most bytes that *pid* has had in memory; 0 when the process is gone."""
    return _kilobytes(f"/proc/{pid}/status", b"VmHWM:") * 1024


def unshared_memory(pid: int) -> int:
    """Bytes in memory that *pid* shares with no other process; slower to find out than the others."""
    path = f"/proc/{pid}/smaps_rollup"
    private = _kilobytes(path, b"Private_Clean:", b"Private_Dirty:") * 1024
    return private or memory(pid)


def _kilobytes(path: str, *names: bytes) -> int:
    """The sum of the lines *names* of a file in which they are in kB; 0 where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(names))
