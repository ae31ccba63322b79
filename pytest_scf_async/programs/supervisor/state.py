"""What a traced program does: one pure table, in which a state and a fact give the next state and what is done then.

Only `supervisor.py` applies it. A fact is a message of the test's process, something that the program has done, or what
the supervisor has decided or reported; nothing here reads, sends or traces. Code that asks what the program does reads
its `ProgramState`, so a rule such as "a program that is asked for its first due time has no lease" is in one place and
tested for every state.

A state has eleven small parts and not one name, because they change independently:

- how far the program is, and its event (`phase`, `event`, `ended`): a message brings the event; the client of the
  program says when its init is over, when it takes the event and when it has answered;
- what stops its threads (`at_gate`, `stopped`, `delivery`): a gate that a thread has reached, a message of the test's
  process, and a SIGTERM that is delivered at the gate. The tree asks for it at each stop of a thread, by its own
  `stopping`, which `STOP_THREADS`, `GO_ON` and `LEAVE_GATE` set and unset;
- what the supervisor owes the test's process (`report_owed`, `polled`, `signals`): each stop of a thread has it owe a
  report, which is made once all threads wait;
- what forbids it to move the clock (`lease_ended`, `preempted`): what it has reported since it got the run token.

Most combinations do not exist. Who is polled owes a report; who delivers a signal is at a gate; a thread at a gate has
all others stopped, unless a signal is delivered; only a program whose init is over has an event that it was sent. The
last rules of facts have a condition where such a combination would follow otherwise: `after` refuses the fact there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from ...protocol.state_table import Rule, StateTable, always


class Phase(Enum):
    """How far a program is."""

    UNSTARTED = "unstarted"
    AT_FIRST_LINE = "at first line"
    """It is at a gate before its first line, and has no process yet."""
    STARTS = "starts"
    """It has a process, and its init goes on."""
    READY = "ready"
    """Its init is over."""


class EventState(Enum):
    """Whether it has an event."""

    NONE = "none"
    WAITING = "waiting"
    """The event is to be sent to it once it listens."""
    SENT = "sent"
    """It has not answered yet."""


class Signals(Enum):
    """Whether the test's process has asked to have pending signals handled."""

    NONE = "none"
    REQUESTED = "requested"
    """It has, and a gate may hold one of them back."""
    TAKEN_UP = "taken up"
    """Those that a gate held back have been taken up."""


class Delivery(Enum):
    """The progress of delivering a SIGTERM that arrives while the program is at a gate."""

    NONE = "none"
    ALONE = "alone"
    """The thread that takes it goes on alone, until it has left the handler, or waits in it."""
    OTHERS = "others"
    """All threads go on but those at the gate, until all of them wait: the handler may have woken one."""


class ProgramFact(Enum):
    """What can become known about a program."""

    INVOKED = "invoked"
    """It is given an event."""
    INVOKED_AT_GATE = "invoked at gate"
    """It is given its first event, with a gate before its first line."""
    RESUMED = "resumed"
    """It gets the run token: its first wait may be over."""
    GATE_OPENED = "gate opened"
    POLLED = "polled"
    """The test's process asks for the first due time, even while threads compute."""
    SIGNALS_POLLED = "signals polled"
    """The test's process asks to have pending signals handled."""
    STOP_REQUESTED = "stop requested"
    """The test's process wants all threads stopped."""
    GO_ON_REQUESTED = "go on requested"
    GOES_ON = "goes on"
    """A thread has stopped or ended, or something has come for the program: it may go on at this time."""
    READY = "ready"
    """Its init is over."""
    INIT_FAILED = "init failed"
    """Its init is over by an error, which has ended its event."""
    EVENT_SENT = "event sent"
    ANSWERED = "answered"
    """It has answered, or cannot be sent its event."""
    REACHED_GATE = "reached gate"
    ENDED = "ended"
    """Its first process has ended."""
    REPORTED = "reported"
    """A report was made that all its threads wait."""
    REPORTED_COMPUTING = "reported computing"
    """A report was made while threads compute: another one is due once all of them wait."""
    PREEMPTED = "preempted"
    """From here on the clock passes the threads that compute."""
    SIGNALS_HANDLED = "signals handled"
    """The test's process has been answered that."""
    SIGNAL_TAKEN_UP = "signal taken up"
    """All threads are held at the gate: what it holds back can be delivered."""
    ONE_TAKES_SIGNAL = "one takes signal"
    """One thread goes on to take the signal."""
    OTHERS_GO_ON = "others go on"
    """No thread takes it by a handler, or the one that did has left the handler or waits in it."""
    DELIVERED = "delivered"
    """All threads that went on wait."""


class ProgramEffect(Enum):
    """What the supervisor does, once a fact is applied."""

    CHECK_SOON = "check soon"
    """Check the program again at once, and not only after the interval that has been reached."""
    SHOW_TIME = "show time"
    """Have the program's clocks show the time, which has moved."""
    START = "start"
    STOP_THREADS = "stop threads"
    GO_ON = "go on"
    """Let all threads go on but those at a gate."""
    LEAVE_GATE = "leave gate"
    """Let all threads go on."""


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What a program does. There is one object of each state, so that asking it costs an attribute."""

    phase: Phase = Phase.UNSTARTED
    event: EventState = EventState.NONE
    ended: bool = False
    """Its first process has ended. The supervisor ends as soon as it has handled the stops that came with that."""
    at_gate: bool = False
    """One of its threads is at a gate, or it is at one before its next event."""
    stopped: bool = False
    """Each thread that stops is held."""
    delivery: Delivery = Delivery.NONE
    signals: Signals = Signals.NONE
    report_owed: bool = False
    """A report is due once all threads wait."""
    polled: bool = False
    """It is due even while threads compute."""
    preempted: bool = False
    """The clock passes threads that compute."""
    lease_ended: bool = False
    """It has reported a wait since it got the run token. When an answer has the program go on, the test's process may
    not know yet that this ends the lease: it would take what the program writes for later than it is."""

    ready: bool = field(init=False, compare=False, repr=False)
    """Its init is over."""
    awaits_event: bool = field(init=False, compare=False, repr=False)
    """Its init is over, and its event can be sent."""
    has_event: bool = field(init=False, compare=False, repr=False)
    """It was sent an event, and has not answered."""
    has_answered: bool = field(init=False, compare=False, repr=False)
    """Its init is over, and it has no event that it was sent: it does nothing that takes simulated time."""
    gated: bool = field(init=False, compare=False, repr=False)
    """It is at a gate, before its first line or later: no wait of it is due."""
    polls_client: bool = field(init=False, compare=False, repr=False)
    """What it sends is received, and what it is sent goes on its way."""
    delivering: bool = field(init=False, compare=False, repr=False)
    awaits_stops: bool = field(init=False, compare=False, repr=False)
    """Nothing is to be done until another thread has stopped, or a message has come."""
    signal_held_back: bool = field(init=False, compare=False, repr=False)
    """A gate may hold a signal back that is to be handled."""
    may_move_clock: bool = field(init=False, compare=False, repr=False)
    """As far as this state goes, the clock may be moved to a due time once all threads wait."""
    may_lease: bool = field(init=False, compare=False, repr=False)
    """As far as this state goes, the clock may be moved to the end of a wait that a thread is about to begin. Whether
    it may be moved at all is asked when all others wait."""
    steps: dict[ProgramFact, Step] = field(init=False, compare=False, repr=False, default_factory=dict)
    """A cache of `after` by fact. There are hundreds of states, of which a run meets a few dozen."""

    def __post_init__(self) -> None:
        ready, delivering = self.phase is Phase.READY, self.delivery is not Delivery.NONE
        has_event = self.event is EventState.SENT
        has_answered = ready and not has_event
        is_free = not (self.ended or self.polled or self.preempted or self.lease_ended or delivering)
        derived = {
            "ready": ready,
            "awaits_event": ready and self.event is EventState.WAITING,
            "has_event": has_event,
            "has_answered": has_answered,
            "gated": self.at_gate or self.phase is Phase.AT_FIRST_LINE,
            "polls_client": has_event and not (self.stopped or self.at_gate),
            "delivering": delivering,
            "awaits_stops": self.stopped and not delivering,
            "signal_held_back": self.at_gate and self.signals is Signals.REQUESTED,
            "may_move_clock": self.signals is Signals.NONE and not (self.at_gate or has_answered or self.lease_ended),
            "may_lease": ready and self.event is not EventState.WAITING and is_free,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)


class Step(NamedTuple):
    """What a fact does to a program in a given state."""

    state: ProgramState
    effects: tuple[ProgramEffect, ...]


def _if_any(part: str, *values: object, effects: tuple[ProgramEffect, ...] = (), **then: object) -> tuple[Rule, ...]:
    return tuple(Rule({part: value}, then, effects) for value in values)


_OWES: Mapping[str, object] = MappingProxyType({"report_owed": True})
_GOT_TOKEN: Mapping[str, object] = MappingProxyType({"report_owed": True, "lease_ended": False})
_AT_ONCE = (ProgramEffect.CHECK_SOON, ProgramEffect.SHOW_TIME)

RULES: Mapping[ProgramFact, tuple[Rule, ...]] = MappingProxyType(
    {
        ProgramFact.INVOKED: (
            Rule(
                {"phase": Phase.UNSTARTED},
                {"phase": Phase.STARTS, "event": EventState.WAITING, **_GOT_TOKEN},
                (*_AT_ONCE, ProgramEffect.START),
            ),
            Rule({}, {"event": EventState.WAITING, **_GOT_TOKEN}, _AT_ONCE),
        ),
        ProgramFact.INVOKED_AT_GATE: (
            Rule(
                {"phase": Phase.UNSTARTED},
                {"phase": Phase.AT_FIRST_LINE, "event": EventState.WAITING, **_GOT_TOKEN},
                _AT_ONCE,
            ),
        ),
        ProgramFact.RESUMED: always(ProgramEffect.CHECK_SOON, **_GOT_TOKEN),
        ProgramFact.GATE_OPENED: (
            Rule(
                {"phase": Phase.AT_FIRST_LINE}, {"phase": Phase.STARTS, **_GOT_TOKEN}, (*_AT_ONCE, ProgramEffect.START)
            ),
            # A signal that is being delivered there meets no gate any more.
            Rule(
                {"at_gate": True},
                {"at_gate": False, "stopped": False, "delivery": Delivery.NONE, **_GOT_TOKEN},
                (*_AT_ONCE, ProgramEffect.LEAVE_GATE),
            ),
            Rule({}, _GOT_TOKEN, _AT_ONCE),
        ),
        ProgramFact.POLLED: always(ProgramEffect.CHECK_SOON, polled=True, **_OWES),
        ProgramFact.SIGNALS_POLLED: always(ProgramEffect.CHECK_SOON, signals=Signals.REQUESTED, **_OWES),
        ProgramFact.STOP_REQUESTED: always(ProgramEffect.STOP_THREADS, stopped=True, delivery=Delivery.NONE),
        ProgramFact.GO_ON_REQUESTED: (
            Rule({"at_gate": True}, _OWES, (ProgramEffect.CHECK_SOON,)),
            Rule({}, {"stopped": False, **_OWES}, (ProgramEffect.GO_ON, ProgramEffect.CHECK_SOON)),
        ),
        ProgramFact.GOES_ON: always(ProgramEffect.CHECK_SOON, **_OWES),
        ProgramFact.READY: _if_any("phase", Phase.STARTS, phase=Phase.READY),
        ProgramFact.INIT_FAILED: _if_any("phase", Phase.STARTS, phase=Phase.READY, event=EventState.NONE),
        ProgramFact.EVENT_SENT: (
            Rule({"phase": Phase.READY, "event": EventState.WAITING}, {"event": EventState.SENT}),
        ),
        ProgramFact.ANSWERED: _if_any("event", EventState.SENT, EventState.WAITING, event=EventState.NONE),
        ProgramFact.REACHED_GATE: _if_any(
            *("phase", Phase.STARTS, Phase.READY),
            effects=(ProgramEffect.STOP_THREADS,),
            at_gate=True,
            stopped=True,
            report_owed=True,
        ),
        ProgramFact.ENDED: _if_any("phase", Phase.STARTS, Phase.READY, ended=True),
        ProgramFact.REPORTED: always(report_owed=False, polled=False, preempted=False, lease_ended=True),
        ProgramFact.REPORTED_COMPUTING: always(report_owed=True, polled=False),
        ProgramFact.PREEMPTED: always(preempted=True),
        ProgramFact.SIGNALS_HANDLED: always(signals=Signals.NONE),
        ProgramFact.SIGNAL_TAKEN_UP: _if_any("signal_held_back", True, signals=Signals.TAKEN_UP),
        ProgramFact.ONE_TAKES_SIGNAL: _if_any("at_gate", True, delivery=Delivery.ALONE),
        ProgramFact.OTHERS_GO_ON: _if_any(
            "at_gate", True, effects=(ProgramEffect.GO_ON,), delivery=Delivery.OTHERS, stopped=False
        ),
        ProgramFact.DELIVERED: _if_any(
            "delivery", Delivery.OTHERS, effects=(ProgramEffect.STOP_THREADS,), delivery=Delivery.NONE, stopped=True
        ),
    }
)
"""For each fact the rules, of which the first applies that fits. Where none does, the fact cannot occur."""

_TABLE: StateTable[ProgramState, ProgramFact] = StateTable(RULES, lambda state: state)


def after(state: ProgramState, fact: ProgramFact) -> Step:
    """What *fact* does to a program in *state*; ``LookupError`` where it cannot occur."""
    step = state.steps.get(fact)
    if step is None:
        step = state.steps[fact] = Step(*_TABLE.step(state, fact))
    return step


UNSTARTED = _TABLE.the(ProgramState())
"""The state of a program that has no event yet."""
