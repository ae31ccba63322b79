"""The shutdown sweep: run a handler undisturbed, then interrupt it at each of its points, and find what is lost."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import Given, ScfUsageError, calls_named, did_you_mean, hidden_from_users, keywords_named
from ..protocol.real_time import REAL
from .agenda import Agenda, Here, Job, Made, Number
from .compared import Compared
from .differences import Kind
from .findings import FAILURES, HARMFUL, STOPPED, Evidence, FailureClass, MutantOutcome, SweepRun, Swept, classes
from .guide import Guide
from .interruptions import FORCED
from .judge import Judge
from .kills import LeftBy
from .making import Maker
from .mutating import Trial, tried
from .nearby import Nearby
from .points import Point, Which, available, chosen, first_turns, recorded_point
from .reached import lines_of, not_reached
from .report import sweep_text
from .repro import with_repros
from .request import Bench, Request, roots_of
from .run import Outcome, Plan, Runner, Step
from .undisturbed import Undisturbed

if TYPE_CHECKING:
    from pathlib import Path

    from .repairs.found import Repairs
    from .workers import Workers

__tracebackhide__ = hidden_from_users

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


@calls_named
class Sweep:
    """The findings of a sweep: its points, its runs, and which of them lost something."""

    def __init__(self, swept: Swept, request: Request, bench: Bench) -> None:
        self._swept = swept
        self._request, self._bench = request, bench
        self._guide = bench.guide

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
        self._require(HARMFUL)

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

    @keywords_named("repairs(...)")
    def repairs(self, *, budget: float = 60.0, exactly_once: bool = False) -> Repairs:
        """Search for changes of the code that survive all that was found, for *budget* real seconds at most.

        Templates propose changes around the lines that are blamed. Each is tried in a copy of the code with the whole
        sweep; the files stay as they are. A repair survives all interruptions, does the same undisturbed, and hides
        nothing. With *exactly_once* it has to do nothing twice, either. Call this while the runtime of the sweep is
        open. Ctrl-C ends the search, as it ends the test. Raises ``ScfUsageError`` for another budget, and if that
        runtime is closed.
        """
        from .repairs.trying import search  # noqa: PLC0415  (most sweeps need none)

        given: object = budget
        if not isinstance(given, (int, float)) or not 0 <= given < math.inf:
            Given("budget", given).has_to_be("a number of real seconds, 0 or more")
        if not os.path.isdir(self._bench.scratch):
            raise ScfUsageError("repairs(): the runtime of the sweep is closed: call it in the test of the sweep")
        self._guide.asked()
        of = _sweep_of, _mutants_of
        return search(self._request, self._bench, self._swept, budget, exactly_once=exactly_once, by=of)

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
    return Sweep(_sweep_of(request, bench), request, bench)


def _sweep_of(request: Request, bench: Bench) -> Swept:
    try:
        return _Sweeper(request, bench).sweep()
    except _RecordMisleadsError:
        return _Sweeper(replace(request, misleads=True), bench).sweep()


def _mutants_of(request: Request, bench: Bench, swept: Swept) -> Swept:
    """*swept*, which is of the same request, with the mutants."""
    found, stopped = _Sweeper(request, bench)._with_mutants(swept, stopped=False)
    if stopped:
        raise KeyboardInterrupt
    return found


class _RecordMisleadsError(Exception):
    """A real kill has come to something else than the record says.

    What a handler reads may be something that files have and a record has not.
    """


class _Sweeper:
    """Plans the runs of one sweep, has them made in their order, and sums up what they have come to."""

    _workers: Workers | Here
    """Make the runs."""
    _failed = 0
    """How many runs have failed."""
    _beyond_limit = 0
    """How many kills after a SIGTERM ``limit=`` leaves out."""
    _real_kills = 0
    """How many of the kills from a connect on are real runs, ..."""
    _real_seconds = 0.0
    """... and how many real seconds these took."""
    _planned = _picked = _tried = 0

    def __init__(self, request: Request, bench: Bench) -> None:
        self._request, self._bench, self._guide = request, bench, bench.guide
        self._began = REAL.monotonic()
        self._count = request.workers
        self._names = itertools.count()
        self._runner = runner = Runner(request.question, bench.stages, bench.directory / "run", bench.scratch)
        undisturbed = self._undisturbed = Undisturbed(request, runner, bench)
        self._notes, self._about_effects = undisturbed.notes, undisturbed.about_effects
        self._records = undisturbed.records
        self._lines, self._collected = undisturbed.lines, 2
        self._stopped: dict[Plan, tuple[Job, int, Made]] = {}
        """What is known of graceful stops before their turn comes, and by which worker."""
        kills = undisturbed.records.kills
        self._left: set[LeftBy] = set() if kills is None or request.question.looks_at_event else kills.leave
        """What kills leave that are known by now."""
        judge = Judge(request, undisturbed.outcome.effects, undisturbed.ignored)
        self._maker = Maker(request, runner, self._records, judge, left=self._left)
        self._workers = Here(self._maker.make)
        self._states: dict[str, Path] = {}
        """Copies of directories, by the keys of runs."""

    def sweep(self) -> Swept:
        """Make it, and tell the guide what it has come to."""
        request = self._request
        points = self._records.points(self._undisturbed.outcome.points)
        candidates = request.choice.candidates(points)
        runs: dict[Number, SweepRun] = {}
        self._count = self._count or self._fitting(candidates)
        with self._by_workers():
            plans, reached = self._plans(candidates)
            mine = self._part(plans)
            self._planned = len(mine)
            what, runs_began = self._say_how_long(mine), REAL.monotonic()
            try:
                incomplete = self._run_all(mine, runs, self._collecting(mine))
            except KeyboardInterrupt:
                incomplete = STOPPED
        seconds = REAL.monotonic() - runs_began
        if seconds >= _LONG and not incomplete:
            self._notes.append(f"{what} took {seconds:.0f} real s: {_FEWER}")
        swept, stopped = self._looked_around(self._summed_up(runs, reached, incomplete), stopped=incomplete == STOPPED)
        if request.choice.include and not candidates:
            swept = replace(swept, available=available(points, request.choice.include))
        if any(run.fails(HARMFUL) for run in swept.runs):
            swept = self._with_advice(swept)
        if request.mutate and not self._guide.replay:
            swept, stopped = self._with_mutants(swept, stopped)
        self._guide.finished(swept)
        if stopped:
            raise KeyboardInterrupt
        return swept

    def _summed_up(self, runs: Mapping[Number, SweepRun], reached: int, incomplete: str) -> Swept:
        """What *runs* have come to, which were planned for *reached* points."""
        request, undisturbed = self._request, self._undisturbed
        return Swept(
            request.function.configuration.name,
            reached + sum(is_kill for is_kill, _, _ in runs) + self._beyond_limit,
            tuple(runs[number] for number in sorted(runs)),
            undisturbed.outcome,
            undisturbed.compared,
            tuple(undisturbed.ignored.names),
            tuple(how.name for how in request.hows),
            incomplete=incomplete,
            planned=self._planned,
            left_out=reached - self._picked + self._beyond_limit,
            test=self._guide.test,
            about_effects=(*_elsewhere(request.choice.which), *self._about_effects),
            several_writers=self._records.several_writers,
            is_job=request.function.runtime.is_job,
        )

    def _looked_around(self, swept: Swept, *, stopped: bool) -> tuple[Swept, bool]:
        """*swept*, with what more runs say of its findings, where all were made; and whether Ctrl-C has come by now."""
        try:
            if not swept.incomplete:
                swept = replace(swept, unlike=tuple(self._made_again(swept.runs)))
                swept = replace(swept, runs=self._with_surroundings(swept.runs))
                swept = replace(swept, not_reached=tuple(not_reached(self._request.question.roots, self._lines)))
        except KeyboardInterrupt:  # what the runs have found is not lost by it
            stopped = True
            self._notes.append(f"the lines that no run reached are not listed, because {STOPPED}")
        if self._real_kills:
            assert self._records.kills is not None
            since, because, _ = self._records.kills.why_real
            self._notes.append(
                f"{self._real_kills:,} kills{since} were real runs, because {because}; "
                f"they took {self._real_seconds:.1f} real s"
            )
        seconds = REAL.monotonic() - self._began
        return replace(swept, seconds=seconds, notes=tuple(self._notes), collected=self._collected), stopped

    def _fitting(self, points: Sequence[Point]) -> int:
        """How many workers there are to be where nobody says it: one a core, where runs at *points* take long."""
        runtime = self._request.function.runtime
        seconds = len(set[object]().union(*map(self._needs, points))) * self._undisturbed.seconds
        if seconds < _LONG or runtime.shares_tmp or self._bench.why_unmounted():
            return 1
        return len(os.sched_getaffinity(0))

    @contextlib.contextmanager
    def _by_workers(self) -> Iterator[None]:
        """Have the runs of this block made by workers, if there are to be some; the one run of a key needs none."""
        if self._count == 1 or self._guide.replay:
            yield
            return
        from .workers import Workers  # noqa: PLC0415  (few sweeps have some)

        path = os.fspath(self._runner.path)
        bench, make = self._bench, self._maker.make
        with Workers(self._count, path, bench.why_unmounted, make, bench.forked) as workers:
            self._workers = workers
            try:
                yield
            finally:
                self._workers = Here(self._maker.make)

    def _say_how_long(self, mine: Sequence[tuple[Number, Plan]]) -> str:
        """Say how long *mine* take, before they begin, where that is long; what they are."""
        needs = {self._records.need(plan.steps[-1]) for _, plan in mine}
        runs = sum(isinstance(each, Step) for each in needs)
        seconds = len(needs) * self._undisturbed.seconds / min(self._count, len(os.sched_getaffinity(0)))
        what = f"{runs:,} runs and {len(needs) - runs:,} resumes after kills"
        if seconds >= _LONG:
            by = f" in {self._count} workers" if self._count > 1 else ""
            text = f"{what} take about {seconds:.0f} real s{by}, {self._undisturbed.seconds:.1f} s each"
            self._guide.begins("; ".join([f"sweep: {text}: {_FEWER}", *self._undisturbed.slow_starts]))
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
                    f"sweep: function {self._request.name!r} has no run {guide.replay!r}: the key is of other code, of "
                    f"another payload, or of other points{did_you_mean(guide.replay, keys)}"
                )
                return []
            return [((False, 0, 0), plans[keys.index(guide.replay)])]
        numbers: Sequence[int] = range(len(plans))
        if guide.shard is not None:
            part, parts = guide.shard
            numbers = [number for number in numbers if number % parts == part - 1]
            if not numbers:
                raise ScfUsageError(
                    f"sweep: shard {part}/{parts} of function {self._request.name!r} is empty: there are "
                    f"{len(plans)} runs"
                )
        return self._first_failed([((False, number, 0), plans[number]) for number in numbers])

    @staticmethod
    def _following(plans: Sequence[Plan], key: str) -> Iterator[Plan]:
        """The runs that follow from *plans*, as far as one of them may have that *key*."""
        for plan in plans:
            if plan.is_graceful:
                yield replace(plan, cold=True)
                start = f"{plan.how}>{FORCED.name}@{plan.steps[-1].point.shown}>"
                if key.startswith(f"{start}effect#") or key == f"{start}end":
                    point = recorded_point(key.removeprefix(start), plan.steps[-1].point)
                    yield Plan((*plan.steps, Step(point, FORCED)))

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
                agenda.add_made(replace(job, number=number), worker, made)
        ended = self._make_all(agenda, runs)
        if ended is None:
            agenda.add(self._cold_jobs(runs))
            ended = self._make_all(agenda, runs)
        return ended or ""

    def _job(self, number: Number, plan: Plan, *, collects: bool = False) -> Job:
        """The job to make the run of *plan*; where it is stopped with grace, the kills after that are to be known."""
        is_first_stop = len(plan.steps) == 1 and plan.is_graceful and not plan.cold and not self._guide.replay
        recorded = is_first_stop and self._follows_stops and not self._records.ends_at_default(plan)
        plan = replace(plan, collects=collects, recorded=recorded, keeps=bool(self._guide.replay))
        return Job(next(self._names), number, plan, self._records.lanes(plan))

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
        room = max(self._request.choice.limit - self._tried, 0)
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
        for found in self._workers.make(agenda.next_for):
            if found is None:
                yield None
                continue
            _, job, answer = found
            agenda.came(*found)
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
        for job, worker, made in agenda.counted():
            if job.number not in runs:
                ended = self._take(job, made, runs)
                if ended is not None:
                    return ended
            if not job.is_first_stop:
                self._note(made)
            if made.kills:
                self._add_kills(agenda, job, worker, made.kills)
        return None

    def _add_kills(self, agenda: Agenda, job: Job, worker: int, kills: Sequence[tuple[Point, LeftBy]]) -> None:
        """Have those of *kills*, which come after the SIGTERM of *job*, tried next that leave something new."""
        new = [(point, left) for point, left in kills if left not in self._left]
        tried = new[: max(self._request.choice.limit - self._tried, 0)]
        self._beyond_limit += len(new) - len(tried)
        self._left.update(left for _, left in new)
        self._tried += len(tried)
        self._planned += len(tried)
        if not tried:
            agenda.forget(worker, job.name)
        jobs = []
        for at, (point, _) in enumerate(tried):
            plan = Plan((*job.plan.steps, Step(point, FORCED)))
            number, is_last = (True, job.number[1], at), at == len(tried) - 1
            jobs.append(Job(next(self._names), number, plan, record=job.name, at=worker, is_last=is_last))
        agenda.add_next(jobs)

    def _collecting(self, mine: Sequence[tuple[Number, Plan]]) -> set[Number]:
        """In which runs lines are collected: for each kind of interruption one in the middle and one at the end."""
        found: set[Number] = set()
        for how in self._request.hows if self._request.until is None else ():
            planned = [(number, plan.steps[0]) for number, plan in mine if len(plan.steps) == 1]
            made = {self._records.need(step): number for number, step in reversed(planned) if step.by == how}
            numbers = sorted(made.values())
            if numbers:
                found.update((numbers[len(numbers) // 2], numbers[-1]))
        return found

    # -- what is planned -----------------------------------------------------------------------------------------------

    def _plans(self, reached: Sequence[Point]) -> tuple[list[Plan], int]:
        """The runs that are to be made, and how many points there are for them."""
        second, stops = self._second_points(reached)
        tried = [
            point
            for point in (*reached, *second)
            if any(self._records.applies(how, point) for how in self._request.hows)
        ]
        limit = self._request.choice.limit
        kept = limit // _COLD_PART if any(how.kind == "graceful" for how in self._request.hows) else 0
        picked = chosen(tried, limit - kept, self._needs)
        self._picked = len(picked)
        self._tried = len(set().union(*map(self._needs, picked)))
        for how in self._request.hows:
            if not any(self._records.applies(how, point) for point in tried):
                self._about_effects.append(f"{how.name} (the handler reached no point for it)")
        plans = []
        for point in picked:
            for how in self._request.hows:
                if not self._records.applies(how, point):
                    continue
                step = Step(point, how)
                plans.append(Plan((step,) if point.after is None else (stops[point.after], step)))
        return plans, len(tried)

    def _second_points(self, reached: Sequence[Point]) -> tuple[list[Point], dict[Point, Step]]:
        """The points that come after a SIGTERM which a handler has had: its own lines, and those of the shutdown.

        With them the first stops that lead there. What follows depends on where the first stop was: of those after
        which the handler comes to the same points the first and the last are kept, as more is under way at the last.
        """
        by = next((how for how in self._request.hows if how.name == "graceful"), None)
        if by is None or not self._request.function.runtime.has_places:
            return [], {}
        ways: dict[tuple[str, ...], list[tuple[Step, Outcome]]] = {}
        stops = _FIRST_STOPS if self._request.first_stops is None else self._request.first_stops
        listened = [
            each
            for each in reached
            if each.graceful
            and each.kind != "library"  # what it does next shows at the points of its own code around it
            and not self._records.ends_at_default(Plan((Step(each, by),)))
        ]
        collecting = {"collects": True, "recorded": self._follows_stops}
        agenda = Agenda(
            Job(next(self._names), (False, at, 0), Plan((Step(point, by),), **collecting), is_first_stop=True)
            for at, point in enumerate(first_turns(listened, stops))
        )
        for _ in self._made(agenda):
            for job, worker, made in agenda.counted():
                if made.run is None:
                    continue
                (step,), outcome = job.plan.steps, made.run.outcome
                self._note(made)
                self._stopped[Plan((step,))] = job, worker, made
                if outcome.listened and not outcome.stuck:
                    way = tuple(each.label for each in outcome.points)
                    ways[way] = [*ways.get(way, [])[:1], (step, outcome)]
        kept = [stop for alike in ways.values() for stop in alike]
        found = [replace(each, after=step.point) for step, outcome in kept for each in outcome.points]
        return self._request.choice.candidates(found), {step.point: step for step, _ in kept}

    def _needs(self, point: Point) -> set[object]:
        """Names the runs and resumes that say what comes of the interruptions at *point*."""
        return self._records.needs(self._request.hows, point)

    @property
    def _follows_stops(self) -> bool:
        """Whether kills after SIGTERMs are tried, from a record of each run that had one."""
        return self._records.kills is not None and FORCED in self._request.hows

    def _is_late(self) -> bool:
        left = self._guide.seconds_left()
        return left is not None and left < _RESERVE

    def _run(self, plan: Plan, *, anew: bool = False, real: bool = False) -> SweepRun | None:
        """Make one more run, here."""
        made = self._maker.run(plan, anew=anew, real=real)
        self._note(made)
        return made.run

    def _note(self, made: Made) -> None:
        """What *made* says beside its run counts."""
        self._notes += made.notes
        self._real_kills += made.real_kills
        self._real_seconds += made.real_seconds
        if made.run is not None and made.run.outcome.plan.collects:
            outcome = made.run.outcome
            self._lines |= lines_of((*outcome.points, *outcome.resumed))
            self._collected += 1

    # -- after the runs ------------------------------------------------------------------------------------------------

    def _made_again(self, made: Sequence[SweepRun]) -> Iterator[tuple[SweepRun, SweepRun]]:
        """Make the earliest run of each class once more: those that come to something else now, and what that is.

        A kill is a real one then, which says whether the record is right, where one writer changes the directory.

        Raises ``_RecordMisleadsError`` where it is not.

        Not where one run is repeated, maybe in a debugger.
        """
        if self._request.until is not None:
            return
        if self._guide.replay:
            self._states.update((run.key, run.outcome.kept) for run in made if run.outcome.kept is not None)
            return
        for run in _earliest(made, FAILURES, HARMFUL):
            plan = replace(run.outcome.plan, keeps=True)
            again = None if self._is_late() else self._run(plan, anew=True, real=True)
            if again is not None and again.came_to != run.came_to:
                if self._maker.is_checked(plan) and self._comes_to_the_same(run):
                    raise _RecordMisleadsError
                yield run, again
            elif again is not None and again.outcome.kept is not None:
                self._states[run.key] = again.outcome.kept
        for run in _with_other_ends(made):
            plan = run.outcome.plan
            is_checked = not self._is_late() and self._maker.is_checked(plan)
            again = self._run(plan, anew=True, real=True) if is_checked else None
            if again is not None and again.came_to != run.came_to and self._comes_to_the_same(run):
                raise _RecordMisleadsError

    def _comes_to_the_same(self, run: SweepRun) -> bool:
        """Whether *run* does, by the record, each time."""
        again = self._run(run.outcome.plan, anew=True)
        return again is not None and again.came_to == run.came_to

    def _with_surroundings(self, made: Sequence[SweepRun]) -> tuple[SweepRun, ...]:
        """*made*, where the earliest run of each class has the effects around its interruption."""
        if self._request.until is not None or not self._request.function.runtime.can_be_recorded:
            return tuple(made)
        nearby = Nearby(self._runner, self._bench, self._records, self._is_late)
        runs = nearby.added(made, _earliest(made, FAILURES, HARMFUL, frozenset(Kind)))
        self._notes += nearby.notes
        return runs

    def _evidence(self) -> Evidence:
        """What repros of the findings are made of."""
        undisturbed, bench = self._undisturbed, self._bench
        outcome = undisturbed.outcome
        assert outcome.began is not None
        return Evidence(
            self._request.question,
            outcome.began,
            outcome.kept,
            outcome.effects,
            os.fspath(self._runner.path),
            undisturbed.ignored,
            bench.stages,
            bench.job_of,
            undisturbed.spoke_to,
            self._states,
        )

    def _with_advice(self, swept: Swept) -> Swept:
        """*swept*, with what repros are made of, and how to search for a repair."""
        from .repairs.calls import repair_calls  # noqa: PLC0415  (most sweeps find nothing)

        calls = repair_calls(self._request, self._bench, swept, os.fspath(self._runner.path))
        return replace(swept, evidence=self._evidence(), repairs=calls)

    def _with_mutants(self, swept: Swept, stopped: bool) -> tuple[Swept, bool]:
        """*swept*, with the mutants that were tried, where all runs were made; and whether Ctrl-C has come by now."""
        outcomes: list[MutantOutcome] = []
        notes = list(swept.notes)
        function = self._request.function
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
        whole, choice = self._request, self._request.choice
        request = replace(
            whole,
            question=replace(whole.question, function=trial.function, roots=roots_of(trial.function)),
            hows=tuple(how for how in whole.hows if trial.second or how.kind == "graceful"),
            choice=replace(choice, limit=min(choice.limit, _MUTANT_POINTS)),
            mutate=False,
            workers=1,
            first_stops=_MUTANT_STOPS if trial.second else 0,
            until=trial.shows,
        )
        guide = Guide(seconds_left=self._guide.seconds_left)
        return _Sweeper(request, replace(self._bench, guide=guide)).sweep()


def _with_other_ends(runs: Sequence[SweepRun]) -> list[SweepRun]:
    """Of each class the last run, and the first one of each way in which its restarts ended.

    A class may have runs that fail in reality, and others that fail by the record alone.
    """
    found: list[SweepRun] = []
    for alike in classes(runs, HARMFUL)[:_REPEATED]:
        ways = {
            tuple((each.status, each.message, each.place) for each in run.outcome.attempts[1:]): run
            for run in reversed(alike.runs)
        }
        found += [run for run in (*ways.values(), alike.runs[-1]) if run.key != alike.earliest.key][:_REPEATED]
    return list({run.key: run for run in found}.values())


def _earliest(runs: Sequence[SweepRun], *several: frozenset[Kind]) -> list[SweepRun]:
    """The earliest run of each class, of the first of them, where each of *several* kinds counts as wrong."""
    found = (alike.earliest for kinds in several for alike in classes(runs, kinds)[:_REPEATED])
    return list({run.key: run for run in found}.values())
