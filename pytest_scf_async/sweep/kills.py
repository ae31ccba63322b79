"""Kills, answered from the record of the undisturbed run: a killed process leaves nothing but what is on the disk.

A kill has as many outcomes as there are states of the directory, simulated times and numbers of records by then. Each
is resumed from once, however many lines and waits of the handler stand in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..async_event import AsyncEvent
from ..lockstep.event import Moment
from ..model.timeline import Waited, Written
from .points import Point, effect_point
from .run import Killed, Outcome, Plan, Runner
from .states import Image, State

_MANY = 1 << 62
_Key = tuple[int, int, int]


class _Place(NamedTuple):
    """Where a point stands in the record."""

    state: tuple[int, int | None]
    """The number of the effect before which it is, and the byte at which that is cut."""
    digest: int
    """Of the directory."""
    at: Moment

    @property
    def key(self) -> _Key:
        """Equal for points at which a kill leaves the same."""
        return self.digest, self.at.time_us, self.at.records


class Kills:
    """The points of a run that was recorded, and what comes of a kill at each of them."""

    def __init__(self, recorded: Outcome) -> None:
        assert recorded.record is not None
        assert recorded.lived is not None
        self._record, self._lived = recorded.record, recorded.lived
        self._outcomes: dict[tuple[_Key, int], Outcome] = {}
        self._states: Iterator[tuple[State, Image]] = iter(())
        self._now: tuple[State, Image] | None = None
        self._places = dict(self._all(recorded.points))

    @property
    def points(self) -> list[Point]:
        """Those of the run, and between them the effects before which the directory is like that at none of them."""
        return list(self._places)

    def has(self, point: Point) -> bool:
        """Whether *point* is one of the run that was recorded."""
        return point in self._places

    def _all(self, points: Sequence[Point]) -> Iterator[tuple[Point, _Place]]:
        digests = {(state.number, state.cut): image.digest for state, image in self._record.states()}
        found = [(point, self._place_of(point, digests, at)) for point, at in self._moments(points)]
        known = {place.key for point, place in found if point.forced}
        last: tuple[Point, _Place] | None = None
        for (number, cut), digest in digests.items():
            while found and found[0][1].state[0] <= number:
                last = found.pop(0)
                yield last
            if number > len(self._record.effects):
                return
            effect = self._record.effects[number - 1]
            state = State(number, effect, cut)
            at = Moment(effect.time_us, effect.records, 0, 0, "") if last is None else last[1].at
            at = at._replace(time_us=effect.time_us, records=effect.records, place=f"{state.name} ({state.text})")
            place = _Place((number, cut), digest, at)
            if place.key not in known:
                known.add(place.key)
                yield effect_point(state, None if last is None else last[0], self._lived.record.start_us), place

    @staticmethod
    def _place_of(point: Point, digests: dict[tuple[int, int | None], int], at: Moment) -> _Place:
        state = point.found.effects + 1, None
        return _Place(state, digests[state], at)

    def _moments(self, points: Sequence[Point]) -> Iterator[tuple[Point, Moment]]:
        """What the main thread has done by each of *points*; where others wait or write, too, only times tell them."""
        timeline = self._lived.timeline
        waited = sum(entry.times for entry in timeline if isinstance(entry, Waited))
        written = sum(isinstance(entry, Written) and not entry.of_platform for entry in timeline)
        lines = 0 if written == sum(point.kind == "log" for point in points) else _MANY
        waits = 0 if waited == sum(point.kind == "wait" for point in points) else _MANY
        for point in points:
            lines += point.kind == "log"
            waits += point.kind == "wait"
            yield point, Moment(point.found.time_us, point.found.records, lines, waits, point.label)

    def outcome(
        self, runner: Runner, plan: Plan, is_done: Callable[[AsyncEvent], bool], *, anew: bool = False
    ) -> Outcome:
        """What comes of a kill at the one point of *plan*; *anew*: even if that is known."""
        place, question = self._places[plan.steps[0].point], runner.question
        reads_log = any((question.check, question.done, question.retry))  # they have the event that was killed
        key = place.key, place.at.lines if reads_log else 0
        known = None if plan.collects or anew else self._outcomes.get(key)
        if known is None:
            killed = Killed(self._lived, place.at, lambda path: self._put(place, path))
            made = runner.run(plan, is_done, killed)
            assert made.interrupted is not None
            known = self._outcomes[key] = replace(made, interrupted=None, timeline=made.interrupted._timeline())
        return replace(known, plan=plan)

    def _put(self, place: _Place, directory: Path) -> None:
        while self._now is None or (self._now[0].number, self._now[0].cut) != place.state:
            self._now = next(self._states, None)
            if self._now is None:  # the point lies before the last one that was asked for
                self._states = self._record.states()
        self._now[1].put(directory)
