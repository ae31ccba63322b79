"""What takes turns in a run of all of CI's legs, by the contents of the commit: each is run by some commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

# once: bash alone
pytestmark = pytest.mark.once

RUN = Path(__file__).resolve().parents[3] / ".ci" / "run"
LEGS = ("check", "oldest-3.10", "interpreter-3.11", "interpreter-3.12", "interpreter-3.14", "full-3.15", "once")
SCRIPT = """
    set -euo pipefail
    eval "$(sed -n '/^take_turns()/,/^}/p' "$1")"
    other_turns=()
    chosen=("${@:2}")
    git() { echo "${TREE}"; }
    take_turns
    echo "$turn ${chosen[*]} / ${other_turns[*]}"
"""


def turns(tree: str, *legs: str) -> tuple[int, list[str], list[str]]:
    """Of a commit whose tree has this hash: its turn, the legs that it runs, and those that it leaves to others."""
    command = ["bash", "-c", SCRIPT, "bash", RUN, *legs]
    environment = {"TREE": tree, "PATH": "/usr/bin:/bin"}
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    turn, _, names = printed.partition(" ")
    chosen, _, others = names.partition("/")
    return int(turn), chosen.split(), others.split()


def test_one_python_in_between_has_its_turn_and_each_has_one() -> None:
    run = set()
    for number in range(3):
        turn, chosen, others = turns(f"{number:08x}{'a' * 32}", *LEGS)
        assert turn == number
        assert [leg for leg in LEGS if leg in chosen] == chosen
        assert sorted((*chosen, *others)) == sorted(LEGS)
        assert len(others) == 2
        assert all(leg.startswith("interpreter-") for leg in others)
        run |= set(chosen)
    assert run == set(LEGS)


@pytest.mark.parametrize("legs", [LEGS[:2], LEGS[:3]], ids=["none in between", "one"])
def test_where_there_is_no_choice_all_run(legs: tuple[str, ...]) -> None:
    assert turns("ffffffff" + "0" * 32, *legs) == (0xFFFFFFFF, list(legs), [])
