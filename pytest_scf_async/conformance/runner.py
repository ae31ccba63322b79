"""The phases of a run: ask, ask what takes days, delete what was created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from .account import Refused, Undecided
from .bench import MEMORY_MB, Bench, Facts
from .cases import Case, NotYet
from .report import Report, Verdict, counted
from .state import State

TOPIC: Final = (
    "no topic is given, so the platform makes one (SCF_logset*, SCF_logtopic*) in CLS unless it is there, and keeps "
    "logs for 7 days (document 39328); it is not deleted. --cls-topic names another one"
)
UNDECIDED: Final = "undecided where GetFunctionLogs is gone, as announced (document 39328): "


@dataclass(frozen=True)
class Plan:
    """What the cases create, invoke and delete: the most that it can be."""

    cases: Sequence[Case]
    topic: Sequence[str] = ()
    """The ids of a logset and of a topic in it, where the logs are to go."""

    @property
    def functions(self) -> list[str]:
        """The kinds of functions that are created."""
        return sorted({kind for case in self.cases for kind in case.functions if kind != "refused"})

    @property
    def refused(self) -> int:
        """How many functions are asked for that the platform should refuse."""
        return sum("refused" in case.functions for case in self.cases)

    @property
    def namespaces(self) -> int:
        """How many namespaces are created."""
        return int(any("in-a-namespace" in case.functions for case in self.cases))

    @property
    def events(self) -> int:
        """How many events are invoked."""
        return sum(len(case.events) for case in self.cases)

    @property
    def gb_seconds(self) -> float:
        """What they use where each runs for as long as it may."""
        return sum(seconds for case in self.cases for seconds in case.events) * MEMORY_MB / 1024

    def text(self, address: object, prefix: str) -> str:
        """What to know before it begins."""
        namespaces = f", and the namespace {prefix}-ns" if self.namespaces else ""
        logs = [case.id for case in self.cases if case.logs]
        refused = f" It asks for {self.refused} more, which should be refused." if self.refused else ""
        where = "go to the topic {1} of the logset {0}".format(*self.topic) if self.topic else TOPIC
        lines = [
            f"{counted(len(self.cases))} at {address}",
            f"creates: {len(self.functions)} functions of {MEMORY_MB} MB, {prefix}-*{namespaces}.{refused}",
            f"invokes: {self.events} events, {self.gb_seconds:,.0f} GB-seconds at most",
            *([f"logs: {where}"] if self.functions else []),
            "may be billed: invocations and GB-seconds; what CLS keeps of their logs, by itself",
            "deletes: all that it has created; nothing else is changed",
            *(f"reads logs of a function of yours: {case.id}" for case in self.cases if case.of_user),
            *([UNDECIDED + ", ".join(logs)] if logs else []),
            *(f"asks again {case.later.when}: {case.id}" for case in self.cases if case.later),
        ]
        return "\n".join(lines) + "\n"


def ask(bench: Bench, cases: Sequence[Case], note: Callable[[str], None]) -> None:
    """Ask *cases*, one after the other; what each found is in the state as soon as it is known."""
    for number, case in enumerate(cases, 1):
        note(f"[{number}/{len(cases)}] {case.id}")
        into = bench.state.pending if case.later else bench.state.facts
        _decide(bench, case, partial(case.probe, bench), into)
        kept = frozenset(str(facts.get("id")) for facts in bench.state.pending.values())
        bench.end_events(besides=kept)


def check(bench: Bench, cases: Sequence[Case], note: Callable[[str], None]) -> None:
    """Ask what is pending of *cases*; what is not due yet stays so."""
    for case in cases:
        pending = bench.state.pending.get(case.id)
        if case.later is None or pending is None:
            continue
        note(case.id)
        try:
            _decide(bench, case, partial(case.later.check, bench, pending), bench.state.facts)
        except NotYet as early:
            note(f"{case.id}: {early}")
            continue
        if case.id in bench.state.facts:  # after an error it can be asked again
            del bench.state.pending[case.id]
            bench.state.write()


def _decide(bench: Bench, case: Case, probe: Callable[[], Facts], into: dict[str, Facts]) -> None:
    """Note the facts of *probe*, or why it has none."""
    bench.state.errors.pop(case.id, None)
    try:
        into[case.id] = probe()
    except (Refused, Undecided) as error:
        bench.state.errors[case.id] = str(error)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # an answer that is not as documented
        bench.state.errors[case.id] = f"an answer could not be read: {type(error).__name__}: {error}"
    bench.state.write()


def report_of(state: State, cases: Sequence[Case]) -> Report:
    """What the state says of *cases*."""
    return Report(state.endpoint, state.region, state.begun, [_verdict(state, case) for case in cases])


def _verdict(state: State, case: Case) -> Verdict:
    facts = state.facts.get(case.id)
    if facts is not None:
        if case.reading_of(facts) is None:
            return Verdict(case, "unforeseen", facts, "none of the readings")
        return Verdict(case, "reading", facts)
    if case.id in state.errors:
        return Verdict(case, "undecided", {}, state.errors[case.id])
    if case.id in state.pending:
        return Verdict(case, "pending", {}, f"asked {case.later.when if case.later else 'later'}, by the phase check")
    needs = "the phases launch, check" if case.later else "--ckafka-function" if case.of_user else ""
    return Verdict(case, "left out", {}, f"needs {needs}" if needs else "not asked in this run")
