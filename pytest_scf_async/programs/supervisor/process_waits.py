"""What each process of a program with several waits in: a trace has a lane for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...protocol import messages
from .diagnosis import name_of_call
from .tree import Thread, Tree
from .waits import Wait

MOST_CHANGES: Final = 20_000
"""How many changes of one program are reported: from then on nothing is known."""


class ProcessWaits:
    """Collects what the first thread of each process waits in, where that changes, until somebody takes it."""

    def __init__(self, tree: Tree, now_us: Callable[[], int]) -> None:
        self._tree = tree
        self._now_us = now_us
        self._last: dict[int, messages.ProcessWait] = {}
        """What was noted of each process last; empty while there is one process."""
        self._changes: list[messages.ProcessWait] = []
        self._left = MOST_CHANGES

    def forget(self) -> None:
        """Another event begins, which knows of no process yet."""
        self._last = {}

    def take(self) -> list[messages.ProcessWait]:
        """What has changed since the last time."""
        changes, self._changes = self._changes, []
        return changes

    def note(self, thread: Thread | None = None, wait: Wait | None = None) -> None:
        """Note what has changed. All threads wait, but for *thread*, which is about to begin *wait*."""
        processes, last = self._tree.processes, self._last
        if len(processes) < 2 and not last:
            return
        now_us = self._now_us()
        if len(processes) < 2 or self._left <= 0:
            self._last = {}
            self._changes.append(messages.ProcessWait(now_us))
            return
        for pid in last.keys() - processes.keys():
            self._add(pid, last[pid]._replace(at_us=now_us, call=None))
            del last[pid]
        for pid, process in processes.items():
            before, first = last.get(pid), self._tree.threads.get(pid)
            call = None if first is None else wait.name if wait and first is thread else _call_of(first)
            if call is None:
                call = before.call if before else ""
            name = process.known_name()
            if before is None or (name, call) != (before.name, before.call):
                self._add(pid, messages.ProcessWait(now_us, process.inside or pid, name, call))

    def _add(self, pid: int, change: messages.ProcessWait) -> None:
        self._last[pid] = change
        self._changes.append(change)
        self._left -= 1


def _call_of(thread: Thread) -> str | None:
    """The system call in which a thread waits; empty: it stands at a gate; None: it is not known."""
    if thread.gated and not thread.handlers:
        return ""
    if thread.wait is not None:
        return thread.wait.name
    number = thread.waits_in.partition(b" ")[0]
    return name_of_call(int(number)) if number.isdigit() else None
