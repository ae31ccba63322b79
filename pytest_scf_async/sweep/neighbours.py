"""The surroundings of the earliest run of a class: its effects, and the nearest runs that survive."""

from __future__ import annotations

from .findings import FAILURES, FailureClass, SweepRun, Swept
from .points import RECORDED, Point


class Around:
    """One class of findings, with what is around it."""

    def __init__(self, swept: Swept, alike: FailureClass) -> None:
        self.swept, self.alike, self.run = swept, alike, alike.earliest
        self.near = self.run.nearby
        """The effects around the interruption; None: they are not known."""
        self.by = self.run.outcome.plan.steps[-1].by
        """The last interruption."""
        same = [other for other in swept.runs if _alike(other) == _alike(self.run)]
        at = next(number for number, other in enumerate(same) if other.key == self.run.key)
        self.is_alone = len(same) == 1
        """No other run has the same interruption."""
        self.before = next((other for other in reversed(same[:at]) if self.survives(other)), None)
        """The nearest run before it with the same interruption that survives."""
        self.after = next((other for other in same[at + 1 :] if self.survives(other)), None)
        """The same of those after it."""
        self.begun_before = None if self.before is None else self.begun(self.before.point)
        """How many effects had begun when the same interruption did no harm, before this one; None: not known."""
        self.begun_after = None if self.after is None else self.begun(self.after.point)
        """The same after this one."""
        if self.near is not None and self.near.stopped_at is not None and self.run.point.kind in RECORDED:
            self._look_around_stop(self.near.stopped_at, self.near.total)

    def survives(self, other: SweepRun) -> bool:
        """Whether *other* has none of this class's problems, and no failure."""
        return not other.fails(FAILURES | self.run.kinds)

    def _look_around_stop(self, stopped_at: int, total: int) -> None:
        """Of kills after a SIGTERM only those are tried that leave something new: before its first effect a kill
        leaves what one without a SIGTERM leaves, and after the last one what the stop itself does.
        """
        steps = self.run.outcome.plan.steps
        for other in self.swept.runs:
            plan = other.outcome.plan
            if self.begun_before is None and other.how == "forced" and self.survives(other):
                self.begun_before = stopped_at if self.begun(other.point) == stopped_at else None
            if self.begun_after is None and plan.steps == steps[:-1] and not plan.cold and self.survives(other):
                self.begun_after = total

    def begun(self, point: Point) -> int | None:
        """How many effects had begun at *point*; None: not known, as at a line of a program's log."""
        if point.kind in ("effect", "power"):
            return point.found.number - 1
        if point.kind == "end":
            return point.found.effects
        if point.after is not None:
            return None
        if any(each.kind in ("line", "both", "taken") for each in self.swept.points):
            return point.found.effects
        if point.kind != "wait" or self.near is None or self.swept.several_writers:
            return None
        # A wait of a program ends at another instant: all that is done at the one at which it begins comes before it.
        done = [each.number for each in self.near.effects if each.time_us <= point.found.time_us]
        return max(done, default=None)

    @property
    def is_in_middle(self) -> bool:
        """Whether the call of the line whose effect comes next has had another effect already."""
        near = self.near
        if near is None or near.next is None:
            return False
        before, following = near.numbered(near.begun), near.next
        if before is None or not following.function:
            return False
        if (before.function, before.place) != (following.function, following.place):
            return False
        lines = (each for each in self.swept.points if each.kind not in ("effect", "end", "power", "sync"))
        return before.number not in near.turns or not any(self.begun(each) == near.begun for each in lines)

    @property
    def twin(self) -> SweepRun | None:
        """The run with the same stop after which the next event was cold and not warm, or the other way round."""
        run = self.run
        return next(
            (
                each
                for each in self.swept.runs
                if each.cold is not run.cold and (each.how, each.point) == (run.how, run.point)
            ),
            None,
        )

    @property
    def passes(self) -> list[int]:
        """The passes of one line in which the class has an interruption; empty where it has them elsewhere, too."""
        run, turns = self.run, {} if self.near is None else self.near.turns
        found: set[int] = set()
        for each in self.alike.runs:
            point = each.point
            is_same = (each.how, point.kind) == (run.how, run.point.kind)
            is_same &= (point.file, point.line) == (run.point.file, run.point.line)
            if not is_same or point.cut or point.after is not None or point.kind in ("sync", "power"):
                return []
            if point.kind == "effect":
                # Two effects of one call are no two passes.
                number = point.found.number
                turn = 0 if {number - 1, number + 1} & turns.keys() else turns.get(number, 0)
            else:
                turn = point.found.number if point.kind == "taken" else point.found.turn
            if not turn:
                return []
            found.add(turn)
        return sorted(found) if len(found) == len({each.point.shown for each in self.alike.runs}) else []


def _alike(run: SweepRun) -> tuple[object, ...]:
    """What is the same for interruptions of which one is the next after another."""
    return run.how, run.cold, run.point.after if run.point.kind in RECORDED else None, run.point.kind == "sync"
