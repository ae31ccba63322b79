"""The record of what one instance changes in a directory, seen from the test's process."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from ..errors import HarnessError
from ..instances.cpus import next_cpus
from ..instances.zygote import Zygote
from ..linux import linux
from ..protocol import disk_record, messages
from ..protocol.real_time import REAL

END_LIMIT = 30.0
"""Real seconds within which a recorder has to be done, once all that it traces has ended."""
_MOST_SAID = 4096
"""Bytes that a recorder has said and that are read at once: the last of them says how it is."""


class Recorder:
    """A process that traces instances, one after the other."""

    def __init__(self, zygote: Zygote) -> None:
        """Raises ``OSError`` or ``HarnessError``."""
        self.zygote = zygote
        self.failure = ""
        self.status: int | None = None
        self.is_busy = False
        self.is_held = False
        """Somebody will ask for its record."""
        self._is_at_rest = False
        """All that it traces stands still, and its record has what that has done."""
        self._number = zygote.take_number()
        self._orders, theirs = socket.socketpair()
        with theirs:
            zygote.record(self._number, theirs.fileno(), self)

    def take(self, order: disk_record.Order, fds: list[int]) -> None:
        """Have it do what *order* says, with these descriptors. Raises ``BrokenPipeError``: it has ended."""
        linux.send_descriptors(self._orders, order.packed(), fds)
        self._is_at_rest = False

    def lives(self, seconds: float = 0.0) -> bool:
        """Whether it has not ended; it waits up to *seconds* until the recorder has said something, or has ended."""
        poller = select.poll()
        poller.register(self._orders, select.POLLIN)
        if not poller.poll(seconds * 1000):
            return True
        try:
            said = self._orders.recv(_MOST_SAID)
        except ConnectionResetError:  # it has ended, and has not read an order
            return False
        if said:
            self.is_busy = not said.endswith(disk_record.IS_DONE)
            self._is_at_rest = said.endswith(disk_record.IS_AT_REST)
        return bool(said)

    @property
    def _is_complete(self) -> bool:
        return self._is_at_rest or not self.is_busy

    def finish(self) -> None:
        """Wait until the record of what was killed, or has ended, is complete.

        Raises ``HarnessError`` where the recorder has not done its work.
        """
        if not self.is_busy:
            return
        if self._orders.fileno() < 0:
            raise HarnessError("the recorder of an instance has ended with its zygote")
        deadline = REAL.monotonic() + END_LIMIT
        lives, left = self.lives(), END_LIMIT
        while lives and not self._is_complete and left > 0:
            lives, left = self.lives(left), deadline - REAL.monotonic()
        if lives:
            if not self._is_complete:
                raise HarnessError(f"the recorder of an instance was not done within {END_LIMIT:g} real seconds")
        elif not self.zygote.receive_until(lambda: self.status is not None, END_LIMIT):
            raise HarnessError(f"the end of a recorder was not known within {END_LIMIT:g} real seconds")
        elif self.failure:
            raise HarnessError(f"the changes of files of an instance are not known: {self.failure}")

    def release(self) -> None:
        """It is not needed any more, and so it ends, once it is done."""
        self._orders.close()

    def spawned(self, pid: int, fds: list[int]) -> None:
        """Nobody asks."""

    def refused_by_zygote(self, why: str) -> None:
        self.failure, self.status = f"no process could be forked for it ({why})", -1
        self.zygote.listeners.pop(self._number)

    def ended(self, how: messages.Gone) -> None:
        self.status = how.status
        self.zygote.listeners.pop(self._number)
        if how.status:
            self.failure = f"the recorder ended with the wait status {how.status}; {self.zygote.log_tail()}"


_recorders: dict[Zygote, list[Recorder]] = {}
_lock = threading.RLock()
"""Re-entrant: the garbage collector may close a forgotten runtime under it."""


def _take_recorder(zygote: Zygote) -> Recorder:
    """A recorder that is not busy, as it is then. Raises ``OSError`` or ``HarnessError``."""
    with _lock:
        zygote.at_end.add(_forget)
        kept = []
        free = None
        for each in _recorders.get(zygote, []):
            if each.is_held:
                kept.append(each)
            elif not each.lives() or (free is not None and not each.is_busy):
                each.release()
            else:
                kept.append(each)
                free = free if each.is_busy else each
        _recorders[zygote] = kept
        if free is None:
            free = Recorder(zygote)
            kept.append(free)
        free.is_busy = True
        return free


def _forget(zygote: Zygote) -> None:
    with _lock:
        recorders = _recorders.pop(zygote, [])
    for each in recorders:
        each.release()


class Drawing:
    """Has what code in C draws of the kernel's random numbers answered, by a process beside an instance.

    Where that cannot be had, the instance draws from the machine, as it would in the real platform.
    """

    at_effect = messages.AtEffect()
    draws = True
    syncs = False
    dispositions = False
    has_record = False
    _recorder: Recorder | None = None

    def begin(self, zygote: Zygote, clock_file: int, control_file: int, *, by_itself: bool) -> list[int]:  # noqa: ARG002
        """Have a recorder trace an instance of *zygote*, which does not do it *by_itself*; the descriptor for that.

        Raises ``OSError`` or ``HarnessError``.
        """
        ours, theirs = socket.socketpair()
        order = disk_record.Order(self.at_effect, self.draws, self.syncs, self.dispositions)
        fds = [*self._files(clock_file), control_file]
        with ours:
            recorder = _take_recorder(zygote)
            try:
                recorder.take(order, [*fds, ours.fileno()])
            except BrokenPipeError:  # it was killed since
                recorder = _take_recorder(zygote)
                recorder.take(order, [*fds, ours.fileno()])
            recorder.is_held = self.has_record
            self._recorder = recorder
        return [theirs.detach()]

    def core(self) -> int | None:
        """Any core will do."""
        return None

    def _files(self, clock_file: int) -> list[int]:  # noqa: ARG002
        """What it needs to record effects."""
        return []


class Recording(Drawing):
    """Has the effects of an instance recorded, by a process beside it or by itself, and reads the record at the end."""

    has_record = True

    def __init__(
        self,
        directory: Path,
        at_effect: messages.AtEffect = messages.AtEffect(),  # noqa: B008  (it is immutable)
        *,
        draws: bool = False,
        syncs: bool = False,
        dispositions: bool = False,
    ) -> None:
        """With *syncs* the record also has what makes files durable, with *dispositions* what a SIGTERM does."""
        self.at_effect = at_effect
        self.draws = draws
        self.syncs = syncs
        self.dispositions = dispositions
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file = os.memfd_create("scf-async-record", os.MFD_CLOEXEC)

    def begin(self, zygote: Zygote, clock_file: int, control_file: int, *, by_itself: bool) -> list[int]:
        """The same; or the descriptors for an instance that traces its program, and records what that changes."""
        if by_itself:
            return [os.dup(self._root), os.dup(self._file)]
        return super().begin(zygote, clock_file, control_file, by_itself=by_itself)

    def core(self) -> int | None:
        """One of its own, which it shares with its recorder: each of the two waits while the other one runs."""
        return next_cpus(1)[0]

    def _files(self, clock_file: int) -> list[int]:
        return [self._file, self._root, clock_file]

    def items(self) -> Iterator[tuple[disk_record.Item, bytes]]:
        """The record, to be asked for once the instance, and all that it has started, has ended.

        Raises ``HarnessError`` where the recorder has not done its work.
        """
        if self._recorder is not None:
            self._recorder.finish()
        yield from disk_record.items_in(self._file)

    def close(self) -> None:
        """Close what belongs to it."""
        if self._recorder is not None:
            self._recorder.is_held = False
        os.close(self._root)
        os.close(self._file)
