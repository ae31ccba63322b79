"""One run of a sweep: a handler from its first line on, interrupted, and invoked again until it is done."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..async_event import AsyncEvent, Json
from ..errors import CannotEndError, GateNotReachedError, Given, ScfAsyncError, ScfUsageError, hidden_from_users
from ..function import Function
from ..inner import event_of, look_at, scheduler_of, timeline_of
from ..instances.function_version import FunctionVersion
from ..instances.instance import Instance
from ..linux.linux import remove_tree
from ..lockstep.event import Event
from ..model.statuses import Status
from ..model.tracebacks import exception_line, innermost
from ..protocol import messages
from ..protocol.disk_record import Effect, Failed, Sync
from ..protocol.messages import AtEffect
from ..protocol.shortening import shortened
from ..report.cause import LAST_LINES, function_traceback, last_error, short_message
from ..report.exceptions import key_missing_in_environment
from ..report.timeline import exit_text
from . import stops
from .compared import Beginning
from .effects import Effects, files_and_rows, gathered
from .interruptions import FAULTS, Interruption
from .legitimate import OTHER_START
from .points import Point, points_of, points_of_program
from .recording import Recording
from .reliving import Moment, end_as_killed, kill
from .states import DiskRecord, FilesLeft, Image, files_left, without_numbers
from .time_limit import TimeIsOverError, bounded

if TYPE_CHECKING:
    from ..stage import Stage

__tracebackhide__ = hidden_from_users

Environment: TypeAlias = "Mapping[str, str] | None"
EachRun: TypeAlias = "Callable[[Run], Iterator[Environment]]"
"""What ``each_run=`` is: it yields the environment of a run's handler once, and goes on after the run's last event."""


FIRST_RESUME_US = 60_000_000
_BLOCK = 1 << 20
SHOWN = 200
TIMELINE = 16
"""Lines of a timeline that a report shows."""
"""Characters of a line that a job has written."""
LARGEST_KEPT = 256 * 1024 * 1024
"""Bytes of a directory of which a copy may be kept."""
_COUNTED = frozenset({"effect", "sync", "library"})
"""Kinds of points that are known by how many effects, or syncs, there have been."""
COLD = " cold"
"""How the key of a run ends whose instance is reclaimed when its interrupted event has ended."""


Stages: TypeAlias = "Callable[[datetime, str, Path, bool], AbstractContextManager[Stage]]"
"""Gives a stage that starts at that time, draws its request ids from that seed, and may write to that directory; with
True what code in C of its Python instances draws of the kernel's random numbers is the same in each run."""


_TELL = 'have each_run tell the handler where to write, as in yield {"OUT": str(run.path)}'


def resume_after_us(number: int) -> int:
    """Simulated time before the event with that number in its run, from the end of the one before.

    A minute before the first one by which the function is invoked again, and then each time twice as long: leases and
    visibility timeouts run out in between, as they do where a caller tries again.
    """
    return FIRST_RESUME_US << (number - 1) if number else 0


class Run:
    """A run of the handler, for ``each_run=``, ``check=`` and hooks."""

    def __init__(self, path: Path, point: str | None, how: str | None) -> None:
        self.path = path
        """The run's own directory: it stays over all events of the run, as a bucket would. In each run it is the same
        path, and empty at the beginning."""
        self.point = point
        """Where the handler is interrupted; None in an undisturbed run."""
        self.how = how
        """How it is interrupted there: ``"graceful"``, ``"forced"``, …; None in an undisturbed run."""
        self.events: list[AsyncEvent] = []
        """The interrupted event, and those by which the function was invoked again."""
        self.observed: dict[str, object] = {}
        self.resume_by: Callable[[], AsyncEvent] | None = None

    @property
    def event(self) -> AsyncEvent:
        """The interrupted event."""
        if not self.events:
            raise ScfUsageError("run.event: the run has no event yet; each_run has one after its yield")
        return self.events[0]

    def observe(self, **values: object) -> None:
        """Compare *values* with those of the undisturbed run, as a final state: of a fake of some store, say.

        Values that JSON does not have are compared by their ``repr``. Call it after the ``yield`` of ``each_run``, or
        in ``check``.
        """
        self.observed.update(values)

    def resume(self) -> AsyncEvent:
        """Invoke the function again, and let time pass until that event has ended; for ``check=``.

        It is invoked one simulated minute after the last event has ended, and each further time after twice as long as
        before.
        """
        if self.resume_by is None:
            raise ScfUsageError("run.resume() belongs in check=, where the interrupted event has ended")
        return self.resume_by()

    def __repr__(self) -> str:
        return f"<Run {'undisturbed' if self.point is None else f'{self.how} at {self.point}'}>"


@dataclass(frozen=True)
class Step:
    """One interruption of a run."""

    point: Point
    by: Interruption


@dataclass(frozen=True)
class Plan:
    """The plan of one run."""

    steps: tuple[Step, ...] = ()
    collects: bool = False
    """Whether the points of its first event are collected, all of them or those after its interruption, and all of the
    events by which it is resumed."""
    another: bool = False
    """It starts at another time and has other request ids."""
    recorded: bool = False
    """The effects of its first event are recorded; where that is interrupted, its points after that are collected."""
    syncs: bool = False
    """What is recorded has what makes files durable."""
    dispositions: bool = False
    """It has whether a SIGTERM ends the process before each effect, as nobody listens to it."""
    functions: bool = False
    """What is recorded names the library's function that user code has called."""
    cold: bool = False
    """The instance is reclaimed when the interrupted event has ended, so that the next event has a cold start."""
    keeps: bool = False
    """A copy of the directory is kept: as it is when the interrupted event has ended, or an undisturbed run begins."""

    @property
    def how(self) -> str:
        """The way in which it is interrupted."""
        return ">".join(step.by.name for step in self.steps)

    @property
    def is_graceful(self) -> bool:
        """Whether only SIGTERM interrupts it, unless the event goes on for too long after that."""
        return bool(self.steps) and all(step.by.kind == "graceful" for step in self.steps)

    @property
    def is_killed_at_effect(self) -> bool:
        """Whether a kill, the function's timeout, or a SIGTERM to which nobody listens, ends it before an effect."""
        if not self._ends_at_effect:
            return False
        point, kind = self.steps[-1].point, self.steps[-1].by.kind
        return point.is_ended if kind == "graceful" else kind != "fault"

    @property
    def _ends_at_effect(self) -> bool:
        return bool(self.steps) and self.steps[-1].point.kind in ("effect", "sync")

    @property
    def at_effect(self) -> AtEffect:
        """What happens at an effect of it, if it is no SIGTERM: a real kill, or an error."""
        if not (self.is_killed_at_effect or (self._ends_at_effect and self.steps[-1].by.error)):
            return AtEffect()
        point, by = self.steps[-1].point, self.steps[-1].by
        return AtEffect(point.found.number, by.error, by.lasting, point.kind == "sync", point.cut)

    @property
    def key(self) -> str:
        """Its name, which is the same on every machine."""
        return f"{self.how}@{self.steps[-1].point.shown}{COLD * self.cold}"


class Killed(NamedTuple):
    """The moment at which a run that was recorded is killed: by a termination, the function's timeout, or SIGTERM."""

    lived: Event
    at: Moment
    put: Callable[[Path], None]
    """Has an empty directory be as that of the run was."""


@dataclass(frozen=True)
class Attempt:
    """One event of a run, as data."""

    status: str
    status_code: int
    seconds: float
    """Simulated seconds from its acceptance to its end."""
    cold: bool
    message: str = ""
    """Of an event that failed: the line of its traceback that names the exception, else the last one of the platform's
    message."""
    place: str = ""
    """Where that exception came from: the innermost line of user code, as in ``train.py:8``; empty: not known."""
    variable: str = ""
    """The environment variable that it has read and that was not there; empty: none of which that is known."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run."""

    plan: Plan
    effects: Effects
    attempts: tuple[Attempt, ...]
    done: bool
    """One of its events is FINISHED with the result of the undisturbed run."""
    written: tuple[str, ...] = ()
    """The content of its directory when it was interrupted."""
    points: tuple[Point, ...] = ()
    resumed: tuple[Point, ...] = ()
    """The points of the events by which it was resumed, where they are collected."""
    listened: bool = False
    """A handler in user code received its SIGTERM."""
    stop_us: int | None = None
    """Simulated time from its first SIGTERM to its end, in µs."""
    check: str = ""
    """The failure of ``check=``."""
    stuck: str = ""
    """The reason why an event of it could not end."""
    lived: Event | None = field(default=None, compare=False, repr=False)
    """Its first event, ..."""
    record: DiskRecord | None = field(default=None, compare=False, repr=False)
    """... and what was recorded of it, where it was."""
    end: str | None = field(default=None, compare=False)
    """Names the end of a graceful stop from which the function was resumed warm: of runs with the same name, one says
    for all what a cold start does there. Empty where the end is not known: the run has spoken to somebody else, or
    observes something. None: no such end."""
    left: FilesLeft = field(default_factory=dict, compare=False, repr=False)
    """The files that an undisturbed run, whose effects are recorded, has left in its directory."""
    began: Beginning | None = field(default=None, compare=False)
    """What ``each_run`` gave to an undisturbed run."""
    timeline: str = field(default="", compare=False)
    """The timeline of the interrupted event, if something is wrong with the run."""
    shown_timeline: str = field(default="", compare=False)
    """The same in the few lines that a report shows."""
    effects_before_stop: int = field(default=0, compare=False)
    """How many effects its first event had begun when it was interrupted, where they are recorded."""
    draws: bool = field(default=True, compare=False)
    """Code in C of its first event has drawn random numbers of the kernel, where that is traced, or may have."""
    is_timeless: bool = field(default=False, compare=False)
    """The events after the first one would do the same at any other simulated time, as none has asked for it."""
    failed: tuple[str, ...] = ()
    """The calls that a fault of the disk made fail, or cut."""
    interrupted: AsyncEvent | None = field(default=None, compare=False, repr=False)
    """The event itself, until the run is judged."""
    kept: Path | None = field(default=None, compare=False, repr=False)
    """The copy of its directory, where one is kept."""
    log: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """What an undisturbed run has logged itself, line by line."""
    slow_lines: tuple[tuple[str, int, float], ...] = field(default=(), compare=False, repr=False)
    """What each cold start spends long on: file, line at the top of a module, and real seconds."""

    def without_event(self, *, has_timeline: bool) -> Outcome:
        """The same without the interrupted event, which holds a whole runtime; with its timeline if asked for."""
        event = self.interrupted
        if event is None or not has_timeline:
            return replace(self, interrupted=None)
        return replace(self, interrupted=None, timeline=timeline_of(event), shown_timeline=timeline_of(event, TIMELINE))


@dataclass(frozen=True)
class Question:
    """The function, and all else, that a sweep runs again and again."""

    function: FunctionVersion
    payload: Json
    each_run: EachRun | None
    check: Callable[[Run], object] | None
    done: Callable[[AsyncEvent], object] | None
    retry: Callable[[AsyncEvent], Json] | None
    attempts: int
    start: datetime
    seed: str
    roots: tuple[str, ...]
    """The directories in which instances find the code, the same in each."""
    effects_of: Callable[[Run], Mapping[str, object]]
    """What plugins add to the effects of a run."""
    real_limit: float
    """Real seconds that ``check=`` may take."""
    done_codes: tuple[int, ...] = ()
    """The exit codes of a job that say that its work is done; empty: 0."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are not user code."""

    @property
    def looks_at_event(self) -> bool:
        """Whether user callables get the event that was interrupted, with its status and its log."""
        return any((self.check, self.done, self.retry))


def done_codes(done: object, function: FunctionVersion) -> tuple[int, ...]:
    """The exit codes that ``done=`` names; none where it names none. Raises ``ScfUsageError`` for what is not valid."""
    if done is None or callable(done):
        return ()
    codes = tuple(done) if isinstance(done, Iterable) else (done,)
    valid = [each for each in codes if isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= 255]
    if not codes or len(valid) != len(codes):
        Given("done", done).has_to_be("a function that gets an event, or exit codes of a job, from 0 to 255")
    if not function.runtime.is_job:
        raise ScfUsageError(
            f"sweep(done={done!r}): only a job (deploy_image(..., port=-1)) has exit codes, and function "
            f"{function.configuration.name!r} is not one"
        )
    return tuple(valid)


class NotReachedError(Exception):
    """A run did not come to its point: the handler does not do the same each time. It has the event's log."""


class Runner:
    """Makes runs, one after the other, in one directory."""

    def __init__(self, question: Question, stages: Stages, directory: Path, scratch: str, seed: str = "") -> None:
        """Copies of the *directory* that are kept are in *scratch*; *seed* is that of another runner of the sweep."""
        self.question = question
        self.seed = seed
        """What all runs draw their random numbers from; empty before the first one."""
        self._scratch = scratch
        self._stages = stages
        self.path = directory
        """The directory of each run."""
        self._draws = True
        """Code in C of Python instances draws random numbers of the kernel, or may: they are traced for that."""
        self._was_killed = False
        """The process of the interrupted event was killed at an effect."""

    def draws_as(self, undisturbed: Outcome) -> None:
        """Trace Python instances for what their code in C draws only if that of this run has drawn something.

        Most handlers draw nothing but what Python does, and a tracer costs each start some ms. One that draws only
        where it is interrupted, or resumed, draws from the machine there.
        """
        self._draws = undisturbed.draws

    def run(self, plan: Plan, is_done: Callable[[AsyncEvent], bool], killed: Killed | None = None) -> Outcome:
        """Make the run of *plan*; *is_done* says whether an event that is FINISHED has the result that is expected.

        With *killed* it begins where another run was *killed*, and no code of its first event runs. Else a kill at an
        effect is a real one.

        Raises ``NotReachedError`` where the handler does not come to the point.
        """
        empty_directory(self.path)
        at_effect = plan.at_effect
        syncs = plan.syncs or at_effect.error == errno.EIO
        counted = killed is None and any(step.point.kind in _COUNTED for step in plan.steps)
        if not (plan.recorded or counted):
            return self._made(plan, is_done, killed)
        recording = Recording(self.path, at_effect, draws=self._draws, syncs=syncs, dispositions=plan.dispositions)
        with closing(recording):
            outcome = self._made(plan, is_done, recording=recording)
            if at_effect.error:
                written, failed = _failures_in(recording, plan.steps[-1].point)
                return replace(outcome, written=written, failed=failed)
            return replace(outcome, record=DiskRecord(recording.items())) if plan.recorded else outcome

    def end(self, plan: Plan, killed: Killed) -> tuple[Attempt, str, str]:
        """What is known of the first event of *plan*, which was *killed*, and its timelines; nothing comes after it."""
        question = self.question
        with self._stages(question.start, self.seed or question.seed, self.path, False) as stage:
            event = stage.run_of(question.function, {}).invoke_async(question.payload)
            kill(event, killed.lived, killed.at, plan.steps[-1].by.kind)
            look_at(event)
            return _attempt(event, question), timeline_of(event), timeline_of(event, TIMELINE)

    def _made(
        self,
        plan: Plan,
        is_done: Callable[[AsyncEvent], bool],
        killed: Killed | None = None,
        recording: Recording | None = None,
    ) -> Outcome:
        question = self.question
        where = plan.steps[-1].point.shown if plan.steps else None
        run = Run(self.path, where, plan.how or None)
        with self._begun(plan, run) as (stage, given):
            stored = None if plan.steps else files_and_rows(self.path)
            kept = self._copied() if plan.keeps and not plan.steps and os.listdir(self.path) else None
            function = stage.run_of(question.function, given.environment or {})
            if recording is not None:
                stage.record(recording)
            event = function.invoke_async(question.payload)
            run.events.append(event)
            began = None if stored is None else Beginning(given.environment, stored, event_of(event).context())
            if plan.collects and not plan.steps:
                self._collect(event, plan, interrupted=False)
            written: tuple[str, ...] = ()
            failed, stuck, effects = "", "", 0
            left: FilesLeft = {}
            end: str | None = None
            self._was_killed = False
            try:
                if killed is None:
                    effects = self._interrupt(stage, event, plan)
                else:
                    self._kill(event, plan, killed)
                is_to_be_killed = killed is None and plan.is_killed_at_effect
                written = self._written() if plan.steps and not is_to_be_killed else ()
                if plan.collects and not question.function.runtime.has_places:
                    stops.wait_without_leases(event)
                event.wait()
                look_at(event)
                left = files_left(self.path) if plan.recorded and not plan.steps else {}
                if is_to_be_killed and not self._was_killed:
                    raise NotReachedError(f"it ended before {plan.steps[-1].point.label}:\n{event.log}")
                written = self._written() if is_to_be_killed else written
                if plan.keeps and plan.steps:
                    kept = self._copied()
                if plan.cold:
                    stage.reclaim(event)
                end = self._end_of(plan, run)
                failed = self._check(stage, run, function)
                while not self._is_done(run.events[-1], is_done) and len(run.events) <= question.attempts:
                    self._resume(stage, run, function, plan)
            except CannotEndError as error:
                if not plan.steps:
                    raise
                stuck = str(error).partition("\n")[0]
            given.finish()
            done = not stuck and self._is_done(run.events[-1], is_done)
            made = self._outcome(plan, run, done=done, end=end)
            noted = replace(made, written=written, check=failed, stuck=stuck, began=began, effects_before_stop=effects)
            return replace(
                noted, left=left, kept=kept, is_timeless=self._is_timeless(made, run), draws=_drew(run.events)
            )

    @contextmanager
    def _begun(self, plan: Plan, run: Run) -> Iterator[tuple[Stage, entered]]:
        """A stage for *run*, and what ``each_run`` has given to it, which may have put files there before."""
        start = self.question.start
        with entered(self.question.each_run, run) as given:
            seed = self.seed = self.seed or seed_with(self.question.seed, self.path)
            if plan.another:
                start, seed = start + OTHER_START, f"{seed} other"
            with self._stages(start, seed, self.path, self._draws) as stage:
                yield stage, given

    def _is_timeless(self, made: Outcome, run: Run) -> bool:
        question = self.question
        others_know = bool(made.effects.observed or made.effects.more or question.check or question.done)
        return not (others_know or question.retry or any(map(_may_know_time, run.events[1:])))

    def _kill(self, event: AsyncEvent, plan: Plan, killed: Killed) -> None:
        """Have *event* end as the run that was *killed*, and the directory be as that has left it."""
        kill(event, killed.lived, killed.at, plan.steps[-1].by.kind)
        empty_directory(self.path)
        killed.put(self.path)

    def _ends_killed(self, event: AsyncEvent, how: str) -> None:
        self._was_killed = True
        end_as_killed(event, how)

    # -- the interrupted event -----------------------------------------------------------------------------------------

    def _collect(self, event: AsyncEvent, plan: Plan, *, interrupted: bool = True) -> None:
        question = self.question
        if question.function.runtime.has_places:
            wanted = messages.Collect(list(question.roots), list(question.exclude), plan.functions)
            stops.collect_points(event, wanted, interrupted=interrupted)

    def _interrupt(self, stage: Stage, event: AsyncEvent, plan: Plan) -> int:
        """Interrupt *event* where *plan* says; how many effects it had begun by then, where these are recorded.

        The gate of a second interruption is set before the first one.

        So the lines of a handler of SIGTERM can be reached, and passes are counted from the first interruption on, as
        they were when the points were collected.
        """
        if plan.steps and plan.steps[0].by.failure is not None:
            point, by = plan.steps[0].point, plan.steps[0].by
            if not plan.at_effect.error:
                kind, error = FAULTS[plan.steps[0].by.failure]
                stops.fail_at(event, point.label, kind, point.found.number, error, by.lasting)
            if plan.collects:
                self._collect(event, plan)
            return 0
        if plan.is_killed_at_effect:
            how = plan.steps[-1].by.kind  # maybe while the handler of the SIGTERM before it runs
            event_of(event).ends_when_killed(lambda: self._ends_killed(event, how))
        effects = 0
        is_in_library = bool(plan.steps) and plan.steps[0].point.kind == "library"
        if is_in_library:
            self._collect(event, replace(plan, functions=True), interrupted=False)
        steps = plan.steps[:-1] if plan.is_killed_at_effect else plan.steps
        gates = [self._gate(event, step.point) for step in steps[:1]]
        for number, step in enumerate(steps):
            try:
                self._go_to(event, step.point, gates[number])
            except GateNotReachedError as error:
                raise NotReachedError(str(error)) from error
            if not event_of(event).ended:
                scheduler_of(event).gates.forget_places(event_of(event))
            if number + 1 < len(steps):
                gates.append(self._gate(event, steps[number + 1].point))
            elif plan.collects or plan.recorded or is_in_library:
                self._collect(event, plan)
            instance = event_of(event).instance
            effects = 0 if instance is None or instance.released else instance.control.effects
            _interrupt(stage, event, step.by)
        return effects

    def _go_to(self, event: AsyncEvent, point: Point, gate: stops.PointGate | None) -> None:
        if gate is not None:
            stops.go_to_point(event, gate)
        elif point.kind == "log":
            stops.go_to_line(event, point.found.number)
        else:
            stops.go_to_wait(event, point.found.number)

    def _gate(self, event: AsyncEvent, point: Point) -> stops.PointGate | None:
        """The gate at *point*, which is set; None where the instance itself knows nothing of such points."""
        if not self.question.function.runtime.has_places and point.kind != "effect":
            return None
        return stops.arm_at(event, point.label, point.place(self.question.roots), point.kind, point.found.number)

    def _copied(self) -> Path | None:
        """A copy of the directory; None where it is larger than what is kept, or cannot be read."""
        if sum(path.lstat().st_blocks * 512 for path in self.path.rglob("*")) > LARGEST_KEPT:
            return None
        copy = Path(tempfile.mkdtemp(prefix="state-", dir=self._scratch))
        try:
            copy_tree(self.path, copy)
        except OSError:
            return None
        return copy

    def _written(self) -> tuple[str, ...]:
        found = (path for path in self.path.rglob("*") if not path.is_dir())
        return _shown({str(path.relative_to(self.path)): path.lstat().st_size for path in found})

    def _end_of(self, plan: Plan, run: Run) -> str | None:
        """What names the end of the interrupted event; see ``Outcome.end``. All that a cold start finds is in it."""
        event = event_of(run.events[0])
        instance = event.instance
        if not plan.is_graceful or instance is None or instance.gone:
            return None
        if _spoke_to_others(instance) or not event.function.runtime.has_places:
            return ""
        so_far = gathered(
            run.path,
            result=event.result_text,
            has_result=True,
            records=[(record.name, record.fields) for record in event.records],
        )
        seconds = ((event.record.end_us or 0) - event.record.start_us) / 1e6
        return f"{event.record.status_code} after {seconds} s: {so_far.digest()}"

    # -- until it is done ----------------------------------------------------------------------------------------------

    def _is_done(self, event: AsyncEvent, is_done: Callable[[AsyncEvent], bool]) -> bool:
        if self.question.done is not None:
            return bool(self.question.done(event))
        if self.question.done_codes:
            return exit_code(event) in self.question.done_codes
        return event_of(event).status is Status.FINISHED and is_done(event)

    def _resume(self, stage: Stage, run: Run, function: Function, plan: Plan | None = None) -> AsyncEvent:
        retry, payload = self.question.retry, self.question.payload
        stage.advance(resume_after_us(len(run.events)))
        event = function.invoke_async(payload if retry is None else retry(run.events[-1]))
        run.events.append(event)
        if plan is not None and plan.collects:
            self._collect(event, plan)
        event.wait()
        look_at(event)
        return event

    def _check(self, stage: Stage, run: Run, function: Function) -> str:
        """Ask the user's own oracle; what it says against the run."""
        check = self.question.check
        if check is None:
            return ""
        run.resume_by = lambda: self._resume(stage, run, function)
        try:
            with bounded(self.question.real_limit, f"check= at {run.point or 'the end of the undisturbed run'}"):
                returned = check(run)
        except TimeIsOverError as error:
            return str(error)
        except ScfAsyncError:
            raise
        except Exception as error:
            if run.point is not None:
                return _failure_text(error)
            if isinstance(error, FileNotFoundError) and str(error.filename).startswith(f"{run.path}/"):
                raise ScfUsageError(
                    f"check=: {error.filename} does not exist after the undisturbed run: {_TELL}"
                ) from None
            raise
        finally:
            run.resume_by = None
        if returned is not None:
            raise ScfUsageError(
                f"check= returned {returned!r} at {run.point or 'the end of the undisturbed run'}, and nothing reads "
                "what it returns: it must assert, as in def check(run): assert run.event.status == 'FINISHED'"
            )
        return ""

    def _points(self, event: Event) -> list[Point]:
        start_us = event.record.start_us
        if self.question.function.runtime.has_places:
            return points_of(event.points, self.question.roots, start_us)
        return points_of_program(event.timeline, event.log, start_us)

    # -- what it has come to -------------------------------------------------------------------------------------------

    def _outcome(self, plan: Plan, run: Run, *, done: bool, end: str | None) -> Outcome:
        first, last = event_of(run.events[0]), event_of(run.events[-1])
        signals = first.signals
        stop_us = None
        if signals and first.record.end_us is not None:
            stop_us = first.record.end_us - signals[0].sent_us
        instance = last.instance
        has_result = last.status is Status.FINISHED and last.result_text is not None and not self.question.done_codes
        effects = gathered(
            run.path,
            result=run.events[-1].result if has_result else None,
            has_result=has_result,
            records=[(record.name, record.fields) for event in run.events for record in event_of(event).records],
            observed=run.observed,
            tmp=() if instance is None or instance.gone else instance.sandbox.files(),
            more=self.question.effects_of(run),
        )
        if len(run.events) == 1 or event_of(run.events[1]).cold:
            end = None
        elif end is not None and (effects.observed or effects.more):
            end = ""
        return Outcome(
            plan,
            effects,
            tuple(_attempt(event, self.question) for event in run.events),
            done,
            points=tuple(self._points(first)),
            resumed=tuple(point for event in run.events[1:] for point in self._points(event_of(event))),
            listened=any(signal.entered_us is not None for signal in signals),
            stop_us=stop_us,
            end=end,
            lived=first if plan.recorded else None,
            interrupted=run.events[0] if plan.steps else None,
            log=() if plan.steps else tuple(each.text for each in run.events[0].log if each.source == "Custom"),
            slow_lines=() if plan.steps else first.slow_lines,
        )


def _may_know_time(event: AsyncEvent) -> bool:
    """Whether its code may know the simulated time: it has read a clock, or asked others, as a child is."""
    instance, has_places = event_of(event).instance, event_of(event).function.runtime.has_places
    if instance is None or instance.released or not has_places:
        return True
    return bool(instance.control.read_clock) or _spoke_to_others(instance)


def _spoke_to_others(instance: Instance) -> bool:
    """Whether Python code of it has spoken to another process, or has started one, which may have."""
    return not instance.released and bool(instance.control.spoke or instance.control.forks)


def _drew(events: Sequence[AsyncEvent]) -> bool:
    """Whether code in C has drawn random numbers of the kernel in the first event, or may have: it is gone."""
    instance = event_of(events[0]).instance
    return instance is None or instance.released or bool(instance.control.drawn)


def exit_code(event: AsyncEvent) -> int | None:
    """The exit code of a job; None: a signal ended it."""
    ended = event_of(event).exit
    if event_of(event).status is Status.FINISHED:
        return 0
    return None if ended is None else ended.code


def _shown(sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Files, with their sizes in bytes."""
    return tuple(f"{path} ({size:,} byte{'s' * (size != 1)})" for path, size in sorted(sizes.items()))


def _failures_in(recording: Recording, point: Point) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was in the directory when the call at *point* failed, and the calls that did, which is the first of them.

    Raises ``NotReachedError``: another call is at its place in this run.
    """
    image, written, last = Image(), dict[str, int](), ""
    failed: list[str] = []
    for item, content in recording.items():
        if isinstance(item, (Effect, Sync)):
            last = item.text
        elif isinstance(item, Failed):
            if not failed:
                entries = {path: image.nodes[inode].entry for path, inode in image.inodes.items()}
                written = {path: each.size for path, each in entries.items() if each.kind != "directory"}
            failed.append(last)
        image.apply(item, content)
    if not failed or without_numbers(failed[0]) != without_numbers(point.found.text):
        raise NotReachedError(f"{point.found.text!r} did not fail at {point.label}")
    return _shown(written), tuple(failed)


def seed_with(seed: str, path: Path) -> str:
    """*seed*, and another one where the directory has files already.

    An earlier run may have left them: a program that draws what that has drawn takes names that are there, which cannot
    happen elsewhere. Digits do not count: a port, a date or a number in a path may be others in each sweep.
    """
    digest, digits = hashlib.sha256(), b"0123456789"
    found = sorted(path.rglob("*"))
    for each in found:
        digest.update(os.fsencode(each.relative_to(path)).translate(None, digits) + b"\0")
        if each.is_file() and not each.is_symlink():
            with each.open("rb") as file:
                while data := file.read(_BLOCK):
                    digest.update(data.translate(None, digits))
    return f"{seed} {digest.hexdigest()}" if found else seed


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in a directory to another one that exists: links, modes and times stay. Raises ``OSError``."""
    copies: dict[int, str] = {}

    def copy(file: str, to: str) -> None:
        found = os.lstat(file)
        first = copies.setdefault(found.st_ino, to)
        if first != to:
            os.link(first, to)
        elif stat.S_ISREG(found.st_mode):
            shutil.copy2(file, to)
        else:
            os.mknod(to, found.st_mode)  # a pipe, or a socket where nobody listens

    shutil.copytree(source, target, symlinks=True, copy_function=copy, dirs_exist_ok=True)


def empty_directory(path: Path) -> None:
    """Empty the directory. It stays the same one, which a process that is forked ahead has mounted."""
    path.mkdir(exist_ok=True)
    path.chmod(0o755)  # user code may have changed it, ...
    with suppress(OSError):  # the file system has none
        for name in os.listxattr(path):
            if name.startswith("user."):
                os.removexattr(path, name)  # ... and these
    with os.scandir(path) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)


def _interrupt(stage: Stage, event: AsyncEvent, by: Interruption) -> None:
    if by.kind == "timeout":
        stage.end_by_timeout(event)
        return
    event.terminate(grace_shutdown=by.kind == "graceful", when="now")
    later = [(us, gracefully) for us, gracefully in ((by.again_us, True), (by.forced_us, False)) if us is not None]
    passed_us = 0
    for after_us, gracefully in sorted(later):
        if not event.ended and after_us > passed_us:
            stage.advance(after_us - passed_us)
        passed_us = after_us
        if not event.ended:
            event.terminate(grace_shutdown=gracefully, when="now")


def _attempt(event: AsyncEvent, question: Question) -> Attempt:
    known = event_of(event)
    end_us = known.record.end_us
    seconds = 0.0 if end_us is None else (end_us - known.record.start_us) / 1e6
    trace = function_traceback(known)
    message = exception_line(trace) if trace else short_message(known).strip()
    if known.function.runtime.is_job and known.exit is not None and known.exit.code:
        written = [line.text for line in known.log if line.source == "Custom" and line.text.strip()]
        ended = exit_text(known.exit) + (f", after it wrote {shortened(written[-1], SHOWN)!r}" if written else "")
        trace = "\n".join(written[-LAST_LINES:])
        message = last_error(known) or ended
    place = innermost(trace, lambda file: _is_of_user(file, question)) if known.status is Status.FAILED else None
    shown = f"{os.path.basename(place[0])}:{place[1]}" if place else ""
    code, variable = known.record.status_code, key_missing_in_environment(trace) if trace else ""
    return Attempt(str(known.shown_status), code, seconds, bool(known.cold), message, shown, variable)


def _is_of_user(file: str, question: Question) -> bool:
    """Whether a *file* that a traceback names has user code."""
    for root in question.roots:
        path = os.path.normpath(os.path.join(root, file))
        name = os.path.relpath(path, root)
        if not name.startswith("..") and any(os.path.isfile(os.path.join(each, name)) for each in question.roots):
            return not any(fnmatchcase(name, pattern) for pattern in question.exclude)
    return False


def _failure_text(error: Exception) -> str:
    """What *error* says, and the line of the innermost function of the file of ``check=`` that it came through."""
    entry = error.__traceback__ and error.__traceback__.tb_next
    file, where = "" if entry is None else entry.tb_frame.f_code.co_filename, ""
    while entry is not None:
        if entry.tb_frame.f_code.co_filename == file:
            where = f"{os.path.basename(file)}:{entry.tb_lineno}: "
        entry = entry.tb_next
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return f"{where}{kind}{str(error).strip() or 'assert'}"


class entered(AbstractContextManager["entered"]):
    """``each_run`` up to its ``yield``, and what it has given to a run; left early, its ``with`` blocks end."""

    def __init__(self, each_run: EachRun | None, run: Run) -> None:
        self._each_run = each_run
        self._run = run
        self._generator: Generator[Environment, None, None] | None = None
        self.environment: Environment = None
        """What it has given; None where there is no ``each_run``."""

    def __enter__(self) -> entered:
        if self._each_run is None:
            return self
        generator: Any = self._each_run(self._run)
        if not isinstance(generator, Generator):
            raise ScfUsageError(
                f"each_run returned {type(generator).__name__}: it must be a function with a yield, which gives the "
                "environment of the run's handler: yield {'OUT': str(run.path)}"
            )
        self._generator = generator
        try:
            environment = next(generator)
        except StopIteration:
            said = "each_run returned without a yield: it must yield the environment of the handler"
            raise ScfUsageError(said) from None
        if environment is not None and not isinstance(environment, Mapping):
            generator.close()
            raise ScfUsageError(f"each_run yields {environment!r}: it must be a dict of variables, or None")
        self.environment = dict(environment or {})
        return self

    def finish(self) -> None:
        """The run's last event has ended: let ``each_run`` observe."""
        if self._generator is None:
            return
        try:
            next(self._generator)
        except StopIteration:
            return
        self._generator.close()
        raise ScfUsageError("each_run yields more than once: it must yield once, the environment of the run's handler")

    def __exit__(self, *exception: object) -> None:
        if self._generator is not None:
            self._generator.close()
