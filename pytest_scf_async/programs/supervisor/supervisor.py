"""The supervisor of a program: an instance whose user code runs in processes below it, on the simulated clock.

It starts the program as its child, in the same sandbox and network. It traces the program and all that it starts, and
reports for them. For the test's process it is an instance like any other: it waits for a time, is resumed, stops at
gates, and answers. It ends as the program does, so that its wait status is that of the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import resource
import select
import signal
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

from ...linux import linux, procfs
from ...protocol import messages, shared_page
from ...protocol.disk_record import Effect
from ...protocol.real_time import REAL
from ...protocol.shared_page import Order
from ...python import clock
from ...python.scheduler.scheduler import scheduler
from ...side.originals import real_poll
from .. import handler_program, program_process
from ..clients.program_client import Answer, Broken, ProgramClient, is_moving, is_readable
from ..clients.spoken import client_of
from . import filter as seccomp
from . import signals
from .diagnosis import threads_of
from .exec import name_of
from .gates import LogGates
from .process_waits import ProcessWaits
from .random_numbers import RandomNumbers
from .recorder import Effects
from .state import UNSTARTED, Delivery, Phase, ProgramEffect, ProgramFact, Signals, after
from .timeouts import Clocks
from .tracee import Registers
from .tree import Due, Hooks, Process, Thread, Tree
from .waits import Wait

_libc = ctypes.CDLL(None, use_errno=True)

CHECK_INTERVALS: Final = (0.0, 0.0, 0.0, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.001, 0.002, 0.005)
"""Real seconds between one check of a running program and the next; the last value repeats."""
SHORTEST_POLL: Final = 0.001
"""The shortest timeout of ``poll`` in real seconds: it takes whole milliseconds."""
_OUTPUT: Final = (1, 2)
_SFD_FLAGS: Final = 0o4000 | 0o2000000
_SIGNAL_BYTES: Final = 128
BLOCKED_CALLS: Final = 2
"""For how many system calls after it has installed a handler a program may keep SIGTERM blocked, as Bash does."""


class Supervisor:
    _state = UNSTARTED
    """What the program does. `_apply` alone changes it."""
    _status = 0
    """The wait status with which it has ended."""
    _invocation: messages.Invoke | None = None
    """The last event that it was given."""
    _draws = False
    """What the program draws of the kernel's random numbers is that of its event."""
    _refusal = ""
    """Why the program was killed before it was ready."""
    _asked = 0
    """The place of its first wait for an answer (`shared_page.answered`); 0: it is in none."""
    _effects: Effects | None = None
    """Records its effects, where they are recorded, ..."""
    _syncs = False
    """... with what makes files durable."""
    _effect_gate = ""
    """The gate that is set before one of these."""
    _rows_us = 0
    _rows: Mapping[str, bool] = MappingProxyType({})
    """The program's waits for others at the time `_rows_us`, and whether each was sent."""
    _untraced: frozenset[str] = frozenset()
    """What was reported of the program that is impossible under a tracer."""

    def __init__(
        self,
        environment: Mapping[str, str],
        program: messages.ProgramConfig,
        client: ProgramClient,
        clock_page: shared_page.ClockPage,
        *,
        reads_before_wait: int | None,
        idle_ok: Sequence[str],
    ) -> None:
        self._program = program
        self._environment = environment
        self._client = client
        self._clock = clock_page
        self._reads_before_wait = reads_before_wait
        self._past_ns = 0
        """How many ns the program's clocks are ahead of the clock page, which counts in µs."""
        self._seen = 0
        self._means = self.means()
        self._pid = 0
        self._used: int | None = None
        """As of `_memory`, once the program has ended."""
        self._log_gates = LogGates()
        self._listener = signals.Listener()
        self._at_return: dict[int, Callable[[Thread], None]] = {}
        """By thread that makes a system call: what is to be done when the call returns."""
        self._preempted: set[Thread] = set()
        """The threads that computed when the clock began to pass them: others go on."""
        self._reported_due: tuple[int, Order] = (messages.NEVER, (0, 0, 0))
        """The first due time that was reported, and the wait's order among all waits."""
        self._shown_us = 0
        """The time that the program's clocks show."""
        self._checks = 0
        self._held: list[str] = []
        """The peers of the connections that hold the clock."""
        self._moved = False
        """The supervisor has moved the clock since it last reported the time."""
        scheduler.control.c_code = 1  # the program writes its output unnoticed
        self._registers = Registers()
        hooks = Hooks(
            clocks=self._clocks,
            real_monotonic=clock.real_monotonic,
            idle_ok=idle_ok,
            output=scheduler.channel.marks,
            next_order=clock_page.next_order,
            process_ended=self._process_ended,
            process_began=self._began,
            stops=self._show_time_if_moved,
            may_lease=self._may_lease,
            lease_wait=self._lease_wait,
            lease_wait_again=self._lease_wait_again,
            in_transit=self._in_transit,
            signalled=self._signalled,
            handled=lambda _thread: self._send(messages.SignalLeft(signals.SIGTERM, None)),
            called=self._called,
            returned=self._returned,
            at_effect=lambda thread: self._stop_at_gate(self._effect_gate, "effect", thread),
            server=client.server,
            is_under_way=client.is_under_way,
            logs_debug=lambda text: self._send(messages.Note(debug=text)),
            waits_for_others=self._waits_for_others,
            untraceable=self._untraceable,
        )
        self._tree = Tree(hooks)
        self._do: Mapping[ProgramEffect, Callable[[], object]] = {
            ProgramEffect.CHECK_SOON: self._check_soon,
            ProgramEffect.SHOW_TIME: self._time_has_moved,
            ProgramEffect.START: self._start,
            ProgramEffect.STOP_THREADS: self._tree.stop,
            ProgramEffect.GO_ON: self._tree.go_on,
            ProgramEffect.LEAVE_GATE: self._tree.leave_gate,
        }
        self._process_waits = ProcessWaits(self._tree, lambda: self._clock.now_us)
        self._signals = _signals_as_file({signal.SIGCHLD, linux.STACKS_SIGNAL})
        self._poller = real_poll()
        self._poller.register(scheduler.channel.fd, select.POLLIN)
        self._poller.register(self._signals, select.POLLIN)
        self._polled_client: dict[int, int] = {}

    def record(self, root: int, record: int, at_effect: messages.AtEffect, *, syncs: bool) -> None:
        """Have the program's changes of the directory *root* recorded in the file *record*: both are descriptors.

        *at_effect* says what happens at which of them: a kill ends this process, and with it all that it traces. With
        *syncs* the record also has what makes files durable.
        """
        self._effects = Effects(
            *(root, record, self._clock, scheduler.control),
            server=self._client.server,
            processes=lambda: self._tree.processes,
            complete=self._completed,
            at_effect=at_effect,
            kill=lambda: os.kill(os.getpid(), signal.SIGKILL),
            syncs=syncs,
        )
        self._tree.record(self._effects)
        self._syncs = syncs

    def draw(self) -> None:
        """Have what the program draws of the kernel's random numbers be that of its event."""
        self._draws = True
        self._tree.draw(RandomNumbers(scheduler.control))

    # -- what it does ------------------------------------------------------------------------------------------------

    def _apply(self, fact: ProgramFact) -> None:
        """Apply *fact* to the state of the program, and do what follows from it."""
        self._state, effects = after(self._state, fact)
        for effect in effects:
            self._do[effect]()

    def _check_soon(self) -> None:
        self._checks = 0

    # -- the clock ---------------------------------------------------------------------------------------------------

    def _clocks(self) -> Clocks:
        ns = self._clock.now_us * 1000 + self._past_ns
        return Clocks(ns, ns - self._clock.boot_us * 1000)

    def _show_time_if_moved(self) -> None:
        if self._clock.now_us != self._shown_us:
            self._time_has_moved()

    def _time_has_moved(self) -> None:
        self._past_ns = 0
        self._show_time()

    def _show_time(self) -> None:
        self._shown_us = self._clock.now_us
        self._tree.show_time()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def serve(self) -> NoReturn:
        """Handle messages of the test's process and the program's stops and answers, until one of them ends."""
        self._report()
        self._take(scheduler.channel.take_unread())
        while True:
            self._poll_client()
            ready = {fd for fd, _ in self._poller.poll(self._timeout())}
            if self._signals in ready:
                self._read_signals()
            if scheduler.channel.fd in ready:
                self._take(scheduler.channel.receive())
            self._handle_others(ready)
            self._check_program()

    def _handle_others(self, ready: set[int]) -> None:
        """Handle *ready* descriptors other than those of signals, the test's process and the program."""

    def _read_signals(self) -> None:
        came = os.read(self._signals, _SIGNAL_BYTES * 16)[::_SIGNAL_BYTES]  # the first byte of each is its number
        if linux.STACKS_SIGNAL in came:
            held = list(dict.fromkeys(self._held))
            os.write(scheduler.control.file, messages.pack(messages.Threads(threads_of(self._tree), held)))

    def _poll_client(self) -> None:
        wanted = self._client.descriptors() if self._state.polls_client else {}
        if wanted != self._polled_client:
            for fd in self._polled_client:
                try:
                    self._poller.unregister(fd)
                except KeyError:
                    continue
            for fd, events in wanted.items():
                self._poller.register(fd, events)
            self._polled_client = wanted

    def _timeout(self) -> float | None:
        """Milliseconds until the next check. A shorter time is slept here: the program has the processor then."""
        state = self._state
        if state.awaits_stops or not (state.report_owed or self._held):
            return None
        if not state.report_owed:
            return CHECK_INTERVALS[-1] * 1000
        seconds = CHECK_INTERVALS[min(self._checks, len(CHECK_INTERVALS) - 1)]
        self._checks += 1
        if seconds >= SHORTEST_POLL:
            return seconds * 1000
        if seconds:
            REAL.sleep(seconds)
        else:
            os.sched_yield()
        return 0

    def _check_program(self) -> None:
        """Handle the program's stops, and report what it waits for once all its threads wait."""
        tree = self._tree
        self._show_time_if_moved()
        if tree.step():
            self._apply(ProgramFact.GOES_ON)
        if self._state.ended:
            self._end_as_program(self._status)
        if self._state.signal_held_back and tree.all_held():
            self._apply(ProgramFact.SIGNAL_TAKEN_UP)
            self._deliver()
        state = self._state
        if state.delivering:
            if tree.settled():
                self._deliver_further()
        elif state.stopped:
            if tree.all_held():
                if state.at_gate and state.report_owed:
                    self._report()
                self._stopped()
        elif not state.report_owed and self._receive_from_program():
            return
        elif self._state.report_owed or self._held:
            self._check_threads()

    def _check_threads(self) -> None:
        """Handle a program whose threads go on: report what it does, once all of them wait or it is polled."""
        tree = self._tree
        if not tree.settled():
            if not (tree.in_transit and self._receive_from_program()):
                self._report_while_computing()
            elif not self._state.has_event:
                self._scan_connections()
                self._report()
        else:
            held, self._held = self._held, tree.connections.held
            if self._state.report_owed or (held and not self._held):
                self._settled()

    def _stopped(self) -> None:
        """Confirm the stops that the test's process has requested: all threads of the program are held."""
        scheduler.control.stops = max(scheduler.control.stops, self._stops_requested)

    def _scan_connections(self) -> None:
        self._tree.connections.scan()
        self._held = self._tree.connections.held

    def _report_while_computing(self) -> None:
        """Report the first due time while threads still compute, if the test's process has asked: it may preempt them.

        From then on the clock passes the threads that compute. The first due time is reported again when it has changed
        and all other threads wait.
        """
        tree, state = self._tree, self._state
        if state.preempted:
            self._show_time_if_moved()
        if not (state.polled or (state.preempted and self._reported_due != self._due_first())):
            return
        computing = tree.computing()
        if tree.has_pending_stop() or not (state.polled or computing <= self._preempted) or self._must_take_signal():
            return
        if computing:  # else all threads wait, which the next check finds
            tree.wake_monitors()
            if state.has_event and self._client.answered is not None:
                self._answer(self._client.answered)
            self._preempted = computing
            self._apply(ProgramFact.PREEMPTED)
            self._report(running_threads=len(computing))

    def _in_transit(self) -> bool:
        """Whether the kernel is still delivering data between the program and this process."""
        connection = None if self._state.has_answered else self._client.connection
        return connection is not None and is_moving(connection, self._tree.sock_diag)

    def _must_take_signal(self) -> bool:
        """Whether a SIGTERM was sent that the program will take, but has not yet: that must happen first."""
        return bool(self._pid) and signals.may_take(self._pid, self._pid)

    def _receive_from_program(self) -> bool:
        """Receive data of the program; returns whether there was any.

        A program that could not send all its data goes on then.
        """
        if not (self._state.has_event and is_readable(self._client.descriptors())):
            return False
        answer = self._client.receive()
        self._send_notes()
        if isinstance(answer, Broken) and procfs.is_exiting(self._pid):
            return False  # it is being killed, and its end, which says how, is reported next
        if answer is None:
            self._apply(ProgramFact.GOES_ON)
        else:
            self._answer(answer)
        return True

    _stops_requested = 0
    _reported_stops = -1

    # -- the test's process ------------------------------------------------------------------------------------------

    def _take(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            self._seen += 1
            message = messages.unpack_of_test(kind, body)
            self._means[type(message)](message)

    def means(self) -> Mapping[type, Callable[[Any], None]]:
        """What each message of the test's process means: a method for each type."""
        return {
            messages.Invoke: self._invoke,
            messages.Resume: self._resume,
            messages.OpenGate: self._open_gate,
            messages.ArmGates: self._arm_gates,
            messages.Poll: self._poll,
            messages.PollSignals: self._poll_signals,
            messages.AnswerWaits: self._answer_waits,
            messages.Stop: self._stop,
            messages.GoOn: self._go_on,
        }

    def _arm_gates(self, message: messages.ArmGates) -> None:
        gates = message.gates
        self._log_gates.set([gate for gate in gates if isinstance(gate, messages.LogGate)])
        self._listener.set_gates([gate for gate in gates if isinstance(gate, messages.ListeningGate)])
        self._set_effect_gate(next((one for one in gates if isinstance(one, messages.OccurrenceGate)), None))

    def _poll(self, _message: messages.Poll) -> None:
        self._apply(ProgramFact.POLLED)

    def _poll_signals(self, _message: messages.PollSignals) -> None:
        self._apply(ProgramFact.SIGNALS_POLLED)

    def _answer_waits(self, message: messages.AnswerWaits) -> None:
        self._tree.connections.answer_waits(message.port, message.waits)
        self._apply(ProgramFact.GOES_ON)

    def _stop(self, _message: messages.Stop) -> None:
        self._stops_requested += 1
        self._apply(ProgramFact.STOP_REQUESTED)

    def _go_on(self, _message: messages.GoOn) -> None:
        self._apply(ProgramFact.GO_ON_REQUESTED)

    def _completed(self, effect: Effect) -> Effect:
        at_default = self._dies_of_sigterm(effect.thread)
        return effect._replace(lines=self._log_gates.lines, in_event=self._state.has_event, at_default=at_default)

    def _dies_of_sigterm(self, tid: int) -> bool:
        """Whether SIGTERM ends the program, whose thread *tid* is at an effect. Of others than the first one it is not
        known, as that may be in ``sigwait``, where the kernel shows the same."""
        if tid != self._pid or self._listener.action != signals.DEFAULT or signals.is_blocked(tid, tid):
            return False
        state = procfs.signal_state(tid, signal.SIGTERM)
        return state is not None and not (state.ignored or state.caught)

    def _set_effect_gate(self, gate: messages.OccurrenceGate | None) -> None:
        if self._effects is not None:
            self._effects.set_gate(0 if gate is None else gate.number)
            self._effect_gate = "" if gate is None else gate.id

    def _resume(self, _message: messages.Resume) -> None:
        """Let the first wait or timer that is due go on."""
        if self._state.polled:  # a later answer would give the run token back
            self._report(running_threads=len(self._tree.computing()), unseen=1)
        self._apply(ProgramFact.RESUMED)
        self._tree.end_rest()
        self._reported_due = (messages.NEVER, (-1, 0, 0))
        scheduler.leased.clear()
        due = self._tree.first()
        if due is not None and self._is_due(due):
            self._wake(due)
        else:
            self._time_has_moved()

    def _wake(self, due: Due) -> None:
        """Let *due* go on, whose time has come."""
        self._past_ns = max(due.due_ns - self._clock.now_us * 1000, 0)
        self._show_time()
        self._tree.wake(due)

    def _is_due(self, due: Due) -> bool:
        return due.due_ns // 1000 <= self._clock.now_us

    def _invoke(self, invocation: messages.Invoke) -> None:
        self._invocation = invocation
        if self._draws:
            scheduler.control.drawn_from = invocation.seed
        if self._state.phase is Phase.UNSTARTED and invocation.gate is not None:
            self._apply(ProgramFact.INVOKED_AT_GATE)
            self._send(messages.Gated(invocation.gate, at="init", main=True))
            self._report()
        else:
            self._apply(ProgramFact.INVOKED)

    def _open_gate(self, _message: messages.OpenGate) -> None:
        self._apply(ProgramFact.GATE_OPENED)

    def _stop_at_gate(self, gate: str, at: str, thread: Thread | None) -> None:
        """Stop at *gate*, which *thread* has reached; None: the program has not been given its event yet."""
        if thread is not None:
            thread.reach_gate()
        self._apply(ProgramFact.REACHED_GATE)
        self._send(messages.Gated(gate, at=at, main=thread is None or thread.tid == self._pid))

    def _deliver(self) -> None:
        """Have a pending SIGTERM taken while all threads are held at a gate.

        Only one thread goes on to take it, so that it is the same thread in each run: the first thread if it may, which
        the kernel prefers, too. A handler that runs in the thread at the gate returns to the gate.
        """
        threads = self._tree.may_go_alone(self._pid)
        threads.sort(key=lambda thread: (thread.tid != self._pid, thread.serial))
        taking = next((thread for thread in threads if signals.may_take(self._pid, thread.tid)), None)
        if taking is not None:
            self._apply(ProgramFact.ONE_TAKES_SIGNAL)
            self._tree.go_alone(taking)
        elif self._state.delivery is Delivery.ALONE or signals.has_come(self._pid):  # sigwait or a signalfd takes it
            self._apply(ProgramFact.OTHERS_GO_ON)

    def _deliver_further(self) -> None:
        """Continue with the delivery once the threads that went on wait.

        The handler may have sent another SIGTERM, which ends the process.
        """
        if self._state.delivery is Delivery.ALONE:
            self._deliver()
        else:
            self._apply(ProgramFact.DELIVERED)

    def _move_to_first_due(self) -> bool:
        """Move the clock to the next due time if the lease allows that; returns whether it was moved."""
        due = self._tree.first()
        if due is not None:
            self._process_waits.note()
        if due is None or self._held or not self._move_clock_to(due.due_ns, _shown(due)):
            return False
        self._wake(due)
        return True

    def _may_lease(self, due_ns: int) -> bool:
        """Whether the clock could be moved to *due_ns* before a wait begins that ends then."""
        if not self._state.may_lease or self._client.answered is not None:
            return False  # the event ends when the program waits
        return due_ns // 1000 < scheduler.control.lease

    def _lease_wait(self, thread: Thread, wait: Wait, is_calm: bool) -> bool:
        """Move the clock to the end of a wait that *thread* is about to begin, if possible; returns whether it did.

        *is_calm*: since the last such wait the program has neither written nor sent anything.
        """
        if not self._may_lease(wait.due_ns):
            return False
        self._process_waits.note(thread, wait)
        if not is_calm and self._state.has_event and is_readable(self._client.descriptors()):
            return False
        if not self._move_clock_to(wait.due_ns, wait.shown, is_calm=is_calm):
            return False
        self._past_ns = max(wait.due_ns - self._clock.now_us * 1000, 0)
        self._show_time()
        return True

    def _lease_wait_again(self, due_ns: int, shown: str) -> bool:
        """The same for the next wait of a program that has written and sent nothing since the last one."""
        if not (self._state.may_move_clock and self._may_lease(due_ns)):
            return False
        control, now_us, due_us = scheduler.control, self._clock.now_us, due_ns // 1000
        if control.reading or now_us != self._shown_us or not scheduler.leased.note(shown, now_us):
            return False
        self._clock.now_us = due_us
        control.leased += 1
        self._moved = True
        self._past_ns = due_ns - due_us * 1000
        self._show_time()
        return True

    def _move_clock_to(self, due_ns: int, shown: str, *, is_calm: bool = False) -> bool:
        """Move the clock to the end of a wait if the lease allows that; returns whether it was moved."""
        if not self._state.may_move_clock:
            return False
        control = scheduler.control
        due_us, now_us = due_ns // 1000, self._clock.now_us
        if due_us >= control.lease:
            return False
        self._send_rows()
        if not is_calm and scheduler.channel.has_unread_output():
            self._report_time()
        while control.reading:
            os.sched_yield()
        scheduler.leased.follow_reads()
        if not scheduler.leased.note(shown, now_us):
            return False
        self._clock.now_us = max(due_us, now_us)
        control.leased += 1
        self._moved = True
        return True

    def _waits_for_others(self, name: str) -> None:
        """Note a row of the timeline. It comes once the program waits, as its place among lines is real before."""
        if self._rows_us != self._clock.now_us:
            self._send_rows()
            self._rows, self._rows_us = {}, self._clock.now_us
        self._rows = {name: False, **self._rows}

    def _send_rows(self) -> None:
        if all(self._rows.values()):
            return
        owed, self._rows = [name for name in self._rows if not self._rows[name]], dict.fromkeys(self._rows, True)
        for name in sorted(owed, key=_with_numbers):
            self._send(messages.WaitsForOthers(name))

    def _send_process_waits(self) -> None:
        if changes := self._process_waits.take():
            scheduler.channel.send(messages.pack(messages.ProcessWaits(changes)))

    def _report_time(self) -> None:
        """Mark the output, and report the time: all output up to the mark was written by the current time."""
        self._moved = False
        scheduler.channel.mark_output()
        scheduler.channel.send(messages.pack_wrote(self._clock.now_us, scheduler.leased.records_to_report()))

    def _report(self, *, running_threads: int = 0, unseen: int = 0) -> None:
        """Report what the instance waits for next, and that *running_threads* compute meanwhile.

        *unseen* messages were read that the report does not know yet.
        """
        self._apply(ProgramFact.REPORTED_COMPUTING if running_threads else ProgramFact.REPORTED)
        if not (running_threads or self._held):  # else the same call may go on at this time
            self._send_rows()
        if not running_threads:
            self._process_waits.note()
            self._send_process_waits()
            self._tree.rest()
            scheduler.control.beside = self._tree.connections.idle
        due = self._tree.first()
        description = "" if due is None or self._state.gated else _shown(due)
        due_us, order = self._reported_due = self._due_first()
        row = messages.HIDDEN if self._reported_stops == self._tree.stops else messages.FOLDED  # no other wait began
        self._reported_stops = self._tree.stops
        self._asked = (self._asked or self._clock.next_order()[2]) if self._held else 0
        if self._state.signals is not Signals.NONE and not running_threads:
            self._apply(ProgramFact.SIGNALS_HANDLED)
            if self._must_take_signal():
                self._send(messages.SignalsDeferred([signals.SIGTERM]))
            self._send(messages.SignalsHandled())
        self._write(
            messages.pack_parked(due_us, order, running_threads, self._asked, self._seen - unseen, 0, row, description)
        )

    def _due_first(self) -> tuple[int, Order]:
        due = None if self._state.gated else self._tree.first()
        return (messages.NEVER, (0, 0, 0)) if due is None else (due.due_ns // 1000, due.order)

    def _send(self, message: Any) -> None:
        if self._moved:
            self._report_time()
        if messages.is_marked(message):
            scheduler.channel.mark_output()
        self._write(messages.pack(message))

    def _write(self, data: bytes) -> None:
        if self._moved:
            self._report_time()
        scheduler.channel.send(data)

    # -- the event ---------------------------------------------------------------------------------------------------

    def _settled(self) -> None:
        """Called once all threads of the program wait: send the event, take the answer, or let time pass."""
        if self._state.phase is Phase.STARTS:
            sent = self._client.sent
            is_ready = self._serves()
            self._send_notes()
            if is_ready:
                self._is_ready()
                if self._client.init_failure is not None:
                    self._report()
                return
            if self._client.sent != sent:  # the program has something to answer
                self._apply(ProgramFact.GOES_ON)
                return
            if why := self._client.why_unreachable():
                self._apply(ProgramFact.INIT_FAILED)
                self._initialised("PORT_NOT_BOUND", why)
        if self._state.awaits_event:
            assert self._invocation is not None
            if (gate := self._listener.take_gate()) is not None:
                self._stop_at_gate(gate.id, "listening", None)  # its handler is there since an earlier event
                return
            self._send_rows()
            self._rows = {}
            self._tree.event_began()
            self._process_waits.forget()
            if self._client.ask(self._invocation):
                self._apply(ProgramFact.EVENT_SENT)
                self._client.await_arrival()
                return
            self._answer(messages.Result("PORT_NOT_BOUND", trace="the program no longer listens on its port"))
        if self._receive_from_program():
            if self._state.has_event:
                return
            self._scan_connections()
        elif self._state.has_event and self._client.answered is not None:
            self._answer(self._client.answered)
        elif self._move_to_first_due():
            self._check_soon()
            return
        self._report()

    def _is_ready(self) -> None:
        """Report that the init of the program is over."""
        failure = self._client.init_failure
        self._apply(ProgramFact.READY if failure is None else ProgramFact.INIT_FAILED)
        self._send_rows()
        if failure is not None:
            self._initialised(*failure)
            return
        self._initialised(None, "")
        if self._reads_before_wait is not None:
            self._tree.limit_reads(self._reads_before_wait)

    def _serves(self) -> bool:
        """Whether the program listens."""
        return self._client.is_ready()

    def _send_notes(self) -> None:
        for note in self._client.take_notes():
            self._send(messages.Note(note=note))

    def _initialised(self, fact: str | None, trace: str) -> None:
        self._send(messages.InitDone(fact, trace, self._memory()))

    def _answer(self, answer: Answer) -> None:
        self._apply(ProgramFact.ANSWERED)
        self._tree.event_ended()
        self._send_process_waits()
        self._send_rows()
        if isinstance(answer, Broken):
            answer = messages.Result("RAISED", trace=answer.why)
        self._send(answer._replace(rss=self._memory(), used_ns=0))

    def _memory(self) -> int:
        """The peak memory of the program in bytes, plus the unshared memory of the processes that it has started."""
        if self._used is not None:
            return self._used
        others = sum(procfs.unshared_memory(pid) for pid in self._tree.processes if pid != self._pid)
        return (procfs.peak_memory(self._pid) or program_process.peak_memory_at_end()) + others

    # -- the program -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the program; if that fails, the event ends."""
        environment = {**self._environment, **self._client.variables(self._invocation)}
        started = program_process.start(self._program, environment, self._invocation, before_exec=self._prepare)
        # Files of each of its threads are kept open. The program was forked before, and keeps the lower limit.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        self._tree.adopt(started.pid)
        self._send(messages.Program(started.pid))
        started.begin()
        self._pid = started.pid
        os.set_blocking(started.why, False)
        self._starting = started.why

    def _began(self, process: Process) -> None:
        if process.pid == self._pid:
            self._send(messages.Program(self._pid, runs=True))
            if self._listener.action != signals.IGNORED:  # an ignored signal stays ignored
                self._listens(signals.DEFAULT, None)
            if self._client.starts_ready and not self._state.ready:
                self._is_ready()
                self._apply(ProgramFact.EVENT_SENT)

    def _prepare(self) -> None:
        """Prepare the child that becomes the program; all processes that it starts inherit these settings."""
        with contextlib.suppress(OSError):  # this process may no longer use any of these processors
            os.sched_setaffinity(0, self._program.cpus)
        recorded = self._effects is not None
        seccomp.install(seccomp.of_program(recorded=recorded, syncs=self._syncs, draws=self._draws))

    def _process_ended(self, pid: int, status: int) -> None:
        if pid == self._pid:
            self._status = status
            self._apply(ProgramFact.ENDED)
            self._tree.program_ended(status)

    def _called(self, thread: Thread, name: str, registers: Registers) -> bool:
        """Handle a thread at a system call that is not a wait; returns whether it stops again when the call returns."""
        if name == "rt_sigaction":
            return thread.process.pid == self._pid and self._sets_action(thread, registers)
        fd = registers.argument(0)
        if name not in ("write", "writev") or fd not in _OUTPUT or not self._is_output(thread, fd):
            return False
        allowed, gate = self._log_gates.writes(thread.tid, name, registers)
        if gate is None:
            return False
        if name == "write" and allowed < registers.argument(2):
            registers.set_argument(2, allowed)
            registers.write(thread.tid)
        self._at_return[thread.tid] = partial(self._stop_at_gate, gate.identity, "log")
        return True

    def _is_output(self, thread: Thread, fd: int) -> bool:
        return self._tree.is_output(thread, fd)

    def _returned(self, thread: Thread) -> None:
        """Do what was to be done when the call of the thread returns."""
        self._at_return.pop(thread.tid)(thread)

    def _sets_action(self, thread: Thread, registers: Registers) -> bool:
        is_native = thread.process.kind.catches_signals
        action = signals.action_at(thread.tid, registers.argument(1), is_native=is_native)
        if action is not None:
            self._at_return[thread.tid] = partial(self._has_set, action)
        return action is not None

    def _has_set(self, action: str, thread: Thread) -> None:
        self._registers.read(thread.tid)
        if self._registers.result == 0:
            self._listens(action, thread)

    def _listens(self, action: str, thread: Thread | None) -> None:
        """Note what the program does with SIGTERM from here on."""
        message = self._listener.set(action)
        if message is not None:
            self._send(message)
        if thread is not None:
            self._stop_if_listening(thread, BLOCKED_CALLS)

    def _stop_if_listening(self, thread: Thread, calls: int) -> None:
        """Stop at a gate that waits for a SIGTERM handler, as there is one now.

        While the program keeps SIGTERM blocked, this waits for up to *calls* more system calls.
        """
        if calls and self._listener.waits and signals.is_blocked(self._pid, thread.tid):
            thread.stop_at_next_call()
            self._at_return[thread.tid] = lambda thread: self._stop_if_listening(thread, calls - 1)
        elif (gate := self._listener.take_gate()) is not None:
            self._stop_at_gate(gate.id, "listening", thread)

    def _untraceable(self, process: Process, why: str) -> None:
        text = f"{name_of(process.pid)!r} {why}"
        if process.refused and process.pid == self._pid and not self._state.ready:
            self._refusal = text
        elif text not in self._untraced:
            self._untraced |= {text}
            self._send(messages.Note(note=text, untraced=True))

    def _signalled(self, thread: Thread, signum: int) -> bool:
        if signum != signal.SIGTERM or thread.process.pid != self._pid or self._listener.action != signals.HANDLER:
            return False
        state = procfs.signal_state(self._pid, signum)
        if state is None or not state.caught:
            return False
        self._send(messages.SignalEntered(signum))
        return True

    def _end_as_program(self, status: int) -> NoReturn:
        """End as the program has ended; first send the answer that it gave before."""
        why = "" if self._state.ready else self._why_not_started()
        if why:
            self._initialised("NOT_STARTED", why)
        self._used = self._memory()
        self._tree.kill()  # the processes that it leaves no longer answer, and their connections must close
        self._send_rows()
        answer = self._client.last_answer(status) if self._state.has_event else None
        if answer is not None:
            self._answer(answer._replace(ends=True))
        self._send_process_waits()
        self._send(messages.Program(0, rss=self._used))
        self._end(status)

    def _why_not_started(self) -> str:
        return os.read(self._starting, 4096).decode("utf-8", "replace") or self._refusal

    def _end(self, status: int) -> NoReturn:
        program_process.end_as(status)


def _signals_as_file(signals: set[int]) -> int:
    """A descriptor from which *signals* are read that arrive from here on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    mask = ctypes.create_string_buffer(sum(1 << (each - 1) for each in signals).to_bytes(8, "little"), 128)
    descriptor: int = _libc.signalfd(-1, mask, _SFD_FLAGS)
    return descriptor


def _with_numbers(name: str) -> list[tuple[int, str]]:
    """The key by which line 9 comes before line 10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _shown(due: Due) -> str:
    """The name of *due* in the timeline."""
    if isinstance(due.source, Thread):
        return "" if due.source.wait is None else due.source.wait.shown
    return "a timer"


def _environment(config: messages.Assign, program: messages.ProgramConfig) -> dict[str, str]:
    if program.calls_handler:
        return handler_program.environment_of(config, program, messages.OWNER_MARK)
    return {**config.environment, **program.environment}


def serve(
    config: messages.Assign,
    program: messages.ProgramConfig,
    clock_file: int,
    recorded: tuple[int, int] | None = None,
    make: Callable[..., Supervisor] = Supervisor,
) -> NoReturn:
    """Supervise *program* in an instance with the settings *config*, on the clock page in the file *clock_file*."""
    slots = memoryview(mmap.mmap(clock_file, shared_page.PAGE_BYTES)).cast("q")
    os.close(clock_file)
    page = shared_page.ClockPage(cast("MutableSequence[int]", slots))
    if len(program.cpus) == 1:  # taking turns with the program is faster on the same processor
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, program.cpus)
    made = make(
        _environment(config, program),
        program,
        client_of(program, lambda: page.now_us * 1000),
        page,
        reads_before_wait=config.clock_reads_before_wait,
        idle_ok=config.idle_ok,
    )
    if recorded is not None:
        made.record(*recorded, config.at_effect, syncs=config.syncs)
    if config.own_random:
        made.draw()
    made.serve()
