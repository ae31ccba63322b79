"""The processes and threads of a traced program: what each does, and whether all of them wait.

`Tree.step` handles the stops of threads. Between two steps no thread of the program can pass a traced system call,
because only the caller lets threads go on.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import resource
import select
import signal
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ...linux import procfs, terminals
from ...linux.sock_diag import SockDiag
from ...protocol.shared_page import Order
from ...side.originals import real_poll, real_waitpid
from .. import calls_of_user
from ..clients.program_client import TcpInfo
from . import clock_reads, clones, proc_reads, timers, tracee, waits
from . import exec as exec_stop
from . import filter as seccomp
from .clock_reads import READS
from .proc_reads import CALL, COUNTERS, STATE
from .random_numbers import RandomNumbers
from .readiness import IN_MILLISECONDS, Readiness
from .recorder import AtCall, Effects
from .sockets import Connections
from .system_calls import BY_NUMBER, CALLS, NAMES, NUMBERS
from .timeouts import NS, Clocks, timespec
from .timers import Timer, Timers
from .tracee import HERE, Registers
from .waits import Wait

MOST_STOPS: Final = 100
"""How many stops one step handles at most, before messages of the test's process are read."""
READ_WAIT_NS: Final = 1_000_000
"""How long a read of the clock waits when a process has made too many in a row."""
LONGEST_NAP_NS: Final = 10_000_000
"""The longest nap of Go's monitor; the shortest is 20 µs.

User code never makes that call: `time.Sleep` waits for a futex or ``epoll``."""
LONGEST_LOOK: Final = 2.0
"""Real seconds for which a thread that looks whether a child has ended, or gives way, waits for those that compute."""
MOST_NAPS: Final = 200
"""After so many naps that ended at once a thread of Go's runtime counts as waiting."""
MONITOR_REST_NS: Final = 60_000_000_000
"""How much longer than it asks for the monitor of Go's runtime waits while nothing computes.

The monitor preempts goroutines that compute. While all others sleep it waits until the program's next wait ends, and
would then find nothing to do. If no wait of the program has a due time, the monitor itself asks for as long as this."""
CALM_SECONDS: Final = 0.001
"""Real seconds within which the other threads are not checked again if no thread of the tree can have woken them."""
MOST_MISSES: Final = 3
"""After so many waits in a row that were each followed by another system call, a thread is rarely stopped at the next
system call after a wait."""
RARELY: Final = 32
"""Such a thread is stopped there after one in so many waits."""
PAST_NS: Final = 1_000
"""How long after its timeout a wait of Python ends, because some of its loops check that the time is past."""
READS_OF_RUNTIME: Final = 100
"""By how much the limit of reads is multiplied for a runtime that reads the clock by itself.

In Node.js the garbage of 6 MB of data costs 1,000 reads. In Python from 3.11 on each lock that is taken costs one."""
READS_BEFORE_FIRST_POLL: Final = 1_000_000
"""So many reads in a row, or more, does such a runtime make before the first one that counts as one of a poll.

In one pass of an event loop 10,000 timeouts begin or end, and each reads the clock some ten times. A process that has
polled once has only the smaller limit from then on: else each of its polls would take 100 ms of real time.
"""
READS_AT_ONCE: Final = 1_000
"""How many reads are answered at once, at least, after `READS_OF_RUNTIME` times the limit."""
FURTHER_READS: Final = 100
"""How many more reads are answered at once after one has waited, if the process only reads the clock."""
READS_TO_SAMPLE: Final = 90
"""How many more reads are answered at once while the next system call of the thread that reads is awaited.

After each poll that is found it is one more, so that the samples fall on different reads in the passes of a loop."""
MOST_CALLS: Final = 4
"""How many calls a sample looks at: a thread of Python may wake one that waits for the GIL before it polls."""
MOST_SAMPLES: Final = 10
"""After so many samples in a row that found a poll a runtime that reads the clock by itself counts as polling it."""
_HAS_A_TRACER: Final = (
    "tried to trace a process (ptrace) and got EPERM: a process can have only one tracer, and on the simulated clock "
    "every process of a program already has one"
)
_NO_NEW_PRIVILEGES: Final = 38
_BELOW_FILTER: Final = 65_536
"""The filter is written into memory so many bytes below the stack of a new program."""
_QUESTIONS: Final = {name: call.asks for name, call in CALLS.items() if call.asks is not None}
_AT_A_CALL: Final = tracee.SYSCALL_STOP << 8 | 0x7F
"""The wait status of a thread that has stopped at a system call."""
_MOST_INT: Final = 0x7FFFFFFF
_OTHER_DESCRIPTORS: Final = 100
"""How many descriptors are reserved for other purposes than the files of threads."""
_LONGEST_STACK: Final = 1 << 23
_SIGINFO_PID: Final = 16
"""Where a ``siginfo_t`` has the process."""
_HARMLESS: Final = tracee.STOPS | {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
"""Signals whose default action does not end the process."""


def _child_in(tid: int, address: int) -> int:
    """The process that the ``siginfo_t`` at *address* names; 0: none."""
    return int.from_bytes(tracee.read_memory(tid, address + _SIGINFO_PID, 4), "little") if address else 0


class Handler(NamedTuple):
    """A signal handler in which a thread is."""

    stack: int
    """The thread's stack pointer when the signal arrived: the handler's stack is below it."""
    is_followed: bool
    """Whether `Hooks.handled` is called when the thread leaves it."""


@dataclass
class Instant:
    """What happened to processes at one time."""

    time_us: int
    forked: set[int] = field(default_factory=set)
    ended: dict[int, str] = field(default_factory=dict)
    """With the calls of user code that have started them. All have their numbers inside the program's container."""


class Question(NamedTuple):
    """A call of the first process in which it may wait for another one."""

    name: str
    at_us: int
    """When it was made."""
    call: str = ""
    """The call of user code that waits for a lock; empty: that is not known."""


class Resumption(NamedTuple):
    """How a stopped thread goes on."""

    signum: int = 0
    to_exit: bool = False
    """Whether it stops again when its current system call returns."""


@dataclass(eq=False)
class Process:
    """A process of the tree."""

    pid: int
    is_child: bool = False
    """Another process of the tree has started it."""
    page: exec_stop.Page | None = None
    """The clock page that it reads; None: each read of the clock is traced."""
    kind: exec_stop.Kind = field(default_factory=exec_stop.Kind)
    executes: bool = False
    """It has executed a program since it was forked."""
    sends_are_seen: bool = False
    """Its threads stop at each send, because one of them has connected to a server."""
    refused: bool = False
    """It has been killed because it cannot be traced."""
    threads_made: int = 0
    """How many threads it has had since it executed a program."""
    yields: int = 0
    """How many waits of no length it has made without another one."""
    limits_left: int = 0
    """How many more times it may reach the limit of reads before a read waits, if it does not poll between them."""
    has_polled: bool = False
    """One of its reads has counted as one of a loop that polls the clock."""
    polls: int = 0
    """In how many samples in a row the system call after a read was a poll that the filter lets pass."""
    polled_ns: int = -1
    """The simulated time from which on reads are counted, but for locks that were waited for."""
    writes: int = 0
    """How often it had written something when that was last checked."""
    inside: int = 0
    """Its number in its own namespace, as in a container."""
    name: str = ""
    """The kernel's name of its program; empty: nobody has asked for it yet."""
    call: str = ""
    """The call of user code that has started it; empty: that is not known."""
    reads_left: int = exec_stop.NO_LIMIT
    """If each read of the clock is traced: how many more are answered at once."""

    def known_name(self) -> str:
        """The kernel's name of its program, which is asked for once."""
        self.name = self.name or procfs.thread_name(self.pid, self.pid)
        return self.name


@dataclass(eq=False)
class Thread:
    """A thread of the tree."""

    tid: int
    process: Process
    serial: int
    """Its number in the order in which threads were created: of two that are due, the older one goes on first."""
    wait: Wait | None = None
    order: Order = (0, 0, 0)
    """The order of its wait among those of all instances."""
    interrupted: Wait | None = None
    """The wait that the kernel restarts once the signal that interrupted it has been handled."""
    vfork_child: int = 0
    """The child of its ``vfork`` that has neither executed a program nor ended, for which it waits; 0: none."""
    receipt: waits.Receipt | None = None
    """Its ``recvmmsg``, if it makes one with a timeout."""
    stopped: bool = False
    """A signal (SIGSTOP, SIGTSTP, …) has stopped it, and no SIGCONT has arrived."""
    held: Resumption | None = None
    """If it is held in its stop: how it goes on from there."""
    gated: bool = False
    """It is at a gate. It stays held while all others go on, except to run handlers of signals that arrive there."""
    handlers: list[Handler] = field(default_factory=list)
    """The handlers in which it is, from the first followed one on. It stops at each call until it has left them."""
    is_stepped: bool = False
    """It stops at its next system call, and `Hooks.returned` is called when that returns."""
    clone: clones.Clone | None = None
    """Its clone call, if the flags of that were changed."""
    question: Question | None = None
    """The call that it makes, if that is one."""
    watched: bool = False
    """It makes a system call at whose return `Hooks.returned` is called."""
    stop_requested: bool = False
    """It has been interrupted so that it stops and is held."""
    nap_until: float | None = None
    """If it has stopped before a nap of Go's runtime: when the nap ends, in seconds of the real monotonic clock."""
    naps: int = 0
    """How many of its naps ended at once since something else of the tree last went on."""
    seen: bool = False
    """Its first stop has been handled."""
    looks_until: float = math.inf
    """Until when it waits for the others as a looker, on the real monotonic clock."""
    gives_way: bool = False
    """It sleeps for no time, so that the other threads of its process run first."""
    files: list[int] = field(default_factory=list)
    is_monitor: bool = False
    """It is the monitor of Go's runtime: the first thread that the runtime starts.

    The monitor runs no goroutines, and watches the threads that do."""
    is_emulated: bool = False
    """It stops at its next system call, whichever that is, before the kernel makes it."""
    samples: int = 0
    """If that call is a sample, which shows whether the thread polls between its reads of the clock: how many calls may
    be looked at until one is found that is not the wakeup of another thread."""
    misses: int = 0
    """How many times in a row that call was not a wait that could end at once.

    From `MOST_MISSES` on this also counts the waits after which the thread is not stopped there."""
    polls: bool = False
    """Its wait was changed to a poll. If that finds nothing, the wait ends at once, or is then made."""
    must_wait: bool = False
    """It has polled and found nothing, and its wait could not end at once."""
    counters: bytes = b""
    """How often and how long it had run at the last `busy`, by the kernel; empty: it may have run since."""
    waits_in: bytes = b""
    """The wait in which the last `busy` found it. It is still in that wait while `counters` do not change."""

    def reach_gate(self) -> None:
        """Be at a gate from its next stop on, or from the current one if it is held."""
        self.gated = True

    def stop_at_next_call(self) -> None:
        """Stop at its next system call, and call `Hooks.returned` when that returns."""
        self.is_stepped = True

    def close(self) -> None:
        for fd in self.files:
            os.close(fd)
        self.files.clear()


class Loop(NamedTuple):
    """A thread waits in an ``epoll`` again and again, and makes no other calls except polls of it before the waits."""

    call: tuple[int, int, int, int]
    """The first four items of `tracee.entry_of` for these calls."""
    most: int
    """The maximum number of events for which the thread asks."""
    has_mask: bool
    """The call has an argument for a signal mask, which must be null."""
    name: str
    past_ns: int
    """How long after its timeout a wait ends."""


class Calm(NamedTuple):
    """All threads of the tree but one wait, and since then that one has done nothing that could wake another."""

    thread: Thread
    until: float
    """From when on something outside may have woken a thread, in seconds of the real monotonic clock."""
    before: tuple[float, int]
    """The first due time of the others, with its serial number."""
    loop: Loop | None = None
    """The loop that the thread runs, if its last wait ended at once and was part of one."""


class Due(NamedTuple):
    """The wait or timer that is due next."""

    due_ns: int
    serial: int
    source: Thread | Timer
    order: Order


@dataclass
class Hooks:
    """Functions of the tree's owner: some answer questions of the tree, the others receive its reports."""

    clocks: Callable[[], Clocks]
    real_monotonic: Callable[[], float]
    idle_ok: Sequence[str] = ()
    """The peers that may owe an answer for ever."""
    output: int | None = None
    """The pipe to which the program writes its output. A thread that waits for room in it goes on once it was read."""
    next_order: Callable[[], Order] = lambda: (0, 0, 0)
    """Returns the order of a new wait, by which two instances with equal due times go on."""
    process_began: Callable[[Process], None] = lambda _process: None
    """Called when a process has executed a program and has its own clock page."""
    process_ended: Callable[[int, int], None] = lambda _pid, _status: None
    stops: Callable[[], object] = lambda: None
    """Called when a thread has stopped: the time that it reads when it goes on must be no older than that."""
    in_transit: Callable[[], bool] = lambda: False
    """Whether the kernel is still delivering data that was sent between the tree and its owner."""
    may_lease: Callable[[int], bool] = lambda _due_ns: False
    """Whether the clock could be moved to that time, as far as that is known without a check of the program."""
    lease_wait: Callable[[Thread, Wait, bool], bool] = lambda _thread, _wait, _is_calm: False
    """Called when a thread is about to begin a wait, and all others wait longer.

    Returns whether it has moved the clock to the end of the wait. The third argument says that no thread of the tree
    has made a system call since the last such wait."""
    lease_wait_again: Callable[[int, str], bool] = lambda _due_ns, _name: False
    """The same as `lease_wait`, for a wait with that due time and name.

    Since the last `lease_wait` that returned True the program has done nothing but wait and poll."""
    signalled: Callable[[Thread, int], bool] = lambda _thread, _signum: False
    """Called when a signal is about to be delivered; returns whether `handled` is to be called at its handler's end."""
    handled: Callable[[Thread], None] = lambda _thread: None
    """Called when a thread has left such a handler."""
    called: Callable[[Thread, str, Registers], bool] = lambda _thread, _name, _registers: False
    """Called at a system call that is not a wait; returns whether the thread is to stop when the call returns."""
    returned: Callable[[Thread], None] = lambda _thread: None
    """Called when a thread has stopped at the return of such a call."""
    at_effect: Callable[[Thread], None] = lambda _thread: None
    """Called when a thread has come to the gate before an effect."""
    server: str = ""
    """The address to which the program sends requests. A connection to it holds the clock while data is on the way."""
    is_under_way: Callable[[int, TcpInfo], bool] = lambda _port, _info: False
    """Whether data is on the way on the connection whose end in the program has that port and that `TcpInfo`."""
    logs_debug: Callable[[str], None] = lambda _text: None
    """Called when the first process is about to write that text, which a library logs at the level DEBUG."""
    waits_for_others: Callable[[str], None] = lambda _name: None
    """Called when the first process has waited for another one, or has found ready what it asked for."""
    untraceable: Callable[[Process, str], None] = lambda _process, _why: None
    """Called when a process is something, or does something, that is impossible under a tracer."""


def _text_at(pid: int, address: int) -> str:
    """The text that a handler has put there (`calls_of_user`)."""
    return tracee.read_memory(pid, address, calls_of_user.BYTES).partition(b"\0")[0].decode("utf-8", "replace")


class Tree:
    """All processes of one program, traced by the thread that created this object."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.processes: dict[int, Process] = {}
        self.threads: dict[int, Thread] = {}
        self.stops = 0
        """How many stops have been handled."""
        self._serials = 0
        self._unannounced: set[int] = set()
        """Threads that have stopped before the stop of the parent that announces them."""
        self._ended_early: set[int] = set()
        """Threads that have ended before the stop of the parent that announces them."""
        self._registers = Registers()
        self._recorder: Effects | None = None
        """Records what the program changes in a directory."""
        self._random: RandomNumbers | None = None
        """Answers what it draws of the kernel's random numbers."""
        self.timers = Timers(lambda: self.processes)
        self._output, self._output_poll = "", None
        if hooks.output is not None:
            self._output = procfs.target_of("self", hooks.output)
            self._output_poll = real_poll()
            self._output_poll.register(hooks.output, select.POLLOUT)
        self.sock_diag = SockDiag()
        self.in_transit = False
        """At the last `busy` all threads waited, but the kernel was still delivering data from or to one of them."""
        self.connections = Connections(
            hooks.idle_ok, self._has_socket, (hooks.server, hooks.is_under_way), self.sock_diag
        )
        self._first = 0
        """The process whose waits for others are reported: that of the program's main thread."""
        self._has_forked = False
        self._calls_at = 0
        """Where the first process says which call of user code it makes (`calls_of_user`); 0: nowhere."""
        self._instant = Instant(0)
        self._is_of_others = False
        """The current time has come for another process: what ends at it ends the wait in which time has passed."""
        self._has_terminals = False
        """A process of the tree has made a terminal."""
        self._deferred: defaultdict[int, list[int]] = defaultdict(list)
        self._lookers: list[Thread] = []
        """Threads that are about to look whether a child has ended, or that give way, while others compute."""
        self.stopping = False
        """Whether every thread that stops is held."""
        self.alone: Thread | None = None
        """The one thread that goes on while all others are held."""
        self._calm: Calm | None = None
        self._readiness = Readiness()
        self._most_open = 0
        """The files in ``/proc`` are kept open for so many threads at most."""
        self.reads_before_wait = exec_stop.NO_LIMIT
        """After so many reads of the clock in a row a process waits, so that a loop that polls the clock ends."""
        self._limits_before_first_poll = 0

    # -- begin -------------------------------------------------------------------------------------------------------

    def record(self, recorder: Effects) -> None:
        """Have what the program changes in a directory recorded."""
        self._recorder = recorder

    def draw(self, random: RandomNumbers) -> None:
        """Have the random numbers that the program draws answered."""
        self._random = random

    def adopt(self, pid: int) -> None:
        """Trace a child of this process that waits before its exec, and all that it starts."""
        tracee.seize(pid)
        self._most_open = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_DESCRIPTORS) // len(proc_reads.FILES)
        process = self.processes[pid] = Process(pid)
        self._first = pid
        self._add(pid, process).seen = True

    def join(self, pid: int) -> None:
        """Trace the running process *pid*, which is not a child of this one, and all that it starts."""
        process = self.processes[pid] = Process(pid)
        self._first = pid
        while left := [tid for tid in map(int, procfs.tasks_of(pid)) if tid not in self.threads]:
            for tid in left:
                try:
                    tracee.seize(tid)
                except ProcessLookupError:
                    continue  # it has ended
                except PermissionError:
                    if procfs.tracer_of(tid) != os.getpid():  # else a traced thread has started it: it is traced
                        raise
                self._add(tid, process).seen = True

    def put_filter(self, process: Process) -> None:
        """Install the filter of system calls in a process that has stopped at the first instruction of its program."""
        tid = process.pid
        registers = self._registers
        registers.read(tid)
        place = (registers.stack - _BELOW_FILTER) & ~15
        tracee.write_memory(tid, place, seccomp.in_memory(seccomp.STANDARD, place))
        injector = exec_stop.injector_of(tid, self._step_once)
        try:
            injector.call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
            injector.call("seccomp", exec_stop.SET_MODE_FILTER, 0, place)
        finally:
            injector.restore()

    def event_began(self) -> None:
        """The program has been given an event at the current time."""
        self._is_of_others = False

    def event_ended(self) -> None:
        """The program changes nothing more for its event: it has answered."""
        if self._recorder is not None:
            self._recorder.all_ended()

    def program_ended(self, status: int) -> None:
        """The first process of the program has ended, with that wait *status*."""
        if self._recorder is not None:
            self._recorder.stop(self.processes if os.WIFEXITED(status) else ())

    def _add(self, tid: int, process: Process) -> Thread:
        thread = self.threads[tid] = Thread(tid, process, self._serials)
        process.threads_made += 1
        thread.is_monitor = process.kind.is_go and process.threads_made == 2
        self._serials += 1
        return thread

    # -- stops -------------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Handle the stops that have occurred; returns whether there were any."""
        lookers, self._lookers = self._lookers, []
        for thread in lookers:
            if self.threads.get(thread.tid) is not thread:
                continue
            if self.stopping and thread is not self.alone:
                self._lookers.append(thread)
            else:
                self._lets_others_first(thread)
        found = yielded = False
        for _ in range(MOST_STOPS):
            try:
                tid, status = real_waitpid(-1, tracee.WALL | os.WNOHANG)
            except ChildProcessError:
                return found
            if tid == 0:
                if yielded or not found:
                    return found
                os.sched_yield()  # after that the threads that went on are at their next stops, or wait
                yielded = True
                continue
            yielded = False
            found = True
            self.stops += 1
            try:
                if not self._repeats_wait(tid, status):
                    self.hooks.stops()
                    self._stopped(tid, status)
            except ProcessLookupError:
                continue  # killed meanwhile: its end is reported next
        return found

    def _stopped(self, tid: int, status: int) -> None:
        if not os.WIFSTOPPED(status):
            self._ended(tid, status)
            return
        thread = self.threads.get(tid)
        if thread is None:
            thread = self._new_thread(tid)
        signum, event = os.WSTOPSIG(status), status >> 16
        calm, self._calm = self._calm, None
        is_emulated, thread.is_emulated = thread.is_emulated, False
        thread.stopped = False
        thread.counters = thread.waits_in = b""
        if event == tracee.EVENT_SECCOMP:
            self._at_call(thread)
        elif signum == tracee.SYSCALL_STOP:
            if is_emulated:
                self._at_next_call(thread, calm)
            elif thread.polls:
                self._has_polled(thread, calm)
            elif (thread.handlers or thread.is_stepped) and tracee.is_at_entry(tid):
                self._at_entry(thread)
            else:
                self._at_exit(thread)
        elif event in (tracee.EVENT_FORK, tracee.EVENT_VFORK, tracee.EVENT_CLONE):
            self._cloned(thread, waits_for_it=event == tracee.EVENT_VFORK)
        elif event == tracee.EVENT_EXEC:
            self._executed(thread)
        elif event == tracee.EVENT_STOP:
            if thread.seen and signum != signal.SIGTRAP:
                self._end_call(thread)
                thread.stopped = True
                tracee.listen(tid)
                return
            thread.seen = True
            if thread.stop_requested:
                self._restart_call(thread)
            self._go_on(thread)
        else:
            self._at_signal(thread, signum)

    def _new_thread(self, tid: int) -> Thread:
        self._unannounced.add(tid)
        return self._add(tid, self._process_of(tid, None))

    def _process_of(self, tid: int, parent: Process | None) -> Process:
        """The process of a new thread, which *parent* may have made; None: that is to be found out."""
        pid = procfs.thread_group_of(tid)
        if pid not in self.processes:
            parent = parent or self.processes.get(procfs.parent_of(pid) or 0)
            process = self.processes[pid] = Process(pid, is_child=True)
            if parent is not None:
                self._inherit(process, parent)
        return self.processes[pid]

    def _cloned(self, parent: Thread, *, waits_for_it: bool) -> None:
        tid = tracee.event_message(parent.tid)
        self._unannounced.discard(tid)
        if tid in self._ended_early:
            self._ended_early.discard(tid)
        elif tid not in self.threads:
            self._add(tid, self._process_of(tid, parent.process))
        if waits_for_it and tid in self.processes and not self.processes[tid].executes:
            parent.vfork_child = tid
        self._go_on(parent, to_exit=parent.clone is not None)

    def _release_vfork_parent(self, pid: int) -> None:
        """Note that a process has executed a program or ended: the parent that waited for that in ``vfork`` goes on."""
        for thread in self.threads.values():
            if thread.vfork_child == pid:
                thread.vfork_child = 0
                if self.stopping and not self._is_held(thread):
                    self._request_stop(thread)

    def _inherit(self, process: Process, parent: Process) -> None:
        self._has_forked = True
        process.inside, process.call = procfs.id_inside(process.pid), self._call_of_user(parent.pid)
        self._now().forked.add(process.inside)
        process.page, process.kind, process.sends_are_seen = parent.page, parent.kind, parent.sends_are_seen
        process.reads_left, process.limits_left = parent.reads_left, parent.limits_left
        process.has_polled = parent.has_polled
        self.connections.forked(parent.pid, process.pid)
        if self._random is not None:
            self._random.forked(parent.pid, process.pid)

    def _has_socket(self, inode: int) -> bool:
        """Whether a process of the tree has the socket with that *inode*."""
        target = f"socket:[{inode}]"
        return any(procfs.may_have(pid, target) for pid in self.processes)

    def _ended(self, tid: int, status: int) -> None:
        if self._recorder is not None:
            self._recorder.ended(tid)
        if self._random is not None:
            self._random.ended(tid)
        self._deferred.pop(tid, None)
        thread = self.threads.pop(tid, None)
        if thread is None or tid in self._unannounced:
            self._unannounced.discard(tid)
            self._ended_early.add(tid)
        if thread is None:
            return
        thread.close()
        if self.alone is thread:
            self.alone = None
        pid = thread.process.pid
        if tid == pid:
            self.processes.pop(pid, None)
            self._now().ended[thread.process.inside] = thread.process.call
            self._release_vfork_parent(pid)
            self.timers.forget(pid)
            self.connections.forget(pid)
            self._close_unused(thread.process.page)
            self.hooks.process_ended(pid, status)

    def _close_unused(self, page: exec_stop.Page | None) -> None:
        if page is not None and all(process.page is not page for process in self.processes.values()):
            page.close()

    def _executed(self, thread: Thread) -> None:
        """Handle a process that has executed another program.

        Its other threads have ended, and the thread that called ``exec`` has the process's id now.
        """
        process, before = thread.process, tracee.event_message(thread.tid)
        for other in [each for each in self.threads.values() if each.process is process and each is not thread]:
            del self.threads[other.tid]
            other.close()
            if other.tid == before:
                thread.serial = other.serial
        thread.close()
        thread.wait = thread.interrupted = thread.receipt = thread.question = None
        thread.vfork_child = 0
        process.executes = True
        process.name = ""
        self._calls_at *= process.pid != self._first
        process.threads_made = 1
        thread.is_monitor = False
        self._release_vfork_parent(process.pid)
        thread.handlers.clear()
        thread.gated = thread.is_stepped = thread.polls = thread.must_wait = False
        self.timers.forget(process.pid, executes=True)
        old, process.page = process.page, None
        self._close_unused(old)
        process.kind, process.has_polled = exec_stop.kind_of(process.pid), False
        if process.kind.is_32_bit:
            self._refuse(process, "is a 32-bit program, which cannot be on the simulated clock")
            return
        if process.kind.lacks:
            why = f"is {process.kind.lacks}, and the kernel grants a traced program no rights of its file"
            self.hooks.untraceable(process, why)
        self._registers.read(thread.tid)
        stack = self._registers.stack
        self._step_once(thread.tid)  # leave the call first: its return would overwrite what is done now
        process.page = exec_stop.give_clock(thread.tid, process.pid, stack, self._step_once)
        if self._random is not None:
            self._random.executed(process.pid)
        self._progresses(process)
        if process.page is not None:
            process.page.set(*self.hooks.clocks())
        self.hooks.process_began(process)
        self._resume(thread)

    def _refuse(self, process: Process, why: str) -> None:
        """Kill a process that cannot be traced."""
        process.refused = True
        self.hooks.untraceable(process, f"{why}: it was ended")
        os.kill(process.pid, signal.SIGKILL)

    def _step_once(self, tid: int) -> None:
        """Let a thread execute one instruction; signals that arrive meanwhile are delivered later."""
        status = tracee.step_once(tid, self._deferred[tid])
        if status is not None:
            self._ended(tid, status)
            raise ProcessLookupError

    def _resume(self, thread: Thread, *, samples: int = 0) -> None:
        deferred = self._deferred.pop(thread.tid, [])
        for signum in deferred[1:]:
            os.kill(thread.process.pid, signum)
        if deferred:
            self._at_signal(thread, deferred[0])
        else:
            self._go_on(thread, samples=samples)

    def _go_on(
        self,
        thread: Thread,
        signum: int = 0,
        *,
        to_exit: bool = False,
        leaves: bool = False,
        calm: Calm | None = None,
        samples: int = 0,
    ) -> None:
        """Let a stopped thread go on; it is held instead while the tree is stopped, or if it is at a gate.

        With *leaves* a thread at a gate goes on for now: it returns to the gate from a signal handler, or a signal ends
        it. With *calm* all others wait. With *samples* its next system call is one.
        """
        self._calm = calm
        thread.stop_requested = False
        if (self.stopping and thread is not self.alone) or (thread.gated and not thread.handlers and not leaves):
            thread.held = Resumption(signum, to_exit)
        elif to_exit or thread.handlers or thread.is_stepped:
            tracee.resume_to_exit(thread.tid, signum)
        elif tracee.CAN_EMULATE and (samples or (calm is not None and self._tries(thread))):
            thread.is_emulated, thread.samples = True, samples
            tracee.emulate(thread.tid)
        else:
            tracee.resume(thread.tid, signum)

    # -- system calls ------------------------------------------------------------------------------------------------

    def _at_call(self, thread: Thread) -> None:
        registers, tid = self._registers, thread.tid
        becomes = AtCall.GOES_ON if self._recorder is None else self._recorder.at_call(tid)
        if becomes is AtCall.STOPS:
            self._stop_before(thread)
            return
        if becomes is AtCall.FAILS:
            self._resume(thread)
            return
        registers.read(tid)
        name = NAMES.get(registers.number(tid), "")
        if nap := self._nap_of(thread, name, registers):
            thread.nap_until = self.hooks.real_monotonic() + nap / NS
            return
        if name in waits.TIMED:
            self._begin_wait(thread, name, registers)
        elif name == "recvmmsg":
            self._begin_receipt(thread, registers)
        elif name in READS:
            self._read_clock(thread, name, registers)
        elif name in timers.CALLS:
            self._of_timers(thread, name, registers)
        elif name == "ptrace":
            self.hooks.untraceable(thread.process, _HAS_A_TRACER)
            self._return(thread, -errno.EPERM)
        elif name == "connect":
            self._connects(thread, registers)
        elif name in _QUESTIONS:
            self._asks(thread, name, registers)
        elif name in ("clone", "clone3"):
            self._clones(thread, name, registers)
        elif name == "ioctl":
            self._begin_ioctl(thread, registers)
        elif self._random is not None and name in RandomNumbers.CALLS:
            self._random.at_call(tid, thread.process.pid, registers, self._step_once)
            self._resume(thread)
        else:
            if name in seccomp.SENDS:
                self._sends(thread.process, registers)
            thread.watched = self.hooks.called(thread, name, registers)
            self._go_on(thread, to_exit=thread.watched)

    def _stop_before(self, thread: Thread) -> None:
        """Have a thread be at a gate before the call at whose entry it stands, which it makes again afterwards.

        A handler of a signal that arrives there runs before the call, and not when that returns.
        """
        registers, tid = self._registers, thread.tid
        registers.read(tid)
        before, number = registers.copy(), registers.number(tid)
        registers.set_number(tid, -1)
        registers.write(tid)
        self._step_once(tid)
        before.make_call_again(number)
        before.write(tid)
        self.hooks.at_effect(thread)
        self._resume(thread)

    def _lets_others_first(self, thread: Thread) -> None:
        """Have a thread go on after the others: it gives way, or asks which of its children has ended without waiting.

        All compute at the same instant, and the machine's speed would decide what it sees: a child closes its output
        some µs before its end. Who asks a child that computes for longer, and would kill it, waits for that once.
        """
        now = self.hooks.real_monotonic()
        if thread.looks_until:
            besides = [each for each in self.threads.values() if self._may_go_after(thread, each)]
            if self.busy(besides, sends=not thread.gives_way) is not None or self.has_pending_stop():
                thread.looks_until = min(thread.looks_until, now + LONGEST_LOOK)
                if now < thread.looks_until:
                    self._lookers.append(thread)
                    return
                thread.looks_until = 0.0
            else:
                thread.looks_until = math.inf
        thread.gives_way = False
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile: its end is reported next
            self._go_on(thread, to_exit=thread.question is not None)

    def _may_go_after(self, thread: Thread, other: Thread) -> bool:
        """Whether a looker does not wait for that *other* thread to wait."""
        if thread.gives_way:
            return other is thread or other.process is not thread.process or other in self._lookers
        return other.process is thread.process or (other in self._lookers and not other.gives_way)

    def _begin_ioctl(self, thread: Thread, registers: Registers) -> None:
        request, is_first = registers.argument(1) & 0xFFFFFFFF, thread.process.pid == self._first
        if request not in (calls_of_user.REGISTER, calls_of_user.DEBUG):
            self._has_terminals |= request == terminals.UNLOCK
            self._go_on(thread)
            return
        if is_first and request == calls_of_user.REGISTER:
            self._calls_at = registers.argument(2)
        elif is_first:
            with contextlib.suppress(OSError):
                self.hooks.logs_debug(_text_at(self._first, registers.argument(2)))
        self._return(thread, 0)

    def _call_of_user(self, pid: int) -> str:
        """The call of user code in which that process starts a child or connects; code in C says none."""
        if pid != self._first or not self._calls_at:
            return ""
        try:
            text = _text_at(pid, self._calls_at)
            tracee.write_memory(pid, self._calls_at, b"\0")
        except OSError:
            return ""
        return text

    def _now(self) -> Instant:
        now_us = self.hooks.clocks().realtime // 1000
        if now_us != self._instant.time_us:
            self._instant = Instant(now_us)
        return self._instant

    def _sends(self, process: Process, registers: Registers) -> None:
        self._progresses(process)
        peer = self.connections.sends(process.pid, registers.argument(0) & 0xFFFFFFFF)
        if peer and process.pid == self._first:
            self.hooks.waits_for_others(f"an answer on a connection to {peer}")

    def _asks(self, thread: Thread, name: str, registers: Registers) -> None:
        """Handle a thread that asks for the end of a child, or for a lock of a file."""
        at = _QUESTIONS[name].options
        options = 0 if at is None else registers.argument(at)
        if thread.process.pid == self._first and self._has_forked and not options & os.WNOWAIT:
            thread.question = Question(name, self._now().time_us, self._call_of_user(self._first) if at is None else "")
        if options & os.WNOHANG:
            self._lets_others_first(thread)
        else:
            self._go_on(thread, to_exit=thread.question is not None)

    def _answered(self, thread: Thread, question: Question) -> None:
        """Report a wait for another process in which no simulated time has passed.

        Whether a call had to wait, and whether Bash takes the end of a child there or in its handler of SIGCHLD, the
        machine's speed decides: so what counts is what the first process has got at this time. A child that ended
        earlier has it wait for nothing. One that was there before, and ends as the time comes for which a process has
        waited that is not the first one, ends the wait in which that time has passed.
        """
        registers, tid, now = self._registers, thread.tid, self._now()
        registers.read(tid)
        result = registers.result
        if _QUESTIONS[question.name].options is None:
            has_row, call = result == 0 and question.at_us == now.time_us, question.call and f" in {question.call}"
        else:
            if question.name == "waitid":
                result = _child_in(tid, registers.argument(2)) if result == 0 else 0
            has_row = result in now.ended and (result in now.forked or not self._is_of_others)
            call = f" for the child of {now.ended[result]}" if now.ended.get(result) else ""
        if has_row:
            self.hooks.waits_for_others(question.name + call)

    @staticmethod
    def _nap_of(thread: Thread, name: str, registers: Registers) -> int:
        """How many ns a thread of Go's runtime is about to nap; 0: the call is not a nap."""
        if name != "nanosleep" or not thread.process.kind.is_go:
            return 0
        ns = timespec(thread.tid, registers.argument(0)) or 0
        return ns if ns <= LONGEST_NAP_NS else 0

    def _begin_wait(self, thread: Thread, name: str, registers: Registers) -> None:
        tid, clocks = thread.tid, self.hooks.clocks()
        again, thread.interrupted = thread.interrupted, None
        wait = self._wait_of(thread, name, clocks, again=again, rest_ns=MONITOR_REST_NS * thread.is_monitor)
        if wait is None:
            self._yields(thread.process)
            self._go_on(thread)
            return
        if wait.is_sleep and wait.due_ns <= clocks.realtime:
            waits.end_at_once(tid, wait, registers)
            self._yields(thread.process)
            thread.gives_way = True
            self._lets_others_first(thread)
            return
        process = thread.process
        if name == "futex" and process.limits_left and process.polled_ns == clocks.realtime:
            process.limits_left = self._limits(process)  # it may wait for a thread that polls, as for the GIL
        else:
            self._progresses(process)
            process.polled_ns = clocks.realtime
        thread.must_wait, must_wait = False, thread.must_wait
        calm = None if must_wait or wait.is_due else self._all_others_wait(thread, wait)
        if calm is not None:
            is_there = self._readiness.is_there(thread.process.pid, tid, wait, is_calm=False)
            if is_there is False and self._ends_at_once(thread, wait, registers, calm, is_calm=False):
                return
            if is_there is None:
                thread.polls = waits.poll_once(tid, wait, registers, lambda: self._nothing_at(thread, registers))
        registers.write(tid)
        thread.wait, thread.order = wait, self.hooks.next_order()
        self._go_on(thread, to_exit=True, calm=calm)

    def _wait_of(
        self, thread: Thread, name: str, clocks: Clocks, *, again: Wait | None = None, rest_ns: int = 0
    ) -> Wait | None:
        """The wait that a thread is about to begin (`waits.begin`); the monitor of Go's runtime has that *rest_ns*."""
        registers = self._registers
        return waits.begin(
            *(thread.tid, name, registers, clocks),
            again=again,
            zero_at=lambda: self._nothing_at(thread, registers),
            past_ns=PAST_NS if thread.process.kind.is_cpython else 0,
            in_child=thread.process.is_child,
            delay_ns=rest_ns if name == "futex" else 0,
        )

    def _ends_at_once(self, thread: Thread, wait: Wait, registers: Registers, calm: Calm, *, is_calm: bool) -> bool:
        """End a wait before it is made, if the clock can be moved to its end; returns whether the thread went on."""
        if not self.hooks.lease_wait(thread, wait, is_calm):
            return False
        if not is_calm:  # else no thread has napped since
            self._time_came(thread.process.pid)
        waits.end_at_once(thread.tid, wait, registers)
        self._go_on(thread, calm=calm)
        return True

    def _has_polled(self, thread: Thread, calm: Calm | None) -> None:
        """Handle a thread whose wait was changed to a poll, and whose poll has returned.

        If the poll found nothing, the wait ends at once if all others still wait; otherwise it is made now.
        """
        registers, tid, wait = self._registers, thread.tid, thread.wait
        assert wait is not None
        thread.polls = False
        registers.read(tid)
        if registers.result != wait.call.at_timeout:
            self._at_exit(thread)
        elif calm is not None and calm.thread is thread and self.hooks.lease_wait(thread, wait, False):
            self._time_came(thread.process.pid)
            thread.wait = None
            waits.end(tid, wait, registers, self.hooks.clocks().realtime)
            registers.write(tid)
            self._go_on(thread, calm=calm)
        else:
            thread.wait, thread.interrupted = None, wait
            thread.must_wait = True
            waits.make_again(tid, wait, registers)
            registers.write(tid)
            self._go_on(thread)

    def _at_next_call(self, thread: Thread, calm: Calm | None) -> None:
        """Handle a thread at its first system call after a wait that ended at once: it may be the same wait again.

        An event loop may poll first, which is answered here. The thread makes any other call again, and the filter
        decides whether it stops there.
        """
        registers, tid = self._registers, thread.tid
        registers.read(tid)
        number = registers.number(tid)
        name = NAMES.get(number, "")
        if thread.samples:
            if name == "futex" and thread.samples > 1 and waits.wakes(registers):
                registers.make_call_again(number)
                registers.write(tid)
                self._step_once(tid)  # leave the call that was not made
                self._step_once(tid)
                self._resume(thread, samples=thread.samples - 1)
                return
            self._has_sample(thread.process, name, is_poll=seccomp.is_unseen_poll(name, registers))
        elif name in waits.TIMED:
            is_calm = calm is not None and calm.thread is thread and not self.stopping
            if seccomp.hold(seccomp.TRACED[name], registers.arguments):
                if self._ends_again(thread, name, calm if is_calm else None):
                    thread.misses = 0
                    return
            elif is_calm and self._readiness.has_nothing(thread.process.pid, name, registers):
                registers.return_at_entry(tid, 0)
                self._go_on(thread, calm=calm)
                return
        thread.misses += not thread.samples
        if name not in READS:
            thread.samples = 0
        registers.read(tid)
        registers.make_call_again(number)
        registers.write(tid)
        self._go_on(thread)

    def _repeats_wait(self, tid: int, status: int) -> bool:
        """End the wait at once if a stopped thread is in a `Loop`; returns whether it has gone on.

        Most stops of a program that only waits are of this kind, so this checks only what is necessary. A poll finds
        nothing: there was nothing just before, and no thread of the tree has done anything since.
        """
        calm = self._calm
        if calm is None or calm.loop is None or status != _AT_A_CALL or calm.thread.tid != tid:
            return False
        thread, loop, entry = calm.thread, calm.loop, tracee.entry_of(tid)
        timeout = entry[6] & 0xFFFFFFFF
        if entry[:4] != loop.call or entry[5] != loop.most or (loop.has_mask and entry[7]) or timeout > _MOST_INT:
            return False
        now = self.hooks.real_monotonic()
        if now >= calm.until:
            if not self._still_wait(thread):
                return False
            self._calm = calm = calm._replace(until=now + CALM_SECONDS)
        if timeout:
            due_ns = self.hooks.clocks().realtime + timeout * 1_000_000 + loop.past_ns
            if not (due_ns, thread.serial) < calm.before or self._readiness.has_something():
                return False
            if not self.hooks.lease_wait_again(due_ns, loop.name):
                return False
            self._allow_reads(thread.process, self.reads_before_wait)
        thread.counters = thread.waits_in = b""
        tracee.return_zero(tid)
        tracee.emulate(tid)
        return True

    def _loop_of(self, thread: Thread, wait: Wait) -> Loop | None:
        """The loop that a thread runs if it makes the same *wait* again; None: it is no such loop."""
        if wait.name not in IN_MILLISECONDS:
            return None
        call = (tracee.AT_ENTRY, HERE.audit, wait.number, wait.arguments[0])
        past_ns = PAST_NS if thread.process.kind.is_cpython else 0
        return Loop(call, wait.arguments[2], wait.name == "epoll_pwait", wait.shown, past_ns)

    def _ends_again(self, thread: Thread, name: str, calm: Calm | None) -> bool:
        """End the wait at whose entry a thread has stopped, if that is possible; returns whether the thread went on."""
        registers, tid, clocks = self._registers, thread.tid, self.hooks.clocks()
        if self._nap_of(thread, name, registers):
            return False
        wait = self._wait_of(thread, name, clocks)
        if wait is None or wait.is_due or wait.due_ns <= clocks.realtime:
            return False
        is_calm = (
            calm is not None and (wait.due_ns, thread.serial) < calm.before and self.hooks.real_monotonic() < calm.until
        )
        if not is_calm:
            calm = self._all_others_wait(thread, wait)
        if calm is None or self._readiness.is_there(thread.process.pid, tid, wait, is_calm=is_calm) is not False:
            return False
        self._progresses(thread.process)
        calm = calm._replace(loop=self._loop_of(thread, wait))
        return self._ends_at_once(thread, wait, registers, calm, is_calm=is_calm)

    @staticmethod
    def _tries(thread: Thread) -> bool:
        """Whether to stop a thread at its next system call, which may be a wait."""
        if thread.misses < MOST_MISSES:
            return True
        thread.misses += 1
        return not thread.misses % RARELY

    def _all_others_wait(self, thread: Thread, wait: Wait) -> Calm | None:
        """A `Calm` if a thread is about to begin a wait that ends before all others, and all other threads wait.

        Then the wait may end before it is made, and the thread need not be woken.
        """
        if self.stopping or not self.hooks.may_lease(wait.due_ns):
            return None
        now = self.hooks.real_monotonic()
        dues: list[tuple[float, int]] = [
            (timer.due_ns, timer.serial) for timer in self.timers.all() if timer.due_ns is not None
        ]
        for other in self.threads.values():
            if other is thread:
                continue
            if other.nap_until is not None or other.held is not None or not other.seen:
                return None
            if other.wait is not None:
                dues.append((-1 if other.wait.is_due else other.wait.due_ns, other.serial))
        before = min(dues, default=(math.inf, 0))
        if not (wait.due_ns, thread.serial) < before:
            return None
        if self.busy((thread,)) is not None or self.in_transit or (len(self.threads) > 1 and self.has_pending_stop()):
            return None
        if self.connections.held:  # an answer is owed, as `busy` has just found
            return None
        if self._output_is_full() or tracee.has_pending_signals(thread.tid):  # these end the wait
            return None
        return Calm(thread, now + CALM_SECONDS, before)

    def _still_wait(self, thread: Thread) -> bool:
        """Whether all threads but one wait as they did when its `Calm` began: nothing outside has woken one.

        No thread of the tree has sent or opened anything since then, so no data is in transit, and the due times are
        the same.
        """
        if self.busy((thread,), sends=False) is not None or (len(self.threads) > 1 and self.has_pending_stop()):
            return False
        return not tracee.has_pending_signals(thread.tid)

    @staticmethod
    def _nothing_at(thread: Thread, registers: Registers) -> int:
        """The address of a ``timespec`` of 0 in a process, valid while *thread* makes a system call."""
        if thread.process.page is not None:
            return thread.process.page.nothing_at
        place = registers.stack - exec_stop.BELOW_STACK
        tracee.write_memory(thread.tid, place, bytes(16))
        return place

    def _begin_receipt(self, thread: Thread, registers: Registers) -> None:
        receipt = thread.receipt
        if receipt is None or receipt.place != (registers.counter, registers.stack):
            thread.receipt = receipt = waits.Receipt.begin(thread.tid, registers, self.hooks.clocks())
        if receipt is None:
            self._go_on(thread)
            return
        self._progresses(thread.process)
        receipt.receive_next(registers)
        registers.write(thread.tid)
        self._go_on(thread, to_exit=True)

    def _receives(self, thread: Thread, receipt: waits.Receipt) -> None:
        registers, tid = self._registers, thread.tid
        registers.read(tid)
        interrupted = registers.result in tracee.INTERRUPTED and not receipt.received
        now_ns = self.hooks.clocks().realtime
        again = receipt.has_received(tid, registers, now_ns, restart=thread.stop_requested)
        registers.write(tid)
        if not (again or interrupted):
            thread.receipt = None

    def _at_exit(self, thread: Thread) -> None:
        question, thread.question = thread.question, None
        if question is not None:
            self._answered(thread, question)
        wait, thread.wait = thread.wait, None
        if wait is not None:
            registers, clocks = self._registers, self.hooks.clocks()
            registers.read(thread.tid)
            if waits.end(thread.tid, wait, registers, clocks.realtime, restart=thread.stop_requested):
                thread.interrupted = wait
            if wait.name in READS:
                thread.interrupted = None
                registers.result = clock_reads.answer(thread.tid, wait.name, registers, clocks)
            registers.write(thread.tid)
        elif self.timers.is_creating(thread.tid):
            self._registers.read(thread.tid)
            self.timers.created(thread.tid, self._registers)
        elif thread.clone is not None:
            clones.end(thread.tid, thread.clone, self._registers)
        elif thread.receipt is not None:
            self._receives(thread, thread.receipt)
        elif thread.watched or thread.is_stepped:
            thread.watched = thread.is_stepped = False
            self.hooks.returned(thread)
        thread.clone = None
        self._go_on(thread)

    def _clones(self, thread: Thread, name: str, registers: Registers) -> None:
        try:
            thread.clone = clones.begin(thread.tid, name, registers)
        except OSError:
            self._return(thread, -errno.ENOSYS)  # programs then use clone
        else:
            self._go_on(thread, to_exit=thread.clone is not None)

    def _connects(self, thread: Thread, registers: Registers) -> None:
        """Handle a thread that is about to connect to a server: from here on its process also stops at each send."""
        fd, address, length = (registers.argument(index) for index in range(3))
        process = thread.process
        found = self.connections.connects(
            process.pid, fd & 0xFFFFFFFF, address, length & 0xFFFFFFFF, self._call_of_user(process.pid)
        )
        if found and not process.sends_are_seen:
            process.sends_are_seen = True
            self._see_sends(thread, registers)
            self._resume(thread)
        else:
            self._go_on(thread)

    def _see_sends(self, thread: Thread, registers: Registers) -> None:
        """Install a second filter in the process of a thread at a system call; the thread makes that call again."""
        try:
            exec_stop.add_filter(thread.tid, registers, self._step_once, seccomp.program(seccomp.SENDS, ()))
        except OSError:
            thread.process.sends_are_seen = False

    def _of_timers(self, thread: Thread, name: str, registers: Registers) -> None:
        tid, pid = thread.tid, thread.process.pid
        self._serials += 1
        try:
            if name == "timer_create" and self.timers.creates(tid, pid, registers, self._serials):
                self._go_on(thread, to_exit=True)
                return
            result = self.timers.call(pid, name, registers, self.hooks.clocks(), self._serials)
        except OSError as error:
            result = -(error.errno or errno.EFAULT)
        if result is None:
            self._go_on(thread)
            return
        registers.return_at_entry(tid, result)
        self._go_on(thread)

    def _read_clock(self, thread: Thread, name: str, registers: Registers) -> None:
        """Answer a read of the clock that is a system call."""
        tid, process = thread.tid, thread.process
        if clock_reads.shown(name, registers, self.hooks.clocks()) is None:
            self._go_on(thread)
            return
        if process.page is not None and process.page.end_rest():
            registers.return_at_entry(tid, clock_reads.answer(tid, name, registers, self.hooks.clocks()))
            self._go_on(thread)
            return
        is_over, was_sample, thread.samples = self._reads_are_over(process), thread.samples, 0
        # Reads of a page are traced that are over the limit, were that until one of another thread was answered, or
        # are made again after a sample.
        is_sampled = tracee.CAN_EMULATE and process.page is not None and process.limits_left > 0
        is_sampled = is_sampled and (is_over or not was_sample)
        if is_over:
            before, process.writes = process.writes, procfs.writes_of(process.pid)
            if process.writes != before:
                self._progresses(process)
            elif process.limits_left and process.polls < MOST_SAMPLES and process.yields <= self.reads_before_wait:
                is_sampled = (
                    is_sampled and not was_sample
                )  # else no call but reads has followed the last sample, either
                process.limits_left -= not was_sample
                reads = self._reads_to_sample(process) if is_sampled else self._reads_at_once(process)
                self._allow_reads(process, reads)
            else:
                process.has_polled = True
                self._allow_reads(process, min(FURTHER_READS, self.reads_before_wait))
                process.polled_ns = self.hooks.clocks().realtime + READ_WAIT_NS
                thread.wait = waits.read(tid, name, registers, process.polled_ns, in_child=process.is_child)
                thread.order = 0, 0, 0
                registers.write(tid)
                self._go_on(thread, to_exit=True)
                return
        registers.return_at_entry(tid, clock_reads.answer(tid, name, registers, self.hooks.clocks()))
        self._go_on(thread, samples=MOST_CALLS if is_sampled else 0)

    def _reads_to_sample(self, process: Process) -> int:
        return min(READS_TO_SAMPLE + process.polls, self.reads_before_wait)

    def _has_sample(self, process: Process, name: str, *, is_poll: bool) -> None:
        """Note the first system call of a thread after a read of the clock that was one too many."""
        if is_poll:
            process.polls += 1
            process.polled_ns = self.hooks.clocks().realtime
            self._allow_reads(process, self._reads_to_sample(process))
        elif name != "futex" and name not in READS:  # the GIL, or another read that is counted: the next sample says it
            process.polls = 0
            self._allow_reads(process, self._reads_at_once(process) - self._reads_to_sample(process))

    def _progresses(self, process: Process) -> None:
        """Begin to count anew: a process has waited or has written something."""
        kind = process.kind
        reads_itself = kind.is_cpython or (kind.catches_signals and not kind.is_go)  # Node.js and Java
        process.yields = process.polls = 0
        process.limits_left = self._limits(process) if reads_itself else 0
        self._allow_reads(process, self.reads_before_wait)

    def _limits(self, process: Process) -> int:
        """How many more times a process whose runtime reads the clock by itself may reach the limit of reads."""
        return READS_OF_RUNTIME - 1 + self._further_limits(process)

    def _further_limits(self, process: Process) -> int:
        if process.has_polled or process.page is None:  # without a page a read takes 10 µs
            return 0
        return self._limits_before_first_poll

    def _reads_at_once(self, process: Process) -> int:
        is_further = process.limits_left < self._further_limits(process)
        return max(self.reads_before_wait, READS_AT_ONCE) if is_further else self.reads_before_wait

    def _yields(self, process: Process) -> None:
        """Note a wait of no length: after many in a row each read of the clock between them waits."""
        process.yields += 1
        if process.yields > self.reads_before_wait:
            self._allow_reads(process, 0)

    @staticmethod
    def _allow_reads(process: Process, reads: int) -> None:
        """From now on answer so many reads of the clock at once."""
        process.reads_left = reads
        if process.page is not None:
            process.page.limit(reads)

    @staticmethod
    def _reads_are_over(process: Process) -> bool:
        """Whether the current read of the clock exceeds the limit."""
        if process.page is not None:
            return process.page.is_over
        process.reads_left -= 1
        return process.reads_left < 0

    # -- all at once --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop and hold all threads: the caller steps until `all_held()`."""
        self.stopping = True
        self._calm = None
        self.alone = None
        for thread in self.threads.values():
            is_at_gate = thread.gated and not thread.handlers  # or it is about to get there, and is held then
            if not (self._is_held(thread) or is_at_gate):
                self._request_stop(thread)

    @staticmethod
    def _request_stop(thread: Thread) -> None:
        thread.stop_requested = True
        try:
            tracee.interrupt(thread.tid)
        except ProcessLookupError:
            pass  # its end is reported next

    def all_held(self) -> bool:
        """Whether every thread is held."""
        return all(self._is_held(thread) for thread in self.threads.values())

    def _is_held(self, thread: Thread) -> bool:
        if thread.held is not None or thread.nap_until is not None or thread.stopped or thread.vfork_child:
            return True
        if thread in self._lookers:
            return True
        pid = thread.process.pid  # only the first thread of a process may have ended unreported
        return thread.tid == pid and procfs.state_of(pid, str(pid)) == b"Z"

    def kill(self) -> None:
        """Kill all processes that are left."""
        for pid in self.processes:  # each is a tracee: its id is not reused before this process has waited for it
            os.kill(pid, signal.SIGKILL)

    def may_go_alone(self, pid: int) -> list[Thread]:
        """The threads of a process that are stopped where they can take a signal."""
        own = (thread for thread in self.threads.values() if thread.process.pid == pid)
        return [thread for thread in own if thread.held is not None or thread in self._lookers]

    def go_alone(self, thread: Thread) -> None:
        """Let one of `may_go_alone` go on that has a pending signal, which it takes before anything else."""
        self.alone = thread
        resumption, thread.held = thread.held or Resumption(to_exit=thread.question is not None), None
        if thread in self._lookers:
            self._lookers.remove(thread)
            thread.gives_way = False
        try:
            self._go_on(thread, resumption.signum, to_exit=resumption.to_exit, leaves=True)
        except ProcessLookupError:
            self.alone = None

    def leave_gate(self) -> None:
        """Let all threads go on, including those at a gate."""
        for thread in self.threads.values():
            thread.gated = False
        self.go_on()

    def go_on(self) -> None:
        """Let all held threads go on, except those at a gate."""
        self.stopping = False
        self.alone = None
        for looker in self._lookers:
            looker.looks_until = math.inf  # while all are held, a child could not have gone on
        for thread in list(self.threads.values()):
            resumption, thread.held = thread.held, None
            if resumption is not None:
                try:
                    self._go_on(thread, resumption.signum, to_exit=resumption.to_exit)
                except ProcessLookupError:
                    continue

    def _restart_call(self, thread: Thread) -> None:
        """Have a thread make its call again: it was interrupted for a reason that the program must not notice."""
        registers, tid = self._registers, thread.tid
        registers.read(tid)
        if self._is_ended_by_stops(tid):
            registers.result = -tracee.ERESTARTNOHAND
            registers.write(tid)

    def _end_call(self, thread: Thread) -> None:
        """Let a call that a stopping signal ends return EINTR, whatever happens before the thread goes on."""
        registers, tid = self._registers, thread.tid
        registers.read(tid)
        if self._is_ended_by_stops(tid):
            registers.set_number(tid, -1)
            registers.write(tid)
            thread.interrupted = None

    def _is_ended_by_stops(self, tid: int) -> bool:
        """Whether the registers are those of a call that returns EINTR after a stop."""
        call = BY_NUMBER.get(self._registers.number(tid)) if self._registers.result == -errno.EINTR else None
        return call is not None and call.ended_by_stops

    # -- signals -----------------------------------------------------------------------------------------------------

    def _at_signal(self, thread: Thread, signum: int) -> None:
        """Deliver a signal. An ignored signal ends no call, as it would not without the tracer."""
        if signum == signal.SIGSYS and tracee.makes_foreign_call(thread.tid):
            self._refuse(thread.process, "makes system calls of another architecture, which cannot be simulated")
            return
        state = procfs.signal_state(thread.process.pid, signum)
        is_caught = state is not None and state.caught
        if is_caught:
            thread.interrupted = thread.receipt = None
        elif signum not in tracee.STOPS:
            self._restart_call(thread)
        if signum == signal.SIGTERM and thread.process.pid == self._first:
            self._is_of_others = False
        is_followed = self.hooks.signalled(thread, signum)
        if is_followed or (is_caught and (thread.gated or thread.handlers)):
            self._registers.read(thread.tid)
            thread.handlers.append(Handler(self._registers.stack, is_followed))
        ends = state is not None and not (state.caught or state.ignored) and signum not in _HARMLESS
        self._go_on(thread, signum, leaves=thread.gated and ends)

    def _at_entry(self, thread: Thread) -> None:
        """Handle a thread that stops at each system call and is about to make one, which may leave a signal handler.

        A thread that has jumped out of a handler (``longjmp``) has its stack pointer above the start of the handler.
        """
        registers = self._registers
        registers.read(thread.tid)
        while thread.handlers and 0 <= registers.stack - thread.handlers[-1].stack < _LONGEST_STACK:
            self._left(thread)
        returns = thread.handlers and registers.number(thread.tid) == NUMBERS["rt_sigreturn"]
        if returns:
            self._left(thread)
        self._go_on(thread, to_exit=bool(returns), leaves=bool(returns))

    def _left(self, thread: Thread) -> None:
        if thread.handlers.pop().is_followed:
            self.hooks.handled(thread)

    # -- the clock ---------------------------------------------------------------------------------------------------

    def show_time(self) -> None:
        """Write the time into the clock pages of the processes."""
        clocks = self.hooks.clocks()
        for page in self._pages():
            page.set(*clocks)

    def rest(self) -> None:
        """Stop at the next read of the clock: a signal or data from elsewhere may wake a thread, and the clock may have
        moved since it began to wait."""
        for page in self._pages():
            page.rest()

    def end_rest(self) -> None:
        """Stop there no more: the thread that goes on is known, and the time is shown."""
        for page in self._pages():
            page.end_rest()

    def _pages(self) -> set[exec_stop.Page]:
        return {each.page for each in self.processes.values() if each.page is not None}

    def limit_reads(self, reads: int) -> None:
        """From here on a process that reads the clock more than so many times in a row waits."""
        self.reads_before_wait = min(reads, exec_stop.NO_LIMIT)
        further = max(READS_BEFORE_FIRST_POLL - READS_OF_RUNTIME * reads, 0)
        self._limits_before_first_poll = further // max(reads, READS_AT_ONCE)
        for process in self.processes.values():
            self._progresses(process)

    def first(self) -> Due | None:
        """The wait or timer that is due first; None: there is none."""
        waits_ = [
            Due(thread.wait.due_ns, thread.serial, thread, thread.order)
            for thread in self.threads.values()
            if thread.wait is not None and not thread.wait.is_due
        ]
        while True:
            timers = [
                Due(timer.due_ns, timer.serial, timer, timer.order)
                for timer in self.timers.all()
                if timer.due_ns is not None
            ]
            due = min(waits_ + timers, key=lambda due: due[:2], default=None)
            if due is None or not isinstance(due.source, Timer) or self.timers.is_there(due.source):
                return due

    def wake(self, due: Due) -> None:
        """End the wait, or fire the timer, whose time has come."""
        self._calm = None
        self._time_came(due.source.pid if isinstance(due.source, Timer) else due.source.process.pid)
        if isinstance(due.source, Timer):
            self.timers.fire(due.source, self.hooks.clocks())
            return
        thread = due.source
        assert thread.wait is not None
        thread.wait.expire()
        try:
            tracee.interrupt(thread.tid)
        except ProcessLookupError:
            pass  # its end is reported next

    def _time_came(self, pid: int) -> None:
        """Note that the time has come for which process *pid* has waited; naps end at once again, as it goes on."""
        self._is_of_others = pid != self._first
        for thread in self.threads.values():
            thread.naps = 0

    # -- whether all wait --------------------------------------------------------------------------------------------

    def busy(self, besides: Collection[Thread] = (), *, sends: bool = True) -> Thread | None:
        """A thread that does not wait; None: all threads except *besides* wait, and none of them is about to go on.

        All threads are read in two passes. A thread that ran in between was switched out before the second pass, so its
        counters differ. If all counters are equal, all threads slept when the first pass ended. From then on only a
        running thread or something outside can wake one. Counters of an earlier check serve as the first pass, unless
        it is known that the thread has run since.

        A thread that another processor has woken, but not yet put into its run queue, still appears to be in its call.
        So its state is checked, too.

        Between the passes `in_transit` is read: data that the kernel was still delivering then can wake a thread later.
        What was written to terminals is delivered there. Without *sends* neither is done, because nothing has been sent
        since the last time.
        """
        checked: list[Thread] = []
        self.in_transit = False
        for thread in self.threads.values():
            if thread.held is not None or thread.nap_until is not None or thread in besides:
                continue
            if not thread.seen or thread.process.refused or (thread.wait is not None and thread.wait.is_due):
                return thread
            try:
                if not thread.counters:
                    if not thread.files and len(self.threads) <= self._most_open:
                        thread.files += proc_reads.open_all(thread.process.pid, thread.tid)
                    thread.counters = proc_reads.read(thread.process.pid, thread.tid, thread.files, COUNTERS)
            except OSError:
                return thread  # it ends
            checked.append(thread)
        if sends and self._has_terminals:
            terminals.deliver(end for pid in self.processes for end in terminals.ends_of(pid))
        in_transit = sends and (self.connections.scan() or self.hooks.in_transit())
        for thread in checked:
            pid, tid, files, is_stopped = thread.process.pid, thread.tid, thread.files, thread.stopped
            in_vfork = thread.vfork_child != 0
            try:
                call = proc_reads.read(pid, tid, files, CALL)
                waits_ = (call == thread.waits_in and not is_stopped) or proc_reads.waits(
                    pid, tid, call, output=self._output, in_vfork=in_vfork, is_stopped=is_stopped
                )
                waits_ = waits_ and proc_reads.sleeps(
                    proc_reads.read(pid, tid, files, STATE), in_vfork=in_vfork, is_stopped=is_stopped
                )
                # Read last: if they are unchanged, all that was read before is of the thread's current call.
                after = proc_reads.read(pid, tid, files, COUNTERS)
            except OSError:
                return thread
            if after != thread.counters or not waits_:
                thread.counters = thread.waits_in = b""
                return thread
            thread.waits_in = call
        self.in_transit = in_transit
        return None

    def wake_monitors(self) -> None:
        """Let Go's monitor wake as often as it asks to, because something computes while time passes."""
        for thread in self.threads.values():
            if thread.wait is not None:
                thread.wait.end_delay()

    def computing(self) -> set[Thread]:
        """The threads that do not wait."""
        found: set[Thread] = set()
        while (thread := self.busy(found)) is not None:
            found.add(thread)
        return found

    def settled(self) -> bool:
        """Whether no thread of the tree goes on before a wait is due or something outside happens."""
        if self.busy() is not None or self.in_transit or self.has_pending_stop() or self._output_is_full():
            now = self.hooks.real_monotonic()
            self._end_naps(lambda _thread, until: until <= now)
            return False
        first = self.first()
        if first is not None and first.due_ns <= self.hooks.clocks().realtime:
            return True  # a napping thread polls for work, and finds some once that thread has gone on
        return not self._end_naps(lambda thread, _until: thread.naps < MOST_NAPS, counts=True)

    def is_output(self, thread: Thread, fd: int) -> bool:
        """Whether the descriptor *fd* of *thread* is of the output: a shell has a file there for a while, or a pipe of
        its own."""
        return procfs.target_of(thread.tid, fd) == self._output

    def _output_is_full(self) -> bool:
        """Whether the program may be waiting in ``poll`` or ``epoll`` for its output to be read."""
        return self._output_poll is not None and not self._output_poll.poll(0)

    def _end_naps(self, ends: Callable[[Thread, float], bool], *, counts: bool = False) -> bool:
        """End the naps for which *ends* returns True; returns whether there were any."""
        found = [
            thread
            for thread in self.threads.values()
            if thread.nap_until is not None and thread.held is None and ends(thread, thread.nap_until)
        ]
        for thread in found:
            thread.nap_until = None
            thread.naps += counts
            try:
                self._return(thread, 0)
            except ProcessLookupError:
                continue
        return bool(found)

    def _return(self, thread: Thread, result: int) -> None:
        """Have the call at whose entry a thread has stopped return *result* without being made."""
        self._registers.read(thread.tid)
        self._registers.return_at_entry(thread.tid, result)
        self._go_on(thread)

    def has_pending_stop(self) -> bool:
        """Whether a thread has stopped and `step` has not handled that yet."""
        try:
            return os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT | tracee.WALL) is not None
        except ChildProcessError:
            return False
