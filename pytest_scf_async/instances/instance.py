"""One instance as the harness sees it: its channel, its output, its process, and what it is doing.

Longer than other modules: an instance has many sides, all of one process that everybody asks.
"""

from __future__ import annotations

import array
import errno
import json
import mmap
import os
import select
import signal
import socket
from collections.abc import Iterator
from enum import Enum
from typing import Any, Protocol

from ..clock import DueThing
from ..errors import HarnessError
from ..protocol import messages, procfs
from ..protocol.linux import POKE_SIGNAL, STACKS_SIGNAL
from .output import READ_BYTES, Output
from .ports import ClaimedPort
from .process_tree import Children
from .sandbox import Sandbox
from .zygote import Zygote

START_LIMIT = 10.0
"""Real seconds within which the zygote has to tell of an instance that runs."""


class Doing(str, Enum):
    """What an instance is doing, in the words of the documentation."""

    PENDING = "pending"
    COMPUTING = "computing"
    PARKED = "parked"
    HELD = "held"
    GATED = "gated"
    ENDED = "ended"
    FROZEN = "frozen"
    FREE_RUNNING = "free-running"

    def __str__(self) -> str:
        return self.value


class Owner(Protocol):
    """Who hears what an instance says (the lockstep)."""

    def instance_said(self, instance: Instance, kind: int, body: bytes) -> None: ...
    def instance_wrote(self, instance: Instance, line: str) -> None: ...
    def instance_started(self, instance: Instance) -> None: ...
    def instance_full(self, instance: Instance) -> None: ...
    def instance_gone(self, instance: Instance) -> None: ...


class Instance:
    """A process that was forked from the zygote. Signals go to it by the pidfd that came with it, and only so."""

    owner: Owner
    """Who hears it, once it is an instance of a function."""
    sandbox: Sandbox
    called = False
    """It has been told of which function it is an instance."""
    outside = 0
    """Threads that the instance has outside the door: computing, or in a real wait that nothing announced."""
    held = 0
    head: DueThing | None = None
    """When the first of its waits is due."""
    waits_in = ""
    """The wait that was entered last."""
    turn = False
    """It has the turn: one of its threads is on its way, or computes."""
    overtaken = False
    """It lost the turn without a word: it is in a real wait that nothing announced, or computes for too long."""
    overrun = False
    asked = False
    """It has been asked what is due next, by way of whatever threads of it are inside the door."""
    parks = 0
    """How many times it has given the turn back."""
    gated: str | None = None
    frozen = False
    stopped = False
    gate_on_main = False
    opening = False
    """Its gate will be opened in its turn."""
    has_gates = False
    signalled = False
    """A signal was sent to it whose handler has not been entered yet."""
    entered = 0
    """How many times a handler of SIGTERM has been entered."""
    kept = 0
    """How many times a SIGTERM came whose handler is called after a wait."""
    listening_since_us: int | None = None
    """When user code installed its handler of SIGTERM."""
    sent = 0
    """Frames sent so far: a report that has seen fewer is out of date."""
    told_us: int | None = None
    """The time that the instance has told, in µs, while it may move the clock itself: it may be further already."""
    unleased_at: tuple[int, int] | None = None
    """What ``waits`` was when its lease ended because it does not speak: it gets none before its next wait."""
    _leased_read = 0
    """How many records of leased waits have been read."""
    hears_idly = False
    """Threads of it may wait for connections on which nothing need come (``idle_ok``)."""
    measured = False
    """It runs under coverage, as the test process does."""
    free_running = False
    """It cannot see the simulated clock; its process is the agent of the program."""
    program_pid = 0
    """The process id of that program, once it has been started."""
    _program_pidfd: int | None = None
    port: ClaimedPort | None = None
    """Where its program listens, if in the machine's network."""
    parent: Instance | None = None
    """Of a member, a fork that an image's program has made: the instance that it belongs to."""
    begun = True
    """It has had its first turn; a member that has not answers nothing."""
    left = False
    """It was a member, and is in lockstep no more."""
    takes_descriptors = False
    """They may come with its frames: it may have members."""
    stirred = False
    """It has computed since its other processes were last asked whether that concerns them."""
    to_be_asked = False
    """One of them has: it is asked when it is its turn to be."""
    answers_question = False
    """The next report is the answer to that."""
    ends_us: int | None = None
    """When its program ended, in simulated time, where the word of that has come."""
    released = False
    reclaimed_because: str | None = None

    def __init__(
        self,
        zygote: Zygote,
        hint: messages.JsonObject,
    ) -> None:
        """Have a process forked from *zygote* that is to be an instance, once it is told of which function.

        The *hint* says what the zygote does beforehand: which code it compiles, what it mounts.
        """
        self.number = zygote.take_number()
        self.hint = hint
        self._disk: list[int] = []
        """Descriptors that belong to its disk, before it has a sandbox."""
        self.pid = 0
        self.pidfd: int | None = None
        self.status: int | None = None
        """The wait status, once the process is gone."""
        self.refused: str | None = None
        self.listening: set[int] = set()
        """The signals for which user code has installed a handler."""
        self.rss = 0
        """Peak memory in bytes above that at the fork, as last told."""
        self.zygote = zygote
        self.members: list[Instance] = []
        """Forks of it that are in lockstep too, in the order of their beginnings."""
        self.descriptors: list[int] = []
        """Those that have come, and whose frame has not been dealt with."""
        self.children = Children(self)
        theirs = self._open()
        self.control: Any = memoryview(self._map)[: messages.PAGE_BYTES].cast("q")
        os.lseek(self.control_file, messages.STACKS_OFFSET, os.SEEK_SET)
        self._frames = messages.FrameReader()
        self._unsent = bytearray()
        self.full = False
        """Its channel takes nothing more for now; what is left follows when it does."""
        self.channel_open = True
        try:
            fds = [theirs.fileno(), self.output.theirs, self.control_file, self.attention]
            zygote.spawn(self.number, hint, fds, self)
        except BaseException:
            self._close()
            raise
        finally:
            theirs.close()
            os.close(self.output.theirs)

    def _open(self) -> socket.socket:
        """Make what the two sides share; gives the instance's end of the channel. All or nothing stays open."""
        opened: list[int] = []
        try:
            self.output = Output(messages.mark_of(self.zygote.nonce), self._wrote)
            opened += self.output.fd, self.output.theirs
            self.attention = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            opened.append(self.attention)
            self.control_file = os.memfd_create("scf-async-control", os.MFD_CLOEXEC)
            opened.append(self.control_file)
            os.ftruncate(self.control_file, messages.STACKS_OFFSET)
            self._map = mmap.mmap(self.control_file, messages.STACKS_OFFSET)
            self.channel, theirs = socket.socketpair()
        except BaseException:
            for fd in opened:
                os.close(fd)
            if hasattr(self, "_map"):
                self._map.close()
            raise
        self.channel.setblocking(False)
        return theirs

    def become(self, owner: Owner, sandbox: Sandbox, fds: list[int], config: messages.JsonObject) -> None:
        """Tell the process which function's instance it is; from here on *owner* hears it."""
        self.owner, self.sandbox, self.called = owner, sandbox, True
        if self.pidfd is not None:
            sandbox.started(self.pid, *self._disk)
            self._disk.clear()
        data = messages.json_frame(messages.BECOME, config)
        descriptors = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        try:
            sent = self.channel.sendmsg([data], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dead; the zygote tells
        self._unsent += data[sent:]

    # -- what it is doing --------------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        return self.status is not None or self.refused is not None

    @property
    def doing(self) -> Doing:
        if self.gone:
            return Doing.ENDED
        if self.frozen:
            return Doing.FROZEN
        if self.gated is not None and not self.turn:
            return Doing.GATED
        if self.free_running:
            return Doing.FREE_RUNNING
        if self.overtaken:
            return Doing.COMPUTING if self.overrun else Doing.HELD
        if self.turn or self.outside:
            return Doing.COMPUTING
        return Doing.HELD if self.held or self.children.look() else Doing.PARKED

    @property
    def computing(self) -> bool:
        """It keeps others from their turn; not one that was frozen before it said that its threads wait."""
        if self.gone or self.frozen or self.free_running:
            return False
        return self.turn or (self.outside > 0 and not self.overtaken)

    @property
    def holds_clock(self) -> bool:
        """A thread of it is in a real wait, or a child of it lives, so that time may not pass by itself."""
        if self.gone or self.frozen or self.free_running:
            return False
        return self.held > 0 or self.overtaken or bool(self.children.look())

    @property
    def has_alarm(self) -> bool:
        """Its alarm (``signal.alarm``) is set: a signal is due for its main thread, which may be in a real wait."""
        return not self.released and bool(self.control[messages.CONTROL_ALARM])

    # -- leases ------------------------------------------------------------------------------------------------------

    def lease(self, until_us: int, now_us: int) -> None:
        """Let the instance move the clock itself, to any time before *until_us*."""
        if self.told_us is None:
            self.told_us = now_us
        if self.control[messages.CONTROL_LEASE] != until_us:
            self.control[messages.CONTROL_LEASE] = until_us

    def revoke_lease(self) -> None:
        """From its next wait on the instance moves the clock no more; what it has done it still tells."""
        if not self.released:
            self.control[messages.CONTROL_LEASE] = 0

    def end_lease(self) -> None:
        """The instance has told all that it did under a lease: it waits, or is gone."""
        if self.told_us is not None:
            self.told_us = None
            self.revoke_lease()

    @property
    def waits(self) -> tuple[int, int]:
        """How many times it has waited, by message and under leases."""
        return self.parks, 0 if self.released else int(self.control[messages.CONTROL_LEASED])

    def leased_waits(self, records: int | None) -> Iterator[tuple[str, int, int, int]]:
        """The leased waits up to *records* that have not been read yet: text, beginnings (µs) of first and last, count.

        None: all. An instance that gets a turn begins anew.
        """
        control = self.control
        until = int(control[messages.CONTROL_RECORDS]) if records is None else records
        for number in range(self._leased_read, until):
            at = messages.LEASE_LOG + number * messages.LEASE_RECORD
            place, first_us, last_us, count = control[at : at + messages.LEASE_RECORD]
            start = messages.TEXTS_OFFSET + (place >> 16)
            yield self._map[start : start + (place & 0xFFFF)].decode("utf-8", "replace"), first_us, last_us, count
        self._leased_read = until

    # -- messages ----------------------------------------------------------------------------------------------------

    def send(self, kind: int, body: messages.JsonObject | None = None) -> None:
        """Send a frame; it is on its way at once unless the channel is full."""
        if self.free_running and kind not in messages.FOR_AGENTS:
            return  # an agent has no threads that wait, no gates in its code and no turn
        self.sent += 1
        if kind == messages.TURN:
            self._leased_read = 0
        self.control[messages.CONTROL_MESSAGES] = self.sent
        self._unsent += messages.frame(kind) if body is None else messages.json_frame(kind, body)
        if self.outside or self.overtaken:
            self.ring()  # whoever is inside the door has to read the channel
        self._flush()

    def poke(self) -> None:
        """Have the main thread look for signals: one that came just before a wait, or on another thread, ends none.

        A wakeup descriptor helps a wait inside the door, while user code has none of its own.
        """
        self.signal(POKE_SIGNAL)

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self.channel.send(self._unsent)
            except BlockingIOError:
                if not self.full:
                    self.full = True
                    self.owner.instance_full(self)
                return
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.ECONNRESET):
                    self._unsent.clear()  # it is dead; the zygote tells
                    break
                raise
            del self._unsent[:sent]
        if self.full:
            self.full = False
            self.owner.instance_full(self)

    def ring(self) -> None:
        """Have a thread that is inside the door look around."""
        os.eventfd_write(self.attention, 1)

    def pump(self) -> None:
        """Take in what the instance has said and written, in true order, without waiting."""
        if self.released:
            return
        if self._unsent:
            self._flush()
        frames: list[tuple[int, bytes]] = []
        while True:
            try:
                data = self._receive() if self.takes_descriptors else self.channel.recv(READ_BYTES)
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                self.channel_open = False
                break
            frames += self._frames.feed(data)
            if len(data) < READ_BYTES:
                break
        self.output.read()  # after the frames: what was written before each of them is there
        if frames and not self.pid:  # it was quicker than the zygote's word of it, without which no signal reaches it
            self.zygote.hear_until(lambda: self.pid > 0 or self.gone, START_LIMIT)
        for kind, body in frames:
            self.output.give_lines()
            if kind in messages.MARKED:
                self.output.pass_mark()
            self.owner.instance_said(self, kind, body)
        self.output.give_lines()

    def _receive(self) -> bytes:
        data, ancillary, _, _ = self.channel.recvmsg(READ_BYTES, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
        for _, _, payload in ancillary:
            fds = array.array("i")
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            self.descriptors += fds
        return data

    def _wrote(self, line: str) -> None:
        self.owner.instance_wrote(self, line)

    # -- its process -------------------------------------------------------------------------------------------------

    def spawned(self, pid: int, fds: list[int]) -> None:
        """The zygote has forked the process."""
        self.pid = pid
        expected = 1 + (self.hint["common"] is not None)
        if len(fds) != expected:  # the kernel drops those for which there is no room
            self._cannot_be_owned(fds)
            return
        self.pidfd, *self._disk = fds
        if self.called:
            self.sandbox.started(self.pid, *self._disk)
            self._disk.clear()
            self.owner.instance_started(self)

    def refused_by_zygote(self, why: str) -> None:
        """It could not be forked."""
        self.refused = why
        if self.called:
            self.owner.instance_gone(self)

    def ended(self, status: int) -> None:
        """The process is gone, and what it left behind is too."""
        self.status = status
        if self.called:
            self.owner.instance_gone(self)

    def never_began(self) -> bool:
        """Whether there was no process, or one that could not become an instance and wrote why."""
        if self.refused is not None or self.status is None:
            return self.refused is not None
        began = self.released or self.control[messages.CONTROL_MEMORY_AT_FORK] != 0
        return not began and os.WIFEXITED(self.status) and os.WEXITSTATUS(self.status) == messages.SETUP_FAILED

    def _cannot_be_owned(self, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        self.zygote.reclaim(self.number)
        self.refused = os.strerror(errno.EMFILE)
        if self.called:
            self.owner.instance_gone(self)

    def lives(self) -> bool:
        """Whether the process has not ended, by the kernel's word: the zygote's comes a little later."""
        if self.gone or self.pidfd is None:
            return not self.gone
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return not poller.poll(0)

    def signal(self, signum: int) -> bool:
        """Send *signum*; False when the process is gone."""
        if self.pidfd is None or self.gone:
            return False
        try:
            signal.pidfd_send_signal(self.pidfd, signum)
        except ProcessLookupError:
            return False
        return True

    def program_started(self, pid: int) -> None:
        """Its agent has started the program *pid*, which it has not waited for: the id is nobody else's."""
        try:
            self._program_pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # the agent is gone, and the program with it
        if pid in procfs.children_of(self.pid):
            self.program_pid = pid

    @property
    def user_pid(self) -> int:
        """The process that runs user code, to which a SIGTERM goes; 0 where there is none yet."""
        return self.program_pid if self.free_running else self.pid

    def signal_user(self, signum: int) -> bool:
        """Send *signum* to the process that runs user code; False when it is gone."""
        if not self.free_running:
            return self.signal(signum)
        if self._program_pidfd is None or not self.program_pid:
            return False
        try:
            signal.pidfd_send_signal(self._program_pidfd, signum)
        except ProcessLookupError:
            return False
        return True

    def stop(self) -> None:
        """Stop the process and what it has started, as the platform freezes an instance."""
        if not self.stopped and self.signal(signal.SIGSTOP):
            self.stopped = True
            self.children.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self.stopped:
            self.stopped = False
            self.children.signal(signal.SIGCONT)
            self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, by way of the zygote where no pidfd has come yet; also for a stopped process."""
        if not self.signal(signal.SIGKILL) and self.pidfd is None and not self.gone:
            self.zygote.reclaim(self.number)

    def threads_known(self) -> dict[int, tuple[int, str, str]]:
        """By their identity in Python, the kernel's id of threads, their names, and what they wait for in real time."""
        rows = messages.THREAD_ROW.iter_unpack(self._map[messages.THREADS_OFFSET : messages.STACKS_OFFSET])
        return {
            ident: (native, name[:size].decode("utf-8", "replace"), wait[:length].decode("utf-8", "replace"))
            for ident, native, size, name, length, wait in rows
            if ident
        }

    @property
    def acting(self) -> Instance:
        """The process of it that says what it is doing: one that does something, or else its first."""
        for doing in (Doing.GATED, Doing.COMPUTING, Doing.HELD):
            for each in self.group:
                if each.doing is doing:
                    return each
        return self

    @property
    def group(self) -> list[Instance]:
        """It, and its members."""
        return [self, *self.members]

    def ask_for_stacks(self) -> None:
        """Have the instance write the Python stacks of its threads; ``stacks`` reads them once they are there."""
        os.ftruncate(self.control_file, messages.STACKS_OFFSET)
        os.lseek(self.control_file, messages.STACKS_OFFSET, os.SEEK_SET)
        self.signal(STACKS_SIGNAL)

    def stacks(self) -> str:
        size = os.fstat(self.control_file).st_size - messages.STACKS_OFFSET
        return os.pread(self.control_file, max(size, 0), messages.STACKS_OFFSET).decode("utf-8", "replace")

    def release(self) -> None:
        """Close everything that belonged to the instance, once it is gone."""
        if self.released:
            return
        self.released = True
        self.zygote.listeners.pop(self.number, None)
        self._close()
        if self.port is not None:
            self.port.release()
        if self.called:
            self.sandbox.remove()

    def _close(self) -> None:
        for received in self.descriptors:
            os.close(received)
        self.descriptors.clear()
        self.control.release()
        self._map.close()
        self.channel.close()
        for fd in (self.output.fd, self.attention, self.control_file, self.pidfd, self._program_pidfd, *self._disk):
            if fd is not None:
                os.close(fd)

    def told(self, body: bytes) -> messages.JsonObject:
        value = json.loads(body)
        if not isinstance(value, dict):
            raise HarnessError(f"an instance sent {value!r} where an object was expected")
        return value

    def __repr__(self) -> str:
        return f"<Instance {self.number} pid {self.pid} {self.doing}>"


def exit_text(status: int | None) -> str:
    """A wait status in words."""
    if status is None:
        return "it is unknown how"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        known = number in signal.Signals.__members__.values()
        return f"killed by {signal.Signals(number).name} (signal {number})" if known else f"killed by signal {number}"
    return f"exit code {os.WEXITSTATUS(status)}"
