"""One instance as the harness sees it: its channel, its output, its process, and what it is doing.

Longer than other modules: an instance has many sides, all of one process that everybody asks.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from ..clock import DueThing
from ..errors import HarnessError
from ..linux import procfs
from ..linux.linux import POKE_SIGNAL, STACKS_SIGNAL, send_descriptors
from ..linux.quiet_signals import signal_quietly
from ..model.timeline import Exit
from ..protocol import messages, shared_page
from ..protocol.real_time import REAL
from ..protocol.shared_page import ControlPage
from .output import PIPE_BYTES, READ_BYTES, WHOLE_BYTES, Output
from .process_tree import Children, send
from .runtimes.strategy import ClaimedPort, Runtime
from .sandbox import Sandbox
from .state import Doing, InstanceState, Life, start
from .user_process import Companion, UserProcess
from .writers import wait_until_stopped, writers_that_wait
from .zygote import Zygote

STOP_LIMIT = 30.0
"""Real seconds within which an instance has stopped the program that it traces."""
START_LIMIT = 10.0
"""Real seconds within which the zygote has to report an instance that runs."""


FollowUp = Callable[[], None]
"""What follows from a report, once all that has come is taken in."""


class Owner(Protocol):
    """Who receives what an instance reports (the scheduler).

    ``instance_reported`` alone is called in any thread, as the zygote is shared: `take_start` and `take_end` are to be
    asked then, in a thread that has the owner's lock, as ``take_reports`` does.
    """

    def instance_said(self, instance: Instance, kind: int, body: bytes) -> FollowUp | None: ...
    def instance_garbled(self, instance: Instance, why: str) -> None: ...
    def instance_wrote(self, instance: Instance, line: str) -> None: ...
    def instance_leased(self, instance: Instance, records: int) -> None: ...
    def instance_reported(self, instance: Instance) -> None: ...
    def take_reports(self, instance: Instance) -> None: ...
    def instance_held_back(self, instance: Instance) -> None: ...
    def instance_clock_us(self) -> int: ...
    def instance_died(self, instance: Instance) -> None: ...
    def instance_stirs(self, instance: Instance) -> None: ...


def not_started(name: str, why: str, removed: str = "") -> HarnessError:
    """The error where no instance of the function *name* could be started.

    *removed* is the base temp, where it is not there any more; empty: it is.
    """
    if removed and os.strerror(errno.ENOENT) in why:
        why = (
            f"pytest's base temp {removed} was removed while the tests ran, by another session's clean-up or by hand; "
            "run them again, with --basetemp=DIRECTORY if it happens again: no other session cleans that up (pytest "
            "empties it first, so use a directory of its own)"
        )
    if os.strerror(errno.EMFILE) in why:
        import resource  # noqa: PLC0415  (Windows has none, and imports this module)

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        why += (
            f"; an instance takes six descriptors of this process, which may have {limit:,}: raise that limit "
            "(ulimit -n), or run fewer events at a time"
        )
    return HarnessError(f"an instance of {name} could not be started: {why}")


class Instance:
    """A process that was forked from the zygote. Signals go to it by the pidfd that came with it, and only so."""

    owner: Owner
    """Who receives what it reports, once it is an instance of a function."""
    runtime: Runtime
    """How it is spoken to, and what it can be asked; the same holds for this and for what follows."""
    sandbox: Sandbox
    user_process: UserProcess
    called = False
    """It knows of which function it is an instance."""
    _start_taken = _end_taken = False
    state: InstanceState = start(in_lockstep=True)
    """What it does: the scheduler's, which alone applies facts to it."""
    head: DueThing | None = None
    """When the first of its waits is due."""
    waits_in = ""
    """The wait that was entered last."""
    place = 0
    """Its number in the order in which its runtime's instances were started."""
    turns = 0
    """How many times one of its waits has been ended by message."""
    parks = 0
    """How many times it has given the run token back."""
    gated: str | None = None
    """The gate at which it stands."""
    stopped = False
    waiting_writers: frozenset[int] = frozenset()
    """While it is stopped: those of its processes that are not, as they wait for room in its output, which has none."""
    _sent_sigstop: frozenset[int] = frozenset()
    """While it is stopped: the processes to which a SIGSTOP was sent, itself and below it."""
    gate_on_main = False
    has_gates = False
    entered = 0
    """How many times a handler of SIGTERM has been entered."""
    deferred = 0
    """How many times a SIGTERM came whose handler is called after a wait."""
    sent = 0
    """Frames sent so far: a report that has seen fewer is out of date."""
    seen = 0
    """How many of them its last report had seen."""
    asked = 0
    """The place of the first of its waits that hold the clock, as it has last reported; 0: none does."""
    reported_us: int | None = None
    """While it may move the clock itself: the time that it has reported, in µs. It may be further already."""
    unleased_at: tuple[int, int] | None = None
    """What ``waits`` was when its lease ended because it does not speak: it gets none before its next wait."""
    _leased_read = 0
    """How many records of leased waits have been read."""
    _records_before = 0
    """How many there were when output was read last that no message dates."""
    used_ns = 0
    """Its processor time, by its own word or, at its end, by the kernel's."""
    takes_time = False
    """What it computes takes simulated time (``compute_rate``)."""
    parts: Collection[str] = ()
    """The modules of the parts of features that it has."""
    companion: Companion | None = None
    """What runs its program outside its sandbox."""
    port: ClaimedPort | None = None
    """Where its program listens, if in the machine's network."""
    peer = messages.Peer.HANDLER
    """What its process is to the protocol: which messages it takes, and may send."""
    ends_us: int | None = None
    """When its program ended, in simulated time, where it has reported that."""
    released = False
    reclaimed_because: str | None = None

    def __init__(self, zygote: Zygote, hint: messages.Expect) -> None:
        """Have a process forked from *zygote* that is to be an instance, once it knows of which function.

        The *hint* says what the zygote does beforehand: which code it compiles, what it mounts.
        """
        self.number = zygote.take_number()
        self.hint = hint
        self._disk: list[list[int]] = []
        """Descriptors that belong to its disk, before it has a sandbox."""
        self.pid = 0
        self.pidfd: int | None = None
        self.status: int | None = None
        """The wait status, once the process is gone."""
        self._became = ""
        """As of `became`, once the process is gone."""
        self.refused: str | None = None
        self.listening: set[int] = set()
        """The signals for which user code has installed a handler."""
        self.caught_natively = False
        """The runtime of its program's language catches SIGTERM, whether the program listens or not."""
        self.rss = self.peak = 0
        """The most bytes in memory: above those at the fork, as far as known; and in all, once the process is gone."""
        self.zygote = zygote
        self.process_waits: dict[str, list[tuple[int, messages.ProcessWait]]] = {}
        """By event: what the processes of its program wait in, while there are several, each with how many entries the
        timeline had when that was known."""
        self.children = Children(self)
        theirs = self._open()
        os.lseek(self.control_file, shared_page.STACKS_OFFSET, os.SEEK_SET)
        self._frames = messages.FrameReader()
        self._unsent = bytearray()
        self.full = False
        """Its channel takes nothing more for now; what is left follows when it does."""
        self.channel_open = True
        try:
            fds = [theirs.fileno(), self.output.theirs, self.control_file, self.wakeup_fd]
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
            self.output = Output(messages.mark_of(self.zygote.nonce), self._wrote, self._dated)
            opened += self.output.fd, self.output.theirs
            self.wakeup_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            opened.append(self.wakeup_fd)
            self.control_file = shared_page.shared_memory("scf-async-control", shared_page.CONTROL_BYTES)
            opened.append(self.control_file)
            self.control = ControlPage(self.control_file)
            self.channel, theirs = socket.socketpair()
        except BaseException:
            for fd in opened:
                os.close(fd)
            if hasattr(self, "control"):
                self.control.release()
            raise
        self.channel.setblocking(False)
        return theirs

    def accompany(self, companion: Companion | None, port: ClaimedPort | None) -> None:
        """Give it what runs its program outside its sandbox, and the port of the machine that this listens on."""
        self.companion, self.port = companion, port

    def assign(self, owner: Owner, runtime: Runtime, sandbox: Sandbox, fds: list[int], config: messages.Assign) -> None:
        """Send the process which function's instance it is; from here on *owner* receives what it reports."""
        self.parts, self.takes_time = config.parts.keys(), config.compute_rate > 0
        self.state = start(runtime.in_lockstep, Life.ENDED if self.gone else Life.RUNS)
        self.owner, self.runtime, self.sandbox, self.called = owner, runtime, sandbox, True
        self.user_process = runtime.user_process(self)
        self.peer = runtime.peer
        owner.instance_reported(self)  # it may have been there before
        data = messages.pack(config)
        try:
            sent = send_descriptors(self.channel, data, fds)
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dead, and the zygote reports that
        self._unsent += data[sent:]

    # -- what it does ------------------------------------------------------------------------------------------------

    def enter(self, state: InstanceState) -> None:
        """The scheduler has applied a fact to it."""
        self.state = state

    @property
    def gone(self) -> bool:
        """Whether its process is gone, or could not be had."""
        return self.status is not None or self.refused is not None

    def doing(self) -> Doing:
        """What it does, in the documentation's words: by what it has reported, and by a look at its children."""
        return self.state.doing(held=self._is_held())

    @property
    def rests(self) -> bool:
        """It does nothing, and holds nothing, before a wait of it is due or something is sent to it.

        So a runtime need not look at it until then: thousands of instances cost no more than the few that do something.
        """
        if self.released or not self.state.rests or self.state.idle:
            return self.released or self.state.rests
        may_be_woken = self.control.watches or self.control.beside or self.children.possible
        return not (self.stopped or not self.channel_open or may_be_woken)

    def holds_clock(self) -> bool:
        """Whether a thread of it is in a real wait, or a child of it lives, so that time may not pass by itself."""
        state = self.state
        if not state.active:
            return False
        return self._is_held() or (state.preempted and state.polled and self.children.can_answer)

    def _is_held(self) -> bool:
        """Whether it waits for somebody else: no thread of it, and no child of it, can have all go on."""
        state = self.state
        return state.held or bool(self.children.look()) or (state.preempted and not self.children.threads_rest)

    # -- what it has reported ----------------------------------------------------------------------------------------

    def reported(self, seen: int, asked: int, *, parked: bool) -> None:
        """It has reported, and had read *seen* messages by then; *parked*: with that it gave the run token back."""
        self.seen, self.asked = seen, asked
        self.parks += parked

    def typed(self) -> None:
        """The prompt of its debugger was answered: what it did before was a wait of its own."""
        self.parks += 1

    def processes_wait(self, request_id: str, entries: int, waits: Iterable[messages.ProcessWait]) -> None:
        """Processes of its program wait in other calls in that event, whose timeline has so many entries."""
        self.process_waits.setdefault(request_id, []).extend((entries, wait) for wait in waits)

    def entered_wait(self, text: str) -> None:
        """A thread of it has entered a wait."""
        self.waits_in = text

    def set_wake_up(self, head: DueThing | None) -> None:
        """The first of its waits is due with *head*; None: none is, while it is frozen, at a gate or gone."""
        if self.head is not None:
            self.head.cancel()
        self.head = head

    def resumed(self) -> None:
        """The first of its waits was ended by message."""
        self.head = None
        self.turns += 1

    def reached(self, gate: str, *, on_main: bool) -> None:
        """It stands at *gate*, with its main thread or another one."""
        self.gated, self.gate_on_main = gate, on_main

    def left_gate(self) -> None:
        """It stands at no gate any more."""
        self.gated = None

    def looks_for_gates(self, looks: bool) -> None:
        """Whether it has gates to look for, or places to count."""
        self.has_gates = looks

    def sigterm_entered(self) -> None:
        """A handler of SIGTERM has been entered."""
        self.entered += 1

    def sigterm_deferred(self) -> None:
        """A handler of SIGTERM is called after the wait of the main thread."""
        self.deferred += 1

    def listens(self, signum: int, handler: str) -> None:
        """User code has set the *handler* of a signal."""
        (self.listening.add if handler == "handler" else self.listening.discard)(signum)
        if signum == signal.SIGTERM:
            self.caught_natively = handler == "native"

    def program_ends(self, at_us: int | None) -> None:
        """Its program has ended, in simulated time; None: the end has been dealt with."""
        self.ends_us = at_us

    def has_used(self, memory: int, others: Iterable[int] = ()) -> None:
        """Its peak memory above that at the fork is *memory* bytes, and what the processes *others* have."""
        self.rss = max(self.rss, memory + sum(map(procfs.unshared_memory, others)))

    def has_computed(self, used_ns: int) -> None:
        """It has reported its processor time."""
        self.used_ns = max(self.used_ns, used_ns)

    # -- what becomes of it ------------------------------------------------------------------------------------------

    def is_placed(self, place: int) -> None:
        """It is the one with this number of its runtime's instances."""
        self.place = place

    def is_reclaimed(self, because: str) -> None:
        """No other event will have it."""
        self.reclaimed_because = because

    def died_of_sigkill(self) -> None:
        """It is as good as gone, and nobody waits for the zygote to say so, which may be dead itself."""
        self.status = signal.SIGKILL
        if self.called:
            self.owner.instance_died(self)

    @property
    def waits_beside(self) -> bool:
        """A thread of it waits for somebody else without holding the clock: on a connection that is idle."""
        return not self.released and bool(self.control.beside)

    @property
    def has_alarm(self) -> bool:
        """Its alarm (``signal.alarm``) is set: a signal is due for its main thread, which may be in a real wait."""
        return not self.released and bool(self.control.alarm)

    # -- leases ------------------------------------------------------------------------------------------------------

    def lease(self, until_us: int, now_us: int) -> None:
        """Let the instance move the clock itself, to any time before *until_us*."""
        if self.reported_us is None:
            self.reported_us = now_us
        if self.control.lease != until_us:
            self.control.lease = until_us

    def use_core(self, core: int | None) -> None:
        """Have it run on the core of that number from its next message on; None: where the kernel wants."""
        if not (self.gone or self.released or self.traces_user_code):
            self.control.core = 0 if core is None else core + 1

    def revoke_lease(self) -> None:
        """From its next wait on the instance moves the clock no more; what it has done it still reports."""
        if not self.released:
            self.control.lease = 0

    def end_lease(self) -> None:
        """The instance has reported all that it did under a lease: it waits, or is gone."""
        if self.reported_us is not None:
            self.reported_us = None
            self.revoke_lease()

    def tells_time(self, time_us: int) -> None:
        """It has reported the time to which it has moved the clock under its lease."""
        self.reported_us = time_us

    def lose_lease(self) -> None:
        """Revoke its lease, of which it gets none before its next wait, as it does not report."""
        self.revoke_lease()
        self.unleased_at = self.waits

    @property
    def waits(self) -> tuple[int, int]:
        """How many times it has waited, by message and under leases."""
        return self.parks, 0 if self.released else self.control.leased

    def leased_waits(self, records: int | None) -> Iterator[tuple[str, int, int, int, bool]]:
        """The leased waits up to *records* that have not been read yet, as in `ControlPage.leased_waits`.

        None: all. An instance that gets the run token begins anew.
        """
        until = min(self.control.records if records is None else records, shared_page.LEASE_RECORDS)
        yield from self.control.leased_waits(self._leased_read, until)
        self._leased_read = max(self._leased_read, until)

    # -- messages ----------------------------------------------------------------------------------------------------

    def send(self, message: messages.ForInstance) -> None:
        """Send a message; it is on its way at once unless the channel is full."""
        if not messages.is_for(message, self.peer):
            return
        self.sent += 1
        if isinstance(message, messages.Resume):
            self._leased_read = self._records_before = 0
        self.control.messages = self.sent
        self._unsent += messages.pack(message)
        if self.state.outside:
            self.wake()  # whoever is inside the scheduler has to read the channel
        self._flush()

    def poke(self) -> None:
        """Have the main thread look for signals: one that came just before a wait, or on another thread, ends none.

        A wakeup descriptor helps a wait inside the scheduler, while user code has none of its own.
        """
        self.signal(POKE_SIGNAL)

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self.channel.send(self._unsent)
            except BlockingIOError:
                if not self.full:
                    self.full = True
                    self.owner.instance_held_back(self)
                return
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.ECONNRESET):
                    self._unsent.clear()  # it is dead, and the zygote reports that
                    break
                raise
            del self._unsent[:sent]
        if self.full:
            self.full = False
            self.owner.instance_held_back(self)

    def wake(self) -> None:
        """Have a thread that is inside the scheduler look around."""
        os.eventfd_write(self.wakeup_fd, 1)

    def pump(self) -> list[FollowUp]:
        """Take in what the instance has reported and written, in true order, without waiting; gives what follows."""
        if self.released:
            return []
        if self._unsent:
            self._flush()
        if self.output.holds_back and not self.gone:
            return []  # what was said belongs behind what was written
        self._begin_reading()
        try:
            frames = self._read()
        finally:
            c_code = self._end_reading()
        if frames and self.called:
            self.owner.instance_stirs(self)
        if frames and not self.pid:  # it was quicker than the zygote's message, without which no signal reaches it
            self.zygote.receive_until(lambda: self.pid > 0 or self.gone, START_LIMIT)
        follow_ups: list[FollowUp] = []
        for kind, body in frames:
            if kind in messages.MARKED:
                wrote = messages.wrote_in(kind, body)
                if wrote is not None:  # these waits were over when the lines were written
                    self.owner.instance_leased(self, wrote.records)
                self.output.give_lines(None if wrote is None else wrote.time_us)
                self.output.pass_mark()
            else:
                self._give_lines(c_code)
            follow_up = self.owner.instance_said(self, kind, body)
            if follow_up is not None:
                follow_ups.append(follow_up)
        self._give_lines(c_code)
        return follow_ups

    @property
    def _has_c_code(self) -> bool:
        """Code in C may write to its output, and not look at how much was written."""
        return not self.released and bool(self.control.c_code)

    def _give_lines(self, c_code: bool) -> None:
        """Give on what was read, up to the next mark, unless its time comes with that: *c_code* may have written it."""
        if not (c_code and (self.output.has_mark or not self.output.drained)):
            self.owner.instance_leased(self, self._records_before)
            self.output.give_lines()

    def _begin_reading(self) -> None:
        """Have the clock stand while the output is read, where the instance moves it and code in C may write.

        What such code wrote before the clock was moved stands before a mark: the rest is of the time that it is now.
        An instance in which such code is loaded only now heeds this, too.
        """
        if not self.released and self.reported_us is not None:
            self.control.reading = True

    def _end_reading(self) -> bool:
        """Whether code in C may have written what was read while the instance moves the clock."""
        if self.released or not self.control.reading:
            return False
        c_code = self._has_c_code
        if c_code and self.output.drained and self.output.date(self.owner.instance_clock_us()):
            self._records_before = self.control.records
            self.control.reads += 1
        self.control.reading = False
        return c_code

    def _read(self) -> list[tuple[int, bytes]]:
        """Take in what has come; gives the frames."""
        frames: list[tuple[int, bytes]] = []
        while True:
            try:
                data = self.channel.recv(READ_BYTES)
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                self.channel_open = False
                self.owner.instance_stirs(self)
                break
            try:
                frames += self._frames.feed(data)
            except ValueError as error:
                self.channel_open = False
                self.owner.instance_garbled(self, str(error))
                return []
            if len(data) < READ_BYTES:
                break
        # After the frames: what was written before each of them is there. Without frames a part will do: who writes
        # without end is not to keep the caller from looking at anything else.
        self.output.read(PIPE_BYTES if frames else READ_BYTES)
        return frames

    def _dated(self, time_us: int) -> None:
        if self.reported_us is not None:
            self.reported_us = time_us

    def _wrote(self, line: str) -> None:
        self.owner.instance_wrote(self, line)

    # -- its process -------------------------------------------------------------------------------------------------

    # What the zygote says of it comes in the thread of whichever runtime receives first, without the lock of its own.
    # It is kept as facts, which the owner takes once they are in its queue.

    def spawned(self, pid: int, fds: list[int]) -> None:
        """The zygote has forked the process."""
        self.pid = pid
        expected = 1 + (self.hint.common is not None)
        if len(fds) != expected:  # the kernel drops those for which there is no room
            self._cannot_be_owned(fds)
            return
        self._disk.append(fds[1:])
        self.pidfd = fds[0]  # last: `take_start`, in another thread, looks at it
        self._report()

    def _report(self) -> None:
        if self.called:  # else its owner looks when it has become one
            self.owner.instance_reported(self)

    def take_start(self) -> bool:
        """Whether it has its process, and had none when this was asked before; its sandbox gets what came with it."""
        if self._start_taken or self.pidfd is None or self.released:
            return False
        self._start_taken = True
        self.sandbox.started(self.pid, *self._disk.pop())
        return True

    def take_end(self) -> bool:
        """Whether its process is gone, or could not be had, which was not so when this was asked before."""
        if self._end_taken or not self.gone or self.released:
            return False
        self._end_taken = True
        return True

    def refused_by_zygote(self, why: str) -> None:
        """It could not be forked."""
        self.refused = why
        self._report()

    def ended(self, how: messages.Gone) -> None:
        """The process is gone, and what it left behind is too."""
        self.used_ns, self._became, self.peak = how.used_ns, how.became, how.peak
        self.status = how.status
        self._report()

    def never_began(self) -> bool:
        """Whether there was no process, or one that could not become an instance and wrote why."""
        if self.refused is not None or self.status is None:
            return self.refused is not None
        began = self.released or self.control.memory_at_fork != 0
        return not began and os.WIFEXITED(self.status) and os.WEXITSTATUS(self.status) == messages.SETUP_FAILED

    @property
    def is_faulty(self) -> bool:
        """Whether it runs no user code and was ended by an exception of ours, whose stack it wrote."""
        return not self.released and self.control.fault == shared_page.FAILED

    def became(self) -> str:
        """The kernel's name of the program that has taken the place of its own by ``exec``; empty: none has."""
        if self.gone or self.channel_open:  # which that closes
            return self._became
        return procfs.became(self.pid)

    def has_closed_channel(self) -> bool:
        """Whether code in it has closed the descriptor by which it speaks to the harness."""
        if self.gone:
            return not self.released and self.control.fault == shared_page.CLOSED
        return not self.channel_open and bool(procfs.command_of(self.pid))  # a process that ends has no command

    def _cannot_be_owned(self, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        self.zygote.reclaim(self.number)
        self.refused = os.strerror(errno.EMFILE)
        self._report()

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

    def stop(self) -> None:
        """Stop the process and what it has started, as the platform freezes an instance.

        Not who waits in the middle of a write to its output, which a signal would end there and then, with only a part
        written: nobody reads before the others go on, and so the write does not.
        """
        if self.stopped or self.pidfd is None or self.gone:
            return
        if self.traces_user_code:
            self._have_it_stop()
            return
        self.children.look()  # a child that is about to stop looks as if it did something
        with self.children.handles() as below:
            pidfds = {self.pid: self.pidfd, **below}
            self.stopped = True  # from here on `go_on` undoes all of it, however far it comes
            if below or self._has_c_code or self.output.busy or self.output.unread() >= WHOLE_BYTES:
                self._begin_reading()
                try:
                    self.waiting_writers = writers_that_wait(self.output, list(pidfds))
                finally:
                    self._end_reading()
                self.output.looked_at()
            if self.state.preempted:  # what has stopped itself is not to go on because of us
                self.waiting_writers |= {pid for pid in pidfds if procfs.state_of(pid) == b"T"}
            sent = send(signal.SIGSTOP, pidfds, self.waiting_writers)
        # Those, too, that were started meanwhile.
        self._sent_sigstop = sent | self.children.signal(signal.SIGSTOP, self.waiting_writers)
        if self.output.filled:
            self.owner.instance_held_back(self)

    def _have_it_stop(self) -> None:
        """Have it stop the program that it traces, and wait until it has: else that would go on between calls."""
        before = self.control.stops
        self.stopped = True
        self.send(messages.Stop())
        until = REAL.monotonic() + STOP_LIMIT
        while self.control.stops == before and self.lives():
            if REAL.monotonic() > until:
                raise HarnessError(
                    f"the tracer (pid {self.pid}) of {self.runtime.name} has not stopped its program within "
                    f"{STOP_LIMIT:g} real seconds, so that the program is on no clock from here on: was the tracer "
                    "stopped, or did the machine stall?"
                )
            REAL.sleep(0.0001)

    def go_on(self) -> None:
        if not self.stopped:
            return
        if self.traces_user_code:
            self.send(messages.GoOn())
            self.stopped = False
            return
        filled = self.output.filled
        if filled:
            with self.children.handles() as below:
                wait_until_stopped(self._sent_sigstop & {self.pid, *below})
            self._begin_reading()
            try:
                self.output.empty()
            finally:
                self._end_reading()
        self.children.signal(signal.SIGCONT, self.waiting_writers)
        if self.pid not in self.waiting_writers:
            self.signal(signal.SIGCONT)
        self.stopped = False
        self.waiting_writers = self._sent_sigstop = frozenset()
        if filled:
            self.owner.instance_held_back(self)

    def wake_up(self) -> None:
        """Have its own process go on, without those below it, to do something before it is ended."""
        self.stopped = False
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, by way of the zygote where no pidfd has come yet; also for a stopped process."""
        if self.called:
            self.user_process.kill()
        if not self.signal(signal.SIGKILL) and self.pidfd is None and not self.gone:
            self.zygote.reclaim(self.number)
        if self.output.filled:
            self.output.empty()  # a resource tracker writes of what it removes before it ends

    def threads_known(self) -> dict[int, shared_page.KnownThread]:
        """Its threads in Python, by their identity there."""
        return {thread.ident: thread for thread in self.control.threads_known()}

    @property
    def traces_user_code(self) -> bool:
        """User code runs in processes that its own traces; that all of them wait for each other it reports itself."""
        return self.runtime.traces_user_code

    @property
    def elsewhere(self) -> Sequence[int]:
        """Processes that are its own, and not below it."""
        return self.user_process.elsewhere if self.called else ()

    def ask_for_stacks(self) -> bool:
        """Have the instance write the Python stacks of its threads, or, where it traces user code, what they wait for.

        ``stacks`` reads that once it is there. False: it has no handler for that any more, or nowhere to write.
        """
        os.lseek(
            self.control_file, shared_page.STACKS_OFFSET, os.SEEK_SET
        )  # the position, too, is the instance's as well
        if self.traces_user_code:
            return self.signal(STACKS_SIGNAL)
        written_to = (procfs.inode_of(self.pid, fd) for fd in procfs.descriptors_of(self.pid))
        if self.pidfd is None or os.fstat(self.control_file).st_ino not in written_to:
            return False
        return signal_quietly(self.pid, self.pidfd, STACKS_SIGNAL)

    def stacks(self) -> bytes:
        size = os.lseek(self.control_file, 0, os.SEEK_CUR) - shared_page.STACKS_OFFSET
        size = min(max(size, 0), shared_page.STACKS_BYTES)
        return os.pread(self.control_file, size, shared_page.STACKS_OFFSET)

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
            self.user_process.close()
            self.sandbox.remove()

    def _close(self) -> None:
        self.control.release()
        self.channel.close()
        for fd in (self.output.fd, self.wakeup_fd, self.control_file, self.pidfd, *chain(*self._disk)):
            if fd is not None:
                os.close(fd)

    def __repr__(self) -> str:
        return f"<Instance {self.number} pid {self.pid} {self.doing() if self.called else 'forked ahead'}>"


def exit_of(status: int | None) -> Exit:
    """What a wait status says; None: no process has read it."""
    if status is None:
        return Exit()
    return Exit(signum=os.WTERMSIG(status)) if os.WIFSIGNALED(status) else Exit(os.WEXITSTATUS(status))
