"""What an instance does: one pure table, in which a state and a fact give the next state and what has to be done then.

Only the scheduler (`scheduler.py`) applies it. Each fact is something that an instance reported, that the harness did
to it, or that a look at its process has shown; nothing here sends, reads or waits. Code that asks what an instance
does reads its `InstanceState`, so a rule such as "a frozen instance has no run token" is in one place and tested for
every pair.

A state has ten small parts and not one name, as they change independently: a thread of an instance that stands at a
gate may run the handler of a signal, and an instance that was preempted may hold the clock or let it pass. What the
documentation calls it (`Doing`) follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from ..protocol.state_table import Rule, StateTable, always


class Doing(str, Enum):
    """What an instance is doing, in the words of the documentation."""

    QUEUED = "queued"
    PENDING = "pending"
    COMPUTING = "computing"
    PARKED = "parked"
    HELD = "held"
    GATED = "gated"
    ENDED = "ended"
    FROZEN = "frozen"
    FREE_RUNNING = "free-running"

    def __str__(self) -> str:
        return self.value


class Life(Enum):
    """Whether an instance may do anything at all."""

    RUNS = "runs"
    GIVEN_UP = "given up"
    """A call could not end because of it: it is stopped, and holds nothing, until a call waits for its event."""
    FROZEN = "frozen"
    """It has finished its event, and waits for the next one."""
    ENDED = "ended"


class Preemption(Enum):
    """Why an instance lost the run token without a report."""

    NO = "no"
    SLEEPS = "sleeps"
    """It is in a real wait that nothing announced."""
    COMPUTES = "computes"
    """It computes for too long."""


class GateState(Enum):
    """Whether it stands at a gate."""

    NONE = "none"
    CLOSED = "closed"
    OPENING = "opening"
    """The gate opens after what was due before."""


class InstanceFact(Enum):
    """What can become known about an instance."""

    INVOKED = "invoked"
    """It is given an event."""
    RESUMED = "resumed"
    """One of its waits is over."""
    TYPED = "typed"
    """A line was typed at the prompt of its debugger."""
    ALL_PARKED = "all parked"
    """It reported that all its threads wait, none of them for something real. The next three facts are like it."""
    SOME_HELD = "some held"
    SOME_RUN = "some run"
    SOME_RUN_AND_HELD = "some run and held"
    REPORTED = "reported"
    """The report had seen all that was sent to it."""
    REPORT_CROSSED = "report crossed"
    """Something was sent to it that the report had not seen: another report comes."""
    REACHED_GATE = "reached gate"
    STOPPED_BEHIND_LINE = "stopped behind line"
    """It has written a line for which a gate waits, and cannot stand there itself."""
    GATE_OPENS = "gate opens"
    """A call opens its gate, after what was due before."""
    GATE_OPENED = "gate opened"
    LEFT_GATE = "left gate"
    """The handler of a signal raised through the gate at which its thread stood."""
    POLLED = "polled"
    """The harness asks it what is due next. Any of its threads that is inside its scheduler may answer."""
    POLLED_BEHIND_SIGNAL = "polled behind signal"
    """The harness asks it the same after a signal. It answers once it has dealt with that signal."""
    SIGNALS_POLLED = "signals polled"
    """It is asked to deal with its signals and its descriptors, and computes until it has answered."""
    SIGNALS_HANDLED = "signals handled"
    """It has answered that."""
    SIGTERM_TO_HANDLER = "SIGTERM to handler"
    """A SIGTERM is sent to it for which user code has a handler."""
    SIGTERM_TO_PROCESS = "SIGTERM to process"
    """A SIGTERM that ends its process or that code outside Python catches. It has to run before the effect shows."""
    SIGTERM_TO_WAITER = "SIGTERM to waiter"
    """One that is blocked: a thread that waits for it has to be woken."""
    SIGTERM_TO_TRACER = "SIGTERM to tracer"
    """One that is ignored: its tracer has to let it pass, and starts the call again that it has interrupted."""
    HANDLER_ENTERED = "handler entered"
    """The handler of another signal than SIGTERM."""
    SIGTERM_ENTERED = "SIGTERM entered"
    """The handler of SIGTERM."""
    SIGTERM_SETTLED = "SIGTERM settled"
    """Its handler is deferred until a wait ends, or the call that sent it has ended: nothing waits for the handler."""
    ANSWER_COMES = "answer comes"
    """A server of the test is about to answer it: until it has read that, it holds the clock."""
    SLEEPS_UNANNOUNCED = "sleeps unannounced"
    """All its threads sleep in the kernel, and one of them outside its scheduler."""
    COMPUTES_TOO_LONG = "computes too long"
    TOKEN_TAKEN = "token taken"
    ALARM_POLLED = "alarm polled"
    """It keeps the run token until it has reported when its alarm is due."""
    PROGRESSED = "progressed"
    """It was preempted, and has done something since."""
    GIVEN_UP = "given up"
    WAITED_FOR = "waited for"
    """A call waits for its event, or lets time pass what it waits for."""
    FROZEN = "frozen"
    """It has finished its event."""
    ENDED = "ended"
    """Its process is gone, or could not be had."""


THREADS: Mapping[tuple[bool, bool], InstanceFact] = MappingProxyType(
    {
        (False, False): InstanceFact.ALL_PARKED,
        (False, True): InstanceFact.SOME_HELD,
        (True, False): InstanceFact.SOME_RUN,
        (True, True): InstanceFact.SOME_RUN_AND_HELD,
    }
)
"""The fact of a report, by whether threads run outside the scheduler, and whether some hold the clock."""


class Effect(Enum):
    """What the scheduler does, once a fact is applied."""

    STOP = "stop"
    """Stop its processes."""
    CANCEL_WAKE_UP = "cancel wake-up"
    """What it waits for is not due."""
    END_LEASE = "end lease"
    """It has reported all that it did under its lease."""
    GO_ON = "go on"
    """Let its processes go on that were stopped."""
    SEND_RESUME = "send resume"
    SEND_OPEN_GATE = "send open gate"
    SEND_POLL = "send poll"
    WAKE = "wake"
    """Wake whatever thread may read the message: none may be in its scheduler."""
    SEND_POLL_SIGNALS = "send poll signals"


@dataclass(frozen=True, slots=True)
class InstanceState:
    """What an instance does. There is one object of each state, so that asking it costs an attribute."""

    in_lockstep: bool = True
    """Else it sees real time: it has no run token, and holds no clock."""
    life: Life = Life.RUNS
    run_token: bool = False
    """One of its threads is on its way, or computes."""
    running: bool = False
    """Threads of it run outside its scheduler: they compute, or are in a real wait that nothing announced."""
    held: bool = False
    """Threads of it are in a real wait that holds the clock."""
    preemption: Preemption = Preemption.NO
    gate: GateState = GateState.NONE
    signalled: bool = False
    """A SIGTERM was sent to it whose handler has not been entered yet."""
    polled: bool = False
    """It has been asked what is due next, and has not answered."""
    signals_polled: bool = False
    """It has been asked to deal with its signals and its descriptors, and has not answered."""

    active: bool = field(init=False, compare=False, repr=False)
    """It may compute and hold the clock."""
    computing: bool = field(init=False, compare=False, repr=False)
    """It keeps others from the run token."""
    goes_on: bool = field(init=False, compare=False, repr=False)
    """It does something yet at this simulated time, whatever its waits."""
    rests: bool = field(init=False, compare=False, repr=False)
    """By this state alone it does nothing and holds nothing until one of its waits is due or it gets a message."""
    preempted: bool = field(init=False, compare=False, repr=False)
    """It lost the run token without a report."""
    idle: bool = field(init=False, compare=False, repr=False)
    """It is frozen, or has ended."""
    cpu_bound: bool = field(init=False, compare=False, repr=False)
    may_run: bool = field(init=False, compare=False, repr=False)
    """A thread of it may run just now, or goes on in real time."""
    outside: bool = field(init=False, compare=False, repr=False)
    """A thread of it may be outside its scheduler, so that only a wake-up has another one read a message."""
    gated: bool = field(init=False, compare=False, repr=False)
    """It stands at a gate, or runs the handler of a signal there."""
    steps: dict[InstanceFact, Step] = field(init=False, compare=False, repr=False, default_factory=dict)
    """A cache of `after` by fact. There are thousands of states, of which a run meets a few dozen."""

    def __post_init__(self) -> None:
        preempted = self.preemption is not Preemption.NO
        runs = self.run_token or (self.running and not preempted)
        active = self.life is Life.RUNS and self.in_lockstep
        idle = self.life in (Life.FROZEN, Life.ENDED)
        busy = self.run_token or self.running or self.held or preempted
        derived = {
            "active": active,
            "computing": active and runs,
            "goes_on": active and (runs or self.gate is GateState.OPENING),
            "idle": idle,
            "rests": idle or not (busy or not self.in_lockstep or self.gate is not GateState.NONE),
            "preempted": preempted,
            "cpu_bound": self.preemption is Preemption.COMPUTES,
            "may_run": self.run_token or self.running or preempted,
            "outside": self.running or preempted,
            "gated": self.gate is not GateState.NONE,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def doing(self, *, held: bool) -> Doing:
        """The documentation's word for it; *held*: it waits for something real, also by what its children do."""
        if self.life is Life.ENDED:
            return Doing.ENDED
        if self.life is Life.FROZEN:
            return Doing.FROZEN
        if self.gated and not self.run_token:
            return Doing.GATED
        if not self.in_lockstep:
            return Doing.FREE_RUNNING
        if self.cpu_bound if self.preempted else (self.run_token or self.running):
            return Doing.COMPUTING
        return Doing.HELD if held else Doing.PARKED


class Step(NamedTuple):
    """What a fact does to an instance in a given state."""

    state: InstanceState
    effects: tuple[Effect, ...]


_STAYS = Rule({}, {})

RULES: Mapping[InstanceFact, tuple[Rule, ...]] = MappingProxyType(
    {
        InstanceFact.INVOKED: always(life=Life.RUNS, run_token=True),
        # An instance at a gate, or a frozen one, is not resumed: its wait ends when it next runs.
        InstanceFact.RESUMED: (
            Rule({"gate": GateState.NONE, "life": Life.RUNS}, {"run_token": True}, (Effect.SEND_RESUME,)),
            Rule({"gate": GateState.NONE, "life": Life.GIVEN_UP}, {"run_token": True}, (Effect.SEND_RESUME,)),
            _STAYS,
        ),
        InstanceFact.TYPED: always(run_token=True),
        # What a report says of threads is so, whenever it was sent.
        InstanceFact.ALL_PARKED: always(running=False, held=False),
        InstanceFact.SOME_HELD: always(running=False, held=True),
        InstanceFact.SOME_RUN: always(running=True, held=False),
        InstanceFact.SOME_RUN_AND_HELD: always(running=True, held=True),
        # A report gives the run token back, unless something is under way that has to run first.
        InstanceFact.REPORTED: tuple(
            Rule(
                {"running": running, **under_way},
                {"polled": False, "run_token": bool(under_way), **({} if running else {"preemption": Preemption.NO})},
                () if running else (Effect.END_LEASE,),
            )
            for running in (False, True)
            for under_way in ({"signalled": True}, {"signals_polled": True}, {})
        ),
        InstanceFact.REPORT_CROSSED: always(polled=False),
        InstanceFact.REACHED_GATE: always(gate=GateState.CLOSED),
        InstanceFact.STOPPED_BEHIND_LINE: always(Effect.STOP, gate=GateState.CLOSED),
        InstanceFact.GATE_OPENS: (Rule({"gate": GateState.CLOSED}, {"gate": GateState.OPENING}), _STAYS),
        InstanceFact.GATE_OPENED: (
            Rule({"gate": GateState.NONE}, {}),
            *always(Effect.SEND_OPEN_GATE, Effect.GO_ON, gate=GateState.NONE, run_token=True),
        ),
        InstanceFact.LEFT_GATE: always(gate=GateState.NONE),
        InstanceFact.POLLED: (Rule({"polled": True}, {}), Rule({}, {"polled": True}, (Effect.SEND_POLL, Effect.WAKE))),
        InstanceFact.POLLED_BEHIND_SIGNAL: always(Effect.SEND_POLL, polled=True),
        InstanceFact.SIGNALS_POLLED: always(Effect.SEND_POLL_SIGNALS, signals_polled=True, run_token=True),
        InstanceFact.SIGNALS_HANDLED: always(signals_polled=False),
        # A preempted instance that computes gets no run token for a signal that it need not handle at once.
        InstanceFact.SIGTERM_TO_HANDLER: always(signalled=True, run_token=True),
        InstanceFact.SIGTERM_TO_PROCESS: always(run_token=True),
        InstanceFact.SIGTERM_TO_WAITER: (
            Rule({"preemption": Preemption.COMPUTES}, {"run_token": False}),
            Rule({}, {"run_token": True}),
        ),
        InstanceFact.SIGTERM_TO_TRACER: (Rule({"preemption": Preemption.COMPUTES}, {}), Rule({}, {"run_token": True})),
        InstanceFact.HANDLER_ENTERED: always(run_token=True, preemption=Preemption.NO),
        InstanceFact.SIGTERM_ENTERED: always(run_token=True, preemption=Preemption.NO, signalled=False),
        InstanceFact.SIGTERM_SETTLED: always(signalled=False),
        InstanceFact.ANSWER_COMES: always(held=True),
        InstanceFact.SLEEPS_UNANNOUNCED: always(preemption=Preemption.SLEEPS),
        InstanceFact.COMPUTES_TOO_LONG: always(preemption=Preemption.COMPUTES),
        InstanceFact.TOKEN_TAKEN: always(run_token=False),
        InstanceFact.ALARM_POLLED: always(run_token=True),
        InstanceFact.PROGRESSED: (
            Rule({"preemption": Preemption.NO}, {}),
            *always(run_token=True, preemption=Preemption.NO),
        ),
        InstanceFact.GIVEN_UP: (Rule({"life": Life.FROZEN}, {}), *always(Effect.STOP, life=Life.GIVEN_UP)),
        InstanceFact.WAITED_FOR: (Rule({"life": Life.GIVEN_UP}, {"life": Life.RUNS}), _STAYS),
        InstanceFact.FROZEN: always(
            Effect.CANCEL_WAKE_UP,
            Effect.STOP,
            life=Life.FROZEN,
            run_token=False,
            preemption=Preemption.NO,
            gate=GateState.NONE,
            signalled=False,
        ),
        InstanceFact.ENDED: always(life=Life.ENDED),
    }
)
"""For each fact the rules, of which the first applies that fits. `_normal` holds for all of them."""


def _normal(state: InstanceState) -> InstanceState:
    """*state* without impossible parts: an ended instance does nothing; a frozen or free-running one has no token."""
    if state.life is Life.ENDED:
        return InstanceState(state.in_lockstep, Life.ENDED)
    if state.run_token and (state.life is Life.FROZEN or not state.in_lockstep):
        return replace(state, run_token=False)
    return state


_TABLE = StateTable(RULES, _normal)


def after(state: InstanceState, fact: InstanceFact) -> Step:
    """What *fact* does to an instance in *state*: nothing to one that has ended."""
    step = state.steps.get(fact)
    if step is None:
        ended = state.life is Life.ENDED
        step = state.steps[fact] = Step(state, ()) if ended else Step(*_TABLE.step(state, fact))
    return step


def start(in_lockstep: bool, life: Life = Life.RUNS) -> InstanceState:
    """The state of an instance that has no event yet."""
    return _TABLE.the(InstanceState(in_lockstep, life))
