"""The arguments of ``ScfRuntime.sweep``, checked, and the surroundings in which a sweep is made."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..clock import duration_us
from ..errors import Given, ScfUsageError, hidden_from_users
from ..instances.function_version import FunctionVersion
from ..instances.layers import OPT, installed_in
from ..instances.sandbox import USER_CODE
from ..lockstep.features.feature import Forked
from .agenda import no_workers
from .findings import JobOf, SweepRun
from .guide import Guide
from .ignored import IgnoredByUser
from .interruptions import FORCED, Interruption, power
from .points import Choice, is_count
from .run import Outcome, Question, Stages

__tracebackhide__ = hidden_from_users

_EXCLUDED = ("site-packages/*", "*/site-packages/*", ".venv/*", "venv/*", "node_modules/*")


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
    forked: Callable[[], Sequence[Forked]]
    """What features do in a fork of this process that is about to be made, to make runs for it."""
    job_of: JobOf


@dataclass(frozen=True)
class Request:
    """What a sweep is to do."""

    question: Question
    hows: tuple[Interruption, ...]
    within_us: int | None
    """Within what a graceful stop has to end; None: nobody says it."""
    choice: Choice
    ignored: IgnoredByUser
    mutate: bool
    compares_nothing: bool
    workers: int
    """How many processes make the runs; 0: as many as fit."""
    first_stops: int | None = None
    """At how many points it is stopped to find those of second terminations; None: as ``_FIRST_STOPS`` says."""
    until: Callable[[SweepRun], bool] | None = None
    """The sweep ends with the first run of which this is true."""
    misleads: bool = False
    """What comes of a kill by the record is not what comes of a real one: all kills are real ones."""
    accepts: Callable[[Outcome], None] | None = None
    """Called with the undisturbed run before all others; what it raises ends the sweep."""

    @property
    def function(self) -> FunctionVersion:
        """The function that is swept."""
        return self.question.function

    @property
    def tries_ends(self) -> bool:
        """Whether a SIGTERM to which nobody listens is tried wherever it ends the process, and not only where a handler
        could run.

        A forced termination leaves the same there, and answers it where it is tried, too, and nobody looks at the event
        itself. It says nothing of the shutdown code, of which mutants are.
        """
        is_told = FORCED in self.hows and not self.question.looks_at_event
        return any(how.kind == "graceful" for how in self.hows) and not is_told and self.until is None

    @property
    def name(self) -> str:
        """The name of that."""
        return self.function.configuration.name


def requested(
    question: Question,
    bench: Bench,
    ways: Iterable[Interruption],
    choice: Choice,
    ignored: IgnoredByUser,
    *,
    within: object,
    mutate: object,
    compares_nothing: object,
    workers: object,
) -> Request:
    """What these arguments of ``sweep`` ask for. Raises ``ScfUsageError`` for what is not valid, or cannot be swept."""
    function = question.function
    hows = tuple(dict.fromkeys(_for(function, how) for how in ways))
    within_us = None if within is None else duration_us(within, "sweep(within)")  # type: ignore[arg-type]
    if not is_count(question.attempts):
        Given("attempts", question.attempts).has_to_be("a whole number of invocations, 1 or more")
    if mutate:
        _check_mutate(mutate, function, hows)
    if not isinstance(compares_nothing, bool):
        Given("compares_nothing", compares_nothing).has_to_be("True or False")
    name = function.configuration.name
    if not function.runtime.in_lockstep:
        raise ScfUsageError(
            f"sweep: function {name!r} sees real time, in which no run is like another: its program cannot "
            "be traced here, and only one on the simulated clock can be swept"
        )
    if function.configuration.mounts:
        shared = ", ".join(host for host, _ in function.configuration.mounts)
        raise ScfUsageError(
            f"sweep: function {name!r} has mounts={shared}, which all runs would share; have the handler "
            "write to run.path instead: each_run yields {'OUT': str(run.path)}"
        )
    if workers is not None and not is_count(workers):
        Given("workers", workers).has_to_be("a whole number of processes, 1 or more")
    count = workers or 0
    why = "" if count < 2 else "the function is a container" if function.runtime.shares_tmp else bench.why_unmounted()
    if why:
        raise ScfUsageError(no_workers(count, why))
    exclude_files = (*_EXCLUDED, *_libraries_in_layers(function), *choice.excluded_files)
    question = replace(question, exclude=exclude_files)
    return Request(question, hows, within_us, choice, ignored, bool(mutate), compares_nothing, count)


def _check_mutate(mutate: object, function: FunctionVersion, hows: Iterable[Interruption]) -> None:
    given = Given("mutate", mutate)
    if mutate is not True:
        given.has_to_be("True or False")
    if not function.runtime.has_places:
        given.refuse("it goes with a handler in Python")
    if all(how.kind != "graceful" for how in hows):
        given.refuse("it goes with how='graceful', as mutants are of what SIGTERM starts")


def _for(function: FunctionVersion, how: Interruption) -> Interruption:
    """*how*, with the file system that fits *function*, where that is not said."""
    if how.kind != "power" or how.file_system is not None:
        return how
    return power("posix" if function.runtime.is_job else "nfs")


def roots_of(function: FunctionVersion) -> tuple[str, ...]:
    """The directories in which an instance of *function* may find its code, that in layers included."""
    layers = function.configuration.layers
    of_layers = (*filter(os.path.isdir, layers), OPT) if layers else ()
    return tuple(dict.fromkeys((function.code_to_run().directory, function.code.directory, USER_CODE, *of_layers)))


def _libraries_in_layers(function: FunctionVersion) -> Iterator[str]:
    """Patterns of files in layers that are a library's, and not the user's own."""
    for name in sorted(installed_in(function.configuration.layers)):
        if not os.path.exists(os.path.join(function.code.directory, name)):  # that one is found first
            yield name if name.endswith(".py") else f"function {name!r}/*"


def scratch_of(directory: str) -> Path:
    """A new directory for a sweep below *directory*, always of the same length and name but for its number."""
    for number in itertools.count():
        path = Path(directory, f"sweep-{number:04}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError
