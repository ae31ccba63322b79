"""The harness of a process that goes on alone: what the test's process is to others, it is to itself.

It has the methods of a channel. What the scheduler sends to it, it answers at once: where all threads wait, the clock
goes to the first instant that is due, and the run token comes back. Records, signals and the end of the event are sent
to the test's process, which reads them when it likes.
"""

from __future__ import annotations

import functools
import json
import os
import signal
from typing import Any, NoReturn

from ...protocol import branches, messages
from ...protocol.shared_page import ClockPage
from ...protocol.time_units import NEVER_US
from ..gates import occurrences
from ..originals import real_exit
from ..scheduler.channel import Channel
from ..scheduler.scheduler import scheduler
from .directories import Directories

_HEADER = messages.HEADER.size
_HELD = "something real holds the clock: a connection, a child process or a pipe"


class OwnHarness(Channel):
    """The channel of a process that goes on alone. *fd* is the number of the channel that it replaces."""

    __slots__ = (
        *("_attempt", "_environment", "_inits", "_queued", "_runs"),
        *("clock", "connection", "deadline_us", "directories", "job", "plan", "read"),
    )

    def __init__(self, old: Channel, connection: Any, plan: branches.Prepare, directories: Directories) -> None:
        self.fd = old.fd
        self.marks = old.marks
        self.connection = connection
        self.read = functools.partial(branches.read_exactly, connection)
        self.plan = plan
        self.clock = ClockPage(scheduler.clock_page)
        self.directories = directories
        self.job = branches.SCOUT
        self.deadline_us = NEVER_US
        self._attempt = 0
        self._environment: dict[str, str] = {}
        """What the next event finds in its environment."""
        self._queued: list[tuple[int, bytes]] = []
        self._runs = True
        """An event is under way."""
        self._inits = False

    # -- a channel -----------------------------------------------------------------------------------------------------

    def take_unread(self) -> list[tuple[int, bytes]]:
        return []

    def receive(self) -> list[tuple[int, bytes]]:
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass
        queued, self._queued = self._queued, []
        return queued

    def send(self, frame: bytes) -> None:
        self._take(frame[messages.HEADER.size - 1], frame[_HEADER:])

    def send_marked(self, frame: bytes) -> None:
        self.send(frame)

    def mark_output(self) -> None:
        """Nobody reads the output."""

    def has_unread_output(self) -> bool:
        return False

    def close(self) -> None:
        """In a child that user code forked."""
        self.connection.close()

    # -- what comes to it ----------------------------------------------------------------------------------------------

    def announce(self, job: int, state: int, attempt: int = 0) -> None:
        """Say that *job* begins, with all that this process's job has done."""
        branches.send(self.connection, branches.Begins(job, self.job, self.clock.now_us, state, attempt))

    def become(self, job: int, attempt: int = 0) -> None:
        """This process is the one of *job* from here on."""
        self.job, self._attempt = job, attempt

    def starts_cold(self) -> None:
        """The process begins with the init of its function."""
        self._runs = self._inits = True
        self._limit(self.plan.init_timeout_us)

    @property
    def timed_out(self) -> str:
        """The fact that the event ends by when it reaches its deadline."""
        return "INIT_TIMED_OUT" if self._inits else "TIMED_OUT"

    def _limit(self, after_us: int) -> None:
        """The event runs so long from now on at most."""
        self.deadline_us = self.clock.now_us + after_us
        scheduler.control.lease = self.deadline_us

    def _queue(self, kind: int, body: bytes = b"") -> None:
        scheduler.control.messages += 1
        self._queued.append((kind, body))
        os.eventfd_write(self.fd, 1)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == messages.PARKED:
            self._parked(messages.unpack(messages.Parked, body))
        elif kind == messages.NOTE:
            note = messages.unpack(messages.Note, body)
            if note.name is not None:
                self._happened("record", note.name, note.fields or {})
        elif kind == messages.FromInstance.SIGNAL_ENTERED:
            if messages.unpack(messages.SignalEntered, body).signum == signal.SIGTERM:
                self._happened("entered")
        elif kind == messages.FromInstance.INIT_DONE:
            done = messages.unpack(messages.InitDone, body)
            if done.fact is not None:
                self.end(done.fact, trace=done.trace)
            self._inits = False
            self._limit(self.plan.timeout_us)
        elif kind == messages.FromInstance.RESULT:
            result = messages.unpack(messages.Result, body)
            self._returned(result)

    def _happened(self, what: str, name: str = "", fields: dict[str, Any] | None = None) -> None:
        branches.send(self.connection, branches.Happened(self.job, self.clock.now_us, what, name, fields or {}))

    def _parked(self, parked: messages.Parked) -> None:
        if parked.running_threads or self._queued:
            return
        if parked.held or scheduler.forked:
            self.give_up(_HELD)
        if not self._runs:
            self._runs = True
            self._limit(self.plan.timeout_us)
            invocation = invocation_of(self.plan, self._attempt, self._environment)
            self._queue(int(messages.ToInstance.INVOKE), json.dumps(invocation).encode())
        elif parked.due_us == messages.NEVER or parked.due_us >= self.deadline_us:
            self.clock.now_us = self.deadline_us
            self.end(self.timed_out)
        else:
            self.clock.now_us = max(self.clock.now_us, parked.due_us)
            self._queue(messages.RESUME)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _returned(self, result: messages.Result) -> None:
        if result.fact != "RETURNED" or result.text is None:
            self.end(result.fact, result.text, result.trace)
        if self.job < 0:
            real_exit(0)
        after, now_us = self._attempt + 1, self.clock.now_us
        wait_us = self.plan.waits_us[after] if after < len(self.plan.waits_us) else 0
        done = result.text == self.plan.expected
        if not done:
            branches.send(self.connection, branches.Asks(self.job, now_us + wait_us, result.text))
            answer: branches.Verdict | None = branches.receive(self.read)
            if answer is None:
                real_exit(1)
            done, self._environment = answer.done, answer.environment
        last = done or after >= len(self.plan.invocations)
        self._report_end(result.fact, result.text, None, self._in_tmp() if last else [])
        if last or wait_us >= self.plan.idle_reclaim_us:
            real_exit(0)
        occurrences.end_faults()
        self._runs = False
        self._attempt = after
        self.clock.now_us = now_us + wait_us
        self.announce(self.job, -1, after)

    def end(self, fact: str, text: str | None = None, trace: str | None = None) -> NoReturn:
        """The event has ended in a way that ends this process."""
        if self.job >= 0:
            self._report_end(fact, text, trace, [])
        real_exit(0)

    def give_up(self, why: str) -> NoReturn:
        """This process cannot go on alone."""
        branches.send(self.connection, branches.Cannot(self.job, why))
        real_exit(0)

    def _report_end(self, fact: str, text: str | None, trace: str | None, tmp: list[str]) -> None:
        branches.send(self.connection, branches.Ends(self.job, self.clock.now_us, fact, text, trace, tmp))

    def _in_tmp(self) -> list[str]:
        """What is in ``/tmp``: paths below it, of all that is no directory."""
        found: list[str] = []
        for folder, folders, names in os.walk("/tmp"):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in self.directories.mounted]
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            found += [os.path.relpath(os.path.join(folder, name), "/tmp") for name in (*names, *links)]
        return sorted(found)

    def exits(self) -> None:
        """The process ends by itself just now: say when that is."""
        self._happened("exits")


def invocation_of(plan: branches.Prepare, attempt: int, environment: dict[str, str]) -> dict[str, Any]:
    """The event with that number, which begins when *environment* is what is in its environment."""
    invocation = plan.invocations[attempt]
    return {**invocation, "environment": {**invocation["environment"], **environment}}
