"""What each thread of a traced program waits for, as facts: a test that cannot end says so."""

from __future__ import annotations

from typing import Final

from ...linux import kernel_waits, procfs
from ...protocol import messages
from .system_calls import NAMES
from .tree import Thread, Tree

MOST: Final = 500
"""Threads that are reported."""


def threads_of(tree: Tree) -> list[messages.TracedThread]:
    """The threads of a program, in the order in which they were made."""
    threads = sorted(tree.threads.values(), key=lambda thread: thread.serial)
    return [_fact(thread) for thread in threads[:MOST]]


def name_of_call(number: int) -> str:
    """The kernel's name of the system call with that *number*."""
    return NAMES.get(number) or f"system call {number}"


def _fact(thread: Thread) -> messages.TracedThread:
    tid, pid = thread.tid, thread.process.pid
    fields = procfs.system_call_of(pid, str(tid))
    number = int(fields[0]) if len(fields) >= 7 else -1  # "running"; -1: it is in no call
    arguments = [int(field, 16) for field in fields[1:7]]
    wait = thread.wait or thread.interrupted
    call, due_us = "", None
    if wait is not None:
        number, call, arguments, due_us = wait.number, wait.name, list(wait.arguments), wait.due_ns // 1000
    name = kernel_waits.name_of(number) or ""
    if not call and number >= 0:
        call = name_of_call(number)
    targets = [(*each,) for each in kernel_waits.targets_of(pid, name, number, arguments)]
    program, named = procfs.thread_name(pid, pid), procfs.thread_name(pid, tid)
    return messages.TracedThread(pid, program, tid, named, call, targets, due_us)
