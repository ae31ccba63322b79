"""The table of what a traced program does: every state that facts can lead to, with every fact."""

from __future__ import annotations

from functools import cache

import pytest
from state_walk import reached

from pytest_scf_async.programs.supervisor import state as table

# once: a pure table, which each traced program on every Python uses
pytestmark = pytest.mark.once

Delivery, Effect, EventState, Fact, Phase, Signals, State = (
    table.Delivery,
    table.ProgramEffect,
    table.EventState,
    table.ProgramFact,
    table.Phase,
    table.Signals,
    table.ProgramState,
)

EXPECTED = """
    INVOKED             phase=UNSTARTED              phase=STARTS event=WAITING report_owed=yes lease_ended=no ! CHECK_SOON SHOW_TIME START
    INVOKED             -                            event=WAITING report_owed=yes lease_ended=no ! CHECK_SOON SHOW_TIME
    INVOKED_AT_GATE     phase=UNSTARTED              phase=AT_FIRST_LINE event=WAITING report_owed=yes lease_ended=no ! CHECK_SOON SHOW_TIME
    RESUMED             -                            report_owed=yes lease_ended=no  ! CHECK_SOON
    GATE_OPENED         phase=AT_FIRST_LINE          phase=STARTS report_owed=yes lease_ended=no ! CHECK_SOON SHOW_TIME START
    GATE_OPENED         at_gate=yes                  at_gate=no stopped=no delivery=NONE report_owed=yes lease_ended=no ! CHECK_SOON SHOW_TIME LEAVE_GATE
    GATE_OPENED         -                            report_owed=yes lease_ended=no  ! CHECK_SOON SHOW_TIME
    POLLED              -                            report_owed=yes polled=yes      ! CHECK_SOON
    SIGNALS_POLLED      -                            signals=REQUESTED report_owed=yes ! CHECK_SOON
    STOP_REQUESTED      -                            stopped=yes delivery=NONE       ! STOP_THREADS
    GO_ON_REQUESTED     at_gate=yes                  report_owed=yes                 ! CHECK_SOON
    GO_ON_REQUESTED     -                            stopped=no report_owed=yes      ! GO_ON CHECK_SOON
    GOES_ON             -                            report_owed=yes                 ! CHECK_SOON
    READY               phase=STARTS                 phase=READY
    INIT_FAILED         phase=STARTS                 phase=READY event=NONE
    EVENT_SENT          phase=READY event=WAITING    event=SENT
    ANSWERED            event=SENT                   event=NONE
    ANSWERED            event=WAITING                event=NONE
    REACHED_GATE        phase=STARTS                 at_gate=yes stopped=yes report_owed=yes ! STOP_THREADS
    REACHED_GATE        phase=READY                  at_gate=yes stopped=yes report_owed=yes ! STOP_THREADS
    ENDED               phase=STARTS                 ended=yes
    ENDED               phase=READY                  ended=yes
    REPORTED            -                            report_owed=no polled=no preempted=no lease_ended=yes
    REPORTED_COMPUTING  -                            report_owed=yes polled=no
    PREEMPTED           -                            preempted=yes
    SIGNALS_HANDLED     -                            signals=NONE
    SIGNAL_TAKEN_UP     at_gate=yes signals=REQUESTED  signals=TAKEN_UP
    ONE_TAKES_SIGNAL    at_gate=yes                  delivery=ALONE
    OTHERS_GO_ON        at_gate=yes                  delivery=OTHERS stopped=no      ! GO_ON
    DELIVERED           delivery=OTHERS              delivery=NONE stopped=yes       ! STOP_THREADS
"""  # noqa: E501
"""By fact, first match: what has to be so, what becomes so, and after ``!`` what is done. ``-`` is nothing. In a state
that no row of a fact fits, the fact cannot occur."""

KINDS = {"phase": Phase, "event": EventState, "delivery": Delivery, "signals": Signals}
PARTS = State.__match_args__


@cache
def all_states() -> list[State]:
    return list(reached([table.UNSTARTED], Fact, table.after))


def parts_of(text: str) -> dict[str, object]:
    pairs = (pair.split("=") for pair in text.split() if pair != "-")
    return {name: KINDS[name][value] if name in KINDS else value == "yes" for name, value in pairs}


def rows() -> list[tuple[table.ProgramFact, dict[str, object], dict[str, object], tuple[table.ProgramEffect, ...]]]:
    found = []
    for line in EXPECTED.strip().splitlines():
        row, _, effects = line.partition("!")
        fact = row.split()[0]
        when, then = (column for column in row.strip()[len(fact) :].split("  ") if column.strip())
        found.append((Fact[fact], parts_of(when), parts_of(then), tuple(Effect[each] for each in effects.split())))
    return found


def test_every_fact_has_its_rows():
    assert {fact for fact, *_ in rows()} == set(Fact)
    assert len(rows()) == sum(map(len, table.RULES.values()))


@pytest.mark.parametrize("fact", list(Fact), ids=lambda fact: fact.value)
def test_what_a_fact_does_in_every_state(fact):
    of_fact = [row for row in rows() if row[0] is fact]
    occurs = False
    for state in all_states():
        parts = {name: getattr(state, name) for name in PARTS}
        row = next((row for row in of_fact if row[1].items() <= parts.items()), None)
        if row is None:
            with pytest.raises(LookupError, match=f"{fact.name} cannot occur in ProgramState"):
                table.after(state, fact)
            continue
        step, occurs = table.after(state, fact), True
        assert {name: getattr(step.state, name) for name in PARTS} == parts | row[2], (state, fact)
        assert step.effects == row[3], (state, fact)
    assert occurs


def test_what_no_facts_lead_to():
    """Whoever asks one of these parts relies on the other one."""
    for state in all_states():
        assert not (state.polled and not state.report_owed)
        assert not (state.delivering and not state.at_gate)
        assert not (state.at_gate and not (state.stopped or state.delivering))
        has_process = state.phase in (Phase.STARTS, Phase.READY)
        assert not ((state.at_gate or state.ended) and not has_process)
        assert not (state.event is EventState.SENT and not state.ready)
        assert not (state.event is EventState.WAITING and state.phase is Phase.UNSTARTED)
        assert not (state.signals is Signals.TAKEN_UP and state.signal_held_back)


def test_what_is_asked_of_every_state():
    for state in all_states():
        assert state.ready == (state.phase is Phase.READY)
        assert state.awaits_event == (state.ready and state.event is EventState.WAITING)
        assert state.has_event == (state.event is EventState.SENT)
        assert state.has_answered == (state.ready and state.event is not EventState.SENT)
        assert state.gated == (state.at_gate or state.phase is Phase.AT_FIRST_LINE)
        assert state.polls_client == (state.event is EventState.SENT and not state.stopped and not state.at_gate)
        assert state.delivering == (state.delivery is not Delivery.NONE)
        assert state.awaits_stops == (state.stopped and state.delivery is Delivery.NONE)
        assert state.signal_held_back == (state.at_gate and state.signals is Signals.REQUESTED)
        moves = state.signals is Signals.NONE and not (state.at_gate or state.has_answered or state.lease_ended)
        assert state.may_move_clock == moves
        busy = state.polled or state.preempted or state.lease_ended or state.ended or state.delivering
        assert state.may_lease == (state.ready and state.event is not EventState.WAITING and not busy)


def test_only_a_program_whose_event_was_sent_moves_the_clock_to_waits_that_begin():
    """The two conditions are asked one after the other, and together say that."""
    for state in all_states():
        if state.may_lease and state.may_move_clock:
            assert (state.phase, state.event) == (Phase.READY, EventState.SENT)
            assert state.signals is Signals.NONE
            assert True not in (state.at_gate, state.delivering, state.ended, state.polled, state.preempted)


def test_who_got_the_run_token_has_a_lease_again():
    for state in all_states():
        for fact in (Fact.INVOKED, Fact.RESUMED, Fact.GATE_OPENED):
            assert not table.after(state, fact).state.lease_ended
        assert table.after(state, Fact.REPORTED).state.lease_ended


def test_what_is_at_a_gate_goes_on_when_that_opens_and_not_before():
    for state in all_states():
        then = table.after(state, Fact.GO_ON_REQUESTED).state
        assert (then.at_gate, then.delivery) == (state.at_gate, state.delivery)
        assert then.stopped == (state.stopped and state.at_gate)
        opened = table.after(state, Fact.GATE_OPENED).state
        assert (opened.at_gate, opened.delivering) == (False, False)


def test_there_is_one_object_of_each_state():
    states = all_states()
    for state in states:
        for fact in Fact:
            try:
                then = table.after(state, fact)
            except LookupError:
                continue
            assert table.after(state, fact) is then
            assert id(then.state) in ids()
    assert len(ids()) == len(set(states)) == len(states)


@cache
def ids() -> frozenset[int]:
    return frozenset(map(id, all_states()))
