"""Find the effects around the interruptions of a sweep's findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import CannotEndError
from .findings import SweepRun
from .points import NAMED_CALLS, Point
from .records import Records
from .request import Bench
from .run import NotReachedError, Plan, Runner, Step
from .states import DiskRecord
from .surroundings import Surroundings, begun_at_sync, surroundings

_AT_EFFECTS = ("effect", "power")
"""The kinds of points that are at an effect by its number."""


class Nearby:
    """Makes records of runs again, which name the library's functions that lines have called."""

    def __init__(self, runner: Runner, bench: Bench, records: Records, is_late: Callable[[], bool]) -> None:
        question = replace(runner.question, check=None, done=None, attempts=0)
        self._runner = Runner(question, bench.stages, runner.path, bench.scratch, runner.seed)
        self._has_places = question.function.runtime.has_places
        self._records, self._is_late = records, is_late
        self._known: dict[tuple[Step, ...], tuple[DiskRecord | None, int]] = {}
        """By the interruptions before the last one."""
        self.notes: list[str] = []
        """Why the library's functions are not named."""

    def added(self, made: Sequence[SweepRun], earliest: Sequence[SweepRun]) -> tuple[SweepRun, ...]:
        """*made*, where the *earliest* run of each class has the effects around its interruption.

        Of a handler in Python one more run, which is slower, names the library's functions that its lines have called
        in each effect of all of those that come after the same SIGTERM, or after none. So it does where the interrupted
        event has gone on after a SIGTERM, in a run for each.
        """
        for steps in dict.fromkeys(run.outcome.plan.steps[:-1] for run in earliest):
            self._known[steps] = self._record_around(steps)
        keys = {run.key for run in earliest}
        return tuple(
            replace(run, point=self._with_function(run), nearby=self._around(run) if run.key in keys else None)
            for run in made
        )

    def _record_before(self, run: SweepRun) -> tuple[DiskRecord | None, int]:
        return self._known.get(run.outcome.plan.steps[:-1], (None, 0))

    def _with_function(self, run: SweepRun) -> Point:
        """Its point, where that is an effect, with the library's function that has it, and the line that calls it."""
        point, (record, _) = run.point, self._record_before(run)
        if record is None or point.kind not in NAMED_CALLS:
            return point
        function, file, line = record.function_at(point.kind, point.found.number, point.found.text)
        if not file:
            return point
        # the last point before it may be of a listener that has interrupted the line, or within a block that ends there
        return replace(point, function=function, file=point.file if point.file.endswith(file) else file, line=line)

    def _around(self, run: SweepRun) -> Surroundings | None:
        plan, point, found = run.outcome.plan, run.point, run.point.found
        before, stopped_at = self._record_before(run)
        is_killed = plan.is_killed_at_effect or self._records.ends_at_default(plan)
        if plan.steps[-1].by.kind == "graceful" and not is_killed:
            record, begun = (None, 0) if run.outcome.stuck else self._record_around(plan.steps)
            return None if record is None else surroundings(record, begun, resumes=True, named=before)
        if before is None or not (self._has_places or point.kind in _AT_EFFECTS):
            return None
        if point.kind == "sync":
            return surroundings(before, begun_at_sync(before, found.number))
        also = 0 if point.unsynced is None else point.unsynced.number
        begun = found.number - 1 if point.kind in _AT_EFFECTS else found.effects
        return surroundings(before, begun, also=also, stopped_at=stopped_at if plan.steps[:-1] else None)

    def _record_around(self, steps: tuple[Step, ...]) -> tuple[DiskRecord | None, int]:
        """A record of a run with these interruptions, and how many effects it had begun when the last one came.

        None: it cannot be had.
        """
        kills = self._records.kills
        known = None if kills is None or steps else kills.record
        if (known is not None and not self._has_places) or self._is_late():
            return known, 0
        try:
            plan = Plan(steps, collects=True, recorded=True, syncs=True, functions=True)
            made = self._runner.run(plan, lambda _: True)
        except NotReachedError:
            return known, 0
        except CannotEndError as error:
            why, *_ = str(error).splitlines()
            self.notes = [f"no function of a library is named, as the run that would name them did not end: {why}"]
            return known, 0
        return (known if made.record is None or made.record.problems else made.record), made.effects_before_stop
