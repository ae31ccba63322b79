"""What the supervisor of a program does once the init of the program is over."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from internals import messages

from pytest_scf_async.programs.supervisor.state import UNSTARTED, ProgramFact, after
from pytest_scf_async.programs.supervisor.supervisor import Supervisor


@pytest.mark.parametrize("failure", [None, ("CODE_NOT_LOADED", "no module")])
def test_the_event_is_given_unless_the_init_has_failed(monkeypatch, failure: tuple[str, str] | None) -> None:
    """The event has ended then. Its instance is killed, but the program may request an event before that."""
    asked: list[messages.Invoke] = []
    reported: list[tuple[str | None, str]] = []

    def ask(invocation: messages.Invoke) -> bool:
        asked.append(invocation)
        return True

    invocation = messages.Invoke("{}", {}, {}, {}, None)
    supervisor = object.__new__(Supervisor)
    supervisor._state, _ = after(UNSTARTED, ProgramFact.INVOKED)
    supervisor._invocation = invocation
    supervisor._client = SimpleNamespace(
        sent=0, init_failure=failure, is_ready=lambda: True, take_notes=list, ask=ask, await_arrival=lambda: None,
        why_unreachable=str, descriptors=dict, receive=lambda: None, answered=None,
    )  # fmt: skip
    supervisor._listener = SimpleNamespace(take_gate=lambda: None)
    supervisor._tree = SimpleNamespace(event_began=lambda: None)
    supervisor._process_waits = SimpleNamespace(forget=lambda: None)
    supervisor._reads_before_wait = None
    monkeypatch.setattr(supervisor, "_initialised", lambda *fact: reported.append(fact))
    monkeypatch.setattr(supervisor, "_report", lambda: None)
    monkeypatch.setattr(supervisor, "_receive_from_program", lambda: False)
    monkeypatch.setattr(supervisor, "_move_to_first_due", lambda: False)

    for _ in range(3):
        supervisor._settled()

    assert reported == [failure or (None, "")]
    assert asked == ([] if failure else [invocation])
