"""The records of the undisturbed run: which interruptions are tried, and which of them they answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .interruptions import FAULTS, FORCED, Interruption
from .kills import Kills, PowerFailures
from .points import Point
from .run import Plan, Question, Step


class Records:
    """The records of the undisturbed run, where it could be recorded."""

    def __init__(
        self,
        question: Question,
        kills: Kills | None,
        powers: dict[Interruption, PowerFailures],
        *,
        tries_ends: bool,
        lowest_inode: int,
    ) -> None:
        """With *tries_ends* what a SIGTERM ends, to which nobody listens, is not left to forced terminations."""
        self._question, self._tries_ends = question, tries_ends
        self.kills = kills
        """Answers kills."""
        self.powers = powers
        """Answer what comes of power failures."""
        self.lowest_inode = lowest_inode
        """The least number that is taken for that of a file in the records of other runs."""

    @property
    def several_writers(self) -> bool:
        """More than one thread has effects, so that their order may vary from run to run."""
        return self.kills is not None and self.kills.has_several_threads

    def points(self, undisturbed: Iterable[Point]) -> list[Point]:
        """All points, where the undisturbed run has come to these: with those that only a record tells."""
        found = [*undisturbed] if self.kills is None else [*self.kills.points, *self.kills.syncs]
        return [*found, *(point for powers in self.powers.values() for point in powers.points)]

    def applies(self, how: Interruption, point: Point) -> bool:
        """Whether *point* is one for that interruption: kills after a SIGTERM come from the run that had it."""
        if how.kind == "power" or point.kind == "power":
            return how in self.powers and self.powers[how].has(point)
        if how.error:
            return self.kills is not None and self.kills.may_fail(point, how.error)
        if how.failure is not None:
            return point.kind == FAULTS[how.failure][0]
        if how.kind == "graceful":
            return point.graceful or (self._tries_ends and point.is_ended)
        if how.kind == "timeout" and point.kind == "effect":
            return self.kills is not None and point.forced and self.kills.may_time_out(point)
        return point.forced and not (how == FORCED and self.kills is not None and point.after is not None)

    def needs(self, hows: Iterable[Interruption], point: Point) -> set[object]:
        """Names the runs and resumes that say what comes of the interruptions at *point*."""
        return {self.need(Step(point, how)) for how in hows if self.applies(how, point)}

    def need(self, step: Step) -> object:
        """The same of one interruption."""
        kills = self.powers.get(step.by, self.kills)
        is_kill = step.by.kind in ("forced", "timeout", "power") or self.ends_at_default(Plan((step,)))
        return kills.key(self._question, step) if kills is not None and is_kill and kills.has(step.point) else step

    def ends_at_default(self, plan: Plan) -> bool:
        """Whether *plan* is a SIGTERM to which nobody listens: 439, and a kill."""
        step = plan.steps[-1]
        return len(plan.steps) == 1 and not plan.cold and self.kills is not None and self.kills.ends_at_default(step)

    def is_kill(self, plan: Plan) -> bool:
        """Whether *plan* has one interruption, of which the record of the undisturbed run may say what comes of it."""
        last = plan.steps[-1]
        times_out = last.by.kind == "timeout" and last.point.found.in_event
        is_forced = last.by == FORCED or plan.is_killed_at_effect or times_out
        return (len(plan.steps) == 1 and is_forced) or self.ends_at_default(plan)

    def answering(self, plan: Plan) -> Kills | None:
        """The record that says what comes of *plan*; None: only a run does."""
        last = plan.steps[-1]
        if last.by in self.powers:
            return self.powers[last.by]
        return self.kills if self.kills is not None and self.is_kill(plan) and self.kills.has(last.point) else None

    def lanes(self, plan: Plan) -> tuple[Hashable, ...]:
        """What other runs may have in common with that of *plan*, which is made from a record; see `Agenda`."""
        record, last = self.answering(plan), plan.steps[-1]
        lanes = () if record is None else record.lanes(self._question, last)
        return tuple((last.by, lane) for lane in lanes) if last.by in self.powers else lanes
