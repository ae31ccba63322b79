"""Whether a run of a mutant shows its break: what the handler loses itself, there or elsewhere, does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from internals import messages
from sweep_internals import sweep_differences, sweep_effects

from pytest_scf_async.sweep.compared import Compared
from pytest_scf_async.sweep.findings import SweepRun, Swept
from pytest_scf_async.sweep.interruptions import Interruption
from pytest_scf_async.sweep.mutating import Shows
from pytest_scf_async.sweep.points import Point
from pytest_scf_async.sweep.run import Outcome, Plan, Step

# once: facts of runs; no process
pytestmark = pytest.mark.once

Kind = sweep_differences.Kind
LOST, DOUBLED, LEFT_BEHIND = Kind.LOST, Kind.DOUBLED, Kind.LEFT_BEHIND


def run_at(line: int, kind: object = None, name: str = "a", *, after: int = 0) -> SweepRun:
    """A run that was interrupted there, in which that file is wrong."""
    found = messages.Point("both", 0, 1, "export.py", line, turn=1)
    first = run_at(after).point if after else None
    point = Point(f"export.py:{line}#1", "both", "export.py", line, 0.0, found, after=first)
    differences = ()
    if kind is not None:
        differences = (sweep_differences.Difference(kind, sweep_effects.EffectKind.FILE, name, (), ()),)
    plan = Plan((Step(point, Interruption("graceful")),))
    return SweepRun(point, "graceful", differences, Outcome(plan, sweep_effects.Effects(), (), done=True))


class Handler:
    """The runs of the handler that its sweep has made, and those that it makes when it is asked."""

    def __init__(self, swept: Sequence[SweepRun], others: Sequence[SweepRun] = ()) -> None:
        self.asked: list[str] = []
        self._others = others
        undisturbed = Outcome(Plan(), sweep_effects.Effects(), (), done=True)
        self.shows = Shows(Swept("export", 0, tuple(swept), undisturbed, Compared(result=True)), self._own_run)

    def _own_run(self, run: SweepRun, points: Sequence[Point]) -> SweepRun | None:
        self.asked.append(run.key)
        return next((other for other in self._others if other.key == run.key), None)


def test_a_loss_shows_where_the_handler_is_right() -> None:
    handler = Handler([run_at(1), run_at(2, LOST)])

    assert not handler.shows(run_at(1))
    assert handler.shows(run_at(1, LOST))  # in the same way as the handler at another point
    assert not handler.shows(run_at(2, LOST))
    assert handler.shows(run_at(2, LOST, "b"))
    assert handler.asked == []


def test_at_a_point_that_was_not_tried_the_handler_itself_is_asked_once() -> None:
    handler = Handler([run_at(1)], [run_at(2), run_at(3, LOST)])

    assert handler.shows(run_at(2, LOST))
    assert not handler.shows(run_at(3, LOST))
    assert not handler.shows(run_at(3, LOST))
    assert not handler.shows(run_at(4, LOST))  # it does not come there, and loses that elsewhere
    assert handler.shows(run_at(4, LOST, "b"))
    assert [key.partition("@")[2] for key in handler.asked] == [
        *("export.py:2#1", "export.py:3#1", "export.py:4#1", "export.py:4#1")
    ]


def test_after_a_sigterm_only_what_is_lost_counts() -> None:
    handler = Handler([run_at(1), run_at(5, after=1), run_at(6, LOST, after=1)])

    assert not handler.shows(run_at(5, LOST, after=1))
    assert handler.shows(run_at(5, LOST, "b", after=1))
    assert handler.asked == []


def test_what_is_doubled_shows_where_the_handler_doubles_nothing() -> None:
    assert Handler([run_at(1)]).shows(run_at(1, DOUBLED))
    assert not Handler([run_at(1), run_at(2, DOUBLED, "b")]).shows(run_at(1, DOUBLED))
    assert not Handler([run_at(1)]).shows(run_at(1, LEFT_BEHIND))
