"""Sweep the mutants of a handler, each in a copy of its code, to see which of the breaks a sweep notices."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from ..errors import ScfUsageError
from ..instances.code import copied
from ..instances.function_version import FunctionVersion
from ..linux.linux import remove_tree
from .differences import Kind
from .findings import FAILURES, HARMFUL, MutantOutcome, SweepRun, Swept
from .mutants import Mutant, mutants
from .points import Point
from .reached import lines_of

MOST = 20
"""Mutants that are tried at most."""


class Trial(NamedTuple):
    """The instructions for the sweep of a mutant."""

    function: FunctionVersion
    shows: Callable[[SweepRun], bool]
    """Whether a run shows the break; the sweep ends with the first one."""
    second: bool
    """Whether points after a SIGTERM are tried as well; most breaks show without."""


SweepOf: TypeAlias = "Callable[[Trial], Swept]"
OwnRun: TypeAlias = "Callable[[SweepRun, Sequence[Point]], SweepRun | None]"
"""Gives the run of the handler itself that is interrupted where a mutant's was; None where it does not come there."""


def tried(
    function: FunctionVersion, swept: Swept, scratch: str, sweep_of: SweepOf, own_run: OwnRun
) -> Iterator[MutantOutcome | str]:
    """The outcome of each mutant of the entry file of *function*, whose sweep has come to *swept*; and notes.

    Each is given as soon as it is known, so that Ctrl-C loses none. A statement that the undisturbed run comes to is
    not left out: that would be no break of the shutdown code alone.
    """
    code = function.code_to_run()
    file = os.path.relpath(code.entry, code.directory)
    with open(code.entry, "rb") as source:
        encoding, _ = tokenize.detect_encoding(source.readline)
    with open(code.entry, encoding=encoding) as text:
        made = mutants(text.read(), file)
    if not made:
        yield f"no listener for SIGTERM in {file}: nothing to mutate"
        return
    undisturbed = lines_of(swept.undisturbed.points)
    made = [mutant for mutant in made if mutant.kind != "save skipped" or (file, mutant.line) not in undisturbed]
    if len(made) > MOST:
        yield _not_tried(len(made) - MOST, f"a sweep tries {MOST} at most")
    shows = Shows(swept, own_run)
    try:
        moved = copied(code, scratch, "mutant-", "sweep(mutate=True) would copy")
    except ScfUsageError as error:  # what the sweep itself has found is not lost by it
        yield str(error)
        return
    try:
        mutated = replace(function, code=moved, copy=None)
        for number, mutant in enumerate(made[:MOST]):
            with open(moved.entry, "w", encoding=encoding) as target:
                target.write(mutant.source)
            outcome, incomplete = _outcome(mutant, mutated, shows, sweep_of)
            if incomplete:
                yield _not_tried(len(made[:MOST]) - number, incomplete)
                break
            yield outcome
    finally:
        remove_tree(moved.directory)


def _not_tried(number: int, why: str) -> str:
    return f"{number:,} mutant{'s were' if number != 1 else ' was'} not tried, because {why}"


def _outcome(mutant: Mutant, function: FunctionVersion, shows: Shows, sweep_of: SweepOf) -> tuple[MutantOutcome, str]:
    """The outcome, and why the sweep of the mutant is not complete, where it is not and nothing was noticed so far."""
    # of the other kinds nothing follows a SIGTERM in which a second one would find something else
    for second in (False, True) if mutant.kind == "save skipped" else (False,):
        try:
            found = sweep_of(Trial(function, shows, second))
        except (ScfUsageError, AssertionError) as error:  # an AssertionError is of check=
            return MutantOutcome(mutant, undisturbed=str(error)), ""
        run = next((run for run in found.runs if shows(run)), None)
        if run is not None:
            return MutantOutcome(mutant, run), ""
        if found.incomplete:
            return MutantOutcome(mutant), found.incomplete
    return MutantOutcome(mutant), ""


class Shows:
    """Whether a run of a mutant is wrong where the handler itself is right.

    *swept* is what the handler's own sweep has come to. At a point that it has not tried *own_run* is asked.
    """

    def __init__(self, swept: Swept, own_run: OwnRun) -> None:
        doubles = any(Kind.DOUBLED in run.kinds for run in swept.runs)
        self._kinds = FAILURES if doubles else HARMFUL
        self._own_run = own_run
        self._points = swept.undisturbed.points
        self._known: set[tuple[str, str, str]] = set()
        self._right: dict[str, bool] = {}
        for run in swept.runs:
            self._learn(run)

    def __call__(self, run: SweepRun) -> bool:
        """After a SIGTERM a mutant may come to points of the same name elsewhere: there only what is wrong counts."""
        if not run.fails(self._kinds):
            return False
        if run.point.after is None:
            own = None if run.key in self._right else self._own_run(run, self._points)
            if own is not None:
                self._learn(own)
            if self._right.get(run.key, False):
                return True
        return not self._known.issuperset(self._wrong(run))

    def _learn(self, run: SweepRun) -> None:
        """*run* is one of the handler itself."""
        self._known.update(self._wrong(run))
        if run.point.after is None:
            self._right[run.key] = not run.fails(self._kinds)

    def _wrong(self, run: SweepRun) -> Iterator[tuple[str, str, str]]:
        kinds = {kind.value for kind in self._kinds}
        return (alike for alike in run.alike if alike[0] in kinds)
