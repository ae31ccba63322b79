"""The record of what one instance changes in a directory, seen from the test's process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ..errors import HarnessError
from ..protocol import disk_record, linux
from .zygote import Zygote

END_LIMIT = 30.0
"""Real seconds within which the recorder has to end, once all that it traces has."""


class Recorder:
    """A process beside an instance that traces it; it may be forked before there is an order for it."""

    def __init__(self, zygote: Zygote) -> None:
        """Raises ``OSError`` or ``HarnessError``."""
        self.zygote = zygote
        self.failure = ""
        self.status: int | None = None
        self._number = zygote.take_number()
        self._orders, theirs = socket.socketpair()
        with theirs:
            zygote.record(self._number, theirs.fileno(), self)

    def take(self, order: disk_record.Order, fds: list[int]) -> None:
        """Have it do what *order* says, with these descriptors. Raises ``BrokenPipeError``: it has ended."""
        with self._orders:
            linux.send_descriptors(self._orders, order.packed(), fds)

    def release(self) -> None:
        """It is not needed, and so it ends."""
        self._orders.close()

    def spawned(self, pid: int, fds: list[int]) -> None:
        """Nobody asks."""

    def refused_by_zygote(self, why: str) -> None:
        self.failure, self.status = f"no process could be forked for it ({why})", -1
        self.zygote.listeners.pop(self._number)

    def ended(self, status: int, used_ns: int, became: str) -> None:  # noqa: ARG002
        self.status = status
        self.zygote.listeners.pop(self._number)
        if status:
            self.failure = f"the recorder ended with the wait status {status}; {self.zygote.log_tail()}"


class Drawing:
    """Has what code in C draws of the kernel's random numbers answered, by a process beside an instance.

    Where that cannot be had, the instance draws from the machine, as it would in the real platform.
    """

    at_effect = disk_record.AtEffect()
    draws = True
    syncs = False
    _recorder: Recorder | None = None

    def begin(self, recorder: Recorder, clock_file: int, control_file: int) -> int:
        """Have *recorder* trace an instance; the descriptor for that."""
        ours, theirs = socket.socketpair()
        order, fds = disk_record.Order(self.at_effect, self.draws, self.syncs), [*self._files(clock_file), control_file]
        with ours:
            try:
                recorder.take(order, [*fds, ours.fileno()])
            except BrokenPipeError:  # it was forked ahead, and killed since
                recorder = Recorder(recorder.zygote)
                recorder.take(order, [*fds, ours.fileno()])
        self._recorder = recorder
        return theirs.detach()

    def _files(self, clock_file: int) -> list[int]:  # noqa: ARG002
        """What it needs to record effects."""
        return []


class Recording(Drawing):
    """Has the effects of an instance recorded, by a process beside it or by itself, and reads the record at the end."""

    def __init__(
        self,
        directory: Path,
        at_effect: disk_record.AtEffect = disk_record.AtEffect(),  # noqa: B008  (it is immutable)
        *,
        draws: bool = False,
        syncs: bool = False,
    ) -> None:
        """With *syncs* the record also has what makes files durable."""
        self.at_effect = at_effect
        self.draws = draws
        self.syncs = syncs
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file = os.memfd_create("scf-async-record", os.MFD_CLOEXEC)

    def by_itself(self) -> list[int]:
        """The descriptors for an instance that traces its program, and records what that changes."""
        return [os.dup(self._root), os.dup(self._file)]

    def _files(self, clock_file: int) -> list[int]:
        return [self._file, self._root, clock_file]

    def items(self) -> Iterator[tuple[disk_record.Item, bytes]]:
        """The record, to be asked for once the instance, and all that it has started, has ended.

        Raises ``HarnessError`` where the recorder has not done its work.
        """
        recorder = self._recorder
        if recorder is not None:
            if not recorder.zygote.receive_until(lambda: recorder.status is not None, END_LIMIT):
                raise HarnessError(f"the recorder of an instance has not ended within {END_LIMIT:g} real seconds")
            if recorder.failure:
                raise HarnessError(f"the changes of files of an instance are not known: {recorder.failure}")
        yield from disk_record.items_in(self._file)

    def close(self) -> None:
        """Close what belongs to it."""
        os.close(self._root)
        os.close(self._file)
