"""Repairs of the seeded set: most of its bugs get one, and that survives random kills of a bare process.

A few run here; ``make repairs`` has all of them, with 300 kills each.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from random_kills import losses
from seeded_set import SEEDED, Seeded, path_of
from sweep_internals import repairs_trying, sweep_of_function
from sweeping import each_run
from unrepaired import LOSES_NOTHING, MOST, UNREPAIRED

from pytest_scf_async import ScfRuntime

# once: which changes survive is the sweep's doing, and that is tried on every Python elsewhere
pytestmark = pytest.mark.once

KILLS = int(os.environ.get("SCF_REPAIRS", "10"))
"""Random kills of each repair; ``make repairs`` makes 300, and repairs all of the set."""
IS_WHOLE = "SCF_REPAIRS" in os.environ
SOME = ("appended_without_key", "counted_twice", "exit_in_listener", "finally_returns")
"""Of these bugs one random kill in ten shows something, so that a hundred are sure to."""
BUDGET = 180.0
_SIGNALS = {
    "forced": ["KILL"],
    "effect": ["KILL"],
    "graceful": ["TERM"],
    "cold": ["TERM"],
    "second": ["TERM", "KILL"],
    "again": ["TERM", "TERM"],
}
BY_NAME = {seeded.name: seeded for seeded in SEEDED}
TRIED = [each for each in SEEDED if IS_WHOLE or each.name in SOME]


def lost(seeded: Seeded, name: str, source: str, kills: int, *, only_first: bool = False) -> list[str]:
    """What random kills of the handler *source* lose, which is swept as *seeded* says.

    Half of them have a payload that is twice as large: a repair may not be one of a payload alone.
    """
    signals = [[*each] for each in dict.fromkeys(tuple(_SIGNALS[how]) for how in seeded.how)]
    found: list[str] = []
    for larger in (1, 2):
        payload = {key: value * larger for key, value in seeded.payload.items()}
        once = seeded.exactly_once
        found += losses(source, payload, signals, kills // 2, exactly_once=once, seed=name, only_first=only_first)
        if found and only_first:
            break
    return found


def survives(seeded: Seeded, name: str, source: str) -> None:
    assert lost(seeded, name, source, KILLS) == []


def swept(runtime: ScfRuntime, seeded: Seeded, name: str) -> Any:
    function = runtime.deploy(f"{path_of(name)}:main_handler")
    how = [kind for kind in ("graceful", "forced") if kind in seeded.how]
    return runtime.sweep(function, seeded.payload, each_run=each_run, how=how, within=seeded.within)


@pytest.fixture
def one_repair(monkeypatch: pytest.MonkeyPatch, seeded: Seeded) -> None:
    """A search ends with the first repair; and no second terminations where a handler has no window of that kind."""
    monkeypatch.setattr(repairs_trying, "_SHOWN", 1)
    if not {"second", "again"} & set(seeded.how):
        monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 0)
        monkeypatch.setattr(sweep_of_function._Sweeper, "_follows_stops", False)


def test_at_least_half_of_the_bugs_get_a_repair() -> None:
    assert set(UNREPAIRED) <= set(BY_NAME)
    assert len(UNREPAIRED) <= MOST <= len(SEEDED) / 2
    assert all(reason.endswith(".") for reason in (*UNREPAIRED.values(), *LOSES_NOTHING.values()))
    assert set(LOSES_NOTHING) <= set(BY_NAME)


@pytest.mark.usefixtures("one_repair")
@pytest.mark.parametrize("seeded", TRIED, ids=[each.name for each in TRIED])
def test_a_repair_survives_random_kills(scf_runtime: ScfRuntime, seeded: Seeded) -> None:
    sweep = swept(scf_runtime, seeded, seeded.name)
    repairs = sweep.repairs(budget=BUDGET, exactly_once=seeded.exactly_once)
    print(f"{seeded.name}: {repairs.report}")
    if seeded.name in UNREPAIRED:
        assert not repairs.found, f"take it off the list, which only gets shorter:\n{repairs.report}"
        return
    assert repairs.found, repairs.report
    if seeded.name == "exit_in_listener":
        assert "; after a SIGTERM it goes on for up to 1 s, and before for 0 s at most." in repairs.report
    (repair,) = repairs.found
    assert repair.diff
    ((_, source),) = repair.files.values()
    survives(seeded, seeded.name, source)


@pytest.mark.parametrize("seeded", TRIED, ids=[each.name for each in TRIED])
def test_random_kills_find_the_bug(seeded: Seeded) -> None:
    found = lost(seeded, seeded.name, path_of(seeded.name).read_text("utf-8"), KILLS * 10, only_first=True)
    assert bool(found) == (seeded.name not in LOSES_NOTHING), found


@pytest.mark.usefixtures("one_repair")
@pytest.mark.parametrize("seeded", TRIED, ids=[each.name for each in TRIED])
def test_no_change_of_a_right_twin_is_proposed(scf_runtime: ScfRuntime, seeded: Seeded) -> None:
    repairs = swept(scf_runtime, seeded, f"{seeded.name}_fixed").repairs(exactly_once=seeded.exactly_once)
    assert not repairs.found
    assert "has found nothing to repair" in repairs.why_none
    twin = f"{seeded.name}_fixed"
    survives(seeded, twin, path_of(twin).read_text("utf-8"))
