"""The one scheduler that every simulated wait goes through.

An instance is parked if and only if every Python thread of it is inside the scheduler. A thread that comes in says so
to the harness (with what its instance has to wait for next), and blocks. The harness gives the turn: the first of the
waits that are due goes on, one thread at a time.
"""

from __future__ import annotations

import _socket
import _thread
import fcntl
import heapq
import math
import os
import select
import signal
import socket
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn, Protocol

from ...protocol import linux, messages, shared_page, time_units
from ...protocol.shared_page import CLOCK_NOW, CONTROL_LEASE, CONTROL_LEASED, LEASE_COUNT, LEASE_LAST, ControlPage
from .. import clock
from ..originals import real_poll
from .callers import describe_caller, user_frame
from .lease_log import LeaseLog
from .lock import Section

_get_ident = _thread.get_ident
_own_pid = os.getpid
_stop = os.kill
_write = os.write
_yield = os.sched_yield
_real_monotonic = time.monotonic
_NOTHING = bytes(4)
_pack_parked = messages.pack_parked
_NO_ALARM = 2**62
"""Later than anything that can be due."""
LONGEST_POLL_MS = 1_000_000_000


class Waiter:
    """One call that blocks. ``due_us`` is when it ends by itself, in µs since the epoch; None: it has to be woken.

    ``what`` says what it is to a user; it is empty for waits of our own.
    """

    __slots__ = (
        "deferred",
        "due_us",
        "granted",
        "in_c",
        "over",
        "sequence",
        "suspended",
        "thread",
        "watch",
        "what",
        "woken",
    )

    def __init__(self, thread: ThreadState, due_us: int | None, what: str, watch: Readiness | None = None) -> None:
        self.thread = thread
        self.due_us = due_us
        self.what = what
        self.watch = watch
        self.sequence = 0
        self.granted = False
        self.woken = False
        self.suspended = False
        self.over = False
        self.in_c = False
        """C code waits, out of which no handler may raise: a signal ends the wait."""
        self.deferred: int | None = None
        """How many signals have come whose handlers are called after this wait; None: they are called in it."""


class Readiness:
    """The descriptors that end a wait once one of them is ready, and for how long they hold the clock."""

    __slots__ = ("descriptors", "ends", "holds", "is_ready", "muted", "polled", "until")

    def __init__(self, descriptors: Mapping[int, int], is_ready: Callable[[], bool]) -> None:
        self.descriptors = descriptors
        """The events of ``poll`` by descriptor."""
        self.is_ready = is_ready
        """Looks at all of them, and takes nothing."""
        self.holds = False
        """What makes one of them ready is real: the clock stands."""
        self.until: float | None = None
        """In seconds of the real monotonic clock: how long it holds; None: until one of them is ready."""
        self.ends = False
        """At ``until`` the wait is over as well."""
        self.muted = False
        """One of them is ready, and who computes may yet take it: it is looked at again when that thread waits."""
        self.polled = False
        """They are registered with the thread's poller."""

    def rest_ms(self) -> int | None:
        """How long it still holds the clock, for ``poll``, which may come back for more; None: no end is in sight."""
        if not self.holds or self.until is None:
            return None
        return min(max(0, math.ceil((self.until - _real_monotonic()) * 1_000)), LONGEST_POLL_MS)


class ThreadState:
    """What the scheduler knows of one Python thread."""

    __slots__ = ("ended", "followed", "joiners", "main", "poller", "polls_channel", "waits", "wakeup_fd")

    def __init__(self, main: bool) -> None:
        self.main = main
        self.wakeup_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.waits: list[Waiter] = []
        self.ended = False
        self.followed = 0
        """What ``Scheduler.followed`` was when this thread looked."""
        self.joiners: list[Waiter] = []
        self.polls_channel = False
        self.poller = real_poll()
        self.poller.register(self.wakeup_fd, select.POLLIN)

    def wake(self) -> None:
        os.eventfd_write(self.wakeup_fd, 1)

    def close(self) -> None:
        os.close(self.wakeup_fd)


class Gateway(Protocol):
    """Who speaks to an image's program that runs in this process; called with the scheduler's lock."""

    def begin(self, invocation: messages.Invoke) -> None: ...
    def look(self) -> bool: ...
    def has_heard_all(self) -> bool: ...
    def receive_final_response(self) -> None: ...
    def open_gate(self) -> None: ...


class Scheduler:
    """That of this process; inactive (``active`` False) in the zygote and in children that user code forked."""

    clock_page: Any
    """The clock in shared memory, from `Scheduler.join` on."""

    def __init__(self) -> None:
        self.active = False
        self.c_code = False
        """Code in C may write to the output without a word."""
        self.alone = False
        """The main thread is the only one, and nothing keeps it from moving the clock while it may."""
        self.moved = False
        self.main_inside = False
        """The main thread is in the scheduler: a signal's handler has to wait for the safe point."""
        self.pending: deque[int] = deque()
        self.call_handler: Callable[[int, FrameType | None], None] = lambda signum, frame: None
        self.gates_changed: Callable[[messages.ArmGates], None] = lambda message: None
        self.answer_waits: Callable[[messages.AnswerWaits], list[Waiter]] = lambda message: []
        """Notes it of a connection; gives the waits that it concerns."""
        self.follow: Callable[[], None] | None = None
        """What each thread does, once it goes on, when ``followed`` has changed: the gates at lines are others."""
        self.followed = 0
        self.save: Callable[[], None] | None = None
        """Saves what coverage has measured, where the session is measured."""
        self.save_asked = False
        """The harness is about to end this process."""
        self.ring_alarm: Callable[[], bool] = lambda: False
        """Sends SIGALRM to this process; whether a handler of user code is called for it at once."""
        self.alarm: Waiter | None = None
        """What ends when the alarm is due; no thread waits for it."""
        self.alarm_us = _NO_ALARM
        """When it is due, in µs since the epoch."""
        self.call_handler_followed: Callable[[Any, int, FrameType | None], None] | None = None
        """Calls a signal's handler, once there have been gates at lines."""

    def attach(  # noqa: PLR0915  (one state, each part of it with its words)
        self,
        channel: _socket.socket,
        wakeup_fd: int,
        control: ControlPage,
        marks: tuple[int, bytes],
        signalled: tuple[int, int],
    ) -> None:
        """Become the scheduler of an instance whose only thread is the calling one; `join` opens it.

        *control* is the control page, *marks* is a descriptor of the output
        pipe that user code does not know, and what goes there; *signalled* are the ends of a pipe that can be read once
        a signal has come.
        """
        self.lock = Section()
        self.channel = channel
        self.channel_fd = channel.fileno()
        self.wakeup_fd = wakeup_fd
        self.marks, self.mark = marks
        self.signalled, self.signalled_write = signalled
        self.control = control
        self.control_page = control.slots
        """Its slots, for what runs at each wait."""
        control.wakeup_fd = wakeup_fd
        self.leased = LeaseLog(control)
        self.moved = False
        """The clock was moved here since the harness was told of it."""
        self.lease_suspensions = 0
        """Reasons why this instance does not move the clock although it may."""
        self.forked = False
        """One of the reasons: a child process was started, and may live."""
        self.signals_asked = False
        """The harness wants to know when the main thread has dealt with the signals that have come."""
        self.main_ident = _get_ident()
        self.seen_messages = 0
        self.frames = messages.FrameReader()
        self.heard: list[tuple[int, bytes]] = []
        """Frames that came together with the first one."""
        self.heap: list[tuple[int, int, Waiter]] = []
        self.main = ThreadState(main=True)
        self.main.poller.register(wakeup_fd, select.POLLIN)
        self.main.poller.register(self.signalled, select.POLLIN)
        self.threads: dict[int, ThreadState] = {_get_ident(): self.main}
        self.started: list[ThreadState] = []
        """Threads that have been asked for and have not reached their first bytecode."""
        self.running_threads = 1
        """How many threads are not inside the scheduler, announced real waits not counted."""
        self.held = 0
        """How many threads are inside the scheduler for something real."""
        self.watching: list[Waiter] = []
        """Waits that a descriptor ends."""
        self.announced = 0
        """How often the main thread counts as outside because of a signal that is on its way to it."""
        self.alarm_every_us = 0
        """After how long the alarm goes off again, in µs; 0: it does not."""
        self.alarm_rang_us: int | None = None
        """When the alarm went off that waits for its signal to be taken, before it is set again."""
        self.report_owed = False
        """The harness has asked while a signal was on its way to the main thread: it is told once that is handled."""
        self.reader: ThreadState | None = None
        self.gate_wait: Waiter | None = None
        self.idle_wait: Waiter | None = None
        self.terminal_wait: Waiter | None = None
        self.typed: str | None = None
        self.invocation: messages.Invoke | None = None
        self.gateway: Gateway | None = None
        """The platform's side of the connections of an image's program."""

    def join(self, clock_page: Any) -> None:
        """Live on the clock of *clock_page*; the calling thread computes."""
        self.clock_page = clock_page
        self.active = True
        self.control_page[shared_page.CONTROL_C_CODE] = self.c_code
        self._count_threads()
        with self.lock:
            self._take_messages(self.heard)

    def detach(self) -> None:
        """Forget the harness: this is a child that user code forked."""
        if not self.active:
            return
        self.active = self.alone = self.moved = False
        clock.detach()
        self.pending.clear()
        self.main_inside = False
        self.channel.close()
        os.close(self.wakeup_fd)
        for fd in (self.marks, self.signalled, self.signalled_write):
            os.close(fd)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def park(
        self,
        due_us: int | None,
        what: str,
        *,
        enlist: Callable[[Waiter], bool] | None = None,
        watch: Readiness | None = None,
    ) -> bool:
        """Wait until *due_us* or until woken; whether it was woken.

        *enlist*, called with the wait before it counts, puts it where its waker looks; when it answers False (what was
        waited for is there already) the call returns True at once. A descriptor of *watch* that is ready wakes it, too.
        """
        thread = self._current()
        main = thread.main
        if main:
            self.main_inside = True
        try:
            wait = Waiter(thread, due_us, what, watch)
            if enlist is not None and not enlist(wait):
                wait.over = True
                return True
            with self.lock:
                if watch is not None:
                    self._begin_watch(wait, watch)
                self._park(wait)
            try:
                self._block(wait)
            finally:
                if watch is not None:
                    self._end_watch(wait, watch)
            return wait.woken
        finally:
            if main:
                self.main_inside = False
                if self.pending:
                    self.run_pending()

    def park_in_c(self, due_us: int, what: str) -> bool:
        """Wait until *due_us*, called by C code, out of which nothing can be raised; whether it lasted so long.

        A signal ends the wait, and its handler is called as soon as that code has returned to the interpreter.
        """
        thread = self._current()
        main = thread.main
        if main:
            if self.main_inside:
                return False
            self.main_inside = True
        try:
            wait = Waiter(thread, due_us, what)
            wait.in_c = True
            with self.lock:
                self._park(wait)
            self._block(wait)
            return wait.granted
        finally:
            if main:
                self.main_inside = False
                if self.pending:
                    clock.interrupt(linux.POKE_SIGNAL)

    def sleep(self, microseconds: int) -> None:
        """Wait for exactly *microseconds* of simulated time."""
        self.park(clock.now_us() + microseconds, describe_caller(f"sleep({microseconds / 1e6:g})"))

    def leased_sleep(self, seconds: float) -> bool:
        """Have a sleep of the only thread pass at once, where the clock may be moved here; whether it did.

        Called where ``alone``, by the function that user code calls: this is what a loop of sleeps spends its time in.
        """
        if _get_ident() != self.main_ident:
            return False
        kind = type(seconds)
        if (kind is not int and kind is not float) or not 0 < seconds < time_units.LONGEST:
            return False
        microseconds = seconds * 1_000_000 if kind is int else time_units.microseconds(seconds)
        self.main_inside = True  # a signal's handler has to wait: it may move the clock as well
        page, control = self.clock_page, self.control_page
        now = page[CLOCK_NOW]
        due = now + microseconds
        passes = due < control[CONTROL_LEASE] and due < self.alarm_us
        if passes and (self.gateway is None or self.gateway.has_heard_all()):
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
                passes = leased.note(describe_caller(f"sleep({microseconds / 1e6:g})"), now)
                leased.sleep = sleep
            if passes:
                page[CLOCK_NOW] = due
                control[CONTROL_LEASED] += 1
                self.moved = True
                clock.reads[0] = 0
        else:
            passes = False
        self.main_inside = False
        if self.pending:
            self.run_pending()
        return bool(passes)

    def leased_sleep_unless(self, take: Callable[[], Any], microseconds: int, name: str) -> Any:
        """The same for a wait that something of this process's own could end: what *take* gives, or nothing at its end.

        None: the wait has to be entered. A signal's handler has to wait from before *take* on.
        """
        if _get_ident() != self.main_ident:
            return None
        self.main_inside = True
        try:
            found = take()
            if found:
                return found
            page, control = self.clock_page, self.control_page
            now = page[shared_page.CLOCK_NOW]
            due = now + microseconds
            if (
                due >= control[shared_page.CONTROL_LEASE]
                or due >= self.alarm_us
                or not (self.gateway is None or self.gateway.has_heard_all())
            ):
                return None
            with self.lock:
                if not self._may_move(describe_caller(name), now):
                    return None
            page[shared_page.CLOCK_NOW] = due
            control[shared_page.CONTROL_LEASED] += 1
            self.moved = True
            clock.reads[0] = 0
            return found
        finally:
            self.main_inside = False
            if self.pending:
                self.run_pending()

    def yield_turn(self) -> None:
        """Go to the end of the queue of those that are ready."""
        self.park(self.clock_page[shared_page.CLOCK_NOW], "")

    def wake(self, wait: Waiter) -> bool:
        """Make *wait* ready, in its turn; False when it is over already."""
        main = self._enter()
        try:
            with self.lock:
                return self._wake(wait)
        finally:
            self._leave(main)

    def suspend_lease(self, change: int) -> None:
        """Have one reason more (1) or less (-1) not to move the clock here."""
        main = self._enter()
        try:
            with self.lock:
                self.lease_suspensions += change
                self._count_threads()
        finally:
            self._leave(main)

    def forks(self) -> None:
        """A child process is about to be started, or has been: while it lives the clock stands."""
        main = self._enter()
        try:
            with self.lock:
                if self.moved:
                    self._tell_time()  # what the child writes has the time of its start
                self.control_page[shared_page.CONTROL_FORKS] += 1
                if not self.forked:
                    self.forked = True
                    self.lease_suspensions += 1
                    self._count_threads()
        finally:
            self._leave(main)

    # -- the harness ---------------------------------------------------------------------------------------------------

    def idle(self) -> messages.Invoke:
        """Wait, on the main thread, for the next invocation."""
        self.suspend_lease(1)  # other threads of this instance do not go on past the end of the event
        try:
            while self.invocation is None:
                self.park(None, "", enlist=self._enlist_idle)
        finally:
            self.suspend_lease(-1)
        invocation, self.invocation = self.invocation, None
        return invocation

    def open_gateway(self, gateway: Gateway) -> None:
        """From here on events go to the program of an image, by way of *gateway*."""
        self.gateway = gateway
        self._count_threads()

    def receive_final_response(self) -> None:
        """The process is about to end: what its program has answered is an answer, though it has not waited since."""
        if not self.active or self.gateway is None:
            return
        main = self._enter()
        try:
            with self.lock:
                self.gateway.receive_final_response()
        finally:
            self._leave(main)

    def gate(self, identity: str, at: str) -> None:
        """Stand here until the harness opens the gate."""
        main = self.threads.get(_get_ident()) is self.main
        self.send(messages.pack(messages.Gated(identity, at, main)))
        self.suspend_lease(1)
        try:
            self.park(None, "", enlist=self._enlist_gate)
        finally:
            self.suspend_lease(-1)

    def refuse(self, message: messages.Forks) -> NoReturn:
        """Say what user code is about to do and may not, and stand here: the harness ends this process."""
        self.send(messages.pack(message))
        self.suspend_lease(1)
        while True:
            self.park(None, "")

    def ask_terminal(self, text: str) -> str:
        """Show *text* on the user's terminal, and give the line that is typed; empty at the end of the input."""
        self.send(messages.pack(messages.Terminal(text)))
        self.suspend_lease(1)
        try:
            self.park(None, "", enlist=self._enlist_typed)
        finally:
            self.suspend_lease(-1)
        typed, self.typed = self.typed, None
        return typed or ""

    def _enlist_idle(self, wait: Waiter) -> bool:
        self.idle_wait = wait
        return self.invocation is None

    def _enlist_gate(self, wait: Waiter) -> bool:
        self.gate_wait = wait
        return True

    def _enlist_typed(self, wait: Waiter) -> bool:
        self.terminal_wait = wait
        return self.typed is None

    # -- threads -------------------------------------------------------------------------------------------------------

    def expect_thread(self) -> ThreadState:
        """Count a thread that is about to be started: it is ready, and waits for its first turn."""
        thread = ThreadState(main=False)
        thread.poller.register(self.wakeup_fd, select.POLLIN)
        main = self._enter()
        try:
            with self.lock:
                wait = Waiter(thread, self.clock_page[shared_page.CLOCK_NOW], "")
                thread.waits.append(wait)
                self._push(wait)
                self.started.append(thread)
                self._count_threads()
        finally:
            self._leave(main)
        return thread

    def forget_thread(self, thread: ThreadState) -> None:
        """A thread that was expected could not be started."""
        main = self._enter()
        try:
            with self.lock:
                thread.waits[0].over = True
                self.started.remove(thread)
                self._count_threads()
        finally:
            self._leave(main)
        thread.close()

    def begin_thread(self, thread: ThreadState) -> None:
        """The first thing that a new thread does: wait for its turn."""
        with self.lock:
            self.threads[_get_ident()] = thread
            self.started.remove(thread)
            self._count_threads()
            if not thread.waits[0].granted:
                self._become_reader_if_none(thread)
        self._block(thread.waits[0])

    def end_thread(self, thread: ThreadState) -> None:
        """The last thing that a thread does: wake who joins it, hand the turn back."""
        with self.lock:
            thread.ended = True
            del self.threads[_get_ident()]
            self._count_threads()
            for wait in thread.joiners:
                self._wake(wait)
            self.running_threads -= 1
            self._find_reader()
            self._rest()
        thread.close()

    def join_thread(self, thread: ThreadState, due_us: int | None, what: str) -> bool:
        """Wait for the end of *thread*; whether it came."""

        def enlist(wait: Waiter) -> bool:
            with self.lock:
                if thread.ended:
                    return False
                thread.joiners.append(wait)
                return True

        return thread.ended or self.park(due_us, what, enlist=enlist)

    # -- what is told --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a whole frame; a signal's handler, which may send too, waits until it is out."""
        main = self._enter()
        try:
            with self.lock:
                self.send_locked(data)
        finally:
            self._leave(main)

    def tell(self, data: bytes) -> None:
        """Send a marked frame (``messages.MARKED``): what is written by now comes before it, the rest after it."""
        main = self._enter()
        try:
            with self.lock:
                self.tell_locked(data)
        finally:
            self._leave(main)

    def before_output(self) -> None:
        """Called where ``moved``: what is written now carries the time to which the clock was moved here."""
        main = self._enter()
        try:
            with self.lock:
                if self.moved:
                    self._tell_time()
        finally:
            self._leave(main)

    def expect_output_of_c_code(self) -> None:
        """Called before code in C is loaded: what Python has written by now is told apart from what that writes."""
        if self.c_code:
            return
        if self.active and self.moved:
            self.before_output()
        self.c_code = True
        if self.active:
            self.control_page[shared_page.CONTROL_C_CODE] = True

    def after_output(self) -> None:
        """Output is progress, and the moment to learn of gates that were set while this thread computed."""
        clock.reads[0] = 0
        if self.control_page[shared_page.CONTROL_MESSAGES] != self.seen_messages:
            self.look()

    def look(self) -> None:
        """Read what the harness has sent, where no thread that waits does."""
        if self.control_page[shared_page.CONTROL_MESSAGES] == self.seen_messages or self.reader is not None:
            return
        main = self._enter()
        try:
            with self.lock:
                self._read_messages()
            self._save_and_stop()
        finally:
            self._leave(main)
        thread = self._current()
        if thread.followed != self.followed:
            self._follow(thread)

    def on_poke(self, frame: FrameType | None) -> None:
        """A signal without a meaning of its own: the main thread looks, and a thread that computes has gates set.

        Where C code has just left `park_in_c`, the handlers are called that could not be called there.
        """
        if not self.active or self.main_inside:
            return
        if clock.is_in_c(frame):
            clock.interrupt(linux.POKE_SIGNAL)  # here nothing can be raised
            return
        if self.pending:
            self.run_pending()
        self.look()

    # -- blocking: a thread polls its own eventfd ---

    def _current(self) -> ThreadState:
        thread = self.threads.get(_get_ident())
        if thread is None:  # started by C code, or through a reference older than the patches
            thread = ThreadState(main=False)
            thread.poller.register(self.wakeup_fd, select.POLLIN)
            with self.lock:
                self.threads[_get_ident()] = thread
                self._count_threads()
                self.running_threads += 1
        return thread

    def _enter(self) -> bool:
        main = self.threads.get(_get_ident()) is self.main and not self.main_inside
        if main:
            self.main_inside = True
        return main

    def _leave(self, main: bool) -> None:
        if main:
            self.main_inside = False
            if self.pending:
                self.run_pending()

    # -- blocking ------------------------------------------------------------------------------------------------------

    def _block(self, wait: Waiter) -> None:
        """Stay until *wait* is granted; run signal handlers on the way."""
        thread = wait.thread
        while True:
            if wait.granted:  # first: the thread counts as outside already, and the handlers run once the wait is over
                self._resume(wait)
                return
            if thread.main and self.pending:
                if wait.in_c:
                    self._abandon(wait)
                    return
                if wait.deferred is None:
                    self._run_pending_inside(wait)
                    continue
                if wait.deferred != len(self.pending) or self.announced:
                    self._defer_signals(wait)
            if thread.main and self.signals_asked:
                with self.lock:
                    if not self.pending or wait.deferred is not None:  # else its handler is called first
                        self.signals_asked = False
                        if self.gateway is not None and self.running_threads == 0:
                            self.gateway.look()
                        self._look_at_watched()
                        self.send_locked(messages.pack(messages.SignalsHandled()))
                        self._report()
            self._listen(wait)

    def _listen(self, wait: Waiter) -> None:
        """Have the thread of *wait* stand in ``poll`` until there is something to look at."""
        thread, watch = wait.thread, wait.watch
        reads = self.reader is thread
        if reads is not thread.polls_channel:
            thread.polls_channel = reads
            if reads:
                thread.poller.register(self.channel_fd, select.POLLIN)
            else:
                thread.poller.unregister(self.channel_fd)
        if watch is not None and watch.polled is (watch.muted or wait.woken):
            self._poll_watched(thread, watch, not watch.polled)
        ready = thread.poller.poll(None if watch is None else watch.rest_ms())
        if not ready and watch is not None:
            with self.lock:
                self._hold_is_over(wait, watch)
        for fd, _ in ready:
            if fd == thread.wakeup_fd:
                self._drain(thread.wakeup_fd)
            elif fd == self.signalled:
                os.read(fd, 512)
            elif fd == self.wakeup_fd:
                with self.lock:
                    self._drain(self.wakeup_fd)
                    if wait.granted:
                        self._find_reader()  # this thread is on its way out
                    else:
                        self._become_reader_if_none(thread)
            elif fd == self.channel_fd:
                if self.reader is thread:
                    with self.lock:
                        self._read_messages()
                    self._save_and_stop()
            elif watch is not None:
                with self.lock:
                    self._is_ready(wait, watch)

    @staticmethod
    def _drain(wakeup_fd: int) -> None:
        try:
            os.eventfd_read(wakeup_fd)
        except BlockingIOError:
            pass  # another thread was quicker

    def _resume(self, wait: Waiter) -> None:
        wait.over = True
        wait.thread.waits.remove(wait)
        if wait.thread.followed != self.followed:
            self._follow(wait.thread)

    def _follow(self, thread: ThreadState) -> None:
        thread.followed = self.followed
        if self.follow is not None:
            self.follow()

    def _end_watch(self, wait: Waiter, watch: Readiness) -> None:
        self.watching.remove(wait)
        if self.active:
            self.control_page[shared_page.CONTROL_WATCHES] = len(self.watching)
        if watch.polled:
            self._poll_watched(wait.thread, watch, False)

    @staticmethod
    def _poll_watched(thread: ThreadState, watch: Readiness, polled: bool) -> None:
        watch.polled = polled
        for fd, events in watch.descriptors.items():
            if polled:
                thread.poller.register(fd, events)
            else:
                thread.poller.unregister(fd)

    def _read_messages(self) -> None:
        try:
            data = self.channel.recv(65_536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            os._exit(1)  # the harness is gone
        self._take_messages(list(self.frames.feed(data)))

    def _save_and_stop(self) -> None:
        """What the harness may have asked for before it ends this process: nothing of user code runs after it."""
        if not self.save_asked:
            return
        self.save_asked = False
        if self.save is not None:
            self.save()
        self.control_page[shared_page.CONTROL_COVERED] += 1
        _stop(_own_pid(), signal.SIGSTOP)

    # -- signals -------------------------------------------------------------------------------------------------------

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """The trampoline's word: run the user's handler now, or at the wait's safe point."""
        in_c = clock.is_in_c(frame)
        if in_c:
            clock.interrupt(linux.POKE_SIGNAL)
        if in_c or self.main_inside:
            waits = self.main.waits
            if signum in self.pending and waits and waits[-1].deferred is not None:
                waits[-1].deferred = -1  # C code in which a signal comes twice: its handler is called once
            else:
                self.pending.append(signum)
            self.main.wake()
        else:
            self._signals_came()
            try:
                self.call_handler(signum, user_frame(frame))
            finally:
                if self.report_owed:
                    self._report_now()

    def signal_main(self, send: Callable[[], None]) -> None:
        """Have *send* send a signal to the main thread, which handles it at once; the caller goes on in its turn.

        That is before the turn of those whom the handler wakes: it waits for the lock until the caller is in the queue.
        """
        thread = self._current()
        if thread.main:
            send()
            return
        wait = Waiter(thread, self.clock_page[shared_page.CLOCK_NOW], "")
        with self.lock:
            self.announced += 1
            self.running_threads += 1
            try:
                send()
            except BaseException:
                self.announced -= 1
                self.running_threads -= 1
                raise
            self._park(wait)
        self._block(wait)

    def run_pending(self) -> None:
        self._signals_came()
        try:
            while self.pending:
                self.call_handler(self.pending.popleft(), user_frame(sys._getframe(1)))
        finally:
            if self.report_owed:
                self._report_now()

    def _abandon(self, wait: Waiter) -> None:
        with self.lock:
            wait.over = True
            wait.thread.waits.remove(wait)
            self._come_out_for_signal(wait.thread)
        if wait.thread.followed != self.followed:
            self._follow(wait.thread)

    def _come_out_for_signal(self, thread: ThreadState) -> None:
        self.running_threads += 1 - self.announced
        self.announced = 0
        if self.reader is thread:
            self.reader = None

    def _run_pending_inside(self, wait: Waiter) -> None:
        watch = wait.watch
        with self.lock:
            wait.suspended = True
            if watch is not None:
                self.held -= watch.holds
            self._come_out_for_signal(wait.thread)
        if watch is not None and watch.polled:  # the handler may wait itself
            self._poll_watched(wait.thread, watch, False)
        self.main_inside = False
        if wait.thread.followed != self.followed:
            self._follow(wait.thread)
        try:
            self.run_pending()
        except BaseException:
            wait.over = True
            wait.thread.waits.remove(wait)
            raise
        self.main_inside = True
        with self.lock:
            wait.suspended = False
            if wait.granted:
                return
            self.running_threads -= 1
            if watch is not None:
                self.held += watch.holds
            if wait.due_us is not None:
                heapq.heappush(self.heap, (wait.due_us, wait.sequence, wait))
            self.reader = wait.thread
            self._rest(wait.what)

    def _defer_signals(self, wait: Waiter) -> None:
        """Signals have come in a wait of C code that lets no handler be called: they are, once it is over."""
        with self.lock:
            wait.deferred = len(self.pending)
            self.running_threads -= self.announced
            self.announced = 0
            self.send_locked(messages.pack(messages.SignalsDeferred(list(self.pending))))
            self._report()

    def _signals_came(self) -> None:
        if self.announced:
            main = self._enter()
            try:
                with self.lock:
                    self.running_threads -= self.announced
                    self.announced = 0
            finally:
                self._leave(main)

    def _report_now(self) -> None:
        main = self._enter()
        try:
            with self.lock:
                self._report()
        finally:
            self._leave(main)

    # -- the alarm -----------------------------------------------------------------------------------------------------

    def set_alarm(self, due_us: int | None, every_us: int) -> tuple[int, int]:
        """Have the alarm go off at *due_us*, and every *every_us* from then on; gives what was left of the one before.

        Its rest and interval, in µs; the rest is 0 where there was none.
        """
        main = self._enter()
        try:
            with self.lock:
                before, before_every = self.alarm, self.alarm_every_us
                rest = 0 if before is None else max((before.due_us or 0) - self.clock_page[shared_page.CLOCK_NOW], 1)
                self.alarm_every_us, self.alarm_rang_us = every_us, None
                self._arm(due_us)
                return rest, before_every
        finally:
            self._leave(main)

    def alarm_taken(self) -> None:
        """SIGALRM was taken: an alarm that goes off again and again is set anew, as the kernel does it."""
        if self.alarm_every_us == 0 or self.alarm_rang_us is None or not self.active:
            return
        main = self._enter()
        try:
            with self.lock:
                self._arm_again()
        finally:
            self._leave(main)

    def ring_overdue(self) -> None:
        """On the main thread, while it computes: let an alarm go off that became due while this process was stopped."""
        main = self._enter()
        try:
            with self.lock:
                alarm = self.alarm
                if alarm is not None and (alarm.due_us or 0) <= self.clock_page[shared_page.CLOCK_NOW]:
                    self.alarm_rang_us = alarm.due_us
                    self._arm(None)
                    if self.ring_alarm():
                        self._arm_again()
        finally:
            self._leave(main)

    # -- who is next ---------------------------------------------------------------------------------------------------

    def _push(self, wait: Waiter) -> None:
        page = self.clock_page
        page[shared_page.CLOCK_SEQUENCE] = wait.sequence = page[shared_page.CLOCK_SEQUENCE] + 1
        if wait.due_us is not None:
            heapq.heappush(self.heap, (wait.due_us, wait.sequence, wait))

    def _head(self) -> Waiter | None:
        heap = self.heap
        while heap:
            _, sequence, wait = heap[0]
            if wait.over or wait.suspended or wait.granted or wait.sequence != sequence:
                heapq.heappop(heap)
            else:
                return wait
        return None

    def _park(self, wait: Waiter) -> None:
        clock.reads[0] = 0
        wait.thread.waits.append(wait)
        if wait.granted:  # woken before it came in, it has had its turn since: the thread goes on, and counts twice
            self.running_threads -= 1
            return
        self._push(wait)
        self.running_threads -= 1
        self.reader = wait.thread
        self._rest(wait.what)

    def _rest(self, what: str = "") -> None:
        """A thread has come in or ended: where the clock may be moved here the next wait goes on, else it is told."""
        if self.gateway is not None and self.running_threads == 0 and self.gateway.look():
            what = ""  # it is no wait of the event any more
        if self.watching:
            self._look_at_watched()
        if self.running_threads == 0 and self.held == 0 and self.lease_suspensions == 0:
            head, until = self._head(), self.control_page[shared_page.CONTROL_LEASE]
            now = self.clock_page[shared_page.CLOCK_NOW]
            if head is not None and (due := head.due_us) is not None and due < until and self._may_move(what, now):
                self.clock_page[shared_page.CLOCK_NOW] = max(due, now)
                self.control_page[shared_page.CONTROL_LEASED] += 1
                self.moved = True
                heapq.heappop(self.heap)
                self._grant(head)
                return
        self._report(what)

    def _report(self, what: str = "") -> None:
        """Tell the harness what this instance waits for next; not while a thread is on its way out."""
        self.report_owed = False
        head = self._head()
        due, sequence = (head.due_us, head.sequence) if head is not None else (None, 0)
        due = messages.NEVER if due is None else due
        used_ns = 0 if clock.computed is None else clock.processor_ns()
        self.send_locked(
            _pack_parked(due, sequence, self.running_threads, self.held, self.seen_messages, used_ns, what)
        )

    def _take_turn(self) -> None:
        self.leased.clear()
        if self.forked and self.control.childless == self.control.forks:
            self.forked = False
            self.lease_suspensions -= 1
            self._count_threads()
        head = self._head()
        if head is None or head.due_us is None or head.due_us > self.clock_page[shared_page.CLOCK_NOW]:
            self._report()  # what was due is over: a handler that raised ended it
            return
        heapq.heappop(self.heap)
        self._grant(head)

    def _wake(self, wait: Waiter) -> bool:
        if wait.over or wait.granted or wait.woken:
            return False
        wait.woken = True
        self._release_hold(wait)
        wait.due_us = self.clock_page[shared_page.CLOCK_NOW]
        if wait.suspended:  # it looks for itself once the signal's handler is through, which may want the same thing
            return False
        self._push(wait)
        return True

    def _grant(self, wait: Waiter) -> None:
        if wait is self.alarm:
            self._ring(wait)
            return
        wait.granted = True
        self._release_hold(wait)
        if wait.suspended:  # a signal's handler on top of it has the thread, and waits itself
            self._report()
            return
        self.running_threads += 1
        if self.reader is wait.thread:
            self.reader = None
        if wait.thread is not self.threads.get(_get_ident()):
            self.reader = None
            wait.thread.wake()

    # -- threads -------------------------------------------------------------------------------------------------------

    def _count_threads(self) -> None:
        self.alone = len(self.threads) == 1 and not self.started and not self.lease_suspensions

    def _become_reader_if_none(self, thread: ThreadState) -> None:
        if self.reader is None:
            self.reader = thread

    def _find_reader(self) -> None:
        """Have a thread that stays inside read the channel, if none does."""
        for thread in self.threads.values() if self.reader is None else ():
            if thread.waits and not (thread.waits[-1].granted or thread.waits[-1].suspended):
                self.reader = thread
                thread.wake()
                return

    # -- descriptors that end a wait -----------------------------------------------------------------------------------

    def _begin_watch(self, wait: Waiter, watch: Readiness) -> None:
        self.held += watch.holds
        self.watching.append(wait)
        self.control_page[shared_page.CONTROL_WATCHES] = len(self.watching)

    def _look_at_watched(self) -> None:
        """Make the waits ready whose descriptors are: what woke them may have been done by the thread that comes in."""
        self.control_page[shared_page.CONTROL_MUTED] = 0
        for wait in tuple(self.watching):
            if wait.over or wait.granted or wait.woken or wait.suspended:
                continue
            watch = wait.watch
            assert watch is not None
            if watch.is_ready():
                self._wake(wait)
            elif watch.muted:
                watch.muted = False
                wait.thread.wake()

    def _is_ready(self, wait: Waiter, watch: Readiness) -> None:
        """A thread has found a descriptor ready that it watches. While another computes, it is not yet its turn to."""
        if wait.granted or wait.woken:
            return
        if not watch.holds and self.running_threads:
            watch.muted = True
            self.control_page[shared_page.CONTROL_MUTED] = 1
        elif watch.is_ready():
            self._wake(wait)
            if self.running_threads == 0:
                self._report()

    def _hold_is_over(self, wait: Waiter, watch: Readiness) -> None:
        """What is real has had as much time as the wait has: its simulated end may come."""
        if wait.granted or wait.woken or watch.until is None or clock.real_monotonic() < watch.until:
            return
        self._release_hold(wait)
        if watch.ends:
            self._wake(wait)
        if self.running_threads == 0:
            self._report()

    def _release_hold(self, wait: Waiter) -> None:
        """*wait* holds the clock no more."""
        watch = wait.watch
        if watch is not None and watch.holds:
            watch.holds = False
            self.held -= wait in self.watching and not wait.suspended  # it may have been woken before it came in

    # -- the alarm -----------------------------------------------------------------------------------------------------

    def _arm(self, due_us: int | None) -> None:
        if self.alarm is not None:
            self.alarm.over = True
        self.alarm = None
        if due_us is not None:
            self.alarm = Waiter(self.main, due_us, "")
            self._push(self.alarm)
        self.alarm_us = _NO_ALARM if due_us is None else due_us
        self.control_page[shared_page.CONTROL_ALARM] = due_us or 0

    def _ring(self, alarm: Waiter) -> None:
        """The alarm is due: if a handler of user code is called the main thread has the turn, else who is next."""
        self.alarm_rang_us = alarm.due_us
        self._arm(None)
        self.announced += 1
        self.running_threads += 1
        if self.ring_alarm():
            self._arm_again()
            self.main.wake()
            return
        self.announced -= 1
        self.running_threads -= 1
        self._rest()

    def _arm_again(self) -> None:
        if self.alarm_every_us and (rang := self.alarm_rang_us) is not None:
            late = self.clock_page[shared_page.CLOCK_NOW] - rang
            self._arm(rang + (late // self.alarm_every_us + 1) * self.alarm_every_us)
        self.alarm_rang_us = None

    # -- messages ------------------------------------------------------------------------------------------------------

    def _take_messages(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            self.seen_messages += 1
            if kind == messages.RESUME:
                self._take_turn()
            elif kind == messages.INVOKE and self.gateway is not None:
                self._begin_event(self.gateway, messages.unpack(messages.Invoke, body))
            elif kind == messages.INVOKE:
                self.invocation = messages.unpack(messages.Invoke, body)
                if self.idle_wait is not None and not self.idle_wait.over:
                    self._grant(self.idle_wait)
            elif kind == messages.OPEN_GATE:
                self._open_gate()
            elif kind == messages.ARM_GATES:
                self.gates_changed(messages.unpack(messages.ArmGates, body))
            elif kind == messages.POLL:
                self._look_at_watched()
                if self.announced:
                    self.report_owed = True
                else:
                    self._report()
            elif kind == messages.TYPED:
                self.typed = messages.unpack(messages.Typed, body).line or ""
                if self.terminal_wait is not None and not self.terminal_wait.over:
                    self._grant(self.terminal_wait)
            elif kind == messages.SAVE_COVERAGE:
                self.save_asked = True
            elif kind == messages.ANSWER_WAITS:
                self._look_again(self.answer_waits(messages.unpack(messages.AnswerWaits, body)))
            elif kind == messages.POLL_SIGNALS:
                self.signals_asked = True
                self.main.wake()

    def _look_again(self, waits: list[Waiter]) -> None:
        """Have threads look again at what their *waits* are for."""
        for wait in waits:
            self._wake(wait)
        self._report()

    def end_event(self) -> None:
        """The program of an image has answered: it goes on with the next event only."""
        self.lease_suspensions += 1
        self._count_threads()

    def _begin_event(self, gateway: Gateway, invocation: messages.Invoke) -> None:
        self.lease_suspensions -= 1
        self._count_threads()
        gateway.begin(invocation)
        self._look_at_watched()
        self._report()

    def _open_gate(self) -> None:
        if self.gate_wait is not None and not self.gate_wait.over:
            self._grant(self.gate_wait)
        elif self.gateway is not None:
            self.gateway.open_gate()
            self._look_at_watched()
            self._report()

    def tell_locked(self, data: bytes) -> None:
        """Send a marked frame (``messages.MARKED``): what is written by now comes before it, the rest after it."""
        if self.moved:
            self._tell_time()
        _write(self.marks, self.mark)
        self.send_locked(data)

    def send_locked(self, data: bytes) -> None:
        """Send a whole frame."""
        if self.moved:
            self._tell_time()
        try:
            self.channel.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)  # the harness is gone

    def _tell_time(self) -> None:
        self.moved = False
        _write(self.marks, self.mark)
        pack = messages.pack_wrote if self.c_code else messages.pack_leased
        self.send_locked(pack(self.clock_page[shared_page.CLOCK_NOW], self.leased.told()))

    def _may_move(self, what: str, now_us: int) -> bool:
        if self.c_code:
            self._before_move()
        return self.leased.note(what, now_us)

    def _before_move(self) -> None:
        """The clock is about to be moved here: what is in the output was written before, by code in C or by Python.

        Unless the harness has just read it, by the time that the clock shows now.
        """
        if fcntl.ioctl(self.marks, termios.FIONREAD, _NOTHING) != _NOTHING:
            self._tell_time()
        while self.control_page[shared_page.CONTROL_READING]:
            _yield()


scheduler = Scheduler()
