"""The jobs of a sweep, whose results count in the order of a single process, whichever worker makes them.

Which kills after a SIGTERM are tried depends on what all earlier runs have left, and so does what ``limit=`` leaves
out. Workers come to results in another order, which is undone here: a result waits until all before it have counted.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from .findings import SweepRun
from .kills import LeftBy
from .points import Point
from .run import Plan

Number: TypeAlias = "tuple[bool, int, int]"
"""The order of runs: whether it is a kill that comes after the SIGTERM of a run that was planned, the number of that
run, and among those that follow from it the number of this one: 0 is the run itself, 1 the one with a cold start."""


@dataclass(frozen=True)
class Job:
    """A run to make."""

    name: int
    """Unique within a sweep."""
    number: Number
    plan: Plan
    lanes: tuple[Hashable, ...] = ()
    """What it may have in common with other jobs, which one worker makes then in their order; see `Agenda`."""
    record: int | None = None
    """The name of the job whose record answers this kill."""
    at: int | None = None
    """The worker that has that record, and so has to make this job."""
    is_last: bool = False
    """No other job needs that record."""
    is_first_stop: bool = False
    """It is there to find the points of second terminations."""
    forget: tuple[int, ...] = ()
    """The names of jobs whose records can be dropped."""


class Made(NamedTuple):
    """The result of a job."""

    run: SweepRun | None
    """None: it did not reach its point again."""
    kills: tuple[tuple[Point, LeftBy], ...] = ()
    """The kills that its record has after its SIGTERM, with what each leaves; the record is kept if there is one."""
    notes: tuple[str, ...] = ()
    real_kills: int = 0
    real_seconds: float = 0.0


class _InWorker(Exception):
    """The traceback of an exception in a worker, which is that one's cause here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Answer:
    """The result of a job in a worker."""

    made: Made | None
    error: BaseException | None = None
    """The exception that was raised instead."""
    trace: str = ""
    """Its traceback, unless the error says all itself."""
    printed: tuple[str, str] = ("", "")
    """The output of user callables on ``sys.stdout`` and ``sys.stderr`` meanwhile."""

    def counted(self) -> Made:
        """What was made, or else raise what was raised; to be called in the order of a single process: it prints."""
        sys.stdout.write(self.printed[0])
        sys.stderr.write(self.printed[1])
        if self.error is not None:
            raise self.error from (_InWorker(self.trace) if self.trace else None)
        assert self.made is not None
        return self.made


class Here:
    """Makes jobs in this process, as the one worker of a sweep that has no others."""

    def __init__(self, make: Callable[[Job], Made]) -> None:
        self._make = make

    def make(self, next_for: Callable[[int], Job | None]) -> Iterator[tuple[int, Job, Answer]]:
        """Make jobs until there is none."""
        while (job := next_for(0)) is not None:
            yield 0, job, Answer(self._make(job))


class Agenda:
    """Jobs in their order: which one a worker may make next, and whose turn it is to count.

    Kills after which the same is resumed from share one resume, and those that differ in simulated time alone may: the
    first of them shows it. Until then, and if it is so, one worker makes them all. Their lanes are the state without
    the time, and with it.
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._to_give: list[Job] = []
        self._to_count: deque[Job] = deque()
        self._answers: dict[int, tuple[int, Answer]] = {}
        self._owners: dict[Hashable, int] = {}
        self._open: set[Hashable] = set()
        """States without a time from which other things are done at other times."""
        self._to_forget: dict[int, list[int]] = {}
        self.add(jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        """Queue *jobs* behind all others."""
        for job in jobs:
            self._to_give.append(job)
            self._to_count.append(job)

    def add_made(self, job: Job, worker: int, made: Made) -> None:
        """Queue a job, which *worker* has made already, behind all others."""
        self._to_count.append(job)
        self._answers[job.name] = worker, Answer(made)

    def add_next(self, jobs: Sequence[Job]) -> None:
        """Queue *jobs* before all others, in the order of making and of counting."""
        self._to_give[:0] = jobs
        self._to_count.extendleft(reversed(jobs))

    def forget(self, worker: int, name: int) -> None:
        """Have *worker* drop the record of a job."""
        self._to_forget.setdefault(worker, []).append(name)

    def next_for(self, worker: int) -> Job | None:
        """Take the first job that *worker* may make; None if there is none now."""
        at = next((at for at, job in enumerate(self._to_give) if self._may_make(worker, job)), None)
        if at is None:
            return None
        job = self._to_give.pop(at)
        for lane in job.lanes:
            self._owners.setdefault(lane, worker)
        return replace(job, forget=tuple(self._to_forget.pop(worker, ())))

    def _may_make(self, worker: int, job: Job) -> bool:
        closed = (lane for lane in job.lanes if lane not in self._open)
        return job.at in (None, worker) and all(self._owners.get(lane, worker) == worker for lane in closed)

    def came(self, worker: int, job: Job, answer: Answer) -> None:
        """*worker* has made *job*; after one that has failed nothing counts."""
        self._answers[job.name] = worker, answer
        run = None if answer.made is None else answer.made.run
        if job.lanes and run is not None and not run.outcome.is_timeless:
            self._open.add(job.lanes[0])
        if answer.error is not None:
            names = [each.name for each in self._to_count]
            before = set(names[: names.index(job.name)])
            self._to_give = [each for each in self._to_give if each.name in before]

    def counted(self) -> Iterator[tuple[Job, int, Made]]:
        """The jobs whose turn it is to count, with their workers and results; more may be added meanwhile.

        Raises what the next one of them has raised.
        """
        while self._to_count and self._to_count[0].name in self._answers:
            job = self._to_count.popleft()
            worker, answer = self._answers.pop(job.name)
            yield job, worker, answer.counted()


def no_workers(count: int, why: str) -> str:
    """The reason why a sweep cannot have so many workers."""
    return (
        f"workers={count} is not possible here: each worker needs its own directory at the path of all runs, and that "
        f"needs a mount namespace ({why}); leave workers= out to make the runs one after the other"
    )
