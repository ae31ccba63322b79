"""Draws what an instance and a traced program do, as Mermaid text, from their tables into `docs/architecture.md`.

Drawn from the tables, a picture cannot say what the code does not do. It has a plain state of each word and what each
fact makes of it; the table has the others, in which several things are so at once.
Run: make states, or python tools/draw_states.py [--check] [the page]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pytest_scf_async.instances import state as instances  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
END = "```\n"
LINE = 60


@dataclass(frozen=True)
class Picture:
    """One table, and what is drawn of it."""

    file: str
    begins: tuple[str, ...]
    """The words for the states in which something begins."""
    ends: str
    plain: tuple[Any, ...]
    """Of each word a state of which nothing else is so."""
    word: Callable[[Any], str]
    facts: Iterable[Enum]
    after: Callable[[Any, Any], Any]

    @property
    def begin(self) -> str:
        """The text at which it begins."""
        return f"```mermaid\nstateDiagram-v2\n    %% {self.file}\n"

    def edges(self) -> dict[tuple[str, str], list[str]]:
        """From each plain state to each other word: the facts that lead there."""
        found: dict[tuple[str, str], list[str]] = {}
        for state in self.plain:
            for fact in self.facts:
                try:
                    then = self.word(self.after(state, fact).state)
                except LookupError:
                    continue  # it cannot occur there
                if then != self.word(state):
                    found.setdefault((self.word(state), then), []).append(fact.value)
        return found

    def text(self) -> str:
        """The Mermaid text."""
        drawn = [f"    {name(a)} --> {name(b)}: {lines_of(facts)}\n" for (a, b), facts in self.edges().items()]
        first = [f"    [*] --> {name(each)}\n" for each in self.begins]
        return self.begin + "".join([*first, *drawn]) + f"    {self.ends} --> [*]\n" + END


def name(word: str) -> str:
    """What Mermaid calls the state."""
    return word.replace("-", "_").replace(" ", "_")


def lines_of(facts: list[str]) -> str:
    """*facts* as one label, with a break where a line gets long."""
    lines = [""]
    for fact in facts:
        if lines[-1] and len(lines[-1]) + len(fact) > LINE:
            lines.append("")
        lines[-1] += f", {fact}" if lines[-1] else fact
    return ",<br>".join(lines)


def doing(state: instances.InstanceState) -> str:
    """The documentation's word for what an instance does, where no child of it is looked at."""
    return state.doing(held=state.held or state.preemption is instances.Preemption.SLEEPS).value


def of_instances() -> Picture:
    """What an instance does."""
    state = instances.InstanceState
    return Picture(
        "instances/state.py",
        begins=("parked", "free-running"),
        ends="ended",
        plain=(
            state(run_token=True),
            state(),
            state(held=True),
            state(gate=instances.GateState.CLOSED),
            state(life=instances.Life.FROZEN),
            state(in_lockstep=False),
        ),
        word=doing,
        facts=instances.InstanceFact,
        after=instances.after,
    )


def of_programs() -> Picture:
    """What a traced program does."""
    from pytest_scf_async.programs.supervisor import state as programs  # noqa: PLC0415  (a wing, which may be away)

    state, phase, event = programs.ProgramState, programs.Phase, programs.EventState

    def progress(of: programs.ProgramState) -> str:
        if of.ended:
            return "ended"
        if of.at_gate:
            return "at gate"
        if of.phase is not phase.READY:
            return of.phase.value
        return {event.NONE: "idle", event.WAITING: "event waits", event.SENT: "has event"}[of.event]

    return Picture(
        "programs/supervisor/state.py",
        begins=("unstarted",),
        ends="ended",
        plain=(
            programs.UNSTARTED,
            state(phase=phase.AT_FIRST_LINE, event=event.WAITING),
            state(phase=phase.STARTS, event=event.WAITING),
            state(phase=phase.READY, event=event.WAITING),
            state(phase=phase.READY, event=event.SENT),
            state(phase=phase.READY),
            state(phase=phase.READY, event=event.SENT, at_gate=True, stopped=True),
        ),
        word=progress,
        facts=programs.ProgramFact,
        after=programs.after,
    )


PICTURES = (of_instances, of_programs)


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    page = paths[0] if paths else PAGE
    text = drawn = page.read_text(encoding="utf-8")
    for picture in (draw() for draw in PICTURES):
        before, begin, rest = drawn.partition(picture.begin)
        _, end, behind = rest.partition(END)
        if not (begin and end):
            print(f"{page}: has no picture that begins with {picture.begin.splitlines()!r}")
            return 1
        drawn = before + picture.text() + behind
    if drawn == text:
        print("draw_states: the pictures follow from the tables")
        return 0
    print(f"{page}: {'its pictures do not follow from the tables: make states' if check else 'written'}")
    if not check:
        page.write_text(drawn, encoding="utf-8")
    return 1 if check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
