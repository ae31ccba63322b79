"""What a message of the test's process means to the supervisor of a program."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from internals import messages

from pytest_scf_async.programs.supervisor import supervisor as module
from pytest_scf_async.programs.supervisor.state import UNSTARTED, ProgramEffect, ProgramFact, after
from pytest_scf_async.programs.supervisor.supervisor import Supervisor

# once: a table, which each traced program on every Python uses
pytestmark = pytest.mark.once


def test_each_message_that_a_supervisor_receives_has_its_method() -> None:
    received = {row.message for row in messages.TABLE if messages.Peer.SUPERVISOR in row.receivers}

    assert set(object.__new__(Supervisor).means()) == received - {messages.Assign}  # which makes it one


def test_messages_are_counted_before_their_methods_are_called() -> None:
    supervisor, seen = object.__new__(Supervisor), []
    supervisor._seen = 0
    supervisor._means = {
        messages.AnswerWaits: lambda message: seen.append((supervisor._seen, message)),
        messages.Stop: lambda message: seen.append((supervisor._seen, message)),
    }
    sent = [messages.AnswerWaits(80, True), messages.Stop()]

    supervisor._take(list(messages.FrameReader().feed(b"".join(map(messages.pack, sent)))))

    assert seen == [(1, sent[0]), (2, sent[1])]


@pytest.mark.parametrize("running", [0, 2])
def test_a_report_that_a_resumed_program_still_owes_does_not_know_of_that(monkeypatch, running: int) -> None:
    """It would give the run token back that the program has just got."""
    reported: list[dict[str, int]] = []
    monkeypatch.setattr(module, "scheduler", SimpleNamespace(leased=[]))
    supervisor = object.__new__(Supervisor)
    supervisor._state, _ = after(after(UNSTARTED, ProgramFact.INVOKED).state, ProgramFact.POLLED)
    supervisor._do = {ProgramEffect.CHECK_SOON: lambda: None}
    supervisor._tree = SimpleNamespace(computing=lambda: range(running), first=lambda: None, end_rest=lambda: None)
    supervisor._report = lambda **given: reported.append(given)
    supervisor._time_has_moved = lambda: None

    supervisor._resume(messages.Resume())

    assert reported == [{"running_threads": running, "unseen": 1}]
