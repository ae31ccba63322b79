"""Make the runs of a sweep by branches: processes that are forked at the points, instead of a new run to each of them.

A worker has an instance of its own, the root, which runs no user code (`bootstrap/branching`). It has the root run the
handler once, as a scout that branches off at the worker's points, and then has it resume what was interrupted. So *n*
points take one run and *n* forks, and not *n* runs.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import queue
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..clock import to_us
from ..model import Fact, OpenReadings, State, transition
from ..model.credentials import role_credentials
from ..protocol import branches
from ..protocol.linux import move_all, remove_tree
from ..protocol.real_time import REAL
from .effects import gathered
from .points import Point
from .run import Attempt, Outcome, Plan, Question, Run, Stage, Stages, empty_directory, entered, resume_after_us

SILENCE = 60.0
"""Real seconds, beyond ``real_timeout``, after which a root that says nothing counts as ended."""
SCOUT = "scout"
"""The name of the directory of the run that the scout makes."""
_BRANCHED = frozenset({"graceful", "forced", "timeout"})


@dataclass
class _Job:
    """One run, as far as it is known."""

    number: int
    plan: Plan
    worker: int
    """The number of the worker that makes it."""
    state: int = -1
    events: list[Attempt] = field(default_factory=list)
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    began_us: int = 0
    """When its event that runs was accepted."""
    now_us: int = 0
    runs: bool = False
    signalled_us: int | None = None
    stop_us: int | None = None
    listened: bool = False
    result_text: str | None = None
    done: bool = False
    tmp: tuple[str, ...] = ()
    cold: bool = True
    starts: int = 1
    cannot: str = ""
    reported: bool = False
    """All that there is to know of it is known."""

    def ends(self, fact: Fact, now_us: int, text: str | None, readings: OpenReadings) -> None:
        first = not self.events
        state = State.SIGNALLED if first and self.signalled_us is not None else State.RUNNING
        after = transition(state, fact, readings)
        self.events.append(
            Attempt(str(after.state.status), after.status_code, (now_us - self.began_us) / 1e6, self.cold)
        )
        if first and self.signalled_us is not None:
            self.stop_us = now_us - self.signalled_us
        self.result_text = text if after.state is State.FINISHED else None
        self.now_us, self.runs = now_us, False


class NeedsReplayError(Exception):
    """The runs cannot be made by branches; why, as a text."""


class _RunWithoutEvents(Run):
    """A run of which only the outcome is known."""

    @property
    def events(self) -> list[Any]:
        raise NeedsReplayError("each_run asks for the events of a run")

    @events.setter
    def events(self, value: list[Any]) -> None:
        """Nobody may have them."""


class Branches:
    """Makes runs by branches.

    *expected* is the result of the undisturbed run, as JSON; *is_done* says whether another one is as good.
    """

    def __init__(
        self,
        question: Question,
        stages: Stages,
        directory: Path,
        *,
        readings: OpenReadings,
        expected: str,
        is_done: Callable[[str], bool],
        idle_reclaim_us: int,
        real_timeout: float,
    ) -> None:
        self._question = question
        self._stages = stages
        self._directory = directory
        self._path = directory / "run"
        self._states = directory / "states"
        self._readings = readings
        self._expected = expected
        self._is_done = is_done
        self._idle_reclaim_us = idle_reclaim_us
        self._real_timeout = real_timeout
        self._environment: dict[str, str] = {}
        self.scouts = itertools.count(1)
        """Gives each scout behind a SIGTERM a number of its own, as its directory has that name."""
        self.seconds = self.resume_seconds = 0.0
        """Real seconds of the slowest worker: for the branches, and for what was invoked again."""
        self.why = ""
        """Why it cannot make any run; empty where it can."""

    @staticmethod
    def takes(plan: Plan) -> bool:
        """Whether *plan* is one for branches."""
        first = plan.steps[0].by.name
        if plan.steps[0].by.failure in ("enospc", "eio"):
            return True
        return all(step.by.name in _BRANCHED for step in plan.steps) and (len(plan.steps) == 1 or first == "graceful")

    @staticmethod
    def core_of(worker: int) -> int:
        """The core for that worker's processes."""
        cores = sorted(os.sched_getaffinity(0))
        return cores[worker % len(cores)]

    def home_of(self, worker: int) -> Path:
        """The directory of the directories of that worker's runs."""
        return self._states / str(worker)

    def run(self, plans: Sequence[tuple[int, Plan]]) -> Iterator[tuple[int, Outcome | None, str]]:
        """Make the run of each plan, which has a number; None, and why, where it has to be made in another way."""
        question = self._question
        for given in (question.check, question.done, question.retry):
            if given is not None:
                self.why = "check=, done= and retry= are given the events of a run"
                return
        with contextlib.ExitStack() as opened:
            stages = self._open(opened, len(plans), min(os.cpu_count() or 1, len(plans)))
            if not stages:
                return
            found: queue.SimpleQueue[_Job | Exception | None] = queue.SimpleQueue()
            workers: list[_Worker] = []
            for number, stage in enumerate(stages):
                workers.append(_Worker(self, number, stage, plans[number :: len(stages)], found))
                opened.callback(workers[-1].close)
            for worker in workers:
                worker.start()
            running = len(workers)
            while running:
                job = found.get()
                if job is None:
                    running -= 1
                    self.seconds = max(worker.seconds for worker in workers)
                    self.resume_seconds = max(worker.resume_seconds for worker in workers)
                elif isinstance(job, Exception):
                    raise job
                else:
                    yield self._judged(job)

    def _why_no_room(self, plans: int) -> str:
        """Why the directories of *plans* runs cannot be beside each other; the last run's is there."""
        size = sum(path.lstat().st_size for path in self._path.rglob("*") if not path.is_dir())
        there = os.statvfs(self._directory)
        if size * plans <= there.f_bavail * there.f_frsize // 2:
            return ""
        return f"{plans:,} directories of {size:,} bytes each have no room beside each other"

    def _open(self, opened: contextlib.ExitStack, plans: int, count: int) -> list[tuple[Stage, Any]]:
        """A stage with a function for each of *count* workers; none where the function cannot branch."""
        question = self._question
        self.why = self._why_no_room(plans)
        if self.why:
            return []
        self._states.mkdir(exist_ok=True)
        opened.callback(remove_tree, os.fspath(self._states))
        empty_directory(self._path)
        with entered(question.each_run, _RunWithoutEvents(self._path, None, None)) as given:
            self._environment = dict(given.environment)
            for number in range(count):
                shutil.copytree(self._path, self.home_of(number) / SCOUT, symlinks=True)
        found = []
        for _ in range(count):
            stage = opened.enter_context(self._stages(question.start, question.seed, self._directory))
            function = stage.run_of(question.function, self._environment)
            self.why = stage.why_no_branches(function)
            if self.why:
                return []
            found.append((stage, function))
        return found

    # -- the outcome ---------------------------------------------------------------------------------------------------

    def _judged(self, job: _Job) -> tuple[int, Outcome | None, str]:
        directory = self.home_of(job.worker) / str(job.number)
        try:
            if job.cannot:
                return job.number, None, job.cannot
            return job.number, self._outcome(job, directory), ""
        except NeedsReplayError as error:
            return job.number, None, str(error)
        finally:
            remove_tree(os.fspath(directory))

    def _outcome(self, job: _Job, directory: Path) -> Outcome:
        question, plan = self._question, job.plan
        run = _RunWithoutEvents(self._path, plan.steps[-1].point.shown, plan.how)
        empty_directory(self._path)
        with entered(question.each_run, run) as given:
            if dict(given.environment) != self._environment:
                raise NeedsReplayError("each_run gives another environment in each run")
            empty_directory(self._path)
            directory.chmod(0o700)  # user code may have taken the right to write to it away
            move_all(os.fspath(directory), os.fspath(self._path))
            given.finish()
            effects = gathered(
                self._path,
                result=None if job.result_text is None else json.loads(job.result_text),
                has_result=job.result_text is not None,
                records=job.records,
                observed=run.observed,
                tmp=job.tmp,
                more=question.effects_of(run),
            )
        return Outcome(
            plan, effects, tuple(job.events), job.done, listened=job.listened, stop_us=job.stop_us, branched=True
        )


class _Worker(threading.Thread):
    """Drives one root."""

    def __init__(
        self,
        of: Branches,
        number: int,
        stage: tuple[Stage, Any],
        plans: Sequence[tuple[int, Plan]],
        found: queue.SimpleQueue[_Job | Exception | None],
    ) -> None:
        super().__init__(name=f"sweep-{number}", daemon=True)
        self._of = of
        self._number = number
        self._stage, self._function = stage
        self._jobs = {given: _Job(given, plan, number) for given, plan in plans}
        self._scouts: dict[int, _Job] = {}
        self._found = found
        self._connection: socket.socket | None = None
        self._incoming: io.BufferedReader | None = None
        self._closed = False
        self.seconds = self.resume_seconds = 0.0
        self._has_credentials = False
        self._invocations = [self._invocation() for _ in range(of._question.attempts + 1)]
        self._listener = self._listening()
        self._stage.start_root(self._function, self._socket_path)

    def _invocation(self) -> dict[str, Any]:
        event = self._function.invoke_async(self._of._question.payload)._event
        self._has_credentials = event.function.runtime.has_event_variables
        return {
            "payload": event.payload,
            "context": event.context(),
            "environment": event.environment(),
            "headers": event.headers(),
            "gate": None,
        }

    def _environment(self, now_us: int) -> dict[str, str]:
        """What changes in the environment when an event begins at that time."""
        return role_credentials(now_us) if self._has_credentials else {}

    def _listening(self) -> socket.socket:
        name = f"socket-{self._number}"
        self._socket_path = os.fspath(self._of._directory / name)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self._of._directory, os.O_PATH | os.O_CLOEXEC)
        listener.bind(f"/proc/self/fd/{directory}/{name}")
        os.close(directory)
        listener.listen(1)
        return listener

    def close(self) -> None:
        """The root ends with its connection."""
        self._closed = True
        for each in (self._connection, self._listener):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        if self.ident is not None:  # another thread before it may not have started
            self.join(SILENCE)
        if self._incoming is not None:
            self._incoming.close()
        with contextlib.suppress(OSError):
            os.unlink(self._socket_path)

    def run(self) -> None:
        try:
            self._work()
        except (EOFError, OSError) as error:  # its root has died, or could not be started
            for job in self._jobs.values() if not self._closed else ():
                if not job.reported:
                    job.cannot = job.cannot or f"the root of the branches has ended ({error})"
                    self._found.put(job)
        except Exception as error:  # noqa: BLE001  (the thread that waits raises it)
            self._found.put(error)
        finally:
            self._found.put(None)

    def _work(self) -> None:
        of = self._of
        self._listener.settimeout(30)
        connection, _ = self._listener.accept()
        connection.settimeout(of._real_timeout + SILENCE)
        self._connection = connection
        self._incoming = connection.makefile("rb")  # it reads several messages in one call of the kernel
        configuration = of._question.function.configuration
        question = of._question
        branches.send(
            connection,
            branches.Prepare(
                os.fspath(of._path),
                os.fspath(of.home_of(self._number)),
                list(question.roots),
                list(question.exclude),
                self._invocations,
                [resume_after_us(number) for number in range(len(self._invocations))],
                of._idle_reclaim_us,
                of._expected,
                configuration.init_timeout * 1_000_000,
                configuration.timeout * 1_000_000,
                of._real_timeout,
                of.core_of(self._number),
            ),
        )
        start_us = to_us(question.start, "start")
        branches.send(connection, branches.Scout(SCOUT, start_us, self._branches()))
        began = REAL.monotonic()
        self._until_done()
        self.seconds = REAL.monotonic() - began
        for job in list(self._jobs.values()):
            if not job.events and not job.cannot:
                job.cannot = self._job(branches.SCOUT).cannot or "its process did not come to the point"
            while not (job.done or job.cannot) and (known := len(job.events)) <= question.attempts:
                job.starts += 1
                now_us = job.now_us + resume_after_us(known)
                environment = self._environment(now_us)
                branches.send(
                    connection, branches.Resume(job.number, job.state, now_us, known, job.starts, environment)
                )
                self._until_done()
                if len(job.events) == known and not job.cannot:
                    job.cannot = "its process has ended before its event began"
            job.reported = True
            self._found.put(job)
        self.resume_seconds = REAL.monotonic() - began - self.seconds

    def _branches(self) -> list[list[Any]]:
        """What the scout is to do: those of second terminations are behind one more scout, at the first one's point."""
        plain: list[branches.Branch] = []
        behind: dict[Point, list[branches.Branch]] = {}
        for job in self._jobs.values():
            last = job.plan.steps[-1]
            branch = branches.Branch(_key(last.point), last.by.name, job.number, [])
            if len(job.plan.steps) == 1:
                plain.append(branch)
            else:
                behind.setdefault(job.plan.steps[0].point, []).append(branch)
        for point, then in behind.items():
            scout = branches.SCOUT - next(self._of.scouts)
            plain.append(branches.Branch(_key(point), "scout", scout, [list(each) for each in then]))
        return [list(each) for each in plain]

    # -- what the root says --------------------------------------------------------------------------------------------

    def _job(self, number: int) -> _Job:
        if number >= 0:
            return self._jobs[number]
        return self._scouts.setdefault(number, _Job(number, Plan(), self._number))

    def _until_done(self) -> None:
        assert self._incoming is not None
        while True:
            message = branches.receive(self._incoming.read)
            if message is None:
                raise EOFError("its connection is closed")
            if isinstance(message, branches.Done):
                return
            self._said(self._job(message.job), message)

    def _said(self, job: _Job, message: Any) -> None:
        if isinstance(message, branches.Begins):
            self._begins(job, message)
        elif isinstance(message, branches.Happened):
            job.now_us = message.now_us
            if message.what == "record":
                job.records.append((message.name, message.fields))
            elif message.what == "entered":
                job.listened = True
        elif isinstance(message, branches.Asks):
            assert self._connection is not None
            verdict = branches.Verdict(self._of._is_done(message.text), self._environment(message.next_us))
            branches.send(self._connection, verdict)
        elif isinstance(message, branches.Ends):
            job.ends(Fact[message.fact], message.now_us, message.text, self._of._readings)
            job.done = job.result_text is not None and (
                job.result_text == self._of._expected or self._of._is_done(job.result_text)
            )
            job.tmp = tuple(message.tmp)
        elif isinstance(message, branches.Gone):
            if job.runs and job.number >= 0:
                job.ends(Fact.PROCESS_EXITED, job.now_us, None, self._of._readings)
        elif isinstance(message, branches.Cannot):
            job.cannot = message.why

    def _begins(self, job: _Job, message: branches.Begins) -> None:
        job.runs, job.now_us = True, message.now_us
        again = message.job == message.copy_of
        if again:
            job.cold = message.state >= 0 if job.number >= 0 else True
            job.began_us = message.now_us
            return
        parent = self._job(message.copy_of)
        job.state, job.began_us = message.state, parent.began_us
        job.records = list(parent.records)
        job.listened, job.signalled_us = parent.listened, parent.signalled_us
        graceful = job.number < 0 or job.plan.steps[-1].by.kind == "graceful"
        if graceful and job.signalled_us is None:
            job.signalled_us = message.now_us


def _key(point: Point) -> list[Any]:
    found = point.found
    if found.offset >= 0:
        return [found.file, found.name, found.first, found.offset, found.number]
    return [found.kind, found.number]
