"""The one door that every simulated wait goes through.

An instance is parked if and only if every Python thread of it is inside the door. A thread that comes in says so to the
harness (with what its instance has to wait for next), and blocks. The harness gives the turn: the first of the waits
that are due goes on, one thread at a time.

The door is one object in three rooms: ``books`` is its state under its one lock, ``standing`` how a thread blocks in it
and meets signals, and here are the ways in that the patches of user code take.
"""

from __future__ import annotations

import _thread
import array
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

from ...protocol import messages
from .. import clock
from .books import Gateway
from .standing import Standing
from .waiters import ThreadState, Wait, Watch, describe_caller

_get_ident = _thread.get_ident


class Door(Standing):
    """The door of this process; inactive (``active`` False) in the zygote and in children that user code forked."""

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
        clock.detach()
        self.pending.clear()
        self.main_inside = False
        self.channel.close()
        os.close(self.attention)
        for fd in (self.marks, self.signalled, self.signalled_write):
            os.close(fd)

    def leave_parent(self) -> None:
        """In a fork that is to be a member: what was the parent's alone is not this process's."""
        self.gateway = None
        self._count_threads()
        self._arm(None)

    # -- waiting -------------------------------------------------------------------------------------------------------

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
        self.park(self.clock_page[messages.CLOCK_NOW] + microseconds, describe_caller(f"sleep({microseconds / 1e6:g})"))

    def nap(self, seconds: float) -> bool:
        """Have a sleep of the only thread pass at once, where the clock may be moved here; whether it did.

        Called where ``alone``, by the function that user code calls: this is what a loop of sleeps spends its time in.
        """
        if _get_ident() != self.main_ident:
            return False
        kind = type(seconds)
        if (kind is not int and kind is not float) or not 0 < seconds < clock.LONGEST:
            return False
        microseconds = seconds * 1_000_000 if kind is int else clock.microseconds(seconds)
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
                clock.reads = 0
        self.main_inside = False
        if self.pending:
            self.run_pending()
        return passes

    def yield_turn(self) -> None:
        """Go to the end of the queue of those that are ready."""
        self.park(self.clock_page[messages.CLOCK_NOW], "")

    def wake(self, wait: Wait) -> bool:
        """Make *wait* ready, in its turn; False when it is over already."""
        main = self._enter()
        try:
            with self.lock:
                return self._wake(wait)
        finally:
            self._leave(main)

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
                self.control_page[messages.CONTROL_FORKS] += 1
                if not self.forked:
                    self.forked = True
                    self.vetoes += 1
                    self._count_threads()
        finally:
            self._leave(main)

    # -- the harness ---------------------------------------------------------------------------------------------------

    def idle(self) -> messages.JsonObject:
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
        """From here on events go to the program of an image, by way of *gateway*."""
        self.gateway = gateway
        self._count_threads()

    def hear_last_words(self) -> None:
        """The process is about to end: what its program has answered is an answer, though it has not waited since."""
        if not self.active or self.gateway is None:
            return
        main = self._enter()
        try:
            with self.lock:
                self.gateway.hear_last_words()
        finally:
            self._leave(main)

    def gate(self, message: messages.JsonObject) -> None:
        """Stand here until the harness opens the gate."""
        main = self.threads.get(_get_ident()) is self.main
        self.send(messages.json_frame(messages.GATED, {**message, "main": main}))
        self.veto(1)
        try:
            self.park(None, "", enlist=self._enlist_gate)
        finally:
            self.veto(-1)

    def ask_terminal(self, text: str) -> str:
        """Show *text* on the user's terminal, and give the line that is typed; empty at the end of the input."""
        self.send(messages.json_frame(messages.TERMINAL, {"text": text}))
        self.veto(1)
        try:
            self.park(None, "", enlist=self._enlist_typed)
        finally:
            self.veto(-1)
        typed, self.typed = self.typed, None
        return typed or ""

    def _enlist_idle(self, wait: Wait) -> bool:
        self.idle_wait = wait
        return self.invocation is None

    def _enlist_gate(self, wait: Wait) -> bool:
        self.gate_wait = wait
        return True

    def _enlist_typed(self, wait: Wait) -> bool:
        self.terminal_wait = wait
        return self.typed is None

    # -- threads -------------------------------------------------------------------------------------------------------

    def expect_thread(self) -> ThreadState:
        """Count a thread that is about to be started: it is ready, and waits for its first turn."""
        thread = ThreadState(main=False)
        thread.poller.register(self.attention, select.POLLIN)
        main = self._enter()
        try:
            with self.lock:
                wait = Wait(thread, self.clock_page[messages.CLOCK_NOW], "")
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

    # -- what is told --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a whole frame; a signal's handler, which may send too, waits until it is out."""
        main = self._enter()
        try:
            with self.lock:
                self.send_locked(data)
        finally:
            self._leave(main)

    def send_descriptors(self, data: bytes, fds: list[int]) -> None:
        """Send a whole frame, and descriptors with its first byte."""
        main = self._enter()
        try:
            with self.lock:
                if self.moved:
                    self._tell_time()
                sent = self.channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                self.channel.sendall(data[sent:])
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
        clock.reads = 0
        if self.control_page[messages.CONTROL_MESSAGES] != self.seen_messages:
            self.look()

    def look(self) -> None:
        """Read what the harness has sent, where no thread that waits does."""
        if self.control_page[messages.CONTROL_MESSAGES] == self.seen_messages or self.reader is not None:
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


door = Door()
