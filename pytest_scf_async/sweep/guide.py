"""Instructions to a sweep from whoever runs it, pytest or the command line: what to try first, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import ScfUsageError
from .differences import Kind
from .findings import Swept
from .repairs.found import Repairs
from .report import failure_text
from .run import Run


def nothing(*_: object) -> None:
    pass


def _refuse(sentence: str) -> None:
    raise ScfUsageError(sentence)


@dataclass(frozen=True)
class Guide:
    """Instructions to a sweep."""

    test: str = ""
    """The test in which it is made, as the command ``pytest`` takes it; empty: it is made in none."""
    directory: str = ""
    """The directory in which commands that it names are called; empty: the current one."""
    replay: str = ""
    """The key of the only run to make (``SweepRun.key``); empty: make all of them."""
    shard: tuple[int, int] | None = None
    """The part of the runs to make, as in (2, 5) for the second of five."""
    first: tuple[str, ...] = ()
    """The keys of runs to make first, as they failed the last time."""
    seconds_left: Callable[[], float | None] = lambda: None
    """The real seconds that are left; None: no limit."""
    begins: Callable[[str], None] = nothing
    """Called before its runs with a sentence about how many there are and how long they take, where that is long."""
    progress: Callable[[int, int, int], None] = nothing
    """Called with the numbers of runs that are made, planned and failed."""
    finished: Callable[[Swept], None] = nothing
    """Called with all findings, whether the sweep is complete or not."""
    tries: Callable[[str], None] = nothing
    """Called with a line about each change that is tried, where repairs are searched for."""
    repaired: Callable[[Repairs], None] = nothing
    """Called with all repairs that were found, whether the search is complete or not."""
    effects_of: Callable[[Run], Mapping[str, object]] = lambda _: {}
    """What plugins add to the effects of a run."""
    no_such_run: Callable[[str], None] = _refuse
    """Called with a sentence where no run has the key ``replay``; if it raises nothing, no run is made."""
    sets: Callable[[str], str] = lambda name: f"have each_run yield {{{name!r}: str(run.path)}}"
    """Says how the variable of this name gets the directory of a run."""
    asked: Callable[[], None] = nothing
    """Called when the test asks what the sweep has found."""
    failure: Callable[[Swept, frozenset[Kind]], str] = failure_text
    """The text about why a sweep fails on these kinds; empty: it does not."""
