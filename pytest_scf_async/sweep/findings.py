"""The findings of a sweep, as data: the runs, what is wrong with each, and which of them are alike."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from ..errors import ScfUsageError, keywords_named
from ..instances.runtimes.choice import Deployed
from .compared import Beginning, Compared
from .differences import Difference, Kind
from .effects import EffectKind, Effects
from .ignored import Ignored
from .mutants import Mutant
from .points import RECORDED, Point
from .run import Outcome, Question, Stages
from .surroundings import Surroundings

STOPPED = "Ctrl-C or SIGTERM arrived"
"""Why not all was tried, where ``KeyboardInterrupt`` was raised."""
_VARIES = re.compile(r"(?<=tmp)[a-z0-9_]{8}|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\d+")
"""The random part of a name from ``tempfile``, a number in base 16, and any other one."""
FAILURES = frozenset({Kind.LOST, Kind.DIVERGED, Kind.LATE, Kind.NEVER_FINISHES, Kind.FAILED_CHECK})
"""What no handler survives that is to lose nothing: code that does a thing at least once may do it twice."""
HARMFUL = FAILURES | {Kind.DOUBLED}
"""What counts as wrong with a run where no assertion says what does."""


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: where and how the handler was interrupted, and what was wrong in the end."""

    point: Point
    how: str
    """``"graceful"``, ``"forced"``, ``"graceful>forced"`` for two terminations, …"""
    differences: tuple[Difference, ...]
    """The differences between its effects and those of the undisturbed run; empty if it lost nothing."""
    outcome: Outcome = field(repr=False)
    nearby: Surroundings | None = field(default=None, compare=False, repr=False)
    """The effects around the interruption, of the earliest run of a class; None: they are not known."""

    @property
    def key(self) -> str:
        """The value of ``--scf-async-replay`` that repeats this run alone."""
        return self.outcome.plan.key

    @property
    def cold(self) -> bool:
        """Its instance, though still alive, was reclaimed before the next event, which so had a cold start."""
        return self.outcome.plan.cold

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of what is wrong with it, in the words of the report."""
        return frozenset(difference.kind for difference in self.differences)

    @property
    def alike(self) -> tuple[tuple[str, str, str], ...]:
        """The facts that all runs of its class share."""
        return tuple(sorted({(each.kind.value, each.effect.value, _name_of(each)) for each in self.differences}))

    @property
    def came_to(self) -> tuple[object, list[object]]:
        """The facts that are the same whenever the run is made."""
        events: list[object] = [
            (each.status, each.status_code, each.seconds, each.cold) for each in self.outcome.attempts
        ]
        return self.alike, events

    @property
    def wrong(self) -> frozenset[tuple[Kind, EffectKind, str]]:
        """The facts of what went wrong, names that differ in numbers alone as one; late only if no more is."""
        found = frozenset(map(what_is_wrong, self.differences))
        return frozenset(each for each in found if each[0] is not Kind.LATE) or found

    def fails(self, kinds: frozenset[Kind] = FAILURES) -> bool:
        """True if it failed in one of these *kinds*."""
        return not self.kinds.isdisjoint(kinds)


def _name_of(difference: Difference) -> str:
    """Its effect's name; a temporary file has another one each time, and is known by its directory and its suffix."""
    if difference.kind is not Kind.LEFT_BEHIND:
        return difference.name
    directory, name = os.path.split(difference.name)
    return os.path.join(directory, f"*{os.path.splitext(name)[1]}")


@dataclass(frozen=True)
class FailureClass:
    """The runs that went wrong in the same way."""

    runs: tuple[SweepRun, ...]
    writer: Callable[[FailureClass, str | os.PathLike[str]], Path] | None = field(
        default=None, compare=False, repr=False
    )
    """Writes a repro of it."""

    @keywords_named("write_repro(...)")
    def write_repro(self, directory: str | os.PathLike[str]) -> Path:
        """Make *directory* with a script that shows the finding without this package. Returns its absolute path.

        It has ``state/``, the directory as it was at the interruption; ``repro.sh``, which starts the program on a copy
        of that until it is done, and compares the result with ``expected/``, what the undisturbed run leaves; and
        ``ISSUE.md``, a description for the program's maintainers. The script is tried first, in simulated time and
        without this package, and has to fail. Call this while the runtime of the sweep is open. Raises
        ``ScfUsageError``, with the reason, if the directory exists, and if there can be no such script: what is wrong
        is not in the files, or the program talks to other processes, or behaves differently without a platform.
        """
        if self.writer is None:
            raise ScfUsageError(f"no repro of {self.earliest.key}: its class is none that a sweep has given")
        return self.writer(self, directory)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of what is wrong with them."""
        return frozenset().union(*(run.kinds for run in self.runs))

    @property
    def earliest(self) -> SweepRun:
        """The run whose point comes first; of those with which less is wrong, where they are most."""
        return self.runs[0]


def classes(runs: Sequence[SweepRun], kinds: frozenset[Kind]) -> list[FailureClass]:
    """Those of *runs* with which one of *kinds* is wrong, in classes: the worst first, then by their earliest points.

    If in most runs of a class less goes wrong than in others, they come first: what goes wrong beside that may have
    another cause.

    One cause is one class: all passes of a line at which the same kinds of things go wrong, and all lines at which the
    same things do, or files whose names differ in numbers alone. Of power failures it is what was not synced, and all
    files whose names differ in that way. That a run is late as well makes no class of its own.
    """
    found: list[tuple[set[object], list[SweepRun]]] = []
    for run in runs:
        if run.fails(kinds):
            marks = set(_marks(run, kinds))
            alike = [each for each in found if not marks.isdisjoint(each[0])]
            found = [each for each in found if each not in alike]
            found.append((marks.union(*(each[0] for each in alike)), [*chain(*(each[1] for each in alike)), run]))
    at = {run.key: number for number, run in enumerate(runs)}
    made = [FailureClass(tuple(_in_order(alike, at))) for _, alike in found]
    order = [kind for kind in Kind if kind in kinds]
    return sorted(made, key=lambda each: (min(map(order.index, each.kinds & kinds)), at[each.earliest.key]))


def _in_order(alike: Sequence[SweepRun], at: Mapping[str, int]) -> list[SweepRun]:
    ways = Counter(run.wrong for run in alike)
    least = {way for way in ways if not any(other < way for other in ways)}
    if 2 * sum(ways[way] for way in least) <= len(alike):
        least = set(ways)

    def order(run: SweepRun) -> tuple[bool, bool, int]:
        # An effect says more than a wait, or a line of a log, of a program whose own lines are not known.
        is_vague = not run.point.line and run.point.kind in ("wait", "log")
        return run.wrong not in least, is_vague, at[run.key]

    return sorted(alike, key=order)


def _marks(run: SweepRun, kinds: frozenset[Kind]) -> Iterator[object]:
    """What *run* has in common with others of its cause, of which each alone is enough."""
    wrong = [each for each in run.differences if each.kind in kinds]
    wrong = [each for each in wrong if each.kind is not Kind.LATE] or wrong
    if run.point.missing:
        yield run.how, missing_pattern(run.point)
        return
    way = run.how, frozenset((each.kind, each.effect) for each in wrong)
    if run.point.line:
        yield way, run.point.file, run.point.line
    for each in wrong:
        yield way, each.effect, _pattern_of(each)


def what_is_wrong(difference: Difference) -> tuple[Kind, EffectKind, str]:
    """What one difference has in common with those that are about names that differ in numbers alone."""
    return difference.kind, difference.effect, _pattern_of(difference)


def _pattern_of(difference: Difference) -> str:
    return re.sub(r"\d+", "#", _name_of(difference))


def missing_pattern(point: Point) -> str:
    """What was not synced there, as a pattern: names of temporary files and numbers may be others."""
    return _VARIES.sub("*", point.missing)


@dataclass(frozen=True)
class MutantOutcome:
    """The outcome of a sweep of one mutant of the handler.

    The break was noticed if one of its assertions would fail that does not fail for the handler itself: a run is
    wrong in a way in which no run of the handler is, or at a point at which the handler survives the same
    interruption; or it is *doubled*, and no run of the handler is; or the undisturbed run fails. Another status of
    the interrupted event, such as 439 instead of FINISHED, does not count: any removed listener would be noticed by
    that, whether it saves something or not.
    """

    mutant: Mutant
    run: SweepRun | None = None
    """The first run that showed the break."""
    undisturbed: str = ""
    """Why no run could be made: what is wrong with the mutant's undisturbed run."""

    @property
    def noticed(self) -> bool:
        """The sweep has noticed it."""
        return self.run is not None or bool(self.undisturbed)


JobOf: TypeAlias = Callable[[Sequence[str], str], Deployed]
"""Gives what ``deploy_image`` makes of the command of a job, and of the directory in which that is started."""


@dataclass(frozen=True)
class Evidence:
    """What repros of a sweep's findings are made of."""

    question: Question
    began: Beginning
    """The state in which the undisturbed run began."""
    start: Path | None
    """A copy of its directory then; None: it was empty."""
    expected: Effects
    path: str
    """The directory of each run."""
    ignored: Ignored
    stages: Stages
    job_of: JobOf
    spoke_to: str
    """An address to which the undisturbed run has connected; empty: none is known."""
    states: Mapping[str, Path]
    """Copies of the directory as it was when the interrupted event had ended, by the keys of the runs."""
    repros: dict[str, Path] = field(default_factory=dict)
    """The directories of the repros that were written, by the keys of the earliest runs of their classes."""

    def wrote_repro(self, key: str, directory: Path) -> None:
        """The repro of the class whose earliest run is *key* is in *directory*."""
        self.repros[key] = directory


@dataclass(frozen=True)
class Swept:
    """All facts about one sweep."""

    function: str
    reached: int
    """The number of points, tried or not."""
    runs: tuple[SweepRun, ...]
    undisturbed: Outcome = field(repr=False)
    compared: Compared
    ignored: tuple[str, ...] = ()
    """The things that differ between two undisturbed runs and so are not compared."""
    hows: tuple[str, ...] = ()
    seconds: float = 0.0
    """Real seconds."""
    not_reached: tuple[str, ...] = ()
    """Lines of the handler's files that the main thread has come to in none of the runs in which lines are collected:
    ``export.py:31-33``. `reached.not_reached` says what they do not tell."""
    collected: int = 0
    """The number of runs that collected lines."""
    mutants: tuple[MutantOutcome, ...] = ()
    """The mutants that were tried, with their outcomes."""
    notes: tuple[str, ...] = ()
    incomplete: str = ""
    """The reason why it ended before all runs were made."""
    planned: int = 0
    """The number of runs that were planned."""
    left_out: int = 0
    """The number of points that ``limit=`` leaves out."""
    about_effects: tuple[str, ...] = ()
    """Why kills are real runs, at lines and waits alone, or what the record of effects does not tell."""
    unlike: tuple[tuple[SweepRun, SweepRun], ...] = ()
    """Runs that ended differently when they were made again, with the second outcome."""
    several_writers: bool = False
    """More than one thread has effects, so that their order may vary from run to run."""
    is_job: bool = False
    """Whether it is of a program that says by its exit code whether the work is done."""
    repairs: tuple[str, ...] = ()
    """The command, or the call, that searches for a repair, and the one for who wants nothing to be done twice, either;
    empty: there can be none."""
    available: tuple[str, ...] = ()
    """Where ``include=`` has matched no point: what there is, the closest first: ``export.py:3-9 (save)``."""
    test: str = ""
    """The test that has made it, as the command ``pytest`` takes it; empty: none has."""
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    """What repros are made of, where there are findings."""

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The points that were tried, in the order in which the handler comes to them."""
        return tuple(dict.fromkeys(run.point for run in self.runs))

    @property
    def forced_only(self) -> int:
        """The number of points at which this Python does not check for signals, and a listener would have to run."""
        tried = (point for point in self.points if point.forced and point.kind not in RECORDED)
        return sum(not (point.graceful or point.is_ended) for point in tried)
