"""The one scheduler that every simulated wait goes through.

An instance is parked if and only if every Python thread of it is inside the scheduler. A thread that comes in says so
to the harness (with what its instance has to wait for next), and blocks. The harness gives the turn: the first of the
waits that are due goes on, one thread at a time.

The scheduler is one object in three rooms: ``state`` is its state under its one lock, ``blocking`` how a thread blocks
in it and meets signals, and here are the ways in that the patches of user code take.
"""

from __future__ import annotations

import _thread
import os
import select
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from ...protocol import linux, messages, shared_page, time_units
from ...protocol.shared_page import CLOCK_NOW, CONTROL_LEASE, CONTROL_LEASED, LEASE_COUNT, LEASE_LAST
from .. import clock
from .blocking import BlockingScheduler
from .state import Gateway
from .waiters import Readiness, ThreadState, Waiter, describe_caller

_get_ident = _thread.get_ident


class Scheduler(BlockingScheduler):
    """That of this process; inactive (``active`` False) in the zygote and in children that user code forked."""

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


scheduler = Scheduler()
