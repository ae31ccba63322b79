"""Draws what an instance does, as Mermaid text, from the table in `instances/state.py` into `docs/architecture.md`.

Drawn from the table, the picture cannot say what the code does not do. It has the plain state of each word of the
documentation and what each fact makes of it; the table has the others, in which several things are so at once.
Run: make states, or python tools/draw_states.py [--check] [the page]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pytest_scf_async.instances.state import Doing, GateState, InstanceFact, InstanceState, Life, Preemption, after  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "```mermaid\nstateDiagram-v2\n", "```\n"
PLAIN = (
    InstanceState(run_token=True),
    InstanceState(),
    InstanceState(held=True),
    InstanceState(gate=GateState.CLOSED),
    InstanceState(life=Life.FROZEN),
    InstanceState(in_lockstep=False),
)
LINE = 60


def doing(state: InstanceState) -> Doing:
    """The word for *state*, where no child of the instance is looked at."""
    return state.doing(held=state.held or state.preemption is Preemption.SLEEPS)


def edges() -> dict[tuple[Doing, Doing], list[str]]:
    """From each plain state to each other word: the facts that lead there."""
    found: dict[tuple[Doing, Doing], list[str]] = {}
    for state in PLAIN:
        for fact in InstanceFact:
            then = after(state, fact).state
            if doing(then) is not doing(state):
                found.setdefault((doing(state), doing(then)), []).append(fact.value)
    return found


def lines_of(facts: list[str]) -> str:
    """*facts* as one label, with a break where a line gets long."""
    lines = [""]
    for fact in facts:
        if lines[-1] and len(lines[-1]) + len(fact) > LINE:
            lines.append("")
        lines[-1] += f", {fact}" if lines[-1] else fact
    return ",<br>".join(lines)


def picture() -> str:
    """The Mermaid text."""
    names = {each: each.value.replace("-", "_") for each in Doing}
    drawn = [f"    {names[a]} --> {names[b]}: {lines_of(facts)}\n" for (a, b), facts in edges().items()]
    return BEGIN + "    [*] --> parked\n    [*] --> free_running\n" + "".join(drawn) + "    ended --> [*]\n" + END


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    page = paths[0] if paths else PAGE
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, behind = rest.partition(END)
    if not (begin and end):
        print(f"{page}: has no picture that begins with {BEGIN.splitlines()!r}")
        return 1
    if before + picture() + behind == text:
        print("draw_states: the picture follows from the table")
        return 0
    print(f"{page}: {'its picture does not follow from instances/state.py: make states' if check else 'written'}")
    if not check:
        page.write_text(before + picture() + behind, encoding="utf-8")
    return 1 if check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
