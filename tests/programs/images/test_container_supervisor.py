"""What the supervisor of a container makes of an end: of its engine's start, or of the program itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_scf_async.programs.supervisor.container import ContainerSupervisor
from pytest_scf_async.programs.supervisor.state import UNSTARTED, ProgramFact, after


class Ended(Exception):
    """Where a supervisor would not return."""


@pytest.mark.parametrize("has_begun", [True, False])
def test_what_has_ended_since_the_last_look_could_be_started_if_it_has_begun(monkeypatch, has_begun: bool) -> None:
    supervisor = object.__new__(ContainerSupervisor)

    def step() -> bool:
        supervisor._begins = not has_begun
        supervisor._process_ended(1, 3 << 8)
        return True

    def ends(how: str):
        def end(*_: object) -> None:
            raise Ended(how)

        return end

    supervisor._begins, supervisor._pid = True, 1
    supervisor._state, _ = after(UNSTARTED, ProgramFact.INVOKED)
    supervisor._tree = SimpleNamespace(step=step, program_ended=lambda _status: None)
    monkeypatch.setattr(supervisor, "_show_time_if_moved", lambda: None)
    monkeypatch.setattr(supervisor, "_refuse", ends("not started"))
    monkeypatch.setattr(supervisor, "_end_as_program", ends("as the program"))

    with pytest.raises(Ended) as ended:
        supervisor._check_program()

    assert str(ended.value) == ("as the program" if has_begun else "not started")
