"""The table of what an instance does: every state that facts can lead to, with every fact."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from internals import state as table
from state_walk import reached

# once: a pure table, which each event on every Python applies
pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[3]
Doing, Effect, Fact, Gate, Life, Preemption, State = (
    table.Doing,
    table.Effect,
    table.InstanceFact,
    table.GateState,
    table.Life,
    table.Preemption,
    table.InstanceState,
)
NONE = Preemption.NO

EXPECTED = """
    INVOKED               -                              life=RUNS run_token=yes
    RESUMED               gate=NONE life=RUNS            run_token=yes                 ! SEND_RESUME
    RESUMED               gate=NONE life=GIVEN_UP        run_token=yes                 ! SEND_RESUME
    RESUMED               -                              -
    TYPED                 -                              run_token=yes
    ALL_PARKED            -                              running=no held=no
    SOME_HELD             -                              running=no held=yes
    SOME_RUN              -                              running=yes held=no
    SOME_RUN_AND_HELD     -                              running=yes held=yes
    REPORTED              signalled=yes running=yes      polled=no run_token=yes
    REPORTED              signals_polled=yes running=yes  polled=no run_token=yes
    REPORTED              running=yes                    polled=no run_token=no
    REPORTED              signalled=yes                  polled=no run_token=yes preemption=NO ! END_LEASE
    REPORTED              signals_polled=yes             polled=no run_token=yes preemption=NO ! END_LEASE
    REPORTED              -                              polled=no run_token=no preemption=NO ! END_LEASE
    REPORT_CROSSED        -                              polled=no
    REACHED_GATE          -                              gate=CLOSED
    STOPPED_BEHIND_LINE   -                              gate=CLOSED                   ! STOP
    GATE_OPENS            gate=CLOSED                    gate=OPENING
    GATE_OPENS            -                              -
    GATE_OPENED           gate=NONE                      -
    GATE_OPENED           -                              gate=NONE run_token=yes       ! SEND_OPEN_GATE GO_ON
    LEFT_GATE             -                              gate=NONE
    POLLED                polled=yes                     -
    POLLED                -                              polled=yes                    ! SEND_POLL WAKE
    POLLED_BEHIND_SIGNAL  -                              polled=yes                    ! SEND_POLL
    SIGNALS_POLLED        -                              signals_polled=yes run_token=yes ! SEND_POLL_SIGNALS
    SIGNALS_HANDLED       -                              signals_polled=no
    SIGTERM_TO_HANDLER    -                              signalled=yes run_token=yes
    SIGTERM_TO_PROCESS    -                              run_token=yes
    SIGTERM_TO_WAITER     preemption=COMPUTES            run_token=no
    SIGTERM_TO_WAITER     -                              run_token=yes
    SIGTERM_TO_TRACER     preemption=COMPUTES            -
    SIGTERM_TO_TRACER     -                              run_token=yes
    HANDLER_ENTERED       -                              run_token=yes preemption=NO
    SIGTERM_ENTERED       -                              run_token=yes preemption=NO signalled=no
    SIGTERM_SETTLED       -                              signalled=no
    ANSWER_COMES          -                              held=yes
    SLEEPS_UNANNOUNCED    -                              preemption=SLEEPS
    COMPUTES_TOO_LONG     -                              preemption=COMPUTES
    TOKEN_TAKEN           -                              run_token=no
    ALARM_POLLED          -                              run_token=yes
    PROGRESSED            preemption=NO                  -
    PROGRESSED            -                              run_token=yes preemption=NO
    GIVEN_UP              life=FROZEN                    -
    GIVEN_UP              -                              life=GIVEN_UP                 ! STOP
    WAITED_FOR            life=GIVEN_UP                  life=RUNS
    WAITED_FOR            -                              -
    FROZEN                -   life=FROZEN run_token=no preemption=NO gate=NONE signalled=no ! CANCEL_WAKE_UP STOP
    ENDED                 -                              life=ENDED
"""
"""By fact, first match: what has to be so, what becomes so, and after ``!`` what is done. ``-`` is nothing."""

KINDS = {"life": Life, "preemption": Preemption, "gate": Gate}
PARTS = ("in_lockstep", *table.InstanceState.__match_args__[1:10])


@cache
def all_states() -> list[State]:
    """They take a second to find: not in each session that collects this file."""
    return list(reached([table.start(True), table.start(False)], Fact, table.after))


def parts_of(text: str) -> dict[str, object]:
    pairs = (pair.split("=") for pair in text.split() if pair != "-")
    return {name: KINDS[name][value] if name in KINDS else value == "yes" for name, value in pairs}


def rows() -> list[tuple[table.InstanceFact, dict[str, object], dict[str, object], tuple[table.Effect, ...]]]:
    found = []
    for line in EXPECTED.strip().splitlines():
        row, _, effects = line.partition("!")
        fact = row.split()[0]
        columns = [column for column in row.strip()[len(fact) :].split("  ") if column.strip()]
        when, then = columns[0], " ".join(columns[1:])
        found.append((Fact[fact], parts_of(when), parts_of(then), tuple(Effect[each] for each in effects.split())))
    return found


def test_every_fact_has_its_rows():
    assert [fact for fact, *_ in rows() if fact not in Fact] == []
    assert {fact for fact, *_ in rows()} == set(Fact)
    assert len(all_states()) > 1000


@pytest.mark.parametrize("fact", list(Fact), ids=lambda fact: fact.value)
def test_what_a_fact_does_in_every_state(fact):
    of_fact = [row for row in rows() if row[0] is fact]
    for state in all_states():
        parts = {name: getattr(state, name) for name in PARTS}
        step = table.after(state, fact)
        if state.life is Life.ENDED:
            assert step == (state, ()), (state, fact)
            continue
        _, _, then, effects = next(row for row in of_fact if row[1].items() <= parts.items())
        parts.update(then)
        if parts["life"] is Life.ENDED:
            parts = {name: getattr(table.start(state.in_lockstep, Life.ENDED), name) for name in PARTS}
        if parts["life"] is Life.FROZEN or not parts["in_lockstep"]:
            parts["run_token"] = False
        assert {name: getattr(step.state, name) for name in PARTS} == parts, (state, fact)
        assert step.effects == effects, (state, fact)


def test_who_does_what_in_every_state():
    for state in all_states():
        runs = state.run_token or (state.running and state.preemption is NONE)
        active = state.life is Life.RUNS and state.in_lockstep
        assert state.active == active
        assert state.computing == (active and runs)
        assert state.goes_on == (active and (runs or state.gate is Gate.OPENING))
        assert state.idle == (state.life in (Life.FROZEN, Life.ENDED))
        assert state.rests == (
            state.idle
            or (
                state.in_lockstep
                and state.gate is Gate.NONE
                and state.preemption is NONE
                and not (state.run_token or state.running or state.held)
            )
        )
        assert not (state.rests and (state.computing or state.goes_on))
        assert not (state.run_token and (state.idle or not state.in_lockstep))
        assert state.preempted == (state.preemption is not NONE)
        assert state.outside == (state.running or state.preempted)
        assert state.may_run == (state.run_token or state.outside)
        assert state.gated == (state.gate is not Gate.NONE)


@pytest.mark.parametrize("held", [False, True])
def test_the_word_for_every_state(held):
    for state in all_states():
        word = state.doing(held=held)
        if state.life is Life.ENDED:
            assert word is Doing.ENDED
        elif state.life is Life.FROZEN:
            assert word is Doing.FROZEN
        elif state.gated and not state.run_token:
            assert word is Doing.GATED
        elif not state.in_lockstep:
            assert word is Doing.FREE_RUNNING
        elif state.preemption is Preemption.COMPUTES or (not state.preempted and (state.run_token or state.running)):
            assert word is Doing.COMPUTING
        else:
            assert word is (Doing.HELD if held else Doing.PARKED)


def test_there_is_one_object_of_each_state():
    for state in all_states():
        for fact in Fact:
            assert table.after(state, fact) is table.after(state, fact)
    states = all_states()
    assert len({id(state) for state in states}) == len(set(states)) == len(states)


def test_the_picture_in_the_docs_follows_from_the_table(tmp_path):
    tool = [sys.executable, str(ROOT / "tools" / "draw_states.py")]
    page = tmp_path / "architecture.md"
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    page.write_text(text.replace("    held --> parked: all parked\n", ""), encoding="utf-8")

    refused = subprocess.run([*tool, "--check", str(page)], capture_output=True, text=True, check=False)
    assert (refused.returncode, "make states" in refused.stdout) == (1, True)
    subprocess.run([*tool, str(page)], check=True)

    assert page.read_text(encoding="utf-8") == text
    assert "parked --> held: some held, answer comes, sleeps unannounced" in text
