"""Make the runs of a sweep: from a record where one says what comes of an interruption, else for real."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ScfUsageError, hidden_from_users
from ..protocol.real_time import REAL
from .agenda import Job, Made
from .interruptions import FORCED
from .judge import Judge
from .kills import Kills, LeftBy
from .points import NAMED_CALLS, RECORDED, Point
from .records import Records
from .report import SAME
from .request import Request
from .run import NotReachedError, Outcome, Plan, Runner, Step

__tracebackhide__ = hidden_from_users


class Maker:
    """Makes runs: in a worker, what changes in this object is that worker's alone."""

    def __init__(
        self,
        request: Request,
        runner: Runner,
        records: Records,
        judge: Judge,
        *,
        left: set[LeftBy],
    ) -> None:
        """*left* is what kills leave that are known by now."""
        self._name = request.name
        self._runner, self._records, self._judge = runner, records, judge
        self._left, self._misleads = left, request.misleads
        self._kept: dict[int, Kills] = {}
        """By the names of jobs: the kills after a SIGTERM that may still be tried."""
        self._notes: list[str] = []
        self._real_kills = 0
        self._real_seconds = 0.0

    def make(self, job: Job) -> Made:
        """Make the run of *job*."""
        for name in job.forget:
            self._kept.pop(name, None)
        outcome = self._outcome_of(job)
        found: tuple[tuple[Point, LeftBy], ...] = ()
        if outcome is not None and job.record is None and outcome.record is not None and not outcome.record.problems:
            kept = Kills(outcome, self._left, misleads=self._misleads, lowest_inode=self._records.lowest_inode)
            found = tuple(kept.left_by)
            if found:
                self._kept[job.name] = kept
        return self._made(outcome, found)

    def run(self, plan: Plan, *, anew: bool = False, real: bool = False) -> Made:
        """Make the run of *plan* alone; *anew*: even if what comes of it is known; *real*: by a real kill."""
        return self._made(self._outcome(plan, anew=anew, real=real))

    def _made(self, outcome: Outcome | None, kills: tuple[tuple[Point, LeftBy], ...] = ()) -> Made:
        run = None if outcome is None else self._judge.run(outcome)
        made = Made(run, kills, tuple(self._notes), self._real_kills, self._real_seconds)
        self._notes, self._real_kills, self._real_seconds = [], 0, 0.0
        return made

    def _outcome_of(self, job: Job) -> Outcome | None:
        if job.record is None and not job.is_first_stop:
            return self._outcome(job.plan, anew=job.plan.keeps, real=job.plan.keeps)
        try:
            if job.record is None:
                return self._runner.run(job.plan, self._judge.is_done)
            kills = self._kept.pop(job.record) if job.is_last else self._kept[job.record]
            return self._killed(kills, job.plan)
        except NotReachedError:
            if job.record is not None:  # else the run of this point itself says so
                self._leave_out(job.plan)
            return None

    def _outcome(self, plan: Plan, *, anew: bool = False, real: bool = False) -> Outcome | None:
        """What the run of *plan* comes to; None, with a note, where it did not come to its second termination again.

        What a handler does after the first one may depend on real time, where the undisturbed run does not. Several
        threads or processes may have their effects in another order, and with another number of each. What is
        known of a kill from another point of the same state does for it, unless the run is made *anew*.
        """
        last, records = plan.steps[-1], self._records
        try:
            record = records.answering(plan)
            is_real = real and self.is_checked(plan)
            if record is not None and not is_real:
                return record.outcome(self._runner, plan, self._judge.is_done, anew=anew)
            if last.point.kind in RECORDED and last.point.after is not None:
                return self._killed_after_stop(plan, is_real=is_real)
            if records.kills is not None and records.is_kill(plan) and records.kills.is_real(last.point):
                return self._killed_for_real(plan)
            return self._runner.run(plan, self._judge.is_done)
        except NotReachedError as error:
            if len(plan.steps) > 1 or (last.point.kind in NAMED_CALLS and records.several_writers):
                self._leave_out(plan)
                return None
            raise ScfUsageError(
                f"sweep: function {self._name!r} does not behave the same in each run: it did not come to "
                f"{last.point.shown} again. {SAME}\n{error}"
            ) from None

    def is_checked(self, plan: Plan) -> bool:
        """Whether *plan* is a kill that a record answers, and that a real one has to agree with.

        Where several write, or a file is mapped, a real kill may leave something else. None cuts a write where that is
        asked for, or comes right before the end.
        """
        point, kills = plan.steps[-1].point, self._records.kills
        if kills is None or kills.may_differ or point.cut or point.kind == "end":
            return False
        return self._records.answering(plan) is kills or (point.kind == "effect" and point.after is not None)

    def _killed_after_stop(self, plan: Plan, *, is_real: bool) -> Outcome:
        """A kill at an effect that comes after a SIGTERM, from a record that is made for it, or a real one there."""
        stopped = self._runner.run(Plan(plan.steps[:-1], recorded=True), self._judge.is_done)
        kills = Kills(stopped, misleads=self._misleads, lowest_inode=self._records.lowest_inode)
        step = Step(kills.effect(plan.steps[-1].point.label), FORCED)
        plan = replace(plan, steps=(*plan.steps[:-1], step))
        is_real = is_real and not kills.may_differ
        return self._runner.run(plan, self._judge.is_done) if is_real else self._killed(kills, plan)

    def _killed(self, kills: Kills, plan: Plan) -> Outcome:
        """What comes of a kill of which *kills* has the point."""
        if kills.has(plan.steps[-1].point):
            return kills.outcome(self._runner, plan, self._judge.is_done)
        return self._killed_for_real(plan)

    def _killed_for_real(self, plan: Plan) -> Outcome:
        began = REAL.monotonic()
        outcome = self._runner.run(plan, self._judge.is_done)
        self._real_kills += 1
        self._real_seconds += REAL.monotonic() - began
        return outcome

    def _leave_out(self, plan: Plan) -> None:
        self._notes.append(f"{plan.key} was left out: this time the run did not reach its point")
