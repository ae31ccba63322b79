"""The shutdown sweep: run a handler undisturbed, then interrupt it at each of its points, and find what is lost."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..async_event import AsyncEvent
from ..clock import duration_us
from ..errors import CannotEndError, Given, ScfUsageError, calls_named, did_you_mean, hidden_from_users
from ..instances.function_version import FunctionVersion
from ..instances.layers import OPT, installed_in
from ..instances.sandbox import USER_CODE
from ..model.statuses import Status
from ..protocol.real_time import REAL
from ..protocol.shortening import shortened_list
from .agenda import Agenda, Job, Made, Number, no_workers
from .cold_starts import cold_start_texts
from .compared import NAMED, Compared, compared_in, why_nothing
from .comparison import compare
from .differences import Difference, Kind, Part
from .effects import EffectKind, Effects, as_json
from .findings import FAILURES, STOPPED, Evidence, FailureClass, JobOf, MutantOutcome, SweepRun, Swept, classes
from .guide import Guide
from .ignored import Ignore, Ignored, ignored_by_user
from .interruptions import FAULTS, How, Interruption, interruptions, power
from .kills import Kills, LeftBy, PowerFailures
from .legitimate import ignore_rest, legitimate_differences
from .mutating import Trial, tried
from .points import Point, Which, available, choice, chosen, effect_named, first_difference, first_turns
from .power import NEXT
from .reached import lines_of, not_reached
from .report import SAME, sweep_text
from .repro import with_repros
from .run import Attempt, NotReachedError, Outcome, Plan, Question, Runner, Stages, Step
from .states import OF_A_DAEMON, DiskRecord
from .surroundings import Surroundings, begun_at_sync, surroundings

if TYPE_CHECKING:
    from .workers import Workers

__tracebackhide__ = hidden_from_users

_READ_ONLY = re.compile(r"\[Errno 30\] [^:]*: '(?P<path>[^']*)'")
"""What Python says of a file that cannot be written where all runs would share it."""
_LONG = 10.0
"""Real seconds from which on a sweep says before its runs how long they take, and in its report how long they took."""
_FEWER = "points='waits' or limit= make fewer, workers= makes several at once"
_RESERVE = 2.0
"""Real seconds that are left for the report where the time of a test is limited."""
_FIRST_STOPS = 24
"""At how many points the handler is stopped to find out what it does after a SIGTERM."""
_COLD_PART = 10
"""One of so many of ``limit=`` is kept for cold starts after graceful stops, where there are more points."""
_REPEATED = 8
"""Of how many classes the earliest run is made again."""
_MUTANT_POINTS = 60
"""How many points of a mutant are tried."""
_MUTANT_STOPS = 8
"""At how many points a mutant is stopped to find out what it does after a SIGTERM."""
_COMPARE = (
    "Have each_run yield a directory that the handler writes to ({'OUT': str(run.path)}), or call "
    "run.observe(name=value) after its yield; or give check=; or compares_nothing=True for a handler that only reads"
)
_LACKS = ". A job has no terminal, reads nothing from its standard input, and has no rights of another user"
_OF_A_CONTAINER = "kills at effects (a container is interrupted only in waits and at lines of its log)"
_FORCED = Interruption("forced")
_THINNED = (
    f"power loss: a change that is not synced was left out at the {NEXT} effects after it, and when it is synced "
    "or at the end, not at each effect in between"
)
_NAMED_CALLS = ("effect", "sync")
"""The kinds of points of which a finding names the function that has made the call."""
_AT_EFFECTS = ("effect", "power")
"""The kinds of points that are at an effect by its number."""
_TIMED_OUT = 433
"""The status code of an event that has reached its function's timeout (17243)."""
_EXCLUDED = ("site-packages/*", "*/site-packages/*", ".venv/*", "venv/*", "node_modules/*")


@dataclass(frozen=True)
class Request:
    """The arguments of ``ScfRuntime.sweep``."""

    question: Question
    how: How | Iterable[How]
    within: object
    points: str
    include: object
    exclude: object
    limit: object
    ignore: Ignore | Iterable[Ignore] | None
    mutate: object = False
    compares_nothing: object = False
    workers: object = 1
    first_stops: int | None = None
    """At how many points it is stopped to find those of second terminations; None: as ``_FIRST_STOPS`` says."""
    until: Callable[[SweepRun], bool] | None = None
    """The sweep ends with the first run of which this is true."""


@dataclass(frozen=True)
class Bench:
    """The surroundings in which a sweep is made."""

    stages: Stages
    directory: Path
    """An existing directory, for those of the runs."""
    scratch: str
    """A directory for the code of mutants."""
    guide: Guide
    why_unmounted: Callable[[], str]
    """Says why instances of this process have no mount namespaces; empty: they have."""
    job_of: JobOf


@calls_named
class Sweep:
    """The findings of a sweep: its points, its runs, and which of them lost something."""

    def __init__(self, swept: Swept, guide: Guide) -> None:
        self._swept = swept
        self._guide = guide

    @property
    def points(self) -> tuple[Point, ...]:
        """The points at which the handler was interrupted, in the order in which it comes to them."""
        return self._swept.points

    @property
    def compared(self) -> Compared:
        """The things in which the runs were compared: files, tables, records, observed values, result."""
        return self._swept.compared

    @property
    def runs(self) -> tuple[SweepRun, ...]:
        """The interrupted runs, in the order of their points."""
        self._guide.asked()
        return self._swept.runs

    @property
    def failures(self) -> list[FailureClass]:
        """The runs that lost something, diverged, were late or never finished, in classes."""
        self._guide.asked()
        return with_repros(self._swept, classes(self._swept.runs, FAILURES))

    def assert_survives(self) -> None:
        """Fail if some run has lost something, has diverged, was late, or never finished.

        It accepts what was done twice, as code may promise no more than *at least once*, and what was left behind. It
        fails if the sweep reached no point, or ended before all runs were made.
        """
        __tracebackhide__ = True
        self._require(FAILURES)

    def assert_exactly_once(self) -> None:
        """The same, and also fail if some run did something twice."""
        __tracebackhide__ = True
        self._require(FAILURES | {Kind.DOUBLED})

    def _require(self, kinds: frozenset[Kind]) -> None:
        __tracebackhide__ = True
        self._guide.asked()
        text = self._guide.failure(self._swept, kinds)
        if text:
            raise AssertionError(text)

    @property
    def mutants(self) -> tuple[MutantOutcome, ...]:
        """With ``mutate=True`` the mutants of the handler's shutdown code, and whether they were noticed."""
        self._guide.asked()
        return self._swept.mutants

    @property
    def report(self) -> str:
        """The report as text."""
        self._guide.asked()
        return sweep_text(self._swept)

    def __repr__(self) -> str:
        return f"<Sweep of {self._swept.function}: {len(self._swept.points)} points, {len(self._swept.runs)} runs>"


def _elsewhere(which: Which) -> tuple[str, ...]:
    """What is not tried as ``points=`` says *which* points are."""
    where = {"waits": "waits", "log": "lines of the log"}.get(which)
    return () if where is None else (f"interruptions anywhere but at {where} (points={which!r})",)


def sweep(request: Request, bench: Bench) -> Sweep:
    """Make the sweep that *request* asks for. Raises ``ScfUsageError`` for what cannot be swept."""
    return Sweep(_Sweeper(request, bench).sweep(), bench.guide)


class _Sweeper:
    _workers: Workers[Job, Made] | None = None
    """Make the runs, while there are some."""
    _failed = 0
    """How many runs have failed."""
    _beyond_limit = 0
    """How many kills after a SIGTERM ``limit=`` leaves out."""
    _seconds_of_run = 0.0
    """How many real seconds the undisturbed run has taken."""
    _slow_starts: Sequence[str] = ()
    """What each cold start spends long on."""
    _spoke_to = ""
    """An address to which the undisturbed run has connected."""
    _states: dict[str, Path]
    """Copies of directories, by the keys of runs."""

    def __init__(self, request: Request, bench: Bench) -> None:
        question = request.question
        function = question.function
        self._name = function.configuration.name
        self._hows = [*dict.fromkeys(_for(function, how) for how in interruptions(request.how))]
        self._within_us = None if request.within is None else duration_us(request.within, "sweep(within)")  # type: ignore[arg-type]
        self._choice = choice(request.points, request.include, request.exclude, request.limit)
        attempts: object = question.attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            Given("attempts", attempts).has_to_be("a whole number of invocations, 1 or more")
        self._by_user = ignored_by_user(request.ignore)
        if request.mutate:
            self._check_mutate(request)
        if not isinstance(request.compares_nothing, bool):
            Given("compares_nothing", request.compares_nothing).has_to_be("True or False")
        mounts = function.configuration.mounts
        if not function.runtime.in_lockstep:
            raise ScfUsageError(
                f"sweep: function {self._name!r} sees real time, in which no run is like another: its program cannot "
                "be traced here, and only one on the simulated clock can be swept"
            )
        if mounts:
            shared = ", ".join(host for host, _ in mounts)
            raise ScfUsageError(
                f"sweep: function {self._name!r} has mounts={shared}, which all runs would share; have the handler "
                "write to run.path instead: each_run yields {'OUT': str(run.path)}"
            )
        self._count = self._checked_workers(request, bench)
        self._names = itertools.count()
        self._runner = Runner(
            replace(question, exclude=(*_EXCLUDED, *_libraries_in_layers(function), *self._choice.excluded_files)),
            bench.stages,
            bench.directory / "run",
            bench.scratch,
        )
        self._about_effects = [*_about_layers(function, bench)]
        self._guide = bench.guide
        self._bench = bench
        self._request = request
        self._lines: set[tuple[str, int]] = set()
        self._collected = self._planned = self._picked = self._tried = 0
        self._kills: Kills | None = None
        """Answers kills, where the undisturbed run could be recorded."""
        self._powers: dict[Interruption, PowerFailures] = {}
        """Answer what comes of power failures."""
        self._stopped: dict[Plan, tuple[Job, int, Made]] = {}
        """What is known of graceful stops before their turn comes, and by which worker."""
        self._kept: dict[int, Kills] = {}
        """By the names of jobs: the kills after a SIGTERM that may still be tried, in the process that made the job."""
        self._left: set[LeftBy] = set()
        """What kills leave that are known by now."""
        self._real_kills = 0
        """How many of the kills from a connect on are real runs, ..."""
        self._real_seconds = 0.0
        """... and how many real seconds these took."""
        self._expected: Effects | None = None
        self._in = Compared(result=True)
        self._notes: list[str] = []
        self._ignored = Ignored()
        self._results: dict[str | bytes, bool] = {}
        self._compared: dict[str, tuple[Difference, ...]] = {}

    def sweep(self) -> Swept:
        began = self._began = REAL.monotonic()
        self._states = {}
        undisturbed = self._undisturbed()
        points: Sequence[Point] = undisturbed.points if self._kills is None else self._kills.points
        points = [*points, *([] if self._kills is None else self._kills.syncs)]
        points = [*points, *(point for powers in self._powers.values() for point in powers.points)]
        runs: dict[Number, SweepRun] = {}
        incomplete, stopped = "", False
        candidates = self._choice.candidates(points)
        self._count = self._count or self._fitting(candidates)
        with self._by_workers():
            plans, reached = self._plans(candidates)
            mine = self._part(plans)
            self._planned = len(mine)
            what, runs_began = self._say_how_long(mine), REAL.monotonic()
            try:
                incomplete = self._run_all(mine, runs, self._collecting(mine))
            except KeyboardInterrupt:
                incomplete, stopped = STOPPED, True
        seconds = REAL.monotonic() - runs_began
        if seconds >= _LONG and not incomplete:
            self._notes.append(f"{what} took {seconds:.0f} real s: {_FEWER}")
        made = [runs[number] for number in sorted(runs)]
        missing: tuple[str, ...] = ()
        unlike: tuple[tuple[SweepRun, SweepRun], ...] = ()
        try:
            if not incomplete:
                unlike = tuple(self._made_again(made))
                made = self._with_surroundings(made)
                missing = tuple(not_reached(self._runner.question.roots, self._lines))
        except KeyboardInterrupt:  # what the runs have found is not lost by it
            stopped = True
            self._notes.append(f"the lines that no run reached are not listed, because {STOPPED}")
        if self._real_kills:
            self._notes.append(
                f"{self._real_kills:,} kills after the first connect were real runs, because the handler talks to "
                f"another process; they took {self._real_seconds:.1f} real s"
            )
        tried_at = tuple(dict.fromkeys(run.point for run in made))
        swept = Swept(
            self._name,
            tried_at,
            reached + sum(is_kill for is_kill, _, _ in runs) + self._beyond_limit,
            tuple(made),
            undisturbed,
            self._in,
            tuple(self._ignored.names),
            tuple(how.name for how in self._hows),
            sum(point.forced and not point.graceful and point.kind != "effect" for point in tried_at),
            REAL.monotonic() - began,
            notes=tuple(self._notes),
            incomplete=incomplete,
            planned=self._planned,
            not_reached=missing,
            collected=self._collected,
            left_out=reached - self._picked + self._beyond_limit,
            test=self._bench.guide.test,
            about_effects=(*_elsewhere(self._choice.which), *self._about_effects),
            unlike=unlike,
            several_writers=self._kills is not None and self._kills.has_several_threads,
            is_job=self._is_job,
            available=() if candidates or not self._choice.include else available(points, self._choice.include),
        )
        if any(run.fails(FAILURES | {Kind.DOUBLED}) for run in made):
            swept = replace(swept, evidence=self._evidence(undisturbed))
        if self._request.mutate and not self._guide.replay:
            swept, stopped = self._with_mutants(swept, stopped)
        self._guide.finished(swept)
        if stopped:
            raise KeyboardInterrupt
        return swept

    def _fitting(self, points: Sequence[Point]) -> int:
        """How many workers there are to be where nobody says it: one a core, where runs at *points* take long."""
        runtime = self._runner.question.function.runtime
        seconds = len(set[object]().union(*map(self._needs, points))) * self._seconds_of_run
        if seconds < _LONG or runtime.shares_tmp or self._bench.why_unmounted():
            return 1
        return len(os.sched_getaffinity(0))

    def _checked_workers(self, request: Request, bench: Bench) -> int:
        """How many there are to be; 0: as many as fit."""
        workers = request.workers
        if workers is None:
            return 0
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            Given("workers", workers).has_to_be("a whole number of processes, 1 or more")
        in_container = request.question.function.runtime.shares_tmp
        why = "" if workers == 1 else "the function is a container" if in_container else bench.why_unmounted()
        if why:
            raise ScfUsageError(no_workers(workers, why))
        return workers

    @contextlib.contextmanager
    def _by_workers(self) -> Iterator[None]:
        """Have the runs of this block made by workers, if there are to be some; the one run of a key needs none."""
        if self._count == 1 or self._guide.replay:
            yield
            return
        from .workers import Workers  # noqa: PLC0415  (few sweeps have some)

        path = os.fspath(self._runner.path)
        with Workers(self._count, path, self._bench.why_unmounted, self._make, lambda job: job.plan.key) as workers:
            self._workers = workers
            try:
                yield
            finally:
                self._workers = None

    def _say_how_long(self, mine: Sequence[tuple[Number, Plan]]) -> str:
        """Say how long *mine* take, before they begin, where that is long; what they are."""
        needs = {self._need(plan.steps[-1]) for _, plan in mine}
        runs = sum(isinstance(each, Step) for each in needs)
        seconds = len(needs) * self._seconds_of_run / min(self._count, len(os.sched_getaffinity(0)))
        what = f"{runs:,} runs and {len(needs) - runs:,} resumes after kills"
        if seconds >= _LONG:
            by = f" in {self._count} workers" if self._count > 1 else ""
            text = f"{what} take about {seconds:.0f} real s{by}, {self._seconds_of_run:.1f} s each"
            self._guide.begins("; ".join([f"sweep: {text}: {_FEWER}", *self._slow_starts]))
        return what

    def _part(self, plans: Sequence[Plan]) -> list[tuple[Number, Plan]]:
        """The *plans* that are to be run here, those first that have failed before."""
        keys = [plan.key for plan in plans]
        guide = self._guide
        if guide.replay:
            plans = [*plans, *self._following(plans, guide.replay)]
            keys = [plan.key for plan in plans]
            if guide.replay not in keys:
                guide.no_such_run(
                    f"sweep: function {self._name!r} has no run {guide.replay!r}: the key is of other code, of another "
                    f"payload, or of other points{did_you_mean(guide.replay, keys)}"
                )
                return []
            return [((False, 0, 0), plans[keys.index(guide.replay)])]
        numbers: Sequence[int] = range(len(plans))
        if guide.shard is not None:
            part, parts = guide.shard
            numbers = [number for number in numbers if number % parts == part - 1]
            if not numbers:
                raise ScfUsageError(
                    f"sweep: shard {part}/{parts} of function {self._name!r} is empty: there are {len(plans)} runs"
                )
        return self._first_failed([((False, number, 0), plans[number]) for number in numbers])

    @staticmethod
    def _following(plans: Sequence[Plan], key: str) -> Iterator[Plan]:
        """The runs that follow from *plans*, as far as one of them may have that *key*."""
        for plan in plans:
            if plan.is_graceful:
                yield replace(plan, cold=True)
                start = f"{plan.how}>{_FORCED.name}@{plan.steps[-1].point.shown}>"
                if key.startswith(f"{start}effect#"):
                    point = effect_named(key.removeprefix(start), plan.steps[-1].point)
                    yield Plan((*plan.steps, Step(point, _FORCED)))

    def _first_failed(self, plans: list[tuple[Number, Plan]]) -> list[tuple[Number, Plan]]:
        """*plans* in their order, but those first that have failed before."""
        order = {key: at for at, key in enumerate(self._guide.first)}
        return sorted(plans, key=lambda each: order.get(each[1].key, len(order)))

    def _run_all(
        self, mine: Sequence[tuple[Number, Plan]], runs: dict[Number, SweepRun], collecting: Collection[Number]
    ) -> str:
        """Make *mine* and what follows from them; why not all of them, where the time is over."""
        agenda = Agenda()
        for number, plan in mine:
            known = self._stopped.pop(plan, None)
            if known is None or self._guide.replay:
                agenda.add([self._job(number, plan, collects=number in collecting)])
            else:
                job, worker, made = known
                agenda.add_made(replace(job, number=number), worker, partial(_itself, made))
        ended = self._make_all(agenda, runs)
        if ended is None:
            agenda.add(self._cold_jobs(runs))
            ended = self._make_all(agenda, runs)
        return ended or ""

    def _job(self, number: Number, plan: Plan, *, collects: bool = False) -> Job:
        """The job to make the run of *plan*; where it is stopped with grace, the kills after that are to be known."""
        is_first_stop = len(plan.steps) == 1 and plan.is_graceful and not plan.cold and not self._guide.replay
        recorded = is_first_stop and self._follows_stops
        last, question = plan.steps[-1], self._runner.question
        plan = replace(plan, collects=collects, recorded=recorded, keeps=bool(self._guide.replay))
        lanes: tuple[Hashable, ...] = ()
        if last.by in self._powers:
            lanes = tuple((last.by, lane) for lane in self._powers[last.by].lanes(question, last))
        elif self._kills is not None and self._is_kill(plan) and self._kills.has(last.point):
            lanes = self._kills.lanes(question, last)
        return Job(next(self._names), number, plan, lanes)

    def _cold_jobs(self, runs: Mapping[Number, SweepRun]) -> list[Job]:
        """What follows from these *runs*: each distinct end of a graceful stop whose instance lived on is resumed by a
        cold start, too."""
        cold: list[tuple[Number, Plan]] = []
        ends: set[str] = set()
        for (_, number, _), run in sorted(runs.items()) if not self._guide.replay else ():
            end = run.outcome.end
            if end is not None and end not in ends:
                cold.append(((False, number, 1), replace(run.outcome.plan, collects=False, cold=True)))
                ends.update([end] if end else [])
        room = max(self._choice.limit - self._tried, 0)
        if len(cold) > room:
            self._notes.append(f"limit= leaves out {len(cold) - room:,} cold starts after graceful stops")
        self._planned += len(cold[:room])
        return [self._job(number, plan) for number, plan in self._first_failed(cold[:room])]

    def _make_all(self, agenda: Agenda, runs: dict[Number, SweepRun]) -> str | None:
        """Make what is on the *agenda*; why not all of it, which is empty where enough is known."""
        ended = self._count_all(agenda, runs)
        for came in self._made(agenda) if ended is None else ():
            ended = self._why_late(runs) if came is None else self._take(*came, runs)
            if ended is None:
                ended = self._count_all(agenda, runs)
            if ended is not None:
                break
        return ended

    def _why_late(self, runs: Mapping[Number, SweepRun]) -> str | None:
        return "the time limit of the test was near" if self._is_late() and len(runs) < self._planned else None

    def _made(self, agenda: Agenda) -> Iterator[tuple[Job, Made] | None]:
        """Make what is on the *agenda*, here or by workers; it is given as it comes, and None where nothing has."""
        if self._workers is None:
            while (job := agenda.next_for(0)) is not None:
                made = self._make(job)
                agenda.came(job, 0, partial(_itself, made))
                yield job, made
            return
        for found in self._workers.make(agenda.next_for):
            if found is None:
                yield None
                continue
            worker, job, answer = found
            run = None if answer.made is None else answer.made.run
            at_any_time = run is None or run.outcome.is_timeless
            agenda.came(job, worker, answer.counted, at_any_time=at_any_time, failed=answer.error is not None)
            yield None if answer.made is None else (job, answer.made)

    def _take(self, job: Job, made: Made, runs: dict[Number, SweepRun]) -> str | None:
        """Have the run of *job* be one of *runs*; why no other is to be made, which is empty where enough is known."""
        run = made.run
        if run is None:
            return None
        runs[job.number] = run
        self._failed += run.fails()
        self._guide.progress(len(runs), self._planned, self._failed)
        if self._request.until is not None and self._request.until(run):
            return ""
        return self._why_late(runs)

    def _count_all(self, agenda: Agenda, runs: dict[Number, SweepRun]) -> str | None:
        """What follows from those whose turn it is to count; why no other run is to be made, as above."""
        for job, worker, answer in agenda.counted():
            made = answer()
            if job.number not in runs:
                ended = self._take(job, made, runs)
                if ended is not None:
                    return ended
            self._notes += made.notes
            self._real_kills += made.real_kills
            self._real_seconds += made.real_seconds
            if made.run is not None and made.run.outcome.plan.collects and not job.is_first_stop:
                self._reaches(made.run.outcome)
            if made.kills:
                self._add_kills(agenda, job, worker, made.kills)
        return None

    def _add_kills(self, agenda: Agenda, job: Job, worker: int, kills: Sequence[tuple[Point, LeftBy]]) -> None:
        """Have those of *kills*, which come after the SIGTERM of *job*, tried next that leave something new."""
        new = [(point, left) for point, left in kills if left not in self._left]
        tried = new[: max(self._choice.limit - self._tried, 0)]
        self._beyond_limit += len(new) - len(tried)
        self._left.update(left for _, left in new)
        self._tried += len(tried)
        self._planned += len(tried)
        if not tried:
            agenda.forget(worker, job.name)
        jobs = []
        for at, (point, _) in enumerate(tried):
            plan = Plan((*job.plan.steps, Step(point, _FORCED)))
            number, is_last = (True, job.number[1], at), at == len(tried) - 1
            jobs.append(Job(next(self._names), number, plan, record=job.name, at=worker, is_last=is_last))
        agenda.add_next(jobs)

    def _make(self, job: Job) -> Made:
        """Make the run of *job*: here, or in a worker, where what changes in this object is that worker's alone."""
        for name in job.forget:
            self._kept.pop(name, None)
        notes, kills, seconds = len(self._notes), self._real_kills, self._real_seconds
        outcome = self._outcome_of(job)
        run = None if outcome is None else self._judged_run(outcome.plan, outcome)
        found: tuple[tuple[Point, LeftBy], ...] = ()
        if outcome is not None and job.record is None and outcome.record is not None and not outcome.record.problems:
            kept = Kills(outcome, self._left)
            found = tuple(kept.left_by)
            if found:
                self._kept[job.name] = kept
        made = Made(run, found, tuple(self._notes[notes:]), self._real_kills - kills, self._real_seconds - seconds)
        del self._notes[notes:]
        self._real_kills, self._real_seconds = kills, seconds
        return made

    def _outcome_of(self, job: Job) -> Outcome | None:
        if job.record is None and not job.is_first_stop:
            return self._outcome(job.plan)
        try:
            if job.record is None:
                return self._runner.run(job.plan, self._is_done)
            kills = self._kept.pop(job.record) if job.is_last else self._kept[job.record]
            return self._killed(kills, job.plan)
        except NotReachedError:
            if job.record is not None:  # else the run of this point itself says so
                self._leave_out(job.plan)
            return None

    @property
    def _is_job(self) -> bool:
        return self._request.question.function.runtime.is_job

    @property
    def _follows_stops(self) -> bool:
        """Whether kills after SIGTERMs are tried, from a record of each run that had one."""
        return self._kills is not None and _FORCED in self._hows

    def _is_late(self) -> bool:
        left = self._guide.seconds_left()
        return left is not None and left < _RESERVE

    def _made_again(self, made: Sequence[SweepRun]) -> Iterator[tuple[SweepRun, SweepRun]]:
        """Make the earliest run of each class once more: those that come to something else now, and what that is.

        A kill at a line or in a wait is a real one then, which says whether the record is right, where nothing but the
        main thread changes the directory. A kill at an effect is resumed from the same state once more.

        Not where one run is repeated, maybe in a debugger.
        """
        if self._request.until is not None:
            return
        if self._guide.replay:
            self._states.update((run.key, run.outcome.kept) for run in made if run.outcome.kept is not None)
            return
        by_kinds = (classes(made, kinds) for kinds in (FAILURES, FAILURES | {Kind.DOUBLED}))
        earliest = {alike.earliest.key: alike.earliest for found in by_kinds for alike in found[:_REPEATED]}
        for key, run in earliest.items():
            again = None if self._is_late() else self._run(replace(run.outcome.plan, keeps=True), anew=True)
            if again is not None and again.came_to != run.came_to:
                yield run, again
            elif again is not None and again.outcome.kept is not None:
                self._states[key] = again.outcome.kept

    def _with_surroundings(self, made: list[SweepRun]) -> list[SweepRun]:
        """*made*, where the earliest run of each class has the effects around its interruption.

        Of a handler in Python one more run, which is slower, names the library's functions that its lines have called
        in each effect of all of those that come after the same SIGTERM, or after none. So it does where the interrupted
        event has gone on after a SIGTERM, in a run for each.
        """
        if self._request.until is not None or not self._runner.question.function.runtime.can_be_recorded:
            return made
        by_kinds = (classes(made, kinds) for kinds in (FAILURES, FAILURES | {Kind.DOUBLED}, frozenset(Kind)))
        earliest = {alike.earliest.key: alike.earliest for found in by_kinds for alike in found[:_REPEATED]}
        records: dict[tuple[Step, ...], tuple[DiskRecord | None, int]] = {}
        for steps in dict.fromkeys(run.outcome.plan.steps[:-1] for run in earliest.values()):
            records[steps] = self._record_around(steps)
        return [
            replace(
                run,
                point=self._with_function(run.point, records.get(run.outcome.plan.steps[:-1], (None, 0))[0]),
                nearby=self._nearby(run, records) if run.key in earliest else None,
            )
            for run in made
        ]

    @staticmethod
    def _with_function(point: Point, record: DiskRecord | None) -> Point:
        """*point*, where it is an effect, with the library's function that has it."""
        if record is None or point.kind not in _NAMED_CALLS:
            return point
        function, file, line = record.function_at(point.kind, point.found.number, point.found.text)
        if not function:
            return point
        # the last point before it may be of a listener that has interrupted the line
        return replace(point, function=function, file=point.file if point.file.endswith(file) else file, line=line)

    def _nearby(
        self, run: SweepRun, records: Mapping[tuple[Step, ...], tuple[DiskRecord | None, int]]
    ) -> Surroundings | None:
        """The effects around the interruption of *run*; *records* are of what was before it, by its steps."""
        plan, point, found = run.outcome.plan, run.point, run.point.found
        before, stopped_at = records.get(plan.steps[:-1], (None, 0))
        if plan.steps[-1].by.kind == "graceful" and not self._ends_at_default(plan):
            record, begun = (None, 0) if run.outcome.stuck else self._record_around(plan.steps)
            return None if record is None else surroundings(record, begun, resumes=True, named=before)
        if before is None or not (self._runner.question.function.runtime.has_places or point.kind in _AT_EFFECTS):
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
        question = replace(self._runner.question, check=None, done=None, attempts=0)
        known = self._kills.record if self._kills is not None and not steps else None
        if (known is not None and not question.function.runtime.has_places) or self._is_late():
            return known, 0
        runner = Runner(question, self._bench.stages, self._runner.path, self._bench.scratch)
        try:
            made = runner.run(Plan(steps, collects=True, recorded=True, syncs=True, functions=True), lambda _: True)
        except (NotReachedError, CannotEndError):
            return known, 0
        record = made.record if made.record is not None and not made.record.problems else known
        return record, made.effects_before_stop

    def _evidence(self, undisturbed: Outcome) -> Evidence:
        """What repros of the findings are made of."""
        assert self._expected is not None
        assert undisturbed.began is not None
        return Evidence(
            self._request.question,
            undisturbed.began.environment or {},
            os.fspath(self._runner.path),
            undisturbed.kept,
            undisturbed.began.context,
            self._expected,
            self._ignored,
            self._bench.stages,
            self._bench.job_of,
            self._spoke_to,
            self._states,
        )

    # -- what it says of the sweep itself ------------------------------------------------------------------------------

    def _reaches(self, outcome: Outcome) -> None:
        """The lines of *outcome* were collected."""
        self._lines |= lines_of(outcome.points) | lines_of(outcome.resumed)
        self._collected += 1

    def _collecting(self, mine: Sequence[tuple[Number, Plan]]) -> set[Number]:
        """In which runs lines are collected: for each kind of interruption one in the middle and one at the end."""
        found: set[Number] = set()
        for how in self._hows if self._request.until is None else ():
            planned = [(number, plan.steps[0]) for number, plan in mine if len(plan.steps) == 1]
            made = {self._need(step): number for number, step in reversed(planned) if step.by == how}
            numbers = sorted(made.values())
            if numbers:
                found.update((numbers[len(numbers) // 2], numbers[-1]))
        return found

    def _check_mutate(self, request: Request) -> None:
        if request.mutate is not True:
            Given("mutate", request.mutate).has_to_be("True or False")
        if not request.question.function.runtime.has_places:
            Given("mutate", True).refuse("it goes with a handler in Python")
        if all(how.kind != "graceful" for how in self._hows):
            Given("mutate", True).refuse("it goes with how='graceful', as mutants are of what SIGTERM starts")

    def _with_mutants(self, swept: Swept, stopped: bool) -> tuple[Swept, bool]:
        """*swept*, with the mutants that were tried, where all runs were made; and whether Ctrl-C has come by now."""
        outcomes: list[MutantOutcome] = []
        notes = list(swept.notes)
        function = self._runner.question.function
        if swept.incomplete or stopped:
            notes.append(f"no mutants were tried, because {swept.incomplete or STOPPED}")
        elif self._guide.shard is not None:
            notes.append("a shard tries no mutants: they are compared with all runs")
        else:
            try:
                for each in tried(function, swept, self._bench.scratch, self._sweep_of, self._own_run):
                    if isinstance(each, str):
                        notes.append(each)
                    else:
                        outcomes.append(each)
            except KeyboardInterrupt:
                stopped = True
                notes.append(f"not all mutants were tried, because {STOPPED}")
        swept = replace(
            swept,
            mutants=tuple(outcomes),
            notes=tuple(notes),
            seconds=REAL.monotonic() - self._began,
        )
        return swept, stopped

    def _own_run(self, run: SweepRun, points: Iterable[Point]) -> SweepRun | None:
        """What the handler itself, which comes to *points*, does where a mutant's *run* was interrupted."""
        key = run.point.label, run.point.kind
        by = run.outcome.plan.steps[-1].by
        plans = (Plan((Step(point, by),), cold=run.cold) for point in points if (point.label, point.kind) == key)
        return next((self._run(plan) for plan in plans), None)

    def _sweep_of(self, trial: Trial) -> Swept:
        question = self._request.question
        roots = roots_of(trial.function)
        request = replace(
            self._request,
            question=replace(question, function=trial.function, roots=roots),
            how=self._hows if trial.second else [how for how in self._hows if how.kind == "graceful"],
            limit=min(self._choice.limit, _MUTANT_POINTS),
            mutate=False,
            workers=1,
            first_stops=_MUTANT_STOPS if trial.second else 0,
            until=trial.shows,
        )
        guide = Guide(seconds_left=self._guide.seconds_left)
        return _Sweeper(request, replace(self._bench, guide=guide)).sweep()

    # -- the undisturbed run -------------------------------------------------------------------------------------------

    def _undisturbed(self) -> Outcome:
        """The undisturbed run, made twice, and once more as it was where the two differ: then what differs is ignored.

        Another time and other ids may lead another way; that the same ones do is refused.
        """
        runtime = self._runner.question.function.runtime
        has_effects = any(how.kind in ("forced", "timeout") for how in self._hows)
        if not runtime.has_places and self._choice.which == "lines":
            has_effects = True  # a program is stopped with grace there, too
        errors = {how.error for how in self._hows} - {0}
        needs_syncs = errno.EIO in errors or any(how.kind == "power" for how in self._hows)
        has_effects |= needs_syncs or bool(errors)
        recorded = has_effects and runtime.can_be_recorded
        if not recorded:
            self._refuse_unrecorded("a container is not recorded")
        if has_effects and not recorded:
            self._about_effects.append(_OF_A_CONTAINER)
        began = REAL.monotonic()
        first_plan = Plan(collects=True, recorded=recorded, syncs=needs_syncs, keeps=True)
        first = self._runner.run(first_plan, lambda _: True)
        self._seconds_of_run = REAL.monotonic() - began
        self._require_finished(first)
        self._runner.draws_as(first)
        began = REAL.monotonic()
        second = third = self._runner.run(Plan(collects=True, another=True, recorded=recorded), lambda _: True)
        self._seconds_of_run = min(self._seconds_of_run, REAL.monotonic() - began)  # the machine may have paused in one
        self._require_finished(second)
        at = first_difference(first.points, second.points)
        if at is not None or first.effects != second.effects or _differs_in_effects(first, second) is not None:
            third = self._runner.run(Plan(collects=True, recorded=recorded), lambda _: True)
            self._require_finished(third)
            self._require_same_points(first, third)
            self._require_same_effects(first, third)
        if at is not None:
            self._notes.append(
                f"with another start time and other request ids the handler takes another path from point {at + 1} on"
            )
        self._reaches(first)
        self._reaches(second)
        if first.record is not None:
            if first.record.problems:
                self._refuse_unrecorded(first.record.problems[0])
            self._about_effects += first.record.remarks()
            self._spoke_to = next((each.paths[0] for each in first.record.effects if each.said), "")
            if not first.record.problems:
                self._kills = Kills(first, errors=errors)
                question = self._runner.question
                if not any((question.check, question.done, question.retry)):  # these have the log of what was killed
                    self._left = self._kills.leave
                self._add_powers(first, self._kills)
        self._say_what_starts_spend(first)
        self._expected = first.effects
        self._ignored = legitimate_differences(first.effects, second.effects, self._by_user)
        ignore_rest(first.effects, third.effects, self._ignored)
        self._require_compared(first)
        return replace(first, lived=None, record=None)

    def _say_what_starts_spend(self, undisturbed: Outcome) -> None:
        code = self._request.question.function.code_to_run()
        script = code.entry if self._is_job else ""
        self._slow_starts = list(cold_start_texts(undisturbed.slow_lines, code.directory, script))
        self._notes += self._slow_starts

    def _refuse_unrecorded(self, why: str) -> None:
        """Refuse interruptions that need a record, if there are some."""
        how = next((how for how in self._hows if how.kind == "power" or how.error), None)
        if how is not None:
            shown = "'power'" if how.kind == "power" else f"fault({how.failure!r})"
            raise ScfUsageError(
                f"sweep: how={shown} needs a record of what function {self._name!r} changes in run.path, and there is "
                f"none: {why}"
            )

    def _add_powers(self, undisturbed: Outcome, kills: Kills) -> None:
        for how in self._hows:
            if how.file_system is not None:
                known = kills.leave if _FORCED in self._hows else set[LeftBy]()
                powers = self._powers[how] = PowerFailures(undisturbed, how.file_system, known)
                self._about_effects += powers.remarks()
                if powers.is_thinned:
                    self._notes.append(_THINNED)

    def _require_compared(self, outcome: Outcome) -> None:
        assert outcome.began is not None
        compared = self._in = compared_in(outcome.effects, outcome.began.stored, self._ignored)
        nothing = self._request.compares_nothing
        if nothing and compared.effects:
            raise ScfUsageError(
                f"sweep: compares_nothing=True, and something that function {self._name!r} does is compared: "
                f"{shortened_list(compared.effects, NAMED)}; leave compares_nothing= out"
            )
        if not (nothing or compared.effects or self._runner.question.check is not None):
            if outcome.record is not None and outcome.record.is_daemon:
                left = f"function {self._name!r} has left run.path as it was"
                raise ScfUsageError(f"sweep: {left}, and a sweep does not see {OF_A_DAEMON}")
            is_told = self._request.question.function.runtime.takes_run_path
            why = why_nothing(outcome.effects, outcome.began, outcome.points, self._runner.path, is_told=is_told)
            raise ScfUsageError(f"sweep: nothing that function {self._name!r} does is compared: {why}. {_COMPARE}")

    def _require_finished(self, outcome: Outcome) -> None:
        first, codes = outcome.attempts[0], self._request.question.done_codes
        if (outcome.done and len(outcome.attempts) == 1) if codes else first.status == Status.FINISHED:
            return
        if codes:
            raise ScfUsageError(
                f"sweep: the undisturbed run of function {self._name!r} has not exited with "
                f"{' or '.join(map(str, codes))}, which says that its work is done (done=): "
                f"{first.message or f'it ended {first.status}'}{self._hint(first)}{_LACKS}"
            )
        shared = _READ_ONLY.search(first.message)
        if shared is not None:
            raise ScfUsageError(
                f"sweep: function {self._name!r} writes to {shared['path']}, which all runs would share; have it write "
                "to run.path, which each run has for itself: each_run yields {'OUT': str(run.path)}"
            )
        where = f" at {first.place}" if first.place else ""
        raise ScfUsageError(
            f"sweep: the undisturbed run of function {self._name!r} ended {first.status} ({first.status_code}){where} "
            f"with {first.message}; it has to be FINISHED, as all other runs are compared with it"
            f"{self._hint(first)}{_LACKS * self._is_job}"
        )

    def _hint(self, first: Attempt) -> str:
        name = first.variable
        return f". Its environment has no {name}: {self._guide.sets(name)}, if that is where it writes" if name else ""

    def _require_same_points(self, one: Outcome, other: Outcome) -> None:
        at = first_difference(one.points, other.points)
        if at is None:
            return
        shown = [points[at].label if at < len(points) else "its end" for points in (one.points, other.points)]
        raise ScfUsageError(
            f"sweep: function {self._name!r} does not behave the same in each run: run 1 reached {len(one.points):,} "
            f"points, run 2 {len(other.points):,}; the first difference is point {at + 1}: {shown[0]} in run 1, "
            f"{shown[1]} in run 2. {SAME}"
        )

    def _require_same_effects(self, one: Outcome, other: Outcome) -> None:
        at = _differs_in_effects(one, other)
        if at is None:
            return
        found = [outcome.record.effects for outcome in (one, other) if outcome.record is not None]
        shown = [effects[at].text if at < len(effects) else "its end" for effects in found]
        raise ScfUsageError(
            f"sweep: function {self._name!r} does not behave the same in each run: run 1 had {len(found[0]):,} "
            f"effects, run 2 {len(found[1]):,}; the first difference is effect#{at + 1}: {shown[0]} in run 1, "
            f"{shown[1]} in run 2. {SAME}"
        )

    # -- what is run ---------------------------------------------------------------------------------------------------

    def _plans(self, reached: Sequence[Point]) -> tuple[list[Plan], int]:
        """The runs that are to be made, and how many points there are for them."""
        second, stops = self._second_points(reached)
        tried = [point for point in (*reached, *second) if any(self._applies(how, point) for how in self._hows)]
        limit = self._choice.limit
        kept = limit // _COLD_PART if any(how.kind == "graceful" for how in self._hows) else 0
        picked = chosen(tried, limit - kept, self._needs)
        self._picked = len(picked)
        self._tried = len(set().union(*map(self._needs, picked)))
        for how in self._hows:
            if not any(self._applies(how, point) for point in tried):
                self._about_effects.append(f"{how.name} (the handler reached no point for it)")
        plans = []
        for point in picked:
            for how in self._hows:
                if not self._applies(how, point):
                    continue
                step = Step(point, how)
                plans.append(Plan((step,) if point.after is None else (stops[point.after], step)))
        return plans, len(tried)

    def _needs(self, point: Point) -> set[object]:
        """Names the runs and resumes that say what comes of the interruptions at *point*."""
        return {self._need(Step(point, how)) for how in self._hows if self._applies(how, point)}

    def _need(self, step: Step) -> object:
        kills = self._powers.get(step.by, self._kills)
        is_kill = step.by.kind in ("forced", "timeout", "power") or self._ends_at_default(Plan((step,)))
        known = kills is not None and is_kill and kills.has(step.point)
        return kills.key(self._runner.question, step) if kills is not None and known else step

    def _ends_at_default(self, plan: Plan) -> bool:
        """Whether *plan* is a SIGTERM to which nobody listens: 439, and a kill."""
        step = plan.steps[-1]
        return len(plan.steps) == 1 and not plan.cold and self._kills is not None and self._kills.ends_at_default(step)

    def _applies(self, how: Interruption, point: Point) -> bool:
        """Whether *point* is one for that interruption: kills after a SIGTERM come from the run that had it."""
        if how.kind == "power" or point.kind == "power":
            return how in self._powers and self._powers[how].has(point)
        if how.error:
            return self._kills is not None and self._kills.may_fail(point, how.error)
        if self._kills is None or how.kind not in ("forced", "timeout"):
            return _applies(how, point)
        if point.kind == "effect" and how.kind == "timeout":
            return point.forced and self._kills.may_time_out(point)
        return _applies(how, point) and not (how == _FORCED and point.after is not None)

    def _second_points(self, reached: Sequence[Point]) -> tuple[list[Point], dict[Point, Step]]:
        """The points that come after a SIGTERM which a handler has had: its own lines, and those of the shutdown.

        With them the first stops that lead there. What follows depends on where the first stop was: of those after
        which the handler comes to the same points the first and the last are kept, as more is under way at the last.
        """
        by = next((how for how in self._hows if how.name == "graceful"), None)
        if by is None or not self._runner.question.function.runtime.has_places:
            return [], {}
        ways: dict[tuple[str, ...], list[tuple[Step, Outcome]]] = {}
        stops = _FIRST_STOPS if self._request.first_stops is None else self._request.first_stops
        listened = [each for each in reached if each.graceful and not self._ends_at_default(Plan((Step(each, by),)))]
        collecting = {"collects": True, "recorded": self._follows_stops}
        agenda = Agenda(
            Job(next(self._names), (False, at, 0), Plan((Step(point, by),), **collecting), is_first_stop=True)
            for at, point in enumerate(first_turns(listened, stops))
        )
        for _ in self._made(agenda):
            for job, worker, answer in agenda.counted():
                made = answer()
                if made.run is None:
                    continue
                (step,), outcome = job.plan.steps, made.run.outcome
                self._reaches(outcome)
                self._stopped[Plan((step,))] = job, worker, made
                if outcome.listened and not outcome.stuck:
                    way = tuple(each.label for each in outcome.points)
                    ways[way] = [*ways.get(way, [])[:1], (step, outcome)]
        kept = [stop for alike in ways.values() for stop in alike]
        found = [replace(each, after=step.point) for step, outcome in kept for each in outcome.points]
        return self._choice.candidates(found), {step.point: step for step, _ in kept}

    def _run(self, plan: Plan, *, anew: bool = False) -> SweepRun | None:
        outcome = self._outcome(plan, anew=anew)
        if outcome is None:
            return None
        if plan.collects:
            self._reaches(outcome)
        return self._judged_run(outcome.plan, outcome)

    def _outcome(self, plan: Plan, *, anew: bool = False) -> Outcome | None:
        """What the run of *plan* comes to; None, with a note, where it did not come to its second termination again.

        What a handler does after the first one may depend on real time, where the undisturbed run does not. Several
        threads or processes may have their effects in another order, and with another number of each. What is
        known of a kill from another point of the same state does for it, unless the run is made *anew*.
        """
        last = plan.steps[-1]
        try:
            is_kill = self._is_kill(plan)
            is_real = anew and last.point.kind != "effect" and not self._about_effects
            if last.by in self._powers:
                outcome = self._powers[last.by].outcome(self._runner, plan, self._is_done, anew=anew)
            elif is_kill and not is_real and self._kills is not None and self._kills.has(last.point):
                outcome = self._kills.outcome(self._runner, plan, self._is_done, anew=anew)
            elif last.point.kind == "effect" and last.point.after is not None:
                outcome = self._killed_after_stop(plan)
            elif is_kill and self._kills is not None and self._kills.is_real(last.point):
                outcome = self._killed_for_real(plan)
            else:
                outcome = self._runner.run(plan, self._is_done)
        except NotReachedError as error:
            is_call = last.point.kind in _NAMED_CALLS
            if len(plan.steps) > 1 or (is_call and self._kills and self._kills.has_several_threads):
                self._leave_out(plan)
                return None
            raise ScfUsageError(
                f"sweep: function {self._name!r} does not behave the same in each run: it did not come to "
                f"{last.point.shown} again. {SAME}\n{error}"
            ) from None
        return outcome

    def _is_kill(self, plan: Plan) -> bool:
        """Whether *plan* has one interruption, of which the record of the undisturbed run may say what comes of it."""
        is_forced = plan.steps[-1].by == _FORCED or plan.is_killed_at_effect
        return (len(plan.steps) == 1 and is_forced) or self._ends_at_default(plan)

    def _killed_after_stop(self, plan: Plan) -> Outcome:
        """A kill at an effect that comes after a SIGTERM, from a record that is made for it."""
        stopped = self._runner.run(Plan(plan.steps[:-1], recorded=True), self._is_done)
        kills = Kills(stopped)
        step = Step(kills.effect(plan.steps[-1].point.label), _FORCED)
        return self._killed(kills, replace(plan, steps=(*plan.steps[:-1], step)))

    def _killed(self, kills: Kills, plan: Plan) -> Outcome:
        """What comes of a kill of which *kills* has the point."""
        if kills.has(plan.steps[-1].point):
            return kills.outcome(self._runner, plan, self._is_done)
        return self._killed_for_real(plan)

    def _leave_out(self, plan: Plan) -> None:
        self._notes.append(f"{plan.key} was left out: this time the run did not reach its point")

    def _killed_for_real(self, plan: Plan) -> Outcome:
        began = REAL.monotonic()
        outcome = self._runner.run(plan, self._is_done)
        self._real_kills += 1
        self._real_seconds += REAL.monotonic() - began
        return outcome

    def _judged_run(self, plan: Plan, outcome: Outcome) -> SweepRun:
        differences = self._judged(plan, outcome)
        # A record may be large.
        kept = replace(outcome.without_event(has_timeline=bool(differences)), lived=None, record=None)
        return SweepRun(plan.steps[-1].point, plan.how, differences, kept)

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def _is_done(self, event: AsyncEvent) -> bool:
        """Whether *event*, which is FINISHED, has the result of the undisturbed run."""
        result = event._event.result_text if event._event.content is None else event._event.content
        if result is None:
            return False
        known = self._results.get(result)
        if known is None:
            assert self._expected is not None
            expected = Effects(result=self._expected.result, has_result=self._expected.has_result)
            found = Effects(result=json.loads(result) if isinstance(result, str) else as_json(result), has_result=True)
            known = self._results[result] = not compare(expected, found, self._ignored)
        return known

    def _how_late(self, plan: Plan, outcome: Outcome) -> tuple[str, str] | None:
        """Within what a graceful stop had to end, and when it did; None: in time.

        One that only the function's timeout has ended is late, as where a listener waits for a lock of the code that
        it interrupts.
        """
        if outcome.stop_us is None or all(step.by.kind != "graceful" for step in plan.steps):
            return None
        seconds = f"{outcome.stop_us / 1e6:g} s"
        if outcome.attempts[0].status_code == _TIMED_OUT and all(step.by.kind != "timeout" for step in plan.steps):
            return "before the function's timeout", seconds
        within_us = self._within_us
        return None if within_us is None or outcome.stop_us <= within_us else (f"within {within_us / 1e6:g} s", seconds)

    def _judged(self, plan: Plan, outcome: Outcome) -> tuple[Difference, ...]:
        assert self._expected is not None
        found: list[Difference] = []
        last = outcome.attempts[-1]
        has_failed = last.status != Status.FINISHED or bool(self._request.question.done_codes)
        unfinished = not outcome.done and (bool(outcome.stuck) or has_failed)
        if unfinished:
            shown = outcome.stuck or f"{last.status} ({last.status_code})"
            events = len(outcome.attempts)
            part = Part("value", f"{events} event{'s' * (events != 1)}", shown)
            found.append(Difference(Kind.NEVER_FINISHES, EffectKind.EVENTS, "", (), (part,)))
        if outcome.check:
            found.append(Difference(Kind.FAILED_CHECK, EffectKind.CHECK, "", (), (Part("value", "", outcome.check),)))
        if late := self._how_late(plan, outcome):
            found.append(Difference(Kind.LATE, EffectKind.STOP, "", (), (Part("value", *late),)))
        if unfinished:  # what is not there yet is no other finding
            return tuple(found)
        digest = outcome.effects.digest()
        differences = self._compared.get(digest)
        if differences is None:
            differences = tuple(compare(self._expected, outcome.effects, self._ignored))
            self._compared[digest] = differences
        return (*found, *differences)


def _for(function: FunctionVersion, how: Interruption) -> Interruption:
    """*how*, with the file system that fits *function*, where that is not said."""
    if how.kind != "power" or how.file_system is not None:
        return how
    return power("posix" if function.runtime.is_job else "nfs")


def _itself(made: Made) -> Made:
    return made


def _differs_in_effects(one: Outcome, other: Outcome) -> int | None:
    """The index of the first effect that is not the same in both, where they were recorded."""
    if one.record is None or other.record is None or one.record.problems or other.record.problems:
        return None
    return one.record.first_difference(other.record)


def _applies(how: Interruption, point: Point) -> bool:
    """Whether *point* is one for that interruption."""
    if how.failure is not None:
        return point.kind == FAULTS[how.failure][0]
    if point.kind == "effect" and how.kind != "graceful":
        return how == _FORCED and point.forced
    return point.graceful if how.kind == "graceful" else point.forced


def roots_of(function: FunctionVersion) -> tuple[str, ...]:
    """The directories in which an instance of *function* may find its code, that in layers included."""
    layers = function.configuration.layers
    of_layers = (*filter(os.path.isdir, layers), OPT) if layers else ()
    return tuple(dict.fromkeys((function.code_to_run().directory, function.code.directory, USER_CODE, *of_layers)))


def _about_layers(function: FunctionVersion, bench: Bench) -> Iterator[str]:
    layers = function.configuration.layers
    if layers and not (len(layers) == 1 and os.path.isdir(layers[0])) and bench.why_unmounted():
        yield "lines of layers (without mount namespaces each run has them elsewhere)"


def _libraries_in_layers(function: FunctionVersion) -> Iterator[str]:
    """Patterns of files in layers that are a library's, and not the user's own."""
    for name in sorted(installed_in(function.configuration.layers)):
        if not os.path.exists(os.path.join(function.code.directory, name)):  # that one is found first
            yield name if name.endswith(".py") else f"{name}/*"


def scratch_of(directory: str) -> Path:
    """A new directory for a sweep below *directory*, always of the same length and name but for its number."""
    for number in itertools.count():
        path = Path(directory, f"sweep-{number:04}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError
