"""Kills, answered from the record of a run: a killed process leaves nothing but what is on the disk.

A kill has as many outcomes as there are states of the directory, simulated times and numbers of records by then. Each
is resumed from once, however many lines and waits of the handler stand in it. The undisturbed run has the kills of a
handler that has had no SIGTERM; a run that was stopped with grace has those that come after its SIGTERM.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..async_event import AsyncEvent
from ..model.timeline import AnyEntry, SignalSent, Waited, Written
from ..protocol.disk_record import Effect
from .interruptions import FileSystem
from .points import Point, effect_point, end_point, power_point, sync_point
from .power import PowerRecord
from .reliving import Moment
from .run import Killed, NotReachedError, Outcome, Plan, Question, Runner, Step
from .states import LARGE_INODE, DiskRecord, Image, State

_MANY = 1 << 62
_ANY_TIME = -1
_Key = tuple["LeftBy", int, str]
LeftBy = tuple[int, int, int]
"""What a kill leaves: a digest of the directory, the simulated time, and how many records had been sent."""


class WhyReal(NamedTuple):
    """The reason for which a kill has to be a real run."""

    since: str
    """From when on."""
    because: str
    not_recorded: str
    """Why no record says what comes of it."""


_SPEAKS = WhyReal(
    " after the first connect",
    "the handler talks to another process",
    "no record contains what others were told",
)
_KEEPS_INODES = WhyReal(
    " after the first inode number in a file",
    "the handler keeps inode numbers",
    "files that are put back have other inode numbers",
)
_MISLEADS = WhyReal(
    "",
    "a kill from the record came to something else than a real one (unless the handler looks at inode numbers, or at "
    "times of files, this is a defect of pytest-scf-async: please report it)",
    "a kill from the record came to something else than a real one",
)


class _Place(NamedTuple):
    """Where a point stands in the record."""

    state: tuple[int, int | None, str]
    """The number of the effect before which it is, the byte at which that is cut, and what is missing."""
    digest: int
    """Of the directory, and of what others were told."""
    at: Moment
    is_real: bool
    """Only a real kill tells what comes of it: other processes have been spoken to by then, or inode numbers kept."""

    @property
    def key(self) -> LeftBy:
        """Equal for points at which a kill leaves the same."""
        return self.digest, self.at.time_us, self.at.records


class Kills:
    """The points of a run that was recorded, what comes of a kill at each of them, and which of them may fail."""

    def __init__(
        self,
        recorded: Outcome,
        known: Set[LeftBy] = frozenset(),
        *,
        errors: Collection[int] = (),
        misleads: bool = False,
        lowest_inode: int = LARGE_INODE,
    ) -> None:
        """Where the run was interrupted, its points are those after that which leave what is not *known* yet.

        Else effects that may fail with one of the *errors* are among its points, too. Where the record *misleads*, it
        only says where the points are. *lowest_inode* is the least number that is taken for that of a file.
        """
        assert recorded.record is not None
        assert recorded.lived is not None
        self._record, self._lived = recorded.record, recorded.lived
        self._stop = recorded.plan.steps[-1].point if recorded.plan.steps else None
        self._before_stop = recorded.effects_before_stop
        self._is_done = recorded.done and len(recorded.attempts) == 1
        keeps_inode_at = self._record.keeps_inode_at(lowest_inode)
        from_record = (self._record.spoke_at, _SPEAKS), (keeps_inode_at, _KEEPS_INODES)
        self._real_after, self._why_real = (0, _MISLEADS) if misleads else min(from_record)
        self._leaves_out_cuts = False
        self._has_places = self._lived.function.runtime.has_places
        in_event = (point.found.effects for point in recorded.points if point.found.in_event)
        if not self._has_places:
            in_event = (number for number, effect in enumerate(self._record.effects) if effect.in_event)
        self._effects_of_init = next(in_event, len(self._record.effects))
        """How many effects there were before the event was given to the handler, or to the program; all, where nothing
        says when that was."""
        self._others = () if self._has_places or self._stop is not None else recorded.points
        """Lines of the log and waits of a program: where they stand among its effects is not known."""
        self._outcomes: dict[tuple[_Key, str], Outcome] = {}
        """What comes of kills, by how the event is killed, ..."""
        self._resumed: dict[_Key, Outcome] = {}
        """... and of the events after it, which may be the same however it was."""
        self._errors = errors
        self._states: Iterator[tuple[State, Image]] = iter(())
        self._now: tuple[State, Image] | None = None
        self._places = dict(self._all(recorded.points if self._has_places else (), known))

    @property
    def record(self) -> DiskRecord:
        """The record that answers the kills."""
        return self._record

    @property
    def points(self) -> list[Point]:
        """Those of the run, and between them the effects before which the directory is like that at none of them."""
        if not self._others:
            return list(self._places)
        return sorted([*self._others, *self._places], key=self._order)

    def _order(self, point: Point) -> tuple[float, bool, float]:
        """Of the points of a program: at one instant its waits are the last, as each of them ends at another one."""
        place = self._places.get(point)
        lines = point.found.number - 0.5 if place is None else float(place.at.lines)
        return point.seconds, point.kind == "wait", lines

    @property
    def why_real(self) -> WhyReal:
        """The reason for which a kill is a real run from some effect on, where one is."""
        return self._why_real

    def remarks(self) -> Iterator[str]:
        """What was not tried, and what is good to know of that, a sentence each."""
        if self._leaves_out_cuts:
            yield "kills within a write where kills are real runs"

    @property
    def may_differ(self) -> bool:
        """Whether a real kill may leave what the record has not: several write, or a file is mapped."""
        return any(self._record.remarks())

    @property
    def syncs(self) -> list[Point]:
        """Its calls that sync, where they are recorded; none of them is a point of kills."""
        return [sync_point(each, self._lived.record.start_us) for each in self._record.syncs]

    @property
    def left_by(self) -> list[tuple[Point, LeftBy]]:
        """The points after a SIGTERM, each with what a kill there leaves."""
        return [(point, place.key) for point, place in self._places.items()]

    @property
    def leave(self) -> set[LeftBy]:
        """What kills at these points leave."""
        return {place.key for point, place in self._places.items() if point.forced}

    @property
    def has_several_threads(self) -> bool:
        """Whether more than one has effects, so that their order may be another one in another run."""
        return len({effect.thread for effect in self._record.effects if effect.call != "record"}) > 1

    def has(self, point: Point) -> bool:
        """Whether the record says what comes of a kill at *point*."""
        return point in self._places and not self._places[point].is_real

    def ends_at_default(self, step: Step) -> bool:
        """Whether *step* is a SIGTERM that ends the process at once, as a kill would: nobody listens to it there."""
        point = step.point
        is_ended = point.found.at_default if point.kind != "effect" else self._is_ended_at(point.found.number)
        return step.by.kind == "graceful" and (is_ended or point.is_end) and self.has(point)

    def may_time_out(self, point: Point) -> bool:
        """Whether the function's timeout may come at *point*, an effect: its handler has been called by then."""
        return point in self._places and self._places[point].state[0] > self._effects_of_init

    def is_real(self, point: Point) -> bool:
        """Whether only a real run says that."""
        return point in self._places and self._places[point].is_real

    def may_fail(self, point: Point, error: int) -> bool:
        """Whether *point* is an effect, or a sync, that the kernel may refuse with that error."""
        if point.kind == "sync":
            return error == errno.EIO
        return point.kind == "effect" and self._fails(point.found.number, point.cut, error)

    def _fails(self, number: int, cut: int, error: int) -> bool:
        """Whether that effect may fail, or be cut, with that error."""
        effect = self._record.effects[number - 1]
        return effect.may_fail_with(error) and not (cut and (error != errno.ENOSPC or not effect.may_end_at(cut)))

    def effect(self, label: str) -> Point:
        """The effect of that name. Raises ``NotReachedError`` where the run has none, or none that differs."""
        for point in self._places:
            if point.label == label:
                return point
        raise NotReachedError(f"{label} is not an effect that leaves something different from those before it")

    def _all(self, points: Sequence[Point], known: Set[LeftBy]) -> Iterator[tuple[Point, _Place]]:
        digests = {state.key: digest for state, digest in self._record.digests()}
        found = [(point, self._place_of(point, digests, at)) for point, at in self._moments(points)]
        if self._stop is None:
            first, left = 1, {place.key for point, place in found if point.forced}
        else:
            first, left = self._before_stop + 1, set(known)
        ended = {place.key for point, place in found if point.found.at_default and (point.graceful or point.is_ended)}
        last: tuple[Point, _Place] | None = None
        for (number, cut, _), digest in digests.items():
            while found and found[0][1].state[0] <= number:
                last = found.pop(0)
                if self._stop is None:
                    yield last
            if number > len(self._record.effects):
                yield from self._end(number, digest, left, last)
                return
            effect = self._record.effects[number - 1]
            state = State(number, effect, cut)
            at = self._moment_at(effect, state, last)
            place = _Place(state.key, digest, at, number > self._real_after)
            self._leaves_out_cuts |= place.is_real and bool(cut)
            is_new = number >= first and place.key not in left and not (place.is_real and cut)
            takes_signals = not (self._has_places or self._stop or cut)
            fails = self._stop is None and any(self._fails(number, cut or 0, error) for error in self._errors)
            is_end = self._is_ended_at(number) or (self._is_ended_before(number) and not cut)
            is_end = is_end and place.key not in ended and not (place.is_real and cut)
            if is_new or takes_signals or fails or is_end:
                left.add(place.key)
                ended.update([place.key] if is_end else [])
                point = effect_point(state, None if last is None else last[0], self._lived.record.start_us)
                point = replace(point, after=self._stop, of_program=takes_signals, is_new=is_new, is_end=is_end)
                yield point, place

    def _end(
        self, number: int, digest: int, left: Set[LeftBy], last: tuple[Point, _Place] | None
    ) -> Iterator[tuple[Point, _Place]]:
        """Its end, where it has done its work by then, and a kill leaves there what it leaves at no other point.

        The next event has to find that the work is done. Where kills are real runs none comes there.
        """
        end_us = self._lived.record.end_us
        if not self._is_done or end_us is None or number > self._real_after:
            return
        at = Moment(end_us, len(self._lived.records), _MANY, _MANY, "its end")
        place = _Place((number, None, ""), digest, at, is_real=False)
        if place.key not in left:
            point = end_point(State(number, None), last and last[0], end_us, self._lived.record.start_us)
            yield replace(point, after=self._stop), place

    def _is_ended_at(self, number: int) -> bool:
        """Whether a SIGTERM when that effect begins ends the process, to which nobody listens."""
        effect = self._record.effects[number - 1]
        return self._stop is None and effect.at_default and (self._has_places or effect.in_event)

    def _is_ended_before(self, number: int) -> bool:
        """Whether one does between that effect and the one before it, at the same time, in a main thread in Python.

        A library may install a listener between the two.
        """
        if number < 2 or not self._has_places:
            return False
        before, effect = self._record.effects[number - 2 : number]
        is_then = (before.time_us, before.records) == (effect.time_us, effect.records)
        return is_then and not before.other and self._is_ended_at(number - 1)

    def _moment_at(self, effect: Effect, state: State, last: tuple[Point, _Place] | None) -> Moment:
        """When *effect* begins, which is about *state*, and what has been done by then; *last* is the point before."""
        in_init = self._has_places and self._stop is None
        at = last[1].at if last else Moment(effect.time_us, effect.records, 0, 0, "", in_init=in_init)
        if not self._has_places:
            waits = [each for each in self._lived.timeline if isinstance(each, Waited)]
            begun = sum(each.times for each in waits if each.time_us < effect.time_us)
            at = at._replace(lines=effect.lines, waits=begun)
        return at._replace(time_us=effect.time_us, records=effect.records, place=f"{state.name} ({state.text})")

    def _place_of(self, point: Point, digests: dict[tuple[int, int | None, str], int], at: Moment) -> _Place:
        state = point.found.effects + 1, None, ""
        return _Place(state, digests[state], at, state[0] > self._real_after)

    def _moments(self, points: Sequence[Point]) -> Iterator[tuple[Point, Moment]]:
        """What the main thread has done by each of *points*; where others wait or write, too, only times tell them."""
        timeline = self._lived.timeline
        signals = [at for at, entry in enumerate(timeline) if isinstance(entry, SignalSent)]
        stop = signals[0] if signals and self._stop is not None else 0
        (waits, lines), (waited, written) = _done_in(timeline[:stop]), _done_in(timeline[stop:])
        if written != sum(point.kind == "log" for point in points):
            lines = _MANY
        if waited != sum(point.kind == "wait" for point in points):
            waits = _MANY
        for point in points:
            lines += point.kind == "log"
            waits += point.kind == "wait"
            found = point.found
            done = found.time_us, found.records, lines, waits
            yield point, Moment(*done, point.label, found.listeners, in_init=not found.in_event)

    def key(self, question: Question, step: Step) -> _Key:
        """Equal for kills after which the same is resumed from."""
        place = self._places[step.point]
        if question.looks_at_event:
            return place.key, place.at.lines, step.by.name
        return place.key, 0, "timeout" if step.by.kind == "timeout" else ""

    def lanes(self, question: Question, step: Step) -> tuple[_Key, _Key]:
        """What the outcome of a kill may be shared by: the state without its time, and the state at that time."""
        (left, _, records), lines, how = key = self.key(question, step)
        return ((left, _ANY_TIME, records), lines, how), key

    def outcome(
        self, runner: Runner, plan: Plan, is_done: Callable[[AsyncEvent], bool], *, anew: bool = False
    ) -> Outcome:
        """What comes of a kill at the one point of *plan*; *anew*: even if that is known."""
        place, (at_any_time, key) = self._places[plan.steps[-1].point], self.lanes(runner.question, plan.steps[-1])
        is_made = plan.collects or anew
        known = None if is_made else self._outcomes.get((key, plan.how))
        if known is None:
            killed = Killed(self._lived, place.at, lambda path: self._put(place, path))
            resumed = None if is_made else self._resumed.get(key) or self._resumed.get(at_any_time)
            if resumed is None:
                made = runner.run(plan, is_done, killed)
                assert made.interrupted is not None
                made = made.without_event(has_timeline=True)
            else:
                first, timeline, shown = runner.end(plan, killed)
                attempts = (first, *resumed.attempts[1:])
                made = replace(resumed, attempts=attempts, timeline=timeline, shown_timeline=shown)
            known = self._outcomes[key, plan.how] = self._resumed[key] = made
            if made.is_timeless:
                self._resumed.setdefault(at_any_time, made)
        return replace(known, plan=plan)

    def _put(self, place: _Place, directory: Path) -> None:
        while self._now is None or self._now[0].key != place.state:
            self._now = next(self._states, None)
            if self._now is None:  # the point lies before the last one that was asked for
                self._states = self._record.states()
        self._now[1].put(directory)


class PowerFailures(Kills):
    """The states that a machine leaves that is gone, of a run that was recorded, and what comes of each.

    Those after something was said to another process are none of them: what that knows no record has.
    """

    def __init__(
        self,
        recorded: Outcome,
        file_system: FileSystem,
        known: Set[LeftBy] = frozenset(),
        *,
        misleads: bool = False,
        lowest_inode: int = LARGE_INODE,
    ) -> None:
        """Its points are those that leave what is not *known* yet; none where the record *misleads*."""
        assert recorded.record is not None
        self._power = PowerRecord(recorded.record, file_system)
        super().__init__(replace(recorded, record=self._power), known, misleads=misleads, lowest_inode=lowest_inode)

    @property
    def points(self) -> list[Point]:
        """Where the machine is gone, and what is missing."""
        return list(self._places)

    def remarks(self) -> Iterator[str]:
        if self._real_after <= len(self._record.effects):
            yield f"power loss{self._why_real.since}, as {self._why_real.not_recorded}"

    @property
    def is_thinned(self) -> bool:
        """Whether changes were not left out at each effect at which they were not synced."""
        return self._power.thinned

    def _all(self, points: Sequence[Point], known: Set[LeftBy]) -> Iterator[tuple[Point, _Place]]:
        moments, left = list(self._moments(points)), set(known)
        last: tuple[Point, _Place] | None = None
        for state, digest in self._record.digests():
            missing = state.missing
            assert missing is not None
            effect = missing.after or state.effect
            if effect is None or state.number > self._real_after:
                return
            until = state.number - (missing.after is not None)
            while moments and moments[0][0].found.effects + 1 <= until:
                point, at = moments.pop(0)
                last = point, _Place((0, None, ""), 0, at, is_real=False)
            place = _Place(state.key, digest, self._moment_at(effect, state, last), is_real=False)
            if place.key not in left:
                left.add(place.key)
                yield power_point(state, effect, last and last[0], self._lived.record.start_us), place


def _done_in(entries: Iterable[AnyEntry]) -> tuple[int, int]:
    """How many waits, and how many lines of user code, are in *entries*."""
    found = list(entries)
    waits = sum(entry.times for entry in found if isinstance(entry, Waited))
    return waits, sum(isinstance(entry, Written) and not entry.of_platform for entry in found)
