"""The scheduler of an instance: each simulated wait parks its thread here, and one thread runs at a time.

A thread that would wait parks a `Waiter` and polls an eventfd of its own. When the last running thread has parked, the
scheduler reports when the first of its waiters is due. The harness puts that on its clock, beside the instants of all
other instances, and sends RESUME, which is the run token, when it is this one's turn: the first waiter of the run queue
that is due is granted, and its thread resumes. So a program with threads does the same in each run, which it would not
if the interpreter chose the thread. Where the harness has granted a lease the scheduler moves the clock itself, without
a message.

One lock guards the state. Methods under "with the lock" are called with it, the others take it. Under it nothing blocks
and no user code runs: a signal that comes meanwhile waits in the inbox until the main thread is at a safe point of
`_block`, so that no handler finds the state half written.

The signal inbox, the alarm, the channel and the lease log own their parts of the state. Only this module writes
to waiters, readiness and threads: their own methods would cost one more call at each wait.
"""

from __future__ import annotations

import _thread
import contextlib
import heapq
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn, Protocol

from ...linux import linux
from ...protocol import messages, shared_page, time_units
from ...protocol.shared_page import (
    CLOCK_NOW,
    CONTROL_CORE,
    CONTROL_LEASE,
    CONTROL_LEASED,
    LEASE_COUNT,
    LEASE_LAST,
    NO_PLACE,
    ControlPage,
)
from ...side.channel import Channel
from ...side.lease_log import LeaseLog
from ...side.originals import real_poll
from .. import clock
from ..clock_polls import polls
from .alarm import Alarm
from .callers import call_of_user, describe_call, describe_caller, frame_that_calls, user_frame
from .lock import Section
from .signal_inbox import SignalInbox

_get_ident = _thread.get_ident
_own_pid = os.getpid
_stop = os.kill
_eventfd_read = os.eventfd_read
_yield = os.sched_yield
_real_monotonic = time.monotonic
_set_cpus = os.sched_setaffinity
_pack_parked = messages.pack_parked
LONGEST_POLL_MS = 1_000_000_000
SHALLOW = 100
"""Frames of a stack that has room: of Python's limit of 1,000 each may take several, with the C code between them."""
STACK_OF_WAIT = 24
"""Levels of the stack that `Scheduler.park` has to itself: a sleep takes 8, a message that it receives takes more."""


class Waiter:
    """One call that blocks.

    It ends at ``due_us``, in µs since the epoch; where that is None it ends only when it is woken. ``description`` is
    its name in texts, and empty where the scheduler waits for reasons of its own.
    """

    __slots__ = (
        "awaits",
        "deferred",
        "description",
        "due_us",
        "granted",
        "in_c",
        "order",
        "over",
        "readiness",
        "suspended",
        "thread",
        "woken",
    )

    def __init__(
        self,
        thread: ThreadState,
        due_us: int | None,
        description: str,
        readiness: Readiness | None = None,
        awaits: int = 0,
    ) -> None:
        self.thread = thread
        self.due_us = due_us
        self.description = description
        self.readiness = readiness
        self.awaits = awaits
        self.order: shared_page.Order = (0, 0, 0)
        self.granted = False
        self.woken = False
        self.suspended = False
        self.over = False
        self.in_c = False
        """C code waits. Nothing can be raised out of it, so that a signal ends the wait instead."""
        self.deferred: int | None = None
        """How many signals have come whose handlers are called after this wait; None: they are called during it."""

    def defer_handlers(self) -> None:
        """Have no handler of a signal called before this wait is over."""
        self.deferred = 0


class Readiness:
    """The descriptors that end a wait once one of them is ready, and for how long they hold the clock."""

    __slots__ = ("descriptors", "ends", "holds", "is_ready", "muted", "place", "polled", "until")

    def __init__(self, descriptors: Mapping[int, int], is_ready: Callable[[], bool]) -> None:
        self.descriptors = descriptors
        """The events of ``poll``, by descriptor."""
        self.is_ready = is_ready
        """Whether one of them is ready now; it reads nothing from them."""
        self.holds = False
        """Something outside makes one of them ready, in real time: the clock is held."""
        self.until: float | None = None
        """Until when the clock is held, on the real monotonic clock; None: until one of them is ready."""
        self.ends = False
        """The wait ends at ``until`` as well."""
        self.muted = False
        """One of them is ready while another thread runs, which may still take what is there.

        It is not polled, as ``poll`` would return at once again and again; it is looked at when that thread parks.
        """
        self.polled = False
        """They are registered with the thread's poller."""
        self.place = NO_PLACE
        """Its place among all real waits of the runtime, where others owe it an answer."""

    def hold(self, until: float | None, *, ends: bool = False) -> None:
        """Hold the clock, at most to *until*; with *ends* the wait ends then as well."""
        self.holds = True
        self.until = until
        self.ends = ends

    def take(self, place: int) -> None:
        """Go on in the order of *place*, where something makes a descriptor ready."""
        self.place = place

    def rest_ms(self) -> int | None:
        """The timeout of ``poll``: for how long the clock is still held; None where that has no end."""
        if not self.holds or self.until is None:
            return None
        return min(max(0, math.ceil((self.until - _real_monotonic()) * 1_000)), LONGEST_POLL_MS)


class ThreadState:
    """What the scheduler knows of one Python thread."""

    __slots__ = ("ended", "followed", "joiners", "main", "number", "poller", "polls_channel", "waiters", "wakeup_fd")

    def __init__(self, number: int) -> None:
        self.number = number
        """Its place in the order of starts; that of the main thread is 0."""
        self.main = number == 0
        self.wakeup_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.waiters: list[Waiter] = []
        self.ended = False
        self.followed = 0
        """What ``Scheduler._followed`` was when this thread last set its gates."""
        self.joiners: list[Waiter] = []
        self.polls_channel = False
        self.poller = real_poll()
        self.poller.register(self.wakeup_fd, select.POLLIN)

    def wake(self) -> None:
        os.eventfd_write(self.wakeup_fd, 1)

    def close(self) -> None:
        os.close(self.wakeup_fd)


class Deferred:
    """A section in which handlers of signals wait; those of the signals that came meanwhile are called at its end.

    They are called on the main thread alone, and by the outermost section: within another one the state may be half
    written.
    """

    __slots__ = ("_outermost", "_scheduler")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._outermost = False

    def __enter__(self) -> None:
        scheduler = self._scheduler
        if not scheduler.main_inside and scheduler.threads.get(_get_ident()) is scheduler.main:
            self._outermost = scheduler.main_inside = True

    def __exit__(self, *exception: object) -> None:
        if self._outermost:
            self._scheduler.main_inside = False
            if self._scheduler.pending:
                self._scheduler.run_pending()


def require_stack() -> None:
    """Raise ``RecursionError`` here, where nothing has changed yet, if the stack has no room for a wait.

    Raised in the middle of one, it would leave the count of running threads and the run queue wrong.
    """
    try:
        sys._getframe(SHALLOW)
    except ValueError:  # as usual: to go down each time would cost four times as much
        return
    _go_down(STACK_OF_WAIT)


def _go_down(levels: int) -> None:
    if levels:
        _go_down(levels - 1)


class Gateway(Protocol):
    """The platform's side of the connections of an image's program, in this process; called with the lock."""

    def begin(self, invocation: messages.Invoke) -> None: ...
    def poll(self) -> bool: ...
    def has_received_all(self) -> bool: ...
    def receive_final_response(self) -> None: ...
    def open_gate(self) -> None: ...


class Scheduler:
    """The scheduler of this process. It is not ``active`` in the zygote and in children that user code forked."""

    __slots__ = (
        "_alarm_waiter",
        "_answer_waits",
        "_answers_in_c",
        "_arm_gates",
        "_call",
        "_core",
        "_cpus",
        "_follow_gates",
        "_followed",
        "_gate_waiters",
        "_gateway",
        "_held",
        "_idle_waiter",
        "_invocation",
        "_lease_suspensions",
        "_means",
        "_reader",
        "_report_owed",
        "_rest",
        "_run_queue",
        "_save",
        "_save_requested",
        "_seen_messages",
        "_started",
        "_terminal_waiter",
        "_threads_begun",
        "_typed",
        "_watching",
        "active",
        "alarm",
        "alone",
        "c_code",
        "channel",
        "clock_page",
        "control",
        "control_page",
        "forked",
        "inbox",
        "is_initialised",
        "leased",
        "lock",
        "main",
        "main_ident",
        "main_inside",
        "moved",
        "pending",
        "real_us",
        "row_owed",
        "running_threads",
        "threads",
        "wakeup_fd",
    )
    # The interpreter reads a slot faster than one of so many attributes in a dictionary, and each wait reads a dozen.

    clock_page: Any
    """The clock in shared memory, from `Scheduler.join` on."""

    def __init__(self) -> None:
        self.active = False
        self.is_initialised = False
        """The init of user code is over."""
        self.c_code = False
        """Code in C is loaded, which may write to the output past the patches."""
        self.alone = False
        """The main thread is the only one, and no reason is left not to move the clock under a lease."""
        self.moved = False
        """The clock was moved here since the last report to the harness."""
        self.main_inside = False
        """The main thread is in the scheduler: handlers of signals wait for a safe point."""
        self._core = 0
        """What the harness has said last of the core to run on; see ``CONTROL_CORE``."""
        self._cpus: set[int] | None = None
        """The cores that this process may use; None where it is not to be bound to one."""
        self._follow_gates: Callable[[], None] | None = None
        """What each thread calls when it resumes and ``_followed`` has changed: other gates at lines are set."""
        self._followed = 0
        self._save: Callable[[], None] | None = None
        """Saves what a part of a feature has to hand in; None: none has."""
        self._save_requested = False
        """The harness has asked to save it, as it is about to end this process."""
        self.real_us = -1
        """The instant at which something real, or a child, was there to wait for: how quick it is decides which waits
        come, and how often."""
        self._call: tuple[int, int, int] | None = None
        """The main thread's last wait at such an instant: the instant, and the call of user code that waits."""
        self.row_owed = False
        """The harness has rows of the main thread's waits that come before anything else that this does which is seen.

        Not earlier, as it is chance what a child has written to the output by then. Handlers of signals are not meant:
        it is chance whether the call has begun to wait when a child's signal comes.
        """
        self._rest: tuple[int, int, int] | None = None
        """The same of its last wait for the rest of what had come in part."""

    def attach(
        self,
        channel: Channel,
        control: ControlPage,
        wakeup_fd: int,
        inbox: SignalInbox,
        alarm: Alarm,
        *,
        arm_gates: Callable[[messages.ArmGates], None],
        answer_waits: Callable[[messages.AnswerWaits], list[Waiter]],
        answers_in_c: Callable[[], str],
    ) -> None:
        """Become the scheduler of an instance whose only thread is the calling one; `join` opens it.

        *arm_gates* sets the gates that the harness names. *answer_waits* notes what the harness says of a connection,
        and returns the waiters that it concerns. *answers_in_c* says on what code in C has got answers. They are
        parameters because their modules import this one.
        """
        self.lock = Section()
        self.channel = channel
        self.control = control
        self.control_page = control.slots
        """Its slots, for what runs at each wait."""
        self.wakeup_fd = control.wakeup_fd = wakeup_fd
        self.inbox = inbox
        self.pending = inbox.pending
        """The signals in the inbox, for what runs at each wait."""
        self.alarm = alarm
        self._alarm_waiter: Waiter | None = None
        """Stands for the alarm in the run queue; no thread waits for it."""
        self._arm_gates = arm_gates
        self._answer_waits, self._answers_in_c = answer_waits, answers_in_c
        self.leased = LeaseLog(control)
        self.moved = False
        self._lease_suspensions = 0
        """How many reasons there are not to move the clock here, lease or not."""
        self.forked = False
        """One of the reasons: a child process was started, and may still live."""
        self.main_ident = _get_ident()
        self._seen_messages = 0
        self._run_queue: list[tuple[int, shared_page.Order, Waiter]] = []
        """A heap of the waiters with an instant, by that and their order."""
        self.main = ThreadState(0)
        self._threads_begun = 0
        self.main.poller.register(wakeup_fd, select.POLLIN)
        self.main.poller.register(inbox.fd, select.POLLIN)
        self.threads: dict[int, ThreadState] = {_get_ident(): self.main}
        self._started: list[ThreadState] = []
        """Threads that user code has started and that have not reached their first bytecode."""
        self.running_threads = 1
        """How many threads are not parked."""
        self._held = 0
        """How many threads are parked for something real, and hold the clock."""
        self._watching: list[Waiter] = []
        """The waiters that a descriptor ends, in the order in which they began."""
        self._report_owed = False
        """The harness has polled while a signal was on its way to the main thread: report once that is handled."""
        self._reader: ThreadState | None = None
        """The parked thread that polls the channel; one at most does."""
        self._gate_waiters: list[Waiter] = []
        """Of gates that are closed. There are several where a handler of a signal has come to one at another one."""
        self._idle_waiter: Waiter | None = None
        self._terminal_waiter: Waiter | None = None
        self._typed: str | None = None
        self._invocation: messages.Invoke | None = None
        self._gateway: Gateway | None = None
        """The platform's side of the connections of an image's program."""

    def join(self, clock_page: Any) -> None:
        """Go over to the clock of *clock_page*; the calling thread runs."""
        self.clock_page = clock_page
        self.active = True
        self._means = self.means()
        self.control_page[shared_page.CONTROL_C_CODE] = self.c_code
        if not self.c_code:
            self._cpus = os.sched_getaffinity(0)
        self._count_threads()
        self._answers_in_c()  # what modules that are preloaded have got is no row of an event
        with self.lock:
            self._take_messages(self.channel.take_unread())

    def detach(self) -> None:
        """Leave the harness, in a child that user code forked; the child goes on in real time."""
        if not self.active:
            return
        self.active = self.alone = self.moved = False
        clock.detach()
        self.main_inside = False
        self.channel.close()
        self.inbox.close()
        os.close(self.wakeup_fd)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def park(
        self,
        due_us: int | None,
        description: str,
        *,
        enlist: Callable[[Waiter], bool] | None = None,
        readiness: Readiness | None = None,
        awaits: int = 0,
    ) -> bool:
        """Park the calling thread until *due_us* or until it is woken; whether it was woken.

        *enlist* is called with the waiter before it is parked, and puts it where its waker finds it. If it returns
        False, what the thread would wait for is there already, and the call returns True at once. A descriptor of
        *readiness* wakes the thread once it is ready. *awaits* is one of `messages.Awaits`.
        """
        require_stack()
        thread = self._current()
        main = thread.main
        if main:
            self.main_inside = True
        try:
            waiter = Waiter(thread, due_us, description, readiness, awaits)
            if enlist is not None and not enlist(waiter):
                waiter.over = True
                return True
            if description and self.beside_others:
                self._fold(waiter, due_us is not None and enlist is None)
            with self.lock:
                if readiness is not None:
                    self._begin_watching(waiter, readiness)
                self._park(waiter)
            try:
                self._block(waiter)
            finally:
                if readiness is not None:
                    self._end_watching(waiter, readiness)
            return waiter.woken
        finally:
            if main:
                self.main_inside = False
                if self.pending:
                    self.run_pending()

    @property
    def beside_others(self) -> bool:
        """Whether something real, or a child, is there to wait for at this instant."""
        return self.forked or self.real_us == self.clock_page[CLOCK_NOW]

    def note_real(self, describe: Callable[[], str | None], frame: FrameType | None = None) -> None:
        """Note that the calling thread wants what another process makes ready, though it may be there already.

        Whether it is, the machine's speed decides. So the main thread's call is a row of the timeline in any case, and
        that of another thread in none. *describe* names the wait; empty: only this process can end it; None: it is for
        the rest of what has come in part, and belongs to the wait before. *frame*: the call is made there, not here.
        """
        now = self.clock_page[CLOCK_NOW]
        call = self._call_now(now, frame) if _get_ident() == self.main_ident else None
        if self.real_us == now and (call is None or call == self._call):
            return
        description = describe()
        if description == "":
            return
        self.real_us = now
        if call is not None and description is None:
            self._rest = call
        elif call is not None and description is not None:
            self._call = call
            self.row_owed = True
            with Deferred(self), self.lock:
                self.send_marked_locked(messages.pack(messages.WaitsForOthers(description)))

    @staticmethod
    def _has_no_row(awaits: int, time_passes: bool) -> bool:
        return bool(awaits & (messages.HIDDEN if time_passes else messages.HIDDEN | messages.FOLDED))

    @staticmethod
    def _call_now(now: int, frame: FrameType | None = None) -> tuple[int, int, int]:
        """The call of user code in which the main thread is, at this instant."""
        frame, _ = call_of_user(frame)
        return now, id(frame.f_code), frame.f_lasti

    def _fold(self, waiter: Waiter, sleeps: bool) -> None:
        """Have *waiter* fold with others at an instant at which others' speed decides which waits come.

        All waits of the main thread in one call of user code are one row. Of other threads only a sleep is one.
        """
        self.real_us = now = self.clock_page[CLOCK_NOW]
        if waiter.thread.main:
            call = self._call_now(now)
            if call in (self._call, self._rest):
                waiter.awaits |= messages.FOLDED
            else:
                waiter.awaits |= messages.FOLLOWS
                self._call, self.row_owed = call, True
        elif not sleeps:
            waiter.awaits |= messages.HIDDEN

    def park_in_c(self, due_us: int, description: str) -> bool:
        """Park the calling thread until *due_us*, for C code that has called; whether it was parked for so long.

        Nothing can be raised out of such code, so no handler of a signal runs here: a signal ends the wait, and its
        handler is called as soon as the code has returned to the interpreter.
        """
        thread = self._current()
        main = thread.main
        if main:
            if self.main_inside:
                return False
            self.main_inside = True
        try:
            waiter = Waiter(thread, due_us, description)
            waiter.in_c = True
            with self.lock:
                self._park(waiter)
            self._block(waiter)
            return waiter.granted
        finally:
            if main:
                self.main_inside = False
                if self.pending:
                    clock.interrupt(linux.POKE_SIGNAL)

    def sleep(self, microseconds: int) -> None:
        """Park the calling thread for exactly *microseconds* of simulated time."""
        self.park(clock.now_us() + microseconds, describe_caller(f"sleep({microseconds / 1e6:g})"))

    def leased_sleep(self, seconds: float) -> bool:
        """Move the clock by *seconds* instead of parking, if the lease allows it; whether it did.

        ``time.sleep`` calls this where ``alone`` is true. A loop of sleeps spends its time here, so it calls as little
        as possible: a sleep that repeats the last one is counted in its record with no call at all.
        """
        if _get_ident() != self.main_ident:
            return False
        kind = type(seconds)
        if (kind is not int and kind is not float) or not 0 < seconds < time_units.LONGEST:
            return False
        microseconds = seconds * 1_000_000 if kind is int else time_units.microseconds(seconds)
        self.main_inside = True  # handlers of signals wait: they may move the clock as well
        try:
            page, control = self.clock_page, self.control_page
            now = page[CLOCK_NOW]
            due = now + microseconds
            passes: bool = due < control[CONTROL_LEASE] and due < self.alarm.due_us
            if passes and (self._gateway is None or self._gateway.has_received_all()):
                if self.c_code:
                    with self.lock:
                        self._before_move()
                frame = sys._getframe(2)
                sleep = (frame.f_code, frame.f_lasti, microseconds)
                leased = self.leased
                record = leased.record
                if record and sleep == leased.sleep:
                    control[record + LEASE_LAST] = now
                    control[record + LEASE_COUNT] += 1
                else:
                    passes = leased.note(describe_caller(f"sleep({microseconds / 1e6:g})"), now, sleep)
                if passes:
                    page[CLOCK_NOW] = due
                    control[CONTROL_LEASED] += 1
                    self.moved = True
                    clock.reads[0] = 0
            else:
                passes = False
        finally:
            self.main_inside = False
            if self.pending:
                self.run_pending()
        return passes

    def leased_sleep_unless(self, take: Callable[[], Any], microseconds: int, name: str) -> Any:
        """`leased_sleep` for a wait that this process itself may end. Returns what *take* has returned.

        None means that the caller has to park. Handlers of signals wait from before *take* on: one that ran between
        *take* and the move could make ready what was waited for, and the wait would last too long.
        """
        if _get_ident() != self.main_ident:
            return None
        self.main_inside = True
        try:
            found = take()
            if found:
                return found
            page, control = self.clock_page, self.control_page
            now = page[CLOCK_NOW]
            due = now + microseconds
            if (
                due >= control[CONTROL_LEASE]
                or due >= self.alarm.due_us
                or not (self._gateway is None or self._gateway.has_received_all())
            ):
                return None
            with self.lock:
                if not self._may_move(describe_caller(name), now):
                    return None
            self._move_clock(due)
            return found
        finally:
            self.main_inside = False
            if self.pending:
                self.run_pending()

    def yield_run_token(self) -> None:
        """Let the other threads run that are ready; the calling one is last among them. It is no wait."""
        polls.begin_pass()
        if len(self.threads) == 1 and not self._started:
            return
        with Deferred(self), self.lock:
            if self._watching:
                self._poll_watched()
            head, now = self._head(), self.clock_page[CLOCK_NOW]
        if head is not None and head.due_us is not None and head.due_us <= now:
            self.park(now, "")
            polls.handed_over()

    def wake(self, waiter: Waiter) -> bool:
        """Put *waiter* into the run queue, as due now; False where it is over already."""
        with Deferred(self), self.lock:
            return self._wake(waiter)

    def suspend_lease(self, change: int) -> None:
        """Add (1) or remove (-1) a reason not to move the clock here, lease or not."""
        with Deferred(self), self.lock:
            self._lease_suspensions += change
            self._count_threads()

    def become(self, kind: type[Scheduler]) -> None:
        """Go on as a scheduler of that *kind*, which has the same state: so what only some instances need costs others
        nothing at each wait."""
        self.__class__ = kind
        self._means = self.means()

    def leave_core(self) -> None:
        """Run on any core from here on: what is started now inherits that, and code in C may ask for it."""
        cpus, self._cpus = self._cpus, None
        if cpus is not None and self._core:
            with contextlib.suppress(OSError):  # a sandbox may forbid it
                _set_cpus(0, cpus)

    def _follow_core(self) -> None:
        """Run where the harness says, which exchanges messages with this process on its own core."""
        self._core = self.control_page[CONTROL_CORE]
        if self._cpus is not None:
            with contextlib.suppress(OSError):
                _set_cpus(0, {self._core - 1} if self._core else self._cpus)

    def forks(self) -> None:
        """Note that a child process is about to be started, or has been: while one lives the clock is held."""
        with Deferred(self), self.lock:
            self.leave_core()
            if self.moved:
                self._report_time()  # what the child writes has the time of its start
            self._send_rows()
            self.control_page[shared_page.CONTROL_FORKS] += 1
            self.real_us = self.clock_page[CLOCK_NOW]
            if not self.forked:
                self.forked = True
                self._lease_suspensions += 1
                self._count_threads()

    # -- the harness ---------------------------------------------------------------------------------------------------

    def idle(self) -> messages.Invoke:
        """Wait, on the main thread, for the next invocation."""
        while self._invocation is None:
            self._park_for_harness(self._enlist_idle)
        asked, self._invocation = self._invocation, None
        if self.control_page[CONTROL_CORE] != self._core:
            self._follow_core()
        return asked

    def open_gateway(self, gateway: Gateway) -> None:
        """From here on hand events to the program of an image, by way of *gateway*."""
        self._gateway = gateway
        self._count_threads()

    def receive_final_response(self) -> None:
        """Before the process ends: send what its program has answered since a thread last parked."""
        if not self.active or self._gateway is None:
            return
        with Deferred(self), self.lock:
            self._gateway.receive_final_response()

    def gate(self, identity: str, at: str) -> None:
        """Park the calling thread until the harness opens the gate."""
        main = self.threads.get(_get_ident()) is self.main
        self.send(messages.pack(messages.Gated(identity, at, main)))
        self._park_for_harness(self._enlist_gate)

    def refuse(self, message: messages.Forks) -> NoReturn:
        """Report a fork that is not allowed, before it happens, and block until the harness ends this process."""
        self.send(messages.pack(message))
        self.suspend_lease(1)
        while True:
            self.park(None, "")

    def ask_terminal(self, text: str) -> str:
        """Show *text* on the user's terminal, and return the line that is typed; empty at the end of the input."""
        self.send(messages.pack(messages.Terminal(text)))
        self._park_for_harness(self._enlist_typed)
        typed, self._typed = self._typed, None
        return typed or ""

    def _park_for_harness(self, enlist: Callable[[Waiter], bool]) -> None:
        """Park until a message of the harness ends it. No other thread moves the clock meanwhile.

        They would move it past the end of the event, or past the gate.
        """
        self.suspend_lease(1)
        try:
            self.park(None, "", enlist=enlist)
        finally:
            self.suspend_lease(-1)

    def _enlist_idle(self, waiter: Waiter) -> bool:
        self._idle_waiter = waiter
        return self._invocation is None

    def _enlist_gate(self, waiter: Waiter) -> bool:
        self._gate_waiters = [other for other in self._gate_waiters if not other.over]
        self._gate_waiters.append(waiter)
        return True

    def _enlist_typed(self, waiter: Waiter) -> bool:
        self._terminal_waiter = waiter
        return self._typed is None

    # -- threads -------------------------------------------------------------------------------------------------------

    def expect_thread(self) -> ThreadState:
        """Add a thread that is about to be started, as due now; it waits for its first run token in `begin_thread`."""
        thread = self._new_thread()
        with Deferred(self), self.lock:
            self.leave_core()
            waiter = Waiter(thread, self.clock_page[CLOCK_NOW], "")
            thread.waiters.append(waiter)
            self._push(waiter)
            self._started.append(thread)
            self._count_threads()
        return thread

    def forget_thread(self, thread: ThreadState) -> None:
        """Remove a thread of `expect_thread` that could not be started."""
        with Deferred(self), self.lock:
            thread.waiters[0].over = True
            self._started.remove(thread)
            self._count_threads()
        thread.close()

    def begin_thread(self, thread: ThreadState) -> None:
        """Wait for the run token: the first thing that a new thread does."""
        with self.lock:
            self.threads[_get_ident()] = thread
            self._started.remove(thread)
            self._count_threads()
            if not thread.waiters[0].granted:
                self._become_reader_if_none(thread)
        self._block(thread.waiters[0])

    def end_thread(self, thread: ThreadState) -> None:
        """Wake the threads that join this one and hand the run token back: the last thing that a thread does."""
        with self.lock:
            thread.ended = True
            del self.threads[_get_ident()]
            self._count_threads()
            for waiter in thread.joiners:
                self._wake(waiter)
            self.running_threads -= 1
            self._find_reader()
            self._dispatch()
        thread.close()

    def join_thread(self, thread: ThreadState, due_us: int | None, description: str) -> bool:
        """Wait for the end of *thread* until *due_us*; whether it has ended."""

        def enlist(waiter: Waiter) -> bool:
            with self.lock:
                if thread.ended:
                    return False
                thread.joiners.append(waiter)
                return True

        if self.real_us == self.clock_page[CLOCK_NOW]:
            self.note_real(lambda: description)  # whether the thread has ended may depend on others as well
        return thread.ended or self.park(due_us, description, enlist=enlist, awaits=messages.Awaits.THREAD)

    def is_accompanied(self) -> bool:
        """Whether another thread, or another event, may have something to do at this instant."""
        return len(self.threads) > 1 or self.control_page[CONTROL_LEASE] <= self.clock_page[CLOCK_NOW]

    def next_place(self) -> int:
        """The place of a real wait that begins now."""
        page = self.clock_page
        page[shared_page.CLOCK_SEQUENCE] = number = page[shared_page.CLOCK_SEQUENCE] + 1
        return number  # type: ignore[no-any-return]

    def follow_gates(self, follow: Callable[[], None]) -> None:
        """Other gates at lines are set: have each thread call *follow* when it resumes."""
        self._follow_gates = follow
        self._followed += 1

    def save_with(self, save: Callable[[], None]) -> None:
        """Have *save* called before the harness ends this process, and after each event."""
        self._save = save

    def save(self) -> None:
        """Save what parts of features, as coverage, have to hand in."""
        if self._save is not None:
            self._save()

    # -- what is sent --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a whole frame. Handlers of signals, which may send as well, wait until it is sent."""
        with Deferred(self), self.lock:
            self._send_rows()
            self.send_locked(data)

    def send_marked(self, data: bytes) -> None:
        """Send a marked frame (``messages.MARKED``): the mark separates the output before it from that after it."""
        with Deferred(self), self.lock:
            self._send_rows()
            self.send_marked_locked(data)

    def before_output(self) -> None:
        """Before output is written: report the time, where it has ``moved``, and the row that is owed."""
        with Deferred(self), self.lock:
            if self.moved:
                self._report_time()
            self._send_rows()

    def expect_output_of_c_code(self) -> None:
        """Before code in C is loaded: report the time of what Python has written so far, and note that C may write."""
        if self.c_code:
            return
        if self.active and self.moved:
            self.before_output()
        self.c_code = True
        if self.active:
            self.leave_core()
            self.control_page[shared_page.CONTROL_C_CODE] = True

    def after_output(self) -> None:
        """After output, which is progress: receive gates that were set while this thread ran."""
        clock.reads[0] = 0
        if self.control_page[shared_page.CONTROL_MESSAGES] != self._seen_messages:
            self.receive()

    def receive(self) -> None:
        """Receive what the harness has sent, on a thread that runs; where a parked one polls the channel, it does."""
        if self.control_page[shared_page.CONTROL_MESSAGES] == self._seen_messages or self._reader is not None:
            return
        with Deferred(self):
            with self.lock:
                self._take_messages(self.channel.receive())
            self._save_and_stop()
            self._follow(self._current())

    def on_poke(self, frame: FrameType | None) -> None:
        """Handle the poke signal, by which the harness has a running main thread receive messages, such as new gates.

        Where C code has just left `park_in_c`, call the handlers that could not be called there.
        """
        if not self.active or self.main_inside:
            return
        if clock.is_in_c(frame):
            clock.interrupt(linux.POKE_SIGNAL)  # here nothing can be raised
            return
        self._note_answers_in_c(frame)
        if self.pending:
            self.run_pending()
        self.receive()

    def _note_answers_in_c(self, frame: FrameType | None) -> None:
        """Where code in C that has just returned to *frame* has got an answer on a connection of its own, note that."""
        if self.active and (on := self._answers_in_c()):
            calls = frame_that_calls(frame)
            self.note_real(lambda: describe_call("code in C", on, calls), calls)

    # -- blocking ------------------------------------------------------------------------------------------------------

    def _current(self) -> ThreadState:
        thread = self.threads.get(_get_ident())
        if thread is None:  # started by C code, or through a reference older than the patches
            thread = self._new_thread()
            with self.lock:
                self.threads[_get_ident()] = thread
                self._count_threads()
                self.running_threads += 1
        return thread

    def _block(self, waiter: Waiter) -> None:
        """Block until *waiter* is granted, and call handlers of signals meanwhile.

        A handler is user code and may wait itself. Its waiter then follows *waiter*, which is suspended meanwhile.
        """
        thread = waiter.thread
        while True:
            if waiter.granted:  # first: the thread counts as running already, and the handlers run after the wait
                self._resume(waiter)
                return
            if thread.main and self.pending and not self._is_interrupted(waiter):
                if self.inbox.announced:
                    self._end_announcement()
            elif thread.main and self.pending:
                if waiter.in_c:
                    self._abandon(waiter)
                    return
                if waiter.deferred is None:
                    if self.control_page[shared_page.CONTROL_MESSAGES] != self._seen_messages:
                        self._receive_before_handlers(thread)
                        if waiter.granted:
                            continue
                    self._run_pending_inside(waiter)
                    continue
                if waiter.deferred != len(self.pending) or self.inbox.announced:
                    self._defer_signals(waiter)
            if thread.main and self.inbox.poll_requested:
                with self.lock:
                    if not self.inbox.interrupts or waiter.deferred is not None:  # else a handler is called first
                        self.inbox.take_poll()
                        if self._gateway is not None and self.running_threads == 0:
                            self._gateway.poll()
                        self._poll_watched()
                        self.send_locked(messages.pack(messages.SignalsHandled()))
                        self._report()
            self._poll(waiter)

    def _receive_before_handlers(self, thread: ThreadState) -> None:
        """Receive what the harness has sent before the signal whose handler is about to be called: gates in it, say."""
        with self.lock:
            self._reader = thread
            self._take_messages(self.channel.receive())
        self._save_and_stop()

    def _receive_on_main(self) -> None:
        """The same where the main thread runs: it may be about to stand at a gate."""
        if self.control_page[shared_page.CONTROL_MESSAGES] != self._seen_messages and self._reader is None:
            self.main_inside = True
            try:
                with self.lock:
                    self._take_messages(self.channel.receive())
                self._save_and_stop()
                self._follow(self.main)
            finally:
                self.main_inside = False

    def _poll(self, waiter: Waiter) -> None:
        """Poll once for whatever concerns *waiter*: its wakeup, its descriptors, signals, and perhaps the channel."""
        thread, readiness = waiter.thread, waiter.readiness
        reads = self._reader is thread
        if reads is not thread.polls_channel:
            thread.polls_channel = reads
            if reads:
                thread.poller.register(self.channel.fd, select.POLLIN)
            else:
                thread.poller.unregister(self.channel.fd)
        if readiness is not None and readiness.polled is (readiness.muted or waiter.woken):
            self._register_watched(thread, readiness, not readiness.polled)
        ready = thread.poller.poll(None if readiness is None else readiness.rest_ms())
        if not ready and readiness is not None:
            with self.lock:
                self._hold_is_over(waiter, readiness)
        for fd, _ in ready:
            if fd == thread.wakeup_fd:
                self._drain(thread.wakeup_fd)
            elif fd == self.inbox.fd:
                self.inbox.drain()
            elif fd == self.wakeup_fd:
                with self.lock:
                    self._drain(self.wakeup_fd)
                    if waiter.granted:
                        self._find_reader()  # this thread is on its way out
                    else:
                        self._become_reader_if_none(thread)
            elif fd == self.channel.fd:
                if self._reader is thread:
                    with self.lock:
                        self._take_messages(self.channel.receive())
                    self._save_and_stop()
            elif readiness is not None:
                with self.lock:
                    self._is_ready(waiter, readiness)

    @staticmethod
    def _drain(wakeup_fd: int) -> None:
        try:
            _eventfd_read(wakeup_fd)
        except BlockingIOError:
            pass  # another thread was quicker

    def _resume(self, waiter: Waiter) -> None:
        waiter.over = True
        waiter.thread.waiters.remove(waiter)
        if waiter.thread.followed != self._followed:  # here too: each wait would call, and gates rarely change
            self._follow(waiter.thread)

    def _follow(self, thread: ThreadState) -> None:
        """Set the gates of *thread*, which is the calling one, if others have been asked for since it last did."""
        if thread.followed != self._followed:
            thread.followed = self._followed
            if self._follow_gates is not None:
                self._follow_gates()

    def _end_watching(self, waiter: Waiter, readiness: Readiness) -> None:
        self._watching.remove(waiter)
        if self.active:
            self.control_page[shared_page.CONTROL_WATCHES] = len(self._watching)
        if readiness.polled:
            self._register_watched(waiter.thread, readiness, False)

    @staticmethod
    def _register_watched(thread: ThreadState, readiness: Readiness, polled: bool) -> None:
        readiness.polled = polled
        for fd, events in readiness.descriptors.items():
            if polled:
                thread.poller.register(fd, events)
            else:
                thread.poller.unregister(fd)

    def _save_and_stop(self) -> None:
        """Save, where the harness has asked, and stop: no user code runs after that."""
        if not self._save_requested:
            return
        self._save_requested = False
        self.save()
        self.control_page[shared_page.CONTROL_SAVED] += 1
        _stop(_own_pid(), signal.SIGSTOP)

    # -- the main thread and its signals -------------------------------------------------------------------------------

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Call the handler of a signal that has just come, or put the signal into the inbox for a safe point."""
        in_c = clock.is_in_c(frame)
        if in_c:
            clock.interrupt(linux.POKE_SIGNAL)
        if in_c or self.main_inside:
            waiters = self.main.waiters
            if signum in self.pending and waiters and waiters[-1].deferred is not None:
                waiters[-1].deferred = -1  # C code in which a signal comes twice: its handler is called once
            else:
                self.inbox.came(signum)
            self.main.wake()
        else:
            self.inbox.is_elsewhere(signum)
            self._note_answers_in_c(frame)
            self._receive_on_main()
            self._signals_came()
            owed, self.row_owed = self.row_owed, False
            try:
                self.inbox.call_handler(signum, user_frame(frame))
            finally:
                self.row_owed = self.row_owed or owed
                if self._report_owed:
                    self._report_now()
            if self.pending:  # it came while the messages were received
                self.run_pending()

    def signal_main(self, send: Callable[[], None]) -> None:
        """Have *send* send a signal that the main thread notices; the caller is parked meanwhile, due now.

        Its handler runs at once, or after the main thread's wait where another thread got it (`SignalInbox.elsewhere`).
        The caller resumes before the threads that the handler wakes, as it would without us: the handler has to wait
        for the lock, and by then the caller is in the run queue.
        """
        thread = self._current()
        if thread.main:
            send()
            return
        waiter = Waiter(thread, self.clock_page[CLOCK_NOW], "")
        with self.lock:
            self.inbox.announce()
            self.running_threads += 1
            try:
                send()
            except BaseException:
                self.inbox.withdraw()
                self.running_threads -= 1
                raise
            self._park(waiter)
        self._block(waiter)

    def run_pending(self) -> None:
        """Call the handlers of the signals in the inbox."""
        self._receive_on_main()
        self._signals_came()
        owed, self.row_owed = self.row_owed, False
        try:
            self.inbox.call_pending()
        finally:
            self.row_owed = self.row_owed or owed
            if self._report_owed:
                self._report_now()

    def _abandon(self, waiter: Waiter) -> None:
        """End a wait of C code because of a signal."""
        with self.lock:
            waiter.over = True
            waiter.thread.waiters.remove(waiter)
            self._run_for_signal(waiter.thread)
        self._follow(waiter.thread)

    def _run_for_signal(self, thread: ThreadState) -> None:
        """With the lock: count *thread* as running. Where the signal was announced, it has been counted already."""
        self.running_threads += 1 - self.inbox.take_announced()
        if self._reader is thread:
            self._reader = None

    def _run_pending_inside(self, waiter: Waiter) -> None:
        """Call handlers of signals in the middle of a wait; if one raises, the wait is over and raises that."""
        readiness = waiter.readiness
        with self.lock:
            waiter.suspended = True
            if readiness is not None:
                self._held -= readiness.holds
            self._run_for_signal(waiter.thread)
        if readiness is not None and readiness.polled:  # the handler may wait itself
            self._register_watched(waiter.thread, readiness, False)
        self._follow(waiter.thread)  # before the next line: another signal must not interrupt it
        self.main_inside, began_us = False, self.clock_page[CLOCK_NOW]
        try:
            self.run_pending()
        except BaseException:
            waiter.over = True
            waiter.thread.waiters.remove(waiter)
            raise
        self.main_inside = True
        with self.lock:
            waiter.suspended = False
            if waiter.granted:
                return
            self.running_threads -= 1
            if readiness is not None:
                self._held += readiness.holds
            if waiter.due_us is not None:
                if waiter.awaits == messages.Awaits.THREAD and sys.version_info >= (3, 13):
                    waiter.due_us += self.clock_page[CLOCK_NOW] - began_us  # a join does not count that time there
                heapq.heappush(self._run_queue, (waiter.due_us, waiter.order, waiter))
            self._reader = waiter.thread
            self._dispatch(waiter.description, waiter.awaits, True)

    def _is_interrupted(self, waiter: Waiter) -> bool:
        """Whether signals that have come are dealt with in this wait; else their handlers are called after it."""
        return self.inbox.interrupts or waiter.in_c or waiter.deferred is not None

    def _end_announcement(self) -> None:
        """The signals that were announced have come to other threads: the main thread goes on waiting."""
        with self.lock:
            self.running_threads -= self.inbox.take_announced()
            self._report()

    def _defer_signals(self, waiter: Waiter) -> None:
        """Report signals whose handlers are called after the wait, as in a ``sigwait``, which is one call of C code."""
        with self.lock:
            waiter.deferred = len(self.pending)
            self.running_threads -= self.inbox.take_announced()
            self.send_locked(messages.pack(messages.SignalsDeferred(list(self.pending))))
            self._report()

    def _signals_came(self) -> None:
        """The signals that were announced are being handled: the main thread runs, and is counted once."""
        if self.inbox.announced:
            with Deferred(self), self.lock:
                self.running_threads -= self.inbox.take_announced()

    def _report_now(self) -> None:
        with Deferred(self), self.lock:
            self._report()

    # -- the alarm -----------------------------------------------------------------------------------------------------

    def set_alarm(self, due_us: int | None, every_us: int) -> tuple[int, int]:
        """Have the alarm go off at *due_us*, and every *every_us* from then on.

        Returns what was left of the previous one, or 0, and its interval, both in µs.
        """
        with Deferred(self), self.lock:
            alarm = self.alarm
            before = alarm.rest_us(self.clock_page[CLOCK_NOW]), alarm.every_us
            alarm.set(time_units.NEVER_US if due_us is None else due_us, every_us)
            self._enlist_alarm()
            return before

    def alarm_taken(self) -> None:
        """Set an alarm with an interval anew once its SIGALRM has been taken, as the kernel does."""
        if not self.active or not self.alarm.waits_for_signal:
            return
        with Deferred(self), self.lock:
            self._set_alarm_anew()

    def ring_overdue(self) -> None:
        """Let an alarm go off that became due while this process was stopped; on the main thread, which runs."""
        if not self.active:
            return  # a process that is forked ahead calls a handler of its own, to have its pages copied
        with Deferred(self), self.lock:
            if self.alarm.due_us <= self.clock_page[CLOCK_NOW]:
                self.alarm.go_off()
                self._enlist_alarm()
                if self.alarm.ring():
                    self._set_alarm_anew()

    # -- with the lock: the run queue ----------------------------------------------------------------------------------

    def _push(self, waiter: Waiter) -> None:
        page, due = self.clock_page, waiter.due_us
        now = page[CLOCK_NOW]
        page[shared_page.CLOCK_SEQUENCE] = number = page[shared_page.CLOCK_SEQUENCE] + 1
        waiter.order = now, 0 if due is None or due <= now else waiter.thread.number, number
        if due is not None:
            heapq.heappush(self._run_queue, (due, waiter.order, waiter))

    def _head(self) -> Waiter | None:
        heap = self._run_queue
        while heap:
            _, order, waiter = heap[0]
            if waiter.over or waiter.suspended or waiter.granted or waiter.order is not order:
                heapq.heappop(heap)
            else:
                return waiter
        return None

    def _park(self, waiter: Waiter) -> None:
        if waiter.due_us is None or waiter.due_us > self.clock_page[CLOCK_NOW]:  # one of no length is none
            clock.reads[0] = 0
        waiter.thread.waiters.append(waiter)
        if waiter.granted:  # woken by its `enlist`, and granted since: the thread goes on, and was counted twice
            self.running_threads -= 1
            return
        self._push(waiter)
        self.running_threads -= 1
        self._reader = waiter.thread
        self._dispatch(waiter.description, waiter.awaits, waiter.thread.main)

    def _dispatch(self, description: str = "", awaits: int = 0, main: bool = False) -> None:
        """After a thread has parked or ended: grant the next waiter if the lease allows that, else report."""
        if self._gateway is not None and self.running_threads == 0 and self._gateway.poll():
            description = ""  # the event has ended, and this is no wait of it any more
        if self._watching:
            self._poll_watched()
        if self.running_threads == 0 and self._held == 0 and self._lease_suspensions == 0:
            head, until = self._head(), self.control_page[CONTROL_LEASE]
            now = self.clock_page[CLOCK_NOW]
            if (
                head is not None
                and (due := head.due_us) is not None
                and due < until
                and self._may_move("" if self._has_no_row(awaits, due > now) else description, now, main)
            ):
                self._move_clock(max(due, now))
                heapq.heappop(self._run_queue)
                self._grant(head)
                return
        self._report(description, awaits)

    def _report(self, description: str = "", awaits: int = 0) -> None:
        """Report what this instance waits for next; not while a thread is about to resume."""
        self._report_owed = False
        head = self._head()
        due, order = (head.due_us, head.order) if head is not None else (None, (0, 0, 0))
        due = messages.NEVER if due is None else due
        used_ns = 0 if clock.computed is None else clock.processor_ns()
        if self.moved:
            self._report_time()
        held = self._held and min((each.place for _, each in self._watched() if each.holds), default=NO_PLACE)
        self.channel.send(
            _pack_parked(due, order, self.running_threads, held, self._seen_messages, used_ns, awaits, description)
        )

    def _take_run_token(self, message: messages.Resume) -> None:
        self.leased.clear()
        if self.control_page[CONTROL_CORE] != self._core:
            self._follow_core()
        if self.forked and self.control.childless == self.control.forks:
            self.forked = False
            self._lease_suspensions -= 1
            self._count_threads()
        head = self._head()
        if head is None or head.due_us is None or head.due_us > self.clock_page[CLOCK_NOW]:
            self._report()  # what was due is over, as the handler of a signal has raised
            return
        heapq.heappop(self._run_queue)
        self._grant(head)

    def _wake(self, waiter: Waiter, place: int = NO_PLACE) -> bool:
        if waiter.over or waiter.granted or waiter.woken:
            return False
        waiter.woken = True
        self._release_hold(waiter)
        waiter.due_us = due = self.clock_page[CLOCK_NOW]
        if waiter.suspended:  # its thread looks again after the handler of a signal, which may take the same thing
            return False
        if place == NO_PLACE:
            self._push(waiter)
        else:
            waiter.order = shared_page.answered(due, place, id(waiter))
            heapq.heappush(self._run_queue, (due, waiter.order, waiter))
        return True

    def _grant(self, waiter: Waiter) -> None:
        if waiter is self._alarm_waiter:
            self._ring()
            return
        waiter.granted = True
        self._release_hold(waiter)
        if waiter.suspended:  # the thread is in a handler of a signal, which waits itself
            self._report()
            return
        self.running_threads += 1
        if self._reader is waiter.thread:
            self._reader = None
        if waiter.thread is not self.threads.get(_get_ident()):
            self._reader = None
            waiter.thread.wake()

    # -- with the lock: the alarm --------------------------------------------------------------------------------------

    def _ring(self) -> None:
        """Fire the alarm. If user code handles SIGALRM, the main thread resumes, else the next waiter does."""
        self.alarm.go_off()
        self._enlist_alarm()
        self.inbox.announce()
        self.running_threads += 1
        if self.alarm.ring():
            self._set_alarm_anew()
            self.main.wake()
            return
        self.inbox.withdraw()
        self.running_threads -= 1
        self._dispatch()

    def _set_alarm_anew(self) -> None:
        if self.alarm.set_anew(self.clock_page[CLOCK_NOW]):
            self._enlist_alarm()

    def _enlist_alarm(self) -> None:
        """Put the alarm into the run queue as it is set now, in the place of what it was."""
        if self._alarm_waiter is not None:
            self._alarm_waiter.over = True
        self._alarm_waiter = None
        if self.alarm.due_us != time_units.NEVER_US:
            self._alarm_waiter = Waiter(self.main, self.alarm.due_us, "")
            self._push(self._alarm_waiter)

    # -- with the lock: threads ----------------------------------------------------------------------------------------

    def _new_thread(self) -> ThreadState:
        """The state of a thread that starts; without the lock."""
        self._threads_begun += 1
        thread = ThreadState(self._threads_begun)
        thread.poller.register(self.wakeup_fd, select.POLLIN)
        return thread

    def _count_threads(self) -> None:
        self.alone = len(self.threads) == 1 and not self._started and not self._lease_suspensions

    def _become_reader_if_none(self, thread: ThreadState) -> None:
        if self._reader is None:
            self._reader = thread

    def _find_reader(self) -> None:
        """Have a thread that stays parked poll the channel, if none does."""
        for thread in self.threads.values() if self._reader is None else ():
            if thread.waiters and not (thread.waiters[-1].granted or thread.waiters[-1].suspended):
                self._reader = thread
                thread.wake()
                return

    # -- with the lock: descriptors that end a wait --------------------------------------------------------------------

    def _begin_watching(self, waiter: Waiter, readiness: Readiness) -> None:
        self._held += readiness.holds
        self._watching.append(waiter)
        self.control_page[shared_page.CONTROL_WATCHES] = len(self._watching)

    def _poll_watched(self) -> None:
        """Wake the waiters whose descriptors are ready, perhaps by what the thread has done that parks now."""
        self.control_page[shared_page.CONTROL_MUTED] = 0
        for waiter, readiness in self._watched():
            if not readiness.is_ready():
                if readiness.muted:
                    readiness.muted = False
                    waiter.thread.wake()
            else:
                self._wake(waiter, readiness.place if readiness.holds else NO_PLACE)

    def _watched(self) -> list[tuple[Waiter, Readiness]]:
        return [
            (waiter, waiter.readiness)
            for waiter in self._watching
            if waiter.readiness and not (waiter.over or waiter.granted or waiter.woken or waiter.suspended)
        ]

    def _is_ready(self, waiter: Waiter, readiness: Readiness) -> None:
        """One of *waiter*'s descriptors is ready: wake it, or mute it while another thread runs, which may take it."""
        if waiter.granted or waiter.woken:
            return
        woken = False
        if readiness.holds:
            woken = self._wake(waiter, readiness.place)
        elif self.running_threads:
            readiness.muted = True
            self.control_page[shared_page.CONTROL_MUTED] = 1
        elif readiness.is_ready():
            woken = self._wake(waiter)
        if woken and self.running_threads == 0:
            self._report()

    def _hold_is_over(self, waiter: Waiter, readiness: Readiness) -> None:
        """Release the clock where *waiter* has held it for as many real seconds as the wait has."""
        if waiter.granted or waiter.woken or readiness.until is None or clock.real_monotonic() < readiness.until:
            return
        self._release_hold(waiter)
        if readiness.ends:
            self._wake(waiter)
        if self.running_threads == 0:
            self._report()

    def _release_hold(self, waiter: Waiter) -> None:
        """Stop *waiter* from holding the clock."""
        readiness = waiter.readiness
        if readiness is not None and readiness.holds:
            readiness.holds = False
            self._held -= waiter in self._watching and not waiter.suspended  # it may have been woken before it parked

    # -- with the lock: messages ---------------------------------------------------------------------------------------

    def _take_messages(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            self._seen_messages += 1
            message = messages.unpack_of_test(kind, body)
            self._means[type(message)](message)

    def means(self) -> Mapping[type, Callable[[Any], None]]:
        """What each message of the test's process means: a method for each type."""
        return {
            messages.Resume: self._take_run_token,
            messages.Invoke: self._take_invoke,
            messages.OpenGate: self._open_gate,
            messages.ArmGates: self._arm_gates,
            messages.Poll: self._take_poll,
            messages.PollSignals: self._take_poll_signals,
            messages.Typed: self._take_typed,
            messages.Save: self._take_save,
            messages.AnswerWaits: self._take_answer_waits,
        }

    def _take_invoke(self, message: messages.Invoke) -> None:
        if self._gateway is not None:
            self._lease_suspensions -= 1
            self._count_threads()
            self._gateway.begin(message)
            self._poll_watched()
            self._report()
            return
        self._invocation = message
        if self._idle_waiter is not None and not self._idle_waiter.over:
            self._grant(self._idle_waiter)

    def _take_poll(self, message: messages.Poll) -> None:
        self._poll_watched()
        if self.inbox.announced:
            self._report_owed = True
        else:
            self._report()

    def _take_poll_signals(self, message: messages.PollSignals) -> None:
        self.inbox.request_poll()
        self.main.wake()

    def _take_typed(self, message: messages.Typed) -> None:
        self._typed = message.line or ""
        if self._terminal_waiter is not None and not self._terminal_waiter.over:
            self._grant(self._terminal_waiter)

    def _take_save(self, message: messages.Save) -> None:
        self._save_requested = True

    def _take_answer_waits(self, message: messages.AnswerWaits) -> None:
        self._wake_all(self._answer_waits(message))

    def _wake_all(self, waiters: list[Waiter]) -> None:
        """Wake *waiters*, whose threads look again at what they wait for."""
        for waiter in waiters:
            self._wake(waiter)
        self._report()

    def initialised(self) -> None:
        """The init of user code is over."""
        self.is_initialised = True

    def end_event(self) -> None:
        """Note that the program of an image has answered: the clock is not moved here until the next event."""
        self._lease_suspensions += 1
        self._count_threads()

    def _open_gate(self, message: messages.OpenGate) -> None:
        standing = [waiter for waiter in self._gate_waiters if not waiter.over]
        if standing:
            for waiter in standing[:-1]:  # it stands at these no more, once the handler in which it stands has returned
                waiter.granted = True
            self._gate_waiters.clear()
            self._grant(standing[-1])
        elif self._gateway is not None:
            self._gateway.open_gate()
            self._poll_watched()
            self._report()

    def _send_rows(self) -> None:
        """Have the rows that are owed come here, where the main thread goes on."""
        if self.row_owed and _get_ident() == self.main_ident:
            self.row_owed = False
            self.send_marked_locked(messages.pack(messages.WaitsForOthers("")))

    def send_marked_locked(self, frame: bytes) -> None:
        """Send a marked frame (``messages.MARKED``): the mark separates the output before it from that after it."""
        if self.moved:
            self._report_time()
        self.channel.send_marked(frame)

    def send_locked(self, frame: bytes) -> None:
        """Send a whole frame."""
        if self.moved:
            self._report_time()
        self.channel.send(frame)

    def _report_time(self) -> None:
        """Report to which instant the clock was moved here, and how many records of leased waits there are.

        A parked thread may do this, asked by the harness, while another one prints, which looks at ``moved`` without
        the lock. It is cleared once the mark is written: cleared before, that thread would write before the mark.
        """
        pack = messages.pack_wrote if self.c_code else messages.pack_leased
        records = self.leased.records_to_report()
        self.channel.send_marked(pack(self.clock_page[CLOCK_NOW], records))
        self.moved = False

    def _move_clock(self, now_us: int) -> None:
        """Move the clock under the lease. `leased_sleep` does the same without this call."""
        if now_us > self.clock_page[CLOCK_NOW]:
            clock.reads[0] = 0
        self.clock_page[CLOCK_NOW] = now_us
        self.control_page[CONTROL_LEASED] += 1
        self.moved = True

    def _may_move(self, description: str, now_us: int, main: bool = True) -> bool:
        if self.c_code:
            self._before_move()
        return self.leased.note(description, now_us, main=main)

    def _before_move(self) -> None:
        """Before the clock is moved: report the time of what is in the output, which code in C may have written.

        Where the harness reads the output just now, wait for that: it takes the time that the clock still shows.
        """
        if self.channel.has_unread_output():
            self._report_time()
        while self.control_page[shared_page.CONTROL_READING]:
            _yield()
        self.leased.follow_reads()


scheduler = Scheduler()
