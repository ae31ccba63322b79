"""Blocking side of the scheduler: each waiting thread polls its own eventfd and runs pending signal handlers there.

The thread that came in last also reads the channel. The handler of a signal that reaches the main thread while it is
inside runs at a safe point of its wait, outside the lock, and may wait itself: that wait lies on top of the other.
"""

from __future__ import annotations

import _thread
import heapq
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

from ...protocol import linux, messages, shared_page
from .. import clock
from .state import SchedulerState
from .waiters import Readiness, ThreadState, Waiter, user_frame

_get_ident = _thread.get_ident
_own_pid = os.getpid
_stop = os.kill


class BlockingScheduler(SchedulerState):
    """The state, and the threads that block in the scheduler with what comes to them there."""

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
