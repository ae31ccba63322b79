"""The record of what one instance changes in a directory, seen from the test's process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ..errors import HarnessError
from ..protocol import disk_record, messages
from .zygote import Zygote

END_LIMIT = 30.0
"""Real seconds within which the recorder has to end, once all that it traces has."""


class Drawing:
    """Has what code in C draws of the kernel's random numbers answered, by a process beside an instance.

    Where that cannot be had, the instance draws from the machine, as it would in the real platform.
    """

    kill_at = 0
    draws = True

    def begin(self, zygote: Zygote, instance: int, clock_file: int, control_file: int) -> int:
        """Have a recorder forked for the *instance* with that number; the descriptor for the instance."""
        ours, theirs = socket.socketpair()
        with ours:
            fds = [*self._files(clock_file), control_file, ours.fileno()]
            zygote.record(messages.Record(zygote.take_number(), instance, self.kill_at, self.draws), fds, self)
        return theirs.detach()

    def _files(self, clock_file: int) -> list[int]:  # noqa: ARG002
        """What it needs to record effects."""
        return []

    def spawned(self, pid: int, fds: list[int]) -> None:
        """Nobody speaks to it."""

    def refused_by_zygote(self, why: str) -> None:
        """No process could be forked for it."""

    def ended(self, status: int, used_ns: int, became: str) -> None:
        """It has ended, after the instance."""


class Recording(Drawing):
    """Has the effects of an instance recorded, by a process beside it or by itself, and reads the record at the end."""

    def __init__(self, directory: Path, kill_at: int = 0, *, draws: bool = False) -> None:
        """With *kill_at* the instance is killed at the entry of the effect with that number, from 1 on."""
        self.kill_at = kill_at
        self.draws = draws
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file = os.memfd_create("scf-async-record", os.MFD_CLOEXEC)
        self._zygote: Zygote | None = None
        self._failure = ""
        self._status: int | None = None

    def by_itself(self) -> list[int]:
        """The descriptors for an instance that traces its program, and records what that changes."""
        return [os.dup(self._root), os.dup(self._file)]

    def begin(self, zygote: Zygote, instance: int, clock_file: int, control_file: int) -> int:
        """Have a recorder forked for the *instance* with that number; the descriptor for the instance."""
        self._zygote = zygote
        return super().begin(zygote, instance, clock_file, control_file)

    def _files(self, clock_file: int) -> list[int]:
        return [self._file, self._root, clock_file]

    def refused_by_zygote(self, why: str) -> None:
        self._failure, self._status = f"no process could be forked for it ({why})", -1

    def ended(self, status: int, used_ns: int, became: str) -> None:  # noqa: ARG002
        self._status = status
        if status:
            assert self._zygote is not None
            self._failure = f"the recorder ended with the wait status {status}; {self._zygote.log_tail()}"

    def items(self) -> Iterator[tuple[disk_record.Item, bytes]]:
        """The record, to be asked for once the instance, and all that it has started, has ended.

        Raises ``HarnessError`` where the recorder has not done its work.
        """
        zygote = self._zygote
        if zygote is not None and not zygote.receive_until(lambda: self._status is not None, END_LIMIT):
            raise HarnessError(f"the recorder of an instance has not ended within {END_LIMIT:g} real seconds")
        if self._failure:
            raise HarnessError(f"the changes of files of an instance are not known: {self._failure}")
        yield from disk_record.items_in(self._file)

    def close(self) -> None:
        """Close what belongs to it."""
        os.close(self._root)
        os.close(self._file)
