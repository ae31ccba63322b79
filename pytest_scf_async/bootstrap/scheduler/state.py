"""Scheduler state: threads, waiters and the run queue, guarded by one lock.

Who calls a method of this room has the lock, unless it says otherwise. Nothing here blocks, and nothing here runs user
code: a signal that comes meanwhile is deferred to a safe point of ``blocking``, so no state is ever seen half written.
"""

from __future__ import annotations

import _socket
import _thread
import fcntl
import heapq
import os
import select
import termios
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from ...protocol import messages as wire
from ...protocol import shared_page
from ...protocol.shared_page import ControlPage
from .. import clock
from .lease_log import LeaseLog
from .waiters import Readiness, Section, ThreadState, Waiter

_get_ident = _thread.get_ident
_write = os.write
_yield = os.sched_yield
_NOTHING = bytes(4)
_pack_parked = wire.pack_parked
_NO_ALARM = 2**62
"""Later than anything that can be due."""


class Gateway(Protocol):
    """Who speaks to an image's program that runs in this process; called with the scheduler's lock."""

    def begin(self, invocation: wire.Invoke) -> None: ...
    def look(self) -> bool: ...
    def has_heard_all(self) -> bool: ...
    def receive_final_response(self) -> None: ...
    def open_gate(self) -> None: ...


class SchedulerState:
    """What the scheduler of an instance knows; see ``scheduler.Scheduler``, which is this state with the ways in."""

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
        self.gates_changed: Callable[[wire.ArmGates], None] = lambda message: None
        self.answer_waits: Callable[[wire.AnswerWaits], list[Waiter]] = lambda message: []
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
        self.frames = wire.FrameReader()
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
        self.invocation: wire.Invoke | None = None
        self.gateway: Gateway | None = None
        """The platform's side of the connections of an image's program."""

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
        due = wire.NEVER if due is None else due
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

    def _take_messages(self, messages: list[tuple[int, bytes]]) -> None:
        for kind, body in messages:
            self.seen_messages += 1
            if kind == wire.RESUME:
                self._take_turn()
            elif kind == wire.INVOKE and self.gateway is not None:
                self._begin_event(self.gateway, wire.unpack(wire.Invoke, body))
            elif kind == wire.INVOKE:
                self.invocation = wire.unpack(wire.Invoke, body)
                if self.idle_wait is not None and not self.idle_wait.over:
                    self._grant(self.idle_wait)
            elif kind == wire.OPEN_GATE:
                self._open_gate()
            elif kind == wire.ARM_GATES:
                self.gates_changed(wire.unpack(wire.ArmGates, body))
            elif kind == wire.POLL:
                self._look_at_watched()
                if self.announced:
                    self.report_owed = True
                else:
                    self._report()
            elif kind == wire.TYPED:
                self.typed = wire.unpack(wire.Typed, body).line or ""
                if self.terminal_wait is not None and not self.terminal_wait.over:
                    self._grant(self.terminal_wait)
            elif kind == wire.SAVE_COVERAGE:
                self.save_asked = True
            elif kind == wire.ANSWER_WAITS:
                self._look_again(self.answer_waits(wire.unpack(wire.AnswerWaits, body)))
            elif kind == wire.POLL_SIGNALS:
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

    def _begin_event(self, gateway: Gateway, invocation: wire.Invoke) -> None:
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
        pack = wire.pack_wrote if self.c_code else wire.pack_leased
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
