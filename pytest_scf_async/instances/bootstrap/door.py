"""The one door that every simulated wait goes through, and the bookkeeping of an instance's threads.

An instance is parked if and only if every Python thread of it is inside the door. A thread that comes in says so to the
harness (with what its instance has to wait for next), and blocks in ``poll`` on an eventfd of its own; the thread that
came in last also reads the channel. The harness gives the turn: the first of the waits that are due goes on, one thread
at a time. Signals that reach the main thread while it is inside are run at a safe point of the wait, so no structure
here is ever seen half changed, and a handler may wait itself: its wait lies on top of the interrupted one.

Longer than other modules: it is one state under one lock, and who reads a part of it has to know the rest.
"""

from __future__ import annotations

import _thread
import heapq
import json
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from .. import wire
from . import clocks
from .leases import LeaseLog
from .waits import Section, ThreadState, Wait, Watch, describe_caller, user_frame

_get_ident = _thread.get_ident
_write = os.write
_own_pid = os.getpid
_stop = os.kill
_NO_ALARM = 2**62
"""Later than anything that can be due."""


class Gateway(Protocol):
    """Who speaks to an image's program that runs in this process; called with the door's lock."""

    def begin(self, invocation: wire.JsonObject) -> None: ...
    def look(self) -> None: ...


class Door:
    """The door of this process; inactive (``active`` False) in the zygote and in children that user code forked."""

    def __init__(self) -> None:
        self.active = False
        self.alone = False
        """The main thread is the only one, and nothing keeps it from moving the clock while it may."""
        self.moved = False
        self.main_inside = False
        """The main thread is in the door: a signal's handler has to wait for the safe point."""
        self.pending: deque[int] = deque()
        self.call_handler: Callable[[int, FrameType | None], None] = lambda signum, frame: None
        self.gates_changed: Callable[[wire.JsonObject], None] = lambda message: None
        self.follow: Callable[[], None] | None = None
        """What each thread does, once it goes on, when ``followed`` has changed: the gates at lines are others."""
        self.followed = 0
        self.save: Callable[[], None] | None = None
        """Saves what coverage has measured, where the session is measured."""
        self.save_asked = False
        """The harness is about to end this process."""
        self.ring_alarm: Callable[[], bool] = lambda: False
        """Sends SIGALRM to this process; whether a handler of user code is called for it at once."""
        self.alarm: Wait | None = None
        """What ends when the alarm is due; no thread waits for it."""
        self.alarm_us = _NO_ALARM
        """When it is due, in µs since the epoch."""
        self.call_handler_followed: Callable[[Any, int, FrameType | None], None] | None = None
        """Calls a signal's handler, once there have been gates at lines."""

    def attach(
        self,
        channel: socket.socket,
        attention: int,
        pages: tuple[Any, Any],
        marks: tuple[int, bytes],
        signalled: tuple[int, int],
    ) -> None:
        """Become the door of an instance whose only thread is the calling one; `join` opens it.

        *pages* are the control page and the texts behind it, *marks* is a descriptor of the output
        pipe that user code does not know, and what goes there; *signalled* are the ends of a pipe that can be read once
        a signal has come.
        """
        self.lock = Section()
        self.channel = channel
        self.channel_fd = channel.fileno()
        self.attention = attention
        self.marks, self.mark = marks
        self.signalled, self.signalled_write = signalled
        self.control_page, texts = pages
        self.leased = LeaseLog(self.control_page, texts)
        self.moved = False
        """The clock was moved here since the harness was told of it."""
        self.vetoes = 0
        """Reasons why this instance does not move the clock although it may."""
        self.forked = False
        """One of the reasons: a child process was started, and may live."""
        self.signals_asked = False
        """The harness wants to know when the main thread has dealt with the signals that have come."""
        self.main_ident = _get_ident()
        self._nap: tuple[Any, ...] = ()
        self.seen_messages = 0
        self.frames = wire.FrameReader()
        self.heard: list[tuple[int, bytes]] = []
        """Frames that came together with the first one."""
        self.heap: list[tuple[int, int, Wait]] = []
        self.main = ThreadState(main=True)
        self.main.poller.register(attention, select.POLLIN)
        self.main.poller.register(self.signalled, select.POLLIN)
        self.threads: dict[int, ThreadState] = {_get_ident(): self.main}
        self.started: list[ThreadState] = []
        """Threads that have been asked for and have not reached their first bytecode."""
        self.outside = 1
        """How many threads are not inside the door, announced real waits not counted."""
        self.held = 0
        """How many threads are inside the door for something real."""
        self.watching: list[Wait] = []
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
        self.gate_wait: Wait | None = None
        self.idle_wait: Wait | None = None
        self.terminal_wait: Wait | None = None
        self.typed: str | None = None
        self.invocation: wire.JsonObject | None = None
        self.gateway: Gateway | None = None
        """The platform's side of the connections of an image's program."""

    def join(self, clock_page: Any) -> None:
        """Live on the clock of *clock_page*; the calling thread computes."""
        self.clock_page = clock_page
        self.active = True
        self._count_threads()
        with self.lock:
            self._take_messages(self.heard)

    def detach(self) -> None:
        """Forget the harness: this is a child that user code forked."""
        if not self.active:
            return
        self.active = self.alone = self.moved = False
        clocks.detach()
        self.pending.clear()
        self.main_inside = False
        self.channel.close()
        os.close(self.attention)
        for fd in (self.marks, self.signalled, self.signalled_write):
            os.close(fd)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def park(
        self,
        due_us: int | None,
        what: str,
        *,
        enlist: Callable[[Wait], bool] | None = None,
        watch: Watch | None = None,
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
            wait = Wait(thread, due_us, what, watch)
            if enlist is not None and not enlist(wait):
                wait.over = True
                return True
            with self.lock:
                if watch is not None:
                    self._begin_watch(wait, watch)
                self._come_in(wait)
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

    def sleep(self, microseconds: int) -> None:
        """Wait for exactly *microseconds* of simulated time."""
        self.park(self.clock_page[wire.CLOCK_NOW] + microseconds, describe_caller(f"sleep({microseconds / 1e6:g})"))

    def nap(self, seconds: float) -> bool:
        """Have a sleep of the only thread pass at once, where the clock may be moved here; whether it did.

        Called where ``alone``, by the function that user code calls: this is what a loop of sleeps spends its time in.
        """
        if _get_ident() != self.main_ident:
            return False
        kind = type(seconds)
        if (kind is not int and kind is not float) or not 0 < seconds < clocks.LONGEST:
            return False
        microseconds = seconds * 1_000_000 if kind is int else clocks.microseconds(seconds)
        self.main_inside = True  # a signal's handler has to wait: it may move the clock as well
        page, control = self.clock_page, self.control_page
        now = page[0]
        due = now + microseconds
        passes: bool = due < control[1] and due < self.alarm_us
        if passes:
            frame = sys._getframe(2)
            nap = (frame.f_code, frame.f_lasti, microseconds)
            record = self.leased.record
            if record and nap == self._nap:
                control[record + 2] = now
                control[record + 3] += 1
            else:
                passes = self.leased.note(describe_caller(f"sleep({microseconds / 1e6:g})"), now)
                self._nap = nap
            if passes:
                page[0] = due
                control[2] += 1
                self.moved = True
                clocks.reads = 0
        self.main_inside = False
        if self.pending:
            self.run_pending()
        return passes

    def veto(self, change: int) -> None:
        """Have one reason more (1) or less (-1) not to move the clock here."""
        main = self._enter()
        try:
            with self.lock:
                self.vetoes += change
                self._count_threads()
        finally:
            self._leave(main)

    def forks(self) -> None:
        """A child process is about to be started, or has been: while it lives the clock stands."""
        main = self._enter()
        try:
            with self.lock:
                self.control_page[wire.CONTROL_FORKS] += 1
                if not self.forked:
                    self.forked = True
                    self.vetoes += 1
                    self._count_threads()
        finally:
            self._leave(main)

    def yield_turn(self) -> None:
        """Go to the end of the queue of those that are ready."""
        self.park(self.clock_page[wire.CLOCK_NOW], "")

    def wake(self, wait: Wait) -> bool:
        """Make *wait* ready, in its turn; False when it is over already."""
        main = self._enter()
        try:
            with self.lock:
                return self._wake(wait)
        finally:
            self._leave(main)

    def idle(self) -> wire.JsonObject:
        """Wait, on the main thread, for the next invocation."""
        self.veto(1)  # other threads of this instance do not go on past the end of the event
        try:
            while self.invocation is None:
                self.park(None, "", enlist=self._enlist_idle)
        finally:
            self.veto(-1)
        invocation, self.invocation = self.invocation, None
        return invocation

    def open_gateway(self, gateway: Gateway) -> None:
        """From here on events go to the program of an image by way of *gateway*."""
        self.gateway = gateway

    def end_event(self) -> None:
        """With the lock: the program has answered, and goes on with the next event only."""
        self.vetoes += 1
        self._count_threads()

    def _begin_event(self, gateway: Gateway, invocation: wire.JsonObject) -> None:
        self.vetoes -= 1
        self._count_threads()
        gateway.begin(invocation)
        self._look_at_watched()
        self._report()

    def gate(self, message: wire.JsonObject) -> None:
        """Stand here until the harness opens the gate."""
        main = self.threads.get(_get_ident()) is self.main
        self.send(wire.json_frame(wire.GATED, {**message, "main": main}))
        self.veto(1)
        try:
            self.park(None, "", enlist=self._enlist_gate)
        finally:
            self.veto(-1)

    def ask_terminal(self, text: str) -> str:
        """Show *text* on the user's terminal, and give the line that is typed; empty at the end of the input."""
        self.send(wire.json_frame(wire.TERMINAL, {"text": text}))
        self.veto(1)
        try:
            self.park(None, "", enlist=self._enlist_typed)
        finally:
            self.veto(-1)
        typed, self.typed = self.typed, None
        return typed or ""

    def _enlist_typed(self, wait: Wait) -> bool:
        self.terminal_wait = wait
        return self.typed is None

    def _enlist_idle(self, wait: Wait) -> bool:
        self.idle_wait = wait
        return self.invocation is None

    def _enlist_gate(self, wait: Wait) -> bool:
        self.gate_wait = wait
        return True

    # -- threads -----------------------------------------------------------------------------------------------------

    def expect_thread(self) -> ThreadState:
        """Count a thread that is about to be started: it is ready, and waits for its first turn."""
        thread = ThreadState(main=False)
        thread.poller.register(self.attention, select.POLLIN)
        main = self._enter()
        try:
            with self.lock:
                wait = Wait(thread, self.clock_page[wire.CLOCK_NOW], "")
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
            self.outside -= 1
            self._find_reader()
            self._rest()
        thread.close()

    def join_thread(self, thread: ThreadState, due_us: int | None, what: str) -> bool:
        """Wait for the end of *thread*; whether it came."""

        def enlist(wait: Wait) -> bool:
            with self.lock:
                if thread.ended:
                    return False
                thread.joiners.append(wait)
                return True

        return thread.ended or self.park(due_us, what, enlist=enlist)

    # -- signals -----------------------------------------------------------------------------------------------------

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """The trampoline's word: run the user's handler now, or at the wait's safe point."""
        if self.main_inside:
            waits = self.main.waits
            if signum in self.pending and waits and waits[-1].kept is not None:
                waits[-1].kept = -1  # C code in which a signal comes twice: its handler is called once
            else:
                self.pending.append(signum)
            self.main.ring()
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
        wait = Wait(thread, self.clock_page[wire.CLOCK_NOW], "")
        with self.lock:
            self.announced += 1
            self.outside += 1
            try:
                send()
            except BaseException:
                self.announced -= 1
                self.outside -= 1
                raise
            self._come_in(wait)
        self._block(wait)

    def set_alarm(self, due_us: int | None, every_us: int) -> tuple[int, int]:
        """Have the alarm go off at *due_us*, and every *every_us* from then on; gives what was left of the one before.

        Its rest and interval, in µs; the rest is 0 where there was none.
        """
        main = self._enter()
        try:
            with self.lock:
                before, before_every = self.alarm, self.alarm_every_us
                rest = 0 if before is None else max((before.due_us or 0) - self.clock_page[wire.CLOCK_NOW], 1)
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
                if alarm is not None and (alarm.due_us or 0) <= self.clock_page[wire.CLOCK_NOW]:
                    self.alarm_rang_us = alarm.due_us
                    self._arm(None)
                    if self.ring_alarm():
                        self._arm_again()
        finally:
            self._leave(main)

    def _signals_came(self) -> None:
        if self.announced:
            main = self._enter()
            try:
                with self.lock:
                    self.outside -= self.announced
                    self.announced = 0
            finally:
                self._leave(main)

    def run_pending(self) -> None:
        self._signals_came()
        try:
            while self.pending:
                self.call_handler(self.pending.popleft(), user_frame(sys._getframe(1)))
        finally:
            if self.report_owed:
                self._report_now()

    def _report_now(self) -> None:
        main = self._enter()
        try:
            with self.lock:
                self._report()
        finally:
            self._leave(main)

    # -- messages ----------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a whole frame; a signal's handler, which may send too, waits until it is out."""
        main = self._enter()
        try:
            with self.lock:
                self.send_locked(data)
        finally:
            self._leave(main)

    def tell(self, data: bytes) -> None:
        """Send a marked frame (``wire.MARKED``): what has been written so far comes before it, the rest after it."""
        main = self._enter()
        try:
            with self.lock:
                self.tell_locked(data)
        finally:
            self._leave(main)

    def tell_locked(self, data: bytes) -> None:
        """The same, with the lock."""
        if self.moved:
            self._tell_time()
        _write(self.marks, self.mark)
        self.send_locked(data)

    def before_output(self) -> None:
        """Called where ``moved``: what is written now carries the time to which the clock was moved here."""
        main = self._enter()
        try:
            with self.lock:
                if self.moved:
                    self._tell_time()
        finally:
            self._leave(main)

    def after_output(self) -> None:
        """Output is progress, and the moment to learn of gates that were set while this thread computed."""
        clocks.reads = 0
        if self.control_page[wire.CONTROL_MESSAGES] != self.seen_messages:
            self.look()

    def look(self) -> None:
        """Read what the harness has sent, where no thread that waits does."""
        if self.control_page[wire.CONTROL_MESSAGES] == self.seen_messages or self.reader is not None:
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

    def on_poke(self) -> None:
        """A signal without a meaning of its own: the main thread looks, and a thread that computes has gates set."""
        if self.active and not self.main_inside:
            self.look()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _tell_time(self) -> None:
        self.moved = False
        _write(self.marks, self.mark)
        body = wire.LEASED_BODY.pack(self.clock_page[wire.CLOCK_NOW], self.leased.told())
        self.send_locked(wire.frame(wire.LEASED, body))

    def send_locked(self, data: bytes) -> None:
        """Send a whole frame, with the lock."""
        if self.moved:
            self._tell_time()
        try:
            self.channel.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)  # the harness is gone

    def _current(self) -> ThreadState:
        thread = self.threads.get(_get_ident())
        if thread is None:  # started by C code, or through a reference older than the patches
            thread = ThreadState(main=False)
            thread.poller.register(self.attention, select.POLLIN)
            with self.lock:
                self.threads[_get_ident()] = thread
                self._count_threads()
                self.outside += 1
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

    def _push(self, wait: Wait) -> None:
        page = self.clock_page
        page[wire.CLOCK_SEQUENCE] = wait.sequence = page[wire.CLOCK_SEQUENCE] + 1
        if wait.due_us is not None:
            heapq.heappush(self.heap, (wait.due_us, wait.sequence, wait))

    def _come_in(self, wait: Wait) -> None:
        clocks.reads = 0
        wait.thread.waits.append(wait)
        self._push(wait)
        self.outside -= 1
        self.reader = wait.thread
        self._rest(wait.what)

    def _go_out(self, wait: Wait) -> None:
        wait.over = True
        wait.thread.waits.remove(wait)
        if wait.thread.followed != self.followed:
            self._follow(wait.thread)

    def _become_reader_if_none(self, thread: ThreadState) -> None:
        if self.reader is None:
            self.reader = thread

    def _find_reader(self) -> None:
        """Have a thread that stays inside read the channel, if none does."""
        for thread in self.threads.values() if self.reader is None else ():
            if thread.waits and not (thread.waits[-1].granted or thread.waits[-1].suspended):
                self.reader = thread
                thread.ring()
                return

    def _count_threads(self) -> None:
        self.alone = len(self.threads) == 1 and not self.started and not self.vetoes

    def _arm(self, due_us: int | None) -> None:
        if self.alarm is not None:
            self.alarm.over = True
        self.alarm = None
        if due_us is not None:
            self.alarm = Wait(self.main, due_us, "")
            self._push(self.alarm)
        self.alarm_us = _NO_ALARM if due_us is None else due_us
        self.control_page[wire.CONTROL_ALARM] = due_us or 0

    def _ring(self, alarm: Wait) -> None:
        """The alarm is due: if a handler of user code is called the main thread has the turn, else who is next."""
        self.alarm_rang_us = alarm.due_us
        self._arm(None)
        self.announced += 1
        self.outside += 1
        if self.ring_alarm():
            self._arm_again()
            self.main.ring()
            return
        self.announced -= 1
        self.outside -= 1
        self._rest()

    def _arm_again(self) -> None:
        if self.alarm_every_us and (rang := self.alarm_rang_us) is not None:
            late = self.clock_page[wire.CLOCK_NOW] - rang
            self._arm(rang + (late // self.alarm_every_us + 1) * self.alarm_every_us)
        self.alarm_rang_us = None

    def _keep_signals(self, wait: Wait) -> None:
        """Signals have come in a wait of C code that lets no handler be called: they are, once it is over."""
        with self.lock:
            wait.kept = len(self.pending)
            self.outside -= self.announced
            self.announced = 0
            self.send_locked(wire.json_frame(wire.SIGNALS_KEPT, {"signums": list(self.pending)}))
            self._report()

    def _begin_watch(self, wait: Wait, watch: Watch) -> None:
        self.held += watch.holds
        self.watching.append(wait)
        self.control_page[wire.CONTROL_WATCHES] = len(self.watching)

    def _end_watch(self, wait: Wait, watch: Watch) -> None:
        self.watching.remove(wait)
        if self.active:
            self.control_page[wire.CONTROL_WATCHES] = len(self.watching)
        if watch.polled:
            self._poll_watched(wait.thread, watch, False)

    @staticmethod
    def _poll_watched(thread: ThreadState, watch: Watch, polled: bool) -> None:
        watch.polled = polled
        for fd, events in watch.descriptors.items():
            if polled:
                thread.poller.register(fd, events)
            else:
                thread.poller.unregister(fd)

    def _look_at_watched(self) -> None:
        """Make the waits ready whose descriptors are: what woke them may have been done by the thread that comes in."""
        for wait in tuple(self.watching):
            if wait.over or wait.granted or wait.woken or wait.suspended:
                continue
            watch = wait.watch
            assert watch is not None
            if watch.is_ready():
                self._wake(wait)
            elif watch.muted:
                watch.muted = False
                wait.thread.ring()

    def _is_ready(self, wait: Wait, watch: Watch) -> None:
        """A thread has found a descriptor ready that it watches. While another computes, it is not yet its turn to."""
        if wait.granted or wait.woken:
            return
        if not watch.holds and self.outside:
            watch.muted = True
        elif watch.is_ready():
            self._wake(wait)
            if self.outside == 0:
                self._report()

    def _hold_is_over(self, wait: Wait, watch: Watch) -> None:
        """What is real has had as much time as the wait has: its simulated end may come."""
        if wait.granted or wait.woken or watch.until is None or clocks.real_monotonic() < watch.until:
            return
        self._let_go(wait)
        if watch.ends:
            self._wake(wait)
        if self.outside == 0:
            self._report()

    def _let_go(self, wait: Wait) -> None:
        """*wait* holds the clock no more."""
        watch = wait.watch
        if watch is not None and watch.holds:
            watch.holds = False
            self.held -= not wait.suspended

    def _rest(self, what: str = "") -> None:
        """A thread has come in or ended: where the clock may be moved here the next wait goes on, else it is told."""
        if self.gateway is not None and self.outside == 0:
            self.gateway.look()
        if self.watching:
            self._look_at_watched()
        if self.outside == 0 and self.held == 0 and self.vetoes == 0:
            head, until = self._head(), self.control_page[wire.CONTROL_LEASE]
            now = self.clock_page[wire.CLOCK_NOW]
            if head is not None and (due := head.due_us) is not None and due < until and self.leased.note(what, now):
                self.clock_page[wire.CLOCK_NOW] = max(due, now)
                self.control_page[wire.CONTROL_LEASED] += 1
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
        body = wire.PARKED_BODY.pack(due, sequence, self.outside, self.held, self.seen_messages)
        self.send_locked(wire.frame(wire.PARKED, body + what.encode("utf-8", "replace")))

    def _head(self) -> Wait | None:
        heap = self.heap
        while heap:
            _, sequence, wait = heap[0]
            if wait.over or wait.suspended or wait.granted or wait.sequence != sequence:
                heapq.heappop(heap)
            else:
                return wait
        return None

    def _wake(self, wait: Wait) -> bool:
        if wait.over or wait.granted or wait.woken:
            return False
        wait.woken = True
        self._let_go(wait)
        wait.due_us = self.clock_page[wire.CLOCK_NOW]
        if wait.suspended:  # it looks for itself once the signal's handler is through, which may want the same thing
            return False
        self._push(wait)
        return True

    def _block(self, wait: Wait) -> None:
        """Stay until *wait* is granted; run signal handlers on the way."""
        thread = wait.thread
        while True:
            if wait.granted:  # first: the thread counts as outside already, and the handlers run once the wait is over
                self._go_out(wait)
                return
            if thread.main and self.pending:
                if wait.kept is None:
                    self._run_pending_inside(wait)
                    continue
                if wait.kept != len(self.pending) or self.announced:
                    self._keep_signals(wait)
            if thread.main and self.signals_asked:
                with self.lock:
                    if not self.pending or wait.kept is not None:  # else its handler is called first
                        self.signals_asked = False
                        self._look_at_watched()
                        self.send_locked(wire.frame(wire.SIGNALS_HEARD))
                        self._report()
            self._listen(wait)

    def _listen(self, wait: Wait) -> None:
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
            if fd == thread.bell:
                self._silence(thread.bell)
            elif fd == self.signalled:
                os.read(fd, 512)
            elif fd == self.attention:
                with self.lock:
                    self._silence(self.attention)
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

    def _follow(self, thread: ThreadState) -> None:
        thread.followed = self.followed
        if self.follow is not None:
            self.follow()

    @staticmethod
    def _silence(bell: int) -> None:
        try:
            os.eventfd_read(bell)
        except BlockingIOError:
            pass  # another thread was quicker

    def _run_pending_inside(self, wait: Wait) -> None:
        watch = wait.watch
        with self.lock:
            wait.suspended = True
            if watch is not None:
                self.held -= watch.holds
            self.outside += 1 - self.announced
            self.announced = 0
            if self.reader is wait.thread:
                self.reader = None
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
            self.outside -= 1
            if watch is not None:
                self.held += watch.holds
            if wait.due_us is not None:
                heapq.heappush(self.heap, (wait.due_us, wait.sequence, wait))
            self.reader = wait.thread
            self._rest(wait.what)

    def _read_messages(self) -> None:
        try:
            data = self.channel.recv(65_536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            os._exit(1)  # the harness is gone
        self._take_messages(list(self.frames.feed(data)))

    def _take_messages(self, messages: list[tuple[int, bytes]]) -> None:
        for kind, body in messages:
            self.seen_messages += 1
            if kind == wire.TURN:
                self._take_turn()
            elif kind == wire.INVOKE and self.gateway is not None:
                self._begin_event(self.gateway, json.loads(body))
            elif kind == wire.INVOKE:
                self.invocation = json.loads(body)
                if self.idle_wait is not None and not self.idle_wait.over:
                    self._grant(self.idle_wait)
            elif kind == wire.OPEN_GATE:
                if self.gate_wait is not None and not self.gate_wait.over:
                    self._grant(self.gate_wait)
            elif kind == wire.ARM_GATES:
                self.gates_changed(json.loads(body))
            elif kind == wire.ASK:
                self._look_at_watched()
                if self.announced:
                    self.report_owed = True
                else:
                    self._report()
            elif kind == wire.TYPED:
                self.typed = json.loads(body)["line"] or ""
                if self.terminal_wait is not None and not self.terminal_wait.over:
                    self._grant(self.terminal_wait)
            elif kind == wire.SAVE_COVERAGE:
                self.save_asked = True
            elif kind == wire.ASK_SIGNALS:
                self.signals_asked = True
                self.main.ring()

    def _save_and_stop(self) -> None:
        """What the harness may have asked for before it ends this process: nothing of user code runs after it."""
        if not self.save_asked:
            return
        self.save_asked = False
        if self.save is not None:
            self.save()
        self.control_page[wire.CONTROL_COVERED] += 1
        _stop(_own_pid(), signal.SIGSTOP)

    def _take_turn(self) -> None:
        self.leased.clear()
        if self.forked and self.control_page[wire.CONTROL_CHILDLESS] == self.control_page[wire.CONTROL_FORKS]:
            self.forked = False
            self.vetoes -= 1
            self._count_threads()
        head = self._head()
        if head is None or head.due_us is None or head.due_us > self.clock_page[wire.CLOCK_NOW]:
            self._report()  # what was due is over: a handler that raised ended it
            return
        heapq.heappop(self.heap)
        self._grant(head)

    def _grant(self, wait: Wait) -> None:
        if wait is self.alarm:
            self._ring(wait)
            return
        wait.granted = True
        self._let_go(wait)
        if wait.suspended:  # a signal's handler on top of it has the thread, and waits itself
            self._report()
            return
        self.outside += 1
        if self.reader is wait.thread:
            self.reader = None
        if wait.thread is not self.threads.get(_get_ident()):
            self.reader = None
            wait.thread.ring()


door = Door()
